/* SPDX-License-Identifier: Apache-2.0
 * A queue that knows a call takes no other for it: whatever is changed in what a call says, a queue that has made the call
 * before gives what one that has made none gives. PAVE_BACKEND chooses the device. */
#include "tests/support/cm.h"
#include <pave/pave.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M = 6, K = 8, N = 4, BYTES = 4096, OUT = 2048, AGAIN = 6 };

#define OK(call)                                                                 \
    do {                                                                         \
        pave_status code = (call);                                               \
        if (code) fail_msg("%s: %d: %s", #call, (int)code, pave_last_message()); \
    } while (0)

static pave_context *context;
static pave_queue *filler; /* makes buffers ready */

/* Every operation, with all that it points to. */
typedef struct call {
    pave_buffer *in, *other, *out;
    pave_link links[2], after, inner;
    float alpha, beta;
    pave_layer layers[2];
    pave_linear_params linear;
    pave_matmul_params matmul;
    pave_mlp_params mlp;
    pave_reduce_params reduce;
    pave_map_params map;
} call;

typedef struct outcome {
    pave_status status;
    unsigned char bytes[OUT];
} outcome;

static pave_buffer *buffer_of(uint64_t bytes, uint32_t seed) {
    pave_buffer *b;
    float values[BYTES / 4];
    for (size_t i = 0; i < BYTES / 4; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(int32_t)(seed >> 8) * 0x1p-22f - 2;
    }
    OK(pave_buffer_create(context, bytes, &b));
    OK(pave_buffer_write(filler, b, 0, values, bytes, PAVE_BLOCK, NULL));
    return b;
}

static pave_tensor at(pave_buffer *b, uint64_t offset, int64_t rows, int64_t cols) {
    pave_tensor t = pave_tensor_2d(b, PAVE_F32, rows, cols);
    t.offset = offset;
    return t;
}

static void call_make(call *c, pave_buffer *in, pave_buffer *other, pave_buffer *out) {
    pave_tensor x = at(in, 0, M, K), w = at(in, 256, N, K), bias = pave_tensor_1d(in, PAVE_F32, N);
    memset(c, 0, sizeof *c);
    c->in = in, c->other = other, c->out = out;
    c->alpha = 2, c->beta = 3;
    c->links[0] = (pave_link){.op = PAVE_LINK_CLAMP, .a = -1, .b = 2};
    c->links[1] = (pave_link){.op = PAVE_LINK_ADD, .tensor = pave_tensor_1d(other, PAVE_F32, N)};
    c->after = (pave_link){.op = PAVE_LINK_MUL, .a = 2};
    c->inner = (pave_link){.op = PAVE_LINK_LEAKY_RELU, .a = 0.5f};
    c->linear = (pave_linear_params){.size = sizeof c->linear,
                                     .x = x,
                                     .w = w,
                                     .bias = bias,
                                     .y = at(out, 0, M, N),
                                     .epilogue = {.links = c->links, .link_count = 2}};
    c->linear.epilogue.reduction = PAVE_REDUCE_NORMALIZE;
    c->linear.epilogue.after = &c->after, c->linear.epilogue.after_count = 1;
    c->linear.epilogue.unreduced = at(out, 1024, M, N);
    c->matmul = (pave_matmul_params){.size = sizeof c->matmul,
                                     .a = at(in, 0, K, K),
                                     .b = at(in, 512, K, K),
                                     .c = at(other, 0, K, K),
                                     .y = at(out, 0, K, K),
                                     .alpha = &c->alpha,
                                     .beta = &c->beta};
    c->layers[0] = (pave_layer){.w = w, .bias = bias, .links = &c->inner, .link_count = 1};
    c->layers[1] = (pave_layer){.w = at(other, 512, N, N)};
    c->mlp = (pave_mlp_params){
        .size = sizeof c->mlp, .x = x, .layers = c->layers, .layer_count = 2, .y = at(out, 0, M, N)};
    c->reduce = (pave_reduce_params){.size = sizeof c->reduce,
                                     .x = at(in, 0, K, K),
                                     .y = at(out, 0, K, K),
                                     .reduction = PAVE_REDUCE_NORMALIZE,
                                     .links = &c->after,
                                     .link_count = 1};
    c->map = (pave_map_params){.size = sizeof c->map,
                               .x = at(in, 0, M, N),
                               .y = at(out, 0, M, N),
                               .links = c->links,
                               .link_count = 2};
}

#define RUN(op)                                                 \
    static pave_status run_##op(pave_queue *q, const call *c) { \
        return pave_##op(q, &c->op, NULL);                      \
    }
