/* SPDX-License-Identifier: Apache-2.0
 * What the energy report's three files share: arrays read from .npy files and the picture drawn of them. */
#ifndef PAVE_EXAMPLES_ENERGY_H
#define PAVE_EXAMPLES_ENERGY_H

#include <stddef.h>

/* A C-ordered array of rank 1 or 2, as doubles; cols is 1 for rank 1. */
typedef struct array {
    size_t rows, cols;
    double *values;
} array;

/* Reads a little-endian float32 or int32 .npy file. On failure prints one line to standard error and
 * returns 0. The caller frees values. */
int array_read(const char *path, array *out);

/* Draws the energies of both sets as histograms into an SVG file, written whole or not at all. Returns 0 and
 * prints one line where that fails. */
int picture_write(const char *path, const array *digits, const array *others, const char *caption);

#endif
