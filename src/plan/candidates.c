/* SPDX-License-Identifier: Apache-2.0
 * Chooses a row for one piece of work: each row of the family either refuses with a reason or is predicted,
 * and the least predicted time wins, the earlier row on a tie. This is the library's only answer to "is it
 * supported?". */
#include "src/plan/candidates.h"

#include <string.h>

/* Rule 3: below this share of the sustained peak the default tile may be departed from. */
#define DEPART_BELOW 0.60
/* Rows of one family that one choice can weigh. */
#define CANDIDATES_MAX 32

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
    if (plan->refusal_count >= PAVE__REFUSALS_MAX) return;
    plan->refusals[plan->refusal_count++] = (pave__refusal){row, layer, why, have, need};
}

/* The next word of a comma separated list, blanks trimmed; NULL at its end. */
static const char *next_word(const char **list, size_t *length) {
    const char *at = *list;
    while (*at == ',' || *at == ' ') at++;
    if (!*at) return NULL;
    size_t n = strcspn(at, ",");
    *list = at + n;
    while (n > 0 && at[n - 1] == ' ') n--;
    *length = n;
    return at;
}

static bool word_is(const char *word, size_t length, const char *name) {
    return strlen(name) == length && memcmp(word, name, length) == 0;
}

pave_status pave__check_forced(const pave__row *rows, size_t row_count, const char *forced) {
    size_t length;
    for (const char *word; (word = next_word(&forced, &length));) {
        size_t i = 0;
        while (i < row_count && !word_is(word, length, rows[i].name)) i++;
        if (i == row_count) return PAVE_E_INVALID;
    }
    return PAVE_OK;
}

static bool is_named(const char *forced, const pave__row *row) {
    size_t length;
    for (const char *word; (word = next_word(&forced, &length));)
        if (word_is(word, length, row->name)) return 1;
    return 0;
}

