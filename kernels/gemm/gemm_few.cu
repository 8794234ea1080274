/* SPDX-License-Identifier: Apache-2.0
 * Products of few rows on the matrix units with mma.sync: y = chain(A · Bᵀ), rows in PAVE_GEMM_FEW_ROWS. As in gemm_dot.cu, B is
 * read once, straight into registers, by loads that never drain; here the tensor cores do the arithmetic of bm rows of A.
 *
 * Work: a block computes bm × bn, each of its warps all of that for its share of k. B gives the instruction's 16 rows and A its 8
 * columns, so that few rows of A leave no unit idle. The order of k within an instruction is free as long as both operands have
 * the same, so a lane's 16 bytes of a row, along which lanes of four lie side by side, are its share of two instructions as they
 * are. A warp takes 64 elements of k in two steps, the block's warps bk in turn; `stages` times that of B is under way, and of A,
 * which is read through the L1, two steps. The warps' sums are added in a fixed order. Then each thread has four columns
 * of a row. Alignment: base and row stride of A and B are multiples of 16 bytes. Bounds: m, n and k are free; what lies beyond
 * counts as zero and is not read.
 *
 * Shared memory: the warps' sums, [warp][row of A][bn + 4] floats: what a warp writes at a time, 8 columns of every other of 8
 * rows, lies in 32 banks. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/raster.cuh"
#include "kernels/gemm/rows.h"

namespace pave {

template <int IN_, int BM_, int BN_, int BK_, int STAGES_> struct few_tile {
    static constexpr int IN = IN_, BM = BM_, BN = BN_, BK = BK_, BYTES = 2;
    static constexpr bool SCALED = IN == PAVE_T_F16;
    static constexpr int WIDTH = 8, STEP = 4 * WIDTH, PAIR = 2 * STEP; /* of k: a load, a step, two */
    static constexpr int WARPS = BK / PAIR, THREADS = WARPS * 32, RING = 2 * STAGES_;
    static constexpr int MT = BM / 8, NT = BN / 16;
    static constexpr int A_RING = 2;
    static constexpr int PITCH = BN + 4, QUADS = BM * BN / 4;
    static_assert(element_is_half(IN), "of two bytes");
    static_assert(BM % 8 == 0 && BN % 16 == 0 && QUADS % 32 == 0,
                  "whole instructions, and whole warps at the end");
    static_assert(BK == WARPS * PAIR && STAGES_ > 0, "a warp takes two steps at a time");
};

/* A lane's rows of an operand, one of each eight, and its 16 bytes of the first in the warp's current step. */
struct few_rows {
    const char *at;
    int64_t apart; /* bytes from one of its rows to the next */
    int exist;     /* of the tile's, from this lane's first one on */

    __device__ __forceinline__ few_rows(const void *base, const tile_operand &of) {
        const int row = threadIdx.x % 32 / 4;
        at = static_cast<const char *>(base) + of.offset + row * of.row;
        apart = 8 * of.row;
        exist = of.rows - row;
    }

    /* The 16 bytes `ahead` bytes on; rows that do not exist stay what they are. ONCE: not to stay in the L1. */
    template <bool ONCE, int COUNT>
    __device__ __forceinline__ void load(uint4 (&to)[COUNT], int64_t ahead) const {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            const char *from = at + i * apart + ahead;
            if (i * 8 < exist) to[i] = ONCE ? load_once(from) : *reinterpret_cast<const uint4 *>(from);
        }
    }

    /* The same of which `left` elements exist, the others zero. */
    template <int COUNT>
    __device__ __forceinline__ void load_rest(uint4 (&to)[COUNT], int64_t ahead, int left) const {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            const uint16_t *from = reinterpret_cast<const uint16_t *>(at + i * apart + ahead);
            uint4 v = make_uint4(0, 0, 0, 0);
            if (i * 8 < exist && left >= 8) v = *reinterpret_cast<const uint4 *>(from);
#pragma unroll 1
            for (int e = i * 8 < exist && left < 8 ? left - 1 : -1; e >= 0; e--) {
                v.w = v.w << 16 | v.z >> 16, v.z = v.z << 16 | v.y >> 16, v.y = v.y << 16 | v.x >> 16;
                v.x = v.x << 16 | from[e];
            }
            to[i] = v;
        }
    }
};

