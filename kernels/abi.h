/* SPDX-License-Identifier: Apache-2.0
 * What a launch passes to a kernel, shared by C, CUDA and OpenCL: fixed-width scalars, widest first. Sizes
 * are checked in all three. Buffers follow as separate kernel arguments in each family's fixed order; their
 * byte offsets are in here, so that a buffer argument is always a whole allocation. A struct and its buffer
 * arguments stay within 1,024 bytes, the least that an OpenCL device has to take.
 *
 * Every launch works on one space: batch[0] × batch[1] × batch[2] matrices of rows × columns. */
#ifndef PAVE_KERNELS_ABI_H
#define PAVE_KERNELS_ABI_H

#ifdef __OPENCL_VERSION__
typedef long pave_i64;
typedef int pave_i32;
typedef short pave_i16;
#define PAVE_ABI_CHECK(type, bytes) typedef char pave_abi_size_of_##type[sizeof(type) == (bytes) ? 1 : -1]
#else
#include <stdint.h>
typedef int64_t pave_i64;
typedef int32_t pave_i32;
typedef int16_t pave_i16;
#ifdef __cplusplus
#define PAVE_ABI_CHECK(type, bytes) static_assert(sizeof(type) == (bytes), "launch struct " #type)
#else
#include <assert.h>
#define PAVE_ABI_CHECK(type, bytes) static_assert(sizeof(type) == (bytes), "launch struct " #type)
#endif
#endif

/* Element types in memory: 1, 2, 3, 5, 8 and 9 are the public pave_dtype values. TF32 is a float32 whose value is rounded to
 * 11 significant bits, nearest even or away on ties as the device's cvt.rna does. I32 is only ever an index. F16S is a
 * float16 whose row has a float32 power of two: value = element * scale[row], the scales behind the matrices. F16X2 is two
 * float16 with such a scale: value = (high + low * 2^-11) * scale[row]; a row is blocks of 16 elements, 64 bytes each, first
 * the 16 highs and then the lows. What is not finite is low, beside the largest float16 of its sign as high. */
#define PAVE_T_NONE 0
#define PAVE_T_F32 1
#define PAVE_T_F16 2
#define PAVE_T_BF16 3
#define PAVE_T_TF32 4
#define PAVE_T_I32 5
#define PAVE_T_F16S 6
#define PAVE_T_F16X2 7
#define PAVE_T_E4M3 8
#define PAVE_T_E5M2 9
#define PAVE_T_IS_F8(type) ((type) == PAVE_T_E4M3 || (type) == PAVE_T_E5M2)
#define PAVE_PAIR_BLOCK 16 /* elements of F16X2 */
#define PAVE_PAIR_SHIFT 11 /* bits between high and low */

/* Where t of a binary link comes from. ROW, COLUMN and FULL read a * tensor at the value's place and say which of
 * the view's strides may be other than 0. */
#define PAVE_OPERAND_SCALAR 0 /* t = a */
#define PAVE_OPERAND_ROW 1    /* the same for all rows: t.row is 0 */
#define PAVE_OPERAND_COLUMN 2 /* the same for all columns: t.col is 0 */
#define PAVE_OPERAND_FULL 3

/* Independent leading dimensions of a launch; what has more is several launches. */
#define PAVE_BATCH_DIMS 3

/* α, β·C or a bias, and PAVE_MAX_LINKS links of the caller. Each may have a tensor: buffer argument t<i>. */
#define PAVE_ABI_LINKS 10

/* Where an operand lies: element (b, r, c) at byte `offset` + element size * (Σ b[d] batch[d] + r row + c col). Strides
 * count elements; 0 repeats. */
typedef struct pave_abi_view {
    pave_i64 offset;
    pave_i64 row, col;
    pave_i64 batch[PAVE_BATCH_DIMS];
} pave_abi_view;
PAVE_ABI_CHECK(pave_abi_view, 48);

typedef struct pave_abi_link {
    pave_abi_view t;
    float a, b;
    pave_i16 op; /* pave_link_op */
    pave_i16 operand;
    pave_i16 type; /* PAVE_T_* of the tensor, a public one */
    pave_i16 reserved;
} pave_abi_link;
PAVE_ABI_CHECK(pave_abi_link, 64);

/* One problem of a grouped gemm: group_count of them lie at byte g_offset of buffer G. Its operands' offsets add to the
 * launch struct's; strides are its own. In links, the group is the batch index 0, and a row counts from row_base. */
typedef struct pave_abi_group {
    pave_i64 m, n, k;
    pave_i64 a_offset, b_offset, y_offset;      /* bytes */
    pave_i64 a_row, a_col, b_row, b_col, y_row; /* elements */
    pave_i64 row_base;                          /* rows of the groups before */
    pave_i64 tile_base;                         /* tiles of the groups before, in tiles of the launched row */
} pave_abi_group;
PAVE_ABI_CHECK(pave_abi_group, 104);

