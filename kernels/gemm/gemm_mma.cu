/* SPDX-License-Identifier: Apache-2.0
 * Products on the tensor cores with mma.sync, for compute capability 8.0 and up: y = chain(A · Bᵀ), rows in
 * PAVE_GEMM_MMA_ROWS.
 *
 * Work: a block computes bm × bn, a warp wm × wn of it. Fragments are loaded one k-step ahead of the
 * arithmetic. When all warps hold the last k-step of a k-tile, which one barrier a k-tile tells, its stage is
 * free: the copy of the k-tile `stages` later starts there, beside that step's multiplications. Alignment: base and row stride of A and
 * B are multiples of 16 bytes. m, n and k are free: copies zero-fill beyond a row's k elements and beyond the
 * last row, and read nothing there. Shared memory: `stages` buffers, each bm rows of A then bn rows of B, a
 * row being bk elements, 64 or 128 bytes. The 16-byte chunk c of row r lies at chunk c ^ (r mod 8) of a
 * 128-byte row, or c ^ (r / 2 mod 4) of a 64-byte row: eight rows of one chunk, which is what ldmatrix reads
 * at a time, then lie in eight different groups of four banks, and so do eight neighbouring chunks that are
 * written. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/raster.cuh"
#include "kernels/gemm/mma_promoted.cuh"
#include "kernels/gemm/rows.h"

namespace pave {

template <int IN_, int A_, int B_, int BM_, int BN_, int BK_, int WM_, int WN_, int STAGES_> struct mma_tile {
    static constexpr int IN = IN_, BM = BM_, BN = BN_, WM = WM_, WN = WN_, STAGES = STAGES_;
    static constexpr bool ROUND_A = A_ == PAVE_T_F32, ROUND_B = B_ == PAVE_T_F32;
    static constexpr bool F8 = PAVE_T_IS_F8(IN);
    static constexpr int A = A_, B = B_;
    static constexpr bool PAIRS = IN == PAVE_T_F16X2, SCALED = PAIRS || IN == PAVE_T_F16;
    static constexpr int K_BLOCK = PAIRS ? PAVE_PAIR_BLOCK : 1; /* elements that lie and count together */
    static constexpr int BYTES = element_bytes(IN);
    static constexpr int ROW_BYTES = BK_ * BYTES;
    static constexpr int CHUNKS = ROW_BYTES / 16;
    static constexpr int STEPS = ROW_BYTES / 32;
    static constexpr int MI = WM / 16, NI = WN / 8;
    static constexpr int WARPS_N = BN / WN, WARPS = BM / WM * WARPS_N, THREADS = WARPS * 32;
    static constexpr int PASS_ROWS = THREADS / CHUNKS;
    static constexpr int A_PASSES = BM / PASS_ROWS, B_PASSES = BN / PASS_ROWS;
    static constexpr int B_BASE = BM * ROW_BYTES, STAGE_BYTES = (BM + BN) * ROW_BYTES;
    /* A warp's 16 rows of accumulators; the padding sends the eight rows of a store to different banks. */
    static constexpr int STAGED_LD = WN + 8, STAGED_BYTES = 16 * STAGED_LD * 4;
    static constexpr int LANES = WN / 4;

    static_assert(ROW_BYTES == 64 || ROW_BYTES == 128, "the swizzle is for rows of 64 or 128 bytes");
    static_assert(WM % 16 == 0 && WN % 16 == 0 && LANES <= 32, "a warp reads 16 rows of A or B at a time");
    static_assert(PASS_ROWS % 8 == 0 && BM % PASS_ROWS == 0 && BN % PASS_ROWS == 0, "passes are whole");
    static_assert(WARPS * STAGED_BYTES <= STAGES * STAGE_BYTES, "the epilogue's staging fits");
    static_assert(STAGES * STAGE_BYTES <= 99 * 1024, "the most that every device from 8.0 on has");
    static_assert(STAGES >= 2 && STEPS % 2 == 0, "fragments alternate between two sets");

    __device__ static __forceinline__ uint32_t swizzled(int row, int chunk) {
        const int mask = CHUNKS == 8 ? row & 7 : row >> 1 & 3;
        return static_cast<uint32_t>(row * ROW_BYTES + ((chunk ^ mask) << 4));
    }
};

