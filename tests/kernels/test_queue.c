/* SPDX-License-Identifier: Apache-2.0
 * Order and time: events and their durations, wait lists between queues, transfers, two threads in one
 * context, and objects destroyed in every order while work is in flight. */
#include "tests/kernels/cases.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDE 48

/* y = x + 1 by a linear with the identity as W: a chain of them counts. */
typedef struct counter {
    pave_context *context;
    pave_queue *queue;
    pave_buffer *w, *a, *b;
    pave_link link;
    pave_linear_params forth, back;
} counter;

static void counter_make(counter *c, pave_context *context) {
    float *eye = calloc(SIDE * SIDE, sizeof *eye), zero = 0;
    assert_non_null(eye);
    for (int i = 0; i < SIDE; i++) eye[i * SIDE + i] = 1;
    uint64_t bytes = SIDE * SIDE * sizeof *eye;
    memset(c, 0, sizeof *c);
    c->context = context;
    TEST_OK(pave_queue_create(context, NULL, &c->queue));
    TEST_OK(pave_buffer_create(context, bytes, &c->w));
    TEST_OK(pave_buffer_create(context, bytes, &c->a));
    TEST_OK(pave_buffer_create(context, bytes, &c->b));
    TEST_OK(pave_buffer_write(c->queue, c->w, 0, eye, bytes, PAVE_BLOCK, NULL));
    TEST_OK(pave_buffer_fill(c->queue, c->a, 0, bytes, &zero, 4, NULL));
    TEST_OK(pave_queue_finish(c->queue));
    free(eye);
    c->link = (pave_link){.op = PAVE_LINK_ADD, .a = 1};
    c->forth = (pave_linear_params){.size = sizeof c->forth,
                                    .x = pave_tensor_2d(c->a, PAVE_F32, SIDE, SIDE),
                                    .w = pave_tensor_2d(c->w, PAVE_F32, SIDE, SIDE),
                                    .y = pave_tensor_2d(c->b, PAVE_F32, SIDE, SIDE),
                                    .epilogue = {&c->link, 1, PAVE_REDUCE_NONE}};
    c->back = c->forth;
    c->back.x = c->forth.y;
    c->back.y = c->forth.x;
}

static void counter_free(counter *c) {
    pave_buffer_destroy(&c->a);
    pave_buffer_destroy(&c->b);
    pave_buffer_destroy(&c->w);
    pave_queue_destroy(&c->queue);
}

static void expect(pave_queue *queue, pave_buffer *buffer, float want) {
    static _Thread_local float got[SIDE * SIDE];
    TEST_OK(pave_buffer_read(queue, buffer, 0, got, sizeof got, PAVE_BLOCK, NULL));
    for (int i = 0; i < SIDE * SIDE; i++)
        if (got[i] != want) {
            fprintf(stderr, "element %d is %g where %g is right\n", i, (double)got[i], (double)want);
            fail();
        }
}

static void test_events(void **state) {
    (void)state;
    for (size_t d = 0; d < device_count; d++) {
        counter c;
        counter_make(&c, devices[d].context);
        pave_event *event = NULL, *plain = NULL;
        uint64_t ns = 0;
        TEST_OK(pave_linear(devices[d].queue, &c.forth, &(pave_sync){NULL, 0, &event}));
        TEST_OK(pave_event_wait(event));
        TEST_OK(pave_event_query(event));
        TEST_OK(pave_event_duration(event, &ns));
        assert_true(ns > 0 && ns < UINT64_C(60000000000));
        expect(devices[d].queue, c.b, 1);
        TEST_OK(pave_linear(c.queue, &c.back, &(pave_sync){NULL, 0, &plain}));
        TEST_OK(pave_event_wait(plain));
        assert_int_equal(pave_event_duration(plain, &ns), PAVE_E_UNSUPPORTED);
        pave_event_destroy(&event);
        pave_event_destroy(&plain);
        assert_null(event);
        counter_free(&c);
    }
}

/* Two queues take turns on the same memory; only the wait lists keep them in order. */
static void test_wait_lists(void **state) {
    (void)state;
    for (size_t d = 0; d < device_count; d++) {
        counter c;
        counter_make(&c, devices[d].context);
        pave_queue *queues[2] = {c.queue, devices[d].queue};
        pave_event *last = NULL;
        const int turns = 40;
        for (int i = 0; i < turns; i++) {
            pave_event *next = NULL;
            pave_sync sync = {&last, last != NULL, &next};
            TEST_OK(pave_linear(queues[i % 2], i % 2 ? &c.back : &c.forth, &sync));
            pave_event_destroy(&last);
            last = next;
        }
        TEST_OK(pave_event_wait(last));
        expect(c.queue, c.a, turns);
        pave_event_destroy(&last);
        counter_free(&c);
    }
}

