/* SPDX-License-Identifier: Apache-2.0
 * Every gemm row on groups of problems: uneven and empty ones, transposed operands, a bias for each group, reductions,
 * tensors in one buffer and in many. A row that needs its operands packed refuses, and says so. */
#include "tests/kernels/chains.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define GROUPS_MAX 8

typedef struct grouped_case {
    const char *what;
    int count;
    int64_t m[GROUPS_MAX], n, k;
    bool transpose_a, transpose_b, apart, bias, bias_each, set_alpha; /* apart: every tensor has a buffer */
    pave_link_op activation;
    pave_reduction reduction;
    int64_t align; /* elements that rows are padded to; 0: 1 */
} grouped_case;

/* A matrix of the stack that one buffer holds: the rest of the tests' means judge it as a tensor of its own. */
typedef struct stack {
    test_nd whole;
    pave_tensor at[GROUPS_MAX];
} stack;

static int64_t padded(int64_t n, int64_t to) {
    return to ? (n + to - 1) / to * to : n;
}

/* Tensors of group g are rows [first, first + rows) of `whole`, or tensors by themselves. */
static void stack_make(stack *s, test_nd *single, const test_device *on, const grouped_case *c,
                       pave_dtype type, const int64_t *rows, const int64_t *cols, test_fill fill,
                       test_rng *rng) {
    int64_t total = 0, width = 0;
    for (int g = 0; g < c->count; g++) {
        total += rows[g];
        width = cols[g] > width ? cols[g] : width;
    }
    int64_t shape[2] = {total, padded(width, c->align)}, first = 0;
    if (!c->apart) test_nd_make(&s->whole, on, type, 2, shape, NULL, fill, rng);
    for (int g = 0; g < c->count; g++) {
        if (c->apart) {
            int64_t own[2] = {rows[g], padded(cols[g], c->align)};
            test_nd_make(&single[g], on, type, 2, own, NULL, fill, rng);
            s->at[g] = single[g].tensor;
        } else {
            s->at[g] = s->whole.tensor;
            s->at[g].offset += (uint64_t)(first * shape[1]) * pave_dtype_bytes(type);
            s->at[g].shape[0] = rows[g];
            first += rows[g];
        }
        s->at[g].shape[1] = cols[g];
    }
}

static double value_at(const stack *s, const test_nd *single, const grouped_case *c, int g, int64_t i,
                       int64_t j) {
    const test_nd *t = c->apart ? &single[g] : &s->whole;
    const unsigned char *first = t->bytes + s->at[g].offset;
    int64_t at = i * s->at[g].strides[0] + j * s->at[g].strides[1];
    if (s->at[g].type != PAVE_I32) return test_load(first, s->at[g].type, at);
    int32_t v;
    memcpy(&v, first + 4 * at, sizeof v);
    return v;
}

typedef struct run {
    const test_device *on;
    const pave_kernel_info *row;
    const grouped_case *c;
    stack a, b, y;
    test_nd a_single[GROUPS_MAX], b_single[GROUPS_MAX], y_single[GROUPS_MAX], bias;
} run;

static void make(run *r) {
    const grouped_case *c = r->c;
    test_rng rng = test_rng_make((uint64_t)(c->n * 1009 + c->k));
    int64_t rows[GROUPS_MAX], cols[GROUPS_MAX], one[GROUPS_MAX];
    for (int g = 0; g < c->count; g++) {
        rows[g] = c->transpose_a ? c->k : c->m[g];
        cols[g] = c->transpose_a ? c->m[g] : c->k;
        one[g] = 1;
    }
    stack_make(&r->a, r->a_single, r->on, c, r->row->in_type, rows, cols, TEST_RANDOM, &rng);
    for (int g = 0; g < c->count; g++) {
        rows[g] = c->transpose_b ? c->n : c->k;
        cols[g] = c->transpose_b ? c->k : c->n;
    }
    stack_make(&r->b, r->b_single, r->on, c, r->row->b_type, rows, cols, TEST_RANDOM, &rng);
    for (int g = 0; g < c->count; g++) cols[g] = c->n;
    pave_dtype type = c->reduction == PAVE_REDUCE_ARGMAX ? PAVE_I32 : PAVE_F32;
    stack_make(&r->y, r->y_single, r->on, c, type, c->m, c->reduction ? one : cols, TEST_POISON, &rng);
    int64_t shape[2] = {c->count, c->n};
    if (c->bias)
        test_nd_make(&r->bias, r->on, PAVE_F32, c->bias_each ? 2 : 1, c->bias_each ? shape : shape + 1, NULL,
                     TEST_RANDOM, &rng);
}

