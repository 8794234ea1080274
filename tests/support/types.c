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

static double decode16(uint16_t bits, int fraction_bits, int bias) {
    int fraction = bits & ((1 << fraction_bits) - 1), exponent = (bits & 0x7fff) >> fraction_bits;
    int top = 0x7fff >> fraction_bits;
    double v = exponent == top ? (fraction ? NAN : INFINITY)
               : exponent      ? ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits)
                               : ldexp(fraction, 1 - bias - fraction_bits);
    return bits & 0x8000 ? -v : v;
}

static double decode(uint16_t bits, pave_dtype type) {
    return type == PAVE_F16 ? decode16(bits, 10, 15) : decode16(bits, 7, 127);
}

double test_load(const void *base, pave_dtype type, int64_t index) {
    if (type == PAVE_F32) {
        float v;
        memcpy(&v, (const char *)base + index * 4, 4);
        return v;
    }
    uint16_t bits;
    memcpy(&bits, (const char *)base + index * 2, 2);
    return decode(bits, type);
}

/* The positive patterns are in the order of their values. */
static uint16_t encode(double v, pave_dtype type) {
    uint16_t inf = type == PAVE_F16 ? 0x7c00 : 0x7f80, sign = signbit(v) ? 0x8000 : 0;
    if (isnan(v)) return inf | 1u << 6;
    v = fabs(v);
    uint16_t low = 0, high = inf - 1;
    double most = decode(high, type);
    if (v > most) return sign | (v >= most * (1 + test_unit(type) / 2) ? inf : high);
    while (low + 1 < high) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        if (decode(middle, type) <= v)
            low = middle;
        else
            high = middle;
    }
    double below = v - decode(low, type), above = decode(high, type) - v;
    return sign | (below < above || (below == above && !(low & 1)) ? low : high);
}

void test_store(void *base, pave_dtype type, int64_t index, double value) {
    if (type == PAVE_F32) {
        float v = (float)value;
        memcpy((char *)base + index * 4, &v, 4);
    } else {
        uint16_t bits = encode(value, type);
        memcpy((char *)base + index * 2, &bits, 2);
    }
}

double test_unit(pave_dtype type) {
    return type == PAVE_F32 ? 0x1p-24 : type == PAVE_F16 ? 0x1p-11 : 0x1p-8;
}

/* A device may flush float32 and bfloat16 numbers below the normal range to zero. */
double test_eta(pave_dtype type) {
    return type == PAVE_F16 ? 0x1p-25 : 0x1p-126;
}
