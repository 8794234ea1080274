/* SPDX-License-Identifier: Apache-2.0
 * One matmul, linear, reduction or map on strided tensors as a case: described once, run, and every element of its
 * results judged by its bound. */
#ifndef PAVE_TESTS_KERNELS_CHAINS_H
#define PAVE_TESTS_KERNELS_CHAINS_H

#include "tests/kernels/cases.h"

/* A link and the shape of its tensor. */
typedef struct chain_link {
    pave_link_op op;
    float a, b;
    int rank; /* 0: a scalar */
    int64_t shape[PAVE_MAX_RANK];
    test_order order;
    pave_dtype type; /* 0: PAVE_F32 */
    bool is_y;       /* the tensor is y itself */
} chain_link;

/* What follows a value on its way out, in all operations. */
typedef struct chain_end {
    chain_link links[PAVE_MAX_LINKS], after[PAVE_MAX_LINKS];
    int link_count, after_count;
    pave_reduction reduction;
    int64_t window;
    float epsilon;
    pave_dtype unreduced; /* 0: not wanted */
    test_order unreduced_order;
} chain_end;

typedef struct matmul_case {
    const char *what;
    bool linear; /* x · Wᵀ + bias through pave_linear */
    int batch_rank;
    int64_t batch[PAVE_MAX_RANK];
    unsigned a_one, b_one; /* bit d: a's (b's) batch dimension d is 1 */
    int a_skip, b_skip;    /* leading batch dimensions left out altogether */
    int64_t m, n, k;
    pave_dtype a, b, c, y; /* 0: PAVE_F32; c 0: none */
    test_order a_order, b_order, c_order, y_order;
    bool transpose_a, transpose_b, set_alpha, set_beta, c_is_y, poison_c, no_bias, exact;
    float alpha, beta;
    test_fill fill;
    pave_precision precision;
    int splits; /* the row is forced to cut k into so many slices; 0: as the plan likes */
    chain_end end;
} matmul_case;

/* Gives a case, whose m and n are known, a batch and a chain with every shape of operand: `which` of two chains of the same
 * operations, so that a device builds one program for them. */
void matmul_links_every_shape(matmul_case *c, int which);
/* Runs and judges; false where the planner refuses, y untouched. `row` may be NULL where none is forced: then the most
 * rounding that the promise allows is. */
bool run_matmul(const test_device *on, const pave_kernel_info *row, const matmul_case *c);

typedef struct reduce_nd_case {
    const char *what;
    int rank, axis_from_last;
    int64_t shape[PAVE_MAX_RANK];
    pave_dtype x, y;
    test_order x_order, y_order;
    bool keep, in_place; /* keep: y has the axis with 1 in its place */
    test_fill fill;
    chain_end end; /* its links are none; after: the operation's links */
} reduce_nd_case;

void run_reduce_nd(const test_device *on, const reduce_nd_case *c);

typedef struct map_case {
    const char *what;
    int rank, x_rank;
    int64_t shape[PAVE_MAX_RANK], x_shape[PAVE_MAX_RANK];
    pave_dtype x, y;
    test_order x_order, y_order;
    bool in_place, copy;
    chain_end end; /* links alone */
} map_case;

void run_map(const test_device *on, const map_case *c);

#define CHAIN_TENSORS (2 * PAVE_MAX_LINKS)
/* Tensors of a case's links, and the links as the library takes them (chain_ends.c). */
typedef struct chain_made {
    test_nd tensors[CHAIN_TENSORS];
    pave_link links[PAVE_MAX_LINKS], after[PAVE_MAX_LINKS];
} chain_made;

void chain_make(chain_made *made, const test_device *on, const chain_end *end, const pave_tensor *y,
                test_rng *rng);
void chain_check(chain_made *made, const test_device *on);
void chain_free(chain_made *made);
/* A value through the links; y_was holds what y held before. `after`: those behind the reduction. */
test_value chain_value(const chain_end *end, const chain_made *made, bool after, const test_nd *y_was,
                       int rank, const int64_t *index, test_value v);
/* A row of n values, reduced, through the after-links and judged against y. index: of the row in `rank` dimensions, the
 * last for the column. Says `where` on failure. */
typedef struct chain_judge {
    const chain_end *end;
    const chain_made *made;
    const test_nd *y, *y_was;
    const char *where;
    bool exact;
} chain_judge;
void chain_judge_row(const chain_judge *j, const test_value *row, int64_t n, int rank, int64_t *index);
void chain_judge_value(const chain_judge *j, const test_nd *y, test_value want, int rank,
                       const int64_t *index);

#endif
