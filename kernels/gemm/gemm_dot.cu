/* SPDX-License-Identifier: Apache-2.0
 * Products of few rows in float32 with fused multiply-adds: y = chain(A · Bᵀ), rows in PAVE_GEMM_DOT_ROWS. What such a product
 * takes is the time to read B, so B is read once, straight into registers, and its loads never drain: a register that has been
 * added is loaded again at once, for the step that comes a ring's length later.
 *
 * Work: a block computes bm × bn, a warp all bm rows of four columns for its share of k, which the warps that have the same
 * columns take in turn, bk in all. A step is 16 bytes a lane of each of the four rows of B, `stages` of them under way, against
 * the same 16 bytes of each row of A, which the L1 keeps. Lanes' sums are added in a fixed order at the end, then the warps', by
 * way of shared memory: [four columns][warp along k][row] of four floats. Lane m of the columns' first warp then has row m's.
 * Alignment: base and row stride of A and B are multiples of 16 bytes. Bounds: what is left of k is taken element by element;
 * rows of B beyond n read the last one again, rows of A beyond m are not read. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/raster.cuh"
#include "kernels/gemm/rows.h"

namespace pave {

template <int IN_, int BM_, int BN_, int BK_, int STAGES_> struct dot_tile {
    static constexpr int IN = IN_, BM = BM_, BN = BN_, BK = BK_, RING = STAGES_;
    static constexpr int BYTES = element_bytes(IN), WIDTH = 16 / BYTES; /* elements of a load */
    static constexpr int COLS = 4, GROUPS = BN / COLS, VALUES = BM * COLS;
    static constexpr int STEP = 32 * WIDTH, SPLIT = BK / STEP; /* of a warp, and warps that share k */
    static_assert(BM >= 1 && 32 % VALUES == 0, "a lane ends with one of its warp's values");
    static_assert(BN % COLS == 0 && BK == SPLIT * STEP, "whole warps");
};

/* Elements 4 · quad … + 3 of a 16-byte load; and four from memory, on a multiple of their size. */
template <class T> __device__ __forceinline__ void dot_unpack(const uint4 &bits, int quad, float (&v)[4]) {
    if constexpr (T::BYTES == 4) {
        v[0] = __uint_as_float(bits.x), v[1] = __uint_as_float(bits.y);
        v[2] = __uint_as_float(bits.z), v[3] = __uint_as_float(bits.w);
    } else {
        quad_unpack(quad == 0 ? make_uint2(bits.x, bits.y) : make_uint2(bits.z, bits.w), T::IN, v);
    }
}

template <class T> __device__ __forceinline__ void dot_quad(const char *at, float (&v)[4]) {
    if constexpr (T::BYTES == 4)
        dot_unpack<T>(*reinterpret_cast<const uint4 *>(at), 0, v);
    else
        quad_unpack(*reinterpret_cast<const uint2 *>(at), T::IN, v);
}

/* A warp's sums over its lanes' share of k, and where it reads them from. */
template <class T> struct dot_sums {
    const char *a, *b[T::COLS];
    int64_t a_row;
    int rows;
    float acc[T::BM][T::COLS];

    __device__ __forceinline__ void start(const gemm_buffers &buffers, const tile_job &job) {
        const int column = this->column();
        a = static_cast<const char *>(buffers.a) + job.a.offset;
        a_row = job.a.row;
        rows = job.a.rows;
#pragma unroll
        for (int c = 0; c < T::COLS; c++) {
            const int row = column + c < job.b.rows ? column + c : job.b.rows - 1;
            b[c] = static_cast<const char *>(buffers.b) + job.b.offset + row * job.b.row;
        }
#pragma unroll
        for (int i = 0; i < T::VALUES; i++) acc[i / T::COLS][i % T::COLS] = 0.0f;
    }

    /* Met once: what the L1 holds is A. */
    __device__ __forceinline__ void load(uint4 (&of)[T::COLS], int k) const {
#pragma unroll
        for (int c = 0; c < T::COLS; c++) of[c] = load_once(b[c] + k * T::BYTES);
    }

    __device__ __forceinline__ void add(const uint4 (&of)[T::COLS], int k) {
#pragma unroll
        for (int q = 0; q < T::WIDTH / 4; q++) {
            float w[T::COLS][4];
#pragma unroll
            for (int c = 0; c < T::COLS; c++) dot_unpack<T>(of[c], q, w[c]);
#pragma unroll
            for (int m = 0; m < T::BM; m++) {
                if (m >= rows) continue;
                float x[4];
                dot_quad<T>(a + m * a_row + (k + 4 * q) * T::BYTES, x);
#pragma unroll
                for (int c = 0; c < T::COLS; c++)
#pragma unroll
                    for (int i = 0; i < 4; i++) acc[m][c] = fmaf(x[i], w[c][i], acc[m][c]);
            }
        }
    }

    __device__ __forceinline__ void add_element(int64_t k) {
#pragma unroll
        for (int m = 0; m < T::BM; m++) {
            if (m >= rows) continue;
            const float x = element_load(a + m * a_row + k * T::BYTES, T::IN);
#pragma unroll
            for (int c = 0; c < T::COLS; c++)
                acc[m][c] = fmaf(x, element_load(b[c] + k * T::BYTES, T::IN), acc[m][c]);
        }
    }

    /* The warp's first column, in the tile. */
    __device__ __forceinline__ static int column() {
        return static_cast<int>(threadIdx.x) / (32 * T::SPLIT) * T::COLS;
    }

    /* This warp's share, by its turn among those that share k. */
    __device__ __forceinline__ void over_k(const tile_job &job) {
        if (column() >= job.b.rows) return;
        const int64_t k_end = job.k;
        const int lane = threadIdx.x % 32, turn = threadIdx.x / 32 % T::SPLIT;
        const int64_t whole = k_end / T::WIDTH * T::WIDTH;
        const int first = turn * T::STEP + lane * T::WIDTH;
        int64_t left = whole - first; /* from where `a` and `b` are */
        advance(first);
        if (turn == 0 && whole + lane < k_end) add_element(left + lane);
        uint4 ring[T::RING][T::COLS] = {}; /* or what it held would live through the next tile's place */
#pragma unroll
        for (int r = 0; r < T::RING; r++)
            if (r * T::BK < left) load(ring[r], r * T::BK);
#pragma unroll 1
        for (; left > 0; left -= T::RING * T::BK) {
#pragma unroll
            for (int r = 0; r < T::RING; r++) {
                if (r * T::BK < left) add(ring[r], r * T::BK);
                if ((r + T::RING) * T::BK < left) load(ring[r], (r + T::RING) * T::BK);
            }
            advance(T::RING * T::BK);
        }
    }

    __device__ __forceinline__ void advance(int k) {
        a += k * T::BYTES;
#pragma unroll
        for (int c = 0; c < T::COLS; c++) b[c] += k * T::BYTES;
    }

    /* Of the warp's values the one of this lane's number, modulo how many they are, summed over the lanes: each step halves the
     * values a lane has left and adds its partner's; what lanes then have alike is added. */
    __device__ __forceinline__ float reduced() {
        float v[T::VALUES];
#pragma unroll
        for (int i = 0; i < T::VALUES; i++) v[i] = acc[i / T::COLS][i % T::COLS];
        halve<T::VALUES / 2>(v);
#pragma unroll
        for (int apart = T::VALUES; apart < 32; apart *= 2) v[0] += __shfl_xor_sync(0xffffffffu, v[0], apart);
        return v[0];
    }

    template <int HALF> __device__ static __forceinline__ void halve(float (&v)[T::VALUES]) {
        const bool upper = (threadIdx.x & HALF) != 0;
#pragma unroll
        for (int i = 0; i < HALF; i++) {
            const float kept = upper ? v[i + HALF] : v[i], sent = upper ? v[i] : v[i + HALF];
            v[i] = kept + __shfl_xor_sync(0xffffffffu, sent, HALF);
        }
        if constexpr (HALF > 1) halve<HALF / 2>(v);
    }
};

