/* SPDX-License-Identifier: Apache-2.0
 * Random products, reductions and maps: shapes, batches, strides, types, chains and promises drawn from a printed seed, on
 * the rows that the planner takes. PAVE_TEST_SEED repeats a run, PAVE_TEST_ROUNDS lengthens it. */
#include "tests/kernels/chains.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 40

/* Chains are drawn from these alone, so that a device builds few programs. */
static const pave_link_op ops[] = {PAVE_LINK_ADD, PAVE_LINK_SUB, PAVE_LINK_MUL, PAVE_LINK_DIV,
                                   PAVE_LINK_SIGMOID};

static int64_t draw(test_rng *rng, int64_t low, int64_t high) {
    return test_integer(rng, low, high);
}

static bool chance(test_rng *rng, int one_in) {
    return draw(rng, 1, one_in) == 1;
}

/* A random order in memory; `names` keeps the digits. */
static test_order draw_order(test_rng *rng, int rank, char names[PAVE_MAX_RANK + 1]) {
    for (int d = 0; d < rank; d++) names[d] = (char)('0' + d);
    names[rank] = '\0';
    if (chance(rng, 2))
        for (int d = rank - 1; d > 0; d--) {
            int other = (int)draw(rng, 0, d);
            char t = names[d];
            names[d] = names[other];
            names[other] = t;
        }
    return (test_order){.dims = names,
                        .step = chance(rng, 6) ? 2 : 1,
                        .pad = draw(rng, 0, 3),
                        .offset = (uint64_t)draw(rng, 0, 3)};
}

static pave_dtype draw_type(test_rng *rng) {
    return chance(rng, 2) ? PAVE_F32 : (pave_dtype)draw(rng, PAVE_F32, PAVE_BF16);
}

typedef char names[PAVE_MAX_RANK + 1];

/* A link on a space of `rank` dimensions: its tensor has any of them, or 1 in their place. */
static chain_link draw_link(test_rng *rng, int rank, const int64_t *shape, char *order_names) {
    chain_link l = {.op = ops[draw(rng, 0, sizeof ops / sizeof ops[0] - 1)]};
    l.a = 1.25f;
    if (l.op > PAVE_LINK_DIV || !rank || chance(rng, 3)) return l;
    l.rank = (int)draw(rng, 1, rank);
    for (int d = 0; d < l.rank; d++) l.shape[d] = chance(rng, 3) ? 1 : shape[rank - l.rank + d];
    l.order = draw_order(rng, l.rank, order_names);
    l.type = draw_type(rng);
    return l;
}

static void draw_end(test_rng *rng, chain_end *e, int rank, const int64_t *shape, names *n, bool reduces) {
    e->link_count = (int)draw(rng, 0, PAVE_MAX_LINKS);
    for (int i = 0; i < e->link_count; i++) e->links[i] = draw_link(rng, rank, shape, n[i]);
    if (!reduces) return;
    e->reduction = (pave_reduction)draw(rng, PAVE_REDUCE_LOGSUMEXP, PAVE_REDUCE_NORMALIZE);
    /* A division by a value near 0 has a bound that says nothing. */
    bool wide = e->reduction >= PAVE_REDUCE_SOFTMAX;
    if (e->reduction == PAVE_REDUCE_ARGMAX) return;
    e->after_count = (int)draw(rng, 0, 2);
    for (int i = 0; i < e->after_count; i++)
        e->after[i] = draw_link(rng, wide ? rank : rank - 1, shape, n[PAVE_MAX_LINKS + i]);
}

