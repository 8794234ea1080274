/* SPDX-License-Identifier: Apache-2.0
 * Constant operands: the forms that plans want are packed once and kept beside the original. */
#include "src/ops/ops.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Rows of x for which the first form is chosen: enough that a large tile is the plan. */
#define TYPICAL_ROWS 4096

/* Asks the planner which form a typical linear wants and makes it now, so that first use costs nothing. */
static pave_status pack_typical(pave_weights *weights, pave_queue *queue, pave_precision precision) {
    pave__problem p;
    memset(&p, 0, sizeof p);
    const pave_tensor *w = &weights->w;
    pave__matrix v;
    pave_status status = pave__check_matrix(weights->context, w, "w", &v);
    if (status) return status;
    p.op = PAVE_OP_LINEAR;
    p.m = TYPICAL_ROWS;
    p.k = v.cols;
    p.ldx = v.ld;
    p.x_type = p.y_type = (uint8_t)w->type;
    p.x_align = p.y_align = 256;
    p.ldy = v.rows;
    p.precision = (uint8_t)precision;
    p.layer_count = 1;
    p.layers[0] = (pave__player){
        .n = v.rows, .ldw = v.ld, .w_align = v.align, .w_type = (uint8_t)w->type, .w_packed = 1};
    pave_plan *plan;
    status = pave__plan_get(weights->context, &p, &plan);
    if (status) return status;
    for (int i = 0; !status && i < plan->data.step_count; i++) {
        const pave__ref *b = &plan->data.steps[i].in1;
        void *memory;
        if (b->place == PAVE__AT_PACKED)
            status = pave__weights_memory(weights, queue, b->type, b->ld, &memory);
    }
    pave__plan_release(plan);
    return status;
}

pave_status pave_weights_create(pave_queue *queue, const pave_tensor *w, pave_precision precision,
                                pave_weights **out) {
    if (!out) return pave__fail(PAVE_E_INVALID, "weights is NULL");
    *out = NULL;
    if (!queue) return pave__fail(PAVE_E_INVALID, "queue is NULL");
    if (!w) return pave__fail(PAVE_E_INVALID, "w is NULL");
    if ((int)precision < 0 || precision > PAVE_MEDIUM)
        return pave__fail(PAVE_E_INVALID, "precision: %d is none of HIGHEST, HIGH, MEDIUM", (int)precision);
    pave__matrix v;
    pave_status status = pave__check_matrix(queue->context, w, "w", &v);
    if (status) return status;
    if (w->rank != 2) return pave__fail(PAVE_E_INVALID, "w: rank %d is not 2", w->rank);
    pave_weights *weights = calloc(1, sizeof *weights);
    if (!weights) return pave__fail(PAVE_E_HOST_MEMORY, "no memory for weights");
    pthread_mutex_init(&weights->lock, NULL);
    weights->context = pave__context_retain(queue->context);
    weights->w = *w;
    pave__buffer_retain(w->buffer);
    if (v.rows && v.cols) status = pack_typical(weights, queue, precision);
    if (status) {
        pave_weights_destroy(&weights);
        return status;
    }
    *out = weights;
    return PAVE_OK;
}

void pave_weights_destroy(pave_weights **handle) {
    if (!handle || !*handle) return;
    pave_weights *weights = *handle;
    *handle = NULL;
    while (weights->forms) {
        pave__form *form = weights->forms;
        weights->forms = form->next;
        pave__buffer_release(form->buffer);
        free(form);
    }
    pave__buffer_release(weights->w.buffer);
    pave__context_release(weights->context);
    pthread_mutex_destroy(&weights->lock);
    free(weights);
}

static pave_status launch_pack(const pave_weights *weights, pave_queue *queue, int type, int64_t ld,
                               void *target) {
    const pave_tensor *w = &weights->w;
    pave__matrix v;
    pave_status status = pave__check_matrix(weights->context, w, "w", &v);
    if (status) return status;
    pave__step step;
    size_t count;
    const pave__row *rows = pave__rows(&count);
    const pave_device_info *device = &weights->context->device->info;
    if (!pave__plan_pack(device, pave__backend_of(device), rows, count, v.rows, v.cols, ld, &step))
        return pave__fail(PAVE_E_UNSUPPORTED, "no pack row for %s", device->name);
    pave_abi_pack args = {.rows = v.rows,
                          .cols = v.cols,
                          .cols_out = ld,
                          .ldx = v.ld,
                          .ldy = ld,
                          .x_offset = (int64_t)w->offset,
                          .x_type = (int32_t)w->type,
                          .y_type = type};
    void *buffers[PAVE_PACK_BUFFERS] = {w->buffer->memory, target};
    status = pave__launch_step(queue, &step, &args, sizeof args, buffers, PAVE_PACK_BUFFERS);
    /* Done before another queue may see it; this happens once a form. */
    return status ? status : pave_queue_finish(queue);
}

static pave_status make_form(pave_weights *weights, pave_queue *queue, int type, int64_t ld,
                             pave__form **out) {
    int64_t elems, bytes, size = type == PAVE_T_F32 || type == PAVE_T_TF32 ? 4 : 2;
    if (__builtin_mul_overflow(weights->w.shape[0], ld, &elems) ||
        __builtin_mul_overflow(elems, size, &bytes))
        return pave__fail(PAVE_E_UNSUPPORTED, "weights: %" PRId64 " rows of %" PRId64 " overflow",
                          weights->w.shape[0], ld);
    pave__form *form = calloc(1, sizeof *form);
    if (!form) return pave__fail(PAVE_E_HOST_MEMORY, "no memory for packed weights");
    form->type = (uint8_t)type;
    form->ld = ld;
    pave_status status = pave_buffer_create(weights->context, (uint64_t)bytes, &form->buffer);
    if (!status) status = launch_pack(weights, queue, type, ld, form->buffer->memory);
    if (status) {
        pave_buffer_destroy(&form->buffer);
        free(form);
        return status;
    }
    *out = form;
    return PAVE_OK;
}

pave_status pave__weights_memory(const pave_weights *constant, pave_queue *queue, int type, int64_t ld,
                                 void **memory) {
    pave_weights *weights = (pave_weights *)constant; /* the forms are a cache behind its lock */
    pave_status status = PAVE_OK;
    pthread_mutex_lock(&weights->lock);
    pave__form *form = weights->forms;
    while (form && (form->type != type || form->ld != ld)) form = form->next;
    if (!form) {
        status = make_form(weights, queue, type, ld, &form);
        if (!status) {
            form->next = weights->forms;
            weights->forms = form;
        }
    }
    if (!status) *memory = form->buffer->memory;
    pthread_mutex_unlock(&weights->lock);
    return status;
}
