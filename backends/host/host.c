/* SPDX-License-Identifier: Apache-2.0
 * The host as a device: memory is the process's own, a queue runs each command as it is enqueued, and an
 * event is a pair of clock readings. */
#include "backends/host/kernels.h"
#include "src/backend.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* As the drivers' allocations are aligned, so that a plan's alignment means the same here. */
#define ALIGNMENT 256

typedef struct host_event {
    uint64_t begin, end;
} host_event;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void probe(pave__probe *sink) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    pave_device_info info = {.size = sizeof info,
                             .name = "host reference",
                             .backend = "host",
                             .selector = "host",
                             .driver = "plain C, float64 accumulation",
                             .kind = PAVE_DEVICE_CPU,
                             .compute_units = 1,
                             .threads_per_unit = 1,
                             .threads_per_block = 1,
                             .blocks_per_unit = 1,
                             .vector_width = 1,
                             .memory_bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0,
                             .memory_bytes_per_s = 4e9,
                             .l2_bytes_per_s = 16e9,
                             .launch_ns = 100};
    info.alloc_bytes_max = info.memory_bytes;
    info.flops[PAVE_PATH_FMA] = 1e9;
    pave__probe_found(sink, &info, NULL);
}

static pave_status context_open(void *native, const pave_device_info *info, void **context) {
    (void)native, (void)info;
    *context = NULL;
    return PAVE_OK;
}

static void context_close(void *context) {
    (void)context;
}

static pave_status memory_alloc(void *context, uint64_t bytes, void **memory) {
    (void)context;
    int error = bytes > SIZE_MAX ? ENOMEM : posix_memalign(memory, ALIGNMENT, (size_t)bytes);
    return error
               ? pave__fail(PAVE_E_DEVICE_MEMORY, "host: no memory for a buffer of %" PRIu64 " bytes", bytes)
               : PAVE_OK;
}

static void memory_free(void *context, void *memory) {
    (void)context;
    free(memory);
}

static pave_status queue_open(void *context, int profiling, void **queue) {
    (void)context, (void)profiling;
    *queue = NULL;
    return PAVE_OK;
}

static void queue_close(void *queue) {
    (void)queue;
}

static pave_status queue_finish(void *queue) {
    (void)queue;
    return PAVE_OK;
}

static pave_status write_memory(void *queue, void *memory, uint64_t offset, const void *source,
                                uint64_t bytes, int blocking) {
    (void)queue, (void)blocking;
    memcpy((char *)memory + offset, source, bytes);
    return PAVE_OK;
}

static pave_status upload(void *queue, void *memory, uint64_t offset, const void *source, uint64_t bytes) {
    return write_memory(queue, memory, offset, source, bytes, 1);
}

static pave_status read_memory(void *queue, void *memory, uint64_t offset, void *target, uint64_t bytes,
                               int blocking) {
    (void)queue, (void)blocking;
    memcpy(target, (const char *)memory + offset, bytes);
    return PAVE_OK;
}

static pave_status fill_memory(void *queue, void *memory, uint64_t offset, uint64_t bytes,
                               const void *pattern, size_t pattern_bytes) {
    (void)queue;
    for (uint64_t i = 0; i < bytes; i += pattern_bytes)
        memcpy((char *)memory + offset + i, pattern, pattern_bytes);
    return PAVE_OK;
}

static pave_status copy_memory(void *queue, void *source, uint64_t source_offset, void *target,
                               uint64_t target_offset, uint64_t bytes) {
    (void)queue;
    memcpy((char *)target + target_offset, (const char *)source + source_offset, bytes);
    return PAVE_OK;
}

static pave_status map_memory(void *queue, void *memory, uint64_t offset, uint64_t bytes, void **pointer) {
    (void)queue, (void)bytes;
    *pointer = (char *)memory + offset;
    return PAVE_OK;
}

static pave_status unmap_memory(void *queue, void *memory, void *pointer) {
    (void)queue, (void)memory, (void)pointer;
    return PAVE_OK;
}

static pave_status kernel_load(void *context, const pave__row *row, uint32_t link_mask, void **kernel) {
    (void)context, (void)link_mask;
    *kernel = (void *)row;
    return PAVE_OK;
}

static void kernel_unload(void *context, void *kernel) {
    (void)context, (void)kernel;
}

static pave_status launch(void *queue, void *const *kernels, const pave__launch *list, size_t count) {
    (void)queue, (void)kernels;
    for (size_t i = 0; i < count; i++) host_run(list[i].row, list[i].args, list[i].buffers);
    return PAVE_OK;
}

static pave_status event_begin(void *queue, void **event) {
    (void)queue;
    host_event *e = malloc(sizeof *e);
    if (!e) return pave__fail(PAVE_E_HOST_MEMORY, "host: no memory for an event");
    e->begin = e->end = now();
    *event = e;
    return PAVE_OK;
}

static pave_status event_end(void *queue, void *event) {
    (void)queue;
    ((host_event *)event)->end = now();
    return PAVE_OK;
}

static pave_status queue_wait(void *queue, void *event) {
    (void)queue, (void)event;
    return PAVE_OK;
}

static pave_status event_done(void *event) {
    (void)event;
    return PAVE_OK;
}

static pave_status event_duration(void *event, uint64_t *ns) {
    const host_event *e = event;
    *ns = e->end - e->begin;
    return PAVE_OK;
}

extern const pave__backend host_backend;

const pave__backend host_backend = {
    .name = "host",
    .id = PAVE__HOST,
    .probe = probe,
    .context_open = context_open,
    .context_close = context_close,
    .memory_alloc = memory_alloc,
    .memory_free = memory_free,
    .queue_open = queue_open,
    .queue_close = queue_close,
    .queue_finish = queue_finish,
    .write = write_memory,
    .upload = upload,
    .read = read_memory,
    .fill = fill_memory,
    .copy = copy_memory,
    .map = map_memory,
    .unmap = unmap_memory,
    .kernel_load = kernel_load,
    .kernel_unload = kernel_unload,
    .launch = launch,
    .event_begin = event_begin,
    .event_end = event_end,
    .queue_wait = queue_wait,
    .event_wait = event_done,
    .event_query = event_done,
    .event_duration = event_duration,
    .event_free = free,
};
