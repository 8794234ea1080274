/* SPDX-License-Identifier: Apache-2.0
 * The pack family's rows: convert a matrix between types and row strides, zero-padding its width.
 *
 * PAVE_PACK_CUDA_ROWS(X): X(name, elems, threads)   elements of a row a block covers
 * PAVE_PACK_CL_ROWS(X): X(name, kind, elems, threads, source) */
#ifndef PAVE_KERNELS_PACK_ROWS_H
#define PAVE_KERNELS_PACK_ROWS_H

#define PAVE_PACK_CUDA_ROWS(X) X(pave_pack_rows_any, 1024, 256)

#define PAVE_PACK_CL_ROWS(X)                     \
    X(pave_pack_cpu_any, CPU, 4096, 1, pack)     \
    X(pave_pack_item_any, GPU, 1024, 256, pack)

#endif
