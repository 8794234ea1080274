/* SPDX-License-Identifier: Apache-2.0
 * What a group of a product does with four consecutive columns of some of its rows: scales, links, store, and the
 * fold into a row's state. What is asked of memory is asked once for all of an item's quads, so that their loads
 * are under way together. Who computed the values and who merges the states is the kernels'. */
#ifndef PAVE_KERNELS_OPENCL_EPILOGUE_H
#define PAVE_KERNELS_OPENCL_EPILOGUE_H

#include "chain.h"
#include "prelude.h"
#include "state.h"
#include "tiles.h"
#include "walk.h"

#define PV_LOGSUMEXP 1 /* of pave_reduction */
#define PV_R 4         /* quads below each other that go through the chain at a time */

/* The first `count` of v's lanes, which are columns from `col` on, into a state. A logsumexp costs an exponential
 * a value and one more; the clamped maximum is that of folding one by one. */
PV_INLINE float2 pv_fold4(int reduce, float2 s, float4 v, int count, int col) {
    if (reduce == PV_LOGSUMEXP) {
        int4 here = (int4)(0, 1, 2, 3) < (int4)(count);
        float4 c = fmin(here ? v : (float4)(-INFINITY), (float4)(FLT_MAX));
        float top = fmax(s.x, fmax(fmax(c.s0, c.s1), fmax(c.s2, c.s3)));
        float4 e = exp(v - (float4)(top));
        e = here ? e : (float4)(0.0f);
        s.y = s.y * exp(s.x - top) + ((e.s0 + e.s1) + (e.s2 + e.s3));
        s.x = top;
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

/* Whether the quads from element i on, `step` elements apart, can be moved at once. */
PV_INLINE int pv_are_quads(__global const char *base, int type, long i, long step) {
    const size_t bytes = PV_WIDTH(type);
    return ((((size_t)base + (size_t)i * bytes) | (size_t)step * bytes) & (4 * bytes - 1)) == 0;
}

/* `what`, a statement, for each q_. */
#define PV_EACH_QUAD(n, what)              \
    do {                                   \
        PV_UNROLL                          \
        for (int q_ = 0; q_ < (n); q_++) { \
            what;                          \
        }                                  \
    } while (0)

/* N such quads; one question for the type, as each would end a stretch of loads. N is written in each loop, as a
 * parameter may be no constant yet when a compiler looks at the loop. */
#define PV_DEFINE_LOAD_QUADS(NAME, N)                                                        \
    PV_INLINE void NAME(float4 *t, __global const char *base, int type, long i, long step) { \
        if (type == PAVE_T_F16)                                                              \
            PV_EACH_QUAD(N, t[q_] = pv_load_quad(base, PAVE_T_F16, i + q_ * step));          \
        else if (type == PAVE_T_BF16)                                                        \
            PV_EACH_QUAD(N, t[q_] = pv_load_quad(base, PAVE_T_BF16, i + q_ * step));         \
        else if (PV_F8(type))                                                                \
            PV_EACH_QUAD(N, t[q_] = pv_load_quad(base, type, i + q_ * step));                \
        else                                                                                 \
            PV_EACH_QUAD(N, t[q_] = pv_load_quad(base, PAVE_T_F32, i + q_ * step));          \
    }
PV_DEFINE_LOAD_QUADS(pv_load_quads_down, PV_R)

PV_INLINE void pv_store_quads_down(const float4 *v, __global char *base, int type, long step) {
    if (type == PAVE_T_F16)
        PV_EACH_QUAD(PV_R, pv_store_quad(base, PAVE_T_F16, q_ * step, v[q_]));
    else if (type == PAVE_T_BF16)
        PV_EACH_QUAD(PV_R, pv_store_quad(base, PAVE_T_BF16, q_ * step, v[q_]));
    else if (type == PAVE_T_TF32)
        PV_EACH_QUAD(PV_R, pv_store_quad(base, PAVE_T_TF32, q_ * step, v[q_]));
    else if (PV_F8(type))
        PV_EACH_QUAD(PV_R, pv_store_quad(base, type, q_ * step, v[q_]));
    else
        PV_EACH_QUAD(PV_R, pv_store_quad(base, PAVE_T_F32, q_ * step, v[q_]));
}

/* Quads of PV_R rows `apart` from each other, from (row, col) of the matrix at `batch` on: the first `rows` of
 * them exist, `count` columns of each. */
typedef struct pv_patch {
    const long *batch;
    long row, col, apart;
    int rows, count;
} pv_patch;

/* t of a binary link. */
PV_INLINE void pv_operand_rows(const pave_abi_link *link, __global const char *tensor, const pv_patch *at,
                               float4 *t) {
    const int type = link->type;
    const long first = pv_batch_offset(&link->t, at->batch) + at->row * link->t.row + at->col * link->t.col;
    const long step = at->apart * link->t.row;
    tensor += link->t.offset;
    PV_EACH_QUAD(PV_R, t[q_] = (float4)(1.0f));
    if (link->operand == PAVE_OPERAND_ROW) {
        t[0] = pv_load_some(tensor, type, first, link->t.col, at->count, 0.0f);
        PV_EACH_QUAD(PV_R, t[q_] = t[0]);
    } else if (link->operand == PAVE_OPERAND_COLUMN) {
        PV_EACH_QUAD(PV_R, if (q_ < at->rows) t[q_] = (float4)(pv_load1(tensor, type, first + q_ * step)));
    } else if (link->operand != PAVE_OPERAND_SCALAR) {
        if (at->rows >= PV_R && at->count >= 4 && link->t.col == 1 && pv_are_quads(tensor, type, first, step))
            pv_load_quads_down(t, tensor, type, first, step);
        else
            PV_EACH_QUAD(PV_R, t[q_] = pv_load_some(tensor, type, first + q_ * step, link->t.col,
                                                    q_ < at->rows ? at->count : 0, 0.0f));
    }
    PV_EACH_QUAD(PV_R, t[q_] *= (float4)(link->a));
}

#define PV_ACTIVATION(ENUM, NAME, FORMULA, EXPR, LIPSCHITZ, REL, ARG) \
    PV_INLINE float4 pv_apply_##NAME(float4 v, float4 a, float4 b) {  \
        return EXPR;                                                  \
    }
PAVE_ACTIVATIONS(PV_ACTIVATION)
#undef PV_ACTIVATION

/* Links first … on PV_R quads. */
PV_INLINE void pv_chain_rows(const pave_abi_gemm *args, int first, const pv_patch *at, float4 *v,
                             PV_TENSOR_ARGS) {
    PV_LOOP
    for (int i = first; i < args->link_count; i++) {
        const pave_abi_link *link = args->links + i;
        const int op = link->op;
        const float4 a = (float4)(link->a), b = (float4)(link->b);
        if (op >= PV_OP_ADD && op <= PV_OP_DIV) {
            float4 t[PV_R];
            if ((PAVE_LINK_MASK & PV_BINARY_MASK) == 0u) continue;
            pv_operand_rows(link, pv_pick(i, PV_TENSORS), at, t);
            if (op == PV_OP_ADD)
                PV_EACH_QUAD(PV_R, v[q_] += t[q_]);
            else if (op == PV_OP_SUB)
                PV_EACH_QUAD(PV_R, v[q_] -= t[q_]);
            else if (op == PV_OP_MUL)
                PV_EACH_QUAD(PV_R, v[q_] *= t[q_]);
            else
                PV_EACH_QUAD(PV_R, v[q_] /= t[q_]);
        }
#define PV_ACTIVATION(ENUM, NAME, FORMULA, EXPR, LIPSCHITZ, REL, ARG) \
    else if (PV_USES(PV_OP_##ENUM) && op == PV_OP_##ENUM)             \
        PV_EACH_QUAD(PV_R, v[q_] = pv_apply_##NAME(v[q_], a, b));
        PAVE_ACTIVATIONS(PV_ACTIVATION)
#undef PV_ACTIVATION
    }
}

#endif
