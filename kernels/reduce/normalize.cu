/* SPDX-License-Identifier: Apache-2.0
 * Softmax, log_softmax and normalize of rows of any type and any strides, through the links. Rows of the tables
 * PAVE_NORMALIZE_CUDA_ROWS and PAVE_NORMALIZE_SLICES_CUDA_ROWS.
 *
 * Work: a row's team (team.cuh) takes it by chunks, some quads of consecutive columns a member, or four neighbouring rows by
 * chunks of quads across them. Rows of one chunk stay in registers and are read once; longer ones are read again in each pass.
 * y may be x: all passes that read others' values end in a merge of the team before a value is stored, and a member stores only
 * the quads that it loads. Rows that registers do not hold, or too few for the device, may come by slices (normalize_slices).
 * Alignment: none needed; quads that lie on a multiple of their size move at once. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/reduce/chunk.cuh"
#include "kernels/reduce/rows.h"
#include "kernels/reduce/team.cuh"

namespace pave {

/* A member's quads of a chunk along its row, MEMBERS quads apart. */
template <int MEMBERS, int QUADS> struct row_chunk : chunk_values<1, QUADS> {
    static constexpr int SPAN = 4 * MEMBERS * QUADS;
    using chunk_values<1, QUADS>::v;

    const char *x; /* column 0 */
    int64_t step;  /* elements from column to column */
    int64_t cols;
    int type, member;

    __device__ __forceinline__ row_chunk(const pave_abi_rows &args, const void *from, const row_place &place,
                                         int member_)
        : x(static_cast<const char *>(from) + place_offset(args.x, args.x_type, place, 0)), step(args.x.col),
          cols(place.row < args.rows ? args.cols : 0), type(args.x_type), member(member_) {
    }

    /* No column from `end` on is the chunk's. */
    __device__ __forceinline__ void end_at(int64_t end) {
        cols = end < cols ? end : cols;
    }

    /* How many of quad q's columns the row has, at most 4 and maybe less than 0, for a chunk from column `first` on. */
    __device__ __forceinline__ int count(int64_t first, int q) const {
        const int near = cols - first < SPAN ? static_cast<int>(cols - first) : SPAN;
        const int left = near - 4 * member - 4 * MEMBERS * q;
        return left < 4 ? left : 4;
    }

    __device__ __forceinline__ bool here(int64_t first, int q, int c) const {
        return c < count(first, q);
    }

    /* Whole quads. Every load is on its way before the first is waited for. ONCE: no pass reads them again. */
    template <int TYPE, bool ONCE> __device__ __forceinline__ void load_wide(int64_t first, float fill) {
        const char *p = x + (first + 4 * member) * element_bytes(TYPE);
        quad_bits<TYPE> quads[QUADS];
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            const auto *at =
                reinterpret_cast<const quad_bits<TYPE> *>(p + 4 * MEMBERS * q * element_bytes(TYPE));
            quads[q].clear();
            if (count(first, q) > 0) quads[q].bits = ONCE ? __ldcs(&at->bits) : at->bits;
        }
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            quads[q].unpack(v[q]);
#pragma unroll
            for (int c = 0; c < 4; c++) v[q][c] = count(first, q) > 0 ? v[q][c] : fill;
        }
    }

    template <int TYPE, bool ONCE> __device__ __forceinline__ void load_typed(int64_t first, float fill) {
        if (step == 1 && cols % 4 == 0 && quad_aligned(x, TYPE)) {
            load_wide<TYPE, ONCE>(first, fill);
            return;
        }
        const char *p = element_at(x, TYPE, (first + 4 * member) * step);
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
#pragma unroll
            for (int c = 0; c < 4; c++)
                v[q][c] = c < count(first, q) ? element_load(element_at(p, TYPE, c * step), TYPE) : fill;
            p = element_at(p, TYPE, 4 * MEMBERS * step);
        }
    }

    /* `fill` stands beyond the row's end. */
    template <bool ONCE> __device__ __forceinline__ void load(int64_t first, float fill) {
        if (type == PAVE_T_F16)
            load_typed<PAVE_T_F16, ONCE>(first, fill);
        else if (type == PAVE_T_BF16)
            load_typed<PAVE_T_BF16, ONCE>(first, fill);
        else
            load_typed<PAVE_T_F32, ONCE>(first, fill);
    }

    template <int TYPE> __device__ __forceinline__ void store_wide(char *y, int64_t first) const {
        char *p = y + (first + 4 * member) * element_bytes(TYPE);
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            quad_bits<TYPE> quad;
            quad.pack(v[q]);
            auto *at = reinterpret_cast<quad_bits<TYPE> *>(p + 4 * MEMBERS * q * element_bytes(TYPE));
            if (count(first, q) > 0) __stcs(&at->bits, quad.bits);
        }
    }

    /* Whole quads, to where they lie in whole quads. */
    __device__ __forceinline__ void store_whole(char *y, int type, int64_t first) const {
        if (type == PAVE_T_F16)
            store_wide<PAVE_T_F16>(y, first);
        else if (type == PAVE_T_BF16)
            store_wide<PAVE_T_BF16>(y, first);
        else if (type == PAVE_T_E4M3)
            store_wide<PAVE_T_E4M3>(y, first);
        else if (type == PAVE_T_E5M2)
            store_wide<PAVE_T_E5M2>(y, first);
        else
            store_wide<PAVE_T_F32>(y, first);
    }

    /* Through the links, which are one loop's body to which the quads come in turn: a copy of them for each would not fit the
     * instruction cache. */
    __device__ __forceinline__ void store_linked(const pave_abi_rows &args, const tensors &t, char *y,
                                                 const row_place &place, int64_t first) {
        patch<1, 4> four;
        four.row[0] = place.row;
#pragma unroll
        for (int d = 0; d < PAVE_BATCH_DIMS; d++) four.batch[d] = place.batch[d];
#pragma unroll 1
        for (int q = 0; q < QUADS; q++) {
            const int left = count(first, q);
            if (left <= 0) break;
            four.col = first + 4 * (MEMBERS * q + member);
            four.valid[0] = four.cols_valid = left;
#pragma unroll
            for (int c = 0; c < 4; c++) four.v[0][c] = v[0][c];
            chain_apply<1, 4>(args.links, args.link_count, t, four);
            quad_scatter(y + four.col * args.y.col * element_bytes(args.y_type), args.y_type, args.y.col,
                         left, four.v[0]);
            this->shift();
        }
    }

    __device__ __forceinline__ void store(const pave_abi_rows &args, const tensors &t, void *to,
                                          const row_place &place, int64_t first) {
        char *y = static_cast<char *>(to) + place_offset(args.y, args.y_type, place, 0);
        if (args.link_count == 0 && args.y.col == 1 && args.cols % 4 == 0 && quad_aligned(y, args.y_type))
            store_whole(y, args.y_type, first);
        else
            store_linked(args, t, y, place, first);
    }
};

