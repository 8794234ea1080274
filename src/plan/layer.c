/* SPDX-License-Identifier: Apache-2.0
 * What one gemm row makes of one layer: its operands in the form it reads, the gemm, and behind the last layer what closes the
 * plan, together with what all of it takes. */
#include "src/plan/candidates.h"

int64_t pave__width_into(const pave__problem *q, int32_t layer) {
    return layer == 0 ? q->k : q->layers[layer - 1].n;
}

uint32_t pave__link_mask(const pave__plink *links, int count) {
    const uint32_t binary =
        1u << PAVE_LINK_ADD | 1u << PAVE_LINK_SUB | 1u << PAVE_LINK_MUL | 1u << PAVE_LINK_DIV;
    uint32_t mask = 0;
    for (int i = 0; i < count; i++) {
        mask |= UINT32_C(1) << links[i].op;
        if (PAVE_T_IS_F8(links[i].type)) mask |= PAVE__MASK_F8_LINKS;
    }
    return mask & binary ? mask | binary : mask;
}

/* What reading an element moves: a kernel follows whichever stride is the shorter. */
static int element_bytes(const pave_device_info *device, const pave__ref *ref) {
    int bytes = pave__type_bytes(ref->type);
    int along = pave__reach_bytes(device, ref->col, bytes),
        across = pave__reach_bytes(device, ref->row, bytes);
    return along < across ? along : across;
}

double pave__gemm_out_bytes(const pave__step *gemm) {
    double rows = (double)(pave__is_joined(gemm) ? 1 : pave__batches(gemm->batch)) * (double)gemm->m;
    double states = gemm->partial.place ? rows * (double)gemm->slots * 2 * pave__type_bytes(PAVE_T_F32) : 0;
    return states + (gemm->out.place ? rows * (double)gemm->n * pave__type_bytes(gemm->out.type) : 0);
}

static pave__gemm_load load_of(const pave__planning *p, const pave__problem *q, const pave__step *gemm) {
    pave__gemm_load load = {
        .m = gemm->m, .n = gemm->n, .k = gemm->k, .groups = q->groups, .group_rows = q->group_rows};
    if (gemm->k_slice) load.k = gemm->k_slice;
    load.a_bytes = element_bytes(p->device, &gemm->in0);
    load.b_bytes = element_bytes(p->device, &gemm->in1);
    load.out_bytes = pave__gemm_out_bytes(gemm);
    if (pave__is_joined(gemm)) load.joined = gemm->batch[0];
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) {
        load.batch[d] = gemm->batch[d];
        load.a_same[d] = gemm->in0.batch[d] == 0;
        load.b_same[d] = gemm->in1.batch[d] == 0;
    }
    return load;
}

/* Operands of the gemm, with the steps that pack them. */
static pave__why place_operands(const pave__planning *p, const pave__work *work, const pave__row *row,
                                pave__bundle *b, pave__step *gemm, pave__form *in) {
    const pave__problem *q = work->problem;
    *in = (pave__form){0};
    if (work->index == 0) {
        pave__why why = pave__take(p, q, row, 0, false, b, &gemm->in0);
        if (why != PAVE__WHY_NONE) return why;
    } else {
        *in = pave__hidden_form(q, work->index, row);
        if (!in->type) return PAVE__WHY_TYPE;
        pave__area area = (pave__area)(PAVE__OUT0 + (1 - (work->index & 1)));
        gemm->in0 = pave__in_area(b, area, q->batch, q->m, in->type, in->ld);
        gemm->in0.exponent = in->exponent;
        pave__why why = pave__take_hidden(p, q, row, work->index, b, &gemm->in0);
        if (why != PAVE__WHY_NONE) return why;
    }
    return pave__take(p, q, row, work->index, true, b, &gemm->in1);
}

/* The largest area of a bundle that no allocation can be. */
static pave__refusal check_areas(const pave__planning *p, const pave__bundle *b, pave__refusal no) {
    uint64_t most = p->device->alloc_bytes_max ? p->device->alloc_bytes_max : UINT64_MAX - 1;
    for (int i = 0; i < PAVE__AREA_COUNT; i++)
        if (b->area_bytes[i] > most && (double)b->area_bytes[i] > no.need) {
            no.why = PAVE__WHY_ALLOC;
            no.have = (double)most;
            no.need = (double)b->area_bytes[i];
        }
    return no;
}

