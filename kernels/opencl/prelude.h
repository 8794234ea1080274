/* SPDX-License-Identifier: Apache-2.0
 * The ground of every OpenCL kernel: element types in memory to and from float, one at a time or PV_W at a
 * time, and the words that the formulas of links.h and state.h are written in. OpenCL C 1.2 and no extension,
 * so fp16 goes through vload_half and vstore_half and bf16 through integers. A source defines PV_W (4, 8 or
 * 16) before it includes this, or gets 4. */
#ifndef PAVE_KERNELS_OPENCL_PRELUDE_H
#define PAVE_KERNELS_OPENCL_PRELUDE_H

#include "abi.h"

#ifndef PV_W
#define PV_W 4
#endif
#define PV_JOIN_(a, b) a##b
#define PV_JOIN(a, b) PV_JOIN_(a, b)
#define PV_VT PV_JOIN(float, PV_W)
#define PV_VI PV_JOIN(int, PV_W)
#define PV_VU PV_JOIN(uint, PV_W)
#define PV_VLOAD PV_JOIN(vload, PV_W)
#define PV_VSTORE PV_JOIN(vstore, PV_W)

#define PV_C(x) ((PV_VT)(x))
#define PV_EXP exp
#define PV_EXPM1 expm1
#define PV_LOG1P log1p
#define PV_TANH pv_tanh
#define PV_ERF erf
#define PV_ABS fabs

#define PV_FN static inline
#define PV_REAL float
#define PV_STATE float2
#define PV_LOG log
#define PV_MAX fmax
#define PV_MIN fmin
#define PV_INF INFINITY
#define PV_NAN NAN
#define PV_BIG FLT_MAX
#define PV_FROM_INDEX as_float
#define PV_TO_INDEX as_int

/* Whether something in memory is float8: what is not is built without it, which matters on a CPU. */
#define PV_F8(type) (((PAVE_LINK_MASK >> 31) & 1u) != 0u && PAVE_T_IS_F8(type))

/* Bytes of an element. */
#define PV_WIDTH(type) (PV_F8(type) ? 1 : (type) == PAVE_T_F16 || (type) == PAVE_T_BF16 ? 2 : 4)

/* Before a loop of a CPU's kernel that runs seldom or is unrolled by hand: more would only cost build time.
 */
#if PAVE_THREADS == 1
#define PV_ROLLED _Pragma("clang loop unroll(disable) vectorize(disable)")
#else
#define PV_ROLLED
#endif

/* For functions that take local memory. Left to itself a compiler may keep one as a call and, where every
 * caller passes the same array, name the array in it; PoCL 3.1 gives a kernel's arrays their memory in the
 * kernel alone. */
#ifndef PV_INLINE /* a checker that builds without optimization wants it plain */
#define PV_INLINE static inline __attribute__((always_inline))
#endif

/* For a kernel's large parts, where it has many: inlined, each would be optimised once more for every loop that it ends up in,
 * which takes a CPU's compiler most of a build (PoCL 3.1: 1.9 s where calls take 0.6). What is local goes in as a pointer
 * whose start the compiler cannot tell, so that it has no array to name. */
#define PV_CALLED static __attribute__((noinline))
#define PV_UNKNOWN_ZERO(length) ((length) < 0 ? 1 : 0)

/* A vector in local memory at a multiple of its size: vstore16 promises no more than an element's, and PoCL stores its parts. */
#define PV_AT(p) (*(__local PV_VT *)(p))

/* What OpenCL C has no good words for, in those of clang, which is what CPUs' drivers are made of: lanes of two vectors by
 * constant numbers, and a line to the second-level cache (`prefetch` does nothing in PoCL). Oclgrind, which is given the code
 * unoptimized, knows neither. */
#if PAVE_THREADS == 1 && defined(__clang__) && defined(__OPTIMIZE__)
#define PV_SHUFFLE8(a, b, i, j, k, l, m, n, o, p) __builtin_shufflevector(a, b, i, j, k, l, m, n, o, p)
#define PV_FETCH(p) __builtin_prefetch((const void *)(size_t)(p), 0, 2)
#else
#define PV_SHUFFLE8(a, b, i, j, k, l, m, n, o, p) shuffle2(a, b, (uint8)(i, j, k, l, m, n, o, p))
#define PV_FETCH(p) (void)(p)
#endif

/* Lane e of a float4, a constant. */
#define PV_LANE(v, e) ((e) == 0 ? (v).s0 : (e) == 1 ? (v).s1 : (e) == 2 ? (v).s2 : (v).s3)

