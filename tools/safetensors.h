/* SPDX-License-Identifier: Apache-2.0
 * Reads .safetensors files from anyone: every length, offset and shape is checked before it is used. Tensors
 * are read by pread, so a file that shrinks meanwhile is an error and not a signal. */
#ifndef PAVE_TOOLS_SAFETENSORS_H
#define PAVE_TOOLS_SAFETENSORS_H

#include "tools/common.h"

typedef struct st_tensor {
    char *name;
    char dtype[12];  /* as the file spells it */
    pave_dtype type; /* 0 where it is none of the library's types */
    int rank;
    int64_t shape[PAVE_MAX_RANK];
    uint64_t offset, bytes; /* in the file */
} st_tensor;

typedef struct st_file {
    int fd;
    size_t count;
    st_tensor *tensors; /* in the order of their offsets */
} st_file;

/* On failure `file` is closed and `why` says what is wrong with it. */
bool st_open(const char *path, st_file *file, tool_why *why);
bool st_read(const st_file *file, const st_tensor *tensor, void *target, tool_why *why);
void st_close(st_file *file);
const st_tensor *st_find(const st_file *file, const char *name);

/* Reads exactly `bytes` at `offset`; false with a reason where the file ends before. */
bool tool_pread(int fd, uint64_t offset, void *target, uint64_t bytes, tool_why *why);
/* Opens a regular file for reading and tells its size; -1 with a reason. */
int tool_open_file(const char *path, uint64_t *bytes, tool_why *why);

#endif
