/* SPDX-License-Identifier: Apache-2.0
 * A row's state where items fold scalars: an item's columns fold into one, a group's items' merge, and the
 * finished value goes through the links to y. */
#ifndef PAVE_KERNELS_OPENCL_ROW_STATE_H
#define PAVE_KERNELS_OPENCL_ROW_STATE_H

#include "prelude.h"
#include "chain.h"
#include "state.h"
#include "walk.h"

/* Columns that an item folds before it merges: one chain of roundings would grow with the row. */
#define PV_RUN 256

/* Every `step`-th of columns [from, to) of the row that begins at element `first`. */
static inline float2 pv_fold_columns(int reduce, __global const char *x, int type, long first, long col,
                                     long from, long to, long step) {
    float2 s = pave_state_begin(reduce);
    while (from < to) {
        long end = min(from + PV_RUN * step, to);
        float2 t = pave_state_begin(reduce);
        for (; from < end; from += step)
            t = pave_state_fold(reduce, t, pv_load1(x, type, first + from * col), (int)from);
        s = pave_state_merge(reduce, s, t);
    }
    return s;
}

/* The group's state, known to every item: a tree, so that the order is fixed. `states` may be used again at
 * once. */
PV_INLINE float2 pv_tree(int reduce, __local float2 *states, float2 s) {
    int item = (int)get_local_id(0);
    states[item] = s;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_count = PAVE_THREADS / 2; half_count > 0; half_count /= 2) {
        if (item < half_count)
            states[item] = pave_state_merge(reduce, states[item], states[item + half_count]);
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
