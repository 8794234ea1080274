/* SPDX-License-Identifier: Apache-2.0
 * Family gemm for any GPU: a group computes PAVE_BM × PAVE_BN, an item PAVE_WM × PAVE_WN of it in quads of 4 × 4
 * that are spread over the tile, k by PAVE_BK through local memory, of which there are two sets: while one is
 * multiplied, the next part of both operands is on its way to registers, and one barrier changes the sets over.
 *
 * Local memory: both operands lie as [k][row], without padding. Row r of k lies at r ^ PV_MIX(k), which sends what
 * neighbouring items store, whole quads of k turned by 90 degrees, to different banks, and leaves quads of rows
 * whole. Of 32 neighbouring items, 4 rows of quads by 8 columns of them, those that read the same quad are
 * neighbours or 16 apart, as memories that serve wide reads in parts want it. Any strides, any alignment of whole
 * elements: neighbouring items load along whichever side of an operand is contiguous. What is outside the matrices
 * reads as zero. */
#include "prelude.h"
#include "chain.h"
#include "state.h"
#include "tiles.h"
#include "walk.h"
#include "epilogue.h"

#define PV_DOWN (PAVE_BM / PAVE_WM) /* items down and across */
#define PV_ACROSS (PAVE_BN / PAVE_WN)
#define PV_QM (PAVE_WM / 4) /* quads of an item */
#define PV_QN (PAVE_WN / 4)
#define PV_QUADS_K (PAVE_BK / 4)
#define PV_LOADS_A (PAVE_BM * PV_QUADS_K / PAVE_THREADS) /* quads of an operand that an item brings */
#define PV_LOADS_B (PAVE_BN * PV_QUADS_K / PAVE_THREADS)
#define PV_MIX(k) ((k) / 4 * (32 / PV_QUADS_K))
#define PV_SET_FLOATS (PAVE_BK * (PAVE_BM + PAVE_BN))
#define PV_STAGED_LD (PAVE_BN + 4)
#if PAVE_THREADS != PV_DOWN * PV_ACROSS || PV_DOWN % 4 != 0 || PV_ACROSS % 8 != 0 || 32 % PV_QUADS_K != 0
#error gemm_tile: items come in blocks of 4 by 8
#endif
#if PAVE_BM * PV_QUADS_K % PAVE_THREADS != 0 || PAVE_BN * PV_QUADS_K % PAVE_THREADS != 0 || PAVE_BK > 32
#error gemm_tile: each item brings as many quads as all others
#endif
#if PV_DOWN * PV_STAGED_LD + 2 * PAVE_THREADS > 2 * PV_SET_FLOATS
#error gemm_tile: a row of each item and its state fit where the tiles were
#endif

/* One operand from the tile's first k on. Four of k are brought at a time where they lie closer together than rows
 * do, else four rows. */
typedef struct pv_source {
    __global const char *from;
    long row, col;
    int rows; /* that exist */
    int by_k;
    int whole; /* no row lacks, every quad is aligned: a part with all of its k needs no check */
} pv_source;

PV_INLINE pv_source pv_source_of(__global const char *from, const int type, const int high, long row,
                                 long col, int rows) {
    const long quad = 4 * PV_WIDTH(type);
    pv_source s = {from, row, col, rows, col == 1 || (row != 1 && col <= row), 0};
    s.whole = rows >= high && (s.by_k ? col : row) == 1 &&
              (((long)(size_t)from | (s.by_k ? row : col) * PV_WIDTH(type)) & (quad - 1)) == 0;
    return s;
}

/* This item's quads of the next part, of which `count` of k exist, to registers; past them is zero. */
PV_INLINE void pv_bring(float4 *held, const pv_source *s, const int type, const int high, int count) {
    const int loads = high * PV_QUADS_K / PAVE_THREADS, item = (int)get_local_id(0);
    const int quads = s->by_k ? PV_QUADS_K : high / 4, whole = s->whole && count >= PAVE_BK;
    PV_UNROLL
    for (int u = 0; u < loads; u++) {
        const int i = item + u * PAVE_THREADS;
        const int r = s->by_k ? i / quads : i % quads * 4, c = s->by_k ? i % quads * 4 : i / quads;
        if (whole)
            held[u] = pv_load_quad(s->from, type, r * s->row + c * s->col);
        else if (r < s->rows && c < count)
            held[u] = pv_load_some(s->from, type, r * s->row + c * s->col, s->by_k ? s->col : s->row,
                                   s->by_k ? count - c : s->rows - r, 0.0f);
        else
            held[u] = (float4)(0.0f);
    }
}

