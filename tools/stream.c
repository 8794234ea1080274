/* SPDX-License-Identifier: Apache-2.0
 * Chunks are as large as the device's memory allows, and small enough that progress shows and Ctrl-C is
 * answered soon. Where the device still has no room, the chunk is halved and the run starts over. */
#include "tools/stream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_SECONDS 0.25
#define CHUNK_BYTES_MAX (256ull << 20) /* of x or y on the host, each twice */
#define CHUNK_ALIGN 128                /* rows: whole tiles in all chunks but the last */

static void fill_params(run_state *s, pave_layer *layers, pave_link *link, const run_slot *slot, int64_t rows,
                        pave_mlp_params *params) {
    const run_request *r = s->request;
    if (r->activation)
        *link = (pave_link){.op = r->activation->value, .a = r->activation->a, .b = r->activation->b};
    for (size_t i = 0; i < s->model.count; i++) {
        const model_layer *from = &s->model.layers[i];
        layers[i] = (pave_layer){.weights = from->weights};
        if (from->bias) layers[i].bias = pave_tensor_1d(from->bias_buffer, from->bias->type, from->n);
        if (link->op && i + 1 < s->model.count) {
            layers[i].links = link;
            layers[i].link_count = 1;
        }
    }
    int64_t n = s->model.layers[s->model.count - 1].n;
    *params = (pave_mlp_params){.size = sizeof *params,
                                .layers = layers,
                                .layer_count = s->model.count,
                                .x = pave_tensor_2d(slot->x, s->input.type, rows, s->input.cols),
                                .epilogue.reduction = r->reduction ? (pave_reduction)r->reduction->value : 0,
                                .precision = r->precision ? (pave_precision)r->precision->value : PAVE_HIGH};
    params->y = params->epilogue.reduction ? pave_tensor_1d(slot->y, PAVE_F32, rows)
                                  : pave_tensor_2d(slot->y, PAVE_F32, rows, n);
}

/* What a plan for all rows would take, to size the chunks by; 0 where there is no such plan. */
static double predicted_ns(const run_state *s, double *workspace_a_row) {
    int64_t widths[PAVE_MAX_LAYERS];
    for (size_t i = 0; i < s->model.count; i++) widths[i] = s->model.layers[i].n;
    int64_t rows = s->input.rows < 4096 ? s->input.rows : 4096;
    pave_problem_params problem = {
        .size = sizeof problem,
        .op = PAVE_OP_MLP,
        .m = rows,
        .k = s->input.cols,
        .widths = widths,
        .layer_count = s->model.count,
        .x_type = s->input.type,
        .w_type = s->model.layers[0].weight->type,
        .weights_packed = 1,
        .reduction = s->request->reduction ? (pave_reduction)s->request->reduction->value : 0,
        .precision = s->request->precision ? (pave_precision)s->request->precision->value : PAVE_HIGH};
    pave_plan *plan;
    *workspace_a_row = 0;
    if (pave_plan_create(&s->session.info, &problem, &plan)) return 0;
    double ns = pave_plan_predicted_ns(plan) * (double)s->input.rows / (double)rows;
    *workspace_a_row = (double)pave_plan_workspace_bytes(plan) / (double)rows;
    pave_plan_destroy(&plan);
    return ns;
}

static int64_t choose_rows(const run_state *s) {
    double workspace, rows = (double)s->input.rows;
    double ns = predicted_ns(s, &workspace);
    double row = (double)(s->x_row > s->y_row ? s->x_row : s->y_row);
    if (ns > CHUNK_SECONDS * 1e9) rows *= CHUNK_SECONDS * 1e9 / ns;
    if (row > 0 && rows * row > (double)CHUNK_BYTES_MAX) rows = (double)CHUNK_BYTES_MAX / row;
    double largest = row > workspace ? row : workspace;
    double alloc = (double)s->session.info.alloc_bytes_max;
    if (alloc > 0 && rows * largest > alloc) rows = alloc / largest;
    /* Weights may be kept in two forms; half of the rest is left to others on the device. */
    double free_bytes = 0.5 * ((double)s->session.info.memory_bytes - 2.0 * (double)s->model.bytes);
    double a_row = 2.0 * (double)(s->x_row + s->y_row) + workspace;
    if (s->session.info.memory_bytes && rows * a_row > free_bytes) rows = free_bytes / a_row;
    int64_t chunk = rows < 1 ? 1 : (int64_t)rows;
    if (chunk > CHUNK_ALIGN && chunk < s->input.rows) chunk -= chunk % CHUNK_ALIGN;
    return chunk < s->input.rows ? chunk : s->input.rows;
}