RUN(linear)
RUN(matmul)
RUN(mlp)
RUN(reduce)
RUN(map)
typedef pave_status run_fn(pave_queue *q, const call *c);

static outcome outcome_of(pave_queue *q, run_fn *run, const call *c) {
    outcome o;
    OK(pave_buffer_fill(q, c->out, 0, OUT, "\xa5", 1, NULL));
    o.status = run(q, c);
    OK(pave_buffer_read(q, c->out, 0, o.bytes, OUT, PAVE_BLOCK, NULL));
    return o;
}

static outcome fresh(run_fn *run, const call *c) {
    pave_queue *q;
    OK(pave_queue_create(context, NULL, &q));
    outcome o = outcome_of(q, run, c);
    pave_queue_destroy(&q);
    return o;
}

static bool same(const outcome *a, const outcome *b) {
    return a->status == b->status && memcmp(a->bytes, b->bytes, OUT) == 0;
}

/* ---- what is changed */

#define CHANGE(name, ...)       \
    static void name(call *c) { \
        __VA_ARGS__;            \
    }
CHANGE(linear_x_offset, c->linear.x.offset = 4)
CHANGE(linear_x_stride, c->linear.x.strides[0] = K + 1)
CHANGE(linear_x_column, c->linear.x.strides[1] = 2)
CHANGE(linear_x_buffer, c->linear.x.buffer = c->other)
CHANGE(linear_x_type, c->linear.x.type = PAVE_BF16)
CHANGE(linear_x_rank, c->linear.x.rank = 9)
CHANGE(linear_rows, c->linear.x.shape[0] = c->linear.y.shape[0] = c->linear.epilogue.unreduced.shape[0] = 1)
CHANGE(linear_depth, c->linear.x.shape[1] = c->linear.w.shape[1] = K - 1)
CHANGE(linear_w_offset, c->linear.w.offset = 260)
CHANGE(linear_no_bias, c->linear.bias.buffer = NULL)
CHANGE(linear_bias_offset, c->linear.bias.offset = 4)
CHANGE(linear_y_offset, c->linear.y.offset = 4)
CHANGE(linear_y_turned, c->linear.y.strides[0] = 1, c->linear.y.strides[1] = M)
CHANGE(linear_y_type, c->linear.y.type = PAVE_F16)
CHANGE(linear_link_count, c->linear.epilogue.link_count = 1)
CHANGE(linear_link_op, c->links[0].op = PAVE_LINK_RELU)
CHANGE(linear_link_a, c->links[0].a = 0.5f)
CHANGE(linear_link_b, c->links[0].b = 0.25f)
CHANGE(linear_link_tensor, c->links[1].tensor.offset = 4)
CHANGE(linear_link_none, c->links[1].tensor = (pave_tensor){0})
CHANGE(linear_links_null, c->linear.epilogue.links = NULL)
CHANGE(linear_reduction, c->linear.epilogue.reduction = PAVE_REDUCE_SOFTMAX)
CHANGE(linear_window, c->linear.epilogue.window = 2)
CHANGE(linear_epsilon, c->linear.epilogue.epsilon = 1)
CHANGE(linear_after, c->after.a = 3)
CHANGE(linear_no_after, c->linear.epilogue.after_count = 0)
CHANGE(linear_unreduced, c->linear.epilogue.unreduced.offset = 1028)
CHANGE(linear_reduced, c->linear.epilogue.unreduced.buffer = NULL)
CHANGE(linear_precision, c->linear.precision = (pave_precision)7)
CHANGE(linear_size, c->linear.size--)
CHANGE(matmul_alpha, c->alpha = 1)
CHANGE(matmul_no_alpha, c->matmul.alpha = NULL)
CHANGE(matmul_beta, c->beta = 0)
CHANGE(matmul_no_beta, c->matmul.beta = NULL)
CHANGE(matmul_turned_a, c->matmul.transpose_a = 1)
CHANGE(matmul_turned_b, c->matmul.transpose_b = 1)
CHANGE(matmul_c_offset, c->matmul.c.offset = 4)
CHANGE(matmul_no_c, c->matmul.c.buffer = NULL)
CHANGE(mlp_inner_scalar, c->inner.a = 2)
CHANGE(mlp_inner_none, c->layers[0].link_count = 0)
CHANGE(mlp_bias, c->layers[1].bias = pave_tensor_1d(c->in, PAVE_F32, N))
CHANGE(mlp_w, c->layers[1].w.offset = 516)
CHANGE(mlp_one_layer, c->mlp.layer_count = 1)
CHANGE(mlp_no_layers, c->mlp.layers = NULL)
CHANGE(reduce_axis, c->reduce.axis_from_last = 1)
CHANGE(reduce_word, c->reduce.reduction = PAVE_REDUCE_LOG_SOFTMAX)
CHANGE(reduce_window, c->reduce.window = 4)
CHANGE(reduce_epsilon, c->reduce.epsilon = 1)
CHANGE(reduce_links, c->reduce.link_count = 0)
CHANGE(map_x, c->map.x.strides[0] = 0)
CHANGE(map_y, c->map.y.offset = 8)
CHANGE(map_links, c->map.link_count = 0)

