/* SPDX-License-Identifier: Apache-2.0
 * Finds the fake driver's own functions in the library that the backend loaded, and runs children. */
#include "tests/cuda_host/driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *find(const char *symbol) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    void *address = library ? dlsym(library, symbol) : NULL;
    if (address) return address;
    fprintf(stderr, "libcuda.so.1 is not the fake driver: set LD_LIBRARY_PATH\n");
    exit(3);
}

fake_cuda_counts driver_counts(void) {
    fake_cuda_live_fn *live;
    fake_cuda_counts counts;
    void *address = find("fake_cuda_live");
    memcpy(&live, &address, sizeof live);
    live(&counts);
    return counts;
}

const char *driver_error(void) {
    fake_cuda_error_fn *error;
    void *address = find("fake_cuda_error");
    memcpy(&error, &address, sizeof error);
    return error();
}

unsigned driver_calls(const char *symbol) {
    fake_cuda_calls_fn *calls;
    void *address = find("fake_cuda_calls");
    memcpy(&calls, &address, sizeof calls);
    return calls(symbol);
}

bool driver_is_clean(bool orphans_allowed) {
    fake_cuda_counts c = driver_counts();
    int left =
        c.memory | c.pinned | c.streams | c.events | c.modules | c.graphs | c.retained | c.pushed | c.errors;
    if (!orphans_allowed) left |= c.orphans;
    if (left)
        fprintf(stderr,
                "left: memory %d, pinned %d, streams %d, events %d, modules %d, graphs %d, retained %d, "
                "pushed %d, "
                "orphans %d, errors %d: %s\n",
                c.memory, c.pinned, c.streams, c.events, c.modules, c.graphs, c.retained, c.pushed, c.orphans,
                c.errors, driver_error());
    return !left;
}

int in_child(const char *name, const char *value, int (*body)(void)) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (name) setenv(name, value, 1);
        alarm(120);
        exit(body());
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
    return WEXITSTATUS(status) >= 99 ? -1 : WEXITSTATUS(status);
}
