/* SPDX-License-Identifier: Apache-2.0
 * Family gemm for any GPU: PAVE_BM × PAVE_BN outputs a group, 4 × 4 an item, k by PAVE_BK
 * through local memory. Both operands lie there as [k][row] with rows padded by 4 floats, so that stores from
 * different rows meet different banks and an item reads its 4 rows at once. Any strides, any alignment of whole
 * elements: neighbouring items load along whichever side of an operand is contiguous. What is outside the matrices
 * reads as zero. Four consecutive columns an item make stores coalesce. */
#include "prelude.h"
#include "chain.h"
#include "state.h"
#include "tiles.h"
#include "walk.h"

#define PV_COLS (PAVE_BN / PAVE_WN) /* items across */
#define PV_LDA (PAVE_BM + 4)
#define PV_LDB (PAVE_BN + 4)
#if PAVE_WM != 4 || PAVE_WN != 4 || PAVE_BK % 4 != 0 || PAVE_THREADS != (PAVE_BM / 4) * (PAVE_BN / 4)
#error gemm_tile: 4 x 4 outputs an item, one item for each
#endif

/* Brings `rows` rows of an operand, `count` of k of each, to local memory, transposed: four of k an item where they lie closer
 * together than rows do, else four rows. What is past them is zero. */
PV_INLINE void pv_stage(__local float *to, const int ld, const int high, __global const char *from,
                        const int type, long row, long col, int rows, int count) {
    const int by_k = col == 1 || (row != 1 && col <= row), quads = by_k ? PAVE_BK / 4 : high / 4;
    for (int i = (int)get_local_id(0); i < high * (PAVE_BK / 4); i += PAVE_THREADS) {
        int r = by_k ? i / quads : i % quads * 4, c = by_k ? i % quads * 4 : i / quads;
        float4 v = (float4)(0.0f);
        if (r < rows && c < count)
            v = pv_load_some(from, type, r * row + c * col, by_k ? col : row, by_k ? count - c : rows - r,
                             0.0f);
        if (by_k) {
            to[c * ld + r] = v.s0;
            to[(c + 1) * ld + r] = v.s1;
            to[(c + 2) * ld + r] = v.s2;
            to[(c + 3) * ld + r] = v.s3;
        } else {
            vstore4(v, 0, to + c * ld + r);
        }
    }
}

/* An item's 4 × 4 sums over k. */
PV_INLINE void pv_sums(float4 *sum, __local float *tile_a, __local float *tile_b, const pv_job *job, int down,
                       int across) {
    for (int r = 0; r < 4; r++) sum[r] = (float4)(0.0f);
    for (long k0 = 0; k0 < job->k; k0 += PAVE_BK) {
        const int count = (int)min(job->k - k0, (long)PAVE_BK);
        pv_stage(tile_a, PV_LDA, PAVE_BM, job->a + k0 * job->a_col * PV_WIDTH(PAVE_A_TYPE), PAVE_A_TYPE,
                 job->a_row, job->a_col, job->rows, count);
        pv_stage(tile_b, PV_LDB, PAVE_BN, job->b + k0 * job->b_col * PV_WIDTH(PAVE_B_TYPE), PAVE_B_TYPE,
                 job->b_row, job->b_col, job->cols, count);
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (int kk = 0; kk < PAVE_BK; kk++) {
            float4 va = vload4(0, tile_a + kk * PV_LDA + down * 4);
            float4 vb = vload4(0, tile_b + kk * PV_LDB + across * 4);
            sum[0] = fma((float4)(va.s0), vb, sum[0]);
            sum[1] = fma((float4)(va.s1), vb, sum[1]);
            sum[2] = fma((float4)(va.s2), vb, sum[2]);
            sum[3] = fma((float4)(va.s3), vb, sum[3]);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

/* The first `count` of v's lanes, which are columns from `col` on, into a state. */
static inline float2 pv_fold4(int reduce, float4 v, int count, int col) {
    float2 s = pave_state_begin(reduce);
    if (count > 0) s = pave_state_fold(reduce, s, v.s0, col);
    if (count > 1) s = pave_state_fold(reduce, s, v.s1, col + 1);
    if (count > 2) s = pave_state_fold(reduce, s, v.s2, col + 2);
    if (count > 3) s = pave_state_fold(reduce, s, v.s3, col + 3);
    return s;
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(
    const pave_abi_gemm args, __global const char *a, __global const char *b, __global char *y,
    __global char *p, __global const char *g, PV_TENSOR_ARGS) {
    __local float tile_a[PAVE_BK * PV_LDA], tile_b[PAVE_BK * PV_LDB];
    __local float2 states[PAVE_BM * PV_COLS];
    const int item = (int)get_local_id(0), across = item % PV_COLS, down = item / PV_COLS;
    for (long i = PV_GROUP; i < pv_tiles(&args); i += PV_GROUPS) {
        pv_job job;
        pv_take(&args, a, b, y, p, g, i, &job);
        float4 sum[4];
        pv_sums(sum, tile_a, tile_b, &job, down, across);
        const int col = across * 4, count = clamp(job.cols - col, 0, 4);
        for (int r = 0; r < 4; r++) {
            int row = down * 4 + r, here = row < job.rows ? count : 0;
            float4 v = sum[r];
            if (here > 0)
                v = pv_chain(args.links, args.link_count, job.batch, job.row + row, job.col + col, here, v,
                             PV_TENSORS);
            if (here > 0 && args.y_type != PAVE_T_NONE)
                pv_store_some(job.y, args.y_type, row * job.y_row + col, here, v);
            if (args.reduce != 0)
                states[row * PV_COLS + across] = pv_fold4(args.reduce, v, here, (int)job.col + col);
        }
        if (args.reduce == 0) continue;
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < job.rows) {
            float2 s = states[item * PV_COLS];
            for (int j = 1; j < PV_COLS; j++)
                s = pave_state_merge(args.reduce, s, states[item * PV_COLS + j]);
            vstore2(s, item * args.slots, job.p);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
