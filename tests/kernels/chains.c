/* SPDX-License-Identifier: Apache-2.0
 * Runs matmul and linear cases on strided tensors and judges every element. */
#include "tests/kernels/chains.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct run {
    const test_device *on;
    const matmul_case *c;
    test_class how;
    test_nd a, b, c_in, bias, y, unreduced;
    chain_made made;
    int rank; /* of y before it is reduced */
    int64_t shape[PAVE_MAX_RANK];
    char where[256];
} run;

static pave_dtype type_or(pave_dtype type) {
    return type ? type : PAVE_F32;
}

static bool is_wide(pave_reduction r) {
    return !r || r == PAVE_REDUCE_SOFTMAX || r == PAVE_REDUCE_LOG_SOFTMAX || r == PAVE_REDUCE_NORMALIZE;
}

/* A matrix operand of the batch: its own leading dimensions, then rows × cols, stored the other way round if turned. */
static void make_operand(run *r, test_nd *t, pave_dtype type, int skip, unsigned one, int64_t rows,
                         int64_t cols, const test_order *order, test_rng *rng) {
    const matmul_case *c = r->c;
    int64_t shape[PAVE_MAX_RANK];
    int rank = 0;
    for (int d = skip; d < c->batch_rank; d++) shape[rank++] = one >> d & 1 ? 1 : c->batch[d];
    shape[rank++] = rows;
    shape[rank++] = cols;
    test_nd_make(t, r->on, type_or(type), rank, shape, order, c->fill, rng);
}

static void make_y(run *r, test_rng *rng) {
    const matmul_case *c = r->c;
    int64_t shape[PAVE_MAX_RANK];
    r->rank = c->batch_rank + 2;
    for (int d = 0; d < c->batch_rank; d++) r->shape[d] = c->batch[d];
    r->shape[r->rank - 2] = c->m;
    r->shape[r->rank - 1] = c->n;
    memcpy(shape, r->shape, sizeof shape);
    int rank = r->rank;
    if (!is_wide(c->end.reduction)) {
        if (c->end.window)
            shape[rank - 1] /= c->end.window;
        else
            rank--;
    }
    bool read = c->c_is_y;
    for (int i = 0; i < c->end.link_count; i++) read |= c->end.links[i].is_y;
    pave_dtype type = c->end.reduction == PAVE_REDUCE_ARGMAX ? PAVE_I32 : type_or(c->y);
    test_nd_make(&r->y, r->on, type, rank, shape, &c->y_order, read ? TEST_RANDOM : TEST_POISON, rng);
    if (c->end.unreduced)
        test_nd_make(&r->unreduced, r->on, c->end.unreduced, r->rank, r->shape, &c->end.unreduced_order,
                     TEST_POISON, rng);
}

static void make(run *r) {
    const matmul_case *c = r->c;
    test_rng rng = test_rng_make((uint64_t)(c->m * 1000003 + c->n * 1009 + c->k));
    make_operand(r, &r->a, c->a, c->a_skip, c->a_one, c->transpose_a ? c->k : c->m,
                 c->transpose_a ? c->m : c->k, &c->a_order, &rng);
    make_operand(r, &r->b, c->b, c->b_skip, c->b_one, c->transpose_b || c->linear ? c->n : c->k,
                 c->transpose_b || c->linear ? c->k : c->n, &c->b_order, &rng);
    make_y(r, &rng);
    if (c->c)
        test_nd_make(&r->c_in, r->on, c->c, r->rank, r->shape, &c->c_order,
                     c->poison_c ? TEST_POISON : c->fill, &rng);
    if (c->linear && !c->no_bias)
        test_nd_make(&r->bias, r->on, test_link_type(type_or(c->b)), 1, &c->n, NULL, c->fill, &rng);
    chain_make(&r->made, r->on, &c->end, &r->y.tensor, &rng);
}

static void drop(run *r) {
    test_nd *all[] = {&r->a, &r->b, &r->c_in, &r->bias, &r->y, &r->unreduced};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) test_nd_free(all[i]);
    chain_free(&r->made);
}

static pave_status enqueue(const run *r) {
    const matmul_case *c = r->c;
    const chain_end *e = &c->end;
    pave_epilogue epilogue = {
        r->made.links, (size_t)e->link_count, e->reduction,           e->window,
        e->epsilon,    r->made.after,         (size_t)e->after_count, r->unreduced.tensor};
    if (c->linear) {
        pave_linear_params p = {.size = sizeof p,
                                .x = r->a.tensor,
                                .w = r->b.tensor,
                                .bias = r->bias.tensor,
                                .y = r->y.tensor,
                                .precision = c->precision,
                                .epilogue = epilogue};
        return pave_linear(r->on->queue, &p, NULL);
    }
    pave_matmul_params p = {.size = sizeof p,
                            .a = r->a.tensor,
                            .b = r->b.tensor,
                            .c = c->c_is_y ? r->y.tensor : r->c_in.tensor,
                            .y = r->y.tensor,
                            .transpose_a = c->transpose_a,
                            .transpose_b = c->transpose_b,
                            .alpha = c->set_alpha ? &c->alpha : NULL,
                            .beta = c->set_beta ? &c->beta : NULL,
                            .precision = c->precision,
                            .epilogue = epilogue};
    return pave_matmul(r->on->queue, &p, NULL);
}

