/* SPDX-License-Identifier: Apache-2.0
 * The CUDA backend's events. They are reused: enqueueing makes none in a steady state. */
#include "backends/cuda/objects.h"

#include <stdlib.h>

typedef struct cuda_event {
    cuda_context *context;
    CUevent begin, end; /* begin: of profiling queues only */
    struct cuda_event *next;
} cuda_event;

static void event_destroy(cuda_event *e) {
    if (e->begin) cuda_driver.EventDestroy(e->begin);
    if (e->end) cuda_driver.EventDestroy(e->end);
    free(e);
}

static void destroy_list(cuda_event *list, bool current) {
    while (list) {
        cuda_event *next = list->next;
        if (current)
            event_destroy(list);
        else
            free(list);
        list = next;
    }
}

void cuda_events_free(cuda_context *c, bool current) {
    destroy_list(c->free_events, current);
    destroy_list(c->free_timed, current);
}

static pave_status event_make(cuda_queue *q, cuda_event **out) {
    cuda_context *c = q->context;
    cuda_event **list = q->profiling ? &c->free_timed : &c->free_events;
    pthread_mutex_lock(&c->lock);
    cuda_event *e = *list;
    if (e) *list = e->next;
    pthread_mutex_unlock(&c->lock);
    if (!e) {
        e = calloc(1, sizeof *e);
        if (!e) return pave__fail(PAVE_E_HOST_MEMORY, "cuda: no memory for an event");
        e->context = c;
        unsigned flags = q->profiling ? CU_EVENT_DEFAULT : CU_EVENT_DISABLE_TIMING;
        pave_status status = cuda_check(cuda_driver.EventCreate(&e->end, flags), "making an event");
        if (!status && q->profiling)
            status = cuda_check(cuda_driver.EventCreate(&e->begin, flags), "making an event");
        if (status) {
            event_destroy(e);
            return status;
        }
    }
    *out = e;
    return PAVE_OK;
}

void cuda_event_free(void *event) {
    cuda_event *e = event;
    cuda_context *c = e->context;
    pthread_mutex_lock(&c->lock);
    cuda_event **list = e->begin ? &c->free_timed : &c->free_events;
    e->next = *list;
    *list = e;
    pthread_mutex_unlock(&c->lock);
}

pave_status cuda_event_begin(void *queue, void **out) {
    cuda_queue *q = queue;
    cuda_event *e = NULL;
    pave_status status = cuda_enter(q->context);
    if (status) return status;
    status = event_make(q, &e);
    if (!status && e->begin) {
        status = cuda_check(cuda_driver.EventRecord(e->begin, q->stream), "recording an event");
        if (status) cuda_event_free(e);
    }
    cuda_leave();
    if (!status) *out = e;
    return status;
}

pave_status cuda_event_end(void *queue, void *event) {
    cuda_queue *q = queue;
    pave_status status = cuda_enter(q->context);
    if (status) return status;
    status = cuda_check(cuda_driver.EventRecord(((cuda_event *)event)->end, q->stream), "recording an event");
    cuda_leave();
    return status;
}

pave_status cuda_queue_wait(void *queue, void *event) {
    cuda_queue *q = queue;
    pave_status status = cuda_enter(q->context);
    if (status) return status;
    status = cuda_check(cuda_driver.StreamWaitEvent(q->stream, ((cuda_event *)event)->end, 0),
                        "making a queue wait");
    cuda_leave();
    return status;
}

pave_status cuda_event_wait(void *event) {
    cuda_event *e = event;
    pave_status status = cuda_enter(e->context);
    if (status) return status;
    status = cuda_check(cuda_driver.EventSynchronize(e->end), "waiting for an event");
    cuda_leave();
    return status;
}

pave_status cuda_event_query(void *event) {
    cuda_event *e = event;
    pave_status status = cuda_enter(e->context);
    if (status) return status;
    CUresult result = cuda_driver.EventQuery(e->end);
    cuda_leave();
    return result == CUDA_ERROR_NOT_READY ? PAVE_E_NOT_READY : cuda_check(result, "asking for an event");
}

pave_status cuda_event_duration(void *event, uint64_t *ns) {
    cuda_event *e = event;
    float ms = 0;
    pave_status status = cuda_enter(e->context);
    if (status) return status;
    status = cuda_check(cuda_driver.EventElapsedTime(&ms, e->begin, e->end), "timing an event");
    cuda_leave();
    *ns = (uint64_t)((double)ms * 1e6);
    return status;
}
