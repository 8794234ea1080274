/* SPDX-License-Identifier: Apache-2.0
 * Family gemm for any GPU: PAVE_BM × PAVE_BN outputs a group, 4 × 4 an item, k by PAVE_BK
 * through local memory. Both operands lie there as [k][row] with rows padded by 4 floats, so that stores from
 * different rows meet different banks and an item reads its 4 rows at once. Any alignment of whole elements;
 * what is outside the matrices reads as zero. Four consecutive columns an item make stores coalesce. */
#include "prelude.h"
#include "chain.h"
#include "state.h"
#include "tiles.h"

#define PV_COLS (PAVE_BN / PAVE_WN) /* items across */
#define PV_LDA (PAVE_BM + 4)
#define PV_LDB (PAVE_BN + 4)
#if PAVE_WM != 4 || PAVE_WN != 4 || PAVE_BK % 4 != 0 || PAVE_THREADS != (PAVE_BM / 4) * (PAVE_BN / 4)
#error gemm_tile: 4 x 4 outputs an item, one item for each
#endif

/* Brings rows [first, first + count) of a k-contiguous matrix, columns [k0, k0 + PAVE_BK), to local memory,
 * transposed: four consecutive k an item. */
static inline void pv_stage(__local float *to, const int ld, const int count, __global const char *from,
                            const int type, long stride, long first, long rows, long k0, long k) {
    for (int i = (int)get_local_id(0); i < count * (PAVE_BK / 4); i += PAVE_THREADS) {
        int r = i / (PAVE_BK / 4), c = i % (PAVE_BK / 4) * 4;
        long row = first + r, col = k0 + c;
        float4 v = (float4)(0.0f);
        if (row < rows && col < k)
            v = pv_load_some(from, type, row * stride + col, 1, (int)min(k - col, 4L), 0.0f);
        to[c * ld + r] = v.s0;
        to[(c + 1) * ld + r] = v.s1;
        to[(c + 2) * ld + r] = v.s2;
        to[(c + 3) * ld + r] = v.s3;
    }
}

/* The first `count` of v's lanes into a state. */
static inline float2 pv_fold4(int reduce, float4 v, int count) {
    float2 s = pave_state_begin(reduce);
    if (count > 0) s = pave_state_fold(reduce, s, v.s0);
    if (count > 1) s = pave_state_fold(reduce, s, v.s1);
    if (count > 2) s = pave_state_fold(reduce, s, v.s2);
    if (count > 3) s = pave_state_fold(reduce, s, v.s3);
    return s;
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(
    const pave_abi_gemm args, __global const char *a, __global const char *b, __global char *y,
    __global char *p, PV_TENSOR_ARGS) {
    __local float tile_a[PAVE_BK * PV_LDA], tile_b[PAVE_BK * PV_LDB];
    __local float2 states[PAVE_BM * PV_COLS];
    const int item = (int)get_local_id(0), across = item % PV_COLS, down = item / PV_COLS;
    const long tiles_m = (args.m + PAVE_BM - 1) / PAVE_BM, tiles_n = (args.n + PAVE_BN - 1) / PAVE_BN;
    for (long i = PV_GROUP; i < tiles_m * tiles_n; i += PV_GROUPS) {
        long2 at = pv_tile(i, tiles_m, tiles_n, args.group_m);
        long row0 = at.x * PAVE_BM, col0 = at.y * PAVE_BN;
        float4 sum[4] = {(float4)(0.0f), (float4)(0.0f), (float4)(0.0f), (float4)(0.0f)};
        for (long k0 = 0; k0 < args.k; k0 += PAVE_BK) {
            pv_stage(tile_a, PV_LDA, PAVE_BM, a + args.a_offset, PAVE_A_TYPE, args.lda, row0, args.m, k0,
                     args.k);
            pv_stage(tile_b, PV_LDB, PAVE_BN, b + args.b_offset, PAVE_B_TYPE, args.ldb, col0, args.n, k0,
                     args.k);
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
        long col = col0 + across * 4;
        int count = (int)clamp(args.n - col, 0L, 4L);
        for (int r = 0; r < 4; r++) {
            long row = row0 + down * 4 + r;
            float4 v = sum[r];
            if (row < args.m && count > 0)
                v = pv_chain(args.links, args.link_count, row, col, count, v, PV_TENSORS);
            if (args.reduce != 0)
                states[(down * 4 + r) * PV_COLS + across] = pv_fold4(args.reduce, v, count);
            else if (row < args.m && count > 0)
                pv_store_some(y + args.y_offset, args.y_type, row * args.ldy + col, count, v);
        }
        if (args.reduce != 0) {
            barrier(CLK_LOCAL_MEM_FENCE);
            if (item < PAVE_BM && row0 + item < args.m) {
                float2 s = states[item * PV_COLS];
                for (int j = 1; j < PV_COLS; j++)
                    s = pave_state_merge(args.reduce, s, states[item * PV_COLS + j]);
                vstore2(s, (row0 + item) * args.slots + at.y, (__global float *)(p + args.p_offset));
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
    }
}
