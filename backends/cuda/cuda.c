/* SPDX-License-Identifier: Apache-2.0
 * The CUDA backend: contexts, memory, streams and kernels by the driver's functions; events are in event.c, uploads in
 * upload.c. A context is the device's primary one, shared with whatever else the process runs on it. */
#include "backends/cuda/objects.h"
#include "kernels/embedded.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES_MAX 64

static CUdevice devices[DEVICES_MAX];

pave_status cuda_enter(cuda_context *c) {
    return cuda_check(cuda_driver.CtxPushCurrent(c->context), "making the context current");
}

void cuda_leave(void) {
    CUcontext popped;
    cuda_driver.CtxPopCurrent(&popped);
}

static void probe_device(pave__probe *sink, int index, int version) {
    pave_device_info info;
    char what[160], why[256];
    snprintf(what, sizeof what, "cuda:%d", index);
    CUresult got = cuda_driver.DeviceGet(&devices[index], index);
    if (got != CUDA_SUCCESS) {
        cuda_error_text(got, "getting a device", why, sizeof why);
        pave__probe_refused(sink, what, "%s", why);
        return;
    }
    if (cuda_describe(devices[index], index, version, &info, why, sizeof why)) {
        pave__probe_found(sink, &info, &devices[index]);
        return;
    }
    snprintf(what, sizeof what, "cuda:%d (%.100s)", index, info.name);
    pave__probe_refused(sink, what, "%s", why);
}

/* NVIDIA's compatibility guide: kernels load on a driver of their toolkit's major version or a newer one. */
static bool new_enough(int version, char *why, size_t capacity) {
    if (version / 1000 >= CUDA_VERSION / 1000) return true;
    snprintf(why, capacity, "the driver is for CUDA %d.%d; kernels built by CUDA %d.%d need %d.0 or newer",
             version / 1000, version % 1000 / 10, CUDA_VERSION / 1000, CUDA_VERSION % 1000 / 10,
             CUDA_VERSION / 1000);
    return false;
}

static void probe(pave__probe *sink) {
    char why[512];
    if (!cuda_driver_load(why, sizeof why)) {
        pave__probe_refused(sink, "cuda", "%s", why);
        return;
    }
    int version = 0, count = 0;
    const char *doing = "initialising the driver";
    CUresult result = cuda_driver.Init(0);
    if (result == CUDA_SUCCESS) {
        doing = "asking for its version";
        result = cuda_driver.DriverGetVersion(&version);
    }
    if (result == CUDA_SUCCESS) {
        doing = "counting devices";
        result = cuda_driver.DeviceGetCount(&count);
    }
    if (result != CUDA_SUCCESS) {
        cuda_error_text(result, doing, why, sizeof why);
        pave__probe_refused(sink, "cuda", "%s", why);
        return;
    }
    if (!new_enough(version, why, sizeof why)) {
        pave__probe_refused(sink, "cuda", "%s", why);
        return;
    }
    if (count == 0) pave__probe_refused(sink, "cuda", "the driver has no device");
    for (int i = 0; i < count && i < DEVICES_MAX; i++) probe_device(sink, i, version);
}

static pave_status context_open(void *native, const pave_device_info *info, void **out) {
    cuda_context *c = calloc(1, sizeof *c);
    if (!c) return pave__fail(PAVE_E_HOST_MEMORY, "cuda: no memory for a context");
    c->device = *(CUdevice *)native;
    int version = 0;
    pave_status status =
        cuda_check(cuda_driver.DriverGetVersion(&version), "asking for the driver's version");
    if (!status)
        status = cuda_check(cuda_driver.DevicePrimaryCtxRetain(&c->context, c->device),
                            "opening the device's context");
    if (status) {
        free(c);
        return status;
    }
    c->overlaps = cuda_overlaps(info->compute_capability, version);
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    return PAVE_OK;
}

