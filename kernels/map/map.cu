/* SPDX-License-Identifier: Apache-2.0
 * Chains of links element by element, and conversion between types and layouts, zero from the columns' end to the width.
 * Rows of the tables PAVE_MAP_CUDA_ROWS and, where an element is the sum of slots, PAVE_MAP_SUM_CUDA_ROWS.
 *
 * Work: ROWS, quads of four consecutive columns, several of them under way in each thread: of one row each, or of the same row
 * where there are too few; rows narrower than a block share it. ACROSS, square tiles turned in shared memory, read by quads of
 * rows and written by quads of columns; its lines are one float longer than needed, so that either way meets a bank twice at
 * most. Alignment: none needed; four elements that lie on a multiple of their size move at once. */
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/space.cuh"
#include "kernels/map/rows.h"
#include "kernels/rows.h"

namespace pave {

/* Four values of the place's row from column `col` on, through the links. */
__device__ __forceinline__ void map_links(const pave_abi_rows &args, const tensors &t, const row_place &place,
                                          int64_t col, patch<1, 4> &four) {
    const int in = quad_count(args.cols - col);
    if (args.link_count == 0) return;
    four.row[0] = place.row;
    four.col = col;
    four.valid[0] = four.cols_valid = in;
#pragma unroll
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) four.batch[d] = place.batch[d];
    chain_apply<1, 4>(args.links, args.link_count, t, four);
    if (in == 4) return;
#pragma unroll
    for (int c = 0; c < 4; c++) four.v[0][c] = c < in ? four.v[0][c] : 0.0f;
}

/* Four values to the place's row of y from column `col` on. */
__device__ __forceinline__ void map_put(const pave_abi_rows &args, void *y, const row_place &place,
                                        int64_t col, const float (&v)[4]) {
    if (args.y_type == PAVE_T_F16X2) /* a sum's; its width is whole blocks */
        return pairs_store(static_cast<char *>(y) + place_offset(args.y, args.y_type, place, 0), col,
                           quad_count(args.cols - col), v);
    quad_scatter(static_cast<char *>(y) + place_offset(args.y, args.y_type, place, col), args.y_type,
                 args.y.col, quad_count(args.width - col), v);
}

/* Slots of which a thread's quads are under way at once. */
constexpr int SLOTS_AT_ONCE = 4;

/* The first `count` of a quad's values of every slot, added in order. */
__device__ __forceinline__ void map_sum_rest(const pave_abi_rows &args, const char *p, int count,
                                             float (&sum)[4]) {
#pragma unroll 1
    for (int64_t left = args.slots; left > 0; left--, p += args.slice * 4)
#pragma unroll
        for (int c = 0; c < 3; c++) sum[c] += c < count ? reinterpret_cast<const float *>(p)[c] : 0.0f;
}

/* The first count[q] (maybe < 0) of quad q's values of every slot, added in order; quads are `apart` bytes from each other. Rows
 * of slots lie in whole quads, whose ends nobody wrote. */
template <int QUADS>
__device__ __forceinline__ void map_sum(const pave_abi_rows &args, const char *p, int64_t apart,
                                        const int (&count)[QUADS], float (&sum)[QUADS][4]) {
    bool rest = false;
#pragma unroll
    for (int q = 0; q < QUADS; q++) {
        rest = rest || (count[q] > 0 && count[q] < 4);
#pragma unroll
        for (int c = 0; c < 4; c++) sum[q][c] = 0.0f;
    }
    if (rest) {
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            if (count[q] > 0 && count[q] < 4) map_sum_rest(args, p + q * apart, count[q], sum[q]);
        }
    }
#pragma unroll 1
    for (int left = static_cast<int>(args.slots); left > 0; left -= SLOTS_AT_ONCE) {
        float4 part[SLOTS_AT_ONCE][QUADS];
#pragma unroll
        for (int i = 0; i < SLOTS_AT_ONCE; i++, p += args.slice * 4)
#pragma unroll
            for (int q = 0; q < QUADS; q++)
                if (i < left && count[q] >= 4) part[i][q] = *reinterpret_cast<const float4 *>(p + q * apart);
#pragma unroll
        for (int i = 0; i < SLOTS_AT_ONCE; i++)
#pragma unroll
            for (int q = 0; q < QUADS; q++)
                if (i < left && count[q] >= 4) {
                    const float4 &of = part[i][q];
                    sum[q][0] += of.x, sum[q][1] += of.y, sum[q][2] += of.z, sum[q][3] += of.w;
                }
    }
}

/* How a block's quads lie: `threads` of them side by side in a row, `rows` of these below each other, and the block's next quads
 * `down` rows or `right` columns on. */
