/* SPDX-License-Identifier: Apache-2.0
 * The OpenCL functions, loaded from the ICD loader at run time into one table. Only OpenCL 1.2 is used, so
 * that any device's entry points are there. */
#ifndef PAVE_BACKENDS_OPENCL_DRIVER_H
#define PAVE_BACKENDS_OPENCL_DRIVER_H

#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS

#include "kernels/abi.h"
#include "src/backend.h"
#include <CL/cl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define CL_FUNCTIONS(X)             \
    X(clGetPlatformIDs)             \
    X(clGetPlatformInfo)            \
    X(clGetDeviceIDs)               \
    X(clGetDeviceInfo)              \
    X(clCreateContext)              \
    X(clReleaseContext)             \
    X(clCreateCommandQueue)         \
    X(clRetainCommandQueue)         \
    X(clReleaseCommandQueue)        \
    X(clGetCommandQueueInfo)        \
    X(clCreateBuffer)               \
    X(clCreateSubBuffer)            \
    X(clRetainMemObject)            \
    X(clReleaseMemObject)           \
    X(clGetMemObjectInfo)           \
    X(clCreateProgramWithSource)    \
    X(clCreateProgramWithBinary)    \
    X(clBuildProgram)               \
    X(clGetProgramBuildInfo)        \
    X(clGetProgramInfo)             \
    X(clReleaseProgram)             \
    X(clCreateKernel)               \
    X(clReleaseKernel)              \
    X(clSetKernelArg)               \
    X(clEnqueueNDRangeKernel)       \
    X(clEnqueueReadBuffer)          \
    X(clEnqueueWriteBuffer)         \
    X(clEnqueueFillBuffer)          \
    X(clEnqueueCopyBuffer)          \
    X(clEnqueueMapBuffer)           \
    X(clEnqueueUnmapMemObject)      \
    X(clEnqueueMarkerWithWaitList)  \
    X(clEnqueueBarrierWithWaitList) \
    X(clFlush)                      \
    X(clFinish)                     \
    X(clWaitForEvents)              \
    X(clGetEventInfo)               \
    X(clSetEventCallback)           \
    X(clGetEventProfilingInfo)      \
    X(clReleaseEvent)

typedef struct cl_table {
#define CL_MEMBER(name) __typeof__(&name) name;
    CL_FUNCTIONS(CL_MEMBER)
#undef CL_MEMBER
} cl_table;

extern cl_table cl_driver;

typedef struct cl_native {
    cl_platform_id platform;
    cl_device_id device;
} cl_native;

typedef struct cl_ctx {
    cl_native native;
    cl_context context;
    pave_device_info info;
    pthread_mutex_t lock; /* guards the account of memory */
    uint64_t memory_used;
    atomic_uint_least64_t
        releases; /* of memory objects: the next one made may have the handle of one that is gone */
} cl_ctx;

/* The cache's key of a binary: the hash of all that decides it. */
typedef struct cl_cache_key {
    uint64_t low, high;
} cl_cache_key;

/* A kernel's arguments are its own state, so setting and enqueueing are one step under its lock. */
typedef struct cl_kernel_entry {
    cl_program program;
    cl_kernel kernel;
    pthread_mutex_t lock;
    cl_cache_key key;
    bool built;   /* from source, not from the cache */
    bool unsaved; /* the binary goes to the cache, at the latest when the kernel is let go */
} cl_kernel_entry;

/* Loads the ICD loader `library`; false with the reason in `why`. */
bool cl_driver_load(const char *library, char *why, size_t capacity);
/* The one translation of OpenCL's codes. */
pave_status cl_check(cl_int code, const char *doing);

/* Fills a device's description; false with the reason where it cannot be used. */
bool cl_describe(const cl_native *native, int platform, int index, pave_device_info *info, char *why,
                 size_t capacity);

/* Builds the row's kernel for the links in the mask, from the cache or from source. */
pave_status cl_kernel_load(void *context, const pave__row *row, uint32_t link_mask, void **kernel);
void cl_kernel_unload(void *context, void *kernel);
/* Launches (launch.c), as src/backend.h says. */
pave_status cl_launch(void *queue, void *const *kernels, const pave__launch *list, size_t count);
pave_status cl_record(void *queue, void *const *kernels, const pave__launch *list, size_t count,
                      void **recorded);
pave_status cl_replay(void *queue, void *recorded);
void cl_record_free(void *queue, void *recorded);
/* PAVE_OK where `kernel`, a gemm row's, gives a right product; else PAVE_E_DEVICE with the first value that is wrong, or
 * whatever went wrong on the way (prove.c). */
pave_status cl_prove(cl_ctx *context, const pave__row *row, void *kernel);

/* The disk cache of program binaries. Reading gives NULL where there is none that can be trusted; writing never fails
 * aloud. */
bool cl_cache_wanted(void);
void *cl_cache_read(cl_cache_key key, size_t *bytes);
void cl_cache_write(cl_cache_key key, const void *data, size_t bytes);

#endif
