/* SPDX-License-Identifier: Apache-2.0
 * The planner's rules one by one: reasons for refusal, forcing, ties, the default tile, fusion, and the
 * model's figures where they are known. Rows are this build's, or made up where a rule must not depend on
 * them. */
#include "problems.h"
#include "src/plan/model.h"

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

static pave_status plan_on(const pave_device_info *device, const plan_case *c) {
    size_t count;
    const pave__row *rows = pave__rows(&count);
    case_problem(c, &problem);
    return pave__plan_make(device, PAVE__CUDA, rows, count, NULL, &problem, c->forced, &plan);
}

static const plan_case square = {.device = "rtx4090", .m = 1024, .k = 1024, .widths = {1024}, .packed = 1};

static void test_refused_for_device(void **state) {
    (void)state;
    pave_device_info d = *pave__device_named("rtx4090");
    d.compute_capability = 75;
    assert_int_equal(plan_on(&d, &square), PAVE_E_UNSUPPORTED);
    const pave__refusal *r = refusal_of("pave_gemm_mma_128x128x16_tf32");
    assert_int_equal(r->why, PAVE__WHY_CAPABILITY);
    assert_true(r->have == 75 && r->need == 80);
    char text[256];
    int n = pave__refusal_text(r, text, sizeof text);
    assert_int_equal(strlen(text), n);
    assert_string_equal(text,
                        "pave_gemm_mma_128x128x16_tf32 needs compute capability 8.0, the device has 7.5");

    d = *pave__device_named("rtx4090");
    d.shared_bytes_per_block = 48 << 10;
    assert_int_equal(plan_on(&d, &square), PAVE_OK);
    assert_int_equal(refusal_of("pave_gemm_mma_256x128x16_tf32")->why, PAVE__WHY_SHARED);

    d = *pave__device_named("rtx4090");
    d.threads_per_block = 128;
    assert_int_equal(plan_on(&d, &square), PAVE_OK);
    assert_int_equal(refusal_of("pave_gemm_mma_256x128x16_tf32")->why, PAVE__WHY_THREADS);

    plan_case on_cpu = square;
    on_cpu.device = "cpu-2";
    assert_int_equal(case_plan(&on_cpu, &problem, &plan), PAVE_OK);
    assert_int_equal(refusal_of("pave_gemm_tile_64x64x16_f32")->why, PAVE__WHY_KIND);
}

static void test_promises(void **state) {
    (void)state;
    assert_true(pave__type_bytes(PAVE_T_TF32) == 4);
    plan_case c = square;
    c.precision = PAVE_HIGHEST;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.steps[plan.step_count - 1].row->path,
                     PAVE_PATH_FMA); /* as fast, and nothing to pack */
    assert_int_equal(refusal_of("pave_gemm_mma_128x128x16_tf32")->why, PAVE__WHY_PRECISION);
    c.device = "h100-sxm";
    c.m = 8192;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.steps[plan.step_count - 1].in0.type, PAVE_T_F16X2);
    assert_int_equal(plan.steps[plan.step_count - 1].in1.type, PAVE_T_F16X2);
    c.device = square.device;
    c.m = square.m;
    c.precision = PAVE_HIGH;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(refusal_of("pave_gemm_mma_128x128x32_bf16")->why, PAVE__WHY_TYPE);
    assert_int_equal(plan.steps[plan.step_count - 1].row->path, PAVE_PATH_F16);
    assert_int_equal(plan.steps[plan.step_count - 1].in0.type, PAVE_T_F16S);
    assert_int_equal(plan.steps[plan.step_count - 1].in1.type, PAVE_T_F16S);
    assert_string_equal(plan.steps[0].row->name, "pave_map_scale_any");
    c.precision = PAVE_MEDIUM;
    c.forced = "pave_gemm_mma_128x128x32_bf16";
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    c.forced = "pave_gemm_mma_128x128x32_f16";
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    c.precision = PAVE_HIGHEST;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_E_UNSUPPORTED);
    assert_int_equal(refusal_of("pave_gemm_mma_128x128x32_f16")->why, PAVE__WHY_PRECISION);
    c.precision = PAVE_HIGH;
    c.forced = "pave_gemm_mma_128x128x32_f16/1";
    c.x_type = PAVE_T_F16, c.w_type = PAVE_T_BF16; /* whose range a row's scale brings into half's */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.steps[plan.step_count - 1].in0.type, PAVE_T_F16);
    assert_int_equal(plan.steps[plan.step_count - 1].in1.type, PAVE_T_F16S);
    c.x_type = c.w_type = PAVE_T_F16;
    c.precision = PAVE_HIGH;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
}