/* A member's quads of a chunk across four rows: a column each, MEMBERS columns apart. */
template <int MEMBERS, int QUADS> struct across_chunk : chunk_values<4, QUADS> {
    static constexpr int SPAN = MEMBERS * QUADS;
    using chunk_values<4, QUADS>::v;

    const char *x;    /* the first row's column `member` */
    int64_t row, col; /* elements from row to row, and from column to column */
    int64_t cols;     /* from that column on; 0: no row exists */
    int type, member;
    int rows;   /* of the four that exist */
    bool whole; /* one load takes a quad */

    __device__ __forceinline__ across_chunk(const pave_abi_rows &args, const void *from,
                                            const row_place &place, int member_)
        : x(static_cast<const char *>(from) + place_offset(args.x, args.x_type, place, member_)),
          row(args.x.row), col(args.x.col), type(args.x_type), member(member_) {
        rows = quad_count(args.rows - place.row);
        cols = rows > 0 ? args.cols - member : 0;
        whole = rows == 4 && row == 1 && col % 4 == 0 && quad_aligned(x, type);
    }

    __device__ __forceinline__ bool here(int64_t first, int q, int) const {
        const int near = cols - first < SPAN ? static_cast<int>(cols - first) : SPAN;
        return q * MEMBERS < near;
    }

    template <int TYPE, bool ONCE> __device__ __forceinline__ void load_typed(int64_t first, float fill) {
        const char *p = element_at(x, TYPE, first * col);
        const int64_t apart = MEMBERS * col * element_bytes(TYPE);
        if (whole) {
            quad_bits<TYPE> quads[QUADS];
#pragma unroll
            for (int q = 0; q < QUADS; q++, p += apart) {
                const auto *at = reinterpret_cast<const quad_bits<TYPE> *>(p);
                quads[q].clear();
                if (here(first, q, 0)) quads[q].bits = ONCE ? __ldcs(&at->bits) : at->bits;
            }
#pragma unroll
            for (int q = 0; q < QUADS; q++) {
                quads[q].unpack(v[q]);
#pragma unroll
                for (int c = 0; c < 4; c++) v[q][c] = here(first, q, c) ? v[q][c] : fill;
            }
            return;
        }
#pragma unroll
        for (int q = 0; q < QUADS; q++, p += apart)
#pragma unroll
            for (int c = 0; c < 4; c++)
                v[q][c] =
                    here(first, q, c) && c < rows ? element_load(element_at(p, TYPE, c * row), TYPE) : fill;
    }

    /* `fill` stands beyond the row's end. */
    template <bool ONCE> __device__ __forceinline__ void load(int64_t first, float fill) {
        if (type == PAVE_T_F16)
            load_typed<PAVE_T_F16, ONCE>(first, fill);
        else if (type == PAVE_T_BF16)
            load_typed<PAVE_T_BF16, ONCE>(first, fill);
        else
            load_typed<PAVE_T_F32, ONCE>(first, fill);
    }

    /* The quads come in turn, as they do along a row. */
    __device__ __forceinline__ void store(const pave_abi_rows &args, const tensors &t, void *to,
                                          const row_place &place, int64_t first) {
        char *y = static_cast<char *>(to) + place_offset(args.y, args.y_type, place, first + member);
        const int bytes = element_bytes(args.y_type);
        const bool quads =
            rows == 4 && args.y.row == 1 && args.y.col % 4 == 0 && quad_aligned(y, args.y_type);
        patch<4, 1> four;
#pragma unroll
        for (int d = 0; d < PAVE_BATCH_DIMS; d++) four.batch[d] = place.batch[d];
#pragma unroll
        for (int r = 0; r < 4; r++) four.row[r] = place.row + r, four.valid[r] = r < rows;
        four.cols_valid = 1;
#pragma unroll 1
        for (int q = 0; q < QUADS && here(first, q, 0); q++, y += MEMBERS * args.y.col * bytes) {
            four.col = first + member + q * MEMBERS;
#pragma unroll
            for (int r = 0; r < 4; r++) four.v[r][0] = v[0][r];
            chain_apply<4, 1>(args.links, args.link_count, t, four);
            const float out[4] = {four.v[0][0], four.v[1][0], four.v[2][0], four.v[3][0]};
            if (quads)
                quad_stream(y, args.y_type, out);
            else
                quad_scatter(y, args.y_type, args.y.row, rows, out);
            this->shift();
        }
    }
};

