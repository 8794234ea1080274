/* SPDX-License-Identifier: Apache-2.0
 * What must hold of every plan, over many shapes, types, promises and devices: all tiles are covered,
 * launches stay within limits, operands have the form that their row states, no promise is broken, and
 * scratch is read as it was written and not overwritten while it is wanted. */
#include "problems.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ROUNDS 20000

static uint64_t seed = 20261122;

static uint64_t draw(uint64_t below) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % below;
}

static int64_t draw_size(int zero) {
    static const int64_t sizes[] = {1,  2,   3,   7,   8,   15,   16,   31,   64,
                                    65, 127, 128, 129, 777, 1000, 1024, 4096, 16384};
    if (zero && draw(20) == 0) return 0;
    return sizes[draw(sizeof sizes / sizeof sizes[0])];
}

static plan_case draw_case(void) {
    static const char *const devices[] = {"rtx4090",  "rtx4080", "l40s",  "a100-sxm",
                                          "h100-sxm", "h200",    "cpu-2", "cpu-16"};
    plan_case c = {.device = devices[draw(8)], .m = draw_size(0), .k = draw_size(1)};
    if (draw(30) == 0) c.m = 3000000; /* row tiles and pack rows beyond a grid's 65535 */
    int layers = (int)draw(SHAPE_LAYERS + 1);
    for (int i = 0; i < layers; i++) c.widths[i] = draw_size(0);
    if (draw(30) == 0) { /* and column tiles beyond it */
        c.m = c.k = 3;
        c.widths[0] = 20000000;
        for (int i = 1; i < SHAPE_LAYERS; i++) c.widths[i] = 0;
        layers = 1;
    }
    c.activation = draw(2) ? PAVE_LINK_SIGMOID : 0;
    c.reduction = layers == 0 ? 1 + (int)draw(5) : (int)draw(6);
    c.precision = (int)draw(3);
    c.x_type = 1 + (int)draw(3);
    c.w_type = 1 + (int)draw(3);
    c.packed = (int)draw(2);
    c.pad = (int64_t)draw(3);
    return c;
}

static int bytes_of(int type) {
    return type == PAVE_T_F32 || type == PAVE_T_TF32 ? 4 : type ? 2 : 0;
}

/* ---- what each step must satisfy alone */

static void check_grid(const pave__step *s, const pave_device_info *d) {
    assert_in_range(s->grid[0], 1, 2147483647);
    assert_in_range(s->grid[1], 1, 65535);
    assert_int_equal(s->grid[2], 1);
    assert_int_equal(s->block[0], s->row->threads);
    assert_true(s->block[0] <= (uint32_t)d->threads_per_block &&
                s->shared_bytes <= d->shared_bytes_per_block);
    int64_t tiles_m = (s->m + s->row->bm - 1) / s->row->bm;
    switch (s->row->family) {
    case PAVE__GEMM: {
        int64_t tiles = tiles_m * ((s->n + s->row->bn - 1) / s->row->bn);
        assert_int_equal(s->predicted.tiles, tiles);
        assert_true((int64_t)s->grid[0] * s->grid[1] <= tiles);
        assert_true(s->group_m >= 1);
        if (d->kind == PAVE_DEVICE_CPU) { /* enough groups to even out, where there are tiles */
            int64_t wanted = 8 * (int64_t)d->compute_units;
            assert_true((int64_t)s->grid[0] * s->grid[1] >= (tiles < wanted ? tiles : wanted));
        }
        break;
    }
    case PAVE__PACK: /* chunks are covered by the grid, rows by the kernel's loop */
        assert_true((int64_t)s->grid[0] * s->row->bn >= s->n);
        assert_true((int64_t)s->grid[0] * s->row->bn < s->n + s->row->bn);
        break;
    default: assert_int_equal(s->grid[0], tiles_m); assert_int_equal(s->grid[1], 1);
    }
}

static void check_form(const pave__ref *ref, int wanted, int align, int64_t k, uint32_t given_align,
                       int raw_type) {
    if (k == 0) return;
    int readable =
        wanted == PAVE_T_NONE || ref->type == wanted || (wanted == PAVE_T_F32 && ref->type == PAVE_T_TF32);
    assert_true(readable);
    assert_true(ref->ld >= k);
    if (ref->place == PAVE__AT_X || ref->place == PAVE__AT_W) {
        assert_true(given_align >= (uint32_t)align);
        assert_int_equal(ref->type, raw_type);
    } else {
        assert_int_equal(ref->ld * bytes_of(ref->type) % (align > 16 ? align : 16), 0);
    }
}

/* Whether a value that was `from` may be read as `to` under the promise, counting what the path itself
 * rounds. */
