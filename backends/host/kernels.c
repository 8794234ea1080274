/* SPDX-License-Identifier: Apache-2.0
 * The reference: every family in plain C, one value at a time, in float64. Slow and evident. */
#include "backends/host/kernels.h"

#include "backends/host/values.h"
#include <assert.h>

/* Where in a launch's space a value stands. */
typedef struct point {
    int64_t batch[PAVE_BATCH_DIMS], row, col;
} point;

static int64_t batch_count(const int64_t *extent) {
    return extent[0] * extent[1] * extent[2];
}

/* The batch's next index; past the last, the first again. */
static void next_batch(const int64_t *extent, int64_t *batch) {
    for (int d = PAVE_BATCH_DIMS - 1; d >= 0; d--) {
        if (++batch[d] < extent[d]) return;
        batch[d] = 0;
    }
}

static int64_t batch_index(const int64_t *extent, const int64_t *batch) {
    return (batch[0] * extent[1] + batch[1]) * extent[2] + batch[2];
}

static int64_t place(const pave_abi_view *v, const point *p) {
    int64_t at = p->row * v->row + p->col * v->col;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) at += p->batch[d] * v->batch[d];
    return at;
}

/* A row's number among all of a packed operand's, which is its scale's. */
static int64_t packed_row(const pave_abi_view *v, const point *p) {
    int64_t at = 0;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) at += p->batch[d] * v->batch[d];
    return at / v->row + p->row;
}

static double get(const void *base, const pave_abi_view *v, int type, const point *p) {
    return load((const char *)base + v->offset, type, place(v, p));
}

static void put(void *base, const pave_abi_view *v, int type, const point *p, double value) {
    store((char *)base + v->offset, type, place(v, p), value);
}

static double chain(const pave_abi_link *links, int count, void *const *tensors, double v, const point *p) {
    for (int i = 0; i < count; i++) {
        const pave_abi_link *l = &links[i];
        double t = l->a;
        if (l->op <= PAVE_LINK_DIV && l->operand != PAVE_OPERAND_SCALAR)
            t *= get(tensors[i], &l->t, l->type, p);
        switch (l->op) {
        case PAVE_LINK_ADD: v += t; break;
        case PAVE_LINK_SUB: v -= t; break;
        case PAVE_LINK_MUL: v *= t; break;
        case PAVE_LINK_DIV: v /= t; break;
        default: v = activate(l->op, v, l->a, l->b);
        }
    }
    return v;
}

/* As the kernels leave states: two floats, an index as its bits. */
static void put_state(char *p, int64_t index, int reduce, state s) {
    float *out = (float *)p + 2 * index;
    double x = s.x;
    out[0] = (float)(x > FLT_MAX ? (reduce == 1 ? FLT_MAX : x) : x < -FLT_MAX && reduce == 1 ? -FLT_MAX : x);
    if (reduce == PAVE_REDUCE_ARGMAX) {
        int32_t column = PV_TO_INDEX(s.y);
        memcpy(&out[1], &column, sizeof column);
        return;
    }
    /* The sum belongs to the maximum as stored. */
    out[1] = (float)(reduce == 1 ? s.y * exp(x - out[0]) : s.y);
}

static state get_state(const char *p, int64_t index, int reduce) {
    const float *in = (const float *)p + 2 * index;
    if (reduce != PAVE_REDUCE_ARGMAX) return (state){in[0], in[1]};
    int32_t column;
    memcpy(&column, &in[1], sizeof column);
    return (state){in[0], PV_FROM_INDEX(column)};
}

/* ---- gemm ---- */

/* One matrix product of a launch: a batch index, or a group with strides and sizes of its own. */
typedef struct product {
    int64_t m, n, k, states; /* states: the number of its first row */
    pave_abi_view a, b, y;
    point at;
    int64_t row_base;
} product;

static double dot(const pave__row *row, const product *q, void *const *buffers, int64_t i, int64_t j) {
    point pa = q->at, pb = q->at;
    double sum = 0;
    pa.row = i, pb.row = j;
    for (int64_t k = 0; k < q->k; k++) {
        pa.col = pb.col = k;
        sum += get(buffers[0], &q->a, row->a_type, &pa) * get(buffers[1], &q->b, row->b_type, &pb);
    }
    return sum;
}

/* What the sum of products of rows i and j is to be multiplied by. */
static double scale_of_rows(const pave_abi_gemm *g, const product *q, void *const *buffers, int64_t i,
                            int64_t j) {
    double scale = (double)g->scale;
    point pa = q->at, pb = q->at;
    pa.row = i, pb.row = j;
    if (g->a_scale) scale = load((const char *)buffers[0] + g->a_scale, PAVE_T_F32, packed_row(&q->a, &pa));
    if (g->b_scale) scale *= load((const char *)buffers[1] + g->b_scale, PAVE_T_F32, packed_row(&q->b, &pb));
    return scale;
}

