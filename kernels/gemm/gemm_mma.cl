/* SPDX-License-Identifier: Apache-2.0
 * Products on NVIDIA's tensor cores with mma.sync: y = chain(A · Bᵀ), the design of gemm_mma.cu within the 48 KiB
 * of local memory that an OpenCL work-group has.
 *
 * Work: a group computes PAVE_BM × PAVE_BN, a warp PAVE_WM × PAVE_WN of it. Fragments are loaded one k-step ahead
 * of the arithmetic. When all warps hold the last k-step of a k-tile, which one barrier a k-tile tells, its stage
 * is free: the copy of the k-tile PAVE_STAGES later starts there, beside that step's multiplications. Alignment:
 * base and row stride of A and B are multiples of 16 bytes, and columns are 1 apart. m, n and k are free: copies
 * zero-fill beyond a row's k elements and beyond the last row, and read nothing there. Local memory: PAVE_STAGES
 * buffers, each PAVE_BM rows of A then PAVE_BN rows of B, a row being PAVE_BK elements, 64 or 128 bytes. The
 * 16-byte chunk c of row r lies at chunk c ^ (r mod 8) of a 128-byte row, or c ^ (r / 2 mod 4) of a 64-byte row:
 * eight rows of one chunk, which is what ldmatrix reads at a time, then lie in eight different groups of four
 * banks, and so do eight neighbouring chunks that are written. Once the sums are done the warps use it to turn
 * them into rows. */
#include "prelude.h"
#include "chain.h"
#include "state.h"
#include "tiles.h"
#include "walk.h"
#include "epilogue.h"
#include "ptx.h"

#define PV_BYTES PV_WIDTH(PAVE_A_TYPE)
#define PV_ROW_BYTES (PAVE_BK * PV_BYTES)
#define PV_CHUNKS (PV_ROW_BYTES / 16)
#define PV_STEPS (PV_ROW_BYTES / 32) /* of the multiply-add's depth */
#define PV_MI (PAVE_WM / 16)
#define PV_NI (PAVE_WN / 8)
#define PV_WARPS_N (PAVE_BN / PAVE_WN)
#define PV_PASS_ROWS (PAVE_THREADS / PV_CHUNKS)
#define PV_A_PASSES (PAVE_BM / PV_PASS_ROWS)
#define PV_PASSES (PV_A_PASSES + PAVE_BN / PV_PASS_ROWS)
#define PV_B_BASE (PAVE_BM * PV_ROW_BYTES)
#define PV_STAGE_BYTES ((PAVE_BM + PAVE_BN) * PV_ROW_BYTES)
#define PV_TILE_BYTES (PAVE_STAGES * PV_STAGE_BYTES)
/* A warp's 16 rows of sums; the padding sends the eight rows of a store to different banks. */
#define PV_STAGED_LD (PAVE_WN + 8)
#define PV_STAGED_FLOATS (16 * PV_STAGED_LD)
#define PV_ROW_LANES (PAVE_WN / 4)
#define PV_ROWS_AT_ONCE (PV_WARP / PV_ROW_LANES)
#define PV_R 4 /* rows that a lane takes through the chain at a time */

#if PV_ROW_BYTES != 64 && PV_ROW_BYTES != 128
#error gemm_mma: the swizzle is for rows of 64 or 128 bytes
#endif
#if PAVE_THREADS != PAVE_BM / PAVE_WM * PV_WARPS_N * PV_WARP || PAVE_WM % 16 != 0 || PAVE_WN % 16 != 0
#error gemm_mma: a warp reads 16 rows of A or B at a time
#endif
#if PV_PASS_ROWS % 8 != 0 || PAVE_BM % PV_PASS_ROWS != 0 || PAVE_BN % PV_PASS_ROWS != 0
#error gemm_mma: passes are whole
#endif
#if PAVE_THREADS / PV_WARP * PV_STAGED_FLOATS * 4 > PV_TILE_BYTES || 16 % (PV_R * PV_ROWS_AT_ONCE) != 0
#error gemm_mma: the turned sums fit, in whole rounds
#endif
#if PAVE_STAGES < 2 || PV_STEPS % 2 != 0 || PAVE_SLICE != PAVE_WN
#error gemm_mma: fragments alternate between two sets
#endif

PV_INLINE uint pv_swizzled(int row, int chunk) {
    const int mask = PV_CHUNKS == 8 ? row & 7 : row >> 1 & 3;
    return (uint)(row * PV_ROW_BYTES + ((chunk ^ mask) << 4));
}

