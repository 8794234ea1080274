/* SPDX-License-Identifier: Apache-2.0
 * The float64 reference, from the operands as stored, and beside each value the bound of its error. No bound
 * is measured: each is the formula that follows from what the kernel may do.
 *
 * A dot product with operands rounded by rho and an accumulator of unit v:
 *   |err| <= [(1 + c)(1 + g) - 1] G,   G = sum |x w|,  c = rho_x + rho_w + rho_x rho_w,
 *   g = p v / (1 - p v),  p = K + 1 + partial sums.    Source: Higham 2002, section 3.1.
 * An operand that has a scale for each row is off by phi of its row's largest value beside that, which adds
 *   (1 + g) (1 + rho) (phi_x X sum |w| + phi_w W sum |x|) + (1 + g) K phi_x X phi_w W.
 * A link f with Lipschitz constant L turns (v, E) into L E + 2^-24 (rel (|f| + L E) + arg (|v| + E)), the
 * constants from the activations' table. Values stored on the way are rounded as operands are. */
#include "tests/support/support.h"

#include "kernels/epilogue/links.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>

#define U 0x1p-24
#define ETA 0x1p-126

/* Two float16 for a float32 are off by 2^-23 each, and the product of their lows is left out; the lows' last place is half
 * of 2^-24, 2^11 below the highs'. A block of 16 products is a truncating chain of 16 and 1. The chain of what is 2^11 less is
 * 2 K long and never cut, K / 256 of the highs': no more than the partial sums that every row may have. */
static const test_class pairs = {.rho_tf32 = 0x1p-22, .floor = 0x1p-50, .unit = U, .inner = 2 * 17};

/* 32 products that keep 13 bits behind the largest one's first, which is 32 times 2^-13 of their magnitudes. */
static const test_class float8 = {.unit = U, .inner = 32 * 0x1p11, .truncates = true};

test_class test_class_of_promise(pave_precision precision) {
    if (precision == PAVE_HIGHEST) return pairs;
    double rho = precision == PAVE_HIGH ? 0x1p-11 : 0x1p-8;
    return (test_class){.rho_tf32 = rho,
                        .rho_f16 = precision == PAVE_HIGH ? 0 : rho,
                        .rho_f8 = precision == PAVE_HIGH ? 0 : rho,
                        .floor = 0x1p-39,
                        .unit = 0x1p-23,
                        .truncates = true};
}

test_class test_class_of(const pave_kernel_info *row) {
    test_class how = {.unit = U};
    if (row->path == PAVE_PATH_F16 && row->precision == PAVE_HIGHEST) return pairs;
    if (row->path == PAVE_PATH_F8) return float8;
    if (row->path != PAVE_PATH_FMA) {
        how.unit = 0x1p-23;
        how.truncates = true;
    }
    if (row->path == PAVE_PATH_TF32 || row->path == PAVE_PATH_F16) how.rho_tf32 = 0x1p-11;
    if (row->path == PAVE_PATH_F16)
        how.floor = 0x1p-39; /* half of half's last place, the largest being at 2^14 */
    if (row->in_type == PAVE_BF16) how.rho_tf32 = how.rho_f16 = 0x1p-8;
    return how;
}

static double rho_of(const test_class *how, pave_dtype type) {
    switch (type) {
    case PAVE_F32: return how->rho_tf32;
    case PAVE_F16: return how->rho_f16;
    case PAVE_E4M3:
    case PAVE_E5M2: return how->rho_f8;
    default: return 0;
    }
}

