/* SPDX-License-Identifier: Apache-2.0
 * pave_mlp: a chain of linears planned as one whole. */
#include "src/ops/ops.h"

static pave__chain chain_of(const pave_mlp_params *params) {
    return (pave__chain){.op = PAVE_OP_MLP,
                         .x = &params->x,
                         .y = &params->y,
                         .layers = params->layers,
                         .layer_count = params->layer_count,
                         .alpha = 1,
                         .end = &params->epilogue,
                         .precision = params->precision};
}

pave_status pave_mlp(pave_queue *queue, const pave_mlp_params *params, const pave_sync *sync) {
    pave_status status = pave__check_queue(queue, sync);
    if (!status) status = pave__check_params(params, params ? params->size : 0, sizeof *params);
    if (status) return status;
    const pave__chain chain = chain_of(params);
    return pave__run_chain(queue, &chain, params->plan, sync);
}

pave_status pave_plan_mlp(pave_context *context, const pave_mlp_params *params, pave_plan **plan) {
    pave_status status = pave__check_plan_out(context, plan);
    if (!status) status = pave__check_params(params, params ? params->size : 0, sizeof *params);
    if (status) return status;
    const pave__chain chain = chain_of(params);
    return pave__plan_chain(context, &chain, plan);
}
