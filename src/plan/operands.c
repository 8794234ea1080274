/* SPDX-License-Identifier: Apache-2.0
 * Decides in what form a row reads an operand: as it lies, as its weights hold it, or through a map step that converts it, turns
 * it and pads its rows. */
#include "src/plan/candidates.h"

/* What float16 holds with a scale for each row, and without one does not. */
static bool takes_scales(int from) {
    return from == PAVE_T_F32 || from == PAVE_T_BF16;
}

/* Whether `from` in memory may become `to` under the promise. What is exact always may; float16 is a target only with a scale
 * for each row, for its range. TF32 in memory is a float32 to whoever reads float32. */
static bool may_convert(int from, int to, int precision) {
    if (to == PAVE_T_NONE || from == to) return true;
    switch (to) {
    case PAVE_T_F32: return true;
    case PAVE_T_F16: return PAVE_T_IS_F8(from);
    case PAVE_T_TF32: return from != PAVE_T_F32 || pave__strength(precision) <= pave__strength(PAVE_HIGH);
    case PAVE_T_F16S: return takes_scales(from) && pave__strength(precision) <= pave__strength(PAVE_HIGH);
    case PAVE_T_F16X2: return from == PAVE_T_F32;
    case PAVE_T_BF16: return PAVE_T_IS_F8(from) || pave__strength(precision) <= pave__strength(PAVE_MEDIUM);
    default: return false;
    }
}

static bool same_in_memory(int type, int wanted) {
    return wanted == PAVE_T_NONE || type == wanted || (type == PAVE_T_TF32 && wanted == PAVE_T_F32);
}

/* The type that a row of type `row_type` reads an operand of type `from` in: one that multiplies in float16 takes float32 and
 * bfloat16 by their rows' scales. */
static int wanted_type(const pave__row *row, int row_type, int from) {
    bool scales = row->path == PAVE_PATH_F16 && row_type == PAVE_T_F16 && takes_scales(from);
    return scales ? PAVE_T_F16S : row_type;
}

/* Whether a layer's values lie in [-1, 1], whatever goes into it; what stores them has a link to spare. */
static bool is_bounded(const pave__player *layer) {
    int last = layer->link_count ? layer->links[layer->link_count - 1].op : 0;
    return layer->link_count < PAVE_ABI_LINKS && (last == PAVE_LINK_SIGMOID || last == PAVE_LINK_TANH);
}

/* Row stride of what `row` reads as A or B. Rows of some length start on multiples of 64 bytes: a tile's 64 bytes of a row then
 * are two sectors, and not parts of three, which costs half as many reads of the L2 again. */
static int64_t operand_ld(int64_t k, int type, const pave__row *row) {
    bool is_long = pave__times(k, pave__type_bytes(type)) >= 256;
    return pave__own_ld(k, type, is_long && row->align < 64 ? 64 : row->align);
}

pave__form pave__hidden_form(const pave__problem *q, int32_t layer, const pave__row *row) {
    pave__form form = {.type = row->a_type};
    int wanted = wanted_type(row, row->a_type, PAVE_T_F32);
    if (row->a_type == PAVE_T_F32 && row->path == PAVE_PATH_TF32) {
        form.type = PAVE_T_TF32;
    } else if (row->a_type == PAVE_T_NONE) {
        form.type = PAVE_T_F32;
    } else if (!may_convert(PAVE_T_F32, wanted, q->precision)) {
        return (pave__form){0};
    } else if (pave__has_scales(wanted)) {
        bool bounded = is_bounded(&q->layers[layer - 1]);
        form.type = !bounded ? PAVE_T_F32 : wanted == PAVE_T_F16S ? PAVE_T_F16 : wanted;
        form.exponent = bounded ? PAVE__BOUNDED_EXPONENT : 0;
    }
    form.ld = operand_ld(pave__width_into(q, layer), form.type, row);
    return form;
}

int64_t pave__own_ld(int64_t width, int type, int align) {
    int64_t step = (align > 16 ? align : 16) / pave__type_bytes(type);
    if (type == PAVE_T_F16X2 && step < PAVE_PAIR_BLOCK) step = PAVE_PAIR_BLOCK;
    return width > INT64_MAX - step ? INT64_MAX : pave__div_up(width, step) * step;
}

pave__ref pave__as_it_lies(const pave__operand *operand, pave__place place) {
    pave__ref ref = {
        .row = operand->row, .col = operand->col, .place = (uint8_t)place, .type = operand->type};
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) ref.batch[d] = operand->batch[d];
    return ref;
}

int64_t pave__packed_bytes(const pave__ref *ref, const int64_t batch[PAVE_BATCH_DIMS], int64_t m) {
    int64_t rows = m;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++)
        if (ref->batch[d]) rows = pave__times(rows, batch[d]);
    return pave__times(pave__times(rows, ref->row), pave__type_bytes(ref->type));
}

