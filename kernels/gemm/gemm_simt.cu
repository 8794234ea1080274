/* SPDX-License-Identifier: Apache-2.0
 * Products in float32 with fused multiply-adds for operands of any type, alignment, shape and strides:
 * y = chain(A · Bᵀ), rows in PAVE_GEMM_SIMT_ROWS. Each output adds its products up in one order: those of the last k-tile,
 * which alone may be partial, then from k = 0 on.
 *
 * Work: a block computes bm × bn, a warp wm × wn of it, one tile after another. A warp's lanes are 4 × 8: lane l
 * has rows 2 (l / 8), + 1 of each eight, and from l % 8 on each eighth column. Of four k at a time it holds all
 * its columns and two pairs of its rows, one that is multiplied and one that is loaded meanwhile. K-tiles are
 * copied stages - 1 ahead.
 * Alignment: rows of LAYOUT_ROWS need k contiguous, and bases and row strides that are multiples of 16 bytes:
 * these are copied 16 bytes at a time. Rows of LAYOUT_ANY need none, and copy whatever is not float32 of that kind
 * element by element.
 * Bounds: nothing beyond the matrices is read. Beyond k lie zeros; what lies beyond the last row meets no output
 * that exists.
 * Shared memory: `stages` buffers, each bm rows of A then bn rows of B, a row being bk floats. The 16-byte chunk c
 * of row r lies at chunk c ^ (r / 4 mod 2) of a 32-byte row, or c ^ (r / 2 mod 4) of a 64-byte row: eight rows of
 * one chunk, which is what a load of B reads at a time, then lie in eight different groups of four banks. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/raster.cuh"
#include "kernels/gemm/rows.h"

namespace pave {

template <int IN_, int BM_, int BN_, int BK_, int WM_, int WN_, int STAGES_> struct simt_tile {
    static constexpr int IN = IN_, BM = BM_, BN = BN_, BK = BK_, WM = WM_, WN = WN_, STAGES = STAGES_;
    static constexpr int BYTES = element_bytes(IN);
    static constexpr int TM = WM / 4, TN = WN / 8, PAIRS = TM / 2; /* a lane's rows, columns, pairs of rows */
    static constexpr int WARPS_N = BN / WN, WARPS = BM / WM * WARPS_N, THREADS = WARPS * 32;
    static constexpr int ROW_BYTES = BK * 4, STEPS = BK / 4; /* a step is one chunk */
    static constexpr int B_BASE = BM * ROW_BYTES, STAGE_BYTES = (BM + BN) * ROW_BYTES;
    /* Eight rows of a warp's outputs; the padding sends the four rows of a store to different banks. */
    static constexpr int LANES = WN / 4, STAGED_LD = WN + 4, STAGED_BYTES = 8 * STAGED_LD * 4;

    static_assert(STEPS == 2 || STEPS == 4, "the swizzle is for rows of 32 or 64 bytes");
    static_assert(PAIRS % 2 == 0 && TN % 2 == 0, "pairs of rows alternate between two sets");
    static_assert(LANES <= 32 && WARPS * STAGED_BYTES <= STAGES * STAGE_BYTES, "the epilogue's staging fits");

    __device__ static __forceinline__ int swizzled(int row, int chunk) {
        return row * ROW_BYTES + ((chunk ^ (STEPS == 4 ? row >> 1 & 3 : row >> 2 & 1)) << 4);
    }
};

