/* SPDX-License-Identifier: Apache-2.0
 * pave_matmul: a chain of one layer whose w has a batch, with α and β C before its links. */
#include "src/ops/ops.h"

static pave_status lower(pave_context *context, const pave_matmul_params *params, pave__lowered *out) {
    pave_status status = pave__check_params(params, params ? params->size : 0, sizeof *params);
    if (status) return status;
    pave_layer layer = {.w = params->b};
    float beta = params->beta ? *params->beta : 1;
    pave__chain chain = {.op = PAVE_OP_MATMUL,
                         .x = &params->a,
                         .transpose_x = params->transpose_a != 0,
                         .y = &params->y,
                         .layers = &layer,
                         .layer_count = 1,
                         .batched_w = true,
                         .transpose_w = params->transpose_b != 0,
                         .alpha = params->alpha ? *params->alpha : 1,
                         .beta = beta,
                         .c = params->c.buffer && beta != 0 ? &params->c : NULL,
                         .end = &params->epilogue,
                         .precision = params->precision};
    return pave__lower_chain(context, &chain, out);
}

pave_status pave_matmul(pave_queue *queue, const pave_matmul_params *params, const pave_sync *sync) {
    pave__lowered lowered;
    pave_status status = pave__check_queue(queue, sync);
    if (!status) status = lower(queue->context, params, &lowered);
    return status ? status : pave__run(queue, &lowered, params->plan, sync);
}

pave_status pave_plan_matmul(pave_context *context, const pave_matmul_params *params, pave_plan **plan) {
    pave__lowered lowered;
    pave_status status = pave__check_plan_out(context, plan);
    if (!status) status = lower(context, params, &lowered);
    return status ? status : pave__plan_of(context, &lowered, plan);
}
