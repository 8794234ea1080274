/* SPDX-License-Identifier: Apache-2.0
 * Problems by their shape alone, for planning where there are no tensors: what lowering would make of contiguous ones. */
#include "src/ops/ops.h"

#include <inttypes.h>
#include <string.h>

static pave_status bad_type(const char *name, int type) {
    return pave__fail(PAVE_E_INVALID, "problem->%s: %d is none of f32, f16, bf16, e4m3, e5m2", name, type);
}

static bool is_type(int type) {
    return !type || (pave_dtype_bytes((pave_dtype)type) && type != PAVE_I32);
}

static bool is_product(pave_op op) {
    return op != PAVE_OP_REDUCE && op != PAVE_OP_MAP;
}

static pave_status check_reduction(const pave_problem_params *q) {
    int64_t n = is_product(q->op) && q->layer_count ? q->widths[q->layer_count - 1] : q->k;
    if ((int)q->reduction < 0 || (int)q->reduction > PAVE__REDUCE_LAST ||
        (q->op == PAVE_OP_REDUCE && !q->reduction))
        return pave__fail(PAVE_E_INVALID, "problem->reduction: %d is no reduction", (int)q->reduction);
    if (q->window < 0 || (q->window && (!q->reduction || n % q->window)))
        return pave__fail(PAVE_E_INVALID,
                          "problem->window: %" PRId64 " is no part of a reduced row of %" PRId64, q->window,
                          n);
    return PAVE_OK;
}

static pave_status check_groups(const pave_problem_params *q, int64_t *total) {
    *total = 0;
    if (!q->group_count || !q->group_rows || q->group_count > INT32_MAX)
        return pave__fail(PAVE_E_INVALID, "problem->group_rows: %zu groups", q->group_count);
    for (size_t i = 0; i < q->group_count; i++)
        if (q->group_rows[i] < 0 || __builtin_add_overflow(*total, q->group_rows[i], total))
            return pave__fail(PAVE_E_INVALID, "problem->group_rows[%zu]: %" PRId64 " rows", i,
                              q->group_rows[i]);
    if (*total == 0) return pave__fail(PAVE_E_INVALID, "problem->group_rows: no group has rows");
    return PAVE_OK;
}

static pave_status check_shape(const pave_problem_params *q) {
    if (q->op < PAVE_OP_LINEAR || q->op > PAVE_OP_MAP)
        return pave__fail(PAVE_E_INVALID, "problem->op: %d is no operation", (int)q->op);
    if ((q->op != PAVE_OP_GROUPED && q->m < 1) || q->k < 0)
        return pave__fail(PAVE_E_INVALID, "problem: m %" PRId64 " and k %" PRId64 " are no shape to plan",
                          q->m, q->k);
    if (q->batch < 0) return pave__fail(PAVE_E_INVALID, "problem->batch: %" PRId64, q->batch);
    if (is_product(q->op) && (!q->widths || q->layer_count < 1 || q->layer_count > PAVE_MAX_LAYERS ||
                              (q->op != PAVE_OP_MLP && q->layer_count != 1)))
        return pave__fail(PAVE_E_INVALID, "problem->layer_count: %zu widths", q->layer_count);
    for (size_t i = 0; is_product(q->op) && i < q->layer_count; i++)
        if (q->widths[i] < 1)
            return pave__fail(PAVE_E_INVALID, "problem->widths[%zu]: %" PRId64 " is no width to plan", i,
                              q->widths[i]);
    if ((int)q->precision < 0 || q->precision > PAVE_MEDIUM)
        return pave__fail(PAVE_E_INVALID, "problem->precision: %d is no precision", (int)q->precision);
    if (!is_type(q->x_type)) return bad_type("x_type", q->x_type);
    if (!is_type(q->w_type)) return bad_type("w_type", q->w_type);
    if (!is_type(q->y_type)) return bad_type("y_type", q->y_type);
    return check_reduction(q);
}

/* A matrix of rows × cols that lies as it is, or turned; matrices of a batch behind one another. */
static pave__operand contiguous(int type, int64_t rows, int64_t cols, bool turned, int64_t batch) {
    int64_t size = type == PAVE_T_I32 ? 4 : (int64_t)pave_dtype_bytes((pave_dtype)type), whole;
    pave__operand o = {.type = (uint8_t)type};
    o.align = PAVE__BUFFER_ALIGN;
    if (rows == 0 || cols == 0) return o;
    o.row = rows == 1 ? 0 : turned ? 1 : cols;
    o.col = cols == 1 ? 0 : turned ? rows : 1;
    if (__builtin_mul_overflow(rows, cols, &whole)) whole = INT64_MAX;
    o.batch[PAVE_BATCH_DIMS - 1] = batch > 1 ? whole : 0;
    uint64_t bits = (uint64_t)o.batch[PAVE_BATCH_DIMS - 1] * (uint64_t)size;
    if (o.row != 1) bits |= (uint64_t)o.row * (uint64_t)size;
    if (o.col != 1) bits |= (uint64_t)o.col * (uint64_t)size;
    o.align = pave__align_of(bits);
    return o;
}

static pave_status shape_layer(const pave_problem_params *q, size_t i, int64_t k, int64_t batch,
                               pave__player *out) {
    int type = q->w_type ? q->w_type : PAVE_F32;
    bool matmul = q->op == PAVE_OP_MATMUL || q->op == PAVE_OP_GROUPED;
    out->n = q->widths[i];
    out->w = contiguous(type, out->n, k, matmul && !q->transpose_b, q->shared_b ? 1 : batch);
    out->w.packed = q->weights_packed != 0 && !matmul;
    if (!q->no_bias && q->op != PAVE_OP_MATMUL)
        out->links[out->link_count++] = (pave__plink){PAVE_LINK_ADD, PAVE_OPERAND_ROW,
                                                      (uint8_t)(PAVE_T_IS_F8(type) ? PAVE_T_F32 : type), 0};
    pave_link_op op = q->activations ? q->activations[i] : PAVE_LINK_NONE;
    if (op < PAVE_LINK_NONE || (int)op > PAVE__LINK_LAST)
        return pave__fail(PAVE_E_INVALID, "problem->activations[%zu]: %d is no link", i, (int)op);
    if (op) out->links[out->link_count++] = (pave__plink){.op = (uint8_t)op};
    return PAVE_OK;
}

