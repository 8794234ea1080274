/* SPDX-License-Identifier: Apache-2.0
 * pave_matmul_grouped: a table of problems. Groups whose operands lie in the same three buffers are one run, which is one
 * launch; every run is lowered and planned before the first one starts. */
#include "src/ops/ops.h"

#include <stdlib.h>
#include <string.h>

typedef struct lowering {
    const pave_grouped_params *params;
    pave_abi_group *groups; /* of the run in hand */
    pave__lowered run;
} lowering;

static bool is_empty(const pave_grouped_params *p, size_t g) {
    return pave__grouped_m(p, g) == 0 || (pave__grouped_n(p, g) == 0 && !p->epilogue.reduction);
}

/* Whether group g goes on with the run that `first` began: the same buffers, and where rows are reduced, one width for all
 * rows and one stride for all their values. */
static bool continues(const lowering *s, size_t first, size_t g, int64_t rows) {
    const pave_group *a = &s->params->groups[first], *b = &s->params->groups[g];
    if (a->a.buffer != b->a.buffer || a->b.buffer != b->b.buffer || a->y.buffer != b->y.buffer) return false;
    if (!s->params->epilogue.reduction || is_empty(s->params, g)) return true;
    if (pave__grouped_n(s->params, first) != pave__grouped_n(s->params, g)) return false;
    int64_t stride = a->y.strides[0];
    uint64_t next = a->y.offset + (uint64_t)(rows * stride) * pave_dtype_bytes(a->y.type);
    return b->y.offset == next && (b->y.shape[0] == 1 || b->y.strides[0] == stride);
}

/* Adds to what the groups of a run have in common; `first` begins it. */
static void widen(pave__operand *o, const pave_tensor *t, int64_t row, int64_t col, bool first) {
    size_t size = pave_dtype_bytes(t->type);
    uint64_t bits = t->offset | t->buffer->align;
    if (row != 1) bits |= (uint64_t)row * size;
    if (col != 1) bits |= (uint64_t)col * size;
    if (first) *o = (pave__operand){.row = row, .col = col, .align = 256, .type = (uint8_t)t->type};
    if (row > o->row) o->row = row;
    if (o->col != col) o->col = 2; /* not the same in all groups: whoever needs 1 must not count on it */
    o->align = pave__align_of(o->align | bits);
}

static int64_t stride_of(const pave_tensor *t, int dim) {
    return t->shape[dim] == 1 || !pave__has_elements(t) ? 0 : t->strides[dim];
}

static int64_t unit_stride_of(const pave_tensor *t, int dim) {
    return t->shape[dim] == 1 || !pave__has_elements(t) ? 1 : t->strides[dim];
}

static void add_group(const lowering *s, pave__lowered *run, size_t g, pave_abi_group *out) {
    const pave_grouped_params *p = s->params;
    const pave_group *group = &p->groups[g];
    pave__problem *q = &run->problem;
    bool first = q->m == 0;
    int a_row = p->transpose_a ? 1 : 0, b_row = p->transpose_b ? 0 : 1;
    *out = (pave_abi_group){
        .m = pave__grouped_m(p, g), .n = pave__grouped_n(p, g), .k = pave__grouped_k(p, g), .row_base = q->m};
    out->a_offset = (int64_t)group->a.offset, out->b_offset = (int64_t)group->b.offset;
    out->a_row = stride_of(&group->a, a_row), out->a_col = unit_stride_of(&group->a, 1 - a_row);
    out->b_row = stride_of(&group->b, b_row), out->b_col = unit_stride_of(&group->b, 1 - b_row);
    q->groups++;
    if (is_empty(p, g)) out->m = 0;
    if (out->m == 0) return;
    if (p->alpha && *p->alpha == 0) out->k = 0;
    q->m += out->m;
    if (out->m > q->group_rows) q->group_rows = out->m;
    if (out->k > q->k) q->k = out->k;
    if (out->n > q->layers[0].n) q->layers[0].n = out->n;
    widen(&q->x, &group->a, out->a_row, out->a_col, first);
    widen(&q->layers[0].w, &group->b, out->b_row, out->b_col, first);
    if (p->epilogue.reduction) {
        if (!first) return;
        widen(&q->y, &group->y, group->y.strides[0], 0, true);
        run->job.y.offset = (int64_t)group->y.offset;
        return;
    }
    out->y_offset = (int64_t)group->y.offset;
    out->y_row = stride_of(&group->y, 0);
    widen(&q->y, &group->y, out->y_row, unit_stride_of(&group->y, 1), first);
}

/* Links take a group's number, which begins anew in each run, for batch index 0; g is the run's first. */
static void lower_bias(const pave_grouped_params *p, size_t g, const pave__space *none, pave__plink *plink,
                       pave__joblink *job) {
    const pave_tensor *bias = &p->bias;
    const pave_link link = {.op = PAVE_LINK_ADD, .tensor = *bias};
    int64_t row = bias->rank == 2 ? stride_of(bias, 0) : 0;
    pave__link_lower(&link, none, NULL, stride_of(bias, bias->rank - 1), plink, job);
    job->link.t.batch[0] = row;
    job->at.offset += (int64_t)g * row * (int64_t)pave_dtype_bytes(bias->type);
}

