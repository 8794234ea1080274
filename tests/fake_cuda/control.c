/* SPDX-License-Identifier: Apache-2.0
 * What makes the fake driver a test's tool: calls are counted, chosen ones fail, misuse is remembered, and
 * the counts are reported when the process ends. */
#include "tests/fake_cuda/inside.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

fake_cuda_counts fake_counts;
int fake_deferred;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned calls[FAKE_FUNCTIONS];
static char first_error[512];
static int ready, fail_function = -1, fail_sticky, broken;
static unsigned fail_nth;
static CUresult fail_code;

static const char *const symbols[] = {
#define FAKE_SYMBOL(member, symbol, parameters) #symbol,
    CUDA_FUNCTIONS(FAKE_SYMBOL)
#undef FAKE_SYMBOL
};

static int function_of(const char *symbol, size_t length) {
    for (int i = 0; i < FAKE_FUNCTIONS; i++)
        if (strlen(symbols[i]) == length && memcmp(symbols[i], symbol, length) == 0) return i;
    return -1;
}

static void read_environment(void) {
    const char *defer = getenv("FAKE_CUDA_DEFER"), *fail = getenv("FAKE_CUDA_FAIL");
    ready = 1;
    fake_deferred = defer && strcmp(defer, "1") == 0;
    if (!fail || !*fail) return;
    int code = 0, used = 0;
    const char *colon = strchr(fail, ':');
    if (colon) fail_function = function_of(fail, (size_t)(colon - fail));
    if (fail_function < 0 || sscanf(colon, ":%u:%d%n", &fail_nth, &code, &used) != 2)
        fake_misuse(CUDA_SUCCESS, "FAKE_CUDA_FAIL=%s is not symbol:nth:code[:sticky]", fail);
    fail_sticky = used && strcmp(colon + used, ":sticky") == 0;
    fail_code = (CUresult)code;
}

int fake_lock(void) {
    return pthread_mutex_lock(&lock);
}

void fake_unlock(int *locked) {
    (void)locked;
    pthread_mutex_unlock(&lock);
}

/* What a driver still answers when a context is lost. */
static int survives(int function) {
    switch (function) {
    case FAKE_cuInit:
    case FAKE_cuDriverGetVersion:
    case FAKE_cuGetErrorName:
    case FAKE_cuDeviceGetCount:
    case FAKE_cuDeviceGet:
    case FAKE_cuDeviceGetName:
    case FAKE_cuDeviceGetAttribute:
    case FAKE_cuDeviceTotalMem_v2:
    case FAKE_cuDevicePrimaryCtxRelease_v2:
    case FAKE_cuCtxPushCurrent_v2:
    case FAKE_cuCtxPopCurrent_v2: return 1;
    default: return 0;
    }
}

CUresult fake_call(int function) {
    if (!ready) read_environment();
    calls[function]++;
    if (function == fail_function && (calls[function] == fail_nth || (fail_sticky && broken))) {
        broken = fail_sticky;
        fake_counts.faults++;
        return fail_code;
    }
    return broken && !survives(function) ? fail_code : CUDA_SUCCESS;
}

CUresult fake_misuse(CUresult code, const char *format, ...) {
    va_list list;
    va_start(list, format);
    if (!fake_counts.errors++) vsnprintf(first_error, sizeof first_error, format, list);
    va_end(list);
    return code;
}

extern FAKE_API fake_cuda_live_fn fake_cuda_live;
extern FAKE_API fake_cuda_error_fn fake_cuda_error;
extern FAKE_API fake_cuda_calls_fn fake_cuda_calls;

void fake_cuda_live(fake_cuda_counts *counts) {
    __attribute__((cleanup(fake_unlock))) int locked = fake_lock();
    *counts = fake_counts;
}

const char *fake_cuda_error(void) {
    return first_error;
}

unsigned fake_cuda_calls(const char *symbol) {
    __attribute__((cleanup(fake_unlock))) int locked = fake_lock();
    int function = function_of(symbol, strlen(symbol));
    return function < 0 ? 0 : calls[function];
}

static void print_counts(FILE *file) {
    const fake_cuda_counts *c = &fake_counts;
    fprintf(file,
            "memory %d pinned %d streams %d events %d modules %d graphs %d retained %d pushed %d orphans %d "
            "errors %d "
            "faults %d%s%s\n",
            c->memory, c->pinned, c->streams, c->events, c->modules, c->graphs, c->retained, c->pushed,
            c->orphans, c->errors, c->faults, *first_error ? ": " : "", first_error);
}

__attribute__((destructor)) static void report(void) {
    const fake_cuda_counts *c = &fake_counts;
    const char *path = getenv("FAKE_CUDA_REPORT"), *strict = getenv("FAKE_CUDA_STRICT");
    FILE *file = path && *path ? fopen(path, "a") : NULL;
    if (file) {
        print_counts(file);
        fclose(file);
    }
    int left = c->memory | c->pinned | c->streams | c->events | c->modules | c->graphs | c->retained |
               c->pushed | c->orphans | c->errors;
    if (!left || !strict || strcmp(strict, "1") != 0) return;
    fputs("fake driver: ", stderr);
    print_counts(stderr);
    fflush(NULL);
    _exit(99);
}

FAKE_API CUresult cuGetErrorName(CUresult error, const char **name) {
    ENTER(cuGetErrorName);
    if (fault) return fault;
    switch (error) {
#define NAME(code) \
    case code: *name = #code; return CUDA_SUCCESS;
        NAME(CUDA_SUCCESS)
        NAME(CUDA_ERROR_INVALID_VALUE)
        NAME(CUDA_ERROR_OUT_OF_MEMORY)
        NAME(CUDA_ERROR_NOT_INITIALIZED)
        NAME(CUDA_ERROR_NO_DEVICE)
        NAME(CUDA_ERROR_INVALID_DEVICE)
        NAME(CUDA_ERROR_INVALID_IMAGE)
        NAME(CUDA_ERROR_INVALID_CONTEXT)
        NAME(CUDA_ERROR_NO_BINARY_FOR_GPU)
        NAME(CUDA_ERROR_INVALID_PTX)
        NAME(CUDA_ERROR_UNSUPPORTED_PTX_VERSION)
        NAME(CUDA_ERROR_INVALID_HANDLE)
        NAME(CUDA_ERROR_NOT_FOUND)
        NAME(CUDA_ERROR_NOT_READY)
        NAME(CUDA_ERROR_ILLEGAL_ADDRESS)
        NAME(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES)
        NAME(CUDA_ERROR_LAUNCH_FAILED)
        NAME(CUDA_ERROR_UNKNOWN)
#undef NAME
    default: *name = NULL; return CUDA_ERROR_INVALID_VALUE;
    }
}
