/* SPDX-License-Identifier: Apache-2.0
 * A plan made from a shape alone is the plan of contiguous tensors of that shape: the operation takes it. */
#include "tests/support/cm.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 3, M = 4, N = 6, K = 8, W = 2, BYTES = 8192 };

static pave_device *device;
static pave_device_info info = {.size = sizeof info};
static pave_context *context;
static pave_queue *queue;
static pave_buffer *bx, *bw, *by;

static int open_all(void **state) {
    (void)state;
    TEST_OK(pave_device_open("host", &device));
    TEST_OK(pave_device_describe(device, &info));
    TEST_OK(pave_context_create(device, &context));
    TEST_OK(pave_queue_create(context, NULL, &queue));
    pave_buffer **all[] = {&bx, &bw, &by};
    for (int i = 0; i < 3; i++) {
        TEST_OK(pave_buffer_create(context, BYTES, all[i]));
        TEST_OK(pave_buffer_fill(queue, *all[i], 0, BYTES, "\0", 1, NULL));
    }
    return 0;
}

static int close_all(void **state) {
    (void)state;
    pave_buffer **all[] = {&bx, &bw, &by};
    for (int i = 0; i < 3; i++) pave_buffer_destroy(all[i]);
    pave_queue_destroy(&queue);
    pave_context_destroy(&context);
    return 0;
}

static pave_tensor tensor(pave_buffer *buffer, pave_dtype type, int rank, int64_t a, int64_t b, int64_t c) {
    const int64_t shape[3] = {a, b, c};
    return pave_tensor_make(buffer, type, rank, shape);
}

static pave_plan *described(const pave_problem_params *problem) {
    pave_plan *plan;
    TEST_OK(pave_plan_create(&info, problem, &plan));
    return plan;
}

static bool is_wide(pave_reduction reduction) {
    return !reduction || reduction >= PAVE_REDUCE_SOFTMAX;
}

static pave_dtype y_type(pave_reduction reduction) {
    return reduction == PAVE_REDUCE_ARGMAX ? PAVE_I32 : PAVE_F32;
}

/* y of a product: what is reduced has a value a row, or a window. */
static pave_tensor y_of(pave_reduction reduction, int64_t window, int64_t m) {
    if (!is_wide(reduction) && !window) return tensor(by, y_type(reduction), 2, B, m, 0);
    return tensor(by, y_type(reduction), 3, B, m, is_wide(reduction) ? N : N / window);
}

static void matmul(unsigned bits, int64_t m, int64_t k, pave_reduction reduction) {
    bool ta = bits & 1, tb = bits & 2, shared = bits & 4;
    int64_t window = reduction && bits & 8 ? W : 0;
    const int64_t widths[] = {N};
    pave_plan *plan = described(&(pave_problem_params){.size = sizeof(pave_problem_params),
                                                       .op = PAVE_OP_MATMUL,
                                                       .m = m,
                                                       .k = k,
                                                       .widths = widths,
                                                       .layer_count = 1,
                                                       .batch = B,
                                                       .shared_b = shared,
                                                       .transpose_a = ta,
                                                       .transpose_b = tb,
                                                       .reduction = reduction,
                                                       .window = window});
    pave_matmul_params p = {.size = sizeof p,
                            .a = tensor(bx, PAVE_F32, 3, B, ta ? k : m, ta ? m : k),
                            .b = tensor(bw, PAVE_F32, 3, shared ? 1 : B, tb ? N : k, tb ? k : N),
                            .transpose_a = ta,
                            .transpose_b = tb,
                            .y = y_of(reduction, window, m),
                            .epilogue = {.reduction = reduction, .window = window},
                            .plan = plan};
    TEST_OK(pave_matmul(queue, &p, NULL));
    pave_plan_destroy(&plan);
}

static void test_matmul(void **state) {
    (void)state;
    static const pave_reduction reductions[] = {PAVE_REDUCE_NONE, PAVE_REDUCE_SUM, PAVE_REDUCE_ARGMAX,
                                                PAVE_REDUCE_SOFTMAX};
    static const int64_t depths[] = {0, 1, K};
    for (unsigned bits = 0; bits < 16; bits++)
        for (int r = 0; r < 4; r++)
            for (int d = 0; d < 3; d++) {
                matmul(bits, M, depths[d], reductions[r]);
                matmul(bits, 1, depths[d], reductions[r]);
            }
}

static void reduce(bool across, int64_t m, int64_t window, pave_reduction reduction) {
    pave_plan *plan = described(&(pave_problem_params){.size = sizeof(pave_problem_params),
                                                       .op = PAVE_OP_REDUCE,
                                                       .m = m,
                                                       .k = K,
                                                       .across = across,
                                                       .reduction = reduction,
                                                       .window = window});
    int64_t length = is_wide(reduction) ? K : window ? K / window : 1;
    pave_reduce_params p = {.size = sizeof p,
                            .x = tensor(bx, PAVE_F32, 2, across ? K : m, across ? m : K, 0),
                            .y =
                                tensor(by, y_type(reduction), 2, across ? length : m, across ? m : length, 0),
                            .axis_from_last = across,
                            .reduction = reduction,
                            .window = window,
                            .plan = plan};
    TEST_OK(pave_reduce(queue, &p, NULL));
    pave_plan_destroy(&plan);
}

static void test_reduce(void **state) {
    (void)state;
    static const int64_t windows[] = {0, 1, W, K};
    for (int across = 0; across < 2; across++)
        for (int w = 0; w < 4; w++)
            for (int r = PAVE_REDUCE_LOGSUMEXP; r <= PAVE_REDUCE_NORMALIZE; r++) {
                reduce(across, M, windows[w], (pave_reduction)r);
                reduce(across, 1, windows[w], (pave_reduction)r);
            }
}

