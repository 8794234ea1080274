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
 * Where A is float32 a lane has 32 bytes of it, rounded to tf32 for four instructions, for which B's float16 become tf32 too.
 * Products with elements that a scale made large overflow before y does, and denormals lose bits: each row's largest |bits| is
 * noted on the way, rows that it puts in doubt are not stored, and the block takes the tile once more, with those rows times a
 * power of two, and stores them alone. docs/precision.md has the bound.
 *
 * Shared memory: the warps' sums, [warp][row of A][bn + 4] floats: what a warp writes at a time, 8 columns of every other of 8
 * rows, lies in 32 banks. Where there is no room for all, the second half of the warps leave theirs first and the others add
 * them to their own. Beside them each warp's largest |bits| of each row of A. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/raster.cuh"
#include "kernels/gemm/rows.h"
#include <type_traits>

namespace pave {

template <int IN_, int A_, int BM_, int BN_, int BK_, int STAGES_> struct few_tile {
    static constexpr int IN = IN_, A = A_, BM = BM_, BN = BN_, BK = BK_;
    static constexpr int A_BYTES = element_bytes(A), B_BYTES = element_bytes(IN);
    static constexpr bool SCALED = IN == PAVE_T_F16, RANGED = A == PAVE_T_F32;
    static constexpr int WIDTH = 8, STEP = 4 * WIDTH, PAIR = 2 * STEP; /* of k: a lane's, a step, two */
    static constexpr int WARPS = BK / PAIR, THREADS = WARPS * 32, RING = 2 * STAGES_;
    static constexpr int MT = BM / 8, NT = BN / 16;
    static constexpr int A_LOADS = MT * WIDTH * A_BYTES / 16, B_LOADS = 2 * NT; /* of a lane and step */
    static constexpr int A_RING = 2;
    static constexpr int PITCH = BN + 4, PART = BM * PITCH, QUADS = BM * BN / 4;
    /* Warps whose sums shared memory holds: all, or half of them, to which the others' are added first. */
    static constexpr int PARTS = WARPS * PART * 4 <= 44 * 1024 ? WARPS : WARPS / 2;
    static_assert(element_is_half(IN) && (A == IN || (A == PAVE_T_F32 && IN == PAVE_T_F16)),
                  "of two bytes, or tf32 multiplies what float16 is in it");
    static_assert(BM % 8 == 0 && BN % 16 == 0 && QUADS % 32 == 0 && QUADS <= THREADS,
                  "whole instructions, and whole warps at the end, a quad a thread");
    static_assert(BK == WARPS * PAIR && STAGES_ > 0, "a warp takes two steps at a time");
};

/* A lane's rows of an operand, one of each eight, and its eight elements of the first in the warp's current step. */
template <int BYTES> struct few_rows {
    static constexpr int PARTS = BYTES / 2,
                         WIDE = 16 / BYTES; /* loads of eight elements, elements of a load */
    const char *at;
    int64_t apart; /* bytes from one of its rows to the next */
    int exist;     /* of the tile's, from this lane's first one on */

    __device__ __forceinline__ few_rows(const void *base, const tile_operand &of) {
        const int row = threadIdx.x % 32 / 4;
        at = static_cast<const char *>(base) + of.offset + row * of.row;
        apart = 8 * of.row;
        exist = of.rows - row;
    }

    __device__ __forceinline__ void advance(int64_t k) {
        at += k * BYTES;
    }

    /* The eight elements that are `ahead` of the current ones; rows that do not exist stay what they are. ONCE: not to stay in
     * the L1. */
    template <bool ONCE, int COUNT>
    __device__ __forceinline__ void load(uint4 (&to)[COUNT], int64_t ahead) const {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            const char *from = at + i / PARTS * apart + ahead * BYTES + i % PARTS * 16;
            if (i / PARTS * 8 < exist)
                to[i] = ONCE ? load_once(from) : *reinterpret_cast<const uint4 *>(from);
        }
    }