template <int QUADS, int THREADS> struct map_shape {
    int threads = THREADS, rows = 1, down = 0, right = 0;

    __device__ __forceinline__ map_shape(int64_t height, int64_t width) {
        if (QUADS > 1 && height < QUADS) {
            right = 4 * THREADS;
            return;
        }
        while (threads > 1 && threads * 2 >= width) threads /= 2, rows *= 2;
        down = rows;
    }
    __device__ __forceinline__ int tile_rows() const {
        return right > 0 ? 1 : rows * QUADS;
    }
    __device__ __forceinline__ int tile_cols() const {
        return right > 0 ? right * QUADS : 4 * threads;
    }
};

/* Values that there are of a thread's quads, the first of which is at `place` and `col`. */
template <int QUADS>
__device__ __forceinline__ void map_counts(const pave_abi_rows &args, const row_place &place, int64_t col,
                                           int down, int right, int (&count)[QUADS]) {
#pragma unroll
    for (int q = 0; q < QUADS; q++)
        count[q] = place.row + q * down < args.rows ? quad_count(args.cols - col - q * right) : 0;
}

template <int QUADS>
__device__ __forceinline__ void map_load(const pave_abi_rows &args, const char *p, const row_place &place,
                                         int64_t col, int down, int right, float (&v)[QUADS][4]) {
    const int64_t apart = down * args.x.row + right * args.x.col;
    if (whole_quads(args.x, args.x_type, args.cols, p)) {
        unsigned here = 0;
#pragma unroll
        for (int q = 0; q < QUADS; q++)
            here |= place.row + q * down < args.rows && col + q * right < args.cols ? 1u << q : 0;
        quads_load(p, args.x_type, apart * element_bytes(args.x_type), here, v);
        return;
    }
    int count[QUADS];
    map_counts(args, place, col, down, right, count);
    elements_load<QUADS>(p, args.x_type, args.x.col, apart, count, v);
}

/* SUM: each value is the sum of slots. */
template <int QUADS, int THREADS, bool SUM>
__device__ __forceinline__ void map_rows(const pave_abi_rows &args, const void *x, void *y,
                                         const tensors &t) {
    const map_shape<QUADS, THREADS> shape(args.rows, args.width);
    const int thread = static_cast<int>(threadIdx.x) & (shape.threads - 1),
              lower = static_cast<int>(threadIdx.x) / shape.threads;
    const int64_t tiles = tiles_of(args.rows, shape.tile_rows());
    const int64_t parts = tiles_of(args.width, shape.tile_cols()), units = unit_count(args, tiles, parts);
#pragma unroll 1
    for (int64_t unit = block_index(); unit < units; unit += block_count()) {
        row_place place = unit_place(args, unit, tiles, shape.tile_rows(), parts);
        place.row += lower;
        int64_t col = place.part * shape.tile_cols() + thread * 4;
        const char *from = static_cast<const char *>(x) + place_offset(args.x, args.x_type, place, col);
        float v[QUADS][4];
        if constexpr (SUM) {
            int count[QUADS];
            map_counts(args, place, col, shape.down, shape.right, count);
            map_sum(args, from, (shape.down * args.x.row + shape.right) * 4, count, v);
        } else {
            map_load<QUADS>(args, from, place, col, shape.down, shape.right, v);
        }
        /* Where y is whole quads, what they are and where they lie is asked once. */
        char *to = static_cast<char *>(y) + place_offset(args.y, args.y_type, place, col);
        const int64_t apart =
            (shape.down * args.y.row + shape.right * args.y.col) * element_bytes(args.y_type);
        const bool whole = args.y_type != PAVE_T_F16X2 && whole_quads(args.y, args.y_type, args.width, to);
#pragma unroll 1
        for (int q = 0; q < QUADS; q++, to += apart) {
            if (place.row >= args.rows || col >= args.width) break;
            patch<1, 4> four;
#pragma unroll
            for (int c = 0; c < 4; c++) four.v[0][c] = v[0][c];
            map_links(args, t, place, col, four);
            if (whole)
                quad_stream(to, args.y_type, four.v[0]);
            else
                map_put(args, y, place, col, four.v[0]);
            place.row += shape.down, col += shape.right;
            /* The next quad becomes the first: registers have no index at run time. */
#pragma unroll
            for (int i = 0; i + 1 < QUADS; i++)
#pragma unroll
                for (int c = 0; c < 4; c++) v[i][c] = v[i + 1][c];
        }
    }
}

