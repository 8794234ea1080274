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

/* The first `count` of four values to elements that are `step` apart. */
__device__ __forceinline__ void quad_scatter(char *p, int type, int64_t step, int count,
                                             const float (&v)[4]) {
    if (step == 1) {
        quad_store(p, type, count, v);
        return;
    }
#pragma unroll
    for (int c = 0; c < 4; c++)
        if (c < count) element_store(p + c * step * element_bytes(type), type, v[c]);
}

} // namespace pave

#endif