/* A hidden activation has the type that its reader's row wants. */
static void test_hidden_types(void **state) {
    (void)state;
    static const struct {
        const char *row;
        int precision, hidden;
    } wants[] = {{"pave_gemm_mma_128x128x16_tf32/1", PAVE_HIGH, PAVE_T_TF32},
                 {"pave_gemm_simt_128x128x8_f32/1", PAVE_HIGHEST, PAVE_T_F32},
                 {"pave_gemm_mma_128x128x32_f16/1", PAVE_HIGH, PAVE_T_F16S},
                 {"pave_gemm_mma_128x128x32_bf16/1", PAVE_MEDIUM, PAVE_T_BF16},
                 {"pave_gemm_mma_128x64x16_f16x2/1", PAVE_HIGHEST, PAVE_T_F16X2}};
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
        plan_case c = square;
        c.widths[1] = 512;
        c.forced = wants[i].row;
        c.precision = wants[i].precision;
        assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
        const pave__step *last = &plan.steps[plan.step_count - 1];
        assert_int_equal(last->in0.place, PAVE__AT_WORKSPACE);
        assert_int_equal(last->in0.type, wants[i].hidden);
    }
}

/* What a bounded activation leaves is float16, or pairs of it, with one power of two for all; anything else is packed by rows. */
static void test_bounded(void **state) {
    (void)state;
    plan_case c = square;
    c.widths[1] = 512;
    static const struct {
        const char *row;
        int op, type, exponent;
    } wants[] = {{"pave_gemm_mma_128x128x32_f16/1", PAVE_LINK_SIGMOID, PAVE_T_F16, PAVE__BOUNDED_EXPONENT},
                 {"pave_gemm_mma_128x128x32_f16/1", PAVE_LINK_TANH, PAVE_T_F16, PAVE__BOUNDED_EXPONENT},
                 {"pave_gemm_mma_128x128x32_f16/1", PAVE_LINK_RELU, PAVE_T_F16S, 0},
                 {"pave_gemm_mma_128x64x16_f16x2/1", PAVE_LINK_SIGMOID, PAVE_T_F16X2, PAVE__BOUNDED_EXPONENT},
                 {"pave_gemm_mma_128x64x16_f16x2/1", PAVE_LINK_TANH, PAVE_T_F16X2, PAVE__BOUNDED_EXPONENT},
                 {"pave_gemm_mma_128x64x16_f16x2/1", PAVE_LINK_RELU, PAVE_T_F16X2, 0}};
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
        c.forced = wants[i].row;
        c.activation = wants[i].op;
        assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
        const pave__step *last = &plan.steps[plan.step_count - 1];
        assert_int_equal(last->in0.type, wants[i].type);
        assert_int_equal(last->in0.exponent, wants[i].exponent);
    }
}

static void test_weights(void **state) {
    (void)state;
    plan_case c = square;
    c.forced = "pave_gemm_mma_128x128x16_f32/1";
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 1);
    assert_int_equal(plan.steps[0].in1.place, PAVE__AT_PACKED);
    assert_int_equal(plan.steps[0].in1.type, PAVE_T_TF32);
    c.packed = 0;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 2);
    assert_int_equal(plan.steps[0].row->family, PAVE__MAP);
    c.packed = 1;
    c.forced = "pave_gemm_mma_64x64x32_f32/1"; /* rounds B itself: the tensor as it is */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.steps[0].in1.place, PAVE__AT_W);
    c.k = 1023; /* rows of 4092 bytes: not aligned to 16 */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 2);
    assert_int_equal(plan.steps[0].out.row, 1024);
    assert_int_equal(plan.steps[0].out.col, 1);
    assert_int_equal(plan.steps[1].in1.place, PAVE__AT_PACKED);
}

static void test_forced(void **state) {
    (void)state;
    plan_case c = square;
    c.forced = "pave_gemm_mma_64x64x32_f32 , pave_gemm_cpu_12x32_f32,";
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_string_equal(plan.steps[0].row->name, "pave_gemm_mma_64x64x32_f32");
    assert_int_equal(refusal_of("pave_gemm_simt_128x128x8_f32")->why, PAVE__WHY_FORCED);
    assert_int_equal(refusal_of("pave_gemm_cpu_12x32_f32")->why, PAVE__WHY_BACKEND);
    c.forced = "pave_gemm_cpu_12x32_f32";
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_E_UNSUPPORTED);
    assert_int_equal(plan.refusal_count, 1); /* the forced row's own reason alone */
    assert_int_equal(plan.step_count, 0);
    c.forced = "pave_gemm_mma_64x64x32_tf3"; /* a prefix is no name */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_E_INVALID);
    c.forced = "pave_reduce_block_any"; /* a family that takes no part leaves the others free */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    c.widths[0] = 0;
    c.reduction = PAVE_REDUCE_SUM;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_string_equal(plan.steps[0].row->name, "pave_reduce_block_any");
}

