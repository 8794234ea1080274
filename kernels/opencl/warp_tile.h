/* SPDX-License-Identifier: Apache-2.0
 * From a warp's sums to memory, and the walk over tiles that surrounds it. An item's sums stay in its registers:
 * it holds quads of neighbouring columns. What can be is done to all of them at once, the rest of the chain runs on
 * PV_R quads at a time. None of this needs local memory.
 *
 * The including file gives: pv_sums, an item's sums; PV_SUM(r, q, e), column e of quad q of row r of them, PV_ROWS
 * by PV_QUADS quads; rows PV_APART, quads PV_QUAD_STEP columns from each other; PV_ROW_LANES lanes that hold a
 * row; pv_main_loop; PV_WHOLE, whether registers are left for links, stores and states of all sums at once. */
#ifndef PAVE_KERNELS_OPENCL_WARP_TILE_H
#define PAVE_KERNELS_OPENCL_WARP_TILE_H

#include "copier.h"
#include "warp_whole.h"

#if PAVE_THREADS != PAVE_BM / PAVE_WM * PV_WARPS_N * PV_WARP || PAVE_SLICE != PAVE_WN || PV_ROWS % PV_R != 0
#error warp_tile: a warp has a slice, in whole parts
#endif

/* The scales of one part of the sums, whatever they are; row and col are the tile's. */
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

/* What is left of the epilogue, part by part: links from `done` on, the scales too where `careful`. */
PV_INLINE void pv_parts(const pave_abi_gemm *args, const pv_job *job, __global const char *a,
                        __global const char *b, int row0, int col0, int careful, int done, pv_sums acc,
                        PV_TENSOR_ARGS) {
    const int slice = col0 / PAVE_SLICE, first = (int)get_local_id(0) % PV_ROW_LANES == 0;
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
            if (first && r < at.rows && slice * PAVE_SLICE < job->cols)
                vstore2(s, (row + r * PV_APART) * args->slots + slice, job->p);
        }
    }
}

PV_INLINE void pv_epilogue(const pave_abi_gemm *args, const pv_job *job, __global const char *a,
                           __global const char *b, pv_sums acc, PV_TENSOR_ARGS) {
    const int item = pv_item(), lane = item % PV_WARP, warp = item / PV_WARP;
    const int row = warp / PV_WARPS_N * PAVE_WM + lane / PV_ROW_LANES,
              col = warp % PV_WARPS_N * PAVE_WN + lane % PV_ROW_LANES * 4;
    const int scaled =
        PAVE_A_TYPE == PAVE_T_F16 && (job->a_scale != 0 || job->b_scale != 0 || args->scale != 1.0f);
    const int careful = scaled && !pv_scale(args, job, a, b, row, col, acc);
    const int done = careful ? 0 : pv_links_whole(args, job, col, acc, PV_TENSORS);
    const int all_done = PV_WHOLE ? !careful && done == args->link_count : 0;
    if (all_done && args->reduce == 0 && pv_stores_whole(args, job))
        pv_store_whole(args->y_type, job->y_row, job->y + (row * job->y_row + col) * PV_WIDTH(args->y_type),
                       acc);
    else if (all_done && args->reduce == PV_LOGSUMEXP && args->y_type == PAVE_T_NONE && job->cols == PAVE_BN)
        pv_fold_exp(args, job->p + ((long)row * args->slots + col / PAVE_SLICE) * 2, job->rows - row, acc);
    else
        pv_parts(args, job, a, b, row, col, careful, done, acc, PV_TENSORS);
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
    PV_LOOP
    for (long i = PV_GROUP; i < count; i += PV_GROUPS) {
        pv_job job;
        pv_copier copier;
        pv_sums acc;
        pv_take(&args, a, b, y, p, g, i, &job);
        pv_copier_start(&copier, &job);
        pv_fill(&copier, pv_address(tiles));
        PV_EACH_SUM(PV_SUM(r, q, e) = 0.0f);
        pv_main_loop(&copier, tiles, acc);
        i = pv_again(i);
        pv_take(&args, a, b, y, p, g, i, &job);
        pv_epilogue(&args, &job, a, b, acc, PV_TENSORS);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

#endif