/* Those quads to their places. */
PV_INLINE void pv_put_down(__local float *to, const float4 *held, const int high, int by_k) {
    const int loads = high * PV_QUADS_K / PAVE_THREADS, item = (int)get_local_id(0);
    PV_UNROLL
    for (int u = 0; u < loads; u++) {
        const int i = item + u * PAVE_THREADS;
        if (by_k) {
            const int r = i / PV_QUADS_K, c = i % PV_QUADS_K * 4;
            __local float *at = to + c * high + (r ^ PV_MIX(c));
            at[0] = held[u].s0;
            at[high] = held[u].s1;
            at[2 * high] = held[u].s2;
            at[3 * high] = held[u].s3;
        } else {
            const int r = i % (high / 4) * 4, c = i / (high / 4);
            *(__local float4 *)(to + c * high + (r ^ PV_MIX(c))) = held[u];
        }
    }
}

/* sum += A · Bᵀ over one part of k. */
PV_INLINE void pv_multiply(float4 (*sum)[PV_QN], __local const float *a, __local const float *b, int down,
                           int across) {
    PV_UNROLL
    for (int k = 0; k < PAVE_BK; k++) {
        float4 va[PV_QM], vb[PV_QN];
        PV_UNROLL
        for (int q = 0; q < PV_QM; q++)
            va[q] =
                *(__local const float4 *)(a + k * PAVE_BM + q * (PAVE_BM / PV_QM) + (down * 4 ^ PV_MIX(k)));
        PV_UNROLL
        for (int q = 0; q < PV_QN; q++)
            vb[q] =
                *(__local const float4 *)(b + k * PAVE_BN + q * (PAVE_BN / PV_QN) + (across * 4 ^ PV_MIX(k)));
        PV_UNROLL
        for (int q = 0; q < PV_QM * PV_QN; q++) {
            const int r = q / PV_QN * 4, c = q % PV_QN;
            sum[r][c] = fma((float4)(va[r / 4].s0), vb[c], sum[r][c]);
            sum[r + 1][c] = fma((float4)(va[r / 4].s1), vb[c], sum[r + 1][c]);
            sum[r + 2][c] = fma((float4)(va[r / 4].s2), vb[c], sum[r + 2][c]);
            sum[r + 3][c] = fma((float4)(va[r / 4].s3), vb[c], sum[r + 3][c]);
        }
    }
}

