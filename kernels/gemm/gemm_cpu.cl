/* SPDX-License-Identifier: Apache-2.0
 * Family gemm for CPUs: one item a group, explicit vectors. A group owns PAVE_BM × PAVE_BN outputs. For each PAVE_BK of k its
 * rows of A are copied to strips of a register tile's rows, 16 of k of each row behind one another, so that a strip is read
 * as one stream; then its columns' share of B comes, two vectors of columns at a time, into a panel [k][two vectors] that
 * meets all strips while it is in the first-level cache. Both are float32 in local memory, which is plain cached memory on a
 * CPU, and zero up to the next multiple of 16 of k. Sums leave the registers after each PAVE_BK, which shortens the chains of
 * rounding. Few rows do not pay for a transposition: where k is contiguous they are dot products along it. Any strides, any
 * alignment of whole elements; vectors run along whichever side of an operand is contiguous. Local memory: PAVE_BM * PAVE_BN +
 * PAVE_BK * (PAVE_BM + 32) floats.
 */
#define PV_W PAVE_VECTOR_WIDTH
#include "prelude.h"
#include "chain.h"
#include "vector_reduce.h"
#include "tiles.h"

/* Registers: 12 × 2 vectors of 32 where vectors are 16 wide (AVX-512), else 6 × 2 of 16. What is left of a tile's rows is
 * multiplied by 4 × 2 where that is enough. */
#if PV_W == 16
#define PV_ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define PV_MR 12
#else
#define PV_ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define PV_MR 6
#endif
#define PV_FOUR(X) X(0) X(1) X(2) X(3)
#define PV_NR (2 * PV_W)
#define PV_CHUNK 16 /* of k: what a row of a strip has in one place */
#define PV_FEW 24   /* rows up to which dot products win */
#define PV_STREAM 4 /* rows up to which a B of contiguous columns is better read where it lies */
#define PV_STREAM_COLS (8 * PV_W)
#define PV_STREAM_FOLD 256
#if PAVE_BM % PV_MR != 0 || PAVE_BN % PV_NR != 0 || PAVE_BK % PV_CHUNK != 0
#error gemm_cpu: the tile must be whole register tiles and chunks
#endif

/* C[0 … rows)[0 … PV_NR) (row stride PAVE_BN) gains a strip's first rows times a panel over `count` of k. */
#define PV_ZERO(i) PV_VT l##i = PV_C(0.0f), r##i = PV_C(0.0f);
#define PV_FMA(i)                              \
    {                                          \
        const PV_VT v = PV_C(x[i * PV_CHUNK]); \
        l##i = fma(v, wl, l##i);               \
        r##i = fma(v, wr, r##i);               \
    }
#define PV_STEP(ROWS)                                                \
    {                                                                \
        const PV_VT wl = PV_VLOAD(0, w), wr = PV_VLOAD(0, w + PV_W); \
        ROWS(PV_FMA)                                                 \
        w += PV_NR;                                                  \
        x++;                                                         \
    }
