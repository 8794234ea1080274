/* SPDX-License-Identifier: Apache-2.0
 * Buffers and transfers: ranges are checked here, once; the backends assert them. */
#include "src/objects.h"

#include <inttypes.h>
#include <stdlib.h>

pave_status pave_buffer_create(pave_context *context, uint64_t bytes, pave_buffer **out) {
    if (!out) return pave__fail(PAVE_E_INVALID, "buffer is NULL");
    *out = NULL;
    if (!context) return pave__fail(PAVE_E_INVALID, "context is NULL");
    uint64_t limit = context->device->info.alloc_bytes_max;
    if (limit && bytes > limit)
        return pave__fail(PAVE_E_UNSUPPORTED,
                          "bytes: %" PRIu64 " is more than the device's largest buffer, %" PRIu64, bytes,
                          limit);
    pave_buffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer) return pave__fail(PAVE_E_HOST_MEMORY, "no memory for a buffer's record");
    if (bytes) {
        pave_status status = context->device->backend->memory_alloc(context->native, bytes, &buffer->memory);
        if (status) {
            free(buffer);
            return status;
        }
    }
    atomic_init(&buffer->refs, 1);
    buffer->bytes = bytes;
    buffer->align = PAVE__BUFFER_ALIGN;
    buffer->context = pave__context_retain(context);
    *out = buffer;
    return PAVE_OK;
}

pave_buffer *pave__buffer_retain(pave_buffer *buffer) {
    atomic_fetch_add(&buffer->refs, 1);
    return buffer;
}

void pave__buffer_release(pave_buffer *buffer) {
    if (atomic_fetch_sub(&buffer->refs, 1) != 1) return;
    pave_context *context = buffer->context;
    const pave__backend *backend = context->device->backend;
    if (buffer->memory && buffer->wrapped)
        backend->memory_unwrap(context->native, buffer->memory);
    else if (buffer->memory)
        backend->memory_free(context->native, buffer->memory);
    free(buffer);
    pave__context_release(context);
}

void pave_buffer_destroy(pave_buffer **buffer) {
    if (!buffer || !*buffer) return;
    pave__buffer_release(*buffer);
    *buffer = NULL;
}

uint64_t pave_buffer_bytes(const pave_buffer *buffer) {
    return buffer ? buffer->bytes : 0;
}

static pave_status check_range(const pave_queue *queue, const pave_buffer *buffer, const char *name,
                               uint64_t offset, uint64_t bytes) {
    if (!queue) return pave__fail(PAVE_E_INVALID, "queue is NULL");
    if (!buffer) return pave__fail(PAVE_E_INVALID, "%s is NULL", name);
    if (buffer->context != queue->context)
        return pave__fail(PAVE_E_INVALID, "%s is of another context than the queue", name);
    if (offset > buffer->bytes || bytes > buffer->bytes - offset)
        return pave__fail(PAVE_E_INVALID,
                          "%s: offset %" PRIu64 " and length %" PRIu64 " leave its %" PRIu64 " bytes", name,
                          offset, bytes, buffer->bytes);
    return PAVE_OK;
}

static pave_status check_blocking(pave_blocking blocking) {
    return blocking == PAVE_BLOCK || blocking == PAVE_ASYNC
               ? PAVE_OK
               : pave__fail(PAVE_E_INVALID, "blocking: %d is neither PAVE_BLOCK nor PAVE_ASYNC",
                            (int)blocking);
}

pave_status pave_buffer_write(pave_queue *queue, pave_buffer *buffer, uint64_t offset, const void *source,
                              uint64_t bytes, pave_blocking blocking, const pave_sync *sync) {
    pave_status status = check_range(queue, buffer, "buffer", offset, bytes);
    if (!status) status = check_blocking(blocking);
    if (!status && bytes && !source) status = pave__fail(PAVE_E_INVALID, "source is NULL");
    pave_event *event;
    if (!status) status = pave__sync_begin(queue, sync, &event);
    if (status) return status;
    const pave__backend *backend = queue->context->device->backend;
    if (bytes)
        status = backend->write(queue->native, buffer->memory, offset, source, bytes, blocking == PAVE_BLOCK);
    return pave__sync_end(queue, sync, event, status);
}

