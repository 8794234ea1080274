/* SPDX-License-Identifier: Apache-2.0
 * pave_linear: a chain of one layer. */
#include "src/ops/ops.h"

static pave__chain chain_of(const pave_linear_params *params, pave_layer *layer) {
    *layer = (pave_layer){.w = params->w, .weights = params->weights, .bias = params->bias};
    return (pave__chain){.op = PAVE_OP_LINEAR,
                         .x = &params->x,
                         .y = &params->y,
                         .layers = layer,
                         .layer_count = 1,
                         .alpha = 1,
                         .end = &params->epilogue,
                         .precision = params->precision};
}

pave_status pave_linear(pave_queue *queue, const pave_linear_params *params, const pave_sync *sync) {
    pave_layer layer;
    pave_status status = pave__check_queue(queue, sync);
    if (!status) status = pave__check_params(params, params ? params->size : 0, sizeof *params);
    if (status) return status;
    const pave__chain chain = chain_of(params, &layer);
    return pave__run_chain(queue, &chain, params->plan, sync);
}

pave_status pave_plan_linear(pave_context *context, const pave_linear_params *params, pave_plan **plan) {
    pave_layer layer;
    pave_status status = pave__check_plan_out(context, plan);
    if (!status) status = pave__check_params(params, params ? params->size : 0, sizeof *params);
    if (status) return status;
    const pave__chain chain = chain_of(params, &layer);
    return pave__plan_chain(context, &chain, plan);
}
