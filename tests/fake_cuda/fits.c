/* SPDX-License-Identifier: Apache-2.0
 * Holds a launch to the ABI: the fields that a family reads make sense together, every operand, link and state lies in its
 * allocation over the whole space, aligned as the row wants, and what is written is no element twice. */
#include "kernels/reduce/rows.h"
#include "tests/fake_cuda/inside.h"

#include <inttypes.h>
#include <pave/ops.h>

/* What an operand covers of a launch's space. */
typedef struct extent {
    int64_t batch[PAVE_BATCH_DIMS], rows, cols;
} extent;

typedef struct operand {
    const char *what;
    CUdeviceptr buffer;
    pave_abi_view view;
    int64_t size; /* of an element */
    int align;    /* of the base and of all strides but the columns' */
    int written;
} operand;

static int demand(const fake_launch *l, int held, const char *what) {
    if (!held) fake_misuse(CUDA_SUCCESS, "%s: %s", l->row->name, what);
    return held;
}

static int64_t div_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int is_float(int type) {
    return type == PAVE_T_F32 || type == PAVE_T_F16 || type == PAVE_T_BF16 || PAVE_T_IS_F8(type);
}

static int64_t type_bytes(int type) {
    if (PAVE_T_IS_F8(type)) return 1;
    return type == PAVE_T_F16 || type == PAVE_T_BF16 || type == PAVE_T_F16S ? 2 : 4;
}

static int has_scales(int type) {
    return type == PAVE_T_F16S || type == PAVE_T_F16X2;
}

static int has_states(int reduce) {
    return reduce >= PAVE_REDUCE_LOGSUMEXP && reduce <= PAVE_REDUCE_ARGMAX;
}

/* Strides may have any sign: the operand reaches from its least element to its greatest. */
static int fits(const fake_launch *l, const operand *o, const extent *e) {
    const pave_abi_view *v = &o->view;
    const int64_t extents[] = {e->cols, e->rows, e->batch[0], e->batch[1], e->batch[2]};
    const int64_t strides[] = {v->col, v->row, v->batch[0], v->batch[1], v->batch[2]};
    int64_t low = 0, high = 0, bits = (int64_t)o->buffer + v->offset;
    int repeats = 0;
    for (int d = 0; d < 2 + PAVE_BATCH_DIMS; d++) {
        int64_t reach = (extents[d] - 1) * strides[d];
        if (extents[d] <= 0) return 1;
        if (reach < 0) low += reach;
        if (reach > 0) high += reach;
        if (d && extents[d] > 1) bits |= strides[d] * o->size;
        repeats |= extents[d] > 1 && !strides[d];
    }
    int64_t first = v->offset + low * o->size, end = v->offset + (high + 1) * o->size;
    if (first < 0 || !fake_find(o->buffer, (uint64_t)end)) {
        fake_misuse(CUDA_SUCCESS, "%s: %s leaves its buffer: bytes %" PRId64 " to %" PRId64, l->row->name,
                    o->what, first, end);
        return 0;
    }
    /* Strides in elements keep to an element's own alignment. */
    int64_t at = (int64_t)o->buffer + v->offset;
    if (at % o->size || (o->align > o->size && bits % o->align)) {
        fake_misuse(CUDA_SUCCESS, "%s: %s is not aligned: offset %" PRId64 ", row stride %" PRId64,
                    l->row->name, o->what, v->offset, v->row);
        return 0;
    }
    if (!o->written || !repeats) return 1;
    fake_misuse(CUDA_SUCCESS, "%s: %s is written in one place for many", l->row->name, o->what);
    return 0;
}

static int link_fits(const fake_launch *l, const pave_abi_link *k, CUdeviceptr tensor, const extent *e) {
    if (!demand(l, k->op >= PAVE_LINK_ADD, "a link has no operation")) return 0;
    if (k->op > PAVE_LINK_DIV || k->operand == PAVE_OPERAND_SCALAR) return 1;
    operand o = {"a link's tensor", tensor, k->t, type_bytes(k->type), 1, 0};
    return demand(l, is_float(k->type), "a link's tensor has no type") &&
           demand(l, !PAVE_T_IS_F8(k->type) || l->row->float8 & PAVE__F8_LINKS,
                  "a link's tensor is float8") &&
           demand(l, k->operand != PAVE_OPERAND_ROW || !k->t.row, "a row vector has a row stride") &&
           demand(l, k->operand != PAVE_OPERAND_COLUMN || !k->t.col, "a column vector has a column stride") &&
           fits(l, &o, e);
}

