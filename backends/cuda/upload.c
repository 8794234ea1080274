/* SPDX-License-Identifier: Apache-2.0
 * Uploads: what a launch reads besides its operands, from memory that is the caller's again when the call returns.
 *
 * The driver may stage an asynchronous copy from pageable memory before it returns, and need not: its documentation
 * promises only that such a copy "might" be synchronous (CUDA Driver API, API synchronization behavior), and a device that
 * reads pageable memory in place has nothing to stage. So the staging is done here: into memory that outlives the copy,
 * page-locked so that the copy does not block, with an event that says when it may be written again. Stages are fixed in size and number, and
 * used in turn as one stream finishes its copies; only a source of more than all of them, or that many uploads in flight,
 * waits for the oldest. */
#include "backends/cuda/objects.h"

#include <stdlib.h>
#include <string.h>

/* 630 groups of a grouped product. */
#define STAGE_BYTES (64u << 10)
#define STAGES_MAX 64

typedef struct cuda_stage {
    struct cuda_stage *next; /* used after this one */
    void *memory;            /* page-locked */
    CUevent copied;          /* one that was never recorded is as good as done */
} cuda_stage;

/* Ends what the driver made for a stage. */
static void stage_clear(cuda_stage *s) {
    if (s->memory) cuda_driver.MemFreeHost(s->memory);
    if (s->copied) cuda_driver.EventDestroy(s->copied);
}

void cuda_uploads_free(cuda_queue *q, bool current) {
    while (q->oldest) {
        cuda_stage *s = q->oldest;
        q->oldest = s->next;
        if (current) stage_clear(s);
        free(s);
    }
}

static pave_status stage_make(cuda_stage **out) {
    cuda_stage *s = calloc(1, sizeof *s);
    if (!s) return pave__fail(PAVE_E_HOST_MEMORY, "cuda: no memory for an upload");
    pave_status status = cuda_check(cuda_driver.MemAllocHost(&s->memory, STAGE_BYTES), "allocating a stage");
    if (!status)
        status = cuda_check(cuda_driver.EventCreate(&s->copied, CU_EVENT_DISABLE_TIMING), "making an event");
    if (status) {
        stage_clear(s);
        free(s);
        return status;
    }
    *out = s;
    return PAVE_OK;
}

/* Takes the oldest stage out of the list if its copy is done or there may be no more of them; else leaves *out NULL. */
static pave_status take_oldest(cuda_queue *q, cuda_stage **out) {
    cuda_stage *s = q->oldest;
    if (!s) return PAVE_OK;
    CUresult result = cuda_driver.EventQuery(s->copied);
    if (result == CUDA_ERROR_NOT_READY) {
        if (q->stage_count < STAGES_MAX) return PAVE_OK;
        result = cuda_driver.EventSynchronize(s->copied);
    }
    pave_status status = cuda_check(result, "waiting for an upload");
    if (status) return status;
    q->oldest = s->next;
    *out = s;
    return PAVE_OK;
}

/* A stage that may be written, as the newest of the list. */
static pave_status stage_take(cuda_queue *q, cuda_stage **out) {
    cuda_stage *s = NULL;
    pave_status status = take_oldest(q, &s);
    if (!status && !s) {
        status = stage_make(&s);
        q->stage_count += !status;
    }
    if (status) return status;
    s->next = NULL;
    if (q->oldest)
        q->newest->next = s;
    else
        q->oldest = s;
    q->newest = s;
    *out = s;
    return PAVE_OK;
}

static pave_status upload_piece(cuda_queue *q, CUdeviceptr target, const void *source, size_t bytes) {
    cuda_stage *s = NULL;
    pave_status status = stage_take(q, &s);
    if (status) return status;
    memcpy(s->memory, source, bytes);
    status =
        cuda_check(cuda_driver.MemcpyHtoDAsync(target, s->memory, bytes, q->stream), "uploading to a buffer");
    if (status) return status;
    /* Where this fails the stage may be written again while its copy reads it: what then arrives does so where a failed
     * upload was to, and the stage itself lives as long as the queue has work. */
    return cuda_check(cuda_driver.EventRecord(s->copied, q->stream), "recording an event");
}

pave_status cuda_upload(void *queue, void *memory, uint64_t offset, const void *source, uint64_t bytes) {
    cuda_queue *q = queue;
    CUdeviceptr target = (CUdeviceptr)(uintptr_t)memory + offset;
    pave_status status = cuda_enter(q->context);
    if (status) return status;
    for (uint64_t at = 0; !status && at < bytes; at += STAGE_BYTES) {
        uint64_t piece = bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES;
        status = upload_piece(q, target + at, (const char *)source + at, piece);
    }
    cuda_leave();
    return status;
}
