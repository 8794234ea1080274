/* SPDX-License-Identifier: Apache-2.0
 * Libraries that are timed side by side on one product: x [m, k] · Wᵀ [n, k], float32, row by row. */
#ifndef PAVE_TESTS_BENCH_PEERS_H
#define PAVE_TESTS_BENCH_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct peer_problem {
    int64_t m, n, k;
    const float *x, *w, *bias;
    float *y;
} peer_problem;

typedef struct peer {
    const char *name, *does; /* `does`: what of y = sigmoid(x · Wᵀ + bias) is timed: "all" or "product" */
    /* Makes ready for a problem, whose memory stays where it is; NULL where that cannot be done here. */
    void *(*prepare)(const peer_problem *p);
    bool (*run)(void *state);             /* to the end */
    bool (*fetch)(void *state, float *y); /* the last result; NULL: it lies in the problem's y */
    void (*drop)(void *state);
} peer;

extern const peer peer_pave, peer_pave_packed, peer_openblas, peer_clblast, peer_dnnl, peer_dnnl_packed;

#ifdef __cplusplus
}
#endif

#endif
