/* SPDX-License-Identifier: Apache-2.0
 * From parameter structs to problems: every check of an operation's arguments, done once, before anything is
 * acquired. Below this, tensors are trusted. */
#ifndef PAVE_SRC_OPS_OPS_H
#define PAVE_SRC_OPS_OPS_H

#include "src/objects.h"

/* What lowering decided. Where `nothing` is set there is nothing to launch. */
typedef struct pave__lowered {
    bool nothing;
    pave__job job;
    pave__problem problem;
} pave__lowered;

/* A chain of linears as an operation gives it; messages name its arguments as that operation does. */
typedef struct pave__chain {
    pave_op op;
    const pave_tensor *x, *y;
    const pave_layer *layers;
    size_t layer_count;
    pave_reduction reduction;
    pave_precision precision;
} pave__chain;

pave_status pave__lower_chain(pave_context *context, const pave__chain *chain, pave__lowered *out);

/* Finds or checks the plan and submits. */
pave_status pave__run(pave_queue *queue, const pave__lowered *lowered, const pave_plan *plan,
                      const pave_sync *sync);
/* The plan alone, counted for the caller. PAVE_E_INVALID where there is nothing to launch. */
pave_status pave__plan_of(pave_context *context, const pave__lowered *lowered, pave_plan **plan);

/* How a binary link of an [m, n] output reads its tensor: PAVE_OPERAND_* and the stride for its launch
 * struct; < 0 where the shape is none of [n], [1, n], [m, 1], [m, n]. */
int pave__link_operand(const pave_link *link, int64_t m, int64_t n, int64_t *ld);

/* A tensor as `count` elements `stride` apart / as rows of unit stride. False where no single stride does. */
bool pave__flatten(const pave_tensor *t, int dims, int64_t *count, int64_t *stride);

/* Checks `t` as a matrix view: rows of unit stride within its buffer. */
typedef struct pave__matrix {
    int64_t rows, cols, ld;
    uint64_t begin, end; /* bytes of its buffer */
    uint32_t align;
} pave__matrix;
pave_status pave__check_matrix(const pave_context *context, const pave_tensor *t, const char *name,
                               pave__matrix *out);

/* The same for one value a row: rows elements, ld apart. */
pave_status pave__check_vector(const pave_context *context, const pave_tensor *t, const char *name,
                               pave__matrix *out);

/* Whether two views share bytes of one buffer. */
bool pave__overlap(const pave_tensor *a, const pave__matrix *va, const pave_tensor *b,
                   const pave__matrix *vb);

/* Words and handles that come with a call. */
pave_status pave__check_words(pave_reduction reduction, pave_precision precision);
pave_status pave__check_params(const void *params, size_t size, size_t known);
pave_status pave__check_queue(const pave_queue *queue, const pave_sync *sync);
pave_status pave__check_plan_out(const pave_context *context, pave_plan **plan);

#endif
