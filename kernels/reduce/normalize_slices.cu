/* SPDX-License-Identifier: Apache-2.0
 * Softmax and log_softmax of long rows of any type and any strides, through the links. Rows of the table
 * PAVE_NORMALIZE_SLICES_CUDA_ROWS.
 *
 * Work: teams of `slots` blocks, which all run at once. Team t takes rows t, t + teams, …, and its block s columns
 * [s * slice, (s + 1) * slice) of each, by chunks. A block leaves its slice's state, goes on to the next rows', and makes values
 * when all of the row's states are there, which takes some rows' time: until then a slice of one chunk lies in shared memory, so
 * that x is read once. A slice of more is read again from the L2, last chunk first. Members load, fold and store, each its own
 * quads alone; one more warp leaves the block's states and one waits for the other blocks'. They meet once a step, a chunk's.
 * y may be x: a row's first value is stored when all of its slices have been read, and a member stores only the quads that it
 * loads. Alignment: none needed; quads that lie on a multiple of their size move at once. */
#include "kernels/reduce/held.cuh"
#include "kernels/reduce/row_chunk.cuh"
#include "kernels/reduce/rows.h"
#include "kernels/rows.h"

namespace pave {

/* A chunk of a slice of the team's row `row`, which counts that team's alone. */
struct slice_step {
    int row, chunk;

    __device__ __forceinline__ slice_step next(int chunks) const {
        return chunk + 1 < chunks ? slice_step{row, chunk + 1} : slice_step{row + 1, 0};
    }
};

/* Where a block's slice of a row lies, in whose places a row begins in the middle of a quad that lies on a multiple of its size:
 * from the slice's first place on, which is before the row's own first one where values are skipped. */
struct slice_row {
    const char *x;
    char *y;
    int64_t left; /* places that the slice has of the row */
    int skipped;  /* of these */
    bool wide;    /* y's quads lie as x's do */
};

/* Rows whose places are known ahead of the one that is folded. */
constexpr int KNOWN_AHEAD = 3;

/* What of which rows a block takes, and where its team's blocks leave states for each other: of PAVE__SLICE_ROWS rows in turn a
 * word a slot. A state's sum is not negative, so that its sign tells a row's word from what was there before: 0, or the state of
 * PAVE__SLICE_ROWS rows ago. A block leaves that row's state, of rows later, behind all of them, so that everybody has read it. */
struct slice_walk {
    int team, teams, rows; /* rows: the team's */
    int slots, slot, chunks, stages, stage_bytes;
    uint64_t *words;
    unsigned *ended; /* blocks of the team */
    slice_row known[PAVE__SLICE_ROWS];

    __device__ __forceinline__ void begin(const pave_abi_rows &args, const void *x, void *y, const tensors &t,
                                          int stage_bytes_, int stages_) {
        const int span = stage_bytes_ / element_bytes(args.x_type);
        stage_bytes = stage_bytes_;
        stages = stages_;
        slots = static_cast<int>(args.slots);
        chunks = static_cast<int>((args.slice + span - 1) / span);
        const unsigned block = blockIdx.x, blocks = gridDim.x, each = static_cast<unsigned>(slots);
        team = static_cast<int>(block / each);
        teams = static_cast<int>(blocks / each);
        slot = static_cast<int>(block % each);
        rows = (static_cast<int>(unit_count(args, args.rows, 1)) - team + teams - 1) / teams;
        uint64_t *all = static_cast<uint64_t *>(const_cast<void *>(t.t9));
        words = all + team * PAVE__SLICE_ROWS * slots;
        ended = reinterpret_cast<unsigned *>(all + teams * PAVE__SLICE_ROWS * slots) + team;
        for (int row = 0; row < KNOWN_AHEAD; row++) find(args, x, y, row);
    }

    __device__ __forceinline__ const slice_row &row(int row) const {
        return known[row % PAVE__SLICE_ROWS];
    }