static void slots_free(run_state *s) {
    pave_queue_finish(s->session.queue); /* nothing may still read or write the host's memory */
    for (int i = 0; i < 2; i++) {
        run_slot *slot = &s->slots[i];
        pave_event_destroy(&slot->done);
        pave_event_destroy(&slot->worked);
        pave_buffer_destroy(&slot->x);
        pave_buffer_destroy(&slot->y);
        free(slot->x_host);
        free(slot->y_host);
        *slot = (run_slot){0};
    }
}

static pave_status slots_make(run_state *s) {
    uint64_t rows = (uint64_t)s->chunk_rows, x, y;
    if (__builtin_mul_overflow(rows, s->x_row, &x) || __builtin_mul_overflow(rows, s->y_row, &y))
        return PAVE_E_HOST_MEMORY;
    pave_status status = PAVE_OK;
    for (int i = 0; i < (s->chunk_rows < s->input.rows ? 2 : 1) && !status; i++) {
        run_slot *slot = &s->slots[i];
        slot->x_host = malloc(x ? (size_t)x : 1);
        slot->y_host = malloc(y ? (size_t)y : 1);
        if (!slot->x_host || !slot->y_host) return PAVE_E_HOST_MEMORY;
        status = pave_buffer_create(s->session.context, x, &slot->x);
        if (!status) status = pave_buffer_create(s->session.context, y, &slot->y);
    }
    return status;
}

static void show_progress(run_state *s, bool last) {
    double elapsed = tool_now() - s->begun;
    if (s->request->quiet || !isatty(STDERR_FILENO)) return;
    if (last) {
        if (s->progress_shown) fputs("\r\033[K", stderr);
        return;
    }
    if (elapsed < 1) return;
    static const char bar[] = "##############################";
    double share = (double)s->rows_done / (double)s->input.rows;
    int filled = (int)(share * (double)(sizeof bar - 1));
    fprintf(stderr, "\r[%-*.*s] %3.0f %%  %.0f s left ", (int)sizeof bar - 1, filled, bar, 100 * share,
            share > 0 ? elapsed / share - elapsed : 0.0);
    fflush(stderr);
    s->progress_shown = true;
}

static void note_kernels(run_state *s, const pave_mlp_params *params) {
    pave_plan *plan;
    if (s->kernel_count || pave_plan_mlp(s->session.context, params, &plan)) return;
    for (size_t i = 0; i < pave_plan_step_count(plan) && i < RUN_KERNELS_MAX; i++)
        snprintf(s->kernels[s->kernel_count++], sizeof s->kernels[0], "%s", pave_plan_step_kernel(plan, i));
    pave_plan_destroy(&plan);
}

static pave_status enqueue(run_state *s, run_slot *slot, int64_t rows) {
    pave_layer layers[PAVE_MAX_LAYERS];
    pave_link link = {0};
    pave_mlp_params params;
    fill_params(s, layers, &link, slot, rows, &params);
    note_kernels(s, &params);
    pave_status status = PAVE_OK;
    pave_queue *queue = s->session.queue;
    uint64_t x = (uint64_t)rows * s->x_row, y = (uint64_t)rows * s->y_row;
    pave_sync worked = {.event = &slot->worked}, done = {.event = &slot->done};
    if (x) status = pave_buffer_write(queue, slot->x, 0, slot->x_host, x, PAVE_ASYNC, NULL);
    if (!status) status = pave_mlp(queue, &params, s->request->profile ? &worked : NULL);
    if (!status && y) status = pave_buffer_read(queue, slot->y, 0, slot->y_host, y, PAVE_ASYNC, &done);
    slot->rows = rows;
    return status;
}

