/* SPDX-License-Identifier: Apache-2.0
 * Every gemm row on matmul and linear: transposed operands, α and β, batches that broadcast, links of every shape and
 * layout, reductions whole and in windows with links after them. */
#include "tests/kernels/chains.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static matmul_case base(const char *what, const pave_kernel_info *row, int64_t m, int64_t n, int64_t k) {
    return (matmul_case){.what = what,
                         .m = m,
                         .n = n,
                         .k = k,
                         .a = row->in_type,
                         .b = row->b_type,
                         .fill = TEST_RANDOM,
                         .precision = row->precision};
}

static const test_order odd = {.pad = 3, .offset = 1}, turned = {.dims = "10", .pad = 1, .offset = 2},
                        stepped = {.step = 2, .offset = 1};

static void transposed(const test_device *on, const pave_kernel_info *row) {
    const int64_t shapes[][3] = {{5, 7, 9}, {row->bm / 2 + 3, row->bn + 1, 33}, {1, 40, 17}, {40, 1, 64}};
    for (int t = 0; t < 4; t++)
        for (size_t i = 0; i < COUNT(shapes); i++) {
            matmul_case c = base("transposed", row, shapes[i][0], shapes[i][1], shapes[i][2]);
            c.transpose_a = t & 1;
            c.transpose_b = t >> 1;
            assert_true(run_matmul(on, row, &c));
            c.what = "transposed, strided and offset";
            c.a_order = c.y_order = odd;
            c.b_order = i & 1 ? turned : stepped;
            assert_true(run_matmul(on, row, &c));
        }
    matmul_case c = base("integers", row, row->bm + 1, row->bn + 1, 40);
    c.fill = TEST_INTEGERS;
    c.exact = c.transpose_a = true;
    c.y_order = turned;
    assert_true(run_matmul(on, row, &c));
}

static void scaled(const test_device *on, const pave_kernel_info *row) {
    matmul_case c = base("alpha", row, 19, 37, 21);
    c.set_alpha = true;
    c.alpha = -1.5f;
    assert_true(run_matmul(on, row, &c));
    c.what = "alpha, beta, c";
    c.c = PAVE_F32;
    c.c_order = turned;
    c.set_beta = true;
    c.beta = 0.75f;
    assert_true(run_matmul(on, row, &c));
    c.what = "beta 0 does not read c";
    c.beta = 0;
    c.poison_c = true;
    assert_true(run_matmul(on, row, &c));
    c.what = "c is y";
    c.c = 0;
    c.c_is_y = true;
    c.beta = -0.5f;
    c.y_order = odd;
    assert_true(run_matmul(on, row, &c));
    c.what = "alpha 0 reads neither a nor b";
    c.alpha = 0;
    c.fill = TEST_POISON;
    assert_true(run_matmul(on, row, &c));
    c = base("c of half width", row, 33, 9, 0);
    c.c = PAVE_F16;
    c.y = PAVE_BF16;
    assert_true(run_matmul(on, row, &c));
}

static void batched(const test_device *on, const pave_kernel_info *row) {
    const matmul_case cases[] = {
        {.what = "one batch dimension", .batch_rank = 1, .batch = {5}, .m = 17, .n = 35, .k = 19},
        {.what = "b for all", .batch_rank = 2, .batch = {2, 3}, .b_skip = 2, .m = 9, .n = 33, .k = 16},
        {.what = "a for all", .batch_rank = 2, .batch = {3, 2}, .a_one = 3, .m = 7, .n = 20, .k = 8},
        {.what = "crossed",
         .batch_rank = 2,
         .batch = {3, 4},
         .a_one = 1,
         .b_one = 2,
         .m = 6,
         .n = 9,
         .k = 24},
        {.what = "heads apart",
         .batch_rank = 2,
         .batch = {2, 3},
         .a_order = {.dims = "0213"},
         .b_order = {.dims = "0213"},
         .y_order = {.dims = "0213"},
         .transpose_b = true,
         .m = 13,
         .n = 18,
         .k = 32},
        {.what = "grouped queries",
         .batch_rank = 3,
         .batch = {2, 2, 3},
         .a_order = {.dims = "03124"},
         .b_order = {.dims = "03124"},
         .b_one = 4,
         .transpose_b = true,
         .m = 5,
         .n = 11,
         .k = 16},
        {.what = "four dimensions that do not merge",
         .batch_rank = 4,
         .batch = {2, 3, 2, 2},
         .a_order = {.dims = "320145"},
         .b_order = {.dims = "102345", .pad = 2},
         .b_one = 2,
         .m = 4,
         .n = 6,
         .k = 5},
        {.what = "six dimensions",
         .batch_rank = 6,
         .batch = {2, 1, 2, 2, 2, 2},
         .a_order = {.dims = "52341067"},
         .b_one = 21,
         .y_order = {.dims = "05432167"},
         .m = 3,
         .n = 4,
         .k = 3},
        {.what = "vectors", .batch_rank = 2, .batch = {3, 4}, .m = 1, .n = 9, .k = 24},
        {.what = "vectors, b crossed", .batch_rank = 2, .batch = {3, 4}, .b_one = 2, .m = 1, .n = 9, .k = 24},
        {.what = "vectors, one b", .batch_rank = 2, .batch = {3, 4}, .b_skip = 2, .m = 1, .n = 9, .k = 24},
        {.what = "vectors, five dimensions",
         .batch_rank = 5,
         .batch = {2, 2, 2, 2, 2},
         .a_order = {.dims = "4201356"},
         .b_order = {.dims = "1304256"},
         .m = 1,
         .n = 5,
         .k = 6},
        {.what = "an empty batch", .batch_rank = 2, .batch = {3, 0}, .m = 4, .n = 4, .k = 4},
        {.what = "many", .batch_rank = 1, .batch = {70}, .m = 3, .n = 5, .k = 4},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        matmul_case c = cases[i];
        c.a = row->in_type;
        c.b = row->b_type;
        c.precision = row->precision;
        c.fill = TEST_RANDOM;
        assert_true(run_matmul(on, row, &c));
    }
}