/* Rows that registers hold: read once, an exponential a value. */
template <typename TEAM, typename CHUNK>
__device__ __forceinline__ void normalize_held(const pave_abi_rows &args, CHUNK &chunk, float2 *shared) {
    const bool raised = args.reduce == PAVE_REDUCE_SOFTMAX;
    const float length = static_cast<float>(args.cols);
    float2 s[CHUNK::ROWS] = {}, total[CHUNK::ROWS] = {};
    row_form form[CHUNK::ROWS];
    chunk.template load<true>(0, args.reduce == PAVE_REDUCE_NORMALIZE ? 0.0f : -PV_INF);
    if (args.reduce == PAVE_REDUCE_NORMALIZE) {
        chunk.add(s);
        TEAM::merge_each(PAVE_REDUCE_SUM, s, shared);
#pragma unroll
        for (int r = 0; r < CHUNK::ROWS; r++) form[r].a = s[r].x / length;
        chunk.add_squares(form, total, [&](int q, int c) { return chunk.here(0, q, c); });
        TEAM::merge_each(PAVE_REDUCE_SUM, total, shared);
#pragma unroll
        for (int r = 0; r < CHUNK::ROWS; r++) form[r].b = 1.0f / sqrtf(total[r].x / length + args.epsilon);
    } else {
        chunk.largest(s);
        TEAM::merge_each(PAVE_REDUCE_MAX, s, shared);
        if (raised) {
            chunk.raise(s);
            chunk.add(total);
        } else {
            chunk.add_exp(s);
#pragma unroll
            for (int r = 0; r < CHUNK::ROWS; r++) total[r].x = s[r].y;
        }
        TEAM::merge_each(PAVE_REDUCE_SUM, total, shared);
#pragma unroll
        for (int r = 0; r < CHUNK::ROWS; r++)
            form[r] = form_of_state(args.reduce, make_float2(s[r].x, total[r].x));
    }
    chunk.apply(args.reduce, form, raised);
}

