/* SPDX-License-Identifier: Apache-2.0
 * Sets a plan beside the layout that the planner's rules were written against: a profiled chain of 64×128
 * tiles in plain launch order, with its row reduction as a pass of 128 rows a block. Both sides are the same
 * model's figures; what was profiled, on an RTX 4090, is named as such. docs/planner.md has the profile. */
#include "src/plan/candidates.h"
#include "src/plan/writer.h"

#include <string.h>

/* That layout as a row: 4 warps, two copies of a 32-deep step in shared memory, so two blocks a unit. */
static const pave__row profiled_tile = {.name = "64x128",
                                        .family = PAVE__GEMM,
                                        .kind = PAVE_DEVICE_GPU,
                                        .path = PAVE_PATH_TF32,
                                        .bm = 64,
                                        .bn = 128,
                                        .bk = 32,
                                        .stages = 2,
                                        .threads = 128,
                                        .shared_bytes = (64 + 128) * 32 * 4 * 2,
                                        .efficiency = 1.0};
#define PROFILED_ROWS 128
#define PROFILED_REDUCE_THREADS 128

static double hit_share(const pave__prediction *p, double out_bytes) {
    double reads = p->bytes_l2 - out_bytes;
    return reads > 0 ? 1 - (p->bytes_memory - out_bytes) / reads : 0;
}

static double memory_ms(const pave_device_info *device, double bytes) {
    return device->memory_bytes_per_s > 0 ? bytes / device->memory_bytes_per_s * 1e3 : 0;
}

/* One gemm against 64×128 tiles, first all row tiles of one column tile, then the next. */
static void compare_gemm(pave__writer *w, const pave_device_info *d, const pave__step *s) {
    int64_t tiles_m = pave__div_up(s->m, profiled_tile.bm);
    double out = (double)pave__batches(s->batch) * (double)s->m * (double)s->n * 4;
    pave__gemm_load load = {s->m, s->n, s->k, 4, 4, out, {s->batch[0], s->batch[1], s->batch[2]}};
    for (int i = 0; i < PAVE_BATCH_DIMS; i++) {
        load.a_same[i] = s->in0.batch[i] == 0;
        load.b_same[i] = s->in1.batch[i] == 0;
    }
    int32_t whole_column = tiles_m > INT32_MAX ? INT32_MAX : (int32_t)tiles_m;
    pave__prediction theirs = pave__model_gemm(d, &profiled_tile, &load, whole_column);
    const pave__prediction *ours = &s->predicted;
    double peak = d->flops[PAVE_PATH_TF32] > 0 ? d->flops[PAVE_PATH_TF32] : d->flops[PAVE_PATH_FMA];
    double arithmetic = peak > 0 ? theirs.flops / peak * 1e3 : 0;
    double theirs_ms = memory_ms(d, theirs.bytes_memory), ours_ms = memory_ms(d, ours->bytes_memory);
    pave__write(
        w,
        "      layer %d, 64x128 tiles, a column of row tiles first: %lld blocks in %.1f waves; L2 %.3g GB, "
        "memory %.3g GB (%.1f %% of reads hit L2)\n",
        s->layer + 1, (long long)theirs.tiles, theirs.waves, theirs.bytes_l2 / 1e9, theirs.bytes_memory / 1e9,
        hit_share(&theirs, out) * 100);
    pave__write(w,
                "        = %.3g ms of memory time beside %.3g ms of arithmetic at tf32 peak: at most %.0f %% "
                "of peak, "
                "bound by %s\n",
                theirs_ms, arithmetic, 100 * (theirs_ms > arithmetic ? arithmetic / theirs_ms : 1),
                theirs_ms > arithmetic ? "memory" : "compute");
    pave__write(
        w,
        "      layer %d, here %dx%d tiles, %d row tiles a group: %lld blocks in %.1f waves; L2 %.3g GB, "
        "memory %.3g GB (%.1f %% hit) = %.3g ms of memory time; bound by %s\n",
        s->layer + 1, s->row->bm, s->row->bn, s->group_m, (long long)ours->tiles, ours->waves,
        ours->bytes_l2 / 1e9, ours->bytes_memory / 1e9, hit_share(ours, pave__gemm_out_bytes(s)) * 100,
        ours_ms, pave__bound_name(ours->bound));
}

