/* SPDX-License-Identifier: Apache-2.0
 * Reductions of rows of any type and any strides, whole or by slices that leave states, and the join of such states. Rows
 * of the tables PAVE_REDUCE_CUDA_ROWS and PAVE_JOIN_CUDA_ROWS.
 *
 * Work: a row's team (team.cuh) reads it once; every member folds its share into one state, and the states are merged in
 * a fixed order. A team's rows that one round of loads takes are all under way at once (held.cuh); others come in turn, round
 * by round. Whichever they are, a member of the team ends each, so that they end together. Alignment: none needed; where
 * columns are 1 apart, all but a share's ends is read 16 bytes at a time. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/reduce/held.cuh"
#include "kernels/reduce/rows.h"
#include "kernels/reduce/team.cuh"
#include <limits.h>

namespace pave {

/* Loads that a thread has under way at once where a row is no run of 16 bytes. */
constexpr int SCALAR_LOADS = 4;
/* Rounds of loads that one chain of additions takes: its rounding would grow with the row. */
constexpr int FOLD_RUN = 16;
/* States that a joining lane has under way at once. */
constexpr int JOIN_LOADS = 4;

/* One member's share of a row or a part of one: every MEMBERS-th load's. */
struct row_share {
    const char *x; /* its first column */
    int64_t col;   /* bytes from column to column */
    int64_t count; /* of columns */
    int index;     /* of the first column */
    int member;
};

__device__ __forceinline__ int clamp_int(int64_t n) {
    return n < INT_MAX ? static_cast<int>(n) : INT_MAX;
}

/* A run's state joins those of the runs before. */
template <int REDUCE> __device__ __forceinline__ float2 fold_run(float2 s, float2 run, bool &first) {
    s = first ? run : state_merge(REDUCE, s, run);
    first = false;
    return s;
}

template <int REDUCE, int TYPE, int MEMBERS>
__device__ __forceinline__ float2 fold_scalars(const char *p, int64_t col, int64_t count, int index) {
    float2 s = pave_state_begin(REDUCE);
    bool first = true;
#pragma unroll 1
    while (count > 0) {
        float2 run = pave_state_begin(REDUCE);
#pragma unroll 1
        for (int round = 0; round < FOLD_RUN && count > 0; round++) {
            float v[SCALAR_LOADS];
#pragma unroll
            for (int u = 0; u < SCALAR_LOADS; u++, p += MEMBERS * col)
                v[u] = u * MEMBERS < count ? element_load(p, TYPE) : neutral<REDUCE>();
            run = fold_values<REDUCE, SCALAR_LOADS, 1>(run, v, index, MEMBERS);
            count -= SCALAR_LOADS * MEMBERS;
            index += SCALAR_LOADS * MEMBERS;
        }
        s = fold_run<REDUCE>(s, run, first);
    }
    return s;
}

/* `count` times 16 bytes, LOADS of them under way. */
template <int REDUCE, int TYPE, int MEMBERS, int LOADS>
__device__ __forceinline__ float2 fold_wides(const char *x, int64_t count, int index) {
    constexpr int COUNT = wide<TYPE>::COUNT;
    const uint4 *p = reinterpret_cast<const uint4 *>(x);
    float2 s = pave_state_begin(REDUCE);
    bool first = true;
#pragma unroll 1
    while (count > 0) {
        float2 run = pave_state_begin(REDUCE);
#pragma unroll 1
        for (int round = 0; round < FOLD_RUN && count > 0; round++) {
            const int near = clamp_int(count);
            uint4 q[LOADS];
            float v[LOADS * COUNT];
#pragma unroll
            for (int u = 0; u < LOADS; u++) {
                q[u] = make_uint4(0, 0, 0, 0);
                if (u * MEMBERS < near) q[u] = __ldcs(p + u * MEMBERS);
            }
#pragma unroll
            for (int u = 0; u < LOADS; u++) {
                wide<TYPE>::unpack(q[u], v + u * COUNT);
#pragma unroll
                for (int c = 0; c < COUNT; c++)
                    v[u * COUNT + c] = u * MEMBERS < near ? v[u * COUNT + c] : neutral<REDUCE>();
            }
            run = fold_values<REDUCE, LOADS * COUNT, COUNT>(run, v, index, MEMBERS * COUNT);
            p += LOADS * MEMBERS;
            count -= LOADS * MEMBERS;
            index += LOADS * MEMBERS * COUNT;
        }
        s = fold_run<REDUCE>(s, run, first);
    }
    return s;
}

