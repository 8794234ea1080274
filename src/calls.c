/* SPDX-License-Identifier: Apache-2.0
 * The table of calls that a queue keeps: which, for how long, and their launches. Keeping one costs a driver about as much
 * as a dozen of the launches that it saves, so a call has to be seen a few times first; one that changes every time costs
 * a hash. */
#include "src/calls.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A table of so many sets, in each of which a call may lie in any of so many places. */
#define SETS 32
#define WAYS 4
/* Seen so often before, a call is kept. */
#define SEEN_ENOUGH 3
/* A call has its place until so many others came, and longer once it is kept: where more calls than there is room for come
 * in turn, those that came first are kept and the others are not, in place of all making room for all. */
#define IDLE_CALLS 256
#define IDLE_KEPT_CALLS 4096

/* Launches that were handed to the backend together. */
typedef struct pave__part {
    struct pave__part *next;
    void *recorded; /* the backend's; NULL: it has none */
    size_t count;
    void **kernels;
    pave__launch *list;
} pave__part;

typedef struct pave__call {
    uint64_t hash, used; /* used: the table's clock when it last came; 0: an empty place */
    uint32_t seen;
    uint64_t *words; /* its key, with its parts; NULL: it is not kept */
    size_t count;
    pave__part *parts;
} pave__call;

struct pave__calls {
    uint64_t clock;
    pave__call table[SETS][WAYS];
};

static const pave__backend *backend_of(const pave_queue *queue) {
    return queue->context->device->backend;
}

static void drop(pave_queue *queue, pave__call *call) {
    while (call->parts) {
        pave__part *part = call->parts;
        call->parts = part->next;
        if (part->recorded) backend_of(queue)->record_free(queue->native, part->recorded);
        free(part);
    }
    free(call->words);
    call->words = NULL;
}

/* The call's place in the table: its own, else an empty one, else that of the one idle for longest; NULL where all are
 * taken. */
static pave__call *find(pave_queue *queue, uint64_t hash) {
    pave__calls *t = queue->calls;
    pave__call *set = t->table[hash % SETS], *oldest = NULL;
    t->clock++;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].used && set[i].hash == hash) {
            set[i].used = t->clock;
            return &set[i];
        }
        uint64_t idle = t->clock - set[i].used, stays = set[i].words ? IDLE_KEPT_CALLS : IDLE_CALLS;
        if (set[i].used && idle < stays) continue;
        if (!oldest || set[i].used < oldest->used) oldest = &set[i];
    }
    if (!oldest) return NULL;
    drop(queue, oldest);
    *oldest = (pave__call){.hash = hash, .used = t->clock};
    return oldest;
}

bool pave__call_known(pave_queue *queue, pave__key *key) {
    key->call = NULL;
    key->keeps = false;
    if (!key->whole || pave__forced_rows()) return false;
    if (!queue->calls) queue->calls = calloc(1, sizeof *queue->calls);
    if (!queue->calls) return false;
    pave__call *call = find(queue, XXH3_64bits(key->words, key->count * sizeof key->words[0]));
    if (!call) return false;
    if (call->words) {
        if (call->count != key->count || memcmp(call->words, key->words, key->count * sizeof key->words[0]))
            return false;
        key->call = call;
        return true;
    }
    if (call->seen < SEEN_ENOUGH) {
        call->seen++;
        return false;
    }
    key->call = call;
    key->last = &call->parts;
    key->keeps = true;
    return false;
}

static pave_status start(pave_queue *queue, const pave__part *part) {
    const pave__backend *backend = backend_of(queue);
    pave_status status = part->recorded ? backend->replay(queue->native, part->recorded) : PAVE_E_NOT_READY;
    if (status != PAVE_E_NOT_READY) return status;
    return backend->launch(queue->native, part->kernels, part->list, part->count);
}

pave_status pave__call_again(pave_queue *queue, const pave__key *key, const pave_sync *sync) {
    pave_event *event;
    pave_status status = pave__sync_begin(queue, sync, &event);
    if (status) return status;
    for (const pave__part *part = key->call->parts; !status && part; part = part->next)
        status = start(queue, part);
    return pave__sync_end(queue, sync, event, status);
}

static size_t aligned(size_t bytes) {
    return (bytes + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
}

/* In one piece with copies of all that the launches point to. */
static pave__part *part_new(void *const *kernels, const pave__launch *list, size_t count) {
    size_t bytes =
        aligned(sizeof(pave__part)) + aligned(count * sizeof *list) + aligned(count * sizeof *kernels);
    for (size_t i = 0; i < count; i++)
        bytes += aligned(list[i].args_bytes) + aligned(list[i].buffer_count * sizeof *list[i].buffers);
    unsigned char *at = malloc(bytes);
    if (!at) return NULL;
    pave__part *part = (pave__part *)at;
    *part = (pave__part){.count = count};
    at += aligned(sizeof *part);
    part->list = memcpy(at, list, count * sizeof *list);
    at += aligned(count * sizeof *list);
    part->kernels = memcpy(at, kernels, count * sizeof *kernels);
    at += aligned(count * sizeof *kernels);
    for (size_t i = 0; i < count; i++) {
        size_t buffers = list[i].buffer_count * sizeof *list[i].buffers;
        part->list[i].args = memcpy(at, list[i].args, list[i].args_bytes);
        at += aligned(list[i].args_bytes);
        part->list[i].buffers = memcpy(at, list[i].buffers, buffers);
        at += aligned(buffers);
    }
    return part;
}

/* NULL where it is not to be kept this time. */
static pave__part *keep(pave_queue *queue, pave__key *key, void *const *kernels, const pave__launch *list,
                        size_t count) {
    const pave__backend *backend = backend_of(queue);
    pave__part *part = part_new(kernels, list, count);
    if (part && backend->record &&
        backend->record(queue->native, kernels, list, count, &part->recorded) == PAVE_E_NOT_READY) {
        free(part);
        part = NULL;
    }
    if (!part) {
        key->keeps = false;
        return NULL;
    }
    *key->last = part;
    key->last = &part->next;
    return part;
}

pave_status pave__call_launch(pave_queue *queue, pave__key *key, void *const *kernels,
                              const pave__launch *list, size_t count) {
    pave__part *part = key && key->keeps ? keep(queue, key, kernels, list, count) : NULL;
    return part ? start(queue, part) : backend_of(queue)->launch(queue->native, kernels, list, count);
}

void pave__call_made(pave_queue *queue, pave__key *key, pave_status status) {
    if (!key || !key->call) return;
    size_t bytes = key->count * sizeof key->words[0];
    pave__call *call = key->call;
    if (!status && key->keeps) call->words = malloc(bytes);
    if (!call->words) {
        drop(queue, call);
        return;
    }
    call->count = key->count;
    memcpy(call->words, key->words, bytes);
}

void pave__calls_forget(pave_queue *queue) {
    for (int i = 0; queue->calls && i < SETS * WAYS; i++)
        drop(queue, &queue->calls->table[i / WAYS][i % WAYS]);
}

void pave__calls_free(pave_queue *queue) {
    pave__calls_forget(queue);
    free(queue->calls);
}
