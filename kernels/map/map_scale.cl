/* SPDX-License-Identifier: Apache-2.0
 * A matrix as float16 with a power of two for each row: 11 significant bits. Rows of the table
 * PAVE_MAP_SCALE_CL_ROWS.
 *
 * Work: a group a row, four consecutive columns an item at a time, PAVE_BN of the row under way at once. A row of
 * up to PAVE_BN columns stays in registers between its maximum and its store; of a longer one the rest is read
 * twice. Alignment: none needed; four elements that lie on a multiple of their size move at once. Local memory: a
 * maximum an item. */
#include "prelude.h"
#include "chain.h"
#include "walk.h"

#define PV_STEP (4 * PAVE_THREADS)
#define PV_KEPT (PAVE_BN / PV_STEP)
#if PV_KEPT * PV_STEP != PAVE_BN
#error map_scale: four columns an item at a time
#endif

/* The largest finite |v| as bits, which are ordered as their values are. */
PV_INLINE uint pv_magnitude(float4 v, uint largest) {
    uint4 bits = as_uint4(v) & (uint4)(0x7fffffffu);
    bits = bits < (uint4)(0x7f800000u) ? bits : (uint4)(0u);
    bits.lo = max(bits.lo, bits.hi);
    return max(largest, max(bits.s0, bits.s1));
}

/* The group's, known to every item. */
PV_INLINE uint pv_largest(__local uint *all, uint largest) {
    const int item = (int)get_local_id(0);
    all[item] = largest;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_count = PAVE_THREADS / 2; half_count > 0; half_count /= 2) {
        if (item < half_count) all[item] = max(all[item], all[item + half_count]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    largest = all[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return largest;
}

/* Biased exponent of the scale that brings `largest` to [2^14, 2^15). At 1, the least normal number, what is
 * denormal as a float is a multiple of half's least number, so nothing is lost. */
PV_INLINE int pv_scale_exponent(uint largest) {
    return largest == 0 ? 127 : max((int)(largest >> 23) - 14, 1);
}

/* An item's of PAVE_BN columns, from its first one on: all loads are under way before one is used. Where all are whole
 * quads that is asked once for all, which keeps addresses and tests out of a GPU's few registers. */
PV_INLINE void pv_columns(const pave_abi_rows *args, __global const char *x, long from, long col, float4 *v) {
    const int type = args->x_type;
    from += col * args->x.col;
    if (args->x.col == 1 && col + (PV_KEPT - 1) * PV_STEP + 4 <= args->cols && pv_is_quad(x, type, from)) {
        PV_UNROLL
        for (int j = 0; j < PV_KEPT; j++) v[j] = pv_load_quad(x, type, from + j * PV_STEP);
        return;
    }
    PV_UNROLL
    for (int j = 0; j < PV_KEPT; j++, col += PV_STEP, from += PV_STEP * args->x.col)
        v[j] = pv_load_some(x, type, from, args->x.col, (int)clamp(args->cols - col, 0L, 4L), 0.0f);
}

PV_INLINE uint pv_magnitudes(const float4 *v, uint largest) {
    PV_UNROLL
    for (int j = 0; j < PV_KEPT; j++) largest = pv_magnitude(v[j], largest);
    return largest;
}

PV_INLINE void pv_quotients(const pave_abi_rows *args, __global char *y, long to, long col, float inverse,
                            const float4 *v) {
    PV_UNROLL
    for (int j = 0; j < PV_KEPT; j++, col += PV_STEP)
        pv_store_some(y + args->y.offset, PAVE_T_F16, to + col, (int)clamp(args->width - col, 0L, 4L),
                      v[j] * inverse);
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(const pave_abi_rows args,
                                                                                    __global const char *x,
                                                                                    __global char *y,
                                                                                    PV_TENSOR_ARGS) {
    __local uint all[PAVE_THREADS];
    const long first = (long)get_local_id(0) * 4;
    x += args.x.offset;
    for (long i = PV_GROUP; i < PV_MATRICES(args) * args.rows; i += PV_GROUPS) {
        long b[PAVE_BATCH_DIMS];
        pv_unflatten(i / args.rows, args.batch, b);
        const long from = pv_batch_offset(&args.x, b) + i % args.rows * args.x.row;
        const long to = pv_batch_offset(&args.y, b) + i % args.rows * args.y.row;
        float4 kept[PV_KEPT];
        uint largest = 0;
        PV_LOOP
        for (long col = first + PAVE_BN; col < args.cols; col += PAVE_BN) {
            pv_columns(&args, x, from, col, kept);
            largest = pv_magnitudes(kept, largest);
        }
        pv_columns(&args, x, from, first, kept);
        largest = pv_magnitudes(kept, largest);
        const int exponent = pv_scale_exponent(pv_largest(all, largest));
        const float inverse = as_float((uint)(254 - exponent) << 23);
        if (first == 0) ((__global uint *)(y + args.slots))[to / args.y.row] = (uint)exponent << 23;
        pv_quotients(&args, y, to, first, inverse, kept);
        PV_LOOP
        for (long col = first + PAVE_BN; col < args.width; col += PAVE_BN) {
            pv_columns(&args, x, from, col, kept);
            pv_quotients(&args, y, to, col, inverse, kept);
        }
    }
}
