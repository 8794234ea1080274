/* SPDX-License-Identifier: Apache-2.0
 * Family normalize for GPUs: a group takes a row, each item every PAVE_THREADS-th element for the row's
 * reductions, and four columns at a time for what is stored. Trees in local memory end each reading pass
 * before a value is stored, and an item stores only what it loaded last, so y may be x. Any alignment of
 * whole elements. */
#include "prelude.h"
#include "chain.h"
#include "row_state.h"
#include "row_form.h"
#include "walk.h"

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(const pave_abi_rows args,
                                                                                    __global const char *x,
                                                                                    __global char *y,
                                                                                    PV_TENSOR_ARGS) {
    __local float2 states[PAVE_THREADS];
    const int item = (int)get_local_id(0), of_mean = args.reduce == PV_NORMALIZE, fold = of_mean ? 2 : 1;
    x += args.x.offset;
    y += args.y.offset;
    for (long i = PV_GROUP; i < PV_MATRICES(args) * args.rows; i += PV_GROUPS) {
        long row = i % args.rows, b[PAVE_BATCH_DIMS];
        pv_unflatten(i / args.rows, args.batch, b);
        const long from = pv_batch_offset(&args.x, b) + row * args.x.row,
                   to = pv_batch_offset(&args.y, b) + row * args.y.row;
        float2 s = pv_fold_columns(fold, x, args.x_type, from, args.x.col, item, args.cols, PAVE_THREADS);
        s = pv_tree(fold, states, s);
        pv_form form = pv_form_exp(args.reduce, s);
        if (of_mean) {
            float mean = s.x / (float)args.cols;
            s.x = pv_fold_squares(mean, x, args.x_type, from, args.x.col, item, args.cols, PAVE_THREADS);
            form = pv_form_mean(mean, pv_tree(2, states, s).x, (float)args.cols, args.epsilon);
        }
        for (long c = (long)item * PV_W; c < args.cols; c += PAVE_THREADS * PV_W) {
            int count = (int)min(args.cols - c, (long)PV_W);
            PV_VT v = pv_load_some(x, args.x_type, from + c * args.x.col, args.x.col, count, 0.0f);
            v = pv_formed(args.reduce, form, v);
            v = pv_chain(args.links, args.link_count, b, row, c, count, v, PV_TENSORS);
            pv_put(y, args.y_type, to + c * args.y.col, args.y.col, count, v);
        }
    }
}
