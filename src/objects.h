/* SPDX-License-Identifier: Apache-2.0
 * The public objects from inside, and the front end's own helpers. Everything that lives longer than a call
 * is counted: what refers to an object holds a reference, and the last one out frees it. */
#ifndef PAVE_SRC_OBJECTS_H
#define PAVE_SRC_OBJECTS_H

#include "kernels/epilogue/links.h"
#include "kernels/reduce/reductions.h"
#include "src/backend.h"
#include "src/plan/planner.h"
#include <pave/pave.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* The last words of two enumerations that grow. */
#define PAVE__ONE(...) +1
enum {
    PAVE__LINK_LAST = PAVE_LINK_DIV PAVE_ACTIVATIONS(PAVE__ONE),
    PAVE__REDUCE_LAST = 0 PAVE_REDUCTIONS(PAVE__ONE)
};

/* What a call says, and its queue's calls that came before (src/calls.h). */
typedef struct pave__key pave__key;
typedef struct pave__calls pave__calls;

struct pave_device {
    const pave__backend *backend;
    pave_device_info info;
    void *native;
};

typedef struct pave__kernel {
    const pave__row *row;
    uint32_t link_mask;
    void *native;
    struct pave__kernel *next;
} pave__kernel;

/* Of a context's two caches; a power of two. */
#define PAVE__BUCKETS 64

struct pave_context {
    atomic_uint refs;
    pave_device *device;
    void *native;
    pthread_mutex_t lock;                 /* guards what follows */
    pave__kernel *kernels[PAVE__BUCKETS]; /* by their row */
    pave_plan *plans[PAVE__BUCKETS];      /* by their hash; each counted once for the cache */
    size_t plan_count;
    uint64_t plan_clock;     /* counts what was asked of the plans */
    pave_event *free_events; /* destroyed ones, to be used again */
    pave__bars bars;         /* rows that did not work when they were loaded */
};

struct pave_queue {
    pave_context *context;
    void *native;
    bool profiling;
    void *workspace; /* grows to the largest a plan asked for; in-order use makes one enough */
    uint64_t workspace_bytes;
    void *counters;     /* u32, PAVE__COUNTERS of them; NULL before a step counts */
    pave__calls *calls; /* NULL: none yet */
};

struct pave_event {
    pave_context *context;
    void *native;
    bool profiling;
    pave_event *next; /* among the free ones */
};

struct pave_buffer {
    atomic_uint refs;
    pave_context *context;
    void *memory; /* NULL where bytes is 0 */
    uint64_t bytes;
    uint32_t align; /* its start is a multiple of this power of two, which matters up to PAVE__BUFFER_ALIGN */
    bool wrapped;   /* the memory is the caller's */
};

/* A form of a weight that some plan wanted. */
typedef struct pave__form {
    uint8_t type;
    int64_t ld;
    pave_buffer *buffer;
    struct pave__form *next;
} pave__form;

struct pave_weights {
    uint64_t id;
    pave_context *context;
    pave_tensor w; /* its buffer is counted; shape [n, k], strides [ld, 1] */
    pthread_mutex_t lock;
    pave__form *forms;
};

struct pave_plan {
    atomic_uint refs;
    uint64_t id;
    pave_plan *next;     /* in its bucket */
    uint64_t hash, used; /* used: the cache's clock when it was last asked for */
    char *forced;        /* PAVE_KERNEL when it was made, or NULL; part of the cache's key */
    size_t bars;         /* of the context, when it was made */
    pave_device_info device;
    pave__problem problem;
    pave__plan_data data;
};

/* Dimensions of an operation that its space does not hold: a launch for each of their indices. */
#define PAVE__OUTER_DIMS (PAVE_MAX_RANK - PAVE_BATCH_DIMS - 1)

/* Where an operand of a job begins, and how far in bytes each outer index moves it. */
typedef struct pave__at {
    const pave_buffer *buffer; /* NULL: none */
    int64_t offset;
    int64_t outer[PAVE__OUTER_DIMS];
} pave__at;

