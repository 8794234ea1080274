/* SPDX-License-Identifier: Apache-2.0
 * Fills in problems for the planner's tests. */
#include "problems.h"

#include <assert.h>
#include <string.h>

static int64_t elem_bytes(int type) {
    if (PAVE_T_IS_F8(type)) return 1;
    return type == PAVE_T_F16 || type == PAVE_T_BF16 ? 2 : 4;
}

/* Of all strides but unit ones; the base is an allocation's start. */
static uint32_t align_of(const pave__operand *o) {
    uint64_t bits = 256, bytes = (uint64_t)elem_bytes(o->type);
    if (o->row != 1) bits |= (uint64_t)o->row * bytes;
    if (o->col != 1) bits |= (uint64_t)o->col * bytes;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++)
        if (o->batch[d] != 1) bits |= (uint64_t)o->batch[d] * bytes;
    return (uint32_t)(bits & (~bits + 1));
}

/* Matrices of rows × cols one after another, each row `pad` longer; stored column by column where `across`. */
static pave__operand matrices(const int64_t *batch, int64_t rows, int64_t cols, int type, int across,
                              int64_t pad) {
    pave__operand o = {.type = (uint8_t)(type ? type : PAVE_T_F32)};
    int64_t inner = across ? rows : cols, outer = across ? cols : rows, ld = inner + pad;
    o.row = rows > 1 ? (across ? 1 : ld) : 0;
    o.col = cols > 1 ? (across ? ld : 1) : 0;
    uint64_t step = (uint64_t)ld * (uint64_t)outer;
    for (int d = PAVE_BATCH_DIMS - 1; batch && d >= 0; d--) {
        if (batch[d] <= 1) continue;
        o.batch[d] = (int64_t)step;
        step *= (uint64_t)batch[d];
    }
    o.align = align_of(&o);
    return o;
}

static void add_layer(const plan_case *c, int64_t k, int i, int last, pave__problem *q) {
    pave__player *layer = &q->layers[i];
    int64_t n = layer->n = c->widths[i];
    const int64_t *batch = c->shared_w || c->op != PAVE_OP_MATMUL ? NULL : q->batch;
    layer->w = matrices(batch, n, k, c->w_type, c->w_across, c->pad);
    layer->w.packed = (uint8_t)c->packed;
    if (q->op != PAVE_OP_MATMUL && q->op != PAVE_OP_GROUPED)
        layer->links[layer->link_count++] = (pave__plink){PAVE_LINK_ADD, PAVE_OPERAND_ROW, PAVE_T_F32, 0};
    if (c->activation && !last)
        layer->links[layer->link_count++] = (pave__plink){(uint8_t)c->activation, 0, 0, 0};
}

/* y, over the space that the closing launch works on. */
static pave__operand result(const plan_case *c, const pave__problem *q, int64_t n) {
    int type = c->reduction == PAVE_REDUCE_ARGMAX ? PAVE_T_I32 : c->y_type;
    int wide = c->reduction == 0 || c->reduction >= PAVE_REDUCE_SOFTMAX;
    if (!c->reduction || !q->layer_count || !c->window)
        return matrices(q->batch, q->m, wide ? n : 1, type, c->y_across, 0);
    const int64_t batch[PAVE_BATCH_DIMS] = {q->batch[1], q->batch[2], q->m};
    return matrices(batch, n / c->window, wide ? c->window : 1, type, 0, 0);
}

void case_problem(const plan_case *c, pave__problem *q) {
    memset(q, 0, sizeof *q);
    int layers = 0;
    while (layers < SHAPE_LAYERS && c->widths[layers]) layers++;
    q->op = (uint8_t)(c->op         ? c->op
                      : layers == 0 ? PAVE_OP_REDUCE
                      : layers == 1 ? PAVE_OP_LINEAR
                                    : PAVE_OP_MLP);
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) q->batch[d] = c->batch[d] ? c->batch[d] : 1;
    q->m = c->m;
    q->k = c->k;
    q->window = c->window;
    q->groups = c->groups;
    q->group_rows = c->group_rows;
    q->x = matrices(q->batch, c->m, c->k, c->x_type, c->x_across, c->pad);
    q->precision = (uint8_t)c->precision;
    q->reduction = (uint8_t)c->reduction;
    q->layer_count = (uint8_t)layers;
    int64_t k = c->k;
    for (int i = 0; i < layers; i++) {
        add_layer(c, k, i, i + 1 == layers, q);
        k = c->widths[i];
    }
    q->y = result(c, q, k);
    if (c->unreduced) q->unreduced = matrices(q->batch, c->m, k, c->unreduced, c->u_across, 0);
    if (c->after)
        q->after[q->after_count++] = (pave__plink){
            (uint8_t)c->after, c->residual ? PAVE_OPERAND_FULL : PAVE_OPERAND_SCALAR, PAVE_T_F32, 0};
}

pave__backend_id case_backend(const plan_case *c) {
    const pave_device_info *device = pave__device_named(c->device);
    assert(device);
    return strcmp(device->backend, "cuda") == 0 ? PAVE__CUDA : PAVE__OPENCL;
}

pave_status case_plan(const plan_case *c, pave__problem *problem, pave__plan_data *plan) {
    size_t count;
    const pave__row *rows = pave__rows(&count);
    memset(plan, 0xA5, sizeof *plan);
    case_problem(c, problem);
    return pave__plan_make(pave__device_named(c->device), case_backend(c), rows, count, NULL, problem,
                           c->forced, plan);
}
