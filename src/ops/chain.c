/* SPDX-License-Identifier: Apache-2.0
 * Lowers chains of products, of which a linear and a matmul are those of one layer. Empty shapes are answered here, so
 * that the planner sees none but K = 0. */
#include "src/ops/ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* State of lowering one chain. The row dimensions are x's leading ones, broadcast with w's, and M. */
typedef struct lowering {
    pave_context *context;
    const pave__chain *chain;
    pave__lowered *out;
    pave__space space;
    int rank;                         /* of the row dimensions */
    int64_t shape[PAVE_MAX_RANK + 1]; /* theirs, and room for the columns */
    int64_t k;
    pave__reach x_reach, y_reach, unreduced_reach;
} lowering;

typedef char name_text[64];

/* "layers[2].w" in an mlp; else the operation's own word. */
static const char *layer_name(const lowering *s, int layer, const char *field, name_text text) {
    if (s->chain->op != PAVE_OP_MLP) return field;
    snprintf(text, sizeof(name_text), "layers[%d].%s", layer, field);
    return text;
}

static const char *x_name(const lowering *s) {
    return s->chain->op == PAVE_OP_MATMUL ? "a" : "x";
}

static const char *w_name(const lowering *s) {
    return s->chain->op == PAVE_OP_MATMUL ? "b" : s->chain->layers[0].weights ? "weights" : "w";
}

static const pave_tensor *tensor_of(const pave_layer *layer) {
    return layer->weights ? &layer->weights->w : &layer->w;
}

static int64_t last_width(const lowering *s) {
    const pave__problem *p = &s->out->problem;
    return p->layers[p->layer_count - 1].n;
}

pave_status pave__check_epilogue(const pave_epilogue *e, const char *prefix, int64_t n) {
    if (e->window < 0 || (e->window && (!e->reduction || n % e->window)))
        return pave__fail(PAVE_E_INVALID,
                          "%swindow: %" PRId64 " is no part of rows of %" PRId64 " that are reduced", prefix,
                          e->window, n);
    if (e->after_count && (!e->reduction || e->reduction == PAVE_REDUCE_ARGMAX))
        return pave__fail(PAVE_E_INVALID, "%safter: links where no reduction gives values", prefix);
    if (e->unreduced.buffer && !e->reduction)
        return pave__fail(PAVE_E_INVALID, "%sunreduced: given where nothing is reduced", prefix);
    int64_t length = e->window ? e->window : n;
    if (e->reduction == PAVE_REDUCE_ARGMAX && length == 0)
        return pave__fail(PAVE_E_INVALID, "%sreduction: rows of no values have no argmax", prefix);
    if (e->reduction == PAVE_REDUCE_ARGMAX && length > INT32_MAX)
        return pave__fail(PAVE_E_UNSUPPORTED, "%sreduction: an index of rows of %" PRId64 " passes 31 bits",
                          prefix, length);
    return PAVE_OK;
}

/* x's strides over the row dimensions, and along k; a transposed operand has the two last the other way round. */
static bool x_strides(const lowering *s, int64_t *strides, int64_t *col) {
    const pave_tensor *x = s->chain->x;
    int64_t shape[PAVE_MAX_RANK];
    memcpy(shape, s->shape, (size_t)s->rank * sizeof *shape);
    pave_tensor turned = *x;
    if (s->chain->transpose_x) {
        turned.shape[x->rank - 2] = x->shape[x->rank - 1], turned.shape[x->rank - 1] = x->shape[x->rank - 2];
        turned.strides[x->rank - 2] = x->strides[x->rank - 1];
        turned.strides[x->rank - 1] = x->strides[x->rank - 2];
    }
    shape[s->rank] = turned.shape[x->rank - 1];
    bool fits = pave__broadcast(&turned, s->rank + 1, shape, strides);
    *col = strides[s->rank];
    return fits;
}

