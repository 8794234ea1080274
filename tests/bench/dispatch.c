/* SPDX-License-Identifier: Apache-2.0
 * dispatch [MxKxHxN [CALL]]: what a call costs the thread that makes it, beside the driver's own launches of the same
 * kernels; how often it allocates; and, of all calls together, where the time to a process's first result goes. The
 * device's time is no part of it: each batch of calls ends with a wait that is not measured. PAVE_BACKEND chooses the
 * device. */
#include "tests/bench/dispatch.h"

#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum { CALLS = 48, BATCHES = 41, BATCHES_LEAST = 5, STARTS = 5, PARTS = 6 };
/* On a slow device fewer batches do. */
#define LONG_ENOUGH_NS 4e8

extern char **environ;

/* The library's own allocations: the linker's --wrap leads them here. */
static uint64_t allocations;
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

void *__wrap_malloc(size_t bytes) {
    allocations++;
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
    allocations++;
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes) {
    allocations++;
    return __real_realloc(old, bytes);
}

static void must(pave_status status, const char *what) {
    if (!status) return;
    fprintf(stderr, "%s: %s: %s\n", what, pave_status_name(status), pave_last_message());
    exit(1);
}

static double clock_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double d = *(const double *)a - *(const double *)b;
    return d > 0 ? 1 : d < 0 ? -1 : 0;
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

dispatch_cost dispatch_time(pave_queue *queue, int (*call)(void *), void *arg) {
    double wall[BATCHES], cpu[BATCHES], begun = clock_ns(CLOCK_MONOTONIC);
    int taken = 0;
    for (int b = -2; b < BATCHES; b++) {
        must(pave_queue_finish(queue), "waiting");
        if (taken >= BATCHES_LEAST && clock_ns(CLOCK_MONOTONIC) - begun > LONG_ENOUGH_NS) break;
        double c = clock_ns(CLOCK_THREAD_CPUTIME_ID), w = clock_ns(CLOCK_MONOTONIC);
        for (int i = 0; i < CALLS; i++) {
            int code = call(arg);
            if (!code) continue;
            fprintf(stderr, "a measured call gave %d: %s\n", code, pave_last_message());
            exit(1);
        }
        w = clock_ns(CLOCK_MONOTONIC) - w, c = clock_ns(CLOCK_THREAD_CPUTIME_ID) - c;
        if (b >= 0) wall[taken] = w / CALLS, cpu[taken++] = c / CALLS;
    }
    must(pave_queue_finish(queue), "waiting");
    return (dispatch_cost){median(wall, (size_t)taken), median(cpu, (size_t)taken)};
}

/* ---- the calls */

typedef struct rig {
    pave_device *device;
    pave_context *context;
    pave_queue *queue;
    int64_t m, k, h, n;
    pave_buffer *x, *w[2], *bias, *y, *z;
    pave_weights *weights[2];
    pave_layer layers[2];
    pave_link sigmoid;
    pave_linear_params linear;
    pave_mlp_params mlp;
    pave_reduce_params reduce;
    pave_event *event;
} rig;

static pave_buffer *zeros(rig *r, int64_t elems) {
    pave_buffer *b;
    const float zero = 0;
    must(pave_buffer_create(r->context, (uint64_t)elems * 4, &b), "a buffer");
    must(pave_buffer_fill(r->queue, b, 0, (uint64_t)elems * 4, &zero, 4, NULL), "filling it");
    return b;
}

static void make_operands(rig *r) {
    r->x = zeros(r, r->m * r->k);
    r->w[0] = zeros(r, r->h * r->k);
    r->w[1] = zeros(r, r->n * r->h);
    r->bias = zeros(r, r->h > r->n ? r->h : r->n);
    r->y = zeros(r, r->m * r->h);
    r->z = zeros(r, r->m);
    r->sigmoid = (pave_link){.op = PAVE_LINK_SIGMOID};
    pave_tensor w[2] = {pave_tensor_2d(r->w[0], PAVE_F32, r->h, r->k),
                        pave_tensor_2d(r->w[1], PAVE_F32, r->n, r->h)};
    for (int i = 0; i < 2; i++) {
        must(pave_weights_create(r->queue, &w[i], PAVE_HIGH, &r->weights[i]), "weights");
        r->layers[i] = (pave_layer){.weights = r->weights[i],
                                    .bias = pave_tensor_1d(r->bias, PAVE_F32, i ? r->n : r->h)};
    }
    r->layers[0].links = &r->sigmoid;
    r->layers[0].link_count = 1;
    r->linear = (pave_linear_params){.size = sizeof r->linear,
                                     .x = pave_tensor_2d(r->x, PAVE_F32, r->m, r->k),
                                     .weights = r->weights[0],
                                     .bias = r->layers[0].bias,
                                     .y = pave_tensor_2d(r->y, PAVE_F32, r->m, r->h),
                                     .epilogue = {.links = &r->sigmoid, .link_count = 1}};
    r->mlp = (pave_mlp_params){.size = sizeof r->mlp,
                               .x = r->linear.x,
                               .layers = r->layers,
                               .layer_count = 2,
                               .epilogue.reduction = PAVE_REDUCE_LOGSUMEXP,
                               .y = pave_tensor_1d(r->z, PAVE_F32, r->m)};
    r->reduce = (pave_reduce_params){
        .size = sizeof r->reduce, .x = r->linear.x, .y = r->mlp.y, .reduction = PAVE_REDUCE_LOGSUMEXP};
}

