/* SPDX-License-Identifier: Apache-2.0
 * What must hold of every plan, over many shapes, types, promises and devices: all tiles are covered,
 * launches stay within limits, operands have the form that their row states, no promise is broken, and
 * scratch is read as it was written and not overwritten while it is wanted. */
#include "draw.h"
#include "kernels/reduce/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ROUNDS 20000

static int bytes_of(int type) {
    return type == PAVE_T_F32 || type == PAVE_T_TF32 || type == PAVE_T_I32 || type == PAVE_T_F16X2 ? 4
           : type                                                                                  ? 2
                                                                                                   : 0;
}

/* ---- what each step must satisfy alone */

static int64_t batches_of(const pave__step *s) {
    return s->batch[0] * s->batch[1] * s->batch[2];
}

static void check_gemm_grid(const pave__step *s, const pave_device_info *d) {
    int64_t tiles_m = (s->m + s->row->bm - 1) / s->row->bm, tiles_n = (s->n + s->row->bn - 1) / s->row->bn;
    int64_t blocks = (int64_t)s->grid[0] * s->grid[1] * s->grid[2], tiles = s->predicted.tiles;
    assert_true(s->group_m >= 1);
    if (s->groups > 0) { /* an estimate, between a tile of each group and one more than whole ones */
        assert_true(s->grid[1] == 1 && s->grid[2] == 1);
        assert_true(tiles >= tiles_m * tiles_n && tiles <= (tiles_m + s->groups) * tiles_n);
    } else {
        assert_int_equal(tiles, batches_of(s) * tiles_m * tiles_n);
    }
    assert_true(blocks <= tiles);
    if (d->kind == PAVE_DEVICE_GPU && s->groups == 0 && tiles_n <= 65535) {
        assert_int_equal(s->grid[0], batches_of(s) > 1 ? batches_of(s) : tiles_m);
        assert_int_equal(s->grid[1], batches_of(s) > 1 ? (tiles_m < 65535 ? tiles_m : 65535) : tiles_n);
    }
    if (d->kind == PAVE_DEVICE_CPU) { /* enough groups to even out, where there are tiles */
        int64_t wanted = 8 * (int64_t)d->compute_units;
        assert_true(blocks >= (tiles < wanted ? tiles : wanted));
    }
}

static void check_grid(const pave__step *s, const pave_device_info *d) {
    assert_in_range(s->grid[0], 1, 2147483647);
    assert_in_range(s->grid[1], 1, 65535);
    assert_in_range(s->grid[2], 1, 65535);
    assert_int_equal(s->block[0], s->row->threads);
    assert_true(s->block[0] <= (uint32_t)d->threads_per_block &&
                s->row->shared_bytes <= d->shared_bytes_per_block);
    assert_int_equal(s->shared_bytes, s->row->backend == PAVE__CUDA ? s->row->shared_bytes : 0);
    if (s->row->family == PAVE__GEMM) {
        check_gemm_grid(s, d);
    } else if (s->row->family != PAVE__MAP) {
        int64_t rows = batches_of(s) * s->m * (s->partial.place ? s->slots : 1);
        if (s->row->slices) rows = s->slots; /* a team's blocks, which take what rows there are */
        int64_t lanes = d->kind == PAVE_DEVICE_CPU && s->in0.row < s->in0.col ? d->vector_width : 1;
        if (d->kind == PAVE_DEVICE_CPU) /* a group takes as many as it has to */
            assert_true(s->grid[0] >= 8 * (uint32_t)d->compute_units || s->grid[0] * lanes >= rows);
        else
            assert_true((int64_t)s->grid[0] * s->row->bm >= rows);
        assert_true(s->grid[1] == 1 && s->grid[2] == 1);
    }
}

