/* SPDX-License-Identifier: Apache-2.0
 * CLBlast, if it can be loaded, on the OpenCL device that PEER_CLBLAST_PLATFORM numbers, else on the first platform's first. */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include "tests/bench/peers.h"

#include <CL/cl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

typedef int (*sgemm_fn)(int layout, int trans_a, int trans_b, size_t m, size_t n, size_t k, float alpha,
                        cl_mem a, size_t a_offset, size_t lda, cl_mem b, size_t b_offset, size_t ldb,
                        float beta, cl_mem c, size_t c_offset, size_t ldc, cl_command_queue *queue,
                        cl_event *event);

static sgemm_fn sgemm;

typedef struct state {
    cl_context context;
    cl_command_queue queue;
    cl_mem mems[3];
    peer_problem problem;
} state;

static bool load(void) {
    if (sgemm) return true;
    void *library = dlopen("libclblast.so.1", RTLD_NOW);
    if (library) *(void **)&sgemm = dlsym(library, "CLBlastSgemm");
    if (!sgemm) fprintf(stderr, "clblast: not here (Debian: libclblast1)\n");
    return sgemm;
}

static bool open_device(state *s) {
    const char *number = getenv("PEER_CLBLAST_PLATFORM");
    cl_uint wanted = number ? (cl_uint)strtoul(number, NULL, 10) : 0, count = 0;
    cl_platform_id platforms[16];
    cl_device_id device;
    if (clGetPlatformIDs(16, platforms, &count) || wanted >= count ||
        clGetDeviceIDs(platforms[wanted], CL_DEVICE_TYPE_ALL, 1, &device, NULL))
        return false;
    s->context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
    if (s->context) s->queue = clCreateCommandQueue(s->context, device, 0, NULL);
    return s->queue;
}

static bool fill(state *s) {
    const peer_problem *p = &s->problem;
    size_t bytes[3] = {(size_t)(p->m * p->k) * 4, (size_t)(p->n * p->k) * 4, (size_t)(p->m * p->n) * 4};
    const float *from[3] = {p->x, p->w, NULL};
    for (int i = 0; i < 3; i++) {
        s->mems[i] = clCreateBuffer(s->context, CL_MEM_READ_WRITE, bytes[i], NULL, NULL);
        if (!s->mems[i]) return false;
        if (from[i] &&
            clEnqueueWriteBuffer(s->queue, s->mems[i], CL_TRUE, 0, bytes[i], from[i], 0, NULL, NULL))
            return false;
    }
    return true;
}

static void drop(void *of) {
    state *s = of;
    for (int i = 0; i < 3; i++)
        if (s->mems[i]) clReleaseMemObject(s->mems[i]);
    if (s->queue) clReleaseCommandQueue(s->queue);
    if (s->context) clReleaseContext(s->context);
    free(s);
}

static void *prepare(const peer_problem *p) {
    state *s = load() ? calloc(1, sizeof *s) : NULL;
    if (!s) return NULL;
    s->problem = *p;
    if (open_device(s) && fill(s)) return s;
    drop(s);
    return NULL;
}

static bool run(void *of) {
    state *s = of;
    size_t m = (size_t)s->problem.m, n = (size_t)s->problem.n, k = (size_t)s->problem.k;
    return !sgemm(ROW_MAJOR, NO_TRANS, TRANS, m, n, k, 1, s->mems[0], 0, k, s->mems[1], 0, k, 0, s->mems[2],
                  0, n, &s->queue, NULL) &&
           !clFinish(s->queue);
}

static bool fetch(void *of, float *y) {
    state *s = of;
    size_t bytes = (size_t)(s->problem.m * s->problem.n) * sizeof *y;
    return !clEnqueueReadBuffer(s->queue, s->mems[2], CL_TRUE, 0, bytes, y, 0, NULL, NULL);
}

const peer peer_clblast = {"clblast", "product", prepare, run, fetch, drop};
