/* SPDX-License-Identifier: Apache-2.0
 * `pave bench`: the suites, their scaling to slow devices, and the table. */
#include "tools/bench.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: pave bench [--suite NAME] [OPTIONS]\n\n"
    "Medians of runs on random data by the device's clock, inputs rotated past the L2, beside\n"
    "the device's own peak as measured now: arithmetic of the path that the plan takes, and a\n"
    "copy for the bandwidth.\n\n"
    "  --suite NAME         headline (default): 16384 x 2048 -> 4096 sigmoid -> 1024 logsumexp;\n"
    "                       gemm, batched, grouped, epilogue, reduce, map, all\n"
    "  --shape MxNxK        one linear of this shape in place of a suite; MxK for a logsumexp\n"
    "  --scale A/B          that part of the rows of products (default 1; 1/16 on a\n"
    "                       CPU, 1/1024 on the host backend)\n"
    "  --device SELECTOR    as PAVE_BACKEND: auto, cuda[:N], opencl[:WHAT], host\n"
    "  --precision WORD     highest, high (default), medium\n"
    "  --type TYPE          of inputs and weights: f32 (default), f16, bf16, e4m3, e5m2\n"
    "  --runs N             measured runs of a case (default 50; slow cases stop after 3 s)\n"
    "  --json               for programs\n\n"
    "exit codes: 0 ok, 1 failed, 2 wrong usage, 3 no device, 130 interrupted";

static const tool_word suites[] = {{"headline", 0, 0, 0}, {"gemm", 1, 0, 0},     {"batched", 2, 0, 0},
                                   {"grouped", 3, 0, 0},  {"epilogue", 4, 0, 0}, {"reduce", 5, 0, 0},
                                   {"map", 6, 0, 0},      {"all", 7, 0, 0},      {NULL, 0, 0, 0}};

typedef struct request {
    const char *device;
    const tool_word *suite, *precision, *type;
    int64_t runs, scale[2]; /* scale[1] 0: by the device */
    bench_case shape;       /* m 0: a suite */
    bool json;
} request;

static bool parse_pair(const char *option, const char *text, char separator, size_t least, size_t most,
                       int64_t *values, size_t *count) {
    char copy[128];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *p = copy; *p; p++)
        if (*p == separator) *p = ',';
    if (!tool_parse_ints(option, copy, 1, 1 << 30, most, values, count)) return false;
    if (*count >= least) return true;
    tool_error("%s: '%s' has too few numbers", option, text);
    return false;
}

static bool parse_shape(request *r) {
    int64_t v[3];
    size_t count;
    if (!parse_pair("--shape", optarg, 'x', 2, 3, v, &count)) return false;
    r->shape = (bench_case){
        .suite = "shape", .op = PAVE_OP_LINEAR, .m = v[0], .k = v[count - 1], .layer_count = count - 2};
    if (count == 2) r->shape.op = PAVE_OP_REDUCE;
    r->shape.widths[0] = v[1];
    if (count == 2) r->shape.reduction = PAVE_REDUCE_LOGSUMEXP;
    return true;
}

static bool take(int c, request *r) {
    size_t count;
    switch (c) {
    case 's': return tool_parse_word("--suite", optarg, suites, &r->suite);
    case 'd': r->device = optarg; return true;
    case 'p': return tool_parse_word("--precision", optarg, tool_precisions, &r->precision);
    case 't': return tool_parse_word("--type", optarg, tool_types, &r->type);
    case 'r': return tool_parse_int("--runs", optarg, 1, BENCH_RUNS_MAX, &r->runs);
    case 'c': r->scale[1] = 1; return parse_pair("--scale", optarg, '/', 1, 2, r->scale, &count);
    case 'x': return parse_shape(r);
    case 'j': r->json = true; return true;
    }
    return false;
}

static void default_scale(request *r, const pave_device_info *info) {
    if (r->scale[1]) return;
    r->scale[0] = 1;
    r->scale[1] = strcmp(info->backend, "host") == 0 ? 1024 : info->kind == PAVE_DEVICE_CPU ? 16 : 1;
}

static void print_row(const bench_case *c, const bench_result *r) {
    char shape[64];
    double seconds = r->median_ns * 1e-9;
    bench_shape_text(c, shape, sizeof shape);
    printf("%-9s %-30s %9.4f %9.4f %5d %9.1f ", c->suite, shape, r->median_ns * 1e-6, r->min_ns * 1e-6,
           r->runs, r->bytes / seconds * 1e-9);
    if (c->layer_count) printf("%8.3f ", r->flops / seconds * 1e-12);
    if (c->layer_count && r->compute_share > 0)
        printf("%7.1f ", 100 * r->compute_share);
    else if (c->layer_count)
        printf("%7s ", "-");
    else
        printf("%8s %7s ", "-", "-");
    printf("%7.1f  %s\n", 100 * r->memory_share, r->kernels);
    fflush(stdout);
}

