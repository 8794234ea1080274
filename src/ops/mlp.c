/* SPDX-License-Identifier: Apache-2.0
 * pave_mlp: a chain of linears planned as one whole. */
#include "src/ops/ops.h"

static pave_status lower(pave_context *context, const pave_mlp_params *params, pave__lowered *out) {
    pave_status status = pave__check_params(params, params ? params->size : 0, sizeof *params);
    if (status) return status;
    pave__chain chain = {.op = PAVE_OP_MLP,
                         .x = &params->x,
                         .y = &params->y,
                         .layers = params->layers,
                         .layer_count = params->layer_count,
                         .alpha = 1,
                         .end = &params->epilogue,
                         .precision = params->precision};
    return pave__lower_chain(context, &chain, out);
}

pave_status pave_mlp(pave_queue *queue, const pave_mlp_params *params, const pave_sync *sync) {
    pave__lowered lowered;
    pave_status status = pave__check_queue(queue, sync);
    if (!status) status = lower(queue->context, params, &lowered);
    return status ? status : pave__run(queue, &lowered, params->plan, sync);
}

pave_status pave_plan_mlp(pave_context *context, const pave_mlp_params *params, pave_plan **plan) {
    pave__lowered lowered;
    pave_status status = pave__check_plan_out(context, plan);
    if (!status) status = lower(context, params, &lowered);
    return status ? status : pave__plan_of(context, &lowered, plan);
}
