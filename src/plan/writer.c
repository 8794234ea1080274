/* SPDX-License-Identifier: Apache-2.0
 * The names of the planner's numbers. */
#include "src/plan/writer.h"

#include "kernels/epilogue/links.h"
#include "kernels/reduce/reductions.h"

static const char *word(const char *const *words, size_t count, int at) {
    return at >= 0 && (size_t)at < count && words[at] ? words[at] : "?";
}
#define WORD(words, at) word(words, sizeof(words) / sizeof(words)[0], at)

const char *pave__type_name(int type) {
    static const char *const words[] = {"none", "f32",  "f16",   "bf16", "tf32",
                                        "i32",  "f16s", "f16x2", "e4m3", "e5m2"};
    return WORD(words, type);
}
const char *pave__path_name(int path) {
    static const char *const words[] = {"fma", "tf32", "f16", "bf16", "f8"};
    return WORD(words, path);
}
const char *pave__bound_name(int bound) {
    static const char *const words[] = {"compute", "l2", "memory", "launch", "latency"};
    return WORD(words, bound);
}
const char *pave__reduction_name(int reduction) {
#define NAME(ENUM, name, formula, empty, states, wide) [PAVE_REDUCE_##ENUM] = #name,
    static const char *const words[] = {[PAVE_REDUCE_NONE] = "none", PAVE_REDUCTIONS(NAME)};
#undef NAME
    return WORD(words, reduction);
}
const char *pave__precision_name(int precision) {
    static const char *const words[] = {"high", "highest", "medium"};
    return WORD(words, precision);
}
const char *pave__op_name(int op) {
    static const char *const words[] = {NULL, "linear", "reduce", "mlp", "matmul", "grouped", "map"};
    return WORD(words, op);
}
const char *pave__place_name(int place) {
    static const char *const words[] = {"none", "x", "w", "packed", "y", "unreduced", "workspace"};
    return WORD(words, place);
}
const char *pave__family_name(int family) {
    static const char *const words[] = {"gemm", "reduce", "join", "normalize", "map", "peak"};
    return WORD(words, family);
}
const char *pave__why_name(int why) {
    static const char *const words[] = {"none",    "precision", "type",   "capability", "kind",   "shared",
                                        "threads", "fuse",      "forced", "slower",     "alloc",  "filled",
                                        "backend", "pack",      "grid",   "grouped",    "length", "split",
                                        "build",   "proof",     "whole",  "float8"};
    return WORD(words, why);
}

const char *pave__link_name(int op) {
    switch (op) {
    case PAVE_LINK_ADD: return "add";
    case PAVE_LINK_SUB: return "sub";
    case PAVE_LINK_MUL: return "mul";
    case PAVE_LINK_DIV: return "div";
#define NAME(ENUM, name, formula, expr, lipschitz, rel, arg) \
    case PAVE_LINK_##ENUM: return #name;
        PAVE_ACTIVATIONS(NAME)
#undef NAME
    default: return "?";
    }
}

double pave__peak_share(const pave_device_info *device, const pave__step *step) {
    double peak = device->flops[step->row->path];
    if (step->row->family != PAVE__GEMM || peak <= 0 || step->predicted.ns <= 0) return 0;
    return step->predicted.flops / (step->predicted.ns * 1e-9 * peak);
}
