/* SPDX-License-Identifier: Apache-2.0
 * test_rows cpu|cpu16|gpu: every OpenCL row on Oclgrind, at shapes that an interpreter gets through: the paths that a row has,
 * not the sizes. Results are judged as everywhere; what Oclgrind says of races, values never written and calls is up to who
 * starts this. Oclgrind has one device, which says that it is of every kind; here it is described as one of them. */
#include "src/objects.h"
#include "tests/kernels/chains.h"

#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const char *described;

static int open_described(void **state) {
    pave_device *device;
    size_t count;
    TEST_OK(pave_device_list("opencl", 1, &device, &count));
    assert_int_equal(count, 1);
    pave_device_info *info = &device->info;
    if (strcmp(described, "gpu") == 0) {
        info->kind = PAVE_DEVICE_GPU;
        info->threads_per_unit = 2048;
        info->blocks_per_unit = 16;
        info->vector_width = 32;
    } else {
        info->vector_width = strcmp(described, "cpu16") == 0 ? 16 : 4;
    }
    return open_devices(state);
}

/* The same in every case: each set of operations is a program to build. */
static void add_links(chain_end *e, int64_t m, int64_t n) {
    e->links[0] = (chain_link){.op = PAVE_LINK_ADD, .rank = 1, .shape = {n}, .type = PAVE_BF16};
    e->links[1] = (chain_link){.op = PAVE_LINK_SIGMOID};
    e->links[2] = (chain_link){.op = PAVE_LINK_ADD, .rank = 2, .shape = {m, 1}, .type = PAVE_F16};
    e->links[3] = (chain_link){.op = PAVE_LINK_ADD, .rank = 2, .shape = {m, n}, .order = {.pad = 1}};
    e->link_count = 4;
}

static const test_order odd = {.pad = 3, .offset = 1};

/* Around the numbers of rows and columns at which the CPUs' rows change their way, both forms of both operands, more k than
 * a tile takes at a time, none, slices, and a batch. */
static void products(const test_device *on, const pave_kernel_info *row) {
    static const pave_dtype outputs[] = {PAVE_F32, PAVE_F16, PAVE_BF16, PAVE_E4M3};
    const int deep = (int)row->bk + 5, streamed = 8 * on->info.vector_width;
    const struct {
        int m, n, k, splits, batch;
        bool turn_a, turn_b, links;
    } s[] = {{26, 35, 20, 0, 0, false, true, true},    {26, 34, 19, 0, 2, true, false, true},
             {29, 33, deep, 0, 0, false, true, false}, {3, streamed, 18, 0, 0, false, false, true},
             {2, 9, 37, 0, 0, false, true, true},      {3, 5, 0, 0, 0, false, true, true},
             {5, 6, 2 * deep, 3, 0, false, true, true}};
    /* Rows for other types differ in how they load. */
    for (size_t i = 0; i < (row->in_type == PAVE_F32 ? COUNT(s) : 2); i++) {
        matmul_case c = {.what = "checked",
                         .m = s[i].m,
                         .n = s[i].n,
                         .k = s[i].k,
                         .a = row->in_type,
                         .b = row->in_type,
                         .y = outputs[i % COUNT(outputs)],
                         .a_order = i & 1 ? odd : (test_order){0},
                         .y_order = odd,
                         .splits = s[i].splits,
                         .batch_rank = s[i].batch ? 1 : 0,
                         .batch = {s[i].batch},
                         .transpose_a = s[i].turn_a,
                         .transpose_b = s[i].turn_b,
                         .fill = TEST_RANDOM,
                         .precision = row->precision};
        if (s[i].links) add_links(&c.end, c.m, c.n);
        assert_true(run_matmul(on, row, &c));
    }
}

/* Two states a row, which the join row joins. */
static void fused(const test_device *on, const pave_kernel_info *row) {
    static const pave_reduction reductions[] = {PAVE_REDUCE_LOGSUMEXP, PAVE_REDUCE_ARGMAX};
    for (size_t i = 0; i < COUNT(reductions); i++) {
        matmul_case c = {.what = "checked, reduced",
                         .m = 3,
                         .n = row->bn + 5,
                         .k = 6,
                         .a = row->in_type,
                         .b = row->in_type,
                         .y = reductions[i] == PAVE_REDUCE_ARGMAX ? PAVE_I32 : PAVE_F32,
                         .transpose_b = true,
                         .fill = TEST_RANDOM,
                         .precision = row->precision,
                         .end = {.reduction = reductions[i]}};
        assert_true(run_matmul(on, row, &c));
    }
}

static void gemm(const test_device *on, const pave_kernel_info *row) {
    products(on, row);
    if (row->in_type == PAVE_F32) fused(on, row);
}

static void each_reduction(const test_device *on, int first, int last) {
    static const test_order orders[] = {{0}, {.pad = 1, .offset = 1}, {.dims = "10"}};
    for (int r = first; r <= last; r++) {
        reduce_nd_case c = {.what = "checked",
                            .rank = 2,
                            .shape = {3, 53},
                            .x = (pave_dtype)(PAVE_F32 + r % 3),
                            .y = r == PAVE_REDUCE_ARGMAX ? PAVE_I32 : PAVE_F32,
                            .x_order = orders[(r + 1) % 3],
                            .fill = TEST_RANDOM,
                            .end = {.reduction = (pave_reduction)r}};
        run_reduce_nd(on, &c);
    }
}

static void reduce(const test_device *on, const pave_kernel_info *row) {
    (void)row;
    each_reduction(on, PAVE_REDUCE_LOGSUMEXP, PAVE_REDUCE_MIN);
    each_reduction(on, PAVE_REDUCE_ARGMAX, PAVE_REDUCE_ARGMAX);
}

static void normalize(const test_device *on, const pave_kernel_info *row) {
    (void)row;
    each_reduction(on, PAVE_REDUCE_SOFTMAX, PAVE_REDUCE_NORMALIZE);
}

static void map(const test_device *on, const pave_kernel_info *row) {
    (void)row;
    static const test_order orders[] = {{.offset = 1}, {.dims = "10"}};
    for (int i = 0; i < 4; i++) {
        map_case c = {.what = "checked",
                      .rank = 2,
                      .shape = {5, 39},
                      .x = (pave_dtype)(PAVE_F32 + i % 3),
                      .y = (pave_dtype)(PAVE_F32 + (i + 1) % 3),
                      .x_order = orders[i & 1],
                      .y_order = orders[i >> 1]};
        add_links(&c.end, c.shape[0], c.shape[1]);
        run_map(on, &c);
    }
}

static void gemm_rows(void **state) {
    (void)state;
    each_row("gemm", gemm);
}

static void reduce_rows(void **state) {
    (void)state;
    each_row("reduce", reduce);
}

static void normalize_rows(void **state) {
    (void)state;
    each_row("normalize", normalize);
}

static void map_rows(void **state) {
    (void)state;
    each_row("map", map);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gemm_rows), cmocka_unit_test(reduce_rows),
                                       cmocka_unit_test(normalize_rows), cmocka_unit_test(map_rows)};
    described = argc > 1 ? argv[1] : "cpu";
    return cmocka_run_group_tests(tests, open_described, close_devices);
}