/* A link as its kernels take it; t.offset is in `at`. */
typedef struct pave__joblink {
    pave__at at;
    pave_abi_link link;
} pave__joblink;

typedef struct pave__joblayer {
    pave__at w; /* buffer NULL where `weights` is given */
    const pave_weights *weights;
    pave__joblink links[PAVE_ABI_LINKS];
} pave__joblayer;

/* One operation ready to run: the caller's operands by the plan's places. How many layers and links there are is the
 * problem's to say. */
typedef struct pave__job {
    pave__at x, y, unreduced;
    int64_t outer[PAVE__OUTER_DIMS]; /* extents, 1 where unused */
    float epsilon;
    pave__joblink after[PAVE_ABI_LINKS];
    /* GROUPED: problem.groups of them in the caller's memory; tile_base is filled in as the plan's row has it. */
    pave_abi_group *groups;
    pave__joblayer layers[PAVE_MAX_LAYERS];
} pave__job;

/* A number that no other object of this process has or had; not 0. */
uint64_t pave__new_id(void);

/* Counting. */
pave_context *pave__context_retain(pave_context *context);
void pave__context_release(pave_context *context);
pave_buffer *pave__buffer_retain(pave_buffer *buffer);
void pave__buffer_release(pave_buffer *buffer);
void pave__plan_release(pave_plan *plan);
/* Empties the context's cache of plans; its lock is held, or nobody else has the context. */
void pave__plans_drop(pave_context *context);

/* A queue over `*handle`, or over a new native queue where handle is NULL. */
pave_status pave__queue_new(pave_context *context, const pave_queue_params *params, const uint64_t *handle,
                            pave_queue **queue);

/* The loaded kernel of a row for a set of links, from the context's cache. A row that may not work on a device that should
 * have it (pave__row_doubtful) and does not is barred: PAVE_E_BUILD or PAVE_E_DEVICE, and no later plan has it. */
pave_status pave__kernel_get(pave_context *context, const pave__row *row, uint32_t link_mask, void **kernel);

/* The context's plan for a problem, counted for the caller: release it. */
pave_status pave__plan_get(pave_context *context, const pave__problem *problem, pave_plan **plan);
/* Checks that a plan given by the user fits the problem. */
pave_status pave__plan_check(const pave_plan *plan, const pave_context *context,
                             const pave__problem *problem);
/* PAVE_KERNEL's value, or NULL. */
const char *pave__forced_rows(void);
/* Plans a problem on a device description; `bars` and `forced` may be NULL. */
pave_status pave__plan_new(const pave_device_info *device, const pave__bars *bars,
                           const pave__problem *problem, const char *forced, pave_plan **plan);

/* Runs a plan. `key`: the call's, or NULL (src/calls.h). */
pave_status pave__submit(pave_queue *queue, const pave_plan *plan, const pave__job *job,
                         const pave_sync *sync, pave__key *key);
/* One launch outside a plan: packing weights, probing a device. */
pave_status pave__launch_step(pave_queue *queue, const pave__step *step, const void *args, size_t args_bytes,
                              void *const *buffers, size_t buffer_count);

/* The memory of weights in the form a plan wants, made on `queue` at first use. */
pave_status pave__weights_memory(const pave_weights *weights, pave_queue *queue, int type, int64_t ld,
                                 void **memory);

/* Brackets an enqueued operation: waits before, an event after. */
pave_status pave__sync_begin(pave_queue *queue, const pave_sync *sync, pave_event **event);
pave_status pave__sync_end(pave_queue *queue, const pave_sync *sync, pave_event *event, pave_status status);

/* PAVE_E_INVALID naming variable and value where an environment variable holds no known value. */
pave_status pave__environment_check(void);

pave__backend_id pave__backend_of(const pave_device_info *device);
const char *pave__backend_name(pave__backend_id id);
/* Copies `*info` out to a caller whose struct may be older. */
pave_status pave__info_copy(const pave_device_info *info, pave_device_info *out);

#endif
