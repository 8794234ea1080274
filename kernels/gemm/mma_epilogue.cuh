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

    /* This lane's first, in the tile. */
    __device__ __forceinline__ static int row() {
        return static_cast<int>(threadIdx.x) / 32 / T::WARPS_N * T::WM +
               static_cast<int>(threadIdx.x) % 32 / 4;
    }
    __device__ __forceinline__ static int col() {
        return static_cast<int>(threadIdx.x) / 32 % T::WARPS_N * T::WN +
               static_cast<int>(threadIdx.x) % 4 * 4;
    }

    __device__ __forceinline__ int columns(const tile_job &job, int j) const {
        const int64_t left = job.n - job.col - col() - j * 16;
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
            const char *at =
                static_cast<const char *>(buffers.b) + job.b_scale + (job.col + col() + j * 16) * 4;
            if (job.b_scale != 0 && columns(job, j) > 0) quad_load(at, PAVE_T_F32, columns(job, j), b[j]);
        }
#pragma unroll
        for (int i = 0; i < T::MI * 2; i++) {
            const int64_t row = job.row + this->row() + i * 8;
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

    /* `what` of every accumulator of row i of the warp's tiles. */
    template <class F> __device__ __forceinline__ void each(int i, F what) {
#pragma unroll
        for (int e = 0; e < T::NI * 4; e++) what(acc[i][e / 4][e % 4], e / 8, e / 4 % 2 * 2 + e % 2);
    }

    /* The same row added to all rows: a bias. */
    __device__ __forceinline__ void add_row(const pave_abi_link &link, const void *tensor,
                                            const tile_job &job) {
        const char *base = element_at(static_cast<const char *>(tensor) + link.t.offset, link.type,
                                      batch_offset(link.t, job.batch));
        float row[T::NI / 2][4];
        const char *first = element_at(base, link.type, (job.col + col()) * link.t.col);
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
        for (int i = 0; i < T::MI; i++) each(i, [&](float &v, int j, int c) { v += link.a * row[j][c]; });
    }

    /* Whether `what` is done by a few instructions a value; other activations wait for the parts, as there would be a copy
     * of them for each accumulator. */
    __device__ __forceinline__ static bool is_short(const pave_abi_link &link) {
        return link.op == PAVE_LINK_RELU || link.op == PAVE_LINK_SIGMOID || link.op == PAVE_LINK_SILU ||
               (link.op == PAVE_LINK_MUL && link.operand == PAVE_OPERAND_SCALAR);
    }

    /* Such a link. It is asked anew for each row of tiles: what is done to all of them in one stretch, the assembler
     * interleaves until registers spill. */
    __device__ __forceinline__ void apply(const pave_abi_link &link) {
        const float a = link.a;
#pragma unroll
        for (int i = 0; i < T::MI; i++) {
            int op = link.op;
            forget(op);
            if (op == PAVE_LINK_RELU)
                each(i, [](float &v, int, int) { v = v < 0.0f ? 0.0f : v; });
            else if (op == PAVE_LINK_SIGMOID)
                each(i, [](float &v, int, int) { v = sigmoid(v); });
            else if (op == PAVE_LINK_SILU)
                each(i, [](float &v, int, int) { v *= sigmoid(v); });
            else
                each(i, [=](float &v, int, int) { v *= a; });
        }
    }

    /* A first bias, and short links behind it. Returns how many. */
    __device__ __forceinline__ int links(const pave_abi_gemm &args, const tensors &t, const tile_job &job) {
        int done = 0;
        if (args.link_count > 0 && args.links[0].op == PAVE_LINK_ADD &&
            args.links[0].operand == PAVE_OPERAND_ROW) {
            add_row(args.links[0], t.t0, job);
            done = 1;
        }
#pragma unroll 1
        for (; done < args.link_count && is_short(args.links[done]); done++) apply(args.links[done]);
        return done;
    }

    /* Whether the tile's rows and columns are all there, and lie where quads of y can. */
    __device__ __forceinline__ bool stores(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                           const tile_job &job) const {
        const int bytes = element_bytes(args.y_type);
        const int64_t first = reinterpret_cast<int64_t>(buffers.y) + job.y_offset;
        return (args.y_type == PAVE_T_F32 || element_is_half(args.y_type)) &&
               job.row + T::BM <= job.row_end && job.col + T::BN <= job.n &&
               ((first | job.y_row) & (4 * bytes - 1)) == 0;
    }

    template <int TYPE>
    __device__ __forceinline__ void store(const gemm_buffers &buffers, const tile_job &job) const {
        char *at = static_cast<char *>(buffers.y) + job.y_offset + (job.row + row()) * job.y_row +
                   (job.col + col()) * element_bytes(TYPE);
        const int64_t down = 8 * job.y_row;
#pragma unroll
        for (int i = 0; i < T::MI * 2; i++, at += down)
#pragma unroll
            for (int j = 0; j < T::NI; j += 2) {
                const float *low = &acc[i / 2][j][i % 2 * 2], *high = &acc[i / 2][j + 1][i % 2 * 2];
                const float v[4] = {low[0], low[1], high[0], high[1]};
                quad_put<put_plainly>(at + j * 8 * element_bytes(TYPE), TYPE, v);
            }
    }

    /* Stores the whole tile. */
    __device__ __forceinline__ void store(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                          const tile_job &job) const {
        if (args.y_type == PAVE_T_F16)
            store<PAVE_T_F16>(buffers, job);
        else if (args.y_type == PAVE_T_BF16)
            store<PAVE_T_BF16>(buffers, job);
        else
            store<PAVE_T_F32>(buffers, job);
    }

    /* The states of logsumexp. What lies beyond the last column adds nothing. */
    __device__ __forceinline__ void fold_exp(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                             const tile_job &job) {
        const int64_t slice = (job.col + col()) / T::WN;
        if (slice >= args.slots) return;
        if (job.col + T::BN > job.n) {
#pragma unroll
            for (int i = 0; i < T::MI; i++)
                each(i, [&](float &v, int j, int c) { v = c < columns(job, j) ? v : -PV_INF; });
        }
#pragma unroll
        for (int i = 0; i < T::MI * 2; i++) {
            float top = -PV_BIG, sum = 0.0f;
#pragma unroll
            for (int j = 0; j < T::NI * 2; j++) top = PV_MAX(top, acc[i / 2][j / 2][i % 2 * 2 + j % 2]);
            top = PV_MIN(top, PV_BIG);
#pragma unroll
            for (int j = 0; j < T::NI * 2; j++) sum += exp_term(acc[i / 2][j / 2][i % 2 * 2 + j % 2] - top);
            const float2 all = state_merge_lanes<4>(PAVE_REDUCE_LOGSUMEXP, make_float2(top, sum));
            const int64_t row = job.row + this->row() + i * 8;
            if (threadIdx.x % 4 == 0 && row < job.row_end) state_store(args, buffers, job, row, slice, all);
        }
    }
};

