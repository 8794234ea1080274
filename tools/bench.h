/* SPDX-License-Identifier: Apache-2.0
 * One measurement: an operation on random data, timed on a full queue. */
#ifndef PAVE_TOOLS_BENCH_H
#define PAVE_TOOLS_BENCH_H

#include "tools/common.h"

#define BENCH_LAYERS_MAX 2
#define BENCH_RUNS_MAX 10000
#define BENCH_GROUPS_MAX 64

/* An operation and its shape; zero means none or the default. */
typedef struct bench_case {
    const char *suite, *what; /* what: a word beside the shape, or NULL */
    pave_op op;
    int64_t m, k; /* GROUPED: m is the rows of all groups */
    size_t layer_count;
    int64_t widths[BENCH_LAYERS_MAX];
    bool sigmoid; /* MLP: between layers */
    pave_reduction reduction;
    int64_t batch;            /* MATMUL; 0: 1 */
    bool transpose_b, across; /* MATMUL; REDUCE: along the axis before the last */
    int64_t groups, busy;     /* GROUPED: how many, and how many of them have rows, unevenly */
    const char *chain; /* a letter a link, see bench_operands.c; NULL: a bias, where there can be one */
    pave_dtype type;   /* of inputs and weights; y is f32 */
    pave_precision precision;
} bench_case;

typedef struct bench_result {
    int runs, rotated; /* sets of operands that were gone through, so that none stays in a cache */
    double median_ns, min_ns, flops, bytes;
    double compute_share, memory_share; /* of the measured peaks; 0: peak unknown */
    pave_path path;
    char kernels[512];
} bench_result;

/* The suites (bench_cases.c); ends with a NULL suite. */
extern const bench_case bench_cases[];
/* "batch x m x n x k" and what else tells a case from others. */
void bench_shape_text(const bench_case *c, char *text, size_t capacity);

/* 0 or an exit code with the error printed. `info` holds measured rates. */
int bench_measure(tool_session *session, const pave_device_info *info, const bench_case *c, int runs,
                  bench_result *result);

/* Operands of a case on a device (bench_operands.c). */
typedef struct bench_operands bench_operands;
pave_status bench_operands_make(tool_session *session, const bench_case *c, bench_operands **operands);
void bench_operands_free(bench_operands *operands);
int bench_operands_rotated(const bench_operands *operands);
/* Runs once on the index-th set, or gives the plan where `plan` is not NULL. */
pave_status bench_launch(tool_session *session, const bench_case *c, const bench_operands *o, int index,
                         const pave_sync *sync, pave_plan **plan);
/* Rows of group g. */
int64_t bench_group_rows(const bench_case *c, int64_t g);
/* Operations, and bytes that any implementation has to move once: inputs, weights, result. */
void bench_count(const bench_case *c, bench_result *result);

#endif
