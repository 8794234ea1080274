/* SPDX-License-Identifier: Apache-2.0
 * Finds the ICD loader on this machine and translates OpenCL's error codes. */
#include "backends/opencl/driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

cl_table cl_driver;

bool cl_driver_load(const char *library, char *why, size_t capacity) {
    /* Never closed: drivers keep threads of their own. */
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        snprintf(why, capacity, "the ICD loader does not load: %s", dlerror());
        return false;
    }
#define LOAD(name)                                                                          \
    {                                                                                       \
        void *address = dlsym(handle, #name);                                               \
        if (!address) {                                                                     \
            snprintf(why, capacity, "%s has no " #name ": older than OpenCL 1.2", library); \
            return false;                                                                   \
        }                                                                                   \
        memcpy(&cl_driver.name, &address, sizeof address);                                  \
    }
    CL_FUNCTIONS(LOAD)
#undef LOAD
    return true;
}

static const char *code_name(cl_int code) {
    switch (code) {
#define NAME(x) \
    case x: return #x;
        NAME(CL_DEVICE_NOT_FOUND)
        NAME(CL_DEVICE_NOT_AVAILABLE)
        NAME(CL_COMPILER_NOT_AVAILABLE)
        NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE)
        NAME(CL_OUT_OF_RESOURCES)
        NAME(CL_OUT_OF_HOST_MEMORY)
        NAME(CL_PROFILING_INFO_NOT_AVAILABLE)
        NAME(CL_BUILD_PROGRAM_FAILURE)
        NAME(CL_MAP_FAILURE)
        NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
        NAME(CL_INVALID_VALUE)
        NAME(CL_INVALID_DEVICE)
        NAME(CL_INVALID_CONTEXT)
        NAME(CL_INVALID_COMMAND_QUEUE)
        NAME(CL_INVALID_MEM_OBJECT)
        NAME(CL_INVALID_BINARY)
        NAME(CL_INVALID_BUILD_OPTIONS)
        NAME(CL_INVALID_PROGRAM_EXECUTABLE)
        NAME(CL_INVALID_KERNEL_NAME)
        NAME(CL_INVALID_KERNEL_ARGS)
        NAME(CL_INVALID_ARG_SIZE)
        NAME(CL_INVALID_WORK_GROUP_SIZE)
        NAME(CL_INVALID_GLOBAL_WORK_SIZE)
        NAME(CL_INVALID_EVENT)
        NAME(CL_INVALID_BUFFER_SIZE)
#undef NAME
    default: return "OpenCL error";
    }
}

static pave_status status_of(cl_int code) {
    switch (code) {
    case CL_MEM_OBJECT_ALLOCATION_FAILURE: return PAVE_E_DEVICE_MEMORY;
    case CL_OUT_OF_HOST_MEMORY: return PAVE_E_HOST_MEMORY;
    case CL_BUILD_PROGRAM_FAILURE:
    case CL_INVALID_KERNEL_NAME:
    case CL_INVALID_BINARY: return PAVE_E_BUILD;
    default: return PAVE_E_DEVICE;
    }
}

pave_status cl_check(cl_int code, const char *doing) {
    if (code == CL_SUCCESS) return PAVE_OK;
    return pave__fail(status_of(code), "opencl: %s: %s (%d)", doing, code_name(code), (int)code);
}
