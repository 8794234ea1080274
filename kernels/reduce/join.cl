/* SPDX-License-Identifier: Apache-2.0
 * Family join: merges the partial states that a fused reduction left, in slot order, one item a row. */
#include "prelude.h"
#include "chain.h"
#include "state.h"

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(
    const pave_abi_reduce args, __global const char *x, __global char *y, PV_TENSOR_ARGS) {
    __global const float *states = (__global const float *)(x + args.x_offset);
    y += args.y_offset;
    long slots = args.ldx;
    for (long row = PV_GROUP * PAVE_THREADS + (long)get_local_id(0); row < args.rows;
         row += PV_GROUPS * PAVE_THREADS) {
        float2 s = pave_state_begin(args.reduce);
        for (long i = 0; i < slots; i++)
            s = pave_state_merge(args.reduce, s, vload2(row * slots + i, states));
        float v = pave_state_finish(args.reduce, s, (float)args.cols);
        v = pv_chain(args.links, args.link_count, row, 0, 1, PV_C(v), PV_TENSORS).s0;
        pv_store1(y, args.y_type, row * args.y_stride, v);
    }
}