static void context_close(void *context) {
    cuda_context *c = context;
    bool current = !cuda_enter(c);
    cuda_events_free(c, current);
    if (current && c->module) cuda_driver.ModuleUnload(c->module);
    if (current) cuda_leave();
    cuda_driver.DevicePrimaryCtxRelease(c->device);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* Memory is a CUdeviceptr in a pointer's clothes. */
static CUdeviceptr pointer_of(void *memory) {
    return (CUdeviceptr)(uintptr_t)memory;
}

static pave_status memory_alloc(void *context, uint64_t bytes, void **memory) {
    pave_status status = cuda_enter(context);
    if (status) return status;
    CUdeviceptr pointer = 0;
    CUresult result = cuda_driver.MemAlloc(&pointer, bytes);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
        size_t left = 0, total = 0;
        cuda_driver.MemGetInfo(&left, &total);
        status = pave__fail(PAVE_E_DEVICE_MEMORY,
                            "cuda: no memory for %" PRIu64 " bytes; %zu of %zu are free", bytes, left, total);
    } else {
        status = cuda_check(result, "allocating memory");
    }
    cuda_leave();
    if (!status) *memory = (void *)(uintptr_t)pointer;
    return status;
}

/* The driver waits for work that uses the memory before it takes it back. */
static void memory_free(void *context, void *memory) {
    if (cuda_enter(context)) return;
    cuda_driver.MemFree(pointer_of(memory));
    cuda_leave();
}

static pave_status queue_open(void *context, int profiling, void **out) {
    cuda_queue *q = calloc(1, sizeof *q);
    if (!q) return pave__fail(PAVE_E_HOST_MEMORY, "cuda: no memory for a queue");
    q->context = context;
    q->profiling = profiling;
    pave_status status = cuda_enter(context);
    if (!status) {
        status = cuda_check(cuda_driver.StreamCreate(&q->stream, CU_STREAM_NON_BLOCKING), "making a stream");
        cuda_leave();
    }
    if (status) {
        free(q);
        return status;
    }
    *out = q;
    return PAVE_OK;
}

static void queue_close(void *queue) {
    cuda_queue *q = queue;
    bool current = !cuda_enter(q->context);
    if (current) cuda_driver.StreamSynchronize(q->stream);
    cuda_uploads_free(q, current);
    if (current && !q->wrapped) cuda_driver.StreamDestroy(q->stream);
    if (current) cuda_leave();
    free(q);
}

static pave_status queue_finish(void *queue) {
    cuda_queue *q = queue;
    pave_status status = cuda_enter(q->context);
    if (status) return status;
    status = cuda_check(cuda_driver.StreamSynchronize(q->stream), "waiting for a queue");
    cuda_leave();
    return status;
}

static pave_status finish_if(cuda_queue *q, int blocking, pave_status status) {
    if (!status && blocking)
        status = cuda_check(cuda_driver.StreamSynchronize(q->stream), "waiting for a transfer");
    cuda_leave();
    return status;
}

static pave_status write_memory(void *queue, void *memory, uint64_t offset, const void *source,
                                uint64_t bytes, int blocking) {
    cuda_queue *q = queue;
    pave_status status = cuda_enter(q->context);
    if (status) return status;
    status = cuda_check(cuda_driver.MemcpyHtoDAsync(pointer_of(memory) + offset, source, bytes, q->stream),
                        "writing a buffer");
    return finish_if(q, blocking, status);
}

static pave_status read_memory(void *queue, void *memory, uint64_t offset, void *target, uint64_t bytes,
                               int blocking) {
    cuda_queue *q = queue;
    pave_status status = cuda_enter(q->context);
    if (status) return status;
    status = cuda_check(cuda_driver.MemcpyDtoHAsync(target, pointer_of(memory) + offset, bytes, q->stream),
                        "reading a buffer");
    return finish_if(q, blocking, status);
}

static CUresult fill_async(CUdeviceptr at, uint64_t bytes, const void *pattern, size_t size,
                           CUstream stream) {
    uint8_t one;
    uint16_t two;
    uint32_t four;
    switch (size) {
    case 1: memcpy(&one, pattern, 1); return cuda_driver.MemsetD8Async(at, one, bytes, stream);
    case 2: memcpy(&two, pattern, 2); return cuda_driver.MemsetD16Async(at, two, bytes / 2, stream);
    default: memcpy(&four, pattern, 4); return cuda_driver.MemsetD32Async(at, four, bytes / 4, stream);
    }
}

