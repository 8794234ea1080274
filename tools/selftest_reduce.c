/* SPDX-License-Identifier: Apache-2.0
 * Checks a reduce row: every type and reduction, at lengths around the row's own, with and without a gap
 * between rows. */
#include "tools/selftest.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static bool compare(self_check *check, pave_reduction reduction, const self_matrix *x, const double *values,
                    const self_matrix *y) {
    double *zero = calloc((size_t)x->cols, sizeof *zero);
    if (!zero) return self_fail(check, "no memory on the host");
    bool ok = true;
    for (int64_t i = 0; ok && i < x->rows; i++) {
        double bound, want = self_reduce(reduction, values + i * x->cols, zero, x->cols, &bound);
        double got = self_matrix_get(y, i, 0);
        if (!(fabs(got - want) <= bound))
            ok = self_fail(check,
                           "%" PRId64 "x%" PRId64 " %s of %s: y[%" PRId64
                           "] is %.9g, exactly %.9g, error %.3g "
                           "over its bound %.3g",
                           x->rows, x->cols, tool_word_of(tool_reductions, reduction),
                           pave_dtype_name(x->view.type), i, got, want, fabs(got - want), bound);
    }
    free(zero);
    return ok;
}

static bool launch(self_check *check, pave_reduction reduction, const self_matrix *x, const self_matrix *y) {
    pave_reduce_params params = {.size = sizeof params, .x = x->view, .reduction = reduction};
    params.y = pave_tensor_1d(y->buffer, PAVE_F32, x->rows);
    params.y.offset = y->view.offset;
    pave_plan *plan;
    if (pave_plan_reduce(check->session->context, &params, &plan)) return self_broke(check, "plan");
    bool uses = self_plan_uses(check, plan);
    params.plan = plan;
    pave_status status = uses ? pave_reduce(check->session->queue, &params, NULL) : PAVE_OK;
    if (uses && !status) status = pave_queue_finish(check->session->queue);
    pave_plan_destroy(&plan);
    return status ? self_broke(check, "launch") : uses;
}

static void run_case(self_check *check, pave_dtype type, pave_reduction reduction, int64_t rows, int64_t cols,
                     int64_t pad) {
    if (check->failure[0]) return;
    self_matrix x = {0}, y = {0};
    uint64_t seed = (uint64_t)(rows * 31 + cols);
    double *values = malloc((size_t)(rows * cols) * sizeof *values);
    bool ok = values && self_matrix_make(check, type, rows, cols, pad, &x) &&
              self_matrix_make(check, PAVE_F32, rows, 1, 0, &y) && self_matrix_upload(check, &y);
    for (int64_t i = 0; ok && i < rows * cols; i++) {
        values[i] = (double)(float)self_random(&seed, type == PAVE_F32);
        self_matrix_set(&x, i / cols, i % cols, values[i]);
    }
    ok = ok && self_matrix_upload(check, &x) && launch(check, reduction, &x, &y) &&
         self_matrix_download(check, &y) && compare(check, reduction, &x, values, &y);
    check->cases += ok;
    self_matrix_free(&x);
    self_matrix_free(&y);
    free(values);
}

void self_check_reduce(self_check *check) {
    static const int64_t shapes[][3] = {{5, 7, 0}, {33, 1024, 0}, {3, 4097, 3},
                                        {1, 1, 0}, {129, 31, 1},  {2, 100003, 0}};
    for (size_t i = 0; i < (check->quick ? 3 : sizeof shapes / sizeof shapes[0]); i++)
        for (int type = PAVE_F32; type <= PAVE_BF16; type++)
            for (int reduction = PAVE_REDUCE_LOGSUMEXP; reduction <= PAVE_REDUCE_MIN; reduction++)
                run_case(check, (pave_dtype)type, (pave_reduction)reduction, shapes[i][0], shapes[i][1],
                         shapes[i][2]);
}
