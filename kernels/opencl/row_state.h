/* SPDX-License-Identifier: Apache-2.0
 * What becomes of a row's one state: the items' states of a group merge into it, and its finished value goes through the
 * links to y. */
#ifndef PAVE_KERNELS_OPENCL_ROW_STATE_H
#define PAVE_KERNELS_OPENCL_ROW_STATE_H

#include "prelude.h"
#include "chain.h"
#include "state.h"
#include "walk.h"

/* The group's state, known to every item: a tree, so that the order is fixed. `states` may be used again at once. */
PV_INLINE float2 pv_tree(int reduce, __local float2 *states, float2 s) {
    int item = (int)get_local_id(0);
    states[item] = s;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_count = PAVE_THREADS / 2; half_count > 0; half_count /= 2) {
        if (item < half_count) states[item] = pave_state_merge(reduce, states[item], states[item + half_count]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    s = states[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return s;
}

/* y of row `row` of the matrix at b; `y` is past its view's offset. */
static inline void pv_result(const pave_abi_rows *args, const long *b, long row, float2 s, __global char *y,
                             PV_TENSOR_ARGS) {
    long to = pv_batch_offset(&args->y, b) + row * args->y.row;
    if (args->reduce == 6) {
        ((__global int *)y)[to] = as_int(s.y);
        return;
    }
    float v = pave_state_finish(args->reduce, s, (float)args->cols);
    v = pv_chain(args->links, args->link_count, b, row, 0, 1, PV_C(v), PV_TENSORS).s0;
    pv_store1(y, args->y_type, to, v);
}

#endif
