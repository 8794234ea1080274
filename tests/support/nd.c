/* SPDX-License-Identifier: Apache-2.0
 * Tensors of any strides in device memory between guard zones. Whatever an operation may not touch, gaps between
 * elements included, is compared byte by byte. */
#include "tests/support/support.h"

#include "tests/support/cm.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_BYTES 4096

bool test_next(int rank, const int64_t *shape, int64_t *index) {
    for (int d = rank - 1; d >= 0; d--) {
        if (++index[d] < shape[d]) return true;
        index[d] = 0;
    }
    return false;
}

static int64_t place_of(const test_nd *t, const int64_t *index) {
    int64_t at = 0;
    for (int d = 0; d < t->tensor.rank; d++) at += index[d] * t->tensor.strides[d];
    return at;
}

static unsigned char *first_of(const test_nd *t) {
    return t->bytes + t->tensor.offset;
}

double test_nd_get(const test_nd *t, int rank, const int64_t *index) {
    int64_t own[PAVE_MAX_RANK];
    const int skip = rank - t->tensor.rank;
    for (int d = 0; d < t->tensor.rank; d++) own[d] = t->tensor.shape[d] == 1 ? 0 : index[skip + d];
    int64_t at = place_of(t, own);
    if (t->tensor.type != PAVE_I32) return test_load(first_of(t), t->tensor.type, at);
    int32_t value;
    memcpy(&value, first_of(t) + 4 * at, sizeof value);
    return value;
}

void test_nd_set(test_nd *t, const int64_t *index, double value) {
    test_store(first_of(t), t->tensor.type, place_of(t, index), value);
}

static double draw(test_fill fill, test_rng *rng) {
    switch (fill) {
    case TEST_INTEGERS: return (double)test_integer(rng, -3, 3);
    case TEST_POSITIVE: return test_uniform(rng, 0.5, 1.5);
    default: return test_uniform(rng, -1, 1);
    }
}

/* Strides from the order in memory; returns the elements from the first to past the last. */
static int64_t lay_out(pave_tensor *x, const test_order *order) {
    int64_t next = order->step ? order->step : 1, span = 1;
    for (int i = x->rank - 1; i >= 0; i--) {
        int d = order->dims ? order->dims[i] - '0' : i;
        if (order->repeat >> d & 1) {
            x->strides[d] = 0;
            continue;
        }
        x->strides[d] = next;
        if (x->shape[d]) span += (x->shape[d] - 1) * next;
        next = next * (x->shape[d] ? x->shape[d] : 1) + (i == x->rank - 1 ? order->pad : 0);
    }
    for (int d = 0; d < x->rank; d++)
        if (!x->shape[d]) span = 0;
    return span;
}

/* Walks all elements, marking them and, where `fill` says so, drawing their values. */
static void fill_elements(test_nd *t, test_fill fill, test_rng *rng) {
    int64_t index[PAVE_MAX_RANK] = {0};
    size_t size = pave_dtype_bytes(t->tensor.type);
    for (int d = 0; d < t->tensor.rank; d++)
        if (!t->tensor.shape[d]) return;
    do {
        if (fill != TEST_POISON) test_nd_set(t, index, draw(fill, rng));
        memset(t->owned + t->tensor.offset + (uint64_t)place_of(t, index) * size, 1, size);
    } while (test_next(t->tensor.rank, t->tensor.shape, index));
}

void test_nd_make(test_nd *t, const test_device *on, pave_dtype type, int rank, const int64_t *shape,
                  const test_order *order, test_fill fill, test_rng *rng) {
    static const test_order natural = {0};
    *t = (test_nd){0};
    t->tensor = pave_tensor_make(NULL, type, rank, shape);
    uint64_t size = pave_dtype_bytes(type);
    int64_t span = lay_out(&t->tensor, order ? order : &natural);
    t->tensor.offset = GUARD_BYTES + (order ? order->offset : 0) * size;
    t->total = t->tensor.offset + (uint64_t)span * size + GUARD_BYTES;
    t->bytes = malloc(t->total);
    t->owned = calloc(1, t->total);
    assert_true(t->bytes && t->owned);
    memset(t->bytes, 0xff, t->total);
    fill_elements(t, fill, rng);
    TEST_OK(pave_buffer_create(on->context, t->total, &t->buffer));
    t->tensor.buffer = t->buffer;
    test_nd_upload(t, on->queue);
}

void test_nd_upload(test_nd *t, pave_queue *queue) {
    TEST_OK(pave_buffer_write(queue, t->buffer, 0, t->bytes, t->total, PAVE_BLOCK, NULL));
}

void test_nd_check(test_nd *t, pave_queue *queue, bool output, const char *what) {
    if (!t->buffer) return;
    unsigned char *now = malloc(t->total);
    assert_non_null(now);
    TEST_OK(pave_buffer_read(queue, t->buffer, 0, now, t->total, PAVE_BLOCK, NULL));
    for (uint64_t i = 0; i < t->total; i++) {
        if (now[i] == t->bytes[i] || (output && t->owned[i])) continue;
        fprintf(stderr, "%s: byte %" PRId64 " from its first element changed\n", what,
                (int64_t)i - (int64_t)t->tensor.offset);
        free(now);
        fail();
    }
    memcpy(t->bytes, now, t->total);
    free(now);
}

void test_nd_free(test_nd *t) {
    pave_buffer_destroy(&t->buffer);
    free(t->bytes);
    free(t->owned);
    *t = (test_nd){0};
}
