/* SPDX-License-Identifier: Apache-2.0
 * Matrices in guard zones, random values, and reductions in float64 with their bounds. */
#include "tools/selftest.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 1024u /* bytes before and behind; keeps the matrix as aligned as the buffer */
#define POISON 0xff /* NaN in each of the types */

bool self_fail(self_check *check, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(check->failure, sizeof check->failure, format, args);
    va_end(args);
    return false;
}

bool self_broke(self_check *check, const char *what) {
    return self_fail(check, "%s: %.300s", what, pave_last_message());
}

bool self_plan_uses(self_check *check, const pave_plan *plan) {
    for (size_t i = 0; i < pave_plan_step_count(plan); i++)
        if (strcmp(pave_plan_step_kernel(plan, i), check->row.name) == 0) return true;
    snprintf(check->skipped, sizeof check->skipped, "no plan of the self-test launches it here");
    return false;
}

bool self_within(self_check *check, const char *what, int64_t row, int64_t col, double got, double want,
                 double bound) {
    double error = fabs(got - want);
    if (error <= bound) return true;
    return self_fail(check,
                     "%s: y[%" PRId64 ",%" PRId64 "] is %.9g, exactly %.9g, error %.3g over its bound %.3g",
                     what, row, col, got, want, error, bound);
}

bool self_matrix_make(self_check *check, pave_dtype type, int64_t rows, int64_t cols, int64_t pad,
                      self_matrix *m) {
    size_t size = pave_dtype_bytes(type);
    *m = (self_matrix){.rows = rows, .cols = cols, .ld = cols + pad};
    m->bytes = 2 * GUARD + (uint64_t)(rows * m->ld) * size;
    m->image = malloc((size_t)m->bytes);
    if (!m->image) return self_fail(check, "no memory on the host");
    memset(m->image, POISON, (size_t)m->bytes);
    if (pave_buffer_create(check->session->context, m->bytes, &m->buffer)) return self_broke(check, "buffer");
    m->view = pave_tensor_2d(m->buffer, type, rows, cols);
    m->view.offset = GUARD;
    m->view.strides[0] = m->ld;
    return true;
}

static uint8_t *at(const self_matrix *m, int64_t row, int64_t col) {
    return m->image + GUARD + (uint64_t)(row * m->ld + col) * pave_dtype_bytes(m->view.type);
}

/* Values here are exact in the type and normal in float16, so that nothing is rounded. */
void self_matrix_set(self_matrix *m, int64_t row, int64_t col, double value) {
    float f = (float)value;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint16_t half = (uint16_t)(bits >> 16);
    if (m->view.type == PAVE_F16)
        half =
            value == 0 ? 0 : (uint16_t)((bits >> 16 & 0x8000) | (((bits & 0x7fffffff) - 0x38000000) >> 13));
    /* float8's few bits: what of the value they hold. */
    const int e4m3 = m->view.type == PAVE_E4M3;
    const uint32_t least = e4m3 ? 121u << 23 : 113u << 23, magnitude = bits & 0x7fffffff;
    uint8_t code = magnitude < least ? 0 : (uint8_t)((magnitude - least + (1u << 23)) >> (e4m3 ? 20 : 21));
    if (m->view.type == PAVE_F32)
        memcpy(at(m, row, col), &bits, sizeof bits);
    else if (pave_dtype_bytes(m->view.type) == 1)
        *at(m, row, col) = code | (uint8_t)(bits >> 24 & 0x80);
    else
        memcpy(at(m, row, col), &half, sizeof half);
}

double self_matrix_get(const self_matrix *m, int64_t row, int64_t col) {
    float f;
    int32_t whole;
    memcpy(&whole, at(m, row, col), sizeof whole);
    if (m->view.type == PAVE_I32) return whole;
    memcpy(&f, at(m, row, col), sizeof f);
    return f;
}

bool self_matrix_upload(self_check *check, self_matrix *m) {
    if (pave_buffer_write(check->session->queue, m->buffer, 0, m->image, m->bytes, PAVE_BLOCK, NULL))
        return self_broke(check, "write");
    return true;
}

bool self_matrix_download(self_check *check, self_matrix *m) {
    memset(m->image, 0, (size_t)m->bytes);
    if (pave_buffer_read(check->session->queue, m->buffer, 0, m->image, m->bytes, PAVE_BLOCK, NULL))
        return self_broke(check, "read");
    uint64_t size = pave_dtype_bytes(m->view.type), row = (uint64_t)m->ld * size,
             used = (uint64_t)m->cols * size;
    for (uint64_t i = 0; i < m->bytes; i++) {
        bool inside = i >= GUARD && i < m->bytes - GUARD && (i - GUARD) % row < used;
        if (!inside && m->image[i] != POISON)
            return self_fail(check, "wrote outside its output: byte %" PRId64 " from its start",
                             (int64_t)i - (int64_t)GUARD);
    }
    return true;
}

void self_matrix_free(self_matrix *m) {
    pave_buffer_destroy(&m->buffer);
    free(m->image);
    *m = (self_matrix){0};
}