static void random_matmul(const test_device *on, test_rng *rng) {
    names n[24];
    matmul_case c = {.what = "random", .linear = chance(rng, 3), .fill = TEST_RANDOM};
    c.batch_rank = (int)draw(rng, 0, 4);
    for (int d = 0; d < c.batch_rank; d++) c.batch[d] = draw(rng, 1, 3);
    c.a_one = c.linear ? 0 : (unsigned)draw(rng, 0, 15) & (unsigned)draw(rng, 0, 15);
    c.b_one = (unsigned)draw(rng, 0, 15) & ~c.a_one;
    c.b_skip = c.linear ? c.batch_rank : 0;
    c.m = draw(rng, 1, 20);
    c.n = draw(rng, 1, 40);
    c.k = chance(rng, 10) ? 0 : draw(rng, 1, 40);
    c.a = draw_type(rng), c.b = chance(rng, 3) ? draw_type(rng) : c.a, c.y = draw_type(rng);
    c.transpose_a = !c.linear && chance(rng, 2), c.transpose_b = !c.linear && chance(rng, 2);
    c.a_order = draw_order(rng, c.batch_rank + 2, n[16]);
    c.b_order = draw_order(rng, c.batch_rank + 2 - c.b_skip, n[17]);
    c.precision = (pave_precision)draw(rng, PAVE_HIGH, PAVE_MEDIUM);
    int64_t shape[PAVE_MAX_RANK];
    memcpy(shape, c.batch, sizeof shape);
    shape[c.batch_rank] = c.m, shape[c.batch_rank + 1] = c.n;
    draw_end(rng, &c.end, c.batch_rank + 2, shape, n, chance(rng, 3));
    bool wide = !c.end.reduction || c.end.reduction >= PAVE_REDUCE_SOFTMAX;
    c.y_order = draw_order(rng, c.batch_rank + (wide ? 2 : 1), n[18]);
    if (!c.linear && chance(rng, 2)) {
        c.set_alpha = c.set_beta = true;
        c.alpha = -0.75f, c.beta = 1.25f;
        c.c = draw_type(rng);
        c.c_order = draw_order(rng, c.batch_rank + 2, n[19]);
    }
    run_matmul(on, NULL, &c);
}

static void random_reduce(const test_device *on, test_rng *rng) {
    names n[24];
    reduce_nd_case c = {.what = "random", .rank = (int)draw(rng, 1, 6), .fill = TEST_RANDOM};
    for (int d = 0; d < c.rank; d++) c.shape[d] = draw(rng, 1, 7);
    c.axis_from_last = (int)draw(rng, 0, c.rank - 1);
    c.shape[c.rank - 1 - c.axis_from_last] = draw(rng, 1, 600);
    c.x = draw_type(rng), c.y = draw_type(rng);
    c.keep = true;
    c.x_order = draw_order(rng, c.rank, n[16]);
    c.y_order = draw_order(rng, c.rank, n[17]);
    int64_t shape[PAVE_MAX_RANK];
    memcpy(shape, c.shape, sizeof shape);
    c.end.reduction = (pave_reduction)draw(rng, PAVE_REDUCE_LOGSUMEXP, PAVE_REDUCE_NORMALIZE);
    if (c.end.reduction < PAVE_REDUCE_SOFTMAX) shape[c.rank - 1 - c.axis_from_last] = 1;
    c.end.after_count = c.end.reduction == PAVE_REDUCE_ARGMAX ? 0 : (int)draw(rng, 0, 3);
    for (int i = 0; i < c.end.after_count; i++) c.end.after[i] = draw_link(rng, c.rank, shape, n[i]);
    run_reduce_nd(on, &c);
}

static void random_map(const test_device *on, test_rng *rng) {
    names n[24];
    map_case c = {.what = "random", .rank = (int)draw(rng, 1, 8)};
    for (int d = 0; d < c.rank; d++) c.shape[d] = draw(rng, 1, c.rank > 4 ? 4 : 12);
    c.x_rank = (int)draw(rng, 1, c.rank);
    for (int d = 0; d < c.x_rank; d++) c.x_shape[d] = chance(rng, 4) ? 1 : c.shape[c.rank - c.x_rank + d];
    c.x = draw_type(rng), c.y = draw_type(rng);
    c.x_order = draw_order(rng, c.x_rank, n[16]);
    c.y_order = draw_order(rng, c.rank, n[17]);
    draw_end(rng, &c.end, c.rank, c.shape, n, false);
    run_map(on, &c);
}

static void each_round(void (*one)(const test_device *on, test_rng *rng)) {
    const char *rounds = getenv("PAVE_TEST_ROUNDS");
    int count = rounds ? atoi(rounds) : ROUNDS;
    assert_true(count > 0);
    printf("# seed %" PRIu64 ", %d rounds\n", test_seed(), count);
    for (size_t d = 0; d < device_count; d++) {
        test_rng rng = test_rng_make(17);
        for (int i = 0; i < count; i++) one(&devices[d], &rng);
    }
}

static void test_matmuls(void **state) {
    (void)state;
    each_round(random_matmul);
}
static void test_reductions(void **state) {
    (void)state;
    each_round(random_reduce);
}
static void test_maps(void **state) {
    (void)state;
    each_round(random_map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmuls),
        cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_maps),
    };
    return cmocka_run_group_tests_name("random", tests, open_devices, close_devices);
}