/* Whether any row of `family`, of whatever backend, is forced. */
static bool family_forced(const pave__planning *p, pave__family family) {
    if (!p->forced) return 0;
    for (size_t i = 0; i < p->row_count; i++)
        if (p->rows[i].family == family && is_named(p->forced, &p->rows[i])) return 1;
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

/* Another backend's row is passed over in silence unless it was asked for. */
static bool concerns(const pave__planning *p, const pave__row *row) {
    return row->backend == p->backend || (p->forced && is_named(p->forced, row));
}

/* Reasons that need no operands: what is forced, the device, the promise. */
static pave__refusal judge_row(const pave__planning *p, const pave__row *row, bool forced) {
    pave__refusal no = {row, 0, PAVE__WHY_FORCED, 0, 0};
    if (forced && !is_named(p->forced, row)) return no;
    if (!pave__row_refused(p->device, p->backend, row, &no) && row->family == PAVE__GEMM &&
        pave__strength(row->precision) < pave__strength(p->precision))
        no.why = PAVE__WHY_PRECISION;
    return no;
}

/* Whether `from` in memory may become `to` under the promise. What is exact always may; float16 is never a
 * target, for its range. TF32 in memory is a float32 to whoever reads float32. */
static int may_convert(int from, int to, int precision) {
    if (to == PAVE_T_NONE || from == to) return 1;
    switch (to) {
    case PAVE_T_F32: return 1;
    case PAVE_T_TF32: return from != PAVE_T_F32 || pave__strength(precision) <= pave__strength(PAVE_HIGH);
    case PAVE_T_BF16: return pave__strength(precision) <= pave__strength(PAVE_MEDIUM);
    default: return 0;
    }
}

static int same_in_memory(int type, int wanted) {
    return wanted == PAVE_T_NONE || type == wanted || (type == PAVE_T_TF32 && wanted == PAVE_T_F32);
}

int pave__hidden_type(const pave__row *row, int precision) {
    if (row->a_type == PAVE_T_F32 && row->path == PAVE_PATH_TF32) return PAVE_T_TF32;
    if (row->a_type == PAVE_T_NONE) return PAVE_T_F32;
    return may_convert(PAVE_T_F32, row->a_type, precision) ? row->a_type : PAVE_T_NONE;
}

int64_t pave__own_ld(int64_t width, int type, int align) {
    int64_t step = (align > 16 ? align : 16) / pave__type_bytes(type);
    return width > INT64_MAX - step ? INT64_MAX : pave__div_up(width, step) * step;
}

static pave__why form_of(const pave__planning *p, int type, int64_t ld, uint32_t align, int64_t k, int wanted,
                         int row_align, int packed_before, pave__form *form) {
    int k_empty = k == 0; /* nothing is read, so nothing need be converted */
    *form = (pave__form){PAVE__DIRECT, (uint8_t)type, ld};
    if (!k_empty && !may_convert(type, wanted, p->precision)) return PAVE__WHY_TYPE;
    if (k_empty || (same_in_memory(type, wanted) && align >= (uint32_t)row_align)) return PAVE__WHY_NONE;
    form->type = (uint8_t)(wanted ? wanted : type);
    form->ld = pave__own_ld(k, form->type, row_align);
    form->route = packed_before ? PAVE__PACKED : PAVE__REPACK;
    if (!packed_before && !pave__choose_pack(p)) return PAVE__WHY_PACK;
    return PAVE__WHY_NONE;
}

/* What packing one operand takes. 0 where the packed form is larger than one allocation may be. */
static int predict_pack(const pave__planning *p, int64_t rows, int64_t cols, int from, const pave__form *form,
                        pave__prediction *out) {
    pave__row_load load = {
        .rows = rows, .cols = cols, .elem_bytes = pave__type_bytes(from), .flops_per_elem = 1};
    load.out_bytes = (double)rows * (double)form->ld * pave__type_bytes(form->type);
    *out = pave__model_pack(p->device, pave__choose_pack(p), &load);
    return p->device->alloc_bytes_max == 0 || load.out_bytes <= (double)p->device->alloc_bytes_max;
}

/* Bytes that the launch's outputs take: states of two floats where a reduction is fused, else y. */
static double output_bytes(const pave__work *work, const pave__row *row) {
    if (work->reduction && row->slice > 0)
        return (double)work->m * (double)pave__div_up(work->n, row->slice) * 8;
    return (double)work->m * (double)work->n * pave__type_bytes(work->y_type);
}

/* Fills `c` for a row that can do the work, or says why it cannot. */
static pave__refusal judge_gemm(const pave__planning *p, const pave__work *work, const pave__row *row,
                                int forced, pave__choice *c) {
    pave__refusal no = judge_row(p, row, forced);
    no.layer = work->index;
    if (no.why != PAVE__WHY_NONE) return no;
    *c = (pave__choice){.row = row};
    int hidden = pave__hidden_type(row, p->precision);
    if (work->x_type == PAVE_T_NONE) {
        if (!hidden)
            no.why = PAVE__WHY_TYPE;
        else
            c->a = (pave__form){PAVE__DIRECT, (uint8_t)hidden, pave__own_ld(work->k, hidden, row->align)};
    } else {
        no.why =
            form_of(p, work->x_type, work->ldx, work->x_align, work->k, row->a_type, row->align, 0, &c->a);
    }
    const pave__player *w = work->layer;
    if (no.why == PAVE__WHY_NONE)
        no.why =
            form_of(p, w->w_type, w->ldw, w->w_align, work->k, row->b_type, row->align, w->w_packed, &c->b);
    if (no.why != PAVE__WHY_NONE) return no;

    int fits = 1;
    if (c->a.route == PAVE__REPACK)
        fits &= predict_pack(p, work->m, work->k, work->x_type, &c->a, &c->pack_a);
    if (c->b.route == PAVE__REPACK) fits &= predict_pack(p, work->n, work->k, w->w_type, &c->b, &c->pack_b);
    if (!fits) {
        no.why = PAVE__WHY_ALLOC;
        no.have = (double)p->device->alloc_bytes_max;
        no.need = (double)work->m * (double)work->k * pave__type_bytes(c->a.type);
        return no;
    }
    pave__gemm_load load = {work->m,
                            work->n,
                            work->k,
                            pave__type_bytes(c->a.type),
                            pave__type_bytes(c->b.type),
                            output_bytes(work, row)};
    c->group_m = pave__group_m(p->device, row, &load);
    c->gemm = pave__model_gemm(p->device, row, &load, c->group_m);
    c->ns = c->gemm.ns + c->pack_a.ns + c->pack_b.ns;
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
    double share = largest->gemm.utilisation * largest->gemm.ns / largest->ns;
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

static void refuse_losers(const pave__planning *p, const pave__work *work, const pave__choice *all,
                          size_t count, size_t best) {
    for (size_t i = 0; i < count; i++) {
        if (i == best) continue;
        double share = barred_by_default(all, count, &all[i]);
        if (share > 0 && all[i].ns < all[best].ns)
            pave__refuse(p, all[i].row, work->index, PAVE__WHY_FILLED, share, DEPART_BELOW);
        else
            pave__refuse(p, all[i].row, work->index, PAVE__WHY_SLOWER, all[i].ns, all[best].ns);
    }
}

pave__choice pave__choose_gemm(const pave__planning *p, const pave__work *work, int record) {
    pave__choice all[CANDIDATES_MAX];
    size_t count = 0;
    bool forced = family_forced(p, PAVE__GEMM);
    for (size_t i = 0; i < p->row_count && count < CANDIDATES_MAX; i++) {
        const pave__row *row = &p->rows[i];
        if (row->family != PAVE__GEMM || !concerns(p, row)) continue;
        pave__refusal no = judge_gemm(p, work, row, forced, &all[count]);
        if (no.why == PAVE__WHY_NONE)
            count++;
        else if (record)
            pave__refuse(p, row, work->index, no.why, no.have, no.need);
    }
    size_t best = pick_least(all, count);
    if (best == count) return (pave__choice){0};
    if (record) refuse_losers(p, work, all, count, best);
    return all[best];
}

const pave__row *pave__choose_rows(const pave__planning *p, pave__family family, const pave__row_load *load,
                                   int32_t layer, pave__prediction *predicted) {
    pave__refusal can[CANDIDATES_MAX]; /* have: predicted ns */
    size_t count = 0, best = 0;
    bool forced = family_forced(p, family);
    for (size_t i = 0; i < p->row_count && count < CANDIDATES_MAX; i++) {
        const pave__row *row = &p->rows[i];
        if (row->family != family || !concerns(p, row)) continue;
        pave__refusal no = judge_row(p, row, forced);
        int64_t blocks = pave__div_up(load->rows, row->bm);
        if (no.why == PAVE__WHY_NONE && blocks > PAVE__GRID_X_MAX)
            no = (pave__refusal){row, layer, PAVE__WHY_GRID, PAVE__GRID_X_MAX, (double)blocks};
        if (no.why != PAVE__WHY_NONE) {
            pave__refuse(p, row, layer, no.why, no.have, no.need);
            continue;
        }
        pave__prediction here = pave__model_rows(p->device, row, load);
        can[count] = (pave__refusal){row, layer, PAVE__WHY_SLOWER, here.ns, 0};
        if (count == 0 || here.ns < can[best].have) {
            best = count;
            *predicted = here;
        }
        count++;
    }
    for (size_t i = 0; i < count; i++)
        if (i != best) pave__refuse(p, can[i].row, layer, PAVE__WHY_SLOWER, can[i].have, can[best].have);
    return count ? can[best].row : NULL;
}

const pave__row *pave__choose_pack(const pave__planning *p) {
    bool forced = family_forced(p, PAVE__PACK);
    for (size_t i = 0; i < p->row_count; i++) {
        const pave__row *row = &p->rows[i];
        if (row->family == PAVE__PACK && row->backend == p->backend &&
            judge_row(p, row, forced).why == PAVE__WHY_NONE)
            return row;
    }
    return NULL;
}

bool pave__plan_pack(const pave_device_info *device, pave__backend_id backend, const pave__row *rows,
                     size_t row_count, int64_t m, int64_t k, int64_t width, pave__step *step) {
    pave__planning p = {.device = device, .backend = backend, .rows = rows, .row_count = row_count};
    const pave__row *row = pave__choose_pack(&p);
    if (!row) return false;
    pave__row_load load = {.rows = m, .cols = width, .elem_bytes = 4, .flops_per_elem = 1};
    *step = (pave__step){.row = row, .m = m, .n = width, .k = k, .group_m = 1};
    step->predicted = pave__model_pack(device, row, &load);
    return pave__set_grid(device, step);
}
