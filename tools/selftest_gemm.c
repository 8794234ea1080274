/* SPDX-License-Identifier: Apache-2.0
 * Checks a gemm or join row, or one that makes operands, through pave_linear: whole numbers, whose results must be
 * exact, a sigmoid and a logsumexp on random numbers within the documented bound. */
#include "tools/selftest.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct gemm_case {
    int64_t m, n, k, pad;
    pave_dtype x_type, w_type;
    pave_precision precision;
    bool whole; /* small whole numbers and no activation: exact */
    pave_link_op activation;
    pave_reduction reduction;
    double unit, operand; /* v and c of the bound */
} gemm_case;

typedef struct gemm_data {
    self_matrix x, w, bias, y;
} gemm_data;

static bool fill(self_check *check, self_matrix *m, bool whole, uint64_t *seed) {
    for (int64_t i = 0; i < m->rows; i++)
        for (int64_t j = 0; j < m->cols; j++)
            self_matrix_set(m, i, j, whole ? self_whole(seed) : self_random(seed, m->view.type == PAVE_F32));
    return self_matrix_upload(check, m);
}

/* What was stored, in float64. */
static double *values_of(const self_matrix *m) {
    double *values = malloc((size_t)(m->rows * m->cols + 1) * sizeof *values);
    size_t size = pave_dtype_bytes(m->view.type);
    const uint32_t fraction = m->view.type == PAVE_E4M3 ? 3 : 2,
                   bias = m->view.type == PAVE_E4M3 ? 7 : 15; /* float8's */
    for (int64_t i = 0; values && i < m->rows * m->cols; i++) {
        const uint8_t *p = m->image + m->view.offset + (uint64_t)(i / m->cols * m->ld + i % m->cols) * size;
        uint32_t bits = 0;
        memcpy(&bits, p, size);
        if (m->view.type == PAVE_BF16) bits <<= 16;
        if (size == 1 && (bits & 0x7f))
            bits = (bits & 0x80) << 24 | (((bits & 0x7f) << (23 - fraction)) + ((127 - bias) << 23));
        else if (size == 1)
            bits <<= 24;
        if (m->view.type == PAVE_F16 && (bits & 0x7fff))
            bits = (bits & 0x8000) << 16 | (((bits & 0x7fff) << 13) + 0x38000000);
        float f;
        memcpy(&f, &bits, sizeof f);
        values[i] = f;
    }
    return values;
}

/* One output before its reduction: value and bound. */
static double expect(const gemm_case *c, const double *x, const double *w, double b, double *bound) {
    double sum = b, size = 0, x_sum = 0, w_sum = 0, x_top = 0, w_top = 0;
    for (int64_t k = 0; k < c->k; k++) {
        sum += x[k] * w[k];
        size += fabs(x[k] * w[k]);
        x_sum += fabs(x[k]);
        w_sum += fabs(w[k]);
        x_top = fmax(x_top, fabs(x[k]));
        w_top = fmax(w_top, fabs(w[k]));
    }
    const double u = 0x1p-24;
    /* One addition more for the bias, one for each of up to 64 parts of a split sum, and those within a block of 16. */
    double terms = (double)(c->k + 1 + 64 + 17) * c->unit, gamma = terms / (1 - terms);
    double e = ((1 + c->operand) * (1 + gamma) - 1) * size + gamma * fabs(b);
    /* The normwise part of float16 with a scale for each row: docs/precision.md. */
    if (c->operand > 0) e += 1.01 * 0x1p-39 * (x_top * w_sum + w_top * x_sum);
    if (c->activation == PAVE_LINK_SIGMOID) {
        sum = 1 / (1 + exp(-sum));
        e = 0.25 * e + 13 * u * (fabs(sum) + 0.25 * e);
    }
    *bound = c->whole ? 0 : e + u * (fabs(sum) + e);
    return sum;
}

static bool right(self_check *check, const gemm_case *c, int64_t row, int64_t col, double got, double want,
                  double bound) {
    char what[96];
    snprintf(what, sizeof what, "%" PRId64 "x%" PRId64 "x%" PRId64 " %s%s%s", c->m, c->n, c->k,
             c->whole ? "whole numbers" : "random", c->activation ? " sigmoid" : "",
             c->reduction ? " logsumexp" : "");
    return self_within(check, what, row, col, got, want, bound);
}

static bool compare(self_check *check, const gemm_case *c, const gemm_data *d) {
    double *x = values_of(&d->x), *w = values_of(&d->w), *b = values_of(&d->bias);
    double *v = calloc((size_t)c->n, sizeof *v), *e = calloc((size_t)c->n, sizeof *e);
    bool ok = (x && w && b && v && e) || self_fail(check, "no memory on the host");
    for (int64_t i = 0; ok && i < c->m; i++) {
        for (int64_t j = 0; ok && j < c->n; j++) {
            v[j] = expect(c, x + i * c->k, w + j * c->k, b[j], &e[j]);
            if (!c->reduction) ok = right(check, c, i, j, self_matrix_get(&d->y, i, j), v[j], e[j]);
        }
        double bound;
        if (ok && c->reduction) {
            double want = self_reduce(c->reduction, v, e, c->n, &bound);
            ok = right(check, c, i, 0, self_matrix_get(&d->y, i, 0), want, bound);
        }
    }
    free(x);
    free(w);
    free(b);
    free(v);
    free(e);
    return ok;
}

