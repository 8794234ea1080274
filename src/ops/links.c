/* SPDX-License-Identifier: Apache-2.0
 * Links of an epilogue: their checks, and their lowering to what planner and kernels take. */
#include "src/ops/ops.h"

#include <inttypes.h>
#include <stdio.h>

typedef char name_text[96];

static const char *name_of(const pave__links *l, size_t i, const char *field, name_text text) {
    if (l->alone) return l->name;
    snprintf(text, sizeof(name_text), "%s[%zu].%s", l->name, i, field);
    return text;
}

static pave_status check_tensor(const pave_context *context, const pave__links *l, size_t i,
                                pave__space *space) {
    name_text text;
    const pave_tensor *t = &l->links[i].tensor;
    const char *name = name_of(l, i, "tensor", text);
    int64_t strides[PAVE_MAX_RANK];
    pave__reach reach;
    pave_status status = pave__check_tensor(context, t, name, false, &reach);
    if (status) return status;
    if (!pave__broadcast(t, l->rank, l->shape, strides)) {
        int n = 0;
        char shape[160] = "";
        for (int d = 0; d < l->rank; d++)
            n += snprintf(shape + n, sizeof shape - (size_t)n, "%s%" PRId64, d ? "," : "", l->shape[d]);
        return pave__fail(PAVE_E_INVALID, "%s: its shape does not broadcast to [%s]", name, shape);
    }
    if (pave__overlap(t, &reach, l->y, l->y_reach) && !(l->may_be_y && pave__same_view(t, l->y)))
        return pave__fail(PAVE_E_INVALID, "%s: it overlaps y and is not exactly y", name);
    if (l->unreduced && pave__overlap(t, &reach, l->unreduced, l->unreduced_reach) &&
        !(l->may_be_unreduced && pave__same_view(t, l->unreduced)))
        return pave__fail(PAVE_E_INVALID, "%s: it overlaps epilogue.unreduced", name);
    pave__space_join(space, strides);
    return PAVE_OK;
}

pave_status pave__links_check(const pave_context *context, const pave__links *l, pave__space *space) {
    name_text text;
    if (l->count > l->most)
        return pave__fail(PAVE_E_INVALID, "%s: %zu links where %zu is the most", l->name, l->count, l->most);
    if (l->count && !l->links)
        return pave__fail(PAVE_E_INVALID, "%s: NULL with a count of %zu", l->name, l->count);
    for (size_t i = 0; i < l->count; i++) {
        const pave_link *link = &l->links[i];
        if (link->op <= PAVE_LINK_NONE || (int)link->op > PAVE__LINK_LAST)
            return pave__fail(PAVE_E_INVALID, "%s: %d is no link", name_of(l, i, "op", text), (int)link->op);
        if (!link->tensor.buffer) continue;
        if (link->op > PAVE_LINK_DIV)
            return pave__fail(PAVE_E_INVALID, "%s: link %d takes no tensor", name_of(l, i, "op", text),
                              (int)link->op);
        pave_status status = check_tensor(context, l, i, space);
        if (status) return status;
    }
    return PAVE_OK;
}

void pave__link_lower(const pave_link *link, const pave__space *space, const int64_t *strides, int64_t col,
                      pave__plink *plink, pave__joblink *job) {
    *plink = (pave__plink){.op = (uint8_t)link->op};
    job->at = (pave__at){0};
    job->link = (pave_abi_link){.a = link->a, .b = link->b, .op = (pave_i16)link->op};
    if (!link->tensor.buffer) return;
    pave__operand o;
    pave__space_operand(space, &link->tensor, strides, col, &o, &job->at);
    plink->operand = !o.col ? PAVE_OPERAND_COLUMN : !o.row ? PAVE_OPERAND_ROW : PAVE_OPERAND_FULL;
    plink->type = o.type;
    pave_abi_link *abi = &job->link;
    abi->a = 1.0f;
    abi->operand = plink->operand;
    abi->type = o.type;
    abi->t.row = o.row;
    abi->t.col = o.col;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) abi->t.batch[d] = o.batch[d];
}

void pave__links_lower(const pave__links *l, const pave__space *space, pave__plink *plinks,
                       pave__joblink *jobs) {
    for (size_t i = 0; i < l->count; i++) {
        int64_t strides[PAVE_MAX_RANK] = {0};
        const pave_tensor *t = &l->links[i].tensor;
        if (t->buffer) pave__broadcast(t, l->rank, l->shape, strides);
        int64_t col = l->columns && l->window != 1 ? strides[l->rank - 1] : 0;
        if (l->window) strides[l->rank - 1] *= l->window;
        pave__link_lower(&l->links[i], space, strides, col, &plinks[i], &jobs[i]);
    }
}