/* This thread's share of the copies: one chunk column, every PASS_ROWS-th row of A and of B. */
template <class T> struct mma_copier {
    const char *a, *b;
    int64_t a_pass, b_pass; /* bytes from one pass to the next */
    int64_t left;           /* bytes of a row from this thread's chunk on; <= 0 beyond its end */
    int a_rows, b_rows;     /* rows that exist from this thread's first one on, at most the tile's */
    uint32_t target;        /* in a stage's A or B */

    __device__ __forceinline__ void start(const gemm_buffers &buffers, const tile_job &job) {
        const int row = threadIdx.x / T::CHUNKS, chunk = threadIdx.x % T::CHUNKS;
        a = static_cast<const char *>(buffers.a) + job.a.offset + row * job.a.row + chunk * 16;
        b = static_cast<const char *>(buffers.b) + job.b.offset + row * job.b.row + chunk * 16;
        a_pass = job.a.row * T::PASS_ROWS;
        b_pass = job.b.row * T::PASS_ROWS;
        a_rows = job.a.rows - row;
        b_rows = job.b.rows - row;
        left = (job.k + T::K_BLOCK - 1) / T::K_BLOCK * (T::K_BLOCK * T::BYTES) - chunk * 16;
        target = T::swizzled(row, chunk);
    }

    /* Copies passes FIRST … LAST - 1 of the current k-tile, A's passes before B's, into the stage at `stage`.
     */
    template <int FIRST, int LAST> __device__ __forceinline__ void passes(uint32_t stage) const {
        const int bytes = left >= 16 ? 16 : left > 0 ? static_cast<int>(left) : 0;
#pragma unroll
        for (int i = FIRST; i < LAST; i++) {
            if (i < T::A_PASSES) {
                copy_async(stage + target + i * (T::PASS_ROWS * T::ROW_BYTES), a + i * a_pass,
                           i * T::PASS_ROWS < a_rows ? bytes : 0);
            } else {
                const int j = i - T::A_PASSES;
                copy_async(stage + T::B_BASE + target + j * (T::PASS_ROWS * T::ROW_BYTES), b + j * b_pass,
                           j * T::PASS_ROWS < b_rows ? bytes : 0);
            }
        }
    }

    /* For a k-tile of which all rows and bytes exist, on every thread of the block: an addition and a copy a
     * pass. `at` goes from pass to pass. */
    template <int FIRST, int LAST>
    __device__ __forceinline__ void whole_passes(uint32_t stage, const char *&at) const {
#pragma unroll
        for (int i = FIRST; i < LAST; i++) {
            const int j = i - T::A_PASSES;
            at = i == 0 ? a : j == 0 ? b : at + (j < 0 ? a_pass : b_pass);
            const int row = (j < 0 ? i : j) * T::PASS_ROWS;
            copy_async(stage + target + (j < 0 ? 0 : T::B_BASE) + row * T::ROW_BYTES, at);
        }
    }

    __device__ __forceinline__ bool has_all_rows() const {
        return a_rows > (T::A_PASSES - 1) * T::PASS_ROWS && b_rows > (T::B_PASSES - 1) * T::PASS_ROWS;
    }

    /* K-tiles of which all bytes exist, from the current one on. */
    __device__ __forceinline__ int64_t whole_tiles() const {
        return (left + threadIdx.x % T::CHUNKS * 16) / T::ROW_BYTES;
    }

    __device__ __forceinline__ void next() {
        a += T::ROW_BYTES;
        b += T::ROW_BYTES;
        left -= T::ROW_BYTES;
    }
};

