/* SPDX-License-Identifier: Apache-2.0
 * Modules, functions and launches. A function is a CUDA row's name; a launch is held to what the row says and
 * then run by the host backend's arithmetic, which is included to share it: only the operands' types and the
 * slice of a partial state are other than the host row's. */
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
    case PAVE__PACK: *buffers = PAVE_PACK_BUFFERS; return sizeof(pave_abi_pack);
    case PAVE__PEAK: *buffers = PAVE_PEAK_BUFFERS; return sizeof(pave_abi_peak);
    default: *buffers = PAVE_REDUCE_BUFFERS; return sizeof(pave_abi_reduce);
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
    return type == PAVE_T_F16 || type == PAVE_T_BF16 ? 2 : 4;
}

/* Whether [rows, cols] elements at a stride lie in the buffer and are aligned as the row wants. */
static int fits(const fake_launch *l, const char *what, CUdeviceptr buffer, int64_t offset, int64_t rows,
                int64_t cols, int64_t ld, int64_t size, int align) {
    if (rows <= 0 || cols <= 0) return 1;
    int64_t span = ((rows - 1) * ld + cols) * size;
    if (offset < 0 || !fake_find(buffer, (uint64_t)(offset + span))) {
        fake_misuse(CUDA_SUCCESS,
                    "%s: %s leaves its buffer: offset %" PRId64 ", %" PRId64 " x %" PRId64 ", ld %" PRId64,
                    l->row->name, what, offset, rows, cols, ld);
        return 0;
    }
    int64_t least = align > size ? align : size;
    if ((buffer + (uint64_t)offset) % (uint64_t)least || (align > size && ld * size % align)) {
        fake_misuse(CUDA_SUCCESS, "%s: %s is not aligned: offset %" PRId64 ", ld %" PRId64, l->row->name,
                    what, offset, ld);
        return 0;
    }
    return 1;
}

static int links_fit(const fake_launch *l, const pave_abi_link *links, int count, const CUdeviceptr *tensors,
                     int64_t m, int64_t n) {
    for (int i = 0; i < count; i++) {
        const pave_abi_link *k = &links[i];
        if (k->op > PAVE_LINK_DIV || k->operand == PAVE_OPERAND_SCALAR) continue;
        int full = k->operand == PAVE_OPERAND_FULL;
        int64_t rows = full ? m : k->operand == PAVE_OPERAND_ROW ? n : m;
        if (!fits(l, "a link's tensor", tensors[i], k->offset, rows, full ? n : 1, k->ld, type_bytes(k->type),
                  1))
            return 0;
    }
    return 1;
}

static int gemm_fits(const fake_launch *l) {
    const pave_abi_gemm *g = &l->args.gemm;
    const CUdeviceptr *b = l->buffers;
    int64_t slots = g->reduce ? (g->n + l->row->slice - 1) / l->row->slice : 0;
    if (g->reduce && g->slots != slots) {
        fake_misuse(CUDA_SUCCESS, "%s: %" PRId64 " slots, not %" PRId64, l->row->name, g->slots, slots);
        return 0;
    }
    return fits(l, "A", b[0], g->a_offset, g->m, g->k, g->lda, type_bytes(l->row->a_type), l->row->align) &&
           fits(l, "B", b[1], g->b_offset, g->n, g->k, g->ldb, type_bytes(l->row->b_type), l->row->align) &&
           (g->reduce ? fits(l, "P", b[3], g->p_offset, g->m, slots, slots, 8, 1)
                      : fits(l, "Y", b[2], g->y_offset, g->m, g->n, g->ldy, type_bytes(g->y_type), 1)) &&
           links_fit(l, g->links, g->link_count, b + 4, g->m, g->n);
}

static int launch_fits(const fake_launch *l) {
    const pave_abi_reduce *r = &l->args.reduce;
    const pave_abi_pack *p = &l->args.pack;
    const CUdeviceptr *b = l->buffers;
    switch (l->row->family) {
    case PAVE__GEMM: return gemm_fits(l);
    case PAVE__PACK:
        return fits(l, "X", b[0], p->x_offset, p->rows, p->cols, p->ldx, type_bytes(p->x_type), 1) &&
               fits(l, "Y", b[1], p->y_offset, p->rows, p->cols_out, p->ldy, type_bytes(p->y_type), 1);
    case PAVE__JOIN:
        return fits(l, "X", b[0], r->x_offset, r->rows, r->ldx, r->ldx, 8, 1) &&
               fits(l, "Y", b[1], r->y_offset, r->rows, 1, r->y_stride, type_bytes(r->y_type), 1) &&
               links_fit(l, r->links, r->link_count, b + 2, r->rows, 1);
    case PAVE__REDUCE:
        return fits(l, "X", b[0], r->x_offset, r->rows, r->cols, r->ldx, type_bytes(r->x_type), 1) &&
               fits(l, "Y", b[1], r->y_offset, r->rows, 1, r->y_stride, type_bytes(r->y_type), 1) &&
               links_fit(l, r->links, r->link_count, b + 2, r->rows, 1);
    default: return 1;
    }
}

static double dot_any(const void *a, int a_type, const void *b, int b_type, int64_t k) {
    double sum = 0;
    for (int64_t i = 0; i < k; i++) sum += load(a, a_type, i) * load(b, b_type, i);
    return sum;
}

/* As the host's, for any operands and any slice. */
static void gemm_any(const pave__row *row, const pave_abi_gemm *g, void *const *buffers) {
    const char *a = (const char *)buffers[0] + g->a_offset, *b = (const char *)buffers[1] + g->b_offset;
    char *y = (char *)buffers[2] + g->y_offset, *p = (char *)buffers[3] + g->p_offset;
    int64_t a_bytes = g->lda * type_bytes(row->a_type), b_bytes = g->ldb * type_bytes(row->b_type);
    for (int64_t i = 0; i < g->m; i++) {
        state s = pave_state_begin(g->reduce);
        for (int64_t j = 0; j < g->n; j++) {
            double v = dot_any(a + i * a_bytes, row->a_type, b + j * b_bytes, row->b_type, g->k);
            v = chain(g->links, g->link_count, buffers + 4, v, i, j);
            if (!g->reduce) {
                store(y, g->y_type, i * g->ldy + j, v);
                continue;
            }
            s = pave_state_fold(g->reduce, s, v);
            if (j % row->slice != row->slice - 1 && j != g->n - 1) continue;
            put_state(p, i * g->slots + j / row->slice, g->reduce, s);
            s = pave_state_begin(g->reduce);
        }
    }
}

void fake_execute(const fake_launch *launch) {
    void *buffers[PAVE_GEMM_BUFFERS];
    if (!launch_fits(launch)) return;
    for (int i = 0; i < PAVE_GEMM_BUFFERS; i++) buffers[i] = (void *)(uintptr_t)launch->buffers[i];
    if (launch->row->family == PAVE__GEMM)
        gemm_any(launch->row, &launch->args.gemm, buffers);
    else if (launch->row->family != PAVE__PEAK)
        host_run(launch->row->family, &launch->args, buffers);
}
