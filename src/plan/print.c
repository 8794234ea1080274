/* SPDX-License-Identifier: Apache-2.0
 * A plan as text for a person: device, problem, steps, scratch, why not the other rows, and why this layout.
 * The same figures as the JSON, rounded for reading. */
#include "src/plan/writer.h"

#include <stdio.h>

/* A quantity with its unit in a short field: 1.07 GB, 512 B. */
static const char *bytes_text(char text[24], double bytes) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    int u = 0;
    while (bytes >= 999.5 && u < 5) {
        bytes /= 1000;
        u++;
    }
    snprintf(text, 24, u ? "%.3g %s" : "%.0f %s", bytes, units[u]);
    return text;
}

static const char *time_text(char text[24], double ns) {
    if (ns < 1e6)
        snprintf(text, 24, "%.4g us", ns / 1e3);
    else
        snprintf(text, 24, "%.4g ms", ns / 1e6);
    return text;
}

static void write_device(pave__writer *w, const pave_device_info *d) {
    char memory[24], l2[24];
    pave__write(w, "device   %s (%s): %d %s, %.4g TFLOP/s fp32", d->name, d->backend, d->compute_units,
                d->kind == PAVE_DEVICE_CPU ? "cores" : "units", d->flops[PAVE_PATH_FMA] / 1e12);
    for (int path = PAVE_PATH_TF32; path < PAVE_PATH_COUNT; path++)
        if (d->flops[path] > 0) pave__write(w, ", %.4g %s", d->flops[path] / 1e12, pave__path_name(path));
    pave__write(w, "; memory %s/s", bytes_text(memory, d->memory_bytes_per_s));
    pave__write(w, ", L2 %.4g MiB at %s/s\n", (double)d->l2_bytes / 1048576,
                bytes_text(l2, d->l2_bytes_per_s));
}

static void write_links(pave__writer *w, const pave__plink *links, int count) {
    for (int l = 0; l < count; l++) pave__write(w, " %s", pave__link_name(links[l].op));
}

/* "8 x 16 batches of ", or nothing where there is one. */
static void write_batch(pave__writer *w, const int64_t batch[PAVE_BATCH_DIMS], const char *of) {
    bool any = false;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) {
        if (batch[d] <= 1) continue;
        pave__write(w, "%s%lld", any ? " x " : " ", (long long)batch[d]);
        any = true;
    }
    if (any) pave__write(w, "%s", of);
}

/* How an operand lies where it is not in rows one after another. */
static void write_lie(pave__writer *w, const char *name, const pave__operand *o) {
    if (o->col > 1 && o->row <= 1)
        pave__write(w, ", %s across", name);
    else if (o->col > 1)
        pave__write(w, ", %s every %lld", name, (long long)o->col);
}

static void write_layer(pave__writer *w, const pave__problem *q, const pave__player *layer) {
    pave__write(w, " -> %lld", (long long)layer->n);
    const pave__operand *o = &layer->w;
    if (o->type != q->x.type || o->packed || o->col > 1)
        pave__write(w, " (W %s%s%s)", pave__type_name(o->type), o->packed ? ", packed before" : "",
                    o->col > 1 ? ", transposed" : "");
    write_links(w, layer->links, layer->link_count);
}

static void write_problem(pave__writer *w, const pave__problem *q) {
    pave__write(w, "problem  %s", pave__op_name(q->op));
    write_batch(w, q->batch, " of");
    if (q->groups)
        pave__write(w, " %lld groups, %lld rows at most, of", (long long)q->groups, (long long)q->group_rows);
    pave__write(w, " %lld x %lld %s", (long long)q->m, (long long)q->k, pave__type_name(q->x.type));
    for (int i = 0; i < q->layer_count; i++) write_layer(w, q, &q->layers[i]);
    if (q->reduction) pave__write(w, " -> %s", pave__reduction_name(q->reduction));
    if (q->reduction && q->window) pave__write(w, " in windows of %lld", (long long)q->window);
    if (q->reduction && !q->window) pave__write(w, " a row");
    write_links(w, q->after, q->after_count);
    pave__write(w, "; y %s, precision %s", pave__type_name(q->y.type), pave__precision_name(q->precision));
    if (q->unreduced.type) pave__write(w, ", unreduced %s", pave__type_name(q->unreduced.type));
    write_lie(w, "x", &q->x);
    write_lie(w, "y", &q->y);
    pave__write(w, "\n");
}

