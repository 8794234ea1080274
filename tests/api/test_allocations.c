/* SPDX-License-Identifier: Apache-2.0
 * A call that came before allocates nothing: not on the heap, where the linker's --wrap leads the library's calls through
 * here, and not from the driver. PAVE_BACKEND chooses the device. */
#include "src/objects.h"
#include "tests/fake_cuda/fake.h"
#include "tests/support/cm.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M = 40, K = 72, H = 48, N = 24, BYTES = 1 << 16, AGAIN = 12, WARM = 5 };

static unsigned heap;
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t bytes) {
    heap++;
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
    heap++;
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes) {
    heap++;
    return __real_realloc(old, bytes);
}

char *__wrap_strdup(const char *text) {
    heap++;
    return __real_strdup(text);
}

/* Memory that the library asked a backend for. */
static unsigned taken;
static pave__backend watched;
static const pave__backend *real;

static pave_status memory_alloc(void *context, uint64_t bytes, void **memory) {
    taken++;
    return real->memory_alloc(context, bytes, memory);
}

/* And what a fake CUDA driver was asked for. */
static unsigned driver_objects(void) {
    static const char *const makers[] = {
        "cuMemAlloc_v2",    "cuMemAllocHost_v2",   "cuEventCreate",           "cuStreamCreate",
        "cuModuleLoadData", "cuModuleGetFunction", "cuStreamBeginCapture_v2", "cuGraphInstantiateWithFlags"};
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    void *address = library ? dlsym(library, "fake_cuda_calls") : NULL;
    fake_cuda_calls_fn *calls;
    unsigned count = taken;
    memcpy(&calls, &address, sizeof calls);
    for (size_t i = 0; address && i < sizeof makers / sizeof makers[0]; i++) count += calls(makers[i]);
    if (library) dlclose(library);
    return count;
}

typedef struct rig {
    pave_context *context;
    pave_queue *queue;
    pave_buffer *buffers[4];
    pave_weights *weights;
    pave_link links[2];
    pave_layer layers[2];
    pave_linear_params linear, packed;
    pave_mlp_params mlp;
    pave_reduce_params reduce;
    pave_map_params map;
    pave_matmul_params matmul;
    pave_event *event;
} rig;

static rig rigged;

static void ok(pave_status status, const char *what) {
    if (status) fail_msg("%s: %s", what, pave_last_message());
}
#define OK(call) ok((call), #call)

static int open_device(void **state) {
    static pave_device *device;
    rig *r = &rigged;
    *state = r;
    OK(pave_device_open(NULL, &device));
    if (!real) real = device->backend;
    watched = *real;
    watched.memory_alloc = memory_alloc;
    device->backend = &watched;
    OK(pave_context_create(device, &r->context));
    OK(pave_queue_create(r->context, NULL, &r->queue));
    const float zero = 0;
    for (int i = 0; i < 4; i++) {
        OK(pave_buffer_create(r->context, BYTES, &r->buffers[i]));
        OK(pave_buffer_fill(r->queue, r->buffers[i], 0, BYTES, &zero, 4, NULL));
    }
    pave_tensor x = pave_tensor_2d(r->buffers[0], PAVE_F32, M, K),
                w = pave_tensor_2d(r->buffers[1], PAVE_F32, H, K),
                bias = pave_tensor_1d(r->buffers[1], PAVE_F32, H),
                y = pave_tensor_2d(r->buffers[2], PAVE_F32, M, H);
    OK(pave_weights_create(r->queue, &w, PAVE_HIGH, &r->weights));
    r->links[0] = (pave_link){.op = PAVE_LINK_SIGMOID};
    r->links[1] = (pave_link){.op = PAVE_LINK_ADD, .tensor = pave_tensor_2d(r->buffers[3], PAVE_F32, M, H)};
    r->layers[0] = (pave_layer){.weights = r->weights, .bias = bias, .links = r->links, .link_count = 1};
    r->layers[1] = (pave_layer){.w = pave_tensor_2d(r->buffers[1], PAVE_F32, N, H)};
    r->linear = (pave_linear_params){.size = sizeof r->linear, .x = x, .w = w, .bias = bias, .y = y};
    r->linear.epilogue = (pave_epilogue){.links = r->links, .link_count = 2};
    r->packed = r->linear;
    memset(&r->packed.w, 0, sizeof r->packed.w);
    r->packed.weights = r->weights;
    r->mlp = (pave_mlp_params){.size = sizeof r->mlp, .x = x, .layers = r->layers, .layer_count = 2};
    r->mlp.epilogue.reduction = PAVE_REDUCE_LOGSUMEXP;
    r->mlp.y = pave_tensor_1d(r->buffers[2], PAVE_F32, M);
    r->reduce = (pave_reduce_params){.size = sizeof r->reduce, .x = x, .y = r->mlp.y};
    r->reduce.reduction = PAVE_REDUCE_LOGSUMEXP;
    r->map = (pave_map_params){
        .size = sizeof r->map, .x = y, .y = r->links[1].tensor, .links = r->links, .link_count = 1};
    r->matmul = (pave_matmul_params){.size = sizeof r->matmul, .a = x, .b = w, .y = y, .transpose_b = 1};
    return 0;
}

