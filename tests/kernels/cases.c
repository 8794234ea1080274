/* SPDX-License-Identifier: Apache-2.0
 * Runs linear cases and judges them. A failure names the row, the device, the seed, the shape and the index.
 */
#include "tests/kernels/cases.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Products that one case's bounds are worked out for; rows beyond are sampled, the first and last always in.
 */
#define REFERENCE_WORK 6000000

test_device devices[TEST_DEVICES_MAX];
size_t device_count;

int open_devices(void **state) {
    (void)state;
    device_count = test_devices_open(devices);
    return 0;
}

int close_devices(void **state) {
    (void)state;
    test_devices_close(devices, device_count);
    return 0;
}

void force_row(const char *name) {
    if (name)
        setenv("PAVE_KERNEL", name, 1);
    else
        unsetenv("PAVE_KERNEL");
}

void each_row(const char *family, void (*check)(const test_device *on, const pave_kernel_info *row)) {
    for (size_t d = 0; d < device_count; d++) {
        int rows = 0;
        for (size_t i = 0;; i++) {
            pave_kernel_info row = {.size = sizeof row};
            int32_t usable;
            if (pave_kernel_describe(i, devices[d].device, &row, &usable)) break;
            if (!usable || strcmp(row.family, family) || !test_wanted("PAVE_TEST_ROWS", row.name)) continue;
            printf("# %s on %s\n", row.name, devices[d].info.selector);
            fflush(stdout);
            force_row(row.name);
            check(&devices[d], &row);
            force_row(NULL);
            rows++;
        }
        if (!rows)
            fprintf(stderr, "%s: no %s row is usable, or none that PAVE_TEST_ROWS names\n",
                    devices[d].info.selector, family);
        assert_true(rows > 0);
    }
}

static pave_dtype type_or(pave_dtype type) {
    return type ? type : PAVE_F32;
}

typedef struct run {
    const test_device *on;
    const pave_kernel_info *row;
    const linear_case *c;
    test_array x, w, bias, y, tensors[PAVE_MAX_LINKS];
    test_link links[PAVE_MAX_LINKS];
    pave_link plain[PAVE_MAX_LINKS];
    pave_linear_params params;
} run;

static void complain(const run *r, int64_t i, int64_t j, double got, test_value want, const char *layer) {
    const linear_case *c = r->c;
    fprintf(stderr,
            "%s: %s on %s, case %s, seed %" PRIu64 ": m %" PRId64 " n %" PRId64 " k %" PRId64
            ", types %s %s %s, y[%" PRId64 ",%" PRId64 "] is %.9g where %.9g +- %.3g (alarm %.3g) is right\n",
            layer, r->row->name, r->on->info.selector, c->what, test_seed(), c->m, c->n, c->k,
            pave_dtype_name(r->x.type), pave_dtype_name(r->w.type), pave_dtype_name(r->y.type), i, j, got,
            want.value, want.bound, want.alarm);
    fail();
}

static void make_tensor(run *r, size_t i, test_rng *rng) {
    static const pave_dtype types[] = {PAVE_F32, PAVE_F16, PAVE_BF16};
    const linear_case *c = r->c;
    char kind = c->kinds ? c->kinds[i] : 's';
    r->plain[i] = r->links[i].link = c->links[i];
    if (kind == 's') return;
    if (kind == 'f' && c->alias) {
        r->plain[i].tensor = r->y.tensor;
        r->links[i].tensor = &r->y;
        return;
    }
    int64_t rows = kind == 'c' || kind == 'f' ? c->m : 1, cols = kind == 'c' ? 1 : c->n;
    test_layout layout = {kind == 'r' || kind == 'R' ? 0 : 2, i % 3};
    test_array_make(&r->tensors[i], r->on, types[i % 3], rows, cols, layout, TEST_POSITIVE, rng);
    r->plain[i].tensor = kind == 'r' ? test_vector(&r->tensors[i]) : r->tensors[i].tensor;
    r->links[i].tensor = &r->tensors[i];
}

static void make(run *r) {
    const linear_case *c = r->c;
    test_rng rng = test_rng_make((uint64_t)(c->m * 1000003 + c->n * 1009 + c->k));
    test_array_make(&r->x, r->on, type_or(c->x), c->m, c->k, c->lx, c->fill, &rng);
    test_array_make(&r->w, r->on, type_or(c->w), c->n, c->k, c->lw, c->fill, &rng);
    test_array_make(&r->y, r->on, type_or(c->y), c->m, c->reduction ? 1 : c->n, c->ly,
                    c->alias ? TEST_RANDOM : TEST_POISON, &rng);
    r->params = (pave_linear_params){.size = sizeof r->params, .x = r->x.tensor, .w = r->w.tensor};
    if (!c->no_bias) {
        test_array_make(&r->bias, r->on, test_link_type(type_or(c->w)), 1, c->n, (test_layout){0, 1}, c->fill,
                        &rng);
        r->params.bias = test_vector(&r->bias);
    }
    for (size_t i = 0; i < c->link_count; i++) make_tensor(r, i, &rng);
    r->params.y = r->y.tensor;
    if (c->reduction) {
        r->params.y.rank = 1;
        r->params.y.shape[0] = c->m;
    }
    r->params.precision = c->precision;
    r->params.epilogue =
        (pave_epilogue){.links = r->plain, .link_count = c->link_count, .reduction = c->reduction};
}

