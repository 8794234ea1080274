/* SPDX-License-Identifier: Apache-2.0
 * Lowers chains of products, of which a linear and a matmul are those of one layer. Empty shapes are answered here, so
 * that the planner sees none but K = 0. */
#include "src/ops/chain.h"

#include <assert.h>
#include <string.h>

/* Composed for every argument of every call, wrong or not, where snprintf would be a third of the front end's time. */
const char *pave__chain_field(const pave__chaining *s, int layer, const char *field, pave__chain_name text) {
    static_assert(PAVE_MAX_LAYERS <= 100, "two digits");
    if (s->chain->op != PAVE_OP_MLP) return field;
    char *at = text;
    memcpy(at, "layers[", 7);
    at += 7;
    if (layer >= 10) *at++ = (char)('0' + layer / 10);
    *at++ = (char)('0' + layer % 10);
    *at++ = ']';
    *at++ = '.';
    assert(strlen(field) < sizeof(pave__chain_name) - (size_t)(at - text));
    strcpy(at, field);
    return text;
}

const pave_tensor *pave__chain_w(const pave_layer *layer) {
    return layer->weights ? &layer->weights->w : &layer->w;
}

int64_t pave__chain_width(const pave__chaining *s) {
    const pave__problem *p = &s->out->problem;
    return p->layers[p->layer_count - 1].n;
}

void pave__chain_x_strides(const pave__chaining *s, int64_t *strides, int64_t *col) {
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
    pave__broadcast(&turned, s->rank + 1, shape, strides);
    *col = strides[s->rank];
}

void pave__chain_w_strides(const pave__chaining *s, const pave_tensor *w, int64_t *strides, int64_t *row,
                           int64_t *col) {
    memset(strides, 0, PAVE_MAX_RANK * sizeof *strides);
    const int n = w->rank - 2 + (s->chain->batched_w && !s->chain->transpose_w), k = 2 * w->rank - 3 - n;
    *row = *col = 0;
    if (!pave__has_elements(w)) return;
    if (w->shape[n] != 1) *row = w->strides[n];
    if (w->shape[k] != 1) *col = w->strides[k];
    pave_tensor leading = *w;
    leading.rank = w->rank - 2;
    if (s->chain->batched_w) pave__broadcast(&leading, s->rank - 1, s->shape, strides);
}