/* place:type/row stride, and the other strides where they are not a plain matrix's. */
static void write_ref(pave__writer *w, const char *name, const pave__ref *ref, bool states) {
    if (ref->place == PAVE__AT_NONE) return;
    pave__write(w, " %s=%s", name, pave__place_name(ref->place));
    if (ref->place == PAVE__AT_WORKSPACE) pave__write(w, "+%lld", (long long)ref->offset);
    pave__write(w, ":%s", pave__type_name(ref->type));
    if (ref->exponent) pave__write(w, "*2^%d", ref->exponent);
    if (states) return;
    pave__write(w, "/%lld", (long long)ref->row);
    if (ref->col > 1) pave__write(w, ",%lld", (long long)ref->col);
    if (ref->batch[0] || ref->batch[1] || ref->batch[2])
        pave__write(w, "[%lld,%lld,%lld]", (long long)ref->batch[0], (long long)ref->batch[1],
                    (long long)ref->batch[2]);
}

static void write_step(pave__writer *w, const pave_device_info *device, const pave__step *s, int index) {
    const pave__prediction *p = &s->predicted;
    char time[24], l2[24], memory[24], grid[40];
    snprintf(grid, sizeof grid, "%ux%ux%u", s->grid[0], s->grid[1], s->grid[2]);
    pave__write(w, "%4d  %-32s %-16s %6u %7u %9lld %8.2f %5.2f %6d %11s %6.1f  %-8s %8s %8s\n", index,
                s->row->name, grid, s->block[0], s->shared_bytes, (long long)p->tiles, p->waves, p->tail,
                p->blocks_per_unit, time_text(time, p->ns), pave__peak_share(device, s) * 100,
                pave__bound_name(p->bound), bytes_text(l2, p->bytes_l2), bytes_text(memory, p->bytes_memory));
}

static void write_operands(pave__writer *w, const pave__step *s, int index) {
    bool join = s->row->family == PAVE__JOIN;
    pave__write(w, "%4d  layer %d:", index, s->layer + 1);
    write_batch(w, s->batch, " of");
    if (s->groups) pave__write(w, " %lld groups of", (long long)s->groups);
    pave__write(w, " %lld x %lld", (long long)s->m, (long long)s->n);
    if (s->row->family == PAVE__GEMM || (s->row->family == PAVE__MAP && s->k != s->n))
        pave__write(w, " x %lld", (long long)s->k);
    write_ref(w, "in", &s->in0, join);
    write_ref(w, "w", &s->in1, false);
    write_ref(w, "out", &s->out, false);
    write_ref(w, pave__is_joined(s) ? "slices" : "states", &s->partial, true);
    if (s->row->family == PAVE__GEMM) pave__write(w, " raster %d", s->group_m);
    if (s->reduction) pave__write(w, " %s", pave__reduction_name(s->reduction));
    if (s->k_slice) pave__write(w, ", k in slices of %lld", (long long)s->k_slice);
    if (s->slots && s->row->family == PAVE__MAP)
        pave__write(w, ", sum of %lld slices", (long long)s->slots);
    else if (s->slots)
        pave__write(w, " of %lld states a row", (long long)s->slots);
    if (s->links == PAVE__AFTER_LINKS) pave__write(w, ", then links");
    if (s->groups) pave__write(w, " table=workspace+%lld", (long long)s->table_offset);
    pave__write(w, "\n");
}

static void write_refusals(pave__writer *w, const pave__plan_data *plan) {
    if (plan->refusal_count) pave__write(w, "why not (a time includes what the row needs packed)\n");
    for (int i = 0; i < plan->refusal_count; i++) {
        const pave__refusal *r = &plan->refusals[i];
        char why[256];
        pave__refusal_text(r, why, sizeof why);
        pave__write(w, "      layer %d: %s\n", r->layer + 1, why);
    }
}

long pave__plan_text(const pave_device_info *device, const pave__problem *problem,
                     const pave__plan_data *plan, pave_plan_format format, char *text, size_t capacity) {
    pave__writer w = {text, text ? capacity : 0, 0};
    if (format == PAVE_PLAN_JSON) return pave__write_json(&w, device, problem, plan) ? (long)w.length : -1;
    write_device(&w, device);
    write_problem(&w, problem);
    pave__write(&w, "%4s  %-32s %-16s %6s %7s %9s %8s %5s %6s %11s %6s  %-8s %8s %8s\n", "step", "kernel",
                "grid", "block", "shared", "tiles", "waves", "tail", "b/unit", "time", "% peak", "bound by",
                "L2", "memory");
    for (int i = 0; i < plan->step_count; i++) write_step(&w, device, &plan->steps[i], i + 1);
    if (plan->step_count == 0)
        pave__write(&w, "      no launch\n");
    else
        pave__write(&w, "operands (place:type/row stride,column stride[batch strides])\n");
    for (int i = 0; i < plan->step_count; i++) write_operands(&w, &plan->steps[i], i + 1);
    char time[24], scratch[24];
    pave__write(&w, "total    %s predicted, %s of workspace\n", time_text(time, plan->predicted_ns),
                bytes_text(scratch, (double)plan->workspace_bytes));
    write_refusals(&w, plan);
    pave__write_comparison(&w, device, problem, plan);
    return (long)w.length;
}