static void run_product(const pave__row *row, const pave_abi_gemm *g, const product *q,
                        void *const *buffers) {
    char *p = (char *)buffers[3] + g->p_offset;
    for (int64_t i = 0; i < q->m; i++) {
        state s = pave_state_begin(g->reduce);
        point out = q->at;
        out.row = i;
        for (int64_t j = 0; j < q->n; j++) {
            point at = q->at;
            at.row = q->row_base + i, at.col = j;
            out.col = j;
            double sum = dot(row, q, buffers, i, j) * scale_of_rows(g, q, buffers, i, j);
            double v = chain(g->links, g->link_count, buffers + 5, sum, &at);
            if (g->y_type) put(buffers[2], &q->y, g->y_type, &out, v);
            if (!g->reduce) continue;
            s = pave_state_fold(g->reduce, s, v, (int)j);
            if (j % row->slice != row->slice - 1 && j != q->n - 1) continue;
            put_state(p, (q->states + i) * g->slots + j / row->slice, g->reduce, s);
            s = pave_state_begin(g->reduce);
        }
        if (g->y_type != PAVE_T_F16X2) continue;
        for (out.col = q->n; out.col % PAVE_PAIR_BLOCK; out.col++) put(buffers[2], &q->y, g->y_type, &out, 0);
    }
}

static void run_group(const pave__row *row, const pave_abi_gemm *g, int64_t index, void *const *buffers) {
    const pave_abi_group *t = (const pave_abi_group *)((const char *)buffers[4] + g->g_offset) + index;
    product q = {.m = t->m, .n = t->n, .k = t->k, .states = t->row_base, .row_base = t->row_base};
    q.a = (pave_abi_view){g->a.offset + t->a_offset, t->a_row, t->a_col, {0}};
    q.b = (pave_abi_view){g->b.offset + t->b_offset, t->b_row, t->b_col, {0}};
    q.y = (pave_abi_view){g->y.offset + t->y_offset, t->y_row, 1, {0}};
    q.at.batch[0] = index;
    run_product(row, g, &q, buffers);
}

static void run_gemm(const pave__row *row, const pave_abi_gemm *g, void *const *buffers) {
    for (int64_t i = 0; i < g->group_count; i++) run_group(row, g, i, buffers);
    if (g->group_count) return;
    product q = {.m = g->m, .n = g->n, .k = g->k, .a = g->a, .b = g->b, .y = g->y};
    const int joined = g->k_slice && g->slots;
    for (int64_t left = joined ? 1 : batch_count(g->batch); left > 0; left--) {
        int64_t k_left = g->k - q.at.batch[0] * g->k_slice;
        if (g->k_slice && !joined) q.k = k_left < g->k_slice ? k_left : g->k_slice;
        q.states = batch_index(g->batch, q.at.batch) * g->m;
        run_product(row, g, &q, buffers);
        next_batch(g->batch, q.at.batch);
    }
}

/* ---- rows ---- */

static void finish_row(const pave_abi_rows *r, void *const *buffers, const point *at, state s) {
    if (r->reduce == PAVE_REDUCE_ARGMAX) {
        put(buffers[1], &r->y, PAVE_T_I32, at, s.y);
        return;
    }
    double v = pave_state_finish(r->reduce, s, (double)r->cols);
    put(buffers[1], &r->y, r->y_type, at, chain(r->links, r->link_count, buffers + 2, v, at));
}

static state fold_row(const pave_abi_rows *r, int reduce, const void *x, point at, int64_t first,
                      int64_t last) {
    state s = pave_state_begin(reduce);
    for (at.col = first; at.col < last; at.col++)
        s = pave_state_fold(reduce, s, get(x, &r->x, r->x_type, &at), (int)at.col);
    return s;
}

static void reduce_row(const pave_abi_rows *r, void *const *buffers, const point *at) {
    int64_t index = batch_index(r->batch, at->batch) * r->rows + at->row;
    for (int64_t slot = 0; slot < r->slots; slot++) {
        int64_t first = slot * r->slice, last = first + r->slice;
        state s = fold_row(r, r->reduce, buffers[0], *at, first, last < r->cols ? last : r->cols);
        put_state((char *)buffers[1] + r->y.offset, index * r->slots + slot, r->reduce, s);
    }
    if (!r->slots) finish_row(r, buffers, at, fold_row(r, r->reduce, buffers[0], *at, 0, r->cols));
}

static void join_row(const pave_abi_rows *r, void *const *buffers, const point *at) {
    const char *states = (const char *)buffers[0] + r->x.offset;
    int64_t index = batch_index(r->batch, at->batch) * r->rows + at->row;
    state s = pave_state_begin(r->reduce);
    for (int64_t slot = 0; slot < r->slots; slot++)
        s = pave_state_merge(r->reduce, s, get_state(states, index * r->slots + slot, r->reduce));
    finish_row(r, buffers, at, s);
}