/* This thread's share of copying one operand: one place along k, ELEMS elements wide, of every ROWS-th row. */
template <class T, int ELEMS> struct simt_side {
    static constexpr int PLACES = T::BK / ELEMS, ROWS = T::THREADS / PLACES;
    static_assert(ROWS % 8 == 0 && T::BM % ROWS == 0 && T::BN % ROWS == 0,
                  "passes are whole, and swizzled alike");

    const char *at;
    int64_t pass; /* bytes from one pass to the next */
    int rows;     /* that exist from this thread's first one on */
    int target;   /* in a stage */
    int count;    /* of its elements of the last k-tile, `tiles` behind the first, exist */

    /* Neighbouring threads read what lies closer together, k or rows. */
    __device__ __forceinline__ void start(const void *base, const tile_operand &of, int64_t k, int tiles) {
        const int t = threadIdx.x;
        const bool across = ELEMS == 1 && of.row < of.col;
        const int row = across ? t / (8 * PLACES) * 8 + t % 8 : t / PLACES;
        const int place = (across ? t / 8 : t) % PLACES * ELEMS;
        const int64_t first = static_cast<int64_t>(tiles) * T::BK + place, left = k - first;
        at = static_cast<const char *>(base) + (of.offset + row * of.row + first * of.col);
        pass = of.row * ROWS;
        rows = of.rows - row;
        target = T::swizzled(row, place / 4) + place % 4 * 4;
        count = left >= ELEMS ? ELEMS : left > 0 ? static_cast<int>(left) : 0;
    }

    /* Pass j of the current k-tile, of whose elements `exist` do. */
    __device__ __forceinline__ void copy(uint32_t stage, int j, int exist, bool wanted) const {
        copy_async_if<ELEMS * 4>(stage + target + j * (ROWS * T::ROW_BYTES), at + j * pass, exist * 4,
                                 wanted && j * ROWS < rows);
    }

    /* The same of all passes, for types that become float32 on the way: through registers. */
    template <int PASSES> __device__ __forceinline__ void convert(char *stage, int exist, bool wanted) const {
        float v[PASSES];
#pragma unroll
        for (int j = 0; j < PASSES; j++)
            v[j] = wanted && exist > 0 && j * ROWS < rows ? element_load(at + j * pass, T::IN) : 0.0f;
#pragma unroll
        for (int j = 0; j < PASSES; j++)
            if (wanted) *reinterpret_cast<float *>(stage + target + j * (ROWS * T::ROW_BYTES)) = v[j];
    }
};

/* Both operands' copies, k-tile after k-tile. The last k-tile, which may be partial, comes first. */
template <class T, int ELEMS> struct simt_copier {
    using side = simt_side<T, ELEMS>;
    static constexpr int A_PASSES = T::BM / side::ROWS, PASSES = A_PASSES + T::BN / side::ROWS;
    /* Parts of a k-tile's copies; what comes through registers waits for its loads, so once. */
    static constexpr int PARTS = T::IN == PAVE_T_F32 ? T::PAIRS : 1;

    side a, b;
    int left; /* k-tiles that are not under way */

    __device__ __forceinline__ void start(const gemm_buffers &buffers, const tile_job &job) {
        left = job.k > 0 ? static_cast<int>((job.k - 1) / T::BK) : 0;
        a.start(buffers.a, job.a, job.k, left);
        b.start(buffers.b, job.b, job.k, left);
        b.target += T::B_BASE;
    }

    template <int PART>
    __device__ __forceinline__ void copies(char *shared, int stage, int in_a, int in_b, bool wanted) {
        if constexpr (T::IN == PAVE_T_F32) {
#pragma unroll
            for (int i = PART * PASSES / PARTS; i < (PART + 1) * PASSES / PARTS; i++) {
                if (i < A_PASSES)
                    a.copy(shared_address(shared) + stage, i, in_a, wanted);
                else
                    b.copy(shared_address(shared) + stage, i - A_PASSES, in_b, wanted);
            }
        } else {
            a.template convert<A_PASSES>(shared + stage, in_a, wanted);
            b.template convert<PASSES - A_PASSES>(shared + stage, in_b, wanted);
        }
    }

    template <int PART = 0>
    __device__ __forceinline__ void last_tile(const tile_job &job, char *shared, int stage) {
        copies<PART>(shared, stage, a.count, b.count, true);
        if constexpr (PART + 1 < PARTS) return last_tile<PART + 1>(job, shared, stage);
        a.at -= job.a.col * T::BK * (left + 1);
        b.at -= job.b.col * T::BK * (left + 1);
        copy_commit();
    }

    /* Part PART of the next k-tile, in order; nothing past the end. */
    template <int PART> __device__ __forceinline__ void next(const tile_job &job, char *shared, int stage) {
        if constexpr (PART == 0) {
            a.at += ELEMS == 4 ? T::ROW_BYTES : job.a.col * T::BK;
            b.at += ELEMS == 4 ? T::ROW_BYTES : job.b.col * T::BK;
        }
        copies<PART>(shared, stage, ELEMS, ELEMS, left > 0);
        if constexpr (PART == PARTS - 1) {
            left--;
            copy_commit();
        }
    }

    template <int PART = 0>
    __device__ __forceinline__ void whole(const tile_job &job, char *shared, int stage) {
        next<PART>(job, shared, stage);
        if constexpr (PART + 1 < PARTS) whole<PART + 1>(job, shared, stage);
    }
};

__device__ __forceinline__ float quad_at(const float4 &q, int k) {
    return k == 0 ? q.x : k == 1 ? q.y : k == 2 ? q.z : q.w;
}