static int links_fit(const fake_launch *l, const pave_abi_link *links, int count, const CUdeviceptr *tensors,
                     const extent *e) {
    if (!demand(l, count >= 0 && count <= PAVE_ABI_LINKS, "more links than there may be")) return 0;
    for (int i = 0; i < count; i++)
        if (!link_fits(l, &links[i], tensors[i], e)) return 0;
    return 1;
}

/* States lie one row after the other, all batches'. */
static int states_fit(const fake_launch *l, CUdeviceptr buffer, int64_t offset, const extent *e,
                      int64_t slots) {
    operand o = {"the states", buffer, {.offset = offset, .row = slots, .col = 1}, 8, 1, 0};
    extent all = {{1, 1, 1}, e->batch[0] * e->batch[1] * e->batch[2] * e->rows, slots};
    return fits(l, &o, &all);
}

static int counters_fit(const fake_launch *l, CUdeviceptr buffer, int64_t count) {
    operand o = {"the counters", buffer, {.col = 1}, 4, 4, 0};
    extent all = {{1, 1, 1}, 1, count};
    return fits(l, &o, &all);
}

/* A product's operands over the extents of its Y and of its A. */
static int product_fits(const fake_launch *l, const pave_abi_view *a, const pave_abi_view *b,
                        const pave_abi_view *y, const extent *e, const extent *of_a, int64_t k) {
    const pave_abi_gemm *g = &l->args.gemm;
    const pave__row *row = l->row;
    extent over_k = *of_a, of_b = *of_a;
    over_k.cols = of_b.cols = k;
    of_b.rows = e->cols;
    operand oa = {"A", l->buffers[0], *a, type_bytes(row->a_type), row->align, 0};
    operand ob = {"B", l->buffers[1], *b, type_bytes(row->b_type), row->align, 0};
    const int pairs = g->y_type == PAVE_T_F16X2;
    operand oy = {"Y", l->buffers[2], *y, type_bytes(g->y_type), pairs ? 4 * PAVE_PAIR_BLOCK : 1, 1};
    extent of_y = *e;
    if (pairs) of_y.cols = div_up(e->cols, PAVE_PAIR_BLOCK) * PAVE_PAIR_BLOCK;
    return demand(l, row->layout == PAVE__LAYOUT_ANY || k <= 1 || (a->col == 1 && b->col == 1),
                  "k is not contiguous") &&
           (k == 0 || e->rows == 0 || e->cols == 0 || (fits(l, &oa, &over_k) && fits(l, &ob, &of_b))) &&
           (!g->y_type || (demand(l, e->cols <= 1 || y->col == 1, "Y's columns are not contiguous") &&
                           fits(l, &oy, &of_y)));
}

static int group_fits(const fake_launch *l, const pave_abi_group *t, int index) {
    const pave_abi_gemm *g = &l->args.gemm;
    const extent e = {{1, 1, 1}, t->m, t->n};
    const pave_abi_view a = {g->a.offset + t->a_offset, t->a_row, t->a_col, {0}};
    const pave_abi_view b = {g->b.offset + t->b_offset, t->b_row, t->b_col, {0}};
    const pave_abi_view y = {g->y.offset + t->y_offset, t->y_row, 1, {0}};
    pave_abi_link links[PAVE_ABI_LINKS];
    for (int i = 0; i < g->link_count; i++) {
        const pave_abi_link *k = &g->links[i];
        links[i] = *k;
        links[i].t.offset += (index * k->t.batch[0] + t->row_base * k->t.row) * type_bytes(k->type);
    }
    return demand(l, t->m >= 0 && t->n >= 0 && t->k >= 0 && t->n <= g->n && t->k <= g->k,
                  "a group is larger than the launch") &&
           demand(l, !g->reduce || t->m == 0 || div_up(t->n, l->row->slice) == g->slots,
                  "a group leaves slots of its rows empty") &&
           product_fits(l, &a, &b, &y, &e, &e, t->k) &&
           links_fit(l, links, g->link_count, l->buffers + 5, &e);
}

