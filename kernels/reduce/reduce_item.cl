/* SPDX-License-Identifier: Apache-2.0
 * Family reduce for GPUs, across: an item takes a row or a slice of one, neighbouring items neighbouring
 * rows, so that reads of a column coalesce where rows are 1 apart. Any alignment of whole elements. */
#include "prelude.h"
#include "chain.h"
#include "row_state.h"
#include "walk.h"

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(const pave_abi_rows args,
                                                                                    __global const char *x,
                                                                                    __global char *y,
                                                                                    PV_TENSOR_ARGS) {
    const long slots = max(args.slots, 1L), slice = args.slots > 0 ? args.slice : args.cols;
    const long strips = (args.rows + PAVE_THREADS - 1) / PAVE_THREADS;
    x += args.x.offset;
    y += args.y.offset;
    for (long i = PV_GROUP; i < PV_MATRICES(args) * strips * slots; i += PV_GROUPS) {
        long matrix = i / slots / strips, slot = i % slots, b[PAVE_BATCH_DIMS];
        long row = i / slots % strips * PAVE_THREADS + (long)get_local_id(0);
        if (row >= args.rows) continue;
        pv_unflatten(matrix, args.batch, b);
        long from = pv_batch_offset(&args.x, b) + row * args.x.row, to = min(slot * slice + slice, args.cols);
        float2 s = pv_fold_columns(args.reduce, x, args.x_type, from, args.x.col, slot * slice, to, 1);
        if (args.slots > 0)
            vstore2(s, (matrix * args.rows + row) * slots + slot, (__global float *)y);
        else
            pv_result(&args, b, row, s, y, PV_TENSORS);
    }
}