/* A lane's way through shared memory. */
template <class T, int ELEMS> struct simt_walk {
    float4 a[2][2], b[T::TN]; /* of one step: two pairs of rows, all columns */
    simt_copier<T, ELEMS> copier;
    int read, write; /* the stage that is read; the one before, which is free */
    int a_at, b_at;

    __device__ __forceinline__ void load_a(const char *stage, int step, int pair) {
        const char *at = stage + (a_at ^ step << 4) + pair * (8 * T::ROW_BYTES);
        a[pair % 2][0] = *reinterpret_cast<const float4 *>(at);
        a[pair % 2][1] = *reinterpret_cast<const float4 *>(at + T::ROW_BYTES);
    }

    __device__ __forceinline__ void load_b(const char *stage, int step, int j) {
        b[j] = *reinterpret_cast<const float4 *>(stage + (b_at ^ step << 4) + j * (8 * T::ROW_BYTES));
    }

    __device__ __forceinline__ void start(const tile_job &job, char *shared) {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        a_at = T::swizzled(warp / T::WARPS_N * T::WM + lane / 8 * 2, 0);
        b_at = T::B_BASE + T::swizzled(warp % T::WARPS_N * T::WN + lane % 8, 0);
        read = 0, write = (T::STAGES - 1) * T::STAGE_BYTES;
        copier.last_tile(job, shared, 0);
#pragma unroll
        for (int s = 1; s < T::STAGES - 1; s++) copier.whole(job, shared, s * T::STAGE_BYTES);
        copy_wait<T::STAGES - 2>();
        __syncthreads();
        load_a(shared, 0, 0);
#pragma unroll
        for (int j = 0; j < T::TN; j++) load_b(shared, 0, j);
    }

    /* Waits for the next k-tile, and for all warps to have read this one. */
    __device__ __forceinline__ void turn() {
        copy_wait<T::STAGES - 2>();
        __syncthreads();
        write = read;
        read = read == (T::STAGES - 1) * T::STAGE_BYTES ? 0 : read + T::STAGE_BYTES;
    }

    __device__ __forceinline__ void multiply(float (&acc)[T::TM][T::TN], int pair, int j) const {
#pragma unroll
        for (int k = 0; k < 4; k++)
#pragma unroll
            for (int e = 0; e < 4; e++) { /* neighbouring multiply-adds share an operand */
                const int r = e / 2, c = (e / 2 + e) % 2;
                float &d = acc[pair * 2 + r][j + c];
                d = fmaf(quad_at(a[pair % 2][r], k), quad_at(b[j + c], k), d);
            }
    }

    /* Pair P of step STEP, while the next pair is loaded, and with a step's last one the next step's columns:
     * behind the last step those of the next k-tile. The first step copies. */
    template <int STEP, int P>
    __device__ __forceinline__ void pairs(const tile_job &job, char *shared, float (&acc)[T::TM][T::TN]) {
        constexpr bool last = P == T::PAIRS - 1;
        constexpr int next = last ? (STEP + 1) % T::STEPS : STEP;
        if constexpr (P == 0) {
            forget(a_at);
            forget(b_at);
        }
        if constexpr (last && STEP == T::STEPS - 1) turn();
        if constexpr (STEP == 0 && P < copier.PARTS) copier.template next<P>(job, shared, write);
        const char *stage = shared + read;
        load_a(stage, next, last ? 0 : P + 1);
#pragma unroll
        for (int j = 0; j < T::TN; j += 2) {
            multiply(acc, P, j);
            if constexpr (last) {
                load_b(stage, next, j);
                load_b(stage, next, j + 1);
            }
        }
        if constexpr (!last)
            pairs<STEP, P + 1>(job, shared, acc);
        else if constexpr (STEP + 1 < T::STEPS)
            pairs<STEP + 1, 0>(job, shared, acc);
    }
};

/* acc += A · Bᵀ of this warp's tile over all of k. On return no copy is under way and shared memory is free. */
template <class T, int ELEMS>
__device__ __forceinline__ void simt_main_loop(const gemm_buffers &buffers, const tile_job &job, char *shared,
                                               float (&acc)[T::TM][T::TN]) {
    simt_walk<T, ELEMS> walk;
    walk.copier.start(buffers, job);
    int tiles = walk.copier.left + 1;
    walk.start(job, shared);
#pragma unroll 1
    for (; tiles > 0; tiles--) walk.template pairs<0, 0>(job, shared, acc);
    copy_wait<0>();
    __syncthreads();
}