/* This item's share of the copies: one chunk column, every PV_PASS_ROWS-th row of A and of B. */
typedef struct pv_copier {
    __global const char *a, *b;
    long a_pass, b_pass; /* bytes from one pass to the next */
    long left;           /* bytes of a row from this item's chunk on; <= 0 beyond its end */
    int a_rows, b_rows;  /* rows that exist from this item's first one on */
    uint target;         /* in a stage's A or B */
} pv_copier;

PV_INLINE pv_copier pv_copier_of(const pv_job *job) {
    const int row = (int)get_local_id(0) / PV_CHUNKS, chunk = (int)get_local_id(0) % PV_CHUNKS;
    pv_copier c;
    c.a = job->a + row * job->a_row * PV_BYTES + chunk * 16;
    c.b = job->b + row * job->b_row * PV_BYTES + chunk * 16;
    c.a_pass = job->a_row * (PV_PASS_ROWS * PV_BYTES);
    c.b_pass = job->b_row * (PV_PASS_ROWS * PV_BYTES);
    c.left = job->k * PV_BYTES - chunk * 16;
    c.a_rows = job->rows - row;
    c.b_rows = job->cols - row;
    c.target = pv_swizzled(row, chunk);
    return c;
}

PV_INLINE void pv_copier_next(pv_copier *c) {
    c->a += PV_ROW_BYTES;
    c->b += PV_ROW_BYTES;
    c->left -= PV_ROW_BYTES;
}

/* All passes of the current k-tile, A's before B's, into the stage at `stage`. */
PV_INLINE void pv_copy_some(const pv_copier *c, pv_local_at stage) {
    const int bytes = (int)clamp(c->left, 0L, 16L);
    PV_UNROLL
    for (int i = 0; i < PV_PASSES; i++) {
        const int j = i - PV_A_PASSES;
        if (j < 0)
            pv_copy_async_some(stage + c->target + i * (PV_PASS_ROWS * PV_ROW_BYTES),
                               bytes > 0 && i * PV_PASS_ROWS < c->a_rows ? c->a + i * c->a_pass : c->a,
                               i * PV_PASS_ROWS < c->a_rows ? bytes : 0);
        else
            pv_copy_async_some(stage + PV_B_BASE + c->target + j * (PV_PASS_ROWS * PV_ROW_BYTES),
                               bytes > 0 && j * PV_PASS_ROWS < c->b_rows ? c->b + j * c->b_pass : c->b,
                               j * PV_PASS_ROWS < c->b_rows ? bytes : 0);
    }
}

/* Passes first … last - 1 of a k-tile of which all rows and bytes exist: an addition and a copy a pass. `at` goes
 * from pass to pass. */
PV_INLINE void pv_copy_whole(const pv_copier *c, pv_local_at stage, int first, int last,
                             __global const char **at) {
    PV_UNROLL
    for (int i = first; i < last; i++) {
        const int j = i - PV_A_PASSES, row = (j < 0 ? i : j) * PV_PASS_ROWS;
        *at = i == 0 ? c->a : j == 0 ? c->b : *at + (j < 0 ? c->a_pass : c->b_pass);
        pv_copy_async(stage + c->target + (j < 0 ? 0 : PV_B_BASE) + row * PV_ROW_BYTES, *at);
    }
}

/* A warp's operands of one k-step: 32 bytes of each of its rows. b: two neighbouring 8-column tiles, {b0, b1} of
 * one, then of the other. */
typedef struct pv_fragments {
    uint a[PV_MI][4];
    uint b[PV_NI / 2][4];
} pv_fragments;

/* A warp's place in the main loop. */
typedef struct pv_position {
    pv_local_at first, end;  /* of the stages */
    pv_local_at read, write; /* the stage that is read; the one before, which is free after a barrier */
    uint a_at, b_at;         /* this lane's places at k-step 0 */
    pv_fragments fragments[2];
} pv_position;

/* Part i of PV_MI of k-step `step`: the first parts are what the first multiplications need. A k-step is two
 * chunks, so its index is a bit field of the chunk number and the swizzle's exclusive or carries over. */
