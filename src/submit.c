/* SPDX-License-Identifier: Apache-2.0
 * Runs plans: finds each step's memory, fills its launch struct and hands it to the backend. The only caller
 * of a backend's launch; it knows nothing of how plans come about. */
#include "src/calls.h"
#include "src/ops/ops.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* A launch being put together. */
typedef struct launch_args {
    union {
        pave_abi_gemm gemm;
        pave_abi_rows rows;
    } abi;
    size_t bytes, used;
    void *buffers[PAVE_GEMM_BUFFERS];
    size_t buffer_count;
} launch_args;

/* As many as are handed to the backend at once; the plans of most calls are shorter. */
#define LAUNCHES_MAX 8

typedef struct launches {
    size_t count;
    void *kernels[LAUNCHES_MAX];
    pave__launch list[LAUNCHES_MAX];
    launch_args args[LAUNCHES_MAX];
} launches;

/* What of a step can fail for want of memory or a kernel. */
typedef struct ready {
    void *kernel, *packed; /* packed: the weights in the form that the step reads, or NULL */
} ready;

/* One run of a plan: an index in the dimensions that its space does not hold. */
typedef struct run {
    pave_queue *queue;
    const pave__problem *problem;
    const pave__job *job;
    pave__key *key; /* the call's, or NULL */
    launches *pending;
    int64_t index[PAVE__OUTER_DIMS];
} run;

typedef struct place {
    void *memory;
    int64_t offset;
} place;

static place place_at(const run *r, const pave__at *at) {
    place p = {at->buffer ? at->buffer->memory : NULL, at->offset};
    for (int d = 0; d < PAVE__OUTER_DIMS; d++) p.offset += r->index[d] * at->outer[d];
    return p;
}

static place locate(const run *r, const pave__step *step, const pave__ref *ref, const ready *got) {
    switch ((pave__place)ref->place) {
    case PAVE__AT_NONE: break;
    case PAVE__AT_X: return place_at(r, &r->job->x);
    case PAVE__AT_Y: return place_at(r, &r->job->y);
    case PAVE__AT_UNREDUCED: return place_at(r, &r->job->unreduced);
    case PAVE__AT_WORKSPACE: return (place){r->queue->workspace, ref->offset};
    case PAVE__AT_PACKED: return (place){got->packed, 0};
    case PAVE__AT_W: return place_at(r, &r->job->layers[step->layer].w);
    }
    return (place){NULL, 0};
}

static pave_abi_view view_of(const pave__ref *ref, place p) {
    pave_abi_view v = {.offset = p.offset, .row = ref->row, .col = ref->col};
    memcpy(v.batch, ref->batch, sizeof v.batch);
    return v;
}

/* Returns the number of links. */
static int fill_links(const run *r, const pave__step *step, pave_abi_link *links, void **buffers) {
    const pave__joblink *from = r->job->after;
    int count = r->problem->after_count;
    if (step->links == PAVE__NO_LINKS) return 0;
    if (step->links == PAVE__LAYER_LINKS) {
        from = r->job->layers[step->layer].links;
        count = r->problem->layers[step->layer].link_count;
    }
    for (int i = 0; i < count; i++) {
        place p = place_at(r, &from[i].at);
        links[i] = from[i].link;
        links[i].t.offset = p.offset;
        buffers[i] = p.memory;
    }
    return count;
}

/* Stored times a power of two: one link more, for which the planner has made sure of room. */
static int add_exponent(const pave__ref *out, pave_abi_link *links, int count) {
    if (!out->place || out->exponent == 0) return count;
    links[count] = (pave_abi_link){.op = PAVE_LINK_MUL, .a = ldexpf(1, out->exponent)};
    return count + 1;
}

/* Where the scales of a packed operand begin, 0 where it has none. */
static int64_t scales_at(const pave__ref *ref, const int64_t *batch, int64_t rows, int64_t offset) {
    return pave__has_scales(ref->type) && ref->exponent == 0 ? offset + pave__packed_bytes(ref, batch, rows)
                                                             : 0;
}

/* Types that differ only in what was rounded before read alike. */
static int32_t load_type(int type) {
    return type == PAVE_T_TF32 ? PAVE_T_F32 : type;
}

