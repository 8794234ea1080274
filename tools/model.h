/* SPDX-License-Identifier: Apache-2.0
 * Finds the linear layers of a saved PyTorch model by their tensors' names and puts them on a device. */
#ifndef PAVE_TOOLS_MODEL_H
#define PAVE_TOOLS_MODEL_H

#include "tools/safetensors.h"

typedef struct model_layer {
    char *prefix; /* what comes before "weight" */
    const st_tensor *weight, *bias;
    int64_t n, k;
    pave_buffer *w_buffer, *bias_buffer;
    pave_weights *weights;
} model_layer;

typedef struct tool_model {
    st_file file;
    size_t count;
    model_layer layers[PAVE_MAX_LAYERS];
    uint64_t bytes; /* of all tensors used */
} tool_model;

/* `layers`: comma separated names in order, or NULL for the natural order of all. */
bool model_open(const char *path, const char *layers, tool_model *model, tool_why *why);
/* Packs the weights on the device; *status tells a device's failure from a file's (PAVE_OK). */
bool model_upload(tool_model *model, tool_session *session, pave_precision precision, pave_status *status,
                  tool_why *why);
void model_close(tool_model *model);

#endif
