/* SPDX-License-Identifier: Apache-2.0
 * The public operations: parameter structs in, lowered problems out. */
#include "src/ops/ops.h"

#define CHECK_PARAMS(params)                                                                                 \
    do {                                                                                                     \
        if (!(params)) return pave__fail(PAVE_E_INVALID, "params is NULL");                                  \
        if ((params)->size != sizeof *(params))                                                              \
            return pave__fail(PAVE_E_INVALID, "params->size is %zu where this library has %zu",              \
                              (params)->size, sizeof *(params));                                             \
    } while (0)

static pave_status lower_linear(pave_context *context, const pave_linear_params *params, pave_layer *layer,
                                pave__lowered *out) {
    CHECK_PARAMS(params);
    *layer = (pave_layer){params->w, params->weights, params->bias, params->epilogue.links,
                          params->epilogue.link_count};
    pave__chain chain = {PAVE_OP_LINEAR, &params->x, &params->y, layer, 1, params->epilogue.reduction,
                         params->precision};
    return pave__lower_chain(context, &chain, out);
}

static pave_status lower_mlp(pave_context *context, const pave_mlp_params *params, pave__lowered *out) {
    CHECK_PARAMS(params);
    pave__chain chain = {PAVE_OP_MLP,         &params->x,        &params->y,       params->layers,
                         params->layer_count, params->reduction, params->precision};
    return pave__lower_chain(context, &chain, out);
}

static pave_status lower_reduce(pave_context *context, const pave_reduce_params *params, pave__lowered *out) {
    CHECK_PARAMS(params);
    return pave__lower_reduce(context, params, out);
}

static pave_status check_queue(const pave_queue *queue, const pave_sync *sync) {
    if (sync && sync->event) *sync->event = NULL;
    return queue ? PAVE_OK : pave__fail(PAVE_E_INVALID, "queue is NULL");
}

pave_status pave_linear(pave_queue *queue, const pave_linear_params *params, const pave_sync *sync) {
    pave__lowered lowered;
    pave_layer layer;
    pave_status status = check_queue(queue, sync);
    if (!status) status = lower_linear(queue->context, params, &layer, &lowered);
    return status ? status : pave__run(queue, &lowered, params->plan, sync);
}

pave_status pave_mlp(pave_queue *queue, const pave_mlp_params *params, const pave_sync *sync) {
    pave__lowered lowered;
    pave_status status = check_queue(queue, sync);
    if (!status) status = lower_mlp(queue->context, params, &lowered);
    return status ? status : pave__run(queue, &lowered, params->plan, sync);
}

pave_status pave_reduce(pave_queue *queue, const pave_reduce_params *params, const pave_sync *sync) {
    pave__lowered lowered;
    pave_status status = check_queue(queue, sync);
    if (!status) status = lower_reduce(queue->context, params, &lowered);
    return status ? status : pave__run(queue, &lowered, params->plan, sync);
}

static pave_status check_plan_out(const pave_context *context, pave_plan **plan) {
    if (!plan) return pave__fail(PAVE_E_INVALID, "plan is NULL");
    *plan = NULL;
    return context ? PAVE_OK : pave__fail(PAVE_E_INVALID, "context is NULL");
}

pave_status pave_plan_linear(pave_context *context, const pave_linear_params *params, pave_plan **plan) {
    pave__lowered lowered;
    pave_layer layer;
    pave_status status = check_plan_out(context, plan);
    if (!status) status = lower_linear(context, params, &layer, &lowered);
    return status ? status : pave__plan_of(context, &lowered, plan);
}

pave_status pave_plan_mlp(pave_context *context, const pave_mlp_params *params, pave_plan **plan) {
    pave__lowered lowered;
    pave_status status = check_plan_out(context, plan);
    if (!status) status = lower_mlp(context, params, &lowered);
    return status ? status : pave__plan_of(context, &lowered, plan);
}

pave_status pave_plan_reduce(pave_context *context, const pave_reduce_params *params, pave_plan **plan) {
    pave__lowered lowered;
    pave_status status = check_plan_out(context, plan);
    if (!status) status = lower_reduce(context, params, &lowered);
    return status ? status : pave__plan_of(context, &lowered, plan);
}