PV_INLINE void pv_load_part(pv_position *p, int step, int i) {
    pv_fragments *f = &p->fragments[step % 2];
    const uint along = (uint)(step % PV_STEPS) << 5;
    const int all = PV_MI + PV_NI / 2;
    PV_UNROLL
    for (int x = i * all / PV_MI; x < (i + 1) * all / PV_MI; x++) {
        if (x > 0 && x <= PV_NI / 2)
            pv_load_matrices(f->b[x - 1],
                             p->read + PV_B_BASE + (p->b_at ^ along) + (x - 1) * (16 * PV_ROW_BYTES));
        else
            pv_load_matrices(f->a[x > 0 ? x - PV_NI / 2 : 0],
                             p->read + (p->a_at ^ along) + (x > 0 ? x - PV_NI / 2 : 0) * (16 * PV_ROW_BYTES));
    }
}

/* Operands that memory has as float32. */
PV_INLINE void pv_round_fragments(pv_fragments *f) {
#if PAVE_A_TYPE == PAVE_T_F32
    PV_UNROLL
    for (int i = 0; i < PV_MI * 4; i++) f->a[i / 4][i % 4] = pv_round_tf32(f->a[i / 4][i % 4]);
#endif
#if PAVE_B_TYPE == PAVE_T_F32
    PV_UNROLL
    for (int j = 0; j < PV_NI * 2; j++) f->b[j / 4][j % 4] = pv_round_tf32(f->b[j / 4][j % 4]);
#endif
}

/* Row i of the warp's tiles. Odd rows go backwards, so that neighbouring multiplications share an operand. */
PV_INLINE void pv_multiply(const pv_fragments *f, float (*acc)[PV_NI][4], int i) {
    PV_UNROLL
    for (int jj = 0; jj < PV_NI; jj++) {
        const int j = i % 2 ? PV_NI - 1 - jj : jj;
#if PAVE_A_TYPE == PAVE_T_F16 || PAVE_A_TYPE == PAVE_T_F16S
        pv_multiply_f16(acc[i][j], f->a[i], f->b[j / 2][j % 2 * 2], f->b[j / 2][j % 2 * 2 + 1]);
#elif PAVE_A_TYPE == PAVE_T_BF16
        pv_multiply_bf16(acc[i][j], f->a[i], f->b[j / 2][j % 2 * 2], f->b[j / 2][j % 2 * 2 + 1]);
#else
        pv_multiply_tf32(acc[i][j], f->a[i], f->b[j / 2][j % 2 * 2], f->b[j / 2][j % 2 * 2 + 1]);
#endif
    }
}

/* All k-steps but the last of the k-tile that is read; the last one's fragments are loaded. */
PV_INLINE void pv_most_steps(pv_position *p, float (*acc)[PV_NI][4]) {
    PV_UNROLL
    for (int step = 0; step < PV_STEPS - 1; step++) {
        pv_round_fragments(&p->fragments[step % 2]);
        PV_UNROLL
        for (int i = 0; i < PV_MI; i++) {
            pv_load_part(p, step + 1, i);
            pv_multiply(&p->fragments[step % 2], acc, i);
        }
    }
}

/* Waits for the next k-tile, and for all warps to have read this one. */
PV_INLINE void pv_turn(pv_position *p) {
    p->write = p->read;
    p->read = p->read + PV_STAGE_BYTES == p->end ? p->first : p->read + PV_STAGE_BYTES;
    PV_COPY_WAIT(PAVE_STAGES - 2);
    barrier(CLK_LOCAL_MEM_FENCE);
}

/* The last k-step of the k-tile before the turn, while the first one's fragments after it are loaded (next) and a
 * whole k-tile is copied (copy); both are constants. */
PV_INLINE void pv_last_step(pv_position *p, const pv_copier *c, float (*acc)[PV_NI][4], const int next,
                            const int copy) {
    __global const char *at = c->a;
    pv_round_fragments(&p->fragments[1]);
    PV_UNROLL
    for (int i = 0; i < PV_MI; i++) {
        if (next) pv_load_part(p, 0, i);
        if (copy) pv_copy_whole(c, p->write, i * PV_PASSES / PV_MI, (i + 1) * PV_PASSES / PV_MI, &at);
        pv_multiply(&p->fragments[1], acc, i);
    }
}

PV_INLINE void pv_position_start(pv_position *p, pv_local_at tiles) {
    const int lane = (int)get_local_id(0) % PV_WARP, warp = (int)get_local_id(0) / PV_WARP;
    p->first = p->read = p->write = tiles;
    p->end = tiles + PV_TILE_BYTES;
    p->a_at = pv_swizzled(warp / PV_WARPS_N * PAVE_WM + lane % 16, lane / 16);
    p->b_at = pv_swizzled(warp % PV_WARPS_N * PAVE_WN + lane / 16 * 8 + lane % 8, lane / 8 % 2);
}

