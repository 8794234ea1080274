/* SPDX-License-Identifier: Apache-2.0
 * pave_map and pave_copy: element-wise chains between any layouts. The dimensions are walked as y lies, its innermost are
 * the columns, and the rows are those that x has contiguous, where they are not the same. */
#include "src/ops/ops.h"

#include <string.h>

typedef struct lowering {
    const pave_map_params *params;
    pave__space space;
    pave__links links;
    pave__reach x, y;
    int64_t xs[PAVE_MAX_RANK], ys[PAVE_MAX_RANK];
} lowering;

static pave_status check(pave_context *context, const pave_map_params *p, lowering *s) {
    pave_status status = pave__check_tensor(context, &p->x, "x", false, &s->x);
    if (!status) status = pave__check_tensor(context, &p->y, "y", false, &s->y);
    if (!status) status = pave__check_distinct(&p->y, "y");
    if (status) return status;
    if (!pave__broadcast(&p->x, p->y.rank, p->y.shape, s->xs))
        return pave__fail(PAVE_E_INVALID, "x: its shape does not broadcast to y's");
    if (pave__overlap(&p->x, &s->x, &p->y, &s->y) && !pave__same_view(&p->x, &p->y))
        return pave__fail(PAVE_E_INVALID, "y: it overlaps x and is not exactly x");
    pave__broadcast(&p->y, p->y.rank, p->y.shape, s->ys);
    pave__space_begin(&s->space, p->y.rank, p->y.shape);
    pave__space_order(&s->space, s->ys);
    pave__space_join(&s->space, s->xs);
    pave__space_join(&s->space, s->ys);
    s->links = (pave__links){.name = "links",
                             .links = p->links,
                             .count = p->link_count,
                             .most = PAVE_MAX_LINKS,
                             .rank = p->y.rank,
                             .shape = p->y.shape,
                             .y = &p->y,
                             .y_reach = &s->y,
                             .may_be_y = true};
    return pave__links_check(context, &s->links, &s->space);
}

/* Makes the dimension that has stride 1, if there is one, the last; the others keep their order. */
static void bring_contiguous(int *dims, int count, const int64_t *strides) {
    for (int i = count - 1; i >= 0; i--) {
        if (strides[dims[i]] != 1) continue;
        int d = dims[i];
        for (; i < count - 1; i++) dims[i] = dims[i + 1];
        dims[i] = d;
        return;
    }
}

static pave_status lower(pave_context *context, const pave_map_params *params, pave__lowered *out) {
    lowering s = {.params = params};
    pave_status status = check(context, params, &s);
    if (status) return status;
    pave__problem *p = &out->problem;
    memset(p, 0, offsetof(pave__problem, layers));
    memset(&out->job, 0, offsetof(pave__job, layers));
    int dims[PAVE_MAX_RANK], count = pave__space_merge(&s.space, dims), col = count > 0 ? dims[--count] : -1;
    bring_contiguous(dims, count, s.xs);
    pave__space_place(&s.space, dims, count, PAVE_BATCH_DIMS);
    pave__space_extents(&s.space, p, &out->job);
    p->op = PAVE_OP_MAP;
    p->k = pave__space_extent(&s.space, col);
    pave__space_operand(&s.space, &params->x, s.xs, col < 0 ? 0 : s.xs[col], &p->x, &out->job.x);
    pave__space_operand(&s.space, &params->y, s.ys, col < 0 ? 1 : s.ys[col], &p->y, &out->job.y);
    for (size_t i = 0; i < params->link_count; i++) {
        int64_t strides[PAVE_MAX_RANK] = {0};
        const pave_tensor *t = &params->links[i].tensor;
        if (t->buffer) pave__broadcast(t, params->y.rank, params->y.shape, strides);
        pave__link_lower(&params->links[i], &s.space, strides, col < 0 ? 0 : strides[col], &p->after[i],
                         &out->job.after[i]);
    }
    p->after_count = (uint8_t)params->link_count;
    out->nothing = false;
    for (int d = 0; d < params->y.rank; d++) out->nothing |= params->y.shape[d] == 0;
    return PAVE_OK;
}

static void write_key(pave__key *key, const pave_map_params *p) {
    pave__key_begin(key, PAVE_OP_MAP, p->plan);
    pave__key_tensor(key, &p->x);
    pave__key_tensor(key, &p->y);
    pave__key_links(key, p->links, p->link_count);
}

pave_status pave_map(pave_queue *queue, const pave_map_params *params, const pave_sync *sync) {
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

pave_status pave_copy(pave_queue *queue, const pave_tensor *x, const pave_tensor *y, const pave_sync *sync) {
    pave_status status = pave__check_queue(queue, sync);
    if (status) return status;
    if (!x || !y) return pave__fail(PAVE_E_INVALID, "%s is NULL", x ? "y" : "x");
    pave_map_params params = {.size = sizeof params, .x = *x, .y = *y};
    return pave_map(queue, &params, sync);
}

pave_status pave_plan_map(pave_context *context, const pave_map_params *params, pave_plan **plan) {
    pave__lowered lowered;
    pave_status status = pave__check_plan_out(context, plan);
    if (!status) status = pave__check_params(params, params ? params->size : 0, sizeof *params);
    if (!status) status = lower(context, params, &lowered);
    return status ? status : pave__plan_of(context, &lowered, plan);
}
