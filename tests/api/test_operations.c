/* SPDX-License-Identifier: Apache-2.0
 * Wrong arguments of matmul, grouped matmul, reductions along an axis, maps and copies, one at a time, from a call that is
 * right: the documented status, a message that names the argument, and outputs whose bytes are as they were. */
#include "tests/support/cm.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, M = 4, N = 6, K = 5, BYTES = 8192 };

static pave_device *device;
static pave_context *context;
static pave_queue *queue;
static pave_buffer *ba, *bb, *bc, *by;

static int open_all(void **state) {
    (void)state;
    TEST_OK(pave_device_open("host", &device));
    TEST_OK(pave_context_create(device, &context));
    TEST_OK(pave_queue_create(context, NULL, &queue));
    pave_buffer **all[] = {&ba, &bb, &bc, &by};
    for (int i = 0; i < 4; i++) {
        TEST_OK(pave_buffer_create(context, BYTES, all[i]));
        TEST_OK(pave_buffer_fill(queue, *all[i], 0, BYTES, "\xa5", 1, NULL));
    }
    return 0;
}

static int close_all(void **state) {
    (void)state;
    pave_buffer **all[] = {&ba, &bb, &bc, &by};
    for (int i = 0; i < 4; i++) pave_buffer_destroy(all[i]);
    pave_queue_destroy(&queue);
    pave_context_destroy(&context);
    return 0;
}

static void refused(pave_status got, pave_status want, const char *word, const char *what) {
    static unsigned char bytes[BYTES];
    const char *message = pave_last_message();
    if (got != want || !strstr(message, word)) {
        fprintf(stderr, "%s: %s \"%s\" where %s with \"%s\" is right\n", what, pave_status_name(got), message,
                pave_status_name(want), word);
        fail();
    }
    TEST_OK(pave_buffer_read(queue, by, 0, bytes, BYTES, PAVE_BLOCK, NULL));
    for (int i = 0; i < BYTES; i++)
        if (bytes[i] != 0xa5) {
            fprintf(stderr, "%s: byte %d of y was written\n", what, i);
            fail();
        }
}

static pave_tensor three(pave_buffer *buffer, int64_t batch, int64_t rows, int64_t cols) {
    int64_t shape[3] = {batch, rows, cols};
    return pave_tensor_make(buffer, PAVE_F32, 3, shape);
}

static pave_matmul_params right_matmul(void) {
    return (pave_matmul_params){.size = sizeof(pave_matmul_params),
                                .a = three(ba, B, M, K),
                                .b = three(bb, B, K, N),
                                .c = three(bc, 1, M, N),
                                .y = three(by, B, M, N)};
}

static void bad_matmul(const pave_matmul_params *p, const char *word, const char *what) {
    refused(pave_matmul(queue, p, NULL), PAVE_E_INVALID, word, what);
    pave_plan *plan = (pave_plan *)p;
    refused(pave_plan_matmul(context, p, &plan), PAVE_E_INVALID, word, what);
    assert_null(plan);
}

static void test_matmul(void **state) {
    (void)state;
    pave_matmul_params p = right_matmul();
    refused(pave_matmul(NULL, &p, NULL), PAVE_E_INVALID, "queue", "no queue");
    refused(pave_matmul(queue, NULL, NULL), PAVE_E_INVALID, "params", "no params");
    p.size = 3;
    bad_matmul(&p, "size", "size");
    p = right_matmul();
    p.a.shape[0] = B + 1;
    bad_matmul(&p, "batch", "batches that do not broadcast");
    p = right_matmul();
    p.y.shape[0] = B + 1;
    bad_matmul(&p, "y", "y's batch");
    p = right_matmul();
    p.y.rank = 2, p.y.shape[0] = M, p.y.shape[1] = N, p.y.strides[0] = N, p.y.strides[1] = 1;
    bad_matmul(&p, "y", "y without the batch");
    p = right_matmul();
    p.transpose_b = 1;
    bad_matmul(&p, "b", "b the other way round");
    p = right_matmul();
    p.transpose_a = 1;
    bad_matmul(&p, "a", "a the other way round");
    p = right_matmul();
    p.y.strides[0] = 0;
    bad_matmul(&p, "y", "a broadcast output");
    p = right_matmul();
    p.c.shape[1] = M - 1;
    bad_matmul(&p, "c: ", "c that does not broadcast");
    p = right_matmul();
    p.a.rank = 1;
    bad_matmul(&p, "a", "a vector");
    p = right_matmul();
    p.b.buffer = by;
    bad_matmul(&p, "overlap", "b is y");
    p = right_matmul();
    p.c = p.y;
    p.c.offset = 4;
    bad_matmul(&p, "c", "c beside y");
    p = right_matmul();
    p.y.type = PAVE_I32;
    bad_matmul(&p, "y", "an index type without an argmax");
    p = right_matmul();
    p.a.type = PAVE_I32;
    bad_matmul(&p, "a", "an index type as operand");
    p = right_matmul();
    p.a.shape[1] = INT64_MAX / 2;
    bad_matmul(&p, "a", "a size that overflows");
}

