/* SPDX-License-Identifier: Apache-2.0
 * Chains of links element by element, and conversion between types and layouts, zero from the columns' end to the width.
 * Rows of the tables PAVE_MAP_CUDA_ROWS and, where an element is the sum of slots, PAVE_MAP_SUM_CUDA_ROWS.
 *
 * Work: ROWS, four consecutive columns a thread; rows narrower than a block share one. ACROSS, square tiles turned in
 * shared memory, whose columns are one float longer than needed so that neither way meets a bank twice. Alignment: none
 * needed; four elements that lie on a multiple of their size move at once. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/space.cuh"
#include "kernels/map/rows.h"
#include "kernels/rows.h"

namespace pave {

/* Four values of the place's row from column `col` on, through the links, to y. */
__device__ __forceinline__ void map_finish(const pave_abi_rows &args, const tensors &t, void *y,
                                           const row_place &place, int64_t col, patch<1, 4> &four) {
    const int in = quad_count(args.cols - col);
    if (args.link_count > 0) {
        four.row[0] = place.row;
        four.col = col;
        four.valid[0] = four.cols_valid = in;
#pragma unroll
        for (int d = 0; d < PAVE_BATCH_DIMS; d++) four.batch[d] = place.batch[d];
        chain_apply<1, 4>(args.links, args.link_count, t, four);
#pragma unroll
        for (int c = 0; c < 4; c++) four.v[0][c] = c < in ? four.v[0][c] : 0.0f;
    }
    if (args.y_type == PAVE_T_F16X2) /* a sum's; its width is whole blocks */
        return pairs_store(static_cast<char *>(y) + place_offset(args.y, args.y_type, place, 0), col, in,
                           four.v[0]);
    quad_scatter(static_cast<char *>(y) + place_offset(args.y, args.y_type, place, col), args.y_type,
                 args.y.col, quad_count(args.width - col), four.v[0]);
}

/* Loads that a sum has under way at once. */
constexpr int SUMS_AT_ONCE = 8;

/* Four values of every slot, added in order. Rows of slots are whole quads, so that none is cut off. */
__device__ __forceinline__ void map_sum(const pave_abi_rows &args, const char *p, float (&sum)[4]) {
#pragma unroll
    for (int c = 0; c < 4; c++) sum[c] = 0.0f;
#pragma unroll 1
    for (int left = static_cast<int>(args.slots); left > 0; left -= SUMS_AT_ONCE) {
        float4 part[SUMS_AT_ONCE];
#pragma unroll
        for (int i = 0; i < SUMS_AT_ONCE; i++, p += args.slice * 4)
            if (i < left) part[i] = *reinterpret_cast<const float4 *>(p);
#pragma unroll
        for (int i = 0; i < SUMS_AT_ONCE; i++)
            if (i < left) sum[0] += part[i].x, sum[1] += part[i].y, sum[2] += part[i].z, sum[3] += part[i].w;
    }
}

template <int ROWS, int COLS, int THREADS, bool SUM>
__device__ __forceinline__ void map_rows(const pave_abi_rows &args, const void *x, void *y,
                                         const tensors &t) {
    static_assert(ROWS == 1 && COLS == 4 * THREADS, "four columns a thread");
    int threads = THREADS, rows = 1; /* a row's threads, and rows a block */
    while (threads > 1 && threads * 2 >= args.width) threads /= 2, rows *= 2;
    const int thread = static_cast<int>(threadIdx.x) & (threads - 1),
              lower = static_cast<int>(threadIdx.x) / threads;
    const int64_t tiles = rows == 1 ? args.rows : tiles_of(args.rows, rows);
    const int64_t parts = rows == 1 ? tiles_of(args.width, COLS) : 1, units = unit_count(args, tiles, parts);
#pragma unroll 1
    for (int64_t unit = block_index(); unit < units; unit += block_count()) {
        row_place place = unit_place(args, unit, tiles, rows, parts);
        place.row += lower;
        const int64_t col = place.part * COLS + thread * 4;
        if (place.row >= args.rows || col >= args.width) continue;
        patch<1, 4> four;
        if constexpr (SUM)
            map_sum(args, static_cast<const char *>(x) + place_offset(args.x, PAVE_T_F32, place, col),
                    four.v[0]);
        else
            operand_load<4>(static_cast<const char *>(x) + place_offset(args.x, args.x_type, place, col),
                            args.x_type, args.x.col, quad_count(args.cols - col), four.v[0]);
        map_finish(args, t, y, place, col, four);
    }
}

template <int ROWS, int COLS, int THREADS>
__device__ __forceinline__ void map_turn(const pave_abi_rows &args, const void *x, void *y,
                                         const tensors &t) {
    static_assert(ROWS == 32 && COLS * ROWS == 4 * THREADS, "a lane a row, four values a thread");
    __shared__ float turned[COLS][ROWS + 1];
    const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
    const int out_row = static_cast<int>(threadIdx.x) / (COLS / 4);
    const int out_col = static_cast<int>(threadIdx.x) % (COLS / 4) * 4;
    const int64_t tiles = tiles_of(args.rows, ROWS), parts = tiles_of(args.width, COLS);
    const int64_t units = unit_count(args, tiles, parts);
#pragma unroll 1
    for (int64_t unit = block_index(); unit < units; unit += block_count()) {
        const row_place first = unit_place(args, unit, tiles, ROWS, parts);
        row_place place = first;
        place.row += lane;
        const int64_t col = first.part * COLS;
        const char *from = static_cast<const char *>(x) + place_offset(args.x, args.x_type, place, col);
#pragma unroll
        for (int c = warp; c < COLS; c += THREADS / 32) {
            const bool inside = place.row < args.rows && col + c < args.cols;
            turned[c][lane] =
                inside ? element_load(element_at(from, args.x_type, c * args.x.col), args.x_type) : 0.0f;
        }
        __syncthreads();
        place.row = first.row + out_row;
        if (place.row < args.rows && col + out_col < args.width) {
            patch<1, 4> four;
#pragma unroll
            for (int c = 0; c < 4; c++) four.v[0][c] = turned[out_col + c][out_row];
            map_finish(args, t, y, place, col + out_col, four);
        }
        __syncthreads();
    }
}

template <int LAYOUT, int ROWS, int COLS, int THREADS>
__device__ __forceinline__ void map_any(const pave_abi_rows &args, const void *x, void *y, const tensors &t) {
    if constexpr (LAYOUT == PAVE__LAYOUT_ACROSS)
        map_turn<ROWS, COLS, THREADS>(args, x, y, t);
    else
        map_rows<ROWS, COLS, THREADS, false>(args, x, y, t);
}

} // namespace pave

#define PAVE_KERNEL(NAME, LAYOUT, ROWS, COLS, THREADS)                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                  \
        NAME(const __grid_constant__ pave_abi_rows args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        pave::map_any<PAVE__LAYOUT_##LAYOUT, ROWS, COLS, THREADS>(args, x, y,                              \
                                                                  pave::tensors{PAVE_TENSOR_NAMES});       \
    }
PAVE_MAP_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL

#define PAVE_KERNEL(NAME, COLS, THREADS)                                                                   \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                  \
        NAME(const __grid_constant__ pave_abi_rows args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        pave::map_rows<1, COLS, THREADS, true>(args, x, y, pave::tensors{PAVE_TENSOR_NAMES});              \
    }
PAVE_MAP_SUM_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
