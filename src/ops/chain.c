/* SPDX-License-Identifier: Apache-2.0
 * Lowers chains of linears to problems; a linear is a chain of one layer. Empty shapes are answered here, so
 * that the planner sees none but K = 0. */
#include "src/ops/ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* An argument's name, composed only when a message needs it. */
typedef struct label {
    pave_op op;
    int layer, link; /* link < 0: none */
    const char *field;
} label;

typedef char label_text[96];

static const char *text_of(const label *l, label_text text) {
    int n = 0;
    if (l->op == PAVE_OP_MLP) n = snprintf(text, sizeof(label_text), "layers[%d].", l->layer);
    if (l->link >= 0)
        n += snprintf(text + n, sizeof(label_text) - (size_t)n, "%slinks[%d].",
                      l->op == PAVE_OP_MLP ? "" : "epilogue.", l->link);
    snprintf(text + n, sizeof(label_text) - (size_t)n, "%s", l->field);
    return text;
}

int pave__link_operand(const pave_link *link, int64_t m, int64_t n, int64_t *ld) {
    const pave_tensor *t = &link->tensor;
    *ld = 0;
    if (!t->buffer) return PAVE_OPERAND_SCALAR;
    if (t->rank < 1 || t->rank > PAVE_MAX_RANK) return -1;
    int64_t rows, stride, cols = t->shape[t->rank - 1], step = t->strides[t->rank - 1];
    if (!pave__flatten(t, t->rank - 1, &rows, &stride)) return -1;
    if (rows == 1 && cols == n && (t->rank == 1 || m != 1 || n > 1)) {
        *ld = n > 1 ? step : 1;
        return PAVE_OPERAND_ROW;
    }
    if (rows == m && cols == 1) {
        *ld = m > 1 ? stride : 1;
        return PAVE_OPERAND_COLUMN;
    }
    if (rows == m && cols == n && step == 1) {
        *ld = m > 1 ? stride : n;
        return PAVE_OPERAND_FULL;
    }
    return -1;
}

/* State of lowering one chain. */
typedef struct lowering {
    pave_context *context;
    const pave__chain *chain;
    pave__matrix y; /* of the output */
    int64_t m;
} lowering;

/* Checks a link's tensor; only the last layer's may be y itself, and only element for element. */
static pave_status lower_tensor(const lowering *s, const pave_link *link, const label *l, int64_t n,
                                pave__plink *out) {
    label_text text;
    const pave_tensor *t = &link->tensor;
    int64_t ld;
    int operand = pave__link_operand(link, s->m, n, &ld);
    if (operand == PAVE_OPERAND_SCALAR) return PAVE_OK;
    if (operand < 0)
        return pave__fail(PAVE_E_INVALID,
                          "%s: its shape is none of [%" PRId64 "], [1,%" PRId64 "], [%" PRId64
                          ",1], [%" PRId64 ",%" PRId64 "] with rows of unit stride",
                          text_of(l, text), n, n, s->m, s->m, n);
    pave__matrix v;
    pave_status status = operand == PAVE_OPERAND_FULL
                             ? pave__check_matrix(s->context, t, text_of(l, text), &v)
                             : pave__check_vector(s->context, t, text_of(l, text), &v);
    if (status) return status;
    const pave_tensor *y = s->chain->y;
    bool last = l->op != PAVE_OP_MLP || l->layer == (int)s->chain->layer_count - 1;
    bool same = last && operand == PAVE_OPERAND_FULL && !s->chain->reduction && t->type == y->type &&
                v.begin == s->y.begin && v.ld == s->y.ld;
    if (pave__overlap(t, &v, y, &s->y) && !same)
        return pave__fail(PAVE_E_INVALID, "%s: it overlaps y and is not exactly y", text_of(l, text));
    out->operand = (uint8_t)operand;
    out->type = (uint8_t)t->type;
    return PAVE_OK;
}

