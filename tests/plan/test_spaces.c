/* SPDX-License-Identifier: Apache-2.0
 * The planner's rules for batches, groups, strides and what closes a chain: batches before smaller blocks, operands packed once
 * and counted, values stored where they are wanted, rows split, and what is refused. */
#include "problems.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static pave__plan_data plan;
static pave__problem problem;

static const pave__refusal *refusal_of(const char *row) {
    for (int i = 0; i < plan.refusal_count; i++)
        if (strcmp(plan.refusals[i].row->name, row) == 0) return &plan.refusals[i];
    fail_msg("no refusal of %s", row);
    return NULL;
}

static pave_status plan_rows(const pave__row *rows, size_t count, const plan_case *c) {
    case_problem(c, &problem);
    return pave__plan_make(pave__device_named(c->device), case_backend(c), rows, count, NULL, &problem, NULL,
                           &plan);
}

/* The problem as it stands, with this build's rows. */
static pave_status plan_problem(const pave_device_info *device, pave__backend_id backend) {
    size_t count;
    const pave__row *rows = pave__rows(&count);
    return pave__plan_make(device, backend, rows, count, NULL, &problem, NULL, &plan);
}

static const plan_case square = {.device = "rtx4090", .m = 1024, .k = 1024, .widths = {1024}, .packed = 1};

static pave__row made_up(const char *name, int tile, double share) {
    return (pave__row){.name = name,
                       .family = PAVE__GEMM,
                       .backend = PAVE__CUDA,
                       .precision = PAVE_HIGHEST,
                       .a_type = PAVE_T_F32,
                       .b_type = PAVE_T_F32,
                       .layout = PAVE__LAYOUT_ANY,
                       .bm = tile,
                       .bn = tile,
                       .bk = 8,
                       .stages = 1,
                       .threads = 128,
                       .align = 1,
                       .slice = tile,
                       .efficiency = share};
}

/* Rule 2: what fills the device by batches keeps the default tile that one matrix alone would not. */
static void test_batch_before_blocks(void **state) {
    (void)state;
    const pave__row rows[] = {made_up("small", 32, 0.55), made_up("default", 128, 0.50)};
    plan_case c = {.device = "rtx4090", .op = PAVE_OP_MATMUL, .m = 512, .k = 4096, .widths = {512}};
    assert_int_equal(plan_rows(rows, 2, &c), PAVE_OK);
    assert_string_equal(plan.steps[0].row->name, "small");
    assert_int_equal(plan.steps[0].grid[0], 16);
    assert_int_equal(plan.steps[0].grid[1], 16);
    c.batch[1] = 8;
    c.batch[2] = 16;
    assert_int_equal(plan_rows(rows, 2, &c), PAVE_OK);
    assert_string_equal(plan.steps[0].row->name, "default");
    assert_int_equal(refusal_of("small")->why, PAVE__WHY_FILLED);
    assert_int_equal(plan.steps[0].grid[0], 128); /* rule 1: batch, tiles of m, tiles of n */
    assert_int_equal(plan.steps[0].grid[1], 4);
    assert_int_equal(plan.steps[0].grid[2], 4);
    assert_int_equal(plan.steps[0].predicted.tiles, 128 * 16);
}

/* An operand that the batch shares is packed once and read from memory once. */
static void test_broadcast(void **state) {
    (void)state;
    plan_case c = {.device = "rtx4090",
                   .op = PAVE_OP_MATMUL,
                   .batch = {1, 1, 64},
                   .m = 256,
                   .k = 255,
                   .widths = {256},
                   .shared_w = 1,
                   .forced = "pave_gemm_mma_128x128x16_tf32"};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 3);
    assert_int_equal(plan.steps[0].batch[2], 64);
    assert_int_equal(plan.steps[1].batch[2], 1);
    assert_int_equal(plan.steps[2].in0.batch[2], 256 * 256);
    assert_int_equal(plan.steps[2].in1.batch[2], 0);
    double shared = plan.steps[2].predicted.bytes_memory;
    assert_int_equal(plan.workspace_bytes, 65 * 256 * 256 * 4);
    c.shared_w = 0;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.steps[1].batch[2], 64);
    assert_true(plan.steps[2].predicted.bytes_memory > shared + 62.0 * 256 * 255 * 4);
}