    /* The same of which `left` exist, the others zero. */
    template <int COUNT>
    __device__ __forceinline__ void load_rest(uint4 (&to)[COUNT], int64_t ahead, int left) const {
        using element = typename std::conditional<BYTES == 2, uint16_t, uint32_t>::type;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            const element *from =
                reinterpret_cast<const element *>(at + i / PARTS * apart + ahead * BYTES + i % PARTS * 16);
            const int count = i / PARTS * 8 < exist ? left - i % PARTS * WIDE : 0;
            uint4 v = make_uint4(0, 0, 0, 0);
            if (count >= WIDE) v = *reinterpret_cast<const uint4 *>(from);
#pragma unroll 1
            for (int e = count < WIDE ? count - 1 : -1; e >= 0; e--) shift_in(v, from[e]);
            to[i] = v;
        }
    }

    /* One element ahead of those of a load, whose last one goes. */
    __device__ static __forceinline__ void shift_in(uint4 &v, uint32_t element) {
        if (BYTES == 2) {
            v.w = v.w << 16 | v.z >> 16, v.z = v.z << 16 | v.y >> 16, v.y = v.y << 16 | v.x >> 16;
            v.x = v.x << 16 | element;
        } else {
            v.w = v.z, v.z = v.y, v.y = v.x, v.x = element;
        }
    }
};

/* Where A is float32: a row's largest |bits|, and the power of two that its values are multiplied by. The lanes of a row differ
 * in k. */
struct few_range {
    uint32_t largest = 0;
    float factor = 1.0f;

    __device__ static __forceinline__ uint32_t larger(uint32_t a, uint32_t b) {
        return a > b ? a : b;
    }

    /* What keeps products with float16 and their sums finite, and a row's larger values normal: 1 where they are all the same. */
    __device__ static __forceinline__ float factor_of(uint32_t largest) {
        if (largest >= __float_as_uint(0x1p90f)) return 0x1p-64f;
        return largest >= __float_as_uint(0x1p-90f) || largest == 0 ? 1.0f : 0x1p100f;
    }

    __device__ __forceinline__ uint32_t take(uint32_t bits) {
        largest = larger(largest, bits & 0x7fffffffu);
        return round_tf32(__float_as_uint(__uint_as_float(bits) * factor));
    }
};

