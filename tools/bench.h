/* SPDX-License-Identifier: Apache-2.0
 * One measurement: a chain of linears or a reduction on random data, timed by the device's own clock. */
#ifndef PAVE_TOOLS_BENCH_H
#define PAVE_TOOLS_BENCH_H

#include "tools/common.h"

#define BENCH_LAYERS_MAX 2
#define BENCH_RUNS_MAX 10000

/* layer_count 0: a reduction of [m, k]. */
typedef struct bench_case {
    const char *suite;
    int64_t m, k;
    size_t layer_count;
    int64_t widths[BENCH_LAYERS_MAX];
    bool sigmoid; /* between layers */
    pave_reduction reduction;
    pave_dtype type;
    pave_precision precision;
} bench_case;

typedef struct bench_result {
    int runs, rotated; /* sets of operands that were gone through, so that none stays in a cache */
    double median_ns, min_ns, flops, bytes;
    double compute_share, memory_share; /* of the measured peaks; 0: peak unknown */
    pave_path path;
    char kernels[512];
} bench_result;

/* 0 or an exit code with the error printed. `info` holds measured rates. */
int bench_measure(tool_session *session, const pave_device_info *info, const bench_case *c, int runs,
                  bench_result *result);

#endif