static int call_linear(void *arg) {
    rig *r = arg;
    return pave_linear(r->queue, &r->linear, NULL);
}

static int call_mlp(void *arg) {
    rig *r = arg;
    return pave_mlp(r->queue, &r->mlp, NULL);
}

static int call_reduce(void *arg) {
    rig *r = arg;
    return pave_reduce(r->queue, &r->reduce, NULL);
}

/* With an event made, waited for by the next, and destroyed. */
static int call_linked(void *arg) {
    rig *r = arg;
    pave_event *before = r->event;
    int code = pave_linear(r->queue, &r->linear,
                           &(pave_sync){.wait = &before, .wait_count = before != NULL, .event = &r->event});
    pave_event_destroy(&before);
    return code;
}

/* ---- what the backend gets */

static pave__backend watched;
static const pave__backend *real;
static dispatch_call *into;

static void keep(void *kernel, const pave__launch *l) {
    if (into->count == DISPATCH_LAUNCHES_MAX) return;
    dispatch_launch *to = &into->list[into->count++];
    to->kernel = kernel;
    to->launch = *l;
    memcpy(&to->args, l->args, l->args_bytes);
    memcpy(to->buffers, l->buffers, l->buffer_count * sizeof *to->buffers);
    to->launch.args = &to->args;
    to->launch.buffers = to->buffers;
}

static pave_status watch(void *queue, void *const *kernels, const pave__launch *list, size_t count) {
    for (size_t i = 0; i < count; i++) keep(kernels[i], &list[i]);
    return real->launch(queue, kernels, list, count);
}

static pave_status ignore(void *queue, void *const *kernels, const pave__launch *list, size_t count) {
    (void)queue, (void)kernels, (void)list, (void)count;
    return PAVE_OK;
}

static pave_status ignore_replay(void *queue, void *recorded) {
    (void)queue, (void)recorded;
    return PAVE_OK;
}

/* Puts `launch` in the place of the backend's own; NULL puts that back. */
static void replace(rig *r, pave_status (*launch)(void *, void *const *, const pave__launch *, size_t)) {
    if (!real) real = r->device->backend;
    watched = *real;
    watched.launch = launch;
    watched.record = NULL;
    watched.replay = ignore_replay;
    r->device->backend = launch ? &watched : real;
}

/* ---- the first result */

static const char *const part_names[PARTS] = {"device",  "context",    "queue, buffers",
                                              "weights", "first call", "result read"};

/* One process's, as a line of nanoseconds. */
static void first_result(rig *r) {
    double at[PARTS + 1];
    at[0] = clock_ns(CLOCK_MONOTONIC);
    must(pave_device_open(NULL, &r->device), "the device");
    at[1] = clock_ns(CLOCK_MONOTONIC);
    must(pave_context_create(r->device, &r->context), "the context");
    at[2] = clock_ns(CLOCK_MONOTONIC);
    must(pave_queue_create(r->context, NULL, &r->queue), "the queue");
    pave_buffer *x = zeros(r, r->m * r->k), *w = zeros(r, r->h * r->k), *y = zeros(r, r->m * r->h);
    at[3] = clock_ns(CLOCK_MONOTONIC);
    pave_tensor t = pave_tensor_2d(w, PAVE_F32, r->h, r->k);
    pave_weights *weights;
    must(pave_weights_create(r->queue, &t, PAVE_HIGH, &weights), "weights");
    at[4] = clock_ns(CLOCK_MONOTONIC);
    pave_linear_params linear = {.size = sizeof linear,
                                 .x = pave_tensor_2d(x, PAVE_F32, r->m, r->k),
                                 .weights = weights,
                                 .y = pave_tensor_2d(y, PAVE_F32, r->m, r->h)};
    must(pave_linear(r->queue, &linear, NULL), "a linear");
    at[5] = clock_ns(CLOCK_MONOTONIC);
    float value;
    must(pave_buffer_read(r->queue, y, 0, &value, sizeof value, PAVE_BLOCK, NULL), "the result");
    at[6] = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < PARTS; i++) printf("%.0f ", at[i + 1] - at[i]);
    printf("%.0f\n", at[PARTS] - at[0]);
}