static int close_device(void **state) {
    rig *r = *state;
    pave_event_destroy(&r->event);
    pave_weights_destroy(&r->weights);
    for (int i = 0; i < 4; i++) pave_buffer_destroy(&r->buffers[i]);
    pave_queue_destroy(&r->queue);
    pave_context_destroy(&r->context);
    return 0;
}

/* The second call, and all the others but the one that a backend may take to keep what it has learnt of them. */
static void expect_none(rig *r, const char *what, pave_status (*call)(rig *)) {
    unsigned busy = 0, calls = 0;
    OK(call(r));
    for (int i = 2; i <= AGAIN; i++) {
        unsigned before = heap + driver_objects();
        OK(call(r));
        unsigned more = heap + driver_objects() - before;
        calls += more != 0;
        busy += more;
        if (more && i >= WARM) fail_msg("%s: call %d allocated %u times", what, i, more);
        if (more && i == 2) fail_msg("%s: the second call allocated %u times", what, more);
    }
    if (calls > 1) fail_msg("%s: %u calls allocated, %u times together", what, calls, busy);
    OK(pave_queue_finish(r->queue));
}

#define CALL(name, expression)               \
    static pave_status name(rig *r) {        \
        return expression;                   \
    }                                        \
    static void name##_again(void **state) { \
        expect_none(*state, #name, name);    \
    }
CALL(linear, pave_linear(r->queue, &r->linear, NULL))
CALL(packed, pave_linear(r->queue, &r->packed, NULL))
CALL(mlp, pave_mlp(r->queue, &r->mlp, NULL))
CALL(reduce, pave_reduce(r->queue, &r->reduce, NULL))
CALL(map, pave_map(r->queue, &r->map, NULL))
CALL(matmul, pave_matmul(r->queue, &r->matmul, NULL))

/* Each waits for the one before. */
static pave_status linked(rig *r) {
    pave_event *before = r->event;
    pave_status status =
        pave_linear(r->queue, &r->packed,
                    &(pave_sync){.wait = &before, .wait_count = before != NULL, .event = &r->event});
    pave_event_destroy(&before);
    return status;
}

/* The second call has two events at once; then they come and go. */
static void linked_again(void **state) {
    OK(linked(*state));
    expect_none(*state, "linked", linked);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(linear_again), cmocka_unit_test(packed_again),
                                       cmocka_unit_test(mlp_again),    cmocka_unit_test(reduce_again),
                                       cmocka_unit_test(map_again),    cmocka_unit_test(matmul_again)};
    /* Other drivers make an event for each call themselves. */
    const struct CMUnitTest of_cuda[] = {cmocka_unit_test(linked_again)};
    pave_device *device;
    pave_status status = pave_device_open(NULL, &device);
    if (status == PAVE_E_NOT_FOUND && !getenv("PAVE_TEST_REQUIRE")) {
        printf("no device: %s\n", pave_last_message());
        return 77;
    }
    if (status) {
        fprintf(stderr, "%s\n", pave_last_message());
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, open_device, close_device);
    if (device->backend->id == PAVE__CUDA)
        failed += cmocka_run_group_tests(of_cuda, open_device, close_device);
    return failed;
}