static void test_sizes(void **state) {
    (void)state;
    plan_case c = {.device = "rtx4090", .m = INT64_C(1) << 38, .k = 1, .reduction = PAVE_REDUCE_SUM};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_E_UNSUPPORTED);
    assert_int_equal(refusal_of("pave_reduce_warp_any")->why, PAVE__WHY_GRID);
    c = (plan_case){.device = "rtx4090", .m = 1 << 24, .k = 64, .widths = {4096, 16}};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_E_UNSUPPORTED); /* 256 GB of hidden layer */
    assert_int_equal(refusal_of("pave_gemm_simt_128x128x8_f32")->why, PAVE__WHY_ALLOC);
    c.m = INT64_C(1) << 61; /* leaves 64 bits */
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_E_UNSUPPORTED);
    assert_int_equal(refusal_of("pave_gemm_simt_128x128x8_f32")->why, PAVE__WHY_ALLOC);
    c = square;
    c.m = 0;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_int_equal(plan.step_count, 0);
}

/* ---- made-up rows */

#define MADE_UP(NAME, TILE, SHARE, SLICE)                                                           \
    {                                                                                               \
        .name = NAME, .family = PAVE__GEMM, .backend = PAVE__CUDA, .precision = PAVE_HIGHEST,       \
        .a_type = PAVE_T_F32, .b_type = PAVE_T_F32, .bm = TILE, .bn = TILE, .bk = 8, .stages = 1,   \
        .threads = 128, .align = 1, .layout = PAVE__LAYOUT_ANY, .slice = SLICE, .efficiency = SHARE \
    }
static const pave__row reduce_row = {.name = "r",
                                     .family = PAVE__REDUCE,
                                     .backend = PAVE__CUDA,
                                     .bm = 1,
                                     .bn = 1,
                                     .threads = 32,
                                     .align = 1,
                                     .efficiency = 1};

static pave_status plan_rows(const pave__row *rows, size_t count, const plan_case *c) {
    case_problem(c, &problem);
    return pave__plan_make(pave__device_named("rtx4090"), PAVE__CUDA, rows, count, NULL, &problem, NULL,
                           &plan);
}

static void test_ties(void **state) {
    (void)state;
    const pave__row rows[] = {MADE_UP("first", 64, 0.5, 64), MADE_UP("second", 64, 0.5, 64)};
    assert_int_equal(plan_rows(rows, 2, &square), PAVE_OK);
    assert_string_equal(plan.steps[0].row->name, "first");
    assert_int_equal(plan.refusals[0].why, PAVE__WHY_SLOWER);
}

/* Rule 3: a faster small tile is not taken where the default one fills the device, and is where it does not.
 */
static void test_default_tile(void **state) {
    (void)state;
    const pave__row rows[] = {MADE_UP("small", 32, 0.55, 32), MADE_UP("default", 128, 0.50, 128)};
    plan_case large = {.device = "rtx4090", .m = 16384, .k = 4096, .widths = {16384}};
    assert_int_equal(plan_rows(rows, 2, &large), PAVE_OK);
    assert_string_equal(plan.steps[0].row->name, "default");
    const pave__refusal *r = refusal_of("small");
    assert_int_equal(r->why, PAVE__WHY_FILLED);
    assert_true(r->have > 0.6 && r->need == 0.6);
    plan_case few = {
        .device = "rtx4090", .m = 512, .k = 4096, .widths = {512}}; /* 16 tiles of 128² on 128 units */
    assert_int_equal(plan_rows(rows, 2, &few), PAVE_OK);
    assert_string_equal(plan.steps[0].row->name, "small");
    assert_int_equal(refusal_of("default")->why, PAVE__WHY_SLOWER);
}

static void test_unfused(void **state) {
    (void)state;
    const pave__row rows[] = {MADE_UP("cannot-fuse", 64, 0.5, 0), reduce_row};
    plan_case c = square;
    c.reduction = PAVE_REDUCE_LOGSUMEXP;
    c.widths[0] = 1001;
    assert_int_equal(plan_rows(rows, 2, &c), PAVE_OK);
    assert_int_equal(plan.step_count, 2);
    assert_int_equal(plan.steps[0].out.place, PAVE__AT_WORKSPACE);
    assert_int_equal(plan.steps[0].reduction, PAVE_REDUCE_NONE);
    assert_int_equal(plan.steps[1].row->family, PAVE__REDUCE);
    assert_int_equal(plan.steps[1].in0.row, 1004);
    assert_int_equal(plan.workspace_bytes, (1024 * 1004 * 4 + 255) / 256 * 256);
}

