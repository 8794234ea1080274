/* SPDX-License-Identifier: Apache-2.0
 * The words of CUDA C++ that the kernels use, for a host compiler; included before their first line. */
#ifndef PAVE_TESTS_FAKE_CUDA_CUDA_WORDS_HH
#define PAVE_TESTS_FAKE_CUDA_CUDA_WORDS_HH

#include "tests/fake_cuda/emulator/emulator.hh"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define __device__
#define __host__
#define __global__
#define __forceinline__ inline
#define __shared__ static
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __grid_constant__
#define threadIdx (emulator::thread())
#define blockIdx (emulator::block)
#define gridDim (emulator::grid)

struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

static inline float2 make_float2(float x, float y) {
    return {x, y};
}
static inline float4 make_float4(float x, float y, float z, float w) {
    return {x, y, z, w};
}
static inline uint2 make_uint2(uint32_t x, uint32_t y) {
    return {x, y};
}
static inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) {
    return {x, y, z, w};
}

template <typename TO, typename FROM> static inline TO bits_as(FROM from) {
    static_assert(sizeof(TO) == sizeof(FROM), "the same bits");
    TO to;
    memcpy(&to, &from, sizeof to);
    return to;
}
static inline float __uint_as_float(uint32_t bits) {
    return bits_as<float>(bits);
}
static inline float __int_as_float(int bits) {
    return bits_as<float>(bits);
}
static inline uint32_t __float_as_uint(float v) {
    return bits_as<uint32_t>(v);
}
static inline int __float_as_int(float v) {
    return bits_as<int>(v);
}
/* Hints to the caches. */
template <typename T> static inline T __ldcs(const T *at) {
    return *at;
}
template <typename T> static inline T __ldcg(const T *at) {
    return *at;
}
template <typename T> static inline void __stcs(T *at, T value) {
    *at = value;
}
template <typename T> static inline void __stcg(T *at, T value) {
    *at = value;
}
static inline void __threadfence() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
static inline unsigned atomicInc(unsigned *at, unsigned most) {
    unsigned old = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(at, &old, old >= most ? 0 : old + 1, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
    }
    return old;
}
static inline int __popc(uint32_t bits) {
    return __builtin_popcount(bits);
}
static inline int __clz(int bits) {
    return bits ? __builtin_clz(static_cast<unsigned>(bits)) : 32;
}
static inline float rsqrtf(float v) {
    return static_cast<float>(1.0 / sqrt(static_cast<double>(v)));
}

/* ---- float16 and bfloat16, to nearest even ---- */

struct __half {
    uint16_t bits;
};
struct __nv_bfloat16 {
    uint16_t bits;
};

static inline float __half2float(__half h) {
    const uint32_t magnitude = h.bits & 0x7fffu, sign = (h.bits & 0x8000u) << 16;
    const uint32_t wide = magnitude << 13;
    if (magnitude >= 0x7c00u) return bits_as<float>(wide | 0x7f800000u | sign);
    return bits_as<float>(bits_as<uint32_t>(bits_as<float>(wide) * 0x1p112f) | sign);
}
static inline __half __float2half_rn(float v) {
    const uint32_t bits = bits_as<uint32_t>(v), magnitude = bits & 0x7fffffffu;
    const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
    uint32_t half;
    if (magnitude > 0x7f800000u)
        half = 0x7fffu;
    else if (magnitude >= 0x477ff000u) /* 65520 */
        half = 0x7c00u;
    else if (magnitude < 0x38800000u) /* 2^-14 */
        half = static_cast<uint32_t>(nearbyintf(bits_as<float>(magnitude) * 0x1p24f));
    else
        half = (magnitude + 0xfffu + (magnitude >> 13 & 1u) - (112u << 23)) >> 13;
    return {static_cast<uint16_t>(half | sign)};
}
static inline float __bfloat162float(__nv_bfloat16 b) {
    return bits_as<float>(static_cast<uint32_t>(b.bits) << 16);
}
static inline __nv_bfloat16 __float2bfloat16_rn(float v) {
    const uint32_t bits = bits_as<uint32_t>(v);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
    return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}
static inline __half __ushort_as_half(unsigned short bits) {
    return {bits};
}
static inline unsigned short __half_as_ushort(__half h) {
    return h.bits;
}
static inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 b) {
    return b.bits;
}

/* ---- threads that meet ---- */

static inline int own_lane() {
    return static_cast<int>(threadIdx.x % 32);
}
static inline void __syncthreads() {
    emulator::barrier(true);
}
static inline int __syncthreads_and(int held) {
    return emulator::barrier(held != 0);
}
static inline int __syncthreads_or(int held) {
    return !emulator::barrier(held == 0);
}
static inline void __syncwarp() {
    emulator::meet(emulator::EXCHANGE, nullptr, 0);
}
template <typename T> static inline T lane_value(const unsigned char *slot) {
    T value;
    memcpy(&value, slot, sizeof value);
    return value;
}
template <typename T> static inline T __shfl_sync(uint32_t, T value, int lane) {
    return lane_value<T>(emulator::meet(emulator::EXCHANGE, &value, sizeof value)[lane % 32]);
}
template <typename T> static inline T __shfl_xor_sync(uint32_t, T value, int mask) {
    return lane_value<T>(emulator::meet(emulator::EXCHANGE, &value, sizeof value)[own_lane() ^ mask]);
}
template <typename T> static inline T __shfl_down_sync(uint32_t, T value, int by) {
    const int lane = own_lane() + by;
    return lane_value<T>(
        emulator::meet(emulator::EXCHANGE, &value, sizeof value)[lane < 32 ? lane : own_lane()]);
}
static inline uint32_t __ballot_sync(uint32_t, bool held) {
    const auto slots = emulator::meet(emulator::EXCHANGE, &held, sizeof held);
    uint32_t bits = 0;
    for (int lane = 0; lane < 32; lane++)
        bits |= static_cast<uint32_t>(lane_value<bool>(slots[lane])) << lane;
    return bits;
}
static inline uint32_t __reduce_max_sync(uint32_t, uint32_t value) {
    const auto slots = emulator::meet(emulator::EXCHANGE, &value, sizeof value);
    for (int lane = 0; lane < 32; lane++) {
        const uint32_t other = lane_value<uint32_t>(slots[lane]);
        value = other > value ? other : value;
    }
    return value;
}

#endif
