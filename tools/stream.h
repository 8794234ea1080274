/* SPDX-License-Identifier: Apache-2.0
 * Streams an array through a model in chunks of rows: reads one chunk while the device works on another. */
#ifndef PAVE_TOOLS_STREAM_H
#define PAVE_TOOLS_STREAM_H

#include "tools/model.h"
#include "tools/npy.h"

#define RUN_KERNELS_MAX 16

typedef struct run_request {
    const char *model_path, *input_path, *output_path, *layers, *device;
    const tool_word *activation, *reduction, *precision;
    int64_t chunk_rows; /* 0: by the device's memory */
    bool profile, json, quiet;
} run_request;

/* One of two sets of buffers. */
typedef struct run_slot {
    pave_buffer *x, *y;
    void *x_host, *y_host;
    pave_event *done, *worked;
    int64_t rows; /* in flight; 0: none */
} run_slot;

typedef struct run_state {
    const run_request *request;
    tool_model model;
    npy_file input;
    npy_writer output;
    tool_session session;
    run_slot slots[2];
    int64_t chunk_rows, chunks, rows_done;
    uint64_t x_row, y_row; /* bytes */
    double begun, seconds, device_ns;
    bool progress_shown;
    char kernels[RUN_KERNELS_MAX][64];
    size_t kernel_count;
} run_state;

/* Writes the output file; returns an exit code, the error printed except for an interrupt. */
int stream_run(run_state *state);

#endif
