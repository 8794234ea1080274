/* SPDX-License-Identifier: Apache-2.0
 * Every call of every driver function made to fail, one at a time: a cycle of everything that the backend
 * does ends with a status and a message that names the driver's code, or as if nothing had been, and leaves
 * nothing alive. Each fault has a process of its own. */
#include "tests/cuda_host/driver.h"

#include "backends/cuda/driver.h"
#include <pave/cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M = 5, K = 24, N = 7, BYTES = 4096 };
/* What a child comes back with; sanitizers end it with 1, EXPECT with 2. */
enum { CLEAN = 0, FAILED = 10, SURVIVED = 11 };

static char fault[128];

typedef struct cycle {
    pave_device *device;
    pave_context *context;
    pave_queue *queue, *timed, *guest;
    pave_buffer *x, *w, *y, *z, *view;
    pave_weights *weights;
    pave_event *written, *done;
    float got[M * N];
    uint64_t ns;
} cycle;

static const pave_link sigmoid = {.op = PAVE_LINK_SIGMOID};

#define TRY(call)                    \
    do {                             \
        pave_status status = (call); \
        if (status) return status;   \
    } while (0)

static pave_status make(cycle *c) {
    const pave_queue_params timed = {.size = sizeof timed, .profiling = 1};
    TRY(pave_device_open(NULL, &c->device));
    TRY(pave_context_create(c->device, &c->context));
    TRY(pave_queue_create(c->context, NULL, &c->queue));
    TRY(pave_queue_create(c->context, &timed, &c->timed));
    TRY(pave_buffer_create(c->context, BYTES, &c->x));
    TRY(pave_buffer_create(c->context, BYTES, &c->w));
    TRY(pave_buffer_create(c->context, BYTES, &c->y));
    return pave_buffer_create(c->context, BYTES, &c->z);
}

/* The backend's own handles, given back to it. */
static pave_status wrap(cycle *c) {
    unsigned long long pointer;
    struct CUstream_st *stream;
    TRY(pave_cuda_buffer_pointer(c->x, &pointer));
    TRY(pave_cuda_buffer_wrap(c->context, pointer, BYTES, &c->view));
    TRY(pave_cuda_queue_stream(c->queue, &stream));
    return pave_cuda_queue_wrap(c->context, stream, NULL, &c->guest);
}

/* x is ones and w is halves, in the end. */
static pave_status transfer(cycle *c) {
    static float ones[BYTES / 4];
    const float half = 0.5f;
    const uint16_t two = 7;
    const uint8_t one = 9;
    for (int i = 0; i < BYTES / 4; i++) ones[i] = 1;
    TRY(pave_buffer_fill(c->queue, c->z, 0, BYTES, &one, 1, NULL));
    TRY(pave_buffer_fill(c->queue, c->z, 0, BYTES, &two, 2, NULL));
    TRY(pave_buffer_fill(c->queue, c->w, 0, BYTES, &half, 4, NULL));
    TRY(pave_queue_finish(c->queue));
    TRY(pave_buffer_write(c->queue, c->z, 0, ones, BYTES, PAVE_ASYNC, &(pave_sync){.event = &c->written}));
    return pave_buffer_copy(c->timed, c->z, 0, c->x, 0, BYTES,
                            &(pave_sync){.wait = &c->written, .wait_count = 1});
}

/* A row that needs more shared memory than a kernel has unasked. */
static pave_status compute_large(cycle *c) {
    pave_linear_params linear = {.size = sizeof linear,
                                 .x = pave_tensor_2d(c->x, PAVE_F16, M, K),
                                 .w = pave_tensor_2d(c->w, PAVE_F16, N, K),
                                 .y = pave_tensor_2d(c->y, PAVE_F32, M, N)};
    setenv("PAVE_KERNEL", "pave_gemm_mma_128x128x32_f16", 1);
    pave_status status = pave_linear(c->timed, &linear, NULL);
    unsetenv("PAVE_KERNEL");
    return status;
}

/* Two groups, whose table is uploaded. */
static pave_status compute_grouped(cycle *c) {
    pave_group groups[2] = {{.a = pave_tensor_2d(c->x, PAVE_F32, 2, K),
                             .b = pave_tensor_2d(c->w, PAVE_F32, N, K),
                             .y = pave_tensor_2d(c->y, PAVE_F32, 2, N)}};
    groups[1] = groups[0];
    groups[1].y.offset = 2 * N * sizeof(float);
    pave_grouped_params grouped = {
        .size = sizeof grouped, .groups = groups, .group_count = 2, .transpose_b = 1};
    return pave_matmul_grouped(c->timed, &grouped, NULL);
}

