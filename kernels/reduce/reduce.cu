/* SPDX-License-Identifier: Apache-2.0
 * Row reductions of a matrix of any type, and the join of the states that a fused reduction left. Rows of the
 * tables PAVE_REDUCE_CUDA_ROWS and PAVE_JOIN_CUDA_ROWS.
 *
 * Work: a warp or a whole block a row, rows strided over the grid. Every thread folds its share of the row
 * into one state in a single pass over memory; states are merged in the fixed order of the lanes and warps.
 * Alignment: none needed; a row whose start is a multiple of 16 bytes is read 16 bytes at a time. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/raster.cuh"
#include "kernels/reduce/rows.h"

namespace pave {

/* Loads that a thread has under way at once. */
constexpr int REDUCE_LOADS = 4;

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

/* Folds elements thread, thread + threads, … of [0, cols). */
template <int TYPE>
__device__ __forceinline__ float2 fold_scalars(int reduce, float2 s, const char *x, int64_t cols,
                                               int64_t first, int threads) {
#pragma unroll 1
    for (int64_t i = first; i < cols; i += static_cast<int64_t>(threads) * REDUCE_LOADS) {
        float v[REDUCE_LOADS];
        int count = 0;
#pragma unroll
        for (int u = 0; u < REDUCE_LOADS; u++) {
            const int64_t at = i + static_cast<int64_t>(u) * threads;
            v[u] = 0.0f;
            if (at < cols) {
                v[u] = element_load(element_at(x, TYPE, at), TYPE);
                count = u + 1;
            }
        }
        s = state_fold<REDUCE_LOADS>(reduce, s, v, count);
    }
    return s;
}

/* This thread's state of a row that `threads` threads share. */
template <int TYPE>
__device__ __forceinline__ float2 fold_row(int reduce, const char *x, int64_t cols, int thread, int threads) {
    constexpr int COUNT = wide<TYPE>::COUNT;
    float2 s = pave_state_begin(reduce);
    if ((reinterpret_cast<uintptr_t>(x) & 15) != 0)
        return fold_scalars<TYPE>(reduce, s, x, cols, thread, threads);

    const uint4 *wides = reinterpret_cast<const uint4 *>(x);
    const int64_t wide_count = cols / COUNT;
    int64_t i = thread;
#pragma unroll 1
    for (; i + static_cast<int64_t>(REDUCE_LOADS - 1) * threads < wide_count;
         i += static_cast<int64_t>(REDUCE_LOADS) * threads) {
        uint4 q[REDUCE_LOADS];
#pragma unroll
        for (int u = 0; u < REDUCE_LOADS; u++) q[u] = wides[i + static_cast<int64_t>(u) * threads];
#pragma unroll
        for (int u = 0; u < REDUCE_LOADS; u++) {
            float v[COUNT];
            wide<TYPE>::unpack(q[u], v);
            s = state_fold<COUNT>(reduce, s, v, COUNT);
        }
    }
#pragma unroll 1
    for (; i < wide_count; i += threads) {
        float v[COUNT];
        wide<TYPE>::unpack(wides[i], v);
        s = state_fold<COUNT>(reduce, s, v, COUNT);
    }
    return fold_scalars<TYPE>(reduce, s, x, cols, wide_count * COUNT + thread, threads);
}

__device__ __forceinline__ float2 fold_row_any(const pave_abi_reduce &args, const void *x, int64_t row,
                                               int thread, int threads) {
    const char *at =
        static_cast<const char *>(x) + args.x_offset + row * args.ldx * element_bytes(args.x_type);
    if (args.x_type == PAVE_T_F16) return fold_row<PAVE_T_F16>(args.reduce, at, args.cols, thread, threads);
    if (args.x_type == PAVE_T_BF16) return fold_row<PAVE_T_BF16>(args.reduce, at, args.cols, thread, threads);
    return fold_row<PAVE_T_F32>(args.reduce, at, args.cols, thread, threads);
}