/* acc += A · Bᵀ of this warp's tile over all of k. On return no copy is under way and the tiles are free.
 *
 * The assembler moves multiplications across a barrier within a basic block, and so undoes what is overlapped
 * here: the fast loop's exit comes after the barrier and ends the block. That loop is for whole k-tiles of groups
 * that lack no row, the next one for all others. */
PV_INLINE void pv_main_loop(const pv_job *job, pv_local_at tiles, float (*acc)[PV_NI][4]) {
    const int k_tiles = (int)((job->k * PV_BYTES + PV_ROW_BYTES - 1) / PV_ROW_BYTES);
    /* K-tiles that are copied without a check. */
    int whole = (int)(job->k * PV_BYTES / PV_ROW_BYTES) - PAVE_STAGES;
    if (whole < 0 || job->rows < PAVE_BM || job->cols < PAVE_BN) whole = 0;
    int rest = k_tiles - 1 - whole;
    pv_copier copier = pv_copier_of(job);
    pv_position p;
    pv_position_start(&p, tiles);
    PV_LOOP
    for (pv_local_at stage = p.first; stage != p.end; stage += PV_STAGE_BYTES) {
        pv_copy_some(&copier, stage);
        pv_copy_commit();
        pv_copier_next(&copier);
    }
    PV_COPY_WAIT(PAVE_STAGES - 1);
    barrier(CLK_LOCAL_MEM_FENCE);
    PV_UNROLL
    for (int i = 0; i < PV_MI; i++) pv_load_part(&p, 0, i);
    PV_LOOP
    for (;; whole--) {
        pv_most_steps(&p, acc);
        pv_turn(&p);
        if (whole == 0) break;
        pv_last_step(&p, &copier, acc, 1, 1);
        pv_copy_commit();
        pv_copier_next(&copier);
    }
    PV_LOOP
    for (; rest > 0; rest--) {
        pv_last_step(&p, &copier, acc, 1, 0);
        if (rest >= PAVE_STAGES) {
            pv_copy_some(&copier, p.write);
            pv_copier_next(&copier);
        }
        pv_copy_commit();
        pv_most_steps(&p, acc);
        pv_turn(&p);
    }
    pv_last_step(&p, &copier, acc, 0, 0);
    PV_COPY_WAIT(0);
    barrier(CLK_LOCAL_MEM_FENCE);
}

/* Writes rows 16 i … of a warp's sums to its own part of local memory, rows PV_STAGED_LD floats apart. Lane l
 * holds columns 2 (l % 4), + 1 of rows l / 4 and l / 4 + 8 of each 8-column tile. */
PV_INLINE void pv_stage_rows(__local float *staged, float (*acc)[4]) {
    const int lane = (int)get_local_id(0) % PV_WARP;
    __local float *at = staged + lane / 4 * PV_STAGED_LD + lane % 4 * 2;
    PV_UNROLL
    for (int j = 0; j < PV_NI; j++) {
        *(__local float2 *)(at + j * 8) = (float2)(acc[j][0], acc[j][1]);
        *(__local float2 *)(at + 8 * PV_STAGED_LD + j * 8) = (float2)(acc[j][2], acc[j][3]);
    }
}

/* The state of neighbouring lanes, PV_ROW_LANES of them, in an order that depends on nothing; the first lane has
 * the result. The whole warp takes part. */
PV_INLINE float2 pv_merge_lanes(int reduce, float2 s) {
    PV_UNROLL
    for (uint step = PV_ROW_LANES / 2; step > 0; step /= 2) {
        float2 t = (float2)(as_float(pv_from_lane_xor(as_uint(s.x), step)),
                            as_float(pv_from_lane_xor(as_uint(s.y), step)));
        s = pave_state_merge(reduce, s, t);
    }
    return s;
}

