/* SPDX-License-Identifier: Apache-2.0
 * Calls that come again run as graphs: as many launches of the driver's as that takes, the values of what is in the buffers
 * now, nothing allocated, and no graph for what changes every time. Each case is a process with a driver of its own. */
#include "tests/cuda_host/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M = 6, K = 24, N = 10, STEP = M * N * 4, SEEN = 3, MANY = 200, BYTES = MANY * 1024 };

typedef struct rig {
    pave_device *device;
    pave_context *context;
    pave_queue *queue;
    pave_buffer *x, *w, *y;
    pave_layer layers[2];
    pave_mlp_params mlp;
    unsigned launches, graphs;
} rig;

static pave_status fill(rig *r, pave_buffer *b, float value) {
    return pave_buffer_fill(r->queue, b, 0, BYTES, &value, 4, NULL);
}

static int rig_open(rig *r) {
    EXPECT(pave_device_open("cuda", &r->device) == PAVE_OK);
    EXPECT(pave_context_create(r->device, &r->context) == PAVE_OK);
    EXPECT(pave_queue_create(r->context, NULL, &r->queue) == PAVE_OK);
    EXPECT(pave_buffer_create(r->context, BYTES, &r->x) == PAVE_OK);
    EXPECT(pave_buffer_create(r->context, BYTES, &r->w) == PAVE_OK);
    EXPECT(pave_buffer_create(r->context, BYTES, &r->y) == PAVE_OK);
    EXPECT(fill(r, r->x, 1) == PAVE_OK && fill(r, r->w, 0.5f) == PAVE_OK && fill(r, r->y, -1) == PAVE_OK);
    r->layers[0] = (pave_layer){.w = pave_tensor_2d(r->w, PAVE_F32, N, K)};
    r->layers[1] = (pave_layer){.w = pave_tensor_2d(r->w, PAVE_F32, N, N)};
    r->mlp = (pave_mlp_params){.size = sizeof r->mlp,
                               .x = pave_tensor_2d(r->x, PAVE_F32, M, K),
                               .layers = r->layers,
                               .layer_count = 2,
                               .y = pave_tensor_2d(r->y, PAVE_F32, M, N)};
    return 0;
}

static int rig_close(rig *r) {
    pave_buffer_destroy(&r->x);
    pave_buffer_destroy(&r->w);
    pave_buffer_destroy(&r->y);
    pave_queue_destroy(&r->queue);
    pave_context_destroy(&r->context);
    EXPECT(driver_is_clean(false));
    return 0;
}

/* The mlp, `index` places into y; counts what the driver was asked for. */
static pave_status run(rig *r, int index) {
    int launches = driver_counts().launches;
    unsigned graphs = driver_calls("cuGraphLaunch");
    r->mlp.y.offset = (uint64_t)index * STEP;
    pave_status status = pave_mlp(r->queue, &r->mlp, NULL);
    r->launches = (unsigned)(driver_counts().launches - launches);
    r->graphs = driver_calls("cuGraphLaunch") - graphs;
    return status;
}

static bool is(rig *r, int index, float value) {
    float got[M * N];
    if (pave_buffer_read(r->queue, r->y, (uint64_t)index * STEP, got, sizeof got, PAVE_BLOCK, NULL))
        return false;
    for (int i = 0; i < M * N; i++)
        if (got[i] != value) return false;
    return true;
}

/* K ones times a half, N of those times a half. */
static const float value = K * 0.5f * N * 0.5f;

static int repeats(void) {
    rig r = {0};
    if (rig_open(&r)) return 2;
    for (int i = 0; i < SEEN; i++) EXPECT(run(&r, 0) == PAVE_OK && r.launches == 2 && r.graphs == 0);
    EXPECT(driver_calls("cuStreamBeginCapture_v2") == 0);
    for (int i = 0; i < 5; i++) EXPECT(run(&r, 0) == PAVE_OK && r.launches == 0 && r.graphs == 1);
    EXPECT(driver_calls("cuStreamBeginCapture_v2") == 1 && driver_counts().graphs == 1);
    EXPECT(is(&r, 0, value));
    EXPECT(fill(&r, r.x, 2) == PAVE_OK && run(&r, 0) == PAVE_OK && r.graphs == 1);
    EXPECT(is(&r, 0, 2 * value));
    /* One launch as well: a graph is the cheaper way to start it. */
    const int launches = driver_counts().launches;
    const unsigned graphs = driver_calls("cuGraphLaunch");
    const pave_tensor from = r.mlp.x,
                      to = {.buffer = r.y, .type = PAVE_F32, .rank = 2, .shape = {M, K}, .strides = {K, 1}};
    for (int i = 0; i < SEEN + 2; i++) EXPECT(pave_copy(r.queue, &from, &to, NULL) == PAVE_OK);
    EXPECT(driver_counts().launches == launches + SEEN && driver_calls("cuGraphLaunch") == graphs + 2);
    EXPECT(is(&r, 0, 2));
    return rig_close(&r);
}