#define PV_KEEP(i)                                                             \
    {                                                                          \
        __local float *to = c + i * PAVE_BN;                                   \
        PV_VSTORE(first ? l##i : PV_VLOAD(0, to) + l##i, 0, to);               \
        PV_VSTORE(first ? r##i : PV_VLOAD(0, to + PV_W) + r##i, 0, to + PV_W); \
    }
#define PV_DEFINE_MICRO(NAME, ROWS)                                                                  \
    PV_CALLED void NAME(__local float *c, __local const float *x, __local const float *w, int count, \
                        int first) {                                                                 \
        ROWS(PV_ZERO)                                                                                \
        PV_ROLLED                                                                                    \
        for (; count > 0; count -= PV_CHUNK, x += (PV_MR - 1) * PV_CHUNK) PV_ROLLED                  \
        for (int k = 0; k < PV_CHUNK; k += 4) {                                                      \
            PV_STEP(ROWS)                                                                            \
            PV_STEP(ROWS)                                                                            \
            PV_STEP(ROWS)                                                                            \
            PV_STEP(ROWS)                                                                            \
        }                                                                                            \
        ROWS(PV_KEEP)                                                                                \
    }
PV_DEFINE_MICRO(pv_micro, PV_ROWS)
PV_DEFINE_MICRO(pv_micro_few, PV_FOUR)
#undef PV_ZERO
#undef PV_FMA
#undef PV_STEP
#undef PV_KEEP

/* Four rows, or columns, of four each to local memory the other way round, lines `ld` floats apart. */
PV_INLINE void pv_turn(__local float *to, const int ld, float4 r0, float4 r1, float4 r2, float4 r3) {
    float4 a = (float4)(r0.s0, r1.s0, r0.s1, r1.s1), b = (float4)(r2.s0, r3.s0, r2.s1, r3.s1);
    float4 c = (float4)(r0.s2, r1.s2, r0.s3, r1.s3), d = (float4)(r2.s2, r3.s2, r2.s3, r3.s3);
    vstore4((float4)(a.lo, b.lo), 0, to);
    vstore4((float4)(a.hi, b.hi), 0, to + ld);
    vstore4((float4)(c.lo, d.lo), 0, to + 2 * ld);
    vstore4((float4)(c.hi, d.hi), 0, to + 3 * ld);
}

/* Up to the next whole chunk. */
PV_INLINE int pv_padded(int count) {
    return (count + PV_CHUNK - 1) / PV_CHUNK * PV_CHUNK;
}

/* Eight rows of eight k each to a panel the other way round. */
PV_INLINE void pv_turn8(__local float *to, float8 x0, float8 x1, float8 x2, float8 x3, float8 x4, float8 x5,
                        float8 x6, float8 x7) {
#define PV_LOW(a, b) (float8)(a.s0, b.s0, a.s1, b.s1, a.s4, b.s4, a.s5, b.s5)
#define PV_HIGH(a, b) (float8)(a.s2, b.s2, a.s3, b.s3, a.s6, b.s6, a.s7, b.s7)
#define PV_EVEN(a, b) (float8)(a.s01, b.s01, a.s45, b.s45)
#define PV_ODD(a, b) (float8)(a.s23, b.s23, a.s67, b.s67)
    const float8 t0 = PV_LOW(x0, x1), t1 = PV_HIGH(x0, x1), t2 = PV_LOW(x2, x3), t3 = PV_HIGH(x2, x3);
    const float8 t4 = PV_LOW(x4, x5), t5 = PV_HIGH(x4, x5), t6 = PV_LOW(x6, x7), t7 = PV_HIGH(x6, x7);
    const float8 u0 = PV_EVEN(t0, t2), u1 = PV_ODD(t0, t2), u2 = PV_EVEN(t1, t3), u3 = PV_ODD(t1, t3);
    const float8 u4 = PV_EVEN(t4, t6), u5 = PV_ODD(t4, t6), u6 = PV_EVEN(t5, t7), u7 = PV_ODD(t5, t7);
    vstore8((float8)(u0.lo, u4.lo), 0, to);
    vstore8((float8)(u1.lo, u5.lo), 0, to + PV_NR);
    vstore8((float8)(u2.lo, u6.lo), 0, to + 2 * PV_NR);
    vstore8((float8)(u3.lo, u7.lo), 0, to + 3 * PV_NR);
    vstore8((float8)(u0.hi, u4.hi), 0, to + 4 * PV_NR);
    vstore8((float8)(u1.hi, u5.hi), 0, to + 5 * PV_NR);
    vstore8((float8)(u2.hi, u6.hi), 0, to + 6 * PV_NR);
    vstore8((float8)(u3.hi, u7.hi), 0, to + 7 * PV_NR);
#undef PV_LOW
#undef PV_HIGH
#undef PV_EVEN
#undef PV_ODD
}

/* A panel of `cols` columns of B from `b` on, `count` of k, where k is contiguous: eight columns (past the last that one
 * again) along all of k, so that few streams are open at a time. */
PV_CALLED void pv_pack_b(__local float *panel, __global const char *b, long ldb, int cols, int count) {
    for (int n = 0; n < PV_NR; n += 8) {
        long at[8];
        for (int i = 0; i < 8; i++) at[i] = min(n + i, cols - 1) * ldb;
        int k = 0;
#define PV_GET(i) pv_load8(b, PAVE_B_TYPE, at[i] + k)
        PV_ROLLED
        for (; k + 8 <= count; k += 8)
            pv_turn8(panel + k * PV_NR + n, PV_GET(0), PV_GET(1), PV_GET(2), PV_GET(3), PV_GET(4), PV_GET(5),
                     PV_GET(6), PV_GET(7));
#undef PV_GET
        PV_ROLLED
        for (; k < pv_padded(count); k++) PV_ROLLED
        for (int i = 0; i < 8; i++)
            panel[k * PV_NR + n + i] = k < count ? pv_load1(b, PAVE_B_TYPE, at[i] + k) : 0.0f;
    }
}

/* The same where it is not: vectors of columns where those are. */
PV_CALLED void pv_copy_b(__local float *panel, __global const char *b, long row, long col, int cols,
                         int count) {
    const int whole = row == 1 && cols >= PV_NR ? count : 0;
    int k = 0;
    PV_ROLLED
    for (; k < whole; k++) {
        PV_VSTORE(pv_load(b, PAVE_B_TYPE, k * col), 0, panel + k * PV_NR);
        PV_VSTORE(pv_load(b, PAVE_B_TYPE, k * col + PV_W), 0, panel + k * PV_NR + PV_W);
    }
    PV_ROLLED
    for (; k < pv_padded(count); k++) PV_ROLLED
    for (int n = 0; n < PV_NR; n++)
        panel[k * PV_NR + n] = n < cols && k < count ? pv_load1(b, PAVE_B_TYPE, k * col + n * row) : 0.0f;
}

/* Where row r and k of a strip's chunks are. */
#define PV_STRIP(r, k) ((k) / PV_CHUNK * (PV_MR * PV_CHUNK) + (r)*PV_CHUNK + (k) % PV_CHUNK)

/* A strip of A: `rows` rows, the last one again where they are fewer than PV_MR, where k is contiguous. */
PV_CALLED void pv_pack_a(__local float *strip, __global const char *a, long lda, int rows, int count) {
    for (int r = 0; r < PV_MR; r++) {
        const long from = min(r, rows - 1) * lda;
        int k = 0;
        PV_ROLLED
        for (; k + PV_W <= count; k += PV_W)
            PV_VSTORE(pv_load(a, PAVE_A_TYPE, from + k), 0, strip + PV_STRIP(r, k));
        PV_ROLLED
        for (; k < pv_padded(count); k++)
            strip[PV_STRIP(r, k)] = k < count ? pv_load1(a, PAVE_A_TYPE, from + k) : 0.0f;
    }
}

/* The same where it is not: four rows by four k at a time where rows are contiguous. */
PV_CALLED void pv_turn_a(__local float *strip, __global const char *a, long row, long col, int rows,
                         int count) {
    for (int k = 0; k < pv_padded(count); k += 4) {
        int r = 0;
        PV_ROLLED
        for (; row == 1 && r + 4 <= min(rows, PV_MR) && k + 4 <= count; r += 4) {
            const long from = r + k * col;
            pv_turn(strip + PV_STRIP(r, k), PV_CHUNK, pv_load4(a, PAVE_A_TYPE, from),
                    pv_load4(a, PAVE_A_TYPE, from + col), pv_load4(a, PAVE_A_TYPE, from + 2 * col),
                    pv_load4(a, PAVE_A_TYPE, from + 3 * col));
        }
        PV_ROLLED
        for (; r < PV_MR; r++) PV_ROLLED
        for (int i = k; i < k + 4; i++)
            strip[PV_STRIP(r, i)] =
                i < count ? pv_load1(a, PAVE_A_TYPE, min(r, rows - 1) * row + i * col) : 0.0f;
    }
}

/* The whole tile's sums over k by panels. */
PV_CALLED void pv_by_panels(__local float *c, __local float *strips, __local float *panel,
                            const pv_job *job) {
    for (long k0 = 0; k0 < job->k; k0 += PAVE_BK) {
        const int count = (int)min(job->k - k0, (long)PAVE_BK);
        __global const char *a = job->a + k0 * job->a_col * PV_WIDTH(PAVE_A_TYPE);
        __global const char *b = job->b + k0 * job->b_col * PV_WIDTH(PAVE_B_TYPE);
        for (int r = 0; r < job->rows; r += PV_MR) {
            __global const char *from = a + r * job->a_row * PV_WIDTH(PAVE_A_TYPE);
            if (job->a_col == 1)
                pv_pack_a(strips + r * PAVE_BK, from, job->a_row, job->rows - r, count);
            else
                pv_turn_a(strips + r * PAVE_BK, from, job->a_row, job->a_col, job->rows - r, count);
        }
        for (int n = 0; n < job->cols; n += PV_NR) {
            __global const char *from = b + n * job->b_row * PV_WIDTH(PAVE_B_TYPE);
            if (job->b_col == 1)
                pv_pack_b(panel, from, job->b_row, job->cols - n, count);
            else
                pv_copy_b(panel, from, job->b_row, job->b_col, job->cols - n, count);
            for (int r = 0; r < job->rows; r += PV_MR)
                if (job->rows - r <= 4)
                    pv_micro_few(c + r * PAVE_BN + n, strips + r * PAVE_BK, panel, count, k0 == 0);
                else
                    pv_micro(c + r * PAVE_BN + n, strips + r * PAVE_BK, panel, count, k0 == 0);
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
PV_CALLED void pv_by_streams(__local float *c, const pv_job *job) {
    for (long k = 0; k < job->k; k += PV_STREAM_FOLD)
        for (int n = 0; n < job->cols; n += PV_STREAM_COLS)
            for (int r = 0; r < job->rows; r++)
                pv_stream(c + r * PAVE_BN + n,
                          job->a + (r * job->a_row + k * job->a_col) * PV_WIDTH(PAVE_A_TYPE), job->a_col,
                          job->b + (n + k * job->b_col) * PV_WIDTH(PAVE_B_TYPE), job->b_col,
                          (int)min(job->k - k, (long)PV_STREAM_FOLD), k == 0);
}

/* Four rows by four columns of dot products along k; rows and columns past the last repeat it. */
PV_CALLED void pv_dots(__local float *c, __global const char *a, long lda, int rows, __global const char *b,
                       long ldb, int cols, long depth) {
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

PV_CALLED void pv_by_dots(__local float *c, const pv_job *job) {
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

/* The group's tiles. The kernel itself only calls this: PoCL compiles a kernel's body three times over. */
PV_CALLED void pv_work(const pave_abi_gemm *args, __global const char *a, __global const char *b,
                       __global char *y, __global char *p, __global const char *g, __local float *c,
                       __local float *strips, __local float *panel, long first, long step, PV_TENSOR_ARGS) {
    for (long i = first; i < pv_tiles(args); i += step) {
        pv_job job;
        pv_take(args, a, b, y, p, g, i, &job);
        if (job.k == 0 || (job.rows <= PV_FEW && job.a_col == 1 && job.b_col == 1))
            pv_by_dots(c, &job);
        else if (job.rows <= PV_STREAM && job.b_row == 1 && job.cols % PV_STREAM_COLS == 0)
            pv_by_streams(c, &job);
        else
            pv_by_panels(c, strips, panel, &job);
        for (int r = 0; r < job.rows; r++) pv_finish_row(args, &job, c + r * PAVE_BN, r, PV_TENSORS);
    }
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(
    const pave_abi_gemm args, __global const char *a, __global const char *b, __global char *y,
    __global char *p, __global const char *g, PV_TENSOR_ARGS) {
    __local float tile[PAVE_BM * PAVE_BN] __attribute__((aligned(64)));
    __local float rows[PAVE_BM * PAVE_BK] __attribute__((aligned(64)));
    __local float columns[32 * PAVE_BK] __attribute__((aligned(64)));
    pv_work(&args, a, b, y, p, g, tile + PV_UNKNOWN_ZERO(args.k), rows + PV_UNKNOWN_ZERO(args.n),
            columns + PV_UNKNOWN_ZERO(args.m), PV_GROUP, PV_GROUPS, PV_TENSORS);
}