static pave_status lower_link(const lowering *s, const pave_link *link, const label *l, int64_t n,
                              pave__plink *out) {
    label_text text;
    if (link->op <= PAVE_LINK_NONE || (int)link->op > PAVE__LINK_LAST)
        return pave__fail(PAVE_E_INVALID, "%s: %d is no link", text_of(l, text), (int)link->op);
    out->op = (uint8_t)link->op;
    if (link->op <= PAVE_LINK_DIV) {
        label tensor = *l;
        tensor.field = "tensor";
        return lower_tensor(s, link, &tensor, n, out);
    }
    if (link->tensor.buffer)
        return pave__fail(PAVE_E_INVALID, "%s: link %d takes no tensor", text_of(l, text), (int)link->op);
    return PAVE_OK;
}

static pave_status lower_links(const lowering *s, const pave_layer *layer, int index, pave__player *out) {
    label l = {s->chain->op, index, -1, "bias"};
    label_text text;
    if (layer->bias.buffer) {
        pave__matrix v;
        pave_status status = pave__check_vector(s->context, &layer->bias, text_of(&l, text), &v);
        if (status) return status;
        if (layer->bias.rank != 1 || v.rows != out->n)
            return pave__fail(PAVE_E_INVALID,
                              "%s: rank %d and %" PRId64 " values where W has %" PRId64 " rows",
                              text_of(&l, text), layer->bias.rank, v.rows, out->n);
        if (pave__overlap(&layer->bias, &v, s->chain->y, &s->y))
            return pave__fail(PAVE_E_INVALID, "%s: it overlaps y", text_of(&l, text));
        out->links[out->link_count++] =
            (pave__plink){PAVE_LINK_ADD, PAVE_OPERAND_ROW, (uint8_t)layer->bias.type, 0};
    }
    l.field = "links";
    if (layer->link_count > PAVE_MAX_LINKS)
        return pave__fail(PAVE_E_INVALID, "%s: %zu links where %d is the most", text_of(&l, text),
                          layer->link_count, PAVE_MAX_LINKS);
    if (layer->link_count && !layer->links)
        return pave__fail(PAVE_E_INVALID, "%s: NULL with link_count %zu", text_of(&l, text),
                          layer->link_count);
    l.field = "op";
    for (l.link = 0; l.link < (int)layer->link_count; l.link++) {
        pave_status status = lower_link(s, &layer->links[l.link], &l, out->n, &out->links[out->link_count++]);
        if (status) return status;
    }
    return PAVE_OK;
}

static pave_status lower_layer(const lowering *s, int index, int64_t k, pave__player *out) {
    const pave_layer *layer = &s->chain->layers[index];
    label l = {s->chain->op, index, -1, "w"};
    label_text text;
    if (layer->weights && layer->w.buffer)
        return pave__fail(PAVE_E_INVALID, "%s: given together with weights", text_of(&l, text));
    const pave_tensor *w = layer->weights ? &layer->weights->w : &layer->w;
    if (layer->weights) l.field = "weights";
    pave__matrix v;
    pave_status status = pave__check_matrix(s->context, w, text_of(&l, text), &v);
    if (status) return status;
    if (w->rank != 2) return pave__fail(PAVE_E_INVALID, "%s: rank %d is not 2", text_of(&l, text), w->rank);
    if (v.cols != k)
        return pave__fail(PAVE_E_INVALID, "%s: width %" PRId64 " where %s has %" PRId64, text_of(&l, text),
                          v.cols, index ? "the layer before" : "x", k);
    if (pave__overlap(w, &v, s->chain->y, &s->y))
        return pave__fail(PAVE_E_INVALID, "%s: it overlaps y", text_of(&l, text));
    out->n = v.rows;
    out->ldw = v.ld;
    out->w_align = v.align;
    out->w_type = (uint8_t)w->type;
    out->w_packed = layer->weights != NULL;
    return lower_links(s, layer, index, out);
}

