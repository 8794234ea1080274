/* SPDX-License-Identifier: Apache-2.0
 * Cutting a product's k into slices that are multiplied side by side: how many slices are worth weighing, what the gemm of
 * slices is, and how what they leave is added: by the gemm itself, or by a map step. It knows one gemm step; what the values then become is closing.c's. */
#include "src/plan/candidates.h"

/* Steps of K that a slice has at least: filling and draining a tile takes two. */
#define SLICE_STEPS 4
/* Up to so many blocks a unit, each count is weighed; then what fills one wave and two. */
#define FEW_BLOCKS 4
#define COUNTS_MAX (PAVE__CUTS_MAX / 2)

static int64_t step_of(const pave__row *row) {
    return row->bk > 0 ? row->bk : 1;
}

/* Whole steps of the row, which keep a slice's operands aligned as all of k is. */
static int64_t slice_of(const pave__row *row, int64_t k, int64_t splits) {
    return pave__times(pave__div_up(pave__div_up(k, splits), step_of(row)), step_of(row));
}

static bool has_room(const pave__problem *q) {
    int used = 0;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) used += q->batch[d] > 1;
    return used < PAVE_BATCH_DIMS && q->groups == 0;
}

static int wanted_counts(const pave__planning *p, const pave__work *work, const pave__row *row,
                         int64_t counts[COUNTS_MAX]) {
    const pave__problem *q = work->problem;
    pave__gemm_load load = {.m = q->m, .n = q->layers[work->index].n, .groups = q->groups};
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) load.batch[d] = q->batch[d];
    int64_t k = pave__width_into(q, work->index), most = k / SLICE_STEPS / step_of(row);
    int64_t tiles = pave__gemm_tiles(row, &load), wave = pave__blocks_per_unit(p->device, row);
    const int64_t blocks[] = {1, 2, 3, FEW_BLOCKS, wave, 2 * wave};
    int count = 0;
    counts[count++] = 1;
    if (tiles < 1 || tiles == INT64_MAX) return count;
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        int64_t splits = blocks[i] > 2 * wave ? 0 : pave__units(p->device) * blocks[i] / tiles;
        if (splits > most) splits = most;
        if (splits < 2) continue;
        splits = pave__div_up(k, slice_of(row, k, splits));
        if (splits > counts[count - 1]) counts[count++] = splits;
    }
    return count;
}

static int64_t tiles_of_one(const pave__row *row, int64_t m, int64_t n) {
    pave__gemm_load load = {.m = m, .n = n, .batch = {1, 1, 1}};
    return pave__gemm_tiles(row, &load);
}

static bool can_join(const pave__work *work, const pave__row *row) {
    const pave__problem *q = work->problem;
    return row->joins && pave__batches(q->batch) == 1 &&
           tiles_of_one(row, q->m, q->layers[work->index].n) <= PAVE__COUNTERS;
}

int pave__cuts(const pave__planning *p, const pave__work *work, const pave__row *row,
               pave__cut cuts[PAVE__CUTS_MAX], bool *barred) {
    const bool joins = can_join(work, row) && !pave__sum_forced(p);
    int64_t forced = pave__forced_splits(p, row), counts[COUNTS_MAX];
    *barred = false;
    cuts[0] = (pave__cut){forced > 0 ? forced : 1, joins};
    if (forced > 0) return 1;
    int wanted = wanted_counts(p, work, row, counts), count = 1;
    *barred = wanted > 1 && work->problem->groups == 0 && !has_room(work->problem);
    for (int i = 1; i < wanted && has_room(work->problem); i++) {
        if (joins) cuts[count++] = (pave__cut){counts[i], true};
        cuts[count++] = (pave__cut){counts[i], false};
    }
    return count;
}

/* Frees the first batch dimension for the slices; the others keep their order, and with it their links to memory. */
static void free_first(pave__step *gemm) {
    pave__ref *refs[] = {&gemm->in0, &gemm->in1};
    int d = 0;
    while (gemm->batch[d] > 1) d++;
    for (; d > 0; d--) {
        gemm->batch[d] = gemm->batch[d - 1];
        for (int r = 0; r < 2; r++) refs[r]->batch[d] = refs[r]->batch[d - 1];
    }
}

bool pave__cut_k(const pave__problem *q, int64_t slices, pave__step *gemm) {
    if (slices < 2 || gemm->k == 0) return true;
    int64_t slice = slice_of(gemm->row, gemm->k, slices);
    if (slice >= gemm->k) return true;
    if (!has_room(q) || slice > INT32_MAX) return false;
    free_first(gemm);
    gemm->k_slice = slice;
    gemm->batch[0] = pave__div_up(gemm->k, slice);
    return !__builtin_mul_overflow(gemm->in0.col, slice, &gemm->in0.batch[0]) &&
           !__builtin_mul_overflow(gemm->in1.col, slice, &gemm->in1.batch[0]);
}

void pave__join_slices(pave__step *gemm, pave__bundle *b) {
    int64_t tiles = pave__times(tiles_of_one(gemm->row, gemm->m, gemm->n), gemm->batch[0]);
    int64_t floats = pave__times(tiles, (int64_t)gemm->row->bm * gemm->row->bn);
    gemm->partial = pave__states_in(b, PAVE__PARTIAL, floats / 2);
    gemm->out.batch[0] = 0;
}

bool pave__add_sum(const pave__planning *p, const pave__problem *q, pave__step *gemm, pave__bundle *b,
                   int32_t at) {
    pave__planning quiet = *p; /* why another map lost is not this layer's to tell */
    quiet.plan = NULL;
    /* Sums that become pairs are whole blocks wide. */
    int64_t width = gemm->out.type == PAVE_T_F16X2 ? gemm->out.row : gemm->n;
    int64_t ld = pave__own_ld(width, PAVE_T_F32, 16);
    pave__step sum = {.layer = gemm->layer,
                      .links = gemm->links,
                      .link_mask = gemm->link_mask,
                      .m = gemm->m,
                      .n = width,
                      .k = gemm->n,
                      .slots = gemm->batch[0],
                      .out = gemm->out,
                      .group_m = 1};
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) sum.batch[d] = q->batch[d];
    sum.in0 = pave__in_area(b, PAVE__PARTIAL, q->batch, q->m, PAVE_T_F32, ld);
    gemm->out = pave__in_area(b, PAVE__PARTIAL, gemm->batch, q->m, PAVE_T_F32, ld);
    gemm->links = PAVE__NO_LINKS;
    gemm->link_mask = 0;
    sum.slice = gemm->out.batch[0];
    if (!pave__choose_rows(&quiet, PAVE__MAP, &sum)) return false;
    b->steps[at] = sum;
    return true;
}