/* A batched w's strides over the row dimensions (0 along M), along its own rows and along k. */
static bool w_strides(const lowering *s, const pave_tensor *w, int64_t *strides, int64_t *row, int64_t *col) {
    memset(strides, 0, PAVE_MAX_RANK * sizeof *strides);
    const int n = w->rank - 2 + (s->chain->batched_w && !s->chain->transpose_w), k = 2 * w->rank - 3 - n;
    *row = w->shape[n] == 1 ? 0 : w->strides[n];
    *col = w->shape[k] == 1 ? 0 : w->strides[k];
    if (!s->chain->batched_w) return true;
    pave_tensor leading = *w;
    leading.rank = w->rank - 2;
    return pave__broadcast(&leading, s->rank - 1, s->shape, strides);
}

/* The leading dimensions that x and w broadcast to. */
static pave_status find_shape(lowering *s) {
    const pave__chain *c = s->chain;
    const pave_tensor *x = c->x, *w = tensor_of(&c->layers[0]);
    int lead_x = x->rank - 2, lead_w = c->batched_w ? w->rank - 2 : 0;
    int lead = lead_x > lead_w ? lead_x : lead_w;
    for (int d = 0; d < lead; d++) {
        int dx = d - (lead - lead_x), dw = d - (lead - lead_w);
        int64_t nx = dx < 0 ? 1 : x->shape[dx], nw = dw < 0 ? 1 : w->shape[dw];
        if (nx != nw && nx != 1 && nw != 1)
            return pave__fail(PAVE_E_INVALID,
                              "b: dimension %d of its batch is %" PRId64 " where a's is %" PRId64, dw, nw,
                              nx);
        s->shape[d] = nx == 1 ? nw : nx;
    }
    s->rank = lead + 1;
    s->shape[lead] = x->shape[x->rank - (c->transpose_x ? 1 : 2)];
    s->k = x->shape[x->rank - (c->transpose_x ? 2 : 1)];
    return PAVE_OK;
}

static pave_status check_x(lowering *s) {
    const pave__chain *c = s->chain;
    pave_status status = pave__check_tensor(s->context, c->x, x_name(s), false, &s->x_reach);
    if (status) return status;
    if (c->x->rank < 2)
        return pave__fail(PAVE_E_INVALID, "%s: rank %d is less than 2", x_name(s), c->x->rank);
    return PAVE_OK;
}

static pave_status check_w(lowering *s, int index, int64_t k, pave__player *out) {
    const pave_layer *layer = &s->chain->layers[index];
    name_text text;
    if (layer->weights && layer->w.buffer)
        return pave__fail(PAVE_E_INVALID, "%s: given together with weights", layer_name(s, index, "w", text));
    const pave_tensor *w = tensor_of(layer);
    const char *name = layer_name(
        s, index, s->chain->op == PAVE_OP_MLP ? layer->weights ? "weights" : "w" : w_name(s), text);
    pave__reach reach;
    pave_status status = pave__check_tensor(s->context, w, name, false, &reach);
    if (status) return status;
    bool batched = s->chain->batched_w;
    if (batched ? w->rank < 2 : w->rank != 2)
        return pave__fail(PAVE_E_INVALID, "%s: rank %d is %s 2", name, w->rank,
                          batched ? "less than" : "not");
    bool turned = batched && !s->chain->transpose_w; /* [K, N] */
    int64_t own_k = w->shape[w->rank - (turned ? 2 : 1)];
    if (own_k != k)
        return pave__fail(PAVE_E_INVALID, "%s: width %" PRId64 " where %s has %" PRId64, name, own_k,
                          index ? "the layer before" : x_name(s), k);
    if (pave__overlap(w, &reach, s->chain->y, &s->y_reach))
        return pave__fail(PAVE_E_INVALID, "%s: it overlaps y", name);
    out->n = w->shape[w->rank - (turned ? 1 : 2)];
    return PAVE_OK;
}

