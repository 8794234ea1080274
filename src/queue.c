/* SPDX-License-Identifier: Apache-2.0
 * Queues, events, and the bracket of waits and events that every enqueued operation is in. */
#include "src/calls.h"

#include <stdlib.h>

static const pave__backend *backend_of(const pave_context *context) {
    return context->device->backend;
}

pave_status pave__queue_new(pave_context *context, const pave_queue_params *params, const uint64_t *handle,
                            pave_queue **out) {
    if (params && params->size != sizeof *params)
        return pave__fail(PAVE_E_INVALID, "params->size is %zu where this library has %zu", params->size,
                          sizeof *params);
    pave_queue *queue = calloc(1, sizeof *queue);
    if (!queue) return pave__fail(PAVE_E_HOST_MEMORY, "no memory for a queue");
    queue->profiling = params && params->profiling;
    const pave__backend *backend = backend_of(context);
    pave_status status = handle
                             ? backend->queue_wrap(context->native, *handle, queue->profiling, &queue->native)
                             : backend->queue_open(context->native, queue->profiling, &queue->native);
    if (status) {
        free(queue);
        return status;
    }
    queue->context = pave__context_retain(context);
    *out = queue;
    return PAVE_OK;
}

pave_status pave_queue_create(pave_context *context, const pave_queue_params *params, pave_queue **out) {
    if (!out) return pave__fail(PAVE_E_INVALID, "queue is NULL");
    *out = NULL;
    if (!context) return pave__fail(PAVE_E_INVALID, "context is NULL");
    return pave__queue_new(context, params, NULL, out);
}

void pave_queue_destroy(pave_queue **handle) {
    if (!handle || !*handle) return;
    pave_queue *queue = *handle;
    *handle = NULL;
    pave_context *context = queue->context;
    if (queue->calls) backend_of(context)->queue_finish(queue->native);
    pave__calls_free(queue);
    backend_of(context)->queue_close(queue->native);
    if (queue->workspace) backend_of(context)->memory_free(context->native, queue->workspace);
    if (queue->counters) backend_of(context)->memory_free(context->native, queue->counters);
    free(queue);
    pave__context_release(context);
}

pave_status pave_queue_finish(pave_queue *queue) {
    if (!queue) return pave__fail(PAVE_E_INVALID, "queue is NULL");
    return backend_of(queue->context)->queue_finish(queue->native);
}

pave_status pave_event_wait(pave_event *event) {
    if (!event) return pave__fail(PAVE_E_INVALID, "event is NULL");
    return backend_of(event->context)->event_wait(event->native);
}

pave_status pave_event_query(pave_event *event) {
    if (!event) return pave__fail(PAVE_E_INVALID, "event is NULL");
    return backend_of(event->context)->event_query(event->native);
}

pave_status pave_event_duration(pave_event *event, uint64_t *ns) {
    if (!event) return pave__fail(PAVE_E_INVALID, "event is NULL");
    if (!ns) return pave__fail(PAVE_E_INVALID, "ns is NULL");
    if (!event->profiling)
        return pave__fail(PAVE_E_UNSUPPORTED, "the event's queue was made without profiling");
    pave_status status = pave_event_query(event);
    if (status == PAVE_E_NOT_READY) return pave__fail(status, "the event's work is not done");
    return status ? status : backend_of(event->context)->event_duration(event->native, ns);
}

/* Events come and go with every call, so the context keeps those that went. */
static pave_event *event_take(pave_context *context) {
    pthread_mutex_lock(&context->lock);
    pave_event *event = context->free_events;
    if (event) context->free_events = event->next;
    pthread_mutex_unlock(&context->lock);
    return event ? event : calloc(1, sizeof *event);
}

static void event_keep(pave_context *context, pave_event *event) {
    pthread_mutex_lock(&context->lock);
    event->next = context->free_events;
    context->free_events = event;
    pthread_mutex_unlock(&context->lock);
}

void pave_event_destroy(pave_event **handle) {
    if (!handle || !*handle) return;
    pave_event *event = *handle;
    *handle = NULL;
    pave_context *context = event->context;
    backend_of(context)->event_free(event->native);
    event_keep(context, event);
    pave__context_release(context);
}

static pave_status event_create(pave_queue *queue, pave_event **out) {
    pave_event *event = event_take(queue->context);
    if (!event) return pave__fail(PAVE_E_HOST_MEMORY, "no memory for an event");
    pave_status status = backend_of(queue->context)->event_begin(queue->native, &event->native);
    if (status) {
        event_keep(queue->context, event);
        return status;
    }
    event->context = pave__context_retain(queue->context);
    event->profiling = queue->profiling;
    *out = event;
    return PAVE_OK;
}

pave_status pave__sync_begin(pave_queue *queue, const pave_sync *sync, pave_event **event) {
    *event = NULL;
    if (!queue) return pave__fail(PAVE_E_INVALID, "queue is NULL");
    if (!sync) return PAVE_OK;
    if (sync->event) *sync->event = NULL;
    if (sync->wait_count && !sync->wait)
        return pave__fail(PAVE_E_INVALID, "sync->wait is NULL with wait_count %zu", sync->wait_count);
    for (size_t i = 0; i < sync->wait_count; i++) {
        if (!sync->wait[i]) return pave__fail(PAVE_E_INVALID, "sync->wait[%zu] is NULL", i);
        if (sync->wait[i]->context != queue->context)
            return pave__fail(PAVE_E_INVALID, "sync->wait[%zu] is of another context than the queue", i);
    }
    for (size_t i = 0; i < sync->wait_count; i++) {
        pave_status status = backend_of(queue->context)->queue_wait(queue->native, sync->wait[i]->native);
        if (status) return status;
    }
    return sync->event ? event_create(queue, event) : PAVE_OK;
}

pave_status pave__sync_end(pave_queue *queue, const pave_sync *sync, pave_event *event, pave_status status) {
    if (!event) return status;
    pave_status ended = backend_of(queue->context)->event_end(queue->native, event->native);
    if (!status) status = ended;
    if (status)
        pave_event_destroy(&event);
    else
        *sync->event = event;
    return status;
}
