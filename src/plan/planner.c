/* SPDX-License-Identifier: Apache-2.0
 * Lowers a problem to steps: decides a chain's types between its layers, where everything lies in the
 * workspace, and how a closing reduction is done. Which row does a layer is candidates.c's; how long it
 * takes, model.c's. */
#include "src/plan/candidates.h"

#include <string.h>

/* Operations an element that a reduction and a join cost beside their exponentials' own few. */
#define REDUCE_FLOPS 16
#define STATE_BYTES 8

/* The workspace is four areas, each as large as its largest tenant. Layer i writes its output to output[i &
 * 1] while it reads output[(i - 1) & 1]; the pack areas are used up by the gemm that follows. */
typedef enum area { AREA_OUT0, AREA_OUT1, AREA_PACK_A, AREA_PACK_B, AREA_COUNT } area;

typedef struct builder {
    pave__planning p;
    const pave__problem *problem;
    uint64_t area_bytes[AREA_COUNT];
    uint64_t area_offset[AREA_COUNT];
    int overflow; /* a size left 64 bits */
} builder;

static void reserve(builder *b, area where, int64_t rows, int64_t ld, int elem_bytes) {
    uint64_t bytes;
    if (__builtin_mul_overflow((uint64_t)rows, (uint64_t)ld, &bytes) ||
        __builtin_mul_overflow(bytes, (uint64_t)elem_bytes, &bytes) || bytes > INT64_MAX / 8) {
        b->overflow = 1;
        return;
    }
    bytes = (bytes + 255) / 256 * 256;
    if (bytes == 0) bytes = 256; /* an empty operand still has an address */
    if (bytes > b->area_bytes[where]) b->area_bytes[where] = bytes;
}

/* Until all areas are known, offset holds the area's number. */
static pave__ref in_area(area where, int type, int64_t ld) {
    return (pave__ref){
        .offset = (int64_t)where, .ld = ld, .place = PAVE__AT_WORKSPACE, .type = (uint8_t)type};
}

static pave__step *add_step(builder *b, const pave__row *row, int32_t layer,
                            const pave__prediction *predicted) {
    pave__step *step = &b->p.plan->steps[b->p.plan->step_count++];
    memset(step, 0, sizeof *step);
    step->row = row;
    step->layer = layer;
    step->group_m = 1;
    step->predicted = *predicted;
    return step;
}

static int32_t last_layer(const builder *b) {
    return (int32_t)b->problem->layer_count - 1;
}

static int64_t width_into(const builder *b, int32_t layer) {
    return layer == 0 ? b->problem->k : b->problem->layers[layer - 1].n;
}

static pave__work work_of(const builder *b, int32_t layer, int y_type) {
    const pave__problem *q = b->problem;
    pave__work work = {.m = q->m,
                       .n = q->layers[layer].n,
                       .k = width_into(b, layer),
                       .layer = &q->layers[layer],
                       .y_type = (uint8_t)y_type,
                       .index = layer};
    if (layer == 0) {
        work.x_type = q->x_type;
        work.ldx = q->ldx;
        work.x_align = q->x_align;
    }
    if (layer == last_layer(b)) work.reduction = q->reduction;
    return work;
}

static pave__ref pack_operand(builder *b, area where, const pave__form *form, pave__ref from, int64_t rows,
                              int64_t k, int32_t layer, const pave__prediction *predicted) {
    pave__step *step = add_step(b, pave__choose_pack(&b->p), layer, predicted);
    reserve(b, where, rows, form->ld, pave__type_bytes(form->type));
    step->m = rows;
    step->k = k;
    step->n = form->ld;
    step->in0 = from;
    step->out = in_area(where, form->type, form->ld);
    return step->out;
}

static uint32_t links_of(const pave__player *layer) {
    uint32_t mask = 0;
    for (int i = 0; i < layer->link_count; i++) mask |= UINT32_C(1) << layer->links[i].op;
    return mask;
}