/* Packing counts in the choice: rows that take any strides win where a product is small against its operands. */
static void test_transposed(void **state) {
    (void)state;
    plan_case c = {.device = "rtx4090",
                   .op = PAVE_OP_MATMUL,
                   .m = 2048,
                   .k = 2048,
                   .widths = {16},
                   .x_across = 1,
                   .w_across = 1};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.steps[0].row->layout, PAVE__LAYOUT_ANY);
    assert_true(plan.steps[0].in0.row == 1 && plan.steps[0].in0.col == 2048);
    c.widths[0] = 8192;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 3);
    assert_string_equal(plan.steps[0].row->name, "pave_map_turn_any");
    assert_string_equal(plan.steps[1].row->name, "pave_map_turn_any");
    assert_int_equal(plan.steps[2].row->layout, PAVE__LAYOUT_ROWS);
    c.x_across = c.w_across = 0;
    c.y_across = 1; /* written by a map, rows for columns */
    c.forced = "pave_gemm_mma_128x128x16_f32/1";
    c.packed = 1;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 2);
    assert_true(plan.steps[1].m == 8192 && plan.steps[1].n == 2048 && plan.steps[1].out.col == 1);
    assert_int_equal(plan.steps[1].links, PAVE__NO_LINKS);
}

/* A column of one: its rows are a unit apart, which no alignment of the operand says. */
static void test_k_1(void **state) {
    (void)state;
    plan_case c = {
        .device = "rtx4090", .m = 128, .k = 1, .widths = {64}, .forced = "pave_gemm_mma_64x64x32_f32"};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 3);
    assert_int_equal(plan.steps[2].in0.row, 4);
}

static void test_closing(void **state) {
    (void)state;
    plan_case c = square;
    c.forced = "pave_gemm_mma_128x128x16_f32/1";
    c.reduction = PAVE_REDUCE_LOGSUMEXP;
    c.unreduced = PAVE_T_F16;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK); /* states and values at once */
    assert_int_equal(plan.step_count, 2);
    assert_int_equal(plan.steps[0].out.place, PAVE__AT_UNREDUCED);
    assert_int_equal(plan.steps[0].slots, 16);
    assert_int_equal(plan.steps[0].slice, 64);
    c.u_across = 1;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 3);
    assert_int_equal(plan.steps[0].out.type, PAVE_T_F16);
    assert_int_equal(plan.steps[1].out.place, PAVE__AT_UNREDUCED);
    assert_int_equal(plan.steps[2].row->family, PAVE__JOIN);
    c.reduction = PAVE_REDUCE_SOFTMAX;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK); /* values in place of y */
    assert_int_equal(plan.steps[0].out.place, PAVE__AT_Y);
    assert_int_equal(plan.steps[2].row->family, PAVE__NORMALIZE);
    assert_int_equal(plan.steps[2].in0.place, PAVE__AT_Y);
    c.unreduced = 0;
    c.after = PAVE_LINK_ADD;
    c.residual = 1; /* the residual may be y: it must not be overwritten before it is added */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.steps[0].out.place, PAVE__AT_WORKSPACE);
    assert_int_equal(plan.steps[1].links, PAVE__AFTER_LINKS);
    assert_int_equal(plan.steps[1].link_mask, 1u << PAVE_LINK_ADD | 1u << PAVE_LINK_SUB |
                                                  1u << PAVE_LINK_MUL |
                                                  1u << PAVE_LINK_DIV); /* they come together */
    c.window = 128;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    const pave__step *last = &plan.steps[1];
    assert_true(last->batch[2] == 1024 && last->m == 8 && last->k == 128);
    assert_true(last->in0.row == 128 && last->in0.batch[2] == 1024);
}

/* Rows that do not fill the device are split, and only where they are long. */
static void test_split(void **state) {
    (void)state;
    plan_case c = {.device = "h100-sxm", .m = 3, .k = 50000000, .reduction = PAVE_REDUCE_SUM};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 2);
    const pave__step *part = &plan.steps[0];
    assert_true(part->slots > 1 && part->slice >= 4096 && part->slots * part->slice >= c.k);
    assert_true((part->slots - 1) * part->slice < c.k);
    assert_int_equal(part->grid[0], 3 * part->slots);
    assert_int_equal(part->links, PAVE__NO_LINKS);
    assert_int_equal(plan.steps[1].slots, part->slots);
    assert_int_equal(plan.workspace_bytes, (3 * part->slots * 8 + 255) / 256 * 256);
    c.k = 4000;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 1);
    c.m = 100000;
    c.k = 50000;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 1);
}

