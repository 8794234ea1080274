/* SPDX-License-Identifier: Apache-2.0
 * The CUDA backend's objects, as cuda.c makes them, event.c times them, upload.c fills them, launch.c gives them work and
 * interop.c wraps them. */
#ifndef PAVE_BACKENDS_CUDA_OBJECTS_H
#define PAVE_BACKENDS_CUDA_OBJECTS_H

#include "backends/cuda/driver.h"
#include <pthread.h>

typedef struct cuda_context {
    CUdevice device;
    CUcontext context;
    pthread_mutex_t lock;
    bool overlaps;                  /* kernels wait themselves for the launches before theirs */
    CUmodule module;                /* loaded with the first kernel */
    struct cuda_event *free_events; /* of queues with and without profiling, by kind */
    struct cuda_event *free_timed;
} cuda_context;

typedef struct cuda_queue {
    cuda_context *context;
    CUstream stream;
    int profiling;
    int wrapped;                        /* the stream is the caller's */
    struct cuda_stage *oldest, *newest; /* stages of uploads, by their last use */
    int stage_count;
} cuda_queue;

/* Every entry that talks of a context makes it current for its own time and leaves the thread as it was. */
pave_status cuda_enter(cuda_context *c);
void cuda_leave(void);

/* Events (event.c), as src/backend.h says. */
pave_status cuda_event_begin(void *queue, void **event);
pave_status cuda_event_end(void *queue, void *event);
pave_status cuda_queue_wait(void *queue, void *event);
pave_status cuda_event_wait(void *event);
pave_status cuda_event_query(void *event);
pave_status cuda_event_duration(void *event, uint64_t *ns);
void cuda_event_free(void *event);
/* Ends the events kept for reuse. Where the context cannot be made current the driver's events go with it; their
 * records are still ours. */
void cuda_events_free(cuda_context *c, bool current);

/* Uploads (upload.c), as src/backend.h says. The stages go when nothing of the queue is under way, `current` as for
 * events. */
pave_status cuda_upload(void *queue, void *memory, uint64_t offset, const void *source, uint64_t bytes);
void cuda_uploads_free(cuda_queue *q, bool current);

/* Launches (launch.c), as src/backend.h says. */
pave_status cuda_launch(void *queue, void *const *kernels, const pave__launch *list, size_t count);
pave_status cuda_record(void *queue, void *const *kernels, const pave__launch *list, size_t count,
                        void **recorded);
pave_status cuda_replay(void *queue, void *recorded);
void cuda_record_free(void *queue, void *recorded);

/* Native handles (interop.c), as src/backend.h says. */
pave_status cuda_memory_wrap(void *context, uint64_t handle, uint64_t bytes, void **memory, uint32_t *align);
void cuda_memory_unwrap(void *context, void *memory);
uint64_t cuda_memory_native(void *memory);
pave_status cuda_queue_wrap(void *context, uint64_t handle, int profiling, void **queue);
uint64_t cuda_queue_native(void *queue);
uint64_t cuda_context_native(void *context);

#endif
