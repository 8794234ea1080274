/* SPDX-License-Identifier: Apache-2.0
 * Float32 operands on the rows that multiply in float16 with a scale for each row: whatever lies in a row, the promise holds
 * against float64, whose bound is worked out from each row's largest value. */
#include "tests/kernels/cases.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 9
#define EXIT_SKIPPED 77

static bool found; /* a row that multiplies in float16 */

typedef struct scaled {
    test_array x, w, y;
} scaled;

/* Row i's value at k: each row is another way to be unkind to half's range. */
static double unkind(int row, int64_t k, test_rng *rng) {
    double v = test_uniform(rng, -1, 1);
    switch (row) {
    case 0: return v;
    case 1: return 0;
    case 2: return ldexp(v, -130);                          /* denormal */
    case 3: return v * pow(10, test_uniform(rng, -30, 30)); /* 60 decades in a row */
    case 4: return k == 5 ? 1e30 : v * 1e-30;               /* one large and many small */
    case 5: return (k & 1 ? -1 : 1) * (1 + ldexp(v, -9));   /* cancels against equal weights */
    case 6: return v * 1e38;
    case 7: return ldexp(v, -149 + (int)(k % 20));
    default: return k == 3 ? 65504 : v;
    }
}

static void make(scaled *s, const test_device *on, int64_t m, int64_t n, int64_t k) {
    test_rng rng = test_rng_make((uint64_t)(m + n + k));
    test_array_make(&s->x, on, PAVE_F32, m, k, (test_layout){1, 1}, TEST_RANDOM, &rng);
    test_array_make(&s->w, on, PAVE_F32, n, k, (test_layout){2, 0}, TEST_RANDOM, &rng);
    test_array_make(&s->y, on, PAVE_F32, m, n, (test_layout){3, 1}, TEST_POISON, &rng);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < k; j++) test_array_set(&s->x, i, j, unkind((int)(i % ROWS), j, &rng));
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++)
            if (i % 4) test_array_set(&s->w, i, j, i % 4 == 1 ? 1 : unkind(i % 4 == 2 ? 4 : 7, j, &rng));
}

static void drop(scaled *s) {
    test_array_free(&s->x);
    test_array_free(&s->w);
    test_array_free(&s->y);
}

/* Slices of k leave float32 sums, whose own overflow is excused where Σ |x w| passes float32: the whole may lie below it. */
static bool may_pass(const scaled *s, int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t k = 0; k < s->x.cols; k++)
        sum += fabs(s->x.values[i * s->x.cols + k] * s->w.values[j * s->w.cols + k]);
    return sum > (double)FLT_MAX;
}

static void judge(const scaled *s, const test_device *on, const pave_kernel_info *row, int splits, int64_t i,
                  int64_t j) {
    test_class how = test_class_of(row);
    how.splits = splits;
    const double *x = s->x.values + i * s->x.cols, *w = s->w.values + j * s->w.cols;
    test_value want = test_stored(test_dot(x, PAVE_F32, w, PAVE_F32, s->x.cols, &how), PAVE_F32);
    double got = test_array_get(&s->y, i, j);
    bool past = fabs(want.value) + want.bound > (double)FLT_MAX;
    if (past || (splits > 1 && may_pass(s, i, j)) || test_within(got, want.value, want.bound)) return;
    fprintf(stderr,
            "%s on %s, seed %" PRIu64 ", k %" PRId64 ": y[%" PRId64 ",%" PRId64
            "] is %.9g where %.9g +- %.3g is right\n",
            row->name, on->info.selector, test_seed(), s->x.cols, i, j, got, want.value, want.bound);
    fail();
}

static void run(scaled *s, const test_device *on) {
    test_array_upload(&s->x, on->queue);
    test_array_upload(&s->w, on->queue);
    pave_linear_params p = {.size = sizeof p, .x = s->x.tensor, .w = s->w.tensor, .y = s->y.tensor};
    TEST_OK(pave_linear(on->queue, &p, NULL));
    test_array_check(&s->y, on->queue, true, "y");
}

