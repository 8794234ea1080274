/* SPDX-License-Identifier: Apache-2.0
 * The first result of a process, step by step, in milliseconds of the clock and of processor time: opening the device, making
 * the context and memory, and a small linear with bias and sigmoid or a small logsumexp until its result is there; then the
 * same again. Run it with an empty cache folder, and once more, for a cold and a warm start.
 *
 *     PAVE_BACKEND=opencl PAVE_CACHE_DIR=… build/tests/bench/first [linear|logsumexp] */
#include <pave/pave.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIDE 64

static double clock_at_start, cpu_at_start;

static double milliseconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void tell(const char *step) {
    printf("%-14s %8.1f ms %8.1f ms cpu\n", step, milliseconds(CLOCK_MONOTONIC) - clock_at_start,
           milliseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_at_start);
}

static void must(pave_status status) {
    if (!status) return;
    fprintf(stderr, "first: %s\n", pave_last_message());
    exit(1);
}

static pave_status run(pave_queue *queue, pave_buffer *const *buffers, int reduce) {
    static const pave_link sigmoid = {.op = PAVE_LINK_SIGMOID};
    const pave_tensor x = pave_tensor_2d(buffers[0], PAVE_F32, SIDE, SIDE);
    if (reduce) {
        const pave_reduce_params params = {.size = sizeof params,
                                           .reduction = PAVE_REDUCE_LOGSUMEXP,
                                           .x = x,
                                           .y = pave_tensor_1d(buffers[3], PAVE_F32, SIDE)};
        return pave_reduce(queue, &params, NULL);
    }
    const pave_linear_params params = {.size = sizeof params,
                                       .x = x,
                                       .w = pave_tensor_2d(buffers[1], PAVE_F32, SIDE, SIDE),
                                       .bias = pave_tensor_1d(buffers[2], PAVE_F32, SIDE),
                                       .y = pave_tensor_2d(buffers[3], PAVE_F32, SIDE, SIDE),
                                       .epilogue = {.links = &sigmoid, .link_count = 1}};
    return pave_linear(queue, &params, NULL);
}

int main(int argc, char **argv) {
    static float values[SIDE * SIDE];
    int reduce = argc > 1 && strcmp(argv[1], "logsumexp") == 0;
    pave_device *device;
    pave_context *context;
    pave_queue *queue;
    pave_buffer *buffers[4];
    clock_at_start = milliseconds(CLOCK_MONOTONIC);
    cpu_at_start = milliseconds(CLOCK_PROCESS_CPUTIME_ID);
    must(pave_device_open(NULL, &device));
    tell("device");
    must(pave_context_create(device, &context));
    must(pave_queue_create(context, NULL, &queue));
    for (int i = 0; i < 4; i++) {
        must(pave_buffer_create(context, sizeof values, &buffers[i]));
        must(pave_buffer_write(queue, buffers[i], 0, values, sizeof values, PAVE_BLOCK, NULL));
    }
    tell("memory");
    for (int i = 0; i < 2; i++) {
        must(run(queue, buffers, reduce));
        tell(i ? "enqueued again" : "enqueued");
        must(pave_buffer_read(queue, buffers[3], 0, values, sizeof values, PAVE_BLOCK, NULL));
        tell(i ? "second result" : "first result");
    }
    for (int i = 0; i < 4; i++) pave_buffer_destroy(&buffers[i]);
    pave_queue_destroy(&queue);
    pave_context_destroy(&context);
    return 0;
}
