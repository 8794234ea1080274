/* SPDX-License-Identifier: Apache-2.0
 * Family reduce for GPUs: a group takes a row or a slice of one, each item every PAVE_THREADS-th element,
 * then a tree in local memory merges the items' states in a fixed order. Any alignment of whole elements. */
#include "prelude.h"
#include "chain.h"
#include "row_state.h"
#include "walk.h"

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(const pave_abi_rows args,
                                                                                    __global const char *x,
                                                                                    __global char *y,
                                                                                    PV_TENSOR_ARGS) {
    __local float2 states[PAVE_THREADS];
    const int item = (int)get_local_id(0);
    const long slots = max(args.slots, 1L), slice = args.slots > 0 ? args.slice : args.cols;
    x += args.x.offset;
    y += args.y.offset;
    for (long i = PV_GROUP; i < PV_MATRICES(args) * args.rows * slots; i += PV_GROUPS) {
        long slot = i % slots, row = i / slots % args.rows, b[PAVE_BATCH_DIMS];
        pv_unflatten(i / slots / args.rows, args.batch, b);
        long from = pv_batch_offset(&args.x, b) + row * args.x.row, to = min(slot * slice + slice, args.cols);
        float2 s = pv_fold_columns(args.reduce, x, args.x_type, from, args.x.col, slot * slice + item, to,
                                   PAVE_THREADS);
        s = pv_tree(args.reduce, states, s);
        if (item == 0 && args.slots > 0)
            vstore2(s, i, (__global float *)y);
        else if (item == 0)
            pv_result(&args, b, row, s, y, PV_TENSORS);
    }
}
