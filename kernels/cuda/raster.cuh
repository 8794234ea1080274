/* SPDX-License-Identifier: Apache-2.0
 * Which part of which product a block computes. Tiles are numbered one batch or group after the other; within
 * one, group_m row tiles share all their column tiles before the next ones start, row tile fastest, so that
 * what a wave reads stays in L2. The block's first warp finds a tile's place once and leaves it in shared
 * memory, where it costs the main loop no registers. */
#ifndef PAVE_KERNELS_CUDA_RASTER_CUH
#define PAVE_KERNELS_CUDA_RASTER_CUH

#include "kernels/cuda/element.cuh"
#include <stdint.h>

namespace pave {

/* n modulo d, and n becomes the quotient. Most spaces have few dimensions longer than 1 and less than 2^32 units. What is
 * left goes bit by bit: the compiler's division of 64 bits is a call, around which every kernel would spill. */
__device__ __forceinline__ int64_t take_digit(int64_t &n, int64_t d) {
    if (d <= 1) return 0;
    if (n < d) {
        const int64_t digit = n;
        n = 0;
        return digit;
    }
    if (((n | d) >> 32) == 0) {
        const uint32_t low = static_cast<uint32_t>(n), quotient = low / static_cast<uint32_t>(d);
        n = quotient;
        return low - quotient * static_cast<uint32_t>(d);
    }
    int64_t quotient = 0, digit = 0;
#pragma unroll 1
    for (int bit = 62; bit >= 0; bit--) {
        digit = digit << 1 | (n >> bit & 1);
        const bool fits = digit >= d;
        digit -= fits ? d : 0;
        quotient = quotient << 1 | (fits ? 1 : 0);
    }
    n = quotient;
    return digit;
}

struct tile_grid {
    int64_t tiles_m, tiles_n, group_m;

    __device__ __forceinline__ int64_t count() const {
        return tiles_m * tiles_n;
    }