static void check_rounding(int from, int to, int path, int precision) {
    int rounds_tf32 = from == PAVE_T_F32 && (to == PAVE_T_TF32 || path == PAVE_PATH_TF32);
    int rounds_bf16 = to == PAVE_T_BF16 && from != PAVE_T_BF16;
    assert_false(rounds_tf32 && precision == PAVE_HIGHEST);
    assert_false(rounds_bf16 && precision != PAVE_MEDIUM);
    assert_false(to == PAVE_T_F16 && from != PAVE_T_F16);
    assert_false(path != PAVE_PATH_FMA && precision == PAVE_HIGHEST);
}

static void check_gemm(const pave__step *s, const pave__problem *q) {
    const pave__player *w = &q->layers[s->layer];
    int64_t k = s->layer ? q->layers[s->layer - 1].n : q->k;
    assert_int_equal(s->m, q->m);
    assert_int_equal(s->n, w->n);
    assert_int_equal(s->k, k);
    check_form(&s->in0, s->row->a_type, s->row->align, k, q->x_align, q->x_type);
    check_form(&s->in1, s->row->b_type, s->row->align, k, w->w_align, w->w_type);
    if (k > 0) {
        check_rounding(s->layer ? PAVE_T_F32 : q->x_type, s->in0.type, s->row->path, q->precision);
        check_rounding(w->w_type, s->in1.type, s->row->path, q->precision);
    }
    assert_true((s->in1.place == PAVE__AT_PACKED) <= w->w_packed);
    assert_int_equal(s->use_links, w->link_count > 0);
    assert_true(s->link_mask & (1u << PAVE_LINK_ADD));
    int last = s->layer == q->layer_count - 1;
    assert_int_equal(s->partial.place != PAVE__AT_NONE, last && q->reduction && s->row->slice > 0);
    if (s->partial.place) assert_int_equal(s->slots, (s->n + s->row->slice - 1) / s->row->slice);
}

/* ---- scratch: what lies where, as of each step */

typedef struct region {
    int64_t offset, bytes;
    pave__ref ref;
} region;

static region live[16];
static int live_count;

static region region_of(const pave__ref *ref, int64_t rows, int elem) {
    return (region){ref->offset, rows * ref->ld * elem, *ref};
}

static int overlap(const region *a, const region *b) {
    return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

static void read_region(const pave__ref *ref) {
    if (ref->place != PAVE__AT_WORKSPACE) return;
    for (int i = 0; i < live_count; i++)
        if (live[i].ref.offset == ref->offset && live[i].ref.ld == ref->ld && live[i].ref.type == ref->type)
            return;
    fail_msg("step reads scratch at %lld that nothing left there", (long long)ref->offset);
}

static void write_region(const pave__step *s, const pave__ref *ref, int elem, uint64_t workspace) {
    if (ref->place != PAVE__AT_WORKSPACE) return;
    region r = region_of(ref, s->m, elem);
    assert_int_equal(r.offset % 256, 0);
    assert_true(r.offset >= 0 && (uint64_t)(r.offset + r.bytes) <= workspace);
    const pave__ref *inputs[] = {&s->in0, &s->in1};
    for (int i = 0; i < live_count; i++) {
        if (!overlap(&live[i], &r)) continue;
        for (int n = 0; n < 2; n++) /* never over what the same launch reads */
            assert_false(inputs[n]->place == PAVE__AT_WORKSPACE && inputs[n]->offset == live[i].offset);
        live[i--] = live[--live_count];
    }
    assert_true(live_count < 16);
    live[live_count++] = r;
}

static void check_scratch(const pave__plan_data *p) {
    live_count = 0;
    int stores = 0;
    for (int i = 0; i < p->step_count; i++) {
        const pave__step *s = &p->steps[i];
        read_region(&s->in0);
        read_region(&s->in1);
        write_region(s, &s->out, bytes_of(s->out.type), p->workspace_bytes);
        write_region(s, &s->partial, 8, p->workspace_bytes);
        stores += s->out.place == PAVE__AT_Y;
        assert_int_equal(s->out.place == PAVE__AT_Y, i + 1 == p->step_count);
    }
    assert_int_equal(stores, 1);
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
    check_scratch(&plan);
}

static void test_invariants(void **state) {
    (void)state;
    static char one[1 << 16], two[1 << 16];
    int planned = 0;
    for (int i = 0; i < ROUNDS; i++) {
        plan_case c = draw_case();
        pave_status status = case_plan(&c, &problem, &plan);
        if (status == PAVE_E_UNSUPPORTED) { /* only scratch or a grid may stand in the way */
            int for_size = 0;
            for (int r = 0; r < plan.refusal_count; r++)
                for_size += plan.refusals[r].why == PAVE__WHY_ALLOC || plan.refusals[r].why == PAVE__WHY_GRID;
            assert_true(for_size > 0);
            assert_int_equal(plan.step_count, 0);
            continue;
        }
        assert_int_equal(status, PAVE_OK);
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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_invariants)};
    return cmocka_run_group_tests_name("plan-invariants", tests, NULL, NULL);
}
