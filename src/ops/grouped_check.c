/* SPDX-License-Identifier: Apache-2.0
 * Checks a table of problems, each argument by its name: every group by itself, then that no output meets another output
 * or an input, in order of their places so that only those that lie together are compared. */
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

typedef struct checking {
    pave_context *context;
    const pave_grouped_params *params;
    int64_t n;         /* of a bias: every group's */
    extent *a, *b, *y; /* group_count each */
    extent *sorted;    /* y's by place */
} checking;

typedef char name_text[48];

static const char *name_of(size_t group, const char *field, name_text text) {
    snprintf(text, sizeof(name_text), "groups[%zu].%s", group, field);
    return text;
}

int64_t pave__grouped_m(const pave_grouped_params *p, size_t g) {
    return p->groups[g].a.shape[p->transpose_a ? 1 : 0];
}

int64_t pave__grouped_n(const pave_grouped_params *p, size_t g) {
    return p->groups[g].b.shape[p->transpose_b ? 0 : 1];
}

int64_t pave__grouped_k(const pave_grouped_params *p, size_t g) {
    return p->groups[g].a.shape[p->transpose_a ? 0 : 1];
}

static pave_status check_tensor(checking *s, size_t g, const pave_tensor *t, const pave_tensor *first,
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

static pave_status check_group(checking *s, size_t g) {
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
    const int64_t depth = group->b.shape[p->transpose_b ? 1 : 0];
    if (pave__grouped_k(p, g) != depth)
        return pave__fail(PAVE_E_INVALID, "groups[%zu].b: %" PRId64 " deep where a is %" PRId64, g, depth,
                          pave__grouped_k(p, g));
    const int64_t shape[2] = {pave__grouped_m(p, g), pave__grouped_n(p, g)};
    status = pave__check_shape(&group->y, name_of(g, "y", text), reduces ? 1 : 2, shape);
    if (status) return status;
    if (index && shape[0] && shape[1] == 0)
        return pave__fail(PAVE_E_INVALID, "groups[%zu].b: rows of no values have no argmax", g);
    if (index && shape[0] && shape[1] > INT32_MAX)
        return pave__fail(PAVE_E_UNSUPPORTED, "groups[%zu].b: an index of rows of %" PRId64 " passes 31 bits",
                          g, shape[1]);
    if (!reduces && shape[1] > 1 && shape[0] > 0 && group->y.strides[1] != 1)
        return pave__fail(PAVE_E_UNSUPPORTED,
                          "groups[%zu].y: its columns are %" PRId64 " apart where groups store them at 1", g,
                          group->y.strides[1]);
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
static pave_status check_outputs(checking *s, extent *sorted) {
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

static pave_status check_inputs(checking *s, const extent *inputs, const char *field, const extent *sorted) {
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

static pave_status check_bias(checking *s) {
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

static pave_status check_epilogue(const checking *s) {
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

static pave_status check_all(checking *s) {
    const pave_grouped_params *p = s->params;
    pave_status status = check_epilogue(s);
    if (p->bias.buffer && p->bias.rank >= 1 && p->bias.rank <= 2) s->n = p->bias.shape[p->bias.rank - 1];
    for (size_t g = 0; !status && g < p->group_count; g++) status = check_group(s, g);
    if (!status) status = check_bias(s);
    if (!status) status = check_outputs(s, s->sorted);
    if (!status) status = check_inputs(s, s->a, "a", s->sorted);
    if (!status) status = check_inputs(s, s->b, "b", s->sorted);
    return status;
}

pave_status pave__check_grouped(pave_context *context, const pave_grouped_params *p) {
    checking s = {.context = context, .params = p};
    pave_status status = pave__check_params(p, p ? p->size : 0, sizeof *p);
    if (status || p->group_count == 0) return status;
    if (!p->groups) return pave__fail(PAVE_E_INVALID, "groups: NULL with group_count %zu", p->group_count);
    if (p->group_count > INT32_MAX) return pave__fail(PAVE_E_INVALID, "groups: %zu of them", p->group_count);
    s.a = malloc(4 * p->group_count * sizeof *s.a);
    if (!s.a) return pave__fail(PAVE_E_HOST_MEMORY, "no memory for %zu groups", p->group_count);
    s.b = s.a + p->group_count;
    s.y = s.b + p->group_count;
    s.sorted = s.y + p->group_count;
    status = check_all(&s);
    free(s.a);
    return status;
}