/* The reduction against a pass of 128 rows a block over logits in memory. */
static void compare_reduction(pave__writer *w, const pave_device_info *d, const pave__step *s,
                              const pave__step *gemm) {
    double rows_in_all = (double)pave__batches(s->batch) * (double)s->m;
    int64_t blocks = pave__div_up(pave__times(pave__batches(s->batch), s->m), PROFILED_ROWS);
    int64_t units = d->compute_units > 0 ? d->compute_units : 1;
    double filled = blocks < units ? (double)blocks / (double)units : 1;
    int64_t a_unit = pave__div_up(blocks, units);
    double resident = (double)(a_unit * PROFILED_REDUCE_THREADS);
    double threads = d->threads_per_unit > 0 ? d->threads_per_unit : 1;
    double active = resident < threads ? resident / threads : 1;
    pave__write(
        w,
        "      %s, %d rows a block: %lld blocks on %lld units, %.0f %% of them busy with %.1f %% of their "
        "threads",
        pave__reduction_name(s->reduction), PROFILED_ROWS, (long long)blocks, (long long)units, filled * 100,
        active * 100);
    if (gemm && gemm->slots) {
        double logits = rows_in_all * (double)s->n * 4, states = rows_in_all * (double)s->slots * 8;
        pave__write(
            w,
            "; logits of %.3g MB written and read again\n"
            "      here logits are never written: the gemm leaves %.3g MB of states (%.3g MB less traffic), "
            "joined by %u blocks on %.0f %% of the units\n",
            logits / 1e6, states / 1e6, 2 * (logits - states) / 1e6, s->grid[0],
            100.0 * (s->grid[0] < units ? (double)s->grid[0] / (double)units : 1));
    } else {
        int rows = s->row->bm > 0 ? s->row->bm : 1;
        pave__write(
            w,
            "\n      here %u blocks of %d row%s (%d threads a row), %d a unit at once: %.0f %% of the units "
            "busy with %.0f %% of their threads\n",
            s->grid[0], rows, rows == 1 ? "" : "s",
            s->row->lanes > 0 ? s->row->lanes : s->row->threads / rows, s->predicted.blocks_per_unit,
            100.0 * (s->grid[0] < units ? (double)s->grid[0] / (double)units : 1),
            100.0 * (double)s->predicted.blocks_per_unit * (s->predicted.waves < 1 ? s->predicted.waves : 1) *
                s->row->threads / threads);
    }
}

void pave__write_comparison(pave__writer *w, const pave_device_info *device, const pave__problem *problem,
                            const pave__plan_data *plan) {
    bool product = problem->layer_count > 0 && problem->groups == 0, rows = problem->op == PAVE_OP_REDUCE;
    if (plan->step_count == 0 || device->kind != PAVE_DEVICE_GPU || !(product || rows)) return;
    if (rows && pave__is_wide(problem->reduction)) return; /* nothing of the kind was profiled */
    pave__write(
        w, "why this layout\n"
           "      Profiled on an RTX 4090, 64x128 tiles ran 8192 blocks at 36 %% of SM throughput with "
           "memory at "
           "89 %% and 67 %% L2 hits;\n"
           "      a logsumexp of 128 rows a block ran 128 blocks at 8 %%. The same model for both layouts on "
           "this device:\n");
    const pave__step *gemm = NULL;
    for (int i = 0; i < plan->step_count; i++) {
        const pave__step *s = &plan->steps[i];
        if (s->row->family == PAVE__GEMM && s->groups == 0) {
            compare_gemm(w, device, s);
            gemm = s;
        } else if ((s->row->family == PAVE__REDUCE && s->reduction == problem->reduction) ||
                   (s->row->family == PAVE__JOIN && gemm && gemm->slots)) {
            compare_reduction(w, device, s, gemm);
        }
    }
}
