/* SPDX-License-Identifier: Apache-2.0
 * The reduce and join families' rows: the reduce kernels take any type and any row stride, join takes the states
 * that a fused reduction left.
 *
 * PAVE_REDUCE_CUDA_ROWS(X), PAVE_JOIN_CUDA_ROWS(X): X(name, rows, threads)   rows a block
 * PAVE_REDUCE_CL_ROWS(X), PAVE_JOIN_CL_ROWS(X): X(name, kind, rows, threads, source) */
#ifndef PAVE_KERNELS_REDUCE_ROWS_H
#define PAVE_KERNELS_REDUCE_ROWS_H

#define PAVE_REDUCE_CUDA_ROWS(X)      \
    X(pave_reduce_warp_any, 8, 256)   \
    X(pave_reduce_block_any, 1, 1024)

#define PAVE_JOIN_CUDA_ROWS(X) X(pave_join_warp_any, 8, 256)

#define PAVE_REDUCE_CL_ROWS(X)                    \
    X(pave_reduce_cpu_any, CPU, 1, 1, reduce_cpu) \
    X(pave_reduce_group_any, GPU, 1, 256, reduce_gpu)

#define PAVE_JOIN_CL_ROWS(X)                  \
    X(pave_join_cpu_any, CPU, 1, 1, join)     \
    X(pave_join_item_any, GPU, 64, 64, join)

#endif
