/* SPDX-License-Identifier: Apache-2.0
 * Devices, contexts, queues and events. A device is what a backend found; a context owns the caches for
 * one device; a queue runs work in order. */
#ifndef PAVE_DEVICE_H
#define PAVE_DEVICE_H

#include <pave/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pave_device_kind { PAVE_DEVICE_GPU = 1, PAVE_DEVICE_CPU = 2 } pave_device_kind;

/* Instruction paths whose rates the planner weighs. */
typedef enum pave_path {
    PAVE_PATH_FMA = 0,  /* float32 fused multiply-add outside the matrix units */
    PAVE_PATH_TF32 = 1, /* matrix units, operands of 11 significant bits in 32 */
    PAVE_PATH_F16 = 2,
    PAVE_PATH_BF16 = 3,
    PAVE_PATH_F8 = 4, /* either float8 type */
    PAVE_PATH_COUNT = 5
} pave_path;

/* A device as the planner sees it: plain data, from a driver or by name. Rates are peaks in FLOP/s (a
 * multiply-add counts 2), 0 where the device has no such path. */
typedef struct pave_device_info {
    size_t size; /* sizeof(pave_device_info), set by the caller */
    char name[128];
    char backend[16];  /* "cuda", "opencl", "host" */
    char selector[32]; /* what PAVE_BACKEND takes to choose it: "cuda:0", "opencl:1.0", "host" */
    char driver[128];  /* driver or platform and its version; "" for a device by name */
    pave_device_kind kind;
    int32_t compute_capability; /* 89 for 8.9; 0 where it is no NVIDIA device */
    int32_t compute_units;      /* SMs, cores */
    int32_t threads_per_unit;
    int32_t threads_per_block;
    int32_t blocks_per_unit;
    int32_t registers_per_unit; /* 32-bit; 0 where it does not apply */
    int32_t vector_width;       /* native float32 lanes of a CPU core; warp or wavefront size of a GPU */
    uint64_t shared_bytes_per_unit;
    uint64_t shared_bytes_per_block;
    uint64_t l2_bytes;
    uint64_t memory_bytes;
    uint64_t alloc_bytes_max; /* largest single buffer */
    double memory_bytes_per_s;
    double l2_bytes_per_s;
    double flops[PAVE_PATH_COUNT];
    double launch_ns; /* cost of one more kernel on a busy queue */
} pave_device_info;

/* Lists the devices of `backend` ("cuda", "opencl", "host"; NULL: all of them). Writes up to `capacity`
 * handles to `devices` (may be NULL with capacity 0) and their number to `count`. A backend with no
 * driver on this machine contributes none, and that is no error. Devices live as long as the process.
 * Errors: PAVE_E_INVALID for an unknown backend, a NULL count, or an environment variable of no known value.
 * Any thread. */
PAVE_API pave_status pave_device_list(const char *backend, size_t capacity, pave_device **devices,
                                      size_t *count);

/* Opens the device that `selector` names: auto | cuda[:N] | opencl[:cpu|gpu|P.D|part of a name] | host.
 * NULL or "": the environment's PAVE_BACKEND, else auto. auto takes the first cuda device, else the first
 * opencl one (a GPU before a CPU), never host. Errors: PAVE_E_INVALID for a selector of no known form,
 * PAVE_E_NOT_FOUND with every candidate and why it was refused. Any thread. */
PAVE_API pave_status pave_device_open(const char *selector, pave_device **device);

/* Copies what is known of `device`; info->size says how much the caller has room for. */
PAVE_API pave_status pave_device_describe(const pave_device *device, pave_device_info *info);

/* Describes a device by name with no device there: rtx4090, rtx4080, l40s, a100-sxm, h100-sxm, h200,
 * cpu-2, cpu-16. Errors: PAVE_E_NOT_FOUND, the message listing the names. Sources: docs/planner.md. */
PAVE_API pave_status pave_device_info_by_name(const char *name, pave_device_info *info);

/* A readable account of every backend and device: found, or refused and why. Written to `text` as
 * snprintf does; `needed` (may be NULL) receives the length without the terminator. */
PAVE_API pave_status pave_device_report(char *text, size_t capacity, size_t *needed);

/* A context on one device. Threads may share it. Destroy takes NULL and nulls the handle; what still
 * refers to the context (queues, buffers, weights) keeps it alive until destroyed itself. */
PAVE_API pave_status pave_context_create(pave_device *device, pave_context **context);
PAVE_API void pave_context_destroy(pave_context **context);
PAVE_API pave_device *pave_context_device(const pave_context *context);

typedef struct pave_queue_params {
    size_t size;       /* sizeof(pave_queue_params) */
    int32_t profiling; /* nonzero: events carry times */
} pave_queue_params;

/* An in-order queue; params NULL: defaults. One thread at a time may use it. Destroying a queue with work
 * in flight waits for that work. */
PAVE_API pave_status pave_queue_create(pave_context *context, const pave_queue_params *params,
                                       pave_queue **queue);
PAVE_API void pave_queue_destroy(pave_queue **queue);
/* Blocks until everything enqueued is done; reports a failure of that work. */
PAVE_API pave_status pave_queue_finish(pave_queue *queue);

/* Blocks until the event's work is done. */
PAVE_API pave_status pave_event_wait(pave_event *event);
/* PAVE_OK when done, PAVE_E_NOT_READY when not. Never blocks. */
PAVE_API pave_status pave_event_query(pave_event *event);
/* Duration on the device of a finished event of a profiling queue, in nanoseconds.
 * Errors: PAVE_E_NOT_READY, PAVE_E_UNSUPPORTED where the queue has no profiling. */
PAVE_API pave_status pave_event_duration(pave_event *event, uint64_t *ns);
PAVE_API void pave_event_destroy(pave_event **event);

#ifdef __cplusplus
}
#endif
#endif
