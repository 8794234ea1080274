/* SPDX-License-Identifier: Apache-2.0
 * Prints the tables of operations.md from the tables that the code is made of: links, reductions and kernel rows. */
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
#define LINE(ENUM, name, formula, expr, lipschitz, rel, arg)            \
    printf("| " #name " | %s | %s | " #rel " | " #arg " |\n", formula, \
           strcmp(#lipschitz, "A") ? #lipschitz : "max(1, abs a)");
    PAVE_ACTIVATIONS(LINE)
#undef LINE
}

static void reductions(void) {
    puts("| reduction | of a row v of n values | of an empty row | a result | fused behind a product |\n"
         "|---|---|---|---|---|");
#define LINE(ENUM, name, formula, empty, states, wide)                                              \
    printf("| " #name " | %s | %s | %s | %s |\n", formula, empty, (wide) ? "a value" : "a row", \
           (states) ? "yes" : "no");
    PAVE_REDUCTIONS(LINE)
#undef LINE
}

static const char *type_of(int type) {
    static const char *const words[] = {"any", "f32", "f16", "bf16", "tf32", "i32", "scaled f16"};
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
        const char *strides = row->family != PAVE__GEMM             ? "any"
                              : row->layout == PAVE__LAYOUT_ANY ? "any"
                                                                : "k contiguous, 16-byte rows; else packed";
        char types[32];
        snprintf(types, sizeof types, row->a_type == row->b_type ? "%s" : "%s, %s", type_of(row->a_type),
                 type_of(row->b_type));
        printf("| `%s` | %s | %s | %s | %s | %s |\n", row->name, families[row->family], backends[row->backend],
               types, strides, row->family == PAVE__GEMM ? promises[row->precision] : "all");
    }
}

int main(int argc, char **argv) {
    const char *which = argc == 2 ? argv[1] : "";
    if (strcmp(which, "links") == 0) return links(), 0;
    if (strcmp(which, "reductions") == 0) return reductions(), 0;
    if (strcmp(which, "kernels") == 0) return kernels(), 0;
    fprintf(stderr, "usage: tables links|reductions|kernels\n");
    return 2;
}
