/* SPDX-License-Identifier: Apache-2.0
 * Tiles of A and B on their way to local memory by asynchronous copies, which an item starts and the tile's owner
 * waits for.
 *
 * Alignment: base and row stride of A and B are multiples of 16 bytes, and columns are 1 apart. m, n and k are
 * free: copies zero-fill beyond a row's k elements and beyond the last row, and read nothing there. Local memory:
 * PAVE_STAGES buffers, each PAVE_BM rows of A then PAVE_BN rows of B, a row being PAVE_BK elements, 32, 64 or 128
 * bytes. The 16-byte chunk c of row r lies at chunk c ^ (r mod 8) of a 128-byte row, c ^ (r / 2 mod 4) of a
 * 64-byte row, c ^ (r / 4 mod 2) of a 32-byte row: one chunk of eight rows then lies in eight different groups of
 * four banks, and so do eight neighbouring chunks.
 *
 * The including file says where a row of A or B lies among those of its stage (pv_a_place, pv_b_place, within
 * blocks of PV_BLOCK rows). */
#ifndef PAVE_KERNELS_OPENCL_COPIER_H
#define PAVE_KERNELS_OPENCL_COPIER_H

#include "ptx.h"
#include "tiles.h"
#include "walk.h"

#define PV_BYTES PV_WIDTH(PAVE_A_TYPE)
#define PV_ROW_BYTES (PAVE_BK * PV_BYTES)
#define PV_CHUNKS (PV_ROW_BYTES / 16)
#define PV_PASS_ROWS (PAVE_THREADS / PV_CHUNKS)
#define PV_A_PASSES (PAVE_BM / PV_PASS_ROWS)
#define PV_PASSES (PV_A_PASSES + PAVE_BN / PV_PASS_ROWS)
#define PV_B_BASE (PAVE_BM * PV_ROW_BYTES)
#define PV_STAGE_BYTES ((PAVE_BM + PAVE_BN) * PV_ROW_BYTES)
#define PV_TILE_BYTES (PAVE_STAGES * PV_STAGE_BYTES)
#define PV_FILLED (PAVE_STAGES - 1) /* stages, before a tile's first multiplication */

#if PV_ROW_BYTES != 32 && PV_ROW_BYTES != 64 && PV_ROW_BYTES != 128
#error copier: the swizzle is for rows of 32, 64 or 128 bytes
#endif
#if PV_PASS_ROWS % PV_BLOCK != 0 || PAVE_BM % PV_PASS_ROWS != 0 || PAVE_BN % PV_PASS_ROWS != 0
#error copier: passes are whole
#endif

PV_INLINE uint pv_swizzled(int row, int chunk) {
    const int mask = PV_CHUNKS == 8 ? row & 7 : PV_CHUNKS == 4 ? row >> 1 & 3 : row >> 2 & 1;
    return (uint)(row * PV_ROW_BYTES + ((chunk ^ mask) << 4));
}

/* This item's share of the copies: one chunk column, every PV_PASS_ROWS-th row of A and of B. */
typedef struct pv_copier {
    __global const char *a, *b;
    long a_pass, b_pass; /* bytes from one pass to the next */
    long left;           /* bytes of a row from this item's chunk on; <= 0 beyond its end */
    int a_rows, b_rows;  /* rows that exist from this item's first one on */
    uint a_at, b_at;     /* in a stage */
    int k_tiles,
        whole; /* how many there are; how many of those that are not under way are copied without a check */
} pv_copier;

PV_INLINE void pv_copier_start(pv_copier *c, const pv_job *job) {
    const int item = pv_item(), row = item / PV_CHUNKS, chunk = item % PV_CHUNKS;
    c->a = job->a + row * job->a_row * PV_BYTES + chunk * 16;
    c->b = job->b + row * job->b_row * PV_BYTES + chunk * 16;
    c->a_pass = job->a_row * (PV_PASS_ROWS * PV_BYTES);
    c->b_pass = job->b_row * (PV_PASS_ROWS * PV_BYTES);
    c->left = job->k * PV_BYTES - chunk * 16;
    c->a_rows = job->rows - row;
    c->b_rows = job->cols - row;
    c->a_at = pv_swizzled(pv_a_place(row), chunk);
    c->b_at = PV_B_BASE + pv_swizzled(pv_b_place(row), chunk);
    c->k_tiles = (int)((job->k * PV_BYTES + PV_ROW_BYTES - 1) / PV_ROW_BYTES);
    c->whole = (int)(job->k * PV_BYTES / PV_ROW_BYTES) - PV_FILLED;
    if (c->whole < 0 || job->rows < PAVE_BM || job->cols < PAVE_BN) c->whole = 0;
}

PV_INLINE void pv_copier_next_whole(pv_copier *c) {
    c->a += PV_ROW_BYTES;
    c->b += PV_ROW_BYTES;
}

PV_INLINE void pv_copier_next(pv_copier *c) {
    pv_copier_next_whole(c);
    c->left -= PV_ROW_BYTES;
}

/* All passes of the current k-tile, A's before B's, into the stage at `stage`. */
PV_INLINE void pv_copy_some(const pv_copier *c, pv_local_at stage) {
    const int bytes = (int)clamp(c->left, 0L, 16L);
    PV_UNROLL
    for (int i = 0; i < PV_PASSES; i++) {
        const int j = i - PV_A_PASSES;
        if (j < 0)
            pv_copy_async_some(stage + c->a_at + i * (PV_PASS_ROWS * PV_ROW_BYTES),
                               bytes > 0 && i * PV_PASS_ROWS < c->a_rows ? c->a + i * c->a_pass : c->a,
                               i * PV_PASS_ROWS < c->a_rows ? bytes : 0);
        else
            pv_copy_async_some(stage + c->b_at + j * (PV_PASS_ROWS * PV_ROW_BYTES),
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
        pv_copy_async(stage + (j < 0 ? c->a_at : c->b_at) + row * PV_ROW_BYTES, *at);
    }
}

/* Starts the copies of a tile's first k-tiles, into PV_FILLED stages. */
PV_INLINE void pv_fill(pv_copier *c, pv_local_at tiles) {
    PV_LOOP
    for (pv_local_at stage = tiles; stage != tiles + PV_FILLED * PV_STAGE_BYTES; stage += PV_STAGE_BYTES) {
        pv_copy_some(c, stage);
        pv_copy_commit();
        pv_copier_next(c);
    }
}

#endif
