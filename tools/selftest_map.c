/* SPDX-License-Identifier: Apache-2.0
 * Checks a map row: conversion to float32, which is exact, and a sigmoid within its bound, from x as it lies and from its
 * transpose. A row that makes a product's operand or adds its slices is launched by products alone, and checked through one. */
#include "tools/selftest.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool launch(self_check *check, const self_matrix *x, bool across, const self_matrix *y,
                   const pave_link *link, size_t links) {
    pave_map_params params = {
        .size = sizeof params, .x = x->view, .y = y->view, .links = link, .link_count = links};
    if (across) {
        params.x.shape[0] = x->cols, params.x.shape[1] = x->rows;
        params.x.strides[0] = x->view.strides[1], params.x.strides[1] = x->view.strides[0];
    }
    pave_plan *plan;
    if (pave_plan_map(check->session->context, &params, &plan)) return self_broke(check, "plan");
    bool uses = self_plan_uses(check, plan);
    params.plan = plan;
    pave_status status = uses ? pave_map(check->session->queue, &params, NULL) : PAVE_OK;
    if (uses && !status) status = pave_queue_finish(check->session->queue);
    pave_plan_destroy(&plan);
    return status ? self_broke(check, "launch") : uses;
}

static bool compare(self_check *check, const self_matrix *y, const double *values, pave_dtype type,
                    bool sigmoid) {
    char what[96];
    snprintf(what, sizeof what, "%" PRId64 "x%" PRId64 " %s of %s", y->rows, y->cols,
             sigmoid ? "sigmoid" : "copy", pave_dtype_name(type));
    bool ok = true;
    for (int64_t i = 0; ok && i < y->rows * y->cols; i++) {
        double want = sigmoid ? 1 / (1 + exp(-values[i])) : values[i];
        double bound = sigmoid ? 14 * 0x1p-24 * want : 0;
        ok = self_within(check, what, i / y->cols, i % y->cols, self_matrix_get(y, i / y->cols, i % y->cols),
                         want, bound);
    }
    return ok;
}

static void run_case(self_check *check, const int64_t *shape, pave_dtype type, bool across, bool sigmoid) {
    if (check->failure[0]) return;
    self_matrix x = {0}, y = {0};
    pave_link link = {.op = PAVE_LINK_SIGMOID};
    double *values = self_input(check, type, shape[0], shape[1], shape[2], across, &x);
    bool ok = values && self_matrix_make(check, PAVE_F32, shape[0], shape[1], shape[2], &y) &&
              self_matrix_upload(check, &y) && launch(check, &x, across, &y, &link, sigmoid) &&
              self_matrix_download(check, &y) && compare(check, &y, values, type, sigmoid);
    check->cases += ok;
    self_matrix_free(&x);
    self_matrix_free(&y);
    free(values);
}

/* Products on each gemm row that takes the operands this one makes, or leaves slices of k for it to add. */
static void check_in_products(self_check *check) {
    pave_kernel_info gemm = {.size = sizeof gemm};
    int32_t usable;
    for (size_t i = 0; !pave_kernel_describe(i, check->session->device, &gemm, &usable); i++) {
        if (!usable || strcmp(gemm.family, "gemm") != 0 || strcmp(gemm.backend, check->row.backend) != 0)
            continue;
        char forced[160];
        snprintf(forced, sizeof forced, "%s,%s/2", check->row.name, gemm.name);
        setenv("PAVE_KERNEL", forced, 1);
        self_check_gemm(check);
    }
}

void self_check_map(self_check *check) {
    static const int64_t shapes[][3] = {{5, 7, 0}, {33, 1024, 0}, {37, 65, 3}, {1, 1, 0}, {1000, 130, 1}};
    for (size_t i = 0; i < (check->quick ? 3 : sizeof shapes / sizeof shapes[0]); i++)
        for (int type = PAVE_F32; type <= PAVE_BF16; type++)
            for (int kind = 0; kind < 4; kind++)
                run_case(check, shapes[i], (pave_dtype)type, kind & 1, kind & 2);
    if (!check->cases && !check->failure[0]) check_in_products(check);
}
