/* SPDX-License-Identifier: Apache-2.0
 * float8 to and from every other type by every map row: all codes, all half-width floats, hard cases of float32, any
 * alignment; and what a device does not read in float8 is refused with the reason. */
#include "tests/kernels/cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const pave_dtype float8[] = {PAVE_E4M3, PAVE_E5M2};

static void put_bits(test_array *a, int64_t i, uint32_t bits) {
    size_t size = pave_dtype_bytes(a->type);
    for (size_t b = 0; b < size; b++) a->elems[(size_t)i * size + b] = (unsigned char)(bits >> 8 * b);
}

/* Copies x to `to` and holds each value to the reference's, to the bit but for NaN. */
static void convert(const test_device *on, test_array *x, pave_dtype to, int64_t offset) {
    test_array y;
    test_array_make(&y, on, to, 1, x->cols, (test_layout){0, (uint64_t)offset}, TEST_POISON, NULL);
    test_array_upload(x, on->queue);
    TEST_OK(pave_copy(on->queue, &x->tensor, &y.tensor, NULL));
    test_array_check(x, on->queue, false, "x");
    test_array_check(&y, on->queue, true, "y");
    for (int64_t i = 0; i < x->cols; i++) {
        unsigned char want[4];
        double from = test_array_get(x, 0, i), got = test_array_get(&y, 0, i), right;
        test_store(want, to, 0, from);
        right = test_load(want, to, 0);
        /* A device may take float32 denormals, bfloat16's with them, for zero. */
        if (fabs(from) < 0x1p-126 && got == 0) continue;
        if (isnan(right) ? isnan(got) : got == right && signbit(got) == signbit(right)) continue;
        fail_msg("%s to %s on %s: %.9g became %.9g, not %.9g", pave_dtype_name(x->type), pave_dtype_name(to),
                 on->info.selector, from, got, right);
    }
    test_array_free(&y);
}

static void line_make(test_array *x, const test_device *on, pave_dtype type, int64_t count, int64_t offset) {
    test_array_make(x, on, type, 1, count, (test_layout){0, (uint64_t)offset}, TEST_POISON, NULL);
}

static void codes(const test_device *on, const pave_kernel_info *row) {
    static const pave_dtype to[] = {PAVE_F32, PAVE_F16, PAVE_BF16, PAVE_E4M3, PAVE_E5M2};
    (void)row;
    for (size_t t = 0; t < COUNT(float8); t++)
        for (size_t i = 0; i < COUNT(to); i++)
            for (int64_t offset = 0; offset < 3; offset++) {
                test_array x;
                line_make(&x, on, float8[t], 256, offset);
                for (int64_t c = 0; c < 256; c++) put_bits(&x, c, (uint32_t)c);
                convert(on, &x, to[i], offset % 2);
                test_array_free(&x);
            }
}

static void halves(const test_device *on, const pave_kernel_info *row) {
    (void)row;
    for (int type = PAVE_F16; type <= PAVE_BF16; type++)
        for (size_t t = 0; t < COUNT(float8); t++) {
            test_array x;
            line_make(&x, on, (pave_dtype)type, 65536, 0);
            for (int64_t c = 0; c < 65536; c++) put_bits(&x, c, (uint32_t)c);
            convert(on, &x, float8[t], 0);
            test_array_free(&x);
        }
}

/* Float32 around what decides: every value of the type, every middle between neighbours, their own neighbours, and what lies
 * past the largest. */
static int64_t hard_values(pave_dtype type, float *out) {
    int64_t n = 0;
    double most = type == PAVE_E4M3 ? 448 : 57344;
    for (int c = 0; c < 256; c++) {
        unsigned char code = (unsigned char)c, next = (unsigned char)(c + 1);
        double v = test_load(&code, type, 0), w = test_load(&next, type, 0);
        if (!isfinite(v)) continue;
        double at[] = {v, isfinite(w) ? (v + w) / 2 : v * (1 + 0x1p-3)};
        for (int i = 0; i < 2; i++) {
            out[n++] = (float)at[i];
            out[n++] = nextafterf((float)at[i], INFINITY);
            out[n++] = nextafterf((float)at[i], -INFINITY);
        }
    }
    const double far[] = {most * 1.0624, most * 1.07, most * 1.125, most * 2, 65520,
                          1e10,          3e38,        INFINITY,     NAN,      0x1p-149,
                          0x1p-126,      0x1p-17,     0x1.8p-17,    0x1p-10,  0};
    for (size_t i = 0; i < COUNT(far); i++) {
        out[n++] = (float)far[i];
        out[n++] = -(float)far[i];
    }
    return n;
}