static void test_epilogue(void **state) {
    (void)state;
    const pave_link scale = {.op = PAVE_LINK_MUL, .a = 2};
    pave_matmul_params p = right_matmul();
    p.epilogue.reduction = PAVE_REDUCE_SOFTMAX;
    p.epilogue.window = 4;
    bad_matmul(&p, "window", "a window that does not divide");
    p.epilogue.window = -1;
    bad_matmul(&p, "window", "a negative window");
    p.epilogue = (pave_epilogue){.window = 2};
    bad_matmul(&p, "window", "a window without a reduction");
    p.epilogue = (pave_epilogue){.after = &scale, .after_count = 1};
    bad_matmul(&p, "after", "links after nothing");
    p.epilogue = (pave_epilogue){.reduction = PAVE_REDUCE_SUM};
    bad_matmul(&p, "y", "y as wide as before the reduction");
    p.y.rank = 2;
    p.y.strides[0] = M, p.y.strides[1] = 1;
    p.epilogue.after = &scale, p.epilogue.after_count = PAVE_MAX_LINKS + 1;
    bad_matmul(&p, "after", "too many links after");
    p.epilogue.after = NULL, p.epilogue.after_count = 1;
    bad_matmul(&p, "after", "no links after");
    p.epilogue.after_count = 0;
    p.epilogue.unreduced = three(by, B, M, N);
    bad_matmul(&p, "unreduced", "unreduced on y");
    p.epilogue.unreduced = three(bc, B, M, N - 1);
    bad_matmul(&p, "unreduced", "unreduced of another width");
    p.epilogue = (pave_epilogue){.reduction = PAVE_REDUCE_ARGMAX};
    bad_matmul(&p, "y", "an argmax into floats");
    p.y.type = PAVE_I32;
    p.epilogue.after = &scale, p.epilogue.after_count = 1;
    bad_matmul(&p, "after", "links on an index");
    p = right_matmul();
    p.epilogue.unreduced = three(bc, B, M, N);
    bad_matmul(&p, "unreduced", "unreduced without a reduction");
    p = right_matmul();
    const pave_link wide = {.op = PAVE_LINK_ADD, .tensor = three(bc, B, M, N - 1)};
    p.epilogue = (pave_epilogue){.links = &wide, .link_count = 1};
    bad_matmul(&p, "links[0]", "a tensor that does not broadcast");
}

/* Inputs that another output than y is written over. */
static void test_unreduced(void **state) {
    (void)state;
    const pave_link full = {.op = PAVE_LINK_ADD, .tensor = three(bc, B, M, N)};
    pave_matmul_params right = right_matmul(), p;
    right.c = (pave_tensor){0};
    right.y = pave_tensor_2d(by, PAVE_F32, B, M);
    right.epilogue = (pave_epilogue){.reduction = PAVE_REDUCE_SUM, .unreduced = three(bc, B, M, N)};
    p = right;
    p.epilogue.unreduced.buffer = bb;
    bad_matmul(&p, "b: it overlaps epilogue.unreduced", "unreduced on b");
    p = right;
    p.c = three(bc, 1, M, N);
    bad_matmul(&p, "c: it overlaps epilogue.unreduced", "unreduced on a broadcast c");
    p = right;
    p.epilogue.links = &full, p.epilogue.link_count = 1;
    p.epilogue.unreduced.offset = 4;
    bad_matmul(&p, "links[0].tensor: it overlaps epilogue.unreduced", "unreduced beside a link's tensor");
    p = right;
    const pave_link after = {.op = PAVE_LINK_ADD, .tensor = pave_tensor_2d(bc, PAVE_F32, B, M)};
    p.epilogue.after = &after, p.epilogue.after_count = 1;
    bad_matmul(&p, "after[0].tensor: it overlaps epilogue.unreduced", "unreduced on what is read after it");
    p = right;
    p.epilogue.links = &full, p.epilogue.link_count = 1;
    pave_plan *plan;
    TEST_OK(pave_plan_matmul(context, &p, &plan)); /* exactly: read before it is written */
    pave_plan_destroy(&plan);
    p = right_matmul();
    p.epilogue = (pave_epilogue){.reduction = PAVE_REDUCE_NORMALIZE, .epsilon = -1};
    bad_matmul(&p, "epilogue.epsilon", "a negative epsilon");
}

