/* SPDX-License-Identifier: Apache-2.0
 * Problems for the planner's tests, described in one line each and filled in as the front end would. */
#ifndef PAVE_TESTS_PLAN_PROBLEMS_H
#define PAVE_TESTS_PLAN_PROBLEMS_H

#include "src/plan/planner.h"

#define SHAPE_LAYERS 4

typedef struct plan_case {
    const char *name, *device;
    int op;                         /* 0: by the widths: a reduction of x, a linear, an mlp */
    int64_t batch[PAVE_BATCH_DIMS]; /* 0: 1 */
    int64_t m, k;
    int64_t widths[SHAPE_LAYERS]; /* up to the first 0; none: a reduction of x, or a map */
    int activation;               /* pave_link_op behind every layer but the last; 0: none */
    int reduction;
    int64_t window;
    int after;    /* pave_link_op on what the reduction gives, or a map's; 0: none */
    int residual; /* a map's or an after-link's tensor is as large as y */
    int precision;
    int x_type, w_type, y_type;                 /* 0: f32 */
    int unreduced;                              /* type; 0: not wanted */
    int packed;                                 /* W is a pave_weights */
    int shared_w;                               /* one W for the whole batch */
    int x_across, w_across, y_across, u_across; /* transposed: rows are 1 apart */
    int64_t pad; /* elements by which x's and W's row strides exceed the width */
    int64_t groups, group_rows;
    const char *forced;
} plan_case;

/* Zeroes and fills `problem`. */
void case_problem(const plan_case *c, pave__problem *problem);
pave__backend_id case_backend(const plan_case *c);
/* Plans the case with this build's rows on its named device. `plan` is poisoned first. */
pave_status case_plan(const plan_case *c, pave__problem *problem, pave__plan_data *plan);

#endif
