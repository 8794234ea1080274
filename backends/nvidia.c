/* SPDX-License-Identifier: Apache-2.0
 * The table of NVIDIA's architectures. Sources: the whitepapers (A100, GA102, AD102, Blackwell) and data sheets
 * (A10, L40S); for 9.0 what mma.sync reaches in registers on an H100, 317 and 631 TFLOP/s at 132 SMs and 1.755
 * GHz, since its other instructions have rows of their own or none, and float8, which it converts to
 * multiply, by what rows reached, 290 TFLOP/s. What the L2 gives a unit: 4.8 TB/s on an A100 and 4.5 on an RTX 4090, by public
 * microbenchmarks, 8 on an H200 by what products of few tiles took. Sizes are the CUDA C++ Programming Guide's, of
 * compute capabilities. */
#include "backends/nvidia.h"

#include <stddef.h>
#include <string.h>

static const nvidia_rates table[] = {
    {80, 128, 1024, 2048, 0, 31, 1.41e9, 1555e9, 2048, 32, 164},
    {86, 256, 512, 1024, 0, 14, 1.70e9, 600e9, 1536, 16, 100},
    {87, 256, 512, 1024, 0, 14, 1.30e9, 204e9, 1536, 16, 164},
    {89, 256, 512, 1024, 2048, 14, 2.52e9, 864e9, 1536, 24, 100},
    {90, 256, 1368, 2724, 1468, 31, 1.755e9, 3352e9, 2048, 32, 228},
    {100, 256, 1368, 2724, 1468, 31, 1.85e9, 8000e9, 2048, 32, 228},
    {120, 256, 512, 1024, 2048, 14, 2.41e9, 1792e9, 1536, 24, 100},
};

const nvidia_rates *nvidia_rates_of(int capability) {
    const nvidia_rates *found = &table[0];
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].capability <= capability) found = &table[i];
    return found;
}

void nvidia_describe(int capability, double clock_hz, pave_device_info *info) {
    const nvidia_rates *r = nvidia_rates_of(capability);
    double clocks = (double)info->compute_units * (clock_hz > 0 ? clock_hz : r->clock_hz);
    /* GeForce's matrix units take twice the time where they accumulate in float32; the same chips' other products
     * do not, and no attribute tells them apart. */
    double share = strstr(info->name, "GeForce") ? 0.5 : 1.0;
    info->flops[PAVE_PATH_FMA] = clocks * r->fma;
    info->flops[PAVE_PATH_TF32] = clocks * r->tf32 * share;
    info->flops[PAVE_PATH_F16] = info->flops[PAVE_PATH_BF16] = clocks * r->half * share;
    info->flops[PAVE_PATH_F8] = clocks * r->float8 * share;
    info->l2_bytes_per_s = clocks * r->l2;
}