static void check(run *r, bool written) {
    if (!r->c->apart) {
        test_nd_check(&r->a.whole, r->on->queue, false, "a");
        test_nd_check(&r->b.whole, r->on->queue, false, "b");
        test_nd_check(&r->y.whole, r->on->queue, written, "y");
    }
    for (int g = 0; g < r->c->count; g++) {
        test_nd_check(&r->a_single[g], r->on->queue, false, "a");
        test_nd_check(&r->b_single[g], r->on->queue, false, "b");
        test_nd_check(&r->y_single[g], r->on->queue, written, "y");
    }
    test_nd_check(&r->bias, r->on->queue, false, "bias");
}

static void complain(const run *r, int g, int64_t i, int64_t j, double got, test_value want) {
    fprintf(stderr,
            "%s on %s, case %s, seed %" PRIu64 ": group %d, y[%" PRId64 ",%" PRId64
            "] is %.9g where %.9g +- %.3g is right\n",
            r->row->name, r->on->info.selector, r->c->what, test_seed(), g, i, j, got, want.value,
            want.bound);
    fail();
}

static void judge_group(const run *r, int g, const test_class *how, double *a, double *b, test_value *row) {
    const grouped_case *c = r->c;
    for (int64_t i = 0; i < c->m[g]; i++) {
        for (int64_t k = 0; k < c->k; k++)
            a[k] = value_at(&r->a, r->a_single, c, g, c->transpose_a ? k : i, c->transpose_a ? i : k);
        for (int64_t j = 0; j < c->n; j++) {
            for (int64_t k = 0; k < c->k; k++)
                b[k] = value_at(&r->b, r->b_single, c, g, c->transpose_b ? j : k, c->transpose_b ? k : j);
            test_value v = test_dot(a, r->row->in_type, b, r->row->b_type, c->k, how);
            if (c->set_alpha) v = test_apply(v, &(pave_link){.op = PAVE_LINK_MUL, .a = 0.5f}, 0.5);
            if (c->bias)
                v = test_apply(v, &(pave_link){.op = PAVE_LINK_ADD},
                               test_nd_get(&r->bias, 2, (int64_t[]){g, j}));
            row[j] = c->activation ? test_apply(v, &(pave_link){.op = c->activation}, 0) : v;
            if (c->reduction) continue;
            test_value want = test_stored(row[j], PAVE_F32);
            double got = value_at(&r->y, r->y_single, c, g, i, j);
            if (!test_within(got, want.value, want.bound)) complain(r, g, i, j, got, want);
        }
        if (!c->reduction) continue;
        double got = value_at(&r->y, r->y_single, c, g, i, 0);
        if (c->reduction == PAVE_REDUCE_ARGMAX) {
            if (!test_argmax_right(row, c->n, (int64_t)got)) complain(r, g, i, 0, got, (test_value){0, 0, 0});
            continue;
        }
        test_value want = test_stored(test_reduce_row(row, c->n, c->reduction), PAVE_F32);
        if (!test_within(got, want.value, want.bound)) complain(r, g, i, 0, got, want);
    }
}

static void judge(const run *r) {
    const grouped_case *c = r->c;
    test_class how = test_class_of(r->row);
    double *a = calloc((size_t)c->k + 1, sizeof *a), *b = calloc((size_t)c->k + 1, sizeof *b);
    test_value *row = calloc((size_t)c->n + 1, sizeof *row);
    assert_true(a && b && row);
    for (int g = 0; g < c->count; g++) judge_group(r, g, &how, a, b, row);
    free(a);
    free(b);
    free(row);
}

