/* SPDX-License-Identifier: Apache-2.0
 * The peak family's rows: register-only arithmetic, to measure what a path reaches on a device.
 *
 * PAVE_PEAK_CUDA_ROWS(X): X(name, path, threads, flops)   operations a thread and iteration
 * PAVE_PEAK_CL_ROWS(X): X(name, kind, threads, flops, source)
 * PAVE_PEAK_PTX_ROWS(X): as CUDA, in OpenCL C with inline PTX */
#ifndef PAVE_KERNELS_PEAK_ROWS_H
#define PAVE_KERNELS_PEAK_ROWS_H

/* mma m16n8k8 is 2048 operations a warp, m16n8k16 4096, m16n8k32 8192; 8 independent ones an iteration. */
#define PAVE_PEAK_CUDA_ROWS(X)                \
    X(pave_peak_fma_f32, FMA, 256, 128)       \
    X(pave_peak_mma_tf32, TF32, 256, 512)     \
    X(pave_peak_mma_f16, F16, 256, 1024)      \
    X(pave_peak_mma_bf16, BF16, 256, 1024)    \
    X(pave_peak_mma_e4m3, F8, 256, 2048)

#define PAVE_PEAK_CL_ROWS(X)                       \
    X(pave_peak_cpu_f32, CPU, 1, 512, peak)        \
    X(pave_peak_item_f32, GPU, 256, 128, peak)

#define PAVE_PEAK_PTX_ROWS(X)                     \
    X(pave_peak_ptx_tf32, TF32, 256, 512)         \
    X(pave_peak_ptx_f16, F16, 256, 1024)          \
    X(pave_peak_ptx_bf16, BF16, 256, 1024)

#endif
