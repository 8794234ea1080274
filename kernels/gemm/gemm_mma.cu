/* SPDX-License-Identifier: Apache-2.0
 * Products on the tensor cores with mma.sync, for compute capability 8.0 and up: y = chain(A · Bᵀ), rows in
 * PAVE_GEMM_MMA_ROWS.
 *
 * Work: a block computes bm × bn, a warp wm × wn of it, one tile after another. Fragments are loaded one k-step ahead of the
 * arithmetic. When all warps hold the last k-step of a k-tile, which one barrier a k-tile tells, its stage is free: beside the
 * next k-tile's first steps the one `stages` later is copied there, while the fragments behind the barrier are loaded beside
 * the last step. The next tile's first k-tiles are copied while the epilogue works on the accumulators, which it needs no
 * shared memory for. Alignment: base and row stride of A and B are multiples of 16 bytes. m, n and k are free: copies zero-fill
 * beyond a row's k elements and beyond the last row, and read nothing there.
 *
 * Shared memory: `stages` buffers, each bm rows of A then bn rows of B, a row being bk elements, 64 or 128 bytes. The 16-byte
 * chunk c of row r lies at chunk c ^ (r mod 8) of a 128-byte row, or c ^ (r / 2 mod 4) of a 64-byte row: eight rows of one
 * chunk, which is what ldmatrix reads at a time, then lie in eight different groups of four banks, and so do eight
 * neighbouring chunks that are written. Of each 16 rows of B, those whose number has bit 1 clear come first: a lane's two
 * accumulators of one 8-column tile and its two of the next are then four columns that lie side by side. */
#include "kernels/cuda/raster.cuh"
#include "kernels/gemm/mma_epilogue.cuh"
#include "kernels/gemm/mma_float8.cuh"
#include "kernels/gemm/mma_join.cuh"
#include "kernels/gemm/mma_pairs.cuh"
#include "kernels/gemm/rows.h"
#include <type_traits>

