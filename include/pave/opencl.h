/* SPDX-License-Identifier: Apache-2.0
 * Native handles of the OpenCL backend, in and out. Needs no OpenCL headers: the types are those of CL/cl.h
 * by their own names, cl_mem, cl_command_queue and cl_context. pave.h does not include this header. */
#ifndef PAVE_OPENCL_H
#define PAVE_OPENCL_H

#include <pave/device.h>

#ifdef __cplusplus
extern "C" {
#endif

struct _cl_mem;
struct _cl_command_queue;
struct _cl_context;

/* Errors of all: PAVE_E_INVALID names a NULL or wrong argument, PAVE_E_UNSUPPORTED where the object is
 * another backend's; the output is then NULL. Any thread. What is given in is retained while it is wrapped,
 * and its own references stay the caller's; what is given out is not retained for the caller. */

/* A buffer over the first `bytes` bytes of `mem`, a buffer or sub-buffer made in the context that
 * pave_opencl_context_handle gives. bytes 0 wraps nothing, whatever the handle.
 * Shape:   a sub-buffer's origin and a CL_MEM_USE_HOST_PTR pointer are multiples of the element size of each
 *          tensor made from it.
 * Alias:   overlap with another buffer is not seen: where arguments must not overlap, the caller sees to it.
 * Order:   the caller orders its own work against the queue's: one command queue, events, or by waiting.
 * Life:    retained until the buffer is destroyed. The flags it was made with allow what is asked of it.
 * Errors:  PAVE_E_INVALID where mem is of another context, no buffer, or smaller than `bytes`. */
PAVE_API pave_status pave_opencl_buffer_wrap(pave_context *context, struct _cl_mem *mem, uint64_t bytes,
                                             pave_buffer **buffer);
/* The memory object of any buffer of an opencl context, valid until that is destroyed; NULL where it has no
 * bytes. */
PAVE_API pave_status pave_opencl_buffer_mem(const pave_buffer *buffer, struct _cl_mem **mem);

/* A queue that enqueues on `command_queue`, made in pave_opencl_context_handle's context. `params` as in
 * pave_queue_create; profiling needs a command queue made with it.
 * Order:   after what is in the command queue already, before what is put there later.
 * Threads: as any queue.
 * Life:    destroying the queue waits for the command queue and gives back its one reference.
 * Errors:  PAVE_E_INVALID where command_queue is of another context, runs out of order, or cannot
 *          profile though params->profiling asks for it. */
PAVE_API pave_status pave_opencl_queue_wrap(pave_context *context, struct _cl_command_queue *command_queue,
                                            const pave_queue_params *params, pave_queue **queue);
/* The command queue of any queue of an opencl context. Valid until the queue is destroyed. */
PAVE_API pave_status pave_opencl_queue_handle(const pave_queue *queue,
                                              struct _cl_command_queue **command_queue);

/* The OpenCL context in which what is wrapped must be made. Valid until `context` is destroyed. */
PAVE_API pave_status pave_opencl_context_handle(const pave_context *context, struct _cl_context **handle);

#ifdef __cplusplus
}
#endif
#endif
