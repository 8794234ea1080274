/* SPDX-License-Identifier: Apache-2.0
 * Runs reductions along an axis and element-wise maps on strided tensors and judges every element. */
#include "tests/kernels/chains.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pave_dtype type_or(pave_dtype type) {
    return type ? type : PAVE_F32;
}

static bool is_wide(pave_reduction r) {
    return r == PAVE_REDUCE_SOFTMAX || r == PAVE_REDUCE_LOG_SOFTMAX || r == PAVE_REDUCE_NORMALIZE;
}

typedef struct reduce_run {
    const test_device *on;
    const reduce_nd_case *c;
    int axis, y_rank;
    int64_t y_shape[PAVE_MAX_RANK];
    test_nd x, y, was; /* was: a copy of x's bytes on the host */
    chain_made made;
    char where[256];
} reduce_run;

static void make_reduce(reduce_run *r) {
    const reduce_nd_case *c = r->c;
    test_rng rng = test_rng_make((uint64_t)(c->shape[0] * 31 + c->end.reduction));
    r->axis = c->rank - 1 - c->axis_from_last;
    bool single = !is_wide(c->end.reduction) && !c->end.window;
    for (int d = 0; d < c->rank; d++) {
        int64_t size = c->shape[d];
        if (d == r->axis && single && !c->keep && c->rank > 1) continue;
        if (d == r->axis && single) size = 1;
        if (d == r->axis && c->end.window && !is_wide(c->end.reduction)) size /= c->end.window;
        r->y_shape[r->y_rank++] = size;
    }
    test_nd_make(&r->x, r->on, type_or(c->x), c->rank, c->shape, &c->x_order, c->fill, &rng);
    pave_dtype type = c->end.reduction == PAVE_REDUCE_ARGMAX ? PAVE_I32 : type_or(c->y);
    if (!c->in_place) test_nd_make(&r->y, r->on, type, r->y_rank, r->y_shape, &c->y_order, TEST_POISON, &rng);
    r->was = r->x;
    r->was.bytes = malloc(r->x.total);
    assert_non_null(r->was.bytes);
    memcpy(r->was.bytes, r->x.bytes, r->x.total);
    chain_make(&r->made, r->on, &c->end, &r->y.tensor, &rng);
}

static void run_once(reduce_run *r) {
    const reduce_nd_case *c = r->c;
    pave_reduce_params p = {.size = sizeof p,
                            .x = r->x.tensor,
                            .y = c->in_place ? r->x.tensor : r->y.tensor,
                            .axis_from_last = c->axis_from_last,
                            .reduction = c->end.reduction,
                            .window = c->end.window,
                            .epsilon = c->end.epsilon,
                            .links = r->made.after,
                            .link_count = (size_t)c->end.after_count};
    pave_status status = pave_reduce(r->on->queue, &p, NULL);
    if (status) fprintf(stderr, "%s\n", r->where);
    TEST_OK(status);
    test_nd_check(&r->x, r->on->queue, c->in_place, "x");
    if (!c->in_place) test_nd_check(&r->y, r->on->queue, true, "y");
    chain_check(&r->made, r->on);
}

/* Row values are judged with the axis moved last, so y's index is put together here. */
static void judge_window(const reduce_run *r, const int64_t *at, const test_value *row, int64_t first,
                         int64_t n) {
    const reduce_nd_case *c = r->c;
    const test_nd *y = c->in_place ? &r->x : &r->y;
    chain_judge j = {&c->end, &r->made, y, NULL, r->where, false};
    int64_t index[PAVE_MAX_RANK];
    int rank = 0, column = -1;
    for (int d = 0; d < c->rank; d++) {
        if (d == r->axis && r->y_rank < c->rank) continue;
        if (d == r->axis) column = rank;
        index[rank++] = at[d];
    }
    if (!is_wide(c->end.reduction)) {
        if (column >= 0) index[column] = c->end.window ? first / n : 0;
        if (c->end.reduction == PAVE_REDUCE_ARGMAX) {
            double got = test_nd_get(y, rank, index);
            if (!test_argmax_right(row, n, (int64_t)got)) {
                fprintf(stderr, "argmax: %s: %g is wrong\n", r->where, got);
                fail();
            }
            return;
        }
        test_value v = test_reduce_row(row, n, c->end.reduction);
        chain_judge_value(&j, y, chain_value(&c->end, &r->made, true, NULL, rank, index, v), rank, index);
        return;
    }
    test_value *out = calloc((size_t)n + 1, sizeof *out);
    assert_non_null(out);
    double epsilon = c->end.epsilon > 0 ? (double)c->end.epsilon : (double)1e-5f;
    test_normalize_row(row, n, c->end.reduction, epsilon, out);
    for (int64_t i = 0; i < n; i++) {
        index[column] = first + i;
        chain_judge_value(&j, y, chain_value(&c->end, &r->made, true, NULL, rank, index, out[i]), rank,
                          index);
    }
    free(out);
}