static uint64_t next(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

double self_random(uint64_t *seed, bool all_bits) {
    double whole = (double)(next(seed) & 0xff) - 128;
    return all_bits ? (whole + (double)(next(seed) & 0xffff) / 65536) / 128 : whole / 128;
}

double self_whole(uint64_t *seed) {
    return (double)(next(seed) % 7) - 3;
}

double *self_input(self_check *check, pave_dtype type, int64_t rows, int64_t cols, int64_t pad, bool across,
                   self_matrix *x) {
    uint64_t seed = (uint64_t)(rows * 31 + cols);
    double *values = malloc((size_t)(rows * cols) * sizeof *values);
    bool ok = values ? self_matrix_make(check, type, across ? cols : rows, across ? rows : cols, pad, x)
                     : self_fail(check, "no memory on the host");
    for (int64_t i = 0; ok && i < rows * cols; i++) {
        int64_t row = i / cols, col = i % cols;
        values[i] = (double)(float)self_random(&seed, type == PAVE_F32);
        self_matrix_set(x, across ? col : row, across ? row : col, values[i]);
    }
    if (ok && self_matrix_upload(check, x)) return values;
    free(values);
    return NULL;
}

static double logsumexp(const double *v, const double *e, int64_t n, double *bound) {
    const double u = 0x1p-24, eps = 6 * u;
    double max = v[0], sum = 0, spread = 0, worst = 0;
    for (int64_t j = 0; j < n; j++) max = v[j] > max ? v[j] : max;
    for (int64_t j = 0; j < n; j++) {
        double p = exp(v[j] - max);
        sum += p;
        spread += p * (max - v[j]);
        worst = e[j] > worst ? e[j] : worst;
    }
    double y = max + log(sum), gamma = (double)(n - 1) * u / (1 - (double)(n - 1) * u);
    *bound = worst + 1.05 * (eps + u * spread / sum + gamma) + eps * log(sum) + u * fabs(y);
    return y;
}

double self_reduce(pave_reduction reduction, const double *v, const double *e, int64_t n, double *bound) {
    if (reduction == PAVE_REDUCE_LOGSUMEXP) return logsumexp(v, e, n, bound);
    const double u = 0x1p-24;
    double sum = 0, size = 0, error = 0, worst = 0, max = v[0], min = v[0];
    for (int64_t j = 0; j < n; j++) {
        sum += v[j];
        size += fabs(v[j]);
        error += e[j];
        worst = e[j] > worst ? e[j] : worst;
        max = v[j] > max ? v[j] : max;
        min = v[j] < min ? v[j] : min;
    }
    /* One more rounding than n - 1 additions: the result's to float32. */
    double y = sum, sum_bound = error + (double)n * u / (1 - (double)n * u) * size;
    *bound = sum_bound;
    if (reduction == PAVE_REDUCE_MEAN) {
        y = sum / (double)n;
        *bound = sum_bound / (double)n + 5 * u * fabs(y);
    } else if (reduction != PAVE_REDUCE_SUM) {
        y = reduction == PAVE_REDUCE_MIN ? min : max;
        *bound = worst;
    }
    return y;
}

static void softmax(pave_reduction reduction, const double *v, const double *zero, int64_t n, double *y,
                    double *bound) {
    const double u = 0x1p-24;
    double max = v[0], common, lse = logsumexp(v, zero, n, &common);
    for (int64_t j = 0; j < n; j++) max = v[j] > max ? v[j] : max;
    for (int64_t j = 0; j < n; j++) {
        double log_y = v[j] - lse, away = max - v[j];
        bool log_softmax = reduction == PAVE_REDUCE_LOG_SOFTMAX;
        y[j] = log_softmax ? log_y : exp(log_y);
        bound[j] = log_softmax ? common + u * (fabs(log_y) + away + fabs(v[j]))
                               : y[j] * expm1(common + 1.05 * (6 * u + u * away) + 6 * u) + 0x1p-124;
    }
}

static void normalize(const double *v, const double *zero, int64_t n, double *y, double *bound) {
    const double u = 0x1p-24, epsilon = 1e-5, gamma = (double)(n + 4) * u / (1 - (double)(n + 4) * u);
    double e_mean, mean = self_reduce(PAVE_REDUCE_MEAN, v, zero, n, &e_mean), square = 0, e_square = 0;
    for (int64_t j = 0; j < n; j++) {
        double d = fabs(v[j] - mean), e = e_mean + u * (d + e_mean);
        square += d * d / (double)n;
        e_square += (2 * d * e + e * e) / (double)n;
    }
    e_square += gamma * (square + e_square) + u * epsilon;
    double root = sqrt(square + epsilon), low = sqrt(fmax(square - e_square, 0) + epsilon);
    for (int64_t j = 0; j < n; j++) {
        double d = v[j] - mean, most = (fabs(d) + e_mean + u * (fabs(d) + e_mean)) / low;
        y[j] = d / root;
        bound[j] = most - fabs(y[j]) + 8 * u * most;
    }
}

void self_reduce_wide(pave_reduction reduction, const double *v, const double *zero, int64_t n, double *y,
                      double *bound) {
    if (reduction == PAVE_REDUCE_NORMALIZE)
        normalize(v, zero, n, y, bound);
    else
        softmax(reduction, v, zero, n, y, bound);
}
