/* SPDX-License-Identifier: Apache-2.0
 * Family peak on NVIDIA's tensor cores: what mma.sync of a path reaches with its operands in registers. A round is
 * eight independent chains, enough to cover the latency with a few warps. Operands are small, finite and not
 * constant, as a multiplication by zero draws less power than real work. The row's peak_flops counts an item's
 * operations an iteration. */
#include "prelude.h"
#include "walk.h"
#include "ptx.h"

#define PV_CHAINS 8
/* The numbers of pave_path. */
#if PAVE_PATH == 1
#define PV_MULTIPLY pv_multiply_tf32
#define PV_ONE 0x3f800000u
#define PV_NOISE 0x007fe000u
#elif PAVE_PATH == 2
#define PV_MULTIPLY pv_multiply_f16
#define PV_ONE 0x3c003c00u
#define PV_NOISE 0x03ff03ffu
#else
#define PV_MULTIPLY pv_multiply_bf16
#define PV_ONE 0x3f803f80u
#define PV_NOISE 0x007f007fu
#endif

/* Two values between 1 and 2, or one. */
PV_INLINE uint pv_operand_of(uint seed) {
    return PV_ONE | ((seed * 32 + (uint)get_local_id(0)) * 2654435761u & PV_NOISE);
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(const pave_abi_peak args,
                                                                                    __global char *y) {
    const uint a[4] = {pv_operand_of(0), pv_operand_of(1), pv_operand_of(2), pv_operand_of(3)};
    const uint b[2] = {pv_operand_of(4), pv_operand_of(5)};
    float acc[PV_CHAINS][4], sum = 0.0f;
    PV_UNROLL
    for (int c = 0; c < PV_CHAINS * 4; c++) acc[c / 4][c % 4] = 0.0f;
    PV_LOOP
    for (long i = 0; i < args.iterations; i++) {
        PV_UNROLL
        for (int c = 0; c < PV_CHAINS; c++) PV_MULTIPLY(acc[c], a, b[0], b[1]);
    }
    PV_UNROLL
    for (int c = 0; c < PV_CHAINS * 4; c++) sum += acc[c / 4][c % 4];
    if (args.never) pv_store1(y, PAVE_T_F32, (long)get_local_id(0), sum);
}
