/* SPDX-License-Identifier: Apache-2.0
 * The main loop of products that matrix units may not add up for long, because they cut off what they add: they sum one block
 * of k at a time, and blocks are added outside, to nearest.
 *
 * F16X2, each float32 being high + low 2^-11: high·high + 2^-11 (high·low + low·high) of 16 products. What low·low would add
 * is below 2^-22 of a product. Source of the form: Ootomo and Yokota, *Recovering single precision accuracy from Tensor Cores
 * while surpassing the FP32 theoretical peak performance*, 2022.
 * float8: 32 products, of which Ada's units keep 13 bits behind the largest one's first. Source: Zhang et al.,
 * *SageAttention2*, 2024; docs/precision.md has the bound.
 *
 * Work, alignment and shared memory as in gemm_mma.cu; a row's 64-byte block of 16 elements of F16X2 is two k-steps there, its
 * highs and its lows. Two blocks of a unit hide one another's loads of B's fragments, for which there are no registers here. */
#ifndef PAVE_KERNELS_GEMM_MMA_PROMOTED_CUH
#define PAVE_KERNELS_GEMM_MMA_PROMOTED_CUH

#include "kernels/abi.h"
#include "kernels/cuda/ptx.cuh"

namespace pave {

/* A warp's operands of one block of k, of pairs [0] their highs, [1] their lows: all of its B, and of A the 16 rows that are
 * multiplied and the next ones. */
template <class T> struct block_fragments {
    static constexpr int PARTS = T::PAIRS ? 2 : 1, COUNT = 4; /* k-steps; sums at a time */
    static_assert(T::NI % COUNT == 0, "rows of tiles are whole chains");

    uint32_t a[2][PARTS][4];
    uint32_t b[PARTS][T::NI / 2][4]; /* as in mma_fragments */
    uint32_t a_at, b_at;             /* this lane's places at the block */

    __device__ __forceinline__ void load_a(int i) {
#pragma unroll
        for (int part = 0; part < PARTS; part++)
            load_matrices(a[i % 2][part], (a_at ^ part << 5) + i * (16 * T::ROW_BYTES));
    }

    __device__ __forceinline__ void load_b() {
#pragma unroll
        for (int part = 0; part < PARTS; part++)
#pragma unroll
            for (int j = 0; j < T::NI / 2; j++)
                load_matrices(b[part][j], (b_at ^ part << 5) + j * (16 * T::ROW_BYTES));
    }

    __device__ __forceinline__ void add(float (&d)[4], int i, int j, int a_part, int b_part) const {
        multiply_f16(d, a[i % 2][a_part], b[b_part][j / 2][j % 2 * 2], b[b_part][j / 2][j % 2 * 2 + 1]);
    }

    /* Sums j … of row i of the warp's tiles: each is a chain of three multiplications, and others run beside it. */
    __device__ __forceinline__ void sum_pairs(float (&sum)[COUNT][4], int i, int j) const {
#pragma unroll
        for (int e = 0; e < 4 * COUNT; e++) sum[e / 4][e % 4] = 0.0f;
#pragma unroll
        for (int c = 0; c < COUNT; c++) add(sum[c], i, j + c, 0, 1);
#pragma unroll
        for (int c = 0; c < COUNT; c++) add(sum[c], i, j + c, 1, 0);
#pragma unroll
        for (int e = 0; e < 4 * COUNT; e++) sum[e / 4][e % 4] *= 1.0f / (1 << PAVE_PAIR_SHIFT);
#pragma unroll
        for (int c = 0; c < COUNT; c++) add(sum[c], i, j + c, 0, 0);
    }

    __device__ __forceinline__ void sum_float8(float (&sum)[COUNT][4], int i, int j) const {
#pragma unroll
        for (int c = 0; c < COUNT; c++) {
            for (int e = 0; e < 4; e++) sum[c][e] = 0.0f;
            const uint32_t(&of_b)[4] = b[0][(j + c) / 2];
            const uint32_t b0 = of_b[c % 2 * 2], b1 = of_b[c % 2 * 2 + 1];
            if (T::A == PAVE_T_E4M3 && T::B == PAVE_T_E4M3)
                multiply_e4m3(sum[c], a[i % 2][0], b0, b1);
            else if (T::A == PAVE_T_E4M3)
                multiply_e4m3_e5m2(sum[c], a[i % 2][0], b0, b1);
            else if (T::B == PAVE_T_E4M3)
                multiply_e5m2_e4m3(sum[c], a[i % 2][0], b0, b1);
            else
                multiply_e5m2(sum[c], a[i % 2][0], b0, b1);
        }
    }

    /* Row i of the warp's tiles. */
    __device__ __forceinline__ void multiply(float (&acc)[T::NI][4], int i) const {
#pragma unroll
        for (int j = 0; j < T::NI; j += COUNT) {
            float sum[COUNT][4];
            if constexpr (T::PAIRS)
                sum_pairs(sum, i, j);
            else
                sum_float8(sum, i, j);
#pragma unroll
            for (int e = 0; e < 4 * COUNT; e++) acc[j + e / 4][e % 4] += sum[e / 4][e % 4];
        }
    }
};

/* Copies the current k-tile, whatever of it exists. */
template <class T, class COPIER>
__device__ __forceinline__ void promoted_copy(COPIER &copier, uint32_t stage) {
    constexpr int PASSES = T::A_PASSES + T::B_PASSES;
    const char *at = nullptr;
    if (copier.left >= 16 && copier.has_all_rows())
        copier.template whole_passes<0, PASSES>(stage, at);
    else
        copier.template passes<0, PASSES>(stage);
    copy_commit();
    copier.next();
}

/* acc += A · Bᵀ of this warp's tile over all of k. On return no copy is under way and shared memory is free. */
template <class T, class COPIER>
__device__ __forceinline__ void mma_promoted_loop(COPIER &copier, uint32_t shared, int64_t k_tiles,
                                                  float (&acc)[T::MI][T::NI][4]) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t a_at = T::swizzled(warp / T::WARPS_N * T::WM + lane % 16, lane / 16);
    const uint32_t b_at = T::swizzled(warp % T::WARPS_N * T::WN + lane / 16 * 8 + lane % 8, lane / 8 % 2);
    const uint32_t last = shared + (T::STAGES - 1) * T::STAGE_BYTES;
    uint32_t read = shared, write = last;
#pragma unroll 1
    for (uint32_t stage = shared; stage != last; stage += T::STAGE_BYTES) promoted_copy<T>(copier, stage);
#pragma unroll 1
    for (; k_tiles > 0; k_tiles--) {
        copy_wait<T::STAGES - 2>();
        __syncthreads();
        promoted_copy<T>(copier, write);
#pragma unroll 1
        for (int step = 0; step < T::STEPS; step += block_fragments<T>::PARTS) {
            block_fragments<T> of;
            of.a_at = read + (a_at ^ step << 5);
            of.b_at = read + T::B_BASE + (b_at ^ step << 5);
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
    __syncthreads();
}

} // namespace pave

#endif