static void check_form(const pave__ref *ref, const pave__row *row, int wanted, int64_t rows, int64_t k,
                       const pave__operand *given) {
    if (k == 0) return;
    int readable = wanted == PAVE_T_NONE || ref->type == wanted ||
                   (wanted == PAVE_T_F32 && ref->type == PAVE_T_TF32) ||
                   (wanted == PAVE_T_F16 && ref->type == PAVE_T_F16S && row->path == PAVE_PATH_F16);
    assert_true(readable);
    if (row->layout == PAVE__LAYOUT_ROWS) {
        assert_true(ref->col == 1 || k == 1);
        int64_t off = rows > 1 ? ref->row : 0;
        for (int d = 0; d < PAVE_BATCH_DIMS; d++) off |= ref->batch[d];
        assert_int_equal(off * bytes_of(ref->type) % row->align, 0);
    }
    if (ref->place == PAVE__AT_X || ref->place == PAVE__AT_W) {
        assert_true(given->align >= (uint32_t)row->align);
        assert_int_equal(ref->type, given->type);
    } else {
        assert_true(ref->row >= k && ref->col == 1);
        assert_int_equal(ref->row * bytes_of(ref->type) % (row->align > 16 ? row->align : 16), 0);
    }
}

/* Whether a value that was `from` may be read as `to` under the promise, counting what the path itself
 * rounds. */
static void check_rounding(int from, const pave__ref *ref, int path, int precision) {
    int to = ref->type;
    int rounds_tf32 = from == PAVE_T_F32 && (to == PAVE_T_TF32 || path == PAVE_PATH_TF32);
    int rounds_bf16 = to == PAVE_T_BF16 && from != PAVE_T_BF16;
    assert_false(rounds_tf32 && precision == PAVE_HIGHEST);
    assert_false(rounds_bf16 && precision != PAVE_MEDIUM);
    assert_false(to == PAVE_T_F16 && from != PAVE_T_F16 && ref->exponent == 0);
    assert_false(to == PAVE_T_F16S && precision == PAVE_HIGHEST);
    assert_false(to == PAVE_T_F16S && from != PAVE_T_F32 && from != PAVE_T_BF16);
    assert_false(to == PAVE_T_F16X2 && from != PAVE_T_F32);
    assert_false(path != PAVE_PATH_FMA && to != PAVE_T_F16X2 && precision == PAVE_HIGHEST);
}

static int64_t slice_tiles(const pave__step *s) {
    return s->batch[0] * ((s->m + s->row->bm - 1) / s->row->bm) * ((s->n + s->row->bn - 1) / s->row->bn);
}

/* All of k, in whole steps of the row but for the last slice, and sums that nothing has been done to, or that are joined. */
static void check_slices(const pave__step *s) {
    assert_true(s->batch[0] > 1 && (s->batch[0] - 1) * s->k_slice < s->k && s->batch[0] * s->k_slice >= s->k);
    assert_int_equal(s->k_slice % s->row->bk, 0);
    assert_true(s->groups == 0);
    if (pave__is_joined(s)) {
        assert_true(s->row->joins && s->batch[1] == 1 && s->batch[2] == 1 && s->out.batch[0] == 0);
        assert_true(s->partial.place == PAVE__AT_WORKSPACE && s->slots == 0);
        assert_in_range(slice_tiles(s), 2, PAVE__COUNTERS * s->batch[0]);
    } else {
        assert_true(s->partial.place == PAVE__AT_NONE && s->link_mask == 0);
        assert_true(s->out.place == PAVE__AT_WORKSPACE && s->out.type == PAVE_T_F32 && s->out.exponent == 0);
    }
    assert_true(s->in0.batch[0] == s->in0.col * s->k_slice && s->in1.batch[0] == s->in1.col * s->k_slice);
}

