/* SPDX-License-Identifier: Apache-2.0
 * Family gemm for CPUs: one item a group, explicit vectors. A group owns at most PAVE_BM × PAVE_BN outputs. For each block
 * of at most PAVE_BK of k its rows of A are copied to strips (panels.h); then its columns' share of B comes, two vectors of columns at a time,
 * into a panel that meets all strips while it is in the first-level cache. Both are in local memory, which is plain cached
 * memory on a CPU. Sums leave the registers after each block, which shortens the chains of rounding. Few rows do not pay for
 * a transposition: where k is contiguous they are dot products along it. Any strides, any alignment of whole elements; vectors
 * run along whichever side of an operand is contiguous. Local memory: PAVE_BM * PAVE_BN + PAVE_BK * (PAVE_BM + 32) floats.
 */
#define PV_W PAVE_VECTOR_WIDTH
#include "prelude.h"
#include "chain.h"
#include "vector_reduce.h"
#include "tiles.h"
#include "panels.h"

#define PV_FOUR(X) X(0) X(1) X(2) X(3)
#define PV_FEW 24   /* rows up to which dot products win */
#define PV_STREAM 4 /* rows up to which a B of contiguous columns is better read where it lies */
#define PV_STREAM_COLS (8 * PV_W)
#define PV_STREAM_FOLD 256

/* Lines that will be asked for soon: two a chunk. */
typedef struct pv_ahead {
    __global const char *at;
    long other, step; /* bytes to a chunk's second line, and to the next chunk's first */
} pv_ahead;

/* C[0 … rows)[0 … PV_NR) (row stride PAVE_BN) gains a strip's first rows times a panel over `count` of k. A strip whose rows
 * are few is multiplied by 4 × 2 vectors. The latency of memory is hidden here, where a tile spends its time. */
#define PV_START(i)                             \
    __global const char *next##i = ahead[i].at; \
    const long other##i = ahead[i].other, step##i = ahead[i].step;