/* What normalizing takes from every value, and what it divides by; softmax: its maximum and sum. */
static state scale_of(const pave_abi_rows *r, const void *x, const point *at) {
    if (r->reduce != PAVE_REDUCE_NORMALIZE) return fold_row(r, PAVE_REDUCE_LOGSUMEXP, x, *at, 0, r->cols);
    state s = {fold_row(r, PAVE_REDUCE_SUM, x, *at, 0, r->cols).x / (double)r->cols, 0};
    point p = *at;
    for (p.col = 0; p.col < r->cols; p.col++) s.y += pow(get(x, &r->x, r->x_type, &p) - s.x, 2);
    s.y = sqrt(s.y / (double)r->cols + (double)r->epsilon);
    return s;
}

static double normalized(int reduce, double v, state s) {
    if (reduce == PAVE_REDUCE_NORMALIZE) return (v - s.x) / s.y;
    double lse = s.x + log(s.y);
    if (!isfinite(lse)) return PV_NAN;
    return reduce == PAVE_REDUCE_SOFTMAX ? exp(v - s.x) / s.y : v - lse;
}

static void normalize_row(const pave_abi_rows *r, void *const *buffers, const point *row) {
    point at = *row;
    state s = scale_of(r, buffers[0], row);
    for (at.col = 0; at.col < r->cols; at.col++) {
        double v = normalized(r->reduce, get(buffers[0], &r->x, r->x_type, &at), s);
        put(buffers[1], &r->y, r->y_type, &at, chain(r->links, r->link_count, buffers + 2, v, &at));
    }
}

/* What a map reads at a place: an element, or the sum of several. */
static double map_value(const pave_abi_rows *r, const void *x, const point *at) {
    pave_abi_view view = r->x;
    double sum = get(x, &view, r->x_type, at);
    for (int64_t i = 1; i < r->slots; i++) {
        view.offset += r->slice * (int64_t)sizeof(float);
        sum += get(x, &view, r->x_type, at);
    }
    return sum;
}

static void map_row(const pave_abi_rows *r, void *const *buffers, const point *row) {
    point at = *row;
    for (at.col = 0; at.col < r->width; at.col++) {
        double v = 0;
        if (at.col < r->cols)
            v = chain(r->links, r->link_count, buffers + 2, map_value(r, buffers[0], &at), &at);
        put(buffers[1], &r->y, r->y_type, &at, v);
    }
}

/* Exponent of the power of two that brings the largest finite value of a row to [2^14, 2^15). */
static int scale_exponent(const pave_abi_rows *r, const void *x, const point *row) {
    point at = *row;
    double largest = 0;
    for (at.col = 0; at.col < r->cols; at.col++) {
        double v = fabs(get(x, &r->x, r->x_type, &at));
        if (isfinite(v) && v > largest) largest = v;
    }
    int exponent = 0;
    frexp(largest, &exponent);
    return largest == 0 ? 0 : exponent - 15 < FLT_MIN_EXP - 1 ? FLT_MIN_EXP - 1 : exponent - 15;
}

static void scale_row(const pave_abi_rows *r, void *const *buffers, const point *row) {
    point at = *row;
    int exponent = scale_exponent(r, buffers[0], row),
        type = r->y_type == PAVE_T_F16S ? PAVE_T_F16 : r->y_type;
    for (at.col = 0; at.col < r->width; at.col++) {
        double v = at.col < r->cols ? get(buffers[0], &r->x, r->x_type, &at) : 0;
        put(buffers[1], &r->y, type, &at, ldexp(v, -exponent));
    }
    store((char *)buffers[1] + r->slots, PAVE_T_F32, packed_row(&r->y, row), ldexp(1, exponent));
}

/* A sum that is stored as pairs has one power of two for all, among its links. */
static int has_scales(const pave_abi_rows *r) {
    return r->y_type == PAVE_T_F16S || (r->y_type == PAVE_T_F16X2 && r->slice == 0);
}

static void run_row(pave__family family, const pave_abi_rows *r, void *const *buffers, const point *at) {
    switch (family) {
    case PAVE__REDUCE: reduce_row(r, buffers, at); break;
    case PAVE__JOIN: join_row(r, buffers, at); break;
    case PAVE__NORMALIZE: normalize_row(r, buffers, at); break;
    default: (has_scales(r) ? scale_row : map_row)(r, buffers, at);
    }
}

static void run_rows(pave__family family, const pave_abi_rows *r, void *const *buffers) {
    point at = {.row = 0};
    for (int64_t left = batch_count(r->batch); left > 0; left--) {
        for (at.row = 0; at.row < r->rows; at.row++) run_row(family, r, buffers, &at);
        next_batch(r->batch, at.batch);
    }
}

void host_run(const pave__row *row, const void *args, void *const *buffers) {
    assert(row->family != PAVE__PEAK);
    if (row->family == PAVE__GEMM)
        run_gemm(row, args, buffers);
    else
        run_rows(row->family, args, buffers);
}
