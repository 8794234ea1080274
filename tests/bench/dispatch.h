/* SPDX-License-Identifier: Apache-2.0
 * What the enqueueing benchmark's parts share: launches as the backend got them, and the clock. */
#ifndef PAVE_TESTS_BENCH_DISPATCH_H
#define PAVE_TESTS_BENCH_DISPATCH_H

#include "src/objects.h"

#define DISPATCH_LAUNCHES_MAX 16

/* A launch with copies of all that it points to. */
typedef struct dispatch_launch {
    void *kernel;
    pave__launch launch;
    union {
        pave_abi_gemm gemm;
        pave_abi_rows rows;
    } args;
    void *buffers[PAVE_GEMM_BUFFERS];
} dispatch_launch;

typedef struct dispatch_call {
    pave_queue *queue;
    dispatch_launch list[DISPATCH_LAUNCHES_MAX];
    size_t count;
} dispatch_call;

/* Nanoseconds a call of the calling thread: by the clock on the wall, and of processor time. */
typedef struct dispatch_cost {
    double wall, cpu;
} dispatch_cost;

/* Medians of batches, each short enough that no queue is full, which is empty when a batch begins. The call returns 0, or
 * a code that ends the benchmark. */
dispatch_cost dispatch_time(pave_queue *queue, int (*call)(void *), void *arg);

/* What one backend's driver takes for the same launches by itself, printed; and the driver's part of enqueueing replaced by
 * functions that do nothing, or put back. */
typedef struct dispatch_driver {
    void (*bare)(dispatch_call *call);
    void (*stub)(bool on);
} dispatch_driver;

extern const dispatch_driver dispatch_cuda;

#endif
