/* SPDX-License-Identifier: Apache-2.0
 * What an instruction path reaches with its operands in registers: rows of PAVE_PEAK_CUDA_ROWS. A round is
 * eight independent chains, enough to cover the latency with a few warps. Operands are small, finite and not
 * constant, as a multiplication by zero draws less power than real work. */
#include "kernels/cuda/ptx.cuh"
#include "kernels/abi.h"
#include "kernels/peak/rows.h"

/* What PAVE_KERNEL's path argument selects; the numbers are this file's own. */
#define PAVE_PEAK_PATH_FMA 0
#define PAVE_PEAK_PATH_TF32 1
#define PAVE_PEAK_PATH_F16 2
#define PAVE_PEAK_PATH_BF16 3
#define PAVE_PEAK_PATH_F8 4

namespace pave {

constexpr int PEAK_CHAINS = 8;

/* 64 multiply-adds a thread and round, that is 128 operations. */
__device__ __forceinline__ float peak_fma(int64_t iterations) {
    float acc[PEAK_CHAINS];
    const float a = 0.999f - 1e-6f * threadIdx.x, b = 1e-3f + 1e-6f * threadIdx.x;
#pragma unroll
    for (int c = 0; c < PEAK_CHAINS; c++) acc[c] = static_cast<float>(c);
#pragma unroll 1
    for (int64_t i = 0; i < iterations; i++) {
#pragma unroll
        for (int round = 0; round < 8; round++)
#pragma unroll
            for (int c = 0; c < PEAK_CHAINS; c++) fma_kept(acc[c], a, b);
    }
    float sum = 0.0f;
#pragma unroll
    for (int c = 0; c < PEAK_CHAINS; c++) sum += acc[c];
    return sum;
}

/* Two values between 1 and 2, or one, in PATH's encoding. */
template <int PATH> __device__ __forceinline__ uint32_t peak_operand(uint32_t seed) {
    const uint32_t noise = (seed * 32 + threadIdx.x) * 2654435761u;
    if (PATH == PAVE_PEAK_PATH_TF32) return 0x3f800000u | (noise & 0x007fe000u);
    if (PATH == PAVE_PEAK_PATH_F16) return 0x3c003c00u | (noise & 0x03ff03ffu);
    if (PATH == PAVE_PEAK_PATH_F8) return 0x38383838u | (noise & 0x07070707u);
    return 0x3f803f80u | (noise & 0x007f007fu);
}

/* No two products of float8 are alike, since where sums are added apart assemblers would form but one for all chains. */
template <int PATH> __device__ __forceinline__ float peak_mma(int64_t iterations) {
    float acc[PEAK_CHAINS][4] = {};
    uint32_t a[4], b[2];
#pragma unroll
    for (int i = 0; i < 4; i++) a[i] = peak_operand<PATH>(i);
#pragma unroll
    for (int i = 0; i < 2; i++) b[i] = peak_operand<PATH>(4 + i);
#pragma unroll 4
    for (int64_t i = 0; i < iterations; i++) {
#pragma unroll
        for (int c = 0; c < PEAK_CHAINS; c++) {
            if (PATH == PAVE_PEAK_PATH_TF32)
                multiply_tf32(acc[c], a, b[0], b[1]);
            else if (PATH == PAVE_PEAK_PATH_F16)
                multiply_f16(acc[c], a, b[0], b[1]);
            else if (PATH == PAVE_PEAK_PATH_F8)
                multiply_e4m3(acc[c], a, b[0] ^ ((static_cast<uint32_t>(i) * PEAK_CHAINS + c) & 0x07070707u),
                              b[1]);
            else
                multiply_bf16(acc[c], a, b[0], b[1]);
        }
    }
    float sum = 0.0f;
#pragma unroll
    for (int c = 0; c < PEAK_CHAINS; c++) sum += acc[c][0] + acc[c][1] + acc[c][2] + acc[c][3];
    return sum;
}

template <int PATH, int FLOPS> __device__ __forceinline__ void peak_run(const pave_abi_peak &args, void *y) {
    constexpr int expected = PATH == PAVE_PEAK_PATH_FMA    ? 2 * 8 * PEAK_CHAINS
                             : PATH == PAVE_PEAK_PATH_TF32 ? 2 * 16 * 8 * 8 * PEAK_CHAINS / 32
                             : PATH == PAVE_PEAK_PATH_F8   ? 2 * 16 * 8 * 32 * PEAK_CHAINS / 32
                                                           : 2 * 16 * 8 * 16 * PEAK_CHAINS / 32;
    static_assert(FLOPS == expected, "the table says what a round is");
    float sum;
    if constexpr (PATH == PAVE_PEAK_PATH_FMA)
        sum = peak_fma(args.iterations);
    else
        sum = peak_mma<PATH>(args.iterations);
    if (args.never != 0) static_cast<float *>(y)[threadIdx.x] = sum;
}

} // namespace pave

#define PAVE_KERNEL(NAME, PATH, THREADS, FLOPS)                     \
    extern "C" __global__ void __launch_bounds__(THREADS)           \
        NAME(const __grid_constant__ pave_abi_peak args, void *y) { \
        pave::follow_launches();                                    \
        pave::peak_run<PAVE_PEAK_PATH_##PATH, FLOPS>(args, y);      \
    }
PAVE_PEAK_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