/* y's shape: the rows', and the columns that a reduction leaves. Returns its rank. */
static int y_shape(const lowering *s, int64_t n, int64_t *shape) {
    const pave_epilogue *e = s->chain->end;
    memcpy(shape, s->shape, (size_t)s->rank * sizeof *shape);
    if (!e->reduction || pave__is_wide(e->reduction))
        shape[s->rank] = n;
    else if (e->window)
        shape[s->rank] = n / e->window;
    else
        return s->rank;
    return s->rank + 1;
}

/* The outputs, which every other operand must leave alone. */
static pave_status check_outputs(lowering *s) {
    const pave__chain *c = s->chain;
    const pave_epilogue *e = c->end;
    bool index = e->reduction == PAVE_REDUCE_ARGMAX;
    pave_status status = pave__check_tensor(s->context, c->y, "y", index, &s->y_reach);
    if (!status) status = pave__check_distinct(c->y, "y");
    if (!status && pave__overlap(c->x, &s->x_reach, c->y, &s->y_reach))
        return pave__fail(PAVE_E_INVALID, "y: it overlaps %s", x_name(s));
    if (status || !e->unreduced.buffer) return status;
    status = pave__check_tensor(s->context, &e->unreduced, "epilogue.unreduced", false, &s->unreduced_reach);
    if (!status) status = pave__check_distinct(&e->unreduced, "epilogue.unreduced");
    if (status) return status;
    if (pave__overlap(&e->unreduced, &s->unreduced_reach, c->y, &s->y_reach) ||
        pave__overlap(&e->unreduced, &s->unreduced_reach, c->x, &s->x_reach))
        return pave__fail(PAVE_E_INVALID, "epilogue.unreduced: it overlaps y or %s", x_name(s));
    return PAVE_OK;
}

/* Outputs against the shapes that x and the layers gave. */
static pave_status join_outputs(lowering *s) {
    const pave_epilogue *e = s->chain->end;
    int64_t shape[PAVE_MAX_RANK + 1], strides[PAVE_MAX_RANK + 1];
    int64_t n = last_width(s);
    if (s->rank + 1 > PAVE_MAX_RANK)
        return pave__fail(PAVE_E_INVALID, "y: its rank would pass %d", PAVE_MAX_RANK);
    int rank = y_shape(s, n, shape);
    pave_status status = pave__check_shape(s->chain->y, "y", rank, shape);
    if (status) return status;
    pave__broadcast(s->chain->y, rank, shape, strides);
    pave__space_join(&s->space, strides);
    if (!e->unreduced.buffer) return PAVE_OK;
    s->shape[s->rank] = n;
    status = pave__check_shape(&e->unreduced, "epilogue.unreduced", s->rank + 1, s->shape);
    if (status) return status;
    pave__broadcast(&e->unreduced, s->rank + 1, s->shape, strides);
    pave__space_join(&s->space, strides);
    return PAVE_OK;
}

/* The links of a layer over its own columns; shape is the caller's room. */
static pave__links links_of(const lowering *s, int index, bool epilogue, int64_t n, int64_t *shape,
                            name_text text) {
    const pave_layer *layer = &s->chain->layers[index];
    const pave_epilogue *e = s->chain->end;
    bool last = index == (int)s->chain->layer_count - 1;
    memcpy(shape, s->shape, (size_t)s->rank * sizeof *shape);
    shape[s->rank] = n;
    return (pave__links){.name = epilogue ? "epilogue.links" : layer_name(s, index, "links", text),
                         .links = epilogue ? e->links : layer->links,
                         .count = epilogue ? e->link_count : layer->link_count,
                         .most = PAVE_MAX_LINKS,
                         .rank = s->rank + 1,
                         .columns = true,
                         .shape = shape,
                         .y = s->chain->y,
                         .y_reach = &s->y_reach,
                         .may_be_y = last && (!e->reduction || (pave__is_wide(e->reduction) && !e->window))};
}

