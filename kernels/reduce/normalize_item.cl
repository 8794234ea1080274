/* SPDX-License-Identifier: Apache-2.0
 * Family normalize for GPUs, across: an item takes a row, neighbouring items neighbouring rows, so that reads
 * and writes of a column coalesce where rows are 1 apart. Any alignment of whole elements. */
#include "prelude.h"
#include "chain.h"
#include "row_state.h"
#include "row_form.h"

static inline pv_form pv_row_form(const pave_abi_rows *args, __global const char *x, long from) {
    const int of_mean = args->reduce == PV_NORMALIZE, fold = of_mean ? 2 : 1;
    float2 s = pv_fold_columns(fold, x, args->x_type, from, args->x.col, 0, args->cols, 1);
    if (!of_mean) return pv_form_exp(args->reduce, s);
    float mean = s.x / (float)args->cols;
    float squares = pv_fold_squares(mean, x, args->x_type, from, args->x.col, 0, args->cols, 1);
    return pv_form_mean(mean, squares, (float)args->cols, args->epsilon);
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(const pave_abi_rows args,
                                                                                    __global const char *x,
                                                                                    __global char *y,
                                                                                    PV_TENSOR_ARGS) {
    const long strips = (args.rows + PAVE_THREADS - 1) / PAVE_THREADS;
    x += args.x.offset;
    y += args.y.offset;
    for (long i = PV_GROUP; i < PV_MATRICES(args) * strips; i += PV_GROUPS) {
        long row = i % strips * PAVE_THREADS + (long)get_local_id(0), b[PAVE_BATCH_DIMS];
        if (row >= args.rows) continue;
        pv_unflatten(i / strips, args.batch, b);
        const long from = pv_batch_offset(&args.x, b) + row * args.x.row,
                   to = pv_batch_offset(&args.y, b) + row * args.y.row;
        pv_form form = pv_row_form(&args, x, from);
        for (long c = 0; c < args.cols; c++) {
            PV_VT v = pv_formed(args.reduce, form, PV_C(pv_load1(x, args.x_type, from + c * args.x.col)));
            v = pv_chain(args.links, args.link_count, b, row, c, 1, v, PV_TENSORS);
            pv_store1(y, args.y_type, to + c * args.y.col, v.s0);
        }
    }
}
