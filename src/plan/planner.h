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

/* How a caller's operand lies: strides in elements over the problem's space (an extent of 1 has stride 0). */
typedef struct pave__operand {
    int64_t row, col;
    int64_t batch[PAVE_BATCH_DIMS];
    uint32_t
        align; /* largest power of two (<= 256) dividing its base offset and, in bytes, every stride other than a
                       unit one */
    uint8_t type;   /* PAVE_T_* */
    uint8_t packed; /* it is a pave_weights: any form is made once and costs nothing here */
    uint8_t reserved[2];
} pave__operand;

/* One y = links(x · Wᵀ): its own width; its K is the previous layer's width. α, β·C and a bias come first among the
 * links. */
typedef struct pave__player {
    int64_t n;
    pave__operand w; /* rows n, columns k */
    uint8_t link_count;
    uint8_t reserved[7];
    pave__plink links[PAVE_ABI_LINKS];
} pave__player;

/* Zero the whole struct first: it is hashed and compared as bytes up to the last layer.
 *
 * The space is batch[0] × batch[1] × batch[2] × m rows; a chain's layers have columns of their own. REDUCE: x is [m, k] and
 * its result [m], or [m, k] where wide. MAP: [m, k] both.
 * With a window, a chain's closing reduction works on another space: batch {batch[1], batch[2], m}, rows n / window,
 * columns window; batch[0] is 1, and y's operand is over that space. */
typedef struct pave__problem {
    int64_t batch[PAVE_BATCH_DIMS];
    int64_t m, k;
    int64_t window;     /* 0: whole rows */
    int64_t groups;     /* GROUPED: how many; m is the rows of all, k and the layer's n the largest */
    int64_t group_rows; /* GROUPED: the most rows of one */
    pave__operand x, y, unreduced; /* unreduced.type NONE: not wanted */
    uint8_t op;                    /* pave_op */
    uint8_t precision;             /* pave_precision */
    uint8_t reduction;             /* pave_reduction, last */
    uint8_t layer_count;           /* 0 for REDUCE and MAP */
    uint8_t after_count;           /* links on what the reduction gives; MAP: the links */
    uint8_t reserved[3];
    pave__plink after[PAVE_ABI_LINKS];
    pave__player layers[PAVE_MAX_LAYERS];
} pave__problem;

/* Values of at most 1 are stored as float16 times 2 to this: down to 2^-28 they keep all of its bits. */
#define PAVE__BOUNDED_EXPONENT 14

/* Where a step's operand lies. */
typedef enum pave__place {
    PAVE__AT_NONE,
    PAVE__AT_X,         /* the caller's x */
    PAVE__AT_W,         /* the caller's W of the step's layer */
    PAVE__AT_PACKED,    /* that layer's pave_weights in the form {type, ld} */
    PAVE__AT_Y,         /* the caller's y */
    PAVE__AT_UNREDUCED, /* the caller's unreduced */
    PAVE__AT_WORKSPACE  /* scratch at `offset` */
} pave__place;

typedef struct pave__ref {
    int64_t offset;   /* bytes, of AT_WORKSPACE; a multiple of 256 */
    int64_t row, col; /* strides in elements, over the step's space; states have none */
    int64_t batch[PAVE_BATCH_DIMS];
    uint8_t place, type;
    int8_t exponent; /* what is stored is the value times this power of two */
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

/* Which links a step applies. */
typedef enum pave__chain_of { PAVE__NO_LINKS, PAVE__LAYER_LINKS, PAVE__AFTER_LINKS } pave__chain_of;

/* Bits of a link mask beside its links': that a link's tensor is float8, and that something in memory is. */
#define PAVE__MASK_F8_LINKS (UINT32_C(1) << 30)
#define PAVE__MASK_F8 (UINT32_C(1) << 31)

/* One launch over batch × m rows. gemm: in0 = A, in1 = B, out = Y or none, partial = states or none; in1's rows are n,
 * its columns k. Where k_slice > 0, batch[0] is slices of k, each with a matrix of partial sums in out, or joined: then partial has
 * the slices' tiles. reduce: in0, out, or partial where it is split. join: in0 = states, out. normalize, map: in0, out; m rows of k
 * columns, a map's out n wide; a map with slots adds so many float32, `slice` elements apart, for each value; normalize with slots
 * has so many blocks a row. reduce and join: m rows of n columns. `layer` says whose W. */
typedef struct pave__step {
    const pave__row *row;
    int32_t layer;
    int32_t links; /* pave__chain_of */
    int64_t batch[PAVE_BATCH_DIMS];
    int64_t m, n, k;
    int64_t k_slice;      /* 0: all of k at once */
    int64_t slots, slice; /* states a row, 0: none; columns a state */
    pave__ref in0, in1, out, partial;
    uint32_t grid[3], block[3], shared_bytes;
    int32_t reduction;
    int32_t group_m;
    int64_t groups;
    int64_t table_offset; /* of the groups' table in the workspace, groups * sizeof(pave_abi_group) bytes */
    uint32_t link_mask;   /* bit per pave_link_op that the step's chain uses, and PAVE__MASK_… */
    pave__prediction predicted;
} pave__step;

/* Whether a gemm joins the slices of k itself. */
static inline bool pave__is_joined(const pave__step *s) {
    return s->k_slice > 0 && s->partial.place != PAVE__AT_NONE;
}
/* Whether a step's blocks count what they have done or leave each other states, in a queue's counters, which are 0 before and
 * after; and how many of those there are: one for each tile whose slices are joined, or what pave__slice_counters says. */
static inline bool pave__counts(const pave__step *s) {
    return pave__is_joined(s) || (s->row && s->row->slices);
}
#define PAVE__COUNTERS 65536

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
    PAVE__WHY_PACK,    /* needs an operand packed, and no map kernel can run here */
    PAVE__WHY_GRID,    /* more blocks than a launch can have: have < need */
    PAVE__WHY_GROUPED, /* needs operands packed, and a group's are taken as they lie */
    PAVE__WHY_LENGTH,  /* an index past 31 bits: have < need */
    PAVE__WHY_SPLIT,   /* k cannot be cut: no batch dimension is left for its slices */
    PAVE__WHY_BUILD,   /* the device's driver does not build it */
    PAVE__WHY_PROOF,   /* as the driver builds it, a product was wrong or did not come about */
    PAVE__WHY_WHOLE,   /* takes slices of rows, and these are too many, too short or not reduced by states */
    PAVE__WHY_FLOAT8   /* does not read float8 where the problem has it: in x, or in a link's tensor */
} pave__why;

