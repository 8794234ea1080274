/* SPDX-License-Identifier: Apache-2.0
 * What is done to values between the accumulators and memory: the chain of links, read from the launch
 * struct at run time, then a store or a state for the row reduction. It works on values by their row and
 * column and knows nothing of who computed them.
 *
 * A full operand may be exactly y: each element is read and later written by the same lane, and no operand is
 * read through a cache that stores do not reach. */
#ifndef PAVE_KERNELS_CUDA_EPILOGUE_CUH
#define PAVE_KERNELS_CUDA_EPILOGUE_CUH

#include "kernels/cuda/element.cuh"
#include "kernels/cuda/raster.cuh"
#include "kernels/cuda/state.cuh"

#define PAVE_TENSOR_PARAMETERS                                                                      \
    const void *t0, const void *t1, const void *t2, const void *t3, const void *t4, const void *t5, \
        const void *t6, const void *t7, const void *t8, const void *t9
#define PAVE_TENSOR_NAMES t0, t1, t2, t3, t4, t5, t6, t7, t8, t9

namespace pave {

/* The links' tensors. Not an array: an index known only at run time would put it in local memory. */
struct tensors {
    const void *t0, *t1, *t2, *t3, *t4, *t5, *t6, *t7, *t8, *t9;

    __device__ __forceinline__ const void *at(int i) const {
        const void *low = i == 0 ? t0 : i == 1 ? t1 : i == 2 ? t2 : i == 3 ? t3 : t4;
        const void *high = i == 5 ? t5 : i == 6 ? t6 : i == 7 ? t7 : i == 8 ? t8 : t9;
        return i < 5 ? low : high;
    }
};

/* R rows of C consecutive columns of one batch index's matrix: valid[r] of row[r]'s values, from column col on,
 * are inside. cols_valid is that count for any row that is inside. */
template <int R, int C> struct patch {
    float v[R][C];
    int64_t row[R];
    char *y[R]; /* of a product: where the row's column 0 is stored */
    bool inside[R];
    int valid[R];
    int64_t col;
    int cols_valid;
    int batch[PAVE_BATCH_DIMS];
};

/* The first `count` of C elements that are `step` apart, zero for the rest. */
template <int C>
__device__ __forceinline__ void operand_load(const char *p, int type, int64_t step, int count,
                                             float (&t)[C]) {
    if constexpr (C == 4) {
        if (step == 1 && count >= 4 && quad_aligned(p, type))
            quad_load(p, type, 4, t);
        else
            elements_load(p, type, step, count, t);
    } else {
#pragma unroll
        for (int c = 0; c < C; c++)
            t[c] = c < count ? element_load(element_at(p, type, c * step), type) : 0.0f;
    }
}

/* Whether the first link adds the same row to all rows: a bias, which can be loaded before there is what it is added to. */
__device__ __forceinline__ bool has_bias(const pave_abi_gemm &args) {
    return args.link_count > 0 && args.links[0].op == PAVE_LINK_ADD &&
           args.links[0].operand == PAVE_OPERAND_ROW;
}

/* A bias at four columns from `col` on: of float32 or of two bytes an element, and where one load takes it. `is`: it is here. */
struct bias_quad {
    uint4 bits;
    bool is;

    __device__ __forceinline__ bias_quad(const pave_abi_gemm &args, const tensors &t, const tile_job &job,
                                         int64_t col)
        : bits(make_uint4(0, 0, 0, 0)), is(false) {
        if (!has_bias(args) || col + 4 > job.n) return;
        const pave_abi_link &link = args.links[0];
        const char *at = element_at(static_cast<const char *>(t.t0) + link.t.offset, link.type,
                                    batch_offset(link.t, job.batch) + col);
        if (link.t.col != 1 || !quad_aligned(at, link.type)) return;
        is = true;
        if (link.type == PAVE_T_F32) {
            bits = *reinterpret_cast<const uint4 *>(at);
        } else {
            const uint2 two = *reinterpret_cast<const uint2 *>(at);
            bits.x = two.x, bits.y = two.y;
        }
    }