/* Another place, other scalars, another queue: other calls. */
static int changes(void) {
    rig r = {0};
    if (rig_open(&r)) return 2;
    for (int i = 0; i < SEEN + 2; i++) EXPECT(run(&r, 0) == PAVE_OK);
    EXPECT(r.graphs == 1);
    EXPECT(run(&r, 1) == PAVE_OK && r.launches == 2 && is(&r, 1, value));
    pave_link scale = {.op = PAVE_LINK_MUL, .a = 2};
    r.mlp.epilogue.links = &scale, r.mlp.epilogue.link_count = 1;
    EXPECT(run(&r, 0) == PAVE_OK && r.launches == 2 && is(&r, 0, 2 * value));
    scale.a = 4;
    EXPECT(run(&r, 0) == PAVE_OK && r.launches == 2 && is(&r, 0, 4 * value));
    r.mlp.epilogue.link_count = 0;
    EXPECT(run(&r, 0) == PAVE_OK && r.graphs == 1 && is(&r, 0, value));
    pave_queue *first = r.queue;
    EXPECT(pave_queue_create(r.context, NULL, &r.queue) == PAVE_OK);
    EXPECT(run(&r, 0) == PAVE_OK && r.launches == 2 && is(&r, 0, value));
    pave_queue_destroy(&first);
    return rig_close(&r);
}

/* Calls in turn, more than there is room for: those that have a graph keep it. */
static int crowds(void) {
    rig r = {0};
    if (rig_open(&r)) return 2;
    for (int round = 0; round < 8; round++)
        for (int i = 0; i < MANY; i++) EXPECT(run(&r, i) == PAVE_OK);
    unsigned made = driver_calls("cuStreamBeginCapture_v2"), replayed = 0;
    EXPECT(made > 96 && made <= 128 && (int)made == driver_counts().graphs);
    for (int i = 0; i < MANY; i++) {
        EXPECT(run(&r, i) == PAVE_OK && is(&r, i, value));
        replayed += r.graphs;
    }
    EXPECT(driver_calls("cuStreamBeginCapture_v2") == made && replayed == made);
    return rig_close(&r);
}

/* Left alone for long enough, a graph makes room. */
static int ages(void) {
    rig r = {0};
    if (rig_open(&r)) return 2;
    for (int i = 0; i < 4 * MANY; i++) EXPECT(run(&r, i / 4) == PAVE_OK);
    for (int i = 0; i < 4100; i++) EXPECT(run(&r, MANY - 1) == PAVE_OK);
    unsigned made = driver_calls("cuStreamBeginCapture_v2");
    /* Those without one come first. */
    for (int i = 4 * MANY - 1; i >= 0; i--) EXPECT(run(&r, i / 4) == PAVE_OK);
    EXPECT(driver_calls("cuStreamBeginCapture_v2") > made && driver_counts().graphs <= 128);
    EXPECT(is(&r, MANY - 1, value));
    return rig_close(&r);
}

/* Without a graph a call goes on as launches, and nobody tries again. */
static int goes_on(void) {
    rig r = {0};
    if (rig_open(&r)) return 2;
    for (int i = 0; i < SEEN + 4; i++) EXPECT(run(&r, 0) == PAVE_OK && r.launches == 2 && r.graphs == 0);
    EXPECT(driver_counts().faults == 1 && driver_counts().graphs == 0 && is(&r, 0, value));
    return rig_close(&r);
}

/* Where launches overlap, a graph's do too; a call that keeps the device busier than the thread is launched. */
static int overlaps(void) {
    enum { SIDE = 2048 };
    rig r = {0};
    pave_buffer *large[2];
    if (rig_open(&r)) return 2;
    for (int i = 0; i < SEEN + 2; i++) EXPECT(run(&r, 0) == PAVE_OK);
    EXPECT(r.launches == 0 && r.graphs == 1 && is(&r, 0, value));
    EXPECT(driver_counts().overlaps == 2 * (SEEN + 1));
    for (int i = 0; i < 2; i++) EXPECT(pave_buffer_create(r.context, SIDE * SIDE * 4, &large[i]) == PAVE_OK);
    const pave_tensor from = pave_tensor_2d(large[0], PAVE_F32, SIDE, SIDE),
                      to = pave_tensor_2d(large[1], PAVE_F32, SIDE, SIDE);
    const int before = driver_counts().overlaps;
    for (int i = 0; i < SEEN + 2; i++) EXPECT(pave_copy(r.queue, &from, &to, NULL) == PAVE_OK);
    EXPECT(driver_counts().overlaps == before + SEEN + 2 && driver_counts().graphs == 1);
    for (int i = 0; i < 2; i++) pave_buffer_destroy(&large[i]);
    return rig_close(&r);
}