typedef struct pave__refusal {
    const pave__row *row;
    int32_t layer;
    pave__why why;
    double have, need;
} pave__refusal;

/* Rows that turned out not to work on a device that should have them; as many as may (pave__row_doubtful). */
#define PAVE__BARS_MAX 32
typedef struct pave__bars {
    size_t count;
    pave__refusal list[PAVE__BARS_MAX];
} pave__bars;

#define PAVE__STEPS_MAX (4 * PAVE_MAX_LAYERS + 3)
#define PAVE__REFUSALS_MAX 96

typedef struct pave__plan_data {
    uint64_t workspace_bytes;
    double predicted_ns;
    int32_t step_count, refusal_count;
    pave__step steps[PAVE__STEPS_MAX];
    pave__refusal refusals[PAVE__REFUSALS_MAX]; /* the first layers' where there are more */
} pave__plan_data;

/* Plans `problem` on `device` with those of `rows` whose backend is `backend`, and without those that `bars` (may be NULL)
 * refuses. `forced` (may be NULL): comma separated row names; a family with a forced row uses that row or fails. Returns PAVE_OK, or
 * PAVE_E_UNSUPPORTED with the reasons in plan->refusals, or PAVE_E_INVALID where `forced` names no row. A gemm row's name may
 * be followed by a slash and the number of slices that its k is cut into.
 * Where nothing is to be written (m = 0, or a last width 0 with no reduction) the plan has no steps; K = 0 is
 * a plan like any other. `plan` need not be cleared first, and what lies past its two counts is left as it
 * was. */
pave_status pave__plan_make(const pave_device_info *device, pave__backend_id backend, const pave__row *rows,
                            size_t row_count, const pave__bars *bars, const pave__problem *problem,
                            const char *forced, pave__plan_data *plan);

/* Bytes of a PAVE_T_*; 0 for none. */
int pave__type_bytes(int type);
/* Whether a matrix of it is followed by a float32 for each row, and how many of its elements one takes. */
bool pave__has_scales(int type);
int64_t pave__scale_elems(int type);
/* Bytes of a packed m × ld matrix, one for each index of the dimensions that `ref` moves in, before its rows' scales. */
int64_t pave__packed_bytes(const pave__ref *ref, const int64_t batch[PAVE_BATCH_DIMS], int64_t m);

/* Whether a reduction gives as many values as it takes. */
bool pave__is_wide(int reduction);

/* One sentence without a full stop, that begins with the row's name; returns snprintf's length. */
int pave__refusal_text(const pave__refusal *refusal, char *text, size_t capacity);

/* Whether `row` can run on `device` at all, whatever the problem; where it cannot, says why. The planner's
 * own first question about every row. */
bool pave__row_refused(const pave_device_info *device, pave__backend_id backend, const pave__row *row,
                       pave__refusal *refusal);

/* The launch that packs an m × k matrix into rows `width` wide, outside any plan; false where no row does. `from` says how
 * the matrix lies and `to` what it becomes: both go to the step. */
bool pave__plan_pack(const pave_device_info *device, pave__backend_id backend, const pave__row *rows,
                     size_t row_count, int64_t m, int64_t k, int64_t width, const pave__ref *from,
                     const pave__ref *to, pave__step *step);

/* Writes a plan as snprintf does (text or JSON); returns the whole length or < 0 where memory is short. */
long pave__plan_text(const pave_device_info *device, const pave__problem *problem,
                     const pave__plan_data *plan, pave_plan_format format, char *text, size_t capacity);

/* The named devices (src/plan/devices.c). */
const pave_device_info *pave__device_named(const char *name);
/* All names, comma separated. */
const char *pave__device_names(void);

#endif
