/* SPDX-License-Identifier: Apache-2.0
 * Plans of known problems, printed and compared with the files of golden/, byte for byte. With
 * PAVE_UPDATE_GOLDEN=1 the files are written instead. */
#include "problems.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TEXT_MAX (1 << 18)
#define LSE PAVE_REDUCE_LOGSUMEXP

#define FLOAT8(NAME, DEVICE, X, W, PROMISE)                                                                \
    {                                                                                                      \
        .name = NAME, .device = DEVICE, .m = 16384, .k = 2048, .widths = {4096}, .x_type = X, .w_type = W, \
        .y_type = PAVE_T_BF16, .precision = PROMISE, .packed = 1                                           \
    }

static const plan_case cases[] = {
    {.name = "headline",
     .device = "rtx4090",
     .m = 16384,
     .k = 2048,
     .widths = {4096, 1024},
     .activation = PAVE_LINK_SIGMOID,
     .reduction = LSE,
     .packed = 1},
    {.name = "headline-h100",
     .device = "h100-sxm",
     .m = 16384,
     .k = 2048,
     .widths = {4096, 1024},
     .activation = PAVE_LINK_SIGMOID,
     .reduction = LSE,
     .packed = 1},
    {.name = "headline-cpu",
     .device = "cpu-2",
     .m = 16384,
     .k = 2048,
     .widths = {4096, 1024},
     .activation = PAVE_LINK_SIGMOID,
     .reduction = LSE,
     .packed = 1},
    {.name = "headline-highest",
     .device = "rtx4090",
     .m = 16384,
     .k = 2048,
     .widths = {4096, 1024},
     .activation = PAVE_LINK_SIGMOID,
     .reduction = LSE,
     .precision = PAVE_HIGHEST},
    {.name = "headline-medium",
     .device = "rtx4090",
     .m = 16384,
     .k = 2048,
     .widths = {4096, 1024},
     .activation = PAVE_LINK_SIGMOID,
     .reduction = LSE,
     .precision = PAVE_MEDIUM,
     .packed = 1},
    {.name = "linear-4090", .device = "rtx4090", .m = 16384, .k = 2048, .widths = {4096}},
    {.name = "linear-h100", .device = "h100-sxm", .m = 16384, .k = 2048, .widths = {4096}},
    {.name = "linear-cpu", .device = "cpu-2", .m = 16384, .k = 2048, .widths = {4096}},
    {.name = "linear-a100-bf16",
     .device = "a100-sxm",
     .m = 16384,
     .k = 2048,
     .widths = {4096},
     .x_type = PAVE_T_BF16,
     .w_type = PAVE_T_BF16},
    {.name = "linear-4080-f16",
     .device = "rtx4080",
     .m = 4096,
     .k = 4096,
     .widths = {4096},
     .x_type = PAVE_T_F16,
     .w_type = PAVE_T_F16},
    {.name = "linear-mixed",
     .device = "l40s",
     .m = 4096,
     .k = 4096,
     .widths = {4096},
     .x_type = PAVE_T_BF16,
     .w_type = PAVE_T_F16},
    {.name = "logsumexp", .device = "rtx4090", .m = 16384, .k = 1024, .reduction = LSE},
    {.name = "logsumexp-long", .device = "rtx4090", .m = 64, .k = 1000000, .reduction = LSE},
    {.name = "logsumexp-tall", .device = "rtx4090", .m = 1000000, .k = 64, .reduction = LSE},
    {.name = "logsumexp-cpu", .device = "cpu-16", .m = 16384, .k = 1024, .reduction = LSE},
    {.name = "row", .device = "rtx4090", .m = 1, .k = 4096, .widths = {4096}},
    {.name = "k-1", .device = "rtx4090", .m = 128, .k = 1, .widths = {4096}},
    {.name = "k-0", .device = "h200", .m = 128, .k = 0, .widths = {77}, .reduction = LSE},
    {.name = "odd",
     .device = "rtx4090",
     .m = 3001,
     .k = 1111,
     .widths = {5003, 7},
     .activation = PAVE_LINK_RELU,
     .reduction = PAVE_REDUCE_MEAN},
    FLOAT8("float8", "rtx4090", PAVE_T_E4M3, PAVE_T_E4M3, PAVE_MEDIUM),
    FLOAT8("float8-h100", "h100-sxm", PAVE_T_E4M3, PAVE_T_E4M3, PAVE_MEDIUM),
    FLOAT8("float8-mixed", "l40s", PAVE_T_E5M2, PAVE_T_E4M3, PAVE_MEDIUM),
    FLOAT8("float8-high", "rtx4090", PAVE_T_E4M3, PAVE_T_E4M3, PAVE_HIGH),
    FLOAT8("float8-weights", "rtx4090", PAVE_T_BF16, PAVE_T_E4M3, PAVE_HIGH),
    FLOAT8("float8-a100", "a100-sxm", PAVE_T_E5M2, PAVE_T_E5M2, PAVE_MEDIUM),
    FLOAT8("float8-cpu", "cpu-16", PAVE_T_E4M3, PAVE_T_E5M2, PAVE_MEDIUM),
    {.name = "forced",
     .device = "rtx4090",
     .m = 512,
     .k = 512,
     .widths = {512},
     .packed = 1,
     .forced = "pave_gemm_mma_64x64x32_f32"},
/* Attention: one matrix a head, scores by a transposed K, then softmax. */
#define HEADS .op = PAVE_OP_MATMUL, .batch = {1, 8, 8}, .m = 128
    {.name = "heads", .device = "rtx4090", HEADS, .k = 64, .widths = {128}},
    {.name = "heads-h100", .device = "h100-sxm", HEADS, .k = 64, .widths = {128}},
    {.name = "heads-f16",
     .device = "rtx4090",
     HEADS,
     .k = 64,
     .widths = {128},
     .x_type = PAVE_T_F16,
     .w_type = PAVE_T_F16,
     .y_type = PAVE_T_F16},
    {.name = "heads-cpu", .device = "cpu-2", HEADS, .k = 64, .widths = {128}},
    {.name = "heads-values", .device = "rtx4090", HEADS, .k = 128, .widths = {64}, .w_across = 1},
    {.name = "heads-softmax",
     .device = "rtx4090",
     HEADS,
     .k = 64,
     .widths = {128},
     .reduction = PAVE_REDUCE_SOFTMAX},
    {.name = "heads-shared", .device = "h100-sxm", HEADS, .k = 64, .widths = {128}, .shared_w = 1},
    {.name = "softmax", .device = "rtx4090", .m = 8192, .k = 128, .reduction = PAVE_REDUCE_SOFTMAX},
    {.name = "softmax-cpu", .device = "cpu-16", .m = 8192, .k = 128, .reduction = PAVE_REDUCE_SOFTMAX},
    {.name = "transposed",
     .device = "rtx4090",
     .op = PAVE_OP_MATMUL,
     .m = 1024,
     .k = 1024,
     .widths = {1024},
     .x_across = 1,
     .w_across = 1},
    {.name = "transposed-y",
     .device = "h100-sxm",
     .op = PAVE_OP_MATMUL,
     .m = 1024,
     .k = 1024,
     .widths = {1000},
     .y_across = 1},
    {.name = "transposed-cpu",
     .device = "cpu-2",
     .op = PAVE_OP_MATMUL,
     .m = 1024,
     .k = 1024,
     .widths = {1024},
     .x_across = 1,
     .w_across = 1},
/* A mixture of experts: uneven groups. */
#define EXPERTS .op = PAVE_OP_GROUPED, .m = 4096, .k = 4096, .widths = {1024}, .groups = 8, .group_rows = 1500
    {.name = "experts", .device = "rtx4090", EXPERTS, .x_type = PAVE_T_BF16, .w_type = PAVE_T_BF16},
    {.name = "experts-h100", .device = "h100-sxm", EXPERTS},
    {.name = "experts-argmax", .device = "rtx4090", EXPERTS, .reduction = PAVE_REDUCE_ARGMAX},
    {.name = "experts-cpu", .device = "cpu-16", EXPERTS},
    {.name = "tall", .device = "rtx4090", .m = 1000000, .k = 32, .widths = {16}},
    {.name = "wide", .device = "h100-sxm", .m = 16, .k = 32, .widths = {1000000}},
    {.name = "column", .device = "rtx4090", .m = 4096, .k = 4096, .widths = {1}},
    {.name = "row-cpu", .device = "cpu-2", .m = 1, .k = 4096, .widths = {4096}},
    {.name = "norm",
     .device = "rtx4090",
     .m = 4096,
     .k = 1024,
     .widths = {1024},
     .reduction = PAVE_REDUCE_NORMALIZE,
     .packed = 1,
     .after = PAVE_LINK_MUL},
    {.name = "norm-groups",
     .device = "rtx4090",
     .m = 4096,
     .k = 1024,
     .widths = {1024},
     .window = 128,
     .reduction = PAVE_REDUCE_NORMALIZE,
     .packed = 1},
    {.name = "max-windows",
     .device = "h100-sxm",
     .m = 4096,
     .k = 1024,
     .widths = {1024},
     .window = 64,
     .reduction = PAVE_REDUCE_MAX,
     .packed = 1},
    {.name = "unreduced",
     .device = "rtx4090",
     .m = 4096,
     .k = 1024,
     .widths = {1024},
     .packed = 1,
     .reduction = LSE,
     .unreduced = PAVE_T_F16},
    {.name = "unreduced-across",
     .device = "rtx4090",
     .m = 4096,
     .k = 1024,
     .widths = {1024},
     .packed = 1,
     .reduction = PAVE_REDUCE_SOFTMAX,
     .unreduced = PAVE_T_BF16,
     .u_across = 1},
    {.name = "across",
     .device = "rtx4090",
     .m = 4096,
     .k = 1024,
     .x_across = 1,
     .reduction = PAVE_REDUCE_SUM},
    {.name = "across-cpu",
     .device = "cpu-16",
     .m = 4096,
     .k = 1024,
     .x_across = 1,
     .reduction = PAVE_REDUCE_SUM},
    {.name = "across-softmax",
     .device = "h100-sxm",
     .m = 4096,
     .k = 1024,
     .x_across = 1,
     .y_across = 1,
     .reduction = PAVE_REDUCE_SOFTMAX},
    {.name = "across-long",
     .device = "rtx4090",
     .m = 64,
     .k = 1000000,
     .x_across = 1,
     .reduction = PAVE_REDUCE_SUM},
    {.name = "softmax-slices", .device = "h200", .m = 64, .k = 1000000, .reduction = PAVE_REDUCE_SOFTMAX},
    {.name = "softmax-slices-short",
     .device = "h200",
     .m = 16,
     .k = 128000,
     .reduction = PAVE_REDUCE_LOG_SOFTMAX},
    {.name = "one-row", .device = "h100-sxm", .m = 1, .k = 100000000, .reduction = PAVE_REDUCE_ARGMAX},
    {.name = "one-row-cpu", .device = "cpu-16", .m = 1, .k = 100000000, .reduction = PAVE_REDUCE_MEAN},
    {.name = "map",
     .device = "rtx4090",
     .op = PAVE_OP_MAP,
     .m = 4096,
     .k = 4096,
     .after = PAVE_LINK_ADD,
     .residual = 1},
    {.name = "turn",
     .device = "rtx4090",
     .op = PAVE_OP_MAP,
     .m = 4096,
     .k = 4096,
     .x_across = 1,
     .y_type = PAVE_T_F16},
/* Few rows, and few outputs of a long k: slices of k fill the device. */
#define FEW(NAME, DEVICE, M, TYPE) \
    { .name = NAME, .device = DEVICE, .m = M, .k = 4096, .widths = {4096}, .x_type = TYPE, .w_type = TYPE }
#define DEEP(NAME, DEVICE, TYPE) \
    { .name = NAME, .device = DEVICE, .m = 512, .k = 16384, .widths = {512}, .x_type = TYPE, .w_type = TYPE }
    FEW("few-1", "rtx4090", 1, PAVE_T_F32),
    FEW("few-64", "rtx4090", 64, PAVE_T_F32),
    FEW("few-128", "rtx4090", 128, PAVE_T_F32),
    FEW("few-1-h100", "h100-sxm", 1, PAVE_T_F32),
    FEW("few-128-h100", "h100-sxm", 128, PAVE_T_F32),
    FEW("few-1-bf16", "h100-sxm", 1, PAVE_T_BF16),
    FEW("few-64-bf16", "h100-sxm", 64, PAVE_T_BF16),
    FEW("few-128-bf16", "h100-sxm", 128, PAVE_T_BF16),
    DEEP("deep", "rtx4090", PAVE_T_BF16),
    DEEP("deep-h100", "h100-sxm", PAVE_T_BF16),
    {.name = "deep-lse", .device = "h100-sxm", .m = 512, .k = 16384, .widths = {512}, .reduction = LSE},
    {.name = "turn-cpu", .device = "cpu-2", .op = PAVE_OP_MAP, .m = 4096, .k = 4096, .x_across = 1},
};

