/* SPDX-License-Identifier: Apache-2.0
 * The values that a thread holds of rows to be normalized, QUADS quads of them: what they give to a row's state and what
 * becomes of them, whichever way the rows lie. */
#ifndef PAVE_KERNELS_REDUCE_CHUNK_CUH
#define PAVE_KERNELS_REDUCE_CHUNK_CUH

#include "kernels/cuda/space.cuh"
#include "kernels/cuda/state.cuh"

namespace pave {

/* What a row's reductions make of each value v. softmax: exp(v - a) b; log_softmax: v - a - b; normalize: (v - a) b. */
struct row_form {
    float a, b;
};

/* Of logsumexp's state. Rows that hold +Inf or NaN, or nothing but -Inf, have no finite logsumexp and give NaN. */
__device__ __forceinline__ row_form form_of_state(int reduce, float2 s) {
    const bool finite = s.y > 0.0f && s.y < PV_INF;
    const float b = reduce == PAVE_REDUCE_SOFTMAX ? 1.0f / s.y : PV_LOG(s.y);
    return {s.x, finite ? b : PV_NAN};
}

/* exponents: v stands for exp(v - a) already. */
__device__ __forceinline__ float form_value(int reduce, row_form form, bool exponents, float v) {
    if (exponents) return v * form.b;
    v -= form.a;
    if (reduce == PAVE_REDUCE_LOG_SOFTMAX) return v - form.b;
    return (reduce == PAVE_REDUCE_SOFTMAX ? PV_EXP(v) : v) * form.b;
}

/* Quads of one row, or (ROWS 4) of four: value c of each is then row c's. */
template <int ROWS_OF_QUAD, int QUADS_HELD> struct chunk_values {
    static constexpr int ROWS = ROWS_OF_QUAD, QUADS = QUADS_HELD;
    static_assert(ROWS == 1 || ROWS == 4, "along a row or across four");
    using states = float2[ROWS];

    float v[QUADS][4];

    __device__ static __forceinline__ constexpr int row_of(int c) {
        return ROWS == 1 ? 0 : c;
    }

    /* Quad 1 becomes quad 0, and so on: registers have no index at run time. */
    __device__ __forceinline__ void shift() {
#pragma unroll
        for (int q = 0; q + 1 < QUADS; q++)
#pragma unroll
            for (int c = 0; c < 4; c++) v[q][c] = v[q + 1][c];
    }

    /* s.x: the largest value, NaN left out, clamped as logsumexp's states are. */
    __device__ __forceinline__ void largest(states &s) const {
#pragma unroll
        for (int r = 0; r < ROWS; r++) s[r] = make_float2(-PV_BIG, 0.0f);
#pragma unroll
        for (int q = 0; q < QUADS; q++)
#pragma unroll
            for (int c = 0; c < 4; c++) s[row_of(c)].x = PV_MAX(s[row_of(c)].x, v[q][c]);
#pragma unroll
        for (int r = 0; r < ROWS; r++) s[r].x = PV_MIN(s[r].x, PV_BIG);
    }

    /* s.x: with the values added. */
    __device__ __forceinline__ void add(states &s) const {
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            if constexpr (ROWS == 1) {
                s[0].x += (v[q][0] + v[q][1]) + (v[q][2] + v[q][3]);
            } else {
#pragma unroll
                for (int c = 0; c < 4; c++) s[c].x += v[q][c];
            }
        }
    }

    /* s.y: with exp(v - s.x) added. What stands beyond the row's end is -Inf. */
    __device__ __forceinline__ void add_exp(states &s) const {
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            if constexpr (ROWS == 1) {
                s[0].y += exp_terms(v[q], s[0].x);
            } else {
#pragma unroll
                for (int c = 0; c < 4; c++) s[c].y += exp_term(v[q][c] - s[c].x);
            }
        }
    }

    /* Into logsumexp's states (state.h), whose maximum moves once a chunk. */
    __device__ __forceinline__ void fold_exp(states &s) const {
        states top;
        largest(top);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            top[r].x = PV_MAX(top[r].x, s[r].x);
            s[r] = make_float2(top[r].x, s[r].y * exp_term(s[r].x - top[r].x));
        }
        add_exp(s);
    }

    /* Every value becomes its exponential, less s.x. */
    __device__ __forceinline__ void raise(const states &s) {
#pragma unroll
        for (int q = 0; q < QUADS; q++)
#pragma unroll
            for (int c = 0; c < 4; c++) v[q][c] = PV_EXP(v[q][c] - s[row_of(c)].x);
    }

    /* s.x: with the squares of v - a added, of the values that exist: those of quad q that here(q, c) says. */
    template <typename HERE>
    __device__ __forceinline__ void add_squares(const row_form (&form)[ROWS], states &s, HERE here) const {
#pragma unroll
        for (int q = 0; q < QUADS; q++)
#pragma unroll
            for (int c = 0; c < 4; c++) {
                const float d = here(q, c) ? v[q][c] - form[row_of(c)].a : 0.0f;
                s[row_of(c)].x = fmaf(d, d, s[row_of(c)].x);
            }
    }

    __device__ __forceinline__ void apply(int reduce, const row_form (&form)[ROWS], bool exponents) {
#pragma unroll
        for (int q = 0; q < QUADS; q++)
#pragma unroll
            for (int c = 0; c < 4; c++) v[q][c] = form_value(reduce, form[row_of(c)], exponents, v[q][c]);
    }
};

} // namespace pave

#endif
