/* SPDX-License-Identifier: Apache-2.0
 * The operations: linear, matmul (batched, grouped), row reduction, a chain of linears (mlp), element-wise
 * chains (map), copies between types and layouts, and weights packed once.
 *
 * A parameter struct is zero-initialised, then `size` and what is wanted are set; zero means the default.
 * Operations are asynchronous, in queue order, and keep the buffers they use alive until done. The
 * parameter struct and what it points to live for the call only. Bounds of the errors: docs/operations.md.
 *
 * Tensors are strided as they like, transposed and broadcast (stride 0) included; strides are not negative. Where
 * shapes are aligned with one another they are so from the last dimension, as in NumPy. An output's elements
 * must not share memory with one another. */
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
    /* t of ADD … DIV: any shape that broadcasts to [..., M, N], so [N] is a value a column and [M,1] a value a
     * row. Any type. */
    pave_tensor tensor;
} pave_link;

/* What becomes of a row of n values. The first six are one value a row; SOFTMAX, LOG_SOFTMAX and NORMALIZE give as
 * many as they take. Empty rows: logsumexp and max give -Inf, min +Inf, sum 0, mean NaN; argmax refuses them. NaN in
 * the row gives NaN; for logsumexp +Inf gives +Inf. */
typedef enum pave_reduction {
    PAVE_REDUCE_NONE = 0,
    PAVE_REDUCE_LOGSUMEXP = 1,
    PAVE_REDUCE_SUM = 2,
    PAVE_REDUCE_MEAN = 3,
    PAVE_REDUCE_MAX = 4,
    PAVE_REDUCE_MIN = 5,
    PAVE_REDUCE_ARGMAX = 6,      /* index of the first largest, or of the first NaN; y is PAVE_I32 */
    PAVE_REDUCE_SOFTMAX = 7,     /* exp(v - logsumexp); a row with +Inf, or of -Inf alone, is NaN */
    PAVE_REDUCE_LOG_SOFTMAX = 8, /* v - logsumexp; the same */
    PAVE_REDUCE_NORMALIZE = 9    /* (v - mean) / sqrt(variance + epsilon), the variance over n: layer norm; in windows, group norm */
} pave_reduction;

/* Links first to last, after the bias; then, where asked for, a reduction of each row, or of each `window`
 * consecutive columns of it; then links on what that gives. What is reduced is written only to `unreduced`. */
typedef struct pave_epilogue {
    const pave_link *links;
    size_t link_count; /* at most PAVE_MAX_LINKS */
    pave_reduction reduction;
    int64_t window;          /* 0: the whole row; else it divides N */
    float epsilon;           /* of NORMALIZE; 0: 1e-5 */
    const pave_link *after;  /* on the reduction's result; none after an argmax */
    size_t after_count;      /* at most PAVE_MAX_LINKS */
    pave_tensor unreduced;   /* [..., M, N], or zeroed */
} pave_epilogue;

typedef struct pave_linear_params {
    size_t size;
    pave_tensor x;               /* [..., M, K] */
    pave_tensor w;               /* [N, K]; zeroed where `weights` is given */
    const pave_weights *weights; /* a packed W, in place of w */
    pave_tensor bias;            /* [N] or zeroed */
    /* [..., M, N]; reduced to one value [..., M], with a window [..., M, N / window] */
    pave_tensor y;
    pave_precision precision;
    pave_epilogue epilogue;
    const pave_plan *plan; /* NULL: the context's plan for this shape */
} pave_linear_params;

/* y = epilogue(x · Wᵀ + bias).
 * Shape:  above; any M, N, K >= 0.   Types: any of f32, f16, bf16, mixed.
 * Alias:  y must not overlap x, w or bias; a link's tensor that covers all of y may be exactly y, or `unreduced` where
 *         the link comes before the reduction.
 * Empty:  M or N 0: nothing is written (but a reduction writes its empty rows' values); K 0: epilogue(bias).
 * Order:  asynchronous.   Threads: one queue, one thread.
 * Errors: PAVE_E_INVALID names the argument, PAVE_E_UNSUPPORTED gives the planner's reasons; y is untouched.
 * Error bound: docs/operations.md. */
PAVE_API pave_status pave_linear(pave_queue *queue, const pave_linear_params *params, const pave_sync *sync);

typedef struct pave_matmul_params {
    size_t size;
    pave_tensor a; /* [..., M, K], or [..., K, M] where transpose_a */
    pave_tensor b; /* [..., K, N], or [..., N, K] where transpose_b */
    pave_tensor c; /* broadcasts to [..., M, N]; zeroed: none. Read only where beta is not 0 */
    pave_tensor y; /* as pave_linear's; its leading dimensions are those that a's and b's broadcast to */
    int32_t transpose_a, transpose_b;
    const float *alpha, *beta; /* NULL: 1, and 1 where c is given */
    pave_precision precision;
    pave_epilogue epilogue;
    const pave_plan *plan;
} pave_matmul_params;

