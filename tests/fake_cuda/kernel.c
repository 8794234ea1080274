/* SPDX-License-Identifier: Apache-2.0
 * Modules, functions and launches. A function is a CUDA row's name; a launch is held to what the row says and
 * then run by the host backend's arithmetic, which is included to share it. */
#include "tests/fake_cuda/inside.h"

#include "backends/host/kernels.c"
#include <inttypes.h>
#include <stdlib.h>

#define SHARED_BYTES_DEFAULT (48u * 1024)
#define FATBIN_MAGIC 0xba55ed50u

static CUmodule modules;

FAKE_API CUresult cuModuleLoadData(CUmodule *module, const void *image) {
    ENTER(cuModuleLoadData);
    if (fault) return fault;
    CUcontext context = fake_current("cuModuleLoadData");
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    uint32_t magic;
    memcpy(&magic, image, sizeof magic);
    if (magic != FATBIN_MAGIC) return fake_misuse(CUDA_ERROR_INVALID_IMAGE, "cuModuleLoadData: not a fatbin");
    CUmodule m = calloc(1, sizeof *m);
    if (!m) return CUDA_ERROR_UNKNOWN;
    m->context = context;
    m->next = modules;
    modules = m;
    fake_counts.modules++;
    *module = m;
    return CUDA_SUCCESS;
}

static void unload(CUmodule *link) {
    CUmodule m = *link;
    *link = m->next;
    while (m->functions) {
        CUfunction f = m->functions;
        m->functions = f->next;
        free(f);
    }
    free(m);
    fake_counts.modules--;
}

FAKE_API CUresult cuModuleUnload(CUmodule module) {
    ENTER(cuModuleUnload);
    CUcontext context = fake_current("cuModuleUnload");
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    fake_drain(context);
    for (CUmodule *link = &modules; *link; link = &(*link)->next)
        if (*link == module) {
            unload(link);
            return fault;
        }
    return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuModuleUnload: no such module");
}

void fake_modules_drop(CUcontext context) {
    for (CUmodule *link = &modules; *link;) {
        if ((*link)->context != context) {
            link = &(*link)->next;
            continue;
        }
        fake_counts.orphans++;
        unload(link);
    }
}

FAKE_API CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    ENTER(cuModuleGetFunction);
    if (fault) return fault;
    const pave__row *row = pave__row_find(name);
    if (!row || row->backend != PAVE__CUDA) return CUDA_ERROR_NOT_FOUND;
    for (CUfunction f = module->functions; f; f = f->next)
        if (f->row == row) {
            *function = f;
            return CUDA_SUCCESS;
        }
    CUfunction f = calloc(1, sizeof *f);
    if (!f) return CUDA_ERROR_UNKNOWN;
    f->module = module;
    f->row = row;
    f->shared_bytes_allowed = SHARED_BYTES_DEFAULT;
    f->next = module->functions;
    module->functions = f;
    *function = f;
    return CUDA_SUCCESS;
}

static CUfunction find_function(CUfunction function) {
    for (CUmodule m = modules; m; m = m->next)
        for (CUfunction f = m->functions; f; f = f->next)
            if (f == function) return f;
    return NULL;
}

FAKE_API CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute which, int value) {
    ENTER(cuFuncSetAttribute);
    if (fault) return fault;
    if (find_function(function) && which == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT && value >= -1 &&
        value <= 100)
        return CUDA_SUCCESS;
    if (!find_function(function) || which != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 ||
        value > 101376)
        return fake_misuse(CUDA_ERROR_INVALID_VALUE, "cuFuncSetAttribute: attribute %d, value %d", (int)which,
                           value);
    function->shared_bytes_allowed = (uint32_t)value;
    return CUDA_SUCCESS;
}

static size_t args_bytes(pave__family family, size_t *buffers) {
    switch (family) {
    case PAVE__GEMM: *buffers = PAVE_GEMM_BUFFERS; return sizeof(pave_abi_gemm);
    case PAVE__PEAK: *buffers = PAVE_PEAK_BUFFERS; return sizeof(pave_abi_peak);
    default: *buffers = PAVE_ROWS_BUFFERS; return sizeof(pave_abi_rows);
    }
}

