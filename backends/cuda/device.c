/* SPDX-License-Identifier: Apache-2.0
 * Describes CUDA devices to the planner: what the driver tells, and what no driver tells, the rates of the
 * arithmetic paths a clock and unit, by compute capability. */
#include "backends/cuda/driver.h"

#include <stdio.h>
#include <string.h>

#define OLDEST_CAPABILITY 80

/* Operations (multiply-add: 2) a clock and SM, dense, float32 accumulation; the clock and the memory's rate
 * stand in where the driver tells none. Sources: the architectures' whitepapers (A100, GA102, AD102,
 * Blackwell) and data sheets (A10, L40S); for 9.0 what mma.sync reaches in registers on an H100, 317 and 631
 * TFLOP/s at 132 SMs and 1.755 GHz, since its other instructions have rows of their own or none, and float8, which it converts
 * to multiply, by what rows reached, 290 TFLOP/s. */
typedef struct rates {
    int capability;
    double fma, tf32, half, float8; /* float8 0: none */
    double clock_hz, memory_bytes_per_s;
} rates;

static const rates rate_table[] = {
    {80, 128, 1024, 2048, 0, 1.41e9, 1555e9},     {86, 256, 512, 1024, 0, 1.70e9, 600e9},
    {87, 256, 512, 1024, 0, 1.30e9, 204e9},       {89, 256, 512, 1024, 2048, 2.52e9, 864e9},
    {90, 256, 1368, 2724, 1468, 1.755e9, 3352e9}, {100, 256, 1368, 2724, 1468, 1.85e9, 8000e9},
    {120, 256, 512, 1024, 2048, 2.41e9, 1792e9},
};

static const rates *rates_of(int capability) {
    const rates *found = &rate_table[0];
    for (size_t i = 0; i < sizeof rate_table / sizeof rate_table[0]; i++)
        if (rate_table[i].capability <= capability) found = &rate_table[i];
    return found;
}

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

static void describe_rates(CUdevice device, int capability, pave_device_info *info) {
    const rates *r = rates_of(capability);
    asked a = {device, CUDA_SUCCESS}; /* rates only rank the plans: a guess will do where they are not told */
    double clock = attribute(&a, CU_DEVICE_ATTRIBUTE_CLOCK_RATE) * 1e3;
    double clocks = (double)info->compute_units * (clock > 0 ? clock : r->clock_hz);
    /* GeForce's matrix units take twice the time where they accumulate in float32; the same chips' other
     * products do not, and no attribute tells them apart. */
    double share = strstr(info->name, "GeForce") ? 0.5 : 1.0;
    info->flops[PAVE_PATH_FMA] = clocks * r->fma;
    info->flops[PAVE_PATH_TF32] = clocks * r->tf32 * share;
    info->flops[PAVE_PATH_F16] = info->flops[PAVE_PATH_BF16] = clocks * r->half * share;
    info->flops[PAVE_PATH_F8] = clocks * r->float8 * share;
    /* Twice the clock (double data rate) times the bus, in bytes; newer drivers may report neither. */
    double bus = attribute(&a, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH) / 8.0;
    double memory = 2.0 * attribute(&a, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE) * 1e3 * bus;
    info->memory_bytes_per_s = memory > 0 ? memory : r->memory_bytes_per_s;
    /* An SM moves 64 bytes a clock from L2 at the most; about two thirds of it were seen in practice. */
    info->l2_bytes_per_s = clocks * 42;
    info->launch_ns = 2500;
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
    if (capability < OLDEST_CAPABILITY) {
        snprintf(why, capacity, "compute capability %d.%d; the kernels need %d.%d", capability / 10,
                 capability % 10, OLDEST_CAPABILITY / 10, OLDEST_CAPABILITY % 10);
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
    return true;
}