static bool run_grouped(const test_device *on, const pave_kernel_info *row, const grouped_case *c) {
    run r = {.on = on, .row = row, .c = c};
    make(&r);
    pave_group groups[GROUPS_MAX];
    for (int g = 0; g < c->count; g++) {
        groups[g] = (pave_group){r.a.at[g], r.b.at[g], r.y.at[g]};
        if (c->reduction) groups[g].y.rank = 1;
    }
    float half = 0.5f;
    pave_link link = {.op = c->activation};
    pave_grouped_params p = {
        .size = sizeof p,
        .groups = groups,
        .group_count = (size_t)c->count,
        .transpose_a = c->transpose_a,
        .transpose_b = c->transpose_b,
        .alpha = c->set_alpha ? &half : NULL,
        .bias = r.bias.tensor,
        .epilogue = {.links = &link, .link_count = c->activation != 0, .reduction = c->reduction},
        .precision = row->precision};
    pave_status status = pave_matmul_grouped(on->queue, &p, NULL);
    if (status != PAVE_E_UNSUPPORTED) TEST_OK(status);
    if (status) assert_non_null(strstr(pave_last_message(), row->name));
    check(&r, !status);
    if (!status) judge(&r);
    test_nd_free(&r.a.whole);
    test_nd_free(&r.b.whole);
    test_nd_free(&r.y.whole);
    test_nd_free(&r.bias);
    for (int g = 0; g < c->count; g++) {
        test_nd_free(&r.a_single[g]);
        test_nd_free(&r.b_single[g]);
        test_nd_free(&r.y_single[g]);
    }
    return !status;
}

static void experts(const test_device *on, const pave_kernel_info *row) {
    const grouped_case cases[] = {
        {.what = "experts",
         .count = 6,
         .m = {5, 0, 1, 33, 0, 17},
         .n = 40,
         .k = 24,
         .transpose_b = true,
         .align = 16},
        {.what = "experts, bias each, activation",
         .count = 4,
         .m = {3, 70, 0, 9},
         .n = 21,
         .k = 32,
         .transpose_b = true,
         .bias = true,
         .bias_each = true,
         .activation = PAVE_LINK_SIGMOID,
         .align = 16},
        {.what = "one bias, alpha",
         .count = 3,
         .m = {150, 2, 11},
         .n = 140,
         .k = 16,
         .transpose_b = true,
         .bias = true,
         .set_alpha = true,
         .align = 16},
        {.what = "buffers apart",
         .count = 3,
         .m = {7, 0, 12},
         .n = 19,
         .k = 16,
         .transpose_b = true,
         .apart = true,
         .align = 16},
        {.what = "logsumexp",
         .count = 4,
         .m = {5, 9, 0, 1},
         .n = 270,
         .k = 16,
         .transpose_b = true,
         .reduction = PAVE_REDUCE_LOGSUMEXP,
         .align = 16},
        {.what = "argmax",
         .count = 2,
         .m = {5, 9},
         .n = 37,
         .k = 16,
         .transpose_b = true,
         .reduction = PAVE_REDUCE_ARGMAX,
         .align = 16},
        {.what = "no k",
         .count = 2,
         .m = {5, 9},
         .n = 8,
         .k = 0,
         .transpose_b = true,
         .bias = true,
         .align = 16},
        {.what = "all empty", .count = 2, .n = 8, .k = 8, .transpose_b = true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool taken = run_grouped(on, row, &cases[i]);
        if (!taken) printf("#   %s: refused\n", cases[i].what);
    }
    /* Types as the row has them in memory lie ready; what a row only takes rounded before is refused. */
    grouped_case any = cases[0];
    any.what = "transposed and unaligned";
    any.k = 23;
    any.align = 0;
    for (int t = 0; t < 4; t++) {
        any.transpose_a = t & 1;
        any.transpose_b = t >> 1;
        bool taken = run_grouped(on, row, &any);
        if (row->align == 1) assert_true(taken);
    }
}

/* Without a forced row some row of every device takes every type. */
static void test_planned(void **state) {
    (void)state;
    for (size_t d = 0; d < device_count; d++)
        for (int type = PAVE_F32; type <= PAVE_BF16; type++)
            for (int p = PAVE_HIGH; p <= PAVE_MEDIUM; p++) {
                pave_kernel_info row = {.size = sizeof row,
                                        .name = "the plan",
                                        .in_type = (pave_dtype)type,
                                        .b_type = (pave_dtype)type};
                row.precision = (pave_precision)p;
                row.path = p == PAVE_HIGHEST ? PAVE_PATH_FMA : PAVE_PATH_TF32;
                if (p == PAVE_MEDIUM)
                    continue; /* as HIGH: a row that rounds more would need its operands packed */
                grouped_case c = {
                    .what = "planned", .count = 3, .m = {9, 0, 4}, .n = 13, .k = 15, .transpose_b = true};
                assert_true(run_grouped(&devices[d], &row, &c));
            }
}

static void test_experts(void **state) {
    (void)state;
    each_row("gemm", experts);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_experts), cmocka_unit_test(test_planned)};
    return cmocka_run_group_tests_name("grouped", tests, open_devices, close_devices);
}
