/* SPDX-License-Identifier: Apache-2.0
 * Plans: how a problem is laid out over a device, made with or without that device, printed and reused. */
#ifndef PAVE_PLAN_H
#define PAVE_PLAN_H

#include <pave/device.h>
#include <pave/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pave_op {
    PAVE_OP_LINEAR = 1,
    PAVE_OP_REDUCE = 2,
    PAVE_OP_MLP = 3,
    PAVE_OP_MATMUL = 4,
    PAVE_OP_GROUPED = 5,
    PAVE_OP_MAP = 6 /* and copies */
} pave_op;

/* A problem by its shape alone, for planning where there are no tensors, which are then contiguous. Zero means the
 * default. */
typedef struct pave_problem_params {
    size_t size;
    pave_op op;
    int64_t m, k;          /* rows and width of x; for a reduction and a map, k is the row's length */
    const int64_t *widths; /* layer_count outputs' widths; unused by a reduction and a map */
    size_t layer_count;    /* all but MLP: 1 */
    int64_t batch;         /* MATMUL: matrices; 0: 1 */
    int32_t shared_b;      /* MATMUL, nonzero: one b for the whole batch */
    int32_t transpose_a;   /* MATMUL, GROUPED */
    int32_t transpose_b;
    const int64_t *group_rows; /* GROUPED: each group's m, in place of m; all have the same n and k */
    size_t group_count;
    int32_t across;                    /* REDUCE, nonzero: along the axis before the last: x is [k, m] */
    pave_dtype x_type, w_type, y_type; /* 0: PAVE_F32 */
    int32_t no_bias;                   /* nonzero: without a bias; MATMUL never has one */
    int32_t weights_packed;            /* nonzero: W is a pave_weights, packed before */
    const pave_link_op *activations;   /* layer_count of them, or NULL for none */
    pave_reduction reduction;
    int64_t window;
    pave_precision precision;
    const char *kernel; /* as PAVE_KERNEL: forced rows, comma separated; NULL: the environment's, if any */
} pave_problem_params;

/* Plans a problem for a described device; no device is needed. Errors: PAVE_E_INVALID,
 * PAVE_E_UNSUPPORTED with each row's refusal, PAVE_E_HOST_MEMORY. Any thread. */
PAVE_API pave_status pave_plan_create(const pave_device_info *device, const pave_problem_params *problem,
                                      pave_plan **plan);
/* The plan that the operation would use in this context, to print or to pass in params->plan. */
PAVE_API pave_status pave_plan_linear(pave_context *context, const pave_linear_params *params,
                                      pave_plan **plan);
PAVE_API pave_status pave_plan_reduce(pave_context *context, const pave_reduce_params *params,
                                      pave_plan **plan);
PAVE_API pave_status pave_plan_mlp(pave_context *context, const pave_mlp_params *params, pave_plan **plan);
PAVE_API pave_status pave_plan_matmul(pave_context *context, const pave_matmul_params *params,
                                      pave_plan **plan);
PAVE_API pave_status pave_plan_grouped(pave_context *context, const pave_grouped_params *params,
                                       pave_plan **plan);
PAVE_API pave_status pave_plan_map(pave_context *context, const pave_map_params *params, pave_plan **plan);
PAVE_API void pave_plan_destroy(pave_plan **plan);

typedef enum pave_plan_format { PAVE_PLAN_TEXT = 0, PAVE_PLAN_JSON = 1 } pave_plan_format;

/* Writes the plan to `text` as snprintf does; `needed` (may be NULL) receives the whole length. */
PAVE_API pave_status pave_plan_print(const pave_plan *plan, pave_plan_format format, char *text,
                                     size_t capacity, size_t *needed);
/* Predicted time of the whole plan in nanoseconds; scratch memory it needs in bytes; its launches. */
PAVE_API double pave_plan_predicted_ns(const pave_plan *plan);
PAVE_API uint64_t pave_plan_workspace_bytes(const pave_plan *plan);
PAVE_API size_t pave_plan_step_count(const pave_plan *plan);
/* Name of the kernel row of launch `step`; NULL past the last. */
PAVE_API const char *pave_plan_step_kernel(const pave_plan *plan, size_t step);

/* What a kernel row covers, for tests and tools that force each in turn (PAVE_KERNEL=name). */
typedef struct pave_kernel_info {
    size_t size;
    const char *name, *family, *backend; /* family: "gemm", "reduce", "join", "normalize", "map", "peak" */
    pave_path path;
    int32_t bm, bn, bk;       /* its tile; rows a block of what works on rows */
    pave_dtype in_type;       /* of x or a; 0: any */
    pave_dtype b_type;        /* of w or b, in_type for most */
    pave_precision precision; /* the strongest promise it keeps for operands of those types */
    int32_t
        align; /* gemm: bytes that operands must start on, and their rows be apart, to be taken as they lie; 1: any */
} pave_kernel_info;

/* Row `index` of all there are in this build; PAVE_E_NOT_FOUND past the last. `usable` (may be NULL) is set
 * to 1 where `device` (may be NULL) can run it, else 0 with the reason in pave_last_message(). */
PAVE_API pave_status pave_kernel_describe(size_t index, const pave_device *device, pave_kernel_info *info,
                                          int32_t *usable);

/* Runs the device's own probes (a copy, and arithmetic in registers a path) and replaces the rates in
 * `info`, which pave_device_describe filled, by what was reached. Blocks for about a tenth of a second. */
PAVE_API pave_status pave_device_measure(pave_context *context, pave_device_info *info);

#ifdef __cplusplus
}
#endif
#endif
