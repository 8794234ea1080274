/* SPDX-License-Identifier: Apache-2.0
 * Chooses a row for one piece of work: each row of the family either refuses with a reason or is predicted,
 * and the least predicted time wins, the earlier row on a tie. This is the library's only answer to "is it
 * supported?". */
#include "src/plan/candidates.h"

#include <string.h>

/* Rule 3: below this share of the sustained peak the default tile may be departed from. */
#define DEPART_BELOW 0.60
/* A whole product is cut only where that is predicted to leave so much of its time at most: what slices cost is known less
 * well (512x4096x4096 in bfloat16 on an H100, 2026-11-25: whole 0.059 ms where 0.054 was predicted, cut in two 0.068 where
 * 0.053 was). */
#define CUT_BELOW 0.9
/* Rows of one family that one choice can weigh. */
#define CANDIDATES_MAX 48

int pave__strength(int precision) {
    switch (precision) {
    case PAVE_HIGHEST: return 2;
    case PAVE_HIGH: return 1;
    default: return 0;
    }
}

void pave__refuse(const pave__planning *p, const pave__row *row, int32_t layer, pave__why why, double have,
                  double need) {
    pave__plan_data *plan = p->plan;
    if (!plan || plan->refusal_count >= PAVE__REFUSALS_MAX) return;
    plan->refusals[plan->refusal_count++] = (pave__refusal){row, layer, why, have, need};
}

/* A word of a forced list: a row's name, and behind a slash into how many slices its k is cut. */
typedef struct word {
    const char *name;
    size_t length;
    int64_t splits; /* 0: it does not say; -1: what it says is no such number */
} word;

/* Of one to six digits, so that nothing wraps. */
static int64_t number_of(const char *text, size_t length) {
    int64_t number = 0;
    if (length < 1 || length > 6) return -1;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        number = number * 10 + (text[i] - '0');
    }
    return number > 0 ? number : -1;
}

/* The next word of a comma separated list, blanks trimmed; false at its end. */
static bool next_word(const char **list, word *w) {
    const char *at = *list;
    while (*at == ',' || *at == ' ') at++;
    if (!*at) return false;
    size_t n = strcspn(at, ",");
    *list = at + n;
    while (n > 0 && at[n - 1] == ' ') n--;
    const char *slash = memchr(at, '/', n);
    *w = (word){at, slash ? (size_t)(slash - at) : n, 0};
    if (slash) w->splits = number_of(slash + 1, n - w->length - 1);
    return true;
}

static bool word_is(const word *w, const char *name) {
    return strlen(name) == w->length && memcmp(w->name, name, w->length) == 0;
}

pave_status pave__check_forced(const pave__row *rows, size_t row_count, const char *forced) {
    for (word w; next_word(&forced, &w);) {
        size_t i = 0;
        while (i < row_count && !word_is(&w, rows[i].name)) i++;
        if (i == row_count || w.splits < 0) return PAVE_E_INVALID;
        if (w.splits > 0 && rows[i].family != PAVE__GEMM) return PAVE_E_INVALID;
    }
    return PAVE_OK;
}

static bool is_named(const char *forced, const pave__row *row) {
    for (word w; next_word(&forced, &w);)
        if (word_is(&w, row->name)) return 1;
    return 0;
}

int64_t pave__forced_splits(const pave__planning *p, const pave__row *row) {
    const char *forced = p->forced;
    if (!forced) return 0;
    for (word w; next_word(&forced, &w);)
        if (word_is(&w, row->name)) return w.splits;
    return 0;
}

bool pave__is_forced(const pave__planning *p, const pave__row *row) {
    return p->forced && is_named(p->forced, row);
}

bool pave__sum_forced(const pave__planning *p) {
    if (!p->forced) return false;
    for (size_t i = 0; i < p->row_count; i++)
        if (p->rows[i].sums && pave__is_forced(p, &p->rows[i])) return true;
    return false;
}

/* Whether two rows do the same work: a map to a form with scales or of sums is no other map's. */
static bool alike(const pave__row *a, const pave__row *b) {
    if (a->family != b->family) return false;
    return a->family != PAVE__MAP || (a->b_type == b->b_type && a->sums == b->sums);
}

/* Whether any row that does the work of `row`, of whatever backend, is forced. */
static bool work_forced(const pave__planning *p, const pave__row *row) {
    if (!p->forced) return 0;
    for (size_t i = 0; i < p->row_count; i++)
        if (alike(&p->rows[i], row) && is_named(p->forced, &p->rows[i])) return 1;
    return 0;
}

bool pave__row_refused(const pave_device_info *d, pave__backend_id backend, const pave__row *row,
                       pave__refusal *refusal) {
    pave__refusal no = {row, 0, PAVE__WHY_NONE, 0, 0};
    if (row->backend != backend) {
        no.why = PAVE__WHY_BACKEND;
    } else if (row->kind && row->kind != (int)d->kind) {
        no.why = PAVE__WHY_KIND;
    } else if (row->min_capability > d->compute_capability) {
        no = (pave__refusal){row, 0, PAVE__WHY_CAPABILITY, d->compute_capability, row->min_capability};
    } else if (row->shared_bytes > d->shared_bytes_per_block) {
        no = (pave__refusal){row, 0, PAVE__WHY_SHARED, (double)d->shared_bytes_per_block, row->shared_bytes};
    } else if (d->threads_per_block > 0 && row->threads > d->threads_per_block) {
        no = (pave__refusal){row, 0, PAVE__WHY_THREADS, d->threads_per_block, row->threads};
    }
    *refusal = no;
    return no.why != PAVE__WHY_NONE;
}