/* Before a loop whose index is to be a constant in each round, and before one that is to stay a loop. */
#define PV_UNROLL _Pragma("unroll")
#define PV_LOOP _Pragma("unroll 1")

/* Any grid is right: a group's place in it and the number of groups, whatever the grid's rank. */
#define PV_GROUP                                                                                           \
    (((long)get_group_id(2) * (long)get_num_groups(1) + (long)get_group_id(1)) * (long)get_num_groups(0) + \
     (long)get_group_id(0))
#define PV_GROUPS ((long)get_num_groups(0) * (long)get_num_groups(1) * (long)get_num_groups(2))

/* Where share `index` of `total` things that follow one another begins, of as many shares as there are groups. Those that have
 * one more are spread, since a driver's threads take groups by stretches. */
static inline long pv_share(long total, long index) {
    return total * index / PV_GROUPS;
}

/* The three batch indices of matrix `index`. */
static inline void pv_unflatten(long index, const pave_i64 *batch, long *b) {
    b[0] = b[1] = b[2] = 0;
    if (index == 0) return;
    b[2] = index % batch[2];
    index /= batch[2];
    b[1] = index % batch[1];
    b[0] = index / batch[1];
}

/* Elements from a view's first matrix to the one at b. */
static inline long pv_batch_offset(const pave_abi_view *v, const long *b) {
    return b[0] * v->batch[0] + b[1] * v->batch[1] + b[2] * v->batch[2];
}

/* Some implementations' tanh stops one ulp short of 1, which gelu_tanh would multiply by an infinite v. */
static inline PV_VT pv_tanh(PV_VT v) {
    return fabs(v) > PV_C(9.02f) ? copysign(PV_C(1.0f), v) : tanh(v);
}

/* Round to nearest even on the low bits that `drop` cuts off; a NaN stays one, made quiet so that its mark is
 * among the bits that are kept. */
#define PV_DEFINE_ROUND(NAME, UINT, FLOAT, INT)                                                     \
    static inline UINT NAME(FLOAT v, const uint drop) {                                             \
        UINT u = PV_JOIN(as_, UINT)(v);                                                             \
        UINT rounded = u + (((UINT)(1u) << (drop - 1u)) - (UINT)(1u)) + ((u >> drop) & (UINT)(1u)); \
        UINT nan = u | (UINT)(0x400000u);                                                           \
        return select(rounded, nan, isnan(v)) >> drop;                                              \
    }
PV_DEFINE_ROUND(pv_round, PV_VU, PV_VT, PV_VI)

static inline uint pv_round1(float v, const uint drop) {
    uint u = as_uint(v);
    uint rounded = u + ((1u << (drop - 1u)) - 1u) + ((u >> drop) & 1u);
    return (isnan(v) ? u | 0x400000u : rounded) >> drop;
}

/* float8: bits behind the point, the exponents' bias, the largest finite code. E4M3's NaN is 0x7f, E5M2 is as IEEE's types. */
#define PV_F8_FRACTION(type) ((type) == PAVE_T_E4M3 ? 3u : 2u)
#define PV_F8_BIAS(type) ((type) == PAVE_T_E4M3 ? 7u : 15u)
#define PV_F8_MOST(type) ((type) == PAVE_T_E4M3 ? 0x7eu : 0x7bu)

/* One name for each width: UINT's lanes as FLOAT's. Beyond the largest finite code stand infinity, of E5M2, and NaN. Denormals
 * are whole multiples of the least one. To float8 the nearest code, even on ties; what is too large becomes the largest
 * finite one. A sum with 2^23 of the least ones rounds to whole ones. */
