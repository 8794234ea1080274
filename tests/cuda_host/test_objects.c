/* SPDX-License-Identifier: Apache-2.0
 * The CUDA backend's objects on a driver that records misuse, with work done at once or deferred: transfers,
 * events, waits between queues, and destruction in any order with work in flight. */
#include "tests/cuda_host/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 512, BYTES = 4 * COUNT };

static pave_device *device;

static bool deferred(void) {
    const char *defer = getenv("FAKE_CUDA_DEFER");
    return defer && strcmp(defer, "1") == 0;
}

static int setup(void **state) {
    (void)state;
    return pave_device_open("cuda", &device) != PAVE_OK;
}

static int teardown(void **state) {
    (void)state;
    return driver_is_clean(false) ? 0 : -1;
}

static void transfers(void **state) {
    (void)state;
    pave_context *context;
    pave_queue *queue;
    pave_buffer *a, *b;
    unsigned char bytes[BYTES], got[BYTES];
    const uint32_t four = 0x01020304;
    const uint16_t two = 0x0506;
    const uint8_t one = 7;
    for (int i = 0; i < BYTES; i++) bytes[i] = (unsigned char)(i * 31);
    TEST_OK(pave_context_create(device, &context));
    TEST_OK(pave_queue_create(context, NULL, &queue));
    TEST_OK(pave_buffer_create(context, BYTES, &a));
    TEST_OK(pave_buffer_create(context, BYTES, &b));
    TEST_OK(pave_buffer_write(queue, a, 0, bytes, BYTES, PAVE_BLOCK, NULL));
    TEST_OK(pave_buffer_copy(queue, a, 3, b, 5, BYTES - 5, NULL));
    TEST_OK(pave_buffer_fill(queue, b, 0, 5, &one, 1, NULL));
    TEST_OK(pave_buffer_fill(queue, b, 6, 6, &two, 2, NULL));
    TEST_OK(pave_buffer_fill(queue, b, 12, 8, &four, 4, NULL));
    TEST_OK(pave_buffer_read(queue, b, 0, got, BYTES, PAVE_BLOCK, NULL));
    for (int i = 0; i < BYTES; i++) {
        int want = i < 5 ? 7 : i == 5 || i >= 20 ? bytes[i - 2] : i < 12 ? 6 - i % 2 : 4 - i % 4;
        assert_int_equal(got[i], want);
    }
    memset(got, 0, BYTES);
    TEST_OK(pave_buffer_read(queue, a, 1, got, BYTES - 1, PAVE_ASYNC, NULL));
    TEST_OK(pave_queue_finish(queue));
    assert_memory_equal(got, bytes + 1, BYTES - 1);
    pave_buffer_destroy(&a);
    pave_buffer_destroy(&b);
    pave_queue_destroy(&queue);
    pave_context_destroy(&context);
}

static void mapping_is_refused(void **state) {
    (void)state;
    pave_context *context;
    pave_queue *queue;
    pave_buffer *a;
    void *pointer = &context;
    TEST_OK(pave_context_create(device, &context));
    TEST_OK(pave_queue_create(context, NULL, &queue));
    TEST_OK(pave_buffer_create(context, BYTES, &a));
    assert_int_equal(pave_buffer_map(queue, a, 0, BYTES, &pointer), PAVE_E_UNSUPPORTED);
    assert_null(pointer);
    assert_non_null(strstr(pave_last_message(), "cuda"));
    pave_buffer_destroy(&a);
    pave_queue_destroy(&queue);
    pave_context_destroy(&context);
}

/* Asked without blocking until it is done; how often it was not. */
static int poll(pave_event *event) {
    for (int asked = 0;; asked++) {
        pave_status status = pave_event_query(event);
        if (!status) return asked;
        assert_int_equal(status, PAVE_E_NOT_READY);
        assert_true(asked < 100);
    }
}

static void events(void **state) {
    (void)state;
    pave_context *context;
    pave_buffer *a;
    const uint32_t zero = 0;
    TEST_OK(pave_context_create(device, &context));
    TEST_OK(pave_buffer_create(context, BYTES, &a));
    for (int32_t profiling = 0; profiling < 2; profiling++) {
        pave_queue_params params = {.size = sizeof params, .profiling = profiling};
        pave_queue *queue;
        pave_event *event;
        uint64_t ns = 0;
        TEST_OK(pave_queue_create(context, &params, &queue));
        TEST_OK(pave_buffer_fill(queue, a, 0, BYTES, &zero, 4, &(pave_sync){.event = &event}));
        pave_status early = profiling && deferred() ? PAVE_E_NOT_READY
                            : profiling             ? PAVE_OK
                                                    : PAVE_E_UNSUPPORTED;
        assert_int_equal(pave_event_duration(event, &ns), early);
        assert_int_equal(poll(event) > 0, deferred());
        TEST_OK(pave_event_wait(event));
        pave_queue_destroy(&queue); /* events outlive their queue */
        assert_int_equal(pave_event_duration(event, &ns), profiling ? PAVE_OK : PAVE_E_UNSUPPORTED);
        if (profiling) assert_true(ns >= 900);
        pave_event_destroy(&event);
    }
    pave_buffer_destroy(&a);
    pave_context_destroy(&context);
}

