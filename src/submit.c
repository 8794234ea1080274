/* SPDX-License-Identifier: Apache-2.0
 * Runs plans: finds each step's memory, fills its launch struct and hands it to the backend. The only caller
 * of a backend's launch; it knows nothing of how plans come about. */
#include "src/ops/ops.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* A launch being put together. */
typedef struct launch_args {
    union {
        pave_abi_gemm gemm;
        pave_abi_reduce reduce;
        pave_abi_pack pack;
    } abi;
    size_t bytes;
    void *buffers[PAVE_GEMM_BUFFERS];
    size_t buffer_count;
} launch_args;

typedef struct place {
    void *memory;
    int64_t offset;
} place;

/* What of a step can fail for want of memory or a kernel. */
typedef struct ready {
    void *kernel, *packed; /* packed: the weights in the form that the step reads, or NULL */
} ready;

static place locate(const pave_queue *queue, const pave__job *job, const pave__step *step,
                    const pave__ref *ref, const ready *r) {
    switch ((pave__place)ref->place) {
    case PAVE__AT_NONE: break;
    case PAVE__AT_X: return (place){job->x->buffer->memory, (int64_t)job->x->offset};
    case PAVE__AT_Y: return (place){job->y->buffer->memory, (int64_t)job->y->offset};
    case PAVE__AT_WORKSPACE: return (place){queue->workspace, ref->offset};
    case PAVE__AT_PACKED: return (place){r->packed, 0};
    case PAVE__AT_W: {
        const pave_layer *layer = &job->layers[step->layer];
        const pave_tensor *w = layer->weights ? &layer->weights->w : &layer->w;
        return (place){w->buffer->memory, (int64_t)w->offset};
    }
    }
    return (place){NULL, 0};
}

static void fill_link(const pave_link *link, int64_t m, int64_t n, pave_abi_link *abi, void **buffer) {
    int64_t ld;
    int operand = pave__link_operand(link, m, n, &ld);
    bool tensor = link->op <= PAVE_LINK_DIV && operand != PAVE_OPERAND_SCALAR;
    *abi = (pave_abi_link){.op = link->op, .a = link->a, .b = link->b};
    *buffer = NULL;
    if (!tensor) return;
    abi->operand = operand;
    abi->ld = ld;
    abi->a = 1.0f;
    abi->offset = (int64_t)link->tensor.offset;
    abi->type = (int32_t)link->tensor.type;
    *buffer = link->tensor.buffer->memory;
}

/* The layer's chain: the bias is a row added first. Returns the number of links. */
static int fill_links(const pave_layer *layer, const pave__step *step, pave_abi_link *links, void **buffers) {
    int count = 0;
    if (!step->use_links) return 0;
    if (layer->bias.buffer) {
        pave_link bias = {.op = PAVE_LINK_ADD, .tensor = layer->bias};
        fill_link(&bias, step->m, step->n, &links[count], &buffers[count]);
        /* A width that equals the row count, or 1, must not turn the bias into a column. */
        links[count].operand = PAVE_OPERAND_ROW;
        links[count].ld = step->n > 1 ? layer->bias.strides[0] : 1;
        count++;
    }
    for (size_t i = 0; i < layer->link_count; i++, count++)
        fill_link(&layer->links[i], step->m, step->n, &links[count], &buffers[count]);
    return count;
}

/* Types that differ only in what was rounded before read alike. */
static int32_t load_type(int type) {
    return type == PAVE_T_TF32 ? PAVE_T_F32 : type;
}

static void fill_gemm(const pave__job *job, const pave__step *step, const place p[4], launch_args *out) {
    pave_abi_gemm *a = &out->abi.gemm;
    bool reduces = step->partial.place != PAVE__AT_NONE;
    a->m = step->m;
    a->n = step->n;
    a->k = step->k;
    a->lda = step->in0.ld;
    a->ldb = step->in1.ld;
    a->ldy = step->out.ld;
    a->a_offset = p[0].offset;
    a->b_offset = p[1].offset;
    a->y_offset = p[2].offset;
    a->p_offset = p[3].offset;
    a->slots = step->slots;
    a->y_type = reduces ? PAVE_T_NONE : step->out.type;
    a->reduce = reduces ? step->reduction : PAVE_REDUCE_NONE;
    a->group_m = step->group_m;
    for (int i = 0; i < 4; i++) out->buffers[i] = p[i].memory;
    a->link_count = fill_links(&job->layers[step->layer], step, a->links, out->buffers + 4);
    out->bytes = sizeof *a;
    out->buffer_count = PAVE_GEMM_BUFFERS;
}

static void fill_reduce(const pave__step *step, const place p[4], launch_args *out) {
    pave_abi_reduce *a = &out->abi.reduce;
    a->rows = step->m;
    a->cols = step->n;
    a->ldx = step->in0.ld;
    a->y_stride = step->out.ld;
    a->x_offset = p[0].offset;
    a->y_offset = p[2].offset;
    a->x_type = load_type(step->in0.type);
    a->y_type = step->out.type;
    a->reduce = step->reduction;
    out->buffers[0] = p[0].memory;
    out->buffers[1] = p[2].memory;
    out->bytes = sizeof *a;
    out->buffer_count = PAVE_REDUCE_BUFFERS;
}

