/* SPDX-License-Identifier: Apache-2.0
 * The CUDA driver's functions, loaded at run time into one table. The list below is the only place that names
 * them; tests put another library in the driver's place. */
#ifndef PAVE_BACKENDS_CUDA_DRIVER_H
#define PAVE_BACKENDS_CUDA_DRIVER_H

#include "src/backend.h"
#include <cuda.h>
#include <stdbool.h>

/* X(member, symbol, parameters). A symbol is the oldest one of its signature, so that no driver is refused
 * for want of a newer name: cuEventElapsedTime_v2 came with 12.8. cuda.h makes some of these names macros; a
 * list that is used with # or ## alone keeps them as they stand here. */
#define CUDA_FUNCTIONS(X)                                                                                    \
    X(Init, cuInit, (unsigned))                                                                              \
    X(DriverGetVersion, cuDriverGetVersion, (int *))                                                         \
    X(GetErrorName, cuGetErrorName, (CUresult, const char **))                                               \
    X(DeviceGetCount, cuDeviceGetCount, (int *))                                                             \
    X(DeviceGet, cuDeviceGet, (CUdevice *, int))                                                             \
    X(DeviceGetName, cuDeviceGetName, (char *, int, CUdevice))                                               \
    X(DeviceGetAttribute, cuDeviceGetAttribute, (int *, CUdevice_attribute, CUdevice))                       \
    X(DeviceTotalMem, cuDeviceTotalMem_v2, (size_t *, CUdevice))                                             \
    X(DevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, (CUcontext *, CUdevice))                             \
    X(DevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2, (CUdevice))                                     \
    X(CtxPushCurrent, cuCtxPushCurrent_v2, (CUcontext))                                                      \
    X(CtxPopCurrent, cuCtxPopCurrent_v2, (CUcontext *))                                                      \
    X(MemGetInfo, cuMemGetInfo_v2, (size_t *, size_t *))                                                     \
    X(MemAlloc, cuMemAlloc_v2, (CUdeviceptr *, size_t))                                                      \
    X(MemFree, cuMemFree_v2, (CUdeviceptr))                                                                  \
    X(MemAllocHost, cuMemAllocHost_v2, (void **, size_t))                                                    \
    X(MemFreeHost, cuMemFreeHost, (void *))                                                                  \
    X(PointerGetAttributes, cuPointerGetAttributes, (unsigned, CUpointer_attribute *, void **, CUdeviceptr)) \
    X(MemcpyHtoDAsync, cuMemcpyHtoDAsync_v2, (CUdeviceptr, const void *, size_t, CUstream))                  \
    X(MemcpyDtoHAsync, cuMemcpyDtoHAsync_v2, (void *, CUdeviceptr, size_t, CUstream))                        \
    X(MemcpyDtoDAsync, cuMemcpyDtoDAsync_v2, (CUdeviceptr, CUdeviceptr, size_t, CUstream))                   \
    X(MemsetD8Async, cuMemsetD8Async, (CUdeviceptr, unsigned char, size_t, CUstream))                        \
    X(MemsetD16Async, cuMemsetD16Async, (CUdeviceptr, unsigned short, size_t, CUstream))                     \
    X(MemsetD32Async, cuMemsetD32Async, (CUdeviceptr, unsigned, size_t, CUstream))                           \
    X(StreamCreate, cuStreamCreate, (CUstream *, unsigned))                                                  \
    X(StreamDestroy, cuStreamDestroy_v2, (CUstream))                                                         \
    X(StreamSynchronize, cuStreamSynchronize, (CUstream))                                                    \
    X(StreamGetCtx, cuStreamGetCtx, (CUstream, CUcontext *))                                                 \
    X(StreamWaitEvent, cuStreamWaitEvent, (CUstream, CUevent, unsigned))                                     \
    X(EventCreate, cuEventCreate, (CUevent *, unsigned))                                                     \
    X(EventDestroy, cuEventDestroy_v2, (CUevent))                                                            \
    X(EventRecord, cuEventRecord, (CUevent, CUstream))                                                       \
    X(EventSynchronize, cuEventSynchronize, (CUevent))                                                       \
    X(EventQuery, cuEventQuery, (CUevent))                                                                   \
    X(EventElapsedTime, cuEventElapsedTime, (float *, CUevent, CUevent))                                     \
    X(ModuleLoadData, cuModuleLoadData, (CUmodule *, const void *))                                          \
    X(ModuleUnload, cuModuleUnload, (CUmodule))                                                              \
    X(ModuleGetFunction, cuModuleGetFunction, (CUfunction *, CUmodule, const char *))                        \
    X(FuncSetAttribute, cuFuncSetAttribute, (CUfunction, CUfunction_attribute, int))                         \
    X(LaunchKernelEx, cuLaunchKernelEx, (const CUlaunchConfig *, CUfunction, void **, void **))              \
    X(StreamIsCapturing, cuStreamIsCapturing, (CUstream, CUstreamCaptureStatus *))                           \
    X(StreamBeginCapture, cuStreamBeginCapture_v2, (CUstream, CUstreamCaptureMode))                          \
    X(StreamEndCapture, cuStreamEndCapture, (CUstream, CUgraph *))                                           \
    X(GraphInstantiate, cuGraphInstantiateWithFlags, (CUgraphExec *, CUgraph, unsigned long long))           \
    X(GraphLaunch, cuGraphLaunch, (CUgraphExec, CUstream))                                                   \
    X(GraphExecDestroy, cuGraphExecDestroy, (CUgraphExec))                                                   \
    X(GraphDestroy, cuGraphDestroy, (CUgraph))

typedef struct cuda_table {
#define CUDA_MEMBER(member, symbol, parameters) CUresult(CUDAAPI *member) parameters;
    CUDA_FUNCTIONS(CUDA_MEMBER)
#undef CUDA_MEMBER
} cuda_table;

extern cuda_table cuda_driver;

/* Loads libcuda.so.1 and fills the table; false with the reason in `why`. */
bool cuda_driver_load(char *why, size_t capacity);

/* The one translation of the driver's codes: PAVE_OK, or a status with the code's name and what was `doing`.
 */
pave_status cuda_check(CUresult result, const char *doing);

/* The same in words, for a refusal, which is not the thread's last failure. */
void cuda_error_text(CUresult result, const char *doing, char *text, size_t capacity);

/* Whether a device's launches may begin while those before them come to rest. */
bool cuda_overlaps(int capability, int driver_version);

/* Fills a device's description; false with the reason where it cannot be used. */
bool cuda_describe(CUdevice device, int index, int driver_version, pave_device_info *info, char *why,
                   size_t capacity);

#endif
