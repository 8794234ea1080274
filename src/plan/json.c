/* SPDX-License-Identifier: Apache-2.0
 * A plan as JSON for programs. Keys are stable: none changes its meaning, new ones may be added. */
#include "src/plan/writer.h"

#include <jansson.h>
#include <stdlib.h>

/* Six significant digits: more would only be the arithmetic's noise. */
#define DIGITS 6

static json_t *device_json(const pave_device_info *d) {
    json_t *rates = json_object();
    for (int path = 0; path < PAVE_PATH_COUNT; path++)
        json_object_set_new(rates, pave__path_name(path), json_real(d->flops[path]));
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:f, s:I, s:o}", "name", d->name, "backend", d->backend,
                     "kind", d->kind == PAVE_DEVICE_CPU ? "cpu" : "gpu", "compute_units",
                     (int)d->compute_units, "compute_capability", (int)d->compute_capability,
                     "memory_bytes_per_s", d->memory_bytes_per_s, "l2_bytes_per_s", d->l2_bytes_per_s,
                     "l2_bytes", (json_int_t)d->l2_bytes, "flops_per_s", rates);
}

static json_t *batch_json(const int64_t batch[PAVE_BATCH_DIMS]) {
    return json_pack("[III]", (json_int_t)batch[0], (json_int_t)batch[1], (json_int_t)batch[2]);
}

static json_t *links_json(const pave__plink *list, int count) {
    json_t *links = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(links, json_string(pave__link_name(list[i].op)));
    return links;
}

static json_t *operand_json(const pave__operand *o) {
    return json_pack("{s:s, s:I, s:I, s:o, s:I, s:b}", "type", pave__type_name(o->type), "row",
                     (json_int_t)o->row, "col", (json_int_t)o->col, "batch", batch_json(o->batch), "align",
                     (json_int_t)o->align, "packed", o->packed);
}

static json_t *problem_json(const pave__problem *q) {
    json_t *layers = json_array();
    for (int i = 0; i < q->layer_count; i++) {
        const pave__player *layer = &q->layers[i];
        json_array_append_new(layers, json_pack("{s:I, s:o, s:o}", "n", (json_int_t)layer->n, "w",
                                                operand_json(&layer->w), "links",
                                                links_json(layer->links, layer->link_count)));
    }
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:s, s:s, s:o, s:o}", "op",
                     pave__op_name(q->op), "batch", batch_json(q->batch), "m", (json_int_t)q->m, "k",
                     (json_int_t)q->k, "window", (json_int_t)q->window, "groups", (json_int_t)q->groups,
                     "group_rows", (json_int_t)q->group_rows, "x", operand_json(&q->x), "y",
                     operand_json(&q->y), "unreduced",
                     q->unreduced.type ? operand_json(&q->unreduced) : json_null(), "precision",
                     pave__precision_name(q->precision), "reduction", pave__reduction_name(q->reduction),
                     "after", links_json(q->after, q->after_count), "layers", layers);
}

static json_t *ref_json(const pave__ref *ref) {
    if (ref->place == PAVE__AT_NONE) return json_null();
    return json_pack("{s:s, s:I, s:s, s:i, s:I, s:I, s:o}", "place", pave__place_name(ref->place), "offset",
                     (json_int_t)ref->offset, "type", pave__type_name(ref->type), "exponent",
                     (int)ref->exponent, "row", (json_int_t)ref->row, "col", (json_int_t)ref->col, "batch",
                     batch_json(ref->batch));
}

static json_t *prediction_json(const pave_device_info *device, const pave__step *s) {
    const pave__prediction *p = &s->predicted;
    return json_pack("{s:f, s:s, s:I, s:f, s:f, s:i, s:f, s:f, s:f, s:f, s:f}", "ns", p->ns, "bound_by",
                     pave__bound_name(p->bound), "tiles", (json_int_t)p->tiles, "waves", p->waves, "tail",
                     p->tail, "blocks_per_unit", (int)p->blocks_per_unit, "utilisation", p->utilisation,
                     "peak_share", pave__peak_share(device, s), "bytes_l2", p->bytes_l2, "bytes_memory",
                     p->bytes_memory, "flops", p->flops);
}

static const char *chain_name(int links) {
    return links == PAVE__LAYER_LINKS ? "layer" : links == PAVE__AFTER_LINKS ? "after" : "none";
}

static json_t *step_json(const pave_device_info *device, const pave__step *s) {
    json_t *step = json_pack(
        "{s:s, s:s, s:i, s:[iii], s:[iii], s:i, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:s, s:s}",
        "kernel", s->row->name, "family", pave__family_name(s->row->family), "layer", (int)s->layer + 1,
        "grid", (int)s->grid[0], (int)s->grid[1], (int)s->grid[2], "block", (int)s->block[0],
        (int)s->block[1], (int)s->block[2], "shared_bytes", (int)s->shared_bytes, "batch",
        batch_json(s->batch), "m", (json_int_t)s->m, "n", (json_int_t)s->n, "k", (json_int_t)s->k, "k_slice",
        (json_int_t)s->k_slice, "slots", (json_int_t)s->slots, "slice", (json_int_t)s->slice, "groups",
        (json_int_t)s->groups, "group_m", (int)s->group_m, "reduction", pave__reduction_name(s->reduction),
        "links", chain_name(s->links));
    if (!step) return NULL;
    json_object_set_new(step, "in0", ref_json(&s->in0));
    json_object_set_new(step, "in1", ref_json(&s->in1));
    json_object_set_new(step, "out", ref_json(&s->out));
    json_object_set_new(step, "partial", ref_json(&s->partial));
    json_object_set_new(step, "predicted", prediction_json(device, s));
    return step;
}

static json_t *refusal_json(const pave__refusal *r) {
    char text[256];
    pave__refusal_text(r, text, sizeof text);
    return json_pack("{s:s?, s:i, s:s, s:f, s:f, s:s}", "kernel", r->row ? r->row->name : NULL, "layer",
                     (int)r->layer + 1, "why", pave__why_name(r->why), "have", r->have, "need", r->need,
                     "text", text);
}

int pave__write_json(pave__writer *w, const pave_device_info *device, const pave__problem *problem,
                     const pave__plan_data *plan) {
    json_t *steps = json_array(), *refusals = json_array();
    for (int i = 0; i < plan->step_count; i++)
        json_array_append_new(steps, step_json(device, &plan->steps[i]));
    for (int i = 0; i < plan->refusal_count; i++)
        json_array_append_new(refusals, refusal_json(&plan->refusals[i]));
    int complete = steps && refusals && json_array_size(steps) == (size_t)plan->step_count &&
                   json_array_size(refusals) == (size_t)plan->refusal_count;
    json_t *root =
        json_pack("{s:o, s:o, s:o, s:I, s:f, s:o}", "device", device_json(device), "problem",
                  problem_json(problem), "steps", steps, "workspace_bytes", (json_int_t)plan->workspace_bytes,
                  "predicted_ns", plan->predicted_ns, "refusals", refusals);
    char *dump = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS)) : NULL;
    if (dump) pave__write(w, "%s\n", dump);
    int written = dump != NULL && complete;
    free(dump);
    json_decref(root);
    return written;
}
