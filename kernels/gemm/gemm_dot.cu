/* SPDX-License-Identifier: Apache-2.0
 * Products of few rows in float32 with fused multiply-adds: y = chain(A · Bᵀ), rows in PAVE_GEMM_DOT_ROWS. What such a product
 * takes is the time to read B, so B is read once, straight into registers, and nothing waits for anything else.
 *
 * Work: a block computes bm × bn, a warp all bm rows of four columns, its lanes along k: 16 bytes of each of the four rows of
 * B, two steps of them under way at a time, against the same 16 bytes of each row of A, which the L1 keeps. Lanes' sums are
 * added in a fixed order at the end, and lane m of the warp's first bm then has row m's four columns. Alignment: base and row
 * stride of A and B are multiples of 16 bytes. Bounds: what is left of k is taken element by element; rows of B beyond n
 * read the last one again, rows of A beyond m are not read. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/raster.cuh"
#include "kernels/gemm/rows.h"

namespace pave {

template <int IN_, int BM_, int BN_, int BK_> struct dot_tile {
    static constexpr int IN = IN_, BM = BM_, BN = BN_;
    static constexpr int BYTES = element_bytes(IN), WIDTH = 16 / BYTES; /* elements of a load */
    static constexpr int COLS = 4, STEP = 32 * WIDTH;
    static_assert(BM * COLS == 32 && BN % COLS == 0, "a lane ends with one of its warp's values");
    static_assert(BK_ == 2 * STEP, "two steps are under way");
};

/* Elements of one 16-byte load. */
template <class T> __device__ __forceinline__ void dot_unpack(const uint4 &bits, float (&v)[T::WIDTH]) {
    const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < T::WIDTH; i++)
        v[i] = T::BYTES == 4 ? __uint_as_float(words[i * T::BYTES / 4])
                             : half_to_float(T::IN, words[i / 2] >> i % 2 * 16 & 0xffffu);
}

/* A warp's sums over its lanes' share of k, and where it reads them from. */
template <class T> struct dot_sums {
    const char *a, *b[T::COLS];
    int64_t a_row;
    int rows;
    float acc[T::BM][T::COLS];

    __device__ __forceinline__ void start(const gemm_buffers &buffers, const tile_job &job, int column) {
        a = static_cast<const char *>(buffers.a) + job.a.offset;
        a_row = job.a.row;
        rows = job.a.rows;
#pragma unroll
        for (int c = 0; c < T::COLS; c++) {
            const int row = column + c < job.b.rows ? column + c : job.b.rows - 1;
            b[c] = static_cast<const char *>(buffers.b) + job.b.offset + row * job.b.row;
        }
#pragma unroll
        for (int i = 0; i < T::BM * T::COLS; i++) acc[i / T::COLS][i % T::COLS] = 0.0f;
    }

    __device__ __forceinline__ void load(uint4 (&of)[T::COLS], int64_t k) const {
#pragma unroll
        for (int c = 0; c < T::COLS; c++) of[c] = *reinterpret_cast<const uint4 *>(b[c] + k * T::BYTES);
    }

    __device__ __forceinline__ void add(const uint4 (&of)[T::COLS], int64_t k) {
        float w[T::COLS][T::WIDTH];
#pragma unroll
        for (int c = 0; c < T::COLS; c++) dot_unpack<T>(of[c], w[c]);
#pragma unroll
        for (int m = 0; m < T::BM; m++) {
            if (m >= rows) continue;
            float x[T::WIDTH];
            dot_unpack<T>(*reinterpret_cast<const uint4 *>(a + m * a_row + k * T::BYTES), x);
#pragma unroll
            for (int c = 0; c < T::COLS; c++)
#pragma unroll
                for (int i = 0; i < T::WIDTH; i++) acc[m][c] = fmaf(x[i], w[c][i], acc[m][c]);
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

    __device__ __forceinline__ void over_k(int64_t k_end) {
        const int lane = threadIdx.x % 32;
        const int64_t whole = k_end / T::WIDTH * T::WIDTH;
        int64_t k = lane * T::WIDTH;
#pragma unroll 1
        for (; k + T::STEP < whole; k += 2 * T::STEP) {
            uint4 first[T::COLS], second[T::COLS];
            load(first, k);
            load(second, k + T::STEP);
            add(first, k);
            add(second, k + T::STEP);
        }
        if (k < whole) {
            uint4 last[T::COLS];
            load(last, k);
            add(last, k);
        }
        if (whole + lane < k_end) add_element(whole + lane);
    }

    /* Of the warp's 32 values the one of this lane's number, summed over the lanes: each step halves the values a lane has
     * left and adds its partner's. */
    __device__ __forceinline__ float reduced() {
        float v[T::BM * T::COLS];
#pragma unroll
        for (int i = 0; i < T::BM * T::COLS; i++) v[i] = acc[i / T::COLS][i % T::COLS];
        halve<16>(v);
        halve<8>(v);
        halve<4>(v);
        halve<2>(v);
        halve<1>(v);
        return v[0];
    }

    template <int HALF> __device__ static __forceinline__ void halve(float (&v)[T::BM * T::COLS]) {
        const bool upper = (threadIdx.x & HALF) != 0;
#pragma unroll
        for (int i = 0; i < HALF; i++) {
            const float kept = upper ? v[i + HALF] : v[i], sent = upper ? v[i] : v[i + HALF];
            v[i] = kept + __shfl_xor_sync(0xffffffffu, sent, HALF);
        }
    }
};

template <class T>
__device__ __forceinline__ void gemm_dot(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                         const tensors &t) {
    using raster = gemm_raster<T::BM, T::BN, T::BYTES>;
    __shared__ tile_job job;
    const int lane = threadIdx.x % 32, column = threadIdx.x / 32 * T::COLS;
#pragma unroll 1
    for (int64_t tile = block_index(); tile < raster::count(args);) {
        raster::take(args, buffers.g, tile, job);
        dot_sums<T> sums;
        sums.start(buffers, job, column);
        if (column < job.b.rows) sums.over_k(job.k);
        const float value = sums.reduced();
        patch<1, 4> x;
#pragma unroll
        for (int c = 0; c < T::COLS; c++)
            x.v[0][c] = __shfl_sync(0xffffffffu, value, lane % T::BM * T::COLS + c);
        x.row[0] = lane < T::BM ? job.row + lane : job.row_end;
        x.col = job.col + column;
        epilogue_rows<1>(buffers, job, x);
        epilogue_values<1>(args, buffers, t, job, x);
        row_states<1> states(args.reduce);
        states.fold(x);
        states.template store<1>(args, buffers, job, x.col / T::COLS, x);
        tile = job.next;
        __syncthreads();
    }
}

} // namespace pave

#define PAVE_KERNEL(NAME, IN, BM, BN, BK, REGISTERS, EFFICIENCY)                                         \
    extern "C" __global__ void __launch_bounds__((BN) / 4 * 32, 65536 / ((BN) / 4 * 32 * (REGISTERS)))   \
        NAME(const __grid_constant__ pave_abi_gemm args, const void *a, const void *b, void *y, void *p, \
             const void *g, PAVE_TENSOR_PARAMETERS) {                                                    \
        pave::gemm_dot<pave::dot_tile<PAVE_T_##IN, BM, BN, BK>>(args, pave::gemm_buffers{a, b, y, p, g}, \
                                                                pave::tensors{PAVE_TENSOR_NAMES});       \
    }
PAVE_GEMM_DOT_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
