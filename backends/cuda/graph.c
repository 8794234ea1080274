/* SPDX-License-Identifier: Apache-2.0
 * The launches of a call that comes again, as one CUDA graph. A call is known by every byte that its kernels get, buffers'
 * addresses included: what has changed is another call, so a graph cannot be out of date, and one that nobody asks for any
 * more is never launched. Making a graph costs the driver about as much as a dozen of the launches that it saves, so a call
 * has to be seen a few times first; one whose buffers change every time stays as launches and costs a hash. */
#include "backends/cuda/objects.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A table of so many sets, in each of which a call may lie in any of so many places. */
#define SETS 32
#define WAYS 4
/* Seen so often before, a call becomes a graph. */
#define SEEN_ENOUGH 3
/* A call keeps its place until so many others came, and longer once it has a graph: where more calls than there is room for
 * come in turn, those that came first become graphs and the others stay launches, in place of all making room for all. */
#define IDLE_CALLS 256
#define IDLE_GRAPH_CALLS 4096

typedef struct replay {
    uint64_t hash, used; /* used: the table's clock when it was last asked for; 0: an empty place */
    uint32_t seen;
    CUgraphExec exec; /* NULL: not yet */
    void *key;        /* with it: the call's bytes */
} replay;

struct cuda_replays {
    uint64_t clock;
    replay table[SETS][WAYS];
};

/* What a launch is besides its arguments' bytes. */
typedef struct head {
    void *kernel;
    uint64_t args_bytes, buffer_count;
    uint32_t grid[3], block[3], shared_bytes, reserved;
} head;

static head head_of(void *kernel, const pave__launch *l) {
    head h = {.kernel = kernel,
              .args_bytes = l->args_used,
              .buffer_count = l->buffer_count,
              .shared_bytes = l->shared_bytes};
    memcpy(h.grid, l->grid, sizeof h.grid);
    memcpy(h.block, l->block, sizeof h.block);
    return h;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t count) {
    return hash * UINT64_C(0x9e3779b97f4a7c15) + XXH3_64bits(bytes, count);
}

static uint64_t hash_call(void *const *kernels, const pave__launch *list, size_t count) {
    uint64_t hash = count;
    for (size_t i = 0; i < count; i++) {
        head h = head_of(kernels[i], &list[i]);
        hash = mix(hash, &h, sizeof h);
        hash = mix(hash, list[i].args, list[i].args_used);
        hash = mix(hash, list[i].buffers, list[i].buffer_count * sizeof *list[i].buffers);
    }
    return hash;
}

static size_t key_bytes(const pave__launch *list, size_t count) {
    size_t bytes = sizeof(uint64_t);
    for (size_t i = 0; i < count; i++)
        bytes += sizeof(head) + list[i].args_used + list[i].buffer_count * sizeof *list[i].buffers;
    return bytes;
}

static void write_part(unsigned char **at, const void *bytes, size_t count) {
    memcpy(*at, bytes, count);
    *at += count;
}

static void *make_key(void *const *kernels, const pave__launch *list, size_t count) {
    unsigned char *key = malloc(key_bytes(list, count)), *at = key;
    uint64_t launches = count;
    if (!key) return NULL;
    write_part(&at, &launches, sizeof launches);
    for (size_t i = 0; i < count; i++) {
        head h = head_of(kernels[i], &list[i]);
        write_part(&at, &h, sizeof h);
        write_part(&at, list[i].args, list[i].args_used);
        write_part(&at, list[i].buffers, list[i].buffer_count * sizeof *list[i].buffers);
    }
    return key;
}

static bool same_part(const unsigned char **at, const void *bytes, size_t count) {
    bool same = memcmp(*at, bytes, count) == 0;
    *at += count;
    return same;
}

/* Stops at the first difference, before it can read what another call's sizes say. */
static bool same_call(const void *key, void *const *kernels, const pave__launch *list, size_t count) {
    const unsigned char *at = key;
    uint64_t launches = count;
    bool same = same_part(&at, &launches, sizeof launches);
    for (size_t i = 0; same && i < count; i++) {
        head h = head_of(kernels[i], &list[i]);
        same = same_part(&at, &h, sizeof h) && same_part(&at, list[i].args, list[i].args_used) &&
               same_part(&at, list[i].buffers, list[i].buffer_count * sizeof *list[i].buffers);
    }
    return same;
}