static const struct change {
    const char *name;
    run_fn *run;
    void (*change)(call *c);
} changes[] = {
#define LINE(op, what) \
    { #op "_" #what, run_##op, op##_##what }
    LINE(linear, x_offset),
    LINE(linear, x_stride),
    LINE(linear, x_column),
    LINE(linear, x_buffer),
    LINE(linear, x_type),
    LINE(linear, x_rank),
    LINE(linear, rows),
    LINE(linear, depth),
    LINE(linear, w_offset),
    LINE(linear, no_bias),
    LINE(linear, bias_offset),
    LINE(linear, y_offset),
    LINE(linear, y_turned),
    LINE(linear, y_type),
    LINE(linear, link_count),
    LINE(linear, link_op),
    LINE(linear, link_a),
    LINE(linear, link_b),
    LINE(linear, link_tensor),
    LINE(linear, link_none),
    LINE(linear, links_null),
    LINE(linear, reduction),
    LINE(linear, window),
    LINE(linear, epsilon),
    LINE(linear, after),
    LINE(linear, no_after),
    LINE(linear, unreduced),
    LINE(linear, reduced),
    LINE(linear, precision),
    LINE(linear, size),
    LINE(matmul, alpha),
    LINE(matmul, no_alpha),
    LINE(matmul, beta),
    LINE(matmul, no_beta),
    LINE(matmul, turned_a),
    LINE(matmul, turned_b),
    LINE(matmul, c_offset),
    LINE(matmul, no_c),
    LINE(mlp, inner_scalar),
    LINE(mlp, inner_none),
    LINE(mlp, bias),
    LINE(mlp, w),
    LINE(mlp, one_layer),
    LINE(mlp, no_layers),
    LINE(reduce, axis),
    LINE(reduce, word),
    LINE(reduce, window),
    LINE(reduce, epsilon),
    LINE(reduce, links),
    LINE(map, x),
    LINE(map, y),
    LINE(map, links),
};

static void expect(pave_queue *q, const struct change *e, const call *c, const outcome *want,
                   const char *what) {
    outcome got = outcome_of(q, e->run, c);
    if (!same(&got, want))
        fail_msg("%s, %s: %d where a fresh queue gives %d, or other values", e->name, what, (int)got.status,
                 (int)want->status);
}

static void test_changes(void **state) {
    (void)state;
    pave_buffer *in = buffer_of(BYTES, 1), *other = buffer_of(BYTES, 2), *out = buffer_of(BYTES, 3);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const struct change *e = &changes[i];
        call first, second;
        pave_queue *q;
        call_make(&first, in, other, out);
        call_make(&second, in, other, out);
        e->change(&second);
        const outcome want = fresh(e->run, &first), changed = fresh(e->run, &second);
        if (want.status) fail_msg("%s: %s", e->name, pave_last_message());
        if (same(&want, &changed)) fail_msg("%s: it changes nothing", e->name);
        OK(pave_queue_create(context, NULL, &q));
        for (int n = 0; n < AGAIN; n++) expect(q, e, &first, &want, "as it was");
        for (int n = 0; n < AGAIN; n++) {
            expect(q, e, &second, &changed, "changed");
            expect(q, e, &first, &want, "as it was before");
        }
        pave_queue_destroy(&q);
    }
    pave_buffer_destroy(&in);
    pave_buffer_destroy(&other);
    pave_buffer_destroy(&out);
}

/* ---- objects at addresses that were another's */

static void know(pave_queue *q, run_fn *run, const call *c) {
    for (int n = 0; n < AGAIN; n++) OK(run(q, c));
}

