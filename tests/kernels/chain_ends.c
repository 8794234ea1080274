/* SPDX-License-Identifier: Apache-2.0
 * What operations share behind their values: links' tensors, reductions in windows, links after them, and the judging of
 * single elements. A failure prints the case, the seed, the index and both values. */
#include "tests/kernels/chains.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void make_link(chain_made *made, int at, pave_link *out, const test_device *on, const chain_link *l,
                      const pave_tensor *y, test_rng *rng) {
    *out = (pave_link){.op = l->op, .a = l->a, .b = l->b};
    if (l->is_y) {
        out->tensor = *y;
    } else if (l->rank) {
        test_nd_make(&made->tensors[at], on, l->type ? l->type : PAVE_F32, l->rank, l->shape, &l->order,
                     TEST_POSITIVE, rng);
        out->tensor = made->tensors[at].tensor;
    }
}

void chain_make(chain_made *made, const test_device *on, const chain_end *end, const pave_tensor *y,
                test_rng *rng) {
    *made = (chain_made){0};
    for (int i = 0; i < end->link_count; i++) make_link(made, i, &made->links[i], on, &end->links[i], y, rng);
    for (int i = 0; i < end->after_count; i++)
        make_link(made, PAVE_MAX_LINKS + i, &made->after[i], on, &end->after[i], y, rng);
}

void chain_check(chain_made *made, const test_device *on) {
    for (int i = 0; i < CHAIN_TENSORS; i++)
        test_nd_check(&made->tensors[i], on->queue, false, "a link's tensor");
}

void chain_free(chain_made *made) {
    for (int i = 0; i < CHAIN_TENSORS; i++) test_nd_free(&made->tensors[i]);
}

test_value chain_value(const chain_end *end, const chain_made *made, bool after, const test_nd *y_was,
                       int rank, const int64_t *index, test_value v) {
    int count = after ? end->after_count : end->link_count;
    for (int i = 0; i < count; i++) {
        const chain_link *l = after ? &end->after[i] : &end->links[i];
        const test_nd *t = l->is_y ? y_was : &made->tensors[after ? PAVE_MAX_LINKS + i : i];
        double operand = l->is_y || l->rank ? test_nd_get(t, rank, index) : l->a;
        pave_link link = {.op = l->op, .a = l->a, .b = l->b};
        v = test_apply(v, &link, operand);
    }
    return v;
}

static void complain(const chain_judge *j, int rank, const int64_t *index, double got, test_value want,
                     const char *layer) {
    fprintf(stderr, "%s: %s, seed %" PRIu64 ": y[", layer, j->where, test_seed());
    for (int d = 0; d < rank; d++) fprintf(stderr, "%s%" PRId64, d ? "," : "", index[d]);
    fprintf(stderr, "] is %.9g where %.9g +- %.3g (alarm %.3g) is right\n", got, want.value, want.bound,
            want.alarm);
    fail();
}

void chain_judge_value(const chain_judge *j, const test_nd *y, test_value want, int rank,
                       const int64_t *index) {
    double got = test_nd_get(y, rank, index);
    if (j->exact) {
        unsigned char bytes[4];
        test_store(bytes, y->tensor.type, 0, want.value);
        double rounded = test_load(bytes, y->tensor.type, 0);
        if (got != rounded) complain(j, rank, index, got, (test_value){rounded, 0, 0}, "exactness");
        return;
    }
    want = test_stored(want, y->tensor.type);
    if (!test_within(got, want.value, want.bound)) complain(j, rank, index, got, want, "bound");
    if (!test_within(got, want.value, want.alarm)) complain(j, rank, index, got, want, "alarm");
}

static bool is_wide(pave_reduction r) {
    return r == PAVE_REDUCE_SOFTMAX || r == PAVE_REDUCE_LOG_SOFTMAX || r == PAVE_REDUCE_NORMALIZE;
}

