/* SPDX-License-Identifier: Apache-2.0
 * The raster order of gemm's tiles: columns of tiles are walked in bands of group_m row tiles, row tile
 * fastest, so that groups running side by side share operands in the cache. */
#ifndef PAVE_KERNELS_OPENCL_TILES_H
#define PAVE_KERNELS_OPENCL_TILES_H

#include "abi.h"

static inline long2 pv_tile(long index, long tiles_m, long tiles_n, long group_m) {
    long band = index / (group_m * tiles_n);
    long first = band * group_m;
    long height = min(group_m, tiles_m - first);
    long rest = index - band * group_m * tiles_n;
    return (long2)(first + rest % height, rest / height);
}

#endif
