/* SPDX-License-Identifier: Apache-2.0
 * Text appended piece by piece to a buffer of fixed size, counted as snprintf counts. It knows nothing of what is
 * written. */
#ifndef PAVE_SRC_TEXT_H
#define PAVE_SRC_TEXT_H

#include <pave/types.h>

typedef struct pave__writer {
    char *text;
    size_t capacity, length; /* length: of the whole text, written or not */
} pave__writer;

void pave__write(pave__writer *w, const char *format, ...) PAVE_PRINTF(2, 3);

#endif