double test_activate(pave_link_op op, double v, double a, double b) {
    switch (op) {
    case PAVE_LINK_RELU: return isnan(v) ? v : fmax(v, 0);
    case PAVE_LINK_LEAKY_RELU: return v < 0 ? a * v : v;
    case PAVE_LINK_SIGMOID: return 1 / (1 + exp(-v));
    case PAVE_LINK_TANH: return tanh(v);
    case PAVE_LINK_GELU_ERF: return v / 2 * erfc(-v / sqrt(2));
    case PAVE_LINK_GELU_TANH: return v / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (v + 0.044715 * pow(v, 3))));
    case PAVE_LINK_SILU: return v / (1 + exp(-v));
    case PAVE_LINK_MISH: return v * tanh(log1p(exp(v)));
    case PAVE_LINK_CLAMP: return isnan(v) ? v : fmin(fmax(v, a), b);
    case PAVE_LINK_HARDSWISH: return isnan(v) ? v : v * fmin(fmax(v + 3, 0), 6) / 6;
    case PAVE_LINK_SOFTPLUS: return v > 40 ? v : log1p(exp(v));
    case PAVE_LINK_ELU: return v < 0 ? a * expm1(v) : v;
    default: return v;
    }
}

/* The table's constants of `op`: Lipschitz, rel, arg. */
static void constants(pave_link_op op, double a, double *lipschitz, double *rel, double *arg) {
    const double A = fmax(1, fabs(a));
    switch (op) {
#define CASE(ENUM, name, formula, expr, l, r, g) \
    case PAVE_LINK_##ENUM: *lipschitz = (l), *rel = (r), *arg = (g); break;
        PAVE_ACTIVATIONS(CASE)
#undef CASE
    default: *lipschitz = 1, *rel = *arg = 0;
    }
    (void)A;
}

/* One error through one link; the value is the exact one's. */
static double carry(pave_link_op op, double v, double t, double f, double a, double e) {
    double l, rel, arg;
    switch (op) {
    case PAVE_LINK_ADD:
    case PAVE_LINK_SUB: return e + U * (fabs(f) + e) + ETA;
    case PAVE_LINK_MUL: return e * fabs(t) * (1 + U) + U * fabs(f) + ETA;
    case PAVE_LINK_DIV: return e / fabs(t) * (1 + 5 * U) + 5 * U * fabs(f) + ETA;
    default: break;
    }
    constants(op, a, &l, &rel, &arg);
    return l * e + U * (rel * (fabs(f) + l * e) + arg * (fabs(v) + e)) + ETA;
}

static double operand(const test_link *link, int64_t row, int64_t col) {
    const test_array *t = link->tensor;
    if (!t) return link->link.a;
    return test_array_get(t, t->rows == 1 ? 0 : row, t->cols == 1 ? 0 : col);
}

static test_value apply(test_value v, pave_link_op op, double t, double a, double b) {
    double f = op == PAVE_LINK_ADD   ? v.value + t
               : op == PAVE_LINK_SUB ? v.value - t
               : op == PAVE_LINK_MUL ? v.value * t
               : op == PAVE_LINK_DIV ? v.value / t
                                     : test_activate(op, v.value, a, b);
    return (test_value){f, carry(op, v.value, t, f, a, v.bound), carry(op, v.value, t, f, a, v.alarm)};
}

/* A partial sum every 256 products is more than any row's tile makes; a plan's slices of k have 32 products at least. */
static double partials(int64_t k, const test_class *how) {
    return (double)(k / 256 + 1) + (how->splits ? (double)how->splits : (double)(k / 32));
}

/* How an operand's elements are rounded: relative, and absolute in units of the row's largest or, where that is not 0, of
 * `least`. */
typedef struct rounding {
    double rho, floor, least;
} rounding;

static rounding rounding_of(const test_class *how, pave_dtype type) {
    bool scaled = type == PAVE_F32 || type == PAVE_BF16; /* where the row multiplies in float16 */
    return (rounding){rho_of(how, type), scaled ? how->floor : 0, 0};
}