static bool launch(self_check *check, const gemm_case *c, gemm_data *d) {
    pave_link link = {.op = c->activation};
    pave_linear_params params = {
        .size = sizeof params, .x = d->x.view, .w = d->w.view, .y = d->y.view, .precision = c->precision};
    params.bias = pave_tensor_1d(d->bias.buffer, PAVE_F32, c->n);
    params.bias.offset = d->bias.view.offset;
    params.epilogue = (pave_epilogue){
        .links = &link, .link_count = c->activation != PAVE_LINK_NONE, .reduction = c->reduction};
    if (c->reduction) {
        params.y = pave_tensor_1d(d->y.buffer, PAVE_F32, c->m);
        params.y.offset = d->y.view.offset;
    }
    pave_plan *plan;
    pave_status status = pave_plan_linear(check->session->context, &params, &plan);
    if (status == PAVE_E_UNSUPPORTED) {
        snprintf(check->skipped, sizeof check->skipped, "%.380s", pave_last_message());
        return false;
    }
    if (status) return self_broke(check, "plan");
    bool uses = self_plan_uses(check, plan);
    params.plan = plan;
    if (uses) status = pave_linear(check->session->queue, &params, NULL);
    if (uses && !status) status = pave_queue_finish(check->session->queue);
    pave_plan_destroy(&plan);
    if (status) return self_broke(check, "launch");
    return uses;
}

static void run_case(self_check *check, const gemm_case *c) {
    if (check->failure[0]) return;
    uint64_t seed = (uint64_t)(c->m * 7919 + c->n * 104729 + c->k);
    gemm_data d = {0};
    bool ok =
        self_matrix_make(check, c->x_type, c->m, c->k, c->pad, &d.x) && fill(check, &d.x, c->whole, &seed) &&
        self_matrix_make(check, c->w_type, c->n, c->k, c->pad, &d.w) && fill(check, &d.w, c->whole, &seed) &&
        self_matrix_make(check, PAVE_F32, 1, c->n, 0, &d.bias) && fill(check, &d.bias, c->whole, &seed) &&
        self_matrix_make(check, PAVE_F32, c->m, c->reduction ? 1 : c->n, c->reduction ? 0 : c->pad, &d.y) &&
        self_matrix_upload(check, &d.y);
    if (ok && launch(check, c, &d) && self_matrix_download(check, &d.y) && compare(check, c, &d))
        check->cases++;
    self_matrix_free(&d.x);
    self_matrix_free(&d.w);
    self_matrix_free(&d.bias);
    self_matrix_free(&d.y);
}

/* The three kinds of check at one shape. */
static void run_shape(self_check *check, gemm_case c) {
    bool gemm = strcmp(check->row.family, "gemm") == 0;
    bool halves = c.x_type != PAVE_F32 && c.w_type != PAVE_F32,
         fma = gemm && check->row.path == PAVE_PATH_FMA;
    /* Matrix units truncate as they add; the others run beside whichever gemm the planner took. */
    c.unit = fma ? 0x1p-24 : 0x1p-23;
    c.operand = halves || fma ? 0 : c.precision == PAVE_HIGHEST ? 0x1p-21 : 2 * 0x1p-11 + 0x1p-22;
    if (gemm && check->row.path == PAVE_PATH_F8) c.operand = 0x1p-8; /* what its sums of 32 products lose */
    c.whole = true;
    if (strcmp(check->row.family, "join") != 0) run_case(check, &c);
    c.whole = false;
    c.activation = PAVE_LINK_SIGMOID;
    if (strcmp(check->row.family, "join") != 0) run_case(check, &c);
    c.activation = PAVE_LINK_NONE;
    c.reduction = PAVE_REDUCE_LOGSUMEXP;
    run_case(check, &c);
}

void self_check_gemm(self_check *check) {
    const pave_kernel_info *r = &check->row;
    bool gemm = strcmp(r->family, "gemm") == 0;
    int64_t bm = gemm && r->bm > 1 ? r->bm : 64, bn = gemm && r->bn > 1 ? r->bn : 64,
            bk = gemm && r->bk > 1 ? r->bk : 32;
    const int64_t shapes[][4] = {{1, 1, 1, 0},
                                 {bm, bn, 2 * bk, 0},
                                 {bm + 1, bn + 3, bk + 1, 3},
                                 {5, 37, 1029, 1},
                                 {bm - 1, bn - 1, bk - 1, 1},
                                 {67, 93, 129, 0},
                                 {2 * bm + 5, 2 * bn + 7, 3 * bk + 5, 0},
                                 {1, 300, 517, 0},
                                 {300, 1, 64, 16}};
    for (size_t i = 0; i < (check->quick ? 4 : sizeof shapes / sizeof shapes[0]); i++) {
        gemm_case c = {.m = shapes[i][0],
                       .n = shapes[i][1],
                       .k = shapes[i][2],
                       .pad = shapes[i][3],
                       .precision = r->precision};
        c.x_type = gemm && pave_dtype_bytes(r->in_type) ? r->in_type : PAVE_F32;
        c.w_type = gemm && pave_dtype_bytes(r->b_type) ? r->b_type : PAVE_F32;
        run_shape(check, c);
    }
}
