/* SPDX-License-Identifier: Apache-2.0
 * Measures what a device reaches: arithmetic in registers by its peak rows, and a copy. Rates by which
 * predictions and benchmarks are judged. */
#include "src/objects.h"

#define TRIALS 5
#define COPY_TRIALS_GPU 25 /* its memory's clock may have to rise first */
#define TARGET_NS 4e6      /* of a trial: long against a launch, short for a user */
#define COPY_BYTES_GPU (512ull << 20)
#define COPY_BYTES_CPU (128ull << 20)

static pave_status time_peak(pave_queue *queue, const pave__step *step, int64_t iterations, void *memory,
                             uint64_t *ns) {
    pave_abi_peak args = {.iterations = iterations};
    void *buffers[PAVE_PEAK_BUFFERS] = {memory};
    pave_event *event;
    pave_sync sync = {.event = &event};
    pave_event *begun;
    pave_status status = pave__sync_begin(queue, &sync, &begun);
    if (status) return status;
    status = pave__launch_step(queue, step, &args, sizeof args, buffers, PAVE_PEAK_BUFFERS);
    status = pave__sync_end(queue, &sync, begun, status);
    if (status) return status;
    status = pave_event_wait(event);
    if (!status) status = pave_event_duration(event, ns);
    pave_event_destroy(&event);
    return status;
}

/* Doubles the work until a trial is long enough, then takes the best of some. */
static pave_status measure_peak(pave_queue *queue, const pave__row *row, void *memory, double *flops) {
    const pave_device_info *device = &queue->context->device->info;
    uint32_t blocks = (uint32_t)device->compute_units;
    if (device->kind == PAVE_DEVICE_GPU) blocks *= (uint32_t)(device->threads_per_unit / row->threads);
    pave__step step = {
        .row = row, .grid = {blocks ? blocks : 1, 1, 1}, .block = {(uint32_t)row->threads, 1, 1}};
    uint64_t ns = 0;
    int64_t iterations = 64;
    pave_status status = time_peak(queue, &step, iterations, memory, &ns); /* loads, warms */
    for (int i = 0; !status && i < 24; i++) {
        status = time_peak(queue, &step, iterations, memory, &ns);
        if ((double)ns > TARGET_NS) break;
        iterations *= 2;
    }
    for (int i = 0; !status && i < TRIALS; i++) {
        status = time_peak(queue, &step, iterations, memory, &ns);
        double reached =
            (double)iterations * row->peak_flops * row->threads * step.grid[0] / ((double)ns * 1e-9);
        if (!status && ns && reached > *flops) *flops = reached;
    }
    return status;
}

static pave_status measure_copy(pave_queue *queue, double *bytes_per_s) {
    const pave_device_info *device = &queue->context->device->info;
    bool gpu = device->kind == PAVE_DEVICE_GPU;
    uint64_t bytes = gpu ? COPY_BYTES_GPU : COPY_BYTES_CPU;
    if (device->memory_bytes && bytes > device->memory_bytes / 8) bytes = device->memory_bytes / 8;
    pave_buffer *from = NULL, *to = NULL;
    uint32_t pattern = 0x3f812345;
    pave_status status = pave_buffer_create(queue->context, bytes, &from);
    if (!status) status = pave_buffer_create(queue->context, bytes, &to);
    if (!status) status = pave_buffer_fill(queue, from, 0, bytes & ~3ull, &pattern, 4, NULL);
    for (int i = 0; !status && i <= (gpu ? COPY_TRIALS_GPU : TRIALS); i++) {
        pave_event *event;
        pave_sync sync = {.event = &event};
        uint64_t ns = 0;
        status = pave_buffer_copy(queue, from, 0, to, 0, bytes, &sync);
        if (status) break;
        status = pave_event_wait(event);
        if (!status) status = pave_event_duration(event, &ns);
        pave_event_destroy(&event);
        double reached = 2.0 * (double)bytes / ((double)ns * 1e-9);
        if (!status && i && ns && reached > *bytes_per_s) *bytes_per_s = reached;
    }
    pave_buffer_destroy(&from);
    pave_buffer_destroy(&to);
    return status;
}

pave_status pave_device_measure(pave_context *context, pave_device_info *info) {
    if (!context) return pave__fail(PAVE_E_INVALID, "context is NULL");
    pave_device_info measured = context->device->info;
    if (!info || info->size != sizeof *info) return pave__info_copy(&measured, info);
    pave_queue_params params = {.size = sizeof params, .profiling = 1};
    pave_queue *queue;
    pave_status status = pave_queue_create(context, &params, &queue);
    if (status) return status;
    pave_buffer *sink = NULL;
    status = pave_buffer_create(context, 4096, &sink);
    size_t count;
    const pave__row *rows = pave__rows(&count);
    for (size_t i = 0; !status && i < count; i++) {
        pave__refusal refusal;
        if (rows[i].family != PAVE__PEAK ||
            pave__row_refused(&measured, pave__backend_of(&measured), &rows[i], &refusal))
            continue;
        double flops = 0;
        status = measure_peak(queue, &rows[i], sink->memory, &flops);
        if (!status) measured.flops[rows[i].path] = flops;
    }
    double bytes_per_s = 0;
    if (!status) status = measure_copy(queue, &bytes_per_s);
    if (!status) measured.memory_bytes_per_s = bytes_per_s;
    pave_buffer_destroy(&sink);
    pave_queue_destroy(&queue);
    return status ? status : pave__info_copy(&measured, info);
}