static void ranges(const test_device *on, const pave_kernel_info *row) {
    if (row->path != PAVE_PATH_F16) return;
    found = true;
    const int64_t shapes[][3] = {
        {ROWS, 4, 1}, {2 * ROWS, 13, 100}, {row->bm + 1, row->bn + 3, 67}, {ROWS, 9, 4099}};
    for (int i = 0; i < 8; i++) {
        const int64_t *shape = shapes[i / 2];
        const int splits = i % 2 ? 3 : 1;
        char forced[128];
        snprintf(forced, sizeof forced, "%s/%d", row->name, splits);
        force_row(forced);
        scaled s;
        make(&s, on, shape[0], shape[1], shape[2]);
        run(&s, on);
        for (int64_t r = 0; r < shape[0]; r++)
            for (int64_t c = 0; c < shape[1]; c++) judge(&s, on, row, splits, r, c);
        drop(&s);
    }
}

static bool find_row(const test_device *on, const char *name, pave_kernel_info *row) {
    int32_t usable;
    for (size_t i = 0; !pave_kernel_describe(i, on->device, row, &usable); i++)
        if (usable && strcmp(row->name, name) == 0) return true;
    return false;
}

/* Each map to a form with scales, for rows that it holds and rows that it reads again. */
static void packs(const test_device *on, const pave_kernel_info *map) {
    static const struct {
        const char *form, *gemm[2];
    } takers[] = {{"_scale_", {"pave_gemm_mma_64x64x64_f16", "pave_gemm_ptx_64x64x64_f16"}},
                  {"_pair_", {"pave_gemm_mma_128x64x16_f16x2", NULL}}};
    static const int64_t lengths[] = {1, 130, 4101, 16390};
    for (int i = 0; i < 2; i++) {
        if (!strstr(map->name, takers[i].form)) continue;
        pave_kernel_info row = {.size = sizeof row};
        const char *gemm = takers[i].gemm[strcmp(map->backend, "cuda") != 0];
        if (!gemm || !find_row(on, gemm, &row)) fail_msg("no row here takes what %s makes", map->name);
        for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
            char forced[128];
            snprintf(forced, sizeof forced, "%s/1,%s", gemm, map->name);
            force_row(forced);
            scaled s;
            make(&s, on, ROWS, 4, lengths[k]);
            run(&s, on);
            for (int64_t r = 0; r < ROWS; r++)
                for (int64_t c = 0; c < 4; c++) judge(&s, on, &row, 1, r, c);
            drop(&s);
        }
    }
}

/* NaN and the infinities are what they are, and leave the other rows alone. */
static void specials(const test_device *on, const pave_kernel_info *row) {
    if (row->path != PAVE_PATH_F16) return;
    static const float set[] = {NAN, INFINITY, -INFINITY};
    scaled s;
    make(&s, on, 5, 2, 40);
    for (int64_t i = 0; i < 5; i++)
        for (int64_t k = 0; k < 40; k++)
            test_array_set(&s.x, i, k, k == 7 && i < 3 ? (double)set[i] : 1.0 + (double)k);
    for (int64_t k = 0; k < 40; k++) test_array_set(&s.w, 0, k, 0.5), test_array_set(&s.w, 1, k, -2);
    run(&s, on);
    for (int64_t i = 0; i < 5; i++)
        for (int64_t j = 0; j < 2; j++) {
            double got = test_array_get(&s.y, i, j), weight = j ? -2 : 0.5;
            assert_true(test_within(got, i < 3 ? (double)set[i] * weight : 820 * weight, 0));
        }
    drop(&s);
}

static void test_ranges(void **state) {
    (void)state;
    each_row("gemm", ranges);
}

static void test_packs(void **state) {
    (void)state;
    each_row("map", packs);
}

static void test_specials(void **state) {
    (void)state;
    each_row("gemm", specials);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranges), cmocka_unit_test(test_packs),
                                       cmocka_unit_test(test_specials)};
    int failed = cmocka_run_group_tests_name("scaled", tests, open_devices, close_devices);
    if (failed || found) return failed;
    puts("skipped: no device here has a row that multiplies in float16");
    return EXIT_SKIPPED;
}