bool pave__concerns(const pave__planning *p, const pave__row *row) {
    return row->backend == p->backend || pave__is_forced(p, row);
}

pave__refusal pave__judge_row(const pave__planning *p, const pave__row *row, int32_t layer) {
    pave__refusal no = {row, layer, PAVE__WHY_FORCED, 0, 0};
    if (work_forced(p, row) && !is_named(p->forced, row)) return no;
    if (!pave__row_refused(p->device, p->backend, row, &no) && row->family == PAVE__GEMM &&
        pave__strength(row->precision) < pave__strength(p->precision))
        no.why = PAVE__WHY_PRECISION;
    for (size_t i = 0; p->bars && no.why == PAVE__WHY_NONE && i < p->bars->count; i++)
        if (p->bars->list[i].row == row) no = p->bars->list[i];
    no.layer = layer;
    return no;
}

static double tile_area(const pave__row *row) {
    return (double)row->bm * row->bn;
}

/* Rule 3: within a path, a smaller tile only where the largest one that can do the work is predicted to use
 * little of the units. Returns that tile's share of sustained peak where it bars `c`, else 0. */
static double barred_by_default(const pave__choice *all, size_t count, const pave__choice *c) {
    const pave__choice *largest = c;
    for (size_t i = 0; i < count; i++)
        if (all[i].row->path == c->row->path && tile_area(all[i].row) > tile_area(largest->row))
            largest = &all[i];
    if (largest == c) return 0;
    /* Packing that the default tile alone needs counts against it. */
    double share = largest->gemm.utilisation * largest->gemm.ns / largest->own_ns;
    return share >= DEPART_BELOW ? share : 0;
}

static size_t pick_least(const pave__choice *all, size_t count) {
    size_t best = count;
    for (size_t i = 0; i < count; i++) {
        if (barred_by_default(all, count, &all[i]) > 0) continue;
        if (best == count || all[i].ns < all[best].ns) best = i;
    }
    return best;
}

static void refuse_losers(const pave__planning *p, int32_t layer, const pave__choice *all, size_t count,
                          size_t best) {
    for (size_t i = 0; i < count; i++) {
        if (i == best) continue;
        double share = barred_by_default(all, count, &all[i]);
        if (share > 0 && all[i].ns < all[best].ns)
            pave__refuse(p, all[i].row, layer, PAVE__WHY_FILLED, share, DEPART_BELOW);
        else
            pave__refuse(p, all[i].row, layer, PAVE__WHY_SLOWER, all[i].ns, all[best].ns);
    }
}

/* Whether a row is for float8 where neither operand is: nothing is ever rounded to float8. */
static bool is_foreign(const pave__planning *p, const pave__work *work, const pave__row *row) {
    const pave__problem *q = work->problem;
    bool any = PAVE_T_IS_F8(q->layers[work->index].w.type) || (work->index == 0 && PAVE_T_IS_F8(q->x.type));
    return PAVE_T_IS_F8(row->a_type) && !any && !(p->forced && is_named(p->forced, row));
}

/* The best that `row` makes of a layer, by how it cuts k; or why there is nothing. */
static pave__refusal weigh(const pave__planning *p, const pave__work *work, const pave__row *row,
                           pave__bundle *bundle, pave__choice *best) {
    pave__cut cuts[PAVE__CUTS_MAX];
    bool barred;
    int count = pave__cuts(p, work, row, cuts, &barred);
    pave__refusal no = pave__build_layer(p, work, row, cuts[0], bundle, best);
    for (int i = 1; i < count && no.why == PAVE__WHY_NONE; i++) {
        pave__choice c;
        if (pave__build_layer(p, work, row, cuts[i], bundle, &c).why != PAVE__WHY_NONE) continue;
        if (c.ns < best->ns * (best->cut.slices > 1 ? 1 : CUT_BELOW)) *best = c;
    }
    return no;
}

/* Says that the chosen row would be weighed with its k cut, had the batch left a dimension for it. */
static void tell_barred(const pave__planning *p, const pave__work *work, const pave__row *row) {
    pave__cut cuts[PAVE__CUTS_MAX];
    bool barred;
    pave__cuts(p, work, row, cuts, &barred);
    if (barred) pave__refuse(p, row, work->index, PAVE__WHY_SPLIT, 0, 0);
}

pave__choice pave__choose_gemm(const pave__planning *p, const pave__work *work, bool record,
                               pave__bundle *bundle) {
    pave__choice all[CANDIDATES_MAX];
    pave__planning quiet = *p;
    quiet.plan = NULL;
    const pave__row *unclosed = NULL; /* a row that only what follows stands in the way of */
    size_t count = 0;
    for (size_t i = 0; i < p->row_count && count < CANDIDATES_MAX; i++) {
        const pave__row *row = &p->rows[i];
        if (row->family != PAVE__GEMM || !pave__concerns(p, row) || is_foreign(p, work, row)) continue;
        pave__refusal no = weigh(&quiet, work, row, bundle, &all[count]);
        if (no.why == PAVE__WHY_NONE)
            count++;
        else if (record)
            pave__refuse(p, row, work->index, no.why, no.have, no.need);
        if (no.why == PAVE__WHY_FUSE) unclosed = row;
    }
    size_t best = pick_least(all, count);
    pave__choice chosen = {0};
    if (best < count)
        pave__build_layer(record ? p : &quiet, work, all[best].row, all[best].cut, bundle, &chosen);
    else if (record && unclosed)
        pave__build_layer(p, work, unclosed, (pave__cut){.slices = 1}, bundle, &chosen);
    if (best == count) return (pave__choice){0};
    if (record) refuse_losers(p, work->index, all, count, best);
    if (record) tell_barred(p, work, chosen.row);
    return chosen;
}
