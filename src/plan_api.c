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

const char *pave__forced_rows(void) {
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

pave_status pave__plan_new(const pave_device_info *device, const pave__bars *bars,
                           const pave__problem *problem, const char *forced, pave_plan **out) {
    pave_plan *plan = calloc(1, sizeof *plan);
    char *copy = forced ? strdup(forced) : NULL;
    if (!plan || (forced && !copy)) {
        free(plan);
        free(copy);
        return pave__fail(PAVE_E_HOST_MEMORY, "no memory for a plan");
    }
    atomic_init(&plan->refs, 1);
    plan->id = pave__new_id();
    plan->forced = copy;
    plan->bars = bars ? bars->count : 0;
    plan->device = *device;
    memcpy(&plan->problem, problem, problem_bytes(problem));
    size_t count;
    const pave__row *rows = pave__rows(&count);
    pave_status status = pave__plan_make(device, pave__backend_of(device), rows, count, bars, &plan->problem,
                                         forced, &plan->data);
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
    for (pave_plan *p = context->plans[hash % PAVE__BUCKETS]; p; p = p->next)
        if (p->hash == hash && same_forced(p->forced, forced) && same_problem(&p->problem, problem)) return p;
    return NULL;
}

/* The plan that nobody asked for for longest makes room. */
static void cache_drop(pave_context *context) {
    pave_plan **oldest = NULL;
    for (int b = 0; b < PAVE__BUCKETS; b++)
        for (pave_plan **link = &context->plans[b]; *link; link = &(*link)->next)
            if (!oldest || (*link)->used < (*oldest)->used) oldest = link;
    pave_plan *plan = *oldest;
    *oldest = plan->next;
    context->plan_count--;
    pave__plan_release(plan);
}

static void cache_add(pave_context *context, pave_plan *plan) {
    pave_plan **bucket = &context->plans[plan->hash % PAVE__BUCKETS];
    if (context->plan_count == CACHED_PLANS_MAX) cache_drop(context);
    atomic_fetch_add(&plan->refs, 1);
    plan->next = *bucket;
    *bucket = plan;
    context->plan_count++;
}

void pave__plans_drop(pave_context *context) {
    for (int b = 0; b < PAVE__BUCKETS; b++)
        while (context->plans[b]) {
            pave_plan *plan = context->plans[b];
            context->plans[b] = plan->next;
            pave__plan_release(plan);
        }
    context->plan_count = 0;
}

pave_status pave__plan_get(pave_context *context, const pave__problem *problem, pave_plan **out) {
    const char *forced = pave__forced_rows();
    uint64_t hash = XXH3_64bits(problem, problem_bytes(problem));
    pave_status status = PAVE_OK;
    pthread_mutex_lock(&context->lock);
    pave_plan *plan = cache_find(context, problem, forced, hash);
    if (plan) {
        atomic_fetch_add(&plan->refs, 1);
    } else {
        status = pave__plan_new(&context->device->info, &context->bars, problem, forced, &plan);
        if (!status) {
            plan->hash = hash;
            cache_add(context, plan);
        }
    }
    if (!status) plan->used = ++context->plan_clock;
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

/* Packed forms are of float32 operands. */
static pave_dtype public_type(int type) {
    return type == PAVE_T_TF32 || pave__has_scales(type) ? PAVE_F32 : (pave_dtype)type;
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
                               .in_type = public_type(row->a_type),
                               .b_type = public_type(row->b_type),
                               .precision = (pave_precision)row->precision,
                               .align = row->align};
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
