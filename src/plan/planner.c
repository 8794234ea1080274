/* SPDX-License-Identifier: Apache-2.0
 * Lowers a problem to steps: decides a chain's types between its layers, where everything lies in the
 * workspace, and when there is nothing to launch. What one row makes of one layer is layer.c's, which row does it
 * candidates.c's, how the last layer's values are closed closing.c's. */
#include "src/plan/candidates.h"

#include <string.h>

typedef struct builder {
    pave__planning p;
    const pave__problem *problem;
    uint64_t area_bytes[PAVE__AREA_COUNT], area_offset[PAVE__AREA_COUNT];
} builder;

static int32_t last_layer(const builder *b) {
    return (int32_t)b->problem->layer_count - 1;
}

/* A bundle's launches become the plan's next steps. */
static void append(builder *b, const pave__bundle *bundle) {
    pave__plan_data *plan = b->p.plan;
    for (int32_t i = 0; i < bundle->count; i++) {
        plan->steps[plan->step_count] = bundle->steps[i];
        pave__mark_float8(&plan->steps[plan->step_count++]);
    }
    for (int i = 0; i < PAVE__AREA_COUNT; i++)
        if (bundle->area_bytes[i] > b->area_bytes[i]) b->area_bytes[i] = bundle->area_bytes[i];
}

/* Rows are chosen from the last layer to the first, because a layer's output has the type that its reader's
 * row wants; a layer does not see what that type saves the layer before it. */
static pave_status plan_chain(builder *b) {
    const pave__problem *q = b->problem;
    pave__form forms[PAVE_MAX_LAYERS] = {{0}};
    pave__bundle bundle;
    for (int32_t i = last_layer(b); i > 0; i--) {
        forms[i - 1] = (pave__form){PAVE_T_F32, 0, pave__own_ld(pave__width_into(q, i), PAVE_T_F32, 16)};
        if (q->layers[i].n == 0) continue;
        pave__work work = {q, i, forms[i]};
        pave__choice choice = pave__choose_gemm(&b->p, &work, false, &bundle);
        if (choice.row) forms[i - 1] = choice.in;
    }
    for (int32_t i = 0; i <= last_layer(b); i++) {
        if (q->layers[i].n == 0) continue;
        pave__work work = {q, i, forms[i]};
        if (!pave__choose_gemm(&b->p, &work, true, &bundle).row) return PAVE_E_UNSUPPORTED;
        append(b, &bundle);
    }
    if (q->layers[last_layer(b)].n > 0) return PAVE_OK;
    memset(&bundle, 0, sizeof bundle);
    if (!pave__close_empty(&b->p, q, &bundle)) return PAVE_E_UNSUPPORTED;
    append(b, &bundle);
    return PAVE_OK;
}

static pave_status plan_alone(builder *b) {
    pave__bundle bundle;
    memset(&bundle, 0, sizeof bundle);
    if (!pave__plan_rows(&b->p, b->problem, &bundle)) return PAVE_E_UNSUPPORTED;
    append(b, &bundle);
    return PAVE_OK;
}

/* Lays the areas out and turns area numbers into offsets. */
static pave_status place_areas(builder *b) {
    pave__plan_data *plan = b->p.plan;
    uint64_t total = 0, most = b->p.device->alloc_bytes_max ? b->p.device->alloc_bytes_max : UINT64_MAX - 1;
    for (int i = 0; i < PAVE__AREA_COUNT; i++) {
        b->area_offset[i] = total;
        if (__builtin_add_overflow(total, b->area_bytes[i], &total)) total = UINT64_MAX;
    }
    if (total > most) {
        plan->refusal_count -= plan->refusal_count == PAVE__REFUSALS_MAX; /* this one must be seen */
        const pave__step *last = &plan->steps[plan->step_count - 1];
        pave__refuse(&b->p, last->row, last->layer, PAVE__WHY_ALLOC, (double)most, (double)total);
        return PAVE_E_UNSUPPORTED;
    }
    for (int32_t i = 0; i < plan->step_count; i++) {
        pave__step *step = &plan->steps[i];
        pave__ref *refs[] = {&step->in0, &step->in1, &step->out, &step->partial};
        for (int r = 0; r < 4; r++)
            if (refs[r]->place == PAVE__AT_WORKSPACE)
                refs[r]->offset = (int64_t)b->area_offset[refs[r]->offset];
        if (step->groups > 0) step->table_offset = (int64_t)b->area_offset[step->table_offset];
    }
    plan->workspace_bytes = total;
    return PAVE_OK;
}

static pave_status place_grids(builder *b) {
    pave__plan_data *plan = b->p.plan;
    for (int32_t i = 0; i < plan->step_count; i++) {
        pave__step *step = &plan->steps[i];
        double need;
        if (!pave__set_grid(b->p.device, step, &need)) {
            pave__refuse(&b->p, step->row, step->layer, PAVE__WHY_GRID, PAVE__GRID_X_MAX, need);
            return PAVE_E_UNSUPPORTED;
        }
        plan->predicted_ns += step->predicted.ns;
    }
    return PAVE_OK;
}

/* Where nothing could be planned, rows that were merely not the forced ones say nothing about why. */
static void keep_telling_refusals(pave__plan_data *plan) {
    int32_t kept = 0;
    for (int32_t i = 0; i < plan->refusal_count; i++)
        if (plan->refusals[i].why != PAVE__WHY_FORCED) plan->refusals[kept++] = plan->refusals[i];
    if (kept > 0) plan->refusal_count = kept;
}

static bool writes_nothing(const pave__problem *q) {
    if (q->m == 0) return true;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++)
        if (q->batch[d] == 0) return true;
    int64_t width = q->layer_count ? q->layers[q->layer_count - 1].n : q->k;
    return width == 0 && (!q->reduction || pave__is_wide(q->reduction) || (q->layer_count && q->window > 0));
}

pave_status pave__plan_make(const pave_device_info *device, pave__backend_id backend, const pave__row *rows,
                            size_t row_count, const pave__bars *bars, const pave__problem *problem,
                            const char *forced, pave__plan_data *plan) {
    builder b = {.p = {.device = device,
                       .backend = backend,
                       .rows = rows,
                       .row_count = row_count,
                       .bars = bars,
                       .forced = forced && *forced ? forced : NULL,
                       .precision = problem->precision,
                       .plan = plan},
                 .problem = problem};
    plan->workspace_bytes = 0;
    plan->predicted_ns = 0;
    plan->step_count = plan->refusal_count = 0;
    if (b.p.forced && pave__check_forced(rows, row_count, b.p.forced) != PAVE_OK) return PAVE_E_INVALID;
    if (writes_nothing(problem)) return PAVE_OK;
    pave_status status = problem->layer_count ? plan_chain(&b) : plan_alone(&b);
    if (status == PAVE_OK) status = place_areas(&b);
    if (status == PAVE_OK) status = place_grids(&b);
    if (status != PAVE_OK) {
        plan->step_count = 0;
        keep_telling_refusals(plan);
    }
    return status;
}
