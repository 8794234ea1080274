/* SPDX-License-Identifier: Apache-2.0
 * What is done to all of a warp's sums at once: what depends on a row or a column alone is loaded for all of them, so that one
 * latency is waited for and not one a part, and what takes a few instructions a value is done to every register where it is.
 * Who has which sums is told by the macros that warp_tile.h lists. */
#ifndef PAVE_KERNELS_OPENCL_WARP_WHOLE_H
#define PAVE_KERNELS_OPENCL_WARP_WHOLE_H

#include "epilogue.h"
#include "ptx.h"

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

/* Sums of products of scaled rows as the values that they stand for. Returns whether that is done, the same in all of a warp:
 * not where a product of two scales may be no normal number, for one multiplication by it is exact only then. */
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
    const int normal = !pv_any(!(least_a >= FLT_MIN && most_a <= FLT_MAX));
    if (normal) PV_EACH_SUM(PV_SUM(r, q, e) *= of_a[r] * PV_LANE(of_b[q], e));
    return normal;
}

/* A first link that adds a row vector: its elements are loaded once. Returns how many links that is. */
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

#define PV_SUM_QUAD(r, q) ((float4)(PV_SUM(r, q, 0), PV_SUM(r, q, 1), PV_SUM(r, q, 2), PV_SUM(r, q, 3)))

/* Whether a link takes a few instructions a value; other activations wait for the parts, as there would be a copy of them for
 * each sum. */
PV_INLINE int pv_is_short(const pave_abi_link *link) {
    const int op = link->op;
    return op == PV_OP_RELU || op == PV_OP_SIGMOID || op == PV_OP_SILU ||
           (op == PV_OP_MUL && link->operand == PAVE_OPERAND_SCALAR);
}

/* Such a link. It is asked anew for each row: what is done to all of them in one stretch, the assembler interleaves until
 * registers spill. */
PV_INLINE void pv_apply_short(const pave_abi_link *link, pv_sums acc) {
    PV_UNROLL
    for (int r = 0; r < PV_ROWS; r++) {
        int op = link->op;
        PV_FORGET(op);
        PV_UNROLL
        for (int q = 0; q < PV_QUADS; q++) {
            float4 v = PV_SUM_QUAD(r, q);
            if (PV_USES(PV_OP_RELU) && op == PV_OP_RELU)
                v = pv_apply_relu(v, v, v);
            else if (PV_USES(PV_OP_SIGMOID) && op == PV_OP_SIGMOID)
                v = pv_apply_sigmoid(v, v, v);
            else if (PV_USES(PV_OP_SILU) && op == PV_OP_SILU)
                v = pv_apply_silu(v, v, v);
            else
                v *= (float4)(link->a);
            PV_UNROLL
            for (int e = 0; e < 4; e++) PV_SUM(r, q, e) = PV_LANE(v, e);
        }
    }
}

/* A first bias and, where there are registers for them, short links behind it. Returns how many. */
PV_INLINE int pv_links_whole(const pave_abi_gemm *args, const pv_job *job, int col, pv_sums acc,
                             PV_TENSOR_ARGS) {
    int done = pv_add_row(args, job, col, acc, PV_TENSORS);
    const int most = PV_WHOLE ? args->link_count : 0;
    PV_LOOP
    for (; done < most && pv_is_short(args->links + done); done++) pv_apply_short(args->links + done, acc);
    return done;
}

/* Whether the tile's rows and columns are all there, and lie where quads of y can. */
PV_INLINE int pv_stores_whole(const pave_abi_gemm *args, const pv_job *job) {
    const int type = args->y_type;
    return (type == PAVE_T_F32 || type == PAVE_T_F16 || type == PAVE_T_BF16) && job->rows == PAVE_BM &&
           job->cols == PAVE_BN && pv_are_quads(job->y, type, 0, job->y_row);
}

/* The sums as y's elements, this item's first ones at `y`. */
PV_INLINE void pv_store_whole(int type, long y_row, __global char *y, pv_sums acc) {
    const long down = PV_APART * y_row * PV_WIDTH(type);
#define PV_STORE_WHOLE(put) \
    PV_UNROLL               \
    for (int r = 0; r < PV_ROWS; r++, y += down) PV_EACH_QUAD(PV_QUADS, put)
    if (type == PAVE_T_F16)
        PV_STORE_WHOLE(((__global uint2 *)y)[q_ * (PV_QUAD_STEP / 4)] = pv_pack_f164(PV_SUM_QUAD(r, q_)));
    else if (type == PAVE_T_BF16)
        PV_STORE_WHOLE(((__global uint2 *)y)[q_ * (PV_QUAD_STEP / 4)] = pv_pack_bf164(PV_SUM_QUAD(r, q_)));
    else
        PV_STORE_WHOLE(((__global float4 *)y)[q_ * (PV_QUAD_STEP / 4)] = PV_SUM_QUAD(r, q_));
#undef PV_STORE_WHOLE
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

/* The states of logsumexp of a tile that lacks no column, this item's first row's at `p`, of `rows` rows from there on. */
PV_INLINE void pv_fold_exp(const pave_abi_gemm *args, __global float *p, int rows, pv_sums acc) {
    const int first = (int)get_local_id(0) % PV_ROW_LANES == 0;
    PV_UNROLL
    for (int r = 0; r < PV_ROWS; r++) {
        float top = -PV_BIG, sum = 0.0f;
        PV_UNROLL
        for (int i = 0; i < PV_QUADS * 4; i++) top = fmax(top, PV_SUM(r, i / 4, i % 4));
        top = fmin(top, PV_BIG);
        PV_UNROLL
        for (int i = 0; i < PV_QUADS * 4; i++) sum += pv_exp_term(PV_SUM(r, i / 4, i % 4) - top);
        const float2 s = pv_merge_lanes(PV_LOGSUMEXP, (float2)(top, sum));
        if (first && r * PV_APART < rows) vstore2(s, (long)(r * PV_APART) * args->slots, p);
    }
}

#endif
