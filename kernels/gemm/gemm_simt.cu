/* SPDX-License-Identifier: Apache-2.0
 * Products in float32 with fused multiply-adds, strictly in order of k, for operands of any type, alignment
 * and shape: y = chain(A · Bᵀ), rows in PAVE_GEMM_SIMT_ROWS.
 *
 * Work: a block computes bm × bn, a thread tm × tn of it in groups of four rows and columns. The next k-tile
 * is loaded into registers while the current one is used from shared memory, of which there are two buffers.
 * Bounds: rows and k beyond the matrix are zero and never read.
 * Shared memory: tiles are stored with k as the row, so that four outputs' operands are one 16-byte read.
 * Value (k, r) lies at k * bm + (r ^ shift(k)); shift, a multiple of 8, sends the k's that a warp stores at a
 * time to different banks. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/raster.cuh"
#include "kernels/gemm/rows.h"

namespace pave {

template <int IN_, int BM_, int BN_, int BK_, int TM_, int TN_> struct simt_tile {
    static constexpr int IN = IN_, BM = BM_, BN = BN_, BK = BK_, TM = TM_, TN = TN_;
    static constexpr int COLS = BN / TN, ROWS = BM / TM, THREADS = ROWS * COLS, WARPS = THREADS / 32;
    static constexpr int QUADS = BK / 4; /* loads of four along k that a row has */
    static constexpr int PASS_ROWS = THREADS / QUADS;
    static constexpr int A_PASSES = BM / PASS_ROWS, B_PASSES = BN / PASS_ROWS;
    static constexpr int BUFFER = (BM + BN) * BK; /* floats */
    static constexpr int LANES = BN / 4, READ_ROWS = WARPS * (32 / LANES), R = ROWS / READ_ROWS;

    static_assert(TM % 4 == 0 && TN % 4 == 0 && BM % 32 == 0 && BN % 32 == 0,
                  "groups of four, swizzle of 32");
    static_assert(BM % PASS_ROWS == 0 && BN % PASS_ROWS == 0 && THREADS % 32 == 0, "passes are whole");
    static_assert(LANES <= 32 && R * READ_ROWS == ROWS, "the epilogue's rounds are whole");
    static_assert(ROWS * BN <= 2 * BUFFER, "the epilogue's staging fits");

    __device__ static __forceinline__ constexpr int shift(int k) {
        return 32 / QUADS * (k / 4 % QUADS);
    }
};

/* Loads this thread's quads of one operand's k-tile and stores them transposed. */
template <class T, int PASSES, int WIDTH> struct simt_loader {
    const char *at;
    int64_t pass_bytes;
    int rows; /* that exist from this thread's first one on, at most the tile's */
    float kept[PASSES][4];

    __device__ static __forceinline__ int row() {
        return threadIdx.x / T::QUADS;
    }
    __device__ static __forceinline__ int quad() {
        return threadIdx.x % T::QUADS;
    }

    __device__ __forceinline__ void start(const void *base, int64_t offset, int64_t ld, int64_t extent,
                                          int64_t first_row) {
        at = static_cast<const char *>(base) + offset +
             ((first_row + row()) * ld + quad() * 4) * element_bytes(T::IN);
        pass_bytes = ld * (T::PASS_ROWS * element_bytes(T::IN));
        const int64_t exist = extent - first_row - row();
        rows = static_cast<int>(exist < WIDTH ? exist : WIDTH);
    }

    /* k_left: elements of k from this k-tile's start on. */
    __device__ __forceinline__ void load(int64_t k_left) {
        const int inside = k_left < T::BK ? static_cast<int>(k_left) : T::BK;
        const int count = inside - quad() * 4;
#pragma unroll
        for (int i = 0; i < PASSES; i++)
            quad_load(at + i * pass_bytes, T::IN, i * T::PASS_ROWS < rows ? count : 0, kept[i]);
        at += T::BK * element_bytes(T::IN);
    }

    __device__ __forceinline__ void store(float *tile) const {
#pragma unroll
        for (int i = 0; i < PASSES; i++)
#pragma unroll
            for (int c = 0; c < 4; c++)
                tile[(quad() * 4 + c) * WIDTH + ((i * T::PASS_ROWS + row()) ^ T::shift(quad() * 4))] =
                    kept[i][c];
    }
};

/* SIZE of a thread's operands at one k, in groups of four that are WIDTH / (SIZE / 4) apart. */
template <int SIZE, int WIDTH>
__device__ __forceinline__ void simt_operand(const float *line, int index, int shift, float (&v)[SIZE]) {
#pragma unroll
    for (int g = 0; g < SIZE / 4; g++) {
        const float4 q =
            *reinterpret_cast<const float4 *>(line + ((g * (WIDTH / (SIZE / 4)) + index * 4) ^ shift));
        v[g * 4] = q.x, v[g * 4 + 1] = q.y, v[g * 4 + 2] = q.z, v[g * 4 + 3] = q.w;
    }
}

