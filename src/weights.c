/* SPDX-License-Identifier: Apache-2.0
 * Constant operands: the forms that plans want are packed once and kept beside the original. */
#include "src/ops/ops.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Rows of x for which the first form is chosen: enough that a large tile is the plan. */
#define TYPICAL_ROWS 4096

/* How W lies, as planning and packing see it. */
static pave__operand operand_of(const pave_tensor *w) {
    pave__space none;
    pave__space_begin(&none, 0, NULL);
    pave__space_place(&none, NULL, 0, 0);
    pave__operand o = {0};
    pave__at at;
    pave__space_operand(&none, w, NULL, w->shape[1] == 1 ? 0 : w->strides[1], &o, &at);
    o.row = w->shape[0] == 1 ? 0 : w->strides[0];
    if (o.row != 1) o.align = pave__align_of(o.align | (uint64_t)o.row * pave_dtype_bytes(w->type));
    o.packed = 1;
    return o;
}

/* Asks the planner which form a typical linear wants and makes it now, so that first use costs nothing. */
static pave_status pack_typical(pave_weights *weights, pave_queue *queue, pave_precision precision) {
    pave__problem p;
    memset(&p, 0, sizeof p);
    const pave_tensor *w = &weights->w;
    p.op = PAVE_OP_LINEAR;
    p.batch[0] = p.batch[1] = p.batch[2] = 1;
    p.m = TYPICAL_ROWS;
    p.k = w->shape[1];
    p.x = (pave__operand){.row = p.k, .col = 1, .align = 256, .type = (uint8_t)w->type};
    p.y = (pave__operand){.row = w->shape[0], .col = 1, .align = 256, .type = (uint8_t)w->type};
    p.precision = (uint8_t)precision;
    p.layer_count = 1;
    p.layers[0].n = w->shape[0];
    p.layers[0].w = operand_of(w);
    pave_plan *plan;
    pave_status status = pave__plan_get(weights->context, &p, &plan);
    if (status) return status;
    for (int i = 0; !status && i < plan->data.step_count; i++) {
        const pave__ref *b = &plan->data.steps[i].in1;
        void *memory;
        if (b->place == PAVE__AT_PACKED)
            status = pave__weights_memory(weights, queue, b->type, b->row, &memory);
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
    pave__reach reach;
    pave_status status = pave__check_tensor(queue->context, w, "w", false, &reach);
    if (status) return status;
    if (w->rank != 2) return pave__fail(PAVE_E_INVALID, "w: rank %d is not 2", w->rank);
    pave_weights *weights = calloc(1, sizeof *weights);
    if (!weights) return pave__fail(PAVE_E_HOST_MEMORY, "no memory for weights");
    pthread_mutex_init(&weights->lock, NULL);
    weights->id = pave__new_id();
    weights->context = pave__context_retain(queue->context);
    weights->w = *w;
    pave__buffer_retain(w->buffer);
    if (w->shape[0] && w->shape[1]) status = pack_typical(weights, queue, precision);
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
    pave__operand o = operand_of(w);
    pave__ref from = {.row = o.row, .col = o.col, .place = PAVE__AT_W, .type = o.type};
    pave__ref to = {.row = ld, .col = 1, .place = PAVE__AT_PACKED, .type = (uint8_t)type};
    pave__step step;
    size_t count;
    const pave__row *rows = pave__rows(&count);
    const pave_device_info *device = &weights->context->device->info;
    if (!pave__plan_pack(device, pave__backend_of(device), rows, count, w->shape[0], w->shape[1], ld, &from,
                         &to, &step))
        return pave__fail(PAVE_E_UNSUPPORTED, "no map row for %s", device->name);
    pave_abi_rows args = {.rows = w->shape[0],
                          .cols = w->shape[1],
                          .width = ld,
                          .batch = {1, 1, 1},
                          .x = {.offset = (int64_t)w->offset, .row = o.row, .col = o.col},
                          .y = {.row = ld, .col = 1},
                          .slots = pave__has_scales(type) ? w->shape[0] * ld * pave__type_bytes(type) : 0,
                          .x_type = (int32_t)w->type,
                          .y_type = type};
    void *buffers[PAVE_ROWS_BUFFERS] = {w->buffer->memory, target};
    pave_status status = pave__launch_step(queue, &step, &args, sizeof args, buffers, PAVE_ROWS_BUFFERS);
    /* Done before another queue may see it; this happens once a form. */
    return status ? status : pave_queue_finish(queue);
}

static pave_status make_form(pave_weights *weights, pave_queue *queue, int type, int64_t ld,
                             pave__form **out) {
    int64_t elems, bytes;
    if (__builtin_mul_overflow(weights->w.shape[0], ld + pave__scale_elems(type), &elems) ||
        __builtin_mul_overflow(elems, pave__type_bytes(type), &bytes))
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
