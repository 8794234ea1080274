/* SPDX-License-Identifier: Apache-2.0
 * Every gemm row with its k cut into slices, forced: a last slice of any length, batches beside the slices, operands of any
 * layout, and everything that may happen to a value behind the sum. */
#include "tests/kernels/chains.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const test_order odd = {.pad = 3, .offset = 1}, turned = {.dims = "10", .pad = 1, .offset = 2};

static matmul_case base(const char *what, const pave_kernel_info *row, int64_t m, int64_t n, int64_t k,
                        int splits) {
    return (matmul_case){.what = what,
                         .m = m,
                         .n = n,
                         .k = k,
                         .a = row->in_type,
                         .b = row->b_type,
                         .fill = TEST_RANDOM,
                         .precision = row->precision,
                         .splits = splits};
}

/* Whole slices, a last one of one product and of all but one, fewer steps than slices, and k shorter than one. */
static void shapes(const test_device *on, const pave_kernel_info *row) {
    const int64_t bm = row->bm, bn = row->bn, bk = row->bk;
    const int64_t s[][4] = {{1, 1, 2 * bk, 2},
                            {bm + 1, bn + 1, 2 * bk + 1, 3},
                            {17, 33, 3 * bk - 1, 3},
                            {3, 2 * bn + 3, bk + 9, 7},
                            {1, bn - 1, 5 * bk + 7, 2},
                            {5, 7, bk - 1, 4},
                            {5, 7, 1, 2},
                            {4, 6, 0, 2}};
    for (size_t i = 0; i < COUNT(s); i++) {
        matmul_case c = base("slices", row, s[i][0], s[i][1], s[i][2], (int)s[i][3]);
        c.transpose_b = true;
        assert_true(run_matmul(on, row, &c));
        c.what = "slices, strided and offset";
        c.a_order = c.y_order = odd;
        c.b_order = i & 1 ? turned : odd;
        c.y = i & 1 ? PAVE_F16 : PAVE_BF16;
        assert_true(run_matmul(on, row, &c));
        c.what = "slices, transposed";
        c.transpose_a = true;
        c.transpose_b = false;
        assert_true(run_matmul(on, row, &c));
    }
    matmul_case c = base("integers", row, bm + 1, bn + 1, 3 * bk + 5, 4);
    c.fill = TEST_INTEGERS;
    c.exact = true;
    assert_true(run_matmul(on, row, &c));
}

static void batched(const test_device *on, const pave_kernel_info *row) {
    const int64_t k = 2 * row->bk + 3;
    for (int rank = 1; rank <= 3; rank++) {
        matmul_case c = base("a batch beside the slices", row, 5, 37, k, 3);
        c.batch_rank = rank;
        c.batch[0] = 2, c.batch[1] = 3, c.batch[2] = 2;
        c.y = rank == 2 ? PAVE_F16 : PAVE_F32;
        if (rank > 1) { /* dimensions that do not merge */
            c.a_order = (test_order){.dims = rank == 2 ? "1023" : "21034"};
            c.y_order = (test_order){.dims = rank == 2 ? "1023" : "10234"};
        }
        if (rank == 2) c.b_one = 1;
        bool taken = run_matmul(on, row, &c);
        assert_true(taken || rank == 3); /* three leave the slices no dimension */
    }
}

static void links(const test_device *on, const pave_kernel_info *row) {
    for (int i = 0; i < 4; i++) {
        matmul_case c = base("links of every shape", row, 11, 37, row->bk + 13, 2);
        matmul_links_every_shape(&c, i / 2);
        c.linear = i % 2;
        c.b_skip = i % 2;
        c.y = i / 2 ? PAVE_F16 : PAVE_F32;
        assert_true(run_matmul(on, row, &c));
    }
    matmul_case c = base("alpha, beta, c", row, 19, 45, row->bk + 21, 2);
    c.set_alpha = c.set_beta = true;
    c.alpha = -1.5f;
    c.beta = 0.75f;
    c.c = PAVE_F16;
    c.c_order = turned;
    assert_true(run_matmul(on, row, &c));
    c.what = "c is y";
    c.c = 0;
    c.c_is_y = true;
    c.y_order = odd;
    assert_true(run_matmul(on, row, &c));
}

static void reduced(const test_device *on, const pave_kernel_info *row) {
    for (int r = PAVE_REDUCE_LOGSUMEXP; r <= PAVE_REDUCE_NORMALIZE; r++) {
        matmul_case c = base("reduced behind the sum", row, 5, row->bn + 3, row->bk + 19, 2);
        c.end.reduction = (pave_reduction)r;
        c.linear = true;
        assert_true(run_matmul(on, row, &c));
        c.what = "reduced behind the sum, unreduced kept, in windows";
        c.n = 48;
        c.end.unreduced = r & 1 ? PAVE_F32 : PAVE_F16;
        c.end.window = 8;
        c.end.unreduced_order = odd;
        assert_true(run_matmul(on, row, &c));
    }
}

#define GEMM_TEST(name)                     \
    static void test_##name(void **state) { \
        (void)state;                        \
        each_row("gemm", name);             \
    }
GEMM_TEST(shapes)
GEMM_TEST(batched)
GEMM_TEST(links)
GEMM_TEST(reduced)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_batched),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_reduced),
    };
    return cmocka_run_group_tests_name("split", tests, open_devices, close_devices);
}