/* ---- the model against what was profiled on an RTX 4090 */

static void test_profiled_layout(void **state) {
    (void)state;
    const pave_device_info *d = pave__device_named("rtx4090");
    const pave__row tile = {.family = PAVE__GEMM,
                            .path = PAVE_PATH_TF32,
                            .bm = 64,
                            .bn = 128,
                            .bk = 32,
                            .stages = 2,
                            .threads = 128,
                            .shared_bytes = 49152,
                            .efficiency = 1};
    static const struct {
        int64_t n, k, blocks;
        double hits;
    } profiled[] = {{4096, 2048, 8192, 0.671}, {1024, 4096, 2048, 0.6676}};
    for (int i = 0; i < 2; i++) {
        double out = 16384.0 * (double)profiled[i].n * 4;
        pave__gemm_load load = {16384, profiled[i].n, profiled[i].k, 4, 4, out};
        pave__prediction p = pave__model_gemm(d, &tile, &load, 256);
        assert_int_equal(p.tiles, profiled[i].blocks);
        assert_int_equal(p.blocks_per_unit, 2); /* 8 warps of 48: the 16.6 % that were profiled */
        double hits = 1 - (p.bytes_memory - out) / (p.bytes_l2 - out);
        assert_true(hits > profiled[i].hits - 0.015 && hits < profiled[i].hits + 0.015);
        assert_int_equal(p.bound, PAVE__BOUND_MEMORY);
        int32_t g = pave__group_m(d, &tile, &load);
        assert_true(pave__model_gemm(d, &tile, &load, g).bytes_memory < p.bytes_memory / 2);
    }
}

/* A row of one is no dearer on a CPU than the register tile that it fills, however large the work-item's
 * tile. */
static void test_cpu_padding(void **state) {
    (void)state;
    plan_case c = {.device = "cpu-2", .m = 1, .k = 1024, .widths = {4096}};
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    double one = plan.predicted_ns;
    c.m = plan.steps[0].row->wm;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_true(one <= plan.predicted_ns);
    c.m = plan.steps[0].row->bm;
    assert_int_equal(case_plan(&c, &problem, &plan), PAVE_OK);
    assert_true(plan.predicted_ns > 4 * one);
}

static void test_devices(void **state) {
    (void)state;
    char names[256];
    strcpy(names, pave__device_names());
    int count = 0;
    for (char *name = strtok(names, ", "); name; name = strtok(NULL, ", "), count++) {
        const pave_device_info *d = pave__device_named(name);
        assert_non_null(d);
        assert_int_equal(d->size, sizeof *d);
        assert_true(d->compute_units > 0 && d->flops[PAVE_PATH_FMA] > 0 && d->memory_bytes_per_s > 0);
        assert_true(d->l2_bytes_per_s > d->memory_bytes_per_s && d->launch_ns > 0 && d->alloc_bytes_max > 0);
    }
    assert_int_equal(count, 8);
    assert_null(pave__device_named("rtx409"));
    assert_null(pave__device_named(NULL));
}

static void test_pack_alone(void **state) {
    (void)state;
    size_t count;
    const pave__row *rows = pave__rows(&count);
    const pave_device_info *d = pave__device_named("rtx4090");
    pave__step step;
    pave__ref from = {.row = 1111, .col = 1, .place = PAVE__AT_W, .type = PAVE_T_F32};
    const pave__ref to = {.row = 1112, .col = 1, .place = PAVE__AT_PACKED, .type = PAVE_T_TF32};
    assert_true(pave__plan_pack(d, PAVE__CUDA, rows, count, 100000, 1111, 1112, &from, &to, &step));
    assert_string_equal(step.row->name, "pave_map_rows_any");
    assert_int_equal(step.grid[0], 25000);
    assert_int_equal(step.grid[1], 2);
    assert_true(step.k == 1111 && step.n == 1112 && step.in0.row == 1111 && step.out.row == 1112);
    from.row = 1;
    from.col = 100000;
    assert_true(pave__plan_pack(d, PAVE__CUDA, rows, count, 100000, 1111, 1112, &from, &to, &step));
    assert_string_equal(step.row->name, "pave_map_turn_any");
    assert_false(pave__plan_pack(d, PAVE__CUDA, rows, 0, 1, 1, 1, &from, &to, &step));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_for_device),
        cmocka_unit_test(test_promises),
        cmocka_unit_test(test_hidden_types),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_forced),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_default_tile),
        cmocka_unit_test(test_unfused),
        cmocka_unit_test(test_profiled_layout),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_cpu_padding),
        cmocka_unit_test(test_pack_alone),
    };
    return cmocka_run_group_tests_name("plan-rules", tests, NULL, NULL);
}