    __device__ __forceinline__ void add(const pave_abi_link &link, float (&to)[4]) const {
        float v[4] = {__uint_as_float(bits.x), __uint_as_float(bits.y), __uint_as_float(bits.z),
                      __uint_as_float(bits.w)};
        if (element_is_half(link.type)) quad_unpack(make_uint2(bits.x, bits.y), link.type, v);
#pragma unroll
        for (int c = 0; c < 4; c++) to[c] += link.a * v[c];
    }
};

/* t of a binary link at each of the patch's places, before its factor. */
template <int R, int C>
__device__ __forceinline__ void operand_values(const pave_abi_link &link, const void *tensor,
                                               const patch<R, C> &x, float (&t)[R][C]) {
    const int type = link.type;
    PAVE_ASSUME(type != PAVE_T_E4M3); /* such plans are refused */
    PAVE_ASSUME(type != PAVE_T_E5M2);
    const char *base = element_at(static_cast<const char *>(tensor) + link.t.offset, type,
                                  batch_offset(link.t, x.batch) + x.col * link.t.col);
    if (link.operand == PAVE_OPERAND_ROW) {
        /* The same columns in every row: loaded once. */
        operand_load<C>(base, type, link.t.col, x.cols_valid, t[0]);
#pragma unroll
        for (int r = 1; r < R; r++)
#pragma unroll
            for (int c = 0; c < C; c++) t[r][c] = t[0][c];
        return;
    }
#pragma unroll
    for (int r = 0; r < R; r++) {
        const char *row = element_at(base, type, x.row[r] * link.t.row);
        if (link.operand == PAVE_OPERAND_COLUMN) {
            const float value = x.valid[r] > 0 ? element_load(row, type) : 0.0f;
#pragma unroll
            for (int c = 0; c < C; c++) t[r][c] = value;
        } else {
            operand_load<C>(row, type, link.t.col, x.valid[r], t[r]);
        }
    }
}

/* What of a link is asked once is asked outside of the loops over values: branches would cost more than the arithmetic. */
template <int R, int C>
__device__ __forceinline__ void binary_apply(int op, float (&v)[R][C], const float (&t)[R][C]) {
#define PAVE_EACH(OP) _Pragma("unroll") for (int e = 0; e < R * C; e++) v[e / C][e % C] OP t[e / C][e % C]
    if (op == PAVE_LINK_ADD)
        PAVE_EACH(+=);
    else if (op == PAVE_LINK_SUB)
        PAVE_EACH(-=);
    else if (op == PAVE_LINK_MUL)
        PAVE_EACH(*=);
    else
        PAVE_EACH(/=);
#undef PAVE_EACH
}

template <int R, int C>
__device__ __forceinline__ void binary_link(const pave_abi_link &link, const void *tensor, patch<R, C> &x) {
    float t[R][C];
    if (link.operand == PAVE_OPERAND_SCALAR) {
#pragma unroll
        for (int e = 0; e < R * C; e++) t[e / C][e % C] = link.a;
    } else {
        operand_values<R, C>(link, tensor, x, t);
#pragma unroll
        for (int e = 0; e < R * C; e++) t[e / C][e % C] *= link.a;
    }
    binary_apply<R, C>(link.op, x.v, t);
}

template <int R, int C>
__device__ __forceinline__ void activation_link(int op, float a, float b, float (&values)[R][C]) {
#define PAVE_CASE(ENUM, NAME, FORMULA, EXPR, LIPSCHITZ, REL, ARG) \
    case PAVE_LINK_##ENUM: {                                      \
        _Pragma("unroll") for (int r = 0; r < R; r++) {           \
            _Pragma("unroll") for (int c = 0; c < C; c++) {       \
                const float v = values[r][c];                     \
                values[r][c] = EXPR;                              \
            }                                                     \
        }                                                         \
        break;                                                    \
    }
    switch (op) {
        PAVE_ACTIVATIONS(PAVE_CASE)
    default: break;
    }
#undef PAVE_CASE
}

