/* SPDX-License-Identifier: Apache-2.0
 * Elements in memory: loads and stores of one or four values of a PAVE_T_* type as float32, and their
 * rounding. A type known at compile time leaves no branch. */
#ifndef PAVE_KERNELS_CUDA_ELEMENT_CUH
#define PAVE_KERNELS_CUDA_ELEMENT_CUH

#include "kernels/abi.h"
#include "kernels/cuda/float8.cuh"

namespace pave {

__device__ __forceinline__ constexpr bool element_is_half(int type) {
    return type == PAVE_T_F16 || type == PAVE_T_BF16;
}

__device__ __forceinline__ constexpr int element_bytes(int type) {
    return PAVE_T_IS_F8(type) ? 1 : element_is_half(type) ? 2 : 4;
}

__device__ __forceinline__ const char *element_at(const void *base, int type, int64_t index) {
    return static_cast<const char *>(base) + index * element_bytes(type);
}

__device__ __forceinline__ float element_load(const void *p, int type) {
    if (type == PAVE_T_F16) return __half2float(*static_cast<const __half *>(p));
    if (type == PAVE_T_BF16) return __bfloat162float(*static_cast<const __nv_bfloat16 *>(p));
    if (PAVE_T_IS_F8(type)) {
        float v, none;
        float8_unpack(type, *static_cast<const uint8_t *>(p), v, none);
        return v;
    }
    return *static_cast<const float *>(p);
}

/* Rounds to nearest: away on ties for TF32, to even for all others. */
__device__ __forceinline__ void element_store(void *p, int type, float v) {
    if (type == PAVE_T_F16)
        *static_cast<__half *>(p) = __float2half_rn(v);
    else if (type == PAVE_T_BF16)
        *static_cast<__nv_bfloat16 *>(p) = __float2bfloat16_rn(v);
    else if (type == PAVE_T_TF32)
        *static_cast<float *>(p) = __uint_as_float(round_tf32(__float_as_uint(v)));
    else if (PAVE_T_IS_F8(type))
        *static_cast<uint8_t *>(p) = static_cast<uint8_t>(float8_pair(type, v, 0.0f));
    else
        *static_cast<float *>(p) = v;
}

/* Four consecutive elements lie so that one load or store moves them. */
__device__ __forceinline__ bool quad_aligned(const void *p, int type) {
    return (reinterpret_cast<uintptr_t>(p) & (4 * element_bytes(type) - 1)) == 0;
}

__device__ __forceinline__ float half_to_float(int type, uint32_t bits) {
    if (type == PAVE_T_BF16) return __uint_as_float(bits << 16);
    return __half2float(__ushort_as_half(static_cast<unsigned short>(bits)));
}

__device__ __forceinline__ void quad_unpack(uint2 bits, int type, float (&v)[4]) {
    v[0] = half_to_float(type, bits.x & 0xffffu);
    v[1] = half_to_float(type, bits.x >> 16);
    v[2] = half_to_float(type, bits.y & 0xffffu);
    v[3] = half_to_float(type, bits.y >> 16);
}

__device__ __forceinline__ uint2 quad_pack(int type, const float (&v)[4]) {
    return type == PAVE_T_BF16 ? make_uint2(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]))
                               : make_uint2(pack_f16(v[0], v[1]), pack_f16(v[2], v[3]));
}

/* The first `count` (<= 4, maybe < 0) of four elements, zero for the rest. */
__device__ __forceinline__ void quad_load(const void *p, int type, int count, float (&v)[4]) {
    if (count >= 4 && quad_aligned(p, type)) {
        if (element_is_half(type)) {
            quad_unpack(*static_cast<const uint2 *>(p), type, v);
        } else if (PAVE_T_IS_F8(type)) {
            const uint32_t bits = *static_cast<const uint32_t *>(p);
            float8_unpack(type, bits, v[0], v[1]);
            float8_unpack(type, bits >> 16, v[2], v[3]);
        } else {
            float4 q = *static_cast<const float4 *>(p);
            v[0] = q.x, v[1] = q.y, v[2] = q.z, v[3] = q.w;
        }
        return;
    }
#pragma unroll
    for (int c = 0; c < 4; c++) v[c] = c < count ? element_load(element_at(p, type, c), type) : 0.0f;
}

/* An element's bits, and what they stand for. */
template <int TYPE> __device__ __forceinline__ uint32_t bits_load(const void *p) {
    if (element_is_half(TYPE)) return *static_cast<const uint16_t *>(p);
    if (PAVE_T_IS_F8(TYPE)) return *static_cast<const uint8_t *>(p);
    return __float_as_uint(*static_cast<const float *>(p));
}

template <int TYPE> __device__ __forceinline__ float bits_value(uint32_t bits) {
    if (element_is_half(TYPE)) return half_to_float(TYPE, bits);
    if (PAVE_T_IS_F8(TYPE)) {
        float v, none;
        float8_unpack(TYPE, bits, v, none);
        return v;
    }
    return __uint_as_float(bits);
}

/* The first count[q] (maybe < 0 or > 4) of four elements that are `step` elements apart, zero for the rest, of each of QUADS
 * quads that are `apart` elements from each other and lie anywhere. Every load is on its way before the first is waited for. */
template <int TYPE, int QUADS>
__device__ __forceinline__ void elements_load_typed(const char *p, int64_t step, int64_t apart,
                                                    const int (&count)[QUADS], float (&v)[QUADS][4]) {
    uint32_t bits[QUADS][4];
#pragma unroll
    for (int q = 0; q < QUADS; q++)
#pragma unroll
        for (int c = 0; c < 4; c++) {
            bits[q][c] = 0;
            if (c < count[q]) bits[q][c] = bits_load<TYPE>(element_at(p, TYPE, q * apart + c * step));
        }
#pragma unroll
    for (int e = 0; e < QUADS * 4; e++) v[e / 4][e % 4] = bits_value<TYPE>(bits[e / 4][e % 4]);
}

