/* SPDX-License-Identifier: Apache-2.0
 * Family map: chains of links and conversion between types and layouts, zeros from the columns' end to the
 * width. A group takes PAVE_BN columns of one row at a time, by vectors; neighbouring items (GPU) take
 * neighbouring vectors, and an item's loads are all under way before the first is used. Any alignment of whole
 * elements. */
#if PAVE_THREADS == 1
#define PV_W PAVE_VECTOR_WIDTH
#endif
#include "prelude.h"
#include "chain.h"
#include "walk.h"

#if PAVE_THREADS != 1
#define PV_STEP (PAVE_THREADS * PV_W)
#define PV_AT_ONCE (PAVE_BN / PV_STEP) /* vectors of an item, which are loaded together */

/* An item's vectors of a row's columns `first` … `end` - 1; the row's first element lies at `from` in x, at `to` in y. */
static inline void pv_columns(const pave_abi_rows *args, __global const char *x, __global char *y,
                              const long *b, long row, long from, long to, long first, long end,
                              PV_TENSOR_ARGS) {
    const long c = first + (long)get_local_id(0) * PV_W;
    PV_VT v[PV_AT_ONCE];
    PV_UNROLL
    for (int q = 0; q < PV_AT_ONCE; q++) {
        const long at = c + q * PV_STEP;
        const int some = (int)clamp(min(end, args->cols) - at, 0L, (long)PV_W);
        v[q] = args->x.col == 0 && some > 0
                   ? PV_C(pv_load1(x, args->x_type, from))
                   : pv_load_some(x, args->x_type, from + at * args->x.col, args->x.col, some, 0.0f);
    }
    /* The chain is there once: vectors are registers, which have no index, and those behind one move up. */
    PV_LOOP
    for (long at = c; at < end; at += PV_STEP) {
        const int count = (int)min(end - at, (long)PV_W), some = (int)clamp(args->cols - at, 0L, (long)count);
        PV_VT w = v[0];
        PV_UNROLL
        for (int q = 1; q < PV_AT_ONCE; q++) v[q - 1] = v[q];
        for (long slot = 1; slot < args->slots; slot++)
            w += pv_load_some(x, PAVE_T_F32, from + at + slot * args->slice, 1, some, 0.0f);
        if (some > 0) w = pv_chain(args->links, args->link_count, b, row, at, some, w, PV_TENSORS);
        w = PV_LANES < (PV_VI)(some) ? w : PV_C(0.0f);
        if (args->y.col == 1)
            pv_store_some(y, args->y_type, to + at, count, w);
        else
            pv_put(y, args->y_type, to + at * args->y.col, args->y.col, count, w);
    }
}
#endif

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(const pave_abi_rows args,
                                                                                    __global const char *x,
                                                                                    __global char *y,
                                                                                    PV_TENSOR_ARGS) {
    const long chunks = (args.width + PAVE_BN - 1) / PAVE_BN;
    x += args.x.offset;
    y += args.y.offset;
    for (long i = PV_GROUP; i < PV_MATRICES(args) * args.rows * chunks; i += PV_GROUPS) {
        const long first = i % chunks * PAVE_BN, row = i / chunks % args.rows,
                   end = min(first + PAVE_BN, args.width);
        long b[PAVE_BATCH_DIMS];
        pv_unflatten(i / chunks / args.rows, args.batch, b);
        const long from = pv_batch_offset(&args.x, b) + row * args.x.row,
                   to = pv_batch_offset(&args.y, b) + row * args.y.row;
#if PAVE_THREADS == 1
        for (long c = first; c < end; c += PV_W) {
            int count = (int)min(end - c, (long)PV_W), some = (int)clamp(args.cols - c, 0L, (long)count);
            PV_VT v = args.x.col == 0 && some > 0
                          ? PV_C(pv_load1(x, args.x_type, from))
                          : pv_load_some(x, args.x_type, from + c * args.x.col, args.x.col, some, 0.0f);
            PV_ROLLED
            for (long slot = 1; slot < args.slots; slot++)
                v += pv_load_some(x, PAVE_T_F32, from + c + slot * args.slice, 1, some, 0.0f);
            if (some > 0) v = pv_chain(args.links, args.link_count, b, row, c, some, v, PV_TENSORS);
            v = PV_LANES < (PV_VI)(some) ? v : PV_C(0.0f);
            pv_put(y, args.y_type, to + c * args.y.col, args.y.col, count, v);
        }
#else
        pv_columns(&args, x, y, b, row, from, to, first, end, PV_TENSORS);
#endif
    }
}
