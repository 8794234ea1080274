/* SPDX-License-Identifier: Apache-2.0
 * Every reduce row: lengths around lanes and passes, types, strides, and the table of special values. */
#include "tests/kernels/cases.h"

#include <inttypes.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

typedef struct reduce_case {
    int64_t m, n;
    pave_dtype x, y;
    test_layout lx, ly;
    pave_reduction reduction;
} reduce_case;

static void run(const test_device *on, test_array *x, test_array *y, pave_reduction reduction) {
    pave_reduce_params params = {
        .size = sizeof params, .x = x->tensor, .y = y->tensor, .reduction = reduction};
    params.y.rank = 1;
    TEST_OK(pave_reduce(on->queue, &params, NULL));
    test_array_check(x, on->queue, false, "x");
    test_array_check(y, on->queue, true, "y");
}

static void judge(const pave_kernel_info *row, const reduce_case *c, const test_array *x,
                  const test_array *y) {
    test_value *values = calloc((size_t)c->n + 1, sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < c->m; i++) {
        for (int64_t j = 0; j < c->n; j++) values[j].value = test_array_get(x, i, j);
        test_value want = test_stored(test_reduce_row(values, c->n, c->reduction), y->type);
        double got = test_array_get(y, i, 0);
        if (test_within(got, want.value, want.bound)) continue;
        fprintf(stderr,
                "%s: reduction %d of %" PRId64 " x %" PRId64 ", %s to %s, seed %" PRIu64 ": y[%" PRId64
                "] is %.9g where %.9g +- %.3g is right\n",
                row->name, c->reduction, c->m, c->n, pave_dtype_name(x->type), pave_dtype_name(y->type),
                test_seed(), i, got, want.value, want.bound);
        fail();
    }
    free(values);
}

static void run_case(const test_device *on, const pave_kernel_info *row, const reduce_case *c) {
    test_rng rng = test_rng_make((uint64_t)(c->n * 31 + c->reduction));
    test_array x, y;
    test_array_make(&x, on, c->x, c->m, c->n, c->lx, TEST_RANDOM, &rng);
    test_array_make(&y, on, c->y, c->m, 1, c->ly, TEST_POISON, &rng);
    run(on, &x, &y, c->reduction);
    judge(row, c, &x, &y);
    unsigned char *bits = malloc(y.total);
    assert_non_null(bits);
    memcpy(bits, y.bytes, y.total);
    run(on, &x, &y, c->reduction);
    assert_memory_equal(bits, y.bytes, y.total);
    free(bits);
    test_array_free(&x);
    test_array_free(&y);
}

static void lengths(const test_device *on, const pave_kernel_info *row) {
    static const int64_t n[] = {0, 1, 2, 31, 32, 33, 1023, 1024, 1025, 5000};
    for (int r = PAVE_REDUCE_LOGSUMEXP; r <= PAVE_REDUCE_MIN; r++)
        for (size_t i = 0; i < COUNT(n); i++) {
            reduce_case c = {.m = row->bm + 1 + (int64_t)i,
                             .n = n[i],
                             .x = PAVE_F32,
                             .y = PAVE_F32,
                             .reduction = (pave_reduction)r};
            run_case(on, row, &c);
            c.m = 1;
            c.lx = (test_layout){3, 1};
            c.ly = (test_layout){2, 1};
            run_case(on, row, &c);
            c.m = 7;
            run_case(on, row, &c);
        }
}

static void types(const test_device *on, const pave_kernel_info *row) {
    for (int r = PAVE_REDUCE_LOGSUMEXP; r <= PAVE_REDUCE_MIN; r++)
        for (int x = PAVE_F32; x <= PAVE_BF16; x++)
            for (int y = PAVE_F32; y <= PAVE_BF16; y++) {
                reduce_case c = {.m = 11,
                                 .n = 97,
                                 .x = (pave_dtype)x,
                                 .y = (pave_dtype)y,
                                 .lx = {1, 1},
                                 .reduction = (pave_reduction)r};
                run_case(on, row, &c);
            }
}

