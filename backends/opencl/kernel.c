/* SPDX-License-Identifier: Apache-2.0
 * From rows to kernels: a row's embedded source with its headers expanded, options from the row's numbers, a
 * binary from the cache or a build. One program holds one kernel. */
#include "backends/opencl/driver.h"
#include "kernels/embedded.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define LOG_BYTES 4000
#define INCLUDE "#include \""

/* A growing text; once memory is short it stays so and says so at the end. */
typedef struct source {
    char *text;
    size_t used, capacity;
    bool failed;
    uint64_t included; /* embedded files already in, by index */
} source;

static void append(source *s, const char *text, size_t bytes) {
    if (s->failed) return;
    if (s->used + bytes + 1 > s->capacity) {
        size_t capacity = (s->used + bytes + 1) * 2;
        char *grown = realloc(s->text, capacity);
        if (!grown) {
            s->failed = true;
            return;
        }
        s->text = grown;
        s->capacity = capacity;
    }
    memcpy(s->text + s->used, text, bytes);
    s->used += bytes;
    s->text[s->used] = '\0';
}

static int embedded_index(const char *name, size_t length) {
    for (int i = 0; pave__embedded_opencl[i].name; i++)
        if (strlen(pave__embedded_opencl[i].name) == length &&
            memcmp(pave__embedded_opencl[i].name, name, length) == 0)
            return i;
    return -1;
}

/* Appends a file with its includes in place, each file once. */
static void expand(source *s, int index) {
    if (index < 0 || s->included >> index & 1) return;
    s->included |= 1ull << index;
    const char *line = pave__embedded_opencl[index].data;
    const char *end = line + pave__embedded_opencl[index].bytes;
    while (line < end && !s->failed) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        const char *next = stop ? stop + 1 : end;
        size_t prefix = strlen(INCLUDE);
        if ((size_t)(next - line) > prefix && memcmp(line, INCLUDE, prefix) == 0) {
            /* Headers are known by base name: sources may name them by path. */
            const char *name = line + prefix, *quote = memchr(name, '"', (size_t)(next - name));
            const char *base = quote;
            while (base && base > name && base[-1] != '/') base--;
            int header = quote ? embedded_index(base, (size_t)(quote - base)) : -1;
            if (header < 0)
                append(s, line, (size_t)(next - line)); /* the compiler will say what is missing */
            expand(s, header);
        } else {
            append(s, line, (size_t)(next - line));
        }
        line = next;
    }
}

static char *expanded(const char *name) {
    source s = {0};
    char file[64];
    int n = snprintf(file, sizeof file, "%s.cl", name);
    expand(&s, embedded_index(file, (size_t)n));
    if (!s.failed && s.text) return s.text;
    free(s.text);
    return NULL;
}

/* Widths that the sources know. */
static int vector_width(const pave_device_info *info) {
    return info->vector_width >= 16 ? 16 : info->vector_width >= 8 ? 8 : 4;
}

static void options_of(const cl_ctx *c, const pave__row *row, uint32_t link_mask, char *text,
                       size_t capacity) {
    snprintf(
        text, capacity,
        "-cl-std=CL1.2 -DPAVE_KERNEL=%s -DPAVE_BM=%d -DPAVE_BN=%d -DPAVE_BK=%d -DPAVE_WM=%d -DPAVE_WN=%d "
        "-DPAVE_THREADS=%d -DPAVE_SLICE=%d -DPAVE_A_TYPE=%d -DPAVE_B_TYPE=%d -DPAVE_LINK_MASK=0x%" PRIx32
        " -DPAVE_VECTOR_WIDTH=%d -DPAVE_STAGES=%d -DPAVE_PATH=%d",
        row->name, row->bm, row->bn, row->bk, row->wm, row->wn, row->threads, row->slice, row->a_type,
        row->b_type, link_mask, vector_width(&c->info), row->stages, row->path);
    /* NVIDIA's compiler can be told; others would refuse the option. */
    size_t used = strlen(text);
    if (c->info.compute_capability > 0 && row->registers > 0)
        snprintf(text + used, capacity - used, " -cl-nv-maxrregcount=%d", row->registers);
}

/* Everything that decides the binary; false where it cannot be told, for then there is no key to trust. */
static bool key_of(const cl_ctx *c, const char *source_text, const char *options, cl_cache_key *key) {
    char version[256] = "", platform[512] = "";
    /* The platform's version names the compiler that a driver was built with. */
    cl_driver.clGetPlatformInfo(c->native.platform, CL_PLATFORM_VERSION, sizeof platform - 1, platform, NULL);
    cl_driver.clGetDeviceInfo(c->native.device, CL_DEVICE_VERSION, sizeof version - 1, version, NULL);
    XXH3_state_t *state = XXH3_createState();
    if (!state) return false;
    XXH3_128bits_reset(state);
    const char *parts[] = {pave_version(), c->info.name, c->info.driver, platform,
                           version,        options,      source_text};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        XXH3_128bits_update(state, parts[i], strlen(parts[i]) + 1);
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    *key = (cl_cache_key){hash.low64, hash.high64};
    return true;
}