static int overlaps_nothing(void) {
    rig r = {0};
    if (rig_open(&r)) return 2;
    for (int i = 0; i < SEEN + 2; i++) EXPECT(run(&r, 0) == PAVE_OK);
    EXPECT(r.graphs == 1 && driver_counts().overlaps == 0);
    return rig_close(&r);
}

static int launch_fails(void) {
    rig r = {0};
    if (rig_open(&r)) return 2;
    for (int i = 0; i < SEEN; i++) EXPECT(run(&r, 0) == PAVE_OK);
    EXPECT(run(&r, 0) == PAVE_E_DEVICE && strstr(pave_last_message(), "CUDA_ERROR_ILLEGAL_ADDRESS (700)"));
    EXPECT(run(&r, 0) == PAVE_OK && r.graphs == 1 && is(&r, 0, value));
    return rig_close(&r);
}

/* While the caller captures the stream, as a driver that does not want to say is taken to mean: launches, and a graph for
 * the next call. */
static int captured(void) {
    rig r = {0};
    if (rig_open(&r)) return 2;
    for (int i = 0; i < SEEN; i++) EXPECT(run(&r, 0) == PAVE_OK && r.launches == 2);
    int without = 0;
    for (int i = 0; i < 4; i++) {
        EXPECT(run(&r, 0) == PAVE_OK && r.launches + 2 * r.graphs == 2 && is(&r, 0, value));
        without += r.graphs == 0;
    }
    EXPECT(without == 1 && driver_counts().faults == 1 && driver_counts().graphs == 1);
    return rig_close(&r);
}

#define CASE(name, variable, what, body)                     \
    static void name(void **state) {                         \
        (void)state;                                         \
        assert_int_equal(in_child(variable, what, body), 0); \
    }
CASE(a_call_comes_again, NULL, NULL, repeats)
CASE(a_call_changes, NULL, NULL, changes)
CASE(calls_are_many, NULL, NULL, crowds)
CASE(graphs_age, NULL, NULL, ages)
CASE(no_stream, "FAKE_CUDA_FAIL", "cuStreamCreate:2:2", goes_on)
CASE(no_capture, "FAKE_CUDA_FAIL", "cuStreamBeginCapture_v2:1:2", goes_on)
CASE(no_node, "FAKE_CUDA_FAIL", "cuLaunchKernelEx:8:2", goes_on)
CASE(no_graph, "FAKE_CUDA_FAIL", "cuStreamEndCapture:1:2", goes_on)
CASE(no_executable, "FAKE_CUDA_FAIL", "cuGraphInstantiateWithFlags:1:2", goes_on)
CASE(captured_before, "FAKE_CUDA_FAIL", "cuStreamIsCapturing:1:900", captured)
CASE(captured_behind, "FAKE_CUDA_FAIL", "cuStreamIsCapturing:3:900", captured)
CASE(launches_overlap, "FAKE_CUDA_DEVICES", "90", overlaps)
CASE(launches_do_not_overlap, "FAKE_CUDA_DEVICES", "89", overlaps_nothing)
CASE(kernels_do_not_wait, "FAKE_CUDA_DEVICES", "120", overlaps_nothing)
CASE(a_graph_does_not_start, "FAKE_CUDA_FAIL", "cuGraphLaunch:1:700", launch_fails)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_comes_again), cmocka_unit_test(a_call_changes),
        cmocka_unit_test(calls_are_many),     cmocka_unit_test(graphs_age),
        cmocka_unit_test(no_graph),           cmocka_unit_test(no_node),
        cmocka_unit_test(no_executable),      cmocka_unit_test(captured_before),
        cmocka_unit_test(captured_behind),    cmocka_unit_test(a_graph_does_not_start),
        cmocka_unit_test(no_stream),          cmocka_unit_test(no_capture),
        cmocka_unit_test(launches_overlap),   cmocka_unit_test(launches_do_not_overlap),
        cmocka_unit_test(kernels_do_not_wait)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
