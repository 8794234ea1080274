/* SPDX-License-Identifier: Apache-2.0
 * What a group of a product does with four consecutive columns of some of its rows: scales, links, store, and the
 * fold into a row's state. Who computed the values and who merges the states is the kernels'. */
#ifndef PAVE_KERNELS_OPENCL_EPILOGUE_H
#define PAVE_KERNELS_OPENCL_EPILOGUE_H

#include "chain.h"
#include "prelude.h"
#include "state.h"
#include "tiles.h"
#include "walk.h"

#define PV_LOGSUMEXP 1 /* of pave_reduction */

/* The first `count` of v's lanes, which are columns from `col` on, into a state. A logsumexp costs an exponential
 * a value and one more; the clamped maximum is that of folding one by one. */
PV_INLINE float2 pv_fold4(int reduce, float4 v, int count, int col) {
    float2 s = pave_state_begin(reduce);
    if (reduce == PV_LOGSUMEXP) {
        int4 here = (int4)(0, 1, 2, 3) < (int4)(count);
        float4 c = fmin(here ? v : (float4)(-INFINITY), (float4)(FLT_MAX));
        s.x = fmax(s.x, fmax(fmax(c.s0, c.s1), fmax(c.s2, c.s3)));
        float4 e = exp(v - (float4)(s.x));
        e = here ? e : (float4)(0.0f);
        s.y = (e.s0 + e.s1) + (e.s2 + e.s3);
        return s;
    }
    if (count > 0) s = pave_state_fold(reduce, s, v.s0, col);
    if (count > 1) s = pave_state_fold(reduce, s, v.s1, col + 1);
    if (count > 2) s = pave_state_fold(reduce, s, v.s2, col + 2);
    if (count > 3) s = pave_state_fold(reduce, s, v.s3, col + 3);
    return s;
}

/* v · a · b for powers of two a and b. Where their product is no normal number both are on the same side of 1, so
 * that neither step alone overflows or underflows unless the result does. */
PV_INLINE float4 pv_scaled(float4 v, float a, float4 b) {
    float4 ab = (float4)(a)*b;
    return ab >= (float4)(FLT_MIN) && ab <= (float4)(FLT_MAX) ? v * ab : v * a * b;
}

/* A sum of products of scaled rows as the value that it stands for; row and col are the tile's. */
PV_INLINE float4 pv_scale_row(const pave_abi_gemm *args, const pv_job *job, __global const char *a,
                              __global const char *b, int row, int col, int count, float4 v) {
    float4 of_b = (float4)(1.0f);
    if (job->b_scale != 0) of_b = pv_load_some(b + job->b_scale, PAVE_T_F32, col, 1, count, 1.0f);
    return pv_scaled(v, job->a_scale != 0 ? pv_load1(a + job->a_scale, PAVE_T_F32, row) : args->scale, of_b);
}

#endif
