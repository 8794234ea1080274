/* SPDX-License-Identifier: Apache-2.0
 * The gemm family's rows. Tiles are defined here and nowhere else: the .cu file instantiates its templates from
 * the CUDA lists, the OpenCL sources get -D options from the row.
 *
 * PAVE_GEMM_MMA_ROWS(X): X(name, path, a, b, bm, bn, bk, wm, wn, stages, registers, efficiency)
 *   a, b: an operand's type in memory: F16, BF16, E4M3, E5M2; TF32, rounded before; F32, rounded as fragments load; F16X2,
 *   two float16 for a float32, three products for one, so a third of the path's peak at most. path E4M3 is all of float8's.
 * PAVE_GEMM_SIMT_ROWS(X): X(name, in, layout, bm, bn, bk, wm, wn, stages, registers, efficiency)
 *   in: F32, F16, BF16, E4M3, E5M2. layout: ROWS, k contiguous and rows aligned to 16 bytes; ANY, which is any strides too.
 * PAVE_GEMM_DOT_ROWS(X): X(name, in, bm, bn, bk, stages, registers, efficiency)
 *   in: as SIMT. Few rows, k contiguous. A warp for four columns and 512 bytes of bk; stages × bk of a column are under way.
 *   Beyond one row of A those of two-byte types are for HIGHEST, which matrix units do not keep.
 * PAVE_GEMM_FEW_ROWS(X): X(name, in, a, bm, bn, bk, stages, registers, efficiency)
 *   in: F16, BF16. The same on the matrix units. A warp for all columns and 64 elements of bk. a: A's type in memory: as in, or
 *   F32, rounded to tf32 as it is multiplied.
 * PAVE_GEMM_CL_ROWS(X): X(name, kind, in, bm, bn, bk, wm, wn, threads, registers, efficiency, source)
 *   in: as SIMT. kind: GPU: work-groups with local-memory tiles, wm × wn outputs an item; CPU: one item a group, register
 *   tile wm × wn. Any alignment. registers: the most that a compiler that can be told may use; 0: any.
 *   The CPUs' tile fills half a core's second-level cache, which PoCL calls local memory, of 1 MB; the small one is for those
 *   of 256 KB and for products of fewer tiles than there are cores.
 * PAVE_GEMM_PTX_ROWS(X): as MMA, in OpenCL C with inline PTX, within the 48 KiB of an OpenCL work-group.
 * PAVE_GEMM_PTX_FMA_ROWS(X): X(name, bm, bn, bk, wm, wn, stages, registers, efficiency)
 *   float32 on the ordinary units, copied asynchronously as the PTX rows are; wm × wn: a warp's. */
#ifndef PAVE_KERNELS_GEMM_ROWS_H
#define PAVE_KERNELS_GEMM_ROWS_H

