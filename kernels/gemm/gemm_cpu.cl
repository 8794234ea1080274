/* SPDX-License-Identifier: Apache-2.0
 * Family gemm for CPUs: one item a group, explicit vectors. A group owns PAVE_BM × PAVE_BN outputs. For each
 * PAVE_BK of k it brings its columns' share of B into panels [k][two vectors] in local memory, which is
 * plain cached memory on a CPU; then PAVE_WM rows of A at a time are copied beside it (converted to float,
 * free of strides that alias) and meet every panel in registers. Sums leave the registers every PV_FOLD of k,
 * which shortens the chains of rounding. Few rows do not pay for a transposition: where k is contiguous they
 * are dot products along it. Any strides, any alignment of whole elements; vectors run along whichever side of an
 * operand is contiguous. Local memory: PAVE_BM * PAVE_BN + PAVE_BK * (PAVE_BN + PAVE_WM) floats.
 */
#define PV_W PAVE_VECTOR_WIDTH
#include "prelude.h"
#include "chain.h"
#include "vector_reduce.h"
#include "tiles.h"

/* Registers: 12 × 2 vectors of 32 where vectors are 16 wide (AVX-512), else 6 × 2 of 16. */
#if PV_W == 16
#define PV_ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define PV_MR 12
#else
#define PV_ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define PV_MR 6
#endif
#define PV_NR (2 * PV_W)
#define PV_FOLD 256
#define PV_FEW 24   /* rows up to which dot products win */
#define PV_STREAM 4 /* rows up to which a B of contiguous columns is better read where it lies */
#define PV_STREAM_COLS (8 * PV_W)
#if PAVE_WM % PV_MR != 0 || PAVE_BM % PAVE_WM != 0 || PAVE_BN % PV_NR != 0
#error gemm_cpu: the tile must be whole register tiles
#endif