/* A warp's operands of one k-step: 32 bytes of each of its rows. */
template <class T> struct mma_fragments {
    uint32_t a[T::MI][4];
    uint32_t b[T::NI / 2][4]; /* two neighbouring 8-column tiles: {b0, b1} of one, then of the other */

    /* Part i of MI: the first parts are what the first multiplications need. a_at, b_at: this lane's places at
     * k-step 0. A k-step is two chunks, so its index is a bit field of the chunk number and the swizzle's
     * exclusive or carries over. */
    __device__ __forceinline__ void load(uint32_t stage, uint32_t a_at, uint32_t b_at, int step, int i) {
        constexpr int ALL = T::MI + T::NI / 2;
#pragma unroll
        for (int x = i * ALL / T::MI; x < (i + 1) * ALL / T::MI; x++) {
            if (x > 0 && x <= T::NI / 2) {
                load_matrices(b[x - 1],
                              stage + T::B_BASE + (b_at ^ step << 5) + (x - 1) * (16 * T::ROW_BYTES));
            } else {
                const int row = x > 0 ? x - T::NI / 2 : 0;
                load_matrices(a[row], stage + (a_at ^ step << 5) + row * (16 * T::ROW_BYTES));
            }
        }
    }

    __device__ __forceinline__ void round() {
        if (T::ROUND_A) {
#pragma unroll
            for (int i = 0; i < T::MI * 4; i++) a[i / 4][i % 4] = round_tf32(a[i / 4][i % 4]);
        }
        if (T::ROUND_B) {
#pragma unroll
            for (int j = 0; j < T::NI * 2; j++) b[j / 4][j % 4] = round_tf32(b[j / 4][j % 4]);
        }
    }

    /* Row i of the warp's tiles. Odd rows go backwards, so that neighbouring multiplications share an operand.
     */
    __device__ __forceinline__ void multiply(float (&acc)[T::MI][T::NI][4], int i) const {
#pragma unroll
        for (int jj = 0; jj < T::NI; jj++) {
            const int j = i % 2 ? T::NI - 1 - jj : jj;
            const uint32_t b0 = b[j / 2][j % 2 * 2], b1 = b[j / 2][j % 2 * 2 + 1];
            if (T::IN == PAVE_T_TF32)
                multiply_tf32(acc[i][j], a[i], b0, b1);
            else if (T::IN == PAVE_T_F16)
                multiply_f16(acc[i][j], a[i], b0, b1);
            else
                multiply_bf16(acc[i][j], a[i], b0, b1);
        }
    }
};

/* A warp's place in the main loop. */
template <class T> struct mma_position {
    uint32_t first, end;  /* of the stages */
    uint32_t read, write; /* the stage that is read; the one before, which is free after a barrier */
    uint32_t a_at, b_at;
    mma_fragments<T> fragments[2];

    __device__ __forceinline__ void start(uint32_t shared) {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        first = read = write = shared;
        end = shared + T::STAGES * T::STAGE_BYTES;
        a_at = T::swizzled(warp / T::WARPS_N * T::WM + lane % 16, lane / 16);
        b_at = T::swizzled(warp % T::WARPS_N * T::WN + lane / 16 * 8 + lane % 8, lane / 8 % 2);
    }

    __device__ __forceinline__ void load(int step, int part) {
        fragments[step % 2].load(read, a_at, b_at, step % T::STEPS, part);
    }

    /* All k-steps but the last of the k-tile that is read; the last one's fragments are loaded. */
    __device__ __forceinline__ void most_steps(float (&acc)[T::MI][T::NI][4]) {
#pragma unroll
        for (int step = 0; step < T::STEPS - 1; step++) {
            fragments[step % 2].round();
#pragma unroll
            for (int i = 0; i < T::MI; i++) {
                load(step + 1, i);
                fragments[step % 2].multiply(acc, i);
            }
        }
    }

    /* Waits for the next k-tile, and for all warps to have read this one. */
    __device__ __forceinline__ void turn() {
        write = read;
        read = read + T::STAGE_BYTES == end ? first : read + T::STAGE_BYTES;
        copy_wait<T::STAGES - 2>();
        __syncthreads();
    }
};

