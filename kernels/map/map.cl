/* SPDX-License-Identifier: Apache-2.0
 * Family pack: converts a matrix between types and row strides, zeros beyond its width. A group takes PAVE_BN
 * columns of one row at a time. One item a group (CPU): vectors; many (GPU): neighbouring items take
 * neighbouring elements. Any alignment of whole elements. */
#if PAVE_THREADS == 1
#define PV_W PAVE_VECTOR_WIDTH
#endif
#include "prelude.h"

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(const pave_abi_pack args,
                                                                                    __global const char *x,
                                                                                    __global char *y) {
    long chunks = (args.cols_out + PAVE_BN - 1) / PAVE_BN;
    x += args.x_offset;
    y += args.y_offset;
    for (long i = PV_GROUP; i < args.rows * chunks; i += PV_GROUPS) {
        long row = i / chunks, from = (i - row * chunks) * PAVE_BN;
        long to = min(from + PAVE_BN, args.cols_out), to_vector = from;
        long in = row * args.ldx, out = row * args.ldy;
#if PAVE_THREADS == 1
        for (; to_vector + PV_W <= min(to, args.cols); to_vector += PV_W)
            pv_store(y, args.y_type, out + to_vector, pv_load(x, args.x_type, in + to_vector));
#endif
        for (long c = to_vector + (long)get_local_id(0); c < to; c += PAVE_THREADS)
            pv_store1(y, args.y_type, out + c, c < args.cols ? pv_load1(x, args.x_type, in + c) : 0.0f);
    }
}