/* An item's sums over all of k; the tiles are free on return. */
PV_INLINE void pv_sums(float4 (*sum)[PV_QN], __local float *tiles, const pv_job *job, int down, int across) {
    const long step_a = PAVE_BK * job->a_col * PV_WIDTH(PAVE_A_TYPE);
    const long step_b = PAVE_BK * job->b_col * PV_WIDTH(PAVE_B_TYPE);
    pv_source a = pv_source_of(job->a, PAVE_A_TYPE, PAVE_BM, job->a_row, job->a_col, job->rows);
    pv_source b = pv_source_of(job->b, PAVE_B_TYPE, PAVE_BN, job->b_row, job->b_col, job->cols);
    float4 held_a[PV_LOADS_A], held_b[PV_LOADS_B];
    int set = 0;
    PV_UNROLL
    for (int q = 0; q < PAVE_WM * PV_QN; q++) sum[q / PV_QN][q % PV_QN] = (float4)(0.0f);
    for (long left = job->k; left > -PAVE_BK && job->k > 0; left -= PAVE_BK) {
        /* The first round only brings, the last one only multiplies. */
        const int count = (int)clamp(left, 0L, (long)PAVE_BK);
        if (left > 0) {
            pv_bring(held_a, &a, PAVE_A_TYPE, PAVE_BM, count);
            pv_bring(held_b, &b, PAVE_B_TYPE, PAVE_BN, count);
            a.from += step_a;
            b.from += step_b;
        }
        __local float *full = tiles + set * PV_SET_FLOATS, *next = tiles + (1 - set) * PV_SET_FLOATS;
        if (left != job->k) pv_multiply(sum, full, full + PAVE_BK * PAVE_BM, down, across);
        if (left > 0) {
            pv_put_down(next, held_a, PAVE_BM, a.by_k);
            pv_put_down(next + PAVE_BK * PAVE_BM, held_b, PAVE_BN, b.by_k);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        set = 1 - set;
    }
}

/* Row `row` of the tile, an item's columns of it, through links and store; its state where there is a reduction. */
PV_INLINE float2 pv_finish_row(const pave_abi_gemm *args, const pv_job *job, __local const float *staged,
                               int row, int col, PV_TENSOR_ARGS) {
    float2 s = pave_state_begin(args->reduce);
    PV_LOOP
    for (int q = 0; q < PV_QN; q++, col += PAVE_BN / PV_QN) {
        const int here = row < job->rows ? clamp(job->cols - col, 0, 4) : 0;
        float4 v = *(__local const float4 *)(staged + col);
        if (here > 0)
            v = pv_chain(args->links, args->link_count, job->batch, job->row + row, job->col + col, here, v,
                         PV_TENSORS);
        if (here > 0 && args->y_type != PAVE_T_NONE)
            pv_store_some(job->y, args->y_type, row * job->y_row + col, here, v);
        if (args->reduce != 0)
            s = pv_fold4(args->reduce, s, v, here, (int)job->col + col);
    }
    return s;
}

/* Sums go through local memory, one row of each item at a time, so that whole rows are stored. Sums are registers,
 * which have no index: the next ones move up. */
PV_INLINE void pv_epilogue(const pave_abi_gemm *args, const pv_job *job, __local float *staged,
                           float4 (*sum)[PV_QN], int down, int across, PV_TENSOR_ARGS) {
    __local float2 *states = (__local float2 *)(staged + PV_DOWN * PV_STAGED_LD);
    const int item = (int)get_local_id(0), high = item / PV_ACROSS, wide = item % PV_ACROSS;
    PV_LOOP
    for (int chunk = 0; chunk < PAVE_WM; chunk++) {
        PV_UNROLL
        for (int q = 0; q < PV_QN; q++)
            *(__local float4 *)(staged + down * PV_STAGED_LD + q * (PAVE_BN / PV_QN) + across * 4) =
                sum[0][q];
        PV_UNROLL
        for (int j = 0; j < (PAVE_WM - 1) * PV_QN; j++)
            sum[j / PV_QN][j % PV_QN] = sum[j / PV_QN + 1][j % PV_QN];
        barrier(CLK_LOCAL_MEM_FENCE);
        const int first = chunk / 4 * (PAVE_BM / PV_QM) + chunk % 4;
        const float2 s =
            pv_finish_row(args, job, staged + high * PV_STAGED_LD, first + high * 4, wide * 4, PV_TENSORS);
        if (args->reduce != 0) states[item] = s;
        barrier(CLK_LOCAL_MEM_FENCE);
        const int row = first + item * 4;
        if (args->reduce == 0 || item >= PV_DOWN || row >= job->rows) continue;
        float2 all = states[item * PV_ACROSS];
        for (int j = 1; j < PV_ACROSS; j++)
            all = pave_state_merge(args->reduce, all, states[item * PV_ACROSS + j]);
        vstore2(all, row * args->slots, job->p);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(
    const pave_abi_gemm args, __global const char *a, __global const char *b, __global char *y,
    __global char *p, __global const char *g, PV_TENSOR_ARGS) {
    __local float4 tiles[2 * PV_SET_FLOATS / 4];
    const int item = (int)get_local_id(0), lane = item % 32, block = item / 32;
    const int across = block % (PV_ACROSS / 8) * 8 + (lane >> 1 & 7);
    const int down = block / (PV_ACROSS / 8) * 4 + (lane >> 4 << 1 | (lane & 1));
    __local long here;
    for (long i = PV_GROUP; i < pv_tiles(&args); i += PV_GROUPS) {
        float4 sum[PAVE_WM][PV_QN];
        if (item == 0) here = i;
        {
            pv_job job;
            pv_take(&args, a, b, y, p, g, i, &job);
            pv_sums(sum, (__local float *)tiles, &job, down, across);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        /* Found again, by way of a number that the compiler cannot know, so that it keeps no registers in the main
         * loop. */
        pv_job job;
        pv_take(&args, a, b, y, p, g, here, &job);
        pv_epilogue(&args, &job, (__local float *)tiles, sum, down, across, PV_TENSORS);
    }
}
