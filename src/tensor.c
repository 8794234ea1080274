/* SPDX-License-Identifier: Apache-2.0
 * Element types and the making of tensor views. */
#include "src/objects.h"

#include <string.h>

size_t pave_dtype_bytes(pave_dtype type) {
    switch (type) {
    case PAVE_F32:
    case PAVE_I32: return 4;
    case PAVE_F16:
    case PAVE_BF16: return 2;
    case PAVE_E4M3:
    case PAVE_E5M2: return 1;
    }
    return 0;
}

const char *pave_dtype_name(pave_dtype type) {
    switch (type) {
    case PAVE_F32: return "f32";
    case PAVE_F16: return "f16";
    case PAVE_BF16: return "bf16";
    case PAVE_I32: return "i32";
    case PAVE_E4M3: return "e4m3";
    case PAVE_E5M2: return "e5m2";
    }
    return "?";
}

pave_tensor pave_tensor_make(pave_buffer *buffer, pave_dtype type, int rank, const int64_t *shape) {
    pave_tensor t;
    memset(&t, 0, sizeof t);
    if (rank < 0 || rank > PAVE_MAX_RANK || (rank > 0 && !shape)) return t;
    t.buffer = buffer;
    t.type = type;
    t.rank = rank;
    /* A size that overflows is caught where the tensor is used: its reach leaves any buffer. */
    int64_t stride = 1;
    for (int d = rank - 1; d >= 0; d--) {
        t.shape[d] = shape[d];
        t.strides[d] = stride;
        if (shape[d] > 1 && __builtin_mul_overflow(stride, shape[d], &stride)) stride = INT64_MAX;
    }
    return t;
}

pave_tensor pave_tensor_1d(pave_buffer *buffer, pave_dtype type, int64_t length) {
    return pave_tensor_make(buffer, type, 1, &length);
}

pave_tensor pave_tensor_2d(pave_buffer *buffer, pave_dtype type, int64_t rows, int64_t cols) {
    return pave_tensor_make(buffer, type, 2, (int64_t[]){rows, cols});
}