static pave_status fill_memory(void *queue, void *memory, uint64_t offset, uint64_t bytes,
                               const void *pattern, size_t pattern_bytes) {
    cuda_queue *q = queue;
    pave_status status = cuda_enter(q->context);
    if (status) return status;
    status = cuda_check(fill_async(pointer_of(memory) + offset, bytes, pattern, pattern_bytes, q->stream),
                        "filling a buffer");
    return finish_if(q, 0, status);
}

static pave_status copy_memory(void *queue, void *source, uint64_t source_offset, void *target,
                               uint64_t target_offset, uint64_t bytes) {
    cuda_queue *q = queue;
    pave_status status = cuda_enter(q->context);
    if (status) return status;
    status = cuda_check(cuda_driver.MemcpyDtoDAsync(pointer_of(target) + target_offset,
                                                    pointer_of(source) + source_offset, bytes, q->stream),
                        "copying a buffer");
    return finish_if(q, 0, status);
}

static pave_status load_module(cuda_context *c) {
    pave_status status = PAVE_OK;
    pthread_mutex_lock(&c->lock);
    if (!c->module)
        status = cuda_check(cuda_driver.ModuleLoadData(&c->module, pave__embedded_fatbin[0].data),
                            "loading the kernels");
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* The limit without asking counts what a kernel declares itself, which its row does not say. The whole of a unit's memory
 * is for sharing, so that as many blocks fit as the planner counts on. */
static pave_status give_shared(CUfunction function, const pave__row *row) {
    char doing[128];
    snprintf(doing, sizeof doing, "giving kernel %s %" PRIu32 " bytes of shared memory", row->name,
             row->shared_bytes);
    pave_status status =
        cuda_check(cuda_driver.FuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                                (int)row->shared_bytes),
                   doing);
    if (status) return status;
    return cuda_check(cuda_driver.FuncSetAttribute(function,
                                                   CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT,
                                                   CU_SHAREDMEM_CARVEOUT_MAX_SHARED),
                      doing);
}

static pave_status kernel_load(void *context, const pave__row *row, uint32_t link_mask, void **kernel) {
    (void)link_mask; /* the kernels read their chain at run time */
    cuda_context *c = context;
    char doing[128];
    CUfunction function = NULL;
    pave_status status = cuda_enter(c);
    if (status) return status;
    status = load_module(c);
    snprintf(doing, sizeof doing, "finding kernel %s", row->name);
    if (!status) status = cuda_check(cuda_driver.ModuleGetFunction(&function, c->module, row->name), doing);
    if (!status && row->shared_bytes > 0) status = give_shared(function, row);
    cuda_leave();
    if (!status) *kernel = function;
    return status;
}

/* A function belongs to its module. */
static void kernel_unload(void *context, void *kernel) {
    (void)context, (void)kernel;
}

extern const pave__backend cuda_backend;

const pave__backend cuda_backend = {
    .name = "cuda",
    .id = PAVE__CUDA,
    .probe = probe,
    .context_open = context_open,
    .context_close = context_close,
    .memory_alloc = memory_alloc,
    .memory_free = memory_free,
    .queue_open = queue_open,
    .queue_close = queue_close,
    .queue_finish = queue_finish,
    .write = write_memory,
    .upload = cuda_upload,
    .read = read_memory,
    .fill = fill_memory,
    .copy = copy_memory,
    .kernel_load = kernel_load,
    .kernel_unload = kernel_unload,
    .launch = cuda_launch,
    .record = cuda_record,
    .replay = cuda_replay,
    .record_free = cuda_record_free,
    .event_begin = cuda_event_begin,
    .event_end = cuda_event_end,
    .queue_wait = cuda_queue_wait,
    .event_wait = cuda_event_wait,
    .event_query = cuda_event_query,
    .event_duration = cuda_event_duration,
    .event_free = cuda_event_free,
    .memory_wrap = cuda_memory_wrap,
    .memory_unwrap = cuda_memory_unwrap,
    .memory_native = cuda_memory_native,
    .queue_wrap = cuda_queue_wrap,
    .queue_native = cuda_queue_native,
    .context_native = cuda_context_native,
};
