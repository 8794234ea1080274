/* SPDX-License-Identifier: Apache-2.0
 * Chooses rows for launches that work on rows, and whether a reduction's rows are split among blocks whose states a join
 * merges, or a softmax's among teams of blocks. */
#include "src/plan/candidates.h"

/* Rows of one family that one choice can weigh. */
#define CANDIDATES_MAX 32

/* What a row would make of a step. */
typedef struct candidate {
    pave__step step, join; /* join: row NULL: none */
    double ns;
} candidate;

void pave__mark_float8(pave__step *step) {
    const pave__ref *refs[] = {&step->in0, &step->in1, &step->out};
    for (int i = 0; i < 3; i++)
        if (PAVE_T_IS_F8(refs[i]->type)) step->link_mask |= PAVE__MASK_F8;
    if (step->link_mask & PAVE__MASK_F8_LINKS) step->link_mask |= PAVE__MASK_F8;
}

static bool in_place(const pave__step *s) {
    return s->in0.place == s->out.place && s->in0.place != PAVE__AT_WORKSPACE;
}

/* Gives a step slices, which its row takes alone: of rows that are not worth cutting only if it is asked for by name. */
static bool takes_slices(const pave__planning *p, pave__step *s) {
    bool has_states = s->reduction == PAVE_REDUCE_SOFTMAX || s->reduction == PAVE_REDUCE_LOG_SOFTMAX;
    int64_t rows = pave__times(pave__batches(s->batch), s->m);
    if (!has_states || s->k < 1 || rows < 1 || rows > INT32_MAX) return false;
    pave__slice_rows(p->device, s);
    return pave__slice_counters(p->device, s) <= PAVE__COUNTERS &&
           (s->slots > 1 || pave__is_forced(p, s->row));
}

/* A launch of `row`, over whole rows unless it takes slices, or why there is none. */
static pave__refusal judge(const pave__planning *p, const pave__row *row, const pave__step *step,
                           candidate *c) {
    pave__refusal no = pave__judge_row(p, row, step->layer);
    if (no.why != PAVE__WHY_NONE) return no;
    if (step->reduction == PAVE_REDUCE_ARGMAX && step->n > INT32_MAX)
        return (pave__refusal){row, step->layer, PAVE__WHY_LENGTH, INT32_MAX, (double)step->n};
    const bool reads = row->family != PAVE__JOIN && PAVE_T_IS_F8(step->in0.type);
    if (reads && !(row->float8 & PAVE__F8_X))
        return (pave__refusal){row, step->layer, PAVE__WHY_FLOAT8, 1, 0};
    if (step->link_mask & PAVE__MASK_F8_LINKS && !(row->float8 & PAVE__F8_LINKS))
        return (pave__refusal){row, step->layer, PAVE__WHY_FLOAT8, 0, 0};
    if (row->layout == PAVE__LAYOUT_ACROSS && in_place(step))
        return (pave__refusal){row, step->layer, PAVE__WHY_FUSE, 0, 0};
    c->step = *step;
    c->step.row = row;
    if (row->slices && !takes_slices(p, &c->step))
        return (pave__refusal){row, step->layer, PAVE__WHY_WHOLE, 0, 0};
    c->step.predicted = pave__model_rows(p->device, row, &c->step);
    c->join.row = NULL;
    c->ns = c->step.predicted.ns;
    double need;
    if (!pave__set_grid(p->device, &c->step, &need))
        return (pave__refusal){row, step->layer, PAVE__WHY_GRID, PAVE__GRID_X_MAX, need};
    return no;
}

/* The same row with its rows split, where that is predicted to be quicker. */
static void try_split(const pave__planning *p, candidate *c) {
    pave__step part = c->step, join = c->step;
    pave__planning quiet = *p;
    quiet.plan = NULL;
    part.slots = pave__split_slots(p->device, part.row, &part, &part.slice);
    if (part.slots < 2) return;
    part.links = PAVE__NO_LINKS;
    part.link_mask = 0;
    part.predicted = pave__model_rows(p->device, part.row, &part);
    join.slots = part.slots;
    join.slice = part.slice;
    if (!pave__choose_rows(&quiet, PAVE__JOIN, &join)) return;
    if (part.predicted.ns + join.predicted.ns >= c->ns) return;
    c->step = part;
    c->join = join;
    c->ns = part.predicted.ns + join.predicted.ns;
}

/* Whether a map row is of the kind that a map is: to a form with scales, of sums, or neither. */
static bool maps(const pave__row *row, const pave__step *step) {
    bool scales = pave__has_scales(step->out.type) && step->out.exponent == 0;
    int form = scales ? step->out.type : PAVE_T_NONE;
    return row->b_type == form && (row->sums != 0) == (step->slots > 0);
}

static bool choose(const pave__planning *p, pave__family family, const pave__step *step, bool split,
                   candidate *best) {
    pave__refusal can[CANDIDATES_MAX]; /* have: predicted ns */
    size_t count = 0;
    candidate here;
    best->step.row = NULL;
    for (size_t i = 0; i < p->row_count && count < CANDIDATES_MAX; i++) {
        const pave__row *row = &p->rows[i];
        if (row->family != family || !pave__concerns(p, row)) continue;
        if (family == PAVE__MAP && !maps(row, step)) continue;
        pave__refusal no = judge(p, row, step, &here);
        if (no.why != PAVE__WHY_NONE) {
            pave__refuse(p, row, step->layer, no.why, no.have, no.need);
            continue;
        }
        if (split) try_split(p, &here);
        can[count++] = (pave__refusal){row, step->layer, PAVE__WHY_SLOWER, here.ns, 0};
        if (!best->step.row || here.ns < best->ns) *best = here;
    }
    for (size_t i = 0; i < count; i++)
        if (can[i].row != best->step.row)
            pave__refuse(p, can[i].row, step->layer, PAVE__WHY_SLOWER, can[i].have, best->ns);
    return best->step.row != NULL;
}

bool pave__choose_rows(const pave__planning *p, pave__family family, pave__step *step) {
    candidate best;
    if (!choose(p, family, step, false, &best)) return false;
    *step = best.step;
    return true;
}

bool pave__add_rows(const pave__planning *p, pave__family family, const pave__step *step, pave__bundle *b) {
    candidate best;
    if (!choose(p, family, step, family == PAVE__REDUCE, &best)) return false;
    pave__ref states = {0};
    if (best.join.row) {
        int64_t rows = pave__times(pave__batches(step->batch), step->m);
        states = pave__states_in(b, PAVE__PARTIAL, pave__times(rows, best.step.slots));
        best.step.partial = states;
        best.step.out = (pave__ref){0};
    }
    b->steps[b->count++] = best.step;
    if (best.join.row) {
        best.join.in0 = states;
        b->steps[b->count++] = best.join;
    }
    return true;
}

bool pave__plan_pack(const pave_device_info *device, pave__backend_id backend, const pave__row *rows,
                     size_t row_count, int64_t m, int64_t k, int64_t width, const pave__ref *from,
                     const pave__ref *to, pave__step *step) {
    pave__planning p = {.device = device, .backend = backend, .rows = rows, .row_count = row_count};
    *step =
        (pave__step){.m = m, .n = width, .k = k, .batch = {1, 1, 1}, .in0 = *from, .out = *to, .group_m = 1};
    if (!pave__choose_rows(&p, PAVE__MAP, step)) return false;
    pave__mark_float8(step);
    return true;
}
