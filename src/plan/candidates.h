/* SPDX-License-Identifier: Apache-2.0
 * Inside the planner: which rows can do a piece of work, in what form they want their operands, what each
 * would take, and which one is chosen. Knows one layer or one reduction at a time; the chain is planner.c's.
 */
#ifndef PAVE_SRC_PLAN_CANDIDATES_H
#define PAVE_SRC_PLAN_CANDIDATES_H

#include "src/plan/model.h"

/* What all decisions of one plan share. */
typedef struct pave__planning {
    const pave_device_info *device;
    pave__backend_id backend;
    const pave__row *rows;
    size_t row_count;
    const char *forced; /* NULL: nothing is forced */
    int precision;
    pave__plan_data *plan; /* receives refusals */
} pave__planning;

/* How an operand reaches a kernel. */
typedef enum pave__route {
    PAVE__DIRECT, /* as it lies in memory */
    PAVE__PACKED, /* as the weights hold it, made once */
    PAVE__REPACK  /* through a pack step of this plan */
} pave__route;

typedef struct pave__form {
    uint8_t route, type;
    int64_t ld;
} pave__form;

/* One layer as the choice of its row sees it. */
typedef struct pave__work {
    int64_t m, n, k, ldx;
    uint32_t x_align;
    uint8_t x_type; /* PAVE_T_NONE: a hidden activation, which takes the type its reader wants */
    uint8_t y_type;
    uint8_t reduction; /* 0, or fused behind this layer where the row can */
    const pave__player *layer;
    int32_t index;
} pave__work;

typedef struct pave__choice {
    const pave__row *row; /* NULL: none can */
    pave__form a, b;
    int32_t group_m;
    pave__prediction gemm, pack_a, pack_b;
    double ns;
} pave__choice;

/* Strength of a pave_precision: MEDIUM < HIGH < HIGHEST, whose enum values are in another order. */
int pave__strength(int precision);

/* Type of a hidden activation that `row` reads as A under the promise; PAVE_T_NONE where there is none. */
int pave__hidden_type(const pave__row *row, int precision);
/* Row stride of a matrix of the planner's own: rows start on multiples of `align` bytes, and of 16. */
int64_t pave__own_ld(int64_t width, int type, int align);

/* The gemm row for one layer; with `record` each other row's refusal goes to the plan. */
pave__choice pave__choose_gemm(const pave__planning *p, const pave__work *work, int record);
/* The row of `family` (reduce, join) for rows of cols elements; NULL where none can. */
const pave__row *pave__choose_rows(const pave__planning *p, pave__family family, const pave__row_load *load,
                                   int32_t layer, pave__prediction *predicted);
/* The pack row; NULL where none can. */
const pave__row *pave__choose_pack(const pave__planning *p);
/* PAVE_OK, or PAVE_E_INVALID where a word of `forced` names no row. */
pave_status pave__check_forced(const pave__row *rows, size_t row_count, const char *forced);

void pave__refuse(const pave__planning *p, const pave__row *row, int32_t layer, pave__why why, double have,
                  double need);

#endif
