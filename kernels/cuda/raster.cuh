/* SPDX-License-Identifier: Apache-2.0
 * The order in which a product's tiles are taken: groups of group_m row tiles share all their column tiles
 * before the next group starts, row tile fastest, so that what a wave reads stays in L2. */
#ifndef PAVE_KERNELS_CUDA_RASTER_CUH
#define PAVE_KERNELS_CUDA_RASTER_CUH

#include <stdint.h>

namespace pave {

struct tile_grid {
    int64_t tiles_m, tiles_n, group_m;

    __device__ __forceinline__ int64_t count() const {
        return tiles_m * tiles_n;
    }

    __device__ __forceinline__ void at(int64_t tile, int64_t &tile_m, int64_t &tile_n) const {
        const int64_t group_tiles = group_m * tiles_n;
        const int64_t first = tile / group_tiles * group_m;
        const int64_t height = tiles_m - first < group_m ? tiles_m - first : group_m;
        const int64_t inside = tile % group_tiles;
        tile_m = first + inside % height;
        tile_n = inside / height;
    }
};

__device__ __forceinline__ int64_t block_index() {
    return static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;
}

__device__ __forceinline__ int64_t block_count() {
    return static_cast<int64_t>(gridDim.x) * gridDim.y;
}

} // namespace pave

#endif
