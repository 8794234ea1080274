/* SPDX-License-Identifier: Apache-2.0
 * What the self-test's checks share: matrices inside guard zones, and the verdict on one kernel. */
#ifndef PAVE_TOOLS_SELFTEST_H
#define PAVE_TOOLS_SELFTEST_H

#include "tools/common.h"

typedef struct self_check {
    tool_session *session;
    pave_kernel_info row;
    bool quick;
    int cases;         /* run and right */
    char failure[384]; /* "" where all was right */
    char skipped[384]; /* why the last case that was not run was not */
} self_check;

/* A matrix in the middle of a buffer full of NaN, so that a read outside shows in the result and a write
 * outside in the buffer. */
typedef struct self_matrix {
    pave_buffer *buffer;
    uint8_t *image;
    uint64_t bytes;
    int64_t rows, cols, ld;
    pave_tensor view; /* rank 2 */
} self_matrix;

bool self_matrix_make(self_check *check, pave_dtype type, int64_t rows, int64_t cols, int64_t pad,
                      self_matrix *m);
void self_matrix_set(self_matrix *m, int64_t row, int64_t col, double value);
double self_matrix_get(const self_matrix *m, int64_t row, int64_t col);
bool self_matrix_upload(self_check *check, self_matrix *m);
/* Reads all of it back; false with a failure where anything but the matrix changed. */
bool self_matrix_download(self_check *check, self_matrix *m);
void self_matrix_free(self_matrix *m);

/* Uniform in [-1, 1): exact in any type, or with all of float32's bits. Whole numbers from -3 to 3. */
double self_random(uint64_t *seed, bool all_bits);
double self_whole(uint64_t *seed);

bool self_fail(self_check *check, const char *format, ...) PAVE_PRINTF(2, 3);
/* Records the library's message as a failure. */
bool self_broke(self_check *check, const char *what);
/* Whether the plan launches the checked row; a plan that does not is a case that was not run. */
bool self_plan_uses(self_check *check, const pave_plan *plan);
/* Holds one value to its bound; `what` says of which case, in the failure. */
bool self_within(self_check *check, const char *what, int64_t row, int64_t col, double got, double want,
                 double bound);
/* x [rows, cols] with random values, as a matrix of its transpose where `across`; rows * cols of them, or NULL with a
 * failure. */
double *self_input(self_check *check, pave_dtype type, int64_t rows, int64_t cols, int64_t pad, bool across,
                   self_matrix *x);

/* Bound of a reduction of n values v, each within e[j] of its exact one: docs/operations.md, "Row
 * reductions". */
double self_reduce(pave_reduction reduction, const double *v, const double *e, int64_t n, double *bound);

/* The same of what gives a value for each it takes; of exact values, `zero` being n zeros. */
void self_reduce_wide(pave_reduction reduction, const double *v, const double *zero, int64_t n, double *y,
                      double *bound);

void self_check_gemm(self_check *check);
void self_check_reduce(self_check *check); /* reduce and normalize rows */
void self_check_map(self_check *check);

#endif