/* What stands before the caller's links: α, β C, a bias. Returns how many. */
static size_t head_links(const lowering *s, int index, pave_link head[3], size_t *c_at) {
    const pave__chain *c = s->chain;
    size_t count = 0;
    if (c->op == PAVE_OP_MATMUL && c->alpha != 1 && s->out->problem.k > 0)
        head[count++] = (pave_link){.op = PAVE_LINK_MUL, .a = c->alpha};
    *c_at = count;
    if (c->c) head[count++] = (pave_link){.op = PAVE_LINK_ADD, .tensor = *c->c};
    if (c->layers[index].bias.buffer)
        head[count++] = (pave_link){.op = PAVE_LINK_ADD, .tensor = c->layers[index].bias};
    return count;
}

static pave_status check_bias(const lowering *s, int index, int64_t n) {
    const pave_tensor *bias = &s->chain->layers[index].bias;
    name_text text;
    const char *name = layer_name(s, index, "bias", text);
    pave__reach reach;
    if (!bias->buffer) return PAVE_OK;
    pave_status status = pave__check_tensor(s->context, bias, name, false, &reach);
    if (status) return status;
    if (bias->rank != 1 || bias->shape[0] != n)
        return pave__fail(PAVE_E_INVALID, "%s: rank %d and %" PRId64 " values where W has %" PRId64 " rows",
                          name, bias->rank, bias->shape[0], n);
    if (pave__overlap(bias, &reach, s->chain->y, &s->y_reach))
        return pave__fail(PAVE_E_INVALID, "%s: it overlaps y", name);
    return PAVE_OK;
}

static pave_status check_c(lowering *s, int64_t n) {
    const pave_tensor *c = s->chain->c;
    int64_t shape[PAVE_MAX_RANK + 1];
    if (!c) return PAVE_OK;
    name_text text;
    pave__links l = links_of(s, 0, true, n, shape, text);
    pave_link link = {.op = PAVE_LINK_ADD, .tensor = *c};
    l.links = &link, l.count = 1, l.name = "c";
    return pave__links_check(s->context, &l, &s->space);
}

static pave_status check_links(lowering *s, int index, int64_t n) {
    int64_t shape[PAVE_MAX_RANK + 1];
    name_text text;
    pave_status status = check_bias(s, index, n);
    if (!status) status = check_c(s, n);
    pave__links l = links_of(s, index, false, n, shape, text);
    if (!status) status = pave__links_check(s->context, &l, &s->space);
    if (status || index < (int)s->chain->layer_count - 1) return status;
    size_t own = l.count;
    l = links_of(s, index, true, n, shape, text);
    l.most = PAVE_MAX_LINKS - own;
    return pave__links_check(s->context, &l, &s->space);
}

static pave__links after_of(const lowering *s, int64_t n, int64_t *shape) {
    const pave_epilogue *e = s->chain->end;
    bool wide = pave__is_wide(e->reduction);
    int rank = y_shape(s, n, shape);
    return (pave__links){.name = "epilogue.after",
                         .links = e->after,
                         .count = e->after_count,
                         .most = PAVE_MAX_LINKS,
                         .rank = rank,
                         .columns = wide,
                         .window = e->window && wide ? e->window : 0,
                         .shape = shape,
                         .y = s->chain->y,
                         .y_reach = &s->y_reach,
                         .may_be_y = true};
}

/* Everything that can be wrong, and every operand's say in which dimensions merge. */
static pave_status check_all(lowering *s) {
    const pave__chain *c = s->chain;
    pave__problem *p = &s->out->problem;
    int64_t strides[PAVE_MAX_RANK + 1], col, row, shape[PAVE_MAX_RANK + 1], k;
    pave_status status = check_x(s);
    if (!status) status = check_outputs(s);
    if (status) return status;
    k = c->x->shape[c->x->rank - (c->transpose_x ? 2 : 1)];
    for (size_t i = 0; i < c->layer_count; i++) {
        status = check_w(s, (int)i, k, &p->layers[i]);
        if (status) return status;
        k = p->layers[i].n;
    }
    status = find_shape(s);
    if (!status) status = pave__check_epilogue(c->end, "epilogue.", k);
    if (status) return status;
    pave__space_begin(&s->space, s->rank, s->shape);
    x_strides(s, strides, &col);
    pave__space_join(&s->space, strides);
    w_strides(s, tensor_of(&c->layers[0]), strides, &row, &col);
    pave__space_join(&s->space, strides);
    status = join_outputs(s);
    for (size_t i = 0; !status && i < c->layer_count; i++) status = check_links(s, (int)i, p->layers[i].n);
    pave__links after = after_of(s, k, shape);
    return status ? status : pave__links_check(s->context, &after, &s->space);
}

