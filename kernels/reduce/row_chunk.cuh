/* SPDX-License-Identifier: Apache-2.0
 * A chunk along one row: quads of consecutive columns, which the members of the row's team load, work on and store. They may
 * wait in shared memory meanwhile. Alignment: none needed; quads that lie on a multiple of their size move at once. */
#ifndef PAVE_KERNELS_REDUCE_ROW_CHUNK_CUH
#define PAVE_KERNELS_REDUCE_ROW_CHUNK_CUH

#include "kernels/cuda/epilogue.cuh"
#include "kernels/reduce/chunk.cuh"

namespace pave {

/* A member's quads of a chunk along its row, MEMBERS quads apart. */
template <int MEMBERS, int QUADS> struct row_chunk : chunk_values<1, QUADS> {
    static constexpr int SPAN = 4 * MEMBERS * QUADS;
    using chunk_values<1, QUADS>::v;

    const char *x; /* column 0 */
    int64_t step;  /* elements from column to column */
    int64_t cols;
    int type, member;

    __device__ __forceinline__ row_chunk(const pave_abi_rows &args, const void *from, const row_place &place,
                                         int member_)
        : x(static_cast<const char *>(from) + place_offset(args.x, args.x_type, place, 0)), step(args.x.col),
          cols(place.row < args.rows ? args.cols : 0), type(args.x_type), member(member_) {
    }

    /* No column from `end` on is the chunk's. */
    __device__ __forceinline__ void end_at(int64_t end) {
        cols = end < cols ? end : cols;
    }

    /* How many of quad q's columns the row has, at most 4 and maybe less than 0, for a chunk from column `first` on. */
    __device__ __forceinline__ int count(int64_t first, int q) const {
        const int near = cols - first < SPAN ? static_cast<int>(cols - first) : SPAN;
        const int left = near - 4 * member - 4 * MEMBERS * q;
        return left < 4 ? left : 4;
    }

    __device__ __forceinline__ bool here(int64_t first, int q, int c) const {
        return c < count(first, q);
    }

    /* Whole quads. Every load is on its way before the first is waited for. ONCE: no pass reads them again. */
    template <int TYPE, bool ONCE> __device__ __forceinline__ void load_wide(int64_t first, float fill) {
        const char *p = x + (first + 4 * member) * element_bytes(TYPE);
        quad_bits<TYPE> quads[QUADS];
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            const auto *at =
                reinterpret_cast<const quad_bits<TYPE> *>(p + 4 * MEMBERS * q * element_bytes(TYPE));
            quads[q].clear();
            if (count(first, q) > 0) quads[q].bits = ONCE ? __ldcs(&at->bits) : at->bits;
        }
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            quads[q].unpack(v[q]);
#pragma unroll
            for (int c = 0; c < 4; c++) v[q][c] = count(first, q) > 0 ? v[q][c] : fill;
        }
    }

    template <int TYPE, bool ONCE> __device__ __forceinline__ void load_typed(int64_t first, float fill) {
        if (step == 1 && cols % 4 == 0 && quad_aligned(x, TYPE)) {
            load_wide<TYPE, ONCE>(first, fill);
            return;
        }
        const char *p = element_at(x, TYPE, (first + 4 * member) * step);
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
#pragma unroll
            for (int c = 0; c < 4; c++)
                v[q][c] = c < count(first, q) ? element_load(element_at(p, TYPE, c * step), TYPE) : fill;
            p = element_at(p, TYPE, 4 * MEMBERS * step);
        }
    }

    /* `fill` stands beyond the row's end. */
    template <bool ONCE> __device__ __forceinline__ void load(int64_t first, float fill) {
        if (type == PAVE_T_F16)
            load_typed<PAVE_T_F16, ONCE>(first, fill);
        else if (type == PAVE_T_BF16)
            load_typed<PAVE_T_BF16, ONCE>(first, fill);
        else
            load_typed<PAVE_T_F32, ONCE>(first, fill);
    }

    /* This member's quads to shared memory, from where it takes them back when they have come (copy_wait): whole quads are
     * copied there meanwhile. */
    template <int TYPE> __device__ __forceinline__ void put_aside_typed(char *stage, int64_t first) {
        constexpr int BYTES = 4 * element_bytes(TYPE);
        if (step == 1 && cols % 4 == 0 && quad_aligned(x, TYPE)) {
            const char *p = x + (first + 4 * member) * element_bytes(TYPE);
            const uint32_t to = shared_address(stage) + member * BYTES;
#pragma unroll
            for (int q = 0; q < QUADS; q++)
                copy_async_if<BYTES>(to + q * MEMBERS * BYTES, p + q * MEMBERS * BYTES, BYTES,
                                     count(first, q) > 0);
            return;
        }
        load_typed<TYPE, true>(first, 0.0f);
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            quad_bits<TYPE> quad;
            quad.pack(v[q]);
            reinterpret_cast<quad_bits<TYPE> *>(stage)[q * MEMBERS + member] = quad;
        }
    }

    __device__ __forceinline__ void put_aside(char *stage, int64_t first) {
        if (type == PAVE_T_F16)
            put_aside_typed<PAVE_T_F16>(stage, first);
        else if (type == PAVE_T_BF16)
            put_aside_typed<PAVE_T_BF16>(stage, first);
        else
            put_aside_typed<PAVE_T_F32>(stage, first);
    }

    template <int TYPE>
    __device__ __forceinline__ void take_back_typed(const char *stage, int64_t first, float fill) {
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            reinterpret_cast<const quad_bits<TYPE> *>(stage)[q * MEMBERS + member].unpack(v[q]);
#pragma unroll
            for (int c = 0; c < 4; c++) v[q][c] = c < count(first, q) ? v[q][c] : fill;
        }
    }

    __device__ __forceinline__ void take_back(const char *stage, int64_t first, float fill) {
        if (type == PAVE_T_F16)
            take_back_typed<PAVE_T_F16>(stage, first, fill);
        else if (type == PAVE_T_BF16)
            take_back_typed<PAVE_T_BF16>(stage, first, fill);
        else
            take_back_typed<PAVE_T_F32>(stage, first, fill);
    }

    template <int TYPE> __device__ __forceinline__ void store_wide(char *y, int64_t first) const {
        char *p = y + (first + 4 * member) * element_bytes(TYPE);
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            quad_bits<TYPE> quad;
            quad.pack(v[q]);
            auto *at = reinterpret_cast<quad_bits<TYPE> *>(p + 4 * MEMBERS * q * element_bytes(TYPE));
            if (count(first, q) > 0) __stcs(&at->bits, quad.bits);
        }
    }

    /* Whole quads, to where they lie in whole quads. */
    __device__ __forceinline__ void store_whole(char *y, int type, int64_t first) const {
        if (type == PAVE_T_F16)
            store_wide<PAVE_T_F16>(y, first);
        else if (type == PAVE_T_BF16)
            store_wide<PAVE_T_BF16>(y, first);
        else if (type == PAVE_T_E4M3)
            store_wide<PAVE_T_E4M3>(y, first);
        else if (type == PAVE_T_E5M2)
            store_wide<PAVE_T_E5M2>(y, first);
        else
            store_wide<PAVE_T_F32>(y, first);
    }

    /* Through the links, which are one loop's body to which the quads come in turn: a copy of them for each would not fit the
     * instruction cache. */
    __device__ __forceinline__ void store_linked(const pave_abi_rows &args, const tensors &t, char *y,
                                                 const row_place &place, int64_t first) {
        patch<1, 4> four;
        four.row[0] = place.row;
#pragma unroll
        for (int d = 0; d < PAVE_BATCH_DIMS; d++) four.batch[d] = place.batch[d];
#pragma unroll 1
        for (int q = 0; q < QUADS; q++) {
            const int left = count(first, q);
            if (left <= 0) break;
            four.col = first + 4 * (MEMBERS * q + member);
            four.valid[0] = four.cols_valid = left;
#pragma unroll
            for (int c = 0; c < 4; c++) four.v[0][c] = v[0][c];
            chain_apply<1, 4>(args.links, args.link_count, t, four);
            quad_scatter(y + four.col * args.y.col * element_bytes(args.y_type), args.y_type, args.y.col,
                         left, four.v[0]);
            this->shift();
        }
    }

    __device__ __forceinline__ void store(const pave_abi_rows &args, const tensors &t, void *to,
                                          const row_place &place, int64_t first) {
        char *y = static_cast<char *>(to) + place_offset(args.y, args.y_type, place, 0);
        if (args.link_count == 0 && args.y.col == 1 && args.cols % 4 == 0 && quad_aligned(y, args.y_type))
            store_whole(y, args.y_type, first);
        else
            store_linked(args, t, y, place, first);
    }
};

} // namespace pave

#endif