/* What all groups of a run share: buffers, links, words. */
static void begin_run(const lowering *s, pave__lowered *run, size_t g, pave_abi_group *groups) {
    const pave_grouped_params *p = s->params;
    const pave_epilogue *e = &p->epilogue;
    pave__problem *q = &run->problem;
    pave__player *layer = &q->layers[0];
    pave__joblink *links = run->job.layers[0].links;
    memset(q, 0, offsetof(pave__problem, layers) + sizeof q->layers[0]);
    memset(&run->job, 0, offsetof(pave__job, layers) + sizeof run->job.layers[0]);
    q->batch[0] = q->batch[1] = q->batch[2] = 1;
    q->op = PAVE_OP_GROUPED;
    q->precision = (uint8_t)p->precision;
    q->reduction = (uint8_t)e->reduction;
    q->layer_count = 1;
    run->job.x.buffer = p->groups[g].a.buffer;
    run->job.layers[0].w.buffer = p->groups[g].b.buffer;
    run->job.y.buffer = p->groups[g].y.buffer;
    for (int d = 0; d < PAVE__OUTER_DIMS; d++) run->job.outer[d] = 1;
    run->job.groups = groups;
    pave__space none;
    pave__space_begin(&none, 0, NULL);
    pave__space_place(&none, NULL, 0, 0);
    int count = 0;
    if (p->alpha && *p->alpha != 1 && *p->alpha != 0) {
        pave_link scale = {.op = PAVE_LINK_MUL, .a = *p->alpha};
        pave__link_lower(&scale, &none, NULL, 0, &layer->links[count], &links[count]);
        count++;
    }
    if (p->bias.buffer) {
        lower_bias(p, g, &none, &layer->links[count], &links[count]);
        count++;
    }
    for (size_t i = 0; i < e->link_count; i++, count++)
        pave__link_lower(&e->links[i], &none, NULL, 0, &layer->links[count], &links[count]);
    layer->link_count = (uint8_t)count;
    for (size_t i = 0; i < e->after_count; i++)
        pave__link_lower(&e->after[i], &none, NULL, 0, &q->after[i], &run->job.after[i]);
    q->after_count = (uint8_t)e->after_count;
}

/* Lowers the run that begins with group `first`; returns the group after its last. */
static size_t next_run(lowering *s, size_t first) {
    size_t g = first;
    begin_run(s, &s->run, first, s->groups);
    do {
        add_group(s, &s->run, g, &s->groups[g - first]);
        g++;
    } while (g < s->params->group_count && continues(s, first, g, s->run.problem.m));
    s->run.nothing = s->run.problem.m == 0;
    return g;
}

static pave_status lower(pave_context *context, const pave_grouped_params *p, lowering *s) {
    s->params = p;
    s->groups = NULL;
    pave_status status = pave__check_grouped(context, p);
    if (status || p->group_count == 0) return status;
    s->groups = malloc(p->group_count * sizeof *s->groups);
    return s->groups ? PAVE_OK : pave__fail(PAVE_E_HOST_MEMORY, "no memory for %zu groups", p->group_count);
}

/* That every run has a plan and what that needs, before any of them starts. Context and queue keep what is made. */
static pave_status plan_all(pave_queue *queue, lowering *s) {
    const pave_plan *given = s->params->plan;
    pave_status status = PAVE_OK;
    for (size_t g = 0; !status && g < s->params->group_count;) {
        pave_plan *plan;
        g = next_run(s, g);
        if (s->run.nothing) continue;
        if (given) {
            status = pave__plan_check(given, queue->context, &s->run.problem);
            if (!status) status = pave__make_ready(queue, given);
            continue;
        }
        status = pave__plan_get(queue->context, &s->run.problem, &plan);
        if (status) return status;
        status = pave__make_ready(queue, plan);
        pave__plan_release(plan);
    }
    return status;
}

/* One event spans all runs. */
static pave_status run_all(pave_queue *queue, lowering *s, const pave_sync *sync) {
    pave_event *event;
    pave_status status = plan_all(queue, s);
    if (!status) status = pave__sync_begin(queue, sync, &event);
    if (status) return status;
    for (size_t g = 0; !status && g < s->params->group_count;) {
        g = next_run(s, g);
        status = pave__run(queue, &s->run, s->params->plan, NULL, NULL);
    }
    return pave__sync_end(queue, sync, event, status);
}

pave_status pave_matmul_grouped(pave_queue *queue, const pave_grouped_params *params, const pave_sync *sync) {
    lowering s;
    pave_status status = pave__check_queue(queue, sync);
    if (status) return status;
    status = lower(queue->context, params, &s);
    if (!status) status = run_all(queue, &s, sync);
    free(s.groups);
    return status;
}

pave_status pave_plan_grouped(pave_context *context, const pave_grouped_params *params, pave_plan **plan) {
    lowering s;
    pave_status status = pave__check_plan_out(context, plan);
    if (status) return status;
    status = lower(context, params, &s);
    s.run.nothing = true;
    for (size_t g = 0; !status && s.run.nothing && g < params->group_count;) g = next_run(&s, g);
    if (!status) status = pave__plan_of(context, &s.run, plan);
    free(s.groups);
    return status;
}