/* Links `first` … count - 1. */
template <int R, int C>
__device__ __forceinline__ void chain_apply(const pave_abi_link *links, int count, const tensors &t,
                                            patch<R, C> &x, int first = 0) {
#pragma unroll 1
    for (int i = first; i < count; i++) {
        if (links[i].op >= PAVE_LINK_ADD && links[i].op <= PAVE_LINK_DIV)
            binary_link<R, C>(links[i], t.at(i), x);
        else
            activation_link<R, C>(links[i].op, links[i].a, links[i].b, x.v);
    }
}

/* v · a · b for powers of two a and b. Where their product is no normal number both are on the same side of 1, so that
 * neither step alone overflows or underflows unless the result does. */
__device__ __forceinline__ float scaled(float v, float a, float b) {
    const float ab = a * b;
    return ab >= FLT_MIN && ab <= FLT_MAX ? v * ab : v * a * b;
}

/* Sums of products of scaled rows as the values that they stand for. a_scale: a power of two, of A's rows without scales. */
template <int R>
__device__ __forceinline__ void scale_rows(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                           const tile_job &job, float a_scale, patch<R, 4> &x) {
    float b[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    if (job.b_scale != 0)
        quad_load(static_cast<const char *>(buffers.b) + job.b_scale + x.col * 4, PAVE_T_F32, x.cols_valid,
                  b);
#pragma unroll
    for (int r = 0; r < R; r++) {
        float a = args.scale * a_scale;
        if (job.a_scale != 0 && x.valid[r] > 0)
            a = *reinterpret_cast<const float *>(static_cast<const char *>(buffers.a) + job.a_scale +
                                                 x.row[r] * 4);
#pragma unroll
        for (int c = 0; c < 4; c++) x.v[r][c] = scaled(x.v[r][c], a, b[c]);
    }
}

/* What was done to a tile's sums before they are taken in patches. */
struct epilogue_done {
    bool scaled;
    int links;
};

__device__ __forceinline__ bool has_scales(const pave_abi_gemm &args, const tile_job &job) {
    return job.a_scale != 0 || job.b_scale != 0 || args.scale != 1.0f;
}

/* What belongs to a product's rows, whatever the column. */
template <int R>
__device__ __forceinline__ void epilogue_rows(const gemm_buffers &buffers, const tile_job &job,
                                              patch<R, 4> &x) {
#pragma unroll
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) x.batch[d] = job.batch[d];
#pragma unroll
    for (int r = 0; r < R; r++) {
        x.inside[r] = x.row[r] < job.row_end;
        x.y[r] = static_cast<char *>(buffers.y) + job.y_offset + x.row[r] * job.y_row;
    }
}

/* Stores a patch as F16X2. A row's last block is whole: what lies beyond the last column is zero, as the next
 * product's copies take all of it. */
template <int R> __device__ __forceinline__ void store_pairs(const tile_job &job, const patch<R, 4> &x) {
    if (x.col >= (job.n + PAVE_PAIR_BLOCK - 1) / PAVE_PAIR_BLOCK * PAVE_PAIR_BLOCK) return;
#pragma unroll
    for (int r = 0; r < R; r++)
        if (x.inside[r]) pairs_store(x.y[r], x.col, x.valid[r], x.v[r]);
}

/* Which of a product's values there are, whose rows are known, and what their sums stand for. SCALED: operands may be F16S, and
 * a_scale says as in scale_rows. */