/* PV_R rows of a lane's four columns from `col` of the tile on; row r of them is first + r PV_ROWS_AT_ONCE. */
PV_INLINE void pv_finish_rows(const pave_abi_gemm *args, const pv_job *job, __global const char *a,
                              __global const char *b, __local const float *staged, int above, int first,
                              int col, PV_TENSOR_ARGS) {
    const int lane = (int)get_local_id(0) % PV_WARP, count = clamp(job->cols - col, 0, 4);
    const int scaled = job->a_scale != 0 || job->b_scale != 0 || args->scale != 1.0f;
    float4 v[PV_R];
    PV_UNROLL
    for (int r = 0; r < PV_R; r++) {
        const int in_warp = first + r * PV_ROWS_AT_ONCE, row = above + in_warp;
        const int here = row < job->rows ? count : 0;
        v[r] = *(__local const float4 *)(staged + in_warp * PV_STAGED_LD + lane % PV_ROW_LANES * 4);
#if PAVE_A_TYPE == PAVE_T_F16
        if (here > 0 && scaled) v[r] = pv_scale_row(args, job, a, b, row, col, here, v[r]);
#endif
        if (here > 0)
            v[r] = pv_chain(args->links, args->link_count, job->batch, job->row + row, job->col + col, here,
                            v[r], PV_TENSORS);
    }
    if (args->y_type != PAVE_T_NONE) {
        PV_UNROLL
        for (int r = 0; r < PV_R; r++) {
            const int row = above + first + r * PV_ROWS_AT_ONCE;
            if (row < job->rows && count > 0)
                pv_store_some(job->y, args->y_type, row * job->y_row + col, count, v[r]);
        }
    }
    if (args->reduce == 0) return;
    PV_UNROLL
    for (int r = 0; r < PV_R; r++) {
        const int row = above + first + r * PV_ROWS_AT_ONCE;
        float2 s = pv_merge_lanes(args->reduce, pv_fold4(args->reduce, v[r], count, (int)job->col + col));
        if (lane % PV_ROW_LANES == 0 && count > 0 && row < job->rows)
            vstore2(s, row * args->slots + col / PAVE_SLICE, job->p);
    }
}

PV_INLINE void pv_epilogue(const pave_abi_gemm *args, const pv_job *job, __global const char *a,
                           __global const char *b, __local float *tiles, float (*acc)[PV_NI][4],
                           PV_TENSOR_ARGS) {
    const int lane = (int)get_local_id(0) % PV_WARP, warp = (int)get_local_id(0) / PV_WARP;
    __local float *staged = tiles + warp * PV_STAGED_FLOATS;
    const int col = warp % PV_WARPS_N * PAVE_WN + lane % PV_ROW_LANES * 4;
    PV_LOOP
    for (int chunk = 0; chunk < PV_MI; chunk++) {
        pv_stage_rows(staged, acc[0]);
        pv_warp_barrier();
        PV_LOOP
        for (int first = lane / PV_ROW_LANES; first < 16; first += PV_R * PV_ROWS_AT_ONCE)
            pv_finish_rows(args, job, a, b, staged, warp / PV_WARPS_N * PAVE_WM + chunk * 16, first, col,
                           PV_TENSORS);
        /* Sums are registers, which have no index: the next ones move up. */
        PV_UNROLL
        for (int j = 0; j < (PV_MI - 1) * PV_NI * 4; j++)
            acc[j / (PV_NI * 4)][j / 4 % PV_NI][j % 4] = acc[j / (PV_NI * 4) + 1][j / 4 % PV_NI][j % 4];
        pv_warp_barrier();
    }
}

/* A number of which neither compiler can tell that it is `i`, so that what follows from it is found again behind
 * the main loop and not kept in registers across it. */
PV_INLINE long pv_again(long i) {
    const uint lane = (uint)get_local_id(0) % PV_WARP;
    return (long)((ulong)pv_from_lane((uint)((ulong)i >> 32), lane) << 32 | pv_from_lane((uint)i, lane));
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(
    const pave_abi_gemm args, __global const char *a, __global const char *b, __global char *y,
    __global char *p, __global const char *g, PV_TENSOR_ARGS) {
    __local uint4 tiles[PV_TILE_BYTES / 16] __attribute__((aligned(128)));
    PV_LOOP
    for (long i = PV_GROUP; i < pv_tiles(&args); i += PV_GROUPS) {
        float acc[PV_MI][PV_NI][4];
        PV_UNROLL
        for (int j = 0; j < PV_MI * PV_NI * 4; j++) acc[j / (PV_NI * 4)][j / 4 % PV_NI][j % 4] = 0.0f;
        {
            pv_job job;
            pv_take(&args, a, b, y, p, g, i, &job);
            pv_main_loop(&job, pv_address(tiles), acc);
        }
        pv_job job;
        pv_take(&args, a, b, y, p, g, pv_again(i), &job);
        pv_epilogue(&args, &job, a, b, (__local float *)tiles, acc, PV_TENSORS);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