static void judge_reduce(const reduce_run *r) {
    const reduce_nd_case *c = r->c;
    int64_t n = c->shape[r->axis], width = c->end.window ? c->end.window : n;
    int64_t at[PAVE_MAX_RANK] = {0}, others[PAVE_MAX_RANK];
    memcpy(others, c->shape, sizeof others);
    others[r->axis] = 1;
    for (int d = 0; d < c->rank; d++)
        if (!others[d]) return;
    test_value *row = calloc((size_t)n + 1, sizeof *row);
    assert_non_null(row);
    do {
        for (int64_t i = 0; i < n; i++) {
            at[r->axis] = i;
            row[i].value = test_nd_get(&r->was, c->rank, at);
        }
        at[r->axis] = 0;
        for (int64_t w = 0; w * width < n || (w == 0 && n == 0); w++)
            judge_window(r, at, row + w * width, w * width, width);
    } while (test_next(c->rank, others, at));
    free(row);
}

void run_reduce_nd(const test_device *on, const reduce_nd_case *c) {
    reduce_run r = {.on = on, .c = c};
    int n = snprintf(r.where, sizeof r.where, "%s, case %s, reduction %d along %d from the last of",
                     on->info.selector, c->what, (int)c->end.reduction, c->axis_from_last);
    for (int d = 0; d < c->rank; d++)
        n += snprintf(r.where + n, sizeof r.where - (size_t)n, " %" PRId64, c->shape[d]);
    make_reduce(&r);
    run_once(&r);
    judge_reduce(&r);
    if (!c->in_place) { /* the same bits again */
        unsigned char *first = malloc(r.y.total);
        assert_non_null(first);
        memcpy(first, r.y.bytes, r.y.total);
        run_once(&r);
        assert_memory_equal(first, r.y.bytes, r.y.total);
        free(first);
    }
    free(r.was.bytes);
    test_nd_free(&r.x);
    test_nd_free(&r.y);
    chain_free(&r.made);
}

void run_map(const test_device *on, const map_case *c) {
    char where[256];
    snprintf(where, sizeof where, "%s, map %s of rank %d", on->info.selector, c->what, c->rank);
    test_rng rng = test_rng_make((uint64_t)(c->shape[0] * 7 + c->rank));
    test_nd x, y = {0}, was;
    test_nd_make(&x, on, type_or(c->x), c->x_rank ? c->x_rank : c->rank, c->x_rank ? c->x_shape : c->shape,
                 &c->x_order, TEST_RANDOM, &rng);
    if (!c->in_place) test_nd_make(&y, on, type_or(c->y), c->rank, c->shape, &c->y_order, TEST_POISON, &rng);
    was = x;
    was.bytes = malloc(x.total);
    assert_non_null(was.bytes);
    memcpy(was.bytes, x.bytes, x.total);
    test_nd *out = c->in_place ? &x : &y;
    chain_made made;
    chain_make(&made, on, &c->end, &out->tensor, &rng);
    pave_map_params p = {.size = sizeof p,
                         .x = x.tensor,
                         .y = out->tensor,
                         .links = made.links,
                         .link_count = (size_t)c->end.link_count};
    pave_status status =
        c->copy ? pave_copy(on->queue, &x.tensor, &out->tensor, NULL) : pave_map(on->queue, &p, NULL);
    if (status) fprintf(stderr, "%s\n", where);
    TEST_OK(status);
    test_nd_check(&x, on->queue, c->in_place, "x");
    test_nd_check(&y, on->queue, true, "y");
    chain_check(&made, on);
    chain_judge j = {&c->end, &made, out, &was, where, c->copy};
    int64_t index[PAVE_MAX_RANK] = {0};
    bool empty = false;
    for (int d = 0; d < c->rank; d++) empty |= !c->shape[d];
    while (!empty) {
        test_value v = {test_nd_get(&was, c->rank, index), 0, 0};
        chain_judge_value(&j, out, chain_value(&c->end, &made, false, &was, c->rank, index, v), c->rank,
                          index);
        if (!test_next(c->rank, c->shape, index)) break;
    }
    free(was.bytes);
    test_nd_free(&x);
    test_nd_free(&y);
    chain_free(&made);
}
