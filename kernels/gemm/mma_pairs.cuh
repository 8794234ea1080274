/* SPDX-License-Identifier: Apache-2.0
 * The main loop of products of F16X2, each float32 being high + low 2^-11: of high·high + 2^-11 (high·low + low·high). What
 * low·low would add is below 2^-22 of a product. Matrix units truncate as they add, so they add up no more than one block of
 * 16 products at a time; blocks are added outside, to nearest. Source of the form: Ootomo and Yokota, *Recovering single
 * precision accuracy from Tensor Cores while surpassing the FP32 theoretical peak performance*, 2022.
 *
 * Work, alignment and shared memory as in gemm_mma.cu; a row's 64-byte block of 16 elements is two k-steps there, its highs
 * and its lows. Two blocks of a unit hide one another's loads of B's fragments, for which there are no registers here. */
#ifndef PAVE_KERNELS_GEMM_MMA_PAIRS_CUH
#define PAVE_KERNELS_GEMM_MMA_PAIRS_CUH

#include "kernels/abi.h"
#include "kernels/cuda/ptx.cuh"

namespace pave {

/* A warp's operands of one block of k, [0] their highs, [1] their lows: all of its B, and of A the 16 rows that are multiplied
 * and the next ones. */
template <class T> struct pair_fragments {
    uint32_t a[2][2][4];
    uint32_t b[2][T::NI / 2][4]; /* as in mma_fragments */
    uint32_t a_at, b_at;         /* this lane's places at the block */

    __device__ __forceinline__ void load_a(int i) {
#pragma unroll
        for (int part = 0; part < 2; part++)
            load_matrices(a[i % 2][part], (a_at ^ part << 5) + i * (16 * T::ROW_BYTES));
    }

    __device__ __forceinline__ void load_b() {
#pragma unroll
        for (int part = 0; part < 2; part++)
#pragma unroll
            for (int j = 0; j < T::NI / 2; j++)
                load_matrices(b[part][j], (b_at ^ part << 5) + j * (16 * T::ROW_BYTES));
    }

    __device__ __forceinline__ void add(float (&d)[4], int i, int j, int a_part, int b_part) const {
        multiply_f16(d, a[i % 2][a_part], b[b_part][j / 2][j % 2 * 2], b[b_part][j / 2][j % 2 * 2 + 1]);
    }

    /* Row i of the warp's tiles, COUNT sums at a time: each is a chain of three multiplications, and others run beside it. */
    __device__ __forceinline__ void multiply(float (&acc)[T::NI][4], int i) const {
        constexpr int COUNT = 4;
        static_assert(T::NI % COUNT == 0, "rows of tiles are whole chains");
#pragma unroll
        for (int j = 0; j < T::NI; j += COUNT) {
            float sum[COUNT][4] = {};
#pragma unroll
            for (int c = 0; c < COUNT; c++) add(sum[c], i, j + c, 0, 1);
#pragma unroll
            for (int c = 0; c < COUNT; c++) add(sum[c], i, j + c, 1, 0);
#pragma unroll
            for (int e = 0; e < 4 * COUNT; e++) sum[e / 4][e % 4] *= 1.0f / (1 << PAVE_PAIR_SHIFT);
#pragma unroll
            for (int c = 0; c < COUNT; c++) add(sum[c], i, j + c, 0, 0);
#pragma unroll
            for (int e = 0; e < 4 * COUNT; e++) acc[j + e / 4][e % 4] += sum[e / 4][e % 4];
        }
    }
};

/* acc += A · Bᵀ of this warp's tile over all of k, whose first k-tiles are under way. On return no copy is, and shared memory
 * is free when all warps have come here. */
template <class T, class COPIER>
__device__ __forceinline__ void mma_pairs_loop(COPIER &copier, uint32_t shared, int64_t k_tiles,
                                               float (&acc)[T::MI][T::NI][4]) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t a_at = T::swizzled(warp / T::WARPS_N * T::WM + lane % 16, lane / 16);
    const uint32_t b_at = T::swizzled(warp % T::WARPS_N * T::WN + lane / 16 * 8 + lane % 8, lane / 8 % 2);
    const uint32_t last = shared + (T::STAGES - 1) * T::STAGE_BYTES;
    uint32_t read = shared, write = last;
#pragma unroll 1
    for (int64_t tile = 0; tile < k_tiles; tile++) {
        copy_wait<T::STAGES - 2>();
        __syncthreads();
        if (tile > 0) copier.tile(write); /* the first time, all stages are filled */
#pragma unroll 1
        for (int block = 0; block < T::STEPS / 2; block++) {
            pair_fragments<T> of;
            of.a_at = read + (a_at ^ block << 6);
            of.b_at = read + T::B_BASE + (b_at ^ block << 6);
            of.load_a(0);
            of.load_b();
#pragma unroll
            for (int i = 0; i < T::MI; i++) {
                if (i + 1 < T::MI) of.load_a(i + 1);
                of.multiply(acc[i], i);
            }
        }
        write = read;
        read = read == last ? shared : read + T::STAGE_BYTES;
    }
    copy_wait<0>();
}

} // namespace pave

#endif