/* A tensor with no element lies nowhere and reaches nothing, whatever its offset and strides. */
static void test_nothing(void **state) {
    (void)state;
    pave_matmul_params p = right_matmul();
    p.c = (pave_tensor){0};
    p.a = three(by, B, M, 0), p.b = three(by, B, 0, N);
    p.a.offset = p.b.offset = 8;
    p.a.strides[0] = p.a.strides[1] = p.b.strides[0] = p.b.strides[2] = INT64_MAX / 2;
    TEST_OK(pave_matmul(queue, &p, NULL));
    pave_reduce_params r = {.size = sizeof r,
                            .x = three(by, B, M, 0),
                            .y = pave_tensor_2d(by, PAVE_F32, B, M),
                            .reduction = PAVE_REDUCE_SUM};
    r.x.offset = 8;
    r.x.strides[0] = INT64_MAX / 3, r.x.strides[1] = INT64_MAX;
    TEST_OK(pave_reduce(queue, &r, NULL));
    pave_group groups[2];
    groups[0] = (pave_group){pave_tensor_2d(by, PAVE_F32, 0, K), pave_tensor_2d(bb, PAVE_F32, K, N),
                             pave_tensor_2d(by, PAVE_F32, 0, N)};
    groups[0].a.strides[0] = groups[0].a.strides[1] = groups[0].y.strides[0] = INT64_MAX / 2;
    groups[1] = (pave_group){pave_tensor_2d(ba, PAVE_F32, M, K), pave_tensor_2d(bb, PAVE_F32, K, N),
                             pave_tensor_2d(by, PAVE_F32, M, N)};
    TEST_OK(pave_matmul_grouped(
        queue,
        &(pave_grouped_params){.size = sizeof(pave_grouped_params), .groups = groups, .group_count = 2},
        NULL));
    TEST_OK(pave_buffer_fill(queue, by, 0, BYTES, "\xa5", 1, NULL));
}

static void test_grouped(void **state) {
    (void)state;
    pave_group groups[3];
    pave_grouped_params right = {.size = sizeof right, .groups = groups, .group_count = 3};
    for (int wrong = 0; wrong < 14; wrong++) {
        pave_grouped_params p = right;
        for (int g = 0; g < 3; g++) {
            groups[g] = (pave_group){pave_tensor_2d(ba, PAVE_F32, M, K), pave_tensor_2d(bb, PAVE_F32, K, N),
                                     pave_tensor_2d(by, PAVE_F32, M, N)};
            groups[g].y.offset = (uint64_t)g * M * N * 4;
        }
        const pave_link tensor = {.op = PAVE_LINK_ADD, .tensor = pave_tensor_2d(bc, PAVE_F32, M, N)};
        const char *word = "groups[1].a";
        switch (wrong) {
        case 0: groups[1].a.shape[0] = -2; break;
        case 1: groups[1].a.shape[0] = INT64_MAX / 4; break;
        case 2: groups[1].a.buffer = NULL; break;
        case 3: groups[1].a.type = PAVE_F16; break;
        case 4: groups[1].a.rank = 3; break;
        case 5: groups[1].b.shape[0] = K + 1, word = "groups[1]"; break;
        case 6: groups[1].y.shape[1] = N - 1, word = "groups[1].y"; break;
        case 7: groups[1].y.offset = 4, word = "groups[1].y"; break; /* over group 0's */
        case 8: groups[1].b.offset = BYTES, word = "groups[1].b"; break;
        case 9: p.groups = NULL, word = "groups"; break;
        case 10: p.epilogue = (pave_epilogue){.links = &tensor, .link_count = 1}, word = "links[0]"; break;
        case 11: p.epilogue.reduction = PAVE_REDUCE_SOFTMAX, word = "reduction"; break;
        case 12: p.bias = pave_tensor_2d(bc, PAVE_F32, 2, N), word = "bias"; break;
        case 13: groups[2].y.buffer = ba, groups[2].y.offset = 0, word = "overlap"; break;
        }
        char what[32];
        snprintf(what, sizeof what, "groups, way %d", wrong);
        refused(pave_matmul_grouped(queue, &p, NULL), PAVE_E_INVALID, word, what);
    }
    right.group_count = 0;
    TEST_OK(pave_matmul_grouped(queue, &right, NULL));
}

