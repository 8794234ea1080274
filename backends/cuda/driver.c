/* SPDX-License-Identifier: Apache-2.0
 * Finds the CUDA driver on this machine and translates its error codes. */
#include "backends/cuda/driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libcuda.so.1"

cuda_table cuda_driver;

bool cuda_driver_load(char *why, size_t capacity) {
    /* Never closed: the driver keeps threads of its own. */
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(why, capacity, "the driver's library does not load: %s", dlerror());
        return false;
    }
#define LOAD(member, symbol, parameters)                                                   \
    {                                                                                      \
        void *address = dlsym(library, #symbol);                                           \
        if (!address) {                                                                    \
            snprintf(why, capacity, LIBRARY " has no %s: the driver is too old", #symbol); \
            return false;                                                                  \
        }                                                                                  \
        memcpy(&cuda_driver.member, &address, sizeof address);                             \
    }
    CUDA_FUNCTIONS(LOAD)
#undef LOAD
    return true;
}

static pave_status status_of(CUresult result) {
    switch (result) {
    case CUDA_ERROR_OUT_OF_MEMORY: return PAVE_E_DEVICE_MEMORY;
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_INVALID_PTX:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
    case CUDA_ERROR_INVALID_IMAGE:
    case CUDA_ERROR_NOT_FOUND: return PAVE_E_BUILD;
    default: return PAVE_E_DEVICE;
    }
}

void cuda_error_text(CUresult result, const char *doing, char *text, size_t capacity) {
    const char *name = NULL;
    if (cuda_driver.GetErrorName(result, &name) != CUDA_SUCCESS || !name) name = "unknown code";
    snprintf(text, capacity, "%s: %s (%d)", doing, name, (int)result);
}

pave_status cuda_check(CUresult result, const char *doing) {
    if (result == CUDA_SUCCESS) return PAVE_OK;
    char text[256];
    cuda_error_text(result, doing, text, sizeof text);
    return pave__fail(status_of(result), "cuda: %s", text);
}
