/* SPDX-License-Identifier: Apache-2.0
 * Runs CUDA kernels on a CPU, from their own source, for the fake driver: a block's threads are fibers of one host thread,
 * which meet where lanes exchange and where blocks wait. It is strict where hardware is lucky:
 *  - warps take turns only where they wait for one another, each running as far as it can, so that a missing barrier shows;
 *  - an asynchronous copy poisons its target at once and lands when it is waited for, so that an early read or a stage that
 *    is still read shows;
 *  - a matrix load that would meet a bank of shared memory twice, or is not aligned, is a fault;
 *  - lanes of a warp that meet in different places are a fault, and so is a block whose threads all wait.
 * Blocks run one after the other, or each in a process of its own where they wait for each other: what is static, and stands for
 * shared memory, is then each block's, and the device's memory all processes'. */
#ifndef PAVE_TESTS_FAKE_CUDA_EMULATOR_HH
#define PAVE_TESTS_FAKE_CUDA_EMULATOR_HH

#include <stdint.h>

namespace emulator {

struct position {
    unsigned x, y, z;
};
/* Of the block that runs. */
extern position grid, block;
position thread();

/* Where lanes may meet. All of a warp's lanes that have not returned take part. */
enum meeting { BARRIER, EXCHANGE, MATRICES, MULTIPLY };
constexpr int SLOT_BYTES = 64;
/* Leaves `bytes` for the other lanes of the warp and returns all lanes' slots, valid until its next but one meeting. */
const unsigned char (*meet(enum meeting where, const void *mine, int bytes))[SLOT_BYTES];
/* All threads of the block; whether `held` was so for each. */
bool barrier(bool held);

/* Dynamic shared memory, by the 32-bit addresses that instructions take. */
unsigned char *shared_base();
uint32_t shared_offset(const void *pointer);
/* As many bytes of it, 4 or 16 and aligned to that, or poison with a fault. */
unsigned char *shared_line(uint32_t address, int bytes);

/* Fills `whole` bytes, 4 or 16, which both addresses are multiples of: `bytes` of them from the source. */
void copy(uint32_t target, const void *source, int bytes, int whole);
void commit();
void wait(int pending);

/* A thread that waits for what other blocks write lets them, and its own block's warps, go on. */
void pause();

void fault(const char *what);
/* Whether this is a block of its own process, which leaves word of a fault to its parent. */
bool leave_word(const char *what);

} // namespace emulator

#endif