#define PV_DEFINE_F8(FROM, TO, UINT, FLOAT)                                                                  \
    static inline FLOAT FROM(UINT code, int type) {                                                          \
        const uint bits = PV_F8_FRACTION(type), bias = PV_F8_BIAS(type);                                     \
        const UINT magnitude = code & (UINT)(0x7fu);                                                         \
        const UINT normal = (magnitude << (23u - bits)) + (UINT)((127u - bias) << 23);                       \
        const UINT beyond =                                                                                  \
            (UINT)(0x7f800000u) | (type == PAVE_T_E4M3 ? (UINT)(0x400000u) : magnitude << 21);               \
        const FLOAT low = PV_JOIN(convert_, FLOAT)(magnitude) * as_float((128u - bias - bits) << 23);        \
        UINT v = select(normal, PV_JOIN(as_, UINT)(low), magnitude < (UINT)(1u << bits));                    \
        v = select(v, beyond, magnitude > (UINT)(PV_F8_MOST(type)));                                         \
        return PV_JOIN(as_, FLOAT)(v | (code & (UINT)(0x80u)) << 24);                                        \
    }                                                                                                        \
    static inline UINT TO(FLOAT v, int type) {                                                               \
        const uint bits = PV_F8_FRACTION(type), bias = PV_F8_BIAS(type), units = (151u - bias - bits) << 23; \
        const UINT u = PV_JOIN(as_, UINT)(v), magnitude = u & (UINT)(0x7fffffffu);                           \
        const UINT half_unit = ((UINT)(1u) << (22u - bits)) - (UINT)(1u);                                    \
        const UINT odd = magnitude >> (23u - bits) & (UINT)(1u);                                             \
        const UINT normal = (magnitude + half_unit + odd - (UINT)((127u - bias) << 23)) >> (23u - bits);     \
        const UINT low = PV_JOIN(as_, UINT)(fabs(v) + (FLOAT)(as_float(units))) - (UINT)(units);             \
        UINT code = select(normal, low, magnitude < (UINT)((128u - bias) << 23));                            \
        code = min(code, (UINT)(PV_F8_MOST(type))) | (u >> 24 & (UINT)(0x80u));                              \
        return select(code, (UINT)(0x7fu), magnitude > (UINT)(0x7f800000u));                                 \
    }
PV_DEFINE_F8(pv_from_f8, pv_to_f8, PV_VU, PV_VT)
PV_DEFINE_F8(pv_from_f8_1, pv_to_f8_1, uint, float)
#if PV_W != 4
PV_DEFINE_F8(pv_from_f8_4, pv_to_f8_4, uint4, float4)
#else
#define pv_from_f8_4 pv_from_f8
#define pv_to_f8_4 pv_to_f8
#endif

static inline float pv_load1(__global const char *base, int type, long i) {
    if (type == PAVE_T_F16) return vload_half(i, (__global const half *)base);
    if (type == PAVE_T_BF16) return as_float((uint)((__global const ushort *)base)[i] << 16);
    if (PV_F8(type)) return pv_from_f8_1(((__global const uchar *)base)[i], type);
    return ((__global const float *)base)[i];
}

static inline void pv_store1(__global char *base, int type, long i, float v) {
    if (type == PAVE_T_F16)
        vstore_half_rte(v, i, (__global half *)base);
    else if (type == PAVE_T_BF16)
        ((__global ushort *)base)[i] = (ushort)pv_round1(v, 16);
    else if (type == PAVE_T_TF32)
        ((__global uint *)base)[i] = pv_round1(v, 13) << 13;
    else if (PV_F8(type))
        ((__global uchar *)base)[i] = (uchar)pv_to_f8_1(v, type);
    else
        ((__global float *)base)[i] = v;
}

/* Four consecutive elements. */
static inline float4 pv_load4(__global const char *base, int type, long i) {
    if (type == PAVE_T_F16) return vload_half4(0, (__global const half *)base + i);
    if (type == PAVE_T_BF16)
        return as_float4(convert_uint4(vload4(0, (__global const ushort *)base + i)) << 16);
    if (PV_F8(type)) return pv_from_f8_4(convert_uint4(vload4(0, (__global const uchar *)base + i)), type);
    return vload4(0, (__global const float *)base + i);
}

/* PV_W consecutive elements. */
static inline PV_VT pv_load(__global const char *base, int type, long i) {
    if (type == PAVE_T_F16) return PV_JOIN(vload_half, PV_W)(0, (__global const half *)base + i);
    if (type == PAVE_T_BF16)
        return PV_JOIN(as_float, PV_W)(
            PV_JOIN(convert_uint, PV_W)(PV_VLOAD(0, (__global const ushort *)base + i)) << 16);
    if (PV_F8(type))
        return pv_from_f8(PV_JOIN(convert_uint, PV_W)(PV_VLOAD(0, (__global const uchar *)base + i)), type);
    return PV_VLOAD(0, (__global const float *)base + i);
}

