/* SPDX-License-Identifier: Apache-2.0
 * The OpenCL backend: contexts, memory, queues and events by the loader's functions; kernels are in kernel.c.
 */
#include "backends/opencl/objects.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libOpenCL.so.1"
#define PLATFORMS_MAX 16
#define DEVICES_MAX 64
/* A driver may count a fill's patterns in 32 bits from the buffer's start (NVIDIA's 580.159 loses the queue past
 * 8 GiB with patterns of 4 bytes), so that what lies further on is filled through windows of this size. */
#define FILL_DIRECT_BYTES (1ull << 31)
#define FILL_WINDOW_BYTES (1ull << 30)

static cl_native natives[DEVICES_MAX];
static int native_count;

static void probe_device(pave__probe *sink, int platform, int index, cl_native native) {
    pave_device_info info;
    char what[160], why[256];
    if (native_count == DEVICES_MAX) return;
    if (cl_describe(&native, platform, index, &info, why, sizeof why)) {
        natives[native_count] = native;
        pave__probe_found(sink, &info, &natives[native_count++]);
        return;
    }
    snprintf(what, sizeof what, "opencl:%d.%d (%.100s)", platform, index, info.name);
    pave__probe_refused(sink, what, "%s", why);
}

static void probe_platform(pave__probe *sink, int index, cl_platform_id platform) {
    cl_device_id ids[DEVICES_MAX];
    cl_uint count = 0;
    cl_int code = cl_driver.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, DEVICES_MAX, ids, &count);
    char what[32];
    snprintf(what, sizeof what, "opencl:%d", index);
    if (code == CL_DEVICE_NOT_FOUND || (code == CL_SUCCESS && count == 0)) {
        pave__probe_refused(sink, what, "the platform has no device");
        return;
    }
    if (cl_check(code, "listing a platform's devices")) {
        pave__probe_refused(sink, what, "%s", pave_last_message());
        return;
    }
    for (cl_uint i = 0; i < count && i < DEVICES_MAX; i++)
        probe_device(sink, index, (int)i, (cl_native){platform, ids[i]});
}

static void probe(pave__probe *sink) {
    char why[512];
    if (!cl_driver_load(LIBRARY, why, sizeof why)) {
        pave__probe_refused(sink, "opencl", "%s", why);
        return;
    }
    cl_platform_id platforms[PLATFORMS_MAX];
    cl_uint count = 0;
    cl_int code = cl_driver.clGetPlatformIDs(PLATFORMS_MAX, platforms, &count);
    if (code != CL_SUCCESS || count == 0) {
        pave__probe_refused(sink, "opencl", "the loader finds no platform (%d): is a driver installed?",
                            code);
        return;
    }
    for (cl_uint i = 0; i < count && i < PLATFORMS_MAX; i++) probe_platform(sink, (int)i, platforms[i]);
}

static pave_status context_open(void *native, const pave_device_info *info, void **out) {
    cl_ctx *c = calloc(1, sizeof *c);
    if (!c) return pave__fail(PAVE_E_HOST_MEMORY, "opencl: no memory for a context");
    c->native = *(cl_native *)native;
    c->info = *info;
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)c->native.platform, 0};
    cl_int code;
    c->context = cl_driver.clCreateContext(properties, 1, &c->native.device, NULL, NULL, &code);
    if (!c->context) {
        free(c);
        return cl_check(code, "making a context");
    }
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    return PAVE_OK;
}