/* A buffer argument lies in an allocation, or is NULL. */
static CUresult read_parameters(const pave__row *row, void **parameters, fake_launch *out) {
    size_t count, bytes = args_bytes(row->family, &count);
    out->row = row;
    memcpy(&out->args, parameters[0], bytes);
    for (size_t i = 0; i < count; i++) {
        memcpy(&out->buffers[i], parameters[1 + i], sizeof(CUdeviceptr));
        if (out->buffers[i] && !fake_find(out->buffers[i], 1))
            return fake_misuse(CUDA_ERROR_INVALID_VALUE, "%s: buffer %zu is in no allocation", row->name, i);
    }
    return CUDA_SUCCESS;
}

static CUresult check_shape(CUfunction f, const unsigned *grid, const unsigned *block, unsigned shared) {
    const pave__row *row = f->row;
    if (block[0] != (unsigned)row->threads || block[1] != 1 || block[2] != 1)
        return fake_misuse(CUDA_ERROR_INVALID_VALUE, "%s: blocks of %u x %u x %u threads, not %d", row->name,
                           block[0], block[1], block[2], row->threads);
    if (!grid[0] || !grid[1] || !grid[2] || grid[0] > INT32_MAX || grid[1] > 65535 || grid[2] > 65535)
        return fake_misuse(CUDA_ERROR_INVALID_VALUE, "%s: grid %u x %u x %u", row->name, grid[0], grid[1],
                           grid[2]);
    if (shared != row->shared_bytes)
        return fake_misuse(CUDA_ERROR_INVALID_VALUE, "%s: %u bytes of shared memory, not %" PRIu32, row->name,
                           shared, row->shared_bytes);
    if (shared > f->shared_bytes_allowed)
        return fake_misuse(CUDA_ERROR_INVALID_VALUE,
                           "%s: %u bytes of shared memory where %" PRIu32 " are allowed", row->name, shared,
                           f->shared_bytes_allowed);
    return CUDA_SUCCESS;
}

FAKE_API CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                                 unsigned by, unsigned bz, unsigned shared, CUstream stream,
                                 void **parameters, void **extra) {
    ENTER(cuLaunchKernel);
    if (fault) return fault;
    if (!find_function(f)) return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuLaunchKernel: no such function");
    if (!parameters || extra) return fake_misuse(CUDA_ERROR_INVALID_VALUE, "%s: no parameters", f->row->name);
    fake_op op = {.kind = FAKE_LAUNCH};
    CUresult result = check_shape(f, (unsigned[]){gx, gy, gz}, (unsigned[]){bx, by, bz}, shared);
    if (!result) result = read_parameters(f->row, parameters, &op.launch);
    return result ? result : fake_submit(stream, f->row->name, &op);
}

static int64_t type_bytes(int type) {
    return type == PAVE_T_F16 || type == PAVE_T_BF16 || type == PAVE_T_F16S ? 2 : 4;
}

/* A stretch of memory that a launch reads or writes: extents with their strides in elements. */
typedef struct walk {
    int64_t extent[PAVE_BATCH_DIMS + 2], stride[PAVE_BATCH_DIMS + 2];
} walk;

static walk walk_of(const pave_abi_view *v, const int64_t *batch, int64_t rows, int64_t cols) {
    walk w = {{rows, cols}, {v->row, v->col}};
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) {
        w.extent[2 + d] = batch ? batch[d] : 1;
        w.stride[2 + d] = v->batch[d];
    }
    return w;
}

/* Whether all of it lies in the buffer and, where more than an element's alignment is asked for, every stride other than
 * the columns' keeps to it. */
static int fits(const fake_launch *l, const char *what, CUdeviceptr buffer, int64_t offset, const walk *w,
                int64_t size, int align) {
    int64_t last = 0, off = offset;
    for (int d = 0; d < PAVE_BATCH_DIMS + 2; d++) {
        if (w->extent[d] <= 0) return 1;
        last += (w->extent[d] - 1) * w->stride[d];
        if (d != 1 && w->extent[d] > 1) off |= w->stride[d] * size;
    }
    if (offset < 0 || !fake_find(buffer, (uint64_t)(offset + (last + 1) * size))) {
        fake_misuse(CUDA_SUCCESS, "%s: %s leaves its buffer: offset %" PRId64 ", %" PRId64 " elements",
                    l->row->name, what, offset, last + 1);
        return 0;
    }
    int64_t least = align > size ? align : size;
    if ((buffer | (uint64_t)off) % (uint64_t)least) {
        fake_misuse(CUDA_SUCCESS, "%s: %s is not aligned: offset %" PRId64 ", row stride %" PRId64,
                    l->row->name, what, offset, w->stride[0]);
        return 0;
    }
    return 1;
}