/* y against the rows of x and the last width, which the layers' own checks have yet to confirm. */
static pave_status lower_output(lowering *s, pave__problem *p) {
    const pave__chain *c = s->chain;
    pave_status status = c->reduction ? pave__check_vector(s->context, c->y, "y", &s->y)
                                      : pave__check_matrix(s->context, c->y, "y", &s->y);
    if (status) return status;
    if (s->y.rows != s->m)
        return pave__fail(PAVE_E_INVALID, "y: %" PRId64 " rows where x has %" PRId64, s->y.rows, s->m);
    p->ldy = s->y.ld;
    p->y_align = s->y.align;
    p->y_type = (uint8_t)c->y->type;
    return PAVE_OK;
}

/* A hidden width of 0 makes all before it irrelevant: the next layer sums over nothing. */
static void drop_before_empty(pave__lowered *out) {
    pave__problem *p = &out->problem;
    int first = 0;
    for (int i = 0; i + 1 < p->layer_count; i++)
        if (p->layers[i].n == 0) first = i + 1;
    if (!first) return;
    p->k = 0;
    p->ldx = 1;
    p->layer_count = (uint8_t)(p->layer_count - first);
    memmove(p->layers, p->layers + first, p->layer_count * sizeof p->layers[0]);
    out->job.layers += first;
}

static void settle_empty(pave__lowered *out) {
    pave__problem *p = &out->problem;
    int64_t n = p->layers[p->layer_count - 1].n;
    out->nothing = p->m == 0 || (n == 0 && !p->reduction);
    drop_before_empty(out);
    if (out->nothing || n) return;
    /* Rows of no columns: their reduction's value is all there is to write. */
    p->op = PAVE_OP_REDUCE;
    p->k = 0;
    p->layer_count = 0;
    p->precision = 0;
}

pave_status pave__lower_chain(pave_context *context, const pave__chain *chain, pave__lowered *out) {
    lowering s = {.context = context, .chain = chain};
    pave__problem *p = &out->problem;
    memset(p, 0, offsetof(pave__problem, layers));
    pave_status status = pave__check_words(chain->reduction, chain->precision);
    if (status) return status;
    if (chain->layer_count < 1 || chain->layer_count > PAVE_MAX_LAYERS || !chain->layers)
        return pave__fail(PAVE_E_INVALID, "layers: %zu where 1 to %d are possible", chain->layer_count,
                          PAVE_MAX_LAYERS);
    memset(p->layers, 0, chain->layer_count * sizeof p->layers[0]);
    pave__matrix x;
    status = pave__check_matrix(context, chain->x, "x", &x);
    if (status) return status;
    s.m = p->m = x.rows;
    p->k = x.cols;
    p->ldx = x.ld;
    p->x_align = x.align;
    p->x_type = (uint8_t)chain->x->type;
    p->op = (uint8_t)(chain->layer_count == 1 ? PAVE_OP_LINEAR : PAVE_OP_MLP);
    p->precision = (uint8_t)chain->precision;
    p->reduction = (uint8_t)chain->reduction;
    p->layer_count = (uint8_t)chain->layer_count;
    status = lower_output(&s, p);
    int64_t k = p->k;
    for (int i = 0; !status && i < p->layer_count; i++) {
        status = lower_layer(&s, i, k, &p->layers[i]);
        k = p->layers[i].n;
    }
    if (status) return status;
    if (!chain->reduction && s.y.cols != k)
        return pave__fail(PAVE_E_INVALID, "y: width %" PRId64 " where W has %" PRId64 " rows", s.y.cols, k);
    if (pave__overlap(chain->x, &x, chain->y, &s.y)) return pave__fail(PAVE_E_INVALID, "y: it overlaps x");
    out->job = (pave__job){chain->x, chain->y, chain->layers};
    settle_empty(out);
    return PAVE_OK;
}
