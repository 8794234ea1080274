/* SPDX-License-Identifier: Apache-2.0
 * The main loop of products of float8, E4M3 and E5M2 in any mixture. Ada's units keep 13 bits behind the largest of what they
 * add, so they may not add up for long: they sum the 32 products of one instruction, from 0, and sums are added outside, to
 * nearest. Source: Zhang et al., *SageAttention2*, 2024; docs/precision.md has the bound.
 *
 * Work, alignment and shared memory as in gemm_mma.cu. The sums take the registers that fragments loaded a k-step ahead would:
 * blocks of a unit hide one another's loads. */
#ifndef PAVE_KERNELS_GEMM_MMA_FLOAT8_CUH
#define PAVE_KERNELS_GEMM_MMA_FLOAT8_CUH

#include "kernels/abi.h"
#include "kernels/gemm/mma_stages.cuh"

namespace pave {

/* A warp's operands of one k-step: all of its B, and of A the 16 rows that are multiplied and the next ones. */
template <class T> struct float8_fragments {
    static constexpr int COUNT = 4; /* sums at a time */
    static_assert(T::NI % COUNT == 0, "rows of tiles are whole counts");

    uint32_t a[2][4];
    uint32_t b[T::NI / 2][4]; /* as in mma_fragments */

    __device__ __forceinline__ void load_a(uint32_t a_at, int i) {
        load_matrices(a[i % 2], a_at + i * (16 * T::ROW_BYTES));
    }

    __device__ __forceinline__ void load_b(uint32_t b_at) {
#pragma unroll
        for (int j = 0; j < T::NI / 2; j++) load_matrices(b[j], b_at + j * (16 * T::ROW_BYTES));
    }

    __device__ __forceinline__ void add(float (&d)[4], int i, int j) const {
        const uint32_t b0 = b[j / 2][j % 2 * 2], b1 = b[j / 2][j % 2 * 2 + 1];
        if (T::A == PAVE_T_E4M3 && T::B == PAVE_T_E4M3)
            multiply_e4m3(d, a[i % 2], b0, b1);
        else if (T::A == PAVE_T_E4M3)
            multiply_e4m3_e5m2(d, a[i % 2], b0, b1);
        else if (T::B == PAVE_T_E4M3)
            multiply_e5m2_e4m3(d, a[i % 2], b0, b1);
        else
            multiply_e5m2(d, a[i % 2], b0, b1);
    }

    /* Row i of the warp's tiles. */
    __device__ __forceinline__ void multiply(float (&acc)[T::NI][4], int i) const {
        if constexpr (F8_ADDS_APART) {
#pragma unroll
            for (int j = 0; j < T::NI; j++) add(acc[j], i, j);
        } else {
#pragma unroll
            for (int j = 0; j < T::NI; j += COUNT) {
                float sum[COUNT][4] = {};
#pragma unroll
                for (int c = 0; c < COUNT; c++) add(sum[c], i, j + c);
#pragma unroll
                for (int e = 0; e < 4 * COUNT; e++) acc[j + e / 4][e % 4] += sum[e / 4][e % 4];
            }
        }
    }
};

/* acc += A · Bᵀ of this warp's tile over all of k, whose first k-tiles are under way. On return no copy is, and shared memory
 * is free when all warps have come here. */
template <class T, class COPIER>
__device__ __forceinline__ void mma_float8_loop(COPIER &copier, uint32_t shared, int64_t k_tiles,
                                                float (&acc)[T::MI][T::NI][4]) {
    mma_stages<T> p;
    p.start(shared);
    copy_wait<T::STAGES - 2>();
    __syncthreads();
#pragma unroll 1
    for (; k_tiles > 0; k_tiles--) {
        copier.tile(p.write);
#pragma unroll 1
        for (int step = 0; step < T::STEPS; step++) {
            float8_fragments<T> of;
            const uint32_t a_at = p.read + (p.a_at ^ step << 5);
            of.load_a(a_at, 0);
            of.load_b(p.read + T::B_BASE + (p.b_at ^ step << 5));
#pragma unroll
            for (int i = 0; i < T::MI; i++) {
                if (i + 1 < T::MI) of.load_a(a_at, i + 1);
                of.multiply(acc[i], i);
            }
        }
        p.turn();
    }
    copy_wait<0>();
}

} // namespace pave

#endif
