/* SPDX-License-Identifier: Apache-2.0
 * The sentence for each reason why a row is not in a plan. */
#include "src/plan/planner.h"

#include <stdio.h>

/* What the device or the caller's word stands in the way of. */
static int device_reason(const pave__refusal *r, char *text, size_t capacity) {
    switch (r->why) {
    case PAVE__WHY_CAPABILITY:
        return snprintf(text, capacity, "needs compute capability %.1f, the device has %.1f", r->need / 10,
                        r->have / 10);
    case PAVE__WHY_KIND:
        return snprintf(text, capacity, "is shaped for %s",
                        r->row && r->row->kind == PAVE_DEVICE_CPU ? "a CPU" : "a GPU");
    case PAVE__WHY_SHARED:
        return snprintf(text, capacity, "needs %.0f bytes of shared memory a block, the device allows %.0f",
                        r->need, r->have);
    case PAVE__WHY_THREADS:
        return snprintf(text, capacity, "needs %.0f threads a block, the device allows %.0f", r->need,
                        r->have);
    case PAVE__WHY_FORCED:
        return snprintf(text, capacity, "is not the row that PAVE_KERNEL names for its family");
    case PAVE__WHY_ALLOC:
        return snprintf(text, capacity, "needs %.0f bytes of scratch, the device's largest buffer is %.0f",
                        r->need, r->have);
    case PAVE__WHY_BUILD: return snprintf(text, capacity, "does not build on this device");
    case PAVE__WHY_PROOF:
        return snprintf(text, capacity, "gives no right product as this device's driver builds it");
    case PAVE__WHY_BACKEND: return snprintf(text, capacity, "belongs to another backend");
    case PAVE__WHY_GRID:
        return snprintf(text, capacity, "needs %.0f blocks, a launch can have %.0f", r->need, r->have);
    default: return snprintf(text, capacity, "is in the plan");
    }
}

static int reason(const pave__refusal *r, char *text, size_t capacity) {
    switch (r->why) {
    case PAVE__WHY_PRECISION:
        return snprintf(text, capacity, "keeps only a weaker promise than the one asked for");
    case PAVE__WHY_TYPE:
        return snprintf(text, capacity, "has an operand type that would round more than the promise allows");
    case PAVE__WHY_FUSE: return snprintf(text, capacity, "cannot close the chain as it is asked for");
    case PAVE__WHY_SLOWER:
        return snprintf(text, capacity, "is predicted to take %.4g us against %.4g us", r->have / 1e3,
                        r->need / 1e3);
    case PAVE__WHY_FILLED:
        return snprintf(text, capacity,
                        "has a smaller tile, and the default tile already reaches %.0f %% of sustained peak "
                        "(rule 3: departed from below %.0f %%)",
                        r->have * 100, r->need * 100);
    case PAVE__WHY_PACK:
        return snprintf(text, capacity, "needs an operand packed, and no map kernel can run on this device");
    case PAVE__WHY_GROUPED:
        return snprintf(text, capacity, "needs an operand packed, and a group's are taken as they lie");
    case PAVE__WHY_LENGTH:
        return snprintf(text, capacity, "counts to %.0f, a row has %.0f values", r->have, r->need);
    case PAVE__WHY_SPLIT:
        return snprintf(text, capacity, "cannot cut k into slices: no batch dimension is left for them");
    case PAVE__WHY_WHOLE:
        return snprintf(text, capacity,
                        "takes rows in slices, and these are too many, too short or none of a softmax");
    case PAVE__WHY_FLOAT8:
        return snprintf(text, capacity, "does not read float8 in %s", r->have > 0 ? "x" : "a link's tensor");
    default: return device_reason(r, text, capacity);
    }
}

int pave__refusal_text(const pave__refusal *r, char *text, size_t capacity) {
    int head = snprintf(text, capacity, "%s ", r->row ? r->row->name : "the plan");
    size_t used = (size_t)head < capacity ? (size_t)head : capacity;
    int tail = reason(r, capacity ? text + used : NULL, capacity - used);
    return head + tail;
}
