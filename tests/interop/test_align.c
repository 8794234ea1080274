/* SPDX-License-Identifier: Apache-2.0
 * A tensor's alignment is its buffer's as much as its offset's: wrapped memory may start anywhere. */
#include "src/ops/ops.h"
#include "tests/support/cm.h"

#include <string.h>

static struct pave_context context;

static pave_buffer buffer_at(uint32_t align) {
    return (pave_buffer){.context = &context, .bytes = 1 << 20, .align = align};
}

/* Of a tensor's operand, all of whose dimensions but the last are rows. */
static uint32_t operand_align(const pave_tensor *t) {
    pave__space space;
    int dims[PAVE_MAX_RANK];
    pave__operand o = {0};
    pave__at at;
    pave__space_begin(&space, t->rank - 1, t->shape);
    pave__space_join(&space, t->strides);
    pave__space_place(&space, dims, pave__space_merge(&space, dims), PAVE_BATCH_DIMS);
    pave__space_operand(&space, t, t->strides, t->strides[t->rank - 1], &o, &at);
    return o.align;
}

static uint32_t matrix_align(uint32_t base, uint64_t offset, int64_t cols, pave_dtype type) {
    pave_buffer buffer = buffer_at(base);
    pave_tensor t = pave_tensor_2d(&buffer, type, 8, cols);
    t.offset = offset;
    return operand_align(&t);
}

static void test_matrix(void **state) {
    (void)state;
    assert_int_equal(matrix_align(256, 0, 64, PAVE_F32), 256);
    assert_int_equal(matrix_align(4, 0, 64, PAVE_F32), 4);
    assert_int_equal(matrix_align(4, 12, 64, PAVE_F32),
                     4); /* 4 + 12 may be 16, but only the power is known */
    assert_int_equal(matrix_align(16, 4, 64, PAVE_F32), 4);
    assert_int_equal(matrix_align(16, 0, 64, PAVE_F32), 16);
    assert_int_equal(matrix_align(256, 0, 5, PAVE_F32), 4); /* the row stride */
    assert_int_equal(matrix_align(2, 0, 64, PAVE_F16), 2);
}

static void test_vector(void **state) {
    (void)state;
    pave_buffer buffer = buffer_at(8);
    pave_tensor t = pave_tensor_1d(&buffer, PAVE_F32, 64);
    t.strides[0] = 64;
    assert_int_equal(operand_align(&t), 8);
}

static void test_less_than_an_element(void **state) {
    (void)state;
    pave_buffer buffer = buffer_at(2);
    pave_tensor t = pave_tensor_2d(&buffer, PAVE_F32, 8, 8);
    pave__reach reach;
    assert_int_equal(pave__check_tensor(&context, &t, "the_x", false, &reach), PAVE_E_INVALID);
    assert_non_null(strstr(pave_last_message(), "the_x"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_matrix), cmocka_unit_test(test_vector),
                                       cmocka_unit_test(test_less_than_an_element)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
