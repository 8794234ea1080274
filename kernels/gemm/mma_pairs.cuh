/* SPDX-License-Identifier: Apache-2.0
 * What is multiplied where operands are F16X2, each float32 being high + low 2^-11: high·high + 2^-11 (high·low +
 * low·high). What low·low would add is below 2^-22 of a product. Matrix units truncate as they add, which over a
 * long sum adds up. So they add up high·high for one block of 16 products at a time, and blocks are added outside,
 * to nearest; the sums of high·low and low·high, which count for 2^-11, stay in them. Source of the form: Ootomo
 * and Yokota, *Recovering single precision accuracy from Tensor Cores while surpassing the FP32 theoretical peak
 * performance*, 2022.
 *
 * A row's 64-byte block of 16 elements is two k-steps of gemm_mma.cu, its highs and its lows. */
#ifndef PAVE_KERNELS_GEMM_MMA_PAIRS_CUH
#define PAVE_KERNELS_GEMM_MMA_PAIRS_CUH

#include "kernels/abi.h"
#include "kernels/gemm/mma_stages.cuh"

namespace pave {

/* A warp's place in the main loop. It holds all of its B of a k-tile, and of A the 16 rows that are multiplied,
 * and the highs of the next ones: their lows are loaded when these are done, and used last. A step is 16 rows of
 * the warp's tile. */
template <class T> struct pair_position : mma_stages<T> {
    static constexpr int BLOCKS = T::STEPS / 2;
    uint32_t a_high[2][BLOCKS][4], a_low[BLOCKS][4];
    uint32_t b_high[BLOCKS][T::NI / 2][4], b_low[BLOCKS][T::NI / 2][4]; /* as in mma_fragments */
    float cross[T::MI][T::NI][4] = {};

    static_assert(T::MI % 2 == 0, "16 rows alternate between two sets");

    __device__ __forceinline__ void load_a(uint32_t (&a)[BLOCKS][4], int part, int i) {
#pragma unroll
        for (int x = 0; x < BLOCKS; x++)
            load_matrices(a[x], this->read + (this->a_at ^ (x << 6 | part << 5)) + i * (16 * T::ROW_BYTES));
    }

    __device__ __forceinline__ void load_b(uint32_t (&b)[BLOCKS][T::NI / 2][4], int part) {
        const uint32_t at = this->read + T::B_BASE;
#pragma unroll
        for (int x = 0; x < BLOCKS; x++)
#pragma unroll
            for (int j = 0; j < T::NI / 2; j++)
                load_matrices(b[x][j], at + (this->b_at ^ (x << 6 | part << 5)) + j * (16 * T::ROW_BYTES));
    }

    __device__ __forceinline__ void add(float (&d)[T::NI][4], const uint32_t (&a)[BLOCKS][4],
                                        const uint32_t (&b)[BLOCKS][T::NI / 2][4]) const {
#pragma unroll
        for (int x = 0; x < BLOCKS; x++)
#pragma unroll
            for (int j = 0; j < T::NI; j++)
                multiply_f16(d[j], a[x], b[x][j / 2][j % 2 * 2], b[x][j / 2][j % 2 * 2 + 1]);
    }

    __device__ __forceinline__ void multiply(float (&acc)[T::NI][4], int i) {
        float sum[T::NI][4] = {};
        add(sum, a_high[i % 2], b_high);
        add(cross[i], a_high[i % 2], b_low);
        add(cross[i], a_low, b_high);
#pragma unroll
        for (int e = 0; e < 4 * T::NI; e++) acc[e / 4][e % 4] += sum[e / 4][e % 4];
    }

    __device__ __forceinline__ void load_first() {
        load_a(a_high[0], 0, 0);
        load_b(b_high, 0);
        load_b(b_low, 1);
        load_a(a_low, 1, 0);
    }

    /* All rows but the last 16 of the k-tile that is read, while a whole one is copied (COPY). */
    template <bool COPY, class COPIER>
    __device__ __forceinline__ void most_steps(COPIER &copier, float (&acc)[T::MI][T::NI][4]) {
        const char *at = nullptr;
        if constexpr (COPY) copier.template whole_passes<0, T::A_PASSES + T::B_PASSES>(this->write, at);
#pragma unroll
        for (int i = 0; i < T::MI - 1; i++) {
            load_a(a_high[(i + 1) % 2], 0, i + 1);
            multiply(acc[i], i);
            load_a(a_low, 1, i + 1);
        }
    }

    /* The last 16 rows, while the next k-tile's first ones are loaded (NEXT). */
    template <bool NEXT> __device__ __forceinline__ void last_step(float (&acc)[T::MI][T::NI][4]) {
        if constexpr (NEXT) load_a(a_high[0], 0, 0);
        multiply(acc[T::MI - 1], T::MI - 1);
        if constexpr (NEXT) {
            load_b(b_high, 0);
            load_b(b_low, 1);
            load_a(a_low, 1, 0);
        }
    }

    __device__ __forceinline__ void finish(float (&acc)[T::MI][T::NI][4]) const {
#pragma unroll
        for (int i = 0; i < T::MI; i++)
#pragma unroll
            for (int e = 0; e < 4 * T::NI; e++)
                acc[i][e / 4][e % 4] =
                    fmaf(cross[i][e / 4][e % 4], 1.0f / (1 << PAVE_PAIR_SHIFT), acc[i][e / 4][e % 4]);
    }
};

} // namespace pave

#endif
