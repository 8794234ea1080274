/* SPDX-License-Identifier: Apache-2.0
 * How blocks that have the slices of one tile's k make one tile of them: each leaves its sums in memory, and the last to come adds
 * all of them in the slices' order, whoever it is, so that bits do not depend on who is late. */
#ifndef PAVE_KERNELS_GEMM_MMA_JOIN_CUH
#define PAVE_KERNELS_GEMM_MMA_JOIN_CUH

#include "kernels/cuda/raster.cuh"

namespace pave {

/* Leaves this block's sums, and says whether it is the last of its tile: then they are all slices' sums, and the job is the whole
 * product's. A thread's quads lie THREADS apart, so that a warp writes and reads whole lines. The whole block takes part. */
template <class T>
__device__ __forceinline__ bool mma_join(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                         tile_job &job, float (&acc)[T::MI][T::NI][4]) {
    constexpr int QUADS = T::MI * T::NI;
    const int slices = job.joined;
    float4 *first = reinterpret_cast<float4 *>(static_cast<char *>(buffers.p) + args.p_offset) +
                    job.p_index * slices * (QUADS * T::THREADS) + threadIdx.x;
    float4 *own = first + job.batch[0] * (QUADS * T::THREADS);
#pragma unroll
    for (int q = 0; q < QUADS; q++) {
        const float(&v)[4] = acc[q / T::NI][q % T::NI];
        own[q * T::THREADS] = make_float4(v[0], v[1], v[2], v[3]);
    }
    __threadfence();
    __syncthreads();
    int last = 0;
    if (threadIdx.x == 0) {
        unsigned *count = static_cast<unsigned *>(const_cast<void *>(buffers.g)) + job.p_index;
        last = atomicInc(count, static_cast<unsigned>(slices - 1)) == static_cast<unsigned>(slices - 1);
        if (last) job.batch[0] = 0;
    }
    if (!__syncthreads_or(last)) return false;
    __threadfence();
#pragma unroll
    for (int e = 0; e < QUADS * 4; e++) acc[e / 4 / T::NI][e / 4 % T::NI][e % 4] = 0.0f;
#pragma unroll 1
    for (int s = 0; s < slices; s++, first += QUADS * T::THREADS) {
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            const float4 part = __ldcg(first + q * T::THREADS);
            float(&v)[4] = acc[q / T::NI][q % T::NI];
            v[0] += part.x, v[1] += part.y, v[2] += part.z, v[3] += part.w;
        }
    }
    return true;
}

} // namespace pave

#endif
