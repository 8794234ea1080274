/* SPDX-License-Identifier: Apache-2.0
 * The reference: every family in plain C, one value at a time, in float64. Slow and evident. */
#include "backends/host/kernels.h"

#include "kernels/abi.h"
#include "kernels/epilogue/links.h"
#include <assert.h>
#include <float.h>
#include <math.h>
#include <pave/ops.h>
#include <string.h>

#define PV_C(x) ((double)(x))
#define PV_EXP exp
#define PV_LOG log
#define PV_EXPM1 expm1
#define PV_LOG1P log1p
#define PV_TANH tanh
#define PV_ERF erf
#define PV_ABS fabs
#define PV_MAX fmax
#define PV_MIN fmin
#define PV_INF ((double)INFINITY)
#define PV_NAN ((double)NAN)
#define PV_BIG DBL_MAX
#define PV_REAL double
#define PV_FN static

typedef struct state {
    double x, y;
} state;
#define PV_STATE state
#include "kernels/reduce/state.h"

/* Columns of one partial state; the host row's slice. */
#define SLICE 64

static float float_of_bits(uint32_t bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static uint32_t bits_of_float(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static double load_f16(uint16_t h) {
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent == 31  ? (fraction ? PV_NAN : PV_INF)
               : exponent == 0 ? ldexp(fraction, -24)
                               : ldexp(1024 + fraction, exponent - 25);
    return h & 0x8000 ? -v : v;
}

static double load(const void *base, int type, int64_t index) {
    switch (type) {
    case PAVE_T_F16: return load_f16(((const uint16_t *)base)[index]);
    case PAVE_T_BF16: return float_of_bits((uint32_t)((const uint16_t *)base)[index] << 16);
    default: return ((const float *)base)[index];
    }
}

/* Nearest even at a quantum of 2^(exponent - bits), never finer than `least`. */
static double round_to(double v, int bits, int least) {
    int exponent;
    frexp(v, &exponent);
    int quantum = exponent - bits < least ? least : exponent - bits;
    return ldexp(nearbyint(ldexp(v, -quantum)), quantum);
}

static uint16_t f16_of(double v) {
    uint16_t sign = signbit(v) ? 0x8000 : 0;
    if (isnan(v)) return sign | 0x7e00;
    double r = fabs(round_to(v, 11, -24));
    if (r >= 65520.0 || isinf(v)) return sign | 0x7c00;
    if (r < 0x1p-14) return sign | (uint16_t)ldexp(r, 24);
    int exponent;
    double fraction = frexp(r, &exponent);
    return sign | (uint16_t)((exponent + 14) << 10 | ((int)ldexp(fraction, 11) & 1023));
}

static uint16_t bf16_of(double v) {
    if (isnan(v)) return (uint16_t)(bits_of_float((float)v) >> 16 | 0x40);
    double r = isinf(v) ? v : round_to(v, 8, -133);
    return (uint16_t)(bits_of_float((float)r) >> 16);
}

/* Ties away from zero, as cvt.rna does. */
static float tf32_of(float v) {
    if (!isfinite(v)) return v;
    return float_of_bits((bits_of_float(v) + 0x1000u) & ~0x1fffu);
}

static void store(void *base, int type, int64_t index, double v) {
    switch (type) {
    case PAVE_T_F16: ((uint16_t *)base)[index] = f16_of(v); break;
    case PAVE_T_BF16: ((uint16_t *)base)[index] = bf16_of(v); break;
    case PAVE_T_TF32: ((float *)base)[index] = tf32_of((float)v); break;
    default: ((float *)base)[index] = (float)v;
    }
}

static double activate(int op, double v, double a, double b) {
    switch (op) {
#define CASE(ENUM, name, expr, lipschitz, rel, arg) \
    case PAVE_LINK_##ENUM: return expr;
        PAVE_ACTIVATIONS(CASE)
#undef CASE
    }
    (void)a, (void)b;
    return v;
}

static double operand(const pave_abi_link *link, const char *base, int64_t row, int64_t col) {
    int64_t index;
    switch (link->operand) {
    case PAVE_OPERAND_ROW: index = col * link->ld; break;
    case PAVE_OPERAND_COLUMN: index = row * link->ld; break;
    case PAVE_OPERAND_FULL: index = row * link->ld + col; break;
    default: return link->a;
    }
    return link->a * load(base + link->offset, link->type, index);
}

static double chain(const pave_abi_link *links, int count, void *const *tensors, double v, int64_t row,
                    int64_t col) {
    for (int i = 0; i < count; i++) {
        const pave_abi_link *l = &links[i];
        double t = l->op <= PAVE_LINK_DIV ? operand(l, tensors[i], row, col) : 0;
        switch (l->op) {
        case PAVE_LINK_ADD: v += t; break;
        case PAVE_LINK_SUB: v -= t; break;
        case PAVE_LINK_MUL: v *= t; break;
        case PAVE_LINK_DIV: v /= t; break;
        default: v = activate(l->op, v, l->a, l->b);
        }
    }
    return v;
}

/* The row takes float32 operands; the plan widens the others, exactly. */
static double dot(const float *a, const float *b, int64_t k) {
    double sum = 0;
    for (int64_t i = 0; i < k; i++) sum += (double)a[i] * b[i];
    return sum;
}

static void put_state(char *p, int64_t index, int reduce, state s) {
    float *out = (float *)p + 2 * index;
    double x = s.x;
    out[0] = (float)(x > FLT_MAX ? (reduce == 1 ? FLT_MAX : x) : x < -FLT_MAX && reduce == 1 ? -FLT_MAX : x);
    /* The sum belongs to the maximum as stored. */
    out[1] = (float)(reduce == 1 ? s.y * exp(x - out[0]) : s.y);
}

static void run_gemm(const pave_abi_gemm *g, void *const *buffers) {
    const char *a = (const char *)buffers[0] + g->a_offset, *b = (const char *)buffers[1] + g->b_offset;
    char *y = (char *)buffers[2] + g->y_offset, *p = (char *)buffers[3] + g->p_offset;
    for (int64_t row = 0; row < g->m; row++) {
        state s = pave_state_begin(g->reduce);
        for (int64_t col = 0; col < g->n; col++) {
            double v = dot((const float *)a + row * g->lda, (const float *)b + col * g->ldb, g->k);
            v = chain(g->links, g->link_count, buffers + 4, v, row, col);
            if (!g->reduce) {
                store(y, g->y_type, row * g->ldy + col, v);
                continue;
            }
            s = pave_state_fold(g->reduce, s, v);
            if (col % SLICE != SLICE - 1 && col != g->n - 1) continue;
            put_state(p, row * g->slots + col / SLICE, g->reduce, s);
            s = pave_state_begin(g->reduce);
        }
    }
}

static void finish_row(const pave_abi_reduce *r, void *const *buffers, int64_t row, state s) {
    double v = pave_state_finish(r->reduce, s, (double)r->cols);
    v = chain(r->links, r->link_count, buffers + 2, v, row, 0);
    store((char *)buffers[1] + r->y_offset, r->y_type, row * r->y_stride, v);
}

static void run_reduce(const pave_abi_reduce *r, void *const *buffers) {
    const char *x = (const char *)buffers[0] + r->x_offset;
    for (int64_t row = 0; row < r->rows; row++) {
        state s = pave_state_begin(r->reduce);
        for (int64_t col = 0; col < r->cols; col++)
            s = pave_state_fold(r->reduce, s, load(x, r->x_type, row * r->ldx + col));
        finish_row(r, buffers, row, s);
    }
}

static void run_join(const pave_abi_reduce *r, void *const *buffers) {
    const float *x = (const float *)((const char *)buffers[0] + r->x_offset);
    for (int64_t row = 0; row < r->rows; row++) {
        state s = pave_state_begin(r->reduce);
        for (int64_t slot = 0; slot < r->ldx; slot++) {
            const float *t = x + 2 * (row * r->ldx + slot);
            s = pave_state_merge(r->reduce, s, (state){t[0], t[1]});
        }
        finish_row(r, buffers, row, s);
    }
}

static void run_pack(const pave_abi_pack *p, void *const *buffers) {
    const char *x = (const char *)buffers[0] + p->x_offset;
    char *y = (char *)buffers[1] + p->y_offset;
    for (int64_t row = 0; row < p->rows; row++)
        for (int64_t col = 0; col < p->cols_out; col++)
            store(y, p->y_type, row * p->ldy + col,
                  col < p->cols ? load(x, p->x_type, row * p->ldx + col) : 0.0);
}

void host_run(pave__family family, const void *args, void *const *buffers) {
    switch (family) {
    case PAVE__GEMM: run_gemm(args, buffers); break;
    case PAVE__REDUCE: run_reduce(args, buffers); break;
    case PAVE__JOIN: run_join(args, buffers); break;
    case PAVE__PACK: run_pack(args, buffers); break;
    default: assert(!"a family the host runs");
    }
}
