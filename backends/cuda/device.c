/* SPDX-License-Identifier: Apache-2.0
 * Describes CUDA devices to the planner by what the driver tells; what it does not, backends/nvidia.c knows. */
#include "backends/cuda/driver.h"
#include "backends/nvidia.h"

#include <stdio.h>
#include <string.h>

/* A device with the first failure of asking about it: without its capability or its sizes there is no plan.
 */
typedef struct asked {
    CUdevice device;
    CUresult failed;
} asked;

static int attribute(asked *a, CUdevice_attribute which) {
    int value = 0;
    CUresult result = cuda_driver.DeviceGetAttribute(&value, which, a->device);
    if (result == CUDA_SUCCESS) return value;
    if (a->failed == CUDA_SUCCESS) a->failed = result;
    return 0;
}

/* Newer devices run what was made for 8.9, whose kernels do not wait. Launches are captured as well, from 12.3 on. */
bool cuda_overlaps(int capability, int driver_version) {
    return capability == 90 && driver_version >= 12030;
}

static void describe_rates(CUdevice device, int capability, pave_device_info *info) {
    asked a = {device, CUDA_SUCCESS}; /* rates only rank the plans: a guess will do where they are not told */
    nvidia_describe(capability, attribute(&a, CU_DEVICE_ATTRIBUTE_CLOCK_RATE) * 1e3, info);
    /* Twice the clock (double data rate) times the bus, in bytes; newer drivers may report neither. */
    double bus = attribute(&a, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH) / 8.0;
    double memory = 2.0 * attribute(&a, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE) * 1e3 * bus;
    info->memory_bytes_per_s = memory > 0 ? memory : nvidia_rates_of(capability)->memory_bytes_per_s;
}

static void describe_sizes(asked *a, pave_device_info *info) {
    info->compute_units = attribute(a, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    info->threads_per_unit = attribute(a, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
    info->threads_per_block = attribute(a, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
    info->blocks_per_unit = attribute(a, CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR);
    info->registers_per_unit = attribute(a, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR);
    info->vector_width = attribute(a, CU_DEVICE_ATTRIBUTE_WARP_SIZE);
    info->shared_bytes_per_unit =
        (uint64_t)attribute(a, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
    info->shared_bytes_per_block =
        (uint64_t)attribute(a, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    info->l2_bytes = (uint64_t)attribute(a, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
}

static bool refuse(CUresult failed, char *why, size_t capacity) {
    cuda_error_text(failed, "asking about the device", why, capacity);
    return false;
}

bool cuda_describe(CUdevice device, int index, int driver_version, pave_device_info *info, char *why,
                   size_t capacity) {
    *info = (pave_device_info){.size = sizeof *info, .backend = "cuda", .kind = PAVE_DEVICE_GPU};
    if (cuda_driver.DeviceGetName(info->name, sizeof info->name, device) != CUDA_SUCCESS)
        snprintf(info->name, sizeof info->name, "CUDA device %d", index);
    snprintf(info->selector, sizeof info->selector, "cuda:%d", index);
    snprintf(info->driver, sizeof info->driver, "CUDA %d.%d", driver_version / 1000,
             driver_version % 1000 / 10);
    asked a = {device, CUDA_SUCCESS};
    int capability = 10 * attribute(&a, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
                     attribute(&a, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    if (a.failed) return refuse(a.failed, why, capacity);
    if (capability < NVIDIA_OLDEST) {
        snprintf(why, capacity, "compute capability %d.%d; the kernels need %d.%d", capability / 10,
                 capability % 10, NVIDIA_OLDEST / 10, NVIDIA_OLDEST % 10);
        return false;
    }
    describe_sizes(&a, info);
    if (a.failed) return refuse(a.failed, why, capacity);
    info->compute_capability = capability;
    size_t bytes = 0;
    CUresult result = cuda_driver.DeviceTotalMem(&bytes, device);
    if (result != CUDA_SUCCESS) return refuse(result, why, capacity);
    info->memory_bytes = info->alloc_bytes_max = bytes;
    describe_rates(device, capability, info);
    info->launch_ns = cuda_overlaps(capability, driver_version) ? 1200 : 2500;
    return true;
}