static pave__plan_data plan;

static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    char *text = calloc(1, TEXT_MAX);
    size_t n = fread(text, 1, TEXT_MAX - 1, file);
    text[n] = 0;
    fclose(file);
    return text;
}

static void compare(const char *name, const char *suffix, const char *text) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.%s", PLAN_GOLDEN_DIR, name, suffix);
    const char *update = getenv("PAVE_UPDATE_GOLDEN");
    if (update && strcmp(update, "1") == 0) {
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        fputs(text, file);
        assert_int_equal(fclose(file), 0);
        return;
    }
    char *golden = read_file(path);
    if (!golden) fail_msg("%s is missing; PAVE_UPDATE_GOLDEN=1 writes it", path);
    if (strcmp(golden, text)) {
        print_error("---- %s differs; now:\n%s\n", path, text);
        free(golden);
        fail_msg("%s differs", path);
    }
    free(golden);
}

static void test_golden(void **state) {
    const plan_case *c = *state;
    pave__problem *problem = calloc(1, sizeof *problem);
    assert_int_equal(case_plan(c, problem, &plan), PAVE_OK);
    const pave_device_info *device = pave__device_named(c->device);
    char *text = malloc(TEXT_MAX);
    const char *const suffixes[] = {"txt", "json"};
    for (int format = PAVE_PLAN_TEXT; format <= PAVE_PLAN_JSON; format++) {
        long n = pave__plan_text(device, problem, &plan, (pave_plan_format)format, text, TEXT_MAX);
        assert_true(n > 0 && n < TEXT_MAX);
        assert_int_equal(strlen(text), n);
        compare(c->name, suffixes[format], text);
    }
    free(text);
    free(problem);
}

