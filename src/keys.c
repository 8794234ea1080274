/* SPDX-License-Identifier: Apache-2.0
 * What a call says, written down: the parts that operations share. An operation writes all that its lowering reads. */
#include "src/calls.h"

#include <string.h>

/* A tensor's, the largest part. */
#define PART_WORDS (7 + 2 * PAVE_MAX_RANK)

/* Where the next part goes; NULL where there is no room. */
static uint64_t *room(pave__key *key) {
    if (key->count + PART_WORDS > PAVE__KEY_WORDS) key->whole = false;
    return key->whole ? key->words + key->count : NULL;
}

void pave__key_begin(pave__key *key, pave_op op, const pave_plan *plan) {
    key->count = 0;
    key->whole = true;
    pave__key_word(key, (uint64_t)op);
    pave__key_word(key, plan ? plan->id : 0);
}

void pave__key_word(pave__key *key, uint64_t word) {
    uint64_t *at = room(key);
    if (!at) return;
    *at = word;
    key->count++;
}

void pave__key_float(pave__key *key, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    pave__key_word(key, bits);
}

void pave__key_tensor(pave__key *key, const pave_tensor *t) {
    uint64_t *at = room(key);
    const pave_buffer *b = t->buffer;
    if (!at) return;
    *at++ = (uintptr_t)b;
    if (b) {
        const int rank = t->rank < 0 || t->rank > PAVE_MAX_RANK ? 0 : t->rank;
        *at++ = (uintptr_t)b->context;
        *at++ = (uintptr_t)b->memory;
        *at++ = b->bytes;
        *at++ = b->align;
        *at++ = t->offset;
        *at++ = (uint64_t)(uint32_t)t->type << 32 | (uint32_t)t->rank;
        for (int d = 0; d < rank; d++) *at++ = (uint64_t)t->shape[d];
        for (int d = 0; d < rank; d++) *at++ = (uint64_t)t->strides[d];
    }
    key->count = (size_t)(at - key->words);
}

void pave__key_weights(pave__key *key, const pave_weights *weights) {
    pave__key_word(key, weights ? weights->id : 0);
}

void pave__key_links(pave__key *key, const pave_link *links, size_t count) {
    if (count > PAVE_MAX_LINKS || (count && !links)) key->whole = false;
    pave__key_word(key, count);
    for (size_t i = 0; key->whole && i < count; i++) {
        uint32_t scalars[2];
        memcpy(&scalars[0], &links[i].a, sizeof scalars[0]);
        memcpy(&scalars[1], &links[i].b, sizeof scalars[1]);
        pave__key_word(key, (uint64_t)links[i].op);
        pave__key_word(key, (uint64_t)scalars[0] << 32 | scalars[1]);
        pave__key_tensor(key, &links[i].tensor);
    }
}

void pave__key_epilogue(pave__key *key, const pave_epilogue *e) {
    pave__key_links(key, e->links, e->link_count);
    pave__key_word(key, (uint64_t)e->reduction);
    pave__key_word(key, (uint64_t)e->window);
    pave__key_float(key, e->epsilon);
    pave__key_links(key, e->after, e->after_count);
    pave__key_tensor(key, &e->unreduced);
}
