/* SPDX-License-Identifier: Apache-2.0
 * The planner's plain data and its one function: (device, rows, problem) -> plan. Pure: no driver, no
 * allocation, no globals, no clock; the same input gives the same plan. It knows nothing of pointers or of
 * backends beyond the rows' backend id. */
#ifndef PAVE_SRC_PLAN_PLANNER_H
#define PAVE_SRC_PLAN_PLANNER_H

#include "kernels/abi.h"
#include "kernels/rows.h"
#include <pave/plan.h>
#include <stdbool.h>

/* A link by its structure: all that planning and kernels' specialisation need. */
typedef struct pave__plink {
    uint8_t op, operand, type, reserved;
} pave__plink;

/* One y = links(x · Wᵀ): its own width; its K is the previous layer's width. Bias is links[0]. */
typedef struct pave__player {
    int64_t n, ldw;
    uint32_t w_align; /* largest power of two (<= 256) dividing W's base offset and row stride in bytes */
    uint8_t w_type;   /* PAVE_T_* */
    uint8_t w_packed; /* W is a pave_weights: any form is made once and costs nothing here */
    uint8_t link_count;
    uint8_t reserved;
    pave__plink links[PAVE_ABI_LINKS];
} pave__player;

/* Zero the whole struct first: it is hashed and compared as bytes up to the last layer. */
typedef struct pave__problem {
    int64_t m, k, ldx, ldy; /* REDUCE: x is [m, k]; ldy is y's element stride where y is a vector */
    uint32_t x_align, y_align;
    uint8_t op;             /* pave_op */
    uint8_t x_type, y_type; /* PAVE_T_* */
    uint8_t precision;      /* pave_precision */
    uint8_t reduction;      /* pave_reduction, last */
    uint8_t layer_count;    /* 0 for REDUCE */
    uint8_t reserved[2];
    pave__player layers[PAVE_MAX_LAYERS];
} pave__problem;

/* Where a step's operand lies. */
typedef enum pave__place {
    PAVE__AT_NONE,
    PAVE__AT_X,        /* the caller's x */
    PAVE__AT_W,        /* the caller's W of the step's layer */
    PAVE__AT_PACKED,   /* that layer's pave_weights in the form {type, ld} */
    PAVE__AT_Y,        /* the caller's y */
    PAVE__AT_WORKSPACE /* scratch at `offset` */
} pave__place;

typedef struct pave__ref {
    int64_t offset; /* bytes, of AT_WORKSPACE; a multiple of 256 */
    int64_t ld;     /* row stride in elements (states for partials); y of a reduction: element stride */
    uint8_t place, type;
} pave__ref;

typedef enum pave__bound {
    PAVE__BOUND_COMPUTE,
    PAVE__BOUND_L2,
    PAVE__BOUND_MEMORY,
    PAVE__BOUND_LAUNCH,
    PAVE__BOUND_LATENCY /* dependent loads, too few of them in flight */
} pave__bound;

typedef struct pave__prediction {
    double ns;
    double waves;       /* tiles / (units * blocks a unit) */
    double tail;        /* share of the last wave that has work, (0, 1] */
    double utilisation; /* predicted share of the units' sustained peak, 0 … 1 */
    double bytes_l2, bytes_memory, flops;
    int64_t tiles;
    int32_t blocks_per_unit;
    pave__bound bound;
} pave__prediction;

/* One launch. gemm: in0 = A, in1 = B, out = Y or none, partial = states or none. reduce: in0, out. join: in0
 * = states, out. pack: in0, out. m, n, k are the launch's own: reduce and join m = rows, n = columns; pack m
 * × k into width n. `layer` says whose W and links, use_links whether that layer's chain is applied in this
 * launch. */
typedef struct pave__step {
    const pave__row *row;
    int32_t layer;
    int32_t use_links;
    int64_t m, n, k, slots;
    pave__ref in0, in1, out, partial;
    uint32_t grid[3], block[3], shared_bytes;
    int32_t reduction;
    int32_t group_m;
    uint32_t link_mask; /* bit per pave_link_op that the step's chain uses */
    pave__prediction predicted;
} pave__step;

