/* SPDX-License-Identifier: Apache-2.0
 * pave_linear: a chain of one layer. */
#include "src/ops/ops.h"

static pave_status lower(pave_context *context, const pave_linear_params *params, pave__lowered *out) {
    pave_status status = pave__check_params(params, params ? params->size : 0, sizeof *params);
    if (status) return status;
    pave_layer layer = {.w = params->w, .weights = params->weights, .bias = params->bias};
    pave__chain chain = {.op = PAVE_OP_LINEAR,
                         .x = &params->x,
                         .y = &params->y,
                         .layers = &layer,
                         .layer_count = 1,
                         .alpha = 1,
                         .end = &params->epilogue,
                         .precision = params->precision};
    return pave__lower_chain(context, &chain, out);
}

pave_status pave_linear(pave_queue *queue, const pave_linear_params *params, const pave_sync *sync) {
    pave__lowered lowered;
    pave_status status = pave__check_queue(queue, sync);
    if (!status) status = lower(queue->context, params, &lowered);
    return status ? status : pave__run(queue, &lowered, params->plan, sync);
}

pave_status pave_plan_linear(pave_context *context, const pave_linear_params *params, pave_plan **plan) {
    pave__lowered lowered;
    pave_status status = pave__check_plan_out(context, plan);
    if (!status) status = lower(context, params, &lowered);
    return status ? status : pave__plan_of(context, &lowered, plan);
}
