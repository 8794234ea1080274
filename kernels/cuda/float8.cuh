/* SPDX-License-Identifier: Apache-2.0
 * float8 (OCP FP8 E4M3 and E5M2) to and from float32, two or four values at a time: by instructions where they are there
 * (compute capability 8.9 and up), by arithmetic elsewhere, with the same bits. To float8 rounds to nearest, ties to even;
 * what is too large, infinities with it, becomes the largest finite value of its sign, and NaN 0x7f. */
#ifndef PAVE_KERNELS_CUDA_FLOAT8_CUH
#define PAVE_KERNELS_CUDA_FLOAT8_CUH

#include "kernels/abi.h"
#include "kernels/cuda/ptx.cuh"

/* Where kernels are compiled for something else than CUDA, which tests do, the arithmetic is what is used. */
#if defined(__CUDACC__) && !(defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 890)
#define PAVE_FLOAT8_NATIVE 1
#else
#define PAVE_FLOAT8_NATIVE 0
#endif

namespace pave {

/* FRACTION bits behind the point, exponents biased by BIAS, MOST the largest finite code. */
template <int FRACTION, int BIAS, uint32_t MOST> __device__ __forceinline__ uint32_t float8_encode(float v) {
    const uint32_t bits = __float_as_uint(v), magnitude = bits & 0x7fffffffu;
    constexpr int DROP = 23 - FRACTION;
    constexpr uint32_t REBIAS = static_cast<uint32_t>(127 - BIAS) << 23;
    /* One unit of this is the least float8, so that an addition rounds to whole ones. */
    constexpr uint32_t UNITS = static_cast<uint32_t>(127 + 24 - BIAS - FRACTION) << 23;
    uint32_t code;
    if (magnitude < REBIAS + (1u << 23))
        code = __float_as_uint(__uint_as_float(magnitude) + __uint_as_float(UNITS)) - UNITS;
    else
        code = (magnitude + ((1u << (DROP - 1)) - 1u) + (magnitude >> DROP & 1u) - REBIAS) >> DROP;
    code = code > MOST ? MOST : code;
    return magnitude > 0x7f800000u ? 0x7fu : code | (bits >> 24 & 0x80u);
}

/* The low byte is v0's. */
__device__ __forceinline__ uint32_t float8_pair(int type, float v0, float v1) {
#if PAVE_FLOAT8_NATIVE
    return type == PAVE_T_E4M3 ? pack_e4m3(v0, v1) : pack_e5m2(v0, v1);
#else
    if (type == PAVE_T_E4M3) return float8_encode<3, 7, 0x7e>(v0) | float8_encode<3, 7, 0x7e>(v1) << 8;
    return float8_encode<2, 15, 0x7b>(v0) | float8_encode<2, 15, 0x7b>(v1) << 8;
#endif
}

__device__ __forceinline__ uint32_t float8_quad(int type, const float (&v)[4]) {
    return float8_pair(type, v[0], v[1]) | float8_pair(type, v[2], v[3]) << 16;
}

/* Of the lowest two bytes. E5M2 is the upper byte of a half; E4M3's bits in their place in a half are 2^-8 of its value. */
__device__ __forceinline__ void float8_unpack(int type, uint32_t pair, float &v0, float &v1) {
#if PAVE_FLOAT8_NATIVE
    const uint32_t halves = type == PAVE_T_E4M3 ? unpack_e4m3(pair) : unpack_e5m2(pair);
    v0 = __half2float(__ushort_as_half(static_cast<unsigned short>(halves & 0xffffu)));
    v1 = __half2float(__ushort_as_half(static_cast<unsigned short>(halves >> 16)));
#else
    const uint32_t codes[2] = {pair & 0xffu, pair >> 8 & 0xffu};
    float v[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const uint32_t c = codes[i];
        const bool e4m3 = type == PAVE_T_E4M3, nan = e4m3 && (c & 0x7fu) == 0x7fu;
        const uint32_t half = nan ? 0x7fffu : e4m3 ? (c & 0x80u) << 8 | (c & 0x7fu) << 7 : c << 8;
        v[i] = __half2float(__ushort_as_half(static_cast<unsigned short>(half))) * (e4m3 ? 256.0f : 1.0f);
    }
    v0 = v[0], v1 = v[1];
#endif
}

} // namespace pave

#endif
