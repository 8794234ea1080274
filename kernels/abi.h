/* SPDX-License-Identifier: Apache-2.0
 * What a launch passes to a kernel, shared by C, CUDA and OpenCL: fixed-width scalars, widest first. Sizes
 * are checked in all three. Buffers follow as separate kernel arguments in each family's fixed order; their
 * byte offsets are in here, so that a buffer argument is always a whole allocation. */
#ifndef PAVE_KERNELS_ABI_H
#define PAVE_KERNELS_ABI_H

#ifdef __OPENCL_VERSION__
typedef long pave_i64;
typedef int pave_i32;
#define PAVE_ABI_CHECK(type, bytes) typedef char pave_abi_size_of_##type[sizeof(type) == (bytes) ? 1 : -1]
#else
#include <stdint.h>
typedef int64_t pave_i64;
typedef int32_t pave_i32;
#ifdef __cplusplus
#define PAVE_ABI_CHECK(type, bytes) static_assert(sizeof(type) == (bytes), "launch struct " #type)
#else
#include <assert.h>
#define PAVE_ABI_CHECK(type, bytes) static_assert(sizeof(type) == (bytes), "launch struct " #type)
#endif
#endif

/* Element types in memory; 1 … 3 are the public pave_dtype values. TF32 is a float32 whose value is rounded to
 * 11 significant bits, nearest even or away on ties as the device's cvt.rna does. */
#define PAVE_T_NONE 0
#define PAVE_T_F32 1
#define PAVE_T_F16 2
#define PAVE_T_BF16 3
#define PAVE_T_TF32 4

/* Where t of a binary link comes from. */
#define PAVE_OPERAND_SCALAR 0 /* t = a */
#define PAVE_OPERAND_ROW 1    /* t = a * tensor[col * ld] */
#define PAVE_OPERAND_COLUMN 2 /* t = a * tensor[row * ld] */
#define PAVE_OPERAND_FULL 3   /* t = a * tensor[row * ld + col] */

/* Bias and PAVE_MAX_LINKS links of the caller, and one spare. Each may have a tensor: buffer argument t<i>. */
#define PAVE_ABI_LINKS 10

typedef struct pave_abi_link {
    pave_i64 offset; /* bytes into t<i> */
    pave_i64 ld;     /* elements */
    float a, b;
    pave_i32 op; /* pave_link_op */
    pave_i32 operand;
    pave_i32 type; /* PAVE_T_F32, F16 or BF16 of the tensor */
    pave_i32 reserved;
} pave_abi_link;
PAVE_ABI_CHECK(pave_abi_link, 40);

/* Family gemm: y = chain(A · Bᵀ), A [m, k], B [n, k], both with k contiguous.
 * Buffers: A, B, Y, P, t0 … t9. Where reduce is not 0, y is not stored; instead each row's columns
 * [s * slice, (s + 1) * slice) leave one state (two floats) at P[(row * slots + s)]. Where reduce is 0,
 * y is stored as y_type. A block takes tiles first, first + blocks, … of tiles_m * tiles_n, so any grid is right. */
typedef struct pave_abi_gemm {
    pave_i64 m, n, k;
    pave_i64 lda, ldb, ldy;                           /* elements */
    pave_i64 a_offset, b_offset, y_offset, p_offset;  /* bytes */
    pave_i64 slots;                                   /* partial states a row: ceil(n / slice) */
    pave_i32 y_type;                                  /* PAVE_T_*; TF32 rounds before storing */
    pave_i32 reduce;                                  /* pave_reduction */
    pave_i32 link_count;
    pave_i32 group_m; /* raster: this many row tiles share their column tiles before moving on; >= 1 */
    pave_abi_link links[PAVE_ABI_LINKS];
} pave_abi_gemm;
PAVE_ABI_CHECK(pave_abi_gemm, 504);

/* Family reduce: y[row * y_stride] = chain(reduction of x[row, 0 … cols)). Buffers: X, Y, t0 … t9.
 * Family join: the same from states: x is P, ldx the slots a row, cols what each row held (for the mean). */
typedef struct pave_abi_reduce {
    pave_i64 rows, cols;
    pave_i64 ldx, y_stride;      /* elements; join: states */
    pave_i64 x_offset, y_offset; /* bytes */
    pave_i32 x_type, y_type;
    pave_i32 reduce;
    pave_i32 link_count;
    pave_abi_link links[PAVE_ABI_LINKS];
} pave_abi_reduce;
PAVE_ABI_CHECK(pave_abi_reduce, 464);

/* Family pack: y[r, c] = convert(x[r, c]) for c < cols, zero for cols <= c < cols_out. Buffers: X, Y. */
typedef struct pave_abi_pack {
    pave_i64 rows, cols, cols_out;
    pave_i64 ldx, ldy;
    pave_i64 x_offset, y_offset;
    pave_i32 x_type, y_type;
} pave_abi_pack;
PAVE_ABI_CHECK(pave_abi_pack, 64);

/* Family peak: `iterations` rounds of independent register-only arithmetic a thread; a value that depends on
 * all of it is stored where `never` is not 0, which no launch sets. Buffers: Y. */
typedef struct pave_abi_peak {
    pave_i64 iterations;
    pave_i32 never;
    pave_i32 reserved;
} pave_abi_peak;
PAVE_ABI_CHECK(pave_abi_peak, 16);

#define PAVE_GEMM_BUFFERS (4 + PAVE_ABI_LINKS)
#define PAVE_REDUCE_BUFFERS (2 + PAVE_ABI_LINKS)
#define PAVE_PACK_BUFFERS 2
#define PAVE_PEAK_BUFFERS 1

#endif
