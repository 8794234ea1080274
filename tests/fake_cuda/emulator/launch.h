/* SPDX-License-Identifier: Apache-2.0
 * What the fake driver, in C, hands to the emulator. */
#ifndef PAVE_TESTS_FAKE_CUDA_EMULATOR_LAUNCH_H
#define PAVE_TESTS_FAKE_CUDA_EMULATOR_LAUNCH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct emulated_launch {
    const char *name;
    const void *args; /* the family's launch struct */
    void *const *buffers;
    unsigned grid[3];
    int threads;
    uint32_t shared_bytes;
    int together; /* its blocks wait for each other */
    void (*fault)(const char *what);
    int (*readable)(const void *at, int bytes);
} emulated_launch;

/* Runs the kernel of that name; 0 where there is none. */
int emulate(const emulated_launch *launch);

#ifdef __cplusplus
}
#endif

#endif
