/* SPDX-License-Identifier: Apache-2.0
 * What the row families share: numbers, vectors whose lanes lie any stride apart, and links seen with rows
 * and columns changed over, for kernels whose vectors run along a column. */
#ifndef PAVE_KERNELS_OPENCL_WALK_H
#define PAVE_KERNELS_OPENCL_WALK_H

#include "prelude.h"

#if PV_W == 16
#define PV_LANES ((int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#elif PV_W == 8
#define PV_LANES ((int8)(0, 1, 2, 3, 4, 5, 6, 7))
#else
#define PV_LANES ((int4)(0, 1, 2, 3))
#endif

/* The numbers of pave_reduction that have no states. */
#define PV_SOFTMAX 7
#define PV_LOG_SOFTMAX 8
#define PV_NORMALIZE 9

/* Matrices of a launch. */
#define PV_MATRICES(args) ((args).batch[0] * (args).batch[1] * (args).batch[2])

/* The first `count` lanes, `lane` elements apart. */
static inline void pv_put(__global char *y, int type, long first, long lane, int count, PV_VT v) {
    if (lane == 1 && count >= PV_W) {
        pv_store(y, type, first, v);
        return;
    }
    float part[PV_W];
    PV_VSTORE(v, 0, part);
    PV_ROLLED
    for (int j = 0; j < count; j++) pv_store1(y, type, first + j * lane, part[j]);
}

/* Four vectors become the columns of four rows, `ld` apart. */
PV_INLINE void pv_turn_quad(__local float *to, int ld, float4 c0, float4 c1, float4 c2, float4 c3) {
    float4 a = (float4)(c0.s0, c0.s1, c2.s0, c2.s1), b = (float4)(c1.s0, c1.s1, c3.s0, c3.s1);
    float4 c = (float4)(c0.s2, c0.s3, c2.s2, c2.s3), d = (float4)(c1.s2, c1.s3, c3.s2, c3.s3);
    vstore4((float4)(a.s0, b.s0, a.s2, b.s2), 0, to);
    vstore4((float4)(a.s1, b.s1, a.s3, b.s3), 0, to + ld);
    vstore4((float4)(c.s0, d.s0, c.s2, d.s2), 0, to + 2 * ld);
    vstore4((float4)(c.s1, d.s1, c.s3, d.s3), 0, to + 3 * ld);
}

/* A chain of links for vectors of neighbouring rows: pv_chain is then told the column as its row and the row
 * as its column. */
static inline void pv_turn_links(pave_abi_link *to, const pave_abi_link *from, int count) {
    for (int i = 0; i < count; i++) {
        to[i] = from[i];
        to[i].t.row = from[i].t.col;
        to[i].t.col = from[i].t.row;
        if (from[i].operand == PAVE_OPERAND_ROW) to[i].operand = PAVE_OPERAND_COLUMN;
        if (from[i].operand == PAVE_OPERAND_COLUMN) to[i].operand = PAVE_OPERAND_ROW;
    }
}

#endif
