/* SPDX-License-Identifier: Apache-2.0
 * Products in float32 on NVIDIA's GPUs: y = chain(A · Bᵀ), multiplied by the ordinary units and fed by
 * asynchronous copies.
 *
 * Work: a group computes PAVE_BM × PAVE_BN, a warp PAVE_WM × PAVE_WN of it, its 32 lanes as 4 × 8: lane l has rows
 * l / 8 + 4 r and columns 4 (l % 8) … + 3 + 32 q. An item reads 16 bytes along k of each of its rows; two rows of
 * A are read one step ahead, and B's of the next four of k while the last two rows are multiplied. The copy of the
 * k-tile PAVE_STAGES - 1 later starts beside a k-tile's first multiplications, where the k-tile before was.
 * Alignment and local memory: copier.h's. Of each 32 rows of B, row 4 l + e lies at 8 e + l: the eight lanes read
 * eight neighbouring rows at a time. Of each 8 rows of A, row r + 4 h lies at 2 r + h: what a lane reads next lies
 * where no swizzle comes between. */
#include "prelude.h"
#include "ptx.h"
#include "chain.h"
#include "state.h"
#include "tiles.h"
#include "walk.h"

#define PV_BLOCK 32
/* Where row `row` of A or B lies among the rows of its stage. */
PV_INLINE int pv_a_place(int row) {
    return (row & ~7) | (row & 3) << 1 | (row >> 2 & 1);
}
PV_INLINE int pv_b_place(int row) {
    return (row & ~31) | (row & 3) << 3 | (row >> 2 & 7);
}
#include "copier.h"

#define PV_TM (PAVE_WM / 4)
#define PV_TN (PAVE_WN / 8)
#define PV_PAIRS (PV_TM / 2)
#define PV_STEPS (PAVE_BK / 4)
#define PV_WARPS_N (PAVE_BN / PAVE_WN)
#if PAVE_WM % 16 != 0 || PAVE_WN % 32 != 0 || PV_PAIRS % 2 != 0 || PAVE_STAGES < 3 || PV_CHUNKS > 4
#error gemm_fma: rows of A alternate between two sets
#endif

typedef float pv_sums[PV_TM][PV_TN];
#define PV_SUM(r, q, e) acc[r][(q)*4 + (e)]
#define PV_ROWS PV_TM
#define PV_QUADS (PV_TN / 4)
#define PV_APART 4
#define PV_QUAD_STEP 32
#define PV_ROW_LANES 8
#define PV_WHOLE 0 /* with it the main loop spills, 43.5 to 40 TFLOP/s on an H200 */

/* An item's operands of four of k, and its place in the main loop. */
typedef struct pv_position {
    __local const char *tiles;
    pv_local_at first; /* the tiles' address */
    uint read, write;  /* stages, in bytes from the first */
    uint a_at, b_at;   /* this item's places in a stage at k-step 0 */
    float4 a[2][2], b[PV_TN];
} pv_position;

/* Row pair `pair` of A. A k-step is a chunk, so its index carries over the swizzle's exclusive or. */
PV_INLINE void pv_load_a(pv_position *p, int step, int pair) {
    PV_UNROLL
    for (int h = 0; h < 2; h++)
        p->a[pair % 2][h] = *(__local const float4 *)(p->tiles + p->read + (p->a_at ^ (uint)step << 4) +
                                                      (pair * 8 + h) * PV_ROW_BYTES);
}

PV_INLINE void pv_load_b(pv_position *p, int step, int j) {
    p->b[j] =
        *(__local const float4 *)(p->tiles + p->read + (p->b_at ^ (uint)step << 4) + j * (8 * PV_ROW_BYTES));
}