/* The last k-step of the k-tile before the turn, while the first one's fragments after it are loaded (NEXT) and
 * a whole k-tile is copied (COPY). */
template <class T, bool NEXT, bool COPY, int I = 0>
__device__ __forceinline__ void mma_last_step(mma_position<T> &p, mma_copier<T> &copier, const char *at,
                                              float (&acc)[T::MI][T::NI][4]) {
    constexpr int PASSES = T::A_PASSES + T::B_PASSES;
    if constexpr (I < T::MI) {
        if constexpr (I == 0) p.fragments[1].round();
        if constexpr (NEXT) p.load(0, I);
        if constexpr (COPY)
            copier.template whole_passes<I * PASSES / T::MI, (I + 1) * PASSES / T::MI>(p.write, at);
        p.fragments[1].multiply(acc, I);
        mma_last_step<T, NEXT, COPY, I + 1>(p, copier, at, acc);
    }
}

/* acc += A · Bᵀ of this warp's tile over all of k. On return no copy is under way and shared memory is free.
 *
 * The assembler moves multiplications across a barrier within a basic block, and so undoes what is overlapped
 * here: the fast loop's exit comes after the barrier and ends the block. That loop is for whole k-tiles of blocks
 * that lack no row, the next one for all others. */
template <class T>
__device__ __forceinline__ void mma_main_loop(mma_copier<T> &copier, uint32_t shared, int64_t k_tiles,
                                              float (&acc)[T::MI][T::NI][4]) {
    constexpr int PASSES = T::A_PASSES + T::B_PASSES;
    mma_position<T> p;
    p.start(shared);
#pragma unroll 1
    for (uint32_t stage = p.first; stage != p.end; stage += T::STAGE_BYTES) {
        copier.template passes<0, PASSES>(stage);
        copy_commit();
        copier.next();
    }
    copy_wait<T::STAGES - 1>();
    const bool all_rows = __syncthreads_and(copier.has_all_rows());
    /* K-tiles that are copied without a check. */
    int64_t whole = all_rows && copier.whole_tiles() > 0 ? copier.whole_tiles() : 0;
    int64_t rest = k_tiles - 1 - whole;
#pragma unroll
    for (int i = 0; i < T::MI; i++) p.load(0, i);

#pragma unroll 1
    for (;; whole--) {
        p.most_steps(acc);
        p.turn();
        if (whole == 0) break;
        mma_last_step<T, true, true>(p, copier, nullptr, acc);
        copy_commit();
        copier.next();
    }
#pragma unroll 1
    for (; rest > 0; rest--) {
        mma_last_step<T, true, false>(p, copier, nullptr, acc);
        if (rest >= T::STAGES) {
            copier.template passes<0, PASSES>(p.write);
            copier.next();
        }
        copy_commit();
        p.most_steps(acc);
        p.turn();
    }
    mma_last_step<T, false, false>(p, copier, nullptr, acc);
    copy_wait<0>();
    __syncthreads();
}

/* Writes rows 16 i … of a warp's accumulators to its own part of shared memory, rows STAGED_LD floats apart.
 * Lane l holds columns 2 (l % 4), + 1 of rows l / 4 and l / 4 + 8 of each 8-column tile. */
template <class T>
__device__ __forceinline__ void mma_stage_rows(float *staged, const float (&acc)[T::NI][4]) {
    const int lane = threadIdx.x % 32;
    float *at = staged + lane / 4 * T::STAGED_LD + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < T::NI; j++) {
        *reinterpret_cast<float2 *>(at + j * 8) = make_float2(acc[j][0], acc[j][1]);
        *reinterpret_cast<float2 *>(at + 8 * T::STAGED_LD + j * 8) = make_float2(acc[j][2], acc[j][3]);
    }
}