/* The row's value from its state, through the links, to memory: one thread's work. */
__device__ __forceinline__ void finish_row(const pave_abi_reduce &args, const tensors &t, void *y,
                                           int64_t row, float2 s) {
    patch<1, 1> value;
    value.v[0][0] = pave_state_finish(args.reduce, s, static_cast<float>(args.cols));
    value.row[0] = row;
    value.col = 0;
    value.valid[0] = value.cols_valid = 1;
    chain_apply<1, 1>(args.links, args.link_count, t, value);
    char *at = static_cast<char *>(y) + args.y_offset + row * args.y_stride * element_bytes(args.y_type);
    element_store(at, args.y_type, value.v[0][0]);
}

template <int ROWS>
__device__ __forceinline__ void reduce_rows(const pave_abi_reduce &args, const void *x, void *y,
                                            const tensors &t) {
#pragma unroll 1
    for (int64_t row = block_index() * ROWS + threadIdx.x / 32; row < args.rows;
         row += block_count() * ROWS) {
        float2 s = fold_row_any(args, x, row, threadIdx.x % 32, 32);
        s = state_merge_lanes<32>(args.reduce, s);
        if (threadIdx.x % 32 == 0) finish_row(args, t, y, row, s);
    }
}

template <int THREADS>
__device__ __forceinline__ void reduce_block(const pave_abi_reduce &args, const void *x, void *y,
                                             const tensors &t) {
    constexpr int WARPS = THREADS / 32;
    static_assert(THREADS % 32 == 0 && WARPS <= 32, "one warp merges the warps' states");
    __shared__ float2 states[WARPS];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll 1
    for (int64_t row = block_index(); row < args.rows; row += block_count()) {
        float2 s = fold_row_any(args, x, row, threadIdx.x, THREADS);
        s = state_merge_lanes<32>(args.reduce, s);
        if (lane == 0) states[warp] = s;
        __syncthreads();
        if (warp == 0) {
            s = lane < WARPS ? states[lane] : pave_state_begin(args.reduce);
            s = state_merge_lanes<32>(args.reduce, s);
            if (lane == 0) finish_row(args, t, y, row, s);
        }
        __syncthreads();
    }
}

template <int ROWS>
__device__ __forceinline__ void join_rows(const pave_abi_reduce &args, const void *x, void *y,
                                          const tensors &t) {
    const float2 *states = reinterpret_cast<const float2 *>(static_cast<const char *>(x) + args.x_offset);
#pragma unroll 1
    for (int64_t row = block_index() * ROWS + threadIdx.x / 32; row < args.rows;
         row += block_count() * ROWS) {
        float2 s = pave_state_begin(args.reduce);
        for (int64_t slot = threadIdx.x % 32; slot < args.ldx; slot += 32)
            s = pave_state_merge(args.reduce, s, states[row * args.ldx + slot]);
        s = state_merge_lanes<32>(args.reduce, s);
        if (threadIdx.x % 32 == 0) finish_row(args, t, y, row, s);
    }
}

/* The table gives rows a block, which tells a block kernel (1) from a warp kernel. */
template <int ROWS, int THREADS>
__device__ __forceinline__ void reduce_any(const pave_abi_reduce &args, const void *x, void *y,
                                           const tensors &t) {
    if constexpr (ROWS == 1)
        reduce_block<THREADS>(args, x, y, t);
    else
        reduce_rows<ROWS>(args, x, y, t);
    static_assert(ROWS == 1 || ROWS * 32 == THREADS, "a warp a row");
}

} // namespace pave

#define PAVE_KERNEL(NAME, ROWS, THREADS)                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                    \
        NAME(const __grid_constant__ pave_abi_reduce args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        pave::reduce_any<ROWS, THREADS>(args, x, y, pave::tensors{PAVE_TENSOR_NAMES});                       \
    }
PAVE_REDUCE_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL

#define PAVE_KERNEL(NAME, ROWS, THREADS)                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                    \
        NAME(const __grid_constant__ pave_abi_reduce args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        static_assert((ROWS)*32 == (THREADS), "a warp a row");                                               \
        pave::join_rows<ROWS>(args, x, y, pave::tensors{PAVE_TENSOR_NAMES});                                 \
    }
PAVE_JOIN_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