static pave_status compute(cycle *c) {
    pave_tensor w = pave_tensor_2d(c->w, PAVE_F32, N, K), second = pave_tensor_2d(c->w, PAVE_F32, N, N);
    TRY(pave_weights_create(c->timed, &w, PAVE_HIGH, &c->weights));
    pave_linear_params linear = {.size = sizeof linear,
                                 .x = pave_tensor_2d(c->x, PAVE_F32, M, K),
                                 .w = w,
                                 .y = pave_tensor_2d(c->z, PAVE_F32, M, N)};
    TRY(pave_linear(c->timed, &linear, NULL));
    TRY(compute_large(c));
    TRY(compute_grouped(c));
    pave_layer layers[2] = {{.weights = c->weights, .links = &sigmoid, .link_count = 1}, {.w = second}};
    pave_mlp_params mlp = {.size = sizeof mlp,
                           .x = linear.x,
                           .layers = layers,
                           .layer_count = 2,
                           .epilogue.reduction = PAVE_REDUCE_LOGSUMEXP,
                           .y = pave_tensor_1d(c->y, PAVE_F32, M)};
    /* Often enough to become a graph and be launched as one. */
    for (int i = 0; i < 6; i++) {
        pave_event_destroy(&c->done);
        TRY(pave_mlp(c->timed, &mlp, &(pave_sync){.event = &c->done}));
    }
    pave_status asked = pave_event_query(c->done);
    if (asked && asked != PAVE_E_NOT_READY) return asked;
    TRY(pave_event_wait(c->done));
    TRY(pave_event_duration(c->done, &c->ns));
    TRY(pave_buffer_read(c->timed, c->z, 0, c->got, sizeof c->got, PAVE_BLOCK, NULL));
    float rows[M];
    TRY(pave_buffer_read(c->timed, c->y, 0, rows, sizeof rows, PAVE_BLOCK, NULL));
    return pave_queue_finish(c->timed);
}

static void destroy(cycle *c) {
    pave_queue_destroy(&c->guest);
    pave_buffer_destroy(&c->view);
    pave_weights_destroy(&c->weights);
    pave_event_destroy(&c->written);
    pave_event_destroy(&c->done);
    pave_context_destroy(&c->context);
    pave_buffer_destroy(&c->x);
    pave_buffer_destroy(&c->w);
    pave_queue_destroy(&c->queue);
    pave_buffer_destroy(&c->y);
    pave_queue_destroy(&c->timed);
    pave_buffer_destroy(&c->z);
}

/* The code that was asked for, by name and number, as the message must have it. */
static bool message_names_code(void) {
    const char *code = strchr(strchr(fault, ':') + 1, ':') + 1;
    char number[32];
    if (strstr(pave_last_message(), "cuda: no memory for ")) return atoi(code) == CUDA_ERROR_OUT_OF_MEMORY;
    snprintf(number, sizeof number, "(%d)", atoi(code));
    return strstr(pave_last_message(), "CUDA_ERROR_") && strstr(pave_last_message(), number);
}

static int run_cycle(void) {
    cycle c = {0};
    pave_status status = make(&c);
    if (!status) status = wrap(&c);
    if (!status) status = transfer(&c);
    if (!status) status = compute(&c);
    bool named = !status || message_names_code();
    if (atoi(strrchr(fault, ':') + 1) == CUDA_ERROR_OUT_OF_MEMORY)
        named &= !status || status == PAVE_E_DEVICE_MEMORY;
    if (!named) fprintf(stderr, "%s: %s: %s\n", fault, pave_status_name(status), pave_last_message());
    destroy(&c);
    for (int i = 0; !status && i < M * N; i++) EXPECT(c.got[i] == K * 0.5f);
    /* A context that cannot be made current takes its objects with it. */
    bool orphans = strncmp(fault, "cuCtxPushCurrent", 16) == 0;
    EXPECT(driver_is_clean(orphans));
    fake_cuda_counts counts = driver_counts();
    if (orphans) unsetenv("FAKE_CUDA_STRICT");
    EXPECT(named);
    EXPECT(status == PAVE_OK || (counts.faults && status != PAVE_E_INVALID && status != PAVE_E_UNSUPPORTED));
    return status ? FAILED : counts.faults ? SURVIVED : CLEAN;
}

/* Fails the nth call for n = 1, 2, … until a cycle no longer gets there; returns how many faults struck. */
static int sweep(const char *symbol, int code, const char *suffix) {
    for (int n = 1;; n++) {
        snprintf(fault, sizeof fault, "%s:%d:%d%s", symbol, n, code, suffix);
        int result = in_child("FAKE_CUDA_FAIL", fault, run_cycle);
        if (result == CLEAN) return n - 1;
        if (result == FAILED || result == SURVIVED) continue;
        fprintf(stderr, "%s: %s\n", fault, result == 2 ? "went wrong" : "crashed or leaked");
        fail();
    }
}

