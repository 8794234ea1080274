/* SPDX-License-Identifier: Apache-2.0
 * The rows of the families reduce, join and normalize: any type and any strides; join takes the states that a fused or
 * split reduction left.
 *
 * …_CUDA_ROWS(X): X(name, layout, rows, lanes, threads, loads, blocks)
 *   rows    of a tile, which a block takes at a time
 *   lanes   that share a row: part of a warp, a warp or the block; ACROSS: share columns, of four rows each
 *   loads   that a lane has under way at once: of 16 bytes (reduce), of four values (normalize, ACROSS)
 *   blocks  a compute unit that registers leave room for
 * PAVE_NORMALIZE_SLICES_CUDA_ROWS(X): X(name, layout, rows, lanes, threads, loads, blocks, stages): the same, of rows that take
 *   softmax's and log_softmax's rows by slices, and nothing else, with two warps beside the lanes.
 * PAVE_JOIN_CUDA_ROWS(X): X(name, layout, rows, lanes, threads)
 * …_CL_ROWS(X): X(name, kind, layout, rows, threads, source) */
#ifndef PAVE_KERNELS_REDUCE_ROWS_H
#define PAVE_KERNELS_REDUCE_ROWS_H

#define PAVE_REDUCE_CUDA_ROWS(X)                           \
    X(pave_reduce_block_any, ROWS, 1, 256, 256, 8, 4)      \
    X(pave_reduce_warp_any, ROWS, 4, 32, 128, 8, 7)        \
    X(pave_reduce_octet_any, ROWS, 128, 8, 256, 2, 4)      \
    X(pave_reduce_across_any, ACROSS, 32, 32, 256, 4, 4)

#define PAVE_NORMALIZE_CUDA_ROWS(X)                        \
    X(pave_normalize_warps_any, ROWS, 1, 128, 128, 8, 6)   \
    X(pave_normalize_warp8_any, ROWS, 4, 32, 128, 8, 6)    \
    X(pave_normalize_warp_any, ROWS, 4, 32, 128, 4, 7)     \
    X(pave_normalize_octet_any, ROWS, 16, 8, 128, 2, 9)    \
    X(pave_normalize_block_any, ROWS, 1, 512, 512, 4, 2)   \
    X(pave_normalize_across_any, ACROSS, 16, 64, 256, 16, 2)

#define PAVE_NORMALIZE_SLICES_CUDA_ROWS(X) X(pave_normalize_slices_any, ROWS, 1, 256, 320, 4, 2, 6)

/* Blocks that share a row at most; rows whose states they keep for each other, each in a word of 8 bytes; and the places that
 * slices have in front of a row's columns, whose first quad may begin before it. */
#define PAVE__SLICE_SLOTS 256
#define PAVE__SLICE_ROWS 8
#define PAVE__SLICE_SHIFT 3

#define PAVE_JOIN_CUDA_ROWS(X) X(pave_join_warp_any, ROWS, 8, 32, 256)

#define PAVE_REDUCE_CL_ROWS(X)                               \
    X(pave_reduce_cpu_any, CPU, ROWS, 1, 1, reduce_cpu)      \
    X(pave_reduce_group_any, GPU, ROWS, 1, 256, reduce_gpu)  \
    X(pave_reduce_item_any, GPU, ACROSS, 64, 64, reduce_item)

#define PAVE_NORMALIZE_CL_ROWS(X)                                  \
    X(pave_normalize_cpu_any, CPU, ROWS, 1, 1, normalize_cpu)      \
    X(pave_normalize_group_any, GPU, ROWS, 1, 256, normalize_gpu)  \
    X(pave_normalize_item_any, GPU, ACROSS, 64, 64, normalize_item)

#define PAVE_JOIN_CL_ROWS(X)                  \
    X(pave_join_cpu_any, CPU, ROWS, 1, 1, join)     \
    X(pave_join_item_any, GPU, ROWS, 64, 64, join)

#endif