static void hard(const test_device *on, const pave_kernel_info *row) {
    float values[2048];
    (void)row;
    for (size_t t = 0; t < COUNT(float8); t++)
        for (int64_t offset = 0; offset < 2; offset++) {
            int64_t count = hard_values(float8[t], values);
            assert_true(count <= (int64_t)COUNT(values));
            test_array x;
            line_make(&x, on, PAVE_F32, count, offset);
            memcpy(x.elems, values, (size_t)count * sizeof(float));
            convert(on, &x, float8[t], offset);
            test_array_free(&x);
        }
}

/* y of a product in float8: rounded once, and kept to the largest finite value. */
static void saturated(const test_device *on, const pave_kernel_info *row) {
    for (size_t t = 0; t < COUNT(float8); t++) {
        const pave_link large = {.op = PAVE_LINK_MUL, .a = t ? 30000.0f : 200.0f};
        linear_case c = {.what = "saturation",
                         .m = 40, /* whole quads of all rows of a lane, and others */
                         .n = 45,
                         .k = 8,
                         .x = row->in_type,
                         .w = row->b_type,
                         .y = float8[t],
                         .fill = TEST_RANDOM,
                         .precision = row->precision,
                         .links = &large,
                         .link_count = 1,
                         .ly = {t ? 3 : 0, 0}};
        assert_true(run_linear(on, row, &c));
    }
}

/* What some kernels do not read in float8. Elsewhere the call has to work. */
static void refused_or_right(const test_device *on, pave_status status, const char *reason) {
    if (status == PAVE_OK) {
        assert_string_not_equal(on->info.backend, "cuda");
        TEST_OK(pave_queue_finish(on->queue));
        return;
    }
    assert_int_equal(status, PAVE_E_UNSUPPORTED);
    assert_string_equal(on->info.backend, "cuda");
    assert_non_null(strstr(pave_last_message(), reason));
}

static void test_refusals(void **state) {
    (void)state;
    for (size_t d = 0; d < device_count; d++) {
        const test_device *on = &devices[d];
        test_rng rng = test_rng_make(8);
        test_array x, y, w, t;
        test_array_make(&x, on, PAVE_E4M3, 9, 32, (test_layout){0, 0}, TEST_RANDOM, &rng);
        test_array_make(&w, on, PAVE_E4M3, 9, 32, (test_layout){0, 0}, TEST_RANDOM, &rng);
        test_array_make(&y, on, PAVE_F32, 9, 9, (test_layout){0, 0}, TEST_POISON, &rng);
        test_array_make(&t, on, PAVE_E5M2, 1, 9, (test_layout){0, 0}, TEST_RANDOM, &rng);
        pave_reduce_params reduce = {.size = sizeof reduce, .x = x.tensor, .y = test_vector(&t)};
        reduce.reduction = PAVE_REDUCE_SUM;
        refused_or_right(on, pave_reduce(on->queue, &reduce, NULL), "does not read float8 in x");
        pave_link link = {.op = PAVE_LINK_MUL, .tensor = test_vector(&t)};
        pave_linear_params linear = {.size = sizeof linear, .x = x.tensor, .w = w.tensor, .y = y.tensor};
        linear.epilogue = (pave_epilogue){.links = &link, .link_count = 1};
        refused_or_right(on, pave_linear(on->queue, &linear, NULL),
                         "does not read float8 in a link's tensor");
        test_array_free(&x);
        test_array_free(&w);
        test_array_free(&y);
        test_array_free(&t);
    }
}

#define FLOAT8_TEST(family, name)           \
    static void test_##name(void **state) { \
        (void)state;                        \
        each_row(family, name);             \
    }
FLOAT8_TEST("map", codes)
FLOAT8_TEST("map", halves)
FLOAT8_TEST("map", hard)
FLOAT8_TEST("gemm", saturated)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),     cmocka_unit_test(test_halves),   cmocka_unit_test(test_hard),
        cmocka_unit_test(test_saturated), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("float8", tests, open_devices, close_devices);
}