    __device__ __forceinline__ void at(int64_t tile, int64_t &tile_m, int64_t &tile_n) const {
        int64_t inside = take_digit(tile, group_m * tiles_n);
        const int64_t first = tile * group_m;
        const int64_t height = tiles_m - first < group_m ? tiles_m - first : group_m;
        tile_m = first + take_digit(inside, height);
        tile_n = inside;
    }
};

__device__ __forceinline__ int64_t block_index() {
    return (static_cast<int64_t>(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
}

__device__ __forceinline__ int64_t block_count() {
    return static_cast<int64_t>(gridDim.x) * gridDim.y * gridDim.z;
}

/* An operand's share of a tile: where the tile's row 0, column 0 lie, and strides, all in bytes. Addresses are left
 * to the reader: of a buffer argument, unlike of what shared memory holds, the compiler knows that it is global. */
struct tile_operand {
    int64_t offset, row, col;
    int rows; /* that exist, at most the tile's */
};

constexpr int64_t NO_TILE = INT64_MAX;

/* One tile of one product. Rows count as links and states count them: a group's from its row_base on. */
struct tile_job {
    tile_operand a, b;
    int64_t y_offset, y_row; /* bytes; of row 0, column 0 in the product's y */
    int64_t p_index; /* state of row 0, slot 0; where slices are joined, the tile's number in the product */
    int64_t k, n;
    int64_t row, row_end, col;
    int64_t a_scale, b_scale; /* byte of row 0's scale in the product; 0: none */
    int64_t next;             /* the tile that this block takes after this one, or NO_TILE */
    int batch[PAVE_BATCH_DIMS];
    int joined; /* slices of k that the last block of this tile adds; 0: none */
};
static_assert(sizeof(tile_job) <= 256, "three beside 48 KiB of tiles, twice in an Ada unit");

__device__ __forceinline__ int64_t batch_offset(const pave_abi_view &view,
                                                const int (&batch)[PAVE_BATCH_DIMS]) {
    return batch[0] * view.batch[0] + batch[1] * view.batch[1] + batch[2] * view.batch[2];
}

/* The last group that starts at or before a tile, which is never an empty one. 32 places are probed at a time;
 * the whole warp takes part. */
__device__ __forceinline__ int group_find(const pave_abi_group *groups, int count, int64_t tile) {
    int low = 0;
    while (count > 1) {
        const int step = (count + 31) / 32, probe = static_cast<int>(threadIdx.x % 32) * step;
        const bool before = probe < count && groups[low + probe].tile_base <= tile;
        const int skipped = (__popc(__ballot_sync(0xffffffffu, before)) - 1) * step;
        low += skipped;
        count = count - skipped < step ? count - skipped : step;
    }
    return low;
}

/* A batch index's product in the terms of a group. Its states start at the batch's rows. */
template <int A_BYTES, int B_BYTES>
__device__ __forceinline__ pave_abi_group batch_problem(const pave_abi_gemm &args, int64_t index,
                                                        int64_t tiles, int (&batch)[PAVE_BATCH_DIMS]) {
    pave_abi_group of;
    of.m = args.m, of.n = args.n, of.k = args.k;
    of.a_offset = of.b_offset = of.y_offset = 0;
    batch[0] = batch[1] = batch[2] = 0;
    if (index > 0) {
        int64_t outer = index / args.batch[2];
        batch[2] = static_cast<int>(index % args.batch[2]);
        batch[1] = static_cast<int>(outer % args.batch[1]);
        batch[0] = static_cast<int>(outer / args.batch[1]);
        of.a_offset = batch_offset(args.a, batch) * A_BYTES;
        of.b_offset = batch_offset(args.b, batch) * B_BYTES;
        of.y_offset = batch_offset(args.y, batch) * element_bytes(args.y_type);
    }
    if (args.k_slice > 0) { /* the last slice may be shorter */
        const int64_t left = args.k - static_cast<int64_t>(batch[0]) * args.k_slice;
        of.k = left < args.k_slice ? left : args.k_slice;
    }
    of.a_row = args.a.row, of.a_col = args.a.col;
    of.b_row = args.b.row, of.b_col = args.b.col;
    of.y_row = args.y.row;
    of.row_base = 0;
    of.tile_base = index * tiles;
    return of;
}

struct gemm_buffers {
    const void *a, *b;
    void *y, *p;
    const void *g;
};

/* BM × BN tiles of operands of so many bytes an element. */
template <int BM, int BN, int B_BYTES, int A_BYTES = B_BYTES> struct gemm_raster {
    __device__ static __forceinline__ tile_grid grid(const pave_abi_gemm &args, int64_t m, int64_t n) {
        return {(m + BM - 1) / BM, (n + BN - 1) / BN, args.group_m};
    }

    __device__ static __forceinline__ int64_t count(const pave_abi_gemm &args) {
        if (args.group_count > 0) return args.tiles;
        return grid(args, args.m, args.n).count() * args.batch[0] * args.batch[1] * args.batch[2];
    }

    template <int BYTES>
    __device__ static __forceinline__ tile_operand operand(int64_t offset, int64_t row, int64_t col,
                                                           int64_t first, int64_t exist, int most) {
        return {offset + first * row * BYTES, row * BYTES, col * BYTES,
                static_cast<int>(exist - first < most ? exist - first : most)};
    }

    /* Where the scale of an operand's row 0 is: matrices with scales lie one behind the other, and this one `offset` bytes
     * behind the first. */
    __device__ static __forceinline__ int64_t scales(int64_t base, int64_t offset, int64_t row_bytes) {
        return base == 0 || offset == 0 ? base : base + offset / row_bytes * 4;
    }

    /* Place of `tile`, by the arguments alone unless there are groups; the whole first warp takes part, and each of its lanes
     * gets it. */
    __device__ static __forceinline__ tile_job place(const pave_abi_gemm &args, const void *g, int64_t tile) {
        tile_job job;
        pave_abi_group of;
        int64_t state_row = 0;
        if (args.group_count > 0) {
            follow_launches();
            const pave_abi_group *groups =
                reinterpret_cast<const pave_abi_group *>(static_cast<const char *>(g) + args.g_offset);
            job.batch[0] = group_find(groups, args.group_count, tile);
            job.batch[1] = job.batch[2] = 0;
            of = groups[job.batch[0]];
        } else {
            const int64_t tiles = grid(args, args.m, args.n).count(), index = tile < tiles ? 0 : tile / tiles;
            of = batch_problem<A_BYTES, B_BYTES>(args, index, tiles, job.batch);
            state_row = index * args.m;
        }
        int64_t tile_m, tile_n;
        grid(args, of.m, of.n).at(tile - of.tile_base, tile_m, tile_n);
        job.a = operand<A_BYTES>(args.a.offset + of.a_offset, of.a_row, of.a_col, tile_m * BM, of.m, BM);
        job.b = operand<B_BYTES>(args.b.offset + of.b_offset, of.b_row, of.b_col, tile_n * BN, of.n, BN);
        job.k = of.k, job.n = of.n;
        job.y_row = of.y_row * element_bytes(args.y_type);
        job.y_offset = args.y.offset + of.y_offset - of.row_base * job.y_row;
        job.joined = args.k_slice > 0 ? static_cast<int>(args.slots) : 0;
        job.p_index = job.joined ? tile_m * grid(args, of.m, of.n).tiles_n + tile_n
                                 : args.p_offset / 8 + state_row * args.slots;
        job.row = of.row_base + tile_m * BM, job.row_end = of.row_base + of.m;
        job.col = tile_n * BN;
        job.a_scale = scales(args.a_scale, of.a_offset, job.a.row);
        job.b_scale = scales(args.b_scale, of.b_offset, job.b.row);
        job.next = tile + block_count() < count(args) ? tile + block_count() : NO_TILE;
        return job;
    }

    /* The first warp leaves the place of `tile` for the whole block, which will see it behind a barrier. */
    __device__ static __forceinline__ void leave(const pave_abi_gemm &args, const void *g, int64_t tile,
                                                 tile_job &shared) {
        if (threadIdx.x >= 32) return;
        const tile_job job = place(args, g, tile);
        if (threadIdx.x == 0) shared = job;
    }

    /* The same, seen; the block is done with the last one. */
    __device__ static __forceinline__ void take(const pave_abi_gemm &args, const void *g, int64_t tile,
                                                tile_job &shared) {
        leave(args, g, tile, shared);
        __syncthreads();
    }
};

} // namespace pave

#endif