/* A row of one value with others placed in it, and what each reduction must give; NaN is written as NAN. */
typedef struct special {
    const char *what;
    float base, at_first, at_last; /* the row's ends, where they differ from the base */
    double logsumexp, sum, max, min;
} special;

static void specials(const test_device *on, const pave_kernel_info *row) {
    const float inf = INFINITY, nan = NAN, big = 3e38f;
    const special table[] = {
        {"NaN first", 1, nan, 1, NAN, NAN, NAN, NAN},
        {"NaN last", 1, 1, nan, NAN, NAN, NAN, NAN},
        {"NaN beside +Inf", 1, nan, inf, NAN, NAN, NAN, NAN},
        {"NaN after -Inf", -inf, -inf, nan, NAN, NAN, NAN, NAN},
        {"+Inf first", 1, inf, 1, INFINITY, INFINITY, INFINITY, 1},
        {"+Inf last", 1, 1, inf, INFINITY, INFINITY, INFINITY, 1},
        {"both infinities", 1, inf, -inf, INFINITY, NAN, INFINITY, -INFINITY},
        {"all -Inf", -inf, -inf, -inf, -INFINITY, -INFINITY, -INFINITY, -INFINITY},
        {"all +Inf", inf, inf, inf, INFINITY, INFINITY, INFINITY, INFINITY},
        {"-Inf but one", -inf, -inf, 2, 2, -INFINITY, 2, -INFINITY},
        {"all 3e38", big, big, big, big, INFINITY, big, big},
        {"all -3e38", -big, -big, -big, -big, -INFINITY, -big, -big},
        {"3e38 beside -3e38", -big, big, -big, big, NAN, big, -big}, /* the sum depends on the order */
    };
    static const int64_t lengths_of[] = {2, 33, 1025, 5000};
    for (size_t l = 0; l < COUNT(lengths_of); l++)
        for (size_t s = 0; s < COUNT(table); s++) {
            int64_t n = lengths_of[l];
            const special *t = &table[s];
            test_array x, y;
            test_rng rng = test_rng_make(1);
            test_array_make(&x, on, PAVE_F32, 2, n, (test_layout){1, 0}, TEST_RANDOM, &rng);
            test_array_make(&y, on, PAVE_F32, 2, 1, (test_layout){0, 0}, TEST_POISON, &rng);
            for (int64_t i = 0; i < 2; i++) {
                for (int64_t j = 0; j < n; j++) test_array_set(&x, i, j, t->base);
                test_array_set(&x, i, 0, t->at_first);
                test_array_set(&x, i, n - 1, t->at_last);
            }
            test_array_upload(&x, on->queue);
            for (int r = PAVE_REDUCE_LOGSUMEXP; r <= PAVE_REDUCE_MIN; r++) {
                double want = r == PAVE_REDUCE_LOGSUMEXP ? t->logsumexp
                              : r == PAVE_REDUCE_MAX     ? t->max
                              : r == PAVE_REDUCE_MIN     ? t->min
                                                         : t->sum;
                if (fabs(t->base) == big && (r == PAVE_REDUCE_SUM || r == PAVE_REDUCE_MEAN)) continue;
                run(on, &x, &y, (pave_reduction)r);
                for (int64_t i = 0; i < 2; i++) {
                    double got = test_array_get(&y, i, 0), slack = isfinite(want) ? 1e-6 * fabs(want) : 0;
                    if (test_within(got, want, slack)) continue;
                    fprintf(stderr, "%s: %s, n %" PRId64 ", reduction %d gives %g where %g is right\n",
                            row->name, t->what, n, r, got, want);
                    fail();
                }
            }
            test_array_free(&x);
            test_array_free(&y);
        }
}

static void test_lengths(void **state) {
    (void)state;
    each_row("reduce", lengths);
}
static void test_types(void **state) {
    (void)state;
    each_row("reduce", types);
}
static void test_specials(void **state) {
    (void)state;
    each_row("reduce", specials);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_specials),
    };
    return cmocka_run_group_tests_name("reduce", tests, open_devices, close_devices);
}
