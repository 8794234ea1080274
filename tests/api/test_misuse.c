/* SPDX-License-Identifier: Apache-2.0
 * Wrong arguments, one at a time, from a call that is right: the documented status, a message that names the
 * argument, and an output whose bytes are as they were. */
#include "tests/support/cm.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define M 4
#define N 6
#define K 5
#define BYTES 4096

static pave_device *device;
static pave_context *context, *other_context;
static pave_queue *queue;
static pave_buffer *bx, *bw, *bb, *by, *bt, *foreign;

static int open_all(void **state) {
    (void)state;
    TEST_OK(pave_device_open("host", &device));
    TEST_OK(pave_context_create(device, &context));
    TEST_OK(pave_context_create(device, &other_context));
    TEST_OK(pave_queue_create(context, NULL, &queue));
    pave_buffer **all[] = {&bx, &bw, &bb, &by, &bt};
    for (int i = 0; i < 5; i++) {
        TEST_OK(pave_buffer_create(context, BYTES, all[i]));
        TEST_OK(pave_buffer_fill(queue, *all[i], 0, BYTES, "\xa5", 1, NULL));
    }
    TEST_OK(pave_buffer_create(other_context, BYTES, &foreign));
    return 0;
}

static int close_all(void **state) {
    (void)state;
    pave_buffer **all[] = {&bx, &bw, &bb, &by, &bt, &foreign};
    for (int i = 0; i < 6; i++) pave_buffer_destroy(all[i]);
    pave_queue_destroy(&queue);
    pave_context_destroy(&context);
    pave_context_destroy(&other_context);
    return 0;
}

static void refused(pave_status got, pave_status want, const char *word, const char *what) {
    const char *message = pave_last_message();
    if (got == want && (!*word || strstr(message, word))) return;
    fprintf(stderr, "%s: %s \"%s\" where %s with \"%s\" is right\n", what, pave_status_name(got), message,
            pave_status_name(want), word);
    fail();
}

static void untouched(const char *what) {
    static unsigned char bytes[BYTES];
    TEST_OK(pave_buffer_read(queue, by, 0, bytes, BYTES, PAVE_BLOCK, NULL));
    for (int i = 0; i < BYTES; i++)
        if (bytes[i] != 0xa5) {
            fprintf(stderr, "%s: byte %d of y was written\n", what, i);
            fail();
        }
}

static pave_link one_link;
static pave_layer layers[2];

static pave_linear_params right_linear(void) {
    one_link = (pave_link){.op = PAVE_LINK_ADD, .tensor = pave_tensor_2d(bt, PAVE_F32, M, N)};
    return (pave_linear_params){.size = sizeof(pave_linear_params),
                                .x = pave_tensor_2d(bx, PAVE_F32, M, K),
                                .w = pave_tensor_2d(bw, PAVE_F32, N, K),
                                .bias = pave_tensor_1d(bb, PAVE_F32, N),
                                .y = pave_tensor_2d(by, PAVE_F32, M, N),
                                .epilogue = {.links = &one_link, .link_count = 1}};
}

static pave_mlp_params right_mlp(void) {
    layers[0] =
        (pave_layer){.w = pave_tensor_2d(bw, PAVE_F32, N, K), .bias = pave_tensor_1d(bb, PAVE_F32, N)};
    layers[1] = (pave_layer){.w = pave_tensor_2d(bt, PAVE_F32, 3, N)};
    return (pave_mlp_params){.size = sizeof(pave_mlp_params),
                             .x = pave_tensor_2d(bx, PAVE_F32, M, K),
                             .layers = layers,
                             .layer_count = 2,
                             .y = pave_tensor_2d(by, PAVE_F32, M, 3)};
}

static pave_reduce_params right_reduce(void) {
    return (pave_reduce_params){.size = sizeof(pave_reduce_params),
                                .x = pave_tensor_2d(bx, PAVE_F32, M, K),
                                .y = pave_tensor_1d(by, PAVE_F32, M),
                                .reduction = PAVE_REDUCE_SUM};
}