/* Eight rows of a warp at a time go through its own part of shared memory, from where it takes whole rows. */
template <class T>
__device__ __forceinline__ void simt_epilogue(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                              const tensors &t, const tile_job &job, char *shared,
                                              const float (&acc)[T::TM][T::TN]) {
    constexpr int AT_ONCE = 32 / T::LANES, R = 8 / AT_ONCE;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float *staged = reinterpret_cast<float *>(shared + warp * T::STAGED_BYTES);
    float *put = staged + lane / 8 * 2 * T::STAGED_LD + lane % 8;
    const float *take = staged + lane / T::LANES * T::STAGED_LD + lane % T::LANES * 4;
    const int64_t row0 = job.row + warp / T::WARPS_N * T::WM + lane / T::LANES;
    const int64_t col0 = job.col + warp % T::WARPS_N * T::WN;
#pragma unroll 1
    for (int pair = 0; pair < T::PAIRS; pair++) {
        /* Accumulators are registers: each is named, none is indexed. */
#pragma unroll
        for (int i = 0; i < T::PAIRS; i++)
            if (i == pair)
#pragma unroll
                for (int e = 0; e < 2 * T::TN; e++)
                    put[e / T::TN * T::STAGED_LD + e % T::TN * 8] = acc[i * 2 + e / T::TN][e % T::TN];
        __syncwarp();
        patch<R, 4> x;
        x.col = col0 + lane % T::LANES * 4;
#pragma unroll
        for (int r = 0; r < R; r++) {
            const float4 q = *reinterpret_cast<const float4 *>(take + r * (AT_ONCE * T::STAGED_LD));
            x.v[r][0] = q.x, x.v[r][1] = q.y, x.v[r][2] = q.z, x.v[r][3] = q.w;
            x.row[r] = row0 + pair * 8 + r * AT_ONCE;
        }
        epilogue_rows<R>(buffers, job, x);
        row_states<R> states(args.reduce);
        epilogue_values<R>(args, buffers, t, job, x);
        states.fold(x);
        states.template store<T::LANES>(args, buffers, job, col0 / T::WN, x);
        __syncwarp();
    }
}

/* Whether an operand's rows begin on, and are copied as, multiples of 16 bytes. */
__device__ __forceinline__ bool simt_in_quads(const void *base, const tile_operand &of) {
    return of.col == 4 && ((reinterpret_cast<uintptr_t>(base) + of.offset) & 15) == 0 && (of.row & 15) == 0;
}

template <class T, bool ANY>
__device__ __forceinline__ void gemm_simt(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                          const tensors &t) {
    using raster = gemm_raster<T::BM, T::BN, T::BYTES>;
    __shared__ tile_job job;
    char *shared = dynamic_shared();
    if (block_index() >= raster::count(args)) return follow_launches();
#pragma unroll 1
    for (int64_t tile = block_index(); tile < raster::count(args);) {
        raster::take(args, buffers.g, tile, job);
        follow_launches();
        float acc[T::TM][T::TN] = {};
        if constexpr (!ANY)
            simt_main_loop<T, 4>(buffers, job, shared, acc);
        else if (T::IN == PAVE_T_F32 && simt_in_quads(buffers.a, job.a) && simt_in_quads(buffers.b, job.b))
            simt_main_loop<T, 4>(buffers, job, shared, acc);
        else
            simt_main_loop<T, 1>(buffers, job, shared, acc);
        tile = job.next;
        simt_epilogue<T>(args, buffers, t, job, shared, acc);
        __syncthreads();
    }
}

} // namespace pave

#define ANY_ROWS false
#define ANY_ANY true
#define PAVE_KERNEL(NAME, IN, LAYOUT, BM, BN, BK, WM, WN, STAGES, REGISTERS, EFFICIENCY)                 \
    extern "C" __global__ void __launch_bounds__(                                                        \
        (BM) / (WM) * ((BN) / (WN)) * 32,                                                                \
        65536 / ((BM) / (WM) * ((BN) / (WN)) * 32 * (((REGISTERS) + 7) / 8 * 8)))                        \
        NAME(const __grid_constant__ pave_abi_gemm args, const void *a, const void *b, void *y, void *p, \
             const void *g, PAVE_TENSOR_PARAMETERS) {                                                    \
        pave::gemm_simt<pave::simt_tile<PAVE_T_##IN, BM, BN, BK, WM, WN, STAGES>, ANY_##LAYOUT>(         \
            args, pave::gemm_buffers{a, b, y, p, g}, pave::tensors{PAVE_TENSOR_NAMES});                  \
    }
PAVE_GEMM_SIMT_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
#undef ANY_ANY
#undef ANY_ROWS