    __device__ __forceinline__ void find(const pave_abi_rows &args, const void *x, void *y, int row) {
        const row_place at = place(args, row);
        slice_row &to = known[row % PAVE__SLICE_ROWS];
        const int bytes = element_bytes(args.x_type), y_bytes = element_bytes(args.y_type);
        to.x = static_cast<const char *>(x) + place_offset(args.x, args.x_type, at, 0);
        to.y = static_cast<char *>(y) + place_offset(args.y, args.y_type, at, 0);
        const int shift =
            static_cast<int>(reinterpret_cast<uintptr_t>(to.x) / static_cast<unsigned>(bytes) % 4);
        const int64_t from = slot * args.slice, end = from + args.slice, row_end = args.cols + shift;
        to.left = (end < row_end ? end : row_end) - from;
        to.skipped = slot == 0 ? shift : 0;
        to.x += (from - shift) * bytes;
        to.y += (from - shift) * y_bytes;
        to.wide = quad_aligned(to.y, args.y_type);
    }

    /* A step's chunk of the slice: values are made from the slice's end. */
    __device__ __forceinline__ int chunk_of(const slice_step &step, bool values) const {
        return values ? chunks - 1 - step.chunk : step.chunk;
    }

    /* The chunk whose values are made at step 0: a row's come as many steps behind its states as it has chunks, and two more for
     * all blocks' states to be there. */
    __device__ __forceinline__ slice_step first_values() const {
        return chunks == 1 ? slice_step{2 - stages, 0} : slice_step{-2, chunks - 2};
    }

    __device__ __forceinline__ bool has(const slice_step &step) const {
        return step.row >= 0 && step.row < rows;
    }

    __device__ __forceinline__ row_place place(const pave_abi_rows &args, int row) const {
        return unit_place(args, static_cast<int64_t>(team) + row * static_cast<int64_t>(teams), args.rows, 1,
                          1);
    }

