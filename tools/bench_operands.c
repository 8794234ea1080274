/* SPDX-License-Identifier: Apache-2.0
 * Operands of a measured case and its launch. Inputs and weights are made several times over, so that none is still in a cache
 * when its turn comes again: between two uses of a layer come all others. */
#include "tools/bench.h"

#include <stdlib.h>
#include <string.h>

#define ROTATED_MAX 64
#define PATTERN_BYTES (4u << 20)

/* Links of a case's chain by letter: b a bias, R a residual, M a whole tensor and c a column to multiply by; r relu, s
 * sigmoid, g gelu, S silu, h half of it. */
struct bench_operands {
    struct operand_set {
        pave_buffer *x, *w[BENCH_LAYERS_MAX];
        pave_weights *weights[BENCH_LAYERS_MAX];
    } sets[ROTATED_MAX];
    pave_buffer *y, *bias[BENCH_LAYERS_MAX], *full, *column;
    int rotated;
};

static uint16_t random_half(pave_dtype type, uint32_t r) {
    /* Uniform sign, exponents of [1/8, 1): normal in all types. */
    uint32_t exponent = r >> 8 & 1;
    if (type == PAVE_BF16) return (uint16_t)((r & 0x8000) | (124 + exponent) << 7 | (r & 0x7f));
    return (uint16_t)((r & 0x8000) | (12 + exponent) << 10 | (r >> 16 & 0x3ff));
}

static uint8_t random_float8(pave_dtype type, uint32_t r) {
    uint32_t exponent = r >> 8 & 1;
    if (type == PAVE_E5M2) return (uint8_t)((r >> 8 & 0x80) | (12 + exponent) << 2 | (r >> 16 & 3));
    return (uint8_t)((r >> 8 & 0x80) | (4 + exponent) << 3 | (r >> 16 & 7));
}

static pave_status fill_random(tool_session *s, pave_buffer *buffer, pave_dtype type, uint32_t seed) {
    uint64_t bytes = pave_buffer_bytes(buffer), piece = bytes < PATTERN_BYTES ? bytes : PATTERN_BYTES;
    uint8_t *data = malloc(piece ? (size_t)piece : 1);
    if (!data) return PAVE_E_HOST_MEMORY;
    for (uint64_t i = 0; i + pave_dtype_bytes(type) <= piece; i += pave_dtype_bytes(type)) {
        seed = seed * 1664525u + 1013904223u;
        float f = (float)(int32_t)seed * 0x1p-31f;
        uint16_t half = random_half(type, seed ^ seed >> 13);
        if (type == PAVE_F32)
            memcpy(data + i, &f, sizeof f);
        else if (pave_dtype_bytes(type) == 1)
            data[i] = random_float8(type, seed ^ seed >> 13);
        else
            memcpy(data + i, &half, sizeof half);
    }
    pave_status status = PAVE_OK;
    for (uint64_t at = 0; at < bytes && !status; at += piece)
        status = pave_buffer_write(s->queue, buffer, at, data, bytes - at < piece ? bytes - at : piece,
                                   PAVE_BLOCK, NULL);
    free(data);
    return status;
}

static pave_status make_random(tool_session *s, int64_t elems, pave_dtype type, uint32_t seed,
                               pave_buffer **buffer) {
    pave_status status = pave_buffer_create(s->context, (uint64_t)elems * pave_dtype_bytes(type), buffer);
    return status ? status : fill_random(s, *buffer, type, seed);
}

static int64_t matrices(const bench_case *c) {
    return c->batch ? c->batch : 1;
}

static int64_t width_of(const bench_case *c) {
    return c->layer_count ? c->widths[c->layer_count - 1] : c->k;
}

static bool one_value(pave_reduction r) {
    return r && r != PAVE_REDUCE_SOFTMAX && r != PAVE_REDUCE_LOG_SOFTMAX && r != PAVE_REDUCE_NORMALIZE;
}

static int64_t y_elems(const bench_case *c) {
    return matrices(c) * c->m * (one_value(c->reduction) ? 1 : width_of(c));
}