static cl_program from_cache(const cl_ctx *c, cl_cache_key key, const char *options) {
    size_t bytes;
    unsigned char *binary = cl_cache_read(key, &bytes);
    if (!binary) return NULL;
    cl_int code, loaded;
    cl_program program = cl_driver.clCreateProgramWithBinary(c->context, 1, &c->native.device, &bytes,
                                                             (const unsigned char **)&binary, &loaded, &code);
    free(binary);
    if (program && code == CL_SUCCESS)
        code = cl_driver.clBuildProgram(program, 1, &c->native.device, options, NULL, NULL);
    if (program && code == CL_SUCCESS) return program;
    pave__log(PAVE_LOG_INFO, "opencl: the driver refused a cached binary (%d): built again", (int)code);
    if (program) cl_driver.clReleaseProgram(program);
    return NULL;
}

/* Asked for a binary, PoCL generates code once more, for any work-group size, which takes as long as what the first launch
 * needs: where nothing wants the binary it is not asked for. */
static void to_cache(cl_program program, cl_cache_key key) {
    size_t bytes = 0;
    if (!cl_cache_wanted()) return;
    if (cl_driver.clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL) || !bytes)
        return;
    unsigned char *binary = malloc(bytes);
    if (!binary) return;
    if (cl_driver.clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) == CL_SUCCESS)
        cl_cache_write(key, binary, bytes);
    free(binary);
}

static pave_status build_failed(const cl_ctx *c, cl_program program, const pave__row *row, cl_int code) {
    size_t bytes = 0;
    char *log = NULL;
    cl_driver.clGetProgramBuildInfo(program, c->native.device, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes);
    if (bytes) log = calloc(1, bytes + 1);
    if (log)
        cl_driver.clGetProgramBuildInfo(program, c->native.device, CL_PROGRAM_BUILD_LOG, bytes, log, NULL);
    pave_status status = pave__fail(PAVE_E_BUILD, "opencl: kernel %s does not build on %s (%d): %.*s",
                                    row->name, c->info.name, (int)code, LOG_BYTES, log ? log : "no log");
    free(log);
    return status;
}

static pave_status from_source(const cl_ctx *c, const pave__row *row, const char *text, const char *options,
                               cl_program *out) {
    cl_int code;
    cl_program program = cl_driver.clCreateProgramWithSource(c->context, 1, &text, NULL, &code);
    if (!program) return cl_check(code, "making a program");
    code = cl_driver.clBuildProgram(program, 1, &c->native.device, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        pave_status status = build_failed(c, program, row, code);
        cl_driver.clReleaseProgram(program);
        return status;
    }
    *out = program;
    return PAVE_OK;
}

static pave_status load_program(const cl_ctx *c, const pave__row *row, uint32_t link_mask,
                                cl_kernel_entry *entry) {
    char options[1024];
    char *text = expanded(row->source);
    if (!text) return pave__fail(PAVE_E_HOST_MEMORY, "opencl: no source for kernel %s", row->name);
    options_of(c, row, link_mask, options, sizeof options);
    bool keyed = key_of(c, text, options, &entry->key);
    pave_status status = PAVE_OK;
    entry->program = keyed ? from_cache(c, entry->key, options) : NULL;
    if (!entry->program) {
        status = from_source(c, row, text, options, &entry->program);
        entry->built = true;
        entry->unsaved = keyed;
    }
    free(text);
    return status;
}

/* What is in the cache was proven before it came there. A GPU's binary is there once it is built. A CPU's is not, so it is
 * saved when the kernel is let go: the first result does not wait for it. */
static pave_status make_kernel(cl_ctx *c, const pave__row *row, cl_kernel_entry *entry) {
    cl_int code;
    entry->kernel = cl_driver.clCreateKernel(entry->program, row->name, &code);
    pave_status status = cl_check(code, row->name);
    if (status) return status;
    if (entry->built && pave__row_doubtful(row) && row->family == PAVE__GEMM)
        status = cl_prove(c, row, entry);
    if (status) cl_driver.clReleaseKernel(entry->kernel);
    if (status || !entry->unsaved || c->info.kind == PAVE_DEVICE_CPU) return status;
    to_cache(entry->program, entry->key);
    entry->unsaved = false;
    return PAVE_OK;
}

pave_status cl_kernel_load(void *context, const pave__row *row, uint32_t link_mask, void **kernel) {
    cl_kernel_entry *entry = calloc(1, sizeof *entry);
    if (!entry) return pave__fail(PAVE_E_HOST_MEMORY, "opencl: no memory for kernel %s", row->name);
    pthread_mutex_init(&entry->lock, NULL);
    pave_status status = load_program(context, row, link_mask, entry);
    if (!status) {
        status = make_kernel(context, row, entry);
        if (status) cl_driver.clReleaseProgram(entry->program);
    }
    if (status) {
        pthread_mutex_destroy(&entry->lock);
        free(entry);
        return status;
    }
    *kernel = entry;
    return PAVE_OK;
}

void cl_kernel_unload(void *context, void *kernel) {
    (void)context;
    cl_kernel_entry *entry = kernel;
    if (entry->unsaved) to_cache(entry->program, entry->key);
    cl_driver.clReleaseKernel(entry->kernel);
    cl_driver.clReleaseProgram(entry->program);
    pthread_mutex_destroy(&entry->lock);
    free(entry);
}
