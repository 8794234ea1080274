/* SPDX-License-Identifier: Apache-2.0
 * Pointers and streams that others made: checked against the context, used, and left to their owner. */
#include "backends/cuda/objects.h"

#include <inttypes.h>
#include <stdlib.h>

/* What the driver knows of an address; zeros where it knows nothing. The range is the allocation's, or the
 * reserved one where memory is mapped piece by piece, so it never ends too early. */
typedef struct pointer_facts {
    CUmemorytype type;
    int device;
    CUdeviceptr start;
    size_t bytes;
} pointer_facts;

static CUresult ask(CUdeviceptr pointer, pointer_facts *facts) {
    CUpointer_attribute names[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                   CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, CU_POINTER_ATTRIBUTE_RANGE_SIZE};
    void *values[] = {&facts->type, &facts->device, &facts->start, &facts->bytes};
    *facts = (pointer_facts){.device = -1};
    return cuda_driver.PointerGetAttributes(4, names, values, pointer);
}

pave_status cuda_memory_wrap(void *context, uint64_t handle, uint64_t bytes, void **memory, uint32_t *align) {
    cuda_context *c = context;
    pointer_facts facts;
    pave_status status = cuda_enter(c);
    if (status) return status;
    status = cuda_check(ask(handle, &facts), "asking for a pointer's memory");
    cuda_leave();
    if (status) return status;
    if (facts.type != CU_MEMORYTYPE_DEVICE)
        return pave__fail(PAVE_E_INVALID, "pointer: 0x%" PRIx64 " is no device memory", handle);
    if (facts.device != (int)c->device)
        return pave__fail(PAVE_E_INVALID,
                          "pointer: 0x%" PRIx64 " is memory of cuda:%d, not of the context's cuda:%d", handle,
                          facts.device, (int)c->device);
    uint64_t into = handle - facts.start;
    if (facts.bytes && (into > facts.bytes || bytes > facts.bytes - into))
        return pave__fail(PAVE_E_INVALID,
                          "bytes: %" PRIu64 " from pointer on leave its allocation, which has %" PRIu64,
                          bytes, into > facts.bytes ? 0 : (uint64_t)facts.bytes - into);
    *align = pave__align_of(handle);
    *memory = (void *)(uintptr_t)handle;
    return PAVE_OK;
}

void cuda_memory_unwrap(void *context, void *memory) {
    (void)context, (void)memory;
}

uint64_t cuda_memory_native(void *memory) {
    return (uint64_t)(uintptr_t)memory;
}

pave_status cuda_queue_wrap(void *context, uint64_t handle, int profiling, void **out) {
    cuda_context *c = context;
    CUcontext owner = NULL;
    CUstream stream = (CUstream)(uintptr_t)handle;
    /* The default stream is the current context's. */
    pave_status status = cuda_enter(c);
    if (status) return status;
    status = cuda_check(cuda_driver.StreamGetCtx(stream, &owner), "asking for a stream's context");
    cuda_leave();
    if (status) return status;
    if (owner != c->context)
        return pave__fail(PAVE_E_INVALID, "stream is of another context than the primary one of cuda:%d",
                          (int)c->device);
    cuda_queue *q = calloc(1, sizeof *q);
    if (!q) return pave__fail(PAVE_E_HOST_MEMORY, "cuda: no memory for a queue");
    q->context = c;
    q->stream = stream;
    q->profiling = profiling;
    q->wrapped = 1;
    *out = q;
    return PAVE_OK;
}

uint64_t cuda_queue_native(void *queue) {
    return (uint64_t)(uintptr_t)((cuda_queue *)queue)->stream;
}

uint64_t cuda_context_native(void *context) {
    return (uint64_t)(uintptr_t)((cuda_context *)context)->context;
}