template <class T>
__device__ __forceinline__ void mma_epilogue(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                             const tensors &t, const tile_job &job,
                                             const float (&acc)[T::MI][T::NI][4]) {
    constexpr int ROWS_AT_ONCE = 32 / T::LANES, R = 4;
    static_assert(16 % (R * ROWS_AT_ONCE) == 0, "16 rows are whole rounds");
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float *staged = reinterpret_cast<float *>(dynamic_shared() + warp * T::STAGED_BYTES);
    const int64_t row0 = job.row + warp / T::WARPS_N * T::WM;
    const int64_t col0 = job.col + warp % T::WARPS_N * T::WN;

#pragma unroll 1
    for (int chunk = 0; chunk < T::MI; chunk++) {
        /* Accumulators are registers: each is named, none is indexed. */
#pragma unroll
        for (int i = 0; i < T::MI; i++)
            if (i == chunk) mma_stage_rows<T>(staged, acc[i]);
        __syncwarp();
#pragma unroll 1
        for (int first = lane / T::LANES; first < 16; first += R * ROWS_AT_ONCE) {
            patch<R, 4> x;
            x.col = col0 + lane % T::LANES * 4;
#pragma unroll
            for (int r = 0; r < R; r++) {
                const int row = first + r * ROWS_AT_ONCE;
                const float4 q =
                    *reinterpret_cast<const float4 *>(staged + row * T::STAGED_LD + lane % T::LANES * 4);
                x.v[r][0] = q.x, x.v[r][1] = q.y, x.v[r][2] = q.z, x.v[r][3] = q.w;
                x.row[r] = row0 + chunk * 16 + row;
            }
            epilogue_finish<T::LANES, R, T::SCALED>(args, buffers, t, job, col0 / T::WN, x);
        }
        __syncwarp();
    }
}

template <class T>
__device__ __forceinline__ void mma_tiles(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                          const tensors &t) {
    using raster = gemm_raster<T::BM, T::BN, T::BYTES>;
    __shared__ tile_job job;
#pragma unroll 1
    for (int64_t tile = block_index(); tile < raster::count(args);) {
        raster::take(args, buffers.g, tile, job);
        mma_copier<T> copier;
        copier.start(buffers, job);
        const int64_t k_tiles = (job.k * T::BYTES + T::ROW_BYTES - 1) / T::ROW_BYTES;
        float acc[T::MI][T::NI][4] = {};
        if constexpr (T::PAIRS || T::F8)
            mma_promoted_loop<T>(copier, shared_address(dynamic_shared()), k_tiles, acc);
        else
            mma_main_loop<T>(copier, shared_address(dynamic_shared()), k_tiles, acc);
        mma_epilogue<T>(args, buffers, t, job, acc);
        tile = job.next;
        __syncthreads();
    }
}

template <class T>
__device__ __forceinline__ void gemm_mma(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                         const tensors &t) {
    if constexpr (HAS_F8 || !T::F8) mma_tiles<T>(args, buffers, t);
}

} // namespace pave

#define PAVE_KERNEL(NAME, IN, A, B, BM, BN, BK, WM, WN, STAGES, REGISTERS, EFFICIENCY)                   \
    extern "C" __global__ void __launch_bounds__((BM) / (WM) * ((BN) / (WN)) * 32)                       \
        NAME(const __grid_constant__ pave_abi_gemm args, const void *a, const void *b, void *y, void *p, \
             const void *g, PAVE_TENSOR_PARAMETERS) {                                                    \
        pave::gemm_mma<pave::mma_tile<PAVE_T_##IN, PAVE_T_##A, PAVE_T_##B, BM, BN, BK, WM, WN, STAGES>>( \
            args, pave::gemm_buffers{a, b, y, p, g}, pave::tensors{PAVE_TENSOR_NAMES});                  \
    }
PAVE_GEMM_MMA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