int64_t bench_group_rows(const bench_case *c, int64_t g) {
    /* Busy groups share the rows as 1 : 2 : … , the last takes what division left. */
    int64_t busy = c->busy ? c->busy : c->groups, shares = busy * (busy + 1) / 2;
    if (g >= busy) return 0;
    int64_t rows = c->m * (g + 1) / shares;
    if (g < busy - 1) return rows;
    int64_t before = 0;
    for (int64_t i = 0; i < g; i++) before += c->m * (i + 1) / shares;
    return c->m - before;
}

static int64_t w_matrices(const bench_case *c) {
    return c->op == PAVE_OP_GROUPED ? c->groups : matrices(c);
}

static uint64_t set_bytes(const bench_case *c) {
    int64_t elems = matrices(c) * c->m * c->k, k = c->k;
    for (size_t i = 0; i < c->layer_count; k = c->widths[i++]) elems += w_matrices(c) * c->widths[i] * k;
    return (uint64_t)elems * pave_dtype_bytes(c->type);
}

static pave_status make_set(tool_session *s, const bench_case *c, uint32_t seed, struct operand_set *set) {
    int64_t k = c->k;
    pave_status status = make_random(s, matrices(c) * c->m * k, c->type, seed, &set->x);
    for (size_t i = 0; i < c->layer_count && !status; i++) {
        int64_t n = c->widths[i];
        status = make_random(s, w_matrices(c) * n * k, c->type, seed + 101 + (uint32_t)i, &set->w[i]);
        pave_tensor w = pave_tensor_2d(set->w[i], c->type, n, k);
        bool chain = c->op == PAVE_OP_MLP || c->op == PAVE_OP_LINEAR;
        if (!status && chain) status = pave_weights_create(s->queue, &w, c->precision, &set->weights[i]);
        k = n;
    }
    return status;
}

pave_status bench_operands_make(tool_session *s, const bench_case *c, bench_operands **out) {
    bench_operands *o = *out = calloc(1, sizeof *o);
    if (!o) return PAVE_E_HOST_MEMORY;
    uint64_t bytes = set_bytes(c), rotated = bytes ? 2 * s->info.l2_bytes / bytes + 1 : 1;
    o->rotated = rotated > ROTATED_MAX ? ROTATED_MAX : (int)rotated;
    pave_status status = PAVE_OK;
    for (int i = 0; i < o->rotated && !status; i++) status = make_set(s, c, 1 + (uint32_t)i, &o->sets[i]);
    for (size_t i = 0; i < c->layer_count && !status; i++)
        status = make_random(s, c->widths[i], PAVE_F32, 201 + (uint32_t)i, &o->bias[i]);
    if (!status) status = make_random(s, c->m, PAVE_F32, 301, &o->column);
    if (!status && c->chain && strpbrk(c->chain, "RM"))
        status = make_random(s, c->m * width_of(c), PAVE_F32, 302, &o->full);
    if (!status) status = pave_buffer_create(s->context, (uint64_t)y_elems(c) * 4, &o->y);
    return status;
}

static void free_set(struct operand_set *set) {
    pave_buffer_destroy(&set->x);
    for (int i = 0; i < BENCH_LAYERS_MAX; i++) {
        pave_weights_destroy(&set->weights[i]);
        pave_buffer_destroy(&set->w[i]);
    }
}

void bench_operands_free(bench_operands *o) {
    if (!o) return;
    for (int i = 0; i < ROTATED_MAX; i++) free_set(&o->sets[i]);
    for (int i = 0; i < BENCH_LAYERS_MAX; i++) pave_buffer_destroy(&o->bias[i]);
    pave_buffer_destroy(&o->y);
    pave_buffer_destroy(&o->full);
    pave_buffer_destroy(&o->column);
    free(o);
}

int bench_operands_rotated(const bench_operands *o) {
    return o->rotated;
}

