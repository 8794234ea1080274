/* SPDX-License-Identifier: Apache-2.0
 * What happens to a warp's accumulators behind gemm_mma.cu's main loop, straight from registers: scales and a bias on all of
 * them at once, the rest of the chain, stores and states part by part. It knows how mma.sync lays accumulators out and how
 * rows of B lie in their stage, and nothing of copies. */
#ifndef PAVE_KERNELS_GEMM_MMA_EPILOGUE_CUH
#define PAVE_KERNELS_GEMM_MMA_EPILOGUE_CUH

#include "kernels/cuda/epilogue.cuh"

namespace pave {

/* Part LOW … HIGH - 1 of the accumulators that `part` is: columns 16 j … of rows 32 i …, j varying fastest. Accumulators are
 * registers, so each is named and none indexed; a part is found by halving, as the branches cost less than the selections
 * that the compiler makes of a loop. Lane l holds columns 4 (l % 4) … + 3 of rows l / 4 + 8 r. */
template <class T, int LOW = 0, int HIGH = T::MI / 2 * (T::NI / 2)>
__device__ __forceinline__ void mma_part(float (&v)[4][4], const float (&acc)[T::MI][T::NI][4], int part) {
    if constexpr (HIGH - LOW > 1) {
        constexpr int MIDDLE = (LOW + HIGH) / 2;
        if (part < MIDDLE)
            mma_part<T, LOW, MIDDLE>(v, acc, part);
        else
            mma_part<T, MIDDLE, HIGH>(v, acc, part);
    } else {
        constexpr int I = LOW / (T::NI / 2) * 2, J = LOW % (T::NI / 2) * 2;
#pragma unroll
        for (int e = 0; e < 16; e++) v[e / 4][e % 4] = acc[I + e / 8][J + e / 2 % 2][e / 4 % 2 * 2 + e % 2];
    }
}

/* A warp's whole tile at once: what depends on a row or a column alone is loaded for all of them, so that one latency is
 * waited for and not one a part. */
template <class T> struct mma_whole {
    float (&acc)[T::MI][T::NI][4];
    int64_t row0, col0; /* this lane's first */

    __device__ __forceinline__ int columns(const tile_job &job, int j) const {
        const int64_t left = job.n - col0 - j * 16;
        return left > 4 ? 4 : left < 0 ? 0 : static_cast<int>(left);
    }

    /* By the scales of rows and columns, where all their products are normal numbers. */
    __device__ __forceinline__ bool scale(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                          const tile_job &job) {
        if (!has_scales(args, job)) return true;
        float a[T::MI][2], b[T::NI / 2][4];
#pragma unroll
        for (int j = 0; j < T::NI / 2; j++) {
#pragma unroll
            for (int c = 0; c < 4; c++) b[j][c] = 1.0f;
            const char *at = static_cast<const char *>(buffers.b) + job.b_scale + (col0 + j * 16) * 4;
            if (job.b_scale != 0 && columns(job, j) > 0) quad_load(at, PAVE_T_F32, columns(job, j), b[j]);
        }
#pragma unroll
        for (int i = 0; i < T::MI * 2; i++) {
            const int64_t row = row0 + i * 8;
            a[i / 2][i % 2] = args.scale;
            if (job.a_scale != 0 && row < job.row_end)
                a[i / 2][i % 2] = *reinterpret_cast<const float *>(static_cast<const char *>(buffers.a) +
                                                                   job.a_scale + row * 4);
        }
        float a_low = a[0][0], a_high = a[0][0], b_low = 1.0f, b_high = 1.0f;
#pragma unroll
        for (int i = 1; i < T::MI * 2; i++) {
            a_low = fminf(a_low, a[i / 2][i % 2]);
            a_high = fmaxf(a_high, a[i / 2][i % 2]);
        }
#pragma unroll
        for (int j = 0; j < T::NI * 2; j++) {
            const float v = j % 4 < columns(job, j / 4) ? b[j / 4][j % 4] : 1.0f;
            b[j / 4][j % 4] = v;
            b_low = fminf(b_low, v);
            b_high = fmaxf(b_high, v);
        }
        const bool normal = a_low * b_low >= FLT_MIN && a_high * b_high <= FLT_MAX;
        if (__ballot_sync(0xffffffffu, !normal) != 0) return false;
#pragma unroll
        for (int i = 0; i < T::MI; i++)
#pragma unroll
            for (int j = 0; j < T::NI; j++)
#pragma unroll
                for (int e = 0; e < 4; e++) acc[i][j][e] *= a[i][e / 2] * b[j / 2][j % 2 * 2 + e % 2];
        return true;
    }

    /* A first link that adds the same row to all rows: a bias. */
    __device__ __forceinline__ int add_row(const pave_abi_gemm &args, const tensors &t, const tile_job &job) {
        const pave_abi_link &link = args.links[0];
        if (args.link_count == 0 || link.op != PAVE_LINK_ADD || link.operand != PAVE_OPERAND_ROW) return 0;
        const char *base = element_at(static_cast<const char *>(t.t0) + link.t.offset, link.type,
                                      batch_offset(link.t, job.batch));
        float row[T::NI / 2][4];
        const char *first = element_at(base, link.type, col0 * link.t.col);
        if (link.t.col == 1 && columns(job, T::NI / 2 - 1) == 4 && quad_aligned(first, link.type)) {
#pragma unroll
            for (int j = 0; j < T::NI / 2; j++)
                quad_load(element_at(first, link.type, j * 16), link.type, 4, row[j]);
        } else {
#pragma unroll
            for (int j = 0; j < T::NI / 2; j++)
                operand_load<4>(element_at(first, link.type, j * 16 * link.t.col), link.type, link.t.col,
                                columns(job, j), row[j]);
        }
#pragma unroll
        for (int i = 0; i < T::MI; i++)
#pragma unroll
            for (int j = 0; j < T::NI; j++)
#pragma unroll
                for (int e = 0; e < 4; e++) acc[i][j][e] += link.a * row[j / 2][j % 2 * 2 + e % 2];
        return 1;
    }
};

template <class T>
__device__ __forceinline__ void mma_epilogue(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                             const tensors &t, const tile_job &job,
                                             float (&acc)[T::MI][T::NI][4]) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    mma_whole<T> whole = {acc, job.row + warp / T::WARPS_N * T::WM + lane / 4,
                          job.col + warp % T::WARPS_N * T::WN + lane % 4 * 4};
    epilogue_done done = {!T::SCALED || whole.scale(args, buffers, job), 0};
    if (done.scaled) done.links = whole.add_row(args, t, job);
#pragma unroll 1
    for (int i = 0; i < T::MI / 2; i++) {
        row_states<4> states(args.reduce);
        patch<4, 4> x;
#pragma unroll
        for (int r = 0; r < 4; r++) x.row[r] = whole.row0 + i * 32 + r * 8;
        epilogue_rows<4>(buffers, job, x);
#pragma unroll 1
        for (int j = 0; j < T::NI / 2; j++) {
            mma_part<T>(x.v, acc, i * (T::NI / 2) + j);
            x.col = whole.col0 + j * 16;
            epilogue_values<4, T::SCALED>(args, buffers, t, job, x, done);
            states.fold(x);
        }
        states.template store<4>(args, buffers, job, (whole.col0 - lane % 4 * 4) / T::WN, x);
    }
}

} // namespace pave

#endif
