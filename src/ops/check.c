/* SPDX-License-Identifier: Apache-2.0
 * Checks that operations share: of single tensors, their types, ranks, strides and reach in checked
 * arithmetic, of words, and of the handles that come with a call. */
#include "src/ops/ops.h"

#include <inttypes.h>

bool pave__flatten(const pave_tensor *t, int dims, int64_t *count, int64_t *stride) {
    *count = 1;
    *stride = 0;
    for (int d = 0; d < dims; d++)
        if (t->shape[d] == 0) *count = 0;
    for (int d = dims - 1; d >= 0 && *count; d--) {
        if (t->shape[d] == 1) continue;
        int64_t expected;
        if (*count == 1)
            *stride = t->strides[d];
        else if (__builtin_mul_overflow(*stride, *count, &expected) || t->strides[d] != expected)
            return false;
        if (__builtin_mul_overflow(*count, t->shape[d], count)) return false;
    }
    return true;
}

static pave_status check_common(const pave_context *context, const pave_tensor *t, const char *name) {
    if (!t->buffer) return pave__fail(PAVE_E_INVALID, "%s: it has no buffer", name);
    if (t->buffer->context != context)
        return pave__fail(PAVE_E_INVALID, "%s: its buffer is of another context", name);
    size_t size = pave_dtype_bytes(t->type);
    if (!size) return pave__fail(PAVE_E_INVALID, "%s: type %d is none of f32, f16, bf16", name, (int)t->type);
    if (t->rank < 1 || t->rank > PAVE_MAX_RANK)
        return pave__fail(PAVE_E_INVALID, "%s: rank %d is not 1 to %d", name, t->rank, PAVE_MAX_RANK);
    if (t->offset % size)
        return pave__fail(PAVE_E_INVALID, "%s: offset %" PRIu64 " is not a multiple of its %zu-byte elements",
                          name, t->offset, size);
    if (t->buffer->align < size)
        return pave__fail(PAVE_E_INVALID,
                          "%s: its wrapped buffer starts at no multiple of its %zu-byte elements", name,
                          size);
    for (int d = 0; d < t->rank; d++)
        if (t->shape[d] < 0)
            return pave__fail(PAVE_E_INVALID, "%s: shape[%d] is %" PRId64, name, d, t->shape[d]);
    return PAVE_OK;
}

/* The bytes from the first to past the last element of rows × cols, or an error where they leave the buffer.
 */
static pave_status check_reach(const pave_tensor *t, const char *name, pave__matrix *v) {
    int64_t size = (int64_t)pave_dtype_bytes(t->type), elems, bytes;
    v->begin = v->end = t->offset;
    if (v->rows == 0 || v->cols == 0) return PAVE_OK;
    bool over = __builtin_mul_overflow(v->rows - 1, v->ld, &elems);
    over = over || __builtin_add_overflow(elems, v->cols, &elems);
    over = over || __builtin_mul_overflow(elems, size, &bytes);
    uint64_t total = t->buffer->bytes;
    if (over || t->offset > total || (uint64_t)bytes > total - t->offset)
        return pave__fail(PAVE_E_INVALID,
                          "%s: %" PRId64 " rows of %" PRId64 " with stride %" PRId64 " from offset %" PRIu64
                          " leave its buffer of %" PRIu64 " bytes",
                          name, v->rows, v->cols, v->ld, t->offset, total);
    v->end = t->offset + (uint64_t)bytes;
    return PAVE_OK;
}

static uint32_t alignment(const pave_tensor *t, int64_t ld, bool one_row) {
    uint64_t bits = t->offset | t->buffer->align;
    if (!one_row) bits |= (uint64_t)ld * pave_dtype_bytes(t->type);
    return pave__align_of(bits);
}

pave_status pave__check_matrix(const pave_context *context, const pave_tensor *t, const char *name,
                               pave__matrix *v) {
    pave_status status = check_common(context, t, name);
    if (status) return status;
    v->cols = t->shape[t->rank - 1];
    if (v->cols > 1 && t->strides[t->rank - 1] != 1)
        return pave__fail(PAVE_E_UNSUPPORTED, "%s: its last stride is %" PRId64 ", not 1", name,
                          t->strides[t->rank - 1]);
    if (!pave__flatten(t, t->rank - 1, &v->rows, &v->ld))
        return pave__fail(PAVE_E_UNSUPPORTED, "%s: no single row stride covers its leading dimensions", name);
    bool one_row = v->rows <= 1;
    /* A lone row has no stride to speak of: one value for all, so that equal problems share a plan. */
    if (one_row) v->ld = v->cols > INT64_MAX - 127 ? v->cols : (v->cols + 127) / 128 * 128;
    if (v->ld < v->cols)
        return pave__fail(PAVE_E_INVALID, "%s: row stride %" PRId64 " is less than its width %" PRId64, name,
                          v->ld, v->cols);
    v->align = alignment(t, v->ld, one_row);
    return check_reach(t, name, v);
}

pave_status pave__check_vector(const pave_context *context, const pave_tensor *t, const char *name,
                               pave__matrix *v) {
    pave_status status = check_common(context, t, name);
    if (status) return status;
    if (!pave__flatten(t, t->rank, &v->rows, &v->ld))
        return pave__fail(PAVE_E_UNSUPPORTED, "%s: no single stride covers its dimensions", name);
    v->cols = 1;
    if (v->rows <= 1) v->ld = 1;
    if (v->ld < 1) return pave__fail(PAVE_E_INVALID, "%s: stride %" PRId64 " is not positive", name, v->ld);
    v->align = alignment(t, v->ld, false);
    return check_reach(t, name, v);
}

bool pave__overlap(const pave_tensor *a, const pave__matrix *va, const pave_tensor *b,
                   const pave__matrix *vb) {
    return a->buffer == b->buffer && va->begin < vb->end && vb->begin < va->end;
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
