/* SPDX-License-Identifier: Apache-2.0
 * pave_matmul_grouped: a table of problems. Groups whose operands lie in the same three buffers are one run, which is one
 * launch; every run is lowered and planned before the first one starts. */
#include "src/ops/ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What stands in one buffer from one byte to another. */
typedef struct extent {
    const pave_tensor *tensor;
    pave__reach reach;
    size_t group;
} extent;

typedef struct lowering {
    pave_context *context;
    const pave_grouped_params *params;
    int64_t n;              /* of a bias: every group's */
    extent *a, *b, *y;      /* group_count each */
    pave_abi_group *groups; /* of the run in hand */
    pave__lowered run;
} lowering;

typedef char name_text[48];

static const char *name_of(size_t group, const char *field, name_text text) {
    snprintf(text, sizeof(name_text), "groups[%zu].%s", group, field);
    return text;
}

static int64_t a_rows(const pave_grouped_params *p, size_t g) {
    return p->groups[g].a.shape[p->transpose_a ? 1 : 0];
}
static int64_t a_cols(const pave_grouped_params *p, size_t g) {
    return p->groups[g].a.shape[p->transpose_a ? 0 : 1];
}
static int64_t b_rows(const pave_grouped_params *p, size_t g) {
    return p->groups[g].b.shape[p->transpose_b ? 0 : 1]; /* as the kernels see it: [n, k] */
}
static int64_t b_cols(const pave_grouped_params *p, size_t g) {
    return p->groups[g].b.shape[p->transpose_b ? 1 : 0];
}

static pave_status check_tensor(lowering *s, size_t g, const pave_tensor *t, const pave_tensor *first,
                                const char *field, bool index, int rank, extent *out) {
    name_text text;
    *out = (extent){.tensor = t, .group = g};
    pave_status status = pave__check_tensor(s->context, t, name_of(g, field, text), index, &out->reach);
    if (status) return status;
    if (t->rank != rank) return pave__fail(PAVE_E_INVALID, "%s: rank %d is not %d", text, t->rank, rank);
    if (t->type != first->type)
        return pave__fail(PAVE_E_INVALID, "%s: type %s where the first group's is %s", text,
                          pave_dtype_name(t->type), pave_dtype_name(first->type));
    return PAVE_OK;
}

static pave_status check_group(lowering *s, size_t g) {
    const pave_grouped_params *p = s->params;
    const pave_group *group = &p->groups[g];
    bool reduces = p->epilogue.reduction != 0, index = p->epilogue.reduction == PAVE_REDUCE_ARGMAX;
    name_text text;
    pave_status status = check_tensor(s, g, &group->a, &p->groups[0].a, "a", false, 2, &s->a[g]);
    if (!status) status = check_tensor(s, g, &group->b, &p->groups[0].b, "b", false, 2, &s->b[g]);
    if (!status)
        status = check_tensor(s, g, &group->y, &p->groups[0].y, "y", index, reduces ? 1 : 2, &s->y[g]);
    if (!status) status = pave__check_distinct(&group->y, name_of(g, "y", text));
    if (status) return status;
    if (a_cols(p, g) != b_cols(p, g))
        return pave__fail(PAVE_E_INVALID, "groups[%zu].b: %" PRId64 " deep where a is %" PRId64, g,
                          b_cols(p, g), a_cols(p, g));
    const int64_t shape[2] = {a_rows(p, g), b_rows(p, g)};
    status = pave__check_shape(&group->y, name_of(g, "y", text), reduces ? 1 : 2, shape);
    if (status) return status;
    if (index && shape[0] && shape[1] == 0)
        return pave__fail(PAVE_E_INVALID, "groups[%zu].b: rows of no values have no argmax", g);
    if (index && shape[0] && shape[1] > INT32_MAX)
        return pave__fail(PAVE_E_UNSUPPORTED, "groups[%zu].b: an index of rows of %" PRId64 " passes 31 bits",
                          g, shape[1]);
    if (p->bias.buffer && shape[1] != s->n)
        return pave__fail(PAVE_E_INVALID, "groups[%zu].b: width %" PRId64 " where the bias has %" PRId64, g,
                          shape[1], s->n);
    return PAVE_OK;
}

static int by_place(const void *one, const void *two) {
    const extent *a = one, *b = two;
    if (a->tensor->buffer != b->tensor->buffer)
        return (uintptr_t)a->tensor->buffer < (uintptr_t)b->tensor->buffer ? -1 : 1;
    return (a->reach.begin > b->reach.begin) - (a->reach.begin < b->reach.begin);
}

