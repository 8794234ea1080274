/* SPDX-License-Identifier: Apache-2.0
 * Lowering a chain of products, between its checks and the lowering itself: what both read off the arguments. */
#ifndef PAVE_SRC_OPS_CHAIN_H
#define PAVE_SRC_OPS_CHAIN_H

#include "src/ops/ops.h"

/* State of lowering one chain. The row dimensions are x's leading ones, broadcast with w's, and M. */
typedef struct pave__chaining {
    pave_context *context;
    const pave__chain *chain;
    pave__lowered *out;
    pave__space space;
    int rank;                         /* of the row dimensions */
    int64_t shape[PAVE_MAX_RANK + 1]; /* theirs, and room for the columns */
    int64_t k;
    pave__reach x_reach, y_reach, unreduced_reach;
} pave__chaining;

/* Room for a name of an argument, such as "layers[2].links". */
typedef char pave__chain_name[64];

/* ---- chain.c */

/* "layers[2].w" in an mlp; else the operation's own word. */
const char *pave__chain_field(const pave__chaining *s, int layer, const char *field, pave__chain_name text);
const pave_tensor *pave__chain_w(const pave_layer *layer);
int64_t pave__chain_width(const pave__chaining *s);
/* x's strides over the row dimensions, and along k; a transposed operand has the two last the other way round. */
void pave__chain_x_strides(const pave__chaining *s, int64_t *strides, int64_t *col);
/* A batched w's strides over the row dimensions (0 along M), along its own rows and along k. */
void pave__chain_w_strides(const pave__chaining *s, const pave_tensor *w, int64_t *strides, int64_t *row,
                           int64_t *col);
/* y's shape: the rows', and the columns that a reduction leaves. Returns its rank. */
int pave__chain_y_shape(const pave__chaining *s, int64_t n, int64_t *shape);
/* The links of a layer, or of the epilogue, over the layer's columns; shape and text are the caller's room;
 * without a text they have no name, which checks alone need. */
pave__links pave__chain_links(const pave__chaining *s, int layer, bool epilogue, int64_t n, int64_t *shape,
                              pave__chain_name text);
pave__links pave__chain_after(const pave__chaining *s, int64_t n, int64_t *shape);

/* ---- chain_check.c */

/* Everything that can be wrong, and every operand's say in which dimensions merge. Finds the layers' widths, K and the row
 * dimensions. */
pave_status pave__chain_check(pave__chaining *s);

#endif
