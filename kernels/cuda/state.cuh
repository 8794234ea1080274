/* SPDX-License-Identifier: Apache-2.0
 * The words that the formula tables use, for float32 on CUDA, and the reductions' states over vectors and
 * lanes. exp and log are the accurate ones: the error bounds of the links count on their ulps. */
#ifndef PAVE_KERNELS_CUDA_STATE_CUH
#define PAVE_KERNELS_CUDA_STATE_CUH

#include "kernels/abi.h"
#include "kernels/cuda/ptx.cuh"
#include <float.h>
#include <math.h>
#include <stdint.h>

#define PV_C(x) (x)
#define PV_EXP expf
#define PV_EXPM1 expm1f
#define PV_LOG1P log1pf
#define PV_TANH tanhf
#define PV_ERF erff
#define PV_ABS fabsf
#define PV_LOG logf
#define PV_MAX fmaxf
#define PV_MIN fminf
#define PV_INF __int_as_float(0x7f800000)
#define PV_NAN __int_as_float(0x7fc00000)
#define PV_BIG FLT_MAX
#define PV_FROM_INDEX(i) __int_as_float(i)
#define PV_TO_INDEX(x) __float_as_int(x)
#define PV_FN static __device__ __forceinline__
#define PV_REAL float
#define PV_STATE float2

#include <pave/ops.h>

namespace pave {

/* 1 / (1 + exp(-v)) by an exponential that does not overflow and the approximate reciprocal, 1 ulp, of a
 * number in [1, 2]: no division with its slow path. */
__device__ __forceinline__ float sigmoid(float v) {
    const float e = expf(-fabsf(v));
    return (v < 0.0f ? e : 1.0f) * reciprocal(1.0f + e);
}

/* v (1 + erf(v / sqrt 2)) / 2 with erf(t / sqrt 2) = 1 - 2^p(t), which has no two ranges as erff has and half its instructions.
 * p is a minimax fit over [0, 6] of erf's absolute error, which is all that the sum with 1 leaves of it: with the exponential's
 * 2 ulp and all rounding, a value is off by 3u|v| at most. From 6 on the sum is 1 as erf's own is. */
__device__ __forceinline__ float gelu_erf(float v) {
    const float t = fminf(fabsf(v), 6.0f), half = 0.5f * v;
    float p = 8.85841291e-06f;
    p = fmaf(p, t, -5.76971142e-05f);
    p = fmaf(p, t, -4.06979845e-04f);
    p = fmaf(p, t, 7.36312428e-03f);
    p = fmaf(p, t, -5.26666045e-02f);
    p = fmaf(p, t, -4.59164321e-01f);
    p = fmaf(p, t, -1.15110886f);
    return fmaf(fabsf(half), 1.0f - power_of_two(p * t), half);
}

} // namespace pave

#define PV_SIGMOID pave::sigmoid
#define PV_GELU_ERF pave::gelu_erf
#include "kernels/epilogue/links.h"
#include "kernels/reduce/state.h"

namespace pave {

/* exp(d) for d <= 0, as a term of a sum: off by 4u + 2.3u|d|. Weighted by the terms themselves |d| is ln n on average at most,
 * so that a logsumexp's bound holds (docs/operations.md); a value of its own takes PV_EXP. */
__device__ __forceinline__ float exp_term(float d) {
    return power_of_two(d * 1.44269504f);
}

/* The sum of four terms. */
__device__ __forceinline__ float exp_terms(const float *v, float top) {
    return (exp_term(v[0] - top) + exp_term(v[1] - top)) + (exp_term(v[2] - top) + exp_term(v[3] - top));
}

/* Folds the first `count` of v, value c being of column index + c step, which only argmax asks. A logsumexp costs
 * one exponential a value and one more, where folding one by one costs two a value. The rules of the states
 * hold: the clamped maximum is the same. */
template <int C>
__device__ __forceinline__ float2 state_fold(int reduce, float2 s, const float (&v)[C], int count, int index,
                                             int step) {
    if (reduce != PAVE_REDUCE_LOGSUMEXP) {
#pragma unroll
        for (int c = 0; c < C; c++)
            if (c < count) s = pave_state_fold(reduce, s, v[c], index + c * step);
        return s;
    }
    float top = s.x;
#pragma unroll
    for (int c = 0; c < C; c++)
        if (c < count) top = PV_MAX(top, v[c]);
    top = PV_MIN(top, PV_BIG);
    s.y *= exp_term(s.x - top);
#pragma unroll
    for (int c = 0; c < C; c++)
        if (c < count) s.y += exp_term(v[c] - top);
    s.x = top;
    return s;
}

__device__ __forceinline__ float2 state_merge(int reduce, float2 s, float2 t) {
    if (reduce != PAVE_REDUCE_LOGSUMEXP) return pave_state_merge(reduce, s, t);
    const float top = PV_MAX(s.x, t.x);
    return make_float2(top, s.y * exp_term(s.x - top) + t.y * exp_term(t.x - top));
}

/* Merges the states of each group of LANES lanes, or of those of them that are FIRST apart, in an order that depends on
 * nothing. Every lane has a result, and all of a group the same one unless zeros of either sign or several NaN compete. The
 * whole warp takes part. An index passes as the bits it is: shuffles and selections only. */
template <int LANES, int FIRST = 1>
__device__ __forceinline__ float2 state_merge_lanes(int reduce, float2 s) {
    if (reduce == PAVE_REDUCE_LOGSUMEXP) { /* scaled to one maximum, the sums just add */
        float top = s.x;
#pragma unroll
        for (int step = LANES / 2; step >= FIRST; step /= 2)
            top = PV_MAX(top, __shfl_xor_sync(0xffffffffu, top, step));
        s.y *= exp_term(s.x - top);
#pragma unroll
        for (int step = LANES / 2; step >= FIRST; step /= 2) s.y += __shfl_xor_sync(0xffffffffu, s.y, step);
        s.x = top;
        return s;
    }
    const bool index = reduce == PAVE_REDUCE_ARGMAX;
#pragma unroll
    for (int step = LANES / 2; step >= FIRST; step /= 2) {
        float2 t = s;
        t.x = __shfl_xor_sync(0xffffffffu, s.x, step);
        if (index) t.y = __shfl_xor_sync(0xffffffffu, s.y, step);
        s = pave_state_merge(reduce, s, t);
    }
    return s;
}

} // namespace pave

#endif