static void grouped(bool tb, pave_reduction reduction) {
    static const int64_t rows[] = {M, 0, 2, 7};
    const int64_t widths[] = {N};
    pave_plan *plan = described(&(pave_problem_params){.size = sizeof(pave_problem_params),
                                                       .op = PAVE_OP_GROUPED,
                                                       .k = K,
                                                       .widths = widths,
                                                       .layer_count = 1,
                                                       .transpose_b = tb,
                                                       .no_bias = 1,
                                                       .group_rows = rows,
                                                       .group_count = 4,
                                                       .reduction = reduction});
    pave_group groups[4];
    int64_t row = 0;
    for (int g = 0; g < 4; row += rows[g++]) {
        groups[g] = (pave_group){tensor(bx, PAVE_F32, 2, rows[g], K, 0),
                                 tensor(bw, PAVE_F32, 2, tb ? N : K, tb ? K : N, 0),
                                 tensor(by, y_type(reduction), reduction ? 1 : 2, rows[g], N, 0)};
        groups[g].a.offset = (uint64_t)(row * K) * sizeof(float);
        groups[g].b.offset = (uint64_t)(g * N * K) * sizeof(float);
        groups[g].y.offset = (uint64_t)(reduction ? row : row * N) * sizeof(float);
    }
    pave_grouped_params p = {.size = sizeof p,
                             .groups = groups,
                             .group_count = 4,
                             .transpose_b = tb,
                             .epilogue = {.reduction = reduction},
                             .plan = plan};
    TEST_OK(pave_matmul_grouped(queue, &p, NULL));
    pave_plan_destroy(&plan);
}

static void test_grouped(void **state) {
    (void)state;
    for (int tb = 0; tb < 2; tb++)
        for (int r = PAVE_REDUCE_NONE; r <= PAVE_REDUCE_ARGMAX; r++) grouped(tb, (pave_reduction)r);
}

static void test_map(void **state) {
    (void)state;
    for (int64_t m = 1; m <= M; m += M - 1) {
        pave_plan *plan = described(&(pave_problem_params){
            .size = sizeof(pave_problem_params), .op = PAVE_OP_MAP, .m = m, .k = K, .y_type = PAVE_F16});
        pave_map_params p = {.size = sizeof p,
                             .x = tensor(bx, PAVE_F32, 2, m, K, 0),
                             .y = tensor(by, PAVE_F16, 2, m, K, 0),
                             .plan = plan};
        TEST_OK(pave_map(queue, &p, NULL));
        pave_plan_destroy(&plan);
    }
}

/* Dimensions stored in another order are walked as they lie: the operation is that of contiguous tensors. */
static void test_orders(void **state) {
    (void)state;
    pave_problem_params whole = {.size = sizeof whole, .op = PAVE_OP_MAP, .m = 1, .k = B * M * K};
    pave_map_params map = {.size = sizeof map,
                           .x = tensor(bx, PAVE_F32, 3, M, B, K),
                           .y = tensor(by, PAVE_F32, 3, M, B, K),
                           .plan = described(&whole)};
    pave_problem_params across = {.size = sizeof across,
                                  .op = PAVE_OP_REDUCE,
                                  .m = B * M,
                                  .k = K,
                                  .across = 1,
                                  .reduction = PAVE_REDUCE_SUM};
    pave_reduce_params sum = {.size = sizeof sum,
                              .x = map.x,
                              .y = tensor(by, PAVE_F32, 2, M, B, 0),
                              .reduction = PAVE_REDUCE_SUM,
                              .plan = described(&across)};
    const int64_t strides[] = {1, M, M * B};
    memcpy(map.x.strides, strides, sizeof strides);
    memcpy(map.y.strides, strides, sizeof strides);
    memcpy(sum.x.strides, strides, sizeof strides);
    memcpy(sum.y.strides, strides, 2 * sizeof *strides);
    TEST_OK(pave_map(queue, &map, NULL));
    TEST_OK(pave_reduce(queue, &sum, NULL));
    pave_plan_destroy((pave_plan **)&map.plan);
    pave_plan_destroy((pave_plan **)&sum.plan);
}

static void test_chain(void **state) {
    (void)state;
    for (int layers = 1; layers <= 2; layers++)
        for (int r = PAVE_REDUCE_NONE; r <= PAVE_REDUCE_NORMALIZE; r++) {
            const int64_t widths[] = {layers == 1 ? N : 5, N};
            pave_plan *plan = described(&(pave_problem_params){.size = sizeof(pave_problem_params),
                                                               .op = PAVE_OP_MLP,
                                                               .m = B * M,
                                                               .k = K,
                                                               .widths = widths,
                                                               .layer_count = (size_t)layers,
                                                               .no_bias = 1,
                                                               .reduction = (pave_reduction)r});
            const pave_layer chain[] = {{.w = tensor(bw, PAVE_F32, 2, widths[0], K, 0)},
                                        {.w = tensor(bw, PAVE_F32, 2, N, widths[0], 0)}};
            pave_mlp_params p = {.size = sizeof p,
                                 .x = tensor(bx, PAVE_F32, 3, B, M, K),
                                 .layers = chain,
                                 .layer_count = (size_t)layers,
                                 .y = y_of((pave_reduction)r, 0, M),
                                 .epilogue = {.reduction = (pave_reduction)r},
                                 .plan = plan};
            TEST_OK(pave_mlp(queue, &p, NULL));
            pave_plan_destroy(&plan);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul), cmocka_unit_test(test_reduce), cmocka_unit_test(test_grouped),
        cmocka_unit_test(test_map),    cmocka_unit_test(test_orders), cmocka_unit_test(test_chain),
    };
    return cmocka_run_group_tests_name("described", tests, open_all, close_all);
}
