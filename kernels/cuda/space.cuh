/* SPDX-License-Identifier: Apache-2.0
 * How the families that work on rows number a launch's work, matrix by matrix, and where an element of a view lies.
 * What a unit of work is, and who does it, is the families'. */
#ifndef PAVE_KERNELS_CUDA_SPACE_CUH
#define PAVE_KERNELS_CUDA_SPACE_CUH

#include "kernels/cuda/element.cuh"
#include "kernels/cuda/raster.cuh"

namespace pave {

struct row_place {
    int64_t matrix; /* of all batches' */
    int64_t row, part;
    int batch[PAVE_BATCH_DIMS];
};

__device__ __forceinline__ int64_t tiles_of(int64_t length, int64_t tile) {
    return (length + tile - 1) / tile;
}

__device__ __forceinline__ int64_t unit_count(const pave_abi_rows &args, int64_t row_tiles, int64_t parts) {
    return args.batch[0] * args.batch[1] * args.batch[2] * row_tiles * parts;
}

/* Units are numbered by matrix, then tile of `tile_rows` rows, then part of it; the place's row is the tile's first. */
__device__ __forceinline__ row_place unit_place(const pave_abi_rows &args, int64_t unit, int64_t row_tiles,
                                                int tile_rows, int64_t parts) {
    row_place place;
    if (parts == 1 && args.batch[0] == 1 && args.batch[1] == 1 && args.batch[2] == 1) {
        place.matrix = place.part = 0;
        place.row = unit * tile_rows;
#pragma unroll
        for (int d = 0; d < PAVE_BATCH_DIMS; d++) place.batch[d] = 0;
        return place;
    }
    place.part = take_digit(unit, parts);
    place.row = take_digit(unit, row_tiles) * tile_rows;
    place.matrix = unit;
    place.batch[2] = static_cast<int>(take_digit(unit, args.batch[2]));
    place.batch[1] = static_cast<int>(take_digit(unit, args.batch[1]));
    place.batch[0] = static_cast<int>(unit);
    return place;
}

/* Bytes from the buffer's start to the place's row, column `col`. */
__device__ __forceinline__ int64_t place_offset(const pave_abi_view &view, int type, const row_place &place,
                                                int64_t col) {
    return view.offset +
           (batch_offset(view, place.batch) + place.row * view.row + col * view.col) * element_bytes(type);
}

__device__ __forceinline__ int quad_count(int64_t columns) {
    return columns >= 4 ? 4 : columns < 0 ? 0 : static_cast<int>(columns);
}

/* Four elements of TYPE as they lie in memory. */
template <int TYPE> struct quad_bits {
    uint2 bits;
    __device__ __forceinline__ void clear() {
        bits = make_uint2(0, 0);
    }
    __device__ __forceinline__ void pack(const float (&v)[4]) {
        bits = quad_pack(TYPE, v);
    }
    __device__ __forceinline__ void unpack(float (&v)[4]) const {
        quad_unpack(bits, TYPE, v);
    }
};
template <> struct quad_bits<PAVE_T_F32> {
    float4 bits;
    __device__ __forceinline__ void clear() {
        bits = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }
    __device__ __forceinline__ void pack(const float (&v)[4]) {
        bits = make_float4(v[0], v[1], v[2], v[3]);
    }
    __device__ __forceinline__ void unpack(float (&v)[4]) const {
        v[0] = bits.x, v[1] = bits.y, v[2] = bits.z, v[3] = bits.w;
    }
};

template <int TYPE> struct float8_bits {
    uint32_t bits;
    __device__ __forceinline__ void clear() {
        bits = 0;
    }
    __device__ __forceinline__ void pack(const float (&v)[4]) {
        bits = float8_quad(TYPE, v);
    }
    __device__ __forceinline__ void unpack(float (&v)[4]) const {
        float8_unpack(TYPE, bits, v[0], v[1]);
        float8_unpack(TYPE, bits >> 16, v[2], v[3]);
    }
};
template <> struct quad_bits<PAVE_T_E4M3> : float8_bits<PAVE_T_E4M3> {};
template <> struct quad_bits<PAVE_T_E5M2> : float8_bits<PAVE_T_E5M2> {};

/* QUADS quads, `apart` bytes from each other, of which `here` has a bit for each that holds values. Every load is on its way
 * before the first is waited for. */
template <int TYPE, int QUADS>
__device__ __forceinline__ void quads_load_typed(const char *p, int64_t apart, unsigned here,
                                                 float (&v)[QUADS][4]) {
    quad_bits<TYPE> quads[QUADS];
#pragma unroll
    for (int q = 0; q < QUADS; q++) {
        quads[q].clear();
        if (here >> q & 1)
            quads[q].bits = __ldcs(&reinterpret_cast<const quad_bits<TYPE> *>(p + q * apart)->bits);
    }
#pragma unroll
    for (int q = 0; q < QUADS; q++) quads[q].unpack(v[q]);
}

template <int QUADS>
__device__ __forceinline__ void quads_load(const char *p, int type, int64_t apart, unsigned here,
                                           float (&v)[QUADS][4]) {
    if (type == PAVE_T_F16)
        quads_load_typed<PAVE_T_F16>(p, apart, here, v);
    else if (type == PAVE_T_BF16)
        quads_load_typed<PAVE_T_BF16>(p, apart, here, v);
    else if (type == PAVE_T_E4M3)
        quads_load_typed<PAVE_T_E4M3>(p, apart, here, v);
    else if (type == PAVE_T_E5M2)
        quads_load_typed<PAVE_T_E5M2>(p, apart, here, v);
    else
        quads_load_typed<PAVE_T_F32>(p, apart, here, v);
}

/* Whether every quad of the view is whole and lies on a multiple of its size. */
__device__ __forceinline__ bool whole_quads(const pave_abi_view &view, int type, int64_t cols,
                                            const char *p) {
    return view.col == 1 && ((cols | view.row) & 3) == 0 && quad_aligned(p, type);
}

/* What streams by tells the caches that it is not met again soon: 1 to 4 % on an H100 (2026-11-25). */
struct put_streaming {
    template <class WORD> __device__ static __forceinline__ void word(WORD *p, const WORD &w) {
        __stcs(p, w);
    }
};

__device__ __forceinline__ void quad_stream(void *p, int type, const float (&v)[4]) {
    quad_put<put_streaming>(p, type, v);
}

/* The first `count` of four values to elements that are `step` apart. */
__device__ __forceinline__ void quad_scatter(char *p, int type, int64_t step, int count,
                                             const float (&v)[4]) {
    if (step == 1 && count >= 4 && quad_aligned(p, type)) {
        quad_stream(p, type, v);
        return;
    }
#pragma unroll
    for (int c = 0; c < 4; c++)
        if (c < count) element_store(p + c * step * element_bytes(type), type, v[c]);
}

} // namespace pave

#endif
