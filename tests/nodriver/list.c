/* SPDX-License-Identifier: Apache-2.0
 * Lists the number of devices of each backend, and what `auto` says where there are none. */
#include <pave/pave.h>
#include <stdio.h>

int main(void) {
    static const char *const backends[] = {"cuda", "opencl", "host"};
    for (int i = 0; i < 3; i++) {
        size_t count;
        if (pave_device_list(backends[i], 0, NULL, &count)) return 1;
        printf("%s %zu\n", backends[i], count);
    }
    pave_device *device;
    pave_status status = pave_device_open("auto", &device);
    printf("auto %s\n%s\n", pave_status_name(status), status ? pave_last_message() : "");
    return 0;
}
