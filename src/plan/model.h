/* SPDX-License-Identifier: Apache-2.0
 * Inside the planner: how long one launch takes on a described device, and the grid it gets. Pure functions
 * of plain numbers; nothing here knows a problem, a chain or a promise. The formulas: docs/planner.md. */
#ifndef PAVE_SRC_PLAN_MODEL_H
#define PAVE_SRC_PLAN_MODEL_H

#include "src/plan/planner.h"

/* One gemm launch: what reading an element of A and of B moves, and what all its outputs take together. */
typedef struct pave__gemm_load {
    int64_t m, n, k;
    int a_bytes, b_bytes;
    double out_bytes;
    int64_t batch[PAVE_BATCH_DIMS]; /* 0: 1 */
    bool a_same[PAVE_BATCH_DIMS];   /* A is the same for all indices of this dimension */
    bool b_same[PAVE_BATCH_DIMS];
    int64_t joined;             /* slices of k, batch[0], that the launch itself adds; 0: none */
    int64_t groups, group_rows; /* a grouped launch: m is the rows of all, group_rows the most of one */
} pave__gemm_load;

/* ceil(a / b) for a >= 0, b > 0, without overflow. */
int64_t pave__div_up(int64_t a, int64_t b);
/* a * b for a, b >= 0, INT64_MAX where that is more than 64 bits hold. */
int64_t pave__times(int64_t a, int64_t b);
/* Matrices of a step's space, or INT64_MAX. */
int64_t pave__batches(const int64_t batch[PAVE_BATCH_DIMS]);
/* Bytes that one element costs whoever reads its neighbours `stride` elements apart. */
int pave__reach_bytes(const pave_device_info *device, int64_t stride, int elem_bytes);
/* What the model's own rates are, for both of its files. */
double pave__clock(const pave_device_info *device);
int pave__units(const pave_device_info *device);
double pave__peak(const pave_device_info *device, int path);
double pave__ns_over(double amount, double rate);
void pave__count_waves(const pave_device_info *device, const pave__row *row, int64_t tiles,
                       pave__prediction *p);
void pave__conclude(const pave_device_info *device, double compute, double latency, pave__prediction *p);

/* Share of the L2 that operands can count on to find again; the rest is passing traffic. With 0.75 the model
 * gives 66.4 % hits for the profiled 64×128 layout of docs/planner.md, where 67.1 % and 66.8 % were measured.
 */
#define PAVE__L2_SHARE 0.75

/* Blocks of `row` that a compute unit holds at once: by threads, shared memory, registers and the device's
 * own limit; at least 1. */
int pave__blocks_per_unit(const pave_device_info *device, const pave__row *row);

/* Tiles of all matrices or groups, INT64_MAX where 64 bits do not hold them. Groups' are an estimate: how the rows lie is
 * known only to the launch. */
int64_t pave__gemm_tiles(const pave__row *row, const pave__gemm_load *load);
/* The raster whose memory traffic is predicted smallest; the smaller one on a tie. */
int32_t pave__group_m(const pave_device_info *device, const pave__row *row, const pave__gemm_load *load);
pave__prediction pave__model_gemm(const pave_device_info *device, const pave__row *row,
                                  const pave__gemm_load *load, int32_t group_m);

/* The tile of `row` on a step of its family, which for a map depends on the space. */
void pave__row_tile(const pave__row *row, const pave__step *step, int64_t *bm, int64_t *bn);
/* Tiles that `row` cuts a step of its family (map, reduce, join, normalize) into, INT64_MAX as above. */
int64_t pave__rows_tiles(const pave_device_info *device, const pave__row *row, const pave__step *step);
/* The same step's time on that row; its operands' strides count, whatever row it holds itself. */
pave__prediction pave__model_rows(const pave_device_info *device, const pave__row *row,
                                  const pave__step *step);
/* Slices of a step whose row takes them, INT32_MAX rows at most: how many, of how many columns. And the counters that it then
 * needs. */
void pave__slice_rows(const pave_device_info *device, pave__step *step);
int64_t pave__slice_counters(const pave_device_info *device, const pave__step *step);
/* States a row, and by way of `slice` columns a state, where splitting rows fills a device that they alone do not; 0
 * where they are not to be split. */
int64_t pave__split_slots(const pave_device_info *device, const pave__row *row, const pave__step *step,
                          int64_t *slice);

/* The launch's grid, block and shared bytes from its row and its space. 0 where the launch would need more
 * blocks than a grid may have; `need` is how many. */
int pave__set_grid(const pave_device_info *device, pave__step *step, double *need);
#define PAVE__GRID_X_MAX 2147483647
#define PAVE__GRID_YZ_MAX 65535

#endif
