/* SPDX-License-Identifier: Apache-2.0
 * `pave run`: options, files and the closing report. The streaming itself is in stream.c. */
#include "tools/stream.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

static const char help[] =
    "usage: pave run --model M.safetensors --input X.npy --output Y.npy [OPTIONS]\n\n"
    "Runs linear, activation, ..., linear and a reduction of each row over an array.\n"
    "The model is a state_dict of PyTorch: NAME.weight [N, K] and, optionally, NAME.bias [N];\n"
    "layers in the natural order of their names. The input is float32 or float16, its last\n"
    "dimension the model's width; the output is float32.\n\n"
    "  --activation NAME    between layers: relu, sigmoid, tanh, gelu, silu, ... (default none)\n"
    "  --reduce NAME        logsumexp, sum, mean, max, min; without it the logits are written\n"
    "  --precision WORD     highest, high (default), medium\n"
    "  --layers A,B,...     these layers in this order; others in the file are left out\n"
    "  --device SELECTOR    as PAVE_BACKEND: auto, cuda[:N], opencl[:WHAT], host\n"
    "  --chunk-rows N       rows a step (default: by the device's memory)\n"
    "  --profile            kernels and device time\n"
    "  --json               the closing report as JSON\n"
    "  --quiet              no progress, no report\n\n"
    "exit codes: 0 ok, 1 failed, 2 wrong usage, 3 no device, 130 interrupted";

enum {
    OPT_MODEL = 256,
    OPT_INPUT,
    OPT_OUTPUT,
    OPT_ACTIVATION,
    OPT_REDUCE,
    OPT_PRECISION,
    OPT_LAYERS,
    OPT_DEVICE,
    OPT_CHUNK,
    OPT_PROFILE,
    OPT_JSON,
    OPT_QUIET
};

static const struct option options[] = {{"model", required_argument, NULL, OPT_MODEL},
                                        {"input", required_argument, NULL, OPT_INPUT},
                                        {"output", required_argument, NULL, OPT_OUTPUT},
                                        {"activation", required_argument, NULL, OPT_ACTIVATION},
                                        {"reduce", required_argument, NULL, OPT_REDUCE},
                                        {"precision", required_argument, NULL, OPT_PRECISION},
                                        {"layers", required_argument, NULL, OPT_LAYERS},
                                        {"device", required_argument, NULL, OPT_DEVICE},
                                        {"chunk-rows", required_argument, NULL, OPT_CHUNK},
                                        {"profile", no_argument, NULL, OPT_PROFILE},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"quiet", no_argument, NULL, OPT_QUIET},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};

static bool take(int c, run_request *r) {
    switch (c) {
    case OPT_MODEL: r->model_path = optarg; return true;
    case OPT_INPUT: r->input_path = optarg; return true;
    case OPT_OUTPUT: r->output_path = optarg; return true;
    case OPT_ACTIVATION: return tool_parse_word("--activation", optarg, tool_activations, &r->activation);
    case OPT_REDUCE: return tool_parse_word("--reduce", optarg, tool_reductions, &r->reduction);
    case OPT_PRECISION: return tool_parse_word("--precision", optarg, tool_precisions, &r->precision);
    case OPT_LAYERS: r->layers = optarg; return true;
    case OPT_DEVICE: r->device = optarg; return true;
    case OPT_CHUNK: return tool_parse_int("--chunk-rows", optarg, 1, INT64_MAX, &r->chunk_rows);
    case OPT_PROFILE: r->profile = true; return true;
    case OPT_JSON: r->json = true; return true;
    case OPT_QUIET: r->quiet = true; return true;
    }
    return false;
}

static bool complete(const run_request *r) {
    const char *missing = !r->model_path    ? "--model"
                          : !r->input_path  ? "--input"
                          : !r->output_path ? "--output"
                                            : NULL;
    if (missing) tool_error("%s is missing; --help shows the usage", missing);
    return !missing;
}

static double flops_of(const tool_model *model, int64_t rows) {
    double flops = 0;
    for (size_t i = 0; i < model->count; i++)
        flops += 2.0 * (double)rows * (double)model->layers[i].n * (double)model->layers[i].k;
    return flops;
}

