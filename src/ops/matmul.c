/* SPDX-License-Identifier: Apache-2.0
 * pave_matmul: a chain of one layer whose w has a batch, with α and β C before its links. */
#include "src/ops/ops.h"

static pave__chain chain_of(const pave_matmul_params *params, pave_layer *layer) {
    float beta = params->beta ? *params->beta : 1;
    *layer = (pave_layer){.w = params->b};
    return (pave__chain){.op = PAVE_OP_MATMUL,
                         .x = &params->a,
                         .transpose_x = params->transpose_a != 0,
                         .y = &params->y,
                         .layers = layer,
                         .layer_count = 1,
                         .batched_w = true,
                         .transpose_w = params->transpose_b != 0,
                         .alpha = params->alpha ? *params->alpha : 1,
                         .beta = beta,
                         .c = params->c.buffer && beta != 0 ? &params->c : NULL,
                         .end = &params->epilogue,
                         .precision = params->precision};
}

pave_status pave_matmul(pave_queue *queue, const pave_matmul_params *params, const pave_sync *sync) {
    pave_layer layer;
    pave_status status = pave__check_queue(queue, sync);
    if (!status) status = pave__check_params(params, params ? params->size : 0, sizeof *params);
    if (status) return status;
    const pave__chain chain = chain_of(params, &layer);
    return pave__run_chain(queue, &chain, params->plan, sync);
}

pave_status pave_plan_matmul(pave_context *context, const pave_matmul_params *params, pave_plan **plan) {
    pave_layer layer;
    pave_status status = pave__check_plan_out(context, plan);
    if (!status) status = pave__check_params(params, params ? params->size : 0, sizeof *params);
    if (status) return status;
    const pave__chain chain = chain_of(params, &layer);
    return pave__plan_chain(context, &chain, plan);
}
