/* SPDX-License-Identifier: Apache-2.0
 * Every gemm row: shapes around its tile, layouts, types, links and fused reductions. */
#include "tests/kernels/cases.h"

#include <math.h>
#include <stdio.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const test_layout odd = {3, 1};

static void shapes(const test_device *on, const pave_kernel_info *row) {
    const int64_t bm = row->bm, bn = row->bn, bk = row->bk;
    const int64_t s[][3] = {
        {1, 1, 1},           {bm - 1, bn - 1, 7}, {bm, bn, bk},    {bm + 1, bn + 1, bk + 1},
        {1, bn + 1, 31},     {bm + 1, 1, 8},      {3, 5, 0},       {17, 33, 257},
        {2, 2 * bn + 3, 32}, {2 * bm + 3, 3, 32}, {13, 31, bk - 1}};
    for (size_t i = 0; i < COUNT(s); i++) {
        linear_case c = {.what = "shapes",
                         .m = s[i][0],
                         .n = s[i][1],
                         .k = s[i][2],
                         .x = row->in_type,
                         .w = row->b_type,
                         .fill = TEST_RANDOM,
                         .precision = row->precision};
        assert_true(run_linear(on, row, &c));
        c.what = "strided and offset";
        c.lx = c.lw = c.ly = odd;
        assert_true(run_linear(on, row, &c));
    }
}

static void integers(const test_device *on, const pave_kernel_info *row) {
    static const pave_dtype types[] = {PAVE_F32, PAVE_F16, PAVE_BF16, PAVE_E4M3, PAVE_E5M2};
    const pave_link relu = {.op = PAVE_LINK_RELU};
    for (int with = 0; with < 2; with++)
        for (size_t t = 0; t < COUNT(types); t++) {
            linear_case c = {.what = with ? "integers, relu" : "integers",
                             .m = row->bm + 1,
                             .n = row->bn + 1,
                             .k = row->bk + 9,
                             .x = row->in_type,
                             .w = row->b_type,
                             .y = types[t],
                             .fill = TEST_INTEGERS,
                             .exact = true,
                             .precision = row->precision,
                             .links = &relu,
                             .link_count = (size_t)with,
                             .lw = odd};
            assert_true(run_linear(on, row, &c));
        }
}

static void types(const test_device *on, const pave_kernel_info *row) {
    static const pave_dtype all[] = {PAVE_F32, PAVE_F16, PAVE_BF16, PAVE_E4M3, PAVE_E5M2};
    int taken = 0, count = 0;
    for (int x = 0; x < 5; x++)
        for (int w = 0; w < 5; w++)
            for (int y = 0; y < 5; y++)
                for (int p = PAVE_HIGH; p <= PAVE_MEDIUM; p++) {
                    if (y > 2 && x != w) continue;
                    linear_case c = {.what = "types",
                                     .m = 19,
                                     .n = 37,
                                     .k = 29,
                                     .x = all[x],
                                     .w = all[w],
                                     .y = all[y],
                                     .fill = TEST_RANDOM,
                                     .precision = (pave_precision)p,
                                     .lx = {1, 0},
                                     .ly = odd};
                    taken += run_linear(on, row, &c);
                    count++;
                }
    printf("#   %d of %d combinations of types and promises taken\n", taken, count);
    assert_true(taken >= 3);
}

/* Each operation of the chain, in two chains so that a device builds two programs. */
static void links(const test_device *on, const pave_kernel_info *row) {
    const pave_link one[] = {{PAVE_LINK_ADD, 0.25f, 0, {0}}, {PAVE_LINK_MUL, 0.5f, 0, {0}},
                             {PAVE_LINK_SIGMOID, 0, 0, {0}}, {PAVE_LINK_SUB, 0.5f, 0, {0}},
                             {PAVE_LINK_DIV, 1.5f, 0, {0}},  {PAVE_LINK_LEAKY_RELU, 0.125f, 0, {0}},
                             {PAVE_LINK_TANH, 0, 0, {0}},    {PAVE_LINK_RELU, 0, 0, {0}}};
    const pave_link two[] = {{PAVE_LINK_GELU_ERF, 0, 0, {0}},  {PAVE_LINK_SILU, 0, 0, {0}},
                             {PAVE_LINK_MISH, 0, 0, {0}},      {PAVE_LINK_GELU_TANH, 0, 0, {0}},
                             {PAVE_LINK_HARDSWISH, 0, 0, {0}}, {PAVE_LINK_ELU, 1.5f, 0, {0}},
                             {PAVE_LINK_SOFTPLUS, 0, 0, {0}},  {PAVE_LINK_CLAMP, 0.5f, 1.0f, {0}}};
    static const char *const kinds[] = {"ssssssss", "rcsfRsss", "frscfsss", "csssrsss"};
    linear_case c = {.what = "links",
                     .m = 21,
                     .n = 45,
                     .k = 19,
                     .x = row->in_type,
                     .w = row->b_type,
                     .fill = TEST_RANDOM,
                     .precision = row->precision,
                     .links = one,
                     .link_count = COUNT(one)};
    for (size_t i = 0; i < 4; i++) {
        c.kinds = kinds[i];
        assert_true(run_linear(on, row, &c));
    }
    c.what = "activations";
    c.links = two;
    c.kinds = NULL;
    c.link_count = COUNT(two);
    assert_true(run_linear(on, row, &c));
}