static void reserve(pave__bundle *b, pave__area area, int64_t elems, int elem_bytes) {
    int64_t bytes = pave__times(elems, elem_bytes);
    uint64_t whole = bytes > INT64_MAX / 16 ? UINT64_MAX : ((uint64_t)bytes + 255) / 256 * 256;
    if (whole == 0) whole = 256; /* an empty operand still has an address */
    if (whole > b->area_bytes[area]) b->area_bytes[area] = whole;
}

pave__ref pave__in_area(pave__bundle *b, pave__area area, const int64_t batch[PAVE_BATCH_DIMS], int64_t rows,
                        int type, int64_t ld) {
    pave__ref ref = {.offset = area, .row = ld, .col = 1, .place = PAVE__AT_WORKSPACE, .type = (uint8_t)type};
    int64_t matrix = pave__times(rows, ld);
    for (int d = PAVE_BATCH_DIMS - 1; d >= 0; d--) {
        if (batch[d] <= 1) continue;
        ref.batch[d] = matrix;
        matrix = pave__times(matrix, batch[d]);
    }
    /* A row's scale takes no more than the 16 bytes that its elements take at least. */
    if (pave__has_scales(type))
        matrix = pave__times(pave__times(pave__batches(batch), rows), ld + pave__scale_elems(type));
    reserve(b, area, matrix, pave__type_bytes(type));
    return ref;
}

pave__ref pave__states_in(pave__bundle *b, pave__area area, int64_t states) {
    reserve(b, area, states, 2 * pave__type_bytes(PAVE_T_F32));
    return (pave__ref){.offset = area, .place = PAVE__AT_WORKSPACE, .type = PAVE_T_F32};
}

/* Whether every stride of a matrix keeps its rows on multiples of `align`: the operand's own figure leaves unit strides
 * out. */
static bool is_aligned(const pave__operand *o, int align) {
    int64_t bytes = pave__type_bytes(o->type), off = o->row % align * bytes % align;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) off |= o->batch[d] % align * bytes % align;
    return o->align >= (uint32_t)align && off == 0;
}

/* The map step that makes rows of `type` out of m × k at `ref`, which becomes where they are. */
static pave__why pack(const pave__planning *p, const pave__row *row, pave__step step, int type,
                      pave__area area, pave__bundle *b, pave__ref *ref) {
    step.n = operand_ld(step.k, type, row);
    step.in0 = *ref;
    step.out = pave__in_area(b, area, step.batch, step.m, type, step.n);
    pave__planning quiet = *p; /* why another map lost is not this layer's to tell */
    quiet.plan = NULL;
    if (!pave__add_rows(&quiet, PAVE__MAP, &step, b)) return PAVE__WHY_PACK;
    *ref = step.out;
    return PAVE__WHY_NONE;
}

static bool reads(const pave__row *row, const pave__operand *o, int wanted, int64_t k) {
    if (k == 0) return true; /* nothing is read, so nothing need be converted */
    if (!same_in_memory(o->type, wanted)) return false;
    if (row->layout == PAVE__LAYOUT_ANY && row->align <= 1) return true;
    bool along = row->layout == PAVE__LAYOUT_ANY || o->col == 1 || k == 1;
    return along && is_aligned(o, row->align);
}

pave__why pave__take(const pave__planning *p, const pave__problem *q, const pave__row *row, int32_t layer,
                     bool is_b, pave__bundle *b, pave__ref *ref) {
    const pave__operand *o = is_b ? &q->layers[layer].w : &q->x;
    int wanted = wanted_type(row, is_b ? row->b_type : row->a_type, o->type);
    int64_t k = pave__width_into(q, layer);
    *ref = pave__as_it_lies(o, is_b ? PAVE__AT_W : PAVE__AT_X);
    if (k > 0 && !may_convert(o->type, wanted, p->precision)) return PAVE__WHY_TYPE;
    if (reads(row, o, wanted, k)) return PAVE__WHY_NONE;
    if (q->groups > 0) return PAVE__WHY_GROUPED;
    int type = wanted ? wanted : o->type;
    if (o->packed) {
        int64_t ld = operand_ld(k, type, row);
        *ref = (pave__ref){.row = ld, .col = 1, .place = PAVE__AT_PACKED, .type = (uint8_t)type};
        return PAVE__WHY_NONE;
    }
    pave__step step = {.layer = layer, .m = is_b ? q->layers[layer].n : q->m, .k = k};
    /* What the batch repeats is packed once. */
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) step.batch[d] = o->batch[d] ? q->batch[d] : 1;
    return pack(p, row, step, type, is_b ? PAVE__PACK_B : PAVE__PACK_A, b, ref);
}

pave__why pave__take_hidden(const pave__planning *p, const pave__problem *q, const pave__row *row,
                            int32_t layer, pave__bundle *b, pave__ref *ref) {
    int64_t k = pave__width_into(q, layer);
    int wanted = wanted_type(row, row->a_type, ref->type);
    if (!pave__has_scales(wanted) || ref->exponent || k == 0) return PAVE__WHY_NONE;
    pave__step step = {.layer = layer, .m = q->m, .k = k};
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) step.batch[d] = q->batch[d];
    return pack(p, row, step, wanted, PAVE__PACK_A, b, ref);
}
