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
#include "kernels/reduce/slice_part.cuh"

namespace pave {

/* The members' warps, and the two others, meet. */
template <int WARPS> __device__ __forceinline__ void slice_meet() {
    block_meet<32 * WARPS + 64>();
}

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
    const int bytes = walk.stage_bytes, rows = walk.rows, lag = walk.lag;
    char *first = dynamic_shared(), *end = first + STAGES * bytes, *stage = first, *oldest = first;
    const auto after = [&](char *at) { return at + bytes == end ? first : at + bytes; };
    const auto fetch = [&](int row, char *to) {
        if (row < rows) {
            part.find(row);
            part.fetch(to);
        }
        copy_commit();
    };
    fetch(0, stage);
#pragma unroll 1
    for (int row = 0; row < rows + lag; row++) {
        fetch(row + 1, after(stage));
        copy_wait<1>();
        if (row < rows) {
            float2 s = pave_state_begin(PAVE_REDUCE_LOGSUMEXP);
            part.find(row);
            part.fold(stage, s);
            slice_share(part.member, row, s, parts);
        }
        stage = after(stage);
        slice_meet<WARPS>();
        if (row < lag) continue;
        part.find(row - lag);
        part.store(oldest, forms[(row - lag) % 2], t);
        oldest = after(oldest);
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
        slice_meet<WARPS>();
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
        slice_meet<WARPS>();
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
template <int WARPS>
__device__ __forceinline__ void slice_await(const pave_abi_rows &args, const slice_walk &walk, int lane,
                                            row_form *forms) {
    slice_step stores = walk.first_values();
#pragma unroll 1
    while (stores.row < walk.rows) {
        slice_meet<WARPS>();
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
    static_assert(PAVE__SLICE_ROWS >= 2 * (STAGES - 2) && WARPS <= 32,
                  "rows whose states are awaited have words");
    __shared__ float2 parts[2][WARPS];
    __shared__ row_form forms[2];
    __shared__ slice_walk walk; /* the loops have no registers for it */
    const int thread = static_cast<int>(threadIdx.x);
    if (thread == 0) walk.begin(args, x, y, t, 16 * MEMBERS * QUADS, STAGES - 2);
    __syncthreads();
    if (thread >= MEMBERS + 32) return slice_await<WARPS>(args, walk, thread % 32, forms);
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