static void fill_gemm(const run *r, const pave__step *step, const place p[4], launch_args *out) {
    pave_abi_gemm *a = &out->abi.gemm;
    const bool joined = pave__is_joined(step), reduces = step->partial.place != PAVE__AT_NONE && !joined;
    a->m = step->m;
    a->n = step->n;
    a->k = step->k;
    memcpy(a->batch, step->batch, sizeof a->batch);
    a->a = view_of(&step->in0, p[0]);
    a->b = view_of(&step->in1, p[1]);
    a->y = view_of(&step->out, p[2]);
    a->p_offset = p[3].offset;
    a->slots = joined ? step->batch[0] : step->slots;
    a->k_slice = (int32_t)step->k_slice;
    /* Slices of k are all of one matrix, whose rows have one scale each. */
    const int64_t matrices[PAVE_BATCH_DIMS] = {step->k_slice ? 1 : step->batch[0], step->batch[1],
                                               step->batch[2]};
    a->a_scale = scales_at(&step->in0, matrices, step->m, p[0].offset);
    a->b_scale = scales_at(&step->in1, matrices, step->n, p[1].offset);
    a->scale = ldexpf(1, -step->in0.exponent);
    a->y_type = step->out.place ? step->out.type : PAVE_T_NONE;
    a->reduce = (int16_t)(reduces ? step->reduction : PAVE_REDUCE_NONE);
    a->group_m = step->group_m;
    a->group_count = (int32_t)step->groups;
    a->g_offset = step->table_offset;
    for (int i = 0; i < 4; i++) out->buffers[i] = p[i].memory;
    out->buffers[4] = step->groups ? r->queue->workspace : joined ? r->queue->counters : NULL;
    int links = fill_links(r, step, a->links, out->buffers + 5);
    a->link_count = (int16_t)add_exponent(&step->out, a->links, links);
    out->bytes = sizeof *a;
    out->used = offsetof(pave_abi_gemm, links) + (size_t)a->link_count * sizeof a->links[0];
    out->buffer_count = PAVE_GEMM_BUFFERS;
}

static void fill_rows(const run *r, const pave__step *step, const place p[4], launch_args *out) {
    pave_abi_rows *a = &out->abi.rows;
    const pave__family family = step->row->family;
    bool split = family == PAVE__REDUCE && step->partial.place != PAVE__AT_NONE, slices = step->row->slices;
    a->rows = step->m;
    a->cols = family == PAVE__REDUCE || family == PAVE__JOIN ? step->n : step->k;
    a->width = step->n;
    memcpy(a->batch, step->batch, sizeof a->batch);
    a->x = view_of(&step->in0, p[0]);
    a->y = split ? view_of(&step->partial, p[3]) : view_of(&step->out, p[2]);
    a->slots = split || slices || family == PAVE__JOIN || family == PAVE__MAP ? step->slots : 0;
    if (pave__has_scales(step->out.type) && step->out.exponent == 0)
        a->slots = scales_at(&step->out, step->batch, step->m, p[2].offset);
    a->slice = step->slice;
    a->epsilon = r->job->epsilon;
    a->x_type = load_type(step->in0.type);
    a->y_type = split ? PAVE_T_F32 : step->out.type;
    a->reduce = step->reduction;
    out->buffers[0] = p[0].memory;
    out->buffers[1] = p[split ? 3 : 2].memory;
    a->link_count = fill_links(r, step, a->links, out->buffers + 2);
    assert(!slices || a->link_count <= PAVE_ROWS_COUNTERS - 2);
    if (slices) out->buffers[PAVE_ROWS_COUNTERS] = r->queue->counters;
    a->link_count = add_exponent(&step->out, a->links, a->link_count);
    out->bytes = sizeof *a;
    out->used = offsetof(pave_abi_rows, links) + (size_t)a->link_count * sizeof a->links[0];
    out->buffer_count = PAVE_ROWS_BUFFERS;
}

static pave__launch launch_of(const pave__step *step) {
    return (pave__launch){.row = step->row,
                          .grid = {step->grid[0], step->grid[1], step->grid[2]},
                          .block = {step->block[0], step->block[1], step->block[2]},
                          .shared_bytes = step->shared_bytes,
                          .ns = step->predicted.ns};
}

