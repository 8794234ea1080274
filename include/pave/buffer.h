/* SPDX-License-Identifier: Apache-2.0
 * Device memory: create, fill, copy, read, write, map. All sizes and offsets are bytes, 64 bits wide. */
#ifndef PAVE_BUFFER_H
#define PAVE_BUFFER_H

#include <pave/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Uninitialised device memory; bytes 0 is legal. Errors: PAVE_E_DEVICE_MEMORY, PAVE_E_UNSUPPORTED where the
 * device allows no single buffer so large. Any thread. Destroying a buffer that work in flight uses is
 * legal: the memory goes back when that work is done. */
PAVE_API pave_status pave_buffer_create(pave_context *context, uint64_t bytes, pave_buffer **buffer);
PAVE_API void pave_buffer_destroy(pave_buffer **buffer);
PAVE_API uint64_t pave_buffer_bytes(const pave_buffer *buffer);

/* Whether a transfer returns before it is done. With PAVE_ASYNC the host memory must stay valid and, for a
 * write, unchanged until the queue has passed it. */
typedef enum pave_blocking { PAVE_BLOCK = 0, PAVE_ASYNC = 1 } pave_blocking;

/* Errors of all: PAVE_E_INVALID where the range leaves the buffer, naming offset, length and size. */
PAVE_API pave_status pave_buffer_write(pave_queue *queue, pave_buffer *buffer, uint64_t offset,
                                       const void *source, uint64_t bytes, pave_blocking blocking,
                                       const pave_sync *sync);
PAVE_API pave_status pave_buffer_read(pave_queue *queue, pave_buffer *buffer, uint64_t offset, void *target,
                                      uint64_t bytes, pave_blocking blocking, const pave_sync *sync);
/* Repeats `pattern` (1, 2 or 4 bytes) over the range; offset and bytes are multiples of pattern_bytes. */
PAVE_API pave_status pave_buffer_fill(pave_queue *queue, pave_buffer *buffer, uint64_t offset, uint64_t bytes,
                                      const void *pattern, size_t pattern_bytes, const pave_sync *sync);
/* Copies between buffers of one context; within one buffer the ranges must not overlap. */
PAVE_API pave_status pave_buffer_copy(pave_queue *queue, pave_buffer *source, uint64_t source_offset,
                                      pave_buffer *target, uint64_t target_offset, uint64_t bytes,
                                      const pave_sync *sync);
/* Maps a range for the host to read and write, waiting for the queue's earlier work; unmap gives it back.
 * Errors: PAVE_E_UNSUPPORTED where the backend has no mapping (cuda): read and write instead. */
PAVE_API pave_status pave_buffer_map(pave_queue *queue, pave_buffer *buffer, uint64_t offset, uint64_t bytes,
                                     void **pointer);
PAVE_API pave_status pave_buffer_unmap(pave_queue *queue, pave_buffer *buffer, void *pointer);

#ifdef __cplusplus
}
#endif
#endif
