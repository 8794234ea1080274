/* SPDX-License-Identifier: Apache-2.0
 * Reductions along any axis of strided tensors, by every reduce and normalize row: ranks to 8, long and short rows,
 * types, windows, links behind them, in place. */
#include "tests/kernels/chains.h"

#include <math.h>

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static bool is_wide(int r) {
    return r >= PAVE_REDUCE_SOFTMAX;
}

/* Whether it takes slices of rows, whose states are a logsumexp's. */
static bool takes_slices(const pave_kernel_info *row) {
    return strstr(row->name, "normalize_slices") != NULL;
}

/* Reductions of `row`'s family. */
static bool belongs(const pave_kernel_info *row, int r) {
    if (takes_slices(row) && r == PAVE_REDUCE_NORMALIZE) return false;
    return (strcmp(row->family, "normalize") == 0) == is_wide(r);
}

static void axes(const test_device *on, const pave_kernel_info *row) {
    const reduce_nd_case cases[] = {
        {.what = "last of two", .rank = 2, .shape = {9, 70}, .x_order = {.pad = 3, .offset = 1}},
        {.what = "first of two", .rank = 2, .axis_from_last = 1, .shape = {70, 37}},
        {.what = "middle of three", .rank = 3, .axis_from_last = 1, .shape = {3, 41, 33}, .keep = true},
        {.what = "turned",
         .rank = 3,
         .axis_from_last = 2,
         .shape = {19, 4, 5},
         .x_order = {.dims = "210"},
         .y_order = {.pad = 1}},
        {.what = "nothing is 1 apart",
         .rank = 2,
         .shape = {6, 45},
         .x_order = {.step = 3},
         .y_order = {.step = 2}},
        {.what = "four that do not merge",
         .rank = 5,
         .axis_from_last = 2,
         .shape = {2, 3, 21, 2, 3},
         .x_order = {.dims = "41230", .pad = 1},
         .y_order = {.offset = 3}},
        {.what = "rank 8",
         .rank = 8,
         .axis_from_last = 4,
         .shape = {2, 1, 2, 9, 2, 2, 2, 2},
         .x_order = {.dims = "75316420"}},
        {.what = "a vector", .rank = 1, .shape = {5003}},
        {.what = "repeated rows", .rank = 2, .shape = {4, 17}, .x_order = {.repeat = 1}},
        {.what = "whole quads", .rank = 2, .shape = {6, 1024}},
        {.what = "whole quads, short", .rank = 2, .shape = {43, 64}},
        {.what = "columns in whole quads", .rank = 2, .axis_from_last = 1, .shape = {530, 36}},
        {.what = "one long row", .rank = 2, .shape = {2, 100003}},
        {.what = "few long rows", .rank = 3, .shape = {2, 3, 33001}, .x_order = {.pad = 7, .offset = 1}},
        {.what = "few long rows in whole quads", .rank = 3, .shape = {3, 1, 24580}},
        {.what = "a long row of whole slices", .rank = 2, .shape = {1, 32768}, .x = PAVE_BF16},
        {.what = "one long column", .rank = 2, .axis_from_last = 1, .shape = {30011, 3}},
    };
    for (int r = PAVE_REDUCE_LOGSUMEXP; r <= PAVE_REDUCE_NORMALIZE; r++)
        for (size_t i = 0; i < COUNT(cases) && belongs(row, r); i++) {
            reduce_nd_case c = cases[i];
            c.fill = TEST_RANDOM;
            c.end.reduction = (pave_reduction)r;
            run_reduce_nd(on, &c);
        }
}

static void types(const test_device *on, const pave_kernel_info *row) {
    static const pave_dtype stored[] = {PAVE_F32, PAVE_F16, PAVE_BF16, PAVE_E4M3, PAVE_E5M2};
    for (int r = PAVE_REDUCE_LOGSUMEXP; r <= PAVE_REDUCE_NORMALIZE; r++)
        for (int t = 0; t < 30 && belongs(row, r); t++) {
            reduce_nd_case c = {.what = "types", .rank = 2, .shape = {5, 67}, .fill = TEST_RANDOM};
            if (t >= 15) c.shape[0] = 36, c.shape[1] = 68; /* whole quads */
            c.axis_from_last = t & 1;
            c.x = (pave_dtype)(PAVE_F32 + t % 3);
            c.y = stored[t / 3 % 5];
            c.end.reduction = (pave_reduction)r;
            run_reduce_nd(on, &c);
        }
}

static void windows(const test_device *on, const pave_kernel_info *row) {
    for (int r = PAVE_REDUCE_LOGSUMEXP; r <= PAVE_REDUCE_NORMALIZE; r++)
        for (int axis = 0; axis < 2 && belongs(row, r); axis++) {
            reduce_nd_case c = {.what = "windows", .rank = 3, .shape = {3, 24, 24}, .fill = TEST_RANDOM};
            c.axis_from_last = axis;
            c.end.reduction = (pave_reduction)r;
            c.end.window = 6;
            run_reduce_nd(on, &c);
            c.end.window = 1;
            run_reduce_nd(on, &c);
        }
}

