/* SPDX-License-Identifier: Apache-2.0
 * Family join: merges the partial states that a fused or split reduction left, an item a row: in slot order
 * (GPU), or PV_W slots at a time with each lane's in slot order, then the lanes (CPU). */
#if PAVE_THREADS == 1
#define PV_W PAVE_VECTOR_WIDTH
#endif
#include "prelude.h"
#include "chain.h"
#include "row_state.h"
#include "vector_reduce.h"

static inline float2 pv_join_row(int reduce, __global const float *states, long slots) {
#if PAVE_THREADS == 1
    const float2 none = pave_state_begin(reduce);
    pv_states all = pv_states_begin(reduce);
    for (long i = 0; i < slots; i += PV_W, states += 2 * PV_W) {
        int count = (int)min(slots - i, (long)PV_W);
        pv_states s = {pv_load_some((__global const char *)states, PAVE_T_F32, 0, 2, count, none.x),
                       pv_load_some((__global const char *)states, PAVE_T_F32, 1, 2, count, none.y)};
        all = pv_states_merge(reduce, all, s);
    }
    return pv_states_join(reduce, all);
#else
    float2 s = pave_state_begin(reduce);
    for (long i = 0; i < slots; i++) s = pave_state_merge(reduce, s, vload2(i, states));
    return s;
#endif
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(const pave_abi_rows args,
                                                                                    __global const char *x,
                                                                                    __global char *y,
                                                                                    PV_TENSOR_ARGS) {
    const long rows = PV_MATRICES(args) * args.rows;
    __global const float *states = (__global const float *)(x + args.x.offset);
    y += args.y.offset;
    const long blocks = (rows + PAVE_THREADS - 1) / PAVE_THREADS, end = pv_share(blocks, PV_GROUP + 1);
    for (long block = pv_share(blocks, PV_GROUP); block < end; block++) {
        const long i = block * PAVE_THREADS + (long)get_local_id(0);
        long b[PAVE_BATCH_DIMS];
        if (i >= rows) return;
        pv_unflatten(i / args.rows, args.batch, b);
        float2 s = pv_join_row(args.reduce, states + 2 * i * args.slots, args.slots);
        pv_result(&args, b, i % args.rows, s, y, PV_TENSORS);
    }
}