    __device__ __forceinline__ uint64_t *words_of(int row) const {
        return words + row % PAVE__SLICE_ROWS * slots;
    }
};

__device__ __forceinline__ uint32_t row_sign(int row) {
    return row / PAVE__SLICE_ROWS % 2 ? 0u : 0x80000000u;
}

__device__ __forceinline__ uint64_t word_of(float2 s, int row) {
    const uint32_t high = (__float_as_uint(s.y) & 0x7fffffffu) | row_sign(row);
    return static_cast<uint64_t>(high) << 32 | __float_as_uint(s.x);
}

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

/* A warp's share of its block's state of a row, when its lanes have theirs of the whole slice. */
template <int WARPS>
__device__ __forceinline__ void slice_share(int member, int row, float2 s, float2 (*parts)[WARPS]) {
    const float2 all = state_merge_lanes<32>(PAVE_REDUCE_LOGSUMEXP, s);
    if (member % 32 == 0) parts[row % 2][member / 32] = all;
}

/* The members' way through slices of one chunk: a row's goes through one of all stages. */
template <int STAGES, class PART, int WARPS>
__device__ __forceinline__ void slice_members_held(PART &part, const slice_walk &walk, const tensors &t,
                                                   float2 (*parts)[WARPS], const row_form *forms) {
    const int bytes = walk.stage_bytes, rows = walk.rows;
    char *first = dynamic_shared(), *end = first + STAGES * bytes, *stage = first;
    const auto fetch = [&](int row, char *to) {
        if (row < rows) {
            part.find(row);
            part.fetch(to);
        }
        copy_commit();
    };
    fetch(0, stage);
#pragma unroll 1
    for (int row = 0; row < rows + STAGES - 2; row++) {
        char *next = stage + bytes == end ? first : stage + bytes;
        fetch(row + 1, next);
        copy_wait<1>();
        if (row < rows) {
            float2 s = pave_state_begin(PAVE_REDUCE_LOGSUMEXP);
            part.find(row);
            part.fold(stage, s);
            slice_share(part.member, row, s, parts);
        }
        __syncthreads();
        const int done = row - (STAGES - 2);
        if (done >= 0) {
            part.find(done);
            part.store(next + bytes == end ? first : next + bytes, forms[done % 2], t);
        }
        stage = next;
    }
    copy_wait<0>();
}

/* And through any, of whose stages two are for the states and two for the values of slices of several chunks. */
template <int STAGES, class PART, int WARPS>
__device__ __forceinline__ void slice_members(PART &part, const slice_walk &walk, const tensors &t,
                                              float2 (*parts)[WARPS], const row_form *forms) {
    static_assert(STAGES >= 4, "two and two");
    const auto stage = [&](const slice_step &step, bool values) {
        const int turn = walk.chunks == 1 ? step.row % STAGES
                                          : (((step.row & walk.chunks) ^ step.chunk) & 1) + (values ? 2 : 0);
        return dynamic_shared() + turn * walk.stage_bytes;
    };
    const auto fetch = [&](const slice_step &step, bool values) {
        if (!walk.has(step)) return;
        part.find(step, values);
        part.fetch(stage(step, values));
    };
    slice_step folds = {0, 0}, stores = walk.first_values();
    float2 s;
    fetch(folds, false);
    copy_commit();
#pragma unroll 1
    while (stores.row < walk.rows) {
        fetch(folds.next(walk.chunks), false);
        if (walk.chunks > 1) fetch(stores.next(walk.chunks), true);
        copy_commit();
        copy_wait<1>();
        if (walk.has(folds)) {
            if (folds.chunk == 0) s = pave_state_begin(PAVE_REDUCE_LOGSUMEXP);
            part.find(folds, false);
            part.fold(stage(folds, false), s);
            if (folds.chunk + 1 == walk.chunks) slice_share(part.member, folds.row, s, parts);
        }
        __syncthreads();
        if (walk.has(stores)) {
            part.find(stores, true);
            part.store(stage(stores, true), forms[stores.row % 2], t);
        }
        folds = folds.next(walk.chunks);
        stores = stores.next(walk.chunks);
    }
    copy_wait<0>();
}

/* The warp that leaves the block's states, and finds the rows to come. */
template <int WARPS>
__device__ __forceinline__ void slice_leave(const pave_abi_rows &args, slice_walk &walk, const void *x,
                                            void *y, int lane, const float2 (*parts)[WARPS]) {
    slice_step folds = {0, 0}, stores = walk.first_values();
#pragma unroll 1
    for (; stores.row < walk.rows; folds = folds.next(walk.chunks), stores = stores.next(walk.chunks)) {
        __syncthreads();
        if (walk.has(folds) && folds.chunk + 1 == walk.chunks) {
            float2 s = lane < WARPS ? parts[folds.row % 2][lane] : pave_state_begin(PAVE_REDUCE_LOGSUMEXP);
            s = state_merge_lanes<32>(PAVE_REDUCE_LOGSUMEXP, s);
            if (lane == 0) store_relaxed(walk.words_of(folds.row) + walk.slot, word_of(s, folds.row));
        }
        if (lane == 0 && folds.chunk == 0) walk.find(args, x, y, folds.row + KNOWN_AHEAD);
    }
}

/* The row's state, of all blocks' words: every lane's. */
__device__ __forceinline__ float2 slice_state(const slice_walk &walk, int row, int lane) {
    constexpr int WORDS = PAVE__SLICE_SLOTS / 32;
    const uint64_t *from = walk.words_of(row) + lane,
                   none = word_of(pave_state_begin(PAVE_REDUCE_LOGSUMEXP), row);
    const uint32_t sign = row_sign(row);
    uint64_t w[WORDS];
#pragma unroll
    for (int u = 0; u < WORDS; u++) w[u] = lane + 32 * u < walk.slots ? load_relaxed(from + 32 * u) : none;
    while (true) { /* those that are late are asked for together */
        bool late[WORDS], any = false;
#pragma unroll
        for (int u = 0; u < WORDS; u++) {
            late[u] = (static_cast<uint32_t>(w[u] >> 32) & 0x80000000u) != sign;
            any = any || late[u];
        }
        if (!any) break;
#pragma unroll
        for (int u = 0; u < WORDS; u++)
            if (late[u]) w[u] = load_relaxed(from + 32 * u);
    }
    float2 s = pave_state_begin(PAVE_REDUCE_LOGSUMEXP);
#pragma unroll
    for (int u = 0; u < WORDS; u++) s.x = PV_MAX(s.x, __uint_as_float(static_cast<uint32_t>(w[u])));
#pragma unroll
    for (int u = 0; u < WORDS; u++) {
        const float sum = __uint_as_float(static_cast<uint32_t>(w[u] >> 32) & 0x7fffffffu);
        s.y += sum * exp_term(__uint_as_float(static_cast<uint32_t>(w[u])) - s.x);
    }
    return state_merge_lanes<32>(PAVE_REDUCE_LOGSUMEXP, s);
}

/* The warp that waits for the other blocks' states. The last one of the team to end has read every word last: they are 0 again for
 * the next launch. */
__device__ __forceinline__ void slice_await(const pave_abi_rows &args, const slice_walk &walk, int lane,
                                            row_form *forms) {
    slice_step stores = walk.first_values();
#pragma unroll 1
    while (stores.row < walk.rows) {
        __syncthreads();
        stores = stores.next(walk.chunks); /* of the next step */
        if (!walk.has(stores) || stores.chunk > 0) continue;
        const row_form form = form_of_state(args.reduce, slice_state(walk, stores.row, lane));
        if (lane == 0) forms[stores.row % 2] = form;
    }
    unsigned before = 0;
    __threadfence();
    if (lane == 0) before = atomicInc(walk.ended, static_cast<unsigned>(walk.slots - 1));
    if (__shfl_sync(0xffffffffu, before, 0) + 1 < static_cast<unsigned>(walk.slots)) return;
    __threadfence();
#pragma unroll 1
    for (int row = 0; row < PAVE__SLICE_ROWS; row++)
        for (int slot = lane; slot < walk.slots; slot += 32) store_relaxed(walk.words_of(row) + slot, 0);
}

template <int MEMBERS, int QUADS, int STAGES>
__device__ __forceinline__ void normalize_slices(const pave_abi_rows &args, const void *x, void *y,
                                                 const tensors &t) {
    constexpr int WARPS = MEMBERS / 32;
    static_assert(PAVE__SLICE_ROWS >= 2 * (STAGES - 2) && WARPS <= 32, "rows whose states are awaited have words");
    __shared__ float2 parts[2][WARPS];
    __shared__ row_form forms[2];
    __shared__ slice_walk walk; /* the loops have no registers for it */
    const int thread = static_cast<int>(threadIdx.x);
    if (thread == 0) walk.begin(args, x, y, t, 16 * MEMBERS * QUADS, STAGES);
    __syncthreads();
    if (thread >= MEMBERS + 32) return slice_await(args, walk, thread % 32, forms);
    if (thread >= MEMBERS) return slice_leave<WARPS>(args, walk, x, y, thread % 32, parts);
    const auto run = [&](auto part) { slice_members<STAGES>(part, walk, t, parts, forms); };
    const auto run_dense = [&](auto part) {
        if (walk.chunks == 1)
            slice_members_held<STAGES>(part, walk, t, parts, forms);
        else
            slice_members<STAGES>(part, walk, t, parts, forms);
    };
    const bool dense = args.link_count == 0 && args.x.col == 1 && args.y.col == 1;
    if (!dense && element_is_half(args.x_type))
        run(any_part<MEMBERS, 2 * QUADS>(args, walk, x, y, thread));
    else if (!dense)
        run(any_part<MEMBERS, QUADS>(args, walk, x, y, thread));
    else if (args.x_type == PAVE_T_F16)
        run_dense(dense_part<PAVE_T_F16, MEMBERS, 2 * QUADS>(args, walk, thread));
    else if (args.x_type == PAVE_T_BF16)
        run_dense(dense_part<PAVE_T_BF16, MEMBERS, 2 * QUADS>(args, walk, thread));
    else
        run_dense(dense_part<PAVE_T_F32, MEMBERS, QUADS>(args, walk, thread));
}

} // namespace pave

#define PAVE_KERNEL(NAME, LAYOUT, ROWS, LANES, THREADS, LOADS, BLOCKS, STAGES)                             \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                          \
        NAME(const __grid_constant__ pave_abi_rows args, const void *x, void *y, PAVE_TENSOR_PARAMETERS) { \
        static_assert(THREADS == LANES + 64, "members, and the two warps that leave and wait for states"); \
        pave::follow_launches();                                                                           \
        pave::normalize_slices<LANES, LOADS, STAGES>(args, x, y, pave::tensors{PAVE_TENSOR_NAMES});        \
    }
PAVE_NORMALIZE_SLICES_CUDA_ROWS(PAVE_KERNEL)
#undef PAVE_KERNEL
