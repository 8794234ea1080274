/* SPDX-License-Identifier: Apache-2.0
 * Products on NVIDIA's tensor cores with mma.sync: y = chain(A · Bᵀ), the design of gemm_mma.cu within the 48 KiB
 * of local memory that an OpenCL work-group has.
 *
 * Work: a group computes PAVE_BM × PAVE_BN, a warp PAVE_WM × PAVE_WN of it. Fragments are loaded one k-step ahead
 * of the arithmetic. When all warps hold the last k-step of a k-tile, which one barrier a k-tile tells, its stage
 * is free: beside the next k-tile's first step the one PAVE_STAGES later is copied there, while the fragments behind
 * the barrier are loaded beside the last step. Alignment and local memory: copier.h's. Of each 16 rows of B, those
 * whose number has bit 1 clear come first: a lane's two sums of one 8-column tile and its two of the next are then
 * four columns that lie side by side. */
#include "prelude.h"
#include "ptx.h"
#include "chain.h"
#include "state.h"
#include "tiles.h"
#include "walk.h"

#define PV_BLOCK 16
/* Where row `row` of A or B lies among the rows of its stage. */
PV_INLINE int pv_a_place(int row) {
    return row;
}
PV_INLINE int pv_b_place(int row) {
    return (row & ~15) | (row & 1) | (row >> 2 & 3) << 1 | (row >> 1 & 1) << 3;
}

#include "copier.h"

#define PV_STEPS (PV_ROW_BYTES / 32) /* of the multiply-add's depth */
#define PV_MI (PAVE_WM / 16)
#define PV_NI (PAVE_WN / 8)
#define PV_WARPS_N (PAVE_BN / PAVE_WN)
#if PAVE_WM % 32 != 0 || PAVE_WN % 16 != 0 || PV_ROW_BYTES < 64
#error gemm_mma: the epilogue takes 32 rows and 16 columns of a warp at a time
#endif
#if PAVE_STAGES < 2 || PV_STEPS % 2 != 0
#error gemm_mma: fragments alternate between two sets
#endif

/* Lane l holds columns 2 (l % 4), + 1 of rows l / 4 and l / 4 + 8 of each 16 × 8. */
typedef float pv_sums[PV_MI][PV_NI][4];
#define PV_SUM(r, q, e) acc[(r) / 2][(q)*2 + (e) / 2][(r) % 2 * 2 + (e) % 2]
#define PV_ROWS (2 * PV_MI)
#define PV_QUADS (PV_NI / 2)
#define PV_APART 8
#define PV_QUAD_STEP 16
#define PV_ROW_LANES 4
#define PV_WHOLE 1

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
PV_INLINE void pv_multiply(const pv_fragments *f, pv_sums acc, int i) {
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

/* All k-steps but the last of the k-tile that is read, while a whole k-tile is copied beside the first (copy, a
 * constant); the last one's fragments are loaded. */
PV_INLINE void pv_most_steps(pv_position *p, const pv_copier *c, pv_sums acc, const int copy) {
    __global const char *at = c->a;
    PV_UNROLL
    for (int step = 0; step < PV_STEPS - 1; step++) {
        pv_round_fragments(&p->fragments[step % 2]);
        PV_UNROLL
        for (int i = 0; i < PV_MI; i++) pv_load_part(p, step + 1, i);
        PV_UNROLL
        for (int i = 0; i < PV_MI; i++) {
            if (copy && step == 0)
                pv_copy_whole(c, p->write, i * PV_PASSES / PV_MI, (i + 1) * PV_PASSES / PV_MI, &at);
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

/* The last k-step of the k-tile before the turn, while the first one's fragments after it are loaded (next, a
 * constant). */
PV_INLINE void pv_last_step(pv_position *p, pv_sums acc, const int next) {
    pv_round_fragments(&p->fragments[1]);
    PV_UNROLL
    for (int i = 0; i < PV_MI; i++) {
        if (next) pv_load_part(p, 0, i);
        pv_multiply(&p->fragments[1], acc, i);
    }
}

PV_INLINE void pv_position_start(pv_position *p, pv_local_at tiles) {
    const int lane = (int)get_local_id(0) % PV_WARP, warp = (int)get_local_id(0) / PV_WARP;
    p->first = p->read = tiles;
    p->end = tiles + PV_TILE_BYTES;
    p->write = p->end - PV_STAGE_BYTES;
    p->a_at = pv_swizzled(warp / PV_WARPS_N * PAVE_WM + lane % 16, lane / 16);
    p->b_at = pv_swizzled(warp % PV_WARPS_N * PAVE_WN + lane / 16 * 8 + lane % 8, lane / 8 % 2);
}

/* acc += A · Bᵀ of this warp's tile over all of k, whose first k-tiles are under way. On return no copy is, and
 * local memory is free when all warps have come here.
 *
 * A k-tile is a loop's body in the order that the assembler keeps: it moves multiplications neither over the barrier
 * nor over the loop's end, so that fragments are always loaded while those of the step before are multiplied. The
 * first loop is for whole k-tiles of groups that lack no row, the next one for all others. */
PV_INLINE void pv_main_loop(pv_copier *copier, __local const void *tiles, pv_sums acc) {
    int whole = copier->whole, rest = copier->k_tiles - whole;
    pv_position p;
    pv_position_start(&p, pv_address(tiles));
    PV_COPY_WAIT(PV_FILLED - 1);
    barrier(CLK_LOCAL_MEM_FENCE);
    PV_UNROLL
    for (int i = 0; i < PV_MI; i++) pv_load_part(&p, 0, i);
    copier->left -= (long)whole * PV_ROW_BYTES;
    PV_LOOP
    for (; whole > 0; whole--) {
        pv_most_steps(&p, copier, acc, 1);
        pv_copy_commit();
        pv_copier_next_whole(copier);
        pv_turn(&p);
        pv_last_step(&p, acc, 1);
    }
    PV_LOOP
    for (; rest > 1; rest--) {
        if (rest > PV_FILLED) {
            pv_copy_some(copier, p.write);
            pv_copier_next(copier);
        }
        pv_copy_commit();
        pv_most_steps(&p, copier, acc, 0);
        pv_turn(&p);
        pv_last_step(&p, acc, 1);
    }
    pv_most_steps(&p, copier, acc, 0);
    pv_last_step(&p, acc, 0);
    PV_COPY_WAIT(0);
}

#include "warp_tile.h"
