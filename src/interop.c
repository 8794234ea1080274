/* SPDX-License-Identifier: Apache-2.0
 * Native handles in and out: whose object it is is checked here; whether a handle is good only its backend
 * can say. Handles travel as 64 bits, so that no driver's types are needed. */
#include "src/objects.h"
#include <pave/cuda.h>
#include <pave/opencl.h>

#include <inttypes.h>
#include <stdlib.h>

static uint64_t bits_of(const void *handle) {
    return (uint64_t)(uintptr_t)handle;
}
static void *handle_of(uint64_t bits) {
    return (void *)(uintptr_t)bits;
}

/* `name` is the argument that led to the context. */
static pave_status check_backend(const pave_context *context, const char *name, pave__backend_id wanted) {
    const pave__backend *backend = context->device->backend;
    if (backend->id == wanted) return PAVE_OK;
    return pave__fail(PAVE_E_UNSUPPORTED, "%s is of the %s backend, which has no such handles", name,
                      backend->name);
}

static pave_status buffer_wrap(pave_context *context, pave__backend_id wanted, const char *name,
                               uint64_t handle, uint64_t bytes, pave_buffer **out) {
    if (!out) return pave__fail(PAVE_E_INVALID, "buffer is NULL");
    *out = NULL;
    if (!context) return pave__fail(PAVE_E_INVALID, "context is NULL");
    pave_status status = check_backend(context, "context", wanted);
    if (status) return status;
    if (bytes && !handle)
        return pave__fail(PAVE_E_INVALID, "%s is NULL where bytes is %" PRIu64, name, bytes);
    pave_buffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer) return pave__fail(PAVE_E_HOST_MEMORY, "no memory for a buffer's record");
    buffer->align = PAVE__BUFFER_ALIGN;
    if (bytes)
        status = context->device->backend->memory_wrap(context->native, handle, bytes, &buffer->memory,
                                                       &buffer->align);
    if (status) {
        free(buffer);
        return status;
    }
    atomic_init(&buffer->refs, 1);
    buffer->wrapped = true;
    buffer->bytes = bytes;
    buffer->context = pave__context_retain(context);
    *out = buffer;
    return PAVE_OK;
}

static pave_status buffer_native(const pave_buffer *buffer, pave__backend_id wanted, uint64_t *handle) {
    *handle = 0;
    if (!buffer) return pave__fail(PAVE_E_INVALID, "buffer is NULL");
    pave_status status = check_backend(buffer->context, "buffer", wanted);
    if (!status && buffer->memory) *handle = buffer->context->device->backend->memory_native(buffer->memory);
    return status;
}

static pave_status queue_wrap(pave_context *context, pave__backend_id wanted, uint64_t handle,
                              const pave_queue_params *params, pave_queue **out) {
    if (!out) return pave__fail(PAVE_E_INVALID, "queue is NULL");
    *out = NULL;
    if (!context) return pave__fail(PAVE_E_INVALID, "context is NULL");
    pave_status status = check_backend(context, "context", wanted);
    return status ? status : pave__queue_new(context, params, &handle, out);
}

static pave_status queue_native(const pave_queue *queue, pave__backend_id wanted, uint64_t *handle) {
    *handle = 0;
    if (!queue) return pave__fail(PAVE_E_INVALID, "queue is NULL");
    pave_status status = check_backend(queue->context, "queue", wanted);
    if (!status) *handle = queue->context->device->backend->queue_native(queue->native);
    return status;
}

static pave_status context_native(const pave_context *context, pave__backend_id wanted, uint64_t *handle) {
    *handle = 0;
    if (!context) return pave__fail(PAVE_E_INVALID, "context is NULL");
    pave_status status = check_backend(context, "context", wanted);
    if (!status) *handle = context->device->backend->context_native(context->native);
    return status;
}

pave_status pave_cuda_buffer_wrap(pave_context *context, unsigned long long pointer, uint64_t bytes,
                                  pave_buffer **buffer) {
    return buffer_wrap(context, PAVE__CUDA, "pointer", pointer, bytes, buffer);
}

pave_status pave_cuda_buffer_pointer(const pave_buffer *buffer, unsigned long long *pointer) {
    if (!pointer) return pave__fail(PAVE_E_INVALID, "pointer is NULL");
    uint64_t handle;
    pave_status status = buffer_native(buffer, PAVE__CUDA, &handle);
    *pointer = handle;
    return status;
}

pave_status pave_cuda_queue_wrap(pave_context *context, struct CUstream_st *stream,
                                 const pave_queue_params *params, pave_queue **queue) {
    return queue_wrap(context, PAVE__CUDA, bits_of(stream), params, queue);
}

pave_status pave_cuda_queue_stream(const pave_queue *queue, struct CUstream_st **stream) {
    if (!stream) return pave__fail(PAVE_E_INVALID, "stream is NULL");
    uint64_t handle;
    pave_status status = queue_native(queue, PAVE__CUDA, &handle);
    *stream = handle_of(handle);
    return status;
}

pave_status pave_cuda_context_handle(const pave_context *context, struct CUctx_st **handle) {
    if (!handle) return pave__fail(PAVE_E_INVALID, "handle is NULL");
    uint64_t bits;
    pave_status status = context_native(context, PAVE__CUDA, &bits);
    *handle = handle_of(bits);
    return status;
}

pave_status pave_opencl_buffer_wrap(pave_context *context, struct _cl_mem *mem, uint64_t bytes,
                                    pave_buffer **buffer) {
    return buffer_wrap(context, PAVE__OPENCL, "mem", bits_of(mem), bytes, buffer);
}

pave_status pave_opencl_buffer_mem(const pave_buffer *buffer, struct _cl_mem **mem) {
    if (!mem) return pave__fail(PAVE_E_INVALID, "mem is NULL");
    uint64_t handle;
    pave_status status = buffer_native(buffer, PAVE__OPENCL, &handle);
    *mem = handle_of(handle);
    return status;
}

pave_status pave_opencl_queue_wrap(pave_context *context, struct _cl_command_queue *command_queue,
                                   const pave_queue_params *params, pave_queue **queue) {
    return queue_wrap(context, PAVE__OPENCL, bits_of(command_queue), params, queue);
}

pave_status pave_opencl_queue_handle(const pave_queue *queue, struct _cl_command_queue **command_queue) {
    if (!command_queue) return pave__fail(PAVE_E_INVALID, "command_queue is NULL");
    uint64_t handle;
    pave_status status = queue_native(queue, PAVE__OPENCL, &handle);
    *command_queue = handle_of(handle);
    return status;
}

pave_status pave_opencl_context_handle(const pave_context *context, struct _cl_context **handle) {
    if (!handle) return pave__fail(PAVE_E_INVALID, "handle is NULL");
    uint64_t bits;
    pave_status status = context_native(context, PAVE__OPENCL, &bits);
    *handle = handle_of(bits);
    return status;
}
