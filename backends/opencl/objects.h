/* SPDX-License-Identifier: Apache-2.0
 * The OpenCL backend's objects, as opencl.c makes them, event.c times them and interop.c wraps them. */
#ifndef PAVE_BACKENDS_OPENCL_OBJECTS_H
#define PAVE_BACKENDS_OPENCL_OBJECTS_H

#include "backends/opencl/driver.h"

/* Memory remembers its size: drivers overcommit, so the context keeps the account. Memory that is
 * wrapped is not in it, and has 0 bytes here. */
typedef struct cl_memory {
    cl_mem mem;
    uint64_t bytes;
} cl_memory;

typedef struct cl_queue {
    cl_ctx *context;
    cl_command_queue queue; /* counted, whoever made it */
    struct cl_span *span;   /* open, or NULL */
} cl_queue;

/* Events (event.c), as src/backend.h says. Every command is enqueued with cl_wanted's event and goes through
 * cl_enqueued, which keeps the open span and translates the code. */
cl_event *cl_wanted(cl_queue *q, cl_event *event);
pave_status cl_enqueued(cl_queue *q, cl_int code, cl_event event, const char *doing);
pave_status cl_event_begin(void *queue, void **event);
pave_status cl_event_end(void *queue, void *event);
pave_status cl_queue_wait(void *queue, void *event);
pave_status cl_event_wait(void *event);
pave_status cl_event_query(void *event);
pave_status cl_event_duration(void *event, uint64_t *ns);
void cl_event_free(void *event);

/* Native handles (interop.c), as src/backend.h says. Releasing is the same for memory that is wrapped. */
pave_status cl_memory_wrap(void *context, uint64_t handle, uint64_t bytes, void **memory, uint32_t *align);
uint64_t cl_memory_native(void *memory);
pave_status cl_queue_wrap(void *context, uint64_t handle, int profiling, void **queue);
uint64_t cl_queue_native(void *queue);
uint64_t cl_context_native(void *context);

#endif
