/* SPDX-License-Identifier: Apache-2.0
 * Plans as objects: made from problems, cached in a context, checked, printed, and the rows they are made of.
 */
#include "src/ops/ops.h"
#include "src/plan/writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A server with ever new shapes must not grow without end. */
#define CACHED_PLANS_MAX 128

static size_t problem_bytes(const pave__problem *p) {
    return offsetof(pave__problem, layers) + p->layer_count * sizeof p->layers[0];
}

static bool same_problem(const pave__problem *a, const pave__problem *b) {
    return a->layer_count == b->layer_count && memcmp(a, b, problem_bytes(a)) == 0;
}

static const char *forced_rows(void) {
    const char *value = getenv("PAVE_KERNEL");
    return value && *value ? value : NULL;
}

static bool same_forced(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Turns a plan that could not be made into the message that says why. */
static pave_status refuse(const pave_device_info *device, const pave__plan_data *data) {
    char text[6144] = "", part[512];
    pave__writer w = {text, sizeof text, 0};
    for (int i = 0; i < data->refusal_count; i++) {
        pave__refusal_text(&data->refusals[i], part, sizeof part);
        pave__write(&w, "%s%s", i ? "; " : "", part);
    }
    return pave__fail(PAVE_E_UNSUPPORTED, "no plan for this problem on %s: %s", device->name, text);
}

pave_status pave__plan_new(const pave_device_info *device, const pave__problem *problem, const char *forced,
                           pave_plan **out) {
    pave_plan *plan = calloc(1, sizeof *plan);
    char *copy = forced ? strdup(forced) : NULL;
    if (!plan || (forced && !copy)) {
        free(plan);
        free(copy);
        return pave__fail(PAVE_E_HOST_MEMORY, "no memory for a plan");
    }
    atomic_init(&plan->refs, 1);
    plan->forced = copy;
    plan->device = *device;
    memcpy(&plan->problem, problem, problem_bytes(problem));
    size_t count;
    const pave__row *rows = pave__rows(&count);
    pave_status status =
        pave__plan_make(device, pave__backend_of(device), rows, count, &plan->problem, forced, &plan->data);
    if (status == PAVE_E_UNSUPPORTED) refuse(device, &plan->data);
    if (status == PAVE_E_INVALID) pave__fail(status, "PAVE_KERNEL: \"%s\" names no kernel row", forced);
    if (status) {
        pave__plan_release(plan);
        return status;
    }
    *out = plan;
    return PAVE_OK;
}

void pave__plan_release(pave_plan *plan) {
    if (atomic_fetch_sub(&plan->refs, 1) != 1) return;
    free(plan->forced);
    free(plan);
}

void pave_plan_destroy(pave_plan **plan) {
    if (!plan || !*plan) return;
    pave__plan_release(*plan);
    *plan = NULL;
}

static pave_plan *cache_find(pave_context *context, const pave__problem *problem, const char *forced,
                             uint64_t hash) {
    for (pave_plan *p = context->plans; p; p = p->next)
        if (p->hash == hash && same_forced(p->forced, forced) && same_problem(&p->problem, problem)) return p;
    return NULL;
}

static void cache_add(pave_context *context, pave_plan *plan) {
    atomic_fetch_add(&plan->refs, 1);
    plan->next = context->plans;
    context->plans = plan;
    if (++context->plan_count <= CACHED_PLANS_MAX) return;
    pave_plan **last = &context->plans;
    while ((*last)->next) last = &(*last)->next;
    pave__plan_release(*last);
    *last = NULL;
    context->plan_count--;
}

pave_status pave__plan_get(pave_context *context, const pave__problem *problem, pave_plan **out) {
    const char *forced = forced_rows();
    uint64_t hash = XXH3_64bits(problem, problem_bytes(problem));
    pave_status status = PAVE_OK;
    pthread_mutex_lock(&context->lock);
    pave_plan *plan = cache_find(context, problem, forced, hash);
    if (plan) {
        atomic_fetch_add(&plan->refs, 1);
    } else {
        status = pave__plan_new(&context->device->info, problem, forced, &plan);
        if (!status) {
            plan->hash = hash;
            cache_add(context, plan);
        }
    }
    pthread_mutex_unlock(&context->lock);
    if (!status) *out = plan;
    return status;
}

pave_status pave__plan_check(const pave_plan *plan, const pave_context *context,
                             const pave__problem *problem) {
    const pave_device_info *device = &context->device->info;
    if (strcmp(plan->device.name, device->name) || strcmp(plan->device.backend, device->backend))
        return pave__fail(PAVE_E_INVALID, "params->plan: made for %s (%s), not for %s (%s)",
                          plan->device.name, plan->device.backend, device->name, device->backend);
    if (!same_problem(&plan->problem, problem))
        return pave__fail(PAVE_E_INVALID,
                          "params->plan: made for another problem (shape, strides, alignment, types, links, "
                          "precision or reduction differ)");
    return PAVE_OK;
}

pave_status pave__plan_of(pave_context *context, const pave__lowered *lowered, pave_plan **plan) {
    if (lowered->nothing) return pave__fail(PAVE_E_INVALID, "the problem is empty: there is nothing to plan");
    return pave__plan_get(context, &lowered->problem, plan);
}

static pave_status bad_type(const char *name, int type) {
    return pave__fail(PAVE_E_INVALID, "problem->%s: %d is none of f32, f16, bf16", name, type);
}

static pave_status check_shape(const pave_problem_params *q) {
    if (q->op < PAVE_OP_LINEAR || q->op > PAVE_OP_MLP)
        return pave__fail(PAVE_E_INVALID, "problem->op: %d is no operation", (int)q->op);
    if (q->m < 1 || q->k < 0)
        return pave__fail(PAVE_E_INVALID, "problem: m %" PRId64 " and k %" PRId64 " are no shape to plan",
                          q->m, q->k);
    if (q->op == PAVE_OP_REDUCE) {
        if (q->reduction < PAVE_REDUCE_LOGSUMEXP || (int)q->reduction > PAVE__REDUCE_LAST)
            return pave__fail(PAVE_E_INVALID, "problem->reduction: %d is no reduction", (int)q->reduction);
    } else if (!q->widths || q->layer_count < 1 || q->layer_count > PAVE_MAX_LAYERS ||
               (q->op == PAVE_OP_LINEAR && q->layer_count != 1)) {
        return pave__fail(PAVE_E_INVALID, "problem->layer_count: %zu widths", q->layer_count);
    }
    if ((int)q->reduction < 0 || (int)q->reduction > PAVE__REDUCE_LAST)
        return pave__fail(PAVE_E_INVALID, "problem->reduction: %d is no reduction", (int)q->reduction);
    if ((int)q->precision < 0 || q->precision > PAVE_MEDIUM)
        return pave__fail(PAVE_E_INVALID, "problem->precision: %d is no precision", (int)q->precision);
    if (q->x_type && !pave_dtype_bytes(q->x_type)) return bad_type("x_type", q->x_type);
    if (q->w_type && !pave_dtype_bytes(q->w_type)) return bad_type("w_type", q->w_type);
    if (q->y_type && !pave_dtype_bytes(q->y_type)) return bad_type("y_type", q->y_type);
    return PAVE_OK;
}

/* A contiguous matrix's row stride, and the alignment that an allocation's start gives its rows. */
static uint32_t contiguous_align(int64_t ld, int type) {
    return pave__align_of((uint64_t)ld * pave_dtype_bytes((pave_dtype)type));
}

static pave_status shape_layer(const pave_problem_params *q, size_t i, int64_t k, pave__player *out) {
    int type = q->w_type ? q->w_type : PAVE_F32;
    if (q->widths[i] < 1)
        return pave__fail(PAVE_E_INVALID, "problem->widths[%zu]: %" PRId64 " is no width to plan", i,
                          q->widths[i]);
    out->n = q->widths[i];
    out->ldw = k;
    out->w_type = (uint8_t)type;
    out->w_align = contiguous_align(k, type);
    out->w_packed = q->weights_packed != 0;
    if (!q->no_bias)
        out->links[out->link_count++] = (pave__plink){PAVE_LINK_ADD, PAVE_OPERAND_ROW, (uint8_t)type, 0};
    pave_link_op op = q->activations ? q->activations[i] : PAVE_LINK_NONE;
    if (op < PAVE_LINK_NONE || (int)op > PAVE__LINK_LAST)
        return pave__fail(PAVE_E_INVALID, "problem->activations[%zu]: %d is no link", i, (int)op);
    if (op) out->links[out->link_count++] = (pave__plink){.op = (uint8_t)op};
    return PAVE_OK;
}

static pave_status shape_problem(const pave_problem_params *q, pave__problem *p) {
    pave_status status = check_shape(q);
    if (status) return status;
    p->op = (uint8_t)(q->op == PAVE_OP_MLP && q->layer_count == 1 ? PAVE_OP_LINEAR : q->op);
    p->m = q->m;
    p->k = q->k;
    p->ldx = q->k ? q->k : 1;
    p->x_type = (uint8_t)(q->x_type ? q->x_type : PAVE_F32);
    p->y_type = (uint8_t)(q->y_type ? q->y_type : PAVE_F32);
    p->x_align = contiguous_align(p->ldx, p->x_type);
    p->reduction = (uint8_t)q->reduction;
    p->precision = (uint8_t)(q->op == PAVE_OP_REDUCE ? 0 : q->precision);
    p->layer_count = (uint8_t)(q->op == PAVE_OP_REDUCE ? 0 : q->layer_count);
    int64_t k = q->k;
    for (size_t i = 0; !status && i < p->layer_count; i++) {
        status = shape_layer(q, i, k, &p->layers[i]);
        k = q->widths[i];
    }
    p->ldy = p->reduction ? 1 : k;
    p->y_align = contiguous_align(p->ldy, p->y_type);
    return status;
}

pave_status pave_plan_create(const pave_device_info *device, const pave_problem_params *problem,
                             pave_plan **plan) {
    if (!plan) return pave__fail(PAVE_E_INVALID, "plan is NULL");
    *plan = NULL;
    if (!device) return pave__fail(PAVE_E_INVALID, "device is NULL");
    if (device->size != sizeof *device)
        return pave__fail(PAVE_E_INVALID, "device->size is %zu where this library has %zu", device->size,
                          sizeof *device);
    if (!problem) return pave__fail(PAVE_E_INVALID, "problem is NULL");
    if (problem->size != sizeof *problem)
        return pave__fail(PAVE_E_INVALID, "problem->size is %zu where this library has %zu", problem->size,
                          sizeof *problem);
    pave__problem p;
    memset(&p, 0, sizeof p);
    pave_status status = shape_problem(problem, &p);
    const char *forced = problem->kernel && *problem->kernel ? problem->kernel : forced_rows();
    return status ? status : pave__plan_new(device, &p, forced, plan);
}

pave_status pave_plan_print(const pave_plan *plan, pave_plan_format format, char *text, size_t capacity,
                            size_t *needed) {
    if (!plan) return pave__fail(PAVE_E_INVALID, "plan is NULL");
    if (capacity && !text) return pave__fail(PAVE_E_INVALID, "text is NULL with capacity %zu", capacity);
    if (format != PAVE_PLAN_TEXT && format != PAVE_PLAN_JSON)
        return pave__fail(PAVE_E_INVALID, "format: %d is neither TEXT nor JSON", (int)format);
    long n = pave__plan_text(&plan->device, &plan->problem, &plan->data, format, text, capacity);
    if (n < 0) return pave__fail(PAVE_E_HOST_MEMORY, "no memory to print a plan");
    if (needed) *needed = (size_t)n;
    return PAVE_OK;
}

double pave_plan_predicted_ns(const pave_plan *plan) {
    return plan ? plan->data.predicted_ns : 0;
}

uint64_t pave_plan_workspace_bytes(const pave_plan *plan) {
    return plan ? plan->data.workspace_bytes : 0;
}

size_t pave_plan_step_count(const pave_plan *plan) {
    return plan ? (size_t)plan->data.step_count : 0;
}

const char *pave_plan_step_kernel(const pave_plan *plan, size_t step) {
    return step < pave_plan_step_count(plan) ? plan->data.steps[step].row->name : NULL;
}

pave_status pave_kernel_describe(size_t index, const pave_device *device, pave_kernel_info *info,
                                 int32_t *usable) {
    size_t count;
    const pave__row *row = pave__rows(&count) + index;
    if (index >= count) return pave__fail(PAVE_E_NOT_FOUND, "index: %zu of %zu kernel rows", index, count);
    if (!info) return pave__fail(PAVE_E_INVALID, "info is NULL");
    if (info->size != sizeof *info)
        return pave__fail(PAVE_E_INVALID, "info->size is %zu where this library has %zu", info->size,
                          sizeof *info);
    *info = (pave_kernel_info){.size = sizeof *info,
                               .name = row->name,
                               .family = pave__family_name(row->family),
                               .backend = pave__backend_name(row->backend),
                               .path = (pave_path)row->path,
                               .bm = row->bm,
                               .bn = row->bn,
                               .bk = row->bk,
                               /* Packed forms are of float32 operands. */
                               .in_type = row->a_type == PAVE_T_TF32 ? PAVE_F32 : (pave_dtype)row->a_type,
                               .precision = (pave_precision)row->precision};
    if (!usable) return PAVE_OK;
    *usable = 0;
    if (!device) return pave__fail(PAVE_E_INVALID, "device is NULL where usable is asked for");
    pave__refusal refusal;
    if (pave__row_refused(&device->info, pave__backend_of(&device->info), row, &refusal)) {
        char text[256];
        pave__refusal_text(&refusal, text, sizeof text);
        pave__fail(PAVE_E_UNSUPPORTED, "%s", text);
    } else {
        *usable = 1;
    }
    return PAVE_OK;
}