#define PV_NEXT(i)                \
    PV_FETCH(next##i);            \
    PV_FETCH(next##i + other##i); \
    next##i += step##i;
#define PV_ZERO(i) PV_VT l##i = PV_C(0.0f), r##i = PV_C(0.0f);
#define PV_FMA(i)                              \
    {                                          \
        const PV_VT v = PV_C(x[i * PV_CHUNK]); \
        l##i = fma(v, wl, l##i);               \
        r##i = fma(v, wr, r##i);               \
    }
#define PV_STEP(ROWS)                                    \
    {                                                    \
        const PV_VT wl = PV_AT(w), wr = PV_AT(w + PV_W); \
        ROWS(PV_FMA)                                     \
        w += PV_NR;                                      \
        x++;                                             \
    }
#define PV_PUT(i) PV_AT(c + i * PAVE_BN) = l##i, PV_AT(c + i * PAVE_BN + PV_W) = r##i;
#define PV_ADD(i) PV_AT(c + i * PAVE_BN) += l##i, PV_AT(c + i * PAVE_BN + PV_W) += r##i;
#define PV_DEFINE_MICRO(NAME, ROWS)                                                                  \
    PV_CALLED void NAME(__local float *c, __local const float *x, __local const float *w, int count, \
                        int first, const pv_ahead *ahead) {                                          \
        PV_START(0)                                                                                  \
        PV_START(1)                                                                                  \
        PV_START(2)                                                                                  \
        ROWS(PV_ZERO)                                                                                \
        PV_ROLLED                                                                                    \
        for (; count > 0; count -= PV_CHUNK, x += (PV_MR - 1) * PV_CHUNK) {                          \
            PV_NEXT(0)                                                                               \
            PV_NEXT(1)                                                                               \
            PV_NEXT(2)                                                                               \
            PV_ROLLED                                                                                \
            for (int k = 0; k < PV_CHUNK; k += 4) {                                                  \
                PV_STEP(ROWS)                                                                        \
                PV_STEP(ROWS)                                                                        \
                PV_STEP(ROWS)                                                                        \
                PV_STEP(ROWS)                                                                        \
            }                                                                                        \
        }                                                                                            \
        if (first) {                                                                                 \
            ROWS(PV_PUT)                                                                             \
        } else {                                                                                     \
            ROWS(PV_ADD)                                                                             \
        }                                                                                            \
    }
PV_DEFINE_MICRO(pv_micro, PV_ROWS)
PV_DEFINE_MICRO(pv_micro_few, PV_FOUR)
#undef PV_START
#undef PV_NEXT
#undef PV_ZERO
#undef PV_FMA
#undef PV_STEP
#undef PV_PUT
#undef PV_ADD

/* Part `i` of `parts` of a block at `from`, strides in bytes: two of its rows where k is contiguous, else the first lines of
 * 2 * PV_CHUNK of k. Beyond them nothing new. */
PV_INLINE pv_ahead pv_part(__global const char *from, long row, long col, int width, int i, int parts) {
    pv_ahead next = {from, 0, 0};
    if (i >= (col == width ? parts : PAVE_BK / (2 * PV_CHUNK))) return next;
    next.at += 2 * i * (col == width ? row : PV_CHUNK * col);
    next.other = col == width ? row : col;
    next.step = col == width ? 64 : 2 * col;
    return next;
}

/* A's rows of the tile as strips, `count` of k. */
PV_CALLED void pv_pack_strips(__local float *strips, __global const char *a, const pv_job *job, int count) {
    for (int r = 0; r < job->rows; r += PV_MR) {
        __global const char *from = a + r * job->a_row * PV_WIDTH(PAVE_A_TYPE);
        if (job->a_col == 1)
            pv_pack_a(strips + r * PAVE_BK, from, job->a_row, job->rows - r, count);
        else
            pv_turn_a(strips + r * PAVE_BK, from, job->a_row, job->a_col, job->rows - r, count);
    }
}

/* A block of k: `count` of `left`, from where a and b point on. */
typedef struct pv_block {
    __global const char *a, *b;
    int count, first;
    long left;
} pv_block;

/* All strips times the panel of columns n on. While they are at it, memory brings the next panel, and the next block of A
 * or, in the last one, the lines that the sums will go to. */
PV_CALLED void pv_multiply(__local float *c, __local const float *strips, __local const float *panel,
                           const pv_job *job, const pv_block *block, int n, int y_width) {
    const long a_row = job->a_row * PV_WIDTH(PAVE_A_TYPE), a_col = job->a_col * PV_WIDTH(PAVE_A_TYPE);
    const long b_row = job->b_row * PV_WIDTH(PAVE_B_TYPE), b_col = job->b_col * PV_WIDTH(PAVE_B_TYPE);
    const long y_row = job->y_row * y_width;
    __global const char *a = block->a + block->count * a_col, *b = block->b + (n + PV_NR) * b_row;
    for (int r = 0; r < job->rows; r += PV_MR) {
        pv_ahead ahead[3];
        for (int i = 0; i < 2; i++)
            ahead[i] = pv_part(b, b_row, b_col, PV_WIDTH(PAVE_B_TYPE), r / PV_MR * 2 + i, PV_NR / 2);
        if (block->count < block->left)
            ahead[2] = pv_part(a + r * a_row, a_row, a_col, PV_WIDTH(PAVE_A_TYPE), n / PV_NR, PV_MR / 2);
        else
            ahead[2] = (pv_ahead){job->y + r * y_row + n * y_width, 64, y_row};
        if (job->rows - r <= 4)
            pv_micro_few(c + r * PAVE_BN + n, strips + r * PAVE_BK, panel, block->count, block->first, ahead);
        else
            pv_micro(c + r * PAVE_BN + n, strips + r * PAVE_BK, panel, block->count, block->first, ahead);
    }
}

/* The whole tile's sums over k by panels, in blocks of k of about the same length. */
PV_CALLED void pv_by_panels(__local float *c, __local float *strips, __local float *panel, const pv_job *job,
                            int y_width) {
    const long blocks = (job->k + PAVE_BK - 1) / PAVE_BK;
    const int depth = pv_padded((int)((job->k + blocks - 1) / blocks));
    for (long k = 0; k < job->k; k += depth) {
        const pv_block block = {job->a + k * job->a_col * PV_WIDTH(PAVE_A_TYPE),
                                job->b + k * job->b_col * PV_WIDTH(PAVE_B_TYPE),
                                (int)min(job->k - k, (long)depth), k == 0, job->k - k};
        pv_pack_strips(strips, block.a, job, block.count);
        for (int n = 0; n < job->cols; n += PV_NR) {
            __global const char *b = block.b + n * job->b_row * PV_WIDTH(PAVE_B_TYPE);
            if (job->b_col == 1)
                pv_pack_b(panel, b, job->b_row, job->cols - n, block.count);
            else
                pv_copy_b(panel, b, job->b_row, job->b_col, job->cols - n, block.count);
            pv_multiply(c, strips, panel, job, &block, n, y_width);
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
    pv_chain_row(args->links, args->link_count, job->batch, job->row + r, job->col, c, cols, PV_TENSORS);
    PV_ROLLED
    for (int n = 0; args->y_type != PAVE_T_NONE && n < cols; n += PV_W)
        pv_store_some(job->y, args->y_type, r * job->y_row + n, cols - n, PV_AT(c + n));
    if (reduce == 0) return;
    PV_ROLLED
    for (int n = cols; n < end; n++) c[n] = pv_identity(reduce);
    vstore2(pv_tile_row_state(reduce, c, cols, (int)job->col), r * args->slots, job->p);
}

/* The tiles from `first` to `end`. The kernel itself only calls this: PoCL compiles a kernel's body three times over. */
PV_CALLED void pv_work(const pave_abi_gemm *args, __global const char *a, __global const char *b,
                       __global char *y, __global char *p, __global const char *g, __local float *c,
                       __local float *strips, __local float *panel, long first, long end, PV_TENSOR_ARGS) {
    for (long i = first; i < end; i++) {
        pv_job job;
        pv_take(args, a, b, y, p, g, i, &job);
        if (job.k == 0 || (job.rows <= PV_FEW && job.a_col == 1 && job.b_col == 1))
            pv_by_dots(c, &job);
        else if (job.rows <= PV_STREAM && job.b_row == 1 && job.cols % PV_STREAM_COLS == 0)
            pv_by_streams(c, &job);
        else
            pv_by_panels(c, strips, panel, &job, PV_WIDTH(args->y_type));
        for (int r = 0; r < job.rows; r++) pv_finish_row(args, &job, c + r * PAVE_BN, r, PV_TENSORS);
    }
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(
    const pave_abi_gemm args, __global const char *a, __global const char *b, __global char *y,
    __global char *p, __global const char *g, PV_TENSOR_ARGS) {
    __local float tile[PAVE_BM * PAVE_BN] __attribute__((aligned(64)));
    __local float rows[PAVE_BM * PAVE_BK] __attribute__((aligned(64)));
    __local float columns[32 * PAVE_BK] __attribute__((aligned(64)));
    const long tiles = pv_tiles(&args);
    pv_work(&args, a, b, y, p, g, tile + PV_UNKNOWN_ZERO(args.k), rows + PV_UNKNOWN_ZERO(args.n),
            columns + PV_UNKNOWN_ZERO(args.m), pv_share(tiles, PV_GROUP), pv_share(tiles, PV_GROUP + 1),
            PV_TENSORS);
}