template <class T> struct few_sums {
    float acc[T::NT][T::MT][4] = {};

    /* One step, two instructions deep: two rows of B eight apart are an instruction's first and last eight. */
    __device__ __forceinline__ void add(const uint4 (&b)[2 * T::NT], const uint4 (&a)[T::MT]) {
#pragma unroll
        for (int i = 0; i < T::NT; i++) {
            const uint32_t low[4] = {b[2 * i].x, b[2 * i + 1].x, b[2 * i].y, b[2 * i + 1].y};
#pragma unroll
            for (int j = 0; j < T::MT; j++) multiply(acc[i][j], low, a[j].x, a[j].y);
        }
#pragma unroll
        for (int i = 0; i < T::NT; i++) {
            const uint32_t high[4] = {b[2 * i].z, b[2 * i + 1].z, b[2 * i].w, b[2 * i + 1].w};
#pragma unroll
            for (int j = 0; j < T::MT; j++) multiply(acc[i][j], high, a[j].z, a[j].w);
        }
    }

    __device__ static __forceinline__ void multiply(float (&d)[4], const uint32_t (&b)[4], uint32_t a0,
                                                    uint32_t a1) {
        if (T::IN == PAVE_T_F16)
            multiply_f16(d, b, a0, a1);
        else
            multiply_bf16(d, b, a0, a1);
    }

    /* This warp's share of k: whole pairs of steps in turn, and what is left of k, less than one, is the warp's whose turn it is
     * then. */
    __device__ __forceinline__ void over_k(few_rows a, few_rows b, int64_t k_end) {
        const int warp = threadIdx.x / 32, lane_k = threadIdx.x % 4 * T::WIDTH;
        const int64_t pairs = k_end / T::PAIR;
        int64_t left = (pairs + T::WARPS - 1 - warp) / T::WARPS * 2; /* steps */
        uint4 b_ring[T::RING][2 * T::NT] = {}, a_ring[T::A_RING][T::MT] = {};
        a.at += (warp * T::PAIR + lane_k) * 2;
        b.at += (warp * T::PAIR + lane_k) * 2;
        const auto ahead = [](int step) { return (step / 2 * T::BK + step % 2 * T::STEP) * 2; };
#pragma unroll
        for (int i = 0; i < T::RING; i++)
            if (i < left) b.template load<true>(b_ring[i], ahead(i));
#pragma unroll
        for (int i = 0; i < T::A_RING; i++)
            if (i < left) a.template load<false>(a_ring[i], ahead(i));
#pragma unroll 1
        for (; left > 0; left -= T::RING) {
#pragma unroll
            for (int i = 0; i < T::RING; i++) {
                if (i >= left) break;
                add(b_ring[i], a_ring[i % T::A_RING]);
                if (i + T::RING < left) b.template load<true>(b_ring[i], ahead(i + T::RING));
                if (i + T::A_RING < left) a.template load<false>(a_ring[i % T::A_RING], ahead(i + T::A_RING));
            }
            a.at += ahead(T::RING);
            b.at += ahead(T::RING);
        }
    }

    __device__ __forceinline__ void over_rest(const few_rows &a, const few_rows &b, int64_t k_end) {
        const int64_t first = k_end / T::PAIR * T::PAIR;
        if (first == k_end || threadIdx.x / 32 != k_end / T::PAIR % T::WARPS) return;
#pragma unroll 1
        for (int64_t k = first + threadIdx.x % 4 * T::WIDTH, step = 0; step < 2; step++, k += T::STEP) {
            uint4 b_last[2 * T::NT], a_last[T::MT];
            b.load_rest(b_last, k * 2, static_cast<int>(k_end - k));
            a.load_rest(a_last, k * 2, static_cast<int>(k_end - k));
            add(b_last, a_last);
        }
    }

    /* To this warp's part of shared memory. Lane l has rows 2 (l % 4) and the next of A, columns l / 4 and 8 more. */
    __device__ __forceinline__ void leave(float *part) const {
        const int row = threadIdx.x % 4 * 2, column = threadIdx.x % 32 / 4;
#pragma unroll
        for (int i = 0; i < T::NT; i++)
#pragma unroll
            for (int j = 0; j < T::MT; j++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    part[(j * 8 + row + e % 2) * T::PITCH + i * 16 + column + e / 2 * 8] = acc[i][j][e];
    }
};

template <class T>
__device__ __forceinline__ void gemm_few(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                         const tensors &t) {
    using raster = gemm_raster<T::BM, T::BN, T::BYTES>;
    constexpr int LANES = T::BN / 4, PART = T::BM * T::PITCH;
    __shared__ tile_job job;
    float *parts = reinterpret_cast<float *>(dynamic_shared());
    if (block_index() >= raster::count(args)) return follow_launches();
#pragma unroll 1
    for (int64_t tile = block_index(); tile < raster::count(args);) {
        raster::take(args, buffers.g, tile, job);
        follow_launches();
        few_sums<T> sums;
        const few_rows a(buffers.a, job.a), b(buffers.b, job.b);
        sums.over_k(a, b, job.k);
        sums.over_rest(a, b, job.k);
        sums.leave(parts + threadIdx.x / 32 * PART);
        __syncthreads();
#pragma unroll 1
        for (int quad = threadIdx.x; quad < T::QUADS; quad += T::THREADS) {
            const int row = quad / LANES, column = quad % LANES * 4;
            patch<1, 4> x = {};
#pragma unroll
            for (int w = 0; w < T::WARPS; w++) {
                const float4 part =
                    *reinterpret_cast<const float4 *>(parts + w * PART + row * T::PITCH + column);
                x.v[0][0] += part.x, x.v[0][1] += part.y, x.v[0][2] += part.z, x.v[0][3] += part.w;
            }
            epilogue_quad<LANES, T::SCALED>(args, buffers, t, job, job.row + row, job.col + column,
                                            job.col / T::BN, x);
        }
        tile = job.next;
        __syncthreads();
    }
}

} // namespace pave

#define PAVE_KERNEL(NAME, IN, BM, BN, BK, STAGES, REGISTERS, EFFICIENCY)                                 \
    extern "C" __global__ void __launch_bounds__((BK) / 2, 65536 / ((BK) / 2 * (REGISTERS)))             \
        NAME(const __grid_constant__ pave_abi_gemm args, const void *a, const void *b, void *y, void *p, \
             const void *g, PAVE_TENSOR_PARAMETERS) {                                                    \
        pave::gemm_few<pave::few_tile<PAVE_T_##IN, BM, BN, BK, STAGES>>(                                 \
            args, pave::gemm_buffers{a, b, y, p, g}, pave::tensors{PAVE_TENSOR_NAMES});                  \
    }
PAVE_GEMM_FEW_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
