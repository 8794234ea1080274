/* SPDX-License-Identifier: Apache-2.0
 * Devices by name, so that a plan can be made, printed and tested where there is no such device. Each
 * figure's source stands beside it; docs/planner.md has the list. */
#include "src/plan/planner.h"

#include <string.h>

#define KIB(x) ((uint64_t)(x) << 10)
#define MIB(x) ((uint64_t)(x) << 20)
#define GIB(x) ((uint64_t)(x) << 30)
#define GPU                                                                                                  \
    .size = sizeof(pave_device_info), .backend = "cuda", .kind = PAVE_DEVICE_GPU, .threads_per_block = 1024, \
    .registers_per_unit = 65536, .vector_width = 32
#define CPU                                                                                        \
    .size = sizeof(pave_device_info), .backend = "opencl", .kind = PAVE_DEVICE_CPU,                \
    .threads_per_unit = 4096, .threads_per_block = 4096, .blocks_per_unit = 1, .vector_width = 16, \
    .shared_bytes_per_unit = MIB(2), .shared_bytes_per_block = MIB(2), .launch_ns = 5000
/* Per compute unit, from the CUDA C++ Programming Guide's table of compute capabilities. */
#define ADA                                                                    \
    .compute_capability = 89, .threads_per_unit = 1536, .blocks_per_unit = 24, \
    .shared_bytes_per_unit = KIB(100), .shared_bytes_per_block = KIB(99), .launch_ns = 2000
#define AMPERE_DC                                                              \
    .compute_capability = 80, .threads_per_unit = 2048, .blocks_per_unit = 32, \
    .shared_bytes_per_unit = KIB(164), .shared_bytes_per_block = KIB(163), .launch_ns = 2000
/* Launches overlap: what 64 MB take beside the copy's time, an H200, 2026-11-29. */
#define HOPPER                                                                 \
    .compute_capability = 90, .threads_per_unit = 2048, .blocks_per_unit = 32, \
    .shared_bytes_per_unit = KIB(228), .shared_bytes_per_block = KIB(227), .launch_ns = 1200
#define RATES(FMA, TF32, F16, BF16, F8) .flops = {(FMA)*1e12, (TF32)*1e12, (F16)*1e12, (BF16)*1e12, (F8)*1e12}

static const pave_device_info devices[] = {
    /* NVIDIA Ada architecture white paper: dense rates, float32 accumulation. L2 rate: 5 TB/s order by public
     * microbenchmarks; 4.5 is what a kernel can count on. */
    {GPU, ADA, .name = "rtx4090", .selector = "rtx4090", .compute_units = 128, .l2_bytes = MIB(72),
     .memory_bytes = GIB(24), .alloc_bytes_max = GIB(24), .memory_bytes_per_s = 1008e9,
     .l2_bytes_per_s = 4.5e12, RATES(82.6, 82.6, 165.2, 165.2, 330.3)},
    {GPU, ADA, .name = "rtx4080", .selector = "rtx4080", .compute_units = 76, .l2_bytes = MIB(64),
     .memory_bytes = GIB(16), .alloc_bytes_max = GIB(16), .memory_bytes_per_s = 716.8e9,
     .l2_bytes_per_s = 2.7e12, RATES(48.7, 48.7, 97.5, 97.5, 195)},
    /* NVIDIA L40S data sheet; unlike GeForce, matrix units run at their whole rate with float32 accumulation.
     */
    {GPU, ADA, .name = "l40s", .selector = "l40s", .compute_units = 142, .l2_bytes = MIB(96),
     .memory_bytes = GIB(48), .alloc_bytes_max = GIB(48), .memory_bytes_per_s = 864e9,
     .l2_bytes_per_s = 4.5e12, RATES(91.6, 183, 362, 362, 733)},
    /* NVIDIA A100 data sheet, 80 GB SXM. */
    {GPU, AMPERE_DC, .name = "a100-sxm", .selector = "a100-sxm", .compute_units = 108, .l2_bytes = MIB(40),
     .memory_bytes = GIB(80), .alloc_bytes_max = GIB(80), .memory_bytes_per_s = 2039e9,
     .l2_bytes_per_s = 4.8e12, RATES(19.5, 156, 312, 312, 0)},
    /* H100 80GB HBM3, measured 2026-11-22 (driver 580.159): copy 3.0 TB/s, mma.sync 317, 632 and 631 TFLOP/s.
     * The data sheet's 989 for half precision is wgmma's, which no row uses; float32 is the data sheet's. float8 is converted to
     * float16 instruction by instruction: 340 by what rows reached, 290 of them, measured 2026-11-25. */
    {GPU, HOPPER, .name = "h100-sxm", .selector = "h100-sxm", .compute_units = 132, .l2_bytes = MIB(50),
     .memory_bytes = GIB(80), .alloc_bytes_max = GIB(80), .memory_bytes_per_s = 3.0e12,
     .l2_bytes_per_s = 8.0e12, RATES(66.9, 317, 632, 631, 340)},
    /* H200: the same chip; memory by the data sheet's 4.8 TB/s at the share that the H100 reached of
       its 3.35. */
    {GPU, HOPPER, .name = "h200", .selector = "h200", .compute_units = 132, .l2_bytes = MIB(50),
     .memory_bytes = GIB(141), .alloc_bytes_max = GIB(141), .memory_bytes_per_s = 4.3e12,
     .l2_bytes_per_s = 8.0e12, RATES(66.9, 317, 632, 631, 340)},
    /* Two AVX-512 cores of a shared server through PoCL 3.1, measured 2026-11: FMA peak 330 GFLOP/s, reading
     * 25 GB/s, local memory 2 MiB. */
    {CPU, .name = "cpu-2", .selector = "cpu-2", .compute_units = 2, .l2_bytes = MIB(32),
     .memory_bytes = GIB(8), .alloc_bytes_max = GIB(2), .memory_bytes_per_s = 25e9, .l2_bytes_per_s = 120e9,
     RATES(0.33, 0, 0, 0, 0)},
    /* Sixteen such cores at an all-core clock, with eight memory channels: a stand-in, not a measurement. */
    {CPU, .name = "cpu-16", .selector = "cpu-16", .compute_units = 16, .l2_bytes = MIB(64),
     .memory_bytes = GIB(64), .alloc_bytes_max = GIB(16), .memory_bytes_per_s = 150e9,
     .l2_bytes_per_s = 800e9, RATES(2.2, 0, 0, 0, 0)},
};

const pave_device_info *pave__device_named(const char *name) {
    if (!name) return NULL;
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
        if (strcmp(devices[i].name, name) == 0) return &devices[i];
    return NULL;
}

const char *pave__device_names(void) {
    return "rtx4090, rtx4080, l40s, a100-sxm, h100-sxm, h200, cpu-2, cpu-16";
}
