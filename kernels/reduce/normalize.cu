/* SPDX-License-Identifier: Apache-2.0
 * Softmax, log_softmax and normalize of rows of any type and any strides, through the links. Rows of the table
 * PAVE_NORMALIZE_CUDA_ROWS.
 *
 * Work: a row's team (team.cuh) takes it by chunks, some quads of consecutive columns a member. A row of one chunk stays
 * in registers and is read once; a longer one is read again in each pass. y may be x: all passes that read others' values
 * end in a merge of the team before a value is stored, and a member stores only the quads that it loads. Alignment: none
 * needed; quads that lie on a multiple of their size move at once. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/reduce/rows.h"
#include "kernels/reduce/team.cuh"

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

/* A member's QUADS quads of a chunk, MEMBERS quads apart. */
template <int MEMBERS, int QUADS> struct row_chunk {
    static constexpr int TEAM_SIZE = MEMBERS;
    static constexpr int SPAN = 4 * MEMBERS * QUADS;

    const char *x; /* column 0 */
    int64_t step;  /* elements from column to column */
    int64_t cols;
    int type, member;
    float v[QUADS][4];

    /* How many of quad q's columns the row has, at most 4 and maybe less than 0, for a chunk from column `first` on. */
    __device__ __forceinline__ int count(int64_t first, int q) const {
        const int near = cols - first < SPAN ? static_cast<int>(cols - first) : SPAN;
        const int left = near - 4 * member - 4 * MEMBERS * q;
        return left < 4 ? left : 4;
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
    __device__ __forceinline__ void store(char *y, int type, int64_t first) const {
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

    /* Quad 1 becomes quad 0, and so on: registers have no index at run time. */
    __device__ __forceinline__ void shift() {
#pragma unroll
        for (int q = 0; q + 1 < QUADS; q++)
#pragma unroll
            for (int c = 0; c < 4; c++) v[q][c] = v[q + 1][c];
    }

    /* The largest value, NaN left out, clamped as logsumexp's states are. */
    __device__ __forceinline__ float largest() const {
        float top = -PV_BIG;
#pragma unroll
        for (int q = 0; q < QUADS; q++)
#pragma unroll
            for (int c = 0; c < 4; c++) top = PV_MAX(top, v[q][c]);
        return PV_MIN(top, PV_BIG);
    }

    __device__ __forceinline__ float sum() const {
        float sum = 0.0f;
#pragma unroll
        for (int q = 0; q < QUADS; q++) sum += (v[q][0] + v[q][1]) + (v[q][2] + v[q][3]);
        return sum;
    }

    /* Of exp(v - top). What stands beyond the row's end is -Inf. */
    __device__ __forceinline__ float sum_exp(float top) const {
        float sum = 0.0f;
#pragma unroll
        for (int q = 0; q < QUADS; q++) sum += exp_terms(v[q], top);
        return sum;
    }

    /* The chunk into logsumexp's state (state.h), whose maximum moves once a chunk. */
    __device__ __forceinline__ void fold_exp(float2 &s) const {
        const float top = PV_MAX(s.x, largest());
        s.y = s.y * exp_term(s.x - top) + sum_exp(top);
        s.x = top;
    }

    /* Every value becomes its exponential. */
    __device__ __forceinline__ void raise(float top) {
#pragma unroll
        for (int q = 0; q < QUADS; q++)
#pragma unroll
            for (int c = 0; c < 4; c++) v[q][c] = PV_EXP(v[q][c] - top);
    }

    __device__ __forceinline__ float squares(int64_t first, float mean) const {
        float sum = 0.0f;
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
#pragma unroll
            for (int c = 0; c < 4; c++) {
                const float d = c < count(first, q) ? v[q][c] - mean : 0.0f;
                sum = fmaf(d, d, sum);
            }
        }
        return sum;
    }

    __device__ __forceinline__ void apply(int reduce, row_form form, bool exponents) {
#pragma unroll
        for (int q = 0; q < QUADS; q++)
#pragma unroll
            for (int c = 0; c < 4; c++) v[q][c] = form_value(reduce, form, exponents, v[q][c]);
    }
};

/* Through the links, which are one loop's body to which the quads come in turn: a copy of them for each would not fit the
 * instruction cache. */
template <int QUADS, typename CHUNK>
__device__ __forceinline__ void store_linked(const pave_abi_rows &args, const tensors &t, char *y,
                                             const row_place &place, CHUNK &chunk, int64_t first) {
    patch<1, 4> four;
    four.row[0] = place.row;
#pragma unroll
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) four.batch[d] = place.batch[d];
#pragma unroll 1
    for (int q = 0; q < QUADS; q++) {
        const int count = chunk.count(first, q);
        if (count <= 0) break;
        four.col = first + 4 * (CHUNK::TEAM_SIZE * q + chunk.member);
        four.valid[0] = four.cols_valid = count;
#pragma unroll
        for (int c = 0; c < 4; c++) four.v[0][c] = chunk.v[0][c];
        chain_apply<1, 4>(args.links, args.link_count, t, four);
        quad_scatter(y + four.col * args.y.col * element_bytes(args.y_type), args.y_type, args.y.col, count,
                     four.v[0]);
        chunk.shift();
    }
}