pave_status pave__launch_step(pave_queue *queue, const pave__step *step, const void *args, size_t args_bytes,
                              void *const *buffers, size_t buffer_count) {
    void *kernel;
    pave_status status = pave__kernel_get(queue->context, step->row, step->link_mask, &kernel);
    if (status) return status;
    pave__launch launch = launch_of(step);
    launch.args = args;
    launch.args_bytes = launch.args_used = args_bytes;
    launch.buffers = buffers;
    launch.buffer_count = buffer_count;
    return queue->context->device->backend->launch(queue->native, &kernel, &launch, 1);
}

static pave_status hand_over(const run *r) {
    launches *l = r->pending;
    size_t count = l->count;
    l->count = 0;
    if (!count) return PAVE_OK;
    return pave__call_launch(r->queue, r->key, l->kernels, l->list, count);
}

/* The table of a grouped product, its tiles counted for the row that the plan took, to the workspace. */
static pave_status upload_groups(const run *r, const pave__step *step, pave_abi_gemm *args) {
    pave_abi_group *table = r->job->groups;
    int64_t tiles = 0;
    for (int64_t i = 0; i < step->groups; i++) {
        int64_t tiles_m = (table[i].m + step->row->bm - 1) / step->row->bm;
        table[i].tile_base = tiles;
        tiles += tiles_m * ((table[i].n + step->row->bn - 1) / step->row->bn);
    }
    args->tiles = tiles;
    return r->queue->context->device->backend->upload(r->queue->native, r->queue->workspace,
                                                      (uint64_t)step->table_offset, table,
                                                      (size_t)step->groups * sizeof *table);
}

static pave_status run_step(const run *r, const pave__step *step, const ready *got) {
    place p[4];
    const pave__ref *refs[4] = {&step->in0, &step->in1, &step->out, &step->partial};
    launches *l = r->pending;
    /* A table goes behind what may still read the one before. */
    pave_status status = l->count == LAUNCHES_MAX || step->groups ? hand_over(r) : PAVE_OK;
    if (status) return status;
    launch_args *args = &l->args[l->count];
    for (int i = 0; i < 4; i++) p[i] = locate(r, step, refs[i], got);
    memset(args, 0, sizeof *args);
    if (step->row->family == PAVE__GEMM)
        fill_gemm(r, step, p, args);
    else
        fill_rows(r, step, p, args);
    if (step->groups) status = upload_groups(r, step, &args->abi.gemm);
    if (status) return status;
    pave__launch *launch = &l->list[l->count];
    *launch = launch_of(step);
    launch->args = &args->abi;
    launch->args_bytes = args->bytes;
    launch->args_used = args->used;
    launch->buffers = args->buffers;
    launch->buffer_count = args->buffer_count;
    l->kernels[l->count++] = got->kernel;
    return PAVE_OK;
}

/* Work in flight may use the old workspace: the backend defers its release. */
static pave_status ensure_workspace(pave_queue *queue, uint64_t bytes) {
    if (bytes <= queue->workspace_bytes) return PAVE_OK;
    const pave__backend *backend = queue->context->device->backend;
    void *memory;
    pave_status status = backend->memory_alloc(queue->context->native, bytes, &memory);
    if (status) return status;
    pave__calls_forget(queue);
    if (queue->workspace) backend->memory_free(queue->context->native, queue->workspace);
    queue->workspace = memory;
    queue->workspace_bytes = bytes;
    return PAVE_OK;
}

/* Counters, which each launch leaves as it found them. */
static pave_status ensure_counters(pave_queue *queue, const pave__plan_data *plan) {
    const pave__backend *backend = queue->context->device->backend;
    const uint64_t bytes = PAVE__COUNTERS * sizeof(uint32_t);
    const uint32_t zero = 0;
    bool counts = false;
    if (queue->counters) return PAVE_OK;
    for (int32_t i = 0; i < plan->step_count; i++) counts = counts || pave__counts(&plan->steps[i]);
    if (!counts) return PAVE_OK;
    void *memory;
    pave_status status = backend->memory_alloc(queue->context->native, bytes, &memory);
    if (status) return status;
    status = backend->fill(queue->native, memory, 0, bytes, &zero, sizeof zero);
    if (status)
        backend->memory_free(queue->context->native, memory);
    else
        queue->counters = memory;
    return status;
}

