/* SPDX-License-Identifier: Apache-2.0
 * The CUDA backend's objects, as cuda.c makes them and interop.c wraps them. */
#ifndef PAVE_BACKENDS_CUDA_OBJECTS_H
#define PAVE_BACKENDS_CUDA_OBJECTS_H

#include "backends/cuda/driver.h"
#include <pthread.h>

typedef struct cuda_context {
    CUdevice device;
    CUcontext context;
    pthread_mutex_t lock;
    CUmodule module;                /* loaded with the first kernel */
    struct cuda_event *free_events; /* of queues with and without profiling, by kind */
    struct cuda_event *free_timed;
} cuda_context;

typedef struct cuda_queue {
    cuda_context *context;
    CUstream stream;
    int profiling;
    int wrapped; /* the stream is the caller's */
} cuda_queue;

/* Native handles (interop.c), as src/backend.h says. */
pave_status cuda_memory_wrap(void *context, uint64_t handle, uint64_t bytes, void **memory, uint32_t *align);
void cuda_memory_unwrap(void *context, void *memory);
uint64_t cuda_memory_native(void *memory);
pave_status cuda_queue_wrap(void *context, uint64_t handle, int profiling, void **queue);
uint64_t cuda_queue_native(void *queue);
uint64_t cuda_context_native(void *context);

#endif