template <int QUADS, typename CHUNK>
__device__ __forceinline__ void store_chunk(const pave_abi_rows &args, const tensors &t, char *y,
                                            const row_place &place, CHUNK &chunk, int64_t first) {
    if (args.link_count == 0 && args.y.col == 1 && args.cols % 4 == 0 && quad_aligned(y, args.y_type))
        chunk.store(y, args.y_type, first);
    else
        store_linked<QUADS>(args, t, y, place, chunk, first);
}

/* A row that registers hold: read once, an exponential a value. */
template <typename TEAM, int QUADS, typename CHUNK>
__device__ __forceinline__ void normalize_held(const pave_abi_rows &args, const tensors &t, char *y,
                                               const row_place &place, CHUNK &chunk, float2 *states) {
    const bool raised = args.reduce == PAVE_REDUCE_SOFTMAX;
    const float length = static_cast<float>(args.cols);
    auto total = [&](float share) {
        return TEAM::merge(PAVE_REDUCE_SUM, make_float2(share, 0.0f), states).x;
    };
    row_form form;
    chunk.template load<true>(0, args.reduce == PAVE_REDUCE_NORMALIZE ? 0.0f : -PV_INF);
    if (args.reduce == PAVE_REDUCE_NORMALIZE) {
        form.a = total(chunk.sum()) / length;
        form.b = 1.0f / sqrtf(total(chunk.squares(0, form.a)) / length + args.epsilon);
    } else {
        const float top = TEAM::largest(chunk.largest(), states);
        if (raised) chunk.raise(top);
        form = form_of_state(args.reduce, make_float2(top, total(raised ? chunk.sum() : chunk.sum_exp(top))));
    }
    chunk.apply(args.reduce, form, raised);
    store_chunk<QUADS>(args, t, y, place, chunk, 0);
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

/* A longer row: one loop of all passes, so that loading is there once. */
template <typename TEAM, int QUADS, typename CHUNK>
__device__ __forceinline__ void normalize_long(const pave_abi_rows &args, const tensors &t, char *y,
                                               const row_place &place, CHUNK &chunk, float2 *states) {
    const float fill = args.reduce == PAVE_REDUCE_NORMALIZE ? 0.0f : -PV_INF;
    row_form form = {0.0f, 0.0f};
    row_pass pass = args.reduce == PAVE_REDUCE_NORMALIZE ? PASS_SUM : PASS_EXP;
#pragma unroll 1
    while (true) {
        const int reduce = pass == PASS_EXP ? PAVE_REDUCE_LOGSUMEXP : PAVE_REDUCE_SUM;
        float2 s = pave_state_begin(reduce);
#pragma unroll 1
        for (int64_t first = 0; first < chunk.cols; first += CHUNK::SPAN) {
            chunk.template load<false>(first, fill);
            if (pass == PASS_EXP) {
                chunk.fold_exp(s);
            } else if (pass == PASS_SUM) {
                s.x += chunk.sum();
            } else if (pass == PASS_SQUARES) {
                s.x += chunk.squares(first, form.a);
            } else {
                chunk.apply(args.reduce, form, false);
                store_chunk<QUADS>(args, t, y, place, chunk, first);
            }
        }
        if (pass == PASS_STORE) return;
        form = form_after(args, pass, TEAM::merge(reduce, s, states), form);
        pass = pass == PASS_SUM ? PASS_SQUARES : PASS_STORE;
    }
}

template <typename TEAM, int QUADS>
__device__ __forceinline__ void normalize_rows(const pave_abi_rows &args, const void *x, void *y,
                                               const tensors &t) {
    static_assert(TEAM::EACH == 1, "a row a team at a time");
    using chunk_type = row_chunk<TEAM::MEMBERS, QUADS>;
    __shared__ float2 states[TEAM::STATES];
    const int64_t tiles = tiles_of(args.rows, TEAM::TILE), units = unit_count(args, tiles, 1);
#pragma unroll 1
    for (int64_t unit = block_index(); unit < units; unit += block_count()) {
        const row_place place = TEAM::place(args, unit, tiles, 1);
        chunk_type chunk;
        chunk.x = static_cast<const char *>(x) + place_offset(args.x, args.x_type, place, 0);
        chunk.step = args.x.col;
        chunk.cols = place.row < args.rows ? args.cols : 0;
        chunk.type = args.x_type, chunk.member = TEAM::member();
        char *to = static_cast<char *>(y) + place_offset(args.y, args.y_type, place, 0);
        if (args.cols <= chunk_type::SPAN)
            normalize_held<TEAM, QUADS>(args, t, to, place, chunk, states);
        else
            normalize_long<TEAM, QUADS>(args, t, to, place, chunk, states);
    }
}

} // namespace pave

#define PAVE_KERNEL(NAME, LAYOUT, ROWS, LANES, THREADS, LOADS, BLOCKS)                                     \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                          \
        NAME(const __grid_constant__ pave_abi_rows args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        pave::normalize_rows<pave::row_team<PAVE__LAYOUT_##LAYOUT, ROWS, LANES, THREADS>, LOADS>(          \
            args, x, y, pave::tensors{PAVE_TENSOR_NAMES});                                                 \
    }
PAVE_NORMALIZE_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
