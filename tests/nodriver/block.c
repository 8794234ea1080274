/* SPDX-License-Identifier: Apache-2.0
 * Preloaded: dlopen of a GPU driver or an OpenCL loader fails as on a machine without them, and says on
 * standard error that it was asked, so that the test knows that it was in the way. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

void *dlopen(const char *name, int flags) __attribute__((visibility("default")));

void *dlopen(const char *name, int flags) {
    if (name && (strstr(name, "libcuda.so") || strstr(name, "libOpenCL.so"))) {
        fprintf(stderr, "blocked %s\n", name);
        name = "no such library";
    }
    union {
        void *data;
        void *(*call)(const char *, int);
    } next = {dlsym(RTLD_NEXT, "dlopen")};
    return next.call(name, flags);
}
