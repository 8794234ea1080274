/* SPDX-License-Identifier: Apache-2.0
 * The CUDA driver's own cost of launching the same kernels: one by one, overlapping, and as a graph. */
#include "tests/bench/dispatch.h"

#include "backends/cuda/objects.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the benchmark calls and the library may not. */
#define EXTRA(X)                                                                                         \
    X(GraphGetNodes, cuGraphGetNodes, (CUgraph, CUgraphNode *, size_t *))                                \
    X(GraphKernelNodeGetParams, cuGraphKernelNodeGetParams_v2, (CUgraphNode, CUDA_KERNEL_NODE_PARAMS *)) \
    X(GraphExecKernelNodeSetParams, cuGraphExecKernelNodeSetParams_v2,                                   \
      (CUgraphExec, CUgraphNode, const CUDA_KERNEL_NODE_PARAMS *))

static struct {
#define MEMBER(member, symbol, parameters) CUresult(CUDAAPI *member) parameters;
    EXTRA(MEMBER)
#undef MEMBER
} extra;

typedef struct bare {
    dispatch_call *call;
    CUstream stream;
    CUgraphExec exec;
    CUgraphNode nodes[DISPATCH_LAUNCHES_MAX];
    CUDA_KERNEL_NODE_PARAMS node;
    CUcontext context;
} bare;

static bool load(void) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
#define LOAD(member, symbol, parameters)                          \
    {                                                             \
        void *address = library ? dlsym(library, #symbol) : NULL; \
        if (!address) return false;                               \
        memcpy(&extra.member, &address, sizeof address);          \
    }
    EXTRA(LOAD)
#undef LOAD
    return true;
}

static void fill(dispatch_launch *l, void **parameters) {
    parameters[0] = &l->args;
    for (size_t i = 0; i < l->launch.buffer_count; i++) parameters[1 + i] = &l->buffers[i];
}

/* attribute_count: 1 where launches may overlap. */
static int launch_all(const bare *b, unsigned attribute_count) {
    for (size_t i = 0; i < b->call->count; i++) {
        dispatch_launch *l = &b->call->list[i];
        const pave__launch *p = &l->launch;
        CUlaunchAttribute overlap = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
                                     .value.programmaticStreamSerializationAllowed = 1};
        CUlaunchConfig config = {.gridDimX = p->grid[0],
                                 .gridDimY = p->grid[1],
                                 .gridDimZ = p->grid[2],
                                 .blockDimX = p->block[0],
                                 .blockDimY = p->block[1],
                                 .blockDimZ = p->block[2],
                                 .sharedMemBytes = p->shared_bytes,
                                 .hStream = b->stream,
                                 .attrs = &overlap,
                                 .numAttrs = attribute_count};
        void *parameters[1 + PAVE_GEMM_BUFFERS];
        fill(l, parameters);
        int code = (int)cuda_driver.LaunchKernelEx(&config, l->kernel, parameters, NULL);
        if (code) return code;
    }
    return 0;
}

static int launches(void *arg) {
    return launch_all(arg, 0);
}

static int launches_overlapped(void *arg) {
    return launch_all(arg, 1);
}

static int graph(void *arg) {
    const bare *b = arg;
    return (int)cuda_driver.GraphLaunch(b->exec, b->stream);
}

static int graph_updated(void *arg) {
    bare *b = arg;
    for (size_t i = 0; i < b->call->count; i++) {
        dispatch_launch *l = &b->call->list[i];
        void *parameters[1 + PAVE_GEMM_BUFFERS];
        CUDA_KERNEL_NODE_PARAMS p = b->node;
        fill(l, parameters);
        p.func = l->kernel;
        p.gridDimX = l->launch.grid[0], p.gridDimY = l->launch.grid[1], p.gridDimZ = l->launch.grid[2];
        p.blockDimX = l->launch.block[0], p.blockDimY = l->launch.block[1], p.blockDimZ = l->launch.block[2];
        p.sharedMemBytes = l->launch.shared_bytes;
        p.kernelParams = parameters;
        int code = (int)extra.GraphExecKernelNodeSetParams(b->exec, b->nodes[i], &p);
        if (code) return code;
    }
    return graph(b);
}

static int push_and_pop(void *arg) {
    CUcontext popped;
    int code = (int)cuda_driver.CtxPushCurrent(((const bare *)arg)->context);
    return code ? code : (int)cuda_driver.CtxPopCurrent(&popped);
}

static int is_capturing(void *arg) {
    CUstreamCaptureStatus status;
    return (int)cuda_driver.StreamIsCapturing(((const bare *)arg)->stream, &status);
}