/* Family gemm: y = chain(A · Bᵀ), A [m, k], B [n, k], y [m, n] for each batch index.
 * Buffers: A, B, Y, P, G, t0 … t9.
 * Views: a's rows are m and its columns k, b's rows are n and its columns k; y's columns are 1 apart. Rows of the table
 * that are not PAVE_LAYOUT_ANY need a.col and b.col to be 1.
 * y is stored where y_type is not NONE; F16X2 without scales, and zero up to the next multiple of 16 columns. Where reduce is not 0, each row's columns [s * slice, (s + 1) * slice) leave one
 * state (two floats) at P[((batch index * m + row) * slots + s)]; the slice is the row's.
 * Where A or B is F16S or F16X2, a_scale or b_scale is the byte of its buffer where the scales begin, else 0. The scale of row r at
 * batch index b has the index (Σ b[d] batch[d]) / row + r: such matrices lie one behind the other. The sum of products is
 * multiplied by both rows' scales before the chain; `scale` stands for A's where it has none.
 * Where k_slice is not 0, batch index 0 counts slices of k: index s multiplies [s * k_slice, (s + 1) * k_slice) of k alone,
 * and batch[0] of a and b is a slice's way along k. Such a launch has no groups and no states, and no links unless `slots` is not 0:
 * then it is how many slices there are, and they are joined. Each block leaves its tile's sums at p_offset of P, [tile][slice][bm *
 * bn] float32 in an order of its own, and counts itself in the tile's u32 of G, all 0 before and after; the last to come adds all
 * slices' in order and makes y of them.
 * A block takes tiles first, first + blocks, … of batches * tiles_m * tiles_n (or of all groups' tiles), one batch after
 * the other, so any grid is right. With groups, m is all groups' rows and batch is 1. */
typedef struct pave_abi_gemm {
    pave_i64 m, n, k;
    pave_i64 batch[PAVE_BATCH_DIMS];
    pave_abi_view a, b, y;
    pave_i64 p_offset, g_offset; /* bytes */
    pave_i64 slots;              /* partial states a row: ceil(n / slice); or slices that are joined */
    pave_i64 tiles;              /* of all groups */
    pave_i64 a_scale, b_scale;   /* bytes; 0: none */
    pave_i32 k_slice;            /* 0: all of k */
    pave_i32 group_m;     /* raster: this many row tiles share their column tiles before moving on; >= 1 */
    pave_i32 group_count; /* 0: no groups */
    float scale;          /* a power of two; 1 where A is what it says */
    pave_i16 y_type;      /* PAVE_T_*; TF32 rounds before storing; NONE: not stored */
    pave_i16 reduce;      /* pave_reduction that has states, or 0 */
    pave_i16 link_count;
    pave_i16 reserved;
    pave_abi_link links[PAVE_ABI_LINKS];
} pave_abi_gemm;
PAVE_ABI_CHECK(pave_abi_gemm, 904);

/* Families that work on rows. Buffers: X, Y, t0 … t9. Links apply to what is stored.
 * map:       y[r, c] = chain(x[r, c]) for c < cols, and 0 for cols <= c < width. Rows of sums (PAVE_MAP_SUM_…): x[r, c] stands
 *            for the sum of `slots` F32 that are `slice` elements apart, added in order; x.col is 1, all else in x and the
 *            slice are multiples of 16 bytes, rows are as long as the next multiple of 4 elements, and width is cols, or
 *            where y_type is F16X2, which has a power of two among its links instead of scales, the next multiple of 16.
 *            Where y_type has scales there is no chain, and the rows' scales go to byte `slots` of Y, in the order that gemm
 *            reads them: the power of two that brings the largest finite |x| of the row to [2^14, 2^15), 2^-126 at least,
 *            and 1 for a row without any but 0.
 * reduce:    y[r] = chain(reduction of x[r, 0 … cols)); where slots > 0 no link applies, and columns [s * slice, (s + 1) *
 *            slice) leave one state (two floats) at byte y.offset of Y + 8 * ((batch index * rows + r) * slots + s).
 * join:      y[r] = chain(reduction of row r's `slots` states, laid out the same at byte x.offset of X); cols is how many
 *            values each row had, for the mean.
 * normalize: y[r, c] = chain(x[r, c] as softmax, log_softmax or normalize make it of its row of cols). Where slots > 0, so many
 *            blocks are a team, all teams run at once, and block s of each takes columns [s * slice, (s + 1) * slice) of the team's
 *            rows. The last tensor's argument, t9, has for each block PAVE__SLICE_ROWS words of 8 bytes for states and then for each
 *            team a u32, all 0 before and after; a launch with slots has no tensor of a link there. */
typedef struct pave_abi_rows {
    pave_i64 rows, cols, width;
    pave_i64 batch[PAVE_BATCH_DIMS];
    pave_abi_view x, y;
    pave_i64 slots, slice;
    float epsilon;
    pave_i32 x_type, y_type;
    pave_i32 reduce; /* pave_reduction */
    pave_i32 link_count;
    pave_i32 reserved;
    pave_abi_link links[PAVE_ABI_LINKS];
} pave_abi_rows;
PAVE_ABI_CHECK(pave_abi_rows, 824);

/* Family peak: `iterations` rounds of independent register-only arithmetic a thread; a value that depends on
 * all of it is stored where `never` is not 0, which no launch sets. Buffers: Y. */
typedef struct pave_abi_peak {
    pave_i64 iterations;
    pave_i32 never;
    pave_i32 reserved;
} pave_abi_peak;
PAVE_ABI_CHECK(pave_abi_peak, 16);

#define PAVE_GEMM_BUFFERS (5 + PAVE_ABI_LINKS)
#define PAVE_ROWS_BUFFERS (2 + PAVE_ABI_LINKS)
#define PAVE_ROWS_COUNTERS (PAVE_ROWS_BUFFERS - 1) /* normalize: the argument that has the words and counts */
#define PAVE_PEAK_BUFFERS 1

#endif
