/* SPDX-License-Identifier: Apache-2.0
 * The one place where a launch gets its grid: the rank is the family's (rule 1: gemm and pack 2-D, reduce and
 * join 1-D) and never depends on the shape. Block sizes come from the row alone. */
#include "src/plan/model.h"

/* Work-groups a unit on a CPU: enough for the scheduler to even out, few enough that starting them is
 * nothing. */
#define CPU_GROUPS_PER_UNIT 16

static uint32_t capped(int64_t blocks, int64_t most) {
    if (blocks < 1) return 1;
    return (uint32_t)(blocks < most ? blocks : most);
}

static int64_t cpu_groups(const pave_device_info *device) {
    return (int64_t)CPU_GROUPS_PER_UNIT * (device->compute_units > 0 ? device->compute_units : 1);
}

/* Kernels take tiles first, first + blocks, …, so a capped grid covers every tile all the same. */
static void grid_gemm(const pave_device_info *device, pave__step *step) {
    int64_t tiles_m = pave__div_up(step->m, step->row->bm), tiles_n = pave__div_up(step->n, step->row->bn);
    int64_t most_x = PAVE__GRID_X_MAX, most_y = PAVE__GRID_Y_MAX;
    if (device->kind == PAVE_DEVICE_CPU) {
        most_x = cpu_groups(device);
        most_y = pave__div_up(most_x, capped(tiles_m, most_x));
    }
    step->grid[0] = capped(tiles_m, most_x);
    step->grid[1] = capped(tiles_n, most_y);
}

/* Rows beyond the grid are the kernel's to loop over; chunks of a row are not. */
static int grid_pack(const pave_device_info *device, pave__step *step) {
    int64_t chunks = pave__div_up(step->n, step->row->bn);
    if (chunks > PAVE__GRID_X_MAX) return 0;
    step->grid[0] = capped(chunks, PAVE__GRID_X_MAX);
    int64_t most_y = PAVE__GRID_Y_MAX;
    if (device->kind == PAVE_DEVICE_CPU) most_y = pave__div_up(cpu_groups(device), step->grid[0]);
    step->grid[1] = capped(step->m, most_y);
    return 1;
}

static int grid_rows(pave__step *step) {
    int64_t blocks = pave__div_up(step->m, step->row->bm);
    if (blocks > PAVE__GRID_X_MAX) return 0;
    step->grid[0] = capped(blocks, PAVE__GRID_X_MAX);
    step->grid[1] = 1;
    return 1;
}

int pave__set_grid(const pave_device_info *device, pave__step *step) {
    step->grid[2] = 1;
    step->block[0] = (uint32_t)step->row->threads;
    step->block[1] = step->block[2] = 1;
    step->shared_bytes = step->row->shared_bytes;
    switch (step->row->family) {
    case PAVE__GEMM: grid_gemm(device, step); return 1;
    case PAVE__PACK: return grid_pack(device, step);
    default: return grid_rows(step);
    }
}
