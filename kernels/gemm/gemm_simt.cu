/* SPDX-License-Identifier: Apache-2.0
 * Products in float32 with fused multiply-adds, strictly in order of k, for operands of any type, alignment,
 * shape and strides: y = chain(A · Bᵀ), rows in PAVE_GEMM_SIMT_ROWS. Quick where k or the rows are contiguous.
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
    static constexpr int BYTES = element_bytes(IN);
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

/* The first `count` (maybe < 0) of four elements that are `step` bytes apart, zero for the rest. */
template <int IN>
__device__ __forceinline__ void simt_quad(const char *p, int64_t step, int count, float (&v)[4]) {
    if (step == element_bytes(IN) && count >= 4 && quad_aligned(p, IN)) {
        quad_load(p, IN, 4, v);
        return;
    }
#pragma unroll
    for (int c = 0; c < 4; c++) v[c] = c < count ? element_load(p + c * step, IN) : 0.0f;
}

/* Loads this thread's quads of one operand's k-tile and stores them with k as the row. A quad lies along k, in
 * lines that are rows, or, where the rows are the closer together, along the rows in lines that are k. */
template <class T, int PASSES, int WIDTH> struct simt_loader {
    static constexpr int ROW_QUADS = WIDTH / 4, PASS_KS = T::THREADS / ROW_QUADS;
    static_assert(PASSES * PASS_KS == T::BK, "passes are whole along the rows too");

    const char *at;
    bool plain; /* k is contiguous */
    bool along; /* quads lie along the rows */
    int rows;   /* that exist from this thread's first one on, at most the tile's */
    float kept[PASSES][4];

    __device__ __forceinline__ int line() const {
        return along ? threadIdx.x / ROW_QUADS : threadIdx.x / T::QUADS;
    }
    __device__ __forceinline__ int place() const {
        return (along ? threadIdx.x % ROW_QUADS : threadIdx.x % T::QUADS) * 4;
    }

    __device__ __forceinline__ void start(const void *base, const tile_operand &of) {
        plain = of.col == T::BYTES;
        along = !plain && of.row < of.col;
        const int row = along ? place() : line(), k = along ? line() : place();
        at = static_cast<const char *>(base) + (of.offset + row * of.row + k * of.col);
        rows = of.rows - row;
    }

    /* k_left: elements of k from this k-tile's start on. */
    __device__ __forceinline__ void load(const tile_operand &of, int64_t k_left) {
        const int ks = k_left < T::BK ? static_cast<int>(k_left) : T::BK;
        if (!plain) {
            load_strided(of, ks);
            return;
        }
        const int count = ks - threadIdx.x % T::QUADS * 4;
#pragma unroll
        for (int i = 0; i < PASSES; i++)
            quad_load(at + i * (of.row * T::PASS_ROWS), T::IN, i * T::PASS_ROWS < rows ? count : 0, kept[i]);
        at += T::BK * T::BYTES;
    }

    __device__ __forceinline__ void load_strided(const tile_operand &of, int ks) {
        const int count = along ? rows : ks - place(), lines = along ? ks - line() : rows;
        const int64_t step = along ? of.row : of.col;
        const int64_t pass = along ? of.col * PASS_KS : of.row * T::PASS_ROWS;
#pragma unroll
        for (int i = 0; i < PASSES; i++)
            simt_quad<T::IN>(at + i * pass, step, i * (along ? PASS_KS : T::PASS_ROWS) < lines ? count : 0,
                             kept[i]);
        at += of.col * T::BK;
    }

    __device__ __forceinline__ void store(float *tile) const {
#pragma unroll
        for (int i = 0; i < PASSES; i++) {
            if (along) {
                const int k = i * PASS_KS + line();
                *reinterpret_cast<float4 *>(tile + k * WIDTH + (place() ^ T::shift(k))) =
                    make_float4(kept[i][0], kept[i][1], kept[i][2], kept[i][3]);
            } else {
                const int k = threadIdx.x % T::QUADS * 4;
                const int row = i * T::PASS_ROWS + threadIdx.x / T::QUADS;
#pragma unroll
                for (int c = 0; c < 4; c++) tile[(k + c) * WIDTH + (row ^ T::shift(k))] = kept[i][c];
            }
        }
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

template <class T>
__device__ __forceinline__ void simt_main_loop(const gemm_buffers &buffers, const tile_job &job,
                                               float *shared, int ty, int tx, float (&acc)[T::TM][T::TN]) {
    simt_loader<T, T::A_PASSES, T::BM> a;
    simt_loader<T, T::B_PASSES, T::BN> b;
    a.start(buffers.a, job.a);
    b.start(buffers.b, job.b);
    int64_t k_left = job.k;
    a.load(job.a, k_left);
    b.load(job.b, k_left);
    a.store(shared);
    b.store(shared + T::BM * T::BK);
    __syncthreads();
    int used = 0;
#pragma unroll 1
    for (; k_left > 0; k_left -= T::BK) {
        const bool more = k_left > T::BK;
        if (more) {
            a.load(job.a, k_left - T::BK);
            b.load(job.b, k_left - T::BK);
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
__device__ __forceinline__ void simt_epilogue(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                              const tensors &t, const tile_job &job, float *shared, int ty,
                                              int tx, const float (&acc)[T::TM][T::TN]) {
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
        x.col = job.col + lane * 4;
#pragma unroll
        for (int r = 0; r < T::R; r++) {
            const int row = first + r * T::READ_ROWS;
            const float4 q = *reinterpret_cast<const float4 *>(shared + row * T::BN + lane * 4);
            x.v[r][0] = q.x, x.v[r][1] = q.y, x.v[r][2] = q.z, x.v[r][3] = q.w;
            x.row[r] = job.row + round / 4 * (T::BM / (T::TM / 4)) + row * 4 + round % 4;
        }
        epilogue_rows<T::R>(buffers, job, x);
        row_states<T::R> states(args.reduce);
        epilogue_values<T::R>(args, buffers, t, job, x);
        states.fold(x);
        states.template store<T::LANES>(args, buffers, job, job.col / T::BN, x);
        __syncthreads();
    }
}

template <class T>
__device__ __forceinline__ void gemm_simt(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                          const tensors &t) {
    using raster = gemm_raster<T::BM, T::BN, T::BYTES>;
    __shared__ __align__(16) float shared[2 * T::BUFFER];
    __shared__ tile_job job;
    const int ty = threadIdx.x / T::COLS, tx = threadIdx.x % T::COLS;
#pragma unroll 1
    for (int64_t tile = block_index(); tile < raster::count(args);) {
        raster::take(args, buffers.g, tile, job);
        float acc[T::TM][T::TN] = {};
        simt_main_loop<T>(buffers, job, shared, ty, tx, acc);
        tile = job.next;
        simt_epilogue<T>(args, buffers, t, job, shared, ty, tx, acc);
    }
}

} // namespace pave

/* Sixteen warps a unit, which bounds the registers to 128. */
#define PAVE_KERNEL(NAME, IN, BM, BN, BK, TM, TN, REGISTERS, EFFICIENCY)                                 \
    extern "C" __global__ void __launch_bounds__((BM) / (TM) * ((BN) / (TN)),                            \
                                                 512 / ((BM) / (TM) * ((BN) / (TN))))                    \
        NAME(const __grid_constant__ pave_abi_gemm args, const void *a, const void *b, void *y, void *p, \
             const void *g, PAVE_TENSOR_PARAMETERS) {                                                    \
        pave::gemm_simt<pave::simt_tile<PAVE_T_##IN, BM, BN, BK, TM, TN>>(                               \
            args, pave::gemm_buffers{a, b, y, p, g}, pave::tensors{PAVE_TENSOR_NAMES});                  \
    }
PAVE_GEMM_SIMT_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
