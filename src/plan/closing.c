/* SPDX-License-Identifier: Apache-2.0
 * Decides what becomes of the last layer's values: stored as y, reduced by states that the gemm leaves, or stored and then
 * reduced, normalized or turned by a launch of their own. */
#include "src/plan/candidates.h"

#include "kernels/reduce/reductions.h"

bool pave__has_states(int reduction) {
#define HAS_STATES(ENUM, name, formula, empty, states, wide) \
    if (reduction == PAVE_REDUCE_##ENUM) return states;
    PAVE_REDUCTIONS(HAS_STATES)
#undef HAS_STATES
    return false;
}

bool pave__is_wide(int reduction) {
#define IS_WIDE(ENUM, name, formula, empty, states, wide) \
    if (reduction == PAVE_REDUCE_##ENUM) return wide;
    PAVE_REDUCTIONS(IS_WIDE)
#undef IS_WIDE
    return false;
}

static int32_t last_of(const pave__problem *q) {
    return q->layer_count ? (int32_t)q->layer_count - 1 : 0;
}

/* Whether a gemm can store to an operand of n columns. */
static bool stores_to(const pave__operand *o, int64_t n) {
    return o->col == 1 || n <= 1;
}

/* A step over the problem's space, with the links that come after a reduction. */
static pave__step step_over(const pave__problem *q) {
    pave__step step = {.layer = last_of(q), .m = q->m, .group_m = 1};
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) step.batch[d] = q->batch[d];
    if (q->after_count) step.links = PAVE__AFTER_LINKS;
    step.link_mask = pave__link_mask(q->after, q->after_count);
    return step;
}

/* The same space where its rows are cut into windows of columns. */
static void cut_windows(const pave__problem *q, int64_t n, pave__step *step) {
    step->batch[0] = q->batch[1];
    step->batch[1] = q->batch[2];
    step->batch[2] = q->m;
    step->m = n / q->window;
    step->in0.batch[0] = step->in0.batch[1];
    step->in0.batch[1] = step->in0.batch[2];
    step->in0.batch[2] = step->in0.row;
    step->in0.row = pave__times(step->in0.col, q->window);
    step->n = step->k = q->window;
}

/* The reduction of values that lie at `values`, n a row. */
static bool add_reduction(const pave__planning *p, const pave__problem *q, const pave__ref *values, int64_t n,
                          pave__bundle *b) {
    pave__step step = step_over(q);
    step.reduction = q->reduction;
    step.n = step.k = n;
    step.in0 = *values;
    step.out = pave__as_it_lies(&q->y, PAVE__AT_Y);
    if (q->layer_count && q->window > 0) cut_windows(q, n, &step);
    pave__family family = pave__is_wide(q->reduction) ? PAVE__NORMALIZE : PAVE__REDUCE;
    return pave__add_rows(p, family, &step, b);
}

/* Values from where the gemm left them to an operand that it cannot store to. A map without links may take rows for columns:
 * it does where that leaves its stores side by side. */
static bool add_copy(const pave__planning *p, const pave__problem *q, const pave__ref *values, int64_t n,
                     const pave__operand *to, pave__place place, pave__bundle *b) {
    pave__step step = step_over(q);
    step.links = PAVE__NO_LINKS;
    step.link_mask = 0;
    step.n = step.k = n;
    step.in0 = *values;
    step.out = pave__as_it_lies(to, place);
    int elem = pave__type_bytes(to->type);
    if (q->m > 1 &&
        pave__reach_bytes(p->device, to->row, elem) < pave__reach_bytes(p->device, to->col, elem)) {
        step.m = n;
        step.n = step.k = q->m;
        step.in0.row = values->col;
        step.in0.col = values->row;
        step.out.row = to->col;
        step.out.col = to->row;
    }
    return pave__add_rows(p, PAVE__MAP, &step, b);
}

/* Whether a link behind the reduction may read all of y through its tensor, which must then keep its values until that
 * link. */
static bool y_is_read_after(const pave__problem *q, int64_t n) {
    for (int i = 0; i < q->after_count; i++) {
        int operand = q->after[i].operand;
        if (q->after[i].op > PAVE_LINK_DIV) continue;
        if (operand == PAVE_OPERAND_FULL || (operand == PAVE_OPERAND_ROW && q->m == 1) ||
            (operand == PAVE_OPERAND_COLUMN && n == 1))
            return true;
    }
    return false;
}

static pave__ref scratch(const pave__problem *q, const pave__step *gemm, int type, pave__bundle *b) {
    pave__area area = (pave__area)(PAVE__OUT0 + (gemm->layer & 1));
    return pave__in_area(b, area, q->batch, q->m, type, pave__own_ld(gemm->n, type, 16));
}

static bool close_plain(const pave__planning *p, const pave__problem *q, pave__step *gemm, pave__bundle *b) {
    gemm->out = pave__as_it_lies(&q->y, PAVE__AT_Y);
    if (stores_to(&q->y, gemm->n)) return true;
    gemm->out = scratch(q, gemm, q->y.type, b);
    return add_copy(p, q, &gemm->out, gemm->n, &q->y, PAVE__AT_Y, b);
}

/* States that the gemm leaves, and its values beside them where they are wanted. */
static bool close_fused(const pave__planning *p, const pave__problem *q, pave__step *gemm, pave__bundle *b) {
    bool wanted = q->unreduced.type != PAVE_T_NONE, direct = stores_to(&q->unreduced, gemm->n);
    gemm->reduction = q->reduction;
    gemm->slice = gemm->row->slice;
    gemm->slots = pave__div_up(gemm->n, gemm->slice);
    int64_t rows = pave__times(pave__batches(q->batch), q->m);
    gemm->partial = pave__states_in(b, PAVE__PARTIAL, pave__times(rows, gemm->slots));
    if (wanted)
        gemm->out = direct ? pave__as_it_lies(&q->unreduced, PAVE__AT_UNREDUCED)
                           : scratch(q, gemm, q->unreduced.type, b);
    if (wanted && !direct && !add_copy(p, q, &gemm->out, gemm->n, &q->unreduced, PAVE__AT_UNREDUCED, b))
        return false;
    pave__step join = step_over(q);
    join.reduction = q->reduction;
    join.n = gemm->n;
    join.slots = gemm->slots;
    join.slice = gemm->slice;
    join.in0 = gemm->partial;
    join.out = pave__as_it_lies(&q->y, PAVE__AT_Y);
    return pave__add_rows(p, PAVE__JOIN, &join, b);
}

/* The values stored by the gemm, copied where they are wanted elsewhere, and reduced. */
static bool reduce_stored(const pave__planning *p, const pave__problem *q, pave__step *gemm,
                          pave__bundle *b) {
    const pave__operand *u = &q->unreduced;
    if (u->type != PAVE_T_NONE && gemm->out.place != PAVE__AT_UNREDUCED &&
        !add_copy(p, q, &gemm->out, gemm->n, u, PAVE__AT_UNREDUCED, b))
        return false;
    return add_reduction(p, q, &gemm->out, gemm->n, b);
}

/* Values are stored first: where they are wanted as they are, else in place of the result, else in scratch. */
static bool close_stored(const pave__planning *p, const pave__problem *q, pave__step *gemm, pave__bundle *b) {
    const pave__operand *u = &q->unreduced;
    int32_t before = b->count;
    if (u->type == PAVE_T_F32 && stores_to(u, gemm->n)) {
        gemm->out = pave__as_it_lies(u, PAVE__AT_UNREDUCED);
        return reduce_stored(p, q, gemm, b);
    }
    if (pave__is_wide(q->reduction) && q->y.type == PAVE_T_F32 && stores_to(&q->y, gemm->n) && !q->window &&
        !y_is_read_after(q, gemm->n)) {
        gemm->out = pave__as_it_lies(&q->y, PAVE__AT_Y);
        if (reduce_stored(p, q, gemm, b)) return true;
        b->count = before; /* no row that may work in place */
    }
    gemm->out = scratch(q, gemm, PAVE_T_F32, b);
    return reduce_stored(p, q, gemm, b);
}

pave__refusal pave__close(const pave__planning *p, const pave__problem *q, pave__step *gemm,
                          pave__bundle *b) {
    const pave__row *row = gemm->row;
    pave__refusal no = {row, gemm->layer, PAVE__WHY_NONE, 0, 0};
    bool fused =
        q->reduction && pave__has_states(q->reduction) && !q->window && row->slice > 0 && gemm->k_slice == 0;
    int64_t length = q->window > 0 ? q->window : gemm->n;
    if (q->groups > 0 && q->reduction && !fused) {
        no.why = PAVE__WHY_FUSE;
    } else if (q->groups > 0 && !q->reduction && !stores_to(&q->y, gemm->n)) {
        no.why = PAVE__WHY_GROUPED;
    } else if (q->reduction == PAVE_REDUCE_ARGMAX && length > INT32_MAX) {
        no = (pave__refusal){row, gemm->layer, PAVE__WHY_LENGTH, INT32_MAX, (double)length};
    } else {
        bool done = !q->reduction ? close_plain(p, q, gemm, b)
                    : fused       ? close_fused(p, q, gemm, b)
                                  : close_stored(p, q, gemm, b);
        if (!done) no.why = PAVE__WHY_FUSE;
    }
    return no;
}

bool pave__close_empty(const pave__planning *p, const pave__problem *q, pave__bundle *b) {
    pave__ref nothing =
        pave__in_area(b, PAVE__OUT0, (const int64_t[PAVE_BATCH_DIMS]){1, 1, 1}, 0, PAVE_T_F32, 0);
    return add_reduction(p, q, &nothing, 0, b);
}

bool pave__plan_rows(const pave__planning *p, const pave__problem *q, pave__bundle *b) {
    pave__ref x = pave__as_it_lies(&q->x, PAVE__AT_X);
    if (q->op == PAVE_OP_REDUCE) return add_reduction(p, q, &x, q->k, b);
    pave__step step = step_over(q);
    step.n = step.k = q->k;
    step.in0 = x;
    step.out = pave__as_it_lies(&q->y, PAVE__AT_Y);
    return pave__add_rows(p, PAVE__MAP, &step, b);
}