static void lower_layer(lowering *s, int index) {
    const pave_layer *layer = &s->chain->layers[index];
    pave__player *p = &s->out->problem.layers[index];
    pave__joblayer *j = &s->out->job.layers[index];
    int64_t strides[PAVE_MAX_RANK + 1], row, col, shape[PAVE_MAX_RANK + 1];
    name_text text;
    const pave_tensor *w = tensor_of(layer);
    w_strides(s, w, strides, &row, &col);
    pave__space_operand(&s->space, w, strides, col, &p->w, &j->w);
    p->w.row = row;
    if (row != 1) p->w.align = pave__align_of(p->w.align | (uint64_t)row * pave_dtype_bytes(w->type));
    p->w.packed = layer->weights != NULL;
    j->weights = layer->weights;
    pave_link head[3];
    size_t c_at;
    pave__links l = links_of(s, index, true, p->n, shape, text);
    l.links = head, l.count = head_links(s, index, head, &c_at);
    pave__links_lower(&l, &s->space, p->links, j->links);
    if (s->chain->c) j->links[c_at].link.a = s->chain->beta;
    size_t count = l.count;
    for (int part = 0; part < 2; part++) {
        if (part && index < (int)s->chain->layer_count - 1) break;
        l = links_of(s, index, part, p->n, shape, text);
        pave__links_lower(&l, &s->space, p->links + count, j->links + count);
        count += l.count;
    }
    p->link_count = (uint8_t)count;
}

/* The space of a reduction in windows: the product's rows are its innermost batch dimension, its own rows the windows. */
static pave__space windowed(const pave__space *s, int64_t windows) {
    pave__space w = *s;
    w.batch[0] = s->batch[1], w.batch[1] = s->batch[2], w.batch[2] = s->row;
    w.row = windows == 1 ? -1 : s->rank;
    w.size[s->rank] = windows;
    w.shape[s->rank] = windows;
    w.rank++;
    return w;
}

static void lower_outputs(lowering *s) {
    const pave_epilogue *e = s->chain->end;
    pave__problem *p = &s->out->problem;
    pave__job *job = &s->out->job;
    int64_t strides[PAVE_MAX_RANK + 1] = {0}, shape[PAVE_MAX_RANK + 1], n = last_width(s);
    int rank = y_shape(s, n, shape);
    bool columns = !e->reduction || pave__is_wide(e->reduction);
    pave__space closing = e->window ? windowed(&s->space, n / e->window) : s->space;
    pave__broadcast(s->chain->y, rank, shape, strides);
    int64_t col = columns ? strides[rank - 1] : 0;
    if (e->window && columns) strides[rank - 1] *= e->window;
    pave__space_operand(&closing, s->chain->y, strides, col, &p->y, &job->y);
    pave__links after = after_of(s, n, shape);
    pave__links_lower(&after, &closing, p->after, job->after);
    p->after_count = (uint8_t)after.count;
    if (!e->unreduced.buffer) return;
    s->shape[s->rank] = n;
    pave__broadcast(&e->unreduced, s->rank + 1, s->shape, strides);
    pave__space_operand(&s->space, &e->unreduced, strides, strides[s->rank], &p->unreduced, &job->unreduced);
}

