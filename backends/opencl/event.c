/* SPDX-License-Identifier: Apache-2.0
 * The OpenCL backend's events: spans of commands. */
#include "backends/opencl/objects.h"

#include <stdatomic.h>
#include <stdlib.h>

/* An event is the first and the last command between begin and end. */
typedef struct cl_span {
    cl_event first, last;
    atomic_bool flushed;    /* threads may ask for one event at once */
    cl_command_queue queue; /* retained: an event outlives its queue */
} cl_span;

/* Where a command's event goes, and what becomes of it. */
cl_event *cl_wanted(cl_queue *q, cl_event *event) {
    return q->span ? event : NULL;
}

pave_status cl_enqueued(cl_queue *q, cl_int code, cl_event event, const char *doing) {
    pave_status status = cl_check(code, doing);
    if (status || !q->span) return status;
    if (q->span->last && q->span->last != q->span->first) cl_driver.clReleaseEvent(q->span->last);
    if (!q->span->first) q->span->first = event;
    q->span->last = event;
    return PAVE_OK;
}

void cl_event_free(void *event) {
    cl_span *s = event;
    if (s->last && s->last != s->first) cl_driver.clReleaseEvent(s->last);
    if (s->first) cl_driver.clReleaseEvent(s->first);
    cl_driver.clReleaseCommandQueue(s->queue);
    free(s);
}

pave_status cl_event_begin(void *queue, void **event) {
    cl_queue *q = queue;
    cl_span *s = calloc(1, sizeof *s);
    if (!s) return pave__fail(PAVE_E_HOST_MEMORY, "opencl: no memory for an event");
    cl_int code = cl_driver.clRetainCommandQueue(q->queue);
    if (code != CL_SUCCESS) {
        free(s);
        return cl_check(code, "keeping a queue for an event");
    }
    s->queue = q->queue;
    q->span = s;
    *event = s;
    return PAVE_OK;
}

pave_status cl_event_end(void *queue, void *event) {
    cl_queue *q = queue;
    cl_span *s = event;
    pave_status status = PAVE_OK;
    if (!s->first) {
        cl_event marker = NULL;
        cl_int code = cl_driver.clEnqueueMarkerWithWaitList(q->queue, 0, NULL, &marker);
        status = cl_enqueued(q, code, marker, "enqueueing a marker");
    }
    q->span = NULL;
    return status;
}

/* What is waited for must be on its way to the device. */
static pave_status flush(cl_span *s) {
    if (atomic_exchange(&s->flushed, true)) return PAVE_OK;
    return cl_check(cl_driver.clFlush(s->queue), "flushing a queue");
}

pave_status cl_queue_wait(void *queue, void *event) {
    cl_queue *q = queue;
    cl_span *s = event;
    if (s->queue == q->queue) return PAVE_OK; /* in order */
    pave_status status = flush(s);
    if (status) return status;
    return cl_check(cl_driver.clEnqueueBarrierWithWaitList(q->queue, 1, &s->last, NULL),
                    "making a queue wait");
}

pave_status cl_event_wait(void *event) {
    cl_span *s = event;
    return cl_check(cl_driver.clWaitForEvents(1, &s->last), "waiting for an event");
}

pave_status cl_event_query(void *event) {
    cl_span *s = event;
    cl_int state = CL_QUEUED;
    pave_status status = flush(s);
    if (!status)
        status = cl_check(
            cl_driver.clGetEventInfo(s->last, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL),
            "asking for an event");
    if (!status && state < 0) status = cl_check(state, "work of an event");
    return status ? status : state == CL_COMPLETE ? PAVE_OK : PAVE_E_NOT_READY;
}

pave_status cl_event_duration(void *event, uint64_t *ns) {
    cl_span *s = event;
    cl_ulong begin = 0, end = 0;
    cl_int code =
        cl_driver.clGetEventProfilingInfo(s->first, CL_PROFILING_COMMAND_START, sizeof begin, &begin, NULL);
    if (code == CL_SUCCESS)
        code = cl_driver.clGetEventProfilingInfo(s->last, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
    if (code == CL_SUCCESS) *ns = end > begin ? end - begin : 0;
    return cl_check(code, "timing an event");
}
