/* SPDX-License-Identifier: Apache-2.0
 * pave_reduce: a row reduction on its own. */
#include "src/ops/ops.h"

#include <inttypes.h>
#include <string.h>

static pave_status lower(pave_context *context, const pave_reduce_params *params, pave__lowered *out) {
    pave_status status = pave__check_params(params, params ? params->size : 0, sizeof *params);
    if (status) return status;
    pave__problem *p = &out->problem;
    memset(p, 0, offsetof(pave__problem, layers));
    status = pave__check_words(params->reduction, PAVE_HIGH);
    if (status) return status;
    if (!params->reduction) return pave__fail(PAVE_E_INVALID, "reduction: none is asked for");
    pave__matrix x, y;
    status = pave__check_matrix(context, &params->x, "x", &x);
    if (!status) status = pave__check_vector(context, &params->y, "y", &y);
    if (status) return status;
    if (y.rows != x.rows)
        return pave__fail(PAVE_E_INVALID, "y: %" PRId64 " values where x has %" PRId64 " rows", y.rows,
                          x.rows);
    if (pave__overlap(&params->x, &x, &params->y, &y)) return pave__fail(PAVE_E_INVALID, "y: it overlaps x");
    p->op = PAVE_OP_REDUCE;
    p->m = x.rows;
    p->k = x.cols;
    p->ldx = x.ld;
    p->ldy = y.ld;
    p->x_align = x.align;
    p->y_align = y.align;
    p->x_type = (uint8_t)params->x.type;
    p->y_type = (uint8_t)params->y.type;
    p->reduction = (uint8_t)params->reduction;
    out->job = (pave__job){&params->x, &params->y, NULL};
    out->nothing = x.rows == 0;
    return PAVE_OK;
}

pave_status pave_reduce(pave_queue *queue, const pave_reduce_params *params, const pave_sync *sync) {
    pave__lowered lowered;
    pave_status status = pave__check_queue(queue, sync);
    if (!status) status = lower(queue->context, params, &lowered);
    return status ? status : pave__run(queue, &lowered, params->plan, sync);
}

pave_status pave_plan_reduce(pave_context *context, const pave_reduce_params *params, pave_plan **plan) {
    pave__lowered lowered;
    pave_status status = pave__check_plan_out(context, plan);
    if (!status) status = lower(context, params, &lowered);
    return status ? status : pave__plan_of(context, &lowered, plan);
}