static pave_status ensure_memory(pave_queue *queue, const pave__plan_data *plan) {
    pave_status status = ensure_workspace(queue, plan->workspace_bytes);
    return status ? status : ensure_counters(queue, plan);
}

pave_status pave__make_ready(pave_queue *queue, const pave_plan *plan) {
    pave_status status = ensure_memory(queue, &plan->data);
    for (int i = 0; !status && i < plan->data.step_count; i++) {
        void *kernel;
        status =
            pave__kernel_get(queue->context, plan->data.steps[i].row, plan->data.steps[i].link_mask, &kernel);
    }
    return status;
}

/* Whether a row was barred since the plan was made. */
static bool has_barred(pave_context *context, const pave_plan *plan) {
    pthread_mutex_lock(&context->lock);
    bool barred = context->bars.count > plan->bars;
    pthread_mutex_unlock(&context->lock);
    return barred;
}

pave_status pave__plan_ready(pave_queue *queue, const pave__problem *problem, pave_plan **out) {
    for (;;) {
        pave_plan *plan;
        pave_status status = pave__plan_get(queue->context, problem, &plan);
        if (status) return status;
        status = pave__make_ready(queue, plan);
        if (!status) {
            *out = plan;
            return PAVE_OK;
        }
        bool again = has_barred(queue->context, plan);
        pave__plan_release(plan);
        if (!again) return status;
    }
}

/* What can fail for want of memory or a kernel fails before the first launch, so that y stays untouched. */
static pave_status prepare(pave_queue *queue, const pave_plan *plan, const pave__job *job, ready *list) {
    pave_status status = ensure_memory(queue, &plan->data);
    for (int i = 0; !status && i < plan->data.step_count; i++) {
        const pave__step *step = &plan->data.steps[i];
        list[i].packed = NULL;
        status = pave__kernel_get(queue->context, step->row, step->link_mask, &list[i].kernel);
        if (!status && step->in1.place == PAVE__AT_PACKED)
            status = pave__weights_memory(job->layers[step->layer].weights, queue, step->in1.type,
                                          step->in1.row, &list[i].packed);
    }
    return status;
}

/* The next index of the outer dimensions; false past the last. */
static bool next_outer(run *r) {
    for (int d = 0; d < PAVE__OUTER_DIMS; d++) {
        if (++r->index[d] < r->job->outer[d]) return true;
        r->index[d] = 0;
    }
    return false;
}

pave_status pave__submit(pave_queue *queue, const pave_plan *plan, const pave__job *job,
                         const pave_sync *sync, pave__key *key) {
    ready list[PAVE__STEPS_MAX];
    pave_status status = prepare(queue, plan, job, list);
    if (status) return status;
    pave_event *event;
    status = pave__sync_begin(queue, sync, &event);
    if (status) return status;
    launches pending;
    pending.count = 0;
    run r = {.queue = queue, .problem = &plan->problem, .job = job, .key = key, .pending = &pending};
    do {
        for (int i = 0; !status && i < plan->data.step_count; i++)
            status = run_step(&r, &plan->data.steps[i], &list[i]);
    } while (!status && next_outer(&r));
    if (!status) status = hand_over(&r);
    pave__call_made(queue, key, status);
    return pave__sync_end(queue, sync, event, status);
}

pave_status pave__run(pave_queue *queue, const pave__lowered *lowered, const pave_plan *plan,
                      const pave_sync *sync, pave__key *key) {
    if (lowered->nothing) {
        pave_event *event;
        pave_status status = pave__sync_begin(queue, sync, &event);
        return status ? status : pave__sync_end(queue, sync, event, PAVE_OK);
    }
    if (plan) {
        pave_status status = pave__plan_check(plan, queue->context, &lowered->problem);
        return status ? status : pave__submit(queue, plan, &lowered->job, sync, key);
    }
    pave_plan *found;
    pave_status status = pave__plan_ready(queue, &lowered->problem, &found);
    if (status) return status;
    status = pave__submit(queue, found, &lowered->job, sync, key);
    pave__plan_release(found);
    return status;
}