/* Waits for a slot's chunk and writes it out. */
static pave_status drain(run_state *s, run_slot *slot, bool *ok, tool_why *why) {
    if (!slot->rows) return PAVE_OK;
    pave_status status = slot->done ? pave_event_wait(slot->done) : pave_queue_finish(s->session.queue);
    uint64_t ns = 0;
    if (!status && slot->worked && !pave_event_duration(slot->worked, &ns)) s->device_ns += (double)ns;
    pave_event_destroy(&slot->done);
    pave_event_destroy(&slot->worked);
    if (!status) *ok = npy_write(&s->output, slot->y_host, (uint64_t)slot->rows * s->y_row, why);
    s->rows_done += slot->rows;
    slot->rows = 0;
    return status;
}

/* 0 or an exit code; *status is the device's where it failed. */
static int chunks_run(run_state *s, pave_status *status) {
    tool_why why;
    bool ok = true;
    int64_t row = 0, index = 0;
    for (; row < s->input.rows && ok && !*status; index++) {
        run_slot *slot = &s->slots[index & 1];
        int64_t left = s->input.rows - row, rows = left < s->chunk_rows ? left : s->chunk_rows;
        if (tool_interrupted()) return TOOL_INTERRUPTED;
        if (!npy_read_rows(&s->input, row, rows, slot->x_host, &why)) {
            tool_error("%s: %s", s->request->input_path, why.text);
            return TOOL_FAILED;
        }
        *status = enqueue(s, slot, rows);
        row += rows;
        if (!*status) *status = drain(s, &s->slots[~index & 1], &ok, &why);
        show_progress(s, false);
    }
    for (int i = 0; i < 2 && ok && !*status; i++) *status = drain(s, &s->slots[(index + i) & 1], &ok, &why);
    s->chunks = index;
    if (tool_interrupted()) return TOOL_INTERRUPTED;
    if (ok && !*status && npy_finish(&s->output, &why)) return TOOL_OK;
    if (!*status) tool_error("%s: %s", s->request->output_path, why.text);
    return TOOL_FAILED;
}

/* The input's leading dimensions, with the outputs' width behind them where rows are not reduced. */
static bool create_output(run_state *s, bool reduces, int64_t n) {
    int64_t shape[NPY_MAX_RANK];
    int rank = s->input.rank - 1;
    memcpy(shape, s->input.shape, sizeof shape);
    if (!reduces) shape[rank++] = n;
    tool_why why;
    if (npy_create(s->request->output_path, rank, shape, &s->output, &why)) return true;
    tool_error("%s: %s", s->request->output_path, why.text);
    return false;
}

static int attempt(run_state *s, bool reduces, int64_t n, pave_status *status) {
    *status = slots_make(s);
    int code = TOOL_FAILED;
    if (!*status && create_output(s, reduces, n)) {
        code = chunks_run(s, status);
        slots_free(s);
        npy_abandon(&s->output);
    }
    slots_free(s);
    return code;
}

int stream_run(run_state *s) {
    int64_t n = s->model.layers[s->model.count - 1].n;
    bool reduces = s->request->reduction && s->request->reduction->value;
    s->x_row = (uint64_t)s->input.cols * pave_dtype_bytes(s->input.type);
    if (__builtin_mul_overflow((uint64_t)(reduces ? 1 : n), sizeof(float), &s->y_row)) {
        tool_error("%s: an output width of %" PRId64 " overflows", s->request->model_path, n);
        return TOOL_FAILED;
    }
    s->chunk_rows = s->request->chunk_rows ? s->request->chunk_rows : choose_rows(s);
    if (s->chunk_rows > s->input.rows) s->chunk_rows = s->input.rows;
    for (;;) {
        pave_status status = PAVE_OK;
        s->begun = tool_now();
        s->rows_done = 0;
        s->device_ns = 0;
        int code = attempt(s, reduces, n, &status);
        s->seconds = tool_now() - s->begun;
        show_progress(s, true);
        bool memory = status == PAVE_E_DEVICE_MEMORY || status == PAVE_E_HOST_MEMORY;
        if (memory && s->chunk_rows > 1 && !s->request->chunk_rows) {
            s->chunk_rows /= 2;
            continue;
        }
        if (!status || code == TOOL_INTERRUPTED) return code;
        return tool_fail(status, "%s on %s", s->request->model_path, s->session.info.name), TOOL_FAILED;
    }
}
