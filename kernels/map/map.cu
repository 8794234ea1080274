/* SPDX-License-Identifier: Apache-2.0
 * Converts a matrix between element types and row strides, zero beyond its width up to the output's. Rows of
 * the table PAVE_PACK_CUDA_ROWS.
 *
 * Work: a thread four consecutive columns of a row, rows strided over the grid's second dimension.
 * Alignment: none needed; four elements that lie on a multiple of their size move at once. */
#include "kernels/cuda/element.cuh"
#include "kernels/pack/rows.h"

namespace pave {

__device__ __forceinline__ int pack_count(int64_t columns) {
    return columns > 4 ? 4 : columns < 0 ? 0 : static_cast<int>(columns);
}

template <int ELEMS, int THREADS>
__device__ __forceinline__ void pack_rows(const pave_abi_pack &args, const void *x, void *y) {
    static_assert(ELEMS == 4 * THREADS, "four columns a thread");
    const char *from = static_cast<const char *>(x) + args.x_offset;
    char *to = static_cast<char *>(y) + args.y_offset;
    for (int64_t col = static_cast<int64_t>(blockIdx.x) * ELEMS + threadIdx.x * 4; col < args.cols_out;
         col += static_cast<int64_t>(gridDim.x) * ELEMS) {
        const int in = pack_count(args.cols - col), out = pack_count(args.cols_out - col);
        for (int64_t row = blockIdx.y; row < args.rows; row += gridDim.y) {
            float v[4];
            quad_load(element_at(from, args.x_type, row * args.ldx + col), args.x_type, in, v);
            quad_store(to + (row * args.ldy + col) * element_bytes(args.y_type), args.y_type, out, v);
        }
    }
}

} // namespace pave

#define PAVE_KERNEL(NAME, ELEMS, THREADS)                                          \
    extern "C" __global__ void __launch_bounds__(THREADS)                          \
        NAME(const __grid_constant__ pave_abi_pack args, const void *x, void *y) { \
        pave::pack_rows<ELEMS, THREADS>(args, x, y);                               \
    }
PAVE_PACK_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