/* What the absolute part of both operands' rounding adds to Σ x w. */
static double floors(const test_value *x, rounding rx, const double *w, rounding rw, int64_t k) {
    double x_most = rx.least, w_most = rw.least, x_sum = 0, w_sum = 0;
    for (int64_t i = 0; i < k; i++) {
        double a = fabs(x[i].value) + x[i].bound, b = fabs(w[i]);
        if (isfinite(a)) x_sum += a, x_most = fmax(x_most, a);
        if (isfinite(b)) w_sum += b, w_most = fmax(w_most, b);
    }
    double x_off = rx.floor * x_most, w_off = rw.floor * w_most;
    return x_off * w_sum * (1 + rw.rho) + w_off * x_sum * (1 + rx.rho) + (double)k * x_off * w_off;
}

/* Σ x w with what its operands' own bounds and the accumulation add. */
static test_value dot(const test_value *x, rounding rx, const double *w, rounding rw, int64_t k,
                      const test_class *how) {
    double c = rx.rho + rw.rho + rx.rho * rw.rho;
    double s = 0, g = 0, e = floors(x, rx, w, rw, k), alarm = e;
    for (int64_t i = 0; i < k; i++) {
        s += x[i].value * w[i];
        g += (fabs(x[i].value) + x[i].bound) * fabs(w[i]);
        e += x[i].bound * fabs(w[i]);
        alarm += x[i].alarm * fabs(w[i]);
    }
    double p = (double)k + 1 + partials(k, how) + how->inner, gamma = p * how->unit / (1 - p * how->unit);
    double root = 4 * sqrt(p) * how->unit, eta = (double)k * ETA;
    double full = ((1 + c) * (1 + gamma) - 1) * g + (1 + gamma) * e + eta;
    double bar =
        how->truncates ? full : fmin(full, ((1 + c) * (1 + root) - 1) * g + (1 + root) * alarm + eta);
    return (test_value){s, full, bar};
}

test_value test_dot(const double *x, pave_dtype x_type, const double *w, pave_dtype w_type, int64_t k,
                    const test_class *how) {
    test_value *in = calloc((size_t)k + 1, sizeof *in);
    if (!in) abort();
    for (int64_t i = 0; i < k; i++) in[i].value = x[i];
    test_value v = dot(in, rounding_of(how, x_type), w, rounding_of(how, w_type), k, how);
    free(in);
    return v;
}

test_value test_apply(test_value v, const pave_link *link, double t) {
    return apply(v, link->op, t, link->a, link->b);
}

void test_chain_row(const test_array *x, const test_layer *layers, size_t layer_count, int64_t row,
                    const test_class *how, test_value *out) {
    int64_t k = x->cols, most = k;
    for (size_t i = 0; i < layer_count; i++) most = layers[i].w->rows > most ? layers[i].w->rows : most;
    test_value *in = calloc((size_t)most + 1, sizeof *in), *mid = calloc((size_t)most + 1, sizeof *mid);
    if (!in || !mid) abort();
    for (int64_t i = 0; i < k; i++) in[i] = (test_value){test_array_get(x, row, i), 0, 0};
    rounding rx = rounding_of(how, x->type);
    for (size_t l = 0; l < layer_count; l++) {
        const test_layer *layer = &layers[l];
        int64_t n = layer->w->rows;
        for (int64_t j = 0; j < n; j++) {
            test_value v = dot(in, rx, layer->w->values + j * layer->w->cols,
                               rounding_of(how, layer->w->type), layer->w->cols, how);
            if (layer->bias) v = apply(v, PAVE_LINK_ADD, test_array_get(layer->bias, 0, j), 0, 0);
            for (size_t i = 0; i < layer->link_count; i++)
                v = apply(v, layer->links[i].link.op, operand(&layer->links[i], row, j),
                          layer->links[i].link.a, layer->links[i].link.b);
            mid[j] = v;
        }
        for (int64_t j = 0; j < n; j++) in[j] = mid[j];
        /* A float32 on its way to the next layer, or what that layer rounds it to; what lies in [-1, 1] may be scaled for 1. */
        rx = (rounding){how->rho_tf32, how->floor, 1};
    }
    for (int64_t j = 0; j < layers[layer_count - 1].w->rows; j++) out[j] = in[j];
    free(in);
    free(mid);
}