enum row_pass { PASS_EXP, PASS_SUM, PASS_SQUARES, PASS_STORE };

/* What a pass's state, merged over the team, says of the row. */
__device__ __forceinline__ row_form form_after(const pave_abi_rows &args, row_pass pass, float2 s,
                                               row_form form) {
    const float length = static_cast<float>(args.cols);
    if (pass == PASS_EXP) return form_of_state(args.reduce, s);
    if (pass == PASS_SUM) return {s.x / length, 0.0f};
    return {form.a, 1.0f / sqrtf(s.x / length + args.epsilon)};
}

/* Longer rows: one loop of all passes, so that loading is there once. */
template <typename TEAM, typename CHUNK>
__device__ __forceinline__ void normalize_long(const pave_abi_rows &args, const tensors &t, void *y,
                                               const row_place &place, CHUNK &chunk, float2 *shared) {
    const float fill = args.reduce == PAVE_REDUCE_NORMALIZE ? 0.0f : -PV_INF;
    row_form form[CHUNK::ROWS] = {};
    row_pass pass = args.reduce == PAVE_REDUCE_NORMALIZE ? PASS_SUM : PASS_EXP;
#pragma unroll 1
    while (true) {
        const int reduce = pass == PASS_EXP ? PAVE_REDUCE_LOGSUMEXP : PAVE_REDUCE_SUM;
        float2 s[CHUNK::ROWS];
#pragma unroll
        for (int r = 0; r < CHUNK::ROWS; r++) s[r] = pave_state_begin(reduce);
#pragma unroll 1
        for (int64_t first = 0; first < args.cols; first += CHUNK::SPAN) {
            chunk.template load<false>(first, fill);
            if (pass == PASS_EXP) {
                chunk.fold_exp(s);
            } else if (pass == PASS_SUM) {
                chunk.add(s);
            } else if (pass == PASS_SQUARES) {
                chunk.add_squares(form, s, [&](int q, int c) { return chunk.here(first, q, c); });
            } else {
                chunk.apply(args.reduce, form, false);
                chunk.store(args, t, y, place, first);
            }
        }
        if (pass == PASS_STORE) return;
        TEAM::merge_each(reduce, s, shared);
#pragma unroll
        for (int r = 0; r < CHUNK::ROWS; r++) form[r] = form_after(args, pass, s[r], form[r]);
        pass = pass == PASS_SUM ? PASS_SQUARES : PASS_STORE;
    }
}