template <class T>
__device__ __forceinline__ void simt_multiply(const float *tile, int ty, int tx, float (&acc)[T::TM][T::TN]) {
#pragma unroll
    for (int k = 0; k < T::BK; k++) {
        float a[T::TM], b[T::TN];
        simt_operand<T::TM, T::BM>(tile + k * T::BM, ty, T::shift(k), a);
        simt_operand<T::TN, T::BN>(tile + T::BM * T::BK + k * T::BN, tx, T::shift(k), b);
#pragma unroll
        for (int i = 0; i < T::TM; i++)
#pragma unroll
            for (int j = 0; j < T::TN; j++) acc[i][j] = fmaf(a[i], b[j], acc[i][j]);
    }
}

template <class T, class A, class B>
__device__ __forceinline__ void simt_main_loop(float *shared, A &a, B &b, int64_t k_left, int ty, int tx,
                                               float (&acc)[T::TM][T::TN]) {
    a.load(k_left);
    b.load(k_left);
    a.store(shared);
    b.store(shared + T::BM * T::BK);
    __syncthreads();
    int used = 0;
#pragma unroll 1
    for (; k_left > 0; k_left -= T::BK) {
        const bool more = k_left > T::BK;
        if (more) {
            a.load(k_left - T::BK);
            b.load(k_left - T::BK);
        }
        simt_multiply<T>(shared + used * T::BUFFER, ty, tx, acc);
        used ^= 1;
        if (more) {
            a.store(shared + used * T::BUFFER);
            b.store(shared + used * T::BUFFER + T::BM * T::BK);
        }
        __syncthreads();
    }
}

/* One row of every thread at a time goes through shared memory, from where a warp takes whole rows. */
template <class T>
__device__ __forceinline__ void simt_epilogue(const pave_abi_gemm &args, const tensors &t, char *y, char *p,
                                              float *shared, int64_t tile_m, int64_t tile_n, int ty, int tx,
                                              const float (&acc)[T::TM][T::TN]) {
    const int first = threadIdx.x / T::LANES, lane = threadIdx.x % T::LANES;
#pragma unroll 1
    for (int round = 0; round < T::TM; round++) {
#pragma unroll
        for (int i = 0; i < T::TM; i++) {
            if (i != round) continue;
#pragma unroll
            for (int g = 0; g < T::TN / 4; g++)
                *reinterpret_cast<float4 *>(shared + ty * T::BN + g * (T::BN / (T::TN / 4)) + tx * 4) =
                    make_float4(acc[i][g * 4], acc[i][g * 4 + 1], acc[i][g * 4 + 2], acc[i][g * 4 + 3]);
        }
        __syncthreads();
        patch<T::R, 4> x;
        x.col = tile_n * T::BN + lane * 4;
#pragma unroll
        for (int r = 0; r < T::R; r++) {
            const int row = first + r * T::READ_ROWS;
            const float4 q = *reinterpret_cast<const float4 *>(shared + row * T::BN + lane * 4);
            x.v[r][0] = q.x, x.v[r][1] = q.y, x.v[r][2] = q.z, x.v[r][3] = q.w;
            x.row[r] = tile_m * T::BM + round / 4 * (T::BM / (T::TM / 4)) + row * 4 + round % 4;
        }
        epilogue_finish<T::LANES, T::R>(args, t, y, p, tile_n, x);
        __syncthreads();
    }
}

template <class T>
__device__ __forceinline__ void gemm_simt(const pave_abi_gemm &args, const void *a, const void *b, void *y,
                                          void *p, const tensors &t) {
    __shared__ __align__(16) float shared[2 * T::BUFFER];
    const tile_grid grid = {(args.m + T::BM - 1) / T::BM, (args.n + T::BN - 1) / T::BN, args.group_m};
    const int ty = threadIdx.x / T::COLS, tx = threadIdx.x % T::COLS;
#pragma unroll 1
    for (int64_t tile = block_index(); tile < grid.count(); tile += block_count()) {
        int64_t tile_m, tile_n;
        grid.at(tile, tile_m, tile_n);
        simt_loader<T, T::A_PASSES, T::BM> a_loader;
        simt_loader<T, T::B_PASSES, T::BN> b_loader;
        a_loader.start(a, args.a_offset, args.lda, args.m, tile_m * T::BM);
        b_loader.start(b, args.b_offset, args.ldb, args.n, tile_n * T::BN);
        float acc[T::TM][T::TN] = {};
        simt_main_loop<T>(shared, a_loader, b_loader, args.k, ty, tx, acc);
        simt_epilogue<T>(args, t, static_cast<char *>(y) + args.y_offset,
                         static_cast<char *>(p) + args.p_offset, shared, tile_m, tile_n, ty, tx, acc);
    }
}

} // namespace pave

/* Sixteen warps a unit, which bounds the registers to 128. */
#define PAVE_KERNEL(NAME, IN, BM, BN, BK, TM, TN, REGISTERS, EFFICIENCY)                                     \
    extern "C" __global__ void __launch_bounds__((BM) / (TM) * ((BN) / (TN)),                                \
                                                 512 / ((BM) / (TM) * ((BN) / (TN))))                        \
        NAME(const __grid_constant__ pave_abi_gemm args, const void *a, const void *b, void *y, void *p,     \
             PAVE_TENSOR_PARAMETERS) {                                                                       \
        pave::gemm_simt<pave::simt_tile<PAVE_T_##IN, BM, BN, BK, TM, TN>>(args, a, b, y, p,                  \
                                                                          pave::tensors{PAVE_TENSOR_NAMES}); \
    }
PAVE_GEMM_SIMT_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
