/* SPDX-License-Identifier: Apache-2.0
 * What a backend gives the front end: one table of functions. A backend knows drivers and launches; it knows
 * nothing of operations, tensors or plans. All functions report failures through pave__fail and leave nothing
 * behind when they fail. Functions that take a context may be called from several threads at once. */
#ifndef PAVE_SRC_BACKEND_H
#define PAVE_SRC_BACKEND_H

#include "kernels/rows.h"
#include <pave/device.h>

/* Records the thread's last message, printf style, logs it at debug level, and returns `status`. */
pave_status pave__fail(pave_status status, const char *format, ...) PAVE_PRINTF(2, 3);
/* Logs; `level` above the set one costs a comparison. */
void pave__log(pave_log_level level, const char *format, ...) PAVE_PRINTF(2, 3);

/* Receives what a probe finds. */
typedef struct pave__probe pave__probe;
/* `native` is the backend's own, kept for the process. `info` is copied. */
void pave__probe_found(pave__probe *probe, const pave_device_info *info, void *native);
/* A device or a whole backend that cannot be used, and why, in one sentence. */
void pave__probe_refused(pave__probe *probe, const char *what, const char *format, ...) PAVE_PRINTF(3, 4);

/* A launch of a loaded kernel: buffers are whole allocations (offsets are in args); NULL where unused. */
typedef struct pave__launch {
    const pave__row *row;
    const void *args;
    size_t args_bytes, args_used; /* behind what is used there are links that no kernel reads */
    void *const *buffers;
    size_t buffer_count;
    uint32_t grid[3], block[3], shared_bytes;
    double ns; /* of the device, as predicted */
} pave__launch;

/* What a backend's own allocations are multiples of, at least. */
#define PAVE__BUFFER_ALIGN 256u

/* The largest power of two, at most PAVE__BUFFER_ALIGN, that divides an address, an offset or a stride; of
 * several or'ed together, what divides them all. */
static inline uint32_t pave__align_of(uint64_t bits) {
    bits |= PAVE__BUFFER_ALIGN;
    return (uint32_t)(bits & (~bits + 1));
}

typedef struct pave__backend {
    const char *name;
    pave__backend_id id;

    /* Loads the driver if there is one and reports devices and refusals; called once, under a lock. */
    void (*probe)(pave__probe *probe);

    pave_status (*context_open)(void *native, const pave_device_info *info, void **context);
    void (*context_close)(void *context);

    pave_status (*memory_alloc)(void *context, uint64_t bytes, void **memory); /* bytes >= 1 */
    void (*memory_free)(void *context, void *memory); /* work in flight may use it: deferred */

    pave_status (*queue_open)(void *context, int profiling, void **queue);
    void (*queue_close)(void *queue); /* finishes first */
    pave_status (*queue_finish)(void *queue);

    pave_status (*write)(void *queue, void *memory, uint64_t offset, const void *source, uint64_t bytes,
                         int blocking);
    /* As write, but `source` is done with when it returns, and nothing blocks on the queue's work where the driver can
     * help it. */
    pave_status (*upload)(void *queue, void *memory, uint64_t offset, const void *source, uint64_t bytes);
    pave_status (*read)(void *queue, void *memory, uint64_t offset, void *target, uint64_t bytes,
                        int blocking);
    pave_status (*fill)(void *queue, void *memory, uint64_t offset, uint64_t bytes, const void *pattern,
                        size_t pattern_bytes);
    pave_status (*copy)(void *queue, void *source, uint64_t source_offset, void *target,
                        uint64_t target_offset, uint64_t bytes);
    /* NULL where the backend cannot map. */
    pave_status (*map)(void *queue, void *memory, uint64_t offset, uint64_t bytes, void **pointer);
    pave_status (*unmap)(void *queue, void *memory, void *pointer);

    /* Makes `row` ready; link_mask is the set of pave_link_op bits its chain may use. The front end caches
     * what comes back by (row, link_mask) for the context's life; kernel_unload gives it back. */
    pave_status (*kernel_load)(void *context, const pave__row *row, uint32_t link_mask, void **kernel);
    void (*kernel_unload)(void *context, void *kernel);
    /* One launch after the other, kernels[i] with launches[i]; what they point to is done with when it returns. */
    pave_status (*launch)(void *queue, void *const *kernels, const pave__launch *launches, size_t count);
    /* The same launches made ready to be made again and again, for less; all NULL where the backend has nothing for that.
     * `recorded` may be NULL: then launch does it. PAVE_E_NOT_READY, which sets no message: not at this time. What is freed
     * may be under way. */
    pave_status (*record)(void *queue, void *const *kernels, const pave__launch *launches, size_t count,
                          void **recorded);
    pave_status (*replay)(void *queue, void *recorded);
    void (*record_free)(void *queue, void *recorded);

    /* An event spans what is enqueued between begin and end on one queue. */
    pave_status (*event_begin)(void *queue, void **event);
    pave_status (*event_end)(void *queue, void *event);
    pave_status (*queue_wait)(void *queue,
                              void *event); /* later work of queue waits for event; no host block */
    pave_status (*event_wait)(void *event);
    pave_status (*event_query)(void *event);                  /* PAVE_E_NOT_READY, which sets no message */
    pave_status (*event_duration)(void *event, uint64_t *ns); /* finished, profiling queue */
    void (*event_free)(void *event);

    /* Native handles, widened to 64 bits; all NULL where the backend has none. What is wrapped is not owned:
     * it is checked against the context, and memory_unwrap and queue_close leave it to its owner. `align`
     * receives the power of two, at most PAVE__BUFFER_ALIGN, that the memory's start is a multiple of. */
    pave_status (*memory_wrap)(void *context, uint64_t handle, uint64_t bytes, void **memory,
                               uint32_t *align);
    void (*memory_unwrap)(void *context, void *memory);
    uint64_t (*memory_native)(void *memory);
    pave_status (*queue_wrap)(void *context, uint64_t handle, int profiling, void **queue);
    uint64_t (*queue_native)(void *queue);
    uint64_t (*context_native)(void *context);
} pave__backend;

/* The registry (backends/registry.c): one line a backend, in auto's order; ends with NULL. */
extern const pave__backend *const pave__backends[];

#endif