template <class T> struct few_sums {
    float acc[T::NT][T::MT][4] = {};
    few_range range[T::MT]; /* of rows eight apart */

    /* One step, two rows of B eight apart being an instruction's first and last eight. */
    __device__ __forceinline__ void add(const uint4 (&b)[T::B_LOADS], const uint4 (&a)[T::A_LOADS]) {
        if constexpr (T::A == PAVE_T_F32) {
            part<0>(b, a), part<1>(b, a), part<2>(b, a), part<3>(b, a);
        } else {
            half<0>(b, a), half<1>(b, a);
        }
    }

    __device__ static __forceinline__ uint32_t word(const uint4 &of, int i) {
        return i == 0 ? of.x : i == 1 ? of.y : i == 2 ? of.z : of.w;
    }

    /* One of two instructions of 16 of k, of which this lane has four. */
    template <int HALF>
    __device__ __forceinline__ void half(const uint4 (&b)[T::B_LOADS], const uint4 (&a)[T::A_LOADS]) {
        constexpr int X = 2 * HALF;
#pragma unroll
        for (int i = 0; i < T::NT; i++) {
            const uint32_t rows[4] = {word(b[2 * i], X), word(b[2 * i + 1], X), word(b[2 * i], X + 1),
                                      word(b[2 * i + 1], X + 1)};
#pragma unroll
            for (int j = 0; j < T::MT; j++) {
                if (T::IN == PAVE_T_F16)
                    multiply_f16(acc[i][j], rows, word(a[j], X), word(a[j], X + 1));
                else
                    multiply_bf16(acc[i][j], rows, word(a[j], X), word(a[j], X + 1));
            }
        }
    }

    /* One of four instructions of 8 of k in tf32, of which this lane has two. Every float16 is a tf32. */
    template <int PART>
    __device__ __forceinline__ void part(const uint4 (&b)[T::B_LOADS], const uint4 (&a)[T::A_LOADS]) {
        uint32_t of[T::MT][2];
#pragma unroll
        for (int j = 0; j < T::MT; j++)
#pragma unroll
            for (int e = 0; e < 2; e++) of[j][e] = range[j].take(word(a[2 * j + PART / 2], PART % 2 * 2 + e));
#pragma unroll
        for (int i = 0; i < T::NT; i++) {
            const uint32_t first = word(b[2 * i], PART), second = word(b[2 * i + 1], PART);
            const uint32_t rows[4] = {bits(first & 0xffffu), bits(second & 0xffffu), bits(first >> 16),
                                      bits(second >> 16)};
#pragma unroll
            for (int j = 0; j < T::MT; j++) multiply_tf32(acc[i][j], rows, of[j][0], of[j][1]);
        }
    }

    __device__ static __forceinline__ uint32_t bits(uint32_t float16) {
        return __float_as_uint(half_to_float(PAVE_T_F16, float16));
    }

    /* This warp's share of k: whole pairs of steps in turn, and what is left of k, less than one, is the warp's whose turn it is
     * then. */
    template <class ROWS_A, class ROWS_B>
    __device__ __forceinline__ void over_k(ROWS_A a, ROWS_B b, int64_t k_end) {
        const int warp = threadIdx.x / 32, lane_k = threadIdx.x % 4 * T::WIDTH;
        const int64_t pairs = k_end / T::PAIR;
        int left = static_cast<int>((pairs + T::WARPS - 1 - warp) / T::WARPS) * 2; /* steps */
        uint4 b_ring[T::RING][T::B_LOADS] = {}, a_ring[T::A_RING][T::A_LOADS] = {};
        a.advance(warp * T::PAIR + lane_k);
        b.advance(warp * T::PAIR + lane_k);
        const auto ahead = [](int step) { return step / 2 * T::BK + step % 2 * T::STEP; };
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
            a.advance(ahead(T::RING));
            b.advance(ahead(T::RING));
        }
    }

    template <class ROWS_A, class ROWS_B>
    __device__ __forceinline__ void over_rest(const ROWS_A &a, const ROWS_B &b, int64_t k_end) {
        const int64_t first = k_end / T::PAIR * T::PAIR;
        if (first == k_end || threadIdx.x / 32 != k_end / T::PAIR % T::WARPS) return;
#pragma unroll 1
        for (int64_t k = first + threadIdx.x % 4 * T::WIDTH, step = 0; step < 2; step++, k += T::STEP) {
            uint4 b_last[T::B_LOADS], a_last[T::A_LOADS];
            b.load_rest(b_last, k, static_cast<int>(k_end - k));
            a.load_rest(a_last, k, static_cast<int>(k_end - k));
            add(b_last, a_last);
        }
    }

    /* `what` of each sum and of its place in a warp's part of shared memory. Lane l has rows 2 (l % 4) and the next of A, columns
     * l / 4 and 8 more. */
    template <class F> __device__ __forceinline__ void each(float *part, F what) {
        const int row = threadIdx.x % 4 * 2, column = threadIdx.x % 32 / 4;
#pragma unroll
        for (int i = 0; i < T::NT; i++)
#pragma unroll
            for (int j = 0; j < T::MT; j++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    what(acc[i][j][e], part[(j * 8 + row + e % 2) * T::PITCH + i * 16 + column + e / 2 * 8]);
    }

    /* Leaves each row's largest |bits| of this warp's share of k. */
    __device__ __forceinline__ void leave_largest(uint32_t (&of)[T::BM]) const {
#pragma unroll
        for (int j = 0; j < T::MT; j++) {
            uint32_t all = range[j].largest;
            all = few_range::larger(all, __shfl_xor_sync(0xffffffffu, all, 1));
            all = few_range::larger(all, __shfl_xor_sync(0xffffffffu, all, 2));
            if (threadIdx.x % 4 == 0) of[j * 8 + threadIdx.x % 32 / 4] = all;
        }
    }

    /* Leaves the sums of all warps in T::PARTS parts, which are seen behind a barrier. */
    __device__ __forceinline__ void leave(float *parts) {
        const int warp = threadIdx.x / 32;
        float *own = parts + warp % T::PARTS * T::PART;
        if (T::PARTS < T::WARPS) {
            if (warp >= T::PARTS) each(own, [](float &sum, float &at) { at = sum; });
            __syncthreads();
            if (warp < T::PARTS) each(own, [](float &sum, float &at) { sum += at; });
        }
        if (warp < T::PARTS) each(own, [](float &sum, float &at) { at = sum; });
    }
};

