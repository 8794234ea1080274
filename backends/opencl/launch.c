/* SPDX-License-Identifier: Apache-2.0
 * Launches. A kernel object keeps its arguments, and a driver may take longer over setting sixteen of them than over the
 * launch: launches that come again have kernel objects of their own, whose arguments stay set. */
#include "backends/opencl/objects.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A launch that comes again. */
typedef struct repeated {
    cl_kernel kernel;
    const char *name;
    size_t global[3], local[3], buffer_count;
    void *buffers[PAVE_GEMM_BUFFERS];
} repeated;

typedef struct record {
    uint64_t releases; /* the context's when the buffers were set */
    size_t count;
    repeated list[];
} record;

static cl_int set_buffers(cl_kernel kernel, void *const *buffers, size_t count) {
    cl_int code = CL_SUCCESS;
    for (size_t i = 0; code == CL_SUCCESS && i < count; i++) {
        cl_mem mem = buffers[i] ? ((cl_memory *)buffers[i])->mem : NULL;
        code = cl_driver.clSetKernelArg(kernel, (cl_uint)(1 + i), sizeof mem, &mem);
    }
    return code;
}

static cl_int set_arguments(cl_kernel kernel, const pave__launch *l) {
    cl_int code = cl_driver.clSetKernelArg(kernel, 0, l->args_bytes, l->args);
    return code == CL_SUCCESS ? set_buffers(kernel, l->buffers, l->buffer_count) : code;
}

static void sizes_of(const pave__launch *l, size_t global[3], size_t local[3]) {
    assert(l->grid[0] && l->grid[1] && l->grid[2]);
    for (int i = 0; i < 3; i++) {
        local[i] = l->block[i];
        global[i] = (size_t)l->grid[i] * l->block[i];
    }
}

static pave_status launch(cl_queue *q, cl_kernel_entry *entry, const pave__launch *l) {
    size_t global[3], local[3];
    cl_event event = NULL;
    sizes_of(l, global, local);
    pthread_mutex_lock(&entry->lock);
    cl_int code = set_arguments(entry->kernel, l);
    if (code == CL_SUCCESS)
        code = cl_driver.clEnqueueNDRangeKernel(q->queue, entry->kernel, 3, NULL, global, local, 0, NULL,
                                                cl_wanted(q, &event));
    pthread_mutex_unlock(&entry->lock);
    return cl_enqueued(q, code, event, l->row->name);
}

pave_status cl_launch(void *queue, void *const *kernels, const pave__launch *list, size_t count) {
    pave_status status = PAVE_OK;
    for (size_t i = 0; !status && i < count; i++) status = launch(queue, kernels[i], &list[i]);
    return status;
}

void cl_record_free(void *queue, void *recorded) {
    record *r = recorded;
    (void)queue;
    for (size_t i = 0; i < r->count; i++) cl_driver.clReleaseKernel(r->list[i].kernel);
    free(r);
}

/* False where the driver does not want to: what is wrong the launches themselves report. */
static bool repeat(repeated *to, const cl_kernel_entry *entry, const pave__launch *l) {
    cl_int code;
    assert(l->buffer_count <= PAVE_GEMM_BUFFERS);
    to->kernel = cl_driver.clCreateKernel(entry->program, l->row->name, &code);
    if (code != CL_SUCCESS) return false;
    to->name = l->row->name;
    to->buffer_count = l->buffer_count;
    memcpy(to->buffers, l->buffers, l->buffer_count * sizeof *l->buffers);
    sizes_of(l, to->global, to->local);
    if (set_arguments(to->kernel, l) == CL_SUCCESS) return true;
    cl_driver.clReleaseKernel(to->kernel);
    return false;
}

pave_status cl_record(void *queue, void *const *kernels, const pave__launch *list, size_t count,
                      void **recorded) {
    record *r = malloc(sizeof *r + count * sizeof r->list[0]);
    *recorded = NULL;
    if (!r) return PAVE_OK;
    r->count = 0;
    r->releases = atomic_load(&((cl_queue *)queue)->context->releases);
    while (r->count < count && repeat(&r->list[r->count], kernels[r->count], &list[r->count])) r->count++;
    if (r->count == count)
        *recorded = r;
    else
        cl_record_free(queue, r);
    return PAVE_OK;
}

/* The handle of a memory object that is gone may come again for another one, and a driver may have kept more than the handle:
 * after a release no buffer counts as set. */
static pave_status set_again(record *r, uint64_t releases) {
    if (r->releases == releases) return PAVE_OK;
    cl_int code = CL_SUCCESS;
    for (size_t i = 0; code == CL_SUCCESS && i < r->count; i++)
        code = set_buffers(r->list[i].kernel, r->list[i].buffers, r->list[i].buffer_count);
    if (code == CL_SUCCESS) r->releases = releases;
    return cl_check(code, "setting a kernel's buffers");
}

pave_status cl_replay(void *queue, void *recorded) {
    cl_queue *q = queue;
    record *r = recorded;
    pave_status status = set_again(r, atomic_load_explicit(&q->context->releases, memory_order_relaxed));
    for (size_t i = 0; !status && i < r->count; i++) {
        const repeated *l = &r->list[i];
        cl_event event = NULL;
        cl_int code = cl_driver.clEnqueueNDRangeKernel(q->queue, l->kernel, 3, NULL, l->global, l->local, 0,
                                                       NULL, cl_wanted(q, &event));
        status = cl_enqueued(q, code, event, l->name);
    }
    return status;
}
