/* SPDX-License-Identifier: Apache-2.0
 * The float64 reference of what gives a row as wide as it takes, and of argmax, with the bound of each value. The bounds
 * of docs/operations.md, element by element, widened for what the values going in may be off by. */
#include "tests/support/support.h"

#include <math.h>

#define U 0x1p-24
#define ETA 0x1p-126

static bool finite_row(const test_value *row, int64_t n, double *top) {
    *top = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(row[i].value) || row[i].value == INFINITY) return false;
        *top = fmax(*top, row[i].value);
    }
    return *top > -INFINITY;
}

/* exp and the sum are off by the same factors whoever the value belongs to; a value's own error and its distance from the
 * maximum count once more. Below e^-87 an exponential may be 0. */
static test_value softmax_of(const test_value *v, double lse, double top, double common, double alarm_in) {
    double y = exp(v->value - lse), own = 1.05 * (6 * U + U * fabs(v->value - top) + common) + 6 * U;
    double low = 4 * ETA;
    return (test_value){y, y * expm1(v->bound + own) + low, y * expm1(v->alarm + alarm_in + own) + low};
}

static void softmax(const test_value *row, int64_t n, pave_reduction reduction, test_value *out) {
    double top, most = 0, most_alarm = 0;
    if (!finite_row(row, n, &top)) {
        for (int64_t i = 0; i < n; i++) out[i] = (test_value){NAN, 0, 0};
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, row[i].bound);
        most_alarm = fmax(most_alarm, row[i].alarm);
    }
    test_value lse = test_reduce_row(row, n, PAVE_REDUCE_LOGSUMEXP);
    double own = lse.bound - most; /* the evaluation's part */
    for (int64_t i = 0; i < n; i++) {
        if (reduction == PAVE_REDUCE_SOFTMAX) {
            out[i] = softmax_of(&row[i], lse.value, top, lse.bound, most_alarm);
            continue;
        }
        double y = row[i].value - lse.value;
        double round = isinf(y) ? 0 : U * (fabs(y) + fabs(row[i].value - top) + fabs(row[i].value)) + ETA;
        out[i] = (test_value){y, row[i].bound + most + own + round, row[i].alarm + most_alarm + own + round};
    }
}

/* How far the mean of squares may be off, where each value and the mean are off by their bars. */
static double variance_bar(const test_value *row, int64_t n, double epsilon, bool alarm, double mean,
                           double variance, double e_mean) {
    double e_var = 0, gamma = (double)(n + 4) * U / (1 - (double)(n + 4) * U);
    for (int64_t j = 0; j < n; j++) {
        double d = fabs(row[j].value - mean), e = (alarm ? row[j].alarm : row[j].bound) + e_mean;
        e += U * (d + e);
        e_var += (2 * d * e + e * e) / (double)n;
    }
    return e_var + gamma * (variance + e_var) + U * epsilon;
}

static double normalize_bar(double d, double e, double variance, double e_var, double epsilon) {
    e += U * (d + e);
    double root = sqrt(variance + epsilon), low = sqrt(fmax(variance - e_var, 0) + epsilon);
    if (low == 0) return INFINITY;
    double most = (d + e) / low;
    return (most - d / root) + 8 * U * most + ETA;
}

static void normalize(const test_value *row, int64_t n, double epsilon, test_value *out) {
    double s = 0, variance = 0;
    for (int64_t i = 0; i < n; i++) s += row[i].value / (double)n;
    for (int64_t i = 0; i < n; i++) variance += pow(row[i].value - s, 2) / (double)n;
    test_value mean = test_reduce_row(row, n, PAVE_REDUCE_MEAN);
    double bound = variance_bar(row, n, epsilon, false, s, variance, mean.bound);
    double alarm = variance_bar(row, n, epsilon, true, s, variance, mean.alarm);
    for (int64_t i = 0; i < n; i++) {
        double d = row[i].value - s, y = d / sqrt(variance + epsilon);
        out[i] = (test_value){y, normalize_bar(fabs(d), row[i].bound + mean.bound, variance, bound, epsilon),
                              normalize_bar(fabs(d), row[i].alarm + mean.alarm, variance, alarm, epsilon)};
    }
}

void test_normalize_row(const test_value *row, int64_t n, pave_reduction reduction, double epsilon,
                        test_value *out) {
    if (reduction == PAVE_REDUCE_NORMALIZE)
        normalize(row, n, epsilon, out);
    else
        softmax(row, n, reduction, out);
}

bool test_argmax_right(const test_value *row, int64_t n, int64_t got) {
    if (got < 0 || got >= n) return false;
    for (int64_t i = 0; i < n; i++)
        if (isnan(row[i].value)) return got == i;
    for (int64_t i = 0; i < n; i++) {
        double low = row[i].value - row[i].bound, high = row[got].value + row[got].bound;
        if (isinf(row[i].value)) low = row[i].value;
        if (isinf(row[got].value)) high = row[got].value;
        if (low > high || (i < got && low == high)) return false;
    }
    return true;
}
