/* SPDX-License-Identifier: Apache-2.0
 * Family reduce for CPUs: one item a group, a row at a time by vectors. logsumexp takes a stretch of the row
 * that stays in the first-level cache twice, once for its maximum and once for the exponentials. Any type,
 * stride and alignment of whole elements. */
#define PV_W PAVE_VECTOR_WIDTH
#include "prelude.h"
#include "chain.h"
#include "vector_reduce.h"

#define PV_STRETCH 4096

/* Folds columns [from, to) of the row at x into a vector: four accumulators to hide latency. */
static inline float pv_stretch_fold(int reduce, __global const char *x, int type, long from, long to) {
    PV_VT s0 = PV_C(reduce == 1 ? -FLT_MAX : pv_identity(reduce)), s1 = s0, s2 = s0, s3 = s0;
    long c = from;
    for (; c + 4 * PV_W <= to; c += 4 * PV_W) {
        s0 = pv_vector_fold(reduce, s0, pv_load(x, type, c));
        s1 = pv_vector_fold(reduce, s1, pv_load(x, type, c + PV_W));
        s2 = pv_vector_fold(reduce, s2, pv_load(x, type, c + 2 * PV_W));
        s3 = pv_vector_fold(reduce, s3, pv_load(x, type, c + 3 * PV_W));
    }
    for (; c < to; c += PV_W)
        s0 = pv_vector_fold(reduce, s0,
                            pv_load_some(x, type, c, 1, (int)min(to - c, (long)PV_W), pv_identity(reduce)));
    s0 = pv_vector_fold(reduce, pv_vector_fold(reduce, s0, s1), pv_vector_fold(reduce, s2, s3));
    return pv_lanes_fold(reduce, s0);
}

/* Sum of exp(v - top) over columns [from, to). */
static inline float pv_stretch_exp(__global const char *x, int type, long from, long to, float top) {
    PV_VT s0 = PV_C(0.0f), s1 = s0, t = PV_C(top);
    long c = from;
    for (; c + 2 * PV_W <= to; c += 2 * PV_W) {
        s0 += pv_exp_below(pv_load(x, type, c) - t);
        s1 += pv_exp_below(pv_load(x, type, c + PV_W) - t);
    }
    for (; c < to; c += PV_W)
        s0 += pv_exp_below(pv_load_some(x, type, c, 1, (int)min(to - c, (long)PV_W), -INFINITY) - t);
    return pv_lanes_sum(s0 + s1);
}

/* The type is a constant at each call, so that no loop above asks for it. */
static inline float2 pv_row(int reduce, __global const char *x, int type, long cols) {
    float2 s = pave_state_begin(reduce);
    for (long from = 0; from < cols; from += PV_STRETCH) {
        long to = min(from + PV_STRETCH, cols);
        float2 t = (float2)(pv_stretch_fold(reduce, x, type, from, to), 0.0f);
        if (reduce == 1) t.y = pv_stretch_exp(x, type, from, to, t.x);
        s = from == 0 ? t : pave_state_merge(reduce, s, t);
    }
    return s;
}

static inline float2 pv_row_of(int reduce, __global const char *x, int type, long cols) {
    switch (reduce) {
    case 1:
        return pv_row(1, x, type, cols);
    case 4:
        return pv_row(4, x, type, cols);
    case 5:
        return pv_row(5, x, type, cols);
    default:
        return pv_row(2, x, type, cols);
    }
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(
    const pave_abi_reduce args, __global const char *x, __global char *y, PV_TENSOR_ARGS) {
    int wide = args.x_type == PAVE_T_F16 || args.x_type == PAVE_T_BF16 ? 2 : 4;
    x += args.x_offset;
    y += args.y_offset;
    for (long row = PV_GROUP; row < args.rows; row += PV_GROUPS) {
        __global const char *from = x + row * args.ldx * wide;
        float2 s = args.x_type == PAVE_T_F16    ? pv_row_of(args.reduce, from, PAVE_T_F16, args.cols)
                   : args.x_type == PAVE_T_BF16 ? pv_row_of(args.reduce, from, PAVE_T_BF16, args.cols)
                                                : pv_row_of(args.reduce, from, PAVE_T_F32, args.cols);
        float v = pave_state_finish(args.reduce, s, (float)args.cols);
        v = pv_chain(args.links, args.link_count, row, 0, 1, PV_C(v), PV_TENSORS).s0;
        pv_store1(y, args.y_type, row * args.y_stride, v);
    }
}
