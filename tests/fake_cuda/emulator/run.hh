/* SPDX-License-Identifier: Apache-2.0
 * A launch as the emulator takes it, and what it asks of the fake driver. */
#ifndef PAVE_TESTS_FAKE_CUDA_EMULATOR_RUN_HH
#define PAVE_TESTS_FAKE_CUDA_EMULATOR_RUN_HH

#include "tests/fake_cuda/emulator/emulator.hh"

namespace emulator {

struct work {
    void (*kernel)(const void *parameters);
    const void *parameters;
    unsigned grid[3];
    int threads;
    uint32_t shared_bytes;
    bool together;
};
void run(const work *w);
/* Whether the bytes lie in an allocation. */
bool readable(const void *at, int bytes);

} // namespace emulator

#endif