/* The table, with tiles and rows that are numbered without a gap, and the groups' operands. */
static int groups_fit(const fake_launch *l) {
    const pave_abi_gemm *g = &l->args.gemm;
    const pave__row *row = l->row;
    const CUdeviceptr at = l->buffers[4] + (uint64_t)g->g_offset;
    int64_t tiles = 0, rows = 0;
    /* Its fields are 8 bytes wide, and so aligned. */
    const operand table = {"the groups' table", l->buffers[4], {.offset = g->g_offset, .col = 1}, 8, 1, 0};
    const extent words = {{1, 1, 1}, 1, g->group_count * (int64_t)sizeof(pave_abi_group) / 8};
    if (!demand(l, g->batch[0] == 1 && g->batch[1] == 1 && g->batch[2] == 1, "groups in a batch") ||
        !fits(l, &table, &words))
        return 0;
    const pave_abi_group *t = (const pave_abi_group *)(uintptr_t)at;
    for (int i = 0; i < g->group_count; i++, t++) {
        if (!demand(l, t->tile_base == tiles, "a group's tiles do not follow the last one's") ||
            !demand(l, t->row_base == rows, "a group's rows do not follow the last one's") ||
            !group_fits(l, t, i))
            return 0;
        tiles += div_up(t->m, row->bm) * div_up(t->n, row->bn);
        rows += t->m;
    }
    return demand(l, tiles == g->tiles, "the groups have another number of tiles") &&
           demand(l, rows == g->m, "the groups have another number of rows");
}

/* The scales of a packed operand: one for each row of all its matrices, behind them. */
static int scales_fit(const fake_launch *l, CUdeviceptr buffer, const pave_abi_view *v, const extent *e,
                      int64_t rows, int64_t bytes, int64_t scales) {
    int64_t last = rows - 1;
    if (!demand(l, v->row > 0 && v->col == 1, "scales of no packed matrix")) return 0;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) last += (e->batch[d] - 1) * (v->batch[d] / v->row);
    operand o = {"scales", buffer, {.offset = scales, .row = 1, .col = 1}, 4, 4, 0};
    extent all = {{1, 1, 1}, last + 1, 1};
    return demand(l, scales >= v->offset + (last + 1) * v->row * bytes, "scales among the elements") &&
           fits(l, &o, &all);
}

static int gemm_scales_fit(const fake_launch *l, const extent *e) {
    const pave_abi_gemm *g = &l->args.gemm;
    const int any = g->a_scale || g->b_scale || g->scale != 1.0f;
    return demand(l, g->scale > 0, "no scale") &&
           demand(l, !any || (!g->group_count && l->row->path == PAVE_PATH_F16),
                  "scales that no one reads") &&
           (!g->a_scale ||
            scales_fit(l, l->buffers[0], &g->a, e, g->m, type_bytes(l->row->a_type), g->a_scale)) &&
           (!g->b_scale ||
            scales_fit(l, l->buffers[1], &g->b, e, g->n, type_bytes(l->row->b_type), g->b_scale));
}

static int is_joined(const fake_launch *l) {
    return l->args.gemm.k_slice && l->args.gemm.slots;
}

/* Slices' tiles lie one behind the other as lines of quads, and each tile of y has a counter. */
static int joined_fit(const fake_launch *l) {
    const pave_abi_gemm *g = &l->args.gemm;
    int64_t tiles = div_up(g->m, l->row->bm) * div_up(g->n, l->row->bn);
    operand parts = {"the slices", l->buffers[3], {.offset = g->p_offset, .col = 1}, 4, 16, 0};
    extent floats = {{1, 1, 1}, 1, tiles * g->batch[0] * l->row->bm * l->row->bn};
    return demand(l, l->row->joins && g->batch[1] == 1 && g->batch[2] == 1,
                  "slices that the row cannot join") &&
           demand(l, g->slots == g->batch[0], "a wrong number of slices to join") &&
           fits(l, &parts, &floats) && counters_fit(l, l->buffers[4], tiles);
}

