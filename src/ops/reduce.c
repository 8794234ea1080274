/* SPDX-License-Identifier: Apache-2.0
 * pave_reduce: a reduction along one axis on its own. The other dimensions are the rows, walked as x lies; windows are
 * one dimension more. */
#include "src/ops/ops.h"

#include <inttypes.h>
#include <string.h>

/* x's dimensions as rows and columns. */
typedef struct axes {
    int axis, rank;                   /* of x; of the rows */
    int from[PAVE_MAX_RANK];          /* x's dimension that a row dimension is; the windows' is the axis */
    int64_t shape[PAVE_MAX_RANK + 1]; /* the rows' */
    int64_t length, windows;          /* of a row; of the axis */
    bool wide, kept;                  /* y has x's shape; y has the axis in some form */
} axes;

static pave_status check_axis(const pave_reduce_params *p, axes *a) {
    const pave_tensor *x = &p->x;
    if (p->axis_from_last < 0 || p->axis_from_last >= x->rank)
        return pave__fail(PAVE_E_INVALID, "axis_from_last: %d of a tensor of rank %d", p->axis_from_last,
                          x->rank);
    a->axis = x->rank - 1 - p->axis_from_last;
    int64_t n = x->shape[a->axis];
    if (p->window < 0 || (p->window && n % p->window))
        return pave__fail(PAVE_E_INVALID, "window: %" PRId64 " is no part of an axis of %" PRId64, p->window,
                          n);
    a->length = p->window ? p->window : n;
    a->windows = p->window ? n / p->window : 1;
    a->wide = pave__is_wide(p->reduction);
    a->kept = a->wide || p->window || x->rank == 1 || p->y.rank == x->rank;
    if (p->reduction == PAVE_REDUCE_ARGMAX && a->length == 0)
        return pave__fail(PAVE_E_INVALID, "x: an axis of no values has no argmax");
    if (p->reduction == PAVE_REDUCE_ARGMAX && a->length > INT32_MAX)
        return pave__fail(PAVE_E_UNSUPPORTED, "x: an index along an axis of %" PRId64 " passes 31 bits",
                          a->length);
    for (int d = 0; d < x->rank; d++) {
        if (d == a->axis) continue;
        a->from[a->rank] = d;
        a->shape[a->rank++] = x->shape[d];
    }
    if (p->window) {
        a->from[a->rank] = a->axis;
        a->shape[a->rank++] = a->windows;
    }
    return PAVE_OK;
}

static int y_shape(const pave_reduce_params *p, const axes *a, int64_t *shape) {
    int rank = 0;
    for (int d = 0; d < p->x.rank; d++) {
        if (d == a->axis && !a->kept) continue;
        shape[rank++] = d != a->axis || a->wide ? p->x.shape[d] : a->windows;
    }
    return rank;
}

/* From strides over y's shape to strides over the rows, and along a row. */
static void to_rows(const pave_reduce_params *p, const axes *a, const int64_t *over_y, int64_t *rows,
                    int64_t *col) {
    int64_t by_x[PAVE_MAX_RANK];
    for (int d = 0, y = 0; d < p->x.rank; d++) by_x[d] = d == a->axis && !a->kept ? 0 : over_y[y++];
    for (int r = 0; r < a->rank; r++) rows[r] = by_x[a->from[r]];
    *col = a->wide && a->length != 1 ? by_x[a->axis] : 0;
    if (p->window && a->wide) rows[a->rank - 1] *= p->window;
}

static void x_to_rows(const pave_reduce_params *p, const axes *a, int64_t *rows, int64_t *col) {
    const bool holds = pave__has_elements(&p->x);
    for (int r = 0; r < a->rank; r++) {
        int d = a->from[r];
        rows[r] = a->shape[r] == 1 || !holds ? 0 : p->x.strides[d] * (d == a->axis ? p->window : 1);
    }
    *col = a->length == 1 || !holds ? 0 : p->x.strides[a->axis];
}

typedef struct lowering {
    const pave_reduce_params *params;
    axes axes;
    pave__space space;
    int y_rank;
    int64_t y_shape[PAVE_MAX_RANK];
    pave__reach x, y;
} lowering;

static pave_status check(pave_context *context, const pave_reduce_params *p, lowering *s) {
    axes *a = &s->axes;
    pave_status status = pave__check_words(p->reduction, PAVE_HIGH);
    if (status) return status;
    if (!p->reduction) return pave__fail(PAVE_E_INVALID, "reduction: none is asked for");
    bool index = p->reduction == PAVE_REDUCE_ARGMAX;
    status = pave__check_tensor(context, &p->x, "x", false, &s->x);
    if (!status) status = pave__check_epsilon(p->reduction, p->epsilon, "epsilon");
    if (!status) status = check_axis(p, a);
    if (!status) status = pave__check_tensor(context, &p->y, "y", index, &s->y);
    if (!status) status = pave__check_distinct(&p->y, "y");
    if (status) return status;
    s->y_rank = y_shape(p, a, s->y_shape);
    status = pave__check_shape(&p->y, "y", s->y_rank, s->y_shape);
    if (status) return status;
    bool same = a->wide && pave__same_view(&p->x, &p->y);
    if (pave__overlap(&p->x, &s->x, &p->y, &s->y) && !same)
        return pave__fail(PAVE_E_INVALID, "y: it overlaps x");
    if (index && p->link_count) return pave__fail(PAVE_E_INVALID, "links: an index takes none");
    return PAVE_OK;
}

