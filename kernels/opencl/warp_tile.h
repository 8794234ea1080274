/* SPDX-License-Identifier: Apache-2.0
 * From a warp's sums to memory, and the walk over tiles that surrounds it. An item's sums stay in its registers:
 * it holds quads of neighbouring columns. Loads that the chain begins with are made for all of them at once, the
 * rest of the chain runs on PV_R quads at a time. The next tile's first k-tiles are copied meanwhile, as none of
 * this needs local memory.
 *
 * The including file gives: pv_sums, an item's sums; PV_SUM(r, q, e), column e of quad q of row r of them, PV_ROWS
 * by PV_QUADS quads; rows PV_APART, quads PV_QUAD_STEP columns from each other; PV_ROW_LANES lanes that hold a
 * row; pv_main_loop. */
#ifndef PAVE_KERNELS_OPENCL_WARP_TILE_H
#define PAVE_KERNELS_OPENCL_WARP_TILE_H

#include "copier.h"
#include "epilogue.h"

#if PAVE_THREADS != PAVE_BM / PAVE_WM * PV_WARPS_N * PV_WARP || PAVE_SLICE != PAVE_WN || PV_ROWS % PV_R != 0
#error warp_tile: a warp has a slice, in whole parts
#endif

#define PV_EACH_SUM(what)                                                    \
    do {                                                                     \
        PV_UNROLL                                                            \
        for (int i = 0; i < PV_ROWS * PV_QUADS * 4; i++) {                   \
            const int r = i / 4 / PV_QUADS, q = i / 4 % PV_QUADS, e = i % 4; \
            what;                                                            \
        }                                                                    \
    } while (0)

/* The quads that an item has of a row; `count` columns exist from the first one on, past them is `rest`. */
PV_DEFINE_LOAD_QUADS(pv_load_quads_along, PV_QUADS)
PV_INLINE void pv_load_along(float4 *t, __global const char *base, int type, long i, long stride, int count,
                             float rest) {
    if (stride == 1 && count >= (PV_QUADS - 1) * PV_QUAD_STEP + 4 &&
        pv_are_quads(base, type, i, PV_QUAD_STEP))
        pv_load_quads_along(t, base, type, i, PV_QUAD_STEP);
    else
        PV_EACH_QUAD(PV_QUADS, t[q_] = pv_load_some(base, type, i + q_ * PV_QUAD_STEP * stride, stride,
                                                    clamp(count - q_ * PV_QUAD_STEP, 0, 4), rest));
}

/* Sums of products of scaled rows as the values that they stand for. Returns whether that is done: not where a
 * product of two scales may be no normal number, for one multiplication by it is exact only then. */
PV_INLINE int pv_scale(const pave_abi_gemm *args, const pv_job *job, __global const char *a,
                       __global const char *b, int row, int col, pv_sums acc) {
    float4 of_b[PV_QUADS];
    float of_a[PV_ROWS], least_a, most_a;
    PV_UNROLL
    for (int q = 0; q < PV_QUADS; q++) of_b[q] = (float4)(1.0f);
    if (job->b_scale != 0) pv_load_along(of_b, b + job->b_scale, PAVE_T_F32, col, 1, job->cols - col, 1.0f);
    PV_UNROLL
    for (int r = 0; r < PV_ROWS; r++) {
        of_a[r] = args->scale;
        if (job->a_scale != 0)
            of_a[r] = row + r * PV_APART < job->rows
                          ? pv_load1(a + job->a_scale, PAVE_T_F32, row + r * PV_APART)
                          : 1.0f;
    }
    float4 least = of_b[0], most = of_b[0];
    PV_UNROLL
    for (int q = 1; q < PV_QUADS; q++) least = fmin(least, of_b[q]), most = fmax(most, of_b[q]);
    least_a = most_a = of_a[0];
    PV_UNROLL
    for (int r = 1; r < PV_ROWS; r++) least_a = fmin(least_a, of_a[r]), most_a = fmax(most_a, of_a[r]);
    least_a *= fmin(fmin(least.s0, least.s1), fmin(least.s2, least.s3));
    most_a *= fmax(fmax(most.s0, most.s1), fmax(most.s2, most.s3));
    const int normal = least_a >= FLT_MIN && most_a <= FLT_MAX;
    if (normal) PV_EACH_SUM(PV_SUM(r, q, e) *= of_a[r] * PV_LANE(of_b[q], e));
    return normal;
}

