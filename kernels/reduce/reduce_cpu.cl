/* SPDX-License-Identifier: Apache-2.0
 * Family reduce for CPUs: one item a group, and a row, or PV_W neighbouring rows where those lie closer
 * together than columns do, at a time by vectors. A stretch of columns comes to local memory, which is plain
 * cached memory on a CPU, as floats; logsumexp takes it twice, for its maximum and for the exponentials. Any
 * alignment of whole elements. */
#define PV_W PAVE_VECTOR_WIDTH
#include "prelude.h"
#include "chain.h"
#include "vector_reduce.h"

#define PV_STRETCH 4096 /* floats */

/* The states of columns [from, to) from row element `first` on, one of the lanes' rows each. `next` is what will be read
 * after them. */
PV_INLINE pv_states pv_fold_rows(int reduce, __local float *stretch, __global const char *x, int type,
                                 long first, long col, pv_shape shape, int lanes, long from, long to,
                                 long next) {
    const long per = PV_STRETCH / PV_W * shape.wide;
    pv_states s = pv_states_begin(reduce);
    for (long c = from; c < to; c += per) {
        int count = pv_stage(stretch, x, type, first + c * col, shape, lanes, (int)min(to - c, per),
                             pv_identity(reduce));
        PV_VI at = (PV_VI)((int)c) + (shape.wide > 1 ? PV_LANES : (PV_VI)(0));
        const long after = c + per < to ? first + (c + per) * col : next;
        pv_states t = pv_stretch_states(reduce, stretch, count, at, shape.wide,
                                        (pv_next){x + after * PV_WIDTH(type), shape.step * PV_WIDTH(type)});
        s = c == from ? t : pv_states_merge(reduce, s, t);
    }
    if (shape.wide == 1) return s;
    float2 joined = pv_states_join(reduce, s);
    s.x = PV_C(joined.x);
    s.y = PV_C(joined.y);
    return s;
}

/* States of `lanes` neighbouring rows, `slots` apart. */
static inline void pv_leave(__global float *to, long first, long slots, int lanes, pv_states s) {
    float x[PV_W], y[PV_W];
    PV_VSTORE(s.x, 0, x);
    PV_VSTORE(s.y, 0, y);
    PV_ROLLED
    for (int j = 0; j < lanes; j++) vstore2((float2)(x[j], y[j]), first + j * slots, to);
}

static inline void pv_put_indices(__global int *y, long first, long lane, int lanes, PV_VT indices) {
    int part[PV_W];
    PV_VSTORE(PV_JOIN(as_int, PV_W)(indices), 0, part);
    PV_ROLLED
    for (int j = 0; j < lanes; j++) y[first + j * lane] = part[j];
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(const pave_abi_rows args,
                                                                                    __global const char *x,
                                                                                    __global char *y,
                                                                                    PV_TENSOR_ARGS) {
    __local float area[PV_STRETCH] __attribute__((aligned(64)));
    __local float *stretch = area + PV_UNKNOWN_ZERO(args.rows);
    const pv_shape shape = pv_shape_of(&args.x, args.rows, args.cols);
    const long slots = max(args.slots, 1L), slice = args.slots > 0 ? args.slice : args.cols;
    const long strips = (args.rows + shape.high - 1) / shape.high;
    pave_abi_link links[PAVE_ABI_LINKS]; /* the results' vectors run along a column, whatever x's do */
    pv_turn_links(links, args.links, args.link_count);
    x += args.x.offset;
    y += args.y.offset;
    const long total = PV_MATRICES(args) * strips * slots, end = pv_share(total, PV_GROUP + 1);
    for (long i = pv_share(total, PV_GROUP); i < end; i++) {
        long matrix = i / slots / strips, row = i / slots % strips * shape.high, slot = i % slots,
             b[PAVE_BATCH_DIMS];
        int lanes = (int)min(args.rows - row, (long)shape.high);
        pv_unflatten(matrix, args.batch, b);
        const long first = pv_batch_offset(&args.x, b) + row * args.x.row;
        const long from = slot * slice, stop = min(from + slice, args.cols);
        const long next = first + (stop < args.cols ? stop * args.x.col : shape.high * args.x.row);
        pv_states s = pv_fold_rows(args.reduce, stretch, x, args.x_type, first, args.x.col, shape, lanes,
                                   from, stop, next);
        long to = pv_batch_offset(&args.y, b) + row * args.y.row;
        if (args.slots > 0) {
            pv_leave((__global float *)y, (matrix * args.rows + row) * slots + slot, slots, lanes, s);
        } else if (args.reduce == 6) {
            pv_put_indices((__global int *)y, to, args.y.row, lanes, s.y);
        } else {
            PV_VT v = pv_states_finish(args.reduce, s, (float)args.cols);
            v = pv_chain(links, args.link_count, b, 0, row, lanes, v, PV_TENSORS);
            pv_put(y, args.y_type, to, args.y.row, lanes, v);
        }
    }
}
