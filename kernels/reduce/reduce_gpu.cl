/* SPDX-License-Identifier: Apache-2.0
 * Family reduce for GPUs: a group takes a row, each item every PAVE_THREADS-th element, then a tree in local
 * memory merges the items' states in a fixed order. Any type, stride and alignment of whole elements. */
#include "prelude.h"
#include "chain.h"
#include "state.h"

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(
    const pave_abi_reduce args, __global const char *x, __global char *y, PV_TENSOR_ARGS) {
    __local float2 states[PAVE_THREADS];
    int item = (int)get_local_id(0);
    x += args.x_offset;
    y += args.y_offset;
    for (long row = PV_GROUP; row < args.rows; row += PV_GROUPS) {
        float2 s = pave_state_begin(args.reduce);
        for (long c = item; c < args.cols; c += PAVE_THREADS)
            s = pave_state_fold(args.reduce, s, pv_load1(x, args.x_type, row * args.ldx + c));
        states[item] = s;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int half_count = PAVE_THREADS / 2; half_count > 0; half_count /= 2) {
            if (item < half_count)
                states[item] = pave_state_merge(args.reduce, states[item], states[item + half_count]);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        if (item == 0) {
            float v = pave_state_finish(args.reduce, states[0], (float)args.cols);
            v = pv_chain(args.links, args.link_count, row, 0, 1, PV_C(v), PV_TENSORS).s0;
            pv_store1(y, args.y_type, row * args.y_stride, v);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
