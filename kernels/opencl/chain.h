/* SPDX-License-Identifier: Apache-2.0
 * Runs an epilogue's chain on PV_W consecutive columns of one row. One loop interprets the links, so that its
 * code is there once; links that PAVE_LINK_MASK leaves out are dead code to the compiler. */
#ifndef PAVE_KERNELS_OPENCL_CHAIN_H
#define PAVE_KERNELS_OPENCL_CHAIN_H

#include "prelude.h"
#include "links.h"

/* The numbers of pave_link_op. */
enum pv_op {
    PV_OP_ADD = 1,
    PV_OP_SUB,
    PV_OP_MUL,
    PV_OP_DIV,
#define PV_OP(ENUM, NAME, FORMULA, EXPR, LIPSCHITZ, REL, ARG) PV_OP_##ENUM,
    PAVE_ACTIVATIONS(PV_OP)
#undef PV_OP
};

#define PV_USES(op) (((PAVE_LINK_MASK >> (op)) & 1u) != 0u)
#define PV_BINARY_MASK ((2u << PV_OP_DIV) - (1u << PV_OP_ADD))

/* Kernel arguments t0 … t9, as declared and as gathered for the chain. */
#define PV_TENSOR_ARGS                                                                                      \
    __global const char *t0, __global const char *t1, __global const char *t2, __global const char *t3,     \
        __global const char *t4, __global const char *t5, __global const char *t6, __global const char *t7, \
        __global const char *t8, __global const char *t9
#define PV_TENSORS t0, t1, t2, t3, t4, t5, t6, t7, t8, t9

static inline __global const char *pv_pick(int i, PV_TENSOR_ARGS) {
    return i < 5 ? (i == 0   ? t0
                    : i == 1 ? t1
                    : i == 2 ? t2
                    : i == 3 ? t3
                             : t4)
                 : (i == 5   ? t5
                    : i == 6 ? t6
                    : i == 7 ? t7
                    : i == 8 ? t8
                             : t9);
}

/* t of a binary link. */
static inline PV_VT pv_operand(const pave_abi_link *link, __global const char *tensor, const long *batch,
                               long row, long col, int count) {
    const pave_abi_view *t = &link->t;
    if (link->operand == PAVE_OPERAND_SCALAR) return PV_C(link->a);
    tensor += t->offset;
    long first = pv_batch_offset(t, batch) + row * t->row + col * t->col;
    if (link->operand == PAVE_OPERAND_COLUMN) return PV_C(link->a * pv_load1(tensor, link->type, first));
    return PV_C(link->a) * pv_load_some(tensor, link->type, first, t->col, count, 0.0f);
}

static inline PV_VT pv_activation(int op, PV_VT v, PV_VT a, PV_VT b) {
#define PV_ACTIVATION(ENUM, NAME, FORMULA, EXPR, LIPSCHITZ, REL, ARG) \
    if (PV_USES(PV_OP_##ENUM) && op == PV_OP_##ENUM) return EXPR;
    PAVE_ACTIVATIONS(PV_ACTIVATION)
#undef PV_ACTIVATION
    return v;
}

/* Of the matrix at batch[3], from (row, col) on; count >= 1. Lanes past `count` read nothing and hold nothing of use. */
static inline PV_VT pv_chain(const pave_abi_link *links, int link_count, const long *batch, long row,
                             long col, int count, PV_VT v, PV_TENSOR_ARGS) {
    for (int i = 0; i < link_count; i++) {
        const pave_abi_link *link = links + i;
        int op = link->op;
        if ((PAVE_LINK_MASK & PV_BINARY_MASK) != 0u && op >= PV_OP_ADD && op <= PV_OP_DIV) {
            PV_VT t = pv_operand(link, pv_pick(i, PV_TENSORS), batch, row, col, count);
            v = op == PV_OP_ADD ? v + t : op == PV_OP_SUB ? v - t : op == PV_OP_MUL ? v * t : v / t;
        } else {
            v = pv_activation(op, v, PV_C(link->a), PV_C(link->b));
        }
    }
    return v;
}

#if PAVE_THREADS == 1
/* The same on `cols` columns from (row, col) on, in local memory that goes on to the next whole vector: a link at a time, so
 * that what a link is has to be found out once a row. */
static inline void pv_link_row(const pave_abi_link *link, __global const char *tensor, const long *batch,
                               long row, long col, __local float *v, int cols) {
    const int op = link->op;
    if ((PAVE_LINK_MASK & PV_BINARY_MASK) != 0u && op >= PV_OP_ADD && op <= PV_OP_DIV) {
        PV_ROLLED
        for (int n = 0; n < cols; n += PV_W) {
            const PV_VT x = PV_AT(v + n), t = pv_operand(link, tensor, batch, row, col + n, cols - n);
            PV_AT(v + n) = op == PV_OP_ADD   ? x + t
                           : op == PV_OP_SUB ? x - t
                           : op == PV_OP_MUL ? x * t
                                             : x / t;
        }
        return;
    }
#define PV_ACTIVATION(ENUM, NAME, FORMULA, EXPR, LIPSCHITZ, REL, ARG)                               \
    if (PV_USES(PV_OP_##ENUM) && op == PV_OP_##ENUM) {                                              \
        PV_ROLLED                                                                                   \
        for (int n = 0; n < cols; n += PV_W)                                                        \
            PV_AT(v + n) = pv_activation(PV_OP_##ENUM, PV_AT(v + n), PV_C(link->a), PV_C(link->b)); \
    }
    PAVE_ACTIVATIONS(PV_ACTIVATION)
#undef PV_ACTIVATION
}

PV_CALLED void pv_chain_row(const pave_abi_link *links, int link_count, const long *batch, long row, long col,
                            __local float *v, int cols, PV_TENSOR_ARGS) {
    for (int i = 0; i < link_count; i++)
        pv_link_row(links + i, pv_pick(i, PV_TENSORS), batch, row, col, v, cols);
}
#endif

#endif