template <class T>
__device__ __forceinline__ void gemm_dot(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                         const tensors &t) {
    using raster = gemm_raster<T::BM, T::BN, T::BYTES>;
    __shared__ tile_job job;
    __shared__ float4 sums_of[T::GROUPS][T::SPLIT][T::BM];
    if (block_index() >= raster::count(args)) return follow_launches();
#pragma unroll 1
    for (int64_t tile = block_index(); tile < raster::count(args);) {
        raster::take(args, buffers.g, tile, job);
        follow_launches();
        dot_sums<T> sums;
        sums.start(buffers, job);
        sums.over_k(job);
        if (job.next == NO_TILE) release_launches();
        int thread = threadIdx.x;
        forget(thread); /* what is made of it would be kept through the loop */
        const int lane = thread % 32, warp = thread / 32;
        const int group = warp / T::SPLIT, turn = warp % T::SPLIT, column = group * T::COLS;
        const bias_quad bias(args, t, job, turn == 0 && lane < T::BM ? job.col + column : job.n);
        const float value = sums.reduced();
        if (lane < T::VALUES) reinterpret_cast<float *>(sums_of[group][turn])[lane] = value;
        __syncthreads();
        if (turn == 0) {
            patch<1, 4> x = {};
#pragma unroll
            for (int s = 0; s < T::SPLIT; s++) {
                const float4 part = sums_of[group][s][lane % T::BM];
                x.v[0][0] += part.x, x.v[0][1] += part.y, x.v[0][2] += part.z, x.v[0][3] += part.w;
            }
            epilogue_quad<1, false>(args, buffers, t, job, lane < T::BM ? job.row + lane : job.row_end,
                                    job.col + column, (job.col + column) / T::COLS, bias, 1.0f, x);
        }
        tile = job.next;
        __syncthreads();
    }
}

} // namespace pave

/* Warps: one for four columns and 512 bytes of k. */
#define PAVE_THREADS(IN, BN, BK) ((BN)*pave::element_bytes(PAVE_T_##IN) * (BK) / 64)
#define PAVE_KERNEL(NAME, IN, BM, BN, BK, STAGES, REGISTERS, EFFICIENCY)                                 \
    extern "C" __global__ void __launch_bounds__(PAVE_THREADS(IN, BN, BK),                               \
                                                 65536 / (PAVE_THREADS(IN, BN, BK) * (REGISTERS)))       \
        NAME(const __grid_constant__ pave_abi_gemm args, const void *a, const void *b, void *y, void *p, \
             const void *g, PAVE_TENSOR_PARAMETERS) {                                                    \
        pave::gemm_dot<pave::dot_tile<PAVE_T_##IN, BM, BN, BK, STAGES>>(                                 \
            args, pave::gemm_buffers{a, b, y, p, g}, pave::tensors{PAVE_TENSOR_NAMES});                  \
    }
PAVE_GEMM_DOT_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
#undef PAVE_THREADS
