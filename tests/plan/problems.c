/* SPDX-License-Identifier: Apache-2.0
 * Fills in problems for the planner's tests. */
#include "problems.h"

#include <assert.h>
#include <string.h>

static int64_t elem_bytes(int type) {
    return type == PAVE_T_F32 ? 4 : 2;
}

static uint32_t align_of(int64_t ld, int type) {
    uint64_t bits = (uint64_t)(ld * elem_bytes(type)) | 256;
    return (uint32_t)(bits & (~bits + 1));
}

void case_problem(const plan_case *c, pave__problem *q) {
    memset(q, 0, sizeof *q);
    int layers = 0;
    while (layers < SHAPE_LAYERS && c->widths[layers]) layers++;
    q->op = (uint8_t)(layers == 0 ? PAVE_OP_REDUCE : layers == 1 ? PAVE_OP_LINEAR : PAVE_OP_MLP);
    q->m = c->m;
    q->k = c->k;
    q->ldx = c->k + c->pad > 0 ? c->k + c->pad : 1;
    q->x_type = (uint8_t)(c->x_type ? c->x_type : PAVE_T_F32);
    q->y_type = PAVE_T_F32;
    q->x_align = align_of(q->ldx, q->x_type);
    q->y_align = 256;
    q->precision = (uint8_t)c->precision;
    q->reduction = (uint8_t)c->reduction;
    q->layer_count = (uint8_t)layers;
    int64_t k = c->k;
    for (int i = 0; i < layers; i++) {
        pave__player *w = &q->layers[i];
        w->n = c->widths[i];
        w->ldw = k + c->pad > 0 ? k + c->pad : 1;
        w->w_type = (uint8_t)(c->w_type ? c->w_type : PAVE_T_F32);
        w->w_align = align_of(w->ldw, w->w_type);
        w->w_packed = (uint8_t)c->packed;
        w->links[w->link_count++] = (pave__plink){PAVE_LINK_ADD, PAVE_OPERAND_ROW, PAVE_T_F32, 0};
        if (c->activation && i + 1 < layers)
            w->links[w->link_count++] = (pave__plink){(uint8_t)c->activation, 0, 0, 0};
        k = w->n;
    }
    q->ldy = c->reduction ? 1 : k;
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
    return pave__plan_make(pave__device_named(c->device), case_backend(c), rows, count, problem, c->forced,
                           plan);
}
