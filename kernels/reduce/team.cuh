/* SPDX-License-Identifier: Apache-2.0
 * How a block's threads share rows, for the families reduce, join and normalize: who is in a row's team, which units of
 * work a team takes, and how its members' states become one, in an order that depends on nothing. */
#ifndef PAVE_KERNELS_REDUCE_TEAM_CUH
#define PAVE_KERNELS_REDUCE_TEAM_CUH

#include "kernels/cuda/space.cuh"
#include "kernels/cuda/state.cuh"
#include "kernels/rows.h"

namespace pave {

/* LANES neighbours of a warp a row, or the whole block. A block takes a tile of ROWS rows at a time, each team EACH
 * neighbouring ones. */
template <int ROWS, int LANES, int THREADS> struct row_team {
    static constexpr bool IN_WARP = LANES <= 32;
    static constexpr int MEMBERS = LANES, TEAMS = THREADS / LANES, EACH = ROWS / TEAMS, TILE = ROWS;
    static constexpr int WARPS = THREADS / 32;
    static constexpr int STATES = IN_WARP ? 1 : WARPS;
    static_assert(THREADS % 32 == 0 && WARPS <= 32, "one warp merges the warps' states");
    static_assert(TEAMS * LANES == THREADS && EACH * TEAMS == ROWS, "whole teams take whole tiles");
    static_assert(IN_WARP ? 32 % LANES == 0 : LANES == THREADS, "part of a warp, a warp or a block a row");

    __device__ static __forceinline__ int lane() {
        return static_cast<int>(threadIdx.x % 32);
    }

    __device__ static __forceinline__ int member() {
        return static_cast<int>(threadIdx.x % LANES);
    }

    /* Of this thread's first row; any of its rows may be beyond the last one. A block's rows are one matrix', so that all else
     * of the place is the block's. */
    __device__ static __forceinline__ row_place place(const pave_abi_rows &args, int64_t unit,
                                                      int64_t row_tiles, int64_t parts) {
        row_place place = unit_place(args, unit, row_tiles, ROWS, parts);
        if constexpr (ROWS > 1) place.row += static_cast<int>(threadIdx.x / LANES) * EACH;
        return place;
    }

    /* The team's state: every member's, where sums or logarithms of sums are reduced, else the first's. All the block's threads
     * take part, and `states` may be used again at once. */
    __device__ static __forceinline__ float2 merge(int reduce, float2 s, float2 *states) {
        if constexpr (IN_WARP) return state_merge_lanes<LANES>(reduce, s);
        s = state_merge_lanes<32>(reduce, s);
        if (lane() == 0) states[threadIdx.x / 32] = s;
        __syncthreads();
        s = lane() < WARPS ? states[lane()] : pave_state_begin(reduce);
        s = state_merge_lanes<32>(reduce, s);
        __syncthreads();
        return s;
    }

    __device__ static __forceinline__ void merge_each(int reduce, float2 (&s)[1], float2 *states) {
        s[0] = merge(reduce, s[0], states);
    }
};

/* Four neighbouring rows a team: ROWS / 4 neighbours of a warp take a tile's rows side by side, and the block's threads share
 * the columns of each. */
template <int ROWS, int THREADS> struct quad_team {
    static constexpr int SIDE = ROWS / 4, MEMBERS = THREADS / SIDE, EACH = 1, TILE = ROWS;
    static constexpr int WARPS = THREADS / 32, STATES = WARPS * ROWS;
    static_assert(ROWS % 4 == 0 && 32 % SIDE == 0 && THREADS % 32 == 0, "a warp has whole columns of a tile");

    __device__ static __forceinline__ int member() {
        return static_cast<int>(threadIdx.x) / SIDE;
    }

    __device__ static __forceinline__ int quad() {
        return static_cast<int>(threadIdx.x) % SIDE * 4;
    }

    __device__ static __forceinline__ row_place place(const pave_abi_rows &args, int64_t unit,
                                                      int64_t row_tiles, int64_t parts) {
        row_place place = unit_place(args, unit, row_tiles, ROWS, parts);
        place.row += quad();
        return place;
    }

    /* The team's states: every member's. `states` may be used again at once. */
    __device__ static __forceinline__ void merge_each(int reduce, float2 (&s)[4], float2 *states) {
        const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
#pragma unroll
        for (int r = 0; r < 4; r++) {
            s[r] = state_merge_lanes<32, SIDE>(reduce, s[r]);
            if (lane < SIDE) states[warp * ROWS + quad() + r] = s[r];
        }
        __syncthreads();
#pragma unroll
        for (int r = 0; r < 4; r++) s[r] = states[quad() + r];
#pragma unroll
        for (int w = 1; w < WARPS; w++)
#pragma unroll
            for (int r = 0; r < 4; r++) s[r] = state_merge(reduce, s[r], states[w * ROWS + quad() + r]);
        __syncthreads();
    }
};

} // namespace pave

#endif
