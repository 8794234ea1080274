/* SPDX-License-Identifier: Apache-2.0
 * What a member of a block of normalize_slices.cu does in a step: bring its quads of a chunk to shared memory, fold them, and make
 * values of them. */
#ifndef PAVE_KERNELS_REDUCE_SLICE_PART_CUH
#define PAVE_KERNELS_REDUCE_SLICE_PART_CUH

#include "kernels/reduce/held.cuh"
#include "kernels/reduce/row_chunk.cuh"
#include "kernels/reduce/slice_walk.cuh"

namespace pave {

/* A member's part of a step where rows of x and y lie one column behind the other and no link applies. */
template <int TYPE, int MEMBERS, int QUADS> struct dense_part {
    static constexpr int APART = 4 * MEMBERS, SPAN = APART * QUADS, BYTES = element_bytes(TYPE);

    const pave_abi_rows &args;
    const slice_walk &walk;
    int member;
    float v[4 * QUADS];

    const slice_row *row;
    int64_t at; /* its first place in the slice */
    int n;      /* places from there to the slice's end, at most a chunk's */
    int skip;   /* how many of them are not the row's */

    __device__ __forceinline__ dense_part(const pave_abi_rows &args_, const slice_walk &walk_, int member_)
        : args(args_), walk(walk_), member(member_) {
    }

    __device__ __forceinline__ void find(const slice_step &step, bool values) {
        row = &walk.row(step.row);
        at = static_cast<int64_t>(walk.chunk_of(step, values)) * SPAN;
        const int64_t left = row->left - at;
        n = (left < SPAN ? static_cast<int>(left) : SPAN) - 4 * member;
        skip = at == 0 && member == 0 ? row->skipped : 0;
        at += 4 * member;
    }

    /* The same of a slice of one chunk. */
    __device__ __forceinline__ void find(int step_row) {
        row = &walk.row(step_row);
        at = 4 * member;
        n = static_cast<int>(row->left) - 4 * member;
        skip = member == 0 ? row->skipped : 0;
    }

    /* Whether each quad is the row's or not; where a row begins and ends they are in part. */
    __device__ __forceinline__ bool even() const {
        return (n & 3) == 0 && skip == 0;
    }

    /* Whether quad q is the row's as a whole, and its value c is. */
    __device__ __forceinline__ bool whole(int q) const {
        return n - q * APART > 3 && (q > 0 || skip == 0);
    }

    __device__ __forceinline__ bool here(int q, int c) const {
        return q * APART + c < n && (q > 0 || c >= skip);
    }

    __device__ __forceinline__ void fetch(char *stage) const {
        const char *from = row->x + at * BYTES;
        char *to = stage + 4 * member * BYTES;
        const uint32_t target = shared_address(to);
#pragma unroll
        for (int q = 0; q < QUADS; q++)
            copy_async_if<4 * BYTES>(target + q * APART * BYTES, from + q * APART * BYTES, 4 * BYTES,
                                     whole(q));
        if (even()) return;
#pragma unroll 1
        for (int q = 0; q < QUADS; q++)
            for (int c = q == 0 ? skip : 0; c < 4 && !whole(q) && here(q, c); c++)
                if constexpr (BYTES == 4)
                    copy_async_if<4>(target + (q * APART + c) * BYTES, from + (q * APART + c) * BYTES, 4,
                                     true);
                else
                    reinterpret_cast<uint16_t *>(to)[q * APART + c] =
                        reinterpret_cast<const uint16_t *>(from)[q * APART + c];
    }

    __device__ __forceinline__ void take(const char *stage) {
        const auto *quads = reinterpret_cast<const quad_bits<TYPE> *>(stage) + member;
#pragma unroll
        for (int q = 0; q < QUADS; q++) quads[q * MEMBERS].unpack(reinterpret_cast<float(&)[4]>(v[4 * q]));
        if (even()) {
#pragma unroll
            for (int i = 0; i < 4 * QUADS; i++) v[i] = i / 4 * APART < n ? v[i] : -PV_INF;
            return;
        }
#pragma unroll
        for (int i = 0; i < 4 * QUADS; i++) v[i] = here(i / 4, i % 4) ? v[i] : -PV_INF;
    }

    __device__ __forceinline__ void fold(const char *stage, float2 &s) {
        take(stage);
        s = fold_values<PAVE_REDUCE_LOGSUMEXP, 4 * QUADS, 4>(s, v, 0, 0);
    }

    template <int TO> __device__ __forceinline__ void store_even(char *to) const {
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            quad_bits<TO> quad;
            quad.pack(reinterpret_cast<const float(&)[4]>(v[4 * q]));
            if (whole(q))
                __stcs(&reinterpret_cast<quad_bits<TO> *>(to + q * APART * element_bytes(TO))->bits,
                       quad.bits);
        }
    }

    __device__ __forceinline__ void store(const char *stage, const row_form &form, const tensors &) {
        take(stage);
        if (args.reduce == PAVE_REDUCE_SOFTMAX) {
#pragma unroll
            for (int i = 0; i < 4 * QUADS; i++) v[i] = form_value(PAVE_REDUCE_SOFTMAX, form, false, v[i]);
        } else {
#pragma unroll
            for (int i = 0; i < 4 * QUADS; i++) v[i] = form_value(PAVE_REDUCE_LOG_SOFTMAX, form, false, v[i]);
        }
        const int bytes = element_bytes(args.y_type);
        const bool same = args.y_type == TYPE, wide = row->wide && (same || args.y_type == PAVE_T_F32);
        char *to = row->y + at * bytes;
        if (wide && same)
            store_even<TYPE>(to);
        else if (wide)
            store_even<PAVE_T_F32>(to);
        if (wide && even()) return;
#pragma unroll
        for (int i = 0; i < 4 * QUADS; i++)
            if (here(i / 4, i % 4) && !(wide && whole(i / 4)))
                element_store(to + (i / 4 * APART + i % 4) * bytes, args.y_type, v[i]);
    }
};

/* The same of any rows, through the links. */
template <int MEMBERS, int QUADS> struct any_part {
    using chunk = row_chunk<MEMBERS, QUADS>;

    const pave_abi_rows &args;
    const slice_walk &walk;
    const void *x;
    void *y;
    int member;

    row_place place;
    int64_t first;

    __device__ __forceinline__ any_part(const pave_abi_rows &args_, const slice_walk &walk_, const void *x_,
                                        void *y_, int member_)
        : args(args_), walk(walk_), x(x_), y(y_), member(member_) {
    }

    __device__ __forceinline__ void find(const slice_step &step, bool values) {
        place = walk.place(args, step.row);
        first = walk.slot * args.slice + static_cast<int64_t>(walk.chunk_of(step, values)) * chunk::SPAN;
    }

    __device__ __forceinline__ chunk here() const {
        chunk c(args, x, place, member);
        c.end_at((walk.slot + 1) * args.slice);
        return c;
    }

    __device__ __forceinline__ void fetch(char *stage) const {
        here().put_aside(stage, first);
    }

    __device__ __forceinline__ void fold(const char *stage, float2 &s) const {
        chunk c = here();
        float2 states[1] = {s};
        c.take_back(stage, first, -PV_INF);
        c.fold_exp(states);
        s = states[0];
    }

    __device__ __forceinline__ void store(const char *stage, const row_form &form, const tensors &t) const {
        chunk c = here();
        const row_form forms[1] = {form};
        c.take_back(stage, first, -PV_INF);
        c.apply(args.reduce, forms, false);
        c.store(args, t, y, place, first);
    }
};

} // namespace pave

#endif