/* y = epilogue(alpha a · b + beta c). Leading dimensions are a batch: they broadcast, a size of 1 to any.
 * Alias:  y must not overlap a or b; c, or a link's tensor that covers all of y, may be exactly y.
 * Empty:  as pave_linear; alpha 0 or K 0: epilogue(beta c), neither a nor b is read.
 * The rest as for pave_linear. */
PAVE_API pave_status pave_matmul(pave_queue *queue, const pave_matmul_params *params, const pave_sync *sync);

/* One problem of a grouped matmul, such as one expert's rows of a mixture. Any size may be 0. */
typedef struct pave_group {
    pave_tensor a; /* [M, K], or [K, M] where transpose_a */
    pave_tensor b; /* [K, N], or [N, K] where transpose_b */
    pave_tensor y; /* [M, N], or [M] where reduced */
} pave_group;

typedef struct pave_grouped_params {
    size_t size;
    const pave_group *groups; /* one type each for all a, all b and all y */
    size_t group_count;
    int32_t transpose_a, transpose_b;
    const float *alpha; /* NULL: 1 */
    pave_tensor bias;   /* [N], or [group_count, N] with a row for each group; or zeroed. Then one N for all */
    /* Activations and scalars, no tensors; a reduction to one value a row, no window, nothing unreduced. */
    pave_epilogue epilogue;
    pave_precision precision;
    const pave_plan *plan;
} pave_grouped_params;

/* y_g = epilogue(alpha a_g · b_g + bias_g) for each group g. Problems whose tensors lie in the same three buffers run as
 * one launch. Alias: no y may overlap any a, b, bias or other y. The rest as for pave_matmul. */
PAVE_API pave_status pave_matmul_grouped(pave_queue *queue, const pave_grouped_params *params,
                                         const pave_sync *sync);

typedef struct pave_reduce_params {
    size_t size;
    pave_tensor x; /* any rank from 1 */
    /* x's shape without the axis, or with 1 in its place; in windows, its length / window there; where the result is
     * as wide as the row, x's shape. A rank of 1 reduces to [1]. */
    pave_tensor y;
    int32_t axis_from_last; /* 0: the last axis, 1: the one before it, … */
    pave_reduction reduction;
    int64_t window;         /* as in pave_epilogue, along the axis */
    float epsilon;
    const pave_link *links; /* on the result, broadcast to y's shape */
    size_t link_count;
    const pave_plan *plan;
} pave_reduce_params;

/* y = links(reduction of x along one axis).
 * Alias:  y must not overlap x, but where it is as wide as the row it may be exactly x.
 * Empty:  an axis of 0 gives the empty row's value. The rest as for pave_linear. */
PAVE_API pave_status pave_reduce(pave_queue *queue, const pave_reduce_params *params, const pave_sync *sync);

typedef struct pave_map_params {
    size_t size;
    pave_tensor x; /* broadcasts to y's shape */
    pave_tensor y; /* any rank from 1 */
    const pave_link *links; /* their tensors broadcast to y's shape; [N] is a value for each last index */
    size_t link_count;
    const pave_plan *plan;
} pave_map_params;

/* y = links(x), converted to y's type, whatever the two layouts. y may be exactly x or a link's tensor, and must not
 * overlap them otherwise. The rest as for pave_linear. */
PAVE_API pave_status pave_map(pave_queue *queue, const pave_map_params *params, const pave_sync *sync);

/* y = x between types and layouts, rounded to nearest even: pave_map with no links. x broadcasts to y's shape. */
PAVE_API pave_status pave_copy(pave_queue *queue, const pave_tensor *x, const pave_tensor *y,
                               const pave_sync *sync);

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
    size_t layer_count;     /* 1 … PAVE_MAX_LAYERS */
    pave_epilogue epilogue; /* behind the last layer's own links; the two together PAVE_MAX_LINKS at most */
    pave_tensor y;          /* as pave_linear's, N the last layer's */
    pave_precision precision;
    const pave_plan *plan;
} pave_mlp_params;

/* y = epilogue(layer_n(… layer_1(x))): a chain of linears planned as one whole; intermediates are private to
 * it. Shapes, types, order and errors as for pave_linear, argument by argument.
 * Alias:  y must not overlap x or any w or bias; only the last layer's links may have y itself as a tensor.
 * Empty:  a hidden width of 0 leaves the next layer's K at 0. */
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
