/* SPDX-License-Identifier: Apache-2.0
 * Which slices of which rows a block of normalize_slices.cu takes, where they lie, and the words in which a team's blocks leave
 * states for each other. */
#ifndef PAVE_KERNELS_REDUCE_SLICE_WALK_CUH
#define PAVE_KERNELS_REDUCE_SLICE_WALK_CUH

#include "kernels/cuda/space.cuh"
#include "kernels/reduce/rows.h"

namespace pave {

/* A chunk of a slice of the team's row `row`, which counts that team's alone. */
struct slice_step {
    int row, chunk;

    __device__ __forceinline__ slice_step next(int chunks) const {
        return chunk + 1 < chunks ? slice_step{row, chunk + 1} : slice_step{row + 1, 0};
    }
};

/* Where a block's slice of a row lies, in whose places a row begins in the middle of a quad that lies on a multiple of its size:
 * from the slice's first place on, which is before the row's own first one where values are skipped. */
struct slice_row {
    const char *x;
    char *y;
    int64_t left; /* places that the slice has of the row */
    int skipped;  /* of these */
    bool wide;    /* y's quads lie as x's do */
};

/* Rows whose places are known ahead of the one that is folded. */
constexpr int KNOWN_AHEAD = 3;

/* What of which rows a block takes, and where its team's blocks leave states for each other: of PAVE__SLICE_ROWS rows in turn a
 * word a slot. A state's sum is not negative, so that its sign tells a row's word from what was there before: 0, or the state of
 * PAVE__SLICE_ROWS rows ago. A block leaves that row's state, of rows later, behind all of them, so that everybody has read it. */
struct slice_walk {
    int team, teams, rows; /* rows: the team's */
    int slots, slot, chunks, stage_bytes;
    int lag; /* steps from a slice's states to its values, where it is one chunk */
    uint64_t *words;
    unsigned *ended; /* blocks of the team */
    slice_row known[PAVE__SLICE_ROWS];

    __device__ __forceinline__ void begin(const pave_abi_rows &args, const void *x, void *y, const tensors &t,
                                          int stage_bytes_, int most_lag) {
        const int span = stage_bytes_ / element_bytes(args.x_type);
        stage_bytes = stage_bytes_;
        slots = static_cast<int>(args.slots);
        chunks = static_cast<int>((args.slice + span - 1) / span);
        const unsigned block = blockIdx.x, blocks = gridDim.x, each = static_cast<unsigned>(slots);
        team = static_cast<int>(block / each);
        teams = static_cast<int>(blocks / each);
        slot = static_cast<int>(block % each);
        rows = (static_cast<int>(unit_count(args, args.rows, 1)) - team + teams - 1) / teams;
        lag = most_lag < rows ? most_lag : rows;
        uint64_t *all = static_cast<uint64_t *>(const_cast<void *>(t.t9));
        words = all + team * PAVE__SLICE_ROWS * slots;
        ended = reinterpret_cast<unsigned *>(all + teams * PAVE__SLICE_ROWS * slots) + team;
        for (int row = 0; row < KNOWN_AHEAD; row++) find(args, x, y, row);
    }

    __device__ __forceinline__ const slice_row &row(int row) const {
        return known[row % PAVE__SLICE_ROWS];
    }

    __device__ __forceinline__ void find(const pave_abi_rows &args, const void *x, void *y, int row) {
        const row_place at = place(args, row);
        slice_row &to = known[row % PAVE__SLICE_ROWS];
        const int bytes = element_bytes(args.x_type), y_bytes = element_bytes(args.y_type);
        to.x = static_cast<const char *>(x) + place_offset(args.x, args.x_type, at, 0);
        to.y = static_cast<char *>(y) + place_offset(args.y, args.y_type, at, 0);
        const int shift =
            static_cast<int>(reinterpret_cast<uintptr_t>(to.x) / static_cast<unsigned>(bytes) % 4);
        const int64_t from = slot * args.slice, end = from + args.slice, row_end = args.cols + shift;
        to.left = (end < row_end ? end : row_end) - from;
        to.skipped = slot == 0 ? shift : 0;
        to.x += (from - shift) * bytes;
        to.y += (from - shift) * y_bytes;
        to.wide = quad_aligned(to.y, args.y_type);
    }

    /* A step's chunk of the slice: values are made from the slice's end. */
    __device__ __forceinline__ int chunk_of(const slice_step &step, bool values) const {
        return values ? chunks - 1 - step.chunk : step.chunk;
    }

    /* The chunk whose values are made at step 0: where there are several, a row's come as many steps behind its states as it has
     * chunks, and two more for all blocks' states to be there. */
    __device__ __forceinline__ slice_step first_values() const {
        return chunks == 1 ? slice_step{-lag, 0} : slice_step{-2, chunks - 2};
    }

    __device__ __forceinline__ bool has(const slice_step &step) const {
        return step.row >= 0 && step.row < rows;
    }

    __device__ __forceinline__ row_place place(const pave_abi_rows &args, int row) const {
        return unit_place(args, static_cast<int64_t>(team) + row * static_cast<int64_t>(teams), args.rows, 1,
                          1);
    }

    __device__ __forceinline__ uint64_t *words_of(int row) const {
        return words + row % PAVE__SLICE_ROWS * slots;
    }
};

__device__ __forceinline__ uint32_t row_sign(int row) {
    return row / PAVE__SLICE_ROWS % 2 ? 0u : 0x80000000u;
}

__device__ __forceinline__ uint64_t word_of(float2 s, int row) {
    const uint32_t high = (__float_as_uint(s.y) & 0x7fffffffu) | row_sign(row);
    return static_cast<uint64_t>(high) << 32 | __float_as_uint(s.x);
}

} // namespace pave

#endif