static pave__step start_gemm(const pave__work *work, const pave__row *row) {
    const pave__problem *q = work->problem;
    const pave__player *layer = &q->layers[work->index];
    pave__step gemm = {.row = row, .layer = work->index, .m = q->m, .n = layer->n, .group_m = 1};
    gemm.k = pave__width_into(q, work->index);
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) gemm.batch[d] = q->batch[d];
    gemm.links = layer->link_count ? PAVE__LAYER_LINKS : PAVE__NO_LINKS;
    gemm.link_mask = pave__link_mask(layer->links, layer->link_count);
    gemm.groups = q->groups;
    return gemm;
}

/* Where a gemm's values go, and the steps that follow them. */
static pave__refusal place_values(const pave__planning *p, const pave__work *work, pave__step *gemm,
                                  pave__bundle *b) {
    const pave__problem *q = work->problem;
    if (work->index == q->layer_count - 1) return pave__close(p, q, gemm, b);
    pave__area area = (pave__area)(PAVE__OUT0 + (work->index & 1));
    gemm->out = pave__in_area(b, area, q->batch, q->m, work->out.type, work->out.ld);
    gemm->out.exponent = work->out.exponent;
    if (work->out.exponent) gemm->link_mask |= UINT32_C(1) << PAVE_LINK_MUL;
    return (pave__refusal){gemm->row, work->index, PAVE__WHY_NONE, 0, 0};
}

/* What a gemm and all of its bundle take. `own`: how many steps it takes to the layer's values. */
static pave__refusal predict(const pave__planning *p, const pave__problem *q, pave__step *gemm, int32_t own,
                             pave__bundle *b, pave__choice *c) {
    pave__refusal no = {gemm->row, gemm->layer, PAVE__WHY_NONE, 0, 0};
    pave__gemm_load load = load_of(p, q, gemm);
    gemm->group_m = pave__group_m(p->device, gemm->row, &load);
    gemm->predicted = c->gemm = pave__model_gemm(p->device, gemm->row, &load, gemm->group_m);
    for (int32_t i = 0; i < b->count; i++) {
        c->ns += b->steps[i].predicted.ns;
        if (i < own) c->own_ns += b->steps[i].predicted.ns;
    }
    double need;
    if (!pave__set_grid(p->device, gemm, &need))
        no = (pave__refusal){gemm->row, gemm->layer, PAVE__WHY_GRID, PAVE__GRID_X_MAX, need};
    return no;
}

pave__refusal pave__build_layer(const pave__planning *p, const pave__work *work, const pave__row *row,
                                pave__cut cut, pave__bundle *b, pave__choice *c) {
    const pave__problem *q = work->problem;
    *c = (pave__choice){.row = row, .cut = cut};
    b->count = 0;
    for (int i = 0; i < PAVE__AREA_COUNT; i++) b->area_bytes[i] = 0;
    pave__refusal no = pave__judge_row(p, row, work->index);
    if (no.why != PAVE__WHY_NONE) return no;
    pave__step gemm = start_gemm(work, row);
    if (gemm.link_mask & PAVE__MASK_F8_LINKS && !(row->float8 & PAVE__F8_LINKS)) no.why = PAVE__WHY_FLOAT8;
    if (no.why == PAVE__WHY_NONE) no.why = place_operands(p, work, row, b, &gemm, &c->in);
    if (no.why == PAVE__WHY_NONE && !pave__cut_k(q, cut.slices, &gemm)) no.why = PAVE__WHY_SPLIT;
    if (no.why != PAVE__WHY_NONE) return no;
    if (q->groups > 0) {
        gemm.table_offset = PAVE__TABLE;
        int64_t table = pave__times(q->groups, sizeof(pave_abi_group));
        b->area_bytes[PAVE__TABLE] = table == INT64_MAX ? UINT64_MAX : ((uint64_t)table + 255) / 256 * 256;
    }
    const bool joins = gemm.k_slice && cut.joins, adds = gemm.k_slice && !cut.joins;
    int32_t at = b->count++, sum_at = adds ? b->count++ : at;
    no = place_values(p, work, &gemm, b);
    if (no.why != PAVE__WHY_NONE) return no;
    if (joins) pave__join_slices(&gemm, b);
    if (adds && !pave__add_sum(p, q, &gemm, b, sum_at)) no.why = PAVE__WHY_PACK;
    no = check_areas(p, b, no);
    if (no.why != PAVE__WHY_NONE) return no;
    b->steps[at] = gemm;
    return predict(p, q, &b->steps[at], sum_at + 1, b, c);
}