/* C[0 … PV_MR)[0 … PV_NR) (row stride PAVE_BN) gains rows of x times a panel over `count` of k. */
PV_CALLED void pv_micro(__local float *c, __local const float *x, __local const float *w, int count,
                        int first) {
#define PV_ZERO(i) PV_VT l##i = PV_C(0.0f), r##i = PV_C(0.0f);
#define PV_FMA(i)                             \
    {                                         \
        const PV_VT v = PV_C(x[i * PAVE_BK]); \
        l##i = fma(v, wl, l##i);              \
        r##i = fma(v, wr, r##i);              \
    }
#define PV_STEP                                                      \
    {                                                                \
        const PV_VT wl = PV_VLOAD(0, w), wr = PV_VLOAD(0, w + PV_W); \
        PV_ROWS(PV_FMA)                                              \
        w += PV_NR;                                                  \
        x++;                                                         \
    }
#define PV_KEEP(i)                                                             \
    {                                                                          \
        __local float *to = c + i * PAVE_BN;                                   \
        PV_VSTORE(first ? l##i : PV_VLOAD(0, to) + l##i, 0, to);               \
        PV_VSTORE(first ? r##i : PV_VLOAD(0, to + PV_W) + r##i, 0, to + PV_W); \
    }
    PV_ROWS(PV_ZERO)
    PV_ROLLED
    for (; count >= 4; count -= 4) {
        PV_STEP
        PV_STEP
        PV_STEP
        PV_STEP
    }
    PV_ROLLED
    for (; count > 0; count--) PV_STEP
    PV_ROWS(PV_KEEP)
#undef PV_ZERO
#undef PV_FMA
#undef PV_STEP
#undef PV_KEEP
}

/* Four rows, or columns, of four each to local memory the other way round, lines `ld` floats apart. */
PV_INLINE void pv_turn(__local float *to, const int ld, float4 r0, float4 r1, float4 r2, float4 r3) {
    float4 a = (float4)(r0.s0, r1.s0, r0.s1, r1.s1), b = (float4)(r2.s0, r3.s0, r2.s1, r3.s1);
    float4 c = (float4)(r0.s2, r1.s2, r0.s3, r1.s3), d = (float4)(r2.s2, r3.s2, r2.s3, r3.s3);
    vstore4((float4)(a.lo, b.lo), 0, to);
    vstore4((float4)(a.hi, b.hi), 0, to + ld);
    vstore4((float4)(c.lo, d.lo), 0, to + 2 * ld);
    vstore4((float4)(c.hi, d.hi), 0, to + 3 * ld);
}

/* Rows [0, 4) of B at `from` (past `last` that row again), k [k0, k1), into columns [0, 4) of a panel.
 * Sixteen k at a time by the caller: a cache line of each row is used up before the next is asked for. */
PV_INLINE void pv_pack_quad(__local float *to, __global const char *from, long ldb, int last, int k0,
                            int k1) {
    long r1 = min(1, last) * ldb, r2 = min(2, last) * ldb, r3 = min(3, last) * ldb;
    int k = k0;
    PV_ROLLED
    for (; k + 4 <= k1; k += 4)
        pv_turn(to + k * PV_NR, PV_NR, pv_load4(from, PAVE_B_TYPE, k), pv_load4(from, PAVE_B_TYPE, r1 + k),
                pv_load4(from, PAVE_B_TYPE, r2 + k), pv_load4(from, PAVE_B_TYPE, r3 + k));
    PV_ROLLED
    for (; k < k1; k++)
        vstore4((float4)(pv_load1(from, PAVE_B_TYPE, k), pv_load1(from, PAVE_B_TYPE, r1 + k),
                         pv_load1(from, PAVE_B_TYPE, r2 + k), pv_load1(from, PAVE_B_TYPE, r3 + k)),
                0, to + k * PV_NR);
}

/* `count` of k of a tile's columns of B, from `b` on, where k is contiguous. */
PV_CALLED void pv_pack_b(__local float *panels, __global const char *b, long ldb, int cols, int count) {
    for (int n = 0; n < cols; n += PV_NR) {
        for (int k = 0; k < count; k += 16)
            for (int q = n; q < n + PV_NR; q += 4) {
                int from = min(q, cols - 1);
                pv_pack_quad(panels + n * PAVE_BK + (q - n), b + from * ldb * PV_WIDTH(PAVE_B_TYPE), ldb,
                             cols - 1 - from, k, min(k + 16, count));
            }
    }
}

/* The same where it is not: vectors of columns. */
PV_CALLED void pv_copy_b(__local float *panels, __global const char *b, const pv_job *job, int count) {
    int whole = job->b_row == 1 ? job->cols / PV_W * PV_W : 0;
    int end = (job->cols + PV_NR - 1) / PV_NR * PV_NR;
    for (int k = 0; k < count; k++, b += job->b_col * PV_WIDTH(PAVE_B_TYPE)) {
        __local float *to = panels + k * PV_NR;
        int n = 0;
        PV_ROLLED
        for (; n < whole; n += PV_W)
            PV_VSTORE(pv_load(b, PAVE_B_TYPE, n), 0, to + n / PV_NR * (PV_NR * PAVE_BK) + n % PV_NR);
        PV_ROLLED
        for (; n < end; n++)
            to[n / PV_NR * (PV_NR * PAVE_BK) + n % PV_NR] =
                n < job->cols ? pv_load1(b, PAVE_B_TYPE, n * job->b_row) : 0.0f;
    }
}

/* PAVE_WM rows of A, the last one again where there are fewer, where k is contiguous. */
PV_CALLED void pv_pack_a(__local float *to, __global const char *a, long lda, int rows, int count) {
    for (int r = 0; r < PAVE_WM; r++) {
        long from = min(r, rows - 1) * lda;
        int k = 0;
        for (; k + PV_W <= count; k += PV_W)
            PV_VSTORE(pv_load(a, PAVE_A_TYPE, from + k), 0, to + r * PAVE_BK + k);
        PV_ROLLED
        for (; k < count; k++) to[r * PAVE_BK + k] = pv_load1(a, PAVE_A_TYPE, from + k);
    }
}

/* The same where it is not: four rows by four k at a time where rows are contiguous. */
PV_CALLED void pv_turn_a(__local float *to, __global const char *a, long row, long col, int rows, int count) {
    for (int k = 0; k < count; k += 4)
        for (int r = 0; r < PAVE_WM; r += 4) {
            __local float *at = to + r * PAVE_BK + k;
            long from = r * row + k * col;
            if (row == 1 && r + 4 <= rows && k + 4 <= count) {
                pv_turn(at, PAVE_BK, pv_load4(a, PAVE_A_TYPE, from), pv_load4(a, PAVE_A_TYPE, from + col),
                        pv_load4(a, PAVE_A_TYPE, from + 2 * col), pv_load4(a, PAVE_A_TYPE, from + 3 * col));
            } else {
                PV_ROLLED
                for (int i = 0; i < 16; i++)
                    if (k + i % 4 < count)
                        at[i / 4 * PAVE_BK + i % 4] =
                            pv_load1(a, PAVE_A_TYPE, min(r + i / 4, rows - 1) * row + (k + i % 4) * col);
            }
        }
}

/* The whole tile's sums over k by panels. */
PV_INLINE void pv_by_panels(__local float *c, __local float *panels, __local float *strip,
                            const pv_job *job) {
    for (long k0 = 0; k0 < job->k; k0 += PAVE_BK) {
        int count = (int)min(job->k - k0, (long)PAVE_BK);
        __global const char *b = job->b + k0 * job->b_col * PV_WIDTH(PAVE_B_TYPE);
        if (job->b_col == 1)
            pv_pack_b(panels, b, job->b_row, job->cols, count);
        else
            pv_copy_b(panels, b, job, count);
        for (int r = 0; r < job->rows; r += PAVE_WM) {
            __global const char *a = job->a + (r * job->a_row + k0 * job->a_col) * PV_WIDTH(PAVE_A_TYPE);
            if (job->a_col == 1)
                pv_pack_a(strip, a, job->a_row, job->rows - r, count);
            else
                pv_turn_a(strip, a, job->a_row, job->a_col, job->rows - r, count);
            for (int n = 0; n < job->cols; n += PV_NR)
                for (int k = 0; k < count; k += PV_FOLD)
                    for (int s = 0; s < PAVE_WM; s += PV_MR)
                        pv_micro(c + (r + s) * PAVE_BN + n, strip + s * PAVE_BK + k,
                                 panels + n * PAVE_BK + k * PV_NR, min(count - k, PV_FOLD), k0 + k == 0);
        }
    }
}

/* PV_STREAM_COLS columns of one row of C, or what `count` of k adds to them, by rows of B that are contiguous. */
PV_CALLED void pv_stream(__local float *c, __global const char *a, long a_col, __global const char *b,
                         long b_col, int count, int first) {
#define PV_EIGHT(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define PV_ZERO(i) PV_VT s##i = PV_C(0.0f);
#define PV_FMA(i) s##i = fma(v, pv_load(b, PAVE_B_TYPE, k * b_col + i * PV_W), s##i);
#define PV_KEEP(i) PV_VSTORE(first ? s##i : PV_VLOAD(i, c) + s##i, i, c);
    PV_EIGHT(PV_ZERO)
    PV_ROLLED
    for (int k = 0; k < count; k++) {
        const PV_VT v = PV_C(pv_load1(a, PAVE_A_TYPE, k * a_col));
        PV_EIGHT(PV_FMA)
    }
    PV_EIGHT(PV_KEEP)
#undef PV_EIGHT
#undef PV_ZERO
#undef PV_FMA
#undef PV_KEEP
}

/* Few rows: B is read where it lies, from memory for the first of them. */
PV_INLINE void pv_by_streams(__local float *c, const pv_job *job) {
    for (long k = 0; k < job->k; k += PV_FOLD)
        for (int n = 0; n < job->cols; n += PV_STREAM_COLS)
            for (int r = 0; r < job->rows; r++)
                pv_stream(c + r * PAVE_BN + n,
                          job->a + (r * job->a_row + k * job->a_col) * PV_WIDTH(PAVE_A_TYPE), job->a_col,
                          job->b + (n + k * job->b_col) * PV_WIDTH(PAVE_B_TYPE), job->b_col,
                          (int)min(job->k - k, (long)PV_FOLD), k == 0);
}

/* Four rows by four columns of dot products along k; rows and columns past the last repeat it. */
PV_CALLED void pv_dots(__local float *c, __global const char *a, long lda, int rows, __global const char *b,
                       long ldb, int cols, long depth) {
#define PV_FOUR(X) X(0) X(1) X(2) X(3)
#define PV_PTR(i)                                                      \
    long a##i = min(i, rows - 1) * lda, b##i = min(i, cols - 1) * ldb; \
    PV_VT s##i##0 = PV_C(0.0f), s##i##1 = s##i##0, s##i##2 = s##i##0, s##i##3 = s##i##0;
#define PV_GET(i) const PV_VT w##i = pv_load(b, PAVE_B_TYPE, b##i + k);
#define PV_MAC(i)                                          \
    {                                                      \
        const PV_VT v = pv_load(a, PAVE_A_TYPE, a##i + k); \
        s##i##0 = fma(v, w0, s##i##0);                     \
        s##i##1 = fma(v, w1, s##i##1);                     \
        s##i##2 = fma(v, w2, s##i##2);                     \
        s##i##3 = fma(v, w3, s##i##3);                     \
    }
#define PV_PUT(i)                                                                         \
    vstore4((float4)(pv_lanes_sum(s##i##0), pv_lanes_sum(s##i##1), pv_lanes_sum(s##i##2), \
                     pv_lanes_sum(s##i##3)),                                              \
            0, c + i * PAVE_BN);
    PV_FOUR(PV_PTR)
    long k = 0;
    PV_ROLLED
    for (; k + PV_W <= depth; k += PV_W) {
        PV_FOUR(PV_GET)
        PV_FOUR(PV_MAC)
    }
    PV_FOUR(PV_PUT)
#undef PV_FOUR
#undef PV_PTR
#undef PV_GET
#undef PV_MAC
#undef PV_PUT
    PV_ROLLED
    for (; k < depth; k++) PV_ROLLED
    for (int i = 0; i < 16; i++) {
        long r = min(i / 4, rows - 1), n = min(i % 4, cols - 1);
        __local float *to = c + i / 4 * PAVE_BN + i % 4;
        *to = fma(pv_load1(a, PAVE_A_TYPE, r * lda + k), pv_load1(b, PAVE_B_TYPE, n * ldb + k), *to);
    }
}

PV_INLINE void pv_by_dots(__local float *c, const pv_job *job) {
    for (int n = 0; n < job->cols; n += 4)
        for (int r = 0; r < job->rows; r += 4)
            pv_dots(c + r * PAVE_BN + n, job->a + r * job->a_row * PV_WIDTH(PAVE_A_TYPE), job->a_row,
                    job->rows - r, job->b + n * job->b_row * PV_WIDTH(PAVE_B_TYPE), job->b_row, job->cols - n,
                    job->k);
}

/* One state of a finished row of the tile, whose first column is the row's `col`; its lanes from `cols` on are
 * the identity by now. */
PV_INLINE float2 pv_tile_row_state(int reduce, __local const float *c, int cols, int col) {
    if (reduce == 6)
        return pv_states_join(6,
                              pv_stretch_argmax(c, (cols + PV_W - 1) / PV_W, PV_LANES + (PV_VI)(col), PV_W));
    PV_VT s = PV_C(reduce == 1 ? -FLT_MAX : pv_identity(reduce));
    for (int n = 0; n < cols; n += PV_W) s = pv_vector_fold(reduce, s, PV_VLOAD(0, c + n));
    float2 state = (float2)(pv_lanes_fold(reduce, s), 0.0f);
    if (reduce == 1) {
        PV_VT sum = PV_C(0.0f);
        for (int n = 0; n < cols; n += PV_W) sum += pv_exp_below(PV_VLOAD(0, c + n) - PV_C(state.x));
        state.y = pv_lanes_sum(sum);
    }
    return state;
}

/* The tile's row r from sums to values, stored where they are wanted and reduced where that is. */
PV_CALLED void pv_finish_row(const pave_abi_gemm *args, const pv_job *job, __local float *c, int r,
                             PV_TENSOR_ARGS) {
    const int cols = job->cols, end = (cols + PV_W - 1) / PV_W * PV_W, reduce = args->reduce;
    PV_ROLLED
    for (int n = cols; n < end; n++) c[n] = 0.0f;
    for (int n = 0; n < cols; n += PV_W) {
        int count = min(cols - n, PV_W);
        PV_VT v = pv_chain(args->links, args->link_count, job->batch, job->row + r, job->col + n, count,
                           PV_VLOAD(0, c + n), PV_TENSORS);
        if (args->y_type != PAVE_T_NONE) pv_store_some(job->y, args->y_type, r * job->y_row + n, count, v);
        if (reduce != 0) PV_VSTORE(v, 0, c + n);
    }
    if (reduce == 0) return;
    PV_ROLLED
    for (int n = cols; n < end; n++) c[n] = pv_identity(reduce);
    vstore2(pv_tile_row_state(reduce, c, cols, (int)job->col), r * args->slots, job->p);
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(
    const pave_abi_gemm args, __global const char *a, __global const char *b, __global char *y,
    __global char *p, __global const char *g, PV_TENSOR_ARGS) {
    __local float tile[PAVE_BM * PAVE_BN] __attribute__((aligned(64)));
    __local float columns[PAVE_BN * PAVE_BK] __attribute__((aligned(64)));
    __local float rows[PAVE_WM * PAVE_BK] __attribute__((aligned(64)));
    __local float *c = tile + PV_UNKNOWN_ZERO(args.k), *panels = columns + PV_UNKNOWN_ZERO(args.m),
                  *strip = rows + PV_UNKNOWN_ZERO(args.n);
    for (long i = PV_GROUP; i < pv_tiles(&args); i += PV_GROUPS) {
        const pv_job job = pv_take(&args, a, b, y, p, g, i);
        if (job.k == 0 || (job.rows <= PV_FEW && job.a_col == 1 && job.b_col == 1))
            pv_by_dots(c, &job);
        else if (job.rows <= PV_STREAM && job.b_row == 1 && job.cols % PV_STREAM_COLS == 0)
            pv_by_streams(c, &job);
        else
            pv_by_panels(c, panels, strip, &job);
        for (int r = 0; r < job.rows; r++) pv_finish_row(&args, &job, c + r * PAVE_BN, r, PV_TENSORS);
    }
}