/* A process of its own, whose driver nobody has started yet. */
static bool start(const char *self, const char *shape, double *parts) {
    char command[512];
    snprintf(command, sizeof command, "'%s' --first %s", self, shape);
    FILE *out = popen(command, "r");
    int got = 0;
    for (int i = 0; out && i <= PARTS; i++) got += fscanf(out, "%lf", &parts[i]);
    return out && pclose(out) == 0 && got == PARTS + 1;
}

static void print_first(const char *self, const char *shape) {
    double parts[PARTS + 1], columns[PARTS + 1][STARTS];
    for (int i = 0; i < STARTS; i++) {
        if (!start(self, shape, parts)) {
            fprintf(stderr, "a process of its own gave no result\n");
            exit(1);
        }
        for (int p = 0; p <= PARTS; p++) columns[p][i] = parts[p];
    }
    printf("first result of a process, ms (median of %d)\n", STARTS);
    for (int p = 0; p <= PARTS; p++)
        printf("  %-16s %8.2f\n", p < PARTS ? part_names[p] : "together", median(columns[p], STARTS) * 1e-6);
}

/* ---- the table */

static const dispatch_driver *driver_of(const rig *r) {
#ifdef DISPATCH_CUDA
    if (r->device->backend->id == PAVE__CUDA) return &dispatch_cuda;
#endif
    (void)r;
    return NULL;
}

static void print_call(rig *r, const char *name, int (*call)(void *), dispatch_call *kept) {
    const dispatch_driver *driver = driver_of(r);
    pave_queue_destroy(&r->queue); /* none that knows the call */
    must(pave_queue_create(r->context, NULL, &r->queue), "a queue");
    kept->queue = r->queue;
    kept->count = 0;
    into = kept;
    replace(r, watch);
    if (call(r)) must(PAVE_E_DEVICE, name);
    replace(r, NULL);
    for (int i = 0; i < 8; i++) call(r);
    uint64_t before = allocations;
    for (int i = 0; i < CALLS; i++) call(r);
    double often = (double)(allocations - before) / CALLS;
    dispatch_cost ours = dispatch_time(r->queue, call, r);
    replace(r, ignore);
    dispatch_cost front = dispatch_time(r->queue, call, r), host = front;
    replace(r, NULL);
    if (driver) {
        driver->stub(true);
        host = dispatch_time(r->queue, call, r);
        driver->stub(false);
    }
    printf(
        "%-22s %zu launches %8.2f us (%.2f cpu); without the driver %.2f, front end %.2f; allocations %.2f\n",
        name, kept->count, ours.wall * 1e-3, ours.cpu * 1e-3, host.wall * 1e-3, front.wall * 1e-3, often);
    if (driver) driver->bare(kept);
    fflush(stdout);
}

int main(int argc, char **argv) {
    static rig r = {.m = 256, .k = 512, .h = 1024, .n = 512};
    static const struct {
        const char *name;
        int (*call)(void *);
    } calls[] = {{"reduce", call_reduce},
                 {"linear", call_linear},
                 {"linear, wait and event", call_linked},
                 {"mlp", call_mlp}};
    static dispatch_call kept;
    bool first = argc > 1 && strcmp(argv[1], "--first") == 0;
    const char *shape = argc > 1 + first ? argv[1 + first] : "256x512x1024x512";
    const char *only = argc > 2 && !first ? argv[2] : NULL;
    if (sscanf(shape, "%" SCNd64 "x%" SCNd64 "x%" SCNd64 "x%" SCNd64, &r.m, &r.k, &r.h, &r.n) != 4) {
        fprintf(stderr, "usage: dispatch [MxKxHxN [CALL]]\n");
        return 2;
    }
    if (first) {
        first_result(&r);
        return 0;
    }
    if (!only) print_first(argv[0], shape);
    must(pave_device_open(NULL, &r.device), "the device");
    must(pave_context_create(r.device, &r.context), "the context");
    must(pave_queue_create(r.context, NULL, &r.queue), "the queue");
    make_operands(&r);
    printf("%s on %s, a call:\n", shape, r.device->info.name);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!only || strcmp(only, calls[i].name) == 0) print_call(&r, calls[i].name, calls[i].call, &kept);
    return 0;
}