static void drop(run *r) {
    test_array_free(&r->x);
    test_array_free(&r->w);
    test_array_free(&r->y);
    if (r->bias.buffer) test_array_free(&r->bias);
    for (size_t i = 0; i < r->c->link_count; i++)
        if (r->tensors[i].buffer) test_array_free(&r->tensors[i]);
}

static void judge_exact(const run *r, int64_t i, int64_t j, double want) {
    double got = test_array_get(&r->y, i, j), rounded;
    unsigned char bytes[4];
    test_store(bytes, r->y.type, 0, want);
    rounded = test_load(bytes, r->y.type, 0);
    if (got != rounded) complain(r, i, j, got, (test_value){rounded, 0, 0}, "exactness");
}

static void judge(const run *r, int64_t i, int64_t j, test_value want) {
    double got = test_array_get(&r->y, i, j);
    want = test_stored(want, r->y.type);
    if (!test_within(got, want.value, want.bound)) complain(r, i, j, got, want, "bound");
    if (!test_within(got, want.value, want.alarm)) complain(r, i, j, got, want, "alarm");
}

/* Integers: a plain sum in float64 is exact, so that each output can be looked at. */
static void judge_integers(const run *r) {
    const linear_case *c = r->c;
    for (int64_t i = 0; i < c->m; i++)
        for (int64_t j = 0; j < c->n; j++) {
            double s = c->no_bias ? 0 : r->bias.values[j];
            for (int64_t k = 0; k < c->k; k++) s += r->x.values[i * c->k + k] * r->w.values[j * c->k + k];
            for (size_t l = 0; l < c->link_count; l++) s = test_activate(c->links[l].op, s, 0, 0);
            judge_exact(r, i, j, s);
        }
}

static void judge_rows(run *r, const test_array *residual) {
    const linear_case *c = r->c;
    test_class how = test_class_of(r->row);
    for (size_t i = 0; i < c->link_count; i++)
        if (r->links[i].tensor == &r->y) r->links[i].tensor = residual;
    test_layer layer = {&r->w, c->no_bias ? NULL : &r->bias, r->links, c->link_count};
    test_value *out = calloc((size_t)c->n + 1, sizeof *out);
    assert_non_null(out);
    int64_t work = c->m * c->n * c->k, step = 1 + work / REFERENCE_WORK;
    for (int64_t i = 0; i < c->m; i = i + step < c->m || i == c->m - 1 ? i + step : c->m - 1) {
        test_chain_row(&r->x, &layer, 1, i, &how, out);
        if (c->reduction) judge(r, i, 0, test_reduce_row(out, c->n, c->reduction));
        for (int64_t j = 0; !c->reduction && j < c->n; j++) judge(r, i, j, out[j]);
    }
    free(out);
}

/* What y held before, for links that read it. */
static test_array copy_of(const test_array *a) {
    test_array b = *a;
    b.buffer = NULL;
    b.values = NULL;
    b.bytes = malloc(a->total);
    assert_non_null(b.bytes);
    memcpy(b.bytes, a->bytes, a->total);
    b.elems = b.bytes + (a->elems - a->bytes);
    return b;
}

bool run_linear(const test_device *on, const pave_kernel_info *row, const linear_case *c) {
    run r = {.on = on, .row = row, .c = c};
    make(&r);
    test_array before = copy_of(&r.y);
    pave_status status = pave_linear(on->queue, &r.params, NULL);
    if (status != PAVE_E_UNSUPPORTED) TEST_OK(status);
    test_array_check(&r.x, on->queue, false, "x");
    test_array_check(&r.w, on->queue, false, "w");
    test_array_check(&r.y, on->queue, status == PAVE_OK, "y");
    for (size_t i = 0; i < c->link_count; i++)
        if (r.tensors[i].buffer) test_array_check(&r.tensors[i], on->queue, false, "a link's tensor");
    if (status) assert_non_null(strstr(pave_last_message(), row->name));
    if (!status && c->exact)
        judge_integers(&r);
    else if (!status)
        judge_rows(&r, &before);
    if (!status) { /* the same plan, the same bits */
        unsigned char *bits = malloc(r.y.total);
        memcpy(bits, r.y.bytes, r.y.total);
        memcpy(r.y.bytes, before.bytes, r.y.total);
        test_array_upload(&r.y, on->queue);
        TEST_OK(pave_linear(on->queue, &r.params, NULL));
        test_array_check(&r.y, on->queue, true, "y");
        assert_memory_equal(bits, r.y.bytes, r.y.total);
        free(bits);
    }
    test_array_free(&before);
    drop(&r);
    return status == PAVE_OK;
}