static void context_close(void *context) {
    cl_ctx *c = context;
    cl_driver.clReleaseContext(c->context);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* Takes `bytes` of the account; false where they are not there. `used` is what was taken before. */
static bool account(cl_ctx *c, uint64_t bytes, uint64_t *used) {
    pthread_mutex_lock(&c->lock);
    uint64_t total = c->info.memory_bytes;
    bool room = !total || (c->memory_used <= total && bytes <= total - c->memory_used);
    *used = c->memory_used;
    if (room) c->memory_used += bytes;
    pthread_mutex_unlock(&c->lock);
    return room;
}

static pave_status memory_alloc(void *context, uint64_t bytes, void **out) {
    cl_ctx *c = context;
    cl_memory *m = calloc(1, sizeof *m);
    if (!m) return pave__fail(PAVE_E_HOST_MEMORY, "opencl: no memory for a buffer's record");
    uint64_t used;
    if (!account(c, bytes, &used)) {
        free(m);
        return pave__fail(PAVE_E_DEVICE_MEMORY,
                          "opencl: no memory for %" PRIu64 " bytes; %" PRIu64 " of %" PRIu64 " are in use",
                          bytes, used, c->info.memory_bytes);
    }
    cl_int code;
    m->bytes = bytes;
    m->mem = cl_driver.clCreateBuffer(c->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (!m->mem) {
        pthread_mutex_lock(&c->lock);
        c->memory_used -= bytes;
        pthread_mutex_unlock(&c->lock);
        free(m);
        return cl_check(code == CL_SUCCESS ? CL_MEM_OBJECT_ALLOCATION_FAILURE : code, "allocating memory");
    }
    *out = m;
    return PAVE_OK;
}

/* The driver keeps what work in flight still uses. */
static void memory_free(void *context, void *memory) {
    cl_ctx *c = context;
    cl_memory *m = memory;
    cl_driver.clReleaseMemObject(m->mem);
    pthread_mutex_lock(&c->lock);
    c->memory_used -= m->bytes;
    pthread_mutex_unlock(&c->lock);
    free(m);
}

static pave_status queue_open(void *context, int profiling, void **out) {
    cl_queue *q = calloc(1, sizeof *q);
    if (!q) return pave__fail(PAVE_E_HOST_MEMORY, "opencl: no memory for a queue");
    q->context = context;
    cl_int code;
    q->queue = cl_driver.clCreateCommandQueue(q->context->context, q->context->native.device,
                                              profiling ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
    if (!q->queue) {
        free(q);
        return cl_check(code, "making a queue");
    }
    *out = q;
    return PAVE_OK;
}

static void queue_close(void *queue) {
    cl_queue *q = queue;
    cl_driver.clFinish(q->queue);
    cl_driver.clReleaseCommandQueue(q->queue);
    free(q);
}

static pave_status queue_finish(void *queue) {
    return cl_check(cl_driver.clFinish(((cl_queue *)queue)->queue), "waiting for a queue");
}

static cl_mem mem_of(void *memory) {
    return ((cl_memory *)memory)->mem;
}

static pave_status write_memory(void *queue, void *memory, uint64_t offset, const void *source,
                                uint64_t bytes, int blocking) {
    cl_queue *q = queue;
    cl_event event = NULL;
    cl_int code = cl_driver.clEnqueueWriteBuffer(q->queue, mem_of(memory), blocking ? CL_TRUE : CL_FALSE,
                                                 offset, bytes, source, 0, NULL, cl_wanted(q, &event));
    return cl_enqueued(q, code, event, "writing a buffer");
}

/* The driver calls this when the write is done, and when it failed. */
static void CL_CALLBACK upload_ended(cl_event event, cl_int state, void *copy) {
    (void)event, (void)state;
    free(copy);
}

/* A write that does not block reads its source when its turn comes, so it gets a copy, which its event lets go.
 * Where there is no telling when that is, it blocks. */
static pave_status upload(void *queue, void *memory, uint64_t offset, const void *source, uint64_t bytes) {
    cl_queue *q = queue;
    cl_event event = NULL;
    void *copy = malloc(bytes);
    if (!copy)
        return pave__fail(PAVE_E_HOST_MEMORY, "opencl: no memory for an upload of %" PRIu64 " bytes", bytes);
    memcpy(copy, source, bytes);
    cl_int code = cl_driver.clEnqueueWriteBuffer(q->queue, mem_of(memory), CL_FALSE, offset, bytes, copy, 0,
                                                 NULL, &event);
    if (code != CL_SUCCESS) {
        free(copy);
        return cl_check(code, "uploading to a buffer");
    }
    if (cl_driver.clSetEventCallback(event, CL_COMPLETE, upload_ended, copy) != CL_SUCCESS) {
        code = cl_driver.clWaitForEvents(1, &event);
        free(copy);
    }
    pave_status status = cl_enqueued(q, code, event, "uploading to a buffer");
    if (status || !q->span) cl_driver.clReleaseEvent(event); /* else it is the span's */
    return status;
}

static pave_status read_memory(void *queue, void *memory, uint64_t offset, void *target, uint64_t bytes,
                               int blocking) {
    cl_queue *q = queue;
    cl_event event = NULL;
    cl_int code = cl_driver.clEnqueueReadBuffer(q->queue, mem_of(memory), blocking ? CL_TRUE : CL_FALSE,
                                                offset, bytes, target, 0, NULL, cl_wanted(q, &event));
    return cl_enqueued(q, code, event, "reading a buffer");
}

static pave_status fill_part(cl_queue *q, cl_mem mem, uint64_t offset, uint64_t bytes, const void *pattern,
                             size_t pattern_bytes) {
    cl_event event = NULL;
    cl_int code = cl_driver.clEnqueueFillBuffer(q->queue, mem, pattern, pattern_bytes, offset, bytes, 0, NULL,
                                                cl_wanted(q, &event));
    return cl_enqueued(q, code, event, "filling a buffer");
}

/* Fills what of the range lies in the window at `start`, as a buffer of its own; enqueued work keeps that. */
static pave_status fill_window(cl_queue *q, cl_mem mem, uint64_t start, uint64_t offset, uint64_t end,
                               const void *pattern, size_t pattern_bytes) {
    if (end - start > FILL_WINDOW_BYTES) end = start + FILL_WINDOW_BYTES;
    cl_buffer_region region = {start, end - start};
    cl_int code;
    cl_mem window =
        cl_driver.clCreateSubBuffer(mem, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    if (!window) return cl_check(code, "making a window of a buffer");
    pave_status status = fill_part(q, window, offset - start, end - offset, pattern, pattern_bytes);
    cl_driver.clReleaseMemObject(window);
    return status;
}

static pave_status fill_memory(void *queue, void *memory, uint64_t offset, uint64_t bytes,
                               const void *pattern, size_t pattern_bytes) {
    cl_mem mem = mem_of(memory);
    uint64_t end = offset + bytes;
    if (end <= FILL_DIRECT_BYTES) return fill_part(queue, mem, offset, bytes, pattern, pattern_bytes);
    pave_status status = PAVE_OK;
    while (!status && offset < end) {
        uint64_t start = offset / FILL_WINDOW_BYTES * FILL_WINDOW_BYTES;
        status = fill_window(queue, mem, start, offset, end, pattern, pattern_bytes);
        offset = start + FILL_WINDOW_BYTES;
    }
    return status;
}

static pave_status copy_memory(void *queue, void *source, uint64_t source_offset, void *target,
                               uint64_t target_offset, uint64_t bytes) {
    cl_queue *q = queue;
    cl_event event = NULL;
    cl_int code = cl_driver.clEnqueueCopyBuffer(q->queue, mem_of(source), mem_of(target), source_offset,
                                                target_offset, bytes, 0, NULL, cl_wanted(q, &event));
    return cl_enqueued(q, code, event, "copying a buffer");
}

static pave_status map_memory(void *queue, void *memory, uint64_t offset, uint64_t bytes, void **pointer) {
    cl_int code;
    void *mapped =
        cl_driver.clEnqueueMapBuffer(((cl_queue *)queue)->queue, mem_of(memory), CL_TRUE,
                                     CL_MAP_READ | CL_MAP_WRITE, offset, bytes, 0, NULL, NULL, &code);
    pave_status status = cl_check(code, "mapping a buffer");
    if (!status) *pointer = mapped;
    return status;
}

static pave_status unmap_memory(void *queue, void *memory, void *pointer) {
    cl_int code =
        cl_driver.clEnqueueUnmapMemObject(((cl_queue *)queue)->queue, mem_of(memory), pointer, 0, NULL, NULL);
    return cl_check(code, "unmapping a buffer");
}

static cl_int set_arguments(cl_kernel kernel, const pave__launch *l) {
    cl_int code = cl_driver.clSetKernelArg(kernel, 0, l->args_bytes, l->args);
    for (size_t i = 0; code == CL_SUCCESS && i < l->buffer_count; i++) {
        cl_mem mem = l->buffers[i] ? mem_of(l->buffers[i]) : NULL;
        code = cl_driver.clSetKernelArg(kernel, (cl_uint)(1 + i), sizeof mem, &mem);
    }
    return code;
}

static pave_status launch(void *queue, void *kernel, const pave__launch *l) {
    cl_queue *q = queue;
    cl_kernel_entry *entry = kernel;
    assert(l->grid[0] && l->grid[1] && l->grid[2]);
    size_t global[3], local[3];
    for (int i = 0; i < 3; i++) {
        local[i] = l->block[i];
        global[i] = (size_t)l->grid[i] * l->block[i];
    }
    cl_event event = NULL;
    pthread_mutex_lock(&entry->lock);
    cl_int code = set_arguments(entry->kernel, l);
    if (code == CL_SUCCESS)
        code = cl_driver.clEnqueueNDRangeKernel(q->queue, entry->kernel, 3, NULL, global, local, 0, NULL,
                                                cl_wanted(q, &event));
    pthread_mutex_unlock(&entry->lock);
    return cl_enqueued(q, code, event, l->row->name);
}

static pave_status launch_all(void *queue, void *const *kernels, const pave__launch *list, size_t count) {
    pave_status status = PAVE_OK;
    for (size_t i = 0; !status && i < count; i++) status = launch(queue, kernels[i], &list[i]);
    return status;
}

extern const pave__backend cl_backend;

const pave__backend cl_backend = {
    .name = "opencl",
    .id = PAVE__OPENCL,
    .probe = probe,
    .context_open = context_open,
    .context_close = context_close,
    .memory_alloc = memory_alloc,
    .memory_free = memory_free,
    .queue_open = queue_open,
    .queue_close = queue_close,
    .queue_finish = queue_finish,
    .write = write_memory,
    .upload = upload,
    .read = read_memory,
    .fill = fill_memory,
    .copy = copy_memory,
    .map = map_memory,
    .unmap = unmap_memory,
    .kernel_load = cl_kernel_load,
    .kernel_unload = cl_kernel_unload,
    .launch = launch_all,
    .event_begin = cl_event_begin,
    .event_end = cl_event_end,
    .queue_wait = cl_queue_wait,
    .event_wait = cl_event_wait,
    .event_query = cl_event_query,
    .event_duration = cl_event_duration,
    .event_free = cl_event_free,
    .memory_wrap = cl_memory_wrap,
    .memory_unwrap = memory_free,
    .memory_native = cl_memory_native,
    .queue_wrap = cl_queue_wrap,
    .queue_native = cl_queue_native,
    .context_native = cl_context_native,
};
