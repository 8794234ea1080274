/* SPDX-License-Identifier: Apache-2.0
 * Merges the dimensions that an operation's operands walk together and gives them places in a launch. Knows nothing of
 * what the operands are. */
#include "src/ops/ops.h"

#include <string.h>

void pave__space_begin(pave__space *s, int rank, const int64_t *shape) {
    memset(s, 0, sizeof *s);
    s->rank = rank;
    for (int d = 0; d < rank; d++) {
        s->shape[d] = shape[d];
        s->order[d] = d;
    }
}

void pave__space_order(pave__space *s, const int64_t *strides) {
    for (int i = 1; i < s->rank; i++) {
        int d = s->order[i], at = i;
        for (; at > 0; at--) {
            int before = s->order[at - 1];
            if (strides[before] == 0 || (strides[d] != 0 && strides[before] >= strides[d])) break;
            s->order[at] = before;
        }
        s->order[at] = d;
    }
}

/* Where in the order the next dimension longer than 1 is, or -1. */
static int next_long(const pave__space *s, int at) {
    for (at++; at < s->rank; at++)
        if (s->shape[s->order[at]] != 1) return at;
    return -1;
}

void pave__space_join(pave__space *s, const int64_t *strides) {
    for (int at = next_long(s, -1), next; at >= 0 && (next = next_long(s, at)) >= 0; at = next) {
        int d = s->order[at], e = s->order[next];
        int64_t whole;
        if (__builtin_mul_overflow(strides[e], s->shape[e], &whole) || strides[d] != whole)
            s->apart |= UINT32_C(1) << d;
    }
}

int pave__space_merge(pave__space *s, int *dims) {
    int count = 0;
    int64_t size = 1;
    for (int at = next_long(s, -1); at >= 0; at = next_long(s, at)) {
        int d = s->order[at];
        /* An output walks them all, so no product passes 64 bits but of an empty operation, which launches nothing. */
        if (__builtin_mul_overflow(size, s->shape[d], &size)) size = 0;
        if (next_long(s, at) >= 0 && !(s->apart >> d & 1)) continue;
        s->size[d] = size;
        dims[count++] = d;
        size = 1;
    }
    return count;
}

void pave__space_place(pave__space *s, const int *dims, int count, int batches) {
    s->row = s->col = -1;
    for (int i = 0; i < PAVE_BATCH_DIMS; i++) s->batch[i] = -1;
    for (int i = 0; i < PAVE__OUTER_DIMS; i++) s->outer[i] = -1;
    if (count > 0) s->row = dims[--count];
    for (int i = 0; i < batches && count > 0; i++) s->batch[PAVE_BATCH_DIMS - 1 - i] = dims[--count];
    for (int i = 0; i < PAVE__OUTER_DIMS && count > 0; i++) s->outer[i] = dims[--count];
}

int64_t pave__space_extent(const pave__space *s, int dim) {
    return dim < 0 ? 1 : s->size[dim];
}

void pave__space_extents(const pave__space *s, pave__problem *p, pave__job *job) {
    p->m = pave__space_extent(s, s->row);
    for (int i = 0; i < PAVE_BATCH_DIMS; i++) p->batch[i] = pave__space_extent(s, s->batch[i]);
    for (int i = 0; i < PAVE__OUTER_DIMS; i++) job->outer[i] = pave__space_extent(s, s->outer[i]);
}

static int64_t stride_at(const int64_t *strides, int dim) {
    return dim < 0 ? 0 : strides[dim];
}

void pave__space_operand(const pave__space *s, const pave_tensor *t, const int64_t *strides, int64_t col,
                         pave__operand *o, pave__at *bound) {
    const int64_t size = (int64_t)pave_dtype_bytes(t->type);
    o->row = stride_at(strides, s->row);
    o->col = col;
    o->type = (uint8_t)t->type;
    uint64_t bits = t->offset | t->buffer->align;
    if (o->row != 1) bits |= (uint64_t)(o->row * size);
    if (o->col != 1) bits |= (uint64_t)(o->col * size);
    for (int i = 0; i < PAVE_BATCH_DIMS; i++) {
        o->batch[i] = stride_at(strides, s->batch[i]);
        bits |= (uint64_t)(o->batch[i] * size);
    }
    bound->buffer = t->buffer;
    bound->offset = (int64_t)t->offset;
    for (int i = 0; i < PAVE__OUTER_DIMS; i++) {
        bound->outer[i] = stride_at(strides, s->outer[i]) * size;
        bits |= (uint64_t)bound->outer[i];
    }
    o->align = pave__align_of(bits);
}