/* A tensor made wrong in one way, under the name that messages use. */
static void spoil_tensors(void) {
    static const char *const names[] = {"x", "w", "bias", "y", "tensor"};
    for (int t = 0; t < 5; t++)
        for (int wrong = 0; wrong < 14; wrong++) {
            pave_linear_params p = right_linear();
            pave_tensor *tensors[] = {&p.x, &p.w, &p.bias, &p.y, &one_link.tensor}, *v = tensors[t];
            pave_status want = PAVE_E_INVALID;
            int last = v->rank - 1;
            switch (wrong) {
            case 0: v->type = (pave_dtype)0; break;
            case 1: v->type = (pave_dtype)77; break;
            case 2: v->rank = 0; break;
            case 3: v->rank = PAVE_MAX_RANK + 1; break;
            case 4: v->offset = 2; break;
            case 5: v->offset = BYTES - 8; break;
            case 6: v->offset = UINT64_MAX - 3; break;
            case 7: v->shape[last] += 1; break;
            case 8: v->shape[0] = -1; break;
            case 9: v->buffer = foreign; break;
            case 10: v->strides[0] = INT64_MAX / 2; break;
            case 11: v->shape[last] = INT64_MAX; break;
            case 12: v->strides[0] = -1; break;
            case 13:
                if (t == 2 || t == 4) continue; /* "none" there */
                v->buffer = NULL;
                break;
            }
            char what[64];
            snprintf(what, sizeof what, "%s made wrong in way %d", names[t], wrong);
            /* A width that does not match may be told of either of the two that disagree. */
            refused(pave_linear(queue, &p, NULL), want,
                    wrong == 7 || wrong == 11 || wrong == 8 ? "" : names[t], what);
            assert_true(strlen(pave_last_message()) > 4);
            untouched(what);
        }
}

static void test_tensors(void **state) {
    (void)state;
    spoil_tensors();
}

/* An output whose elements share memory; the same strides are an input's right. */
static void test_shared_elements(void **state) {
    (void)state;
    for (int wrong = 0; wrong < 3; wrong++) {
        pave_linear_params p = right_linear();
        p.epilogue.link_count = 0;
        p.x.strides[0] = wrong == 0 ? 0 : wrong == 1 ? 1 : K - 1;
        TEST_OK(pave_linear(queue, &p, NULL));
        TEST_OK(pave_buffer_fill(queue, by, 0, BYTES, "\xa5", 1, NULL));
        p = right_linear();
        p.epilogue.link_count = 0;
        p.y.strides[0] = wrong == 0 ? 0 : wrong == 1 ? 1 : N - 1;
        refused(pave_linear(queue, &p, NULL), PAVE_E_INVALID, "y", "elements that share memory");
    }
    untouched("shared elements");
}

