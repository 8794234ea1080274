/* SPDX-License-Identifier: Apache-2.0
 * Softmax, log_softmax and normalize of rows of any type and any strides, through the links. Rows of the table
 * PAVE_NORMALIZE_CUDA_ROWS; softmax of long rows by slices is normalize_slices.cu's.
 *
 * Work: a row's team (team.cuh) takes it by chunks, some quads of consecutive columns a member, or four neighbouring rows by
 * chunks of quads across them. Rows of one chunk stay in registers and are read once; longer ones are read again in each pass.
 * y may be x: all passes that read others' values end in a merge of the team before a value is stored, and a member stores only
 * the quads that it loads.
 * Alignment: none needed; quads that lie on a multiple of their size move at once. */
#include "kernels/reduce/row_chunk.cuh"
#include "kernels/reduce/rows.h"
#include "kernels/reduce/team.cuh"

namespace pave {

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