static void links(const test_device *on, const pave_kernel_info *row) {
    enum { M = 11, N = 37 };
    for (int i = 0; i < 4; i++) {
        matmul_case c = base("links of every shape", row, M, N, 13);
        matmul_links_every_shape(&c, i / 2);
        c.linear = i % 2;
        c.b_skip = i % 2;
        c.y = i / 2 ? PAVE_F16 : PAVE_F32;
        assert_true(run_matmul(on, row, &c));
    }
    matmul_case c = base("y as residual", row, M, N, 13);
    c.end.links[0] = (chain_link){.op = PAVE_LINK_SIGMOID};
    c.end.links[1] = (chain_link){.op = PAVE_LINK_ADD, .is_y = true};
    c.end.link_count = 2;
    c.y_order = odd;
    assert_true(run_matmul(on, row, &c));
    c.y_order = turned;
    assert_true(run_matmul(on, row, &c));
}

static void reduced(const test_device *on, const pave_kernel_info *row) {
    const int64_t shapes[][2] = {{5, row->bn + 3}, {row->bm + 1, 24}, {3, 1}};
    for (int r = PAVE_REDUCE_LOGSUMEXP; r <= PAVE_REDUCE_NORMALIZE; r++)
        for (size_t i = 0; i < COUNT(shapes); i++) {
            matmul_case c = base("reduced", row, shapes[i][0], shapes[i][1], 19);
            c.end.reduction = (pave_reduction)r;
            c.linear = i == 0;
            c.batch_rank = i == 2;
            c.batch[0] = 4;
            assert_true(run_matmul(on, row, &c));
            c.what = "reduced, unreduced kept, in windows";
            c.end.unreduced = i ? PAVE_F32 : PAVE_F16;
            c.end.window = i == 1 ? 8 : 0;
            c.end.unreduced_order = i == 2 ? (test_order){.dims = "021"} : odd;
            assert_true(run_matmul(on, row, &c));
        }
}

static void after(const test_device *on, const pave_kernel_info *row) {
    enum { B = 2, M = 6, N = 40 };
    matmul_case c = base("links after a softmax", row, M, N, 9);
    c.batch_rank = 1;
    c.batch[0] = B;
    c.end.reduction = PAVE_REDUCE_SOFTMAX;
    c.end.after[0] = (chain_link){.op = PAVE_LINK_MUL, .rank = 1, .shape = {N}};
    c.end.after[1] = (chain_link){.op = PAVE_LINK_ADD, .rank = 3, .shape = {B, 1, N}};
    c.end.after_count = 2;
    assert_true(run_matmul(on, row, &c));
    c.what = "group norm";
    c.end.reduction = PAVE_REDUCE_NORMALIZE;
    c.end.window = 8;
    c.end.epsilon = 1e-3f;
    c.y_order = (test_order){.dims = "102"};
    assert_true(run_matmul(on, row, &c));
    c.what = "y as residual before a group norm";
    c.end.links[0] = (chain_link){.op = PAVE_LINK_ADD, .is_y = true};
    c.end.link_count = 1;
    assert_true(run_matmul(on, row, &c));
    c.end.link_count = 0;
    c.what = "pooled";
    c.end.reduction = PAVE_REDUCE_MAX;
    c.end.after[0].shape[0] = c.end.after[1].shape[2] = N / 8;
    assert_true(run_matmul(on, row, &c));
    c.what = "links after a logsumexp";
    c.end.reduction = PAVE_REDUCE_LOGSUMEXP;
    c.end.window = 0;
    c.y_order = (test_order){.dims = "10"};
    c.end.after[0] = (chain_link){.op = PAVE_LINK_MUL, .a = -1};
    c.end.after[1] = (chain_link){.op = PAVE_LINK_ADD, .rank = 2, .shape = {B, M}};
    assert_true(run_matmul(on, row, &c));
}

#define GEMM_TEST(name)                     \
    static void test_##name(void **state) { \
        (void)state;                        \
        each_row("gemm", name);             \
    }
GEMM_TEST(transposed)
GEMM_TEST(scaled)
GEMM_TEST(batched)
GEMM_TEST(links)
GEMM_TEST(reduced)
GEMM_TEST(after)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transposed), cmocka_unit_test(test_scaled),  cmocka_unit_test(test_batched),
        cmocka_unit_test(test_links),      cmocka_unit_test(test_reduced), cmocka_unit_test(test_after),
    };
    return cmocka_run_group_tests_name("matmul", tests, open_devices, close_devices);
}
