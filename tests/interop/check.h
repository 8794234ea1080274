/* SPDX-License-Identifier: Apache-2.0
 * What the tests of both drivers' handles share: a refusal with its word, and one linear with integer values,
 * whose result is exact. */
#ifndef PAVE_TESTS_INTEROP_CHECK_H
#define PAVE_TESTS_INTEROP_CHECK_H

#include "tests/support/cm.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <string.h>

/* Large enough that a GPU's plan is a kernel that needs aligned rows, where they are. */
enum { M = 128, N = 128, K = 256 };

static inline void refused_at(int line, pave_status got, pave_status want, const char *word) {
    const char *message = pave_last_message();
    if (got == want && strstr(message, word)) return;
    fprintf(stderr, "line %d: %s \"%s\" where %s with \"%s\" is right\n", line, pave_status_name(got),
            message, pave_status_name(want), word);
    fail();
}
#define REFUSED(call, want, word) refused_at(__LINE__, (call), (want), (word))

static inline float x_value(int i) {
    return (float)(i % 7 - 3);
}
static inline float w_value(int i) {
    return (float)(i % 5 - 2);
}

/* y = x·Wᵀ over the three buffers, y read back into `y`. */
static inline void run_linear(pave_queue *queue, pave_buffer *x, pave_buffer *w, pave_buffer *y, float *out) {
    float hx[M * K], hw[N * K];
    for (int i = 0; i < M * K; i++) hx[i] = x_value(i);
    for (int i = 0; i < N * K; i++) hw[i] = w_value(i);
    TEST_OK(pave_buffer_write(queue, x, 0, hx, sizeof hx, PAVE_BLOCK, NULL));
    TEST_OK(pave_buffer_write(queue, w, 0, hw, sizeof hw, PAVE_BLOCK, NULL));
    pave_linear_params params = {.size = sizeof params,
                                 .x = pave_tensor_2d(x, PAVE_F32, M, K),
                                 .w = pave_tensor_2d(w, PAVE_F32, N, K),
                                 .y = pave_tensor_2d(y, PAVE_F32, M, N)};
    TEST_OK(pave_linear(queue, &params, NULL));
    TEST_OK(pave_buffer_read(queue, y, 0, out, sizeof(float) * M * N, PAVE_BLOCK, NULL));
}

static inline void check_linear(const float *y) {
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            float sum = 0;
            for (int k = 0; k < K; k++) sum += x_value(m * K + k) * w_value(n * K + k);
            if (y[m * N + n] == sum) continue;
            fprintf(stderr, "y[%d, %d] is %g where %g is right\n", m, n, (double)y[m * N + n], (double)sum);
            fail();
        }
}

#endif
