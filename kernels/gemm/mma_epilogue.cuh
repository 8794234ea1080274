/* SPDX-License-Identifier: Apache-2.0
 * What happens to a warp's accumulators behind gemm_mma.cu's main loop, straight from registers: scales and a bias on all of
 * them at once, the rest of the chain, stores and states part by part. It knows how mma.sync lays accumulators out and how
 * rows of B lie in their stage, and nothing of copies. */
#ifndef PAVE_KERNELS_GEMM_MMA_EPILOGUE_CUH
#define PAVE_KERNELS_GEMM_MMA_EPILOGUE_CUH

#include "kernels/cuda/epilogue.cuh"
#include <type_traits>

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
        if (has_bias(args)) {
            add_row(args.links[0], t.t0, job);
            done = 1;
        }
#pragma unroll 1
        for (; done < args.link_count && is_short(args.links[done]); done++) apply(args.links[done]);
        return done;
    }

    /* Whether y is of a type that whole tiles are stored in. */
    __device__ __forceinline__ static bool stores(const pave_abi_gemm &args) {
        return args.y_type == PAVE_T_F32 || element_is_half(args.y_type);
    }

    /* Whether the tile's columns are all there, and lie where quads of y can. */
    __device__ __forceinline__ static bool has_quads(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                                     const tile_job &job) {
        const int64_t first = reinterpret_cast<int64_t>(buffers.y) + job.y_offset;
        return job.col + T::BN <= job.n && ((first | job.y_row) & (4 * element_bytes(args.y_type) - 1)) == 0;
    }

    /* Eight rows' quads of this lane's, for put(j, quad). */
    template <class F> __device__ __forceinline__ void quads(int i, F put) const {
#pragma unroll
        for (int j = 0; j < T::NI; j += 2) {
            const float *low = &acc[i / 2][j][i % 2 * 2], *high = &acc[i / 2][j + 1][i % 2 * 2];
            const float v[4] = {low[0], low[1], high[0], high[1]};
            put(j * 8, v);
        }
    }

    template <int TYPE>
    __device__ __forceinline__ void store_quads(const gemm_buffers &buffers, const tile_job &job) const {
        constexpr int BYTES = element_bytes(TYPE);
        char *at = static_cast<char *>(buffers.y) + job.y_offset + (job.row + row()) * job.y_row +
                   (job.col + col()) * BYTES;
        const int64_t down = 8 * job.y_row;
        int rows = static_cast<int>(PV_MIN(job.row_end - job.row, T::BM)) - row();
#pragma unroll
        for (int i = 0; i < T::MI * 2; i++, at += down, rows -= 8)
            if (rows > 0)
                quads(i, [&](int c, const float(&v)[4]) { quad_put<put_plainly>(at + c * BYTES, TYPE, v); });
    }

    /* Rows that lie anywhere, element by element: through this warp's part of a stage that is free, eight rows at a time, so that
     * a warp's lanes write neighbours. Between two rows there lie 16 elements more, for which quads of several rows fall into
     * different banks. */
    template <int TYPE>
    __device__ __forceinline__ void store_rows(const gemm_buffers &buffers, const tile_job &job,
                                               char *stage) const {
        constexpr int BYTES = element_bytes(TYPE), PITCH = (T::WN + 16) * BYTES;
        static_assert(8 * PITCH <= T::STAGE_BYTES / T::WARPS, "eight rows of each warp fit into a stage");
        using word = typename std::conditional<BYTES == 4, uint32_t, uint16_t>::type;
        int thread = threadIdx.x;
        forget(thread);
        const int lane = thread % 32, warp = thread / 32;
        char *own = stage + warp * (T::STAGE_BYTES / T::WARPS);
        char *to = own + lane / 4 * PITCH + lane % 4 * (4 * BYTES);
        const char *from = own + lane * BYTES;
        const int64_t top = job.row + warp / T::WARPS_N * T::WM,
                      left = job.col + warp % T::WARPS_N * T::WN + lane;
        char *at = static_cast<char *>(buffers.y) + job.y_offset + top * job.y_row + left * BYTES;
        const int rows = static_cast<int>(PV_MIN(job.row_end - top, T::WM));
        const int columns = static_cast<int>(PV_MIN(job.n - left, T::WN));
#pragma unroll
        for (int i = 0; i < T::MI * 2; i++) {
            quads(i, [&](int c, const float(&v)[4]) { quad_put<put_plainly>(to + c * BYTES, TYPE, v); });
            __syncwarp();
#pragma unroll 4
            for (int r = 0; r < 8; r++, at += job.y_row)
#pragma unroll
                for (int c = 0; c < T::WN; c += 32)
                    if (c < columns && i * 8 + r < rows)
                        *reinterpret_cast<word *>(at + c * BYTES) =
                            *reinterpret_cast<const word *>(from + r * PITCH + c * BYTES);
            __syncwarp();
        }
    }

    template <int TYPE>
    __device__ __forceinline__ void store(const gemm_buffers &buffers, const tile_job &job, char *stage,
                                          bool in_quads) const {
        if (in_quads)
            store_quads<TYPE>(buffers, job);
        else
            store_rows<TYPE>(buffers, job, stage);
    }

    /* Stores the whole tile. */
    __device__ __forceinline__ void store(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                          const tile_job &job, char *stage) const {
        const bool in_quads = has_quads(args, buffers, job);
        if (args.y_type == PAVE_T_F16)
            store<PAVE_T_F16>(buffers, job, stage, in_quads);
        else if (args.y_type == PAVE_T_BF16)
            store<PAVE_T_BF16>(buffers, job, stage, in_quads);
        else
            store<PAVE_T_F32>(buffers, job, stage, in_quads);
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

/* The end of a block's tile. `stage`: one that is free until the next main loop's first barrier. */
template <class T>
__device__ __forceinline__ void mma_epilogue(const pave_abi_gemm &args, const gemm_buffers &buffers,
                                             const tensors &t, const tile_job &job,
                                             float (&acc)[T::MI][T::NI][4], char *stage) {
    mma_whole<T> whole = {acc};
    epilogue_done done = {!T::SCALED || whole.scale(args, buffers, job), 0};
    if (done.scaled) done.links = whole.links(args, t, job);
    if (done.links == args.link_count && done.scaled) {
        const bool keeps = args.y_type != PAVE_T_NONE;
        if (keeps && args.reduce == PAVE_REDUCE_NONE && whole.stores(args))
            return whole.store(args, buffers, job, stage);
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