static void test_params(void **state) {
    (void)state;
    pave_linear_params l = right_linear();
    refused(pave_linear(NULL, &l, NULL), PAVE_E_INVALID, "queue", "linear");
    refused(pave_linear(queue, NULL, NULL), PAVE_E_INVALID, "params", "linear");
    l.size = 0;
    refused(pave_linear(queue, &l, NULL), PAVE_E_INVALID, "size", "linear");
    l = right_linear();
    l.precision = (pave_precision)9;
    refused(pave_linear(queue, &l, NULL), PAVE_E_INVALID, "precision", "linear");
    l = right_linear();
    l.precision = (pave_precision)-1;
    refused(pave_linear(queue, &l, NULL), PAVE_E_INVALID, "precision", "linear");
    l = right_linear();
    l.epilogue.reduction = (pave_reduction)10;
    refused(pave_linear(queue, &l, NULL), PAVE_E_INVALID, "reduction", "linear");
    l = right_linear();
    l.epilogue.link_count = PAVE_MAX_LINKS + 1;
    refused(pave_linear(queue, &l, NULL), PAVE_E_INVALID, "links", "linear");
    l.epilogue.link_count = SIZE_MAX;
    refused(pave_linear(queue, &l, NULL), PAVE_E_INVALID, "links", "linear");
    l = right_linear();
    l.epilogue.links = NULL;
    refused(pave_linear(queue, &l, NULL), PAVE_E_INVALID, "links", "linear");
    for (int op = -1; op <= 99; op += op == 0 ? 17 : 1) {
        if (op > 0 && op <= PAVE_LINK_ELU) continue;
        l = right_linear();
        one_link.op = (pave_link_op)op;
        refused(pave_linear(queue, &l, NULL), PAVE_E_INVALID, "links[0].op", "a link's op");
    }
    l = right_linear();
    one_link.op = PAVE_LINK_RELU;
    refused(pave_linear(queue, &l, NULL), PAVE_E_INVALID, "links[0]", "a tensor on relu");
    pave_mlp_params c = right_mlp();
    refused(pave_mlp(NULL, &c, NULL), PAVE_E_INVALID, "queue", "mlp");
    refused(pave_mlp(queue, NULL, NULL), PAVE_E_INVALID, "params", "mlp");
    c.layer_count = 0;
    refused(pave_mlp(queue, &c, NULL), PAVE_E_INVALID, "layers", "mlp");
    c.layer_count = PAVE_MAX_LAYERS + 1;
    refused(pave_mlp(queue, &c, NULL), PAVE_E_INVALID, "layers", "mlp");
    c = right_mlp();
    c.layers = NULL;
    refused(pave_mlp(queue, &c, NULL), PAVE_E_INVALID, "layers", "mlp");
    c = right_mlp();
    layers[1].w.shape[1] = N + 1;
    layers[1].w.strides[0] = N + 1;
    refused(pave_mlp(queue, &c, NULL), PAVE_E_INVALID, "layers[1].w", "mlp");
    pave_reduce_params r = right_reduce();
    refused(pave_reduce(NULL, &r, NULL), PAVE_E_INVALID, "queue", "reduce");
    refused(pave_reduce(queue, NULL, NULL), PAVE_E_INVALID, "params", "reduce");
    r.reduction = PAVE_REDUCE_NONE;
    refused(pave_reduce(queue, &r, NULL), PAVE_E_INVALID, "reduction", "reduce");
    r = right_reduce();
    r.y.shape[0] = M - 1;
    refused(pave_reduce(queue, &r, NULL), PAVE_E_INVALID, "y", "reduce");
    untouched("params");
}

static void test_overlap(void **state) {
    (void)state;
    for (int which = 0; which < 4; which++) {
        static const char *const names[] = {"x", "w", "bias", "tensor"};
        pave_linear_params p = right_linear();
        pave_tensor *tensors[] = {&p.x, &p.w, &p.bias, &one_link.tensor};
        tensors[which]->buffer = by;
        tensors[which]->offset = (M * N - 1) * 4; /* the last element of y */
        refused(pave_linear(queue, &p, NULL), PAVE_E_INVALID, names[which], "overlap");
        tensors[which]->offset = M * N * 4; /* right behind it */
        pave_plan *plan = NULL;
        TEST_OK(pave_plan_linear(context, &p, &plan));
        pave_plan_destroy(&plan);
    }
    pave_reduce_params r = right_reduce();
    r.x.buffer = by;
    refused(pave_reduce(queue, &r, NULL), PAVE_E_INVALID, "overlap", "reduce");
    untouched("overlap");
}

