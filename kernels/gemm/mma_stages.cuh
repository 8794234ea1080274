/* SPDX-License-Identifier: Apache-2.0
 * A warp's way through the stages of gemm_mma.cu's main loop: which is read, which is free, and where its lanes
 * read. What is multiplied is the business of what derives from it. */
#ifndef PAVE_KERNELS_GEMM_MMA_STAGES_CUH
#define PAVE_KERNELS_GEMM_MMA_STAGES_CUH

#include "kernels/cuda/ptx.cuh"

namespace pave {

template <class T> struct mma_stages {
    uint32_t first, end;  /* of the stages */
    uint32_t read, write; /* the stage that is read; the one before, which is free after a barrier */
    uint32_t a_at, b_at;  /* this lane's places at k-step 0 */

    __device__ __forceinline__ void start(uint32_t shared) {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        first = read = shared;
        end = shared + T::STAGES * T::STAGE_BYTES;
        write = end - T::STAGE_BYTES;
        a_at = T::swizzled(warp / T::WARPS_N * T::WM + lane % 16, lane / 16);
        b_at = T::swizzled(warp % T::WARPS_N * T::WN + lane / 16 * 8 + lane % 8, lane / 8 % 2);
    }

    /* Waits for the next k-tile, and for all warps to have read this one. */
    __device__ __forceinline__ void turn() {
        write = read;
        read = read + T::STAGE_BYTES == end ? first : read + T::STAGE_BYTES;
        copy_wait<T::STAGES - 2>();
        __syncthreads();
    }
};

} // namespace pave

#endif