/* The same for one part of the sums, whatever the scales; row and col are the tile's. */
PV_INLINE void pv_scale_part(const pave_abi_gemm *args, const pv_job *job, __global const char *a,
                             __global const char *b, int row, int col, const pv_patch *at, float4 *v) {
    float4 of_b = (float4)(1.0f);
    if (job->b_scale != 0) of_b = pv_load_some(b + job->b_scale, PAVE_T_F32, col, 1, at->count, 1.0f);
    PV_UNROLL
    for (int r = 0; r < PV_R; r++) {
        float of_a = args->scale;
        if (job->a_scale != 0 && r < at->rows)
            of_a = pv_load1(a + job->a_scale, PAVE_T_F32, row + r * PV_APART);
        v[r] = pv_scaled(v[r], of_a, of_b);
    }
}

/* A first link that adds a row vector, to all sums at once: its elements are loaded once. Returns how many links
 * that is. */
PV_INLINE int pv_add_row(const pave_abi_gemm *args, const pv_job *job, int col, pv_sums acc, PV_TENSOR_ARGS) {
    const pave_abi_link *link = args->links;
    float4 t[PV_QUADS];
    if (!PV_USES(PV_OP_ADD) || args->link_count == 0 || link->op != PV_OP_ADD ||
        link->operand != PAVE_OPERAND_ROW)
        return 0;
    pv_load_along(t, t0 + link->t.offset, link->type,
                  pv_batch_offset(&link->t, job->batch) + (job->col + col) * link->t.col, link->t.col,
                  job->cols - col, 0.0f);
    PV_UNROLL
    for (int q = 0; q < PV_QUADS; q++) t[q] *= (float4)(link->a);
    PV_EACH_SUM(PV_SUM(r, q, e) += PV_LANE(t[q], e));
    return 1;
}

/* The state of neighbouring lanes, PV_ROW_LANES of them, in an order that depends on nothing; the first lane has
 * the result. The whole warp takes part. */
PV_INLINE float2 pv_merge_lanes(int reduce, float2 s) {
    PV_UNROLL
    for (uint step = PV_ROW_LANES / 2; step > 0; step /= 2) {
        float2 t = (float2)(as_float(pv_from_lane_xor(as_uint(s.x), step)),
                            as_float(pv_from_lane_xor(as_uint(s.y), step)));
        s = pave_state_merge(reduce, s, t);
    }
    return s;
}

/* The next part of an item's sums, PV_R rows of one quad. Sums are registers, which have no index: those behind it
 * move up. */
PV_INLINE void pv_next_part(float4 *v, pv_sums acc) {
    PV_UNROLL
    for (int r = 0; r < PV_R; r++)
        v[r] = (float4)(PV_SUM(r, 0, 0), PV_SUM(r, 0, 1), PV_SUM(r, 0, 2), PV_SUM(r, 0, 3));
    PV_UNROLL
    for (int i = 0; i < (PV_ROWS * PV_QUADS - PV_R) * 4; i++) {
        const int r = i / 4 % PV_R, q = i / 4 / PV_R % PV_QUADS, p = i / 4 / PV_R / PV_QUADS * PV_R,
                  e = i % 4;
        PV_SUM(p + r, q, e) =
            q + 1 < PV_QUADS ? PV_SUM(p + r, (q + 1) % PV_QUADS, e) : PV_SUM(p + r + PV_R, 0, e);
    }
}

PV_INLINE void pv_store_part(const pave_abi_gemm *args, const pv_job *job, const pv_patch *at,
                             __global char *y, const float4 *v) {
    const long step = PV_APART * job->y_row;
    if (at->rows >= PV_R && at->count >= 4 && pv_are_quads(y, args->y_type, 0, step))
        pv_store_quads_down(v, y, args->y_type, step);
    else
        PV_EACH_QUAD(PV_R, if (q_ < at->rows) pv_store_some(y, args->y_type, q_ * step, at->count, v[q_]));
}