/* One window from column `first`; windows: how many the row has. */
static void judge_window(const chain_judge *j, const test_value *row, int64_t n, int64_t first,
                         int64_t windows, int rank, int64_t *index) {
    const chain_end *e = j->end;
    if (is_wide(e->reduction)) {
        test_value *out = calloc((size_t)n + 1, sizeof *out);
        assert_non_null(out);
        test_normalize_row(row, n, e->reduction, e->epsilon > 0 ? (double)e->epsilon : (double)1e-5f, out);
        for (int64_t i = 0; i < n; i++) {
            index[rank - 1] = first + i;
            test_value v = chain_value(e, j->made, true, j->y_was, rank, index, out[i]);
            chain_judge_value(j, j->y, v, rank, index);
        }
        free(out);
        return;
    }
    /* One value a row has no column, one a window has the window's. */
    int own = e->window ? rank : rank - 1;
    if (e->window) index[rank - 1] = first / n;
    int64_t single = 0;
    const int64_t *at = own ? index : &single;
    if (!own) own = 1;
    (void)windows;
    if (e->reduction == PAVE_REDUCE_ARGMAX) {
        double got = test_nd_get(j->y, own, at);
        if (!test_argmax_right(row, n, (int64_t)got))
            complain(j, own, at, got, (test_value){0, 0, 0}, "argmax");
        return;
    }
    test_value v = test_reduce_row(row, n, e->reduction);
    chain_judge_value(j, j->y, chain_value(e, j->made, true, j->y_was, own, at, v), own, at);
}

void chain_judge_row(const chain_judge *j, const test_value *row, int64_t n, int rank, int64_t *index) {
    const chain_end *e = j->end;
    if (!e->reduction) {
        for (index[rank - 1] = 0; index[rank - 1] < n; index[rank - 1]++)
            chain_judge_value(j, j->y, row[index[rank - 1]], rank, index);
        return;
    }
    int64_t width = e->window ? e->window : n, windows = e->window ? n / e->window : 1;
    for (int64_t w = 0; w < windows; w++)
        judge_window(j, row + w * width, width, w * width, windows, rank, index);
}

void matmul_links_every_shape(matmul_case *c, int which) {
    const int64_t B = 3, M = c->m, N = c->n;
    const chain_link chains[2][PAVE_MAX_LINKS] = {
        {{.op = PAVE_LINK_ADD, .rank = 1, .shape = {N}, .order = {.step = 3}, .type = PAVE_F16},
         {.op = PAVE_LINK_MUL, .rank = 2, .shape = {M, 1}, .order = {.pad = 2}},
         {.op = PAVE_LINK_RELU},
         {.op = PAVE_LINK_SUB, .rank = 3, .shape = {B, 1, N}, .type = PAVE_BF16},
         {.op = PAVE_LINK_DIV, .rank = 3, .shape = {B, 1, 1}},
         {.op = PAVE_LINK_SIGMOID},
         {.op = PAVE_LINK_ADD, .rank = 3, .shape = {B, M, N}, .order = {.pad = 1, .offset = 1}},
         {.op = PAVE_LINK_MUL, .a = -1.25f}},
        {{.op = PAVE_LINK_SIGMOID},
         {.op = PAVE_LINK_ADD, .rank = 3, .shape = {B, M, N}, .order = {.dims = "210"}, .type = PAVE_BF16},
         {.op = PAVE_LINK_MUL, .rank = 2, .shape = {M, N}, .order = {.dims = "10"}},
         {.op = PAVE_LINK_DIV, .rank = 3, .shape = {B, M, 1}, .type = PAVE_F16},
         {.op = PAVE_LINK_SUB, .rank = 2, .shape = {1, N}},
         {.op = PAVE_LINK_RELU},
         {.op = PAVE_LINK_ADD, .a = 0.5f},
         {.op = PAVE_LINK_MUL, .rank = 3, .shape = {1, 1, 1}}}};
    memcpy(c->end.links, chains[which], sizeof chains[which]);
    c->end.link_count = PAVE_MAX_LINKS;
    c->batch_rank = 1;
    c->batch[0] = B;
}
