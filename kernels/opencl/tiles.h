/* SPDX-License-Identifier: Apache-2.0
 * Which part of which product a group computes. Tiles are numbered one batch or group after the other; within one,
 * columns of tiles are walked in bands of group_m row tiles, row tile fastest, so that groups running side by side
 * share operands in the cache. */
#ifndef PAVE_KERNELS_OPENCL_TILES_H
#define PAVE_KERNELS_OPENCL_TILES_H

#include "prelude.h"

/* One tile of one product. a, b, y and p are where its first row, first column and first row's state lie; rows
 * count as links count them. Strides are in elements. */
typedef struct pv_job {
    __global const char *a, *b;
    __global char *y;
    __global float *p;
    long a_row, a_col, b_row, b_col, y_row, k;
    long row, col;
    long batch[PAVE_BATCH_DIMS];
    int rows, cols;        /* that exist, at most the tile's */
    long a_scale, b_scale; /* byte in A and B where the scale of the tile's first row is; 0: none */
} pv_job;

static inline long pv_tiles_of(long n, int tile) {
    return (n + tile - 1) / tile;
}

/* Of the whole launch. */
static inline long pv_tiles(const pave_abi_gemm *args) {
    if (args->group_count > 0) return args->tiles;
    return args->batch[0] * args->batch[1] * args->batch[2] * pv_tiles_of(args->m, PAVE_BM) *
           pv_tiles_of(args->n, PAVE_BN);
}

static inline long2 pv_tile(long index, long tiles_m, long tiles_n, long group_m) {
    long band = index / (group_m * tiles_n);
    long first = band * group_m;
    long height = min(group_m, tiles_m - first);
    long rest = index - band * group_m * tiles_n;
    return (long2)(first + rest % height, rest / height);
}

/* Where tile `index` of n rows or columns begins. A GPU's groups compute whole tiles whatever they hold. A CPU's time is what a
 * tile holds, so there they are all of as many whole register tiles, to one. */
static inline long pv_tile_start(long index, long n, int tile, int unit) {
#if PAVE_THREADS == 1
    return index * pv_tiles_of(n, unit) / pv_tiles_of(n, tile) * unit;
#else
    return index * tile;
#endif
}

/* Where the scale of a tile's first row is: matrices with scales lie one behind the other, `offset` bytes before
 * this one's. */
static inline long pv_scale_at(long base, long offset, long ld, long row, int type) {
    return base == 0 ? 0 : base + (offset / PV_WIDTH(type) / ld + row) * 4;
}

/* The last group that starts at or before a tile, which is never an empty one. */
static inline int pv_group_of(__global const pave_abi_group *groups, int count, long tile) {
    int low = 0;
    while (count > 1) {
        int half_count = count / 2, after = groups[low + half_count].tile_base <= tile;
        low += after ? half_count : 0;
        count = after ? count - half_count : half_count;
    }
    return low;
}

/* The product at a batch index in the terms of a group. Its rows' states lie behind those of the batches before,
 * its links' rows start at 0. */
static inline void pv_batch_problem(const pave_abi_gemm *args, long index, long tiles, long *batch,
                                    pave_abi_group *of) {
    pv_unflatten(index, args->batch, batch);
    of->m = args->m, of->n = args->n, of->k = args->k;
    if (args->k_slice > 0) /* the last slice may be shorter */
        of->k = min(args->k - batch[0] * args->k_slice, (long)args->k_slice);
    of->a_offset = pv_batch_offset(&args->a, batch) * PV_WIDTH(PAVE_A_TYPE);
    of->b_offset = pv_batch_offset(&args->b, batch) * PV_WIDTH(PAVE_B_TYPE);
    of->y_offset = pv_batch_offset(&args->y, batch) * PV_WIDTH(args->y_type);
    of->a_row = args->a.row, of->a_col = args->a.col;
    of->b_row = args->b.row, of->b_col = args->b.col;
    of->y_row = args->y.row;
    of->row_base = 0;
    of->tile_base = index * tiles;
}

/* Through a pointer: a struct that is returned and inlined leaves an intrinsic that Oclgrind does not know. */
static inline void pv_take(const pave_abi_gemm *args, __global const char *a, __global const char *b,
                           __global char *y, __global char *p, __global const char *g, long tile,
                           pv_job *job) {
    pave_abi_group of;
    long states = 0;
    if (args->group_count > 0) {
        __global const pave_abi_group *groups = (__global const pave_abi_group *)(g + args->g_offset);
        job->batch[0] = pv_group_of(groups, args->group_count, tile);
        job->batch[1] = job->batch[2] = 0;
        of = groups[job->batch[0]];
    } else {
        long tiles = pv_tiles_of(args->m, PAVE_BM) * pv_tiles_of(args->n, PAVE_BN), index = tile / tiles;
        pv_batch_problem(args, index, tiles, job->batch, &of);
        states = index * args->m;
    }
    long2 at =
        pv_tile(tile - of.tile_base, pv_tiles_of(of.m, PAVE_BM), pv_tiles_of(of.n, PAVE_BN), args->group_m);
    long row = pv_tile_start(at.x, of.m, PAVE_BM, PAVE_WM), col = pv_tile_start(at.y, of.n, PAVE_BN, PAVE_WN);
    job->a = a + args->a.offset + of.a_offset + row * of.a_row * PV_WIDTH(PAVE_A_TYPE);
    job->b = b + args->b.offset + of.b_offset + col * of.b_row * PV_WIDTH(PAVE_B_TYPE);
    job->y = y + args->y.offset + of.y_offset + (row * of.y_row + col) * PV_WIDTH(args->y_type);
    job->p = (__global float *)(p + args->p_offset) +
             ((states + of.row_base + row) * args->slots + at.y * (PAVE_BN / PAVE_SLICE)) * 2;
    job->a_scale = pv_scale_at(args->a_scale, of.a_offset, of.a_row, row, PAVE_A_TYPE);
    job->b_scale = pv_scale_at(args->b_scale, of.b_offset, of.b_row, col, PAVE_B_TYPE);
    job->a_row = of.a_row, job->a_col = of.a_col, job->b_row = of.b_row, job->b_col = of.b_col;
    job->y_row = of.y_row, job->k = of.k;
    job->row = of.row_base + row, job->col = col;
    job->rows = (int)(min(pv_tile_start(at.x + 1, of.m, PAVE_BM, PAVE_WM), of.m) - row);
    job->cols = (int)(min(pv_tile_start(at.y + 1, of.n, PAVE_BN, PAVE_WN), of.n) - col);
}

#endif
