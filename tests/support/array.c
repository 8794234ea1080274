/* SPDX-License-Identifier: Apache-2.0
 * Arrays in device memory between guard zones. Whatever an operation may not touch is compared byte by byte.
 */
#include "tests/support/support.h"

#include "tests/support/cm.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_BYTES 4096

void test_ok(pave_status status, const char *call, const char *file, int line) {
    if (status == PAVE_OK) return;
    fprintf(stderr, "%s:%d: %s: %s: %s\n", file, line, call, pave_status_name(status), pave_last_message());
    fail();
}

double test_array_get(const test_array *a, int64_t row, int64_t col) {
    return test_load(a->elems, a->type, row * a->ld + col);
}

void test_array_set(test_array *a, int64_t row, int64_t col, double value) {
    test_store(a->elems, a->type, row * a->ld + col, value);
}

static double draw(test_fill fill, test_rng *rng) {
    switch (fill) {
    case TEST_INTEGERS: return (double)test_integer(rng, -3, 3);
    case TEST_POSITIVE: return test_uniform(rng, 0.5, 1.5);
    default: return test_uniform(rng, -1, 1);
    }
}

void test_array_make(test_array *a, const test_device *on, pave_dtype type, int64_t rows, int64_t cols,
                     test_layout layout, test_fill fill, test_rng *rng) {
    *a = (test_array){.type = type, .rows = rows, .cols = cols, .ld = cols + layout.pad};
    uint64_t size = pave_dtype_bytes(type), begin = GUARD_BYTES + layout.offset * size;
    uint64_t span = rows && cols ? ((uint64_t)(rows - 1) * (uint64_t)a->ld + (uint64_t)cols) * size : 0;
    a->total = begin + span + GUARD_BYTES;
    a->bytes = malloc(a->total);
    assert_non_null(a->bytes);
    memset(a->bytes, 0xff, a->total);
    a->elems = a->bytes + begin;
    if (fill != TEST_POISON)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < cols; j++) test_array_set(a, i, j, draw(fill, rng));
    TEST_OK(pave_buffer_create(on->context, a->total, &a->buffer));
    a->tensor = pave_tensor_2d(a->buffer, type, rows, cols);
    a->tensor.strides[0] = a->ld;
    a->tensor.offset = begin;
    test_array_upload(a, on->queue);
}

void test_array_upload(test_array *a, pave_queue *queue) {
    TEST_OK(pave_buffer_write(queue, a->buffer, 0, a->bytes, a->total, PAVE_BLOCK, NULL));
    free(a->values);
    a->values = calloc((size_t)(a->rows * a->cols) + 1, sizeof *a->values);
    assert_non_null(a->values);
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t j = 0; j < a->cols; j++) a->values[i * a->cols + j] = test_array_get(a, i, j);
}

static bool is_element(const test_array *a, uint64_t at) {
    uint64_t size = pave_dtype_bytes(a->type), begin = (uint64_t)(a->elems - a->bytes);
    if (at < begin || !a->ld) return false;
    uint64_t index = (at - begin) / size, row = index / (uint64_t)a->ld;
    return row < (uint64_t)a->rows && index % (uint64_t)a->ld < (uint64_t)a->cols;
}

void test_array_check(test_array *a, pave_queue *queue, bool output, const char *what) {
    unsigned char *now = malloc(a->total);
    assert_non_null(now);
    TEST_OK(pave_buffer_read(queue, a->buffer, 0, now, a->total, PAVE_BLOCK, NULL));
    for (uint64_t i = 0; i < a->total; i++) {
        if (now[i] == a->bytes[i] || (output && is_element(a, i))) continue;
        fprintf(stderr,
                "%s: byte %" PRId64 " from its first element changed (%" PRId64 " x %" PRId64 ", ld %" PRId64
                ")\n",
                what, (int64_t)i - (int64_t)(a->elems - a->bytes), a->rows, a->cols, a->ld);
        free(now);
        fail();
    }
    memcpy(a->bytes, now, a->total);
    free(now);
}

void test_array_free(test_array *a) {
    pave_buffer_destroy(&a->buffer);
    free(a->bytes);
    free(a->values);
    *a = (test_array){0};
}

pave_tensor test_vector(const test_array *a) {
    pave_tensor t = pave_tensor_1d(a->buffer, a->type, a->rows == 1 ? a->cols : a->rows);
    t.offset = a->tensor.offset;
    if (a->rows != 1) t.strides[0] = a->ld;
    return t;
}
