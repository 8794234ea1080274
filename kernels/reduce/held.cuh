/* SPDX-License-Identifier: Apache-2.0
 * How values are folded into states that are known at compile time, and rows that one round of loads takes: as they lie, all
 * of a team's under way before it is asked what they are or what is reduced. Alignment: rows and their distance are whole
 * multiples of 16 bytes. */
#ifndef PAVE_KERNELS_REDUCE_HELD_CUH
#define PAVE_KERNELS_REDUCE_HELD_CUH

#include "kernels/cuda/space.cuh"
#include "kernels/cuda/state.cuh"

namespace pave {

/* 16 bytes of TYPE as float32. */
template <int TYPE> struct wide {
    static constexpr int COUNT = 16 / element_bytes(TYPE);

    __device__ static __forceinline__ void unpack(uint4 q, float *v) {
        const uint32_t words[4] = {q.x, q.y, q.z, q.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if constexpr (COUNT == 4) {
                v[i] = __uint_as_float(words[i]);
            } else {
                v[2 * i] = half_to_float(TYPE, words[i] & 0xffffu);
                v[2 * i + 1] = half_to_float(TYPE, words[i] >> 16);
            }
        }
    }
};

/* What changes no state. Where it equals all of a row's values, their columns come before it. */
template <int REDUCE> __device__ __forceinline__ float neutral() {
    return REDUCE == PAVE_REDUCE_SUM ? 0.0f : REDUCE == PAVE_REDUCE_MIN ? PV_INF : -PV_INF;
}

/* Folds N values; v[c] is of column index + c / COUNT * step + c % COUNT, and these come after all of the state's. */
template <int REDUCE, int N, int COUNT>
__device__ __forceinline__ float2 fold_values(float2 s, const float (&v)[N], int index, int step) {
    if constexpr (REDUCE == PAVE_REDUCE_LOGSUMEXP) {
        float top = s.x, sum = 0.0f;
#pragma unroll
        for (int c = 0; c < N; c++) top = PV_MAX(top, v[c]);
        top = PV_MIN(top, PV_BIG);
#pragma unroll
        for (int c = 0; c < N; c += 4) sum += exp_terms(v + c, top);
        return make_float2(top, s.y * exp_term(s.x - top) + sum);
    } else if constexpr (REDUCE == PAVE_REDUCE_SUM) {
#pragma unroll
        for (int c = 0; c < N; c += 4) s.x += (v[c] + v[c + 1]) + (v[c + 2] + v[c + 3]);
        return s;
    } else if constexpr (REDUCE == PAVE_REDUCE_ARGMAX) { /* the largest, and then the first that equals it */
        float top = v[0];
        int at = 0;
#pragma unroll
        for (int c = 1; c < N; c++) top = max_or_nan(top, v[c]);
#pragma unroll
        for (int c = N - 1; c >= 0; c--) at = v[c] == top || v[c] != v[c] ? c : at;
        return pave_state_pick(s, top, PV_FROM_INDEX(index + at / COUNT * step + at % COUNT));
    } else {
#pragma unroll
        for (int c = 0; c < N; c++)
            s.x = REDUCE == PAVE_REDUCE_MAX ? max_or_nan(s.x, v[c]) : min_or_nan(s.x, v[c]);
        return s;
    }
}

/* What changes no state, in a word of elements. */
__device__ __forceinline__ uint32_t fill_word(int reduce, int type) {
    if (reduce == PAVE_REDUCE_SUM || reduce == PAVE_REDUCE_MEAN) return 0;
    const uint32_t infinity = type == PAVE_T_F16    ? 0x7c007c00u
                              : type == PAVE_T_BF16 ? 0x7f807f80u
                                                    : 0x7f800000u;
    const uint32_t sign = element_is_half(type) ? 0x80008000u : 0x80000000u;
    return reduce == PAVE_REDUCE_MIN ? infinity : infinity | sign;
}

/* A member's share of its team's rows: LOADS times 16 bytes of each, MEMBERS times that from each other. */
template <typename TEAM, int LOADS> struct held_rows {
    static constexpr int EACH = TEAM::EACH, STEP = 16 * TEAM::MEMBERS;

    uint4 q[EACH][LOADS];

    /* Whether rows of `bytes`, `apart` bytes from each other, can be held: the same for all of a block's. */
    __device__ static __forceinline__ bool takes(const char *x, int64_t apart, int64_t bytes) {
        return bytes <= LOADS * STEP && ((reinterpret_cast<uintptr_t>(x) | apart | bytes) & 15) == 0;
    }

    /* From the team's first row on, of which `rows` exist, maybe less than 1. `fill` stands in what does not exist. */
    __device__ __forceinline__ void load(const char *x, int64_t apart, int64_t rows, int bytes,
                                         uint32_t fill) {
        const char *p = x + 16 * TEAM::member();
        if (rows >= EACH && bytes == LOADS * STEP) {
#pragma unroll
            for (int e = 0; e < EACH; e++, p += apart)
#pragma unroll
                for (int u = 0; u < LOADS; u++)
                    q[e][u] = __ldcs(reinterpret_cast<const uint4 *>(p + u * STEP));
            return;
        }
        const int left = bytes - 16 * TEAM::member();
#pragma unroll
        for (int e = 0; e < EACH; e++, p += apart)
#pragma unroll
            for (int u = 0; u < LOADS; u++) {
                q[e][u] = make_uint4(fill, fill, fill, fill);
                if (e < rows && u * STEP < left)
                    q[e][u] = __ldcs(reinterpret_cast<const uint4 *>(p + u * STEP));
            }
    }

    /* This member's states of the rows, whose column 0 is column `from`. */
    template <int REDUCE, int TYPE> __device__ __forceinline__ void fold(int from, float2 (&s)[EACH]) const {
        constexpr int COUNT = wide<TYPE>::COUNT, APART = TEAM::MEMBERS * COUNT;
        constexpr int PIECE = LOADS < 16 / COUNT ? LOADS : 16 / COUNT; /* loads that are folded at a time */
        static_assert(LOADS % PIECE == 0, "whole pieces");
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            s[e] = pave_state_begin(REDUCE);
#pragma unroll
            for (int first = 0; first < LOADS; first += PIECE) {
                float v[PIECE * COUNT];
#pragma unroll
                for (int u = 0; u < PIECE; u++) wide<TYPE>::unpack(q[e][first + u], v + u * COUNT);
                s[e] = fold_values<REDUCE, PIECE * COUNT, COUNT>(
                    s[e], v, from + TEAM::member() * COUNT + first * APART, APART);
            }
        }
    }

    /* The team's state of row `member` of its rows. */
    template <int REDUCE> __device__ __forceinline__ float2 state(int type, int from, float2 *states) const {
        float2 s[EACH];
        if (type == PAVE_T_F16)
            fold<REDUCE, PAVE_T_F16>(from, s);
        else if (type == PAVE_T_BF16)
            fold<REDUCE, PAVE_T_BF16>(from, s);
        else
            fold<REDUCE, PAVE_T_F32>(from, s);
        float2 mine = s[0];
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            const float2 all = TEAM::merge(REDUCE, s[e], states);
            if (e == 0 || TEAM::member() == e) mine = all;
        }
        return mine;
    }
};

} // namespace pave

#endif
