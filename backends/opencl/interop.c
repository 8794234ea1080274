/* SPDX-License-Identifier: Apache-2.0
 * Memory objects and command queues that others made: checked against the context and retained while wrapped.
 */
#include "backends/opencl/objects.h"

#include <inttypes.h>
#include <stdlib.h>

typedef struct mem_facts {
    cl_context context;
    cl_mem_object_type type;
    size_t bytes, origin;
    cl_mem_flags flags;
    void *host;
} mem_facts;

static pave_status ask_mem(cl_mem mem, mem_facts *f) {
    const struct {
        cl_mem_info name;
        size_t size;
        void *value;
    } asked[] = {
        {CL_MEM_CONTEXT, sizeof f->context, &f->context}, {CL_MEM_TYPE, sizeof f->type, &f->type},
        {CL_MEM_SIZE, sizeof f->bytes, &f->bytes},        {CL_MEM_OFFSET, sizeof f->origin, &f->origin},
        {CL_MEM_FLAGS, sizeof f->flags, &f->flags},       {CL_MEM_HOST_PTR, sizeof f->host, &f->host}};
    cl_int code = CL_SUCCESS;
    for (size_t i = 0; code == CL_SUCCESS && i < sizeof asked / sizeof *asked; i++)
        code = cl_driver.clGetMemObjectInfo(mem, asked[i].name, asked[i].size, asked[i].value, NULL);
    if (code == CL_INVALID_MEM_OBJECT) return pave__fail(PAVE_E_INVALID, "mem is no memory object");
    return cl_check(code, "asking for a memory object");
}

/* A driver's own allocations are aligned; a sub-buffer starts at its origin, and memory of the host, on
 * devices that use it in place, where the host put it. The host's pointer of a sub-buffer has the origin in
 * it. */
static uint32_t align_of(const mem_facts *f) {
    uint64_t bits = f->origin;
    if (f->flags & CL_MEM_USE_HOST_PTR) bits |= (uint64_t)(uintptr_t)f->host;
    return pave__align_of(bits);
}

pave_status cl_memory_wrap(void *context, uint64_t handle, uint64_t bytes, void **out, uint32_t *align) {
    cl_mem mem = (cl_mem)(uintptr_t)handle;
    mem_facts facts;
    pave_status status = ask_mem(mem, &facts);
    if (status) return status;
    if (facts.context != ((cl_ctx *)context)->context)
        return pave__fail(PAVE_E_INVALID, "mem is of another OpenCL context than context's");
    if (facts.type != CL_MEM_OBJECT_BUFFER)
        return pave__fail(PAVE_E_INVALID, "mem is an image or a pipe, no buffer");
    if (bytes > facts.bytes)
        return pave__fail(PAVE_E_INVALID, "bytes: %" PRIu64 " is more than the %zu of mem", bytes,
                          facts.bytes);
    cl_memory *m = calloc(1, sizeof *m);
    if (!m) return pave__fail(PAVE_E_HOST_MEMORY, "opencl: no memory for a buffer's record");
    status = cl_check(cl_driver.clRetainMemObject(mem), "keeping a memory object");
    if (status) {
        free(m);
        return status;
    }
    m->mem = mem;
    *align = align_of(&facts);
    *out = m;
    return PAVE_OK;
}

uint64_t cl_memory_native(void *memory) {
    return (uint64_t)(uintptr_t)((cl_memory *)memory)->mem;
}

/* The context has one device, so its queues are that one's. */
static pave_status check_queue(const cl_ctx *c, cl_command_queue queue, int profiling) {
    cl_context owner = NULL;
    cl_command_queue_properties properties = 0;
    cl_int code = cl_driver.clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof owner, &owner, NULL);
    if (code == CL_SUCCESS)
        code =
            cl_driver.clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    if (code == CL_INVALID_COMMAND_QUEUE)
        return pave__fail(PAVE_E_INVALID, "command_queue is no command queue");
    if (code != CL_SUCCESS) return cl_check(code, "asking for a command queue");
    if (owner != c->context)
        return pave__fail(PAVE_E_INVALID, "command_queue is of another OpenCL context than context's");
    if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
        return pave__fail(PAVE_E_INVALID, "command_queue runs out of order");
    if (profiling && !(properties & CL_QUEUE_PROFILING_ENABLE))
        return pave__fail(PAVE_E_INVALID, "params->profiling: command_queue was made without profiling");
    return PAVE_OK;
}

pave_status cl_queue_wrap(void *context, uint64_t handle, int profiling, void **out) {
    cl_command_queue queue = (cl_command_queue)(uintptr_t)handle;
    if (!queue) return pave__fail(PAVE_E_INVALID, "command_queue is NULL");
    pave_status status = check_queue(context, queue, profiling);
    if (status) return status;
    cl_queue *q = calloc(1, sizeof *q);
    if (!q) return pave__fail(PAVE_E_HOST_MEMORY, "opencl: no memory for a queue");
    status = cl_check(cl_driver.clRetainCommandQueue(queue), "keeping a command queue");
    if (status) {
        free(q);
        return status;
    }
    q->context = context;
    q->queue = queue;
    *out = q;
    return PAVE_OK;
}

uint64_t cl_queue_native(void *queue) {
    return (uint64_t)(uintptr_t)((cl_queue *)queue)->queue;
}

uint64_t cl_context_native(void *context) {
    return (uint64_t)(uintptr_t)((cl_ctx *)context)->context;
}