/* A short buffer gets a terminated prefix, and the length that all of it has. */
static void test_short_buffer(void **state) {
    (void)state;
    pave__problem *problem = calloc(1, sizeof *problem);
    assert_int_equal(case_plan(&cases[0], problem, &plan), PAVE_OK);
    const pave_device_info *device = pave__device_named("rtx4090");
    char *whole = malloc(TEXT_MAX), part[101];
    for (int format = PAVE_PLAN_TEXT; format <= PAVE_PLAN_JSON; format++) {
        long n = pave__plan_text(device, problem, &plan, (pave_plan_format)format, whole, TEXT_MAX);
        memset(part, 'x', sizeof part);
        assert_int_equal(pave__plan_text(device, problem, &plan, (pave_plan_format)format, part, 100), n);
        assert_int_equal(strlen(part), 99);
        assert_memory_equal(part, whole, 99);
        assert_int_equal(part[100], 'x');
        assert_int_equal(pave__plan_text(device, problem, &plan, (pave_plan_format)format, NULL, 0), n);
    }
    free(whole);
    free(problem);
}

int main(void) {
    enum { COUNT = sizeof cases / sizeof cases[0] };
    struct CMUnitTest tests[COUNT + 1];
    for (int i = 0; i < COUNT; i++)
        tests[i] = (struct CMUnitTest){cases[i].name, test_golden, NULL, NULL, (void *)(uintptr_t)&cases[i]};
    tests[COUNT] = (struct CMUnitTest)cmocka_unit_test(test_short_buffer);
    return cmocka_run_group_tests_name("plan-golden", tests, NULL, NULL);
}
