/* SPDX-License-Identifier: Apache-2.0
 * Reduction of rows that lie next to each other: a thread takes a quad of four neighbouring rows, eight threads a tile of 32,
 * and the block's other threads share the columns, whose states meet in shared memory. Included by reduce.cu, whose folds it
 * uses. Alignment: none needed; rows that lie in whole quads are read so. */
#ifndef PAVE_KERNELS_REDUCE_ACROSS_CUH
#define PAVE_KERNELS_REDUCE_ACROSS_CUH

#include "kernels/cuda/space.cuh"
#include "kernels/cuda/state.cuh"

namespace pave {

/* One thread's columns of its quad of rows. */
struct quad_share {
    const char *x;    /* its first column of the quad's first row */
    int64_t row, col; /* bytes from row to row, and from column to column */
    int64_t count;    /* of columns, from its first one on */
    int index;        /* of that one */
    int rows;         /* of the quad that exist */
    bool whole;       /* one load takes the quad */
};

/* Values of LOADS columns, STEP apart, of which `left` columns on are the first that do not exist. */
template <int REDUCE, int TYPE, int STEP, int LOADS>
__device__ __forceinline__ void load_columns(const quad_share &share, const char *p, int64_t left,
                                             float (&v)[LOADS][4]) {
    if (share.whole) {
        quad_bits<TYPE> quads[LOADS];
#pragma unroll
        for (int u = 0; u < LOADS; u++) {
            quads[u].clear();
            if (u * STEP < left)
                quads[u].bits =
                    __ldcs(&reinterpret_cast<const quad_bits<TYPE> *>(p + u * STEP * share.col)->bits);
        }
#pragma unroll
        for (int u = 0; u < LOADS; u++) {
            quads[u].unpack(v[u]);
#pragma unroll
            for (int r = 0; r < 4; r++) v[u][r] = u * STEP < left ? v[u][r] : neutral<REDUCE>();
        }
        return;
    }
#pragma unroll
    for (int u = 0; u < LOADS; u++)
#pragma unroll
        for (int r = 0; r < 4; r++)
            v[u][r] = u * STEP < left && r < share.rows
                          ? element_load(p + u * STEP * share.col + r * share.row, TYPE)
                          : neutral<REDUCE>();
}

/* One chain a row: of additions it has a LOADS * STEP-th of the columns. */
template <int REDUCE, int TYPE, int STEP, int LOADS>
__device__ __forceinline__ void fold_columns(const quad_share &share, float2 (&s)[4]) {
    const char *p = share.x;
    int64_t left = share.count;
    int index = share.index;
#pragma unroll
    for (int r = 0; r < 4; r++) s[r] = pave_state_begin(REDUCE);
#pragma unroll 1
    while (left > 0) {
        float v[LOADS][4];
        load_columns<REDUCE, TYPE, STEP>(share, p, left, v);
#pragma unroll
        for (int r = 0; r < 4; r++) {
            float of_row[LOADS];
#pragma unroll
            for (int u = 0; u < LOADS; u++) of_row[u] = v[u][r];
            s[r] = fold_values<REDUCE, LOADS, 1>(s[r], of_row, index, STEP);
        }
        p += LOADS * STEP * share.col;
        left -= LOADS * STEP;
        index += LOADS * STEP;
    }
}

/* The state of row threadIdx.x of the tile, in the first ROWS threads. `states` may be used again at once. */
template <int REDUCE, int ROWS, int THREADS, int LOADS>
__device__ __forceinline__ float2 across_state(int type, const quad_share &share, float2 *states) {
    constexpr int SIDE = ROWS / 4, STEP = THREADS / SIDE, WARPS = THREADS / 32;
    float2 s[4];
    if (type == PAVE_T_F16)
        fold_columns<REDUCE, PAVE_T_F16, STEP, LOADS>(share, s);
    else if (type == PAVE_T_BF16)
        fold_columns<REDUCE, PAVE_T_BF16, STEP, LOADS>(share, s);
    else
        fold_columns<REDUCE, PAVE_T_F32, STEP, LOADS>(share, s);
    const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
#pragma unroll
    for (int r = 0; r < 4; r++) {
        s[r] = state_merge_lanes<32, SIDE>(REDUCE, s[r]);
        if (lane < SIDE) states[thread / 32 * ROWS + lane * 4 + r] = s[r];
    }
    __syncthreads();
    float2 all = states[thread % ROWS];
#pragma unroll
    for (int w = 1; w < WARPS; w++) all = state_merge(REDUCE, all, states[w * ROWS + thread % ROWS]);
    __syncthreads();
    return all;
}

} // namespace pave

#endif