static void links(const test_device *on, const pave_kernel_info *row) {
    bool wide = strcmp(row->family, "normalize") == 0;
    reduce_nd_case c = {.what = "links", .rank = 3, .shape = {3, 5, 29}, .fill = TEST_RANDOM, .keep = true};
    c.end.reduction = takes_slices(row) ? PAVE_REDUCE_LOG_SOFTMAX
                      : wide            ? PAVE_REDUCE_NORMALIZE
                                        : PAVE_REDUCE_MEAN;
    c.end.after[0] = (chain_link){.op = PAVE_LINK_MUL, .rank = 1, .shape = {wide ? 29 : 1}};
    c.end.after[1] = (chain_link){.op = PAVE_LINK_ADD, .rank = 3, .shape = {3, 1, 1}, .type = PAVE_F16};
    c.end.after[2] = (chain_link){.op = PAVE_LINK_SIGMOID};
    c.end.after[3] = (chain_link){.op = PAVE_LINK_SUB, .rank = 2, .shape = {5, 1}};
    c.end.after_count = 4;
    run_reduce_nd(on, &c);
    if (!wide) return;
    c.what = "in place";
    c.in_place = true;
    c.x_order = (test_order){.pad = 1};
    for (int r = PAVE_REDUCE_SOFTMAX; r <= PAVE_REDUCE_NORMALIZE && belongs(row, r); r++)
        for (c.axis_from_last = 0; c.axis_from_last < 2; c.axis_from_last++) {
            c.end.reduction = (pave_reduction)r;
            run_reduce_nd(on, &c);
        }
}

/* Rows of 0 but for one value of 60 each, which is in column at_60 of the first and `apart` columns on in each of the next. */
static void one_value(const test_device *on, int64_t rows, int64_t cols, int64_t at_60, int64_t apart) {
    const int64_t shape[2] = {rows, cols};
    test_rng rng = test_rng_make(1);
    test_nd x, y;
    test_nd_make(&x, on, PAVE_F32, 2, shape, NULL, TEST_RANDOM, &rng);
    test_nd_make(&y, on, PAVE_F32, 2, shape, NULL, TEST_POISON, &rng);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            test_nd_set(&x, (int64_t[]){r, c}, c == (at_60 + r * apart) % cols ? 60 : 0);
    test_nd_upload(&x, on->queue);
    pave_reduce_params p = {
        .size = sizeof p, .x = x.tensor, .y = y.tensor, .reduction = PAVE_REDUCE_LOG_SOFTMAX};
    TEST_OK(pave_reduce(on->queue, &p, NULL));
    test_nd_check(&y, on->queue, true, "y");
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            double want = c == (at_60 + r * apart) % cols ? 0 : -60;
            assert_true(fabs(test_nd_get(&y, 2, (int64_t[]){r, c}) - want) < 1e-3);
        }
    test_nd_free(&x);
    test_nd_free(&y);
}

/* More slices than a block has threads, and all that counts is in the last one; more rows than may lie between a row's states and
 * its values, of which each has what counts in another slice. */
static void many_slices(const test_device *on) {
    one_value(on, 1, 2200003, 2200002, 0);
    one_value(on, 66, 60004, 0, 1011);
}

/* Rows long enough to be taken by slices, of every type, in place, through links of their columns and of their rows, and in
 * batches that do not merge. */
static void slices(const test_device *on, const pave_kernel_info *row) {
    if (!belongs(row, PAVE_REDUCE_SOFTMAX)) return;
    if (takes_slices(row)) many_slices(on);
    for (int t = 0; t < 6; t++) {
        reduce_nd_case c = {
            .what = "slices", .rank = 3, .shape = {2, 2, t & 1 ? 40004 : 36411}, .fill = TEST_RANDOM};
        c.x = c.y = (pave_dtype)(PAVE_F32 + t / 2);
        c.x_order = (test_order){.pad = 4};
        c.in_place = t != 2;
        c.end.reduction = t % 4 ? PAVE_REDUCE_SOFTMAX : PAVE_REDUCE_LOG_SOFTMAX;
        run_reduce_nd(on, &c);
        c.end.after[0] = (chain_link){.op = PAVE_LINK_MUL, .rank = 1, .shape = {c.shape[2]}};
        c.end.after[1] = (chain_link){.op = PAVE_LINK_ADD, .rank = 3, .shape = {2, 1, 1}, .type = PAVE_F16};
        c.end.after[2] = (chain_link){.op = PAVE_LINK_SUB, .rank = 2, .shape = {2, 1}};
        c.end.after_count = 3;
        run_reduce_nd(on, &c);
    }
}