template <typename TEAM, typename CHUNK>
__device__ __forceinline__ void normalize_rows(const pave_abi_rows &args, const void *x, void *y,
                                               const tensors &t) {
    static_assert(TEAM::EACH == 1, "a row a team at a time, or four that lie in quads");
    __shared__ float2 shared[TEAM::STATES];
    const int64_t tiles = tiles_of(args.rows, TEAM::TILE), units = unit_count(args, tiles, 1);
#pragma unroll 1
    for (int64_t unit = block_index(); unit < units; unit += block_count()) {
        const row_place place = TEAM::place(args, unit, tiles, 1);
        CHUNK chunk(args, x, place, TEAM::member());
        if (args.cols <= CHUNK::SPAN) {
            normalize_held<TEAM>(args, chunk, shared);
            chunk.store(args, t, y, place, 0);
        } else {
            normalize_long<TEAM>(args, t, y, place, chunk, shared);
        }
    }
}

/* What a block does in its turn: leave the state of a row's slice, or make its values. */
struct slice_turn {
    unsigned row, slot;
    bool leaves;
};

/* How slices of rows that lie one behind the other come in turn: those of the first `ahead` rows leave their states, then each
 * that leaves one is followed by one of the row `ahead` rows before, which makes values and finds in the L2 what it reads. A block
 * takes its turns by tickets, so that it waits only for blocks that have begun. */
struct slice_turns {
    float2 *states;
    unsigned *counts; /* tickets; then of each row the slices whose states are there */
    unsigned rows, slots, ahead;

    __device__ __forceinline__ slice_turns(const pave_abi_rows &args, const tensors &t)
        : states(reinterpret_cast<float2 *>(static_cast<char *>(const_cast<void *>(t.t9)) + args.width)),
          counts(static_cast<unsigned *>(const_cast<void *>(t.t8))),
          rows(static_cast<unsigned>(unit_count(args, args.rows, 1))),
          slots(static_cast<unsigned>(args.slots)), ahead(static_cast<unsigned>(args.ahead)) {
    }

    __device__ __forceinline__ unsigned count() const {
        return 2 * slots * rows;
    }

    /* The next turn, the same for the whole block. */
    __device__ __forceinline__ slice_turn take() const {
        __shared__ unsigned taken;
        __syncthreads();
        if (threadIdx.x == 0) taken = atomicInc(counts, count() - 1);
        __syncthreads();
        unsigned turn = taken;
        if (turn < ahead * slots) return {turn / slots, turn % slots, true};
        turn -= ahead * slots;
        const unsigned pair = turn / 2, row = pair / slots;
        if (row < rows - ahead) return {turn % 2 ? row : row + ahead, pair % slots, turn % 2 == 0};
        turn -= (rows - ahead) * slots;
        return {turn / slots, turn % slots, false};
    }

    /* One thread's: a slice's state is there; all of a row's are, and one slice less waits for them. A row's count ends at 0. */
    __device__ __forceinline__ void leave(const slice_turn &turn, float2 s) const {
        __stcg(states + static_cast<int64_t>(turn.row) * slots + turn.slot, s);
        __threadfence();
        atomicInc(counts + 1 + turn.row, 2 * slots - 1);
    }

    __device__ __forceinline__ void wait(const slice_turn &turn) const {
        while (load_acquire(counts + 1 + turn.row) < slots) {
        }
        atomicInc(counts + 1 + turn.row, 2 * slots - 1);
    }
};

/* The state of columns [from, end) of a row: every member's. */
template <typename TEAM, typename CHUNK>
__device__ __forceinline__ float2 slice_state(CHUNK &chunk, int64_t from, float2 *shared) {
    float2 s[1] = {pave_state_begin(PAVE_REDUCE_LOGSUMEXP)};
#pragma unroll 1
    for (int64_t first = from; first < chunk.cols; first += CHUNK::SPAN) {
        chunk.template load<false>(first, -PV_INF);
        chunk.fold_exp(s);
    }
    return TEAM::merge(PAVE_REDUCE_LOGSUMEXP, s[0], shared);
}

