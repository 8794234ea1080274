/* SPDX-License-Identifier: Apache-2.0
 * Describes OpenCL devices to the planner. OpenCL tells shapes and sizes, not rates: those are estimates from
 * clocks and widths, good to a factor, that pave_device_measure replaces. */
#include "backends/opencl/driver.h"
#include "backends/nvidia.h"

#include <stdio.h>
#include <string.h>

/* cl_nv_device_attribute_query */
#define NV_COMPUTE_CAPABILITY_MAJOR 0x4000
#define NV_COMPUTE_CAPABILITY_MINOR 0x4001
#define NV_REGISTERS_PER_BLOCK 0x4002

#define NATIVE_WIDTH_MOST 16

static uint64_t number(cl_device_id device, cl_device_info what) {
    uint64_t value = 0; /* little-endian: smaller answers fill the low bytes */
    return cl_driver.clGetDeviceInfo(device, what, sizeof value, &value, NULL) == CL_SUCCESS ? value : 0;
}

static void text(cl_device_id device, cl_device_info what, char *out, size_t capacity) {
    char long_text[1024] = "";
    cl_driver.clGetDeviceInfo(device, what, sizeof long_text - 1, long_text, NULL);
    snprintf(out, capacity, "%.*s", (int)capacity - 1, long_text);
}

/* Attributes of an extension are asked for only where it is there: a checking driver reports anything else.
 */
static bool has_extension(cl_device_id device, const char *name) {
    char list[8192] = "";
    if (cl_driver.clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, sizeof list - 1, list, NULL) != CL_SUCCESS)
        return false;
    size_t length = strlen(name);
    for (const char *p = list; (p = strstr(p, name)); p += length)
        if ((p == list || p[-1] == ' ') && (p[length] == ' ' || p[length] == '\0')) return true;
    return false;
}

static const char *refuse(cl_device_id device, char *version, size_t capacity) {
    int major = 0, minor = 0;
    text(device, CL_DEVICE_VERSION, version, capacity);
    if (sscanf(version, "OpenCL %d.%d", &major, &minor) != 2 || major * 10 + minor < 12)
        return "it is older than OpenCL 1.2";
    if (!number(device, CL_DEVICE_AVAILABLE)) return "it is not available";
    if (!number(device, CL_DEVICE_COMPILER_AVAILABLE)) return "it has no compiler";
    if (!number(device, CL_DEVICE_ENDIAN_LITTLE)) return "it is big-endian";
    if (number(device, CL_DEVICE_ADDRESS_BITS) != 64) return "its addresses are not of 64 bits";
    return NULL;
}

static void estimate_cpu(double clock, pave_device_info *info) {
    info->threads_per_unit = 1;
    info->blocks_per_unit = 1;
    /* Two FMA pipes a core of the native width. */
    info->flops[PAVE_PATH_FMA] = clock * info->compute_units * info->vector_width * 4;
    info->memory_bytes_per_s = 12e9 * info->compute_units;
    info->l2_bytes_per_s = clock * info->compute_units * 32;
    info->launch_ns = 10000;
}

/* Units of 128 lanes, and the bytes a unit streams from memory a clock, as on GPUs of the last ten years. */
static void estimate_gpu(double clock, pave_device_info *info) {
    info->threads_per_unit = 2048;
    info->blocks_per_unit = 16;
    info->flops[PAVE_PATH_FMA] = clock * info->compute_units * 256;
    info->memory_bytes_per_s = clock * info->compute_units * 8;
    info->l2_bytes_per_s = clock * info->compute_units * 42;
    info->launch_ns = 6000;
}

/* What NVIDIA's extension and the architecture tell beyond that. A group's local memory stays what OpenCL allows. */
static void describe_nvidia(cl_device_id device, double clock, pave_device_info *info) {
    info->compute_capability = (int32_t)(10 * (uint32_t)number(device, NV_COMPUTE_CAPABILITY_MAJOR) +
                                         (uint32_t)number(device, NV_COMPUTE_CAPABILITY_MINOR));
    info->registers_per_unit = (int32_t)number(device, NV_REGISTERS_PER_BLOCK);
    if (info->compute_capability < NVIDIA_OLDEST) return;
    const nvidia_rates *r = nvidia_rates_of(info->compute_capability);
    nvidia_describe(info->compute_capability, clock, info);
    info->memory_bytes_per_s = r->memory_bytes_per_s;
    info->threads_per_unit = r->threads;
    info->blocks_per_unit = r->blocks;
    info->shared_bytes_per_unit = (uint64_t)r->shared_kib << 10;
}

bool cl_describe(const cl_native *native, int platform, int index, pave_device_info *info, char *why,
                 size_t capacity) {
    cl_device_id d = native->device;
    char version[128], driver[64];
    *info = (pave_device_info){.size = sizeof *info, .backend = "opencl"};
    text(d, CL_DEVICE_NAME, info->name, sizeof info->name);
    snprintf(info->selector, sizeof info->selector, "opencl:%d.%d", platform, index);
    const char *reason = refuse(d, version, sizeof version);
    if (reason) {
        snprintf(why, capacity, "%s", reason);
        return false;
    }
    char platform_name[64] = "";
    cl_driver.clGetPlatformInfo(native->platform, CL_PLATFORM_NAME, sizeof platform_name - 1, platform_name,
                                NULL);
    text(d, CL_DRIVER_VERSION, driver, sizeof driver);
    snprintf(info->driver, sizeof info->driver, "%.60s %.60s", platform_name, driver);
    bool cpu = (number(d, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_CPU) != 0;
    info->kind = cpu ? PAVE_DEVICE_CPU : PAVE_DEVICE_GPU;
    info->compute_units = (int32_t)number(d, CL_DEVICE_MAX_COMPUTE_UNITS);
    info->threads_per_block = (int32_t)number(d, CL_DEVICE_MAX_WORK_GROUP_SIZE);
    int32_t width = (int32_t)number(d, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
    info->vector_width = !cpu ? 32 : width > NATIVE_WIDTH_MOST ? NATIVE_WIDTH_MOST : width < 1 ? 1 : width;
    info->shared_bytes_per_block = info->shared_bytes_per_unit = number(d, CL_DEVICE_LOCAL_MEM_SIZE);
    info->l2_bytes = number(d, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE);
    info->memory_bytes = number(d, CL_DEVICE_GLOBAL_MEM_SIZE);
    info->alloc_bytes_max = number(d, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    double clock = (double)number(d, CL_DEVICE_MAX_CLOCK_FREQUENCY) * 1e6;
    if (clock <= 0) clock = 2e9;
    if (cpu)
        estimate_cpu(clock, info);
    else
        estimate_gpu(clock, info);
    if (has_extension(d, "cl_nv_device_attribute_query")) describe_nvidia(d, clock, info);
    return true;
}
