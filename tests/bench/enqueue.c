/* SPDX-License-Identifier: Apache-2.0
 * What the enqueueing thread spends on one launch: Pave's linear on a problem of nothing, beside the driver's own
 * clEnqueueNDRangeKernel of a kernel with the same arguments, set once, on the same queue. The queue is held until all launches
 * are in it, so that what runs does not disturb. Prints processor time of the
 * thread in microseconds, the least of several medians, and the ratio.
 *
 *     PAVE_BACKEND=opencl build/tests/bench/enqueue */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include "kernels/abi.h"

#include <CL/cl.h>
#include <pave/opencl.h>
#include <pave/pave.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LAUNCHES 1000
#define ROUNDS 40
#define SIDE 1

static const char bare_source[] =
    "typedef struct { long v[113]; } args_t;\n"
    "__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void bare(const args_t args, __global float "
    "*a,\n"
    "    __global float *b, __global float *y, __global float *p, __global float *g, __global float *t0,\n"
    "    __global float *t1, __global float *t2, __global float *t3, __global float *t4, __global float "
    "*t5,\n"
    "    __global float *t6, __global float *t7, __global float *t8, __global float *t9)\n"
    "{ if (args.v[0]) y[0] = a[0]; }\n";

typedef struct bench {
    pave_context *context;
    pave_queue *queue;
    pave_buffer *buffers[4];
    pave_linear_params params;
    cl_context native;
    cl_command_queue commands;
    cl_kernel bare;
} bench;

static const pave_link sigmoid = {.op = PAVE_LINK_SIGMOID};

static void must(pave_status status) {
    if (!status) return;
    fprintf(stderr, "enqueue: %s\n", pave_last_message());
    exit(1);
}

static void must_cl(cl_int code, const char *what) {
    if (code == CL_SUCCESS) return;
    fprintf(stderr, "enqueue: %s (%d)\n", what, (int)code);
    exit(1);
}

static void open_pave(bench *b) {
    static const float zeros[SIDE * SIDE];
    pave_device *device;
    must(pave_device_open(NULL, &device));
    must(pave_context_create(device, &b->context));
    must(pave_queue_create(b->context, NULL, &b->queue));
    for (int i = 0; i < 4; i++) {
        must(pave_buffer_create(b->context, sizeof zeros, &b->buffers[i]));
        must(pave_buffer_write(b->queue, b->buffers[i], 0, zeros, sizeof zeros, PAVE_BLOCK, NULL));
    }
    b->params = (pave_linear_params){.size = sizeof b->params,
                                     .x = pave_tensor_2d(b->buffers[0], PAVE_F32, SIDE, SIDE),
                                     .w = pave_tensor_2d(b->buffers[1], PAVE_F32, SIDE, SIDE),
                                     .bias = pave_tensor_1d(b->buffers[2], PAVE_F32, SIDE),
                                     .y = pave_tensor_2d(b->buffers[3], PAVE_F32, SIDE, SIDE),
                                     .epilogue = {.links = &sigmoid, .link_count = 1}};
}

static void open_bare(bench *b) {
    static const pave_abi_gemm args;
    cl_device_id device;
    cl_int code;
    must(pave_opencl_context_handle(b->context, &b->native));
    must(pave_opencl_queue_handle(b->queue, &b->commands));
    must_cl(clGetCommandQueueInfo(b->commands, CL_QUEUE_DEVICE, sizeof device, &device, NULL), "device");
    const char *text = bare_source;
    cl_program program = clCreateProgramWithSource(b->native, 1, &text, NULL, &code);
    must_cl(code, "program");
    must_cl(clBuildProgram(program, 1, &device, "", NULL, NULL), "build");
    b->bare = clCreateKernel(program, "bare", &code);
    must_cl(code, "kernel");
    must_cl(clSetKernelArg(b->bare, 0, sizeof args, &args), "struct");
    for (int i = 0; i < PAVE_GEMM_BUFFERS; i++) {
        cl_mem mem = NULL;
        if (i < 3) must(pave_opencl_buffer_mem(b->buffers[i], &mem));
        must_cl(clSetKernelArg(b->bare, (cl_uint)(1 + i), sizeof mem, &mem), "buffer");
    }
}

static void launch_pave(bench *b) {
    must(pave_linear(b->queue, &b->params, NULL));
}

static void launch_bare(bench *b) {
    const size_t one[3] = {1, 1, 1};
    must_cl(clEnqueueNDRangeKernel(b->commands, b->bare, 3, NULL, one, one, 0, NULL, NULL), "enqueue");
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double microseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static double once(bench *b, void (*launch)(bench *)) {
    cl_int code;
    cl_event gate = clCreateUserEvent(b->native, &code);
    must_cl(code, "gate");
    must_cl(clEnqueueBarrierWithWaitList(b->commands, 1, &gate, NULL), "barrier");
    double begin = microseconds();
    for (int i = 0; i < LAUNCHES; i++) launch(b);
    double spent = microseconds() - begin;
    must_cl(clSetUserEventStatus(gate, CL_COMPLETE), "opening the gate");
    must(pave_queue_finish(b->queue));
    clReleaseEvent(gate);
    return spent / LAUNCHES;
}

int main(void) {
    enum { BARE, CACHED, PLANNED, WAYS };
    static const char *const names[] = {"bare enqueue", "linear, plan found", "linear, plan given"};
    bench b = {0};
    pave_plan *plan;
    double times[WAYS][ROUNDS];
    open_pave(&b);
    open_bare(&b);
    must(pave_plan_linear(b.context, &b.params, &plan));
    for (int r = -2; r < ROUNDS; r++)
        for (int i = 0; i < WAYS; i++) {
            b.params.plan = i == PLANNED ? plan : NULL;
            double spent = once(&b, i == BARE ? launch_bare : launch_pave);
            if (r >= 0) times[i][r] = spent;
        }
    for (int i = 0; i < WAYS; i++) {
        qsort(times[i], ROUNDS, sizeof times[i][0], ascending);
        printf("%-20s %7.2f us (least %6.2f)  %.2f x bare\n", names[i], times[i][ROUNDS / 2], times[i][0],
               times[i][ROUNDS / 2] / times[BARE][ROUNDS / 2]);
    }
    pave_plan_destroy(&plan);
    return 0;
}