static void fill_pack(const pave__step *step, const place p[4], launch_args *out) {
    pave_abi_pack *a = &out->abi.pack;
    a->rows = step->m;
    a->cols = step->k;
    a->cols_out = step->n;
    a->ldx = step->in0.ld;
    a->ldy = step->out.ld;
    a->x_offset = p[0].offset;
    a->y_offset = p[2].offset;
    a->x_type = load_type(step->in0.type);
    a->y_type = step->out.type;
    out->buffers[0] = p[0].memory;
    out->buffers[1] = p[2].memory;
    out->bytes = sizeof *a;
    out->buffer_count = PAVE_PACK_BUFFERS;
}

static pave_status launch_step(pave_queue *queue, const pave__step *step, void *kernel, const void *args,
                               size_t args_bytes, void *const *buffers, size_t buffer_count) {
    pave__launch launch = {.row = step->row,
                           .args = args,
                           .args_bytes = args_bytes,
                           .buffers = buffers,
                           .buffer_count = buffer_count,
                           .grid = {step->grid[0], step->grid[1], step->grid[2]},
                           .block = {step->block[0], step->block[1], step->block[2]},
                           .shared_bytes = step->shared_bytes};
    return queue->context->device->backend->launch(queue->native, kernel, &launch);
}

pave_status pave__launch_step(pave_queue *queue, const pave__step *step, const void *args, size_t args_bytes,
                              void *const *buffers, size_t buffer_count) {
    void *kernel;
    pave_status status = pave__kernel_get(queue->context, step->row, step->link_mask, &kernel);
    return status ? status : launch_step(queue, step, kernel, args, args_bytes, buffers, buffer_count);
}

static pave_status run_step(pave_queue *queue, const pave__job *job, const pave__step *step, const ready *r) {
    launch_args args;
    place p[4];
    const pave__ref *refs[4] = {&step->in0, &step->in1, &step->out, &step->partial};
    for (int i = 0; i < 4; i++) p[i] = locate(queue, job, step, refs[i], r);
    memset(&args, 0, sizeof args);
    switch (step->row->family) {
    case PAVE__GEMM: fill_gemm(job, step, p, &args); break;
    case PAVE__REDUCE:
    case PAVE__JOIN: fill_reduce(step, p, &args); break;
    case PAVE__PACK: fill_pack(step, p, &args); break;
    default: assert(!"a family that plans launch");
    }
    return launch_step(queue, step, r->kernel, &args.abi, args.bytes, args.buffers, args.buffer_count);
}

/* Work in flight may use the old workspace: the backend defers its release. */
static pave_status ensure_workspace(pave_queue *queue, uint64_t bytes) {
    if (bytes <= queue->workspace_bytes) return PAVE_OK;
    const pave__backend *backend = queue->context->device->backend;
    void *memory;
    pave_status status = backend->memory_alloc(queue->context->native, bytes, &memory);
    if (status) return status;
    if (queue->workspace) backend->memory_free(queue->context->native, queue->workspace);
    queue->workspace = memory;
    queue->workspace_bytes = bytes;
    return PAVE_OK;
}

/* What can fail for want of memory or a kernel fails before the first launch, so that y stays untouched. */
static pave_status prepare(pave_queue *queue, const pave_plan *plan, const pave__job *job, ready *list) {
    pave_status status = ensure_workspace(queue, plan->data.workspace_bytes);
    for (int i = 0; !status && i < plan->data.step_count; i++) {
        const pave__step *step = &plan->data.steps[i];
        status = pave__kernel_get(queue->context, step->row, step->link_mask, &list[i].kernel);
        if (!status && step->in1.place == PAVE__AT_PACKED)
            status = pave__weights_memory(job->layers[step->layer].weights, queue, step->in1.type,
                                          step->in1.ld, &list[i].packed);
    }
    return status;
}

pave_status pave__submit(pave_queue *queue, const pave_plan *plan, const pave__job *job,
                         const pave_sync *sync) {
    ready list[PAVE__STEPS_MAX];
    pave_status status = prepare(queue, plan, job, list);
    if (status) return status;
    pave_event *event;
    status = pave__sync_begin(queue, sync, &event);
    if (status) return status;
    for (int i = 0; !status && i < plan->data.step_count; i++)
        status = run_step(queue, job, &plan->data.steps[i], &list[i]);
    return pave__sync_end(queue, sync, event, status);
}

pave_status pave__run(pave_queue *queue, const pave__lowered *lowered, const pave_plan *plan,
                      const pave_sync *sync) {
    if (lowered->nothing) {
        pave_event *event;
        pave_status status = pave__sync_begin(queue, sync, &event);
        return status ? status : pave__sync_end(queue, sync, event, PAVE_OK);
    }
    if (plan) {
        pave_status status = pave__plan_check(plan, queue->context, &lowered->problem);
        return status ? status : pave__submit(queue, plan, &lowered->job, sync);
    }
    pave_plan *found;
    pave_status status = pave__plan_get(queue->context, &lowered->problem, &found);
    if (status) return status;
    status = pave__submit(queue, found, &lowered->job, sync);
    pave__plan_release(found);
    return status;
}
