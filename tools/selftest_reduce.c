/* SPDX-License-Identifier: Apache-2.0
 * Checks a reduce or normalize row: every type and reduction, along rows and across them, at lengths around the row's own,
 * with and without a gap between rows. */
#include "tools/selftest.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct reduce_case {
    int64_t rows, cols, pad;
    pave_dtype type;
    pave_reduction reduction;
    bool across; /* the reduced axis is the first */
} reduce_case;

static bool is_wide(pave_reduction reduction) {
    return reduction >= PAVE_REDUCE_SOFTMAX;
}

static bool compare_row(self_check *check, const reduce_case *c, const self_matrix *y, int64_t i,
                        const double *v, double *scratch) {
    double *zero = scratch, *want = scratch + c->cols, *bound = want + c->cols;
    int64_t results = is_wide(c->reduction) ? c->cols : 1;
    if (is_wide(c->reduction))
        self_reduce_wide(c->reduction, v, zero, c->cols, want, bound);
    else
        want[0] = self_reduce(c->reduction, v, zero, c->cols, bound);
    if (c->reduction == PAVE_REDUCE_ARGMAX) {
        int64_t first = 0;
        while (v[first] != want[0]) first++;
        want[0] = (double)first;
    }
    bool ok = true;
    for (int64_t j = 0; ok && j < results; j++) {
        bool turned = c->across && results > 1;
        char what[96];
        snprintf(what, sizeof what, "%" PRId64 "x%" PRId64 " %s%s of %s", c->rows, c->cols,
                 tool_word_of(tool_reductions, c->reduction), c->across ? " of columns" : "",
                 pave_dtype_name(c->type));
        ok = self_within(check, what, i, j, self_matrix_get(y, turned ? j : i, turned ? i : j), want[j],
                         bound[j]);
    }
    return ok;
}

static bool compare(self_check *check, const reduce_case *c, const self_matrix *y, const double *values) {
    double *scratch = calloc((size_t)(3 * c->cols), sizeof *scratch);
    if (!scratch) return self_fail(check, "no memory on the host");
    bool ok = true;
    for (int64_t i = 0; ok && i < c->rows; i++)
        ok = compare_row(check, c, y, i, values + i * c->cols, scratch);
    free(scratch);
    return ok;
}

static bool launch(self_check *check, const reduce_case *c, const self_matrix *x, const self_matrix *y) {
    pave_reduce_params params = {
        .size = sizeof params, .x = x->view, .y = y->view, .reduction = c->reduction};
    params.axis_from_last = c->across;
    if (!is_wide(c->reduction)) {
        params.y = pave_tensor_1d(y->buffer, y->view.type, c->rows);
        params.y.offset = y->view.offset;
    }
    pave_plan *plan;
    if (pave_plan_reduce(check->session->context, &params, &plan)) return self_broke(check, "plan");
    bool uses = self_plan_uses(check, plan);
    params.plan = plan;
    pave_status status = uses ? pave_reduce(check->session->queue, &params, NULL) : PAVE_OK;
    if (uses && !status) status = pave_queue_finish(check->session->queue);
    pave_plan_destroy(&plan);
    return status ? self_broke(check, "launch") : uses;
}

static void run_case(self_check *check, const reduce_case *c) {
    if (check->failure[0]) return;
    self_matrix x = {0}, y = {0};
    bool wide = is_wide(c->reduction);
    pave_dtype y_type = c->reduction == PAVE_REDUCE_ARGMAX ? PAVE_I32 : PAVE_F32;
    double *values = self_input(check, c->type, c->rows, c->cols, c->pad, c->across, &x);
    bool ok = values && self_matrix_make(check, y_type, wide ? x.rows : c->rows, wide ? x.cols : 1, 0, &y) &&
              self_matrix_upload(check, &y) && launch(check, c, &x, &y) && self_matrix_download(check, &y) &&
              compare(check, c, &y, values);
    check->cases += ok;
    self_matrix_free(&x);
    self_matrix_free(&y);
    free(values);
}

void self_check_reduce(self_check *check) {
    static const int64_t shapes[][3] = {{5, 7, 0}, {33, 1024, 0}, {3, 4097, 3},
                                        {1, 1, 0}, {129, 31, 1},  {2, 100003, 0}};
    bool wide = strcmp(check->row.family, "normalize") == 0;
    pave_reduction first = wide ? PAVE_REDUCE_SOFTMAX : PAVE_REDUCE_LOGSUMEXP;
    pave_reduction last = wide ? PAVE_REDUCE_NORMALIZE : PAVE_REDUCE_ARGMAX;
    if (strstr(check->row.name, "normalize_slices")) last = PAVE_REDUCE_LOG_SOFTMAX; /* needs a logsumexp */
    for (size_t i = 0; i < (check->quick ? 3 : sizeof shapes / sizeof shapes[0]); i++)
        for (int type = PAVE_F32; type <= PAVE_BF16; type++)
            for (pave_reduction r = first; r <= last; r++)
                for (int across = 0; across < 2; across++)
                    run_case(check, &(reduce_case){shapes[i][0], shapes[i][1], shapes[i][2], (pave_dtype)type,
                                                   r, across});
}
