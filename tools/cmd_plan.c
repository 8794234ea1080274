/* SPDX-License-Identifier: Apache-2.0
 * `pave plan`: plans a problem for a device by name, which need not be there, or for a device that is. */
#include "tools/common.h"

#include <stdlib.h>

static const char help[] =
    "usage: pave plan --m ROWS --k WIDTH (--n WIDTH | --widths N1,N2,...) [OPTIONS]\n\n"
    "Shows how a problem is laid out over a device, what is predicted, and why the other\n"
    "kernels lost.\n\n"
    "  --device NAME        rtx4090, l40s, a100-sxm, h100-sxm, ... need not be there; else a\n"
    "                       selector as PAVE_BACKEND takes it (the default)\n"
    "  --op OP              linear, mlp, matmul, grouped, reduce or map (default: mlp where\n"
    "                       --widths is given, grouped where --groups is)\n"
    "  --m, --n, --k N      rows of x, outputs, width of x; a reduction and a map take m and k\n"
    "  --widths N1,N2,...   widths of an mlp's layers\n"
    "  --batch N            a matmul's matrices; that many times the rows of what has one W\n"
    "  --shared-b           one b for a matmul's whole batch\n"
    "  --transpose-a, --transpose-b\n"
    "                       operands of a matmul that lie the other way round\n"
    "  --groups M1,M2,...   rows of each problem of a grouped matmul\n"
    "  --across             reduce along the axis before the last: x is [k, m]\n"
    "  --window N           reduce each N columns by themselves\n"
    "  --activation NAME    after every layer of a linear, every layer but the last of an mlp\n"
    "  --reduce NAME        of each row at the end: logsumexp, sum, mean, max, min, argmax,\n"
    "                       softmax, log_softmax, normalize\n"
    "  --type TYPE          of x and W: f32, f16, bf16, e4m3, e5m2\n"
    "  --precision WORD     highest, high (default), medium\n"
    "  --packed             W is packed before\n"
    "  --no-bias            without a bias\n"
    "  --kernel NAMES       force these kernels, comma separated\n"
    "  --json               for programs\n\n"
    "exit codes: 0 ok, 1 no plan, 2 wrong usage, 3 no such device";

#define GROUPS_MAX 1024

typedef struct request {
    const char *device, *kernel;
    int64_t m, n, k, batch, window, widths[PAVE_MAX_LAYERS], groups[GROUPS_MAX];
    size_t width_count, group_count;
    const tool_word *op, *activation, *reduction, *type, *precision;
    bool packed, no_bias, json, shared_b, transpose_a, transpose_b, across;
} request;

enum {
    OPT_DEVICE = 256,
    OPT_M,
    OPT_N,
    OPT_K,
    OPT_BATCH,
    OPT_SHARED_B,
    OPT_TRANSPOSE_A,
    OPT_TRANSPOSE_B,
    OPT_GROUPS,
    OPT_ACROSS,
    OPT_WINDOW,
    OPT_WIDTHS,
    OPT_OP,
    OPT_ACTIVATION,
    OPT_REDUCE,
    OPT_TYPE,
    OPT_PRECISION,
    OPT_PACKED,
    OPT_NO_BIAS,
    OPT_KERNEL,
    OPT_JSON
};

static const struct option options[] = {{"device", required_argument, NULL, OPT_DEVICE},
                                        {"m", required_argument, NULL, OPT_M},
                                        {"n", required_argument, NULL, OPT_N},
                                        {"k", required_argument, NULL, OPT_K},
                                        {"batch", required_argument, NULL, OPT_BATCH},
                                        {"shared-b", no_argument, NULL, OPT_SHARED_B},
                                        {"transpose-a", no_argument, NULL, OPT_TRANSPOSE_A},
                                        {"transpose-b", no_argument, NULL, OPT_TRANSPOSE_B},
                                        {"groups", required_argument, NULL, OPT_GROUPS},
                                        {"across", no_argument, NULL, OPT_ACROSS},
                                        {"window", required_argument, NULL, OPT_WINDOW},
                                        {"widths", required_argument, NULL, OPT_WIDTHS},
                                        {"op", required_argument, NULL, OPT_OP},
                                        {"activation", required_argument, NULL, OPT_ACTIVATION},
                                        {"reduce", required_argument, NULL, OPT_REDUCE},
                                        {"type", required_argument, NULL, OPT_TYPE},
                                        {"precision", required_argument, NULL, OPT_PRECISION},
                                        {"packed", no_argument, NULL, OPT_PACKED},
                                        {"no-bias", no_argument, NULL, OPT_NO_BIAS},
                                        {"kernel", required_argument, NULL, OPT_KERNEL},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};

