/* SPDX-License-Identifier: Apache-2.0
 * The operations: linear, row reduction, a chain of linears (mlp), and weights packed once.
 *
 * A parameter struct is zero-initialised, then `size` and what is wanted are set; zero means the default.
 * Operations are asynchronous, in queue order, and keep the buffers they use alive until done. The
 * parameter struct and what it points to live for the call only. Bounds of the errors: docs/operations.md. */
#ifndef PAVE_OPS_H
#define PAVE_OPS_H

#include <pave/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PAVE_MAX_LINKS 8
#define PAVE_MAX_LAYERS 64

/* One link of an epilogue, applied to each output v in float32, in registers. */
typedef enum pave_link_op {
    PAVE_LINK_NONE = 0,
    PAVE_LINK_ADD = 1, /* v + t */
    PAVE_LINK_SUB = 2, /* v - t */
    PAVE_LINK_MUL = 3, /* v * t */
    PAVE_LINK_DIV = 4, /* v / t */
    PAVE_LINK_RELU = 5,
    PAVE_LINK_LEAKY_RELU = 6, /* v < 0 ? a v : v */
    PAVE_LINK_SIGMOID = 7,    /* 1 / (1 + exp(-v)) */
    PAVE_LINK_TANH = 8,
    PAVE_LINK_GELU_ERF = 9,   /* v (1 + erf(v / sqrt 2)) / 2; Hendrycks and Gimpel 2016 */
    PAVE_LINK_GELU_TANH = 10, /* its tanh form */
    PAVE_LINK_SILU = 11,      /* v sigmoid(v) */
    PAVE_LINK_MISH = 12,      /* v tanh(softplus(v)); Misra 2019 */
    PAVE_LINK_CLAMP = 13,     /* min(max(v, a), b); NaN stays NaN */
    PAVE_LINK_HARDSWISH = 14, /* v clamp(v + 3, 0, 6) / 6 */
    PAVE_LINK_SOFTPLUS = 15,  /* log(1 + exp(v)) */
    PAVE_LINK_ELU = 16        /* v < 0 ? a (exp(v) - 1) : v */
} pave_link_op;

typedef struct pave_link {
    pave_link_op op;
    float a, b; /* the link's scalars; t of ADD … DIV where `tensor` is zeroed */
    /* t of ADD … DIV: [N] or [1,N] a value a column, [M,1] a value a row, [M,N] a value an element. Any type.
     * For M = 1 and rank 2, [1,N] is read as a value a column. */
    pave_tensor tensor;
} pave_link;

/* Reduction of a row of n values. Empty rows: logsumexp and max give -Inf, min +Inf, sum 0, mean NaN.
 * NaN in the row gives NaN; for logsumexp +Inf gives +Inf. */
typedef enum pave_reduction {
    PAVE_REDUCE_NONE = 0,
    PAVE_REDUCE_LOGSUMEXP = 1,
    PAVE_REDUCE_SUM = 2,
    PAVE_REDUCE_MEAN = 3,
    PAVE_REDUCE_MAX = 4,
    PAVE_REDUCE_MIN = 5
} pave_reduction;

typedef struct pave_epilogue {
    const pave_link *links;   /* applied first to last, after the bias */
    size_t link_count;        /* at most PAVE_MAX_LINKS */
    pave_reduction reduction; /* over each row, after the links; what is reduced is not written */
} pave_epilogue;

typedef struct pave_linear_params {
    size_t size;
    pave_tensor x; /* [..., M, K]; the last stride 1, leading dimensions one constant row stride */
    pave_tensor w; /* [N, K], last stride 1; zeroed where `weights` is given */
    const pave_weights *weights; /* a packed W, in place of w */
    pave_tensor bias;            /* [N] or zeroed */
    pave_tensor y;               /* [..., M, N], or [..., M] where the epilogue reduces */
    pave_precision precision;
    pave_epilogue epilogue;
    const pave_plan *plan; /* NULL: the context's plan for this shape */
} pave_linear_params;

/* y = epilogue(x · Wᵀ + bias).
 * Shape:  above; any M, N, K >= 0, row strides >= the width.   Types: any of f32, f16, bf16, mixed.
 * Alias:  y must not overlap x, w or bias; a link's full tensor may be exactly y.
 * Empty:  M or N 0: nothing is written (a reduction still writes its empty rows' values); K 0:
 * epilogue(bias). Order:  asynchronous.   Threads: one queue, one thread. Errors: PAVE_E_INVALID names the
 * argument; PAVE_E_UNSUPPORTED gives the planner's reasons; y is untouched. */
PAVE_API pave_status pave_linear(pave_queue *queue, const pave_linear_params *params, const pave_sync *sync);

typedef struct pave_reduce_params {
    size_t size;
    pave_tensor x; /* [..., M, N], last stride 1, leading dimensions one constant row stride */
    pave_tensor y; /* [..., M] */
    pave_reduction reduction;
    const pave_plan *plan;
} pave_reduce_params;

/* y[i] = reduction over j of x[i, j]. y must not overlap x. Errors as for pave_linear. */
PAVE_API pave_status pave_reduce(pave_queue *queue, const pave_reduce_params *params, const pave_sync *sync);

typedef struct pave_layer {
    pave_tensor w; /* [N_i, N_{i-1}]; zeroed where `weights` is given */
    const pave_weights *weights;
    pave_tensor bias; /* [N_i] or zeroed */
    const pave_link *links;
    size_t link_count;
} pave_layer;

typedef struct pave_mlp_params {
    size_t size;
    pave_tensor x; /* [..., M, K] */
    const pave_layer *layers;
    size_t layer_count;       /* 1 … PAVE_MAX_LAYERS */
    pave_reduction reduction; /* over each row of the last layer's output */
    pave_tensor y;            /* [..., M, N_last], or [..., M] where reduced */
    pave_precision precision;
    const pave_plan *plan;
} pave_mlp_params;

/* A chain of linears planned as one whole; intermediates are private to it. A link's tensor in a layer but
 * the last must not have a value an element of a private output's caller-visible alias. Otherwise as
 * pave_linear. */
PAVE_API pave_status pave_mlp(pave_queue *queue, const pave_mlp_params *params, const pave_sync *sync);

/* A constant W [N, K] for use as often as wanted: whatever form a plan needs is made once, on first use or
 * here where the promise tells it, and kept. W's content must not change while the weights exist; its buffer
 * is kept alive. Threads may share it. */
PAVE_API pave_status pave_weights_create(pave_queue *queue, const pave_tensor *w, pave_precision precision,
                                         pave_weights **weights);
PAVE_API void pave_weights_destroy(pave_weights **weights);

#ifdef __cplusplus
}
#endif
#endif
