/* SPDX-License-Identifier: Apache-2.0
 * Row reductions by vectors for kernels where one item owns rows: a stretch of floats in cache becomes a
 * state of state.h in each lane. Lanes are a row's columns, joined at its end in a fixed order, or
 * neighbouring rows. */
#ifndef PAVE_KERNELS_OPENCL_VECTOR_REDUCE_H
#define PAVE_KERNELS_OPENCL_VECTOR_REDUCE_H

#include "prelude.h"
#include "state.h"
#include "walk.h"

/* What leaves a reduction as it was. */
static inline float pv_identity(int reduce) {
    return reduce == 1 || reduce == 4 || reduce == 6 ? -INFINITY : reduce == 5 ? INFINITY : 0.0f;
}

/* exp(d) for d <= 0, -Inf, NaN or +Inf (which a clamped maximum leaves of an infinite value). Below -87 it is
 * 0: beside the maximum's own 1 that is nothing. Cody-Waite reduction by ln 2 in two parts, then the Taylor
 * series to the seventh power on |r| <= 0.347, whose remainder is 5e-9. */
static inline PV_VT pv_exp_below(PV_VT d) {
    const PV_VT magic = PV_C(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    PV_VT clamped = d < PV_C(-87.0f) ? PV_C(-87.0f) : d;
    PV_VT shifted = fma(clamped, PV_C(1.44269504f), magic);
    PV_VT n = shifted - magic;
    PV_VT r = fma(n, PV_C(-0.693145752f), clamped);
    r = fma(n, PV_C(-1.42860677e-6f), r);
    PV_VT p = fma(r, PV_C(1.98412698e-4f), PV_C(1.38888889e-3f));
    p = fma(p, r, PV_C(8.33333333e-3f));
    p = fma(p, r, PV_C(4.16666667e-2f));
    p = fma(p, r, PV_C(1.66666667e-1f));
    p = fma(p, r, PV_C(0.5f));
    p = fma(p, r, PV_C(1.0f));
    p = fma(p, r, PV_C(1.0f));
    p *= PV_JOIN(as_float, PV_W)((PV_JOIN(as_int, PV_W)(shifted) << 23) + (PV_VI)(0x3f800000));
    p = d < PV_C(-87.0f) ? PV_C(0.0f) : p;
    return d > PV_C(0.0f) ? PV_C(INFINITY) : p;
}

static inline PV_VT pv_vector_fold(int reduce, PV_VT s, PV_VT v) {
    if (reduce == 1) return v > s ? v : s; /* one instruction; a NaN loses, pv_lanes_fold clamps */
    if (reduce == 4) return (v > s || v != v) ? v : s;
    if (reduce == 5) return (v < s || v != v) ? v : s;
    return s + v;
}

/* Sum of the lanes, by halves. */
static inline float pv_lanes_sum(PV_VT v) {
#if PV_W == 16
    float8 v8 = v.lo + v.hi;
    float4 v4 = v8.lo + v8.hi;
#elif PV_W == 8
    float4 v4 = v.lo + v.hi;
#else
    float4 v4 = v;
#endif
    float2 v2 = v4.lo + v4.hi;
    return v2.x + v2.y;
}

/* Lanes to one value. The maximum that logsumexp subtracts is the same in any order, so it goes by halves. */
static inline float pv_lanes_fold(int reduce, PV_VT v) {
    if (reduce == 2 || reduce == 3) return pv_lanes_sum(v);
    float lane[PV_W];
    PV_VSTORE(v, 0, lane);
    float4 top = vload4(0, lane);
    for (int j = 4; j < PV_W; j += 4) {
        float4 other = vload4(0, lane + j);
        top = reduce == 1   ? fmax(top, other)
              : reduce == 4 ? ((other > top || other != other) ? other : top)
                            : ((other < top || other != other) ? other : top);
    }
    float2 s = (float2)(top.s0, 0.0f);
    if (reduce == 1) return fmin(fmax(fmax(top.s0, top.s1), fmax(top.s2, top.s3)), FLT_MAX);
    s = pave_state_fold(reduce, s, top.s1, 0);
    s = pave_state_fold(reduce, s, top.s2, 0);
    return pave_state_fold(reduce, s, top.s3, 0).x;
}

/* A state in each lane; argmax's indices are bits in y, as in state.h. */
typedef struct pv_states {
    PV_VT x, y;
} pv_states;

static inline pv_states pv_states_begin(int reduce) {
    float2 s = pave_state_begin(reduce);
    pv_states t = {PV_C(s.x), PV_C(s.y)};
    return t;
}

static inline pv_states pv_states_merge(int reduce, pv_states s, pv_states t) {
    if (reduce == 1) {
        PV_VT top = s.x > t.x ? s.x : t.x;
        s.y = s.y * pv_exp_below(s.x - top) + t.y * pv_exp_below(t.x - top);
        s.x = top;
    } else if (reduce == 6) {
        PV_VI alike = (s.x == t.x) | ((s.x != s.x) & (t.x != t.x));
        PV_VI less = PV_JOIN(as_int, PV_W)(t.y) < PV_JOIN(as_int, PV_W)(s.y);
        PV_VI better = alike ? less : ((t.x > s.x) | (t.x != t.x));
        s.x = better ? t.x : s.x;
        s.y = better ? t.y : s.y;
    } else {
        s.x = pv_vector_fold(reduce, s.x, t.x);
    }
    return s;
}

/* All lanes as one state. */
static inline float2 pv_states_join(int reduce, pv_states s) {
    if (reduce == 1) {
        float top = pv_lanes_fold(1, s.x);
        return (float2)(top, pv_lanes_sum(s.y * pv_exp_below(s.x - PV_C(top))));
    }
    if (reduce != 6) return (float2)(pv_lanes_fold(reduce, s.x), 0.0f);
    float x[PV_W], y[PV_W];
    PV_VSTORE(s.x, 0, x);
    PV_VSTORE(s.y, 0, y);
    float2 best = (float2)(x[0], y[0]);
    PV_ROLLED
    for (int j = 1; j < PV_W; j++) best = pave_state_pick(best, x[j], y[j]);
    return best;
}

static inline PV_VT pv_states_finish(int reduce, pv_states s, float count) {
    if (reduce == 1) return s.x + log(s.y);
    if (reduce == 3) return count > 0.0f ? s.x / PV_C(count) : PV_C(NAN);
    return s.x;
}

/* Each lane's fold of `count` vectors; four accumulators hide latency. Not for argmax. */
PV_INLINE PV_VT pv_stretch_fold(const int reduce, __local const float *v, int count) {
    PV_VT s0 = PV_C(reduce == 1 ? -FLT_MAX : pv_identity(reduce)), s1 = s0, s2 = s0, s3 = s0;
    PV_ROLLED
    for (; count >= 4; count -= 4, v += 4 * PV_W) {
        s0 = pv_vector_fold(reduce, s0, PV_VLOAD(0, v));
        s1 = pv_vector_fold(reduce, s1, PV_VLOAD(1, v));
        s2 = pv_vector_fold(reduce, s2, PV_VLOAD(2, v));
        s3 = pv_vector_fold(reduce, s3, PV_VLOAD(3, v));
    }
    PV_ROLLED
    for (; count > 0; count--, v += PV_W) s0 = pv_vector_fold(reduce, s0, PV_VLOAD(0, v));
    return pv_vector_fold(reduce, pv_vector_fold(reduce, s0, s1), pv_vector_fold(reduce, s2, s3));
}

/* What will be read after a stretch: its first vector, and bytes from one to the next. */
typedef struct pv_next {
    __global const char *at;
    long step;
} pv_next;

/* Each lane's sum of exp(v - top). Meanwhile memory brings as many vectors of what comes next. */
PV_INLINE PV_VT pv_stretch_exp(__local const float *v, int count, PV_VT top, pv_next next) {
    PV_VT s0 = PV_C(0.0f), s1 = s0;
    PV_ROLLED
    for (; count >= 2; count -= 2, v += 2 * PV_W, next.at += 2 * next.step) {
        PV_FETCH(next.at);
        PV_FETCH(next.at + next.step);
        s0 += pv_exp_below(PV_VLOAD(0, v) - top);
        s1 += pv_exp_below(PV_VLOAD(1, v) - top);
    }
    if (count > 0) s0 += pv_exp_below(PV_VLOAD(0, v) - top);
    return s0 + s1;
}

/* Each lane's largest of count >= 1 vectors. `at` holds the columns of the first, those of the next are
 * `step` further. A lane begins as its first column's -Inf would leave it, so that a value has to be larger
 * to replace it. */
PV_INLINE pv_states pv_stretch_argmax(__local const float *v, int count, PV_VI at, int step) {
    PV_VT x = PV_C(-INFINITY);
    PV_VI best = at;
    PV_ROLLED
    for (; count > 0; count--, v += PV_W, at += step) {
        PV_VT value = PV_VLOAD(0, v);
        PV_VI better = (value > x) | ((value != value) & (x == x));
        x = better ? value : x;
        best = better ? at : best;
    }
    pv_states s = {x, PV_JOIN(as_float, PV_W)(best)};
    return s;
}

/* States of count >= 1 vectors; `at` and `step` are argmax's, `next` is logsumexp's. */
PV_INLINE pv_states pv_stretch_states(int reduce, __local const float *v, int count, PV_VI at, int step,
                                      pv_next next) {
    pv_states s = {PV_C(0.0f), PV_C(0.0f)};
    if (reduce == 1) {
        PV_VT top = pv_stretch_fold(1, v, count);
        s.x = top > PV_C(FLT_MAX) ? PV_C(FLT_MAX) : top;
        s.y = pv_stretch_exp(v, count, s.x, next);
    } else if (reduce == 4) {
        s.x = pv_stretch_fold(4, v, count);
    } else if (reduce == 5) {
        s.x = pv_stretch_fold(5, v, count);
    } else if (reduce == 6) {
        s = pv_stretch_argmax(v, count, at, step);
    } else {
        s.x = pv_stretch_fold(2, v, count);
    }
    return s;
}

/* Rows as an item meets them: vectors of one row's columns, or of PV_W neighbouring rows where those lie
 * closer together than columns do, or where joining the lanes of each would cost more than turning them. */
typedef struct pv_shape {
    long step, lane; /* elements between vectors, and between their lanes */
    int high, wide;  /* rows and columns of a vector; one of them is 1 */
} pv_shape;

/* The length of a stride, one less where it goes back: close enough to compare, and without the intrinsic that Oclgrind lacks. */
static inline long pv_reach(long stride) {
    return stride ^ (stride >> 63);
}

static inline pv_shape pv_shape_of(const pave_abi_view *x, long rows, long cols) {
    pv_shape along = {x->col * PV_W, x->col, 1, PV_W}, across = {x->col, x->row, PV_W, 1};
    return rows >= PV_W && (pv_reach(x->row) < pv_reach(x->col) || cols <= 16 * PV_W) ? across : along;
}

/* Brings `cols` columns from element `first` on to local memory as vectors of floats, and returns how many
 * vectors. Lanes past the last row or column are `rest`. */
PV_CALLED int pv_stage(__local float *to, __global const char *x, int type, long first, pv_shape shape,
                       int lanes, int cols, float rest) {
    int count = (cols + shape.wide - 1) / shape.wide, j = 0;
    int full = lanes < shape.high ? 0 : cols / shape.wide, some = shape.wide > 1 ? cols % PV_W : lanes;
    if (shape.lane == 1 && type == PAVE_T_F16) {
        for (; j < full; j++) PV_AT(to + j * PV_W) = pv_load(x, PAVE_T_F16, first + j * shape.step);
    } else if (shape.lane == 1 && type == PAVE_T_BF16) {
        for (; j < full; j++) PV_AT(to + j * PV_W) = pv_load(x, PAVE_T_BF16, first + j * shape.step);
    } else if (shape.lane == 1 && PV_F8(type)) {
        for (; j < full; j++) PV_AT(to + j * PV_W) = pv_load(x, type, first + j * shape.step);
    } else if (shape.lane == 1) {
        for (; j < full; j++) PV_AT(to + j * PV_W) = pv_load(x, PAVE_T_F32, first + j * shape.step);
    }
    for (; shape.step == 1 && shape.wide == 1 && j + 4 <= full; j += 4)
        for (int k = 0; k < PV_W; k += 4) {
            const long at = first + j + k * shape.lane;
            pv_turn_quad(to + j * PV_W + k, PV_W, pv_load4(x, type, at), pv_load4(x, type, at + shape.lane),
                         pv_load4(x, type, at + 2 * shape.lane), pv_load4(x, type, at + 3 * shape.lane));
        }
    PV_ROLLED
    for (; j < count; j++)
        PV_VSTORE(pv_load_some(x, type, first + j * shape.step, shape.lane, j < full ? PV_W : some, rest), j,
                  to);
    return count;
}

#endif
