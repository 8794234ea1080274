/* SPDX-License-Identifier: Apache-2.0
 * Streams and events. Work is done at once, or, deferred, as late as CUDA allows: only when something waits
 * for it, one stream at a time, and of other streams what an event asks for. */
#include "tests/fake_cuda/inside.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* cuda.h may have made it the name of a newer one, and then declares only that. */
#undef cuEventElapsedTime
CUresult CUDAAPI cuEventElapsedTime(float *ms, CUevent begin, CUevent end);

struct CUstream_st {
    struct CUstream_st *next;
    CUcontext context;
    CUgraph captured; /* NULL where it is not capturing */
    fake_op *first, *last;
};

struct CUevent_st {
    struct CUevent_st *next;
    CUcontext context;
    unsigned flags, holders; /* its handle and the records under way */
    int destroyed;
    uint64_t recorded; /* sequence of the last record; 0: never */
    double ns;         /* when that was done */
};

static CUstream streams;
static CUevent events;
static uint64_t sequences;
static double device_ns;

static CUstream find_stream(CUstream stream) {
    CUstream s = streams;
    while (s && s != stream) s = s->next;
    return s;
}

/* A destroyed event is found by nobody, though records may still hold it. */
static CUevent find_event(CUevent event) {
    CUevent e = events;
    while (e && e != event) e = e->next;
    return e && !e->destroyed ? e : NULL;
}

static void event_let_go(CUevent event) {
    if (--event->holders) return;
    CUevent *link = &events;
    while (*link != event) link = &(*link)->next;
    *link = event->next;
    free(event);
}

static void run_until(uint64_t sequence);

static void set_memory(const fake_op *op) {
    for (uint64_t i = 0; i < op->count; i++)
        for (unsigned b = 0; b < op->size; b++)
            ((unsigned char *)op->target)[i * op->size + b] = (unsigned char)(op->value >> 8 * b);
}

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Device time is that of the work alone, and a microsecond each. */
static void perform(fake_op *op) {
    double begin = now_ns();
    switch (op->kind) {
    case FAKE_COPY: memmove(op->target, op->source, op->count); break;
    case FAKE_SET: set_memory(op); break;
    case FAKE_LAUNCH: fake_execute(&op->launch); break;
    case FAKE_WAIT: run_until(op->awaits); return;
    case FAKE_RECORD:
        if (op->event->recorded == op->sequence) op->event->ns = device_ns;
        event_let_go(op->event);
        return;
    }
    device_ns += 1000 + now_ns() - begin;
}

/* The oldest of a stream's ops leaves it when it is done, so that its sequence says what is. */
static void step(CUstream stream) {
    fake_op *op = stream->first;
    perform(op);
    stream->first = op->next;
    if (!stream->first) stream->last = NULL;
    free(op);
}

static CUstream stream_of(uint64_t sequence) {
    for (CUstream s = streams; s; s = s->next)
        for (fake_op *op = s->first; op; op = op->next)
            if (op->sequence == sequence) return s;
    return NULL;
}

int fake_is_read(const void *at, uint64_t bytes) {
    uintptr_t begin = (uintptr_t)at;
    for (CUstream s = streams; s; s = s->next)
        for (fake_op *op = s->first; op; op = op->next) {
            uintptr_t source = (uintptr_t)op->source;
            if (op->kind == FAKE_COPY && source < begin + bytes && begin < source + op->count) return 1;
        }
    return 0;
}

static void run_until(uint64_t sequence) {
    for (CUstream s; (s = stream_of(sequence));) step(s);
}

static void finish(CUstream stream) {
    while (stream->first) step(stream);
}

void fake_drain(CUcontext context) {
    for (CUstream s = streams; s; s = s->next)
        if (s->context == context) finish(s);
}

int fake_captures(CUstream stream) {
    return stream->captured != NULL;
}

CUresult fake_submit(CUstream stream, const char *who, const fake_op *op) {
    CUcontext context = fake_current(who);
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    if (!find_stream(stream) || stream->context != context)
        return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "%s: no such stream of the current context", who);
    if (stream->captured)
        return op->kind == FAKE_LAUNCH ? fake_graph_add(stream->captured, &op->launch)
                                       : fake_misuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                                                     "%s: while launches are captured", who);
    fake_op *copy = malloc(sizeof *copy);
    if (!copy) return CUDA_ERROR_UNKNOWN;
    *copy = *op;
    copy->next = NULL;
    copy->sequence = ++sequences;
    if (copy->kind == FAKE_RECORD) {
        copy->event->recorded = copy->sequence;
        copy->event->holders++;
    }
    if (stream->last)
        stream->last->next = copy;
    else
        stream->first = copy;
    stream->last = copy;
    if (!fake_deferred) finish(stream);
    return CUDA_SUCCESS;
}

FAKE_API CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
    ENTER(cuStreamCreate);
    if (fault) return fault;
    CUcontext context = fake_current("cuStreamCreate");
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    if (flags & ~(unsigned)CU_STREAM_NON_BLOCKING)
        return fake_misuse(CUDA_ERROR_INVALID_VALUE, "cuStreamCreate: flags %u", flags);
    CUstream s = calloc(1, sizeof *s);
    if (!s) return CUDA_ERROR_UNKNOWN;
    s->context = context;
    s->next = streams;
    streams = s;
    fake_counts.streams++;
    *stream = s;
    return CUDA_SUCCESS;
}

