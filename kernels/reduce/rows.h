/* SPDX-License-Identifier: Apache-2.0
 * The rows of the families reduce, join and normalize: any type and any strides; join takes the states that a fused or
 * split reduction left.
 *
 * …_CUDA_ROWS(X): X(name, layout, rows, threads)   rows a block: 1, the whole block shares a row; ACROSS: 32 neighbouring
 *                                                  rows, a lane each, the block's warps share their columns
 * …_CL_ROWS(X): X(name, kind, layout, rows, threads, source) */
#ifndef PAVE_KERNELS_REDUCE_ROWS_H
#define PAVE_KERNELS_REDUCE_ROWS_H

#define PAVE_REDUCE_CUDA_ROWS(X)             \
    X(pave_reduce_warp_any, ROWS, 8, 256)    \
    X(pave_reduce_block_any, ROWS, 1, 1024)  \
    X(pave_reduce_across_any, ACROSS, 32, 256)

#define PAVE_NORMALIZE_CUDA_ROWS(X)             \
    X(pave_normalize_warp_any, ROWS, 8, 256)    \
    X(pave_normalize_block_any, ROWS, 1, 1024)  \
    X(pave_normalize_across_any, ACROSS, 32, 256)

#define PAVE_JOIN_CUDA_ROWS(X) X(pave_join_warp_any, ROWS, 8, 256)

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