static int view_fits(const fake_launch *l, const char *what, CUdeviceptr buffer, const pave_abi_view *v,
                     const int64_t *batch, int64_t rows, int64_t cols, int64_t size, int align) {
    walk w = walk_of(v, batch, rows, cols);
    return fits(l, what, buffer, v->offset, &w, size, align);
}

static int links_fit(const fake_launch *l, const pave_abi_link *links, int count, const CUdeviceptr *tensors,
                     const int64_t *batch, int64_t rows, int64_t cols) {
    for (int i = 0; i < count; i++) {
        const pave_abi_link *k = &links[i];
        if (k->op > PAVE_LINK_DIV || k->operand == PAVE_OPERAND_SCALAR) continue;
        if ((k->operand == PAVE_OPERAND_ROW && k->t.row) || (k->operand == PAVE_OPERAND_COLUMN && k->t.col)) {
            fake_misuse(CUDA_SUCCESS, "%s: link %d has a stride that its kind leaves out", l->row->name, i);
            return 0;
        }
        if (!view_fits(l, "a link's tensor", tensors[i], &k->t, batch, rows, cols, type_bytes(k->type), 1))
            return 0;
    }
    return 1;
}

static int states_fit(const fake_launch *l, CUdeviceptr buffer, int64_t offset, const int64_t *batch,
                      int64_t rows, int64_t slots) {
    pave_abi_view v = {.offset = offset};
    walk w = walk_of(&v, NULL, batch[0] * batch[1] * batch[2] * rows, slots);
    w.stride[0] = slots, w.stride[1] = 1;
    return fits(l, "states", buffer, offset, &w, 8, 1);
}

/* The scales of a packed operand: one for each row of all its matrices, behind them. */
static int scales_fit(const fake_launch *l, CUdeviceptr buffer, const pave_abi_view *v, const int64_t *batch,
                      int64_t rows, int64_t scales) {
    int64_t last = rows - 1;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) last += (batch[d] - 1) * (v->batch[d] / v->row);
    pave_abi_view all = {.offset = scales, .row = 1};
    if (scales >= v->offset + (last + 1) * v->row * 2)
        return view_fits(l, "scales", buffer, &all, (int64_t[]){1, 1, 1}, last + 1, 1, 4, 1);
    fake_misuse(CUDA_SUCCESS, "%s: scales at %" PRId64 " lie among the elements", l->row->name, scales);
    return 0;
}

static int group_fits(const fake_launch *l, const pave_abi_group *t) {
    const pave_abi_gemm *g = &l->args.gemm;
    pave_abi_view a = {g->a.offset + t->a_offset, t->a_row, t->a_col, {0}};
    pave_abi_view b = {g->b.offset + t->b_offset, t->b_row, t->b_col, {0}};
    pave_abi_view y = {g->y.offset + t->y_offset, t->y_row, 1, {0}};
    return view_fits(l, "a group's A", l->buffers[0], &a, NULL, t->m, t->k, type_bytes(l->row->a_type),
                     l->row->align) &&
           view_fits(l, "a group's B", l->buffers[1], &b, NULL, t->n, t->k, type_bytes(l->row->b_type),
                     l->row->align) &&
           (!g->y_type ||
            view_fits(l, "a group's Y", l->buffers[2], &y, NULL, t->m, t->n, type_bytes(g->y_type), 1));
}

/* The table, the groups' operands, and tiles that are numbered without a gap. */
static int groups_fit(const fake_launch *l) {
    const pave_abi_gemm *g = &l->args.gemm;
    const pave__row *row = l->row;
    int64_t bytes = g->group_count * (int64_t)sizeof(pave_abi_group), tiles = 0;
    if (!fake_find(l->buffers[4], (uint64_t)(g->g_offset + bytes))) {
        fake_misuse(CUDA_SUCCESS, "%s: the groups' table leaves its buffer", row->name);
        return 0;
    }
    const pave_abi_group *t = (const pave_abi_group *)(uintptr_t)(l->buffers[4] + (uint64_t)g->g_offset);
    for (int i = 0; i < g->group_count; i++, t++) {
        if (t->tile_base != tiles) {
            fake_misuse(CUDA_SUCCESS, "%s: group %d begins at tile %" PRId64 ", not %" PRId64, row->name, i,
                        t->tile_base, tiles);
            return 0;
        }
        tiles += ((t->m + row->bm - 1) / row->bm) * ((t->n + row->bn - 1) / row->bn);
        if (!group_fits(l, t)) return 0;
    }
    if (tiles == g->tiles) return 1;
    fake_misuse(CUDA_SUCCESS, "%s: %" PRId64 " tiles of groups, not %" PRId64, row->name, g->tiles, tiles);
    return 0;
}

