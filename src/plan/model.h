/* SPDX-License-Identifier: Apache-2.0
 * Inside the planner: how long one launch takes on a described device, and the grid it gets. Pure functions
 * of plain numbers; nothing here knows a problem, a chain or a promise. The formulas: docs/planner.md. */
#ifndef PAVE_SRC_PLAN_MODEL_H
#define PAVE_SRC_PLAN_MODEL_H

#include "src/plan/planner.h"

/* One gemm launch: bytes an element of A and B in memory, and what all its outputs take together. */
typedef struct pave__gemm_load {
    int64_t m, n, k;
    int a_bytes, b_bytes;
    double out_bytes;
} pave__gemm_load;

/* One launch that streams rows: `rows` of `cols` elements in, `out_bytes` out in all. */
typedef struct pave__row_load {
    int64_t rows, cols;
    int elem_bytes;
    double out_bytes;
    double flops_per_elem;
} pave__row_load;

/* Bytes of a PAVE_T_*; 0 for none. */
int pave__type_bytes(int type);
/* ceil(a / b) for a >= 0, b > 0, without overflow. */
int64_t pave__div_up(int64_t a, int64_t b);

/* Blocks of `row` that a compute unit holds at once: by threads, shared memory, registers and the device's
 * own limit; at least 1. */
int pave__blocks_per_unit(const pave_device_info *device, const pave__row *row);

/* The raster whose memory traffic is predicted smallest; the smaller one on a tie. */
int32_t pave__group_m(const pave_device_info *device, const pave__row *row, const pave__gemm_load *load);

pave__prediction pave__model_gemm(const pave_device_info *device, const pave__row *row,
                                  const pave__gemm_load *load, int32_t group_m);
/* reduce and join: `bm` rows a block, threads / bm lanes a row. */
pave__prediction pave__model_rows(const pave_device_info *device, const pave__row *row,
                                  const pave__row_load *load);
/* pack: `bn` elements of a row a block. */
pave__prediction pave__model_pack(const pave_device_info *device, const pave__row *row,
                                  const pave__row_load *load);

/* The launch's grid, block and shared bytes from its row and its m, n (and k). 0 where the launch would need
 * more blocks than a grid may have. */
int pave__set_grid(const pave_device_info *device, pave__step *step);
#define PAVE__GRID_X_MAX 2147483647
#define PAVE__GRID_Y_MAX 65535

#endif
