/* SPDX-License-Identifier: Apache-2.0
 * The map family's rows: chains of links element by element, and conversion between types and layouts, zero-padding the
 * width. ACROSS rows turn tiles by way of shared memory, so that x is read along its rows' direction and y written along
 * its columns'.
 *
 * PAVE_MAP_SCALE_CUDA_ROWS(X): X(name, to, cols, threads, blocks)   a row a block, to F16S or F16X2; up to cols are under way
 *                              at once, and read once; blocks a compute unit that registers leave room for
 * PAVE_MAP_SCALE_CL_ROWS(X): X(name, kind, to, cols, threads, blocks, source)
 * PAVE_MAP_SUM_CUDA_ROWS(X): X(name, rows, cols, threads), PAVE_MAP_SUM_CL_ROWS(X): X(name, kind, cols, threads, source)
 *                              as MAP, ROWS, each value the sum of slots
 * PAVE_MAP_CUDA_ROWS(X): X(name, layout, rows, cols, threads)   of a tile that a block takes at a time; ROWS: several rows are
 *                              more of them where they are narrower, and one that is longer where there are fewer
 * PAVE_MAP_CL_ROWS(X): X(name, kind, layout, rows, cols, threads, source) */
#ifndef PAVE_KERNELS_MAP_ROWS_H
#define PAVE_KERNELS_MAP_ROWS_H

#define PAVE_MAP_CUDA_ROWS(X)                    \
    X(pave_map_rows_any, ROWS, 4, 1024, 256)     \
    X(pave_map_turn_any, ACROSS, 64, 64, 256)

#define PAVE_MAP_SCALE_CUDA_ROWS(X)                 \
    X(pave_map_scale_any, F16S, 4096, 128, 8)       \
    X(pave_map_scale_long_any, F16S, 16384, 512, 2) \
    X(pave_map_pair_any, F16X2, 4096, 128, 7)

#define PAVE_MAP_SCALE_CL_ROWS(X) X(pave_map_scale_item_any, GPU, F16S, 4096, 128, 7, map_scale)

#define PAVE_MAP_SUM_CUDA_ROWS(X) X(pave_map_sum_any, 2, 1024, 256)

#define PAVE_MAP_CL_ROWS(X)                             \
    X(pave_map_cpu_any, CPU, ROWS, 1, 4096, 1, map)     \
    X(pave_map_turn_cpu_any, CPU, ACROSS, 32, 32, 1, map_turn) \
    X(pave_map_item_any, GPU, ROWS, 1, 4096, 256, map)  \
    X(pave_map_turn_item_any, GPU, ACROSS, 32, 32, 256, map_turn)

#define PAVE_MAP_SUM_CL_ROWS(X)                \
    X(pave_map_sum_cpu_any, CPU, 4096, 1, map) \
    X(pave_map_sum_item_any, GPU, 1024, 256, map)

#endif