/* Links broadcast to y's shape, so their strides are turned to rows one by one. */
static pave_status lower_links(pave_context *context, lowering *s, pave__lowered *out) {
    const pave_reduce_params *p = s->params;
    pave__links l = {.name = "links",
                     .links = p->links,
                     .count = p->link_count,
                     .most = PAVE_MAX_LINKS,
                     .rank = s->y_rank,
                     .shape = s->y_shape,
                     .y = &p->y,
                     .y_reach = &s->y,
                     .may_be_y = true};
    pave__space none = {0}; /* they join below, turned */
    if (out) {
        for (size_t i = 0; i < p->link_count; i++) {
            int64_t over_y[PAVE_MAX_RANK] = {0}, rows[PAVE_MAX_RANK] = {0}, col;
            if (p->links[i].tensor.buffer)
                pave__broadcast(&p->links[i].tensor, s->y_rank, s->y_shape, over_y);
            to_rows(p, &s->axes, over_y, rows, &col);
            pave__link_lower(&p->links[i], &s->space, rows, col, &out->problem.after[i], &out->job.after[i]);
        }
        out->problem.after_count = (uint8_t)p->link_count;
        return PAVE_OK;
    }
    pave_status status = pave__links_check(context, &l, &none);
    for (size_t i = 0; !status && i < p->link_count; i++) {
        int64_t over_y[PAVE_MAX_RANK], rows[PAVE_MAX_RANK], col;
        if (!p->links[i].tensor.buffer) continue;
        pave__broadcast(&p->links[i].tensor, s->y_rank, s->y_shape, over_y);
        to_rows(p, &s->axes, over_y, rows, &col);
        pave__space_join(&s->space, rows);
    }
    return status;
}

static pave_status lower(pave_context *context, const pave_reduce_params *params, pave__lowered *out) {
    lowering s = {.params = params};
    pave_status status = check(context, params, &s);
    if (status) return status;
    pave__problem *p = &out->problem;
    memset(p, 0, offsetof(pave__problem, layers));
    memset(&out->job, 0, offsetof(pave__job, layers));
    int64_t x[PAVE_MAX_RANK], y[PAVE_MAX_RANK], over_y[PAVE_MAX_RANK], x_col, y_col;
    x_to_rows(params, &s.axes, x, &x_col);
    pave__broadcast(&params->y, s.y_rank, s.y_shape, over_y);
    to_rows(params, &s.axes, over_y, y, &y_col);
    pave__space_begin(&s.space, s.axes.rank, s.axes.shape);
    pave__space_order(&s.space, x);
    pave__space_join(&s.space, x);
    pave__space_join(&s.space, y);
    status = lower_links(context, &s, NULL);
    if (status) return status;
    int dims[PAVE_MAX_RANK], count = pave__space_merge(&s.space, dims);
    pave__space_place(&s.space, dims, count, PAVE_BATCH_DIMS);
    pave__space_extents(&s.space, p, &out->job);
    p->op = PAVE_OP_REDUCE;
    p->reduction = (uint8_t)params->reduction;
    p->k = s.axes.length;
    pave__space_operand(&s.space, &params->x, x, x_col, &p->x, &out->job.x);
    pave__space_operand(&s.space, &params->y, y, y_col, &p->y, &out->job.y);
    lower_links(context, &s, out);
    out->job.epsilon = params->epsilon > 0 ? params->epsilon : 1e-5f;
    out->nothing = s.axes.wide && s.axes.length == 0;
    for (int r = 0; r < s.axes.rank; r++) out->nothing |= s.axes.shape[r] == 0;
    return PAVE_OK;
}

static void write_key(pave__key *key, const pave_reduce_params *p) {
    pave__key_begin(key, PAVE_OP_REDUCE, p->plan);
    pave__key_tensor(key, &p->x);
    pave__key_tensor(key, &p->y);
    pave__key_word(key, (uint32_t)p->axis_from_last);
    pave__key_word(key, (uint64_t)p->reduction);
    pave__key_word(key, (uint64_t)p->window);
    pave__key_float(key, p->epsilon);
    pave__key_links(key, p->links, p->link_count);
}

pave_status pave_reduce(pave_queue *queue, const pave_reduce_params *params, const pave_sync *sync) {
    pave__key key;
    pave__lowered lowered;
    pave_status status = pave__check_queue(queue, sync);
    if (!status) status = pave__check_params(params, params ? params->size : 0, sizeof *params);
    if (status) return status;
    write_key(&key, params);
    if (pave__call_known(queue, &key)) return pave__call_again(queue, &key, sync);
    status = lower(queue->context, params, &lowered);
    return status ? status : pave__run(queue, &lowered, params->plan, sync, &key);
}

pave_status pave_plan_reduce(pave_context *context, const pave_reduce_params *params, pave_plan **plan) {
    pave__lowered lowered;
    pave_status status = pave__check_plan_out(context, plan);
    if (!status) status = pave__check_params(params, params ? params->size : 0, sizeof *params);
    if (!status) status = lower(context, params, &lowered);
    return status ? status : pave__plan_of(context, &lowered, plan);
}
