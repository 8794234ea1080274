/* SPDX-License-Identifier: Apache-2.0
 * Chains of linears as the planner lays them out, in every promise and type, and weights packed once: a plan
 * with them must give the bits that it gives without. */
#include "tests/kernels/cases.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS_MAX 5

typedef struct chain {
    test_array x, y, w[LAYERS_MAX], bias[LAYERS_MAX];
    pave_layer layers[LAYERS_MAX];
    test_layer reference[LAYERS_MAX];
    pave_link activation;
    test_link link;
    pave_mlp_params params;
} chain;

static void make(chain *s, const test_device *on, int count, pave_dtype type, pave_reduction reduction,
                 pave_precision precision) {
    static const int64_t widths[] = {40, 67, 33, 130, 19, 45};
    const int64_t m = 37;
    test_rng rng = test_rng_make((uint64_t)count);
    memset(s, 0, sizeof *s);
    s->activation = (pave_link){.op = PAVE_LINK_SIGMOID};
    s->link.link = s->activation;
    test_array_make(&s->x, on, type, m, widths[0], (test_layout){1, 1}, TEST_RANDOM, &rng);
    for (int i = 0; i < count; i++) {
        bool last = i == count - 1;
        test_array_make(&s->w[i], on, type, widths[i + 1], widths[i], (test_layout){0, 0}, TEST_RANDOM, &rng);
        test_array_make(&s->bias[i], on, type, 1, widths[i + 1], (test_layout){0, 1}, TEST_RANDOM, &rng);
        s->layers[i] = (pave_layer){.w = s->w[i].tensor,
                                    .bias = test_vector(&s->bias[i]),
                                    .links = last ? NULL : &s->activation,
                                    .link_count = !last};
        s->reference[i] = (test_layer){&s->w[i], &s->bias[i], &s->link, !last};
    }
    test_array_make(&s->y, on, PAVE_F32, m, reduction ? 1 : widths[count], (test_layout){3, 1}, TEST_POISON,
                    &rng);
    s->params = (pave_mlp_params){.size = sizeof s->params,
                                  .x = s->x.tensor,
                                  .layers = s->layers,
                                  .layer_count = (size_t)count,
                                  .epilogue.reduction = reduction,
                                  .y = s->y.tensor,
                                  .precision = precision};
    if (reduction) s->params.y.rank = 1;
}

static void drop(chain *s) {
    test_array_free(&s->x);
    test_array_free(&s->y);
    for (size_t i = 0; i < s->params.layer_count; i++) {
        test_array_free(&s->w[i]);
        test_array_free(&s->bias[i]);
    }
}

/* The weakest of the rows that a plan takes. */
static test_class class_of_plan(const test_device *on, const pave_plan *plan) {
    test_class worst = {.unit = 0x1p-24};
    for (size_t step = 0; step < pave_plan_step_count(plan); step++)
        for (size_t i = 0;; i++) {
            pave_kernel_info row = {.size = sizeof row};
            if (pave_kernel_describe(i, on->device, &row, NULL)) break;
            if (strcmp(row.name, pave_plan_step_kernel(plan, step)) || strcmp(row.family, "gemm")) continue;
            test_class how = test_class_of(&row);
            worst.rho_tf32 = fmax(worst.rho_tf32, how.rho_tf32);
            worst.rho_f16 = fmax(worst.rho_f16, how.rho_f16);
            worst.floor = fmax(worst.floor, how.floor);
            worst.unit = fmax(worst.unit, how.unit);
            worst.inner = fmax(worst.inner, how.inner);
            worst.truncates |= how.truncates;
        }
    return worst;
}

static void judge(const test_device *on, const chain *s, const test_class *how, const char *what) {
    const pave_mlp_params *p = &s->params;
    int64_t n = s->w[p->layer_count - 1].rows;
    test_value *out = calloc((size_t)n, sizeof *out);
    assert_non_null(out);
    for (int64_t i = 0; i < s->x.rows; i++) {
        test_chain_row(&s->x, s->reference, p->layer_count, i, how, out);
        if (p->epilogue.reduction) out[0] = test_reduce_row(out, n, p->epilogue.reduction);
        for (int64_t j = 0; j < (p->epilogue.reduction ? 1 : n); j++) {
            test_value want = test_stored(out[j], s->y.type);
            double got = test_array_get(&s->y, i, j);
            if (test_within(got, want.value, want.alarm)) continue;
            fprintf(stderr,
                    "%s: %s, %zu layers of %s, precision %d, reduction %d, seed %" PRIu64 ": y[%" PRId64
                    ",%" PRId64 "] is %.9g where %.9g +- %.3g (alarm %.3g) is right\n",
                    on->info.selector, what, p->layer_count, pave_dtype_name(s->x.type), p->precision,
                    p->epilogue.reduction, test_seed(), i, j, got, want.value, want.bound, want.alarm);
            fail();
        }
    }
    free(out);
}

static void run(const test_device *on, chain *s, const char *what) {
    TEST_OK(pave_mlp(on->queue, &s->params, NULL));
    test_array_check(&s->x, on->queue, false, "x");
    for (size_t i = 0; i < s->params.layer_count; i++) test_array_check(&s->w[i], on->queue, false, "w");
    test_array_check(&s->y, on->queue, true, what);
}

