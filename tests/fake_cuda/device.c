/* SPDX-License-Identifier: Apache-2.0
 * The fake driver's devices, shaped as an RTX 4090 whatever their compute capability, and their primary
 * contexts. */
#include "tests/fake_cuda/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK_MAX 8

static int initialised, device_count, capabilities[DEVICES_MAX];
static struct CUctx_st contexts[DEVICES_MAX];
static _Thread_local CUcontext stack[STACK_MAX];
static _Thread_local int depth;

FAKE_API CUresult cuInit(unsigned flags) {
    ENTER(cuInit);
    if (fault) return fault;
    if (flags) return fake_misuse(CUDA_ERROR_INVALID_VALUE, "cuInit: flags %u", flags);
    const char *list = getenv("FAKE_CUDA_DEVICES");
    if (!list) list = "89";
    device_count = 0;
    for (char *end; *list && device_count < DEVICES_MAX; list = *end ? end + 1 : end)
        capabilities[device_count++] = (int)strtol(list, &end, 10);
    for (int i = 0; i < device_count; i++) contexts[i].device = i;
    initialised = 1;
    return device_count ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

static int driver_version(void) {
    const char *told = getenv("FAKE_CUDA_VERSION");
    return told && *told ? atoi(told) : CUDA_VERSION;
}

FAKE_API CUresult cuDriverGetVersion(int *version) {
    ENTER(cuDriverGetVersion);
    if (!fault) *version = driver_version();
    return fault;
}

int fake_overlaps(CUcontext context) {
    return context && capabilities[context->device] == 90 && driver_version() >= 12030;
}

FAKE_API CUresult cuDeviceGetCount(int *count) {
    ENTER(cuDeviceGetCount);
    if (!fault && !initialised)
        fault = fake_misuse(CUDA_ERROR_NOT_INITIALIZED, "cuDeviceGetCount before cuInit");
    if (!fault) *count = device_count;
    return fault;
}

FAKE_API CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    ENTER(cuDeviceGet);
    if (fault) return fault;
    if (ordinal < 0 || ordinal >= device_count)
        return fake_misuse(CUDA_ERROR_INVALID_DEVICE, "cuDeviceGet: %d of %d", ordinal, device_count);
    *device = ordinal;
    return CUDA_SUCCESS;
}

FAKE_API CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
    ENTER(cuDeviceGetName);
    const char *brand = getenv("FAKE_CUDA_BRAND");
    if (!brand || !*brand) brand = "GeForce RTX";
    if (!fault) snprintf(name, (size_t)length, "Fake %s %d", brand, capabilities[device]);
    return fault;
}

uint64_t fake_device_bytes(void) {
    const char *bytes = getenv("FAKE_CUDA_MEMORY");
    return bytes && *bytes ? strtoull(bytes, NULL, 0) : 24ull << 30;
}

FAKE_API CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    ENTER(cuDeviceTotalMem_v2);
    (void)device;
    if (!fault) *bytes = fake_device_bytes();
    return fault;
}

FAKE_API CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute which, CUdevice device) {
    ENTER(cuDeviceGetAttribute);
    if (fault) return fault;
    switch (which) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = capabilities[device] / 10; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = capabilities[device] % 10; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = FAKE_UNITS; break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: *value = FAKE_UNIT_THREADS; break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR: *value = 24; break;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR: *value = 65536; break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *value = 32; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: *value = FAKE_UNIT_SHARED; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = 101376; break;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: *value = 75497472; break;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: *value = 2520000; break;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: *value = 10501000; break;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: *value = 384; break;
    default:
        return fake_misuse(CUDA_ERROR_INVALID_VALUE, "cuDeviceGetAttribute: %d is not known", (int)which);
    }
    return CUDA_SUCCESS;
}

FAKE_API CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    ENTER(cuDevicePrimaryCtxRetain);
    if (fault) return fault;
    contexts[device].retained++;
    fake_counts.retained++;
    *context = &contexts[device];
    return CUDA_SUCCESS;
}

FAKE_API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    ENTER(cuDevicePrimaryCtxRelease_v2);
    CUcontext context = &contexts[device];
    if (!context->retained)
        return fake_misuse(CUDA_ERROR_INVALID_CONTEXT, "the primary context is released once too often");
    fake_counts.retained--;
    if (--context->retained) return fault;
    fake_graphs_drop(context);
    fake_streams_drop(context);
    fake_modules_drop(context);
    fake_memory_drop(context);
    return fault;
}

FAKE_API CUresult cuCtxPushCurrent_v2(CUcontext context) {
    ENTER(cuCtxPushCurrent_v2);
    if (fault) return fault;
    if (!context || !context->retained)
        return fake_misuse(CUDA_ERROR_INVALID_CONTEXT, "a context is pushed that is not retained");
    if (depth == STACK_MAX)
        return fake_misuse(CUDA_ERROR_INVALID_VALUE, "contexts are pushed and not popped");
    stack[depth++] = context;
    fake_counts.pushed++;
    return CUDA_SUCCESS;
}

FAKE_API CUresult cuCtxPopCurrent_v2(CUcontext *context) {
    ENTER(cuCtxPopCurrent_v2);
    if (!depth) return fake_misuse(CUDA_ERROR_INVALID_CONTEXT, "a context is popped and none was pushed");
    fake_counts.pushed--;
    *context = stack[--depth];
    return fault;
}

CUcontext fake_current(const char *who) {
    if (depth) return stack[depth - 1];
    fake_misuse(CUDA_ERROR_INVALID_CONTEXT, "%s: no context is current", who);
    return NULL;
}