template <class T>
__device__ __forceinline__ float few_factor(const uint32_t (&largest)[T::WARPS][T::BM], int row) {
    uint32_t all = 0;
#pragma unroll
    for (int w = 0; w < T::WARPS; w++) all = few_range::larger(all, largest[w][row]);
    return few_range::factor_of(all);
}

template <class T>
__device__ __forceinline__ void gemm_few(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                         const tensors &t) {
    using raster = gemm_raster<T::BM, T::BN, T::B_BYTES, T::A_BYTES>;
    constexpr int LANES = T::BN / 4;
    __shared__ tile_job job;
    __shared__ float4 sums_of[T::PARTS * T::PART / 4];
    __shared__ uint32_t largest[T::WARPS][T::BM];
    float *parts = reinterpret_cast<float *>(sums_of);
    if (block_index() >= raster::count(args)) return follow_launches();
    int64_t tile = block_index();
    bool again = false;
#pragma unroll 1
    while (tile < raster::count(args)) {
        if (!again) raster::take(args, buffers.g, tile, job);
        follow_launches();
        few_sums<T> sums;
        if (T::RANGED && again) {
#pragma unroll
            for (int j = 0; j < T::MT; j++)
                sums.range[j].factor = few_factor<T>(largest, j * 8 + threadIdx.x % 32 / 4);
        }
        const few_rows<T::A_BYTES> a(buffers.a, job.a);
        const few_rows<T::B_BYTES> b(buffers.b, job.b);
        sums.over_k(a, b, job.k);
        sums.over_rest(a, b, job.k);
        if (job.next == NO_TILE) release_launches();
        int quad = threadIdx.x;
        forget(quad); /* what is made of it would be kept through the loop */
        const int row = quad / LANES, column = quad % LANES * 4;
        const bias_quad bias(args, t, job, quad < T::QUADS ? job.col + column : job.n);
        if (T::RANGED && !again) sums.leave_largest(largest[quad / 32]);
        sums.leave(parts);
        __syncthreads();
        bool ranged = false;
        if (quad < T::QUADS) {
            patch<1, 4> x = {};
#pragma unroll
            for (int w = 0; w < T::PARTS; w++) {
                const float4 part =
                    *reinterpret_cast<const float4 *>(parts + w * T::PART + row * T::PITCH + column);
                x.v[0][0] += part.x, x.v[0][1] += part.y, x.v[0][2] += part.z, x.v[0][3] += part.w;
            }
            const float factor = T::RANGED ? few_factor<T>(largest, row) : 1.0f;
            ranged = factor != 1.0f;
            epilogue_quad<LANES, T::SCALED>(args, buffers, t, job,
                                            ranged == again ? job.row + row : job.row_end, job.col + column,
                                            job.col / T::BN, bias, 1.0f / factor, x);
        }
        again = !again && T::RANGED && __syncthreads_or(ranged);
        if (!again) {
            tile = job.next;
            __syncthreads();
        }
    }
}

} // namespace pave

#define PAVE_KERNEL(NAME, IN, A, BM, BN, BK, STAGES, REGISTERS, EFFICIENCY)                              \
    extern "C" __global__ void __launch_bounds__((BK) / 2, 65536 / ((BK) / 2 * (REGISTERS)))             \
        NAME(const __grid_constant__ pave_abi_gemm args, const void *a, const void *b, void *y, void *p, \
             const void *g, PAVE_TENSOR_PARAMETERS) {                                                    \
        pave::gemm_few<pave::few_tile<PAVE_T_##IN, PAVE_T_##A, BM, BN, BK, STAGES>>(                     \
            args, pave::gemm_buffers{a, b, y, p, g}, pave::tensors{PAVE_TENSOR_NAMES});                  \
    }
PAVE_GEMM_FEW_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