static void check_gemm(const pave__step *s, const pave__problem *q) {
    const pave__player *w = &q->layers[s->layer];
    int64_t k = s->layer ? q->layers[s->layer - 1].n : q->k;
    assert_true(s->m == q->m && s->n == w->n && s->k == k && s->groups == q->groups);
    check_form(&s->in0, s->row, s->row->a_type, s->m, k, &q->x);
    check_form(&s->in1, s->row, s->row->b_type, s->n, k, &w->w);
    if (k > 0) {
        check_rounding(s->layer ? PAVE_T_F32 : q->x.type, &s->in0, s->row->path, q->precision);
        check_rounding(w->w.type, &s->in1, s->row->path, q->precision);
    }
    assert_true((s->in1.place == PAVE__AT_PACKED) <= w->w.packed);
    const bool sums = s->k_slice && !pave__is_joined(s);
    assert_int_equal(s->links, w->link_count && !sums ? PAVE__LAYER_LINKS : PAVE__NO_LINKS);
    if (s->k_slice) check_slices(s);
    assert_true(s->out.place == PAVE__AT_NONE || s->out.col == 1 || s->n == 1);
    int fused = s->layer == q->layer_count - 1 && q->reduction && q->reduction <= PAVE_REDUCE_ARGMAX &&
                !q->window && s->row->slice > 0 && !s->k_slice;
    assert_int_equal(s->partial.place != PAVE__AT_NONE, fused || pave__is_joined(s));
    if (!fused) return;
    assert_int_equal(s->slots, (s->n + s->row->slice - 1) / s->row->slice);
    assert_int_equal(s->out.place != PAVE__AT_NONE, q->unreduced.type != PAVE_T_NONE);
}

/* ---- memory: what each step reaches, and what of scratch lies where */

typedef struct region {
    int64_t offset, bytes;
    uint8_t type;
} region;

static region live[16];
static int live_count;

/* Elements up to the last that an operand of rows × cols reaches. */
static int64_t reach(const int64_t *batch, const int64_t *strides, int64_t rows, int64_t row, int64_t cols,
                     int64_t col) {
    if (rows == 0 || cols == 0) return 0;
    int64_t last = (rows - 1) * row + (cols - 1) * col;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) last += (batch[d] - 1) * strides[d];
    return last + 1;
}

static int64_t ref_reach(const pave__step *s, const pave__ref *ref, int64_t rows, int64_t cols) {
    return reach(s->batch, ref->batch, rows, ref->row, cols, ref->col);
}

