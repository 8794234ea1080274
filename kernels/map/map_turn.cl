/* SPDX-License-Identifier: Apache-2.0
 * Family map where x's rows and y's columns are 1 apart: a group takes a tile of PAVE_BM rows and PAVE_BN
 * columns, brings it to local memory along the rows' direction, and stores it by vectors of columns, zeros
 * from the columns' end to the width. One item a group (CPU) turns 4 x 4 at a time on the way in. With many
 * (GPU) neighbouring items read neighbouring rows; a tile's columns there are PAVE_BM + 1 floats apart, so
 * that neither way meets a bank twice. Any alignment of whole elements. */
#if PAVE_THREADS == 1
#define PV_W PAVE_VECTOR_WIDTH
#endif
#include "prelude.h"
#include "chain.h"
#include "walk.h"

/* Element (r, c) of the tile lies at r * PV_ROW + c * PV_COL. */
#if PAVE_THREADS == 1
#define PV_ROW PAVE_BN
#define PV_COL 1
#else
#define PV_ROW 1
#define PV_COL (PAVE_BM + 1)
#endif
#if PAVE_BM % 4 != 0 || PAVE_BN % PV_W != 0
#error map_turn: the tile must be whole vectors
#endif

#if PAVE_THREADS == 1
/* A whole tile; rows are 1 apart. */
PV_INLINE void pv_bring_whole(__local float *tile, __global const char *x, int type, long from, long col) {
    for (int c = 0; c < PAVE_BN; c += 4)
        for (int r = 0; r < PAVE_BM; r += 4) {
            long at = from + c * col + r;
            pv_turn_quad(tile + r * PV_ROW + c, PV_ROW, pv_load4(x, type, at), pv_load4(x, type, at + col),
                         pv_load4(x, type, at + 2 * col), pv_load4(x, type, at + 3 * col));
        }
}
#endif

/* Zeros behind the last column, up to a whole vector: chains run on all lanes. */
PV_INLINE void pv_bring_some(__local float *tile, __global const char *x, int type, long from,
                             const pave_abi_view *view, int rows, int cols) {
    const int end = (cols + PV_W - 1) / PV_W * PV_W;
    for (int i = (int)get_local_id(0); i < PAVE_BM * end; i += PAVE_THREADS) {
        int r = i % PAVE_BM, c = i / PAVE_BM;
        if (r >= rows) continue;
        tile[r * PV_ROW + c * PV_COL] =
            c < cols ? pv_load1(x, type, from + r * view->row + c * view->col) : 0.0f;
    }
}

PV_INLINE PV_VT pv_row_of(__local const float *tile, int r, int c) {
#if PAVE_THREADS == 1
    return PV_VLOAD(0, tile + r * PV_ROW + c);
#else
    tile += r + c * PV_COL;
    return (float4)(tile[0], tile[PV_COL], tile[2 * PV_COL], tile[3 * PV_COL]);
#endif
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(const pave_abi_rows args,
                                                                                    __global const char *x,
                                                                                    __global char *y,
                                                                                    PV_TENSOR_ARGS) {
    __local float tile[PAVE_BM * PAVE_BN + PAVE_BN] __attribute__((aligned(64)));
    const long down = (args.rows + PAVE_BM - 1) / PAVE_BM, across = (args.width + PAVE_BN - 1) / PAVE_BN;
    x += args.x.offset;
    y += args.y.offset;
    for (long i = PV_GROUP; i < PV_MATRICES(args) * down * across; i += PV_GROUPS) {
        const long row0 = i / across % down * PAVE_BM, col0 = i % across * PAVE_BN;
        const int rows = (int)min(args.rows - row0, (long)PAVE_BM),
                  wide = (int)min(args.width - col0, (long)PAVE_BN);
        const int cols = (int)clamp(args.cols - col0, 0L, (long)wide);
        long b[PAVE_BATCH_DIMS];
        pv_unflatten(i / across / down, args.batch, b);
        const long from = pv_batch_offset(&args.x, b) + row0 * args.x.row + col0 * args.x.col;
        const long to = pv_batch_offset(&args.y, b) + row0 * args.y.row + col0 * args.y.col;
#if PAVE_THREADS == 1
        if (rows == PAVE_BM && cols == PAVE_BN && args.x.row == 1)
            pv_bring_whole(tile, x, args.x_type, from, args.x.col);
        else
#endif
            pv_bring_some(tile, x, args.x_type, from, &args.x, rows, cols);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int j = (int)get_local_id(0); j < rows * (PAVE_BN / PV_W); j += PAVE_THREADS) {
            int r = j / (PAVE_BN / PV_W), c = j % (PAVE_BN / PV_W) * PV_W;
            int count = min(wide - c, PV_W), some = clamp(cols - c, 0, PV_W);
            if (count <= 0) continue;
            PV_VT v = pv_row_of(tile, r, c);
            if (some > 0)
                v = pv_chain(args.links, args.link_count, b, row0 + r, col0 + c, some, v, PV_TENSORS);
            v = PV_LANES < (PV_VI)(some) ? v : PV_C(0.0f);
            pv_put(y, args.y_type, to + r * args.y.row + c * args.y.col, args.y.col, count, v);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