/* Quads of four rows, the first from row place.row, column `col` on and the next ones `right` columns on. */
template <int QUADS>
__device__ __forceinline__ void turn_load(const pave_abi_rows &args, const char *p, const row_place &place,
                                          int64_t col, int right, float (&v)[QUADS][4]) {
    const int64_t apart = right * args.x.col * element_bytes(args.x_type);
    const int rows = quad_count(args.rows - place.row);
    const bool whole = args.x.row == 1 && ((args.rows | args.x.col) & 3) == 0 && quad_aligned(p, args.x_type);
    if (whole) {
        unsigned here = 0;
#pragma unroll
        for (int q = 0; q < QUADS; q++) here |= rows > 0 && col + q * right < args.cols ? 1u << q : 0;
        quads_load(p, args.x_type, apart, here, v);
        return;
    }
#pragma unroll
    for (int q = 0; q < QUADS; q++) {
#pragma unroll
        for (int r = 0; r < 4; r++)
            v[q][r] = r < rows && col + q * right < args.cols
                          ? element_load(element_at(p + q * apart, args.x_type, r * args.x.row), args.x_type)
                          : 0.0f;
    }
}

template <int ROWS, int COLS, int THREADS>
__device__ __forceinline__ void map_turn(const pave_abi_rows &args, const void *x, void *y,
                                         const tensors &t) {
    constexpr int DOWN = ROWS / 4, RIGHT = COLS / 4, QUADS = ROWS * COLS / 4 / THREADS;
    static_assert(THREADS % DOWN == 0 && THREADS % RIGHT == 0, "whole lines of quads at a time");
    __shared__ float turned[COLS][ROWS + 1];
    const int thread = static_cast<int>(threadIdx.x);
    const int64_t tiles = tiles_of(args.rows, ROWS), parts = tiles_of(args.width, COLS);
    const int64_t units = unit_count(args, tiles, parts);
#pragma unroll 1
    for (int64_t unit = block_index(); unit < units; unit += block_count()) {
        const row_place first = unit_place(args, unit, tiles, ROWS, parts);
        const int64_t col = first.part * COLS;
        const int row = thread % DOWN * 4;
        row_place place = first;
        place.row += row;
        float v[QUADS][4];
        turn_load<QUADS>(args,
                         static_cast<const char *>(x) +
                             place_offset(args.x, args.x_type, place, col + thread / DOWN),
                         place, col + thread / DOWN, THREADS / DOWN, v);
#pragma unroll
        for (int q = 0; q < QUADS; q++)
#pragma unroll
            for (int r = 0; r < 4; r++) turned[thread / DOWN + q * (THREADS / DOWN)][row + r] = v[q][r];
        __syncthreads();
        place.row = first.row + thread / RIGHT;
        const int out_col = thread % RIGHT * 4;
#pragma unroll 1
        for (int q = 0; q < QUADS; q++, place.row += THREADS / RIGHT) {
            if (place.row >= args.rows || col + out_col >= args.width) break;
            patch<1, 4> four;
#pragma unroll
            for (int c = 0; c < 4; c++)
                four.v[0][c] = turned[out_col + c][thread / RIGHT + q * (THREADS / RIGHT)];
            map_links(args, t, place, col + out_col, four);
            map_put(args, y, place, col + out_col, four.v[0]);
        }
        __syncthreads();
    }
}

template <int LAYOUT, int ROWS, int COLS, int THREADS>
__device__ __forceinline__ void map_any(const pave_abi_rows &args, const void *x, void *y, const tensors &t) {
    static_assert(LAYOUT == PAVE__LAYOUT_ACROSS || COLS == 4 * THREADS, "a quad a thread and row");
    if constexpr (LAYOUT == PAVE__LAYOUT_ACROSS)
        map_turn<ROWS, COLS, THREADS>(args, x, y, t);
    else
        map_rows<ROWS, THREADS, false>(args, x, y, t);
}

} // namespace pave

/* Blocks a unit: as many as the assembler needs no spills for, which it does not see by itself. */
#define PAVE_KERNEL(NAME, LAYOUT, ROWS, COLS, THREADS)                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS, 3)                                               \
        NAME(const __grid_constant__ pave_abi_rows args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        pave::follow_launches();                                                                           \
        pave::map_any<PAVE__LAYOUT_##LAYOUT, ROWS, COLS, THREADS>(args, x, y,                              \
                                                                  pave::tensors{PAVE_TENSOR_NAMES});       \
    }
PAVE_MAP_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL

#define PAVE_KERNEL(NAME, ROWS, COLS, THREADS)                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS, 2)                                               \
        NAME(const __grid_constant__ pave_abi_rows args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        pave::follow_launches();                                                                           \
        static_assert(COLS == 4 * THREADS, "a quad a thread");                                             \
        pave::map_rows<ROWS, THREADS, true>(args, x, y, pave::tensors{PAVE_TENSOR_NAMES});                 \
    }
PAVE_MAP_SUM_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
