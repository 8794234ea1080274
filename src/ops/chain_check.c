/* SPDX-License-Identifier: Apache-2.0
 * Checks a chain's arguments, each by its name, and finds its shape. What passes here is trusted below. */
#include "src/ops/chain.h"

#include <inttypes.h>

static const char *x_name(const pave__chaining *s) {
    return s->chain->op == PAVE_OP_MATMUL ? "a" : "x";
}

static const char *w_name(const pave__chaining *s) {
    return s->chain->op == PAVE_OP_MATMUL ? "b" : s->chain->layers[0].weights ? "weights" : "w";
}

pave_status pave__check_epilogue(const pave_epilogue *e, int64_t n) {
    if (e->window < 0 || (e->window && (!e->reduction || n % e->window)))
        return pave__fail(PAVE_E_INVALID,
                          "epilogue.window: %" PRId64 " is no part of rows of %" PRId64 " that are reduced",
                          e->window, n);
    if (e->after_count && (!e->reduction || e->reduction == PAVE_REDUCE_ARGMAX))
        return pave__fail(PAVE_E_INVALID, "epilogue.after: links where no reduction gives values");
    if (e->unreduced.buffer && !e->reduction)
        return pave__fail(PAVE_E_INVALID, "epilogue.unreduced: given where nothing is reduced");
    int64_t length = e->window ? e->window : n;
    if (e->reduction == PAVE_REDUCE_ARGMAX && length == 0)
        return pave__fail(PAVE_E_INVALID, "epilogue.reduction: rows of no values have no argmax");
    if (e->reduction == PAVE_REDUCE_ARGMAX && length > INT32_MAX)
        return pave__fail(PAVE_E_UNSUPPORTED,
                          "epilogue.reduction: an index of rows of %" PRId64 " passes 31 bits", length);
    return pave__check_epsilon(e->reduction, e->epsilon, "epilogue.epsilon");
}

/* The leading dimensions that x and w broadcast to. */
static pave_status find_shape(pave__chaining *s) {
    const pave__chain *c = s->chain;
    const pave_tensor *x = c->x, *w = pave__chain_w(&c->layers[0]);
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

static pave_status check_x(pave__chaining *s) {
    const pave__chain *c = s->chain;
    pave_status status = pave__check_tensor(s->context, c->x, x_name(s), false, &s->x_reach);
    if (status) return status;
    if (c->x->rank < 2)
        return pave__fail(PAVE_E_INVALID, "%s: rank %d is less than 2", x_name(s), c->x->rank);
    return PAVE_OK;
}

/* An input that may be neither output. */
static pave_status check_apart(const pave__chaining *s, const pave_tensor *t, const pave__reach *reach,
                               const char *name) {
    if (pave__overlap(t, reach, s->chain->y, &s->y_reach))
        return pave__fail(PAVE_E_INVALID, "%s: it overlaps y", name);
    if (pave__overlap(t, reach, &s->chain->end->unreduced, &s->unreduced_reach))
        return pave__fail(PAVE_E_INVALID, "%s: it overlaps epilogue.unreduced", name);
    return PAVE_OK;
}

static pave_status check_w(pave__chaining *s, int index, int64_t k, pave__player *out) {
    const pave_layer *layer = &s->chain->layers[index];
    pave__chain_name text;
    if (layer->weights && layer->w.buffer)
        return pave__fail(PAVE_E_INVALID, "%s: given together with weights",
                          pave__chain_field(s, index, "w", text));
    const pave_tensor *w = pave__chain_w(layer);
    const char *name = pave__chain_field(
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
    out->n = w->shape[w->rank - (turned ? 1 : 2)];
    return check_apart(s, w, &reach, name);
}

/* The outputs, which every other operand must leave alone. */
static pave_status check_outputs(pave__chaining *s) {
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
static pave_status join_outputs(pave__chaining *s) {
    const pave_epilogue *e = s->chain->end;
    int64_t shape[PAVE_MAX_RANK + 1], strides[PAVE_MAX_RANK + 1];
    int64_t n = pave__chain_width(s);
    int rank = pave__chain_y_shape(s, n, shape);
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

static pave_status check_bias(const pave__chaining *s, int index, int64_t n) {
    const pave_tensor *bias = &s->chain->layers[index].bias;
    pave__chain_name text;
    pave__reach reach;
    if (!bias->buffer) return PAVE_OK;
    const char *name = pave__chain_field(s, index, "bias", text);
    pave_status status = pave__check_tensor(s->context, bias, name, false, &reach);
    if (status) return status;
    if (bias->rank != 1 || bias->shape[0] != n)
        return pave__fail(PAVE_E_INVALID, "%s: rank %d and %" PRId64 " values where W has %" PRId64 " rows",
                          name, bias->rank, bias->shape[0], n);
    return check_apart(s, bias, &reach, name);
}

static pave_status check_c(pave__chaining *s, int64_t n) {
    const pave_tensor *c = s->chain->c;
    int64_t shape[PAVE_MAX_RANK + 1];
    if (!c) return PAVE_OK;
    pave__chain_name text;
    pave__links l = pave__chain_links(s, 0, true, n, shape, text);
    pave_link link = {.op = PAVE_LINK_ADD, .tensor = *c};
    l.links = &link, l.count = 1, l.name = "c", l.alone = true;
    return pave__links_check(s->context, &l, &s->space);
}

static pave_status check_links(pave__chaining *s, int index, int64_t n) {
    int64_t shape[PAVE_MAX_RANK + 1];
    pave__chain_name text;
    pave_status status = check_bias(s, index, n);
    if (!status) status = check_c(s, n);
    pave__links l = pave__chain_links(s, index, false, n, shape, text);
    if (!status) status = pave__links_check(s->context, &l, &s->space);
    if (status || index < (int)s->chain->layer_count - 1) return status;
    size_t own = l.count;
    l = pave__chain_links(s, index, true, n, shape, text);
    l.most = PAVE_MAX_LINKS - own;
    return pave__links_check(s->context, &l, &s->space);
}

pave_status pave__chain_check(pave__chaining *s) {
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
    if (!status) status = pave__check_epilogue(c->end, k);
    if (status) return status;
    pave__space_begin(&s->space, s->rank, s->shape);
    pave__chain_x_strides(s, strides, &col);
    pave__space_join(&s->space, strides);
    pave__chain_w_strides(s, pave__chain_w(&c->layers[0]), strides, &row, &col);
    pave__space_join(&s->space, strides);
    pave__links after = pave__chain_after(s, k, shape);
    status = pave__links_check(s->context, &after, &s->space);
    if (!status) status = join_outputs(s);
    for (size_t i = 0; !status && i < c->layer_count; i++) status = check_links(s, (int)i, p->layers[i].n);
    return status;
}