static void test_transfers(void **state) {
    (void)state;
    for (size_t d = 0; d < device_count; d++) {
        const test_device *on = &devices[d];
        unsigned char host[300], back[300];
        pave_buffer *a, *b;
        for (int i = 0; i < 300; i++) host[i] = (unsigned char)(i * 7);
        TEST_OK(pave_buffer_create(on->context, 300, &a));
        TEST_OK(pave_buffer_create(on->context, 300, &b));
        assert_int_equal(pave_buffer_bytes(a), 300);
        TEST_OK(pave_buffer_write(on->queue, a, 0, host, 300, PAVE_ASYNC, NULL));
        TEST_OK(pave_buffer_fill(on->queue, b, 0, 300, "\x5a", 1, NULL));
        TEST_OK(pave_buffer_copy(on->queue, a, 1, b, 3, 100, NULL));
        TEST_OK(pave_buffer_fill(on->queue, b, 200, 40, "\x01\x02\x03\x04", 4, NULL));
        TEST_OK(pave_buffer_fill(on->queue, b, 250, 6, "\x08\x09", 2, NULL));
        TEST_OK(pave_buffer_read(on->queue, b, 0, back, 300, PAVE_BLOCK, NULL));
        for (int i = 0; i < 300; i++) {
            int want = i >= 3 && i < 103     ? host[i - 2]
                       : i >= 200 && i < 240 ? i % 4 + 1
                       : i >= 250 && i < 256 ? i % 2 + 8
                                             : 0x5a;
            assert_int_equal(back[i], want);
        }
        void *mapped = NULL;
        pave_status status = pave_buffer_map(on->queue, b, 3, 10, &mapped);
        if (status != PAVE_E_UNSUPPORTED) {
            TEST_OK(status);
            assert_memory_equal(mapped, back + 3, 10);
            memset(mapped, 1, 10);
            TEST_OK(pave_buffer_unmap(on->queue, b, mapped));
            TEST_OK(pave_buffer_read(on->queue, b, 0, back, 14, PAVE_BLOCK, NULL));
            for (int i = 0; i < 14; i++) assert_int_equal(back[i], i < 3 ? 0x5a : i < 13 ? 1 : host[11]);
        }
        pave_buffer_destroy(&a);
        pave_buffer_destroy(&b);
    }
}

typedef struct worker {
    pave_context *context;
    int turns;
} worker;

static void *work(void *argument) {
    worker *w = argument;
    counter c;
    counter_make(&c, w->context);
    for (int i = 0; i < w->turns; i++) TEST_OK(pave_linear(c.queue, i % 2 ? &c.back : &c.forth, NULL));
    expect(c.queue, w->turns % 2 ? c.b : c.a, (float)w->turns);
    counter_free(&c);
    return NULL;
}

/* A fresh context, so that the threads also meet while the kernel is built. */
static void test_threads(void **state) {
    (void)state;
    for (size_t d = 0; d < device_count; d++) {
        pave_context *context;
        pthread_t threads[2];
        worker workers[2];
        TEST_OK(pave_context_create(devices[d].device, &context));
        for (int i = 0; i < 2; i++) {
            workers[i] = (worker){context, 50 + i};
            assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
        }
        for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
        pave_context_destroy(&context);
    }
}

static void destroy_one(int which, counter *c, pave_context **context, pave_event **event) {
    switch (which) {
    case 0: pave_buffer_destroy(&c->a); break;
    case 1: pave_buffer_destroy(&c->b); break;
    case 2: pave_buffer_destroy(&c->w); break;
    case 3: pave_queue_destroy(&c->queue); break;
    case 4: pave_context_destroy(context); break;
    default: pave_event_destroy(event);
    }
}

/* Objects go in all 720 orders, each right after work was enqueued that uses them. */
static void test_destroy_orders(void **state) {
    (void)state;
    for (size_t d = 0; d < device_count; d++) {
        bool host = strcmp(devices[d].info.backend, "host") == 0;
        for (int order = 0; order < 720; order += host ? 1 : 37) {
            int left[6] = {0, 1, 2, 3, 4, 5}, code = order;
            pave_context *context;
            pave_event *event = NULL;
            counter c;
            TEST_OK(pave_context_create(devices[d].device, &context));
            counter_make(&c, context);
            TEST_OK(pave_linear(c.queue, &c.forth, NULL));
            TEST_OK(pave_linear(c.queue, &c.back, &(pave_sync){NULL, 0, &event}));
            for (int n = 6; n > 0; n--) {
                int pick = code % n;
                code /= n;
                destroy_one(left[pick], &c, &context, &event);
                left[pick] = left[n - 1];
            }
            assert_null(c.a);
            assert_null(c.queue);
            assert_null(context);
            assert_null(event);
        }
    }
}

/* The same two calls in turn, often enough for whatever a backend keeps of a call: each adds 2. */
static void test_again(void **state) {
    (void)state;
    for (size_t d = 0; d < device_count; d++) {
        counter c;
        counter_make(&c, devices[d].context);
        const pave_layer layer = {.w = c.forth.w, .links = &c.link, .link_count = 1},
                         layers[2] = {layer, layer};
        pave_mlp_params forth = {
            .size = sizeof forth, .x = c.forth.x, .layers = layers, .layer_count = 2, .y = c.forth.y};
        pave_mlp_params back = forth;
        back.x = c.back.x, back.y = c.back.y;
        for (int i = 0; i < 12; i++) {
            TEST_OK(pave_mlp(c.queue, &forth, NULL));
            TEST_OK(pave_mlp(c.queue, &back, NULL));
            if (i % 5 == 4) expect(c.queue, c.a, 4 * (float)(i + 1));
        }
        expect(c.queue, c.a, 48);
        expect(c.queue, c.b, 46);
        counter_free(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),         cmocka_unit_test(test_wait_lists),
        cmocka_unit_test(test_transfers),      cmocka_unit_test(test_threads),
        cmocka_unit_test(test_destroy_orders), cmocka_unit_test(test_again),
    };
    return cmocka_run_group_tests_name("queue", tests, open_devices, close_devices);
}
