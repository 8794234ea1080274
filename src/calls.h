/* SPDX-License-Identifier: Apache-2.0
 * Calls that come again. What a call says is written down as words, a key: all that lowering, planning and launching make of
 * it follows from them. A queue keeps the launches of calls that have come a few times, as its backend can start them for
 * least; the same key leads to them at once, with nothing checked, lowered or planned anew. */
#ifndef PAVE_SRC_CALLS_H
#define PAVE_SRC_CALLS_H

#include "src/objects.h"

/* What most calls of 64 layers take; a longer one is not kept. */
#define PAVE__KEY_WORDS 2048

/* Every value is in its key. Of what is behind a handle there is what the library reads of it: an object at a freed one's
 * address is another call unless it is the same in all of that. Weights and plans say more than can be written down, and
 * have a number that is theirs alone. */
struct pave__key {
    size_t count;
    bool whole; /* there was room, and nothing to keep it from being read */
    bool keeps; /* this time's launches are to be kept in `call` */
    struct pave__call *call;
    struct pave__part **last;
    uint64_t words[PAVE__KEY_WORDS];
};

void pave__key_begin(pave__key *key, pave_op op, const pave_plan *plan);
void pave__key_word(pave__key *key, uint64_t word);
void pave__key_float(pave__key *key, float value);
void pave__key_tensor(pave__key *key, const pave_tensor *t);
void pave__key_weights(pave__key *key, const pave_weights *weights);
void pave__key_links(pave__key *key, const pave_link *links, size_t count);
void pave__key_epilogue(pave__key *key, const pave_epilogue *e);

/* Whether the call's launches are kept; counts it where they are not. */
bool pave__call_known(pave_queue *queue, pave__key *key);
/* Makes the launches of a known call. */
pave_status pave__call_again(pave_queue *queue, const pave__key *key, const pave_sync *sync);

/* Hands launches of a call that is not known to the backend, and keeps them where its key says so. `key` may be NULL. */
pave_status pave__call_launch(pave_queue *queue, pave__key *key, void *const *kernels,
                              const pave__launch *list, size_t count);
/* All launches of the call were made, or `status` says that they were not. */
void pave__call_made(pave_queue *queue, pave__key *key, pave_status status);

/* What was kept has the queue's workspace in it: before that moves. */
void pave__calls_forget(pave_queue *queue);
/* Nothing of the queue is under way. */
void pave__calls_free(pave_queue *queue);

#endif