static void test_buffers(void **state) {
    (void)state;
    unsigned char bytes[16] = {0};
    pave_buffer *none = (pave_buffer *)bytes;
    refused(pave_buffer_create(NULL, 1, &none), PAVE_E_INVALID, "context", "create");
    assert_null(none);
    refused(pave_buffer_create(context, 1, NULL), PAVE_E_INVALID, "buffer", "create");
    none = (pave_buffer *)bytes;
    pave_status status = pave_buffer_create(context, UINT64_MAX, &none);
    assert_true(status == PAVE_E_UNSUPPORTED || status == PAVE_E_DEVICE_MEMORY);
    assert_null(none);
    refused(pave_buffer_write(queue, by, BYTES - 3, bytes, 4, PAVE_BLOCK, NULL), PAVE_E_INVALID, "4096",
            "range");
    refused(pave_buffer_write(queue, by, UINT64_MAX, bytes, 2, PAVE_BLOCK, NULL), PAVE_E_INVALID, "offset",
            "range");
    refused(pave_buffer_write(queue, by, 2, bytes, UINT64_MAX, PAVE_BLOCK, NULL), PAVE_E_INVALID, "length",
            "range");
    refused(pave_buffer_write(queue, by, 0, NULL, 4, PAVE_BLOCK, NULL), PAVE_E_INVALID, "source", "write");
    refused(pave_buffer_write(queue, by, 0, bytes, 4, (pave_blocking)7, NULL), PAVE_E_INVALID, "blocking",
            "write");
    refused(pave_buffer_write(queue, foreign, 0, bytes, 4, PAVE_BLOCK, NULL), PAVE_E_INVALID, "context",
            "write");
    refused(pave_buffer_write(NULL, by, 0, bytes, 4, PAVE_BLOCK, NULL), PAVE_E_INVALID, "queue", "write");
    refused(pave_buffer_read(queue, by, 0, NULL, 4, PAVE_BLOCK, NULL), PAVE_E_INVALID, "target", "read");
    refused(pave_buffer_read(queue, NULL, 0, bytes, 4, PAVE_BLOCK, NULL), PAVE_E_INVALID, "buffer", "read");
    refused(pave_buffer_fill(queue, by, 0, 4, NULL, 4, NULL), PAVE_E_INVALID, "pattern", "fill");
    refused(pave_buffer_fill(queue, by, 0, 6, bytes, 3, NULL), PAVE_E_INVALID, "pattern_bytes", "fill");
    refused(pave_buffer_fill(queue, by, 1, 4, bytes, 2, NULL), PAVE_E_INVALID, "offset", "fill");
    refused(pave_buffer_copy(queue, by, 0, by, 4, 8, NULL), PAVE_E_INVALID, "overlap", "copy");
    refused(pave_buffer_copy(queue, bx, 0, foreign, 0, 4, NULL), PAVE_E_INVALID, "context", "copy");
    refused(pave_buffer_copy(queue, bx, BYTES, by, 0, 1, NULL), PAVE_E_INVALID, "source", "copy");
    refused(pave_buffer_map(queue, by, 0, 4, NULL), PAVE_E_INVALID, "pointer", "map");
    untouched("buffers");
    pave_buffer_destroy(NULL);
    none = NULL;
    pave_buffer_destroy(&none);
    TEST_OK(pave_buffer_create(context, 0, &none));
    TEST_OK(pave_buffer_write(queue, none, 0, NULL, 0, PAVE_BLOCK, NULL));
    pave_buffer_destroy(&none);
}

static void test_sync(void **state) {
    (void)state;
    pave_linear_params p = right_linear();
    pave_event *none[1] = {NULL}, *event = (pave_event *)&p;
    refused(pave_linear(queue, &p, &(pave_sync){none, 1, &event}), PAVE_E_INVALID, "wait", "a NULL event");
    assert_null(event);
    refused(pave_linear(queue, &p, &(pave_sync){NULL, 1, NULL}), PAVE_E_INVALID, "wait", "a NULL list");
    pave_queue *other;
    TEST_OK(pave_queue_create(other_context, NULL, &other));
    TEST_OK(pave_buffer_fill(other, foreign, 0, 4, "a", 1, &(pave_sync){NULL, 0, &event}));
    refused(pave_linear(queue, &p, &(pave_sync){&event, 1, NULL}), PAVE_E_INVALID, "context",
            "a foreign event");
    pave_event_destroy(&event);
    pave_queue_destroy(&other);
    refused(pave_event_wait(NULL), PAVE_E_INVALID, "event", "wait");
    refused(pave_event_query(NULL), PAVE_E_INVALID, "event", "query");
    refused(pave_queue_finish(NULL), PAVE_E_INVALID, "queue", "finish");
    untouched("sync");
}