pave_status pave_buffer_read(pave_queue *queue, pave_buffer *buffer, uint64_t offset, void *target,
                             uint64_t bytes, pave_blocking blocking, const pave_sync *sync) {
    pave_status status = check_range(queue, buffer, "buffer", offset, bytes);
    if (!status) status = check_blocking(blocking);
    if (!status && bytes && !target) status = pave__fail(PAVE_E_INVALID, "target is NULL");
    pave_event *event;
    if (!status) status = pave__sync_begin(queue, sync, &event);
    if (status) return status;
    const pave__backend *backend = queue->context->device->backend;
    if (bytes)
        status = backend->read(queue->native, buffer->memory, offset, target, bytes, blocking == PAVE_BLOCK);
    return pave__sync_end(queue, sync, event, status);
}

pave_status pave_buffer_fill(pave_queue *queue, pave_buffer *buffer, uint64_t offset, uint64_t bytes,
                             const void *pattern, size_t pattern_bytes, const pave_sync *sync) {
    pave_status status = check_range(queue, buffer, "buffer", offset, bytes);
    if (!status && !pattern) status = pave__fail(PAVE_E_INVALID, "pattern is NULL");
    if (!status && pattern_bytes != 1 && pattern_bytes != 2 && pattern_bytes != 4)
        status = pave__fail(PAVE_E_INVALID, "pattern_bytes: %zu is none of 1, 2, 4", pattern_bytes);
    if (!status && (offset % pattern_bytes || bytes % pattern_bytes))
        status =
            pave__fail(PAVE_E_INVALID,
                       "offset %" PRIu64 " and length %" PRIu64 " are not multiples of the pattern's %zu",
                       offset, bytes, pattern_bytes);
    if (!status && buffer->align < pattern_bytes)
        status = pave__fail(PAVE_E_INVALID, "pattern_bytes: the wrapped buffer starts at no multiple of %zu",
                            pattern_bytes);
    pave_event *event;
    if (!status) status = pave__sync_begin(queue, sync, &event);
    if (status) return status;
    const pave__backend *backend = queue->context->device->backend;
    if (bytes) status = backend->fill(queue->native, buffer->memory, offset, bytes, pattern, pattern_bytes);
    return pave__sync_end(queue, sync, event, status);
}

pave_status pave_buffer_copy(pave_queue *queue, pave_buffer *source, uint64_t source_offset,
                             pave_buffer *target, uint64_t target_offset, uint64_t bytes,
                             const pave_sync *sync) {
    pave_status status = check_range(queue, source, "source", source_offset, bytes);
    if (!status) status = check_range(queue, target, "target", target_offset, bytes);
    if (!status && source == target && source_offset < target_offset + bytes &&
        target_offset < source_offset + bytes)
        status = pave__fail(PAVE_E_INVALID, "source and target overlap in one buffer");
    pave_event *event;
    if (!status) status = pave__sync_begin(queue, sync, &event);
    if (status) return status;
    const pave__backend *backend = queue->context->device->backend;
    if (bytes)
        status =
            backend->copy(queue->native, source->memory, source_offset, target->memory, target_offset, bytes);
    return pave__sync_end(queue, sync, event, status);
}

pave_status pave_buffer_map(pave_queue *queue, pave_buffer *buffer, uint64_t offset, uint64_t bytes,
                            void **pointer) {
    if (!pointer) return pave__fail(PAVE_E_INVALID, "pointer is NULL");
    *pointer = NULL;
    pave_status status = check_range(queue, buffer, "buffer", offset, bytes);
    if (status) return status;
    if (!bytes) return pave__fail(PAVE_E_INVALID, "bytes is 0: there is nothing to map");
    const pave__backend *backend = queue->context->device->backend;
    if (!backend->map)
        return pave__fail(PAVE_E_UNSUPPORTED, "the %s backend has no mapping: read and write instead",
                          backend->name);
    return backend->map(queue->native, buffer->memory, offset, bytes, pointer);
}

pave_status pave_buffer_unmap(pave_queue *queue, pave_buffer *buffer, void *pointer) {
    pave_status status = check_range(queue, buffer, "buffer", 0, 0);
    if (status) return status;
    if (!pointer) return pave__fail(PAVE_E_INVALID, "pointer is NULL");
    const pave__backend *backend = queue->context->device->backend;
    if (!backend->unmap)
        return pave__fail(PAVE_E_UNSUPPORTED, "the %s backend has no mapping", backend->name);
    return backend->unmap(queue->native, buffer->memory, pointer);
}
