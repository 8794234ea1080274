/* SPDX-License-Identifier: Apache-2.0
 * Modules, functions and launches. A function is a CUDA row's name; a launch is held to what the row says and
 * then run by the host backend's arithmetic. */
#include "tests/fake_cuda/inside.h"

#include "backends/host/kernels.h"
#ifdef FAKE_CUDA_EMULATOR
#include "tests/fake_cuda/emulator/launch.h"
#endif

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
    if (find_function(function) && which == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT &&
        value >= -1 && value <= 100)
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

CUresult fake_launch_read(CUfunction f, const unsigned grid[3], const unsigned block[3], unsigned shared,
                          void **parameters, fake_launch *out) {
    if (!find_function(f)) return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "a launch: no such function");
    if (!parameters) return fake_misuse(CUDA_ERROR_INVALID_VALUE, "%s: no parameters", f->row->name);
    CUresult result = check_shape(f, grid, block, shared);
    if (result) return result;
    memcpy(out->grid, grid, sizeof out->grid);
    return read_parameters(f->row, parameters, out);
}

/* Blocks that wait for each other all have to be there at once. */
static CUresult check_together(const CUlaunchConfig *c, const pave__row *row) {
    if (c->numAttrs != 1 || c->attrs[0].id != CU_LAUNCH_ATTRIBUTE_COOPERATIVE ||
        !c->attrs[0].value.cooperative)
        return fake_misuse(CUDA_ERROR_INVALID_VALUE,
                           "%s: blocks that wait for each other, and may not all run", row->name);
    unsigned each = FAKE_UNIT_THREADS / (unsigned)row->threads,
             by_shared = FAKE_UNIT_SHARED / (row->shared_bytes + 1024);
    if (by_shared < each) each = by_shared;
    if (c->gridDimX * c->gridDimY * c->gridDimZ <= FAKE_UNITS * each) return CUDA_SUCCESS;
    return fake_misuse(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "%s: %u blocks, of which %u run at once",
                       row->name, c->gridDimX, FAKE_UNITS * each);
}

/* Launches that overlap need kernels that wait, which are those for 9.0, and, as they are captured too, a driver of 12.3. */
static CUresult check_attributes(const CUlaunchConfig *c, const pave__row *row) {
    if (row->slices) return check_together(c, row);
    if (c->numAttrs == 0) return CUDA_SUCCESS;
    if (c->numAttrs == 1 && c->attrs[0].id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION &&
        fake_overlaps(fake_current("cuLaunchKernelEx")))
        return CUDA_SUCCESS;
    return fake_misuse(CUDA_ERROR_INVALID_VALUE, "cuLaunchKernelEx: %u attributes, the first %d", c->numAttrs,
                       (int)c->attrs[0].id);
}

FAKE_API CUresult cuLaunchKernelEx(const CUlaunchConfig *c, CUfunction f, void **parameters, void **extra) {
    ENTER(cuLaunchKernelEx);
    if (fault) return fault;
    fake_op op = {.kind = FAKE_LAUNCH};
    CUresult result = fake_launch_read(f, (unsigned[]){c->gridDimX, c->gridDimY, c->gridDimZ},
                                       (unsigned[]){c->blockDimX, c->blockDimY, c->blockDimZ},
                                       c->sharedMemBytes, extra ? NULL : parameters, &op.launch);
    if (!result) result = check_attributes(c, f->row);
    if (result) return result;
    result = fake_submit(c->hStream, f->row->name, &op);
    if (result) return result;
    fake_counts.overlaps += !f->row->slices && c->numAttrs == 1;
    fake_counts.launches += !fake_captures(c->hStream);
    return CUDA_SUCCESS;
}

#ifdef FAKE_CUDA_EMULATOR
static const fake_launch *emulated;

static void emulator_fault(const char *what) {
    fake_misuse(CUDA_ERROR_ILLEGAL_ADDRESS, "%s: %s", emulated->row->name, what);
}

static int is_allocated(const void *at, int bytes) {
    return fake_find((CUdeviceptr)(uintptr_t)at, (uint64_t)bytes) != NULL;
}

/* From the kernels' own source. */
static void run_source(const fake_launch *launch, void *const *buffers) {
    emulated_launch run = {.name = launch->row->name,
                           .args = &launch->args,
                           .buffers = buffers,
                           .grid = {launch->grid[0], launch->grid[1], launch->grid[2]},
                           .threads = launch->row->threads,
                           .shared_bytes = launch->row->shared_bytes,
                           .together = launch->row->slices,
                           .fault = emulator_fault,
                           .readable = is_allocated};
    emulated = launch;
    if (!emulate(&run)) fake_misuse(CUDA_ERROR_NOT_FOUND, "%s: no such kernel", launch->row->name);
}
#endif

void fake_execute(const fake_launch *launch) {
    void *buffers[PAVE_GEMM_BUFFERS];
    if (launch->row->family == PAVE__PEAK || !fake_fits(launch)) return;
    for (int i = 0; i < PAVE_GEMM_BUFFERS; i++) buffers[i] = (void *)(uintptr_t)launch->buffers[i];
#ifdef FAKE_CUDA_EMULATOR
    const char *source = getenv("FAKE_CUDA_EMULATE");
    if (source && *source == '1') {
        run_source(launch, buffers);
        return;
    }
#endif
    host_run(launch->row, &launch->args, buffers);
}