/* The steps of one layer: what it needs packed, then the gemm. */
static void emit_layer(builder *b, int32_t layer, const pave__choice *c, int y_type, int64_t y_ld) {
    const pave__problem *q = b->problem;
    const pave__player *w = &q->layers[layer];
    int64_t k = width_into(b, layer);
    area out = (area)(layer & 1), in = (area)(1 - out);

    pave__ref a = {.place = PAVE__AT_X, .type = q->x_type, .ld = q->ldx};
    if (layer > 0) a = in_area(in, c->a.type, c->a.ld);
    if (c->a.route == PAVE__REPACK) a = pack_operand(b, AREA_PACK_A, &c->a, a, q->m, k, layer, &c->pack_a);
    pave__ref weights = {.place = PAVE__AT_W, .type = w->w_type, .ld = w->ldw};
    if (c->b.route == PAVE__REPACK)
        weights = pack_operand(b, AREA_PACK_B, &c->b, weights, w->n, k, layer, &c->pack_b);
    else if (c->b.route == PAVE__PACKED)
        weights = (pave__ref){.place = PAVE__AT_PACKED, .type = c->b.type, .ld = c->b.ld};

    pave__step *step = add_step(b, c->row, layer, &c->gemm);
    step->m = q->m;
    step->n = w->n;
    step->k = k;
    step->in0 = a;
    step->in1 = weights;
    step->group_m = c->group_m;
    step->use_links = w->link_count > 0;
    step->link_mask = links_of(w);
    if (layer == last_layer(b) && q->reduction && c->row->slice > 0) {
        step->reduction = q->reduction;
        step->slots = pave__div_up(w->n, c->row->slice);
        step->partial = in_area(out, PAVE_T_F32, step->slots);
        reserve(b, out, q->m, step->slots, STATE_BYTES);
    } else if (layer == last_layer(b) && !q->reduction) {
        step->out = (pave__ref){.place = PAVE__AT_Y, .type = q->y_type, .ld = q->ldy};
    } else {
        step->out = in_area(out, y_type, y_ld);
        reserve(b, out, q->m, y_ld, pave__type_bytes(y_type));
    }
}

/* The closing launch of a reduction: over x, over logits in the workspace, or over states that a gemm left.
 */
static pave_status emit_reduction(builder *b, pave__family family, pave__ref in, int64_t cols,
                                  int64_t slots) {
    const pave__problem *q = b->problem;
    int join = family == PAVE__JOIN;
    pave__row_load load = {.rows = q->m,
                           .cols = join ? slots : cols,
                           .elem_bytes = join ? STATE_BYTES : pave__type_bytes(in.type),
                           .out_bytes = (double)q->m * pave__type_bytes(q->y_type),
                           .flops_per_elem = REDUCE_FLOPS};
    int32_t layer = q->layer_count ? last_layer(b) : 0;
    pave__prediction predicted = {0};
    const pave__row *row = pave__choose_rows(&b->p, family, &load, layer, &predicted);
    if (!row) return PAVE_E_UNSUPPORTED;
    pave__step *step = add_step(b, row, layer, &predicted);
    step->m = q->m;
    step->n = cols;
    step->slots = slots;
    step->reduction = q->reduction;
    step->in0 = in;
    step->out = (pave__ref){.place = PAVE__AT_Y, .type = q->y_type, .ld = q->ldy};
    return PAVE_OK;
}

static pave_status close_chain(builder *b) {
    const pave__problem *q = b->problem;
    if (!q->reduction) return PAVE_OK;
    int32_t last = last_layer(b);
    int64_t n = q->layers[last].n;
    const pave__plan_data *plan = b->p.plan;
    const pave__step *gemm = plan->step_count ? &plan->steps[plan->step_count - 1] : NULL;
    if (n > 0 && gemm->partial.place == PAVE__AT_WORKSPACE)
        return emit_reduction(b, PAVE__JOIN, gemm->partial, n, gemm->slots);
    if (n > 0) return emit_reduction(b, PAVE__REDUCE, gemm->out, n, 0);
    reserve(b, AREA_OUT0, 0, 0, 4);
    return emit_reduction(b, PAVE__REDUCE, in_area(AREA_OUT0, PAVE_T_F32, 0), 0, 0);
}

/* Rows are chosen from the last layer to the first, because a layer's output has the type that its reader's
 * row wants; a layer does not see what that type saves the layer before it. */