/* Outputs side by side in one matrix: the same row stride, and columns that do not meet. */
static bool interleaved(const extent *a, const extent *b) {
    const pave_tensor *p = a->tensor, *q = b->tensor;
    if (p->rank != 2 || q->rank != 2 || p->strides[0] != q->strides[0] || p->strides[1] != 1 ||
        q->strides[1] != 1 || p->strides[0] < 1)
        return false;
    int64_t elems = (int64_t)((b->reach.begin - a->reach.begin) / pave_dtype_bytes(p->type));
    int64_t off = elems % p->strides[0];
    return off >= p->shape[1] && off + q->shape[1] <= p->strides[0];
}

/* y's against one another: in order of their places, each only against those that begin within it. */
static pave_status check_outputs(lowering *s, extent *sorted) {
    size_t count = s->params->group_count;
    memcpy(sorted, s->y, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_place);
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1;
             j < count && pave__overlap(sorted[i].tensor, &sorted[i].reach, sorted[j].tensor,
                                        &(pave__reach){sorted[j].reach.begin, sorted[j].reach.begin + 1});
             j++) {
            if (sorted[j].reach.begin == sorted[j].reach.end || interleaved(&sorted[i], &sorted[j])) continue;
            size_t late = sorted[i].group > sorted[j].group ? sorted[i].group : sorted[j].group;
            return pave__fail(PAVE_E_INVALID, "groups[%zu].y: it overlaps y of group %zu", late,
                              sorted[i].group + sorted[j].group - late);
        }
    return PAVE_OK;
}

static pave_status check_inputs(lowering *s, const extent *inputs, const char *field, const extent *sorted) {
    size_t count = s->params->group_count;
    for (size_t g = 0; g < count; g++) {
        const extent *in = &inputs[g];
        size_t low = 0, high = count; /* the first y of the input's buffer */
        while (low < high) {
            size_t mid = low + (high - low) / 2;
            if ((uintptr_t)sorted[mid].tensor->buffer < (uintptr_t)in->tensor->buffer)
                low = mid + 1;
            else
                high = mid;
        }
        for (; low < count && sorted[low].tensor->buffer == in->tensor->buffer &&
               sorted[low].reach.begin < in->reach.end;
             low++)
            if (pave__overlap(in->tensor, &in->reach, sorted[low].tensor, &sorted[low].reach))
                return pave__fail(PAVE_E_INVALID, "groups[%zu].%s: it overlaps y of group %zu", g, field,
                                  sorted[low].group);
    }
    return PAVE_OK;
}

static pave_status check_bias(lowering *s) {
    const pave_grouped_params *p = s->params;
    const pave_tensor *bias = &p->bias;
    pave__reach reach;
    if (!bias->buffer) return PAVE_OK;
    pave_status status = pave__check_tensor(s->context, bias, "bias", false, &reach);
    if (status) return status;
    if (bias->rank > 2 || (bias->rank == 2 && bias->shape[0] != (int64_t)p->group_count))
        return pave__fail(PAVE_E_INVALID, "bias: rank %d and %" PRId64 " rows for %zu groups", bias->rank,
                          bias->shape[0], p->group_count);
    s->n = bias->shape[bias->rank - 1];
    for (size_t g = 0; g < p->group_count; g++)
        if (pave__overlap(bias, &reach, s->y[g].tensor, &s->y[g].reach))
            return pave__fail(PAVE_E_INVALID, "bias: it overlaps y of group %zu", g);
    return PAVE_OK;
}

static pave_status check_epilogue(const lowering *s) {
    const pave_epilogue *e = &s->params->epilogue;
    pave_status status = pave__check_words(e->reduction, s->params->precision);
    if (!status) status = pave__check_epilogue(e, 1);
    if (status) return status;
    if (pave__is_wide(e->reduction) || e->window || e->unreduced.buffer)
        return pave__fail(PAVE_E_INVALID, "epilogue.reduction: groups reduce to one value a row");
    for (int part = 0; part < 2; part++) {
        const pave_link *links = part ? e->after : e->links;
        pave__space none = {0};
        pave__links l = {.name = part ? "epilogue.after" : "epilogue.links",
                         .links = links,
                         .count = part ? e->after_count : e->link_count,
                         .most = PAVE_MAX_LINKS};
        for (size_t i = 0; links && i < l.count && i < PAVE_MAX_LINKS; i++)
            if (links[i].tensor.buffer)
                return pave__fail(PAVE_E_INVALID, "%s[%zu].tensor: groups take none", l.name, i);
        status = pave__links_check(s->context, &l, &none);
        if (status) return status;
    }
    return PAVE_OK;
}