static bool take(int c, request *r) {
    switch (c) {
    case OPT_DEVICE: r->device = optarg; return true;
    case OPT_M: return tool_parse_int("--m", optarg, 1, INT64_MAX, &r->m);
    case OPT_N: return tool_parse_int("--n", optarg, 1, INT64_MAX, &r->n);
    case OPT_K: return tool_parse_int("--k", optarg, 0, INT64_MAX, &r->k);
    case OPT_BATCH: return tool_parse_int("--batch", optarg, 1, INT64_MAX, &r->batch);
    case OPT_SHARED_B: r->shared_b = true; return true;
    case OPT_TRANSPOSE_A: r->transpose_a = true; return true;
    case OPT_TRANSPOSE_B: r->transpose_b = true; return true;
    case OPT_ACROSS: r->across = true; return true;
    case OPT_WINDOW: return tool_parse_int("--window", optarg, 1, INT64_MAX, &r->window);
    case OPT_GROUPS:
        return tool_parse_ints("--groups", optarg, 0, INT64_MAX, GROUPS_MAX, r->groups, &r->group_count);
    case OPT_WIDTHS:
        return tool_parse_ints("--widths", optarg, 1, INT64_MAX, PAVE_MAX_LAYERS, r->widths, &r->width_count);
    case OPT_OP: return tool_parse_word("--op", optarg, tool_ops, &r->op);
    case OPT_ACTIVATION: return tool_parse_word("--activation", optarg, tool_activations, &r->activation);
    case OPT_REDUCE: return tool_parse_word("--reduce", optarg, tool_reductions, &r->reduction);
    case OPT_TYPE: return tool_parse_word("--type", optarg, tool_types, &r->type);
    case OPT_PRECISION: return tool_parse_word("--precision", optarg, tool_precisions, &r->precision);
    case OPT_PACKED: r->packed = true; return true;
    case OPT_NO_BIAS: r->no_bias = true; return true;
    case OPT_KERNEL: r->kernel = optarg; return true;
    case OPT_JSON: r->json = true; return true;
    }
    return false;
}

static bool complete(request *r, pave_op op) {
    bool grouped = op == PAVE_OP_GROUPED;
    if (grouped != (r->group_count > 0)) return tool_error("--groups and --op grouped go together"), false;
    if (!r->m && !grouped) return tool_error("--m is missing"), false;
    if (r->m && grouped) return tool_error("--m: the rows of groups are in --groups"), false;
    if (r->k < 0) return tool_error("--k is missing"), false;
    if ((r->transpose_a || r->transpose_b || r->shared_b) && op != PAVE_OP_MATMUL && !grouped)
        return tool_error("--transpose-a, --transpose-b and --shared-b are for --op matmul"), false;
    if (r->across && op != PAVE_OP_REDUCE) return tool_error("--across is for --op reduce"), false;
    if (op == PAVE_OP_MAP) return true;
    if (op == PAVE_OP_REDUCE) {
        if (r->reduction && r->reduction->value) return true;
        return tool_error("--reduce is missing: which reduction?"), false;
    }
    if (r->n && r->width_count) return tool_error("--n and --widths exclude each other"), false;
    if (r->n) r->widths[r->width_count++] = r->n;
    if (!r->width_count) return tool_error("--n or --widths is missing"), false;
    if (op != PAVE_OP_MLP && r->width_count > 1)
        return tool_error("--widths: %s has one width; --op mlp takes more", tool_word_of(tool_ops, op)),
               false;
    return true;
}