static int gemm_fits(const fake_launch *l) {
    const pave_abi_gemm *g = &l->args.gemm;
    const CUdeviceptr *b = l->buffers;
    int64_t slots = g->reduce ? (g->n + l->row->slice - 1) / l->row->slice : 0;
    if (g->slots != slots) {
        fake_misuse(CUDA_SUCCESS, "%s: %" PRId64 " slots, not %" PRId64, l->row->name, g->slots, slots);
        return 0;
    }
    if (l->row->layout != PAVE__LAYOUT_ANY && !g->group_count && g->k > 1 &&
        (g->a.col != 1 || g->b.col != 1)) {
        fake_misuse(CUDA_SUCCESS, "%s: k is not contiguous", l->row->name);
        return 0;
    }
    if (g->scale == 0 || ((g->a_scale || g->b_scale) && (g->group_count || l->row->path != PAVE_PATH_F16))) {
        fake_misuse(CUDA_SUCCESS, "%s: operands with scales", l->row->name);
        return 0;
    }
    if (g->a_scale && !scales_fit(l, b[0], &g->a, g->batch, g->m, g->a_scale)) return 0;
    if (g->b_scale && !scales_fit(l, b[1], &g->b, g->batch, g->n, g->b_scale)) return 0;
    if (g->reduce && !states_fit(l, b[3], g->p_offset, g->batch, g->m, slots)) return 0;
    if (g->group_count) return groups_fit(l);
    return view_fits(l, "A", b[0], &g->a, g->batch, g->m, g->k, type_bytes(l->row->a_type), l->row->align) &&
           view_fits(l, "B", b[1], &g->b, g->batch, g->n, g->k, type_bytes(l->row->b_type), l->row->align) &&
           (!g->y_type || view_fits(l, "Y", b[2], &g->y, g->batch, g->m, g->n, type_bytes(g->y_type), 1)) &&
           links_fit(l, g->links, g->link_count, b + 5, g->batch, g->m, g->n);
}

static int rows_fit(const fake_launch *l) {
    const pave_abi_rows *r = &l->args.rows;
    const CUdeviceptr *b = l->buffers;
    const pave__family family = l->row->family;
    int64_t wide = family == PAVE__MAP ? r->width : family == PAVE__NORMALIZE ? r->cols : 1;
    int x = family == PAVE__JOIN
                ? states_fit(l, b[0], r->x.offset, r->batch, r->rows, r->slots)
                : view_fits(l, "X", b[0], &r->x, r->batch, r->rows, r->cols, type_bytes(r->x_type), 1);
    if (!x) return 0;
    if ((l->row->b_type == PAVE_T_F16S) != (family == PAVE__MAP && r->y_type == PAVE_T_F16S)) {
        fake_misuse(CUDA_SUCCESS, "%s: is not for type %d", l->row->name, (int)r->y_type);
        return 0;
    }
    if (r->y_type == PAVE_T_F16S && !scales_fit(l, b[1], &r->y, r->batch, r->rows, r->slots)) return 0;
    if (family == PAVE__REDUCE && r->slots)
        return states_fit(l, b[1], r->y.offset, r->batch, r->rows, r->slots);
    return view_fits(l, "Y", b[1], &r->y, r->batch, r->rows, wide, type_bytes(r->y_type), 1) &&
           links_fit(l, r->links, r->link_count, b + 2, r->batch, r->rows, wide);
}

void fake_execute(const fake_launch *launch) {
    void *buffers[PAVE_GEMM_BUFFERS];
    if (launch->row->family == PAVE__PEAK) return;
    if (!(launch->row->family == PAVE__GEMM ? gemm_fits(launch) : rows_fit(launch))) return;
    for (int i = 0; i < PAVE_GEMM_BUFFERS; i++) buffers[i] = (void *)(uintptr_t)launch->buffers[i];
    host_run(launch->row, &launch->args, buffers);
}