static json_t *row_json(const bench_case *c, const bench_result *r) {
    json_t *widths = json_array();
    for (size_t i = 0; i < c->layer_count; i++) json_array_append_new(widths, json_integer(c->widths[i]));
    double seconds = r->median_ns * 1e-9;
    return json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:o,s:s,s:s,s:i,s:i,s:f,s:f,s:f,s:f,s:f,s:f,s:s}", "suite",
                     c->suite, "op", tool_word_of(tool_ops, c->op), "what", c->what ? c->what : "", "batch",
                     (json_int_t)c->batch, "groups", (json_int_t)c->groups, "m", (json_int_t)c->m, "k",
                     (json_int_t)c->k, "widths", widths, "type", pave_dtype_name(c->type), "precision",
                     tool_word_of(tool_precisions, c->precision), "runs", r->runs, "rotated", r->rotated,
                     "median_ns", r->median_ns, "min_ns", r->min_ns, "tflops", r->flops / seconds * 1e-12,
                     "gbytes_per_s", r->bytes / seconds * 1e-9, "share_of_arithmetic_peak", r->compute_share,
                     "share_of_copy_bandwidth", r->memory_share, "kernels", r->kernels);
}

static void print_head(const request *r, const tool_session *s, const pave_device_info *measured) {
    static const char *const paths[PAVE_PATH_COUNT] = {"f32 fma", "tf32", "f16", "bf16", "f8"};
    char text[32];
    printf("device    %s (%s), %s\nmeasured ", s->info.name, s->info.selector, s->info.driver);
    for (int p = 0; p < PAVE_PATH_COUNT; p++)
        if (measured->flops[p] > 0)
            printf(" %s %s,", paths[p], tool_quantity(text, sizeof text, measured->flops[p], "FLOP/s"));
    printf(" copy %s\n", tool_quantity(text, sizeof text, measured->memory_bytes_per_s, "B/s"));
    if (r->scale[0] != r->scale[1] && !r->shape.m)
        printf("scaled    products to %" PRId64 "/%" PRId64 " of their rows\n", r->scale[0], r->scale[1]);
    printf("\n%-9s %-30s %9s %9s %5s %9s %8s %7s %7s  kernels\n", "suite", "shape", "median ms", "min ms",
           "runs", "GB/s", "TFLOP/s", "% peak", "% copy");
}

static int run_case(const request *r, tool_session *s, const pave_device_info *measured, bench_case c,
                    json_t *list) {
    c.type = r->type ? (pave_dtype)r->type->value : PAVE_F32;
    c.precision = r->precision ? (pave_precision)r->precision->value : PAVE_HIGH;
    if (c.layer_count && !r->shape.m) {
        int64_t *size = c.batch > 1 ? &c.batch : &c.m, scaled = *size * r->scale[0] / r->scale[1];
        *size = scaled > 8 || scaled > *size ? scaled
                : *size < 8                  ? *size
                                             : 8; /* few rows are a case of their own */
    }
    bench_result result;
    int code = tool_interrupted() ? TOOL_INTERRUPTED : bench_measure(s, measured, &c, (int)r->runs, &result);
    if (code) return code;
    if (list)
        json_array_append_new(list, row_json(&c, &result));
    else
        print_row(&c, &result);
    return TOOL_OK;
}

static int run_cases(const request *r, tool_session *s, const pave_device_info *measured, json_t *list) {
    if (r->shape.m) return run_case(r, s, measured, r->shape, list);
    int code = TOOL_OK;
    const char *suite = r->suite ? r->suite->name : "headline";
    for (const bench_case *c = bench_cases; c->suite && !code; c++)
        if (strcmp(suite, "all") == 0 || strcmp(suite, c->suite) == 0)
            code = run_case(r, s, measured, *c, list);
    return code;
}

static int run_all(request *r, tool_session *s) {
    pave_device_info measured = s->info;
    pave_status status = pave_device_measure(s->context, &measured);
    if (status) return tool_fail(status, "measuring %s", s->info.name), TOOL_FAILED;
    default_scale(r, &s->info);
    json_t *list = r->json ? json_array() : NULL;
    if (!list) print_head(r, s, &measured);
    int code = run_cases(r, s, &measured, list);
    if (list && !code) {
        json_t *root = json_pack("{s:s,s:s,s:s,s:[f,f,f,f],s:f,s:[I,I],s:O}", "device", s->info.name,
                                 "selector", s->info.selector, "driver", s->info.driver, "measured_flops",
                                 measured.flops[0], measured.flops[1], measured.flops[2], measured.flops[3],
                                 "measured_bytes_per_s", measured.memory_bytes_per_s, "scale",
                                 (json_int_t)r->scale[0], (json_int_t)r->scale[1], "cases", list);
        if (root) json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putchar('\n');
        json_decref(root);
    }
    json_decref(list);
    return code;
}

int cmd_bench(int argc, char **argv) {
    static const struct option options[] = {{"suite", required_argument, NULL, 's'},
                                            {"device", required_argument, NULL, 'd'},
                                            {"precision", required_argument, NULL, 'p'},
                                            {"type", required_argument, NULL, 't'},
                                            {"runs", required_argument, NULL, 'r'},
                                            {"scale", required_argument, NULL, 'c'},
                                            {"shape", required_argument, NULL, 'x'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    request r = {.runs = 50};
    for (int c; (c = tool_option(argc, argv, options)) != -1;) {
        if (c == 'h') return puts(help), TOOL_OK;
        if (c == '?' || !take(c, &r)) return TOOL_USAGE;
    }
    tool_catch_interrupt();
    tool_session session;
    int code = tool_open(r.device, false, &session);
    if (code) return code;
    code = run_all(&r, &session);
    if (code == TOOL_INTERRUPTED) tool_error("interrupted");
    tool_close(&session);
    return code;
}