static int overlap(const region *a, const region *b) {
    return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

static void read_scratch(const region *r) {
    for (int i = 0; i < live_count; i++)
        if (live[i].offset == r->offset && live[i].type == r->type && r->bytes <= live[i].bytes) return;
    if (r->bytes > 0) fail_msg("step reads scratch at %lld that nothing left there", (long long)r->offset);
}

/* Forgets what a step writes over, which must not be what the same step reads, but for the states that slices leave themselves. */
static void write_scratch(const pave__step *s, const region *r, uint64_t workspace) {
    assert_int_equal(r->offset % 256, 0);
    assert_true(r->offset >= 0 && (uint64_t)(r->offset + r->bytes) <= workspace);
    const pave__ref *inputs[] = {&s->in0, &s->in1};
    for (int i = 0; i < live_count; i++) {
        if (!overlap(&live[i], r)) continue;
        for (int n = 0; n < (s->row->slices ? 1 : 2); n++)
            assert_false(inputs[n]->place == PAVE__AT_WORKSPACE && inputs[n]->offset == live[i].offset);
        live[i--] = live[--live_count];
    }
    assert_true(live_count < 16);
    live[live_count++] = *r;
}

/* What of a caller's operand may be reached, by the problem alone. */
static int64_t caller_reach(const pave__problem *q, const pave__step *s, int place) {
    int64_t n = q->layer_count ? q->layers[q->layer_count - 1].n : q->k;
    int wide = !q->reduction || q->reduction >= PAVE_REDUCE_SOFTMAX;
    const pave__player *layer = &q->layers[s->layer];
    int64_t k = s->layer ? q->layers[s->layer - 1].n : q->k;
    const int64_t windows[PAVE_BATCH_DIMS] = {q->batch[1], q->batch[2], q->m};
    switch (place) {
    case PAVE__AT_X: return reach(q->batch, q->x.batch, q->m, q->x.row, q->k, q->x.col);
    case PAVE__AT_W: return reach(q->batch, layer->w.batch, layer->n, layer->w.row, k, layer->w.col);
    case PAVE__AT_UNREDUCED:
        return reach(q->batch, q->unreduced.batch, q->m, q->unreduced.row, n, q->unreduced.col);
    default:
        if (q->window)
            return reach(windows, q->y.batch, n / q->window, q->y.row, wide ? q->window : 1, q->y.col);
        return reach(q->batch, q->y.batch, q->m, q->y.row, wide ? n : 1, q->y.col);
    }
}

static void check_ref(const pave__plan_data *p, const pave__problem *q, const pave__step *s,
                      const pave__ref *ref, int64_t rows, int64_t cols, bool write) {
    if (ref->place == PAVE__AT_NONE || ref->place == PAVE__AT_PACKED) return;
    pave__step whole = *s;
    if (s->k_slice && (!write || pave__is_joined(s)))
        whole.batch[0] = 1; /* slices are parts of the same matrices */
    int64_t elems = ref_reach(&whole, ref, rows, cols);
    if (s->row->sums && !write) elems += (s->slots - 1) * s->slice;
    if (ref->place == PAVE__AT_WORKSPACE) {
        region r = {ref->offset, elems * bytes_of(ref->type), ref->type};
        if (write)
            write_scratch(s, &r, p->workspace_bytes);
        else
            read_scratch(&r);
    } else if (q->groups == 0) {
        assert_int_equal(elems, caller_reach(q, s, ref->place)); /* all of it, and nothing beyond */
    }
}

static void check_memory(const pave__plan_data *p, const pave__problem *q) {
    live_count = 0;
    int stores = 0, values = 0;
    for (int i = 0; i < p->step_count; i++) {
        const pave__step *s = &p->steps[i];
        pave__family f = s->row->family;
        region states = {0, batches_of(s) * s->m * s->slots * 8, PAVE_T_F32};
        if (s->groups > 0) {
            region table = {s->table_offset, s->groups * (int64_t)sizeof(pave_abi_group), 0};
            write_scratch(s, &table, p->workspace_bytes);
        }
        if (f == PAVE__JOIN) {
            states.offset = s->in0.offset;
            read_scratch(&states);
        } else {
            check_ref(p, q, s, &s->in0, s->m, f == PAVE__REDUCE ? s->n : s->k, false);
        }
        check_ref(p, q, s, &s->in1, s->n, s->k, false);
        if (s->row->slices) {
            int64_t places = s->k + PAVE__SLICE_SHIFT;
            assert_true(s->slots > 1 && s->slots * s->slice >= places && (s->slots - 1) * s->slice < places);
            assert_true(s->grid[0] % s->slots == 0 && s->grid[0] / s->slots <= batches_of(s) * s->m);
        }
        int narrow = f == PAVE__REDUCE || f == PAVE__JOIN;
        check_ref(p, q, s, &s->out, s->m, narrow ? 1 : s->n, true);
        states.offset = s->partial.offset;
        if (pave__is_joined(s)) states.bytes = slice_tiles(s) * s->row->bm * s->row->bn * 4;
        if (s->partial.place) write_scratch(s, &states, p->workspace_bytes);
        stores += s->out.place == PAVE__AT_Y;
        values += s->out.place == PAVE__AT_UNREDUCED;
        bool ends = i + 1 == p->step_count;
        assert_true(!ends || s->out.place == PAVE__AT_Y);
        if (s->row->sums) {
            assert_true(i > 0 && p->steps[i - 1].k_slice > 0 && s->slots == p->steps[i - 1].batch[0]);
            assert_int_equal(s->links, q->layers[s->layer].link_count ? PAVE__LAYER_LINKS : PAVE__NO_LINKS);
        } else if (s->row->family != PAVE__GEMM) {
            assert_int_equal(s->links, ends && q->after_count ? PAVE__AFTER_LINKS : PAVE__NO_LINKS);
        } else if (s->k_slice && !pave__is_joined(s)) {
            assert_true(!ends && p->steps[i + 1].row->sums);
        }
    }
    assert_in_range(stores, 1, 2);
    assert_int_equal(values, q->unreduced.type != PAVE_T_NONE);
}

static pave__plan_data plan, again;
static pave__problem problem;

static void check_plan(const plan_case *c) {
    const pave_device_info *d = pave__device_named(c->device);
    double ns = 0;
    int gemms = 0;
    for (int i = 0; i < plan.step_count; i++) {
        const pave__step *s = &plan.steps[i];
        assert_true(s->row->backend == case_backend(c) && (!s->row->kind || s->row->kind == (int)d->kind));
        check_grid(s, d);
        if (s->row->family == PAVE__GEMM) {
            assert_int_equal(s->layer, gemms++);
            check_gemm(s, &problem);
        }
        const pave__prediction *p = &s->predicted;
        assert_true(p->ns >= d->launch_ns && p->utilisation >= 0 && p->utilisation <= 1);
        assert_true(p->tail > 0 && p->tail <= 1 && p->blocks_per_unit >= 1);
        assert_true(p->bytes_memory <= p->bytes_l2 * 1.0000001);
        ns += p->ns;
    }
    assert_int_equal(gemms, problem.layer_count);
    assert_true(ns > 0.999999 * plan.predicted_ns && ns < 1.000001 * plan.predicted_ns);
    check_memory(&plan, &problem);
}

static void test_invariants(void **state) {
    (void)state;
    static char one[1 << 16], two[1 << 16];
    int planned = 0;
    for (int i = 0; i < ROUNDS; i++) {
        plan_case c = draw_case();
        pave_status status = case_plan(&c, &problem, &plan);
        if (status ==
            PAVE_E_UNSUPPORTED) { /* only scratch, a grid or a group's layout may stand in the way */
            int for_size = 0;
            for (int r = 0; r < plan.refusal_count; r++)
                for_size += plan.refusals[r].why == PAVE__WHY_ALLOC ||
                            plan.refusals[r].why == PAVE__WHY_GRID ||
                            plan.refusals[r].why == PAVE__WHY_GROUPED;
            assert_true(for_size > 0);
            assert_int_equal(plan.step_count, 0);
            continue;
        }
        assert_int_equal(status, PAVE_OK);
        if (plan.step_count == 0) { /* rows of nothing that give nothing */
            assert_true(problem.layer_count == 0 && problem.k == 0);
            continue;
        }
        check_plan(&c);
        planned++;
        if (i % 100 == 0) {
            const pave_device_info *d = pave__device_named(c.device);
            pave__plan_text(d, &problem, &plan, PAVE_PLAN_JSON, one, sizeof one);
            assert_int_equal(case_plan(&c, &problem, &again), PAVE_OK);
            pave__plan_text(d, &problem, &again, PAVE_PLAN_JSON, two, sizeof two);
            assert_string_equal(one, two);
        }
    }
    assert_true(planned > ROUNDS * 8 / 10);
}

/* Whatever the size, there is a plan or a reason, and no scratch beyond the device. */
static void test_huge(void **state) {
    (void)state;
    for (int i = 0; i < ROUNDS / 4; i++) {
        plan_case c = draw_case();
        c.m = c.group_rows = INT64_C(1) << draw(62);
        c.k = INT64_C(1) << draw(62);
        if (c.widths[0]) c.widths[0] = INT64_C(1) << draw(62);
        for (int d = 0; d < PAVE_BATCH_DIMS; d++)
            c.batch[d] = c.groups || draw(2) ? 1 : INT64_C(1) << draw(50);
        c.window = 0;
        pave_status status = case_plan(&c, &problem, &plan);
        assert_true(status == PAVE_OK || status == PAVE_E_UNSUPPORTED);
        if (status == PAVE_E_UNSUPPORTED) assert_true(plan.refusal_count > 0 && plan.step_count == 0);
        if (status == PAVE_OK)
            assert_true(plan.workspace_bytes <= pave__device_named(c.device)->alloc_bytes_max);
        for (int s = 0; s < plan.step_count; s++) {
            const pave__step *step = &plan.steps[s];
            assert_true(step->grid[0] >= 1 && step->grid[1] >= 1 && step->grid[2] >= 1);
            assert_true(step->grid[0] <= 2147483647 && step->grid[1] <= 65535 && step->grid[2] <= 65535);
            assert_true(step->predicted.ns >= 0 && step->predicted.tiles >= 1 && step->slots >= 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_invariants), cmocka_unit_test(test_huge)};
    return cmocka_run_group_tests_name("plan-invariants", tests, NULL, NULL);
}