static void forget(replay *r) {
    if (r->exec) cuda_driver.GraphExecDestroy(r->exec);
    free(r->key);
    memset(r, 0, sizeof *r);
}

/* The call's place in the table: its own, else an empty one, else that of the one idle for longest; NULL where all are
 * kept. */
static replay *find(struct cuda_replays *t, uint64_t hash) {
    replay *set = t->table[hash % SETS], *oldest = NULL;
    t->clock++;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].used && set[i].hash == hash) {
            set[i].used = t->clock;
            return &set[i];
        }
        uint64_t idle = t->clock - set[i].used, keeps = set[i].exec ? IDLE_GRAPH_CALLS : IDLE_CALLS;
        if (set[i].used && idle < keeps) continue;
        if (!oldest || set[i].used < oldest->used) oldest = &set[i];
    }
    if (!oldest) return NULL;
    forget(oldest);
    oldest->hash = hash;
    oldest->used = t->clock;
    return oldest;
}

/* One node after the other. */
static CUresult add_nodes(CUgraph graph, void *const *kernels, const pave__launch *list, size_t count) {
    CUgraphNode before = NULL;
    for (size_t i = 0; i < count; i++) {
        const pave__launch *l = &list[i];
        cuda_parameters p;
        cuda_parameters_fill(&p, l);
        CUDA_KERNEL_NODE_PARAMS node = {.func = kernels[i],
                                        .gridDimX = l->grid[0],
                                        .gridDimY = l->grid[1],
                                        .gridDimZ = l->grid[2],
                                        .blockDimX = l->block[0],
                                        .blockDimY = l->block[1],
                                        .blockDimZ = l->block[2],
                                        .sharedMemBytes = l->shared_bytes,
                                        .kernelParams = p.list};
        CUgraphNode made;
        CUresult result = cuda_driver.GraphAddKernelNode(&made, graph, &before, before ? 1 : 0, &node);
        if (result != CUDA_SUCCESS) return result;
        before = made;
    }
    return CUDA_SUCCESS;
}

/* Leaves r->exec NULL where the driver does not want to: the call then stays as launches, which report what is wrong. */
static void make_graph(replay *r, void *const *kernels, const pave__launch *list, size_t count) {
    CUgraph graph;
    r->key = make_key(kernels, list, count);
    if (!r->key || cuda_driver.GraphCreate(&graph, 0) != CUDA_SUCCESS) return;
    CUgraphExec exec = NULL;
    CUresult result = add_nodes(graph, kernels, list, count);
    if (result == CUDA_SUCCESS) result = cuda_driver.GraphInstantiate(&exec, graph, 0);
    if (result == CUDA_SUCCESS) r->exec = exec;
    cuda_driver.GraphDestroy(graph);
}

/* While a caller captures its own stream, what is launched is recorded, and making a graph might end that. */
static bool capturing(CUstream stream) {
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return cuda_driver.StreamIsCapturing(stream, &status) != CUDA_SUCCESS ||
           status != CU_STREAM_CAPTURE_STATUS_NONE;
}

CUgraphExec cuda_replay_find(cuda_queue *q, void *const *kernels, const pave__launch *list, size_t count) {
    if (!q->replays) q->replays = calloc(1, sizeof *q->replays);
    if (!q->replays) return NULL;
    replay *r = find(q->replays, hash_call(kernels, list, count));
    if (!r) return NULL;
    if (r->exec) return same_call(r->key, kernels, list, count) ? r->exec : NULL;
    if (r->seen < SEEN_ENOUGH) {
        r->seen++;
        return NULL;
    }
    /* With a key and no graph it was tried before. */
    if (!r->key && !capturing(q->stream)) make_graph(r, kernels, list, count);
    return r->exec;
}

void cuda_replays_free(cuda_queue *q, bool current) {
    if (!q->replays) return;
    for (int s = 0; s < SETS; s++)
        for (int w = 0; w < WAYS; w++) {
            if (!current) q->replays->table[s][w].exec = NULL;
            forget(&q->replays->table[s][w]);
        }
    free(q->replays);
}
