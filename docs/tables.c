/* SPDX-License-Identifier: Apache-2.0
 * Prints the tables of operations.md from the tables that the code is made of: links, reductions, kernel rows, and plans
 * of them. */
#include "kernels/epilogue/links.h"
#include "kernels/reduce/reductions.h"
#include "kernels/rows.h"
#include <pave/pave.h>
#include <stdio.h>
#include <string.h>

static void links(void) {
    puts("| link | f(v) | L | rel | arg |\n|---|---|---|---|---|");
    puts("| add, sub | v + t, v - t | 1 | 1 | 0 |");
    puts("| mul | v t | abs t | 1 | 0 |");
    puts("| div | v / t | 1 / abs t | 5 | 0 |");
#define LINE(ENUM, name, formula, expr, lipschitz, rel, arg)           \
    printf("| " #name " | %s | %s | " #rel " | " #arg " |\n", formula, \
           strcmp(#lipschitz, "A") ? #lipschitz : "max(1, abs a)");
    PAVE_ACTIVATIONS(LINE)
#undef LINE
}

static void reductions(void) {
    puts("| reduction | of a row v of n values | of an empty row | a result | fused behind a product |\n"
         "|---|---|---|---|---|");
#define LINE(ENUM, name, formula, empty, states, wide)                                          \
    printf("| " #name " | %s | %s | %s | %s |\n", formula, empty, (wide) ? "a value" : "a row", \
           (states) ? "yes" : "no");
    PAVE_REDUCTIONS(LINE)
#undef LINE
}

static const char *type_of(int type) {
    static const char *const words[] = {"any", "f32",        "f16",      "bf16", "tf32",
                                        "i32", "scaled f16", "f16 pair", "e4m3", "e5m2"};
    return words[type];
}

static void kernels(void) {
    static const char *const families[] = {"gemm", "reduce", "join", "normalize", "map", "peak"};
    static const char *const backends[] = {"cuda", "opencl", "host"};
    static const char *const promises[] = {"high", "highest", "medium"};
    size_t count;
    const pave__row *row = pave__rows(&count);
    puts("| kernel | family | backend | operands | strides | strongest promise |\n|---|---|---|---|---|---|");
    for (size_t i = 0; i < count; i++, row++) {
        if (row->family == PAVE__PEAK) continue;
        const char *strides = row->family != PAVE__GEMM         ? "any"
                              : row->layout == PAVE__LAYOUT_ANY ? "any"
                                                                : "k contiguous, 16-byte rows; else packed";
        char types[32];
        snprintf(types, sizeof types, row->a_type == row->b_type ? "%s" : "%s, %s", type_of(row->a_type),
                 type_of(row->b_type));
        printf("| `%s` | %s | %s | %s | %s | %s |\n", row->name, families[row->family],
               backends[row->backend], types, strides,
               row->family == PAVE__GEMM ? promises[row->precision] : "all");
    }
}

typedef struct plan_case {
    const char *call, *what;
    pave_problem_params problem;
} plan_case;

/* The launches of one plan; all but its gemm by their families. */
static void plan(const plan_case *c, const char *device_name) {
    pave_device_info device = {.size = sizeof device};
    pave_plan *plan = NULL;
    printf(" | ");
    if (pave_device_info_by_name(device_name, &device) || pave_plan_create(&device, &c->problem, &plan)) {
        printf("%s", pave_last_message());
        return;
    }
    const char *name;
    for (size_t i = 0; (name = pave_plan_step_kernel(plan, i)) != NULL; i++)
        printf("%s%s", i ? ", " : "", name + strlen("pave_"));
    pave_plan_destroy(&plan);
}

static void plans(void) {
    static const int64_t heads[] = {128}, wide[] = {4096}, narrow[] = {1024}, chain[] = {4096, 1024},
                         experts[] = {1024, 1024, 0, 2048, 512, 512, 2048, 1024};
    static const pave_link_op sigmoid[] = {PAVE_LINK_SIGMOID, PAVE_LINK_NONE};
#define PROBLEM(OP, ...) \
    { .size = sizeof(pave_problem_params), .op = PAVE_OP_##OP, __VA_ARGS__ }
#define WIDTHS(w) .widths = w, .layer_count = sizeof w / sizeof w[0]
    const plan_case cases[] = {
        {"linear", "16384x2048 to 4096, sigmoid",
         PROBLEM(LINEAR, .m = 16384, .k = 2048, WIDTHS(wide), .weights_packed = 1, .activations = sigmoid)},
        {"linear", "the same in bf16",
         PROBLEM(LINEAR, .m = 16384, .k = 2048, WIDTHS(wide), .activations = sigmoid, .x_type = PAVE_BF16,
                 .w_type = PAVE_BF16)},
        {"linear", "the same, HIGHEST",
         PROBLEM(LINEAR, .m = 16384, .k = 2048, WIDTHS(wide), .activations = sigmoid,
                 .precision = PAVE_HIGHEST)},
        {"linear", "the same in e4m3, MEDIUM",
         PROBLEM(LINEAR, .m = 16384, .k = 2048, WIDTHS(wide), .activations = sigmoid, .x_type = PAVE_E4M3,
                 .w_type = PAVE_E4M3, .precision = PAVE_MEDIUM)},
        {"linear", "one row of 4096 to 4096", PROBLEM(LINEAR, .m = 1, .k = 4096, WIDTHS(wide))},
        {"linear", "4096x4096 to 1024, softmax",
         PROBLEM(LINEAR, .m = 4096, .k = 4096, WIDTHS(narrow), .reduction = PAVE_REDUCE_SOFTMAX)},
        {"matmul", "64 of 128x64 by its transpose",
         PROBLEM(MATMUL, .m = 128, .k = 64, WIDTHS(heads), .batch = 64, .transpose_b = 1)},
        {"matmul", "4096x4096 by 4096x4096", PROBLEM(MATMUL, .m = 4096, .k = 4096, WIDTHS(wide))},
        {"matmul_grouped", "8 experts, 8192 rows of 2048 to 4096",
         PROBLEM(GROUPED, .k = 2048, WIDTHS(wide), .transpose_b = 1, .group_rows = experts,
                 .group_count = 8)},
        {"mlp", "16384x2048 to 4096, sigmoid, to 1024, logsumexp",
         PROBLEM(MLP, .m = 16384, .k = 2048, WIDTHS(chain), .weights_packed = 1, .activations = sigmoid,
                 .reduction = PAVE_REDUCE_LOGSUMEXP)},
        {"reduce", "logsumexp of 16384 rows of 1024",
         PROBLEM(REDUCE, .m = 16384, .k = 1024, .reduction = PAVE_REDUCE_LOGSUMEXP)},
        {"reduce", "sum of one row of 10^8",
         PROBLEM(REDUCE, .m = 1, .k = 100000000, .reduction = PAVE_REDUCE_SUM)},
        {"reduce", "softmax along the columns of 1024x16384",
         PROBLEM(REDUCE, .m = 16384, .k = 1024, .reduction = PAVE_REDUCE_SOFTMAX, .across = 1)},
        {"map, copy", "16384x4096", PROBLEM(MAP, .m = 16384, .k = 4096)},
    };
    puts("| operation | of | launches on rtx4090 | on h100-sxm | on cpu-16, OpenCL |\n|---|---|---|---|---|");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        printf("| %s | %s", cases[i].call, cases[i].what);
        plan(&cases[i], "rtx4090");
        plan(&cases[i], "h100-sxm");
        plan(&cases[i], "cpu-16");
        puts(" |");
    }
}

int main(int argc, char **argv) {
    const char *which = argc == 2 ? argv[1] : "";
    if (strcmp(which, "links") == 0) return links(), 0;
    if (strcmp(which, "reductions") == 0) return reductions(), 0;
    if (strcmp(which, "kernels") == 0) return kernels(), 0;
    if (strcmp(which, "plans") == 0) return plans(), 0;
    fprintf(stderr, "usage: tables links|reductions|kernels|plans\n");
    return 2;
}
