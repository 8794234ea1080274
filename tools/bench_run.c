/* SPDX-License-Identifier: Apache-2.0
 * Runs warm-up and measured launches of a case and takes the median; inputs are rotated through more memory than the L2
 * holds. A run is a group of launches that follow each other on a full queue, as they do in a program that has more than one
 * thing to do: a launch that finds a device idle takes it some microseconds to start. */
#include "tools/bench.h"

#include <stdlib.h>
#include <string.h>

#define BUDGET_SECONDS 3.0 /* of one case; at least RUNS_MIN runs all the same */
#define RUNS_MIN 3
#define WARM_UP 3
/* Of a group: long against the wait for its end. */
#define GROUP_SECONDS 4e-3
#define GROUP_MAX 256

/* Host seconds from the first launch to the end of the last, a launch. */
static pave_status time_group(tool_session *s, const bench_case *c, const bench_operands *o, int first,
                              int count, double *ns) {
    double begun = tool_now();
    pave_status status = PAVE_OK;
    for (int i = 0; i < count && !status; i++) status = bench_launch(s, c, o, first + i, NULL, NULL);
    pave_status finished = pave_queue_finish(s->queue);
    *ns = (tool_now() - begun) / count * 1e9;
    return status ? status : finished;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How many launches of `ns` keep a queue full for long enough. */
static int group_size(double ns) {
    double wanted = ns > 0 ? GROUP_SECONDS * 1e9 / ns : GROUP_MAX;
    return wanted < 1 ? 1 : wanted > GROUP_MAX ? GROUP_MAX : (int)wanted;
}

static pave_status time_all(tool_session *s, const bench_case *c, const bench_operands *o, int runs,
                            bench_result *r) {
    static double ns[BENCH_RUNS_MAX];
    double begun = tool_now(), alone;
    pave_status status = time_group(s, c, o, 0, 1, &alone); /* builds what is not built yet */
    for (int i = 1; i < WARM_UP && !status && tool_now() - begun < BUDGET_SECONDS / 2; i++)
        status = time_group(s, c, o, i, 1, &alone);
    int size = group_size(alone), count = 0;
    begun = tool_now();
    while (!status && count < runs && !tool_interrupted()) {
        status = time_group(s, c, o, count * size, size, &ns[count]);
        count++;
        if (count >= RUNS_MIN && tool_now() - begun > BUDGET_SECONDS) break;
    }
    if (status || !count) return status;
    qsort(ns, (size_t)count, sizeof ns[0], ascending);
    r->runs = count;
    r->rotated = bench_operands_rotated(o);
    r->min_ns = ns[0];
    r->median_ns = count & 1 ? ns[count / 2] : 0.5 * (ns[count / 2 - 1] + ns[count / 2]);
    return PAVE_OK;
}

static bool describe(const char *name, pave_kernel_info *row) {
    for (size_t i = 0;; i++) {
        *row = (pave_kernel_info){.size = sizeof *row};
        if (pave_kernel_describe(i, NULL, row, NULL)) return false;
        if (strcmp(row->name, name) == 0) return true;
    }
}

/* Whether the device has a probe for this path: a rate that is only expected is no peak to compare with. */
static bool has_probe(const tool_session *s, pave_path path) {
    for (size_t i = 0;; i++) {
        pave_kernel_info row = {.size = sizeof row};
        int32_t usable;
        if (pave_kernel_describe(i, s->device, &row, &usable)) return false;
        if (usable && row.path == path && strcmp(row.family, "peak") == 0) return true;
    }
}

/* Names, and the instruction path of the plan's products: the peak that the result is compared with. */
static pave_status note_plan(tool_session *s, const bench_case *c, const bench_operands *o, bench_result *r) {
    pave_plan *plan;
    pave_status status = bench_launch(s, c, o, 0, NULL, &plan);
    if (status) return status;
    size_t used = 0;
    for (size_t i = 0; i < pave_plan_step_count(plan); i++) {
        const char *name = pave_plan_step_kernel(plan, i);
        pave_kernel_info row;
        if (describe(name, &row) && strcmp(row.family, "gemm") == 0) r->path = row.path;
        int n = snprintf(r->kernels + used, sizeof r->kernels - used, "%s%s", i ? " " : "", name);
        used += (size_t)n < sizeof r->kernels - used ? (size_t)n : sizeof r->kernels - used - 1;
    }
    pave_plan_destroy(&plan);
    return PAVE_OK;
}

int bench_measure(tool_session *s, const pave_device_info *info, const bench_case *c, int runs,
                  bench_result *result) {
    bench_operands *o;
    memset(result, 0, sizeof *result);
    pave_status status = bench_operands_make(s, c, &o);
    if (!status) status = note_plan(s, c, o, result);
    if (!status) status = time_all(s, c, o, runs, result);
    bench_operands_free(o);
    if (status)
        return tool_fail(status, "%s %lld rows of %lld", c->suite, (long long)c->m, (long long)c->k),
               TOOL_FAILED;
    if (!result->runs) return TOOL_INTERRUPTED;
    bench_count(c, result);
    double seconds = result->median_ns * 1e-9,
           peak = has_probe(s, result->path) ? info->flops[result->path] : 0;
    if (c->layer_count && peak > 0 && seconds > 0) result->compute_share = result->flops / seconds / peak;
    if (info->memory_bytes_per_s > 0 && seconds > 0)
        result->memory_share = result->bytes / seconds / info->memory_bytes_per_s;
    return TOOL_OK;
}
