/* SPDX-License-Identifier: Apache-2.0
 * Element-wise chains and copies by every map row: any layouts on both sides, types, broadcasts, in place. */
#include "tests/kernels/chains.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const map_case layouts[] = {
    {.what = "contiguous", .rank = 2, .shape = {33, 70}},
    {.what = "a vector", .rank = 1, .shape = {5003}, .x_order = {.offset = 1}},
    {.what = "padded",
     .rank = 3,
     .shape = {3, 5, 37},
     .x_order = {.pad = 3, .offset = 1},
     .y_order = {.pad = 2}},
    {.what = "turned", .rank = 2, .shape = {65, 39}, .x_order = {.dims = "10"}},
    {.what = "turned back", .rank = 2, .shape = {65, 39}, .y_order = {.dims = "10", .pad = 1}},
    {.what = "turned in a batch",
     .rank = 4,
     .shape = {2, 3, 35, 34},
     .x_order = {.dims = "0132", .offset = 3}},
    {.what = "channels last", .rank = 4, .shape = {2, 5, 7, 9}, .y_order = {.dims = "0231"}},
    {.what = "rank 8 both ways",
     .rank = 8,
     .shape = {2, 2, 3, 1, 2, 2, 2, 3},
     .x_order = {.dims = "71352460"},
     .y_order = {.dims = "20174365", .step = 2}},
    {.what = "whole quads", .rank = 2, .shape = {9, 2052}, .x_order = {.pad = 4}, .y_order = {.pad = 4}},
    {.what = "whole quads, narrow", .rank = 2, .shape = {150, 20}, .x_order = {.pad = 4}},
    {.what = "whole quads, few rows", .rank = 2, .shape = {3, 4500}, .x_order = {.pad = 4}},
    {.what = "whole quads, turned", .rank = 2, .shape = {132, 68}, .x_order = {.dims = "10", .pad = 4}},
    {.what = "a row for all", .rank = 2, .shape = {6, 41}, .x_rank = 1, .x_shape = {41}},
    {.what = "a column for all", .rank = 3, .shape = {2, 6, 41}, .x_rank = 2, .x_shape = {6, 1}},
    {.what = "one for all", .rank = 2, .shape = {5, 9}, .x_rank = 1, .x_shape = {1}},
    {.what = "empty", .rank = 2, .shape = {0, 9}},
};

static void copies(const test_device *on, const pave_kernel_info *row) {
    (void)row;
    for (size_t i = 0; i < COUNT(layouts); i++)
        for (int t = 0; t < 9; t += i ? 4 : 1) {
            map_case c = layouts[i];
            c.copy = true;
            c.x = (pave_dtype)(PAVE_F32 + t % 3);
            c.y = (pave_dtype)(PAVE_F32 + t / 3);
            run_map(on, &c);
        }
}

static void chains(const test_device *on, const pave_kernel_info *row) {
    (void)row;
    for (size_t i = 0; i < COUNT(layouts); i++) {
        map_case c = layouts[i];
        c.end.links[0] = (chain_link){.op = PAVE_LINK_MUL, .a = 1.5f};
        c.end.links[1] = (chain_link){.op = PAVE_LINK_SIGMOID};
        c.end.links[2] =
            (chain_link){.op = PAVE_LINK_ADD, .rank = 1, .shape = {c.shape[c.rank - 1]}, .type = PAVE_BF16};
        c.end.links[3] = (chain_link){.op = PAVE_LINK_SUB, .rank = c.rank, .order = c.y_order};
        for (int d = 0; d < c.rank; d++) c.end.links[3].shape[d] = d & 1 ? 1 : c.shape[d];
        c.end.links[3].order.dims = NULL;
        c.end.link_count = 4;
        run_map(on, &c);
    }
}

static void in_place(const test_device *on, const pave_kernel_info *row) {
    (void)row;
    map_case c = {
        .what = "in place", .rank = 3, .shape = {3, 7, 45}, .in_place = true, .x_order = {.pad = 1}};
    c.end.links[0] = (chain_link){.op = PAVE_LINK_SIGMOID};
    c.end.links[1] = (chain_link){.op = PAVE_LINK_MUL, .is_y = true};
    c.end.link_count = 2;
    run_map(on, &c);
    c.x_order = (test_order){.dims = "210"};
    run_map(on, &c);
}

#define MAP_TEST(name)                      \
    static void test_##name(void **state) { \
        (void)state;                        \
        each_row("map", name);              \
    }
MAP_TEST(copies)
MAP_TEST(chains)
MAP_TEST(in_place)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_in_place),
    };
    return cmocka_run_group_tests_name("map", tests, open_devices, close_devices);
}