/* Each slice of k has some of it, starts where the row's loads may, and leaves sums alone. */
static int slices_fit(const fake_launch *l) {
    const pave_abi_gemm *g = &l->args.gemm;
    if (!g->k_slice) return 1;
    return demand(l, g->k_slice > 0 && g->batch[0] == div_up(g->k, g->k_slice), "a wrong number of slices") &&
           demand(l, !g->reduce && !g->group_count, "slices that leave states or are of groups") &&
           demand(l, is_joined(l) || (!g->link_count && g->y_type == PAVE_T_F32),
                  "slices that leave more than sums") &&
           (!is_joined(l) || joined_fit(l)) &&
           demand(l, g->a.batch[0] == g->a.col * g->k_slice && g->b.batch[0] == g->b.col * g->k_slice,
                  "slices that do not follow each other") &&
           demand(l, g->k_slice * type_bytes(l->row->a_type) % l->row->align == 0,
                  "slices that are not aligned");
}

static int gemm_fits(const fake_launch *l) {
    const pave_abi_gemm *g = &l->args.gemm;
    const extent e = {{is_joined(l) ? 1 : g->batch[0], g->batch[1], g->batch[2]}, g->m, g->n};
    /* Slices of k are parts of the same matrices. */
    const extent matrices = {{g->k_slice ? 1 : g->batch[0], g->batch[1], g->batch[2]}, g->m, g->n};
    int slice = l->row->slice;
    if (!demand(l, g->y_type || g->reduce, "nothing is stored") ||
        !demand(l, !g->y_type || is_float(g->y_type) || g->y_type == PAVE_T_TF32 || g->y_type == PAVE_T_F16X2,
                "Y has no type") ||
        !demand(l, !g->reduce || (has_states(g->reduce) && slice), "a reduction that leaves no states") ||
        !demand(l, !g->reduce || g->slots == div_up(g->n, slice), "a wrong number of slots") ||
        !demand(l, g->group_m >= 1, "a raster without rows") ||
        !demand(l, g->link_count >= 0 && g->link_count <= PAVE_ABI_LINKS, "more links than there may be"))
        return 0;
    if (!gemm_scales_fit(l, &matrices) || !slices_fit(l)) return 0;
    if (g->reduce && !states_fit(l, l->buffers[3], g->p_offset, &e, g->slots)) return 0;
    if (g->group_count) return groups_fit(l);
    return product_fits(l, &g->a, &g->b, &g->y, &e, &matrices, g->k) &&
           links_fit(l, g->links, g->link_count, l->buffers + 5, &e);
}

static int rows_type_check(const fake_launch *l) {
    const pave_abi_rows *r = &l->args.rows;
    const pave__family family = l->row->family;
    int index = r->reduce == PAVE_REDUCE_ARGMAX && !(family == PAVE__REDUCE && r->slots);
    int states = has_states(r->reduce), wide = r->reduce > PAVE_REDUCE_ARGMAX;
    return demand(l, family == PAVE__JOIN || is_float(r->x_type), "X has no type") &&
           demand(l, family == PAVE__JOIN || !PAVE_T_IS_F8(r->x_type) || l->row->float8 & PAVE__F8_X,
                  "X is float8") &&
           demand(l,
                  index ? r->y_type == PAVE_T_I32
                        : is_float(r->y_type) || (family == PAVE__MAP && r->y_type == PAVE_T_TF32) ||
                              has_scales(r->y_type),
                  "Y has no type that fits") &&
           demand(l, l->row->b_type == (has_scales(r->y_type) && !l->row->sums ? r->y_type : PAVE_T_NONE),
                  "Y is of another row's type") &&
           demand(l,
                  family == PAVE__MAP         ? !r->reduce
                  : family == PAVE__NORMALIZE ? wide
                                              : states,
                  "a reduction of another family");
}