static size_t make_chain(const bench_case *c, const bench_operands *o, pave_link *links) {
    size_t count = 0;
    for (const char *p = c->chain; p && *p && count < PAVE_MAX_LINKS; p++) {
        pave_link l = {0};
        switch (*p) {
        case 'b':
            l = (pave_link){PAVE_LINK_ADD, 0, 0, pave_tensor_1d(o->bias[0], PAVE_F32, width_of(c))};
            break;
        case 'R':
            l = (pave_link){PAVE_LINK_ADD, 0, 0, pave_tensor_2d(o->full, PAVE_F32, c->m, width_of(c))};
            break;
        case 'M':
            l = (pave_link){PAVE_LINK_MUL, 0, 0, pave_tensor_2d(o->full, PAVE_F32, c->m, width_of(c))};
            break;
        case 'c': l = (pave_link){PAVE_LINK_MUL, 0, 0, pave_tensor_2d(o->column, PAVE_F32, c->m, 1)}; break;
        case 'h': l = (pave_link){.op = PAVE_LINK_MUL, .a = 0.5f}; break;
        case 'r': l.op = PAVE_LINK_RELU; break;
        case 's': l.op = PAVE_LINK_SIGMOID; break;
        case 'g': l.op = PAVE_LINK_GELU_ERF; break;
        default: l.op = PAVE_LINK_SILU;
        }
        links[count++] = l;
    }
    return count;
}

static pave_tensor output(const bench_case *c, const bench_operands *o) {
    int64_t shape[3] = {matrices(c), c->m, width_of(c)};
    pave_tensor y = pave_tensor_make(o->y, PAVE_F32, 3, shape);
    if (one_value(c->reduction)) y = pave_tensor_make(o->y, PAVE_F32, 2, shape);
    if (c->reduction == PAVE_REDUCE_ARGMAX) y.type = PAVE_I32;
    return y;
}

static pave_status launch_rows(tool_session *s, const bench_case *c, const bench_operands *o,
                               const struct operand_set *set, const pave_sync *sync, pave_plan **plan) {
    pave_link links[PAVE_MAX_LINKS];
    size_t count = make_chain(c, o, links);
    int64_t turned[2] = {c->k, c->m}, straight[2] = {c->m, c->k};
    pave_tensor in = pave_tensor_make(set->x, c->type, 2, c->across ? turned : straight);
    if (c->op == PAVE_OP_MAP) {
        pave_map_params p = {.size = sizeof p,
                             .x = in,
                             .y = pave_tensor_2d(o->y, PAVE_F32, c->m, c->k),
                             .links = links,
                             .link_count = count};
        if (c->across) { /* x is the other way round in memory */
            p.x = pave_tensor_2d(set->x, c->type, c->m, c->k);
            p.x.strides[0] = 1, p.x.strides[1] = c->m;
        }
        return plan ? pave_plan_map(s->context, &p, plan) : pave_map(s->queue, &p, sync);
    }
    pave_reduce_params p = {
        .size = sizeof p, .x = in, .reduction = c->reduction, .axis_from_last = c->across};
    p.y = one_value(c->reduction) ? pave_tensor_1d(o->y, PAVE_F32, c->m)
                                  : pave_tensor_make(o->y, PAVE_F32, 2, in.shape);
    if (c->reduction == PAVE_REDUCE_ARGMAX) p.y.type = PAVE_I32;
    return plan ? pave_plan_reduce(s->context, &p, plan) : pave_reduce(s->queue, &p, sync);
}

static pave_status launch_matmul(tool_session *s, const bench_case *c, const bench_operands *o,
                                 const struct operand_set *set, const pave_sync *sync, pave_plan **plan) {
    pave_link links[PAVE_MAX_LINKS];
    int64_t n = c->widths[0], a[3] = {matrices(c), c->m, c->k};
    int64_t b[3] = {matrices(c), c->transpose_b ? n : c->k, c->transpose_b ? c->k : n};
    pave_matmul_params p = {.size = sizeof p,
                            .a = pave_tensor_make(set->x, c->type, 3, a),
                            .b = pave_tensor_make(set->w[0], c->type, 3, b),
                            .y = output(c, o),
                            .transpose_b = c->transpose_b,
                            .precision = c->precision,
                            .epilogue = {.links = links, .reduction = c->reduction}};
    p.epilogue.link_count = make_chain(c, o, links);
    return plan ? pave_plan_matmul(s->context, &p, plan) : pave_matmul(s->queue, &p, sync);
}

