/* SPDX-License-Identifier: Apache-2.0
 * What no driver tells of an NVIDIA GPU, by its compute capability: for every backend that finds one. */
#ifndef PAVE_BACKENDS_NVIDIA_H
#define PAVE_BACKENDS_NVIDIA_H

#include <pave/device.h>

/* The oldest compute capability that kernels for NVIDIA's own instructions are for. */
#define NVIDIA_OLDEST 80

/* Of one SM and clock; operations (multiply-add: 2), dense, float32 accumulation. The clock and the memory's rate
 * stand in where a driver tells none. */
typedef struct nvidia_rates {
    int capability;
    double fma, tf32, half, float8; /* float8 0: none */
    double l2;                      /* bytes */
    double clock_hz, memory_bytes_per_s;
    int threads, blocks, shared_kib; /* that an SM holds */
} nvidia_rates;

/* Of `capability`, or of the one known that comes before it. */
const nvidia_rates *nvidia_rates_of(int capability);
/* Fills the rates of the arithmetic paths and of the L2 for a GPU that is known by name, units and capability. */
void nvidia_describe(int capability, double clock_hz, pave_device_info *info);

#endif