/* Equal values, and what argmax says of NaN and infinities. */
static void argmax(const test_device *on, const pave_kernel_info *row) {
    if (!belongs(row, PAVE_REDUCE_ARGMAX)) return;
    static const float inf = INFINITY, nan = NAN;
    const struct {
        float fill, one, two;
        int64_t at_one, at_two, want;
    } table[] = {{1, 1, 1, 0, 0, 0},        {0, 2, 2, 40, 41, 40},      {0, 2, 2, 77, 3, 3},
                 {0, nan, 1, 50, 2, 50},    {0, nan, nan, 60, 21, 21},  {-inf, -inf, -inf, 0, 0, 0},
                 {1, inf, inf, 99, 98, 98}, {inf, inf, nan, 0, 64, 64}, {-1, -0.0f, 0.0f, 5, 70, 5}};
    for (size_t i = 0; i < COUNT(table); i++)
        for (int turned = 0; turned < 2; turned++) {
            int64_t shape[2] = {3, 101}, y_shape[1] = {3};
            test_rng rng = test_rng_make(1);
            test_order order = {.dims = turned ? "10" : "01"};
            test_nd x, y;
            test_nd_make(&x, on, PAVE_F32, 2, shape, &order, TEST_RANDOM, &rng);
            test_nd_make(&y, on, PAVE_I32, 1, y_shape, NULL, TEST_POISON, &rng);
            for (int64_t r = 0; r < 3; r++) {
                for (int64_t c = 0; c < 101; c++) test_nd_set(&x, (int64_t[]){r, c}, table[i].fill);
                test_nd_set(&x, (int64_t[]){r, table[i].at_two}, table[i].two);
                test_nd_set(&x, (int64_t[]){r, table[i].at_one}, table[i].one);
            }
            test_nd_upload(&x, on->queue);
            pave_reduce_params p = {
                .size = sizeof p, .x = x.tensor, .y = y.tensor, .reduction = PAVE_REDUCE_ARGMAX};
            TEST_OK(pave_reduce(on->queue, &p, NULL));
            test_nd_check(&y, on->queue, true, "y");
            for (int64_t r = 0; r < 3; r++) assert_int_equal((int64_t)test_nd_get(&y, 1, &r), table[i].want);
            test_nd_free(&x);
            test_nd_free(&y);
        }
}

/* Rows with a NaN, an infinity, or nothing but -Inf have no softmax: all of it is NaN. */
static void undefined(const test_device *on, const pave_kernel_info *row) {
    if (!belongs(row, PAVE_REDUCE_SOFTMAX)) return;
    const float special[] = {NAN, INFINITY, -INFINITY};
    for (int r = PAVE_REDUCE_SOFTMAX; r <= PAVE_REDUCE_LOG_SOFTMAX; r++)
        for (size_t i = 0; i < COUNT(special); i++)
            for (int turned = 0; turned < 3; turned++) {
                int64_t length = turned == 2 ? 20011 : 133, shape[2] = {2, length};
                test_rng rng = test_rng_make(1);
                test_order order = {.dims = turned == 1 ? "10" : "01"};
                test_nd x, y;
                test_nd_make(&x, on, PAVE_F32, 2, shape, &order, TEST_RANDOM, &rng);
                test_nd_make(&y, on, PAVE_F32, 2, shape, &order, TEST_POISON, &rng);
                bool all = special[i] == -INFINITY;
                for (int64_t c = all ? 0 : 100; c < (all ? length : 101); c++)
                    test_nd_set(&x, (int64_t[]){0, c}, special[i]);
                test_nd_upload(&x, on->queue);
                pave_reduce_params p = {
                    .size = sizeof p, .x = x.tensor, .y = y.tensor, .reduction = (pave_reduction)r};
                TEST_OK(pave_reduce(on->queue, &p, NULL));
                test_nd_check(&y, on->queue, true, "y");
                for (int64_t c = 0; c < length; c++) {
                    assert_true(isnan(test_nd_get(&y, 2, (int64_t[]){0, c})));
                    assert_true(isfinite(test_nd_get(&y, 2, (int64_t[]){1, c})));
                }
                test_nd_free(&x);
                test_nd_free(&y);
            }
}

#define ROWS_TEST(name)                     \
    static void test_##name(void **state) { \
        (void)state;                        \
        each_row("reduce", name);           \
        each_row("normalize", name);        \
    }
ROWS_TEST(axes)
ROWS_TEST(types)
ROWS_TEST(windows)
ROWS_TEST(links)
ROWS_TEST(slices)
ROWS_TEST(argmax)
ROWS_TEST(undefined)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_axes),      cmocka_unit_test(test_types),  cmocka_unit_test(test_windows),
        cmocka_unit_test(test_links),     cmocka_unit_test(test_slices), cmocka_unit_test(test_argmax),
        cmocka_unit_test(test_undefined),
    };
    return cmocka_run_group_tests_name("axis", tests, open_devices, close_devices);
}