/* A softmax of long rows: by slices that leave states, and some rows later values. */
static void test_softmax_slices(void **state) {
    (void)state;
    plan_case c = {.device = "h100-sxm", .m = 64, .k = 1000000, .reduction = PAVE_REDUCE_SOFTMAX};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 1);
    const pave__step *slices = &plan.steps[0];
    assert_string_equal(slices->row->name, "pave_normalize_slices_any");
    assert_true(slices->slots == 256 && slices->slice == 3908 && slices->grid[0] == 256); /* one team */
    assert_int_equal(plan.workspace_bytes, 0);
    c.forced = "pave_normalize_block_any";
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_true(plan.step_count == 1 && plan.workspace_bytes == 0);
    assert_int_equal(refusal_of("pave_normalize_slices_any")->why, PAVE__WHY_FORCED);
    c.forced = NULL;
    c.reduction = PAVE_REDUCE_NORMALIZE; /* has no states */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 1);
    assert_int_equal(refusal_of("pave_normalize_slices_any")->why, PAVE__WHY_WHOLE);
    c.reduction = PAVE_REDUCE_LOG_SOFTMAX;
    c.m = 16384; /* enough rows */
    c.k = 10000;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 1);
    c.k = 4000; /* short ones */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 1);
    assert_int_equal(refusal_of("pave_normalize_slices_any")->why, PAVE__WHY_WHOLE);
    c.forced = "pave_normalize_slices_any"; /* whole rows are one slice each */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_true(plan.step_count == 1 && slices->slots == 1 && slices->slice >= c.k);
    c.m = INT64_C(1) << 31; /* a row too many */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_E_UNSUPPORTED);
    assert_int_equal(refusal_of("pave_normalize_slices_any")->why, PAVE__WHY_WHOLE);
}

/* k is cut where the tiles do not fill the device, into slices that are a batch dimension of their own. */
static void test_slices(void **state) {
    (void)state;
    plan_case c = {.device = "h100-sxm", .op = PAVE_OP_MATMUL, .m = 64, .k = 4096, .widths = {4096}};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 1);
    const pave__step *gemm = &plan.steps[0], *sum = &plan.steps[1];
    assert_true(gemm->k_slice > 0 && gemm->batch[0] > 1 && gemm->k_slice % gemm->row->bk == 0);
    assert_true(pave__is_joined(gemm) && gemm->out.place == PAVE__AT_Y);
    assert_true(plan.workspace_bytes >= (uint64_t)gemm->batch[0] * 64 * 4096 * 4);
    c.forced =
        "pave_gemm_simt_64x64x16_f32/4,pave_map_sum_any"; /* a row that leaves the adding to a launch */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 2);
    assert_int_equal(plan.workspace_bytes, gemm->batch[0] * 64 * 4096 * 4);
    assert_string_equal(sum->row->name, "pave_map_sum_any");
    assert_true(sum->slots == gemm->batch[0] && sum->slice == 64 * 4096 && sum->out.place == PAVE__AT_Y);
    c.forced = NULL;
    c.m = 16384; /* enough tiles */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.steps[plan.step_count - 1].k_slice, 0);
    c.m = 1;
    c.widths[0] = 64;
    c.batch[0] = c.batch[2] = 2; /* the slices come first, and the others keep their order */
    c.forced = "pave_gemm_mma_64x64x32_f32/5";
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_true(gemm->batch[0] == 5 && gemm->batch[1] == 2 && gemm->batch[2] == 2);
    assert_true(gemm->k_slice == 832 && gemm->in0.batch[1] == 2 * 4096 && gemm->in0.batch[2] == 4096);
    c.batch[1] = 2;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_E_UNSUPPORTED);
    assert_int_equal(refusal_of("pave_gemm_mma_64x64x32_f32")->why, PAVE__WHY_SPLIT);
    c.forced = "pave_gemm_mma_64x64x32_f32";
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(refusal_of("pave_gemm_mma_64x64x32_f32")->why, PAVE__WHY_SPLIT);
    static const char *const wrong[] = {"pave_gemm_mma_64x64x32_f32/", "pave_gemm_mma_64x64x32_f32/0",
                                        "pave_gemm_mma_64x64x32_f32/2x", "pave_map_sum_any/2"};
    for (int i = 0; i < 4; i++) {
        c.forced = wrong[i];
        assert_int_equal(case_plan(&c, &problem, &plan), PAVE_E_INVALID);
    }
}

static void test_lengths(void **state) {
    (void)state;
    plan_case c = {.device = "h100-sxm", .m = 1, .k = INT64_C(1) << 31, .reduction = PAVE_REDUCE_ARGMAX};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_E_UNSUPPORTED);
    assert_int_equal(refusal_of("pave_reduce_block_any")->why, PAVE__WHY_LENGTH);
    char text[256];
    pave__refusal_text(refusal_of("pave_reduce_block_any"), text, sizeof text);
    assert_string_equal(text, "pave_reduce_block_any counts to 2147483647, a row has 2147483648 values");
    c.k--;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    c = (plan_case){.device = "h100-sxm",
                    .m = 1,
                    .k = 1,
                    .widths = {INT64_C(1) << 31},
                    .packed = 1,
                    .reduction = PAVE_REDUCE_ARGMAX};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_E_UNSUPPORTED);
    assert_int_equal(refusal_of("pave_gemm_simt_128x128x8_f32")->why, PAVE__WHY_LENGTH);
    /* Tiles beyond 64 bits. */
    c = (plan_case){.device = "rtx4090",
                    .op = PAVE_OP_MATMUL,
                    .batch = {INT64_C(1) << 30, INT64_C(1) << 20, 1 << 20},
                    .m = 1 << 20,
                    .k = 1,
                    .widths = {64},
                    .packed = 1};
    case_problem(&c, &problem);
    problem.x = problem.y = problem.layers[0].w;
    problem.y.col = 1;
    problem.y.batch[0] = problem.y.batch[1] = problem.y.batch[2] = 0;
    assert_int_equal(plan_problem(pave__device_named("rtx4090"), PAVE__CUDA), PAVE_E_UNSUPPORTED);
    assert_int_equal(refusal_of("pave_gemm_simt_128x128x8_f32")->why, PAVE__WHY_GRID);
}