/* Two rows by columns j and j + 1. One step back and forth, so that neighbours share an operand. */
PV_INLINE void pv_multiply(pv_position *p, pv_sums acc, int pair, int j) {
    PV_UNROLL
    for (int i = 0; i < 16; i++) {
        const int k = i / 4, r = i / 2 % 2, c = (i / 2 + i) % 2;
        acc[pair * 2 + r][j + c] =
            fma(PV_LANE(p->a[pair % 2][r], k), PV_LANE(p->b[j + c], k), acc[pair * 2 + r][j + c]);
    }
}

/* One k-tile; `copy`, a constant: while the one that comes PV_FILLED later is copied, of which all exists. */
PV_INLINE void pv_one_tile(pv_position *p, const pv_copier *c, pv_sums acc, const int copy) {
    __global const char *at = c->a;
    PV_UNROLL
    for (int i = 0; i < PV_STEPS * PV_PAIRS; i++) {
        const int step = i / PV_PAIRS, pair = i % PV_PAIRS, last = pair == PV_PAIRS - 1;
        const int next = (step + last) % PV_STEPS;
        /* What follows from these is found again in each step and not kept in registers. */
        if (pair == 0) {
            PV_FORGET(p->a_at);
            PV_FORGET(p->b_at);
        }
        if (i == PV_STEPS * PV_PAIRS - 1) {
            PV_COPY_WAIT(PAVE_STAGES - 2);
            barrier(CLK_LOCAL_MEM_FENCE);
            p->write = p->read;
            p->read = p->read == (PAVE_STAGES - 1) * PV_STAGE_BYTES ? 0 : p->read + PV_STAGE_BYTES;
        }
        if (copy && step == 0)
            pv_copy_whole(c, p->first + p->write, pair * PV_PASSES / PV_PAIRS,
                          (pair + 1) * PV_PASSES / PV_PAIRS, &at);
        if (copy && i == PV_PAIRS - 1) pv_copy_commit();
        pv_load_a(p, next, (pair + 1) % PV_PAIRS);
        PV_UNROLL
        for (int j = 0; j < PV_TN; j += 2) {
            pv_multiply(p, acc, pair, j);
            if (!last) continue;
            pv_load_b(p, next, j);
            pv_load_b(p, next, j + 1);
        }
    }
}

/* acc += A · Bᵀ of this item's part over all of k, whose first k-tiles are under way. On return no copy is, and
 * local memory is free when all warps have come here. */
PV_INLINE void pv_main_loop(pv_copier *copier, __local const void *tiles, pv_sums acc) {
    const int lane = (int)get_local_id(0) % PV_WARP, warp = (int)get_local_id(0) / PV_WARP;
    pv_position p;
    p.tiles = (__local const char *)tiles;
    p.first = pv_address(tiles);
    p.read = 0;
    p.write = (PAVE_STAGES - 1) * PV_STAGE_BYTES;
    p.a_at = pv_swizzled(warp / PV_WARPS_N * PAVE_WM + lane / 8 * 2, 0);
    p.b_at = PV_B_BASE + pv_swizzled(warp % PV_WARPS_N * PAVE_WN + lane % 8, 0);
    PV_COPY_WAIT(PAVE_STAGES - 2);
    barrier(CLK_LOCAL_MEM_FENCE);
    pv_load_a(&p, 0, 0);
    PV_UNROLL
    for (int j = 0; j < PV_TN; j++) pv_load_b(&p, 0, j);
    copier->left -= (long)copier->whole * PV_ROW_BYTES;
    PV_LOOP
    for (int i = copier->whole; i > 0; i--) {
        pv_one_tile(&p, copier, acc, 1);
        pv_copier_next_whole(copier);
    }
    PV_LOOP
    for (int i = copier->k_tiles - copier->whole; i > 0; i--) {
        if (i > PV_FILLED) {
            pv_copy_some(copier, p.first + p.write);
            pv_copier_next(copier);
        }
        pv_copy_commit();
        pv_one_tile(&p, copier, acc, 0);
    }
    PV_COPY_WAIT(0);
}

#include "warp_tile.h"
