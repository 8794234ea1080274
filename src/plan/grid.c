/* SPDX-License-Identifier: Apache-2.0
 * The one place where a launch gets its grid: 3-D (batch, tiles of rows, tiles of columns) over several matrices, 2-D over
 * one, 1-D where a family's tiles have one dimension (reduce, join, normalize) or where what they are is only in a table (a
 * grouped gemm). Block sizes come from the row alone. */
#include "src/plan/model.h"

/* Work-groups a unit on a CPU: enough for the scheduler to even out, few enough that starting them is
 * nothing. */
#define CPU_GROUPS_PER_UNIT 16

static uint32_t capped(int64_t blocks, int64_t most) {
    if (blocks < 1) return 1;
    return (uint32_t)(blocks < most ? blocks : most);
}

static int64_t cpu_groups(const pave_device_info *device) {
    return (int64_t)CPU_GROUPS_PER_UNIT * pave__units(device);
}

/* Kernels take tiles first, first + blocks, …, so a capped grid covers every tile all the same. */
static void grid_tiles(const pave_device_info *device, pave__step *step, const int64_t tiles[3]) {
    int64_t most[3] = {PAVE__GRID_X_MAX, PAVE__GRID_YZ_MAX, PAVE__GRID_YZ_MAX};
    int64_t left = device->kind == PAVE_DEVICE_CPU ? cpu_groups(device) : INT64_MAX;
    for (int d = 0; d < 3; d++) {
        step->grid[d] = capped(tiles[d], left < most[d] ? left : most[d]);
        left = left == INT64_MAX ? left : pave__div_up(left, step->grid[d]);
    }
}

int pave__set_grid(const pave_device_info *device, pave__step *step, double *need) {
    const pave__row *row = step->row;
    int64_t bm, bn;
    pave__row_tile(row, step, &bm, &bn);
    int64_t tiles_m = pave__div_up(step->m, bm), tiles_n = pave__div_up(step->n, bn);
    int64_t batches = pave__batches(step->batch);
    bool flat = (row->family != PAVE__GEMM && row->family != PAVE__MAP) || step->groups > 0;
    step->block[0] = (uint32_t)row->threads;
    step->block[1] = step->block[2] = 1;
    step->shared_bytes = row->backend == PAVE__CUDA ? row->shared_bytes : 0;
    *need = (double)step->predicted.tiles;
    if (step->predicted.tiles == INT64_MAX || (flat && step->predicted.tiles > PAVE__GRID_X_MAX)) return 0;
    if (row->family != PAVE__GEMM && row->family != PAVE__MAP) { /* a GPU's block keeps its rows: no cap */
        step->grid[0] = capped(step->predicted.tiles,
                               device->kind == PAVE_DEVICE_CPU ? cpu_groups(device) : PAVE__GRID_X_MAX);
        step->grid[1] = step->grid[2] = 1;
    } else if (step->groups > 0) {
        grid_tiles(device, step, (int64_t[3]){step->predicted.tiles, 1, 1});
    } else if (batches > 1) {
        grid_tiles(device, step, (int64_t[3]){batches, tiles_m, tiles_n});
    } else {
        grid_tiles(device, step, (int64_t[3]){tiles_m, tiles_n, 1});
    }
    return 1;
}
