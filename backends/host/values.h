/* SPDX-License-Identifier: Apache-2.0
 * Single values of the reference kernels: elements in memory to and from float64, activations, and the words that the
 * formula tables are written in. */
#ifndef PAVE_BACKENDS_HOST_VALUES_H
#define PAVE_BACKENDS_HOST_VALUES_H

#include "kernels/abi.h"
#include "kernels/epilogue/links.h"
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
#define PV_FN static inline
#define PV_FROM_INDEX(i) ((double)(i))
#define PV_TO_INDEX(v) ((int)(v))

typedef struct state {
    double x, y;
} state;
#define PV_STATE state
#include "kernels/reduce/state.h"

static inline float float_of_bits(uint32_t bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline uint32_t bits_of_float(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static inline double load_f16(uint16_t h) {
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent == 31  ? (fraction ? PV_NAN : PV_INF)
               : exponent == 0 ? ldexp(fraction, -24)
                               : ldexp(1024 + fraction, exponent - 25);
    return h & 0x8000 ? -v : v;
}

/* float8 of the type: bits behind the point, the exponents' bias, and the largest finite code. */
static inline int f8_fraction(int type) {
    return type == PAVE_T_E4M3 ? 3 : 2;
}

static inline int f8_bias(int type) {
    return type == PAVE_T_E4M3 ? 7 : 15;
}

static inline int f8_most(int type) {
    return type == PAVE_T_E4M3 ? 0x7e : 0x7b;
}

static inline double load_f8(int type, uint8_t code) {
    int bits = f8_fraction(type), magnitude = code & 0x7f;
    int exponent = magnitude >> bits, fraction = magnitude & ((1 << bits) - 1);
    double v = magnitude > f8_most(type) ? (type == PAVE_T_E5M2 && fraction == 0 ? PV_INF : PV_NAN)
               : exponent == 0           ? ldexp(fraction, 1 - f8_bias(type) - bits)
                                         : ldexp((1 << bits) + fraction, exponent - f8_bias(type) - bits);
    return code & 0x80 ? -v : v;
}

/* The first half of the pair that an element of F16X2 is. */
static inline uint16_t *high_of(const void *base, int64_t index) {
    return (uint16_t *)base + index / PAVE_PAIR_BLOCK * (2 * PAVE_PAIR_BLOCK) + index % PAVE_PAIR_BLOCK;
}

static inline double load_pair(const void *base, int64_t index) {
    const uint16_t *high = high_of(base, index);
    double low = load_f16(high[PAVE_PAIR_BLOCK]);
    return isfinite(low) ? load_f16(*high) + ldexp(low, -PAVE_PAIR_SHIFT) : low;
}

static inline double load(const void *base, int type, int64_t index) {
    switch (type) {
    case PAVE_T_F16X2: return load_pair(base, index);
    case PAVE_T_F16: return load_f16(((const uint16_t *)base)[index]);
    case PAVE_T_BF16: return float_of_bits((uint32_t)((const uint16_t *)base)[index] << 16);
    case PAVE_T_E4M3:
    case PAVE_T_E5M2: return load_f8(type, ((const uint8_t *)base)[index]);
    default: return ((const float *)base)[index];
    }
}

/* Nearest even at a quantum of 2^(exponent - bits), never finer than `least`. */
static inline double round_to(double v, int bits, int least) {
    int exponent;
    frexp(v, &exponent);
    int quantum = exponent - bits < least ? least : exponent - bits;
    return ldexp(nearbyint(ldexp(v, -quantum)), quantum);
}

static inline uint16_t f16_of(double v) {
    uint16_t sign = signbit(v) ? 0x8000 : 0;
    if (isnan(v)) return sign | 0x7e00;
    double r = fabs(round_to(v, 11, -24));
    if (r >= 65520.0 || isinf(v)) return sign | 0x7c00;
    if (r < 0x1p-14) return sign | (uint16_t)ldexp(r, 24);
    int exponent;
    double fraction = frexp(r, &exponent);
    return sign | (uint16_t)((exponent + 14) << 10 | ((int)ldexp(fraction, 11) & 1023));
}

/* What is too large, infinities with it, becomes the largest finite value. */
static inline uint8_t f8_of(int type, double v) {
    if (isnan(v)) return 0x7f;
    int bits = f8_fraction(type), exponent = 0;
    double most = load_f8(type, (uint8_t)f8_most(type));
    double r = isinf(v) ? most : fmin(fabs(round_to(v, bits + 1, 1 - f8_bias(type) - bits)), most);
    uint8_t sign = signbit(v) ? 0x80 : 0;
    if (r < ldexp(1, 1 - f8_bias(type))) return sign | (uint8_t)ldexp(r, f8_bias(type) + bits - 1);
    double fraction = frexp(r, &exponent);
    return sign | (uint8_t)((exponent - 1 + f8_bias(type)) << bits |
                            ((int)ldexp(fraction, bits + 1) & ((1 << bits) - 1)));
}

static inline uint16_t bf16_of(double v) {
    if (isnan(v)) return (uint16_t)(bits_of_float((float)v) >> 16 | 0x40);
    double r = isinf(v) ? v : round_to(v, 8, -133);
    return (uint16_t)(bits_of_float((float)r) >> 16);
}

/* Ties away from zero, as cvt.rna does. */
static inline float tf32_of(float v) {
    if (!isfinite(v)) return v;
    return float_of_bits((bits_of_float(v) + 0x1000u) & ~0x1fffu);
}

static inline void store_pair(void *base, int64_t index, double v) {
    uint16_t *high = high_of(base, index);
    *high = f16_of(isnan(v) ? 0 : fmin(fmax(v, -65504), 65504));
    high[PAVE_PAIR_BLOCK] = f16_of(ldexp(v - load_f16(*high), PAVE_PAIR_SHIFT));
}

static inline void store(void *base, int type, int64_t index, double v) {
    switch (type) {
    case PAVE_T_F16: ((uint16_t *)base)[index] = f16_of(v); break;
    case PAVE_T_BF16: ((uint16_t *)base)[index] = bf16_of(v); break;
    case PAVE_T_E4M3:
    case PAVE_T_E5M2: ((uint8_t *)base)[index] = f8_of(type, v); break;
    case PAVE_T_TF32: ((float *)base)[index] = tf32_of((float)v); break;
    case PAVE_T_I32: ((int32_t *)base)[index] = (int32_t)v; break;
    case PAVE_T_F16X2: store_pair(base, index, v); break;
    default: ((float *)base)[index] = (float)v;
    }
}

static inline double activate(int op, double v, double a, double b) {
    switch (op) {
#define CASE(ENUM, name, formula, expr, lipschitz, rel, arg) \
    case PAVE_LINK_##ENUM: return expr;
        PAVE_ACTIVATIONS(CASE)
#undef CASE
    }
    (void)a, (void)b;
    return v;
}

#endif