static pave_status plan_chain(builder *b) {
    const pave__problem *q = b->problem;
    pave__choice choice;
    uint8_t y_types[PAVE_MAX_LAYERS];
    int64_t y_lds[PAVE_MAX_LAYERS];
    int y_type = q->reduction ? PAVE_T_F32 : q->y_type;
    int64_t y_ld = q->reduction ? pave__own_ld(q->layers[last_layer(b)].n, PAVE_T_F32, 16) : q->ldy;
    for (int32_t i = last_layer(b); i >= 0; i--) {
        y_types[i] = (uint8_t)y_type;
        y_lds[i] = y_ld;
        if (i == 0) break;
        y_type = PAVE_T_F32;
        if (q->layers[i].n > 0) {
            pave__work work = work_of(b, i, y_types[i]);
            choice = pave__choose_gemm(&b->p, &work, 0);
            if (choice.row) y_type = choice.a.type;
            y_ld = choice.row ? choice.a.ld : pave__own_ld(work.k, y_type, 16);
        }
    }
    for (int32_t i = 0; i <= last_layer(b); i++) {
        if (q->layers[i].n == 0) continue;
        pave__work work = work_of(b, i, y_types[i]);
        choice = pave__choose_gemm(&b->p, &work, 1);
        if (!choice.row) return PAVE_E_UNSUPPORTED;
        emit_layer(b, i, &choice, y_types[i], y_lds[i]);
    }
    return close_chain(b);
}

/* Lays the areas out and turns area numbers into offsets. */
static pave_status place_areas(builder *b) {
    pave__plan_data *plan = b->p.plan;
    uint64_t total = 0;
    for (int i = 0; i < AREA_COUNT; i++) {
        b->area_offset[i] = total;
        total += b->area_bytes[i];
    }
    uint64_t most = b->p.device->alloc_bytes_max;
    if (b->overflow || (most && total > most)) {
        double need = b->overflow ? 18446744073709551616.0 : (double)total;
        plan->refusal_count -= plan->refusal_count == PAVE__REFUSALS_MAX; /* this one must be seen */
        pave__refuse(&b->p, plan->steps[plan->step_count - 1].row, last_layer(b), PAVE__WHY_ALLOC,
                     (double)most, need);
        return PAVE_E_UNSUPPORTED;
    }
    for (int32_t i = 0; i < plan->step_count; i++) {
        pave__step *step = &plan->steps[i];
        pave__ref *refs[] = {&step->in0, &step->in1, &step->out, &step->partial};
        for (int r = 0; r < 4; r++)
            if (refs[r]->place == PAVE__AT_WORKSPACE)
                refs[r]->offset = (int64_t)b->area_offset[refs[r]->offset];
    }
    plan->workspace_bytes = total;
    return PAVE_OK;
}

static pave_status place_grids(builder *b) {
    pave__plan_data *plan = b->p.plan;
    for (int32_t i = 0; i < plan->step_count; i++) {
        pave__step *step = &plan->steps[i];
        if (!pave__set_grid(b->p.device, step)) {
            pave__refuse(&b->p, step->row, step->layer, PAVE__WHY_GRID, PAVE__GRID_X_MAX,
                         (double)step->predicted.tiles);
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

pave_status pave__plan_make(const pave_device_info *device, pave__backend_id backend, const pave__row *rows,
                            size_t row_count, const pave__problem *problem, const char *forced,
                            pave__plan_data *plan) {
    builder b = {
        .p = {device, backend, rows, row_count, forced && *forced ? forced : NULL, problem->precision, plan},
        .problem = problem};
    plan->workspace_bytes = 0;
    plan->predicted_ns = 0;
    plan->step_count = plan->refusal_count = 0;
    if (b.p.forced && pave__check_forced(rows, row_count, b.p.forced) != PAVE_OK) return PAVE_E_INVALID;
    if (problem->m == 0) return PAVE_OK;
    int reduces = problem->op == PAVE_OP_REDUCE;
    if (!reduces && problem->layers[last_layer(&b)].n == 0 && !problem->reduction) return PAVE_OK;

    pave__ref x = {.place = PAVE__AT_X, .type = problem->x_type, .ld = problem->ldx};
    pave_status status = reduces ? emit_reduction(&b, PAVE__REDUCE, x, problem->k, 0) : plan_chain(&b);
    if (status == PAVE_OK) status = place_areas(&b);
    if (status == PAVE_OK) status = place_grids(&b);
    if (status != PAVE_OK) {
        plan->step_count = 0;
        keep_telling_refusals(plan);
    }
    return status;
}