PV_INLINE void pv_epilogue(const pave_abi_gemm *args, const pv_job *job, __global const char *a,
                           __global const char *b, pv_sums acc, PV_TENSOR_ARGS) {
    const int lane = (int)get_local_id(0) % PV_WARP, warp = (int)get_local_id(0) / PV_WARP;
    const int slice = warp % PV_WARPS_N;
    const int row0 = warp / PV_WARPS_N * PAVE_WM + lane / PV_ROW_LANES,
              col0 = slice * PAVE_WN + lane % PV_ROW_LANES * 4;
    const int scaled =
        PAVE_A_TYPE == PAVE_T_F16 && (job->a_scale != 0 || job->b_scale != 0 || args->scale != 1.0f);
    const int careful = scaled && !pv_scale(args, job, a, b, row0, col0, acc);
    const int done = careful ? 0 : pv_add_row(args, job, col0, acc, PV_TENSORS);
    float2 states[PV_R];
    PV_LOOP
    for (int part = 0; part < PV_ROWS / PV_R * PV_QUADS; part++) {
        const int q = part % PV_QUADS, row = row0 + part / PV_QUADS * (PV_APART * PV_R),
                  col = col0 + q * PV_QUAD_STEP;
        const pv_patch at = {job->batch,
                             job->row + row,
                             job->col + col,
                             PV_APART,
                             clamp((job->rows - row + PV_APART - 1) / PV_APART, 0, PV_R),
                             clamp(job->cols - col, 0, 4)};
        float4 v[PV_R];
        pv_next_part(v, acc);
        if (careful) pv_scale_part(args, job, a, b, row, col, &at, v);
        pv_chain_rows(args, done, &at, v, PV_TENSORS);
        if (args->y_type != PAVE_T_NONE)
            pv_store_part(args, job, &at, job->y + (row * job->y_row + col) * PV_WIDTH(args->y_type), v);
        if (args->reduce == 0) continue;
        if (q == 0) PV_EACH_QUAD(PV_R, states[q_] = pave_state_begin(args->reduce));
        PV_EACH_QUAD(PV_R, states[q_] = pv_fold4(args->reduce, states[q_], v[q_], q_ < at.rows ? at.count : 0,
                                                 (int)at.col));
        if (q + 1 < PV_QUADS) continue;
        PV_UNROLL
        for (int r = 0; r < PV_R; r++) {
            const float2 s = pv_merge_lanes(args->reduce, states[r]);
            if (lane % PV_ROW_LANES == 0 && r < at.rows && slice * PAVE_SLICE < job->cols)
                vstore2(s, (row + r * PV_APART) * args->slots + slice, job->p);
        }
    }
}

/* A number of which neither compiler can tell that it is `i`, so that what follows from it is found again behind
 * the main loop and not kept in registers across it. */
PV_INLINE long pv_again(long i) {
    const uint lane = (uint)get_local_id(0) % PV_WARP;
    return (long)((ulong)pv_from_lane((uint)((ulong)i >> 32), lane) << 32 | pv_from_lane((uint)i, lane));
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(
    const pave_abi_gemm args, __global const char *a, __global const char *b, __global char *y,
    __global char *p, __global const char *g, PV_TENSOR_ARGS) {
    __local uint4 tiles[PV_TILE_BYTES / 16] __attribute__((aligned(128)));
    const long count = pv_tiles(&args);
    pv_sums acc;
    pv_copier copier;
    PV_LOOP
    for (long before = -1, i = PV_GROUP;; before = pv_again(i), i = before + PV_GROUPS) {
        pv_job job;
        if (i < count) {
            pv_take(&args, a, b, y, p, g, i, &job);
            pv_copier_start(&copier, &job);
            pv_fill(&copier, pv_address(tiles));
        }
        if (before >= 0) {
            pv_take(&args, a, b, y, p, g, before, &job);
            pv_epilogue(&args, &job, a, b, acc, PV_TENSORS);
        }
        if (i >= count) break;
        PV_EACH_SUM(PV_SUM(r, q, e) = 0.0f);
        pv_main_loop(&copier, tiles, acc);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

#endif
