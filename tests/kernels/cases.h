/* SPDX-License-Identifier: Apache-2.0
 * One linear as a case: described once, run with a kernel row forced, judged by bound or to the bit. */
#ifndef PAVE_TESTS_KERNELS_CASES_H
#define PAVE_TESTS_KERNELS_CASES_H

#include "tests/support/cm.h"
#include "tests/support/support.h"

typedef struct linear_case {
    const char *what;
    int64_t m, n, k;
    pave_dtype x, w, y; /* 0: PAVE_F32 */
    test_layout lx, lw, ly;
    test_fill fill;
    bool no_bias, exact; /* exact: bit-equal to the rounded reference */
    bool alias;          /* the first full link reads y itself */
    pave_precision precision;
    pave_reduction reduction;
    const pave_link *links; /* their tensors' kind is told by `kinds` */
    const char *kinds; /* a letter a link: s scalar, r [N], R [1,N], c [M,1], f [M,N]; NULL: no tensors */
    size_t link_count;
} linear_case;

/* Runs and judges; false where the planner refuses, y untouched. */
bool run_linear(const test_device *on, const pave_kernel_info *row, const linear_case *c);

/* The devices of the running test program, opened by the group's setup. */
extern test_device devices[TEST_DEVICES_MAX];
extern size_t device_count;
int open_devices(void **state);
int close_devices(void **state);

/* Calls `check` for each row of `family` that a device can run, with the row forced; fails where a device
 * that has been found can run none. PAVE_TEST_ROWS: of those that it names alone, whole names, comma separated. */
void each_row(const char *family, void (*check)(const test_device *on, const pave_kernel_info *row));
void force_row(const char *name); /* NULL: no more */

#endif
