/* SPDX-License-Identifier: Apache-2.0
 * Makes operands, runs warm-up and measured launches and takes the median. Inputs are rotated through more
 * memory than the L2 holds; weights stay, as they would in use. */
#include "tools/bench.h"

#include <stdlib.h>
#include <string.h>

#define ROTATED_MAX 64
#define PATTERN_BYTES (4u << 20)
#define BUDGET_SECONDS 3.0 /* of one case; at least RUNS_MIN runs all the same */
#define RUNS_MIN 3
#define WARM_UP 3

typedef struct operands {
    pave_buffer *x[ROTATED_MAX], *y, *w[BENCH_LAYERS_MAX], *bias[BENCH_LAYERS_MAX];
    pave_weights *weights[BENCH_LAYERS_MAX];
    int rotated;
} operands;

static uint16_t random_half(pave_dtype type, uint32_t r) {
    /* Uniform sign, exponents of [1/8, 1): normal in both types. */
    uint32_t exponent = r >> 8 & 1;
    if (type == PAVE_BF16) return (uint16_t)((r & 0x8000) | (124 + exponent) << 7 | (r & 0x7f));
    return (uint16_t)((r & 0x8000) | (12 + exponent) << 10 | (r >> 16 & 0x3ff));
}

static pave_status fill_random(tool_session *s, pave_buffer *buffer, pave_dtype type, uint32_t seed) {
    uint64_t bytes = pave_buffer_bytes(buffer), piece = bytes < PATTERN_BYTES ? bytes : PATTERN_BYTES;
    uint8_t *data = malloc(piece ? (size_t)piece : 1);
    if (!data) return PAVE_E_HOST_MEMORY;
    for (uint64_t i = 0; i + pave_dtype_bytes(type) <= piece; i += pave_dtype_bytes(type)) {
        seed = seed * 1664525u + 1013904223u;
        float f = (float)(int32_t)seed * 0x1p-31f;
        uint16_t half = random_half(type, seed ^ seed >> 13);
        if (type == PAVE_F32)
            memcpy(data + i, &f, sizeof f);
        else
            memcpy(data + i, &half, sizeof half);
    }
    pave_status status = PAVE_OK;
    for (uint64_t at = 0; at < bytes && !status; at += piece)
        status = pave_buffer_write(s->queue, buffer, at, data, bytes - at < piece ? bytes - at : piece,
                                   PAVE_BLOCK, NULL);
    free(data);
    return status;
}

static pave_status make_random(tool_session *s, int64_t elems, pave_dtype type, uint32_t seed,
                               pave_buffer **buffer) {
    pave_status status = pave_buffer_create(s->context, (uint64_t)elems * pave_dtype_bytes(type), buffer);
    return status ? status : fill_random(s, *buffer, type, seed);
}

static pave_status make_operands(tool_session *s, const bench_case *c, operands *o) {
    uint64_t x_bytes = (uint64_t)c->m * (uint64_t)c->k * pave_dtype_bytes(c->type);
    uint64_t rotated = x_bytes ? 2 * s->info.l2_bytes / x_bytes + 1 : 1;
    o->rotated = rotated > ROTATED_MAX ? ROTATED_MAX : (int)rotated;
    pave_status status = PAVE_OK;
    for (int i = 0; i < o->rotated && !status; i++)
        status = make_random(s, c->m * c->k, c->type, 1 + (uint32_t)i, &o->x[i]);
    int64_t k = c->k;
    for (size_t i = 0; i < c->layer_count && !status; i++) {
        int64_t n = c->widths[i];
        status = make_random(s, n * k, c->type, 101 + (uint32_t)i, &o->w[i]);
        if (!status) status = make_random(s, n, PAVE_F32, 201 + (uint32_t)i, &o->bias[i]);
        pave_tensor w = pave_tensor_2d(o->w[i], c->type, n, k);
        if (!status) status = pave_weights_create(s->queue, &w, c->precision, &o->weights[i]);
        k = n;
    }
    if (!status)
        status = pave_buffer_create(s->context, (uint64_t)c->m * (uint64_t)(c->reduction ? 1 : k) * 4, &o->y);
    return status;
}

static void free_operands(operands *o) {
    for (int i = 0; i < ROTATED_MAX; i++) pave_buffer_destroy(&o->x[i]);
    for (int i = 0; i < BENCH_LAYERS_MAX; i++) {
        pave_weights_destroy(&o->weights[i]);
        pave_buffer_destroy(&o->w[i]);
        pave_buffer_destroy(&o->bias[i]);
    }
    pave_buffer_destroy(&o->y);
}

