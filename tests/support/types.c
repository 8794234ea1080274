/* SPDX-License-Identifier: Apache-2.0
 * Numbers for tests: a seeded generator, and the element types decoded from their definitions. Encoding
 * searches for the nearest decoded value, so that it shares nothing with any conversion it is to judge. */
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

uint64_t test_seed(void) {
    const char *value = getenv("PAVE_TEST_SEED");
    return value && *value ? strtoull(value, NULL, 0) : 20240229;
}

/* SplitMix64; Steele, Lea and Flood 2014. */
static uint64_t next(test_rng *rng) {
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

test_rng test_rng_make(uint64_t salt) {
    test_rng rng = {test_seed() ^ salt * 0xd1342543de82ef95u};
    next(&rng);
    return rng;
}

double test_uniform(test_rng *rng, double low, double high) {
    return low + (high - low) * (double)(next(rng) >> 11) * 0x1p-53;
}

int64_t test_integer(test_rng *rng, int64_t low, int64_t high) {
    return low + (int64_t)(next(rng) % (uint64_t)(high - low + 1));
}

/* A small float: bits in all and behind the point, the exponents' bias, and its patterns without their sign: the largest finite
 * one, infinity (0: none) and a NaN. */
typedef struct format {
    int bits, fraction_bits, bias;
    uint16_t most, inf, nan;
} format;

static format format_of(pave_dtype type) {
    switch (type) {
    case PAVE_F16: return (format){16, 10, 15, 0x7bff, 0x7c00, 0x7e00};
    case PAVE_E4M3: return (format){8, 3, 7, 0x7e, 0, 0x7f};
    case PAVE_E5M2: return (format){8, 2, 15, 0x7b, 0x7c, 0x7f};
    default: return (format){16, 7, 127, 0x7f7f, 0x7f80, 0x7fc0};
    }
}

static double decode(uint16_t bits, const format *f) {
    uint16_t sign = (uint16_t)(1 << (f->bits - 1)), magnitude = bits & (sign - 1);
    int fraction = bits & ((1 << f->fraction_bits) - 1), exponent = magnitude >> f->fraction_bits;
    double v = magnitude > f->most ? (magnitude == f->inf ? INFINITY : NAN)
               : exponent ? ldexp((1 << f->fraction_bits) + fraction, exponent - f->bias - f->fraction_bits)
                          : ldexp(fraction, 1 - f->bias - f->fraction_bits);
    return bits & sign ? -v : v;
}

double test_load(const void *base, pave_dtype type, int64_t index) {
    if (type == PAVE_F32) {
        float v;
        memcpy(&v, (const char *)base + index * 4, 4);
        return v;
    }
    const format f = format_of(type);
    uint16_t bits;
    if (f.bits == 8)
        bits = ((const uint8_t *)base)[index];
    else
        memcpy(&bits, (const char *)base + index * 2, 2);
    return decode(bits, &f);
}

/* The positive patterns are in the order of their values. float8 has no infinity to round to. */
static uint16_t encode(double v, pave_dtype type) {
    const format f = format_of(type);
    uint16_t sign = signbit(v) ? (uint16_t)(1 << (f.bits - 1)) : 0;
    if (isnan(v)) return f.nan;
    v = fabs(v);
    uint16_t low = 0, high = f.most;
    double most = decode(high, &f);
    if (v > most) return sign | (f.bits == 16 && v >= most * (1 + test_unit(type) / 2) ? f.inf : high);
    while (low + 1 < high) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        if (decode(middle, &f) <= v)
            low = middle;
        else
            high = middle;
    }
    double below = v - decode(low, &f), above = decode(high, &f) - v;
    return sign | (below < above || (below == above && !(low & 1)) ? low : high);
}

void test_store(void *base, pave_dtype type, int64_t index, double value) {
    if (type == PAVE_F32) {
        float v = (float)value;
        memcpy((char *)base + index * 4, &v, 4);
    } else {
        uint16_t bits = encode(value, type);
        uint8_t byte = (uint8_t)bits;
        if (pave_dtype_bytes(type) == 1)
            memcpy((char *)base + index, &byte, 1);
        else
            memcpy((char *)base + index * 2, &bits, 2);
    }
}

double test_unit(pave_dtype type) {
    return type == PAVE_F32 ? 0x1p-24 : ldexp(1, -1 - format_of(type).fraction_bits);
}

/* A device may flush float32 and bfloat16 numbers below the normal range to zero. */
double test_eta(pave_dtype type) {
    const format f = format_of(type);
    return type == PAVE_F32 || type == PAVE_BF16 ? 0x1p-126 : ldexp(1, -f.bias - f.fraction_bits);
}

pave_dtype test_link_type(pave_dtype type) {
    return format_of(type).bits == 8 && type != PAVE_F32 ? PAVE_F16 : type;
}