#define PAVE_GEMM_MMA_ROWS(X)                                                                   \
    X(pave_gemm_mma_256x128x16_tf32, TF32, TF32, TF32, 256, 128, 16, 64, 64, 4, 255, 0.95)      \
    X(pave_gemm_mma_128x128x16_tf32, TF32, TF32, TF32, 128, 128, 16, 64, 64, 3, 255, 0.90)      \
    X(pave_gemm_mma_128x128x16_f32, TF32, F32, TF32, 128, 128, 16, 64, 64, 3, 255, 0.80)        \
    X(pave_gemm_mma_128x128x16_f32_f32, TF32, F32, F32, 128, 128, 16, 64, 64, 3, 255, 0.68)     \
    X(pave_gemm_mma_64x64x32_f32, TF32, F32, F32, 64, 64, 32, 32, 32, 3, 168, 0.65)             \
    X(pave_gemm_mma_256x128x32_f16, F16, F16, F16, 256, 128, 32, 64, 64, 4, 255, 0.95)          \
    X(pave_gemm_mma_128x128x32_f16, F16, F16, F16, 128, 128, 32, 64, 64, 3, 255, 0.90)          \
    X(pave_gemm_mma_64x64x64_f16, F16, F16, F16, 64, 64, 64, 32, 32, 3, 168, 0.80)              \
    X(pave_gemm_mma_256x128x32_bf16, BF16, BF16, BF16, 256, 128, 32, 64, 64, 4, 255, 0.95)      \
    X(pave_gemm_mma_128x128x32_bf16, BF16, BF16, BF16, 128, 128, 32, 64, 64, 3, 255, 0.90)      \
    X(pave_gemm_mma_64x64x64_bf16, BF16, BF16, BF16, 64, 64, 64, 32, 32, 3, 168, 0.80)          \
    X(pave_gemm_mma_128x128x64_e4m3, E4M3, E4M3, E4M3, 128, 128, 64, 64, 64, 3, 255, 0.85)      \
    X(pave_gemm_mma_64x64x128_e4m3, E4M3, E4M3, E4M3, 64, 64, 128, 32, 32, 3, 168, 0.70)        \
    X(pave_gemm_mma_128x128x64_e5m2, E4M3, E5M2, E5M2, 128, 128, 64, 64, 64, 3, 255, 0.85)      \
    X(pave_gemm_mma_64x64x128_e5m2, E4M3, E5M2, E5M2, 64, 64, 128, 32, 32, 3, 168, 0.70)        \
    X(pave_gemm_mma_128x128x64_e4m3_e5m2, E4M3, E4M3, E5M2, 128, 128, 64, 64, 64, 3, 255, 0.85) \
    X(pave_gemm_mma_128x128x64_e5m2_e4m3, E4M3, E5M2, E4M3, 128, 128, 64, 64, 64, 3, 255, 0.85) \
    X(pave_gemm_mma_128x64x16_f16x2, F16X2, F16X2, F16X2, 128, 64, 16, 64, 32, 4, 240, 0.285)

#define PAVE_GEMM_SIMT_ROWS(X)                                                    \
    X(pave_gemm_simt_128x128x8_f32, F32, ROWS, 128, 128, 8, 64, 64, 4, 255, 0.70) \
    X(pave_gemm_simt_64x64x16_f32, F32, ANY, 64, 64, 16, 32, 32, 4, 128, 0.60)    \
    X(pave_gemm_simt_64x64x16_f16, F16, ANY, 64, 64, 16, 32, 32, 4, 128, 0.40)    \
    X(pave_gemm_simt_64x64x16_bf16, BF16, ANY, 64, 64, 16, 32, 32, 4, 128, 0.40)  \
    X(pave_gemm_simt_64x64x16_e4m3, E4M3, ANY, 64, 64, 16, 32, 32, 4, 128, 0.40)  \
    X(pave_gemm_simt_64x64x16_e5m2, E5M2, ANY, 64, 64, 16, 32, 32, 4, 128, 0.40)

#define PAVE_GEMM_DOT_ROWS(X)                                \
    X(pave_gemm_dot_1x4_f32, F32, 1, 4, 512, 2, 64, 0.30)    \
    X(pave_gemm_dot_1x4_f16, F16, 1, 4, 1024, 2, 64, 0.30)   \
    X(pave_gemm_dot_1x4_bf16, BF16, 1, 4, 1024, 2, 64, 0.30) \
    X(pave_gemm_dot_8x4_f32, F32, 8, 4, 512, 1, 96, 0.30)    \
    X(pave_gemm_dot_8x4_f16, F16, 8, 4, 1024, 1, 96, 0.25)   \
    X(pave_gemm_dot_8x4_bf16, BF16, 8, 4, 1024, 1, 96, 0.25)

