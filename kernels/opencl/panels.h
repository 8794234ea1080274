/* SPDX-License-Identifier: Apache-2.0
 * What the CPUs' gemm multiplies: operands of any type and any strides as float32 in local memory. A strip is as many rows of A
 * as a register tile has, PV_CHUNK of k of each behind one another, so that it is read as one stream; a panel is two vectors
 * of columns of B, [k][PV_NR]. Both are zero up to the next whole chunk of k. */
#ifndef PAVE_KERNELS_OPENCL_PANELS_H
#define PAVE_KERNELS_OPENCL_PANELS_H

#include "prelude.h"
#include "walk.h"

/* Registers: 12 × 2 vectors of 32 where vectors are 16 wide (AVX-512), else 6 × 2 of 16. */
#if PV_W == 16
#define PV_ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define PV_MR 12
#else
#define PV_ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define PV_MR 6
#endif
#define PV_NR (2 * PV_W)
#define PV_CHUNK 16 /* of k: what a row of a strip has in one place */
#if PAVE_BM % PV_MR != 0 || PAVE_BN % PV_NR != 0 || PAVE_BK % PV_CHUNK != 0 || PV_NR % 8 != 0
#error panels.h: the tile must be whole register tiles and chunks
#endif

/* Up to the next whole chunk. */
PV_INLINE int pv_padded(int count) {
    return (count + PV_CHUNK - 1) / PV_CHUNK * PV_CHUNK;
}

/* Lane by lane: of halves, unoptimized, it would be a shuffle that Oclgrind does not know. */
PV_INLINE float8 pv_pair(float4 a, float4 b) {
    return (float8)(a.s0, a.s1, a.s2, a.s3, b.s0, b.s1, b.s2, b.s3);
}

/* A panel of `cols` columns of B from `b` on, `count` of k, where k is contiguous: eight columns (past the last that one
 * again) along all of k, so that few streams are open at a time. Of four k, columns 0 … 3 go to one lane and 4 … 7 to the
 * other, so that what is left to turn is turned within lanes. */
#define PV_GATHER(i) pv_pair(pv_load4(b, PAVE_B_TYPE, at[i] + k), pv_load4(b, PAVE_B_TYPE, at[(i) + 4] + k))
#define PV_LOW(a, b) PV_SHUFFLE8(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define PV_HIGH(a, b) PV_SHUFFLE8(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define PV_EVEN(a, b) PV_SHUFFLE8(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define PV_ODD(a, b) PV_SHUFFLE8(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
PV_CALLED void pv_pack_b(__local float *panel, __global const char *b, long ldb, int cols, int count) {
    for (int n = 0; n < PV_NR; n += 8) {
        long at[8];
        for (int i = 0; i < 8; i++) at[i] = min(n + i, cols - 1) * ldb;
        int k = 0;
        PV_ROLLED
        for (; k + 4 <= count; k += 4) {
            __local float *to = panel + k * PV_NR + n;
            const float8 x0 = PV_GATHER(0), x1 = PV_GATHER(1), x2 = PV_GATHER(2), x3 = PV_GATHER(3);
            const float8 t0 = PV_LOW(x0, x1), t1 = PV_HIGH(x0, x1), t2 = PV_LOW(x2, x3), t3 = PV_HIGH(x2, x3);
            *(__local float8 *)to = PV_EVEN(t0, t2);
            *(__local float8 *)(to + PV_NR) = PV_ODD(t0, t2);
            *(__local float8 *)(to + 2 * PV_NR) = PV_EVEN(t1, t3);
            *(__local float8 *)(to + 3 * PV_NR) = PV_ODD(t1, t3);
        }
        PV_ROLLED
        for (; k < pv_padded(count); k++) PV_ROLLED
        for (int i = 0; i < 8; i++)
            panel[k * PV_NR + n + i] = k < count ? pv_load1(b, PAVE_B_TYPE, at[i] + k) : 0.0f;
    }
}
#undef PV_GATHER
#undef PV_LOW
#undef PV_HIGH
#undef PV_EVEN
#undef PV_ODD

/* The same where it is not: vectors of columns where those are. */
PV_CALLED void pv_copy_b(__local float *panel, __global const char *b, long row, long col, int cols,
                         int count) {
    const int whole = row == 1 && cols >= PV_NR ? count : 0;
    int k = 0;
    PV_ROLLED
    for (; k < whole; k++) {
        PV_AT(panel + k * PV_NR) = pv_load(b, PAVE_B_TYPE, k * col);
        PV_AT(panel + k * PV_NR + PV_W) = pv_load(b, PAVE_B_TYPE, k * col + PV_W);
    }
    PV_ROLLED
    for (; k < pv_padded(count); k++) PV_ROLLED
    for (int n = 0; n < PV_NR; n++)
        panel[k * PV_NR + n] = n < cols && k < count ? pv_load1(b, PAVE_B_TYPE, k * col + n * row) : 0.0f;
}

/* Where row r and k of a strip's chunks are. */
#define PV_STRIP(r, k) ((k) / PV_CHUNK * (PV_MR * PV_CHUNK) + (r)*PV_CHUNK + (k) % PV_CHUNK)

/* A strip of A: `rows` rows, the last one again where they are fewer than PV_MR, where k is contiguous. */
PV_CALLED void pv_pack_a(__local float *strip, __global const char *a, long lda, int rows, int count) {
    for (int r = 0; r < PV_MR; r++) {
        const long from = min(r, rows - 1) * lda;
        int k = 0;
        PV_ROLLED
        for (; k + PV_W <= count; k += PV_W)
            PV_AT(strip + PV_STRIP(r, k)) = pv_load(a, PAVE_A_TYPE, from + k);
        PV_ROLLED
        for (; k + 4 <= count; k += 4) vstore4(pv_load4(a, PAVE_A_TYPE, from + k), 0, strip + PV_STRIP(r, k));
        PV_ROLLED
        for (; k < pv_padded(count); k++)
            strip[PV_STRIP(r, k)] = k < count ? pv_load1(a, PAVE_A_TYPE, from + k) : 0.0f;
    }
}

/* The same where it is not: four rows by four k at a time where rows are contiguous. */
PV_CALLED void pv_turn_a(__local float *strip, __global const char *a, long row, long col, int rows,
                         int count) {
    for (int k = 0; k < pv_padded(count); k += 4) {
        int r = 0;
        PV_ROLLED
        for (; row == 1 && r + 4 <= min(rows, PV_MR) && k + 4 <= count; r += 4) {
            const long from = r + k * col;
            pv_turn_quad(strip + PV_STRIP(r, k), PV_CHUNK, pv_load4(a, PAVE_A_TYPE, from),
                         pv_load4(a, PAVE_A_TYPE, from + col), pv_load4(a, PAVE_A_TYPE, from + 2 * col),
                         pv_load4(a, PAVE_A_TYPE, from + 3 * col));
        }
        PV_ROLLED
        for (; r < PV_MR; r++) PV_ROLLED
        for (int i = k; i < k + 4; i++)
            strip[PV_STRIP(r, i)] =
                i < count ? pv_load1(a, PAVE_A_TYPE, min(r, rows - 1) * row + i * col) : 0.0f;
    }
}

#endif
