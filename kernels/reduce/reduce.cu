/* SPDX-License-Identifier: Apache-2.0
 * Reductions of rows of any type and any strides, whole or by slices that leave states, and the join of such states. Rows
 * of the tables PAVE_REDUCE_CUDA_ROWS and PAVE_JOIN_CUDA_ROWS.
 *
 * Work: a row's team (team.cuh) reads it once; every member folds its share into one state, and the states are merged in
 * a fixed order. Alignment: none needed; where columns are 1 apart, all but a share's ends is read 16 bytes at a time. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/reduce/rows.h"
#include "kernels/reduce/team.cuh"
#include <limits.h>

namespace pave {

/* Loads that a thread has under way at once. */
constexpr int WIDE_LOADS = 4, SCALAR_LOADS = 8;
/* Rounds of them that one chain of additions takes: its rounding would grow with the row. */
constexpr int FOLD_RUN = 16;

/* One member's share of columns [from, to) of a row: every MEMBERS-th load's. */
struct row_share {
    const char *x; /* column 0 */
    int64_t col;   /* bytes from column to column */
    int64_t from, to;
    int member;
};

/* 16 bytes of TYPE as float32. */
template <int TYPE> struct wide {
    static constexpr int COUNT = 16 / element_bytes(TYPE);

    __device__ static __forceinline__ void unpack(uint4 q, float (&v)[COUNT]) {
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

__device__ __forceinline__ int clamp_int(int64_t n) {
    return n < INT_MAX ? static_cast<int>(n) : INT_MAX;
}

template <int REDUCE, int TYPE, int MEMBERS>
__device__ __forceinline__ float2 fold_scalars(float2 s, const row_share &share, int64_t from, int64_t to) {
    const int64_t step = MEMBERS * share.col;
    int64_t i = from + share.member;
    const char *p = share.x + i * share.col;
#pragma unroll 1
    while (i < to) {
        float2 run = pave_state_begin(REDUCE);
#pragma unroll 1
        for (int round = 0; round < FOLD_RUN && i < to; round++) {
            const int left = clamp_int(to - i);
            float v[SCALAR_LOADS];
#pragma unroll
            for (int u = 0; u < SCALAR_LOADS; u++)
                v[u] = u * MEMBERS < left ? element_load(p + u * step, TYPE) : 0.0f;
            const int count = left >= SCALAR_LOADS * MEMBERS ? SCALAR_LOADS : (left + MEMBERS - 1) / MEMBERS;
            run = state_fold<SCALAR_LOADS>(REDUCE, run, v, count, static_cast<int>(i), MEMBERS);
            i += SCALAR_LOADS * MEMBERS;
            p += SCALAR_LOADS * step;
        }
        s = pave_state_merge(REDUCE, s, run);
    }
    return s;
}

/* `count` times 16 bytes from column `from` on. */
template <int REDUCE, int TYPE, int MEMBERS>
__device__ __forceinline__ float2 fold_wides(float2 s, const row_share &share, int64_t from, int64_t count) {
    constexpr int COUNT = wide<TYPE>::COUNT;
    const uint4 *p = reinterpret_cast<const uint4 *>(share.x + from * element_bytes(TYPE)) + share.member;
    int64_t left = count - share.member;
    int index = static_cast<int>(from) + share.member * COUNT;
#pragma unroll 1
    while (left > 0) {
        float2 run = pave_state_begin(REDUCE);
#pragma unroll 1
        for (int round = 0; round < FOLD_RUN && left > 0; round++) {
            const int near = clamp_int(left);
            uint4 q[WIDE_LOADS];
#pragma unroll
            for (int u = 0; u < WIDE_LOADS; u++)
                if (u * MEMBERS < near) q[u] = p[u * MEMBERS];
#pragma unroll
            for (int u = 0; u < WIDE_LOADS; u++) {
                if (u * MEMBERS >= near) break;
                float v[COUNT];
                wide<TYPE>::unpack(q[u], v);
                run = state_fold<COUNT>(REDUCE, run, v, COUNT, index + u * MEMBERS * COUNT, 1);
            }
            p += WIDE_LOADS * MEMBERS;
            left -= WIDE_LOADS * MEMBERS;
            index += WIDE_LOADS * MEMBERS * COUNT;
        }
        s = pave_state_merge(REDUCE, s, run);
    }
    return s;
}

template <int REDUCE, int TYPE, typename TEAM>
__device__ __forceinline__ float2 fold_share(const row_share &share) {
    constexpr int BYTES = element_bytes(TYPE), COUNT = wide<TYPE>::COUNT, MEMBERS = TEAM::MEMBERS;
    float2 s = pave_state_begin(REDUCE);
    if (TEAM::ACROSS || share.col != BYTES)
        return fold_scalars<REDUCE, TYPE, MEMBERS>(s, share, share.from, share.to);
    /* Fewer scalars than 16 bytes hold before and after what is aligned: the ends of one loop. */
    const uintptr_t at = reinterpret_cast<uintptr_t>(share.x) + share.from * BYTES;
    int64_t from = share.from + (0 - at) % 16 / BYTES;
    from = from < share.to ? from : share.to;
    const int64_t count = (share.to - from) / COUNT;
    s = fold_wides<REDUCE, TYPE, MEMBERS>(s, share, from, count);
    int64_t first = share.from, end = from;
#pragma unroll 1
    for (int side = 0; side < 2; side++) {
        s = fold_scalars<REDUCE, TYPE, MEMBERS>(s, share, first, end);
        first = from + count * COUNT, end = share.to;
    }
    return s;
}

template <int REDUCE, typename TEAM>
__device__ __forceinline__ float2 fold_typed(int type, const row_share &share) {
    if (type == PAVE_T_F16) return fold_share<REDUCE, PAVE_T_F16, TEAM>(share);
    if (type == PAVE_T_BF16) return fold_share<REDUCE, PAVE_T_BF16, TEAM>(share);
    return fold_share<REDUCE, PAVE_T_F32, TEAM>(share);
}

/* A loop for each reduction: a choice a value would cost as much as folding it. A mean's states are a sum's. */
template <typename TEAM>
__device__ __forceinline__ float2 fold_any(int reduce, int type, const row_share &share) {
    switch (reduce) {
    case PAVE_REDUCE_LOGSUMEXP: return fold_typed<PAVE_REDUCE_LOGSUMEXP, TEAM>(type, share);
    case PAVE_REDUCE_MAX: return fold_typed<PAVE_REDUCE_MAX, TEAM>(type, share);
    case PAVE_REDUCE_MIN: return fold_typed<PAVE_REDUCE_MIN, TEAM>(type, share);
    case PAVE_REDUCE_ARGMAX: return fold_typed<PAVE_REDUCE_ARGMAX, TEAM>(type, share);
    default: return fold_typed<PAVE_REDUCE_SUM, TEAM>(type, share);
    }
}

/* The row's value from its state, through the links, to memory: one thread's work. */
__device__ __forceinline__ void finish_row(const pave_abi_rows &args, const tensors &t, void *y,
                                           const row_place &place, float2 s) {
    char *at = static_cast<char *>(y) + place_offset(args.y, args.y_type, place, 0);
    if (args.reduce == PAVE_REDUCE_ARGMAX) {
        *reinterpret_cast<int32_t *>(at) = PV_TO_INDEX(s.y);
        return;
    }
    patch<1, 1> value;
    value.v[0][0] = pave_state_finish(args.reduce, s, static_cast<float>(args.cols));
    value.row[0] = place.row;
    value.col = 0;
    value.valid[0] = value.cols_valid = 1;
#pragma unroll
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) value.batch[d] = place.batch[d];
    chain_apply<1, 1>(args.links, args.link_count, t, value);
    element_store(at, args.y_type, value.v[0][0]);
}

__device__ __forceinline__ int64_t state_index(const pave_abi_rows &args, const row_place &place) {
    return (place.matrix * args.rows + place.row) * args.slots;
}

template <typename TEAM>
__device__ __forceinline__ void reduce_rows(const pave_abi_rows &args, const void *x, void *y,
                                            const tensors &t) {
    __shared__ float2 states[TEAM::STATES];
    const int64_t parts = args.slots > 0 ? args.slots : 1, tiles = tiles_of(args.rows, TEAM::TILE_ROWS);
    const int64_t units = unit_count(args, tiles, parts);
#pragma unroll 1
    for (int64_t unit = TEAM::first_unit(); unit < units; unit += TEAM::unit_step()) {
        const row_place place = TEAM::place(args, unit, tiles, parts);
        const bool inside = place.row < args.rows;
        row_share share;
        share.x = static_cast<const char *>(x) + place_offset(args.x, args.x_type, place, 0);
        share.col = args.x.col * element_bytes(args.x_type);
        share.from = args.slots > 0 ? place.part * args.slice : 0;
        share.to =
            args.slots > 0 && share.from + args.slice < args.cols ? share.from + args.slice : args.cols;
        if (!inside) share.to = share.from;
        share.member = TEAM::member();
        float2 s = fold_any<TEAM>(args.reduce, args.x_type, share);
        s = TEAM::merge(args.reduce, s, states);
        if (TEAM::member() != 0 || !inside) continue;
        if (args.slots > 0)
            reinterpret_cast<float2 *>(static_cast<char *>(y) +
                                       args.y.offset)[state_index(args, place) + place.part] = s;
        else
            finish_row(args, t, y, place, s);
    }
}

template <typename TEAM>
__device__ __forceinline__ void join_rows(const pave_abi_rows &args, const void *x, void *y,
                                          const tensors &t) {
    static_assert(TEAM::WARP, "a warp a row");
    const float2 *all = reinterpret_cast<const float2 *>(static_cast<const char *>(x) + args.x.offset);
    const int64_t units = unit_count(args, args.rows, 1);
#pragma unroll 1
    for (int64_t unit = TEAM::first_unit(); unit < units; unit += TEAM::unit_step()) {
        const row_place place = TEAM::place(args, unit, args.rows, 1);
        const float2 *states = all + state_index(args, place);
        float2 s = pave_state_begin(args.reduce);
        for (int64_t slot = TEAM::member(); slot < args.slots; slot += TEAM::MEMBERS)
            s = pave_state_merge(args.reduce, s, states[slot]);
        s = TEAM::merge(args.reduce, s, nullptr);
        if (TEAM::member() == 0) finish_row(args, t, y, place, s);
    }
}

} // namespace pave

#define PAVE_KERNEL(NAME, LAYOUT, ROWS, THREADS)                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS, THREADS > 512 ? 1 : 3)                           \
        NAME(const __grid_constant__ pave_abi_rows args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        pave::reduce_rows<pave::row_team<PAVE__LAYOUT_##LAYOUT, ROWS, THREADS>>(                           \
            args, x, y, pave::tensors{PAVE_TENSOR_NAMES});                                                 \
    }
PAVE_REDUCE_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL

#define PAVE_KERNEL(NAME, LAYOUT, ROWS, THREADS)                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                  \
        NAME(const __grid_constant__ pave_abi_rows args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        pave::join_rows<pave::row_team<PAVE__LAYOUT_##LAYOUT, ROWS, THREADS>>(                             \
            args, x, y, pave::tensors{PAVE_TENSOR_NAMES});                                                 \
    }
PAVE_JOIN_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
