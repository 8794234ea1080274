/* SPDX-License-Identifier: Apache-2.0
 * Every gemm row that OpenCL has for GPUs is what the planner takes for something: on NVIDIA's, with or without float16's
 * matrix units, or where there is no matrix unit and nothing but OpenCL C. A row that it takes for nothing is to be deleted. */
#include "problems.h"
#include "tests/support/cm.h"

#include <stdio.h>
#include <string.h>

#define ROWS_MAX 256

static pave__plan_data plan;
static pave__problem problem;
static bool taken[ROWS_MAX];

static void note(const pave_device_info *device, const plan_case *c) {
    size_t count;
    const pave__row *rows = pave__rows(&count);
    assert_true(count <= ROWS_MAX);
    case_problem(c, &problem);
    assert_int_equal(pave__plan_make(device, PAVE__OPENCL, rows, count, NULL, &problem, NULL, &plan),
                     PAVE_OK);
    for (int i = 0; i < plan.step_count; i++) taken[plan.steps[i].row - rows] = true;
}

/* Squares, few columns for many rows, where packing costs most, and groups, whose operands are taken as they lie. */
static void note_all(const pave_device_info *device) {
    static const struct {
        int64_t m, n, k, hidden, groups;
    } shapes[] = {{512, 512, 512, 0, 0},    {16384, 64, 512, 0, 0},    {1024, 1024, 1024, 0, 0},
                  {4096, 4096, 4096, 0, 0}, {1024, 512, 1024, 512, 0}, {4096, 1024, 512, 512, 0},
                  {65536, 128, 4096, 0, 0}, {8192, 4096, 2048, 0, 8}};
    static const int precisions[] = {PAVE_HIGHEST, PAVE_HIGH, PAVE_MEDIUM};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int i = 0; i < 3 * 3 * 2; i++) {
            plan_case c = {.m = shapes[s].m,
                           .k = shapes[s].k,
                           .widths = {shapes[s].hidden ? shapes[s].hidden : shapes[s].n,
                                      shapes[s].hidden ? shapes[s].n : 0},
                           .groups = shapes[s].groups,
                           .group_rows = shapes[s].groups ? shapes[s].m / 4 : 0,
                           .op = shapes[s].groups ? PAVE_OP_GROUPED : 0,
                           .x_type = PAVE_T_F32 + i % 3,
                           .w_type = PAVE_T_F32 + i % 3,
                           .packed = !shapes[s].groups && i / 9,
                           .precision = precisions[i / 3 % 3]};
            note(device, &c);
        }
}

static void test_rows_taken(void **state) {
    (void)state;
    pave_device_info d = *pave__device_named("h100-sxm");
    d.shared_bytes_per_block = 48 << 10;
    note_all(&d);
    d.flops[PAVE_PATH_F16] = 0; /* as where a device's proof of it fails */
    note_all(&d);
    d.compute_capability = 0;
    d.flops[PAVE_PATH_TF32] = d.flops[PAVE_PATH_F16] = d.flops[PAVE_PATH_BF16] = 0;
    note_all(&d);
    size_t count, missing = 0;
    const pave__row *rows = pave__rows(&count);
    for (size_t i = 0; i < count; i++) {
        const pave__row *r = &rows[i];
        if (r->backend != PAVE__OPENCL || r->kind != PAVE_DEVICE_GPU || r->family != PAVE__GEMM || taken[i])
            continue;
        fprintf(stderr, "%s is what no plan takes\n", r->name);
        missing++;
    }
    assert_int_equal(missing, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows_taken)};
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