/* A row's logsumexp: every member's. All of its slices merge its states in the same order. */
template <typename TEAM>
__device__ __forceinline__ float2 merge_states(const float2 *states, int64_t slots, float2 *shared) {
    float2 s = pave_state_begin(PAVE_REDUCE_LOGSUMEXP);
#pragma unroll 1
    for (int64_t slot = TEAM::member(); slot < slots; slot += TEAM::MEMBERS)
        s = state_merge(PAVE_REDUCE_LOGSUMEXP, s, __ldcg(states + slot));
    return TEAM::merge(PAVE_REDUCE_LOGSUMEXP, s, shared);
}

/* A slice's values, of states that are all there. */
template <typename TEAM, typename CHUNK>
__device__ __forceinline__ void slice_values(const pave_abi_rows &args, const tensors &t, void *y,
                                             const row_place &place, CHUNK &chunk, int64_t from,
                                             const float2 *states, float2 *shared) {
    row_form form[1] = {};
#pragma unroll 1
    for (int64_t first = from; first < chunk.cols; first += CHUNK::SPAN) {
        chunk.template load<true>(first, -PV_INF);
        if (first == from)
            form[0] = form_of_state(args.reduce, merge_states<TEAM>(states, args.slots, shared));
        chunk.apply(args.reduce, form, false);
        chunk.store(args, t, y, place, first);
    }
}

template <typename TEAM, typename CHUNK>
__device__ __forceinline__ void normalize_slices(const pave_abi_rows &args, const void *x, void *y,
                                                 const tensors &t) {
    static_assert(TEAM::TILE == 1 && CHUNK::ROWS == 1, "a block a slice");
    __shared__ float2 shared[TEAM::STATES];
    const slice_turns turns(args, t);
#pragma unroll 1
    for (int64_t unit = block_index(); unit < turns.count(); unit += block_count()) {
        const slice_turn turn = turns.take();
        const int64_t before = turn.row * args.slots, from = turn.slot * args.slice;
        const row_place place = TEAM::place(args, before + turn.slot, args.rows, args.slots);
        CHUNK chunk(args, x, place, TEAM::member());
        chunk.end_at(from + args.slice);
        if (turn.leaves) {
            const float2 s = slice_state<TEAM>(chunk, from, shared);
            if (threadIdx.x == 0) turns.leave(turn, s);
        } else {
            if (threadIdx.x == 0) turns.wait(turn);
            __syncthreads();
            slice_values<TEAM>(args, t, y, place, chunk, from, turns.states + before, shared);
        }
    }
}

template <int LAYOUT, int ROWS, int LANES, int THREADS, int QUADS>
__device__ __forceinline__ void normalize_any(const pave_abi_rows &args, const void *x, void *y,
                                              const tensors &t) {
    if constexpr (LAYOUT == PAVE__LAYOUT_ACROSS) {
        using team = quad_team<ROWS, THREADS>;
        static_assert(team::MEMBERS == LANES, "as the table says");
        normalize_rows<team, across_chunk<LANES, QUADS>>(args, x, y, t);
    } else {
        normalize_rows<row_team<ROWS, LANES, THREADS>, row_chunk<LANES, QUADS>>(args, x, y, t);
    }
}

} // namespace pave

#define PAVE_KERNEL(NAME, LAYOUT, ROWS, LANES, THREADS, LOADS, BLOCKS)                                     \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                          \
        NAME(const __grid_constant__ pave_abi_rows args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        pave::follow_launches();                                                                           \
        pave::normalize_any<PAVE__LAYOUT_##LAYOUT, ROWS, LANES, THREADS, LOADS>(                           \
            args, x, y, pave::tensors{PAVE_TENSOR_NAMES});                                                 \
    }
PAVE_NORMALIZE_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL

#define PAVE_KERNEL(NAME, LAYOUT, ROWS, LANES, THREADS, LOADS, BLOCKS)                                     \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                          \
        NAME(const __grid_constant__ pave_abi_rows args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        pave::follow_launches();                                                                           \
        pave::normalize_slices<pave::row_team<ROWS, LANES, THREADS>, pave::row_chunk<LANES, LOADS>>(       \
            args, x, y, pave::tensors{PAVE_TENSOR_NAMES});                                                 \
    }
PAVE_NORMALIZE_SLICES_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
