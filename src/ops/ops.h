/* SPDX-License-Identifier: Apache-2.0
 * From parameter structs to problems and jobs: every check of an operation's arguments, done once, before anything is
 * acquired. Below this, tensors are trusted. */
#ifndef PAVE_SRC_OPS_OPS_H
#define PAVE_SRC_OPS_OPS_H

#include "src/calls.h"

/* What lowering decided. Where `nothing` is set there is nothing to launch. */
typedef struct pave__lowered {
    bool nothing;
    pave__job job;
    pave__problem problem;
} pave__lowered;

/* ---- tensors (check.c) ---- */

/* The bytes of its buffer that a tensor reaches; end is begin where it has no element. */
typedef struct pave__reach {
    uint64_t begin, end;
} pave__reach;

/* A tensor's buffer, type, rank, sizes, strides and reach. PAVE_I32 is a type for indices alone. */
pave_status pave__check_tensor(const pave_context *context, const pave_tensor *t, const char *name,
                               bool indices, pave__reach *reach);
/* That no two elements of an output share memory. */
pave_status pave__check_distinct(const pave_tensor *t, const char *name);
/* An output's shape, exactly. */
pave_status pave__check_shape(const pave_tensor *t, const char *name, int rank, const int64_t *shape);
bool pave__has_elements(const pave_tensor *t);
bool pave__overlap(const pave_tensor *a, const pave__reach *ra, const pave_tensor *b, const pave__reach *rb);
/* Whether two tensors are the same elements in the same order; extents of 1 do not matter. */
bool pave__same_view(const pave_tensor *a, const pave_tensor *b);
/* Strides of `t` over a shape that it broadcasts to, 0 where it repeats and where it holds no element, for then they may
 * be anything; false where it does not broadcast. */
bool pave__broadcast(const pave_tensor *t, int rank, const int64_t *shape, int64_t *strides);

/* Words and handles that come with a call. */
pave_status pave__check_words(pave_reduction reduction, pave_precision precision);
pave_status pave__check_epsilon(pave_reduction reduction, float epsilon, const char *name);
pave_status pave__check_params(const void *params, size_t size, size_t known);
pave_status pave__check_queue(const pave_queue *queue, const pave_sync *sync);
pave_status pave__check_plan_out(const pave_context *context, pave_plan **plan);

/* ---- spaces (space.c) ---- */

/* Dimensions that an operation's operands walk together, merged where all of them can. First every operand joins, then
 * the dimensions get their places, then every operand's strides are read off. */
typedef struct pave__space {
    int rank;
    int64_t shape[PAVE_MAX_RANK];
    int order[PAVE_MAX_RANK]; /* its dimensions as they are walked, outermost first */
    uint32_t apart;           /* bit d: d and the next dimension longer than 1 do not merge */
    /* Merged dimensions by their innermost original one, -1 for none. */
    int row, col, batch[PAVE_BATCH_DIMS], outer[PAVE__OUTER_DIMS];
    int64_t size[PAVE_MAX_RANK];
} pave__space;

void pave__space_begin(pave__space *s, int rank, const int64_t *shape);
/* Walks the dimensions as one operand lies in memory, where their order is free: those that it repeats outermost. Before
 * any operand joins. */
void pave__space_order(pave__space *s, const int64_t *strides);
void pave__space_join(pave__space *s, const int64_t *strides);
/* The merged dimensions, outermost first; returns how many. Gives them no places. */
int pave__space_merge(pave__space *s, int *dims);
/* Places for `dims`: the last is the rows (-1: there is one row), up to `batches` before it the batch, the others
 * outer. */
void pave__space_place(pave__space *s, const int *dims, int count, int batches);
int64_t pave__space_extent(const pave__space *s, int dim);
/* One operand's part of problem and job: its strides by place. `t` says type, offset and buffer. */
void pave__space_operand(const pave__space *s, const pave_tensor *t, const int64_t *strides, int64_t col,
                         pave__operand *operand, pave__at *bound);
/* The extents of a space, to a problem and a job. */
void pave__space_extents(const pave__space *s, pave__problem *p, pave__job *job);

/* ---- links (links.c) ---- */

/* A chain of links as an operation's argument: `name` is its array, to which "[i].op" and so on is added. */
typedef struct pave__links {
    const char *name;
    bool alone; /* one link, whose tensor is the argument `name` itself */
    const pave_link *links;
    size_t count, most;
    int rank;       /* of the shape that tensors broadcast to */
    bool columns;   /* its last dimension is the columns, and none of the space's */
    int64_t window; /* where not 0: that dimension is also the space's last, in steps of so many columns */
    const int64_t *shape;
    const pave_tensor *y; /* what tensors must not overlap, but may be, where `may_be_y` */
    const pave__reach *y_reach;
    bool may_be_y;
    const pave_tensor *unreduced; /* the same, or NULL */
    const pave__reach *unreduced_reach;
    bool may_be_unreduced;
} pave__links;

/* Checks, and joins every tensor's strides over the row dimensions to the space. */
pave_status pave__links_check(const pave_context *context, const pave__links *l, pave__space *space);
/* Appends them to a problem's and a job's, from index `at`. */
void pave__links_lower(const pave__links *l, const pave__space *space, pave__plink *plinks,
                       pave__joblink *joblinks);
/* One link with a tensor of the given strides. */
void pave__link_lower(const pave_link *link, const pave__space *space, const int64_t *strides, int64_t col,
                      pave__plink *plink, pave__joblink *joblink);

/* ---- chains (chain.c) ---- */

/* A product that begins a chain, and what is behind it. */
typedef struct pave__chain {
    pave_op op;
    const pave_tensor *x, *y;
    bool transpose_x;
    const pave_layer *layers; /* MATMUL: one, its w the tensor b */
    size_t layer_count;
    bool batched_w, transpose_w; /* MATMUL: w is [..., K, N], or [..., N, K] where transpose_w */
    float alpha, beta;           /* 1 and 0: neither */
    const pave_tensor *c;        /* NULL: none */
    const pave_epilogue *end;
    pave_precision precision;
} pave__chain;

pave_status pave__lower_chain(pave_context *context, const pave__chain *chain, pave__lowered *out);
/* Runs it, as it ran before where it did. */
pave_status pave__run_chain(pave_queue *queue, const pave__chain *chain, const pave_plan *plan,
                            const pave_sync *sync);
pave_status pave__plan_chain(pave_context *context, const pave__chain *chain, pave_plan **plan);

/* Checks an epilogue's words, for rows of n (chain_check.c). */
pave_status pave__check_epilogue(const pave_epilogue *e, int64_t n);

/* ---- groups (grouped_check.c) */

pave_status pave__check_grouped(pave_context *context, const pave_grouped_params *params);
/* A group's sizes. */
int64_t pave__grouped_m(const pave_grouped_params *params, size_t group);
int64_t pave__grouped_n(const pave_grouped_params *params, size_t group);
int64_t pave__grouped_k(const pave_grouped_params *params, size_t group);

/* ---- running (submit.c, plan_api.c) */

/* Finds or checks the plan and submits. `key`: the call's, or NULL. */
pave_status pave__run(pave_queue *queue, const pave__lowered *lowered, const pave_plan *plan,
                      const pave_sync *sync, pave__key *key);
/* Makes ready what can fail for want of memory or a kernel, where several plans are to run one after the other. */
pave_status pave__make_ready(pave_queue *queue, const pave_plan *plan);
/* The plan alone, counted for the caller. PAVE_E_INVALID where there is nothing to launch. */
pave_status pave__plan_of(pave_context *context, const pave__lowered *lowered, pave_plan **plan);

#endif
