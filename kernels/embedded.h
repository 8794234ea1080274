/* SPDX-License-Identifier: Apache-2.0
 * Files carried inside the library, little-endian words so that they are aligned. */
#ifndef PAVE_KERNELS_EMBEDDED_H
#define PAVE_KERNELS_EMBEDDED_H

#include <stddef.h>

typedef struct pave__embedded {
    const char *name;
    const void *data;
    size_t bytes; /* followed by a zero byte that does not count */
} pave__embedded;

extern const pave__embedded pave__embedded_fatbin[]; /* one entry, kernels.fatbin */
extern const pave__embedded pave__embedded_opencl[]; /* the .cl sources and their headers, by base name */

#endif
