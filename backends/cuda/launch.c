/* SPDX-License-Identifier: Apache-2.0
 * Launches, one by one and recorded. What comes again is one CUDA graph, which costs the thread that starts it half of what one
 * launch does, however many it holds (H100, driver 580: 2.1 us and 4.3). It has copies of all that its kernels get, buffers'
 * addresses included.
 *
 * Where the device can (cuda_context's `overlaps`), a launch begins while the one before it comes to rest: each kernel waits
 * itself before it touches memory (follow_launches of ptx.cuh). A graph's launches do among themselves, but its first one does
 * not (H200: 2.4 us a call), so that calls of which that is a part worth having are not recorded. */
#include "backends/cuda/objects.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define GRID_YZ_MAX 65535
#define THREADS_MAX 1024
#define BUFFERS_MAX 16
#define LAUNCH_NS 4000.0     /* of the thread, each */
#define OVERLAP_NS_MAX 160e3 /* of the device: the longest call that is better launched than recorded */

/* The limits of every device since 3.0. A plan that leaves them is wrong, and says so in any build. */
static pave_status check_launch(const pave__launch *l) {
    uint64_t threads = (uint64_t)l->block[0] * l->block[1] * l->block[2];
    if (l->grid[0] >= 1 && l->grid[0] <= INT32_MAX && l->grid[1] >= 1 && l->grid[1] <= GRID_YZ_MAX &&
        l->grid[2] >= 1 && l->grid[2] <= GRID_YZ_MAX && threads >= 1 && threads <= THREADS_MAX)
        return PAVE_OK;
    return pave__fail(PAVE_E_UNSUPPORTED,
                      "cuda: %s: no launch has a grid of %" PRIu32 "x%" PRIu32 "x%" PRIu32
                      " blocks of %" PRIu64 " threads",
                      l->row->name, l->grid[0], l->grid[1], l->grid[2], threads);
}

/* The driver takes the addresses of a launch's arguments. A buffer's pointer is read where it is: it has the bits of a
 * CUdeviceptr. */
static CUresult launch_on(const cuda_context *c, CUstream stream, void *kernel, const pave__launch *l) {
    static_assert(sizeof *l->buffers == sizeof(CUdeviceptr), "a device pointer is as wide as a host's");
    assert(l->buffer_count <= BUFFERS_MAX);
    void *parameters[1 + BUFFERS_MAX] = {(void *)l->args};
    for (size_t i = 0; i < l->buffer_count; i++) parameters[1 + i] = (void *)&l->buffers[i];
    const CUlaunchAttribute overlap = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
                                       .value.programmaticStreamSerializationAllowed = 1};
    const CUlaunchAttribute together = {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1};
    CUlaunchAttribute attribute = l->row->slices ? together : overlap;
    CUlaunchConfig config = {.gridDimX = l->grid[0],
                             .gridDimY = l->grid[1],
                             .gridDimZ = l->grid[2],
                             .blockDimX = l->block[0],
                             .blockDimY = l->block[1],
                             .blockDimZ = l->block[2],
                             .sharedMemBytes = l->shared_bytes,
                             .hStream = stream,
                             .attrs = &attribute,
                             .numAttrs = c->overlaps || l->row->slices ? 1 : 0};
    return cuda_driver.LaunchKernelEx(&config, kernel, parameters, NULL);
}

static pave_status begin(cuda_queue *q, const pave__launch *list, size_t count) {
    pave_status status = PAVE_OK;
    for (size_t i = 0; !status && i < count; i++) status = check_launch(&list[i]);
    return status ? status : cuda_enter(q->context);
}

pave_status cuda_launch(void *queue, void *const *kernels, const pave__launch *list, size_t count) {
    cuda_queue *q = queue;
    pave_status status = begin(q, list, count);
    if (status) return status;
    for (size_t i = 0; !status && i < count; i++) {
        CUresult result = launch_on(q->context, q->stream, kernels[i], &list[i]);
        if (result == CUDA_SUCCESS) continue;
        char doing[128];
        snprintf(doing, sizeof doing, "launching %s", list[i].row->name);
        status = cuda_check(result, doing);
    }
    cuda_leave();
    return status;
}

/* NULL where the driver does not want to: what is wrong the launches themselves report. The launches are captured on a stream
 * of their own, which nobody else can be using. */
static CUgraphExec make_graph(const cuda_context *c, void *const *kernels, const pave__launch *list,
                              size_t count) {
    CUstream stream;
    if (cuda_driver.StreamCreate(&stream, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS) return NULL;
    CUgraph graph = NULL;
    CUgraphExec exec = NULL;
    CUresult result = cuda_driver.StreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
    if (result == CUDA_SUCCESS) {
        for (size_t i = 0; result == CUDA_SUCCESS && i < count; i++)
            result = launch_on(c, stream, kernels[i], &list[i]);
        CUresult ended = cuda_driver.StreamEndCapture(stream, &graph);
        if (result == CUDA_SUCCESS) result = ended;
    }
    if (result == CUDA_SUCCESS) result = cuda_driver.GraphInstantiate(&exec, graph, 0);
    if (graph) cuda_driver.GraphDestroy(graph);
    cuda_driver.StreamDestroy(stream);
    return result == CUDA_SUCCESS ? exec : NULL;
}

/* While a caller captures its own stream, what is launched is recorded: as launches, and with no graph made meanwhile, which
 * might end that. */
static bool capturing(CUstream stream) {
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return cuda_driver.StreamIsCapturing(stream, &status) != CUDA_SUCCESS ||
           status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* Whether a call's launches overlap better than its graph would, and the thread is ahead of the device all the same. */
static bool better_launched(const cuda_context *c, const pave__launch *list, size_t count) {
    double ns = 0;
    for (size_t i = 0; i < count; i++) ns += list[i].ns;
    return c->overlaps && ns > LAUNCH_NS * (double)count && ns < OVERLAP_NS_MAX;
}

pave_status cuda_record(void *queue, void *const *kernels, const pave__launch *list, size_t count,
                        void **recorded) {
    cuda_queue *q = queue;
    *recorded = NULL;
    if (better_launched(q->context, list, count)) return PAVE_OK;
    pave_status status = begin(q, list, count);
    if (status) return status;
    if (capturing(q->stream))
        status = PAVE_E_NOT_READY;
    else
        *recorded = make_graph(q->context, kernels, list, count);
    cuda_leave();
    return status;
}

pave_status cuda_replay(void *queue, void *recorded) {
    cuda_queue *q = queue;
    pave_status status = cuda_enter(q->context);
    if (status) return status;
    status = capturing(q->stream)
                 ? PAVE_E_NOT_READY
                 : cuda_check(cuda_driver.GraphLaunch(recorded, q->stream), "starting a graph of kernels");
    cuda_leave();
    return status;
}

/* The driver lets a graph that is under way come to its end. */
void cuda_record_free(void *queue, void *recorded) {
    cuda_queue *q = queue;
    if (cuda_enter(q->context)) return;
    cuda_driver.GraphExecDestroy(recorded);
    cuda_leave();
}