static inline void pv_store(__global char *base, int type, long i, PV_VT v) {
    if (type == PAVE_T_F16)
        PV_JOIN(PV_JOIN(vstore_half, PV_W), _rte)(v, 0, (__global half *)base + i);
    else if (type == PAVE_T_BF16)
        PV_VSTORE(PV_JOIN(convert_ushort, PV_W)(pv_round(v, 16)), 0, (__global ushort *)base + i);
    else if (type == PAVE_T_TF32)
        PV_VSTORE(pv_round(v, 13) << 13, 0, (__global uint *)base + i);
    else if (PV_F8(type))
        PV_VSTORE(PV_JOIN(convert_uchar, PV_W)(pv_to_f8(v, type)), 0, (__global uchar *)base + i);
    else
        PV_VSTORE(v, 0, (__global float *)base + i);
}

#if PAVE_THREADS != 1
/* Four consecutive elements that lie on a multiple of their size, at once: vload and vstore promise a compiler no
 * more than an element's alignment, and it then moves them one by one. */
static inline float4 pv_load_quad(__global const char *base, int type, long i) {
    if (type == PAVE_T_F16) {
        ushort4 bits = *(__global const ushort4 *)(base + i * 2);
        return vload_half4(0, (const half *)&bits);
    }
    if (type == PAVE_T_BF16) return as_float4(convert_uint4(*(__global const ushort4 *)(base + i * 2)) << 16);
    if (PV_F8(type)) return pv_from_f8_4(convert_uint4(*(__global const uchar4 *)(base + i)), type);
    return *(__global const float4 *)(base + i * 4);
}

static inline void pv_store_quad(__global char *base, int type, long i, float4 v) {
    if (type == PAVE_T_F16) {
        ushort4 bits;
        vstore_half4_rte(v, 0, (half *)&bits);
        *(__global ushort4 *)(base + i * 2) = bits;
    } else if (type == PAVE_T_BF16) {
        *(__global ushort4 *)(base + i * 2) = convert_ushort4(pv_round(v, 16));
    } else if (type == PAVE_T_TF32) {
        *(__global uint4 *)(base + i * 4) = pv_round(v, 13) << 13;
    } else if (PV_F8(type)) {
        *(__global uchar4 *)(base + i) = convert_uchar4(pv_to_f8_4(v, type));
    } else {
        *(__global float4 *)(base + i * 4) = v;
    }
}

static inline int pv_is_quad(__global const char *base, int type, long i) {
    return (((size_t)base + (size_t)i * PV_WIDTH(type)) & (4 * PV_WIDTH(type) - 1)) == 0;
}
#endif

#if PAVE_THREADS == 1
/* The first `count` lanes; the others are `rest` and their memory is not touched. Stride in elements. */
static inline PV_VT pv_load_some(__global const char *base, int type, long i, long stride, int count,
                                 float rest) {
    if (count >= PV_W && stride == 1) return pv_load(base, type, i);
    float lane[PV_W];
    PV_ROLLED
    for (int j = 0; j < PV_W; j++) lane[j] = j < count ? pv_load1(base, type, i + j * stride) : rest;
    return PV_VLOAD(0, lane);
}

static inline void pv_store_some(__global char *base, int type, long i, int count, PV_VT v) {
    if (count >= PV_W) {
        pv_store(base, type, i, v);
        return;
    }
    float lane[PV_W];
    PV_VSTORE(v, 0, lane);
    PV_ROLLED
    for (int j = 0; j < count; j++) pv_store1(base, type, i + j, lane[j]);
}
#else
/* The same for the items of a GPU, whose registers have no index. */
static inline float4 pv_load_some(__global const char *base, int type, long i, long stride, int count,
                                  float rest) {
    if (count >= 4 && stride == 1 && pv_is_quad(base, type, i)) return pv_load_quad(base, type, i);
    float4 v = (float4)(rest);
    if (count > 0) v.s0 = pv_load1(base, type, i);
    if (count > 1) v.s1 = pv_load1(base, type, i + stride);
    if (count > 2) v.s2 = pv_load1(base, type, i + 2 * stride);
    if (count > 3) v.s3 = pv_load1(base, type, i + 3 * stride);
    return v;
}

static inline void pv_store_some(__global char *base, int type, long i, int count, float4 v) {
    if (count >= 4 && pv_is_quad(base, type, i)) {
        pv_store_quad(base, type, i, v);
        return;
    }
    if (count > 0) pv_store1(base, type, i, v.s0);
    if (count > 1) pv_store1(base, type, i + 1, v.s1);
    if (count > 2) pv_store1(base, type, i + 2, v.s2);
    if (count > 3) pv_store1(base, type, i + 3, v.s3);
}
#endif

#endif
