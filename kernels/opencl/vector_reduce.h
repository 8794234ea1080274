/* SPDX-License-Identifier: Apache-2.0
 * Row reductions by vectors for kernels where one item owns a row: a stretch of floats in cache becomes one
 * state of state.h. Lane order is fixed, so the same input gives the same bits. */
#ifndef PAVE_KERNELS_OPENCL_VECTOR_REDUCE_H
#define PAVE_KERNELS_OPENCL_VECTOR_REDUCE_H

#include "prelude.h"
#include "state.h"

/* What leaves a reduction as it was. */
static inline float pv_identity(int reduce) {
    return reduce == 1 || reduce == 4 ? -INFINITY : reduce == 5 ? INFINITY : 0.0f;
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
    s = pave_state_fold(reduce, s, top.s1);
    s = pave_state_fold(reduce, s, top.s2);
    return pave_state_fold(reduce, s, top.s3).x;
}

#endif
