/* SPDX-License-Identifier: Apache-2.0
 * What the plan's text and JSON share: the words for its numbers. */
#ifndef PAVE_SRC_PLAN_WRITER_H
#define PAVE_SRC_PLAN_WRITER_H

#include "src/plan/planner.h"
#include "src/text.h"

const char *pave__type_name(int type);
const char *pave__path_name(int path);
const char *pave__bound_name(int bound);
const char *pave__reduction_name(int reduction);
const char *pave__precision_name(int precision);
const char *pave__op_name(int op);
const char *pave__place_name(int place);
const char *pave__family_name(int family);
const char *pave__why_name(int why);
const char *pave__link_name(int op);

/* The share of its path's peak on the device that a step's arithmetic is predicted to reach. */
double pave__peak_share(const pave_device_info *device, const pave__step *step);

/* JSON into the writer; 0 where memory is short. */
int pave__write_json(pave__writer *w, const pave_device_info *device, const pave__problem *problem,
                     const pave__plan_data *plan);
/* The paragraph that sets the plan beside the profiled layout of docs/planner.md. */
void pave__write_comparison(pave__writer *w, const pave_device_info *device, const pave__problem *problem,
                            const pave__plan_data *plan);

#endif