/* Why a row is not in the plan. `have` and `need` are the numbers of the reason's sentence. */
typedef enum pave__why {
    PAVE__WHY_NONE,
    PAVE__WHY_PRECISION,  /* keeps a weaker promise */
    PAVE__WHY_TYPE,       /* its operand type would round more than the promise allows */
    PAVE__WHY_CAPABILITY, /* device's compute capability have < need */
    PAVE__WHY_KIND,       /* shaped for the other kind of device */
    PAVE__WHY_SHARED,     /* shared memory a block: have < need */
    PAVE__WHY_THREADS,    /* threads a block: have < need */
    PAVE__WHY_FUSE,       /* cannot fuse the reduction */
    PAVE__WHY_FORCED,     /* PAVE_KERNEL names another */
    PAVE__WHY_SLOWER,     /* predicted have ns against need ns of the winner */
    PAVE__WHY_ALLOC,      /* scratch larger than the device's largest allocation: have < need bytes */
    PAVE__WHY_FILLED, /* the default tile reaches `have` of the sustained peak, over `need`: the grid stays */
    PAVE__WHY_BACKEND, /* belongs to another backend */
    PAVE__WHY_PACK,    /* needs an operand packed, and no pack kernel can run here */
    PAVE__WHY_GRID     /* more blocks than a launch can have: have < need */
} pave__why;

typedef struct pave__refusal {
    const pave__row *row;
    int32_t layer;
    pave__why why;
    double have, need;
} pave__refusal;

#define PAVE__STEPS_MAX (4 * PAVE_MAX_LAYERS + 2)
#define PAVE__REFUSALS_MAX 96

typedef struct pave__plan_data {
    uint64_t workspace_bytes;
    double predicted_ns;
    int32_t step_count, refusal_count;
    pave__step steps[PAVE__STEPS_MAX];
    pave__refusal refusals[PAVE__REFUSALS_MAX]; /* the first layers' where there are more */
} pave__plan_data;

/* Plans `problem` on `device` with those of `rows` whose backend is `backend`. `forced` (may be NULL): comma
 * separated row names; a family with a forced row uses that row or fails. Returns PAVE_OK, or
 * PAVE_E_UNSUPPORTED with the reasons in plan->refusals, or PAVE_E_INVALID where `forced` names no row.
 * Where nothing is to be written (m = 0, or a last width 0 with no reduction) the plan has no steps; K = 0 is
 * a plan like any other. `plan` need not be cleared first, and what lies past its two counts is left as it
 * was. */
pave_status pave__plan_make(const pave_device_info *device, pave__backend_id backend, const pave__row *rows,
                            size_t row_count, const pave__problem *problem, const char *forced,
                            pave__plan_data *plan);

/* One sentence without a full stop, that begins with the row's name; returns snprintf's length. */
int pave__refusal_text(const pave__refusal *refusal, char *text, size_t capacity);

/* Whether `row` can run on `device` at all, whatever the problem; where it cannot, says why. The planner's
 * own first question about every row. */
bool pave__row_refused(const pave_device_info *device, pave__backend_id backend, const pave__row *row,
                       pave__refusal *refusal);

/* The launch that packs an m × k matrix into width `width`, outside any plan; false where no row does. The
 * caller fills in the operands. */
bool pave__plan_pack(const pave_device_info *device, pave__backend_id backend, const pave__row *rows,
                     size_t row_count, int64_t m, int64_t k, int64_t width, pave__step *step);

/* Writes a plan as snprintf does (text or JSON); returns the whole length or < 0 where memory is short. */
long pave__plan_text(const pave_device_info *device, const pave__problem *problem,
                     const pave__plan_data *plan, pave_plan_format format, char *text, size_t capacity);

/* The named devices (src/plan/devices.c). */
const pave_device_info *pave__device_named(const char *name);
/* All names, comma separated. */
const char *pave__device_names(void);

#endif
