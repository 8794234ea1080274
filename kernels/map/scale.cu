/* SPDX-License-Identifier: Apache-2.0
 * A matrix as float16 with a power of two for each row: 11 significant bits (F16S) or, as the sum of two (F16X2), 22 for all
 * that is not far below its row's largest, where float16 alone has no range. Rows of the table PAVE_MAP_SCALE_CUDA_ROWS.
 *
 * Work: a block a row, four consecutive columns a thread at a time, COLS of the row under way at once. A row of up to COLS stays
 * in registers between its maximum and its store; of a longer one the rest is read again. Alignment: none needed; four elements
 * that lie on a multiple of their size move at once. Shared memory: a maximum a warp. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/space.cuh"
#include "kernels/map/rows.h"

namespace pave {

/* The largest finite |v| as bits, which are ordered as their values are. */
__device__ __forceinline__ uint32_t magnitude(const float (&v)[4], uint32_t largest) {
#pragma unroll
    for (int c = 0; c < 4; c++) {
        const uint32_t bits = __float_as_uint(v[c]) & 0x7fffffffu;
        largest = bits < 0x7f800000u && bits > largest ? bits : largest;
    }
    return largest;
}

template <int THREADS> __device__ __forceinline__ uint32_t block_largest(uint32_t largest) {
    __shared__ uint32_t warps[THREADS / 32];
    largest = __reduce_max_sync(0xffffffffu, largest);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = largest;
    __syncthreads();
#pragma unroll
    for (int w = 0; w < THREADS / 32; w++) largest = warps[w] > largest ? warps[w] : largest;
    __syncthreads();
    return largest;
}

/* Biased exponent of the scale that brings `largest` to [2^14, 2^15). At 1, the least normal number, what is denormal as a
 * float is a multiple of half's least number, so nothing is lost. */
__device__ __forceinline__ int scale_exponent(uint32_t largest) {
    if (largest == 0) return 127;
    const int exponent = static_cast<int>(largest >> 23) - 14;
    return exponent > 1 ? exponent : 1;
}

/* Four quotients at column col of a row. */
template <int TO>
__device__ __forceinline__ void scaled_store(char *row, int64_t col, int count, const float (&v)[4]) {
    if constexpr (TO == PAVE_T_F16S)
        quad_scatter(row + col * 2, PAVE_T_F16, 1, count, v);
    else if (count > 0)
        pairs_store(row, col, count, v);
}

template <int TO, int COLS, int THREADS>
__device__ __forceinline__ void map_scale(const pave_abi_rows &args, const void *x, void *y) {
    constexpr int KEPT = COLS / (4 * THREADS), STEP = 4 * THREADS;
    static_assert(KEPT * 4 * THREADS == COLS && THREADS % 32 == 0, "four columns a thread at a time");
    const int64_t units = unit_count(args, args.rows, 1);
    const int type = args.x_type;
    /* Which float16 holds as they are. One by one: of both at once the compiler makes nothing. */
    PAVE_ASSUME(type != PAVE_T_E4M3);
    PAVE_ASSUME(type != PAVE_T_E5M2);
    const int64_t first = threadIdx.x * 4;
#pragma unroll 1
    for (int64_t unit = block_index(); unit < units; unit += block_count()) {
        const row_place place = unit_place(args, unit, args.rows, 1, 1);
        const char *from = static_cast<const char *>(x) + place_offset(args.x, type, place, 0);
        const bool in_quads = whole_quads(args.x, type, args.cols, from);
        float kept[KEPT][4];
        auto load = [&](int64_t at) {
            const int64_t col = first + at;
            if (in_quads) {
                unsigned here = 0;
#pragma unroll
                for (int i = 0; i < KEPT; i++) here |= col + i * STEP < args.cols ? 1u << i : 0;
                quads_load(element_at(from, type, col), type, STEP * element_bytes(type), here, kept);
                return;
            }
            const int64_t left = args.cols - col;
            int count[KEPT];
#pragma unroll
            for (int i = 0; i < KEPT; i++) count[i] = static_cast<int>(left < COLS ? left : COLS) - i * STEP;
            elements_load<KEPT>(element_at(from, type, col * args.x.col), type, args.x.col, STEP * args.x.col,
                                count, kept);
        };
        uint32_t largest = 0;
        /* The first columns last, which are then here. */
#pragma unroll 1
        for (int64_t at = (args.cols - 1) / COLS * COLS; at >= 0; at -= COLS) {
            load(at);
#pragma unroll
            for (int i = 0; i < KEPT; i++) largest = magnitude(kept[i], largest);
        }
        const int exponent = scale_exponent(block_largest<THREADS>(largest));
        const float inverse = __uint_as_float(static_cast<uint32_t>(254 - exponent) << 23);
        const int64_t before = batch_offset(args.y, place.batch);
        const int64_t index = place.row + (before == 0 ? 0 : before / args.y.row);
        if (threadIdx.x == 0)
            reinterpret_cast<uint32_t *>(static_cast<char *>(y) + args.slots)[index] =
                static_cast<uint32_t>(exponent) << 23;
        char *to = static_cast<char *>(y) + args.y.offset +
                   (before + place.row * args.y.row) * (TO == PAVE_T_F16S ? 2 : 4);
#pragma unroll 1
        for (int64_t at = 0; at < args.width; at += COLS) {
            if (at > 0) load(at);
#pragma unroll
            for (int i = 0; i < KEPT; i++) {
                const int64_t col = first + at + i * STEP;
#pragma unroll
                for (int c = 0; c < 4; c++) kept[i][c] *= inverse;
                scaled_store<TO>(to, col, quad_count(args.width - col), kept[i]);
            }
        }
    }
}

} // namespace pave

#define PAVE_KERNEL(NAME, TO, COLS, THREADS, BLOCKS)                                                       \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                          \
        NAME(const __grid_constant__ pave_abi_rows args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        pave::follow_launches();                                                                           \
        pave::map_scale<PAVE_T_##TO, COLS, THREADS>(args, x, y);                                           \
    }
PAVE_MAP_SCALE_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
