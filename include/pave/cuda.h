/* SPDX-License-Identifier: Apache-2.0
 * Native handles of the CUDA backend, in and out. Needs no toolkit: the types are those of cuda.h by their
 * own names, CUdeviceptr (unsigned long long), CUstream and CUcontext. pave.h does not include this header.
 */
#ifndef PAVE_CUDA_H
#define PAVE_CUDA_H

#include <pave/device.h>

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st;
struct CUctx_st;

/* Errors of all: PAVE_E_INVALID names a NULL or wrong argument, PAVE_E_UNSUPPORTED where the object is
 * another backend's; the output is then NULL or 0. Any thread. Nothing given in is owned, nothing given out
 * changes hands. */

/* A buffer over `bytes` bytes of device memory from `pointer` on, which may lie inside an allocation; from
 * cuMemAlloc, cudaMalloc or their like. bytes 0 wraps nothing, whatever the pointer.
 * Shape:   pointer is a multiple of the element size of each tensor made from it; rows that start at
 *          multiples of 16 bytes get the fastest kernels.
 * Alias:   overlap with another buffer is not seen: where arguments must not overlap, the caller sees to it.
 * Order:   the caller orders its own work against the queue's: one stream, events, or by waiting.
 * Life:    the memory stays valid until the buffer is destroyed and the work that uses it is done. Destroying
 *          the buffer frees nothing.
 * Errors:  PAVE_E_INVALID where the memory is not this device's, or its allocation ends before `bytes`. */
PAVE_API pave_status pave_cuda_buffer_wrap(pave_context *context, unsigned long long pointer, uint64_t bytes,
                                           pave_buffer **buffer);
/* The address of any buffer of a cuda context, valid until that is destroyed; 0 where it has no bytes. */
PAVE_API pave_status pave_cuda_buffer_pointer(const pave_buffer *buffer, unsigned long long *pointer);

/* A queue that enqueues on `stream`; NULL is the context's default stream. `params` as in pave_queue_create.
 * Order:   after what is on the stream already, before what is put there later.
 * Threads: as any queue, and other users of the stream keep to its rules.
 * Life:    the stream stays valid until the queue is destroyed, which waits for it and leaves it open.
 * Errors:  PAVE_E_INVALID where the stream belongs to another context than the device's primary one. */
PAVE_API pave_status pave_cuda_queue_wrap(pave_context *context, struct CUstream_st *stream,
                                          const pave_queue_params *params, pave_queue **queue);
/* The stream of any queue of a cuda context, valid until that is destroyed; work put there is in order. */
PAVE_API pave_status pave_cuda_queue_stream(const pave_queue *queue, struct CUstream_st **stream);

/* The device's primary context, shared by driver and runtime API. Valid until `context` is destroyed. */
PAVE_API pave_status pave_cuda_context_handle(const pave_context *context, struct CUctx_st **handle);

#ifdef __cplusplus
}
#endif
#endif