/* A map that adds slots: the last one lies in X too, and rows are whole quads of float32. */
static int sum_fits(const fake_launch *l, const operand *x, const extent *e) {
    const pave_abi_rows *r = &l->args.rows;
    extent quads = *e;
    operand last = *x;
    const int64_t whole = div_up(e->cols, PAVE_PAIR_BLOCK) * PAVE_PAIR_BLOCK;
    quads.cols = (r->width + 3) / 4 * 4;
    last.align = 16;
    last.view.offset += (r->slots - 1) * r->slice * x->size;
    return demand(l,
                  r->x_type == PAVE_T_F32 && r->width == (r->y_type == PAVE_T_F16X2 ? whole : r->cols) &&
                      (e->cols <= 1 || r->x.col == 1),
                  "a sum of other than rows of float32") &&
           demand(l, r->slice > 0 && r->slice % 4 == 0, "slots that are not aligned") &&
           fits(l, &last, &quads);
}

static int rows_fit(const fake_launch *l) {
    const pave_abi_rows *r = &l->args.rows;
    const CUdeviceptr *b = l->buffers;
    const pave__family family = l->row->family;
    const int join = family == PAVE__JOIN, wide = family == PAVE__MAP || family == PAVE__NORMALIZE;
    const int split = family == PAVE__REDUCE && r->slots;
    extent e = {{r->batch[0], r->batch[1], r->batch[2]}, r->rows, r->cols};
    operand x = {"X", b[0], r->x, type_bytes(r->x_type), 1, 0};
    operand y = {"Y", b[1], r->y, type_bytes(r->y_type), 1, 1};
    if (!rows_type_check(l)) return 0;
    if (!(join ? states_fit(l, b[0], r->x.offset, &e, r->slots) : fits(l, &x, &e))) return 0;
    if (family == PAVE__MAP && !demand(l, !l->row->sums || r->slots > 1, "nothing to add")) return 0;
    if (l->row->sums && !sum_fits(l, &x, &e)) return 0;
    if (!demand(l, family != PAVE__NORMALIZE || l->row->slices == (r->slots > 0),
                "states for whole rows, or slices without them"))
        return 0;
    if (l->row->slices &&
        !(demand(l, r->slice > 0 && r->slots == div_up(r->cols + PAVE__SLICE_SHIFT, r->slice),
                 "a wrong number of slots") &&
          demand(l, r->slice % 4 == 0, "a slice that is no whole quads") &&
          demand(l, r->reduce != PAVE_REDUCE_NORMALIZE, "states of another reduction") &&
          demand(l, r->link_count <= PAVE_ROWS_COUNTERS - 2, "a link's tensor in the counters' place") &&
          demand(l,
                 r->slots <= PAVE__SLICE_SLOTS && l->grid[0] % r->slots == 0 && l->grid[1] * l->grid[2] == 1,
                 "blocks of no team") &&
          counters_fit(l, b[PAVE_ROWS_COUNTERS],
                       2 * PAVE__SLICE_ROWS * (int64_t)l->grid[0] + l->grid[0] / r->slots)))
        return 0;
    if (split)
        return demand(l, r->slice > 0 && r->slots == div_up(r->cols, r->slice), "a wrong number of slots") &&
               demand(l, !r->link_count, "links on states") && states_fit(l, b[1], r->y.offset, &e, r->slots);
    if (!wide) e.cols = 1;
    if (!links_fit(l, r->links, r->link_count, b + 2, &e)) return 0;
    if (has_scales(r->y_type) && !l->row->sums &&
        !(demand(l, !r->link_count, "links on scaled rows") &&
          scales_fit(l, b[1], &r->y, &e, r->rows, type_bytes(r->y_type), r->slots)))
        return 0;
    if (family == PAVE__MAP) e.cols = r->width;
    return demand(l, family != PAVE__MAP || r->width >= r->cols, "a map narrower than its rows") &&
           fits(l, &y, &e);
}

int fake_fits(const fake_launch *l) {
    return l->row->family == PAVE__GEMM ? gemm_fits(l) : rows_fit(l);
}