template <class T>
__device__ __forceinline__ void mma_epilogue(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                             const tensors &t, const tile_job &job,
                                             float (&acc)[T::MI][T::NI][4]) {
    mma_whole<T> whole = {acc};
    epilogue_done done = {!T::SCALED || whole.scale(args, buffers, job), 0};
    if (done.scaled) done.links = whole.links(args, t, job);
    if (done.links == args.link_count && done.scaled) {
        const bool keeps = args.y_type != PAVE_T_NONE;
        if (keeps && args.reduce == PAVE_REDUCE_NONE && whole.stores(args, buffers, job))
            return whole.store(args, buffers, job);
        if (!keeps && args.reduce == PAVE_REDUCE_LOGSUMEXP) return whole.fold_exp(args, buffers, job);
    }
#pragma unroll 1
    for (int i = 0; i < T::MI / 2; i++) {
        row_states<4> states(args.reduce);
        patch<4, 4> x;
#pragma unroll
        for (int r = 0; r < 4; r++) x.row[r] = job.row + whole.row() + i * 32 + r * 8;
        epilogue_rows<4>(buffers, job, x);
#pragma unroll 1
        for (int j = 0; j < T::NI / 2; j++) {
            mma_part<T>(x.v, acc, i * (T::NI / 2) + j);
            x.col = job.col + whole.col() + j * 16;
            epilogue_values<4, T::SCALED>(args, buffers, t, job, x, done);
            states.fold(x);
        }
        states.template store<4>(args, buffers, job, (job.col + whole.col()) / T::WN, x);
    }
}

} // namespace pave

#endif