/* In a steady state nothing is made: events are reused, and the module is loaded once a context. */
static void steady_state(void **state) {
    (void)state;
    pave_context *context;
    pave_queue *queue;
    pave_buffer *x, *y;
    const float one = 1;
    TEST_OK(pave_context_create(device, &context));
    TEST_OK(pave_queue_create(context, &(pave_queue_params){sizeof(pave_queue_params), 1}, &queue));
    TEST_OK(pave_buffer_create(context, BYTES, &x));
    TEST_OK(pave_buffer_create(context, BYTES, &y));
    TEST_OK(pave_buffer_fill(queue, x, 0, BYTES, &one, 4, NULL));
    pave_linear_params linear = {.size = sizeof linear,
                                 .x = pave_tensor_2d(x, PAVE_F32, 4, 16),
                                 .w = pave_tensor_2d(x, PAVE_F32, 4, 16),
                                 .y = pave_tensor_2d(y, PAVE_F32, 4, 4)};
    unsigned made[4] = {0};
    for (int i = 0; i < 20; i++) {
        pave_event *event;
        TEST_OK(pave_linear(queue, &linear, &(pave_sync){.event = &event}));
        TEST_OK(pave_event_wait(event));
        pave_event_destroy(&event);
        unsigned now[4] = {driver_calls("cuEventCreate"), driver_calls("cuModuleLoadData"),
                           driver_calls("cuModuleGetFunction"), driver_calls("cuMemAlloc_v2")};
        if (i) assert_memory_equal(made, now, sizeof made);
        memcpy(made, now, sizeof made);
    }
    assert_int_equal(driver_counts().events, 2);
    assert_int_equal(driver_counts().pushed, 0);
    pave_buffer_destroy(&x);
    pave_buffer_destroy(&y);
    pave_queue_destroy(&queue);
    pave_context_destroy(&context);
}

/* What `two` copies while `one`, not waited for or waited for, has a write to do. */
static uint32_t seen_across(bool wait) {
    pave_context *context;
    pave_queue *one, *two;
    pave_buffer *a, *b;
    pave_event *written;
    const uint32_t zero = 0;
    uint32_t got = 0, values[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) values[i] = i + 42;
    TEST_OK(pave_context_create(device, &context));
    TEST_OK(pave_queue_create(context, NULL, &one));
    TEST_OK(pave_queue_create(context, NULL, &two));
    TEST_OK(pave_buffer_create(context, BYTES, &a));
    TEST_OK(pave_buffer_create(context, BYTES, &b));
    TEST_OK(pave_buffer_fill(one, a, 0, BYTES, &zero, 4, NULL));
    TEST_OK(pave_queue_finish(one));
    TEST_OK(pave_buffer_write(one, a, 0, values, BYTES, PAVE_ASYNC, &(pave_sync){.event = &written}));
    TEST_OK(pave_buffer_copy(two, a, 0, b, 0, BYTES, &(pave_sync){.wait = &written, .wait_count = wait}));
    TEST_OK(pave_buffer_read(two, b, 0, &got, 4, PAVE_BLOCK, NULL));
    pave_event_destroy(&written);
    pave_queue_destroy(&one);
    pave_queue_destroy(&two);
    pave_buffer_destroy(&a);
    pave_buffer_destroy(&b);
    pave_context_destroy(&context);
    return got;
}

static void waits_across_queues(void **state) {
    (void)state;
    assert_int_equal(seen_across(true), 42);
    if (deferred()) assert_int_equal(seen_across(false), 0); /* so the wait is what did it */
}

/* All orders of destroying six objects, with a chain of layers in flight. */
enum { OBJECTS = 6, ORDERS = 720 };

static void destroy_in_order(int order, const float *ones) {
    pave_context *context;
    pave_queue *queue;
    pave_buffer *x, *y;
    pave_event *event;
    pave_weights *weights;
    TEST_OK(pave_context_create(device, &context));
    TEST_OK(pave_queue_create(context, NULL, &queue));
    TEST_OK(pave_buffer_create(context, BYTES, &x));
    TEST_OK(pave_buffer_create(context, BYTES, &y));
    TEST_OK(pave_buffer_write(queue, x, 0, ones, BYTES, PAVE_ASYNC, NULL));
    pave_tensor w = pave_tensor_2d(x, PAVE_F32, 8, 8);
    TEST_OK(pave_weights_create(queue, &w, PAVE_HIGH, &weights));
    pave_layer layers[2] = {{.weights = weights}, {.w = w}};
    pave_mlp_params mlp = {.size = sizeof mlp,
                           .x = w,
                           .layers = layers,
                           .layer_count = 2,
                           .epilogue.reduction = PAVE_REDUCE_SUM,
                           .y = pave_tensor_1d(y, PAVE_F32, 8)};
    TEST_OK(pave_mlp(queue, &mlp, &(pave_sync){.event = &event}));
    int left[OBJECTS] = {0, 1, 2, 3, 4, 5};
    for (int n = OBJECTS; n; n--) {
        int at = order % n, which = left[at];
        order /= n;
        left[at] = left[n - 1];
        switch (which) {
        case 0: pave_context_destroy(&context); break;
        case 1: pave_queue_destroy(&queue); break;
        case 2: pave_buffer_destroy(&x); break;
        case 3: pave_buffer_destroy(&y); break;
        case 4: pave_event_destroy(&event); break;
        default: pave_weights_destroy(&weights);
        }
    }
}

static void destroys_in_any_order(void **state) {
    (void)state;
    float ones[COUNT];
    for (int i = 0; i < COUNT; i++) ones[i] = 1;
    for (int order = 0; order < ORDERS; order++) {
        destroy_in_order(order, ones);
        if (!driver_is_clean(false)) fail_msg("order %d", order);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(transfers, teardown),
                                       cmocka_unit_test_teardown(mapping_is_refused, teardown),
                                       cmocka_unit_test_teardown(events, teardown),
                                       cmocka_unit_test_teardown(steady_state, teardown),
                                       cmocka_unit_test_teardown(waits_across_queues, teardown),
                                       cmocka_unit_test_teardown(destroys_in_any_order, teardown)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