static int device_info(const char *name, pave_device_info *info) {
    if (name && pave_device_info_by_name(name, info) == PAVE_OK) return TOOL_OK;
    char names[1024];
    snprintf(names, sizeof names, "%s", name ? pave_last_message() : "");
    pave_device *device;
    pave_status status = pave_device_open(name, &device);
    if (!status) status = pave_device_describe(device, info);
    if (!status) return TOOL_OK;
    if (status != PAVE_E_INVALID || !name) return tool_fail(status, "opening the device");
    /* Neither a known name nor a selector: both lists are what the user needs. */
    tool_fail(status, "--device %s: %s", name, names);
    return TOOL_NO_DEVICE;
}

static int print_plan(const pave_plan *plan, bool json) {
    pave_plan_format format = json ? PAVE_PLAN_JSON : PAVE_PLAN_TEXT;
    size_t needed = 0;
    pave_status status = pave_plan_print(plan, format, NULL, 0, &needed);
    char *text = status ? NULL : malloc(needed + 1);
    if (text) status = pave_plan_print(plan, format, text, needed + 1, NULL);
    if (!text || status) {
        free(text);
        return tool_fail(status, "printing the plan");
    }
    fputs(text, stdout);
    if (needed && text[needed - 1] != '\n') putchar('\n');
    free(text);
    return TOOL_OK;
}

static int make_plan(const request *r, pave_op op, const pave_device_info *info) {
    pave_link_op activations[PAVE_MAX_LAYERS] = {PAVE_LINK_NONE};
    for (size_t i = 0; r->activation && i < r->width_count; i++)
        if (op != PAVE_OP_MLP || i + 1 < r->width_count) activations[i] = (pave_link_op)r->activation->value;
    pave_dtype type = r->type ? (pave_dtype)r->type->value : PAVE_F32;
    pave_problem_params problem = {.size = sizeof problem,
                                   .op = op,
                                   .m = r->m,
                                   .k = r->k,
                                   .shared_b = r->shared_b,
                                   .transpose_a = r->transpose_a,
                                   .transpose_b = r->transpose_b,
                                   .group_rows = r->groups,
                                   .group_count = r->group_count,
                                   .across = r->across,
                                   .window = r->window,
                                   .widths = r->widths,
                                   .layer_count = r->width_count,
                                   .x_type = type,
                                   .w_type = type,
                                   .no_bias = r->no_bias,
                                   .weights_packed = r->packed,
                                   .activations = activations,
                                   .reduction = r->reduction ? (pave_reduction)r->reduction->value : 0,
                                   .precision =
                                       r->precision ? (pave_precision)r->precision->value : PAVE_HIGH,
                                   .kernel = r->kernel};
    if (op == PAVE_OP_MATMUL) {
        problem.batch = r->batch;
    } else if (__builtin_mul_overflow(r->m, r->batch, &problem.m)) {
        tool_error("--batch: %lld times --m overflows", (long long)r->batch);
        return TOOL_USAGE;
    }
    pave_plan *plan;
    pave_status status = pave_plan_create(info, &problem, &plan);
    if (status) return tool_fail(status, "planning"), TOOL_FAILED;
    int code = print_plan(plan, r->json);
    pave_plan_destroy(&plan);
    return code;
}

int cmd_plan(int argc, char **argv) {
    request r = {.k = -1, .batch = 1};
    for (int c; (c = tool_option(argc, argv, options)) != -1;) {
        if (c == 'h') return puts(help), TOOL_OK;
        if (c == '?' || !take(c, &r)) return TOOL_USAGE;
    }
    pave_op op = r.op            ? (pave_op)r.op->value
                 : r.group_count ? PAVE_OP_GROUPED
                 : r.width_count ? PAVE_OP_MLP
                                 : PAVE_OP_LINEAR;
    if (!complete(&r, op)) return TOOL_USAGE;
    pave_device_info info = {.size = sizeof info};
    int code = device_info(r.device, &info);
    return code ? code : make_plan(&r, op, &info);
}
