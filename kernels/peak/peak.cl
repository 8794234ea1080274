/* SPDX-License-Identifier: Apache-2.0
 * Family peak: independent chains of fma in registers, to measure what a device's float32 units reach. The
 * row's peak_flops counts an item's operations an iteration: 512 (CPU) or 128 (GPU). */
#if PAVE_THREADS == 1
#define PV_W PAVE_VECTOR_WIDTH
#define PV_FLOPS 512
#else
#define PV_FLOPS 128
#endif
#include "prelude.h"

/* Eight chains hide the latency of two fma units a core; a GPU hides it with its other items as well. */
#if PAVE_THREADS == 1
#define PV_T PV_VT
#define PV_ROUNDS (PV_FLOPS / (2 * 8 * PV_W))
#else
#define PV_T float
#define PV_ROUNDS (PV_FLOPS / (2 * 8))
#endif

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(const pave_abi_peak args,
                                                                                    __global char *y) {
    /* Factors come from the arguments, so that nothing is known when the kernel is compiled. */
    PV_T f = (PV_T)(1.0f - (float)args.reserved), g = (PV_T)((float)args.never * 1e-6f + 1e-9f);
    PV_T c0 = (PV_T)((float)get_global_id(0)), c1 = c0 + (PV_T)(1.0f), c2 = c0 + (PV_T)(2.0f);
    PV_T c3 = c0 + (PV_T)(3.0f), c4 = c0 + (PV_T)(4.0f), c5 = c0 + (PV_T)(5.0f), c6 = c0 + (PV_T)(6.0f);
    PV_T c7 = c0 + (PV_T)(7.0f);
    for (long i = 0; i < args.iterations; i++) {
#pragma unroll
        for (int round = 0; round < PV_ROUNDS; round++) {
            c0 = fma(c0, f, g);
            c1 = fma(c1, f, g);
            c2 = fma(c2, f, g);
            c3 = fma(c3, f, g);
            c4 = fma(c4, f, g);
            c5 = fma(c5, f, g);
            c6 = fma(c6, f, g);
            c7 = fma(c7, f, g);
        }
    }
    PV_T sum = ((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7));
#if PAVE_THREADS == 1
    if (args.never) pv_store(y, PAVE_T_F32, (long)get_global_id(0) * PV_W, sum);
#else
    if (args.never) pv_store1(y, PAVE_T_F32, (long)get_global_id(0), sum);
#endif
}
