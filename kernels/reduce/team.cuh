/* SPDX-License-Identifier: Apache-2.0
 * How a block's threads share rows, for the families reduce, join and normalize: who is in a row's team, which units of
 * work a team takes, and how its members' states become one, in an order that depends on nothing. */
#ifndef PAVE_KERNELS_REDUCE_TEAM_CUH
#define PAVE_KERNELS_REDUCE_TEAM_CUH

#include "kernels/cuda/space.cuh"
#include "kernels/cuda/state.cuh"
#include "kernels/rows.h"

namespace pave {

/* A warp a row, the whole block a row, or (ACROSS) 32 neighbouring rows a block: lane l of every warp is in row l's
 * team. */
template <int LAYOUT, int ROWS, int THREADS> struct row_team {
    static constexpr bool ACROSS = LAYOUT == PAVE__LAYOUT_ACROSS;
    static constexpr bool WARP = !ACROSS && ROWS > 1;
    static constexpr int WARPS = THREADS / 32;
    static constexpr int MEMBERS = ACROSS ? WARPS : WARP ? 32 : THREADS;
    static constexpr int TILE_ROWS = ACROSS ? ROWS : 1; /* of a unit of work */
    static constexpr int UNITS = WARP ? ROWS : 1;       /* that a block takes at a time */
    static constexpr int STATES = ACROSS ? THREADS : WARP ? 1 : WARPS;
    static_assert(THREADS % 32 == 0 && WARPS <= 32, "one warp merges the warps' states");
    static_assert(ROWS == (ACROSS ? 32 : WARP ? WARPS : 1), "a lane, a warp or a block a row");

    __device__ static __forceinline__ int lane() {
        return static_cast<int>(threadIdx.x % 32);
    }

    __device__ static __forceinline__ int warp() {
        return static_cast<int>(threadIdx.x / 32);
    }

    __device__ static __forceinline__ int member() {
        return ACROSS ? warp() : WARP ? lane() : static_cast<int>(threadIdx.x);
    }

    __device__ static __forceinline__ int64_t first_unit() {
        return block_index() * UNITS + (WARP ? warp() : 0);
    }

    __device__ static __forceinline__ int64_t unit_step() {
        return block_count() * UNITS;
    }

    /* Of this thread's row, which may be beyond the last one where a unit is a tile of rows. */
    __device__ static __forceinline__ row_place place(const pave_abi_rows &args, int64_t unit,
                                                      int64_t row_tiles, int64_t parts) {
        row_place place = unit_place(args, unit, row_tiles, TILE_ROWS, parts);
        if constexpr (ACROSS) place.row += lane();
        return place;
    }

    /* Lanes merge by exchange, and what a lane got need not be its neighbour's to the last bit. */
    __device__ static __forceinline__ float2 merge_warp(int reduce, float2 s) {
        s = state_merge_lanes<32>(reduce, s);
        s.x = __shfl_sync(0xffffffffu, s.x, 0);
        s.y = __shfl_sync(0xffffffffu, s.y, 0);
        return s;
    }

    /* The team's state, the same for every member. All the block's threads take part, and `states` may be used again
     * at once. */
    __device__ static __forceinline__ float2 merge(int reduce, float2 s, float2 *states) {
        if constexpr (!ACROSS) s = merge_warp(reduce, s);
        if constexpr (WARP) return s;
        if (ACROSS || lane() == 0) states[ACROSS ? threadIdx.x : warp()] = s;
        __syncthreads();
        if constexpr (ACROSS) {
            s = states[lane()];
#pragma unroll
            for (int w = 1; w < WARPS; w++) s = pave_state_merge(reduce, s, states[w * 32 + lane()]);
        } else {
            s = lane() < WARPS ? states[lane()] : pave_state_begin(reduce);
            s = merge_warp(reduce, s);
        }
        __syncthreads();
        return s;
    }
};

} // namespace pave

#endif