/* y, over the space that a window makes where there is one. */
static void shape_output(const pave_problem_params *q, int64_t n, int64_t batch, bool turned,
                         pave__problem *p) {
    int type = q->reduction == PAVE_REDUCE_ARGMAX ? PAVE_T_I32 : q->y_type ? (int)q->y_type : PAVE_T_F32;
    bool wide = !q->reduction || pave__is_wide(q->reduction);
    if (!p->window) {
        p->y = contiguous(type, p->m, wide ? n : 1, wide && turned, batch);
        return;
    }
    int64_t windows = n / p->window, width = wide ? p->window : 1;
    p->y = contiguous(type, windows, width, false, p->m);
    if (batch <= 1) return;
    int64_t matrix;
    if (__builtin_mul_overflow(p->m, windows * width, &matrix)) matrix = INT64_MAX;
    p->y.batch[PAVE_BATCH_DIMS - 2] = matrix;
    p->y.align = pave__align_of(p->y.align | (uint64_t)matrix * pave_dtype_bytes((pave_dtype)type));
}

/* The rows, columns and batch of x, and whether it lies turned, merged as contiguous operands are. */
static pave_status shape_space(const pave_problem_params *q, pave__problem *p, bool *turned) {
    int64_t *batch = &p->batch[PAVE_BATCH_DIMS - 1], *flat = NULL, by = 1;
    *turned = false;
    p->batch[0] = p->batch[1] = *batch = 1;
    p->m = q->m;
    p->k = q->k;
    if (q->op == PAVE_OP_GROUPED) {
        pave_status status = check_groups(q, &p->m);
        if (status) return status;
        p->groups = (int64_t)q->group_count;
        for (size_t i = 0; i < q->group_count; i++)
            if (q->group_rows[i] > p->group_rows) p->group_rows = q->group_rows[i];
        *turned = q->transpose_a != 0;
    } else if (q->op == PAVE_OP_MATMUL) {
        *turned = q->transpose_a != 0 && q->m > 1 && q->k > 1;
        if (q->batch) *batch = q->batch;
        if ((q->shared_b || q->k == 0) && !*turned)
            flat = &p->m, by = *batch, *batch = 1; /* rows that one b serves */
    } else if (q->op == PAVE_OP_MAP) {
        flat = &p->k, by = p->m, p->m = 1;
    } else if (q->op == PAVE_OP_REDUCE) {
        int64_t windows = q->window ? q->k / q->window : 1;
        if (q->window) p->k = q->window;
        *turned = q->across != 0 && q->m > 1 && p->k > 1;
        if (*turned)
            *batch = windows;
        else
            flat = &p->m, by = windows; /* a window is a row like any other */
    }
    if (flat && __builtin_mul_overflow(*flat, by, flat))
        return pave__fail(PAVE_E_INVALID, "problem: m %" PRId64 " and k %" PRId64 " are no shape to plan",
                          q->m, q->k);
    return PAVE_OK;
}

static pave_status shape_problem(const pave_problem_params *q, pave__problem *p) {
    bool turned;
    pave_status status = check_shape(q);
    if (!status) status = shape_space(q, p, &turned);
    if (status) return status;
    int64_t batch = p->batch[PAVE_BATCH_DIMS - 1], k = p->k;
    p->op = (uint8_t)(q->op == PAVE_OP_MLP && q->layer_count == 1 ? PAVE_OP_LINEAR : q->op);
    p->x = contiguous(q->x_type ? (int)q->x_type : PAVE_T_F32, p->m, p->k, turned, batch);
    p->reduction = (uint8_t)q->reduction;
    p->precision = (uint8_t)(is_product(q->op) ? q->precision : 0);
    p->layer_count = (uint8_t)(is_product(q->op) ? q->layer_count : 0);
    p->window = is_product(q->op) ? q->window : 0;
    for (size_t i = 0; !status && i < p->layer_count; i++) {
        status = shape_layer(q, i, k, batch, &p->layers[i]);
        k = q->widths[i];
    }
    shape_output(q, k, batch, turned && q->op == PAVE_OP_REDUCE, p);
    return status;
}

pave_status pave_plan_create(const pave_device_info *device, const pave_problem_params *problem,
                             pave_plan **plan) {
    if (!plan) return pave__fail(PAVE_E_INVALID, "plan is NULL");
    *plan = NULL;
    if (!device) return pave__fail(PAVE_E_INVALID, "device is NULL");
    if (device->size != sizeof *device)
        return pave__fail(PAVE_E_INVALID, "device->size is %zu where this library has %zu", device->size,
                          sizeof *device);
    if (!problem) return pave__fail(PAVE_E_INVALID, "problem is NULL");
    if (problem->size != sizeof *problem)
        return pave__fail(PAVE_E_INVALID, "problem->size is %zu where this library has %zu", problem->size,
                          sizeof *problem);
    pave__problem p;
    memset(&p, 0, sizeof p);
    pave_status status = shape_problem(problem, &p);
    const char *forced = problem->kernel && *problem->kernel ? problem->kernel : pave__forced_rows();
    return status ? status : pave__plan_new(device, NULL, &p, forced, plan);
}