/* LOADS: of 16 bytes of float32; halves take as many values at a time. */
template <int REDUCE, int TYPE, typename TEAM, int LOADS>
__device__ __forceinline__ float2 fold_share(const row_share &share) {
    constexpr int BYTES = element_bytes(TYPE), COUNT = wide<TYPE>::COUNT, MEMBERS = TEAM::MEMBERS;
    const int member = share.member;
    if (share.col != BYTES)
        return fold_scalars<REDUCE, TYPE, MEMBERS>(share.x + member * share.col, share.col,
                                                   share.count - member, share.index + member);
    /* Fewer scalars than 16 bytes hold before and after what is aligned: the ends of one loop. */
    const int before = static_cast<int>((0 - reinterpret_cast<uintptr_t>(share.x)) % 16 / BYTES);
    const int head = before < share.count ? before : static_cast<int>(share.count);
    const int64_t wides = (share.count - head) / COUNT;
    float2 s = fold_wides<REDUCE, TYPE, MEMBERS, LOADS * 4 / COUNT>(
        share.x + head * BYTES + member * 16, wides - member, share.index + head + member * COUNT);
#pragma unroll 1
    for (int end = head > 0 ? 0 : 1; end < 2; end++) {
        const int64_t first = end == 0 ? 0 : head + wides * COUNT, last = end == 0 ? head : share.count;
        if (first == last) continue;
        s = state_merge(REDUCE, s,
                        fold_scalars<REDUCE, TYPE, MEMBERS>(share.x + (first + member) * BYTES, BYTES,
                                                            last - first - member,
                                                            share.index + static_cast<int>(first) + member));
    }
    return s;
}

template <int REDUCE, typename TEAM, int LOADS>
__device__ __forceinline__ float2 fold_typed(int type, const row_share &share) {
    if (type == PAVE_T_F16) return fold_share<REDUCE, PAVE_T_F16, TEAM, LOADS>(share);
    if (type == PAVE_T_BF16) return fold_share<REDUCE, PAVE_T_BF16, TEAM, LOADS>(share);
    return fold_share<REDUCE, PAVE_T_F32, TEAM, LOADS>(share);
}

} // namespace pave

#include "kernels/reduce/across.cuh"