static void report_json(const run_state *s) {
    json_t *kernels = json_array();
    for (size_t i = 0; i < s->kernel_count; i++) json_array_append_new(kernels, json_string(s->kernels[i]));
    json_t *root =
        json_pack("{s:I,s:I,s:I,s:f,s:s,s:s,s:s,s:f,s:f,s:o}", "rows", (json_int_t)s->input.rows, "chunks",
                  (json_int_t)s->chunks, "chunk_rows", (json_int_t)s->chunk_rows, "seconds", s->seconds,
                  "device", s->session.info.name, "selector", s->session.info.selector, "output",
                  s->request->output_path, "flops", flops_of(&s->model, s->input.rows), "device_seconds",
                  s->device_ns * 1e-9, "kernels", kernels);
    if (root) json_dumpf(root, stdout, JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(root);
}

static void report_text(const run_state *s) {
    char time[32], rate[32], flops[32];
    double seconds = s->seconds > 1e-9 ? s->seconds : 1e-9;
    if (seconds < 1)
        snprintf(time, sizeof time, "%.3g ms", seconds * 1e3);
    else
        snprintf(time, sizeof time, "%.2f s", seconds);
    tool_quantity(rate, sizeof rate, (double)s->input.rows / seconds, "");
    tool_quantity(flops, sizeof flops, flops_of(&s->model, s->input.rows) / seconds, "FLOP/s");
    if (s->request->profile) {
        printf("device time %.3f ms in %" PRId64 " chunk%s of up to %" PRId64 " rows; kernels:",
               s->device_ns * 1e-6, s->chunks, s->chunks == 1 ? "" : "s", s->chunk_rows);
        for (size_t i = 0; i < s->kernel_count; i++) printf(" %s", s->kernels[i]);
        putchar('\n');
    }
    printf("%" PRId64 " rows in %s on %s (%s): %srows/s, %s -> %s\n", s->input.rows, time,
           s->session.info.name, s->session.info.selector, rate, flops, s->request->output_path);
}

static int open_files(run_state *s) {
    const run_request *r = s->request;
    tool_why why;
    if (!model_open(r->model_path, r->layers, &s->model, &why)) {
        tool_error("%s: %s", r->model_path, why.text);
        return TOOL_FAILED;
    }
    if (!npy_open(r->input_path, &s->input, &why)) {
        tool_error("%s: %s", r->input_path, why.text);
        return TOOL_FAILED;
    }
    const model_layer *first = &s->model.layers[0];
    if (s->input.cols != first->k) {
        tool_error("%s: rows of %" PRId64 " values where '%s' in %s takes %" PRId64, r->input_path,
                   s->input.cols, first->weight->name, r->model_path, first->k);
        return TOOL_FAILED;
    }
    return TOOL_OK;
}

static int execute(run_state *s) {
    const run_request *r = s->request;
    int code = open_files(s);
    if (code) return code;
    code = tool_open(r->device, r->profile, &s->session);
    if (code) return code;
    tool_why why;
    pave_status status;
    pave_precision precision = r->precision ? (pave_precision)r->precision->value : PAVE_HIGH;
    if (!model_upload(&s->model, &s->session, precision, &status, &why)) {
        if (tool_interrupted()) return TOOL_INTERRUPTED;
        if (status) return tool_fail(status, "%s: %s", r->model_path, why.text), TOOL_FAILED;
        tool_error("%s: %s", r->model_path, why.text);
        return TOOL_FAILED;
    }
    return stream_run(s);
}

int cmd_run(int argc, char **argv) {
    run_request request = {0};
    for (int c; (c = tool_option(argc, argv, options)) != -1;) {
        if (c == 'h') return puts(help), TOOL_OK;
        if (c == '?' || !take(c, &request)) return TOOL_USAGE;
    }
    if (!complete(&request)) return TOOL_USAGE;
    tool_catch_interrupt();
    run_state state = {.request = &request, .input = {.fd = -1}, .model = {.file = {.fd = -1}}};
    int code = execute(&state);
    if (code == TOOL_OK && request.json)
        report_json(&state);
    else if (code == TOOL_OK && !request.quiet)
        report_text(&state);
    if (code == TOOL_INTERRUPTED) tool_error("interrupted; %s was not written", request.output_path);
    model_close(&state.model);
    npy_close(&state.input);
    tool_close(&state.session);
    return code;
}