template <int QUADS>
__device__ __forceinline__ void elements_load(const char *p, int type, int64_t step, int64_t apart,
                                              const int (&count)[QUADS], float (&v)[QUADS][4]) {
    if (type == PAVE_T_F16)
        elements_load_typed<PAVE_T_F16>(p, step, apart, count, v);
    else if (type == PAVE_T_BF16)
        elements_load_typed<PAVE_T_BF16>(p, step, apart, count, v);
    else if (type == PAVE_T_E4M3)
        elements_load_typed<PAVE_T_E4M3>(p, step, apart, count, v);
    else if (type == PAVE_T_E5M2)
        elements_load_typed<PAVE_T_E5M2>(p, step, apart, count, v);
    else
        elements_load_typed<PAVE_T_F32>(p, step, apart, count, v);
}

/* The same of one quad. */
__device__ __forceinline__ void elements_load(const char *p, int type, int64_t step, int count,
                                              float (&v)[4]) {
    const int counts[1] = {count};
    float quads[1][4];
    elements_load<1>(p, type, step, 0, counts, quads);
#pragma unroll
    for (int c = 0; c < 4; c++) v[c] = quads[0][c];
}

/* A whole quad on a multiple of its size, by PUT::word(pointer to the word that it is, that word). */
template <class PUT> __device__ __forceinline__ void quad_put(void *p, int type, const float (&v)[4]) {
    if (element_is_half(type)) {
        PUT::word(static_cast<uint2 *>(p), quad_pack(type, v));
        return;
    }
    if (PAVE_T_IS_F8(type)) {
        PUT::word(static_cast<uint32_t *>(p), float8_quad(type, v));
        return;
    }
    float4 q = make_float4(v[0], v[1], v[2], v[3]);
    if (type == PAVE_T_TF32) {
        q.x = __uint_as_float(round_tf32(__float_as_uint(v[0])));
        q.y = __uint_as_float(round_tf32(__float_as_uint(v[1])));
        q.z = __uint_as_float(round_tf32(__float_as_uint(v[2])));
        q.w = __uint_as_float(round_tf32(__float_as_uint(v[3])));
    }
    PUT::word(static_cast<float4 *>(p), q);
}

struct put_plainly {
    template <class WORD> __device__ static __forceinline__ void word(WORD *p, const WORD &w) {
        *p = w;
    }
};

__device__ __forceinline__ void quad_store(void *p, int type, int count, const float (&v)[4]) {
    if (count >= 4 && quad_aligned(p, type)) {
        quad_put<put_plainly>(p, type, v);
        return;
    }
#pragma unroll
    for (int c = 0; c < 4; c++)
        if (c < count) element_store(static_cast<char *>(p) + c * element_bytes(type), type, v[c]);
}

/* R rows' quads: where all are whole and lie on multiples of their size, what they are is asked once. */
template <int R>
__device__ __forceinline__ void quads_store(char *const (&at)[R], int type, const int (&count)[R],
                                            const float (&v)[R][4]) {
    bool whole = type != PAVE_T_TF32;
#pragma unroll
    for (int r = 0; r < R; r++) whole = whole && count[r] >= 4 && quad_aligned(at[r], type);
    if (!whole) {
#pragma unroll
        for (int r = 0; r < R; r++)
            if (count[r] > 0) quad_store(at[r], type, count[r], v[r]);
    } else if (type == PAVE_T_F32) {
#pragma unroll
        for (int r = 0; r < R; r++)
            *reinterpret_cast<float4 *>(at[r]) = make_float4(v[r][0], v[r][1], v[r][2], v[r][3]);
    } else if (type == PAVE_T_BF16) {
#pragma unroll
        for (int r = 0; r < R; r++) *reinterpret_cast<uint2 *>(at[r]) = quad_pack(PAVE_T_BF16, v[r]);
    } else if (type == PAVE_T_E4M3) {
#pragma unroll
        for (int r = 0; r < R; r++) *reinterpret_cast<uint32_t *>(at[r]) = float8_quad(PAVE_T_E4M3, v[r]);
    } else if (type == PAVE_T_E5M2) {
#pragma unroll
        for (int r = 0; r < R; r++) *reinterpret_cast<uint32_t *>(at[r]) = float8_quad(PAVE_T_E5M2, v[r]);
    } else {
#pragma unroll
        for (int r = 0; r < R; r++) *reinterpret_cast<uint2 *>(at[r]) = quad_pack(PAVE_T_F16, v[r]);
    }
}

/* Four values from column `col` on, a multiple of four, of a row of F16X2, which lies on a multiple of 64 bytes; zero from the
 * count-th on. */
__device__ __forceinline__ void pairs_store(char *row, int64_t col, int count, const float (&v)[4]) {
    char *to = row + col / PAVE_PAIR_BLOCK * (4 * PAVE_PAIR_BLOCK) + col % PAVE_PAIR_BLOCK * 2;
    float high[4], low[4];
#pragma unroll
    for (int c = 0; c < 4; c++) {
        high[c] = c < count ? fminf(fmaxf(v[c], -65504.0f), 65504.0f) : 0.0f;
        low[c] = c < count ? (v[c] - __half2float(__float2half_rn(high[c]))) * (1 << PAVE_PAIR_SHIFT) : 0.0f;
    }
    *reinterpret_cast<uint2 *>(to) = quad_pack(PAVE_T_F16, high);
    *reinterpret_cast<uint2 *>(to + 2 * PAVE_PAIR_BLOCK) = quad_pack(PAVE_T_F16, low);
}

} // namespace pave

#endif