/* |err| <= 1.05 (eps_exp + u D + gamma_{n-1}) + eps_log ln S + u |y|, D = sum p_i (max - x_i); eps_exp is
 * exp's 3 ulp once a term and once a time that the running maximum moves, about log2 n times, and a merge. */
static test_value logsumexp(const test_value *row, int64_t n) {
    double top = -INFINITY, sum = 0, d = 0, e = 0, alarm = 0;
    bool nan = false, inf = false;
    for (int64_t i = 0; i < n; i++) {
        nan |= isnan(row[i].value);
        inf |= row[i].value == INFINITY;
        top = fmax(top, row[i].value);
        e = fmax(e, row[i].bound);
        alarm = fmax(alarm, row[i].alarm);
    }
    if (nan) return (test_value){NAN, 0, 0};
    if (inf || top == -INFINITY) return (test_value){inf ? INFINITY : -INFINITY, 0, 0};
    for (int64_t i = 0; i < n; i++) sum += exp(row[i].value - top);
    for (int64_t i = 0; i < n; i++)
        if (row[i].value != -INFINITY) d += exp(row[i].value - top) / sum * (top - row[i].value);
    double y = top + log(sum), gamma = (double)(n - 1) * U / (1 - (double)(n - 1) * U);
    double own =
        n == 1 ? 0 : 1.05 * (6 * U * (3 + log2((double)n)) + U * d + gamma) + 6 * U * log(sum) + U * fabs(y);
    return (test_value){y, e + own, alarm + own};
}

static test_value extreme(const test_value *row, int64_t n, double sign) {
    test_value r = {-sign * INFINITY, 0, 0};
    for (int64_t i = 0; i < n; i++) {
        if (isnan(row[i].value)) return (test_value){NAN, 0, 0};
        if (sign * row[i].value > sign * r.value) r.value = row[i].value;
        r.bound = fmax(r.bound, row[i].bound);
        r.alarm = fmax(r.alarm, row[i].alarm);
    }
    return r;
}

test_value test_reduce_row(const test_value *row, int64_t n, pave_reduction reduction) {
    if (reduction == PAVE_REDUCE_LOGSUMEXP) return logsumexp(row, n);
    if (reduction == PAVE_REDUCE_MAX) return extreme(row, n, 1);
    if (reduction == PAVE_REDUCE_MIN) return extreme(row, n, -1);
    double s = 0, g = 0, e = 0, alarm = 0, gamma = (double)(n + 1) * U / (1 - (double)(n + 1) * U);
    for (int64_t i = 0; i < n; i++) {
        s += row[i].value;
        g += fabs(row[i].value) + row[i].bound;
        e += row[i].bound;
        alarm += row[i].alarm;
    }
    test_value r = {s, gamma * g + e, gamma * g + alarm};
    if (reduction == PAVE_REDUCE_SUM) return r;
    if (!n) return (test_value){NAN, 0, 0};
    double count = (double)n;
    return (test_value){s / count, r.bound / count + 6 * U * fabs(s / count),
                        r.alarm / count + 6 * U * fabs(s / count)};
}

test_value test_stored(test_value v, pave_dtype type) {
    double u = test_unit(type), eta = test_eta(type);
    if (type == PAVE_E4M3 || type == PAVE_E5M2) {
        double most = type == PAVE_E4M3 ? 448 : 57344;
        if (!isnan(v.value)) v.value = fmin(fmax(v.value, -most), most);
    }
    if (!isfinite(v.value)) return v;
    double bound = v.bound + u * (fabs(v.value) + v.bound) + eta;
    return (test_value){v.value, bound, v.alarm + u * (fabs(v.value) + v.alarm) + eta};
}

bool test_within(double got, double value, double bound) {
    if (isnan(value)) return isnan(got);
    if (isinf(value)) return got == value;
    return fabs(got - value) <= bound; /* false for a NaN and for an infinity */
}
