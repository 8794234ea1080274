/* SPDX-License-Identifier: Apache-2.0
 * Family map: chains of links and conversion between types and layouts, zeros from the columns' end to the
 * width. A group takes PAVE_BN columns of one row at a time, by vectors; neighbouring items (GPU) take
 * neighbouring vectors. Any alignment of whole elements. */
#if PAVE_THREADS == 1
#define PV_W PAVE_VECTOR_WIDTH
#endif
#include "prelude.h"
#include "chain.h"
#include "walk.h"

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
        for (long c = first + (long)get_local_id(0) * PV_W; c < end; c += PAVE_THREADS * PV_W) {
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
    }
}