/* The chain by the context's plan, then by the same plan passed in, then with packed weights. */
static void check(const test_device *on, int count, pave_dtype type, pave_reduction reduction,
                  pave_precision precision) {
    chain s;
    make(&s, on, count, type, reduction, precision);
    pave_plan *plan;
    TEST_OK(pave_plan_mlp(on->context, &s.params, &plan));
    test_class how = class_of_plan(on, plan);
    run(on, &s, "the context's plan");
    judge(on, &s, &how, "the context's plan");
    unsigned char *bits = malloc(s.y.total);
    assert_non_null(bits);
    memcpy(bits, s.y.bytes, s.y.total);
    s.params.plan = plan;
    run(on, &s, "a plan passed in");
    assert_memory_equal(bits, s.y.bytes, s.y.total);
    pave_plan_destroy(&plan);
    s.params.plan = NULL;
    free(bits);
    drop(&s);
}

static void test_chains(void **state) {
    (void)state;
    static const int counts[] = {1, 2, 3, 5};
    for (size_t d = 0; d < device_count; d++)
        for (size_t i = 0; i < 4; i++)
            for (int type = PAVE_F32; type <= PAVE_BF16; type++)
                for (int precision = PAVE_HIGH; precision <= PAVE_MEDIUM; precision++)
                    check(&devices[d], counts[i], (pave_dtype)type,
                          i % 2 ? PAVE_REDUCE_LOGSUMEXP : PAVE_REDUCE_NONE, (pave_precision)precision);
}

static void test_chain_reductions(void **state) {
    (void)state;
    for (size_t d = 0; d < device_count; d++)
        for (int r = PAVE_REDUCE_NONE; r <= PAVE_REDUCE_MIN; r++)
            check(&devices[d], 2, PAVE_F32, (pave_reduction)r, PAVE_HIGH);
}

/* Leaves NaN where the next chain's hidden layers will lie. */
static void poison(const test_device *on) {
    chain s;
    make(&s, on, 3, PAVE_F32, PAVE_REDUCE_NONE, PAVE_HIGHEST);
    for (int64_t i = 0; i < s.x.rows; i++)
        for (int64_t k = 0; k < s.x.cols; k++) test_array_set(&s.x, i, k, (double)NAN);
    test_array_upload(&s.x, on->queue);
    force_row(NULL);
    run(on, &s, "NaN");
    drop(&s);
}

/* Hidden layers in the form that each row which multiplies float32 reads: by the epilogue, and by the sum of
 * slices of k. */
static void hidden(const test_device *on, const pave_kernel_info *row) {
    if (row->in_type != PAVE_F32 && row->path != PAVE_PATH_F16) return;
    for (int splits = 1; splits <= 2; splits++) {
        char forced[128];
        poison(on);
        snprintf(forced, sizeof forced, "%s/%d", row->name, splits);
        force_row(forced);
        check(on, 3, PAVE_F32, PAVE_REDUCE_NONE, row->precision);
    }
}

static void test_hidden(void **state) {
    (void)state;
    each_row("gemm", hidden);
    force_row(NULL);
}

/* With the rows forced that the raw weights' plan took, packing first changes no bit. */
static void weights(const test_device *on, pave_dtype type, pave_precision precision) {
    chain s;
    make(&s, on, 2, type, PAVE_REDUCE_NONE, precision);
    pave_plan *plan;
    char names[512] = "";
    TEST_OK(pave_plan_mlp(on->context, &s.params, &plan));
    for (size_t i = 0; i < pave_plan_step_count(plan); i++) {
        const char *name = pave_plan_step_kernel(plan, i);
        if (strncmp(name, "pave_gemm", 9)) continue;
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", *names ? "," : "", name);
    }
    pave_plan_destroy(&plan);
    force_row(names);
    run(on, &s, "raw weights");
    unsigned char *bits = malloc(s.y.total);
    assert_non_null(bits);
    memcpy(bits, s.y.bytes, s.y.total);
    pave_weights *packed[2];
    for (int i = 0; i < 2; i++) {
        TEST_OK(pave_weights_create(on->queue, &s.layers[i].w, precision, &packed[i]));
        s.layers[i].w = (pave_tensor){0};
        s.layers[i].weights = packed[i];
    }
    for (int again = 0; again < 2; again++) {
        memset(s.y.elems, 0xff, 4);
        test_array_upload(&s.y, on->queue);
        run(on, &s, "packed weights");
        assert_memory_equal(bits, s.y.bytes, s.y.total);
    }
    force_row(NULL);
    for (int i = 0; i < 2; i++) pave_weights_destroy(&packed[i]);
    free(bits);
    drop(&s);
}

static void test_weights(void **state) {
    (void)state;
    for (size_t d = 0; d < device_count; d++)
        for (int type = PAVE_F32; type <= PAVE_BF16; type++)
            for (int precision = PAVE_HIGH; precision <= PAVE_MEDIUM; precision++)
                weights(&devices[d], (pave_dtype)type, (pave_precision)precision);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_chain_reductions),
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_weights),
    };
    return cmocka_run_group_tests_name("mlp", tests, open_devices, close_devices);
}