static void stream_remove(CUstream *link) {
    CUstream s = *link;
    finish(s);
    *link = s->next;
    free(s);
    fake_counts.streams--;
}

FAKE_API CUresult cuStreamDestroy_v2(CUstream stream) {
    ENTER(cuStreamDestroy_v2);
    if (!fake_current("cuStreamDestroy")) return CUDA_ERROR_INVALID_CONTEXT;
    for (CUstream *link = &streams; *link; link = &(*link)->next)
        if (*link == stream && !stream->captured) {
            stream_remove(link);
            return fault;
        }
    return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuStreamDestroy: no such stream");
}

/* Waiting fails because the work did: none of it is under way any more when it has. */
FAKE_API CUresult cuStreamSynchronize(CUstream stream) {
    ENTER(cuStreamSynchronize);
    if (!fake_current("cuStreamSynchronize")) return CUDA_ERROR_INVALID_CONTEXT;
    if (!find_stream(stream) || stream->captured)
        return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuStreamSynchronize: no such stream");
    finish(stream);
    return fault;
}

FAKE_API CUresult cuStreamGetCtx(CUstream stream, CUcontext *context) {
    ENTER(cuStreamGetCtx);
    if (fault) return fault;
    if (!find_stream(stream)) return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuStreamGetCtx: no such stream");
    *context = stream->context;
    return CUDA_SUCCESS;
}

FAKE_API CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status) {
    ENTER(cuStreamIsCapturing);
    if (fault) return fault;
    if (!find_stream(stream))
        return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuStreamIsCapturing: no such stream");
    *status = stream->captured ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

FAKE_API CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
    ENTER(cuStreamBeginCapture_v2);
    if (fault) return fault;
    if (!find_stream(stream) || stream->captured || mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuStreamBeginCapture: no such stream, or mode %d",
                           (int)mode);
    stream->captured = fake_graph_new();
    return stream->captured ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

/* Whatever it reports, the stream is as it was before. */
FAKE_API CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
    ENTER(cuStreamEndCapture);
    if (!find_stream(stream) || !stream->captured)
        return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuStreamEndCapture: no stream that captures");
    *graph = stream->captured;
    stream->captured = NULL;
    return fault;
}

FAKE_API CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
    ENTER(cuStreamWaitEvent);
    if (fault) return fault;
    if (flags || !find_event(event))
        return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuStreamWaitEvent: no such event, or flags %u", flags);
    fake_op op = {.kind = FAKE_WAIT, .awaits = event->recorded};
    return fake_submit(stream, "cuStreamWaitEvent", &op);
}

FAKE_API CUresult cuEventCreate(CUevent *event, unsigned flags) {
    ENTER(cuEventCreate);
    if (fault) return fault;
    CUcontext context = fake_current("cuEventCreate");
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    CUevent e = calloc(1, sizeof *e);
    if (!e) return CUDA_ERROR_UNKNOWN;
    e->context = context;
    e->flags = flags;
    e->holders = 1;
    e->next = events;
    events = e;
    fake_counts.events++;
    *event = e;
    return CUDA_SUCCESS;
}

static void event_destroy(CUevent event) {
    event->destroyed = 1;
    fake_counts.events--;
    event_let_go(event);
}

FAKE_API CUresult cuEventDestroy_v2(CUevent event) {
    ENTER(cuEventDestroy_v2);
    if (!find_event(event)) return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuEventDestroy: no such event");
    event_destroy(event);
    return fault;
}

FAKE_API CUresult cuEventRecord(CUevent event, CUstream stream) {
    ENTER(cuEventRecord);
    if (fault) return fault;
    if (!find_event(event)) return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuEventRecord: no such event");
    fake_op op = {.kind = FAKE_RECORD, .event = event};
    return fake_submit(stream, "cuEventRecord", &op);
}

FAKE_API CUresult cuEventSynchronize(CUevent event) {
    ENTER(cuEventSynchronize);
    if (!find_event(event))
        return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuEventSynchronize: no such event");
    run_until(event->recorded);
    return fault;
}

/* Deferred work gets on by one step each time that somebody asks. */
FAKE_API CUresult cuEventQuery(CUevent event) {
    ENTER(cuEventQuery);
    if (fault) return fault;
    if (!find_event(event)) return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuEventQuery: no such event");
    CUstream stream = stream_of(event->recorded);
    if (!stream) return CUDA_SUCCESS;
    step(stream);
    return CUDA_ERROR_NOT_READY;
}

FAKE_API CUresult cuEventElapsedTime(float *ms, CUevent begin, CUevent end) {
    ENTER(cuEventElapsedTime);
    if (fault) return fault;
    if (!find_event(begin) || !find_event(end) || (begin->flags | end->flags) & CU_EVENT_DISABLE_TIMING ||
        !begin->recorded || !end->recorded)
        return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuEventElapsedTime: an event without a time");
    if (stream_of(begin->recorded) || stream_of(end->recorded)) return CUDA_ERROR_NOT_READY;
    *ms = (float)((end->ns - begin->ns) * 1e-6);
    return CUDA_SUCCESS;
}

void fake_streams_drop(CUcontext context) {
    fake_drain(context);
    for (CUstream *link = &streams; *link;) {
        if ((*link)->context != context) {
            link = &(*link)->next;
            continue;
        }
        fake_counts.orphans++;
        stream_remove(link);
    }
    for (CUevent e = events, next; e; e = next) {
        next = e->next;
        if (e->context != context) continue;
        fake_counts.orphans++;
        event_destroy(e);
    }
}