/* Each activation by itself where building programs is cheap or the row is the device's main one. */
static void activations(const test_device *on, const pave_kernel_info *row) {
    if (row->in_type != PAVE_F32) return;
    for (int op = PAVE_LINK_RELU; op <= PAVE_LINK_ELU; op++) {
        pave_link link = {.op = (pave_link_op)op, .a = op == PAVE_LINK_CLAMP ? -0.5f : 0.375f, .b = 1.25f};
        linear_case c = {.what = "one activation",
                         .m = 9,
                         .n = 35,
                         .k = 12,
                         .x = row->in_type,
                         .w = row->b_type,
                         .fill = TEST_RANDOM,
                         .precision = row->precision,
                         .links = &link,
                         .link_count = 1};
        assert_true(run_linear(on, row, &c));
    }
}

static void residual(const test_device *on, const pave_kernel_info *row) {
    const pave_link add = {PAVE_LINK_ADD, 0, 0, {0}};
    linear_case c = {.what = "y as residual",
                     .m = 21,
                     .n = 45,
                     .k = 19,
                     .x = row->in_type,
                     .w = row->b_type,
                     .fill = TEST_RANDOM,
                     .precision = row->precision,
                     .links = &add,
                     .kinds = "f",
                     .link_count = 1,
                     .alias = true,
                     .ly = odd};
    assert_true(run_linear(on, row, &c));
}

static void reductions(const test_device *on, const pave_kernel_info *row) {
    const int64_t s[][3] = {{row->bm + 1, row->bn + 1, 33}, {5, 1, 8}, {3, 2 * row->bn + 5, 0}};
    for (int reduction = PAVE_REDUCE_LOGSUMEXP; reduction <= PAVE_REDUCE_MIN; reduction++)
        for (size_t i = 0; i < COUNT(s); i++) {
            linear_case c = {.what = "fused reduction",
                             .m = s[i][0],
                             .n = s[i][1],
                             .k = s[i][2],
                             .x = row->in_type,
                             .w = row->b_type,
                             .fill = TEST_RANDOM,
                             .precision = row->precision,
                             .reduction = (pave_reduction)reduction,
                             .ly = {2, 1},
                             .y = i == 1 ? PAVE_F16 : PAVE_F32};
            assert_true(run_linear(on, row, &c));
        }
}

/* Rows of nothing but -inf, whose logsumexp is that: columns that are not there must not add to it. */
static void nothing(const test_device *on, const pave_kernel_info *row) {
    const pave_link mul = {.op = PAVE_LINK_MUL, .a = -INFINITY};
    linear_case c = {.what = "logsumexp of -inf",
                     .m = row->bm + 1,
                     .n = row->bn + 5,
                     .k = 8,
                     .x = row->in_type,
                     .w = row->b_type,
                     .fill = TEST_POSITIVE,
                     .precision = row->precision,
                     .reduction = PAVE_REDUCE_LOGSUMEXP,
                     .links = &mul,
                     .link_count = 1};
    assert_true(run_linear(on, row, &c));
}

#define GEMM_TEST(name)                     \
    static void test_##name(void **state) { \
        (void)state;                        \
        each_row("gemm", name);             \
    }
GEMM_TEST(shapes)
GEMM_TEST(integers)
GEMM_TEST(types)
GEMM_TEST(links)
GEMM_TEST(activations)
GEMM_TEST(residual)
GEMM_TEST(reductions)
GEMM_TEST(nothing)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),      cmocka_unit_test(test_integers),
        cmocka_unit_test(test_types),       cmocka_unit_test(test_links),
        cmocka_unit_test(test_activations), cmocka_unit_test(test_residual),
        cmocka_unit_test(test_reductions),  cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests_name("gemm", tests, open_devices, close_devices);
}
