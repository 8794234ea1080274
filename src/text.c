/* SPDX-License-Identifier: Apache-2.0
 * Text into a bounded buffer. */
#include "src/text.h"

#include <stdarg.h>
#include <stdio.h>

void pave__write(pave__writer *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    size_t room = w->length < w->capacity ? w->capacity - w->length : 0;
    int n = vsnprintf(room ? w->text + w->length : NULL, room, format, args);
    va_end(args);
    if (n > 0) w->length += (size_t)n;
}
