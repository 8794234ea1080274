/* SPDX-License-Identifier: Apache-2.0
 * Launches. A kernel object keeps its arguments, so only those that differ from the last launch's are set: a driver may take
 * longer over sixteen of them than over the launch. */
#include "backends/opencl/objects.h"

#include <assert.h>
#include <string.h>

static cl_mem mem_of(const pave__launch *l, size_t i) {
    return l->buffers[i] ? ((cl_memory *)l->buffers[i])->mem : NULL;
}

/* The handle of a memory object that is gone may come again for another one, and a driver may have kept more than the handle:
 * after a release nothing counts as set. */
static cl_int set_arguments(const cl_ctx *c, cl_kernel_entry *entry, const pave__launch *l) {
    cl_arguments *last = &entry->last;
    uint64_t releases = atomic_load(&c->releases);
    bool known = last->known && last->releases == releases && last->count == l->buffer_count;
    cl_int code = CL_SUCCESS;
    assert(l->args_bytes <= sizeof last->args && l->buffer_count <= PAVE_GEMM_BUFFERS);
    last->known = false;
    if (!known || last->bytes != l->args_bytes || memcmp(last->args, l->args, l->args_bytes) != 0) {
        code = cl_driver.clSetKernelArg(entry->kernel, 0, l->args_bytes, l->args);
        memcpy(last->args, l->args, l->args_bytes);
    }
    for (size_t i = 0; code == CL_SUCCESS && i < l->buffer_count; i++) {
        cl_mem mem = mem_of(l, i);
        if (known && last->mems[i] == mem) continue;
        code = cl_driver.clSetKernelArg(entry->kernel, (cl_uint)(1 + i), sizeof mem, &mem);
        last->mems[i] = mem;
    }
    last->known = code == CL_SUCCESS;
    last->releases = releases;
    last->bytes = l->args_bytes;
    last->count = l->buffer_count;
    return code;
}

static pave_status launch(cl_queue *q, cl_kernel_entry *entry, const pave__launch *l) {
    assert(l->grid[0] && l->grid[1] && l->grid[2]);
    size_t global[3], local[3];
    for (int i = 0; i < 3; i++) {
        local[i] = l->block[i];
        global[i] = (size_t)l->grid[i] * l->block[i];
    }
    cl_event event = NULL;
    pthread_mutex_lock(&entry->lock);
    cl_int code = set_arguments(q->context, entry, l);
    if (code == CL_SUCCESS)
        code = cl_driver.clEnqueueNDRangeKernel(q->queue, entry->kernel, 3, NULL, global, local, 0, NULL,
                                                cl_wanted(q, &event));
    pthread_mutex_unlock(&entry->lock);
    return cl_enqueued(q, code, event, l->row->name);
}

pave_status cl_launch(void *queue, void *const *kernels, const pave__launch *launches, size_t count) {
    pave_status status = PAVE_OK;
    for (size_t i = 0; !status && i < count; i++) status = launch(queue, kernels[i], &launches[i]);
    return status;
}