static void test_plans(void **state) {
    (void)state;
    pave_linear_params p = right_linear(), q = right_linear();
    pave_plan *plan = NULL;
    TEST_OK(pave_plan_linear(context, &p, &plan));
    p.plan = plan;
    p.x.shape[0] = p.y.shape[0] = 2;
    p.epilogue.link_count = 0;
    refused(pave_linear(queue, &p, NULL), PAVE_E_INVALID, "plan", "another problem's plan");
    pave_plan_destroy(&plan);
    setenv("PAVE_KERNEL", "pave_gemm_none_such", 1);
    refused(pave_linear(queue, &q, NULL), PAVE_E_INVALID, "PAVE_KERNEL", "an unknown row");
    setenv("PAVE_KERNEL", "pave_gemm_tile_64x64x16_f32", 1);
    refused(pave_linear(queue, &q, NULL), PAVE_E_UNSUPPORTED, "pave_gemm_tile_64x64x16_f32", "another's row");
    unsetenv("PAVE_KERNEL");
    pave_device_info info = {.size = sizeof info};
    refused(pave_device_info_by_name("no such device", &info), PAVE_E_NOT_FOUND, "rtx4090", "by name");
    refused(pave_device_info_by_name("rtx4090", NULL), PAVE_E_INVALID, "info", "by name");
    TEST_OK(pave_device_info_by_name("rtx4090", &info));
    pave_problem_params problem = {.size = sizeof problem, .op = (pave_op)9, .m = 1, .k = 1};
    refused(pave_plan_create(&info, &problem, &plan), PAVE_E_INVALID, "op", "plan_create");
    refused(pave_plan_create(&info, NULL, &plan), PAVE_E_INVALID, "problem", "plan_create");
    refused(pave_plan_create(NULL, &problem, &plan), PAVE_E_INVALID, "device", "plan_create");
    refused(pave_plan_print(NULL, PAVE_PLAN_TEXT, NULL, 0, NULL), PAVE_E_INVALID, "plan", "plan_print");
    assert_null(pave_plan_step_kernel(NULL, 0));
    untouched("plans");
}

static void test_weights_misuse(void **state) {
    (void)state;
    pave_weights *weights = NULL;
    pave_tensor w = pave_tensor_2d(bw, PAVE_F32, N, K);
    refused(pave_weights_create(NULL, &w, PAVE_HIGH, &weights), PAVE_E_INVALID, "queue", "weights");
    refused(pave_weights_create(queue, NULL, PAVE_HIGH, &weights), PAVE_E_INVALID, "w", "weights");
    refused(pave_weights_create(queue, &w, (pave_precision)5, &weights), PAVE_E_INVALID, "precision",
            "weights");
    TEST_OK(pave_weights_create(queue, &w, PAVE_HIGH, &weights));
    pave_linear_params p = right_linear();
    p.weights = weights;
    refused(pave_linear(queue, &p, NULL), PAVE_E_INVALID, "weights", "w and weights");
    pave_weights_destroy(&weights);
    assert_null(weights);
    untouched("weights");
}

static void test_empty(void **state) {
    (void)state;
    pave_linear_params p = right_linear();
    p.epilogue.link_count = 0;
    p.x.shape[0] = p.y.shape[0] = 0;
    TEST_OK(pave_linear(queue, &p, NULL));
    p = right_linear();
    p.epilogue.link_count = 0;
    p.w.shape[0] = p.bias.shape[0] = p.y.shape[1] = 0;
    TEST_OK(pave_linear(queue, &p, NULL));
    untouched("empty");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors), cmocka_unit_test(test_shared_elements), cmocka_unit_test(test_params),
        cmocka_unit_test(test_overlap), cmocka_unit_test(test_buffers),         cmocka_unit_test(test_sync),
        cmocka_unit_test(test_plans),   cmocka_unit_test(test_weights_misuse),  cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests_name("misuse", tests, open_all, close_all);
}