/* Runs once, or gives the plan where `plan` is not NULL. */
static pave_status launch(tool_session *s, const bench_case *c, const operands *o, int index,
                          const pave_sync *sync, pave_plan **plan) {
    pave_tensor x = pave_tensor_2d(o->x[index % o->rotated], c->type, c->m, c->k);
    int64_t last = c->layer_count ? c->widths[c->layer_count - 1] : c->k;
    pave_tensor y =
        c->reduction ? pave_tensor_1d(o->y, PAVE_F32, c->m) : pave_tensor_2d(o->y, PAVE_F32, c->m, last);
    if (!c->layer_count) {
        pave_reduce_params params = {.size = sizeof params, .x = x, .y = y, .reduction = c->reduction};
        return plan ? pave_plan_reduce(s->context, &params, plan) : pave_reduce(s->queue, &params, sync);
    }
    pave_link link = {.op = PAVE_LINK_SIGMOID};
    pave_layer layers[BENCH_LAYERS_MAX];
    for (size_t i = 0; i < c->layer_count; i++)
        layers[i] = (pave_layer){.weights = o->weights[i],
                                 .links = &link,
                                 .link_count = c->sigmoid && i + 1 < c->layer_count,
                                 .bias = pave_tensor_1d(o->bias[i], PAVE_F32, c->widths[i])};
    pave_mlp_params params = {.size = sizeof params,
                              .x = x,
                              .y = y,
                              .layers = layers,
                              .layer_count = c->layer_count,
                              .reduction = c->reduction,
                              .precision = c->precision};
    return plan ? pave_plan_mlp(s->context, &params, plan) : pave_mlp(s->queue, &params, sync);
}

static pave_status time_once(tool_session *s, const bench_case *c, const operands *o, int index, double *ns) {
    pave_event *event = NULL;
    pave_sync sync = {.event = &event};
    uint64_t duration = 0;
    pave_status status = launch(s, c, o, index, &sync, NULL);
    if (!status) status = pave_event_wait(event);
    if (!status) status = pave_event_duration(event, &duration);
    pave_event_destroy(&event);
    *ns = (double)duration;
    return status;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static pave_status time_all(tool_session *s, const bench_case *c, const operands *o, int runs,
                            bench_result *r) {
    static double ns[BENCH_RUNS_MAX];
    double begun = tool_now(), ignored;
    pave_status status = time_once(s, c, o, 0, &ignored);
    for (int i = 1; i < WARM_UP && !status && tool_now() - begun < BUDGET_SECONDS / 2; i++)
        status = time_once(s, c, o, i, &ignored);
    begun = tool_now();
    int count = 0;
    while (!status && count < runs && !tool_interrupted()) {
        status = time_once(s, c, o, count, &ns[count]);
        count++;
        if (count >= RUNS_MIN && tool_now() - begun > BUDGET_SECONDS) break;
    }
    if (status || !count) return status;
    qsort(ns, (size_t)count, sizeof ns[0], ascending);
    r->runs = count;
    r->rotated = o->rotated;
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
static pave_status note_plan(tool_session *s, const bench_case *c, const operands *o, bench_result *r) {
    pave_plan *plan;
    pave_status status = launch(s, c, o, 0, NULL, &plan);
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

/* Bytes that any implementation has to move once: inputs, weights, result. */
static void count_work(const bench_case *c, bench_result *r) {
    double size = (double)pave_dtype_bytes(c->type), m = (double)c->m;
    double k = (double)c->k;
    r->bytes = m * k * size;
    r->flops = c->layer_count ? 0 : m * k;
    for (size_t i = 0; i < c->layer_count; i++) {
        double n = (double)c->widths[i];
        r->flops += 2 * m * n * k;
        r->bytes += n * k * size + 4 * n;
        k = n;
    }
    r->bytes += 4 * m * (c->reduction ? 1 : k);
}

int bench_measure(tool_session *s, const pave_device_info *info, const bench_case *c, int runs,
                  bench_result *result) {
    operands o = {0};
    memset(result, 0, sizeof *result);
    pave_status status = make_operands(s, c, &o);
    if (!status) status = note_plan(s, c, &o, result);
    if (!status) status = time_all(s, c, &o, runs, result);
    free_operands(&o);
    if (status)
        return tool_fail(status, "%s %lld rows of %lld", c->suite, (long long)c->m, (long long)c->k),
               TOOL_FAILED;
    if (!result->runs) return TOOL_INTERRUPTED;
    count_work(c, result);
    double seconds = result->median_ns * 1e-9,
           peak = has_probe(s, result->path) ? info->flops[result->path] : 0;
    if (c->layer_count && peak > 0 && seconds > 0) result->compute_share = result->flops / seconds / peak;
    if (info->memory_bytes_per_s > 0 && seconds > 0)
        result->memory_share = result->bytes / seconds / info->memory_bytes_per_s;
    return TOOL_OK;
}