template <int R, bool SCALED>
__device__ __forceinline__ void epilogue_begin(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                               const tile_job &job, patch<R, 4> &x, bool scaled,
                                               float a_scale = 1.0f) {
    const int64_t columns = job.n - x.col;
    x.cols_valid = columns > 4 ? 4 : columns < 0 ? 0 : static_cast<int>(columns);
#pragma unroll
    for (int r = 0; r < R; r++) x.valid[r] = x.inside[r] ? x.cols_valid : 0;
    if constexpr (SCALED) {
        if (!scaled && (has_scales(args, job) || a_scale != 1.0f))
            scale_rows<R>(args, buffers, job, a_scale, x);
    }
}

/* The chain from link `first` on, then y where it is stored. The whole warp takes part. */
template <int R>
__device__ __forceinline__ void epilogue_end(const pave_abi_gemm &args, const tensors &t, const tile_job &job,
                                             patch<R, 4> &x, int first) {
    chain_apply<R, 4>(args.links, args.link_count, t, x, first);
    if (args.y_type == PAVE_T_NONE) return;
    if (args.y_type == PAVE_T_F16X2) return store_pairs<R>(job, x);
    char *at[R];
#pragma unroll
    for (int r = 0; r < R; r++) at[r] = x.y[r] + x.col * element_bytes(args.y_type);
    quads_store<R>(at, args.y_type, x.valid, x.v);
}

template <int R, bool SCALED = false>
__device__ __forceinline__ void epilogue_values(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                                const tensors &t, const tile_job &job, patch<R, 4> &x,
                                                epilogue_done done = {false, 0}) {
    epilogue_begin<R, SCALED>(args, buffers, job, x, done.scaled);
    epilogue_end<R>(args, t, job, x, done.links);
}

__device__ __forceinline__ void state_store(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                            const tile_job &job, int64_t row, int64_t slice, float2 state) {
    static_cast<float2 *>(buffers.p)[job.p_index + row * args.slots + slice] = state;
}

/* States of a reduction over R rows of one slice. */
template <int R> struct row_states {
    float2 s[R];
    int reduce;

    __device__ __forceinline__ explicit row_states(int reduce_) : reduce(reduce_) {
#pragma unroll
        for (int r = 0; r < R; r++) s[r] = pave_state_begin(reduce);
    }

    __device__ __forceinline__ void fold(const patch<R, 4> &x) {
        if (reduce == PAVE_REDUCE_NONE) return;
#pragma unroll
        for (int r = 0; r < R; r++)
            s[r] = state_fold<4>(reduce, s[r], x.v[r], x.valid[r], static_cast<int>(x.col), 1);
    }

    /* LANES neighbouring lanes have folded the slice's columns of x's rows; a tile's last slices may lie beyond n. The whole
     * warp takes part. */
    template <int LANES>
    __device__ __forceinline__ void store(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                          const tile_job &job, int64_t slice, const patch<R, 4> &x) const {
        if (reduce == PAVE_REDUCE_NONE || slice >= args.slots) return;
#pragma unroll
        for (int r = 0; r < R; r++) {
            const float2 all = state_merge_lanes<LANES>(reduce, s[r]);
            if (threadIdx.x % LANES == 0 && x.inside[r])
                state_store(args, buffers, job, x.row[r], slice, all);
        }
    }
};

/* All of the end of a thread's one quad of a row, where LANES neighbours have the slice's columns. */
template <int LANES, bool SCALED>
__device__ __forceinline__ void epilogue_quad(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                              const tensors &t, const tile_job &job, int64_t row, int64_t col,
                                              int64_t slice, const bias_quad &bias, float a_scale,
                                              patch<1, 4> &x) {
    x.row[0] = row;
    x.col = col;
    epilogue_rows<1>(buffers, job, x);
    epilogue_begin<1, SCALED>(args, buffers, job, x, false, a_scale);
    if (bias.is) bias.add(args.links[0], x.v[0]);
    epilogue_end<1>(args, t, job, x, bias.is ? 1 : 0);
    row_states<1> states(args.reduce);
    states.fold(x);
    states.template store<LANES>(args, buffers, job, slice, x);
}

} // namespace pave

#endif