namespace pave {

template <class T> struct mma_position;

template <int IN_, int A_, int B_, int BM_, int BN_, int BK_, int WM_, int WN_, int STAGES_> struct mma_tile {
    static constexpr int IN = IN_, A = A_, B = B_, BM = BM_, BN = BN_, WM = WM_, WN = WN_, STAGES = STAGES_;
    static constexpr bool ROUND_A = A_ == PAVE_T_F32, ROUND_B = B_ == PAVE_T_F32;
    static constexpr bool F8 = PAVE_T_IS_F8(IN);
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

    static_assert(ROW_BYTES == 64 || ROW_BYTES == 128, "the swizzle is for rows of 64 or 128 bytes");
    static_assert(WM % 32 == 0 && WN % 16 == 0, "the epilogue takes 32 rows and 16 columns at a time");
    static_assert(PASS_ROWS % 16 == 0 && BM % PASS_ROWS == 0 && BN % PASS_ROWS == 0, "passes are whole");
    static_assert(STAGES * STAGE_BYTES <= 99 * 1024, "the most that every device from 8.0 on has");
    static_assert(STAGES >= 2 && STEPS % 2 == 0, "fragments alternate between two sets");

    using position = typename std::conditional<PAIRS, pair_position<mma_tile>, mma_position<mma_tile>>::type;

    __device__ static __forceinline__ uint32_t swizzled(int row, int chunk) {
        const int mask = CHUNKS == 8 ? row & 7 : row >> 1 & 3;
        return static_cast<uint32_t>(row * ROW_BYTES + ((chunk ^ mask) << 4));
    }

    /* Where row `row` of B lies among the rows of its stage. */
    __device__ static __forceinline__ int b_place(int row) {
        return (row & ~15) | (row & 1) | (row >> 2 & 3) << 1 | (row >> 1 & 1) << 3;
    }
};

/* This thread's share of the copies: one chunk column, every PASS_ROWS-th row of A and of B. */
template <class T> struct mma_copier {
    const char *a, *b;
    int64_t a_pass, b_pass;      /* bytes from one pass to the next */
    int64_t left;                /* bytes of a row from this thread's chunk on; <= 0 beyond its end */
    int a_rows, b_rows;          /* rows that exist from this thread's first one on, at most the tile's */
    uint32_t a_target, b_target; /* in a stage */

    /* Where the tile's k-tile `k_tile` begins. */
    __device__ __forceinline__ void start(const gemm_buffers &buffers, const tile_job &job,
                                          int64_t k_tile = 0) {
        int thread = threadIdx.x;
        forget(thread);
        const int row = thread / T::CHUNKS, chunk = thread % T::CHUNKS;
        a = static_cast<const char *>(buffers.a) + job.a.offset + row * job.a.row + chunk * 16;
        b = static_cast<const char *>(buffers.b) + job.b.offset + row * job.b.row + chunk * 16;
        a_pass = job.a.row * T::PASS_ROWS;
        b_pass = job.b.row * T::PASS_ROWS;
        a_rows = job.a.rows - row;
        b_rows = job.b.rows - row;
        left = (job.k + T::K_BLOCK - 1) / T::K_BLOCK * (T::K_BLOCK * T::BYTES) - chunk * 16;
        a_target = T::swizzled(row, chunk);
        b_target = T::B_BASE + T::swizzled(T::b_place(row), chunk);
        a += k_tile * T::ROW_BYTES;
        b += k_tile * T::ROW_BYTES;
        left -= k_tile * T::ROW_BYTES;
    }

    /* Copies passes FIRST … LAST - 1 of the current k-tile, A's passes before B's, into the stage at `stage`.
     */
    template <int FIRST, int LAST> __device__ __forceinline__ void passes(uint32_t stage) const {
        const int bytes = left >= 16 ? 16 : left > 0 ? static_cast<int>(left) : 0;
#pragma unroll
        for (int i = FIRST; i < LAST; i++) {
            if (i < T::A_PASSES) {
                copy_async(stage + a_target + i * (T::PASS_ROWS * T::ROW_BYTES), a + i * a_pass,
                           i * T::PASS_ROWS < a_rows ? bytes : 0);
            } else {
                const int j = i - T::A_PASSES;
                copy_async(stage + b_target + j * (T::PASS_ROWS * T::ROW_BYTES), b + j * b_pass,
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
            copy_async(stage + (j < 0 ? a_target : b_target) + row * T::ROW_BYTES, at);
        }
    }

    __device__ __forceinline__ bool has_all_rows() const {
        return a_rows > (T::A_PASSES - 1) * T::PASS_ROWS && b_rows > (T::B_PASSES - 1) * T::PASS_ROWS;
    }

    /* K-tiles of which all bytes exist, from the current one on. */
    __device__ __forceinline__ int64_t whole_tiles() const {
        return (left + threadIdx.x % T::CHUNKS * 16) / T::ROW_BYTES;
    }

    __device__ __forceinline__ void next_whole() {
        a += T::ROW_BYTES;
        b += T::ROW_BYTES;
    }

    __device__ __forceinline__ void next() {
        next_whole();
        left -= T::ROW_BYTES;
    }

    /* Copies the current k-tile, whatever of it exists, and goes on to the next one. */
    __device__ __forceinline__ void tile(uint32_t stage) {
        constexpr int PASSES = T::A_PASSES + T::B_PASSES;
        const char *at = nullptr;
        if (left >= 16 && has_all_rows())
            whole_passes<0, PASSES>(stage, at);
        else
            passes<0, PASSES>(stage);
        copy_commit();
        next();
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
template <class T> struct mma_position : mma_stages<T> {
    mma_fragments<T> fragments[2];

    __device__ __forceinline__ void load(int step, int part) {
        fragments[step % 2].load(this->read, this->a_at, this->b_at, step % T::STEPS, part);
    }

    __device__ __forceinline__ void load_first() {
#pragma unroll
        for (int i = 0; i < T::MI; i++) load(0, i);
    }

    /* All k-steps but the last of the k-tile that is read, while a whole k-tile is copied (COPY); the last one's fragments
     * are loaded. */
    template <bool COPY, int I = 0>
    __device__ __forceinline__ void most_steps(mma_copier<T> &copier, float (&acc)[T::MI][T::NI][4],
                                               const char *at = nullptr) {
        constexpr int STEP = I / T::MI, PART = I % T::MI, PARTS = (T::STEPS - 1) * T::MI;
        constexpr int PASSES = T::A_PASSES + T::B_PASSES;
        if constexpr (I < PARTS) {
            if constexpr (PART == 0) {
                fragments[STEP % 2].round();
#pragma unroll
                for (int i = 0; i < T::MI; i++) load(STEP + 1, i);
            }
            if constexpr (COPY)
                copier.template whole_passes<I * PASSES / PARTS, (I + 1) * PASSES / PARTS>(this->write, at);
            fragments[STEP % 2].multiply(acc, PART);
            most_steps<COPY, I + 1>(copier, acc, at);
        }
    }

    /* The last k-step of the k-tile before the turn, while the first one's fragments after it are loaded (NEXT). */
    template <bool NEXT> __device__ __forceinline__ void last_step(float (&acc)[T::MI][T::NI][4]) {
        fragments[1].round();
#pragma unroll
        for (int i = 0; i < T::MI; i++) {
            if (NEXT) load(0, i);
            fragments[1].multiply(acc, i);
        }
    }

    __device__ __forceinline__ void finish(float (&)[T::MI][T::NI][4]) const {
    }
};

/* Starts the copies of a tile's first k-tiles, into all stages but one. */
template <class T> __device__ __forceinline__ void mma_fill(mma_copier<T> &copier, uint32_t shared) {
#pragma unroll 1
    for (uint32_t stage = shared; stage != shared + (T::STAGES - 1) * T::STAGE_BYTES;
         stage += T::STAGE_BYTES) {
        copier.template passes<0, T::A_PASSES + T::B_PASSES>(stage);
        copy_commit();
        copier.next();
    }
}

/* acc += A · Bᵀ of this warp's tile over all of k, whose first k-tiles are under way. On return no copy is, and shared
 * memory is free when all warps have come here.
 *
 * A k-tile is a loop's body in the order that the assembler keeps: it moves multiplications neither over the barrier nor over
 * the loop's end, so that fragments are always loaded while those of the step before are multiplied. The first loop is for
 * whole k-tiles of blocks that lack no row, the next one for all others. */
template <class T>
__device__ __forceinline__ void mma_main_loop(mma_copier<T> &copier, const gemm_buffers &buffers,
                                              const tile_job &job, uint32_t shared, int64_t k_tiles,
                                              float (&acc)[T::MI][T::NI][4]) {
    typename T::position p;
    p.start(shared);
    copy_wait<T::STAGES - 2>();
    const bool all_rows = __syncthreads_and(copier.has_all_rows());
    /* K-tiles that are copied without a check. */
    int64_t whole = all_rows && copier.whole_tiles() > 0 ? copier.whole_tiles() : 0;
    int64_t rest = k_tiles - whole;
    p.load_first();

#pragma unroll 1
    for (; whole > 0; whole--) {
        p.template most_steps<true>(copier, acc);
        copy_commit();
        copier.next_whole();
        p.turn();
        p.template last_step<true>(acc);
    }
    /* Found again: the first loop has no registers for what is asked here alone. */
    forget_memory();
    if (rest >= T::STAGES) copier.start(buffers, job, k_tiles - rest + T::STAGES - 1);
#pragma unroll 1
    for (; rest > 1; rest--) {
        if (rest >= T::STAGES) {
            copier.template passes<0, T::A_PASSES + T::B_PASSES>(p.write);
            copier.next();
        }
        copy_commit();
        p.template most_steps<false>(copier, acc);
        p.turn();
        p.template last_step<true>(acc);
    }
    p.template most_steps<false>(copier, acc);
    p.template last_step<false>(acc);
    p.finish(acc);
    copy_wait<0>();
}

/* A warp's slot of three; found again wherever it is asked for. */
__device__ __forceinline__ int &own_turn(int *turns) {
    int thread = threadIdx.x;
    forget(thread);
    return turns[thread / 32];
}

__device__ __forceinline__ int turn_after(int *turns) {
    const int turn = own_turn(turns);
    return turn == 2 ? 0 : turn + 1;
}

/* Tiles' places lie in turns in three slots: the first warp writes the next tile's before the main loop, when others may still
 * be in the last one's epilogue. */
template <class T>
__device__ __forceinline__ void mma_tiles(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                          const tensors &t) {
    using raster = gemm_raster<T::BM, T::BN, T::BYTES>;
    __shared__ tile_job jobs[3];
    const uint32_t shared = shared_address(dynamic_shared());
    if (block_index() >= raster::count(args)) return follow_launches();
    raster::leave(args, buffers.g, block_index(), jobs[0]);
    __syncthreads();
    follow_launches();
    mma_copier<T> copier;
    copier.start(buffers, jobs[0]);
    mma_fill<T>(copier, shared);
    __shared__ int turns[T::WARPS]; /* each warp's slot, for which the loops have no registers */
    own_turn(turns) = 0;
    __syncwarp();
#pragma unroll 1
    while (true) {
        const tile_job &job = jobs[own_turn(turns)];
        if (job.next != NO_TILE) raster::leave(args, buffers.g, job.next, jobs[turn_after(turns)]);
        const int64_t k_tiles = (job.k * T::BYTES + T::ROW_BYTES - 1) / T::ROW_BYTES;
        float acc[T::MI][T::NI][4] = {};
        if constexpr (T::F8)
            mma_float8_loop<T>(copier, shared, k_tiles, acc);
        else
            mma_main_loop<T>(copier, buffers, job, shared, k_tiles, acc);
        __syncthreads();
        tile_job &done = jobs[own_turn(turns)];
        if (done.next != NO_TILE) {
            copier.start(buffers, jobs[turn_after(turns)]);
            mma_fill<T>(copier, shared);
        }
        if (done.joined == 0 || mma_join<T>(args, buffers, done, acc))
            mma_epilogue<T>(args, buffers, t, done, acc, dynamic_shared() + (T::STAGES - 1) * T::STAGE_BYTES);
        forget_memory();
        if (jobs[own_turn(turns)].next == NO_TILE) break;
        const int next = turn_after(turns);
        __syncwarp();
        own_turn(turns) = next;
        __syncwarp();
        copier.start(buffers, jobs[next], T::STAGES - 1);
    }
}

template <class T>
__device__ __forceinline__ void gemm_mma(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                         const tensors &t) {
    if constexpr (HAS_F8 || !T::F8) mma_tiles<T>(args, buffers, t);
}

} // namespace pave

#define PAVE_KERNEL(NAME, IN, A, B, BM, BN, BK, WM, WN, STAGES, REGISTERS, EFFICIENCY)                   \
    extern "C" __global__ void __launch_bounds__(                                                        \
        (BM) / (WM) * ((BN) / (WN)) * 32,                                                                \
        65536 / ((BM) / (WM) * ((BN) / (WN)) * 32 * (((REGISTERS) + 7) / 8 * 8)))                        \
        NAME(const __grid_constant__ pave_abi_gemm args, const void *a, const void *b, void *y, void *p, \
             const void *g, PAVE_TENSOR_PARAMETERS) {                                                    \
        pave::gemm_mma<pave::mma_tile<PAVE_T_##IN, PAVE_T_##A, PAVE_T_##B, BM, BN, BK, WM, WN, STAGES>>( \
            args, pave::gemm_buffers{a, b, y, p, g}, pave::tensors{PAVE_TENSOR_NAMES});                  \
    }
PAVE_GEMM_MMA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