/* Row `i` of a (column of b) of the batch index in index[0 … batch_rank), as k numbers. */
static void take_vector(const run *r, const test_nd *t, bool turned, const int64_t *index, int64_t i,
                        double *out) {
    int64_t at[PAVE_MAX_RANK];
    memcpy(at, index, sizeof at);
    for (int64_t k = 0; k < r->c->k; k++) {
        at[r->rank - 2] = turned ? k : i;
        at[r->rank - 1] = turned ? i : k;
        out[k] = test_nd_get(t, r->rank, at);
    }
}

static test_value scaled(test_value v, pave_link_op op, double t) {
    pave_link link = {.op = op, .a = (float)t};
    return test_apply(v, &link, t);
}

/* Element (i, j) with α, C and bias, before the links. */
static test_value product(const run *r, const test_nd *y_was, const double *a, double *b,
                          const int64_t *index) {
    const matmul_case *c = r->c;
    double alpha = c->set_alpha ? (double)c->alpha : 1, beta = c->set_beta ? (double)c->beta : 1;
    take_vector(r, &r->b, !c->linear && !c->transpose_b, index, index[r->rank - 1], b);
    test_value v = test_dot(a, r->a.tensor.type, b, r->b.tensor.type, alpha == 0 ? 0 : c->k, &r->how);
    if (alpha != 1 && alpha != 0) v = scaled(v, PAVE_LINK_MUL, alpha);
    if ((c->c || c->c_is_y) && beta != 0) {
        double t = beta * test_nd_get(c->c_is_y ? y_was : &r->c_in, r->rank, index);
        v = scaled(v, PAVE_LINK_ADD, t);
        v.bound += 0x1p-23 * fabs(t); /* β C rounds too */
        v.alarm += 0x1p-23 * fabs(t);
    }
    if (r->bias.buffer) v = scaled(v, PAVE_LINK_ADD, test_nd_get(&r->bias, r->rank, index));
    return v;
}

static void judge(const run *r, const test_nd *y_was) {
    const matmul_case *c = r->c;
    int64_t index[PAVE_MAX_RANK] = {0};
    double *a = calloc((size_t)c->k + 1, sizeof *a), *b = calloc((size_t)c->k + 1, sizeof *b);
    test_value *row = calloc((size_t)c->n + 1, sizeof *row);
    assert_true(a && b && row);
    chain_judge j = {&c->end, &r->made, &r->y, y_was, r->where, c->exact};
    for (int d = 0; d < r->rank - 1; d++)
        if (!r->shape[d]) goto done;
    do {
        take_vector(r, &r->a, c->transpose_a, index, index[r->rank - 2], a);
        for (int64_t n = 0; n < c->n; n++) {
            index[r->rank - 1] = n;
            test_value v = product(r, y_was, a, b, index);
            row[n] = chain_value(&c->end, &r->made, false, y_was, r->rank, index, v);
            if (r->unreduced.buffer) chain_judge_value(&j, &r->unreduced, row[n], r->rank, index);
        }
        index[r->rank - 1] = 0;
        chain_judge_row(&j, row, c->n, r->rank, index);
        index[r->rank - 1] = 0;
    } while (test_next(r->rank - 1, r->shape, index));
done:
    free(a);
    free(b);
    free(row);
}

static test_nd copy_of(const test_nd *t) {
    test_nd copy = *t;
    copy.buffer = NULL;
    copy.owned = NULL;
    copy.bytes = malloc(t->total);
    assert_non_null(copy.bytes);
    memcpy(copy.bytes, t->bytes, t->total);
    return copy;
}

static void check_bytes(run *r, bool written) {
    test_nd_check(&r->a, r->on->queue, false, "a");
    test_nd_check(&r->b, r->on->queue, false, "b");
    test_nd_check(&r->c_in, r->on->queue, false, "c");
    test_nd_check(&r->bias, r->on->queue, false, "bias");
    test_nd_check(&r->unreduced, r->on->queue, written, "unreduced");
    test_nd_check(&r->y, r->on->queue, written, "y");
    chain_check(&r->made, r->on);
}

bool run_matmul(const test_device *on, const pave_kernel_info *row, const matmul_case *c) {
    run r = {.on = on, .c = c, .how = row ? test_class_of(row) : test_class_of_promise(c->precision)};
    snprintf(r.where, sizeof r.where,
             "%s on %s, case %s, batch rank %d, m %" PRId64 " n %" PRId64 " k %" PRId64,
             row ? row->name : "the plan", on->info.selector, c->what, c->batch_rank, c->m, c->n, c->k);
    r.how.splits = c->splits;
    if (c->splits) {
        char forced[128];
        snprintf(forced, sizeof forced, "%s/%d", row->name, c->splits);
        force_row(forced);
    }
    make(&r);
    test_nd was = copy_of(&r.y);
    pave_status status = enqueue(&r);
    if (status && (status != PAVE_E_UNSUPPORTED || !row)) fprintf(stderr, "%s\n", r.where);
    if (status != PAVE_E_UNSUPPORTED || !row) TEST_OK(status);
    check_bytes(&r, !status);
    if (!status) {
        judge(&r, &was);
        test_nd first = copy_of(&r.y); /* the same plan, the same bits */
        memcpy(r.y.bytes, was.bytes, was.total);
        test_nd_upload(&r.y, on->queue);
        TEST_OK(enqueue(&r));
        test_nd_check(&r.y, on->queue, true, "y");
        assert_memory_equal(first.bytes, r.y.bytes, first.total);
        free(first.bytes);
    }
    free(was.bytes);
    drop(&r);
    return !status;
}