#define PAVE_GEMM_FEW_ROWS(X)                                            \
    X(pave_gemm_few_8x16_f16, F16, F16, 8, 16, 1024, 1, 64, 0.12)        \
    X(pave_gemm_few_8x32_f16_f32, F16, F32, 8, 32, 1024, 1, 128, 0.12)   \
    X(pave_gemm_few_8x16_bf16, BF16, BF16, 8, 16, 1024, 1, 64, 0.12)     \
    X(pave_gemm_few_16x32_f16, F16, F16, 16, 32, 1024, 1, 128, 0.24)     \
    X(pave_gemm_few_16x32_f16_f32, F16, F32, 16, 32, 1024, 1, 128, 0.24) \
    X(pave_gemm_few_16x32_bf16, BF16, BF16, 16, 32, 1024, 1, 128, 0.24)  \
    X(pave_gemm_few_32x32_f16, F16, F16, 32, 32, 1024, 1, 128, 0.48)     \
    X(pave_gemm_few_32x32_bf16, BF16, BF16, 32, 32, 1024, 1, 128, 0.48)

#define PAVE_GEMM_PTX_ROWS(X)                                                              \
    X(pave_gemm_ptx_128x128x16_tf32, TF32, TF32, TF32, 128, 128, 16, 64, 64, 3, 255, 0.90) \
    X(pave_gemm_ptx_128x128x16_f32, TF32, F32, TF32, 128, 128, 16, 64, 64, 3, 255, 0.80)   \
    X(pave_gemm_ptx_64x64x32_f32, TF32, F32, F32, 64, 64, 32, 32, 32, 3, 168, 0.65)        \
    X(pave_gemm_ptx_128x128x32_f16, F16, F16, F16, 128, 128, 32, 64, 64, 3, 255, 0.90)     \
    X(pave_gemm_ptx_64x64x64_f16, F16, F16, F16, 64, 64, 64, 32, 32, 3, 168, 0.80)         \
    X(pave_gemm_ptx_128x128x32_bf16, BF16, BF16, BF16, 128, 128, 32, 64, 64, 3, 255, 0.90) \
    X(pave_gemm_ptx_64x64x64_bf16, BF16, BF16, BF16, 64, 64, 64, 32, 32, 3, 168, 0.80)

#define PAVE_GEMM_PTX_FMA_ROWS(X)                                     \
    X(pave_gemm_fma_128x128x8_f32, 128, 128, 8, 64, 64, 4, 255, 0.66) \
    X(pave_gemm_fma_64x64x16_f32, 64, 64, 16, 32, 32, 4, 168, 0.61)

#define PAVE_GEMM_CL_ROWS(X)                                                                  \
    X(pave_gemm_cpu_12x32_f32, CPU, F32, 264, 256, 256, 12, 32, 1, 0, 0.75, gemm_cpu)         \
    X(pave_gemm_cpu_96x128_f32, CPU, F32, 96, 128, 256, 12, 32, 1, 0, 0.65, gemm_cpu)         \
    X(pave_gemm_cpu_12x32_f16, CPU, F16, 264, 256, 256, 12, 32, 1, 0, 0.75, gemm_cpu)         \
    X(pave_gemm_cpu_12x32_bf16, CPU, BF16, 264, 256, 256, 12, 32, 1, 0, 0.75, gemm_cpu)       \
    X(pave_gemm_tile_128x128x8_f32, GPU, F32, 128, 128, 8, 8, 8, 256, 128, 0.44, gemm_tile)   \
    X(pave_gemm_tile_128x128x8_f16, GPU, F16, 128, 128, 8, 8, 8, 256, 128, 0.36, gemm_tile)   \
    X(pave_gemm_tile_128x128x8_bf16, GPU, BF16, 128, 128, 8, 8, 8, 256, 128, 0.36, gemm_tile) \
    X(pave_gemm_tile_64x64x16_f32, GPU, F32, 64, 64, 16, 4, 4, 256, 128, 0.40, gemm_tile)     \
    X(pave_gemm_tile_64x64x16_f16, GPU, F16, 64, 64, 16, 4, 4, 256, 128, 0.33, gemm_tile)     \
    X(pave_gemm_tile_64x64x16_bf16, GPU, BF16, 64, 64, 16, 4, 4, 256, 128, 0.33, gemm_tile)

#endif