static void test_grouped(void **state) {
    (void)state;
    plan_case c = {.device = "rtx4090",
                   .op = PAVE_OP_GROUPED,
                   .m = 1000,
                   .k = 1024,
                   .widths = {512},
                   .groups = 8,
                   .group_rows = 400,
                   .reduction = PAVE_REDUCE_MAX};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 2);
    const pave__step *gemm = &plan.steps[0];
    assert_true(gemm->groups == 8 && gemm->table_offset % 256 == 0);
    assert_int_equal(gemm->grid[1], 1);
    assert_int_equal(refusal_of("pave_gemm_mma_128x128x16_tf32")->why, PAVE__WHY_GROUPED);
    assert_int_equal(plan.steps[1].row->family, PAVE__JOIN);
    assert_true(plan.steps[1].m == 1000 && plan.steps[1].slots == gemm->slots);
    assert_true((uint64_t)gemm->table_offset + 8 * sizeof(pave_abi_group) <= plan.workspace_bytes);
    c.reduction = PAVE_REDUCE_SOFTMAX;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_E_UNSUPPORTED);
    assert_int_equal(refusal_of("pave_gemm_mma_64x64x32_f32")->why, PAVE__WHY_FUSE);
    c.reduction = 0;
    c.w_across = 1; /* an expert's W as [k, n] */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.steps[0].row->layout, PAVE__LAYOUT_ANY);
    c.y_across = 1;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_E_UNSUPPORTED);
    assert_int_equal(refusal_of("pave_gemm_simt_64x64x16_f32")->why, PAVE__WHY_GROUPED);
}

/* Local memory that an OpenCL source declares is known before it is built, and no launch passes it. */
static void test_local_memory(void **state) {
    (void)state;
    pave_device_info d = *pave__device_named("cpu-2");
    plan_case c = square;
    c.device = "cpu-2";
    case_problem(&c, &problem);
    assert_int_equal(plan_problem(&d, PAVE__OPENCL), PAVE_OK);
    assert_int_equal(plan.steps[0].shared_bytes, 0);
    assert_string_equal(plan.steps[0].row->name, "pave_gemm_cpu_12x32_f32");
    d.shared_bytes_per_block = 256 << 10;
    assert_int_equal(plan_problem(&d, PAVE__OPENCL), PAVE_OK);
    assert_string_equal(plan.steps[0].row->name, "pave_gemm_cpu_96x128_f32");
    d.shared_bytes_per_block = 128 << 10;
    assert_int_equal(plan_problem(&d, PAVE__OPENCL), PAVE_E_UNSUPPORTED);
    const pave__refusal *r = refusal_of("pave_gemm_cpu_12x32_f32");
    assert_int_equal(r->why, PAVE__WHY_SHARED);
    assert_true(r->need == (264 * 256 + 256 * (264 + 32)) * 4.0);
    r = refusal_of("pave_gemm_cpu_96x128_f32");
    assert_int_equal(r->why, PAVE__WHY_SHARED);
    assert_true(r->need == (96 * 128 + 256 * (96 + 32)) * 4.0);
}

static void test_empty(void **state) {
    (void)state;
    plan_case c = {.device = "rtx4090", .op = PAVE_OP_MAP, .m = 5, .k = 0};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 0);
    c = (plan_case){.device = "rtx4090", .m = 5, .k = 0, .reduction = PAVE_REDUCE_SOFTMAX};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 0);
    c.reduction = PAVE_REDUCE_MAX;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 1);
    case_problem(&c, &problem);
    problem.batch[1] = 0;
    assert_int_equal(plan_problem(pave__device_named("rtx4090"), PAVE__CUDA), PAVE_OK);
    assert_int_equal(plan.step_count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_before_blocks),
        cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_transposed),
        cmocka_unit_test(test_k_1),
        cmocka_unit_test(test_closing),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_softmax_slices),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_grouped),
        cmocka_unit_test(test_local_memory),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests_name("plan-spaces", tests, NULL, NULL);
}