int pave__chain_y_shape(const pave__chaining *s, int64_t n, int64_t *shape) {
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

pave__links pave__chain_links(const pave__chaining *s, int index, bool epilogue, int64_t n, int64_t *shape,
                              pave__chain_name text) {
    const pave_layer *layer = &s->chain->layers[index];
    const pave_epilogue *e = s->chain->end;
    bool last = index == (int)s->chain->layer_count - 1;
    memcpy(shape, s->shape, (size_t)s->rank * sizeof *shape);
    shape[s->rank] = n;
    return (pave__links){.name = epilogue ? "epilogue.links"
                                 : text   ? pave__chain_field(s, index, "links", text)
                                          : NULL,
                         .links = epilogue ? e->links : layer->links,
                         .count = epilogue ? e->link_count : layer->link_count,
                         .most = PAVE_MAX_LINKS,
                         .rank = s->rank + 1,
                         .columns = true,
                         .shape = shape,
                         .y = s->chain->y,
                         .y_reach = &s->y_reach,
                         .may_be_y = last && (!e->reduction || pave__is_wide(e->reduction)),
                         .unreduced = e->unreduced.buffer ? &e->unreduced : NULL,
                         .unreduced_reach = &s->unreduced_reach,
                         .may_be_unreduced = last};
}

/* What stands before the caller's links: α, β C, a bias. Returns how many. */
static size_t head_links(const pave__chaining *s, int index, pave_link head[3], size_t *c_at) {
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

pave__links pave__chain_after(const pave__chaining *s, int64_t n, int64_t *shape) {
    const pave_epilogue *e = s->chain->end;
    bool wide = pave__is_wide(e->reduction);
    int rank = pave__chain_y_shape(s, n, shape);
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
                         .may_be_y = true,
                         .unreduced = e->unreduced.buffer ? &e->unreduced : NULL,
                         .unreduced_reach = &s->unreduced_reach};
}

static void lower_layer(pave__chaining *s, int index) {
    const pave_layer *layer = &s->chain->layers[index];
    pave__player *p = &s->out->problem.layers[index];
    pave__joblayer *j = &s->out->job.layers[index];
    int64_t strides[PAVE_MAX_RANK + 1], row, col, shape[PAVE_MAX_RANK + 1];
    const pave_tensor *w = pave__chain_w(layer);
    pave__chain_w_strides(s, w, strides, &row, &col);
    pave__space_operand(&s->space, w, strides, col, &p->w, &j->w);
    p->w.row = row;
    if (row != 1) p->w.align = pave__align_of(p->w.align | (uint64_t)row * pave_dtype_bytes(w->type));
    p->w.packed = layer->weights != NULL;
    j->weights = layer->weights;
    pave_link head[3];
    size_t c_at;
    pave__links l = pave__chain_links(s, index, true, p->n, shape, NULL);
    l.links = head, l.count = head_links(s, index, head, &c_at);
    pave__links_lower(&l, &s->space, p->links, j->links);
    if (s->chain->c) j->links[c_at].link.a = s->chain->beta;
    size_t count = l.count;
    for (int part = 0; part < 2; part++) {
        if (part && index < (int)s->chain->layer_count - 1) break;
        l = pave__chain_links(s, index, part, p->n, shape, NULL);
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

static void lower_outputs(pave__chaining *s) {
    const pave_epilogue *e = s->chain->end;
    pave__problem *p = &s->out->problem;
    pave__job *job = &s->out->job;
    int64_t strides[PAVE_MAX_RANK + 1] = {0}, shape[PAVE_MAX_RANK + 1], n = pave__chain_width(s);
    int rank = pave__chain_y_shape(s, n, shape);
    bool columns = !e->reduction || pave__is_wide(e->reduction);
    pave__space closing = e->window ? windowed(&s->space, n / e->window) : s->space;
    pave__broadcast(s->chain->y, rank, shape, strides);
    int64_t col = columns && e->window != 1 ? strides[rank - 1] : 0;
    if (e->window && columns) strides[rank - 1] *= e->window;
    pave__space_operand(&closing, s->chain->y, strides, col, &p->y, &job->y);
    pave__links after = pave__chain_after(s, n, shape);
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
    if (p->layer_count == 1) p->op = PAVE_OP_LINEAR;
    memmove(p->layers, p->layers + first, p->layer_count * sizeof p->layers[0]);
    memmove(out->job.layers, out->job.layers + first, p->layer_count * sizeof out->job.layers[0]);
}

/* Rows of no columns: their reduction's value is all there is to write. */
static void settle_empty(pave__chaining *s) {
    pave__problem *p = &s->out->problem;
    const pave_epilogue *e = s->chain->end;
    bool values = e->reduction && !pave__is_wide(e->reduction) && !e->window;
    s->out->nothing = pave__chain_width(s) == 0 && !values;
    for (int d = 0; d < s->rank; d++) s->out->nothing |= s->shape[d] == 0;
    if (s->out->nothing) return;
    drop_before_empty(s->out);
    if (pave__chain_width(s) > 0) return;
    p->op = PAVE_OP_REDUCE;
    p->k = 0;
    p->layer_count = 0;
    p->precision = 0;
    memset(&p->unreduced, 0, sizeof p->unreduced);
}

/* Where M is 1, the innermost dimension left is one of the batch. A w that moves along it cannot have it as its rows. */
static int keep_from_rows(const pave__chaining *s, int *dims, int count) {
    int64_t strides[PAVE_MAX_RANK + 1], row, col;
    pave__chain_w_strides(s, pave__chain_w(&s->chain->layers[0]), strides, &row, &col);
    if (count > 0 && strides[dims[count - 1]] != 0) dims[count++] = -1;
    return count;
}

pave_status pave__lower_chain(pave_context *context, const pave__chain *chain, pave__lowered *out) {
    pave__chaining s = {.context = context, .chain = chain, .out = out};
    pave__problem *p = &out->problem;
    pave_status status = pave__check_words(chain->end->reduction, chain->precision);
    if (status) return status;
    if (chain->layer_count < 1 || chain->layer_count > PAVE_MAX_LAYERS || !chain->layers)
        return pave__fail(PAVE_E_INVALID, "layers: %zu where 1 to %d are possible", chain->layer_count,
                          PAVE_MAX_LAYERS);
    memset(p, 0, offsetof(pave__problem, layers) + chain->layer_count * sizeof p->layers[0]);
    memset(&out->job, 0, offsetof(pave__job, layers));
    p->op = (uint8_t)(chain->op == PAVE_OP_MLP && chain->layer_count == 1 ? PAVE_OP_LINEAR : chain->op);
    p->precision = (uint8_t)chain->precision;
    p->reduction = (uint8_t)chain->end->reduction;
    p->layer_count = (uint8_t)chain->layer_count;
    p->window = chain->end->window;
    status = pave__chain_check(&s);
    if (status) return status;
    int dims[PAVE_MAX_RANK], count = pave__space_merge(&s.space, dims);
    count = keep_from_rows(&s, dims, count);
    pave__space_place(&s.space, dims, count, p->window ? PAVE_BATCH_DIMS - 1 : PAVE_BATCH_DIMS);
    pave__space_extents(&s.space, p, &out->job);
    p->k = chain->alpha == 0 ? 0 : s.k;
    int64_t strides[PAVE_MAX_RANK + 1], col;
    pave__chain_x_strides(&s, strides, &col);
    pave__space_operand(&s.space, chain->x, strides, col, &p->x, &out->job.x);
    for (int i = 0; i < p->layer_count; i++) lower_layer(&s, i);
    lower_outputs(&s);
    out->job.epsilon = chain->end->epsilon > 0 ? chain->end->epsilon : 1e-5f;
    settle_empty(&s);
    return PAVE_OK;
}

/* All of a chain, which is all that its lowering reads. */
static void write_key(pave__key *key, const pave__chain *c, const pave_plan *plan) {
    pave__key_begin(key, c->op, plan);
    pave__key_tensor(key, c->x);
    pave__key_tensor(key, c->y);
    pave__key_word(key, (uint64_t)c->precision);
    pave__key_word(key, (uint64_t)(c->transpose_x | c->batched_w << 1 | c->transpose_w << 2));
    pave__key_float(key, c->alpha);
    pave__key_float(key, c->beta);
    pave__key_word(key, c->c != NULL);
    if (c->c) pave__key_tensor(key, c->c);
    if (c->layer_count > PAVE_MAX_LAYERS || !c->layers) key->whole = false;
    pave__key_word(key, c->layer_count);
    for (size_t i = 0; key->whole && i < c->layer_count; i++) {
        const pave_layer *layer = &c->layers[i];
        pave__key_tensor(key, &layer->w);
        pave__key_weights(key, layer->weights);
        pave__key_tensor(key, &layer->bias);
        pave__key_links(key, layer->links, layer->link_count);
    }
    pave__key_epilogue(key, c->end);
}

pave_status pave__run_chain(pave_queue *queue, const pave__chain *chain, const pave_plan *plan,
                            const pave_sync *sync) {
    pave__key key;
    write_key(&key, chain, plan);
    if (pave__call_known(queue, &key)) return pave__call_again(queue, &key, sync);
    pave__lowered lowered;
    pave_status status = pave__lower_chain(queue->context, chain, &lowered);
    return status ? status : pave__run(queue, &lowered, plan, sync, &key);
}

pave_status pave__plan_chain(pave_context *context, const pave__chain *chain, pave_plan **plan) {
    pave__lowered lowered;
    pave_status status = pave__lower_chain(context, chain, &lowered);
    return status ? status : pave__plan_of(context, &lowered, plan);
}
