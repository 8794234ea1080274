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
    for (int i = 0; i < count; i++) mask |= UINT32_C(1) << links[i].op;
    return mask & binary ? mask | binary : mask;
}

/* What reading an element moves: a kernel follows whichever stride is the shorter. */
static int element_bytes(const pave_device_info *device, const pave__ref *ref) {
    int bytes = pave__type_bytes(ref->type);
    int along = pave__reach_bytes(device, ref->col, bytes),
        across = pave__reach_bytes(device, ref->row, bytes);
    return along < across ? along : across;
}

static pave__gemm_load load_of(const pave__planning *p, const pave__problem *q, const pave__step *gemm) {
    pave__gemm_load load = {
        .m = gemm->m, .n = gemm->n, .k = gemm->k, .groups = q->groups, .group_rows = q->group_rows};
    load.a_bytes = element_bytes(p->device, &gemm->in0);
    load.b_bytes = element_bytes(p->device, &gemm->in1);
    double rows = (double)pave__batches(gemm->batch) * (double)gemm->m;
    if (gemm->partial.place) load.out_bytes += rows * (double)gemm->slots * 2 * pave__type_bytes(PAVE_T_F32);
    if (gemm->out.place) load.out_bytes += rows * (double)gemm->n * pave__type_bytes(gemm->out.type);
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
        in->type = (uint8_t)pave__hidden_type(row, p->precision);
        if (!in->type) return PAVE__WHY_TYPE;
        in->ld = pave__own_ld(gemm->k, in->type, row->align);
        pave__area area = (pave__area)(PAVE__OUT0 + (1 - (work->index & 1)));
        gemm->in0 = pave__in_area(b, area, q->batch, q->m, in->type, in->ld);
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

pave__refusal pave__build_layer(const pave__planning *p, const pave__work *work, const pave__row *row,
                                pave__bundle *b, pave__choice *c) {
    const pave__problem *q = work->problem;
    *c = (pave__choice){.row = row};
    b->count = 0;
    for (int i = 0; i < PAVE__AREA_COUNT; i++) b->area_bytes[i] = 0;
    pave__refusal no = pave__judge_row(p, row, work->index);
    if (no.why != PAVE__WHY_NONE) return no;
    pave__step gemm = start_gemm(work, row);
    no.why = place_operands(p, work, row, b, &gemm, &c->in);
    if (no.why != PAVE__WHY_NONE) return no;
    if (q->groups > 0) {
        gemm.table_offset = PAVE__TABLE;
        int64_t table = pave__times(q->groups, sizeof(pave_abi_group));
        b->area_bytes[PAVE__TABLE] = table == INT64_MAX ? UINT64_MAX : ((uint64_t)table + 255) / 256 * 256;
    }
    int32_t at = b->count++;
    if (work->index == q->layer_count - 1) {
        no = pave__close(p, q, &gemm, b);
        if (no.why != PAVE__WHY_NONE) return no;
    } else {
        pave__area area = (pave__area)(PAVE__OUT0 + (work->index & 1));
        gemm.out = pave__in_area(b, area, q->batch, q->m, work->out.type, work->out.ld);
    }
    no = check_areas(p, b, no);
    if (no.why != PAVE__WHY_NONE) return no;
    pave__gemm_load load = load_of(p, q, &gemm);
    gemm.group_m = pave__group_m(p->device, row, &load);
    gemm.predicted = c->gemm = pave__model_gemm(p->device, row, &load, gemm.group_m);
    b->steps[at] = gemm;
    for (int32_t i = 0; i < b->count; i++) {
        c->ns += b->steps[i].predicted.ns;
        if (i <= at) c->own_ns += b->steps[i].predicted.ns;
    }
    double need;
    if (!pave__set_grid(p->device, &b->steps[at], &need))
        no = (pave__refusal){row, work->index, PAVE__WHY_GRID, PAVE__GRID_X_MAX, need};
    return no;
}
