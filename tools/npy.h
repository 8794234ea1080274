/* SPDX-License-Identifier: Apache-2.0
 * Reads and writes .npy arrays of float32 (and reads float16), little-endian and in C order. The reader
 * trusts nothing in the file; the writer never leaves a partial file under the final name. */
#ifndef PAVE_TOOLS_NPY_H
#define PAVE_TOOLS_NPY_H

#include "tools/safetensors.h"

#define NPY_MAX_RANK 32

typedef struct npy_file {
    int fd;
    uint64_t data; /* offset of the first element */
    pave_dtype type;
    int rank;
    int64_t shape[NPY_MAX_RANK];
    int64_t rows, cols; /* leading dimensions as one, and the last */
} npy_file;

/* On failure `file` is closed and `why` says what is wrong with it. */
bool npy_open(const char *path, npy_file *file, tool_why *why);
bool npy_read_rows(const npy_file *file, int64_t first, int64_t count, void *target, tool_why *why);
void npy_close(npy_file *file);

typedef struct npy_writer {
    int fd;
    char *path, *temporary; /* temporary: NULL where the target is no regular file and is written in place */
} npy_writer;

/* Starts a float32 array of this shape beside `path`. */
bool npy_create(const char *path, int rank, const int64_t *shape, npy_writer *writer, tool_why *why);
bool npy_write(npy_writer *writer, const void *source, uint64_t bytes, tool_why *why);
/* Gives the file its final name; on failure the writer still has to be abandoned. */
bool npy_finish(npy_writer *writer, tool_why *why);
/* Removes what was not finished; after npy_finish only frees. */
void npy_abandon(npy_writer *writer);

#endif
