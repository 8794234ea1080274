/* SPDX-License-Identifier: Apache-2.0
 * Pave on PAVE_BACKEND's device, W as it lies or packed once. */
#include "tests/bench/peers.h"

#include <pave/pave.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct state {
    pave_context *context;
    pave_queue *queue;
    pave_buffer *buffers[4];
    pave_weights *weights;
    pave_plan *plan;
    pave_linear_params params;
    uint64_t y_bytes;
} state;

static const pave_link sigmoid = {.op = PAVE_LINK_SIGMOID};

static bool tried(pave_status status) {
    if (status) fprintf(stderr, "pave: %s\n", pave_last_message());
    return !status;
}

static void drop(void *of) {
    state *s = of;
    pave_plan_destroy(&s->plan);
    pave_weights_destroy(&s->weights);
    for (int i = 0; i < 4; i++) pave_buffer_destroy(&s->buffers[i]);
    pave_queue_destroy(&s->queue);
    pave_context_destroy(&s->context);
    free(s);
}

static bool fill(state *s, int i, const float *from, int64_t count) {
    uint64_t bytes = (uint64_t)count * sizeof *from;
    return tried(pave_buffer_create(s->context, bytes, &s->buffers[i])) &&
           (!from || tried(pave_buffer_write(s->queue, s->buffers[i], 0, from, bytes, PAVE_BLOCK, NULL)));
}

static bool set_up(state *s, const peer_problem *p, bool packed) {
    pave_device *device;
    s->y_bytes = (uint64_t)(p->m * p->n) * sizeof *p->y;
    if (!tried(pave_device_open(NULL, &device)) || !tried(pave_context_create(device, &s->context)) ||
        !tried(pave_queue_create(s->context, NULL, &s->queue)) || !fill(s, 0, p->x, p->m * p->k) ||
        !fill(s, 1, p->w, p->n * p->k) || !fill(s, 2, p->bias, p->n) || !fill(s, 3, NULL, p->m * p->n))
        return false;
    pave_tensor w = pave_tensor_2d(s->buffers[1], PAVE_F32, p->n, p->k);
    if (packed && !tried(pave_weights_create(s->queue, &w, PAVE_HIGH, &s->weights))) return false;
    s->params = (pave_linear_params){.size = sizeof s->params,
                                     .x = pave_tensor_2d(s->buffers[0], PAVE_F32, p->m, p->k),
                                     .weights = s->weights,
                                     .bias = pave_tensor_1d(s->buffers[2], PAVE_F32, p->n),
                                     .y = pave_tensor_2d(s->buffers[3], PAVE_F32, p->m, p->n),
                                     .epilogue = {.links = &sigmoid, .link_count = 1}};
    if (!packed) s->params.w = w;
    if (!tried(pave_plan_linear(s->context, &s->params, &s->plan))) return false;
    s->params.plan = s->plan;
    return true;
}

static void *prepare(const peer_problem *p, bool packed) {
    state *s = calloc(1, sizeof *s);
    if (!s || set_up(s, p, packed)) return s;
    drop(s);
    return NULL;
}

static void *prepare_plain(const peer_problem *p) {
    return prepare(p, false);
}

static void *prepare_packed(const peer_problem *p) {
    return prepare(p, true);
}

static bool run(void *of) {
    state *s = of;
    return tried(pave_linear(s->queue, &s->params, NULL)) && tried(pave_queue_finish(s->queue));
}

static bool fetch(void *of, float *y) {
    state *s = of;
    return tried(pave_buffer_read(s->queue, s->buffers[3], 0, y, s->y_bytes, PAVE_BLOCK, NULL));
}

const peer peer_pave = {"pave", "all", prepare_plain, run, fetch, drop};
const peer peer_pave_packed = {"pave packed", "all", prepare_packed, run, fetch, drop};