static pave_reduce_params right_reduce(void) {
    return (pave_reduce_params){.size = sizeof(pave_reduce_params),
                                .x = three(ba, B, M, N),
                                .y = pave_tensor_2d(by, PAVE_F32, B, N),
                                .axis_from_last = 1,
                                .reduction = PAVE_REDUCE_SUM};
}

static void bad_reduce(const pave_reduce_params *p, const char *word, const char *what) {
    refused(pave_reduce(queue, p, NULL), PAVE_E_INVALID, word, what);
}

static void test_reduce(void **state) {
    (void)state;
    pave_reduce_params p = right_reduce();
    p.axis_from_last = 3;
    bad_reduce(&p, "axis", "an axis past the first");
    p.axis_from_last = -1;
    bad_reduce(&p, "axis", "a negative axis");
    p = right_reduce();
    p.axis_from_last = 0;
    bad_reduce(&p, "y", "y for another axis");
    p = right_reduce();
    p.window = 3;
    bad_reduce(&p, "window", "a window that does not divide");
    p = right_reduce();
    p.reduction = PAVE_REDUCE_NORMALIZE;
    p.epsilon = -1;
    bad_reduce(&p, "epsilon", "a negative epsilon");
    p = right_reduce();
    p.reduction = PAVE_REDUCE_SOFTMAX;
    bad_reduce(&p, "y", "a softmax into one value a row");
    p = right_reduce();
    p.reduction = PAVE_REDUCE_ARGMAX;
    bad_reduce(&p, "y", "an argmax into floats");
    p.x.shape[1] = 0;
    p.y.type = PAVE_I32;
    bad_reduce(&p, "x", "an argmax of nothing");
    p = right_reduce();
    p.y.strides[1] = 0;
    bad_reduce(&p, "y", "a broadcast output");
    p = right_reduce();
    p.x.buffer = by;
    bad_reduce(&p, "overlap", "x is y");
    p = right_reduce();
    p.link_count = 1;
    bad_reduce(&p, "links", "no links");
    p = right_reduce();
    p.x.strides[2] = -1;
    bad_reduce(&p, "x", "a negative stride");
}

static void test_map(void **state) {
    (void)state;
    pave_map_params right = {.size = sizeof right, .x = three(ba, B, 1, N), .y = three(by, B, M, N)};
    pave_map_params p = right;
    p.x.shape[1] = 2;
    refused(pave_map(queue, &p, NULL), PAVE_E_INVALID, "x", "x that does not broadcast");
    p = right;
    p.y.strides[0] = 1;
    refused(pave_map(queue, &p, NULL), PAVE_E_INVALID, "y", "elements that share memory");
    p = right;
    p.x = p.y;
    p.x.offset = 4;
    refused(pave_map(queue, &p, NULL), PAVE_E_INVALID, "overlap", "x beside y");
    p = right;
    p.y.type = (pave_dtype)4;
    refused(pave_map(queue, &p, NULL), PAVE_E_INVALID, "y", "no type");
    p = right;
    p.links = &(pave_link){.op = (pave_link_op)99};
    p.link_count = 1;
    refused(pave_map(queue, &p, NULL), PAVE_E_INVALID, "links[0]", "no link");
    refused(pave_copy(queue, NULL, &right.y, NULL), PAVE_E_INVALID, "x", "no x");
    refused(pave_copy(queue, &right.x, NULL, NULL), PAVE_E_INVALID, "y", "no y");
    pave_tensor indices = pave_tensor_2d(ba, PAVE_I32, M, N);
    refused(pave_copy(queue, &indices, &right.y, NULL), PAVE_E_INVALID, "x", "indices");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),  cmocka_unit_test(test_epilogue), cmocka_unit_test(test_unreduced),
        cmocka_unit_test(test_nothing), cmocka_unit_test(test_grouped),  cmocka_unit_test(test_reduce),
        cmocka_unit_test(test_map),
    };
    return cmocka_run_group_tests_name("operations", tests, open_all, close_all);
}