static pave_status launch_grouped(tool_session *s, const bench_case *c, const bench_operands *o,
                                  const struct operand_set *set, const pave_sync *sync, pave_plan **plan) {
    pave_group groups[BENCH_GROUPS_MAX];
    int64_t first = 0, n = c->widths[0];
    uint64_t size = pave_dtype_bytes(c->type);
    for (int64_t g = 0; g < c->groups; g++) {
        int64_t rows = bench_group_rows(c, g);
        groups[g] = (pave_group){pave_tensor_2d(set->x, c->type, rows, c->k),
                                 pave_tensor_2d(set->w[0], c->type, n, c->k),
                                 pave_tensor_2d(o->y, PAVE_F32, rows, n)};
        groups[g].a.offset = (uint64_t)(first * c->k) * size;
        groups[g].b.offset = (uint64_t)(g * n * c->k) * size;
        groups[g].y.offset = (uint64_t)(first * n) * 4;
        first += rows;
    }
    pave_link links[PAVE_MAX_LINKS];
    pave_grouped_params p = {.size = sizeof p,
                             .groups = groups,
                             .group_count = (size_t)c->groups,
                             .transpose_b = 1,
                             .bias = pave_tensor_1d(o->bias[0], PAVE_F32, n),
                             .precision = c->precision,
                             .epilogue = {.links = links}};
    p.epilogue.link_count = make_chain(c, o, links);
    return plan ? pave_plan_grouped(s->context, &p, plan) : pave_matmul_grouped(s->queue, &p, sync);
}

static pave_status launch_mlp(tool_session *s, const bench_case *c, const bench_operands *o,
                              const struct operand_set *set, const pave_sync *sync, pave_plan **plan) {
    pave_link sigmoid = {.op = PAVE_LINK_SIGMOID}, links[PAVE_MAX_LINKS];
    pave_layer layers[BENCH_LAYERS_MAX];
    for (size_t i = 0; i < c->layer_count; i++) {
        layers[i] = (pave_layer){.weights = set->weights[i],
                                 .links = &sigmoid,
                                 .link_count = c->sigmoid && i + 1 < c->layer_count};
        if (!c->chain) layers[i].bias = pave_tensor_1d(o->bias[i], PAVE_F32, c->widths[i]);
    }
    pave_mlp_params p = {.size = sizeof p,
                         .x = pave_tensor_2d(set->x, c->type, c->m, c->k),
                         .y = output(c, o),
                         .layers = layers,
                         .layer_count = c->layer_count,
                         .epilogue = {.links = links, .reduction = c->reduction},
                         .precision = c->precision};
    p.y = one_value(c->reduction) ? pave_tensor_1d(o->y, p.y.type, c->m)
                                  : pave_tensor_2d(o->y, PAVE_F32, c->m, width_of(c));
    p.epilogue.link_count = make_chain(c, o, links);
    return plan ? pave_plan_mlp(s->context, &p, plan) : pave_mlp(s->queue, &p, sync);
}

pave_status bench_launch(tool_session *s, const bench_case *c, const bench_operands *o, int index,
                         const pave_sync *sync, pave_plan **plan) {
    const struct operand_set *set = &o->sets[index % o->rotated];
    switch (c->op) {
    case PAVE_OP_REDUCE:
    case PAVE_OP_MAP: return launch_rows(s, c, o, set, sync, plan);
    case PAVE_OP_MATMUL: return launch_matmul(s, c, o, set, sync, plan);
    case PAVE_OP_GROUPED: return launch_grouped(s, c, o, set, sync, plan);
    default: return launch_mlp(s, c, o, set, sync, plan);
    }
}

void bench_count(const bench_case *c, bench_result *r) {
    double size = (double)pave_dtype_bytes(c->type), rows = (double)(matrices(c) * c->m), k = (double)c->k;
    double copies = c->op == PAVE_OP_GROUPED ? (double)(c->busy ? c->busy : c->groups) : (double)matrices(c);
    r->bytes = rows * k * size;
    r->flops = c->layer_count ? 0 : rows * k;
    for (size_t i = 0; i < c->layer_count; i++) {
        double n = (double)c->widths[i];
        r->flops += 2 * rows * n * k;
        r->bytes += copies * n * k * size + 4 * n;
        k = n;
    }
    for (const char *p = c->chain; p && *p; p++)
        if (*p == 'R' || *p == 'M') r->bytes += 4 * rows * k;
    r->bytes += 4 * (double)y_elems(c);
}
