/* SPDX-License-Identifier: Apache-2.0
 * A tensor's alignment is its buffer's as much as its offset's: wrapped memory may start anywhere. */
#include "src/ops/ops.h"
#include "tests/support/cm.h"

#include <string.h>

static struct pave_context context;

static pave_buffer buffer_at(uint32_t align) {
    return (pave_buffer){.context = &context, .bytes = 1 << 20, .align = align};
}

static uint32_t matrix_align(uint32_t base, uint64_t offset, int64_t cols, pave_dtype type) {
    pave_buffer buffer = buffer_at(base);
    pave_tensor t = pave_tensor_2d(&buffer, type, 8, cols);
    pave__matrix v;
    t.offset = offset;
    assert_int_equal(pave__check_matrix(&context, &t, "x", &v), PAVE_OK);
    return v.align;
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
    pave__matrix v;
    t.strides[0] = 64;
    assert_int_equal(pave__check_vector(&context, &t, "bias", &v), PAVE_OK);
    assert_int_equal(v.align, 8);
}

static void test_less_than_an_element(void **state) {
    (void)state;
    pave_buffer buffer = buffer_at(2);
    pave_tensor t = pave_tensor_2d(&buffer, PAVE_F32, 8, 8);
    pave__matrix v;
    assert_int_equal(pave__check_matrix(&context, &t, "the_x", &v), PAVE_E_INVALID);
    assert_non_null(strstr(pave_last_message(), "the_x"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_matrix), cmocka_unit_test(test_vector),
                                       cmocka_unit_test(test_less_than_an_element)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