static void sweep_all(int code, const char *suffix) {
    static const char *const symbols[] = {
#define SYMBOL(member, symbol, parameters) #symbol,
        CUDA_FUNCTIONS(SYMBOL)
#undef SYMBOL
    };
    int total = 0;
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        int struck = sweep(symbols[i], code, suffix);
        total += struck;
        /* These are called only after a failure. */
        if (struck || !strcmp(symbols[i], "cuGetErrorName") || !strcmp(symbols[i], "cuMemGetInfo_v2"))
            continue;
        fail_msg("the cycle never calls %s", symbols[i]);
    }
    printf("# %d faults of code %d%s\n", total, code, suffix);
}

static void each_call_fails(void **state) {
    (void)state;
    sweep_all(CUDA_ERROR_ILLEGAL_ADDRESS, "");
}

static void each_call_loses_the_context(void **state) {
    (void)state;
    sweep_all(CUDA_ERROR_LAUNCH_FAILED, ":sticky");
}

static void each_allocation_runs_out(void **state) {
    (void)state;
    static const char *const takers[] = {"cuMemAlloc_v2", "cuStreamCreate", "cuEventCreate",
                                         "cuModuleLoadData", "cuMemAllocHost_v2"};
    for (size_t i = 0; i < sizeof takers / sizeof takers[0]; i++)
        assert_true(sweep(takers[i], CUDA_ERROR_OUT_OF_MEMORY, "") > 0);
}

/* 1 MiB of device memory. */
static int runs_out_of_memory(void) {
    cycle c = {0};
    EXPECT(pave_device_open(NULL, &c.device) == PAVE_OK);
    EXPECT(pave_context_create(c.device, &c.context) == PAVE_OK);
    EXPECT(pave_buffer_create(c.context, 600000, &c.x) == PAVE_OK);
    EXPECT(pave_buffer_create(c.context, 600000, &c.y) == PAVE_E_DEVICE_MEMORY && !c.y);
    EXPECT(strstr(pave_last_message(), "no memory for 600000 bytes; 448576 of 1048576 are free"));
    EXPECT(pave_buffer_create(c.context, 2000000, &c.y) == PAVE_E_UNSUPPORTED && !c.y);
    pave_buffer_destroy(&c.x);
    EXPECT(pave_buffer_create(c.context, 600000, &c.y) == PAVE_OK);
    destroy(&c);
    EXPECT(driver_is_clean(false));
    return 0;
}

/* The first time fails and leaves y as it was; the second finds all in order. */
static int fails_to_build(void) {
    cycle c = {0};
    const char *code = strchr(fault, '=') + 1;
    EXPECT(make(&c) == PAVE_OK);
    EXPECT(transfer(&c) == PAVE_OK);
    EXPECT(pave_queue_finish(c.timed) == PAVE_OK);
    pave_linear_params linear = {.size = sizeof linear,
                                 .x = pave_tensor_2d(c.x, PAVE_F32, M, K),
                                 .w = pave_tensor_2d(c.w, PAVE_F32, N, K),
                                 .y = pave_tensor_2d(c.z, PAVE_F32, M, N)};
    EXPECT(pave_linear(c.timed, &linear, NULL) == PAVE_E_BUILD);
    EXPECT(strstr(pave_last_message(), code));
    EXPECT(pave_buffer_read(c.timed, c.z, 0, c.got, sizeof c.got, PAVE_BLOCK, NULL) == PAVE_OK);
    for (int i = 0; i < M * N; i++) EXPECT(c.got[i] == 1);
    EXPECT(pave_linear(c.timed, &linear, NULL) == PAVE_OK);
    EXPECT(pave_buffer_read(c.timed, c.z, 0, c.got, sizeof c.got, PAVE_BLOCK, NULL) == PAVE_OK);
    for (int i = 0; i < M * N; i++) EXPECT(c.got[i] == K * 0.5f);
    destroy(&c);
    EXPECT(driver_is_clean(false));
    return 0;
}

static void memory_runs_out(void **state) {
    (void)state;
    assert_int_equal(in_child("FAKE_CUDA_MEMORY", "1048576", runs_out_of_memory), 0);
}

static void kernels_are_for_another_device(void **state) {
    (void)state;
    snprintf(fault, sizeof fault, "=loading the kernels: CUDA_ERROR_NO_BINARY_FOR_GPU (209)");
    assert_int_equal(in_child("FAKE_CUDA_FAIL", "cuModuleLoadData:1:209", fails_to_build), 0);
}

static void a_kernel_is_missing(void **state) {
    (void)state;
    snprintf(fault, sizeof fault, "=CUDA_ERROR_NOT_FOUND (500)");
    assert_int_equal(in_child("FAKE_CUDA_FAIL", "cuModuleGetFunction:1:500", fails_to_build), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_runs_out),     cmocka_unit_test(kernels_are_for_another_device),
        cmocka_unit_test(a_kernel_is_missing), cmocka_unit_test(each_allocation_runs_out),
        cmocka_unit_test(each_call_fails),     cmocka_unit_test(each_call_loses_the_context)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
