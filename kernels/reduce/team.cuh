/* SPDX-License-Identifier: Apache-2.0
 * How a block's threads share rows, for the families reduce, join and normalize: who is in a row's team, which units of
 * work a team takes, and how its members' states become one, in an order that depends on nothing. */
#ifndef PAVE_KERNELS_REDUCE_TEAM_CUH
#define PAVE_KERNELS_REDUCE_TEAM_CUH

#include "kernels/cuda/space.cuh"
#include "kernels/cuda/state.cuh"
#include "kernels/rows.h"

namespace pave {

/* LANES neighbours of a warp a row; the whole block a row; or (ACROSS) 32 neighbouring rows a block: lane l of every warp is in
 * row l's team. A block takes a tile of ROWS rows at a time, each team EACH of them in turn. */
template <int LAYOUT, int ROWS, int LANES, int THREADS> struct row_team {
    static constexpr bool ACROSS = LAYOUT == PAVE__LAYOUT_ACROSS;
    static constexpr bool IN_WARP = !ACROSS && LANES <= 32;
    static constexpr int MEMBERS = LANES, TEAMS = THREADS / LANES, EACH = ROWS / TEAMS, TILE = ROWS;
    static constexpr int WARPS = THREADS / 32;
    static constexpr int STATES = ACROSS ? THREADS : IN_WARP ? 1 : WARPS;
    static_assert(THREADS % 32 == 0 && WARPS <= 32, "one warp merges the warps' states");
    static_assert(TEAMS * LANES == THREADS && EACH * TEAMS == ROWS, "whole teams take whole tiles");
    static_assert(ACROSS    ? LANES == WARPS && EACH == 1
                  : IN_WARP ? 32 % LANES == 0
                            : LANES == THREADS,
                  "part of a warp, a warp or a block a row");

    __device__ static __forceinline__ int lane() {
        return static_cast<int>(threadIdx.x % 32);
    }

    __device__ static __forceinline__ int warp() {
        return static_cast<int>(threadIdx.x / 32);
    }

    __device__ static __forceinline__ int member() {
        return ACROSS ? warp() : static_cast<int>(threadIdx.x % LANES);
    }

    /* Of this thread's first row; the next ones are TEAMS apart, and any may be beyond the last one. A block's rows are one
     * matrix', so that all else of the place is the block's. */
    __device__ static __forceinline__ row_place place(const pave_abi_rows &args, int64_t unit,
                                                      int64_t row_tiles, int64_t parts) {
        row_place place = unit_place(args, unit, row_tiles, ROWS, parts);
        if constexpr (ROWS > 1) place.row += ACROSS ? lane() : static_cast<int>(threadIdx.x / LANES);
        return place;
    }

    /* The team's state: every member's, where sums or logarithms of sums are reduced, else the first's. All the block's threads
     * take part, and `states` may be used again at once. */
    __device__ static __forceinline__ float2 merge(int reduce, float2 s, float2 *states) {
        if constexpr (IN_WARP) return state_merge_lanes<LANES>(reduce, s);
        if constexpr (!ACROSS) s = state_merge_lanes<32>(reduce, s);
        if (ACROSS || lane() == 0) states[ACROSS ? threadIdx.x : warp()] = s;
        __syncthreads();
        if constexpr (ACROSS) {
            s = states[lane()];
#pragma unroll
            for (int w = 1; w < WARPS; w++) s = pave_state_merge(reduce, s, states[w * 32 + lane()]);
        } else {
            s = lane() < WARPS ? states[lane()] : pave_state_begin(reduce);
            s = state_merge_lanes<32>(reduce, s);
        }
        __syncthreads();
        return s;
    }

    /* The largest of the team's values, NaN left out, for every member. */
    __device__ static __forceinline__ float largest(float top, float2 *states) {
        return merge(PAVE_REDUCE_MAX, make_float2(top, 0.0f), states).x;
    }
};

} // namespace pave

#endif