/* By capture, so that nodes come in order. */
static int make_graph(bare *b, int (*call)(void *)) {
    CUgraph g;
    size_t count = DISPATCH_LAUNCHES_MAX;
    int code = (int)cuda_driver.StreamBeginCapture(b->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    if (!code) code = call(b);
    if (!code) code = (int)cuda_driver.StreamEndCapture(b->stream, &g);
    if (!code) code = (int)cuda_driver.GraphInstantiate(&b->exec, g, 0);
    if (!code) code = (int)extra.GraphGetNodes(g, b->nodes, &count);
    if (!code) code = (int)extra.GraphKernelNodeGetParams(b->nodes[0], &b->node);
    return code; /* the graph stays: its nodes name those of the executable one */
}

/* Device time of a call in a full queue: what lies between kernels shows in it. */
static double device_us(bare *b, int (*call)(void *)) {
    enum { ROUNDS = 50 };
    CUevent begin, end;
    float ms = 0;
    cuda_driver.EventCreate(&begin, CU_EVENT_DEFAULT);
    cuda_driver.EventCreate(&end, CU_EVENT_DEFAULT);
    for (int round = 0; round < 2; round++) {
        cuda_driver.EventRecord(begin, b->stream);
        for (int i = 0; i < ROUNDS; i++) call(b);
        cuda_driver.EventRecord(end, b->stream);
        cuda_driver.StreamSynchronize(b->stream);
    }
    cuda_driver.EventElapsedTime(&ms, begin, end);
    cuda_driver.EventDestroy(begin);
    cuda_driver.EventDestroy(end);
    return ms * 1e3 / ROUNDS;
}

static void print(bare *b, const char *name, int (*call)(void *)) {
    dispatch_cost c = dispatch_time(b->call->queue, call, b);
    printf("    %-34s %8.2f us (%.2f cpu), device %.2f us\n", name, c.wall * 1e-3, c.cpu * 1e-3,
           device_us(b, call));
}

static void graphs(bare *b) {
    int code = make_graph(b, launches);
    if (code) {
        printf("    no graph: %d\n", code);
        return;
    }
    print(b, "cuGraphLaunch", graph);
    print(b, "the same, each node's args set", graph_updated);
    cuda_driver.GraphExecDestroy(b->exec);
    if (b->call->count == 1 || make_graph(b, launches_overlapped)) return;
    print(b, "cuGraphLaunch, overlapping", graph);
    cuda_driver.GraphExecDestroy(b->exec);
}

static void run(dispatch_call *call) {
    cuda_queue *q = call->queue->native;
    bare b = {.call = call, .stream = q->stream, .context = q->context->context};
    cuda_driver.CtxPushCurrent(b.context);
    print(&b, "cuLaunchKernelEx", launches);
    print(&b, "the same, overlapping", launches_overlapped);
    if (load()) graphs(&b);
    print(&b, "cuCtxPushCurrent, cuCtxPopCurrent", push_and_pop);
    print(&b, "cuStreamIsCapturing", is_capturing);
    CUcontext popped;
    cuda_driver.CtxPopCurrent(&popped);
}

/* ---- the driver's part replaced */

static CUresult CUDAAPI launch_nothing(const CUlaunchConfig *config, CUfunction f, void **parameters,
                                       void **more) {
    (void)config, (void)f, (void)parameters, (void)more;
    return CUDA_SUCCESS;
}

static CUresult CUDAAPI graph_nothing(CUgraphExec e, CUstream s) {
    (void)e, (void)s;
    return CUDA_SUCCESS;
}

static CUresult CUDAAPI not_capturing(CUstream s, CUstreamCaptureStatus *status) {
    (void)s;
    *status = CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

static CUresult CUDAAPI push_nothing(CUcontext c) {
    (void)c;
    return CUDA_SUCCESS;
}

static CUresult CUDAAPI pop_nothing(CUcontext *c) {
    (void)c;
    return CUDA_SUCCESS;
}

static CUresult CUDAAPI record_nothing(CUevent e, CUstream s) {
    (void)e, (void)s;
    return CUDA_SUCCESS;
}

static CUresult CUDAAPI wait_nothing(CUstream s, CUevent e, unsigned flags) {
    (void)e, (void)s, (void)flags;
    return CUDA_SUCCESS;
}

static CUresult CUDAAPI finish_nothing(CUstream s) {
    (void)s;
    return CUDA_SUCCESS;
}

static void stub(bool on) {
    static cuda_table kept;
    if (!on) {
        cuda_driver = kept;
        return;
    }
    kept = cuda_driver;
    cuda_driver.LaunchKernelEx = launch_nothing;
    cuda_driver.GraphLaunch = graph_nothing;
    cuda_driver.StreamIsCapturing = not_capturing;
    cuda_driver.CtxPushCurrent = push_nothing;
    cuda_driver.CtxPopCurrent = pop_nothing;
    cuda_driver.EventRecord = record_nothing;
    cuda_driver.StreamWaitEvent = wait_nothing;
    cuda_driver.StreamSynchronize = finish_nothing;
}

const dispatch_driver dispatch_cuda = {run, stub};