static void test_buffers(void **state) {
    (void)state;
    static const struct change e = {.name = "buffers", .run = run_linear};
    pave_buffer *in = buffer_of(BYTES, 1), *other = buffer_of(BYTES, 2), *out = buffer_of(BYTES, 3);
    pave_queue *q;
    call c;
    OK(pave_queue_create(context, NULL, &q));
    for (uint32_t seed = 4; seed < 12; seed++) {
        call_make(&c, in, other, out);
        know(q, run_linear, &c);
        outcome want = fresh(run_linear, &c);
        expect(q, &e, &c, &want, "known");
        pave_buffer_destroy(&in);
        in = buffer_of(seed % 2 ? 300 : BYTES, seed);
        call_make(&c, in, other, out);
        want = fresh(run_linear, &c);
        assert_int_equal(want.status, seed % 2 ? PAVE_E_INVALID : PAVE_OK);
        expect(q, &e, &c, &want, "a buffer made anew");
        pave_buffer_destroy(&in);
        in = buffer_of(BYTES, seed);
    }
    pave_buffer_destroy(&in);
    pave_buffer_destroy(&other);
    pave_buffer_destroy(&out);
    pave_queue_destroy(&q);
}

static void test_weights(void **state) {
    (void)state;
    static const struct change e = {.name = "weights", .run = run_linear};
    pave_buffer *in = buffer_of(BYTES, 1), *other = buffer_of(BYTES, 2), *out = buffer_of(BYTES, 3);
    pave_queue *q;
    OK(pave_queue_create(context, NULL, &q));
    for (int i = 0; i < 8; i++) {
        call c;
        pave_weights *weights;
        call_make(&c, in, other, out);
        c.linear.w.buffer = i % 2 ? other : in;
        OK(pave_weights_create(filler, &c.linear.w, PAVE_HIGH, &weights));
        c.linear.w = (pave_tensor){0};
        c.linear.weights = weights;
        const outcome want = fresh(run_linear, &c);
        assert_int_equal(want.status, PAVE_OK);
        for (int n = 0; n < AGAIN; n++) expect(q, &e, &c, &want, "weights made anew");
        pave_weights_destroy(&weights);
    }
    pave_buffer_destroy(&in);
    pave_buffer_destroy(&other);
    pave_buffer_destroy(&out);
    pave_queue_destroy(&q);
}

/* What is not in the parameters: a plan, the environment, and a workspace that moves. */
static void test_surroundings(void **state) {
    (void)state;
    static const struct change e = {.name = "surroundings", .run = run_mlp};
    pave_buffer *in = buffer_of(BYTES, 1), *other = buffer_of(BYTES, 2), *out = buffer_of(BYTES, 3);
    pave_buffer *large;
    pave_queue *q;
    pave_plan *plan, *wrong;
    call c, d;
    OK(pave_queue_create(context, NULL, &q));
    call_make(&c, in, other, out);
    const outcome want = fresh(run_mlp, &c);
    for (int n = 0; n < AGAIN; n++) expect(q, &e, &c, &want, "known");
    OK(pave_plan_mlp(context, &c.mlp, &plan));
    OK(pave_plan_linear(context, &c.linear, &wrong));
    d = c;
    d.mlp.plan = plan;
    for (int n = 0; n < AGAIN; n++) expect(q, &e, &d, &want, "with its plan");
    d.mlp.plan = wrong;
    assert_int_equal(run_mlp(q, &d), PAVE_E_INVALID);
    pave_plan_destroy(&plan);
    pave_plan_destroy(&wrong);
    setenv("PAVE_KERNEL", "no_such_row", 1);
    assert_int_equal(run_mlp(q, &c), PAVE_E_INVALID);
    unsetenv("PAVE_KERNEL");
    expect(q, &e, &c, &want, "known again");
    OK(pave_buffer_create(context, UINT64_C(64) * 1024 * 1024, &large));
    pave_mlp_params wide = c.mlp;
    pave_layer layers[2] = {{.w = at(large, 0, 2048, 16)}, {.w = at(large, 0, 4, 2048)}};
    wide.x = at(large, 0, 600, 16), wide.layers = layers, wide.y = at(large, 32 << 20, 600, 4);
    OK(pave_mlp(q, &wide, NULL));
    for (int n = 0; n < AGAIN; n++) expect(q, &e, &c, &want, "after the workspace grew");
    pave_buffer_destroy(&large);
    pave_buffer_destroy(&in);
    pave_buffer_destroy(&other);
    pave_buffer_destroy(&out);
    pave_queue_destroy(&q);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_changes), cmocka_unit_test(test_buffers),
                                       cmocka_unit_test(test_weights), cmocka_unit_test(test_surroundings)};
    pave_device *device;
    pave_status status = pave_device_open(NULL, &device);
    if (status == PAVE_E_NOT_FOUND && !getenv("PAVE_TEST_REQUIRE")) {
        printf("no device: %s\n", pave_last_message());
        return 77;
    }
    if (status || pave_context_create(device, &context) || pave_queue_create(context, NULL, &filler)) {
        fprintf(stderr, "%s\n", pave_last_message());
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pave_queue_destroy(&filler);
    pave_context_destroy(&context);
    return failed;
}