namespace pave {

/* A choice of code for each reduction: a choice a value would cost as much as folding it. A mean's states are a sum's. */
#define PAVE_BY_REDUCTION(reduce, STATE)                             \
    switch (reduce) {                                                \
    case PAVE_REDUCE_LOGSUMEXP: return STATE(PAVE_REDUCE_LOGSUMEXP); \
    case PAVE_REDUCE_MAX: return STATE(PAVE_REDUCE_MAX);             \
    case PAVE_REDUCE_MIN: return STATE(PAVE_REDUCE_MIN);             \
    case PAVE_REDUCE_ARGMAX: return STATE(PAVE_REDUCE_ARGMAX);       \
    default: return STATE(PAVE_REDUCE_SUM);                          \
    }

/* A team's state of a row, its members' merged. */
template <typename TEAM, int LOADS>
__device__ __forceinline__ float2 fold_any(int reduce, int type, const row_share &share, float2 *states) {
#define PAVE_STATE(REDUCE) TEAM::merge(REDUCE, fold_typed<REDUCE, TEAM, LOADS>(type, share), states)
    PAVE_BY_REDUCTION(reduce, PAVE_STATE)
#undef PAVE_STATE
}

/* Of row `member` of a team's. */
template <typename TEAM, int LOADS>
__device__ __forceinline__ float2 held_any(int reduce, int type, const held_rows<TEAM, LOADS> &held, int from,
                                           float2 *states) {
#define PAVE_STATE(REDUCE) held.template state<REDUCE>(type, from, states)
    PAVE_BY_REDUCTION(reduce, PAVE_STATE)
#undef PAVE_STATE
}

template <int ROWS, int THREADS, int LOADS>
__device__ __forceinline__ float2 across_any(int reduce, int type, const quad_share &share, float2 *states){
#define PAVE_STATE(REDUCE) across_state<REDUCE, ROWS, THREADS, LOADS>(type, share, states)
    PAVE_BY_REDUCTION(reduce, PAVE_STATE)
#undef PAVE_STATE
}

/* The row's value from its state, through the links, to memory: one thread's work. */
__device__ __forceinline__
    void finish_row(const pave_abi_rows &args, const tensors &t, void *y, const row_place &place, float2 s) {
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

/* Columns of a row that a part of it has, from column `from` on. */
__device__ __forceinline__ int64_t part_columns(const pave_abi_rows &args, int64_t from) {
    const int64_t rest = args.cols - from;
    return args.slots > 0 && args.slice < rest ? args.slice : rest;
}

/* What becomes of a row's state, or of a part's: one thread's work. */
__device__ __forceinline__ void leave_state(const pave_abi_rows &args, const tensors &t, void *y,
                                            const row_place &place, float2 s) {
    if (args.slots > 0)
        reinterpret_cast<float2 *>(static_cast<char *>(y) +
                                   args.y.offset)[state_index(args, place) + place.part] = s;
    else
        finish_row(args, t, y, place, s);
}

/* The state of row place.row + member, of a team whose rows begin there, or of their parts from column `from` on. */
template <typename TEAM, int LOADS>
__device__ __forceinline__ float2 team_state(const pave_abi_rows &args, const void *x, const row_place &place,
                                             int64_t from, float2 *states) {
    using held_type = held_rows<TEAM, LOADS>;
    const int member = TEAM::member(), bytes = element_bytes(args.x_type);
    const int64_t rows = args.rows - place.row, count = part_columns(args, from);
    const char *first = static_cast<const char *>(x) + place_offset(args.x, args.x_type, place, from);
    if (args.x.col == 1 && held_type::takes(first, args.x.row * bytes, count * bytes)) {
        held_type held;
        held.load(first, args.x.row * bytes, rows, static_cast<int>(count) * bytes,
                  fill_word(args.reduce, args.x_type));
        return held_any<TEAM, LOADS>(args.reduce, args.x_type, held, static_cast<int>(from), states);
    }
    row_share share = {first, args.x.col * bytes, 0, static_cast<int>(from), member};
    float2 mine;
#pragma unroll 1
    for (int each = 0; each < TEAM::EACH; each++, share.x += args.x.row * bytes) {
        share.count = each < rows ? count : 0;
        const float2 s = fold_any<TEAM, LOADS>(args.reduce, args.x_type, share, states);
        if (each == 0 || member == each) mine = s;
    }
    return mine;
}

template <typename TEAM, int LOADS>
__device__ __forceinline__ void reduce_rows(const pave_abi_rows &args, const void *x, void *y,
                                            const tensors &t) {
    static_assert(TEAM::EACH <= TEAM::MEMBERS, "a member ends a row");
    __shared__ float2 states[TEAM::STATES];
    const int64_t parts = args.slots > 0 ? args.slots : 1, tiles = tiles_of(args.rows, TEAM::TILE);
    const int64_t units = unit_count(args, tiles, parts);
#pragma unroll 1
    for (int64_t unit = block_index(); unit < units; unit += block_count()) {
        row_place place = TEAM::place(args, unit, tiles, parts);
        const int64_t from = args.slots > 0 ? place.part * args.slice : 0;
        const float2 s = team_state<TEAM, LOADS>(args, x, place, from, states);
        place.row += TEAM::member();
        if (TEAM::member() < TEAM::EACH && place.row < args.rows) leave_state(args, t, y, place, s);
    }
}

template <int ROWS, int THREADS, int LOADS>
__device__ __forceinline__ void reduce_across(const pave_abi_rows &args, const void *x, void *y,
                                              const tensors &t) {
    constexpr int SIDE = ROWS / 4;
    static_assert(ROWS == 32 && THREADS % 32 == 0, "a warp has four times a tile's quads");
    __shared__ float2 states[THREADS / 32 * ROWS];
    const int thread = static_cast<int>(threadIdx.x), member = thread / SIDE, quad = thread % SIDE * 4;
    const int64_t parts = args.slots > 0 ? args.slots : 1, tiles = tiles_of(args.rows, ROWS);
    const int64_t units = unit_count(args, tiles, parts);
    const int bytes = element_bytes(args.x_type);
#pragma unroll 1
    for (int64_t unit = block_index(); unit < units; unit += block_count()) {
        row_place place = unit_place(args, unit, tiles, ROWS, parts);
        const int64_t from = args.slots > 0 ? place.part * args.slice : 0;
        quad_share share;
        share.row = args.x.row * bytes, share.col = args.x.col * bytes;
        share.x = static_cast<const char *>(x) + place_offset(args.x, args.x_type, place, from + member) +
                  quad * share.row;
        share.rows = quad_count(args.rows - place.row - quad);
        share.count = share.rows > 0 ? part_columns(args, from) - member : 0;
        share.index = static_cast<int>(from) + member;
        share.whole =
            share.rows == 4 && args.x.row == 1 && args.x.col % 4 == 0 && quad_aligned(share.x, args.x_type);
        const float2 s = across_any<ROWS, THREADS, LOADS>(args.reduce, args.x_type, share, states);
        place.row += thread;
        if (thread < ROWS && place.row < args.rows) leave_state(args, t, y, place, s);
    }
}

template <int LAYOUT, int ROWS, int LANES, int THREADS, int LOADS>
__device__ __forceinline__ void reduce_any(const pave_abi_rows &args, const void *x, void *y,
                                           const tensors &t) {
    if constexpr (LAYOUT == PAVE__LAYOUT_ACROSS)
        reduce_across<ROWS, THREADS, LOADS>(args, x, y, t);
    else
        reduce_rows<row_team<ROWS, LANES, THREADS>, LOADS>(args, x, y, t);
}

template <typename TEAM>
__device__ __forceinline__ void join_rows(const pave_abi_rows &args, const void *x, void *y,
                                          const tensors &t) {
    static_assert(TEAM::IN_WARP && TEAM::EACH == 1, "lanes a row");
    const float2 *all = reinterpret_cast<const float2 *>(static_cast<const char *>(x) + args.x.offset);
    const int64_t tiles = tiles_of(args.rows, TEAM::TILE), units = unit_count(args, tiles, 1);
#pragma unroll 1
    for (int64_t unit = block_index(); unit < units; unit += block_count()) {
        const row_place place = TEAM::place(args, unit, tiles, 1);
        const bool inside = place.row < args.rows;
        const float2 *states = all + state_index(args, place);
        float2 s = pave_state_begin(args.reduce);
#pragma unroll 1
        for (int64_t slot = TEAM::member(); slot < args.slots && inside; slot += JOIN_LOADS * TEAM::MEMBERS) {
            float2 next[JOIN_LOADS];
#pragma unroll
            for (int u = 0; u < JOIN_LOADS; u++)
                next[u] = slot + u * TEAM::MEMBERS < args.slots ? states[slot + u * TEAM::MEMBERS]
                                                                : pave_state_begin(args.reduce);
#pragma unroll
            for (int u = 0; u < JOIN_LOADS; u++) s = state_merge(args.reduce, s, next[u]);
        }
        s = TEAM::merge(args.reduce, s, nullptr);
        if (TEAM::member() == 0 && inside) finish_row(args, t, y, place, s);
    }
}

} // namespace pave

#define PAVE_KERNEL(NAME, LAYOUT, ROWS, LANES, THREADS, LOADS, BLOCKS)                                     \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                          \
        NAME(const __grid_constant__ pave_abi_rows args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        pave::follow_launches();                                                                           \
        pave::reduce_any<PAVE__LAYOUT_##LAYOUT, ROWS, LANES, THREADS, LOADS>(                              \
            args, x, y, pave::tensors{PAVE_TENSOR_NAMES});                                                 \
    }
PAVE_REDUCE_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL

#define PAVE_KERNEL(NAME, LAYOUT, ROWS, LANES, THREADS)                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                    \
        NAME(const __grid_constant__ pave_abi_rows args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) {   \
        pave::follow_launches();                                                                             \
        pave::join_rows<pave::row_team<ROWS, LANES, THREADS>>(args, x, y, pave::tensors{PAVE_TENSOR_NAMES}); \
    }
PAVE_JOIN_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
