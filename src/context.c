/* SPDX-License-Identifier: Apache-2.0
 * Contexts and their cache of loaded kernels. */
#include "src/objects.h"

#include <stdlib.h>

pave_status pave_context_create(pave_device *device, pave_context **out) {
    if (!out) return pave__fail(PAVE_E_INVALID, "context is NULL");
    *out = NULL;
    if (!device) return pave__fail(PAVE_E_INVALID, "device is NULL");
    pave_context *context = calloc(1, sizeof *context);
    if (!context) return pave__fail(PAVE_E_HOST_MEMORY, "no memory for a context");
    atomic_init(&context->refs, 1);
    context->device = device;
    pave_status status = device->backend->context_open(device->native, &device->info, &context->native);
    if (status) {
        free(context);
        return status;
    }
    pthread_mutex_init(&context->lock, NULL);
    *out = context;
    return PAVE_OK;
}

uint64_t pave__new_id(void) {
    static atomic_uint_least64_t last;
    return atomic_fetch_add(&last, 1) + 1;
}

pave_context *pave__context_retain(pave_context *context) {
    atomic_fetch_add(&context->refs, 1);
    return context;
}

void pave__context_release(pave_context *context) {
    if (atomic_fetch_sub(&context->refs, 1) != 1) return;
    const pave__backend *backend = context->device->backend;
    for (int b = 0; b < PAVE__BUCKETS; b++) {
        while (context->kernels[b]) {
            pave__kernel *kernel = context->kernels[b];
            context->kernels[b] = kernel->next;
            backend->kernel_unload(context->native, kernel->native);
            free(kernel);
        }
        while (context->plans[b]) {
            pave_plan *plan = context->plans[b];
            context->plans[b] = plan->next;
            pave__plan_release(plan);
        }
    }
    while (context->free_events) {
        pave_event *event = context->free_events;
        context->free_events = event->next;
        free(event);
    }
    backend->context_close(context->native);
    pthread_mutex_destroy(&context->lock);
    free(context);
}

void pave_context_destroy(pave_context **context) {
    if (!context || !*context) return;
    pave__context_release(*context);
    *context = NULL;
}

pave_device *pave_context_device(const pave_context *context) {
    return context ? context->device : NULL;
}

/* Loading holds the lock: two threads that want the same kernel build it once. */
pave_status pave__kernel_get(pave_context *context, const pave__row *row, uint32_t link_mask, void **out) {
    pave_status status = PAVE_OK;
    pave__kernel **bucket = &context->kernels[(uintptr_t)row / sizeof *row % PAVE__BUCKETS];
    pthread_mutex_lock(&context->lock);
    pave__kernel *kernel = *bucket;
    while (kernel && (kernel->row != row || kernel->link_mask != link_mask)) kernel = kernel->next;
    if (!kernel) {
        kernel = calloc(1, sizeof *kernel);
        status = kernel
                     ? context->device->backend->kernel_load(context->native, row, link_mask, &kernel->native)
                     : pave__fail(PAVE_E_HOST_MEMORY, "no memory for kernel %s", row->name);
        if (status) {
            free(kernel);
            kernel = NULL;
        } else {
            kernel->row = row;
            kernel->link_mask = link_mask;
            kernel->next = *bucket;
            *bucket = kernel;
        }
    }
    if (kernel) *out = kernel->native;
    pthread_mutex_unlock(&context->lock);
    return status;
}
