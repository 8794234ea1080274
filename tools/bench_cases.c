/* SPDX-License-Identifier: Apache-2.0
 * What the suites measure. */
#include "tools/bench.h"

#include <inttypes.h>

#define LINEAR(M, N, K) \
    .suite = "gemm", .op = PAVE_OP_LINEAR, .m = (M), .k = (K), .layer_count = 1, .widths = {N}
#define BATCHED(WHAT, B, M, N, K)                                                               \
    .suite = "batched", .what = (WHAT), .op = PAVE_OP_MATMUL, .batch = (B), .m = (M), .k = (K), \
    .layer_count = 1, .widths = {N}
#define GROUPED(WHAT, G, BUSY, M, N, K)                                                                 \
    .suite = "grouped", .what = (WHAT), .op = PAVE_OP_GROUPED, .groups = (G), .busy = (BUSY), .m = (M), \
    .k = (K), .layer_count = 1, .widths = {N}
#define EPILOGUE(WHAT, CHAIN)                                                                          \
    .suite = "epilogue", .what = (WHAT), .op = PAVE_OP_LINEAR, .m = 8192, .k = 4096, .layer_count = 1, \
    .widths = {4096}, .chain = (CHAIN)
#define ROWS(WHAT, R, M, N) \
    .suite = "reduce", .what = (WHAT), .op = PAVE_OP_REDUCE, .reduction = PAVE_REDUCE_##R, .m = (M), .k = (N)
#define MAP(WHAT, M, N, CHAIN) \
    .suite = "map", .what = (WHAT), .op = PAVE_OP_MAP, .m = (M), .k = (N), .chain = (CHAIN)

const bench_case bench_cases[] = {
    {.suite = "headline",
     .op = PAVE_OP_MLP,
     .m = 16384,
     .k = 2048,
     .layer_count = 2,
     .widths = {4096, 1024},
     .sigmoid = true,
     .reduction = PAVE_REDUCE_LOGSUMEXP},
    {LINEAR(16384, 4096, 2048)},
    {LINEAR(16384, 1024, 4096)},
    {LINEAR(8192, 8192, 8192)},
    {LINEAR(4096, 4096, 4096)},
    {LINEAR(1024, 1024, 1024)},
    {LINEAR(512, 4096, 4096)},
    {LINEAR(64, 4096, 4096)},
    {LINEAR(1, 4096, 4096)},
    {LINEAR(3000, 5000, 1111)},
    {BATCHED("q k'", 64, 128, 128, 64), .transpose_b = true},
    {BATCHED("softmax(q k')", 64, 128, 128, 64), .transpose_b = true, .reduction = PAVE_REDUCE_SOFTMAX},
    {BATCHED("p v", 64, 128, 64, 128)},
    {BATCHED("q k'", 32, 2048, 2048, 128), .transpose_b = true},
    {BATCHED("p v", 32, 2048, 128, 2048)},
    {BATCHED("a b", 16, 1024, 1024, 1024)},
    {BATCHED("a b'", 16, 1024, 1024, 1024), .transpose_b = true},
    {BATCHED("small", 4096, 32, 32, 32)},
    {GROUPED("8 experts", 8, 8, 8192, 4096, 2048)},
    {GROUPED("64, 40 of them idle", 64, 24, 2048, 2048, 2048)},
    {GROUPED("64, few rows", 64, 64, 256, 2048, 2048)},
    {EPILOGUE("nothing", "")},
    {EPILOGUE("bias", "b")},
    {EPILOGUE("bias relu", "br")},
    {EPILOGUE("bias gelu", "bg")},
    {EPILOGUE("silu, times a tensor", "SM")},
    {EPILOGUE("bias, residual", "bR")},
    {EPILOGUE("eight links", "bcgRhMsr")},
    {EPILOGUE("softmax", "b"), .reduction = PAVE_REDUCE_SOFTMAX},
    {EPILOGUE("logsumexp", "b"), .reduction = PAVE_REDUCE_LOGSUMEXP},
    {EPILOGUE("layer norm", "b"), .reduction = PAVE_REDUCE_NORMALIZE},
    {ROWS("logsumexp", LOGSUMEXP, 16384, 1024)},
    {ROWS("logsumexp", LOGSUMEXP, 64, 1000000)},
    {ROWS("logsumexp", LOGSUMEXP, 1000000, 64)},
    {ROWS("sum", SUM, 1, 100000000)},
    {ROWS("sum of columns", SUM, 16384, 4096), .across = true},
    {ROWS("argmax", ARGMAX, 16384, 1024)},
    {ROWS("softmax", SOFTMAX, 16384, 1024)},
    {ROWS("softmax", SOFTMAX, 64, 1000000)},
    {ROWS("softmax of columns", SOFTMAX, 16384, 1024), .across = true},
    {ROWS("layer norm", NORMALIZE, 16384, 1024)},
    {MAP("copy", 16384, 4096, "")},
    {MAP("turn", 16384, 4096, ""), .across = true},
    {MAP("gelu", 16384, 4096, "g")},
    {0}};

void bench_shape_text(const bench_case *c, char *text, size_t capacity) {
    int n = 0;
    if (c->batch) n = snprintf(text, capacity, "%" PRId64 "x", c->batch);
    if (c->groups) n = snprintf(text, capacity, "%" PRId64 ":", c->groups);
    n += snprintf(text + n, capacity - (size_t)n, "%" PRId64, c->m);
    if (c->layer_count == 2)
        n += snprintf(text + n, capacity - (size_t)n, "x%" PRId64 ">%" PRId64 ">%" PRId64, c->k, c->widths[0],
                      c->widths[1]);
    else if (c->layer_count)
        n += snprintf(text + n, capacity - (size_t)n, "x%" PRId64 "x%" PRId64, c->widths[0], c->k);
    else
        n += snprintf(text + n, capacity - (size_t)n, "x%" PRId64, c->k);
    if (c->what) snprintf(text + n, capacity - (size_t)n, " %s", c->what);
}