/* A hidden width of 0 makes all before it irrelevant: the next layer sums over nothing. */
static void drop_before_empty(pave__lowered *out) {
    pave__problem *p = &out->problem;
    int first = 0;
    for (int i = 0; i + 1 < p->layer_count; i++)
        if (p->layers[i].n == 0) first = i + 1;
    if (!first) return;
    p->k = 0;
    p->layer_count = (uint8_t)(p->layer_count - first);
    memmove(p->layers, p->layers + first, p->layer_count * sizeof p->layers[0]);
    memmove(out->job.layers, out->job.layers + first, p->layer_count * sizeof out->job.layers[0]);
}

/* Rows of no columns: their reduction's value is all there is to write. */
static void settle_empty(lowering *s) {
    pave__problem *p = &s->out->problem;
    const pave_epilogue *e = s->chain->end;
    bool values = e->reduction && !pave__is_wide(e->reduction) && !e->window;
    s->out->nothing = last_width(s) == 0 && !values;
    for (int d = 0; d < s->rank; d++) s->out->nothing |= s->shape[d] == 0;
    if (s->out->nothing) return;
    drop_before_empty(s->out);
    if (last_width(s) > 0) return;
    p->op = PAVE_OP_REDUCE;
    p->k = 0;
    p->layer_count = 0;
    p->precision = 0;
    memset(&p->unreduced, 0, sizeof p->unreduced);
}

static pave_status check_chain(const pave__chain *c) {
    pave_status status = pave__check_words(c->end->reduction, c->precision);
    if (status) return status;
    if (c->layer_count < 1 || c->layer_count > PAVE_MAX_LAYERS || !c->layers)
        return pave__fail(PAVE_E_INVALID, "layers: %zu where 1 to %d are possible", c->layer_count,
                          PAVE_MAX_LAYERS);
    return PAVE_OK;
}

/* Where M is 1, the innermost dimension left is one of the batch. A w that moves along it cannot have it as its rows. */
static int keep_from_rows(const lowering *s, int *dims, int count) {
    int64_t strides[PAVE_MAX_RANK + 1], row, col;
    w_strides(s, tensor_of(&s->chain->layers[0]), strides, &row, &col);
    if (count > 0 && strides[dims[count - 1]] != 0) dims[count++] = -1;
    return count;
}

pave_status pave__lower_chain(pave_context *context, const pave__chain *chain, pave__lowered *out) {
    lowering s = {.context = context, .chain = chain, .out = out};
    pave__problem *p = &out->problem;
    pave_status status = check_chain(chain);
    if (status) return status;
    memset(p, 0, offsetof(pave__problem, layers) + chain->layer_count * sizeof p->layers[0]);
    memset(&out->job, 0, offsetof(pave__job, layers));
    p->op = (uint8_t)(chain->op == PAVE_OP_MLP && chain->layer_count == 1 ? PAVE_OP_LINEAR : chain->op);
    p->precision = (uint8_t)chain->precision;
    p->reduction = (uint8_t)chain->end->reduction;
    p->layer_count = (uint8_t)chain->layer_count;
    p->window = chain->end->window;
    status = check_all(&s);
    if (status) return status;
    int dims[PAVE_MAX_RANK], count = pave__space_merge(&s.space, dims);
    count = keep_from_rows(&s, dims, count);
    pave__space_place(&s.space, dims, count, p->window ? PAVE_BATCH_DIMS - 1 : PAVE_BATCH_DIMS);
    pave__space_extents(&s.space, p, &out->job);
    p->k = chain->alpha == 0 ? 0 : s.k;
    int64_t strides[PAVE_MAX_RANK + 1], col;
    x_strides(&s, strides, &col);
    pave__space_operand(&s.space, chain->x, strides, col, &p->x, &out->job.x);
    for (int i = 0; i < p->layer_count; i++) lower_layer(&s, i);
    lower_outputs(&s);
    out->job.epsilon = chain->end->epsilon > 0 ? chain->end->epsilon : 1e-5f;
    settle_empty(&s);
    return PAVE_OK;
}
