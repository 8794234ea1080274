/* SPDX-License-Identifier: Apache-2.0
 * Checks that operations share: of single tensors, their types, ranks, strides and reach in checked
 * arithmetic, of words, and of the handles that come with a call. */
#include "src/ops/ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static pave_status check_common(const pave_context *context, const pave_tensor *t, const char *name,
                                bool indices) {
    if (!t->buffer) return pave__fail(PAVE_E_INVALID, "%s: it has no buffer", name);
    if (t->buffer->context != context)
        return pave__fail(PAVE_E_INVALID, "%s: its buffer is of another context", name);
    size_t size = pave_dtype_bytes(t->type);
    if (indices && t->type != PAVE_I32)
        return pave__fail(PAVE_E_INVALID, "%s: type %s where indices are i32", name,
                          pave_dtype_name(t->type));
    if (!indices && (!size || t->type == PAVE_I32))
        return pave__fail(PAVE_E_INVALID, "%s: type %d is none of f32, f16, bf16, e4m3, e5m2", name,
                          (int)t->type);
    if (t->rank < 1 || t->rank > PAVE_MAX_RANK)
        return pave__fail(PAVE_E_INVALID, "%s: rank %d is not 1 to %d", name, t->rank, PAVE_MAX_RANK);
    if (t->offset % size)
        return pave__fail(PAVE_E_INVALID, "%s: offset %" PRIu64 " is not a multiple of its %zu-byte elements",
                          name, t->offset, size);
    if (t->buffer->align < size)
        return pave__fail(PAVE_E_INVALID,
                          "%s: its wrapped buffer starts at no multiple of its %zu-byte elements", name,
                          size);
    for (int d = 0; d < t->rank; d++) {
        if (t->shape[d] < 0)
            return pave__fail(PAVE_E_INVALID, "%s: shape[%d] is %" PRId64, name, d, t->shape[d]);
        if (t->strides[d] < 0)
            return pave__fail(PAVE_E_INVALID, "%s: strides[%d] is %" PRId64, name, d, t->strides[d]);
    }
    return PAVE_OK;
}

/* "[4,6] with strides [6,1]" */
static const char *layout_text(const pave_tensor *t, char *text, size_t capacity) {
    size_t used = 0;
    for (int part = 0; part < 2; part++) {
        const int64_t *v = part ? t->strides : t->shape;
        for (int d = 0; d < t->rank && used < capacity; d++)
            used += (size_t)snprintf(text + used, capacity - used, "%s%" PRId64,
                                     d      ? ","
                                     : part ? "["
                                            : "[",
                                     v[d]);
        if (used < capacity)
            used += (size_t)snprintf(text + used, capacity - used, "%s", part ? "]" : "] with strides ");
    }
    return text;
}

bool pave__has_elements(const pave_tensor *t) {
    for (int d = 0; d < t->rank; d++)
        if (t->shape[d] == 0) return false;
    return true;
}

static pave_status check_reach(const pave_tensor *t, const char *name, pave__reach *r) {
    int64_t last = 0, step, bytes;
    r->begin = r->end = t->offset;
    if (!pave__has_elements(t)) return PAVE_OK;
    bool over = false;
    for (int d = 0; d < t->rank; d++) {
        over = over || __builtin_mul_overflow(t->shape[d] - 1, t->strides[d], &step);
        over = over || __builtin_add_overflow(last, step, &last);
    }
    over = over || __builtin_add_overflow(last, 1, &last);
    over = over || __builtin_mul_overflow(last, (int64_t)pave_dtype_bytes(t->type), &bytes);
    uint64_t total = t->buffer->bytes;
    if (over || t->offset > total || (uint64_t)bytes > total - t->offset) {
        char text[256];
        return pave__fail(PAVE_E_INVALID,
                          "%s: shape %s from offset %" PRIu64 " leaves its buffer of %" PRIu64 " bytes", name,
                          layout_text(t, text, sizeof text), t->offset, total);
    }
    r->end = t->offset + (uint64_t)bytes;
    return PAVE_OK;
}

pave_status pave__check_tensor(const pave_context *context, const pave_tensor *t, const char *name,
                               bool indices, pave__reach *reach) {
    pave_status status = check_common(context, t, name, indices);
    return status ? status : check_reach(t, name, reach);
}

