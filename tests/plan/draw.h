/* SPDX-License-Identifier: Apache-2.0
 * Problems by chance, for what must hold of every plan. */
#ifndef PAVE_TESTS_PLAN_DRAW_H
#define PAVE_TESTS_PLAN_DRAW_H

#include "problems.h"

/* A number below `below`. */
uint64_t draw(uint64_t below);
plan_case draw_case(void);

#endif