static pave_status check_all(lowering *s) {
    const pave_grouped_params *p = s->params;
    extent *sorted = malloc(p->group_count * sizeof *sorted);
    if (!sorted) return pave__fail(PAVE_E_HOST_MEMORY, "no memory for %zu groups", p->group_count);
    pave_status status = check_epilogue(s);
    if (p->bias.buffer && p->bias.rank >= 1 && p->bias.rank <= 2) s->n = p->bias.shape[p->bias.rank - 1];
    for (size_t g = 0; !status && g < p->group_count; g++) status = check_group(s, g);
    if (!status) status = check_bias(s);
    if (!status) status = check_outputs(s, sorted);
    if (!status) status = check_inputs(s, s->a, "a", sorted);
    if (!status) status = check_inputs(s, s->b, "b", sorted);
    free(sorted);
    return status;
}

static bool is_empty(const pave_grouped_params *p, size_t g) {
    return a_rows(p, g) == 0 || (b_rows(p, g) == 0 && !p->epilogue.reduction);
}

/* Whether group g goes on with the run that `first` began: the same buffers, and where rows are reduced, one width for all
 * rows and one stride for all their values. */
static bool continues(const lowering *s, size_t first, size_t g, int64_t rows) {
    const pave_group *a = &s->params->groups[first], *b = &s->params->groups[g];
    if (a->a.buffer != b->a.buffer || a->b.buffer != b->b.buffer || a->y.buffer != b->y.buffer) return false;
    if (!s->params->epilogue.reduction || is_empty(s->params, g)) return true;
    if (b_rows(s->params, first) != b_rows(s->params, g)) return false;
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
    *out = (pave_abi_group){.m = a_rows(p, g), .n = b_rows(p, g), .k = a_cols(p, g), .row_base = q->m};
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

/* What all groups of a run share: buffers, links, words. */
static void begin_run(const lowering *s, pave__lowered *run, size_t g, const pave_abi_group *groups) {
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
        pave_link bias = {.op = PAVE_LINK_ADD, .tensor = p->bias};
        int64_t col = stride_of(&p->bias, p->bias.rank - 1),
                row = p->bias.rank == 2 ? stride_of(&p->bias, 0) : 0;
        pave__link_lower(&bias, &none, NULL, col, &layer->links[count], &links[count]);
        /* Links take a group's number, which begins anew in each run, for batch index 0. */
        links[count].link.t.batch[0] = row;
        links[count].at.offset += (int64_t)g * row * (int64_t)pave_dtype_bytes(p->bias.type);
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

static void free_lowering(lowering *s) {
    free(s->a);
    free(s->b);
    free(s->y);
    free(s->groups);
}

static pave_status lower(pave_context *context, const pave_grouped_params *p, lowering *s) {
    memset(s, 0, offsetof(lowering, run));
    s->context = context;
    s->params = p;
    pave_status status = pave__check_params(p, p ? p->size : 0, sizeof *p);
    if (status || p->group_count == 0) return status;
    if (!p->groups) return pave__fail(PAVE_E_INVALID, "groups: NULL with group_count %zu", p->group_count);
    if (p->group_count > INT32_MAX) return pave__fail(PAVE_E_INVALID, "groups: %zu of them", p->group_count);
    s->a = malloc(p->group_count * sizeof *s->a);
    s->b = malloc(p->group_count * sizeof *s->b);
    s->y = malloc(p->group_count * sizeof *s->y);
    s->groups = malloc(p->group_count * sizeof *s->groups);
    if (!s->a || !s->b || !s->y || !s->groups)
        return pave__fail(PAVE_E_HOST_MEMORY, "no memory for %zu groups", p->group_count);
    return check_all(s);
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
        status = pave__run(queue, &s->run, s->params->plan, NULL);
    }
    return pave__sync_end(queue, sync, event, status);
}

pave_status pave_matmul_grouped(pave_queue *queue, const pave_grouped_params *params, const pave_sync *sync) {
    lowering s;
    pave_status status = pave__check_queue(queue, sync);
    if (status) return status;
    status = lower(queue->context, params, &s);
    if (!status) status = run_all(queue, &s, sync);
    free_lowering(&s);
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
    free_lowering(&s);
    return status;
}