/* From the smallest stride up, each must step over all that the smaller ones reach. */
pave_status pave__check_distinct(const pave_tensor *t, const char *name) {
    int order[PAVE_MAX_RANK], count = 0;
    if (!pave__has_elements(t)) return PAVE_OK;
    for (int d = 0; d < t->rank; d++) {
        if (t->shape[d] == 1) continue;
        int at = count++;
        for (; at > 0 && t->strides[order[at - 1]] > t->strides[d]; at--) order[at] = order[at - 1];
        order[at] = d;
    }
    int64_t reach = 0; /* cannot overflow: the tensor lies within its buffer */
    for (int i = 0; i < count; i++) {
        int d = order[i];
        if (t->strides[d] <= reach) {
            char text[256];
            return pave__fail(PAVE_E_INVALID, "%s: elements of shape %s share memory", name,
                              layout_text(t, text, sizeof text));
        }
        reach += (t->shape[d] - 1) * t->strides[d];
    }
    return PAVE_OK;
}

pave_status pave__check_shape(const pave_tensor *t, const char *name, int rank, const int64_t *shape) {
    bool same = t->rank == rank;
    for (int d = 0; same && d < rank; d++) same = t->shape[d] == shape[d];
    if (same) return PAVE_OK;
    char text[256], want[160] = "";
    size_t used = 0;
    for (int d = 0; d < rank && used < sizeof want; d++)
        used += (size_t)snprintf(want + used, sizeof want - used, "%s%" PRId64, d ? "," : "", shape[d]);
    return pave__fail(PAVE_E_INVALID, "%s: shape %s where [%s] is the result's", name,
                      layout_text(t, text, sizeof text), want);
}

bool pave__overlap(const pave_tensor *a, const pave__reach *ra, const pave_tensor *b, const pave__reach *rb) {
    if (a->buffer != b->buffer || ra->begin == ra->end || rb->begin == rb->end) return false;
    return ra->begin < rb->end && rb->begin < ra->end;
}

bool pave__same_view(const pave_tensor *a, const pave_tensor *b) {
    if (a->buffer != b->buffer || a->offset != b->offset || a->type != b->type) return false;
    int rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 1; i <= rank; i++) {
        int64_t na = i <= a->rank ? a->shape[a->rank - i] : 1, nb = i <= b->rank ? b->shape[b->rank - i] : 1;
        if (na != nb || (na != 1 && a->strides[a->rank - i] != b->strides[b->rank - i])) return false;
    }
    return true;
}

bool pave__broadcast(const pave_tensor *t, int rank, const int64_t *shape, int64_t *strides) {
    const int skip = rank - t->rank;
    const bool holds = pave__has_elements(t);
    for (int d = 0; d < -skip; d++)
        if (t->shape[d] != 1) return false;
    for (int d = 0; d < rank; d++) {
        int own = d - skip;
        strides[d] = 0;
        if (own < 0 || t->shape[own] == 1) continue;
        if (t->shape[own] != shape[d]) return false;
        if (holds) strides[d] = t->strides[own];
    }
    return true;
}

pave_status pave__check_epsilon(pave_reduction reduction, float epsilon, const char *name) {
    if (reduction != PAVE_REDUCE_NORMALIZE || epsilon >= 0) return PAVE_OK;
    return pave__fail(PAVE_E_INVALID, "%s: %g is less than 0 or no number", name, (double)epsilon);
}

pave_status pave__check_words(pave_reduction reduction, pave_precision precision) {
    if ((int)reduction < 0 || (int)reduction > PAVE__REDUCE_LAST)
        return pave__fail(PAVE_E_INVALID, "reduction: %d is no reduction", (int)reduction);
    if ((int)precision < 0 || precision > PAVE_MEDIUM)
        return pave__fail(PAVE_E_INVALID, "precision: %d is none of HIGHEST, HIGH, MEDIUM", (int)precision);
    return PAVE_OK;
}

pave_status pave__check_params(const void *params, size_t size, size_t known) {
    if (!params) return pave__fail(PAVE_E_INVALID, "params is NULL");
    if (size != known)
        return pave__fail(PAVE_E_INVALID, "params->size is %zu where this library has %zu", size, known);
    return PAVE_OK;
}

pave_status pave__check_queue(const pave_queue *queue, const pave_sync *sync) {
    if (sync && sync->event) *sync->event = NULL;
    return queue ? PAVE_OK : pave__fail(PAVE_E_INVALID, "queue is NULL");
}

pave_status pave__check_plan_out(const pave_context *context, pave_plan **plan) {
    if (!plan) return pave__fail(PAVE_E_INVALID, "plan is NULL");
    *plan = NULL;
    return context ? PAVE_OK : pave__fail(PAVE_E_INVALID, "context is NULL");
}
