/* SPDX-License-Identifier: Apache-2.0
 * Family normalize for CPUs: one item a group, and a row, or PV_W neighbouring rows where those lie closer
 * together than columns do, at a time by vectors. Rows of up to PV_STRETCH floats are read once and stay in
 * local memory, which is plain cached memory on a CPU; longer ones are read again for each pass. Any
 * alignment of whole elements. */
#define PV_W PAVE_VECTOR_WIDTH
#include "prelude.h"
#include "chain.h"
#include "vector_reduce.h"

#define PV_STRETCH 8192 /* floats */

/* What the reading passes leave, each row's in its lane or in all lanes: softmax exp(v - a) * b, log_softmax
 * v - a - b, normalize (v - a) * b. */
typedef struct pv_form {
    PV_VT a, b;
} pv_form;

PV_INLINE PV_VT pv_all_lanes(int reduce, int across, PV_VT v) {
    return across ? v : PV_C(pv_lanes_fold(reduce, v));
}

/* Sum of exp(v - top); the values become these exponentials. Meanwhile memory brings as many vectors of
 * what comes next. */
PV_INLINE PV_VT pv_keep_exp(__local float *v, int count, PV_VT top, pv_next next) {
    PV_VT sum = PV_C(0.0f);
    PV_ROLLED
    for (; count > 0; count--, v += PV_W, next.at += next.step) {
        PV_FETCH(next.at);
        PV_VT e = pv_exp_below(PV_AT(v) - top);
        PV_AT(v) = e;
        sum += e;
    }
    return sum;
}

PV_INLINE PV_VT pv_stretch_squares(__local const float *v, int count, PV_VT mean) {
    PV_VT s0 = PV_C(0.0f), s1 = s0;
    PV_ROLLED
    for (; count >= 2; count -= 2, v += 2 * PV_W) {
        PV_VT d0 = PV_VLOAD(0, v) - mean, d1 = PV_VLOAD(1, v) - mean;
        s0 = fma(d0, d0, s0);
        s1 = fma(d1, d1, s1);
    }
    PV_VT d = count > 0 ? PV_VLOAD(0, v) - mean : PV_C(0.0f);
    return fma(d, d, s0 + s1);
}

/* A stretch of `cols` columns joins the pass's states. Lanes past a row's end are what adds nothing: -Inf to
 * the exponentials, 0 to the sum and the mean to the squares. */
PV_INLINE pv_states pv_gather(int reduce, int pass, int across, pv_states s, pv_form form,
                              __local float *stretch, int count, int cols, int kept, pv_next next) {
    if (pass == 1) {
        PV_ROLLED
        for (int j = cols; !across && j % PV_W != 0; j++) stretch[j] = form.a.s0;
        s.x += pv_stretch_squares(stretch, count, form.a);
    } else if (reduce == PV_NORMALIZE) {
        s.x += pv_stretch_fold(2, stretch, count);
    } else {
        pv_states t;
        t.x = pv_all_lanes(1, across, fmin(pv_stretch_fold(1, stretch, count), PV_C(FLT_MAX)));
        t.y = kept ? pv_keep_exp(stretch, count, t.x, next) : pv_stretch_exp(stretch, count, t.x, next);
        s = pv_states_merge(1, s, t);
    }
    return s;
}

/* After a reading pass. Rows that hold +Inf or NaN, or nothing but -Inf, have no finite logsumexp, and NaN
 * for a form. */
PV_INLINE pv_form pv_form_of(int reduce, int pass, int across, pv_states s, pv_form form, float cols,
                             float epsilon) {
    PV_VT sum = pv_all_lanes(2, across, reduce == PV_NORMALIZE ? s.x : s.y);
    if (pass == 1) {
        form.b = PV_C(1.0f) / sqrt(sum / PV_C(cols) + PV_C(epsilon));
    } else if (reduce == PV_NORMALIZE) {
        form.a = sum / PV_C(cols);
    } else {
        PV_VI finite = (sum > PV_C(0.0f)) & (sum < PV_C(INFINITY));
        form.a = s.x;
        form.b = reduce == PV_SOFTMAX ? PV_C(1.0f) / sum : log(sum);
        form.b = finite ? form.b : PV_C(NAN);
    }
    return form;
}

/* `kept`: v is the exponential already. */
static inline PV_VT pv_formed(int reduce, int kept, pv_form form, PV_VT v) {
    if (kept) return v * form.b;
    if (reduce == PV_SOFTMAX) return pv_exp_below(v - form.a) * form.b;
    return reduce == PV_LOG_SOFTMAX ? v - form.a - form.b : (v - form.a) * form.b;
}

/* Neighbouring rows as the kernel takes them: `links` see them as pv_shape does. */
typedef struct pv_rows {
    const pave_abi_link *links;
    const long *b;
    long row, to; /* the first one, and its element of y */
    int across, lanes, kept;
} pv_rows;

/* Stores `count` vectors from column c on. */
PV_INLINE void pv_emit(const pave_abi_rows *args, const pv_rows *rows, pv_form form,
                       __local const float *stretch, long c, int count, __global char *y, PV_TENSOR_ARGS) {
    const int across = rows->across;
    const long lane = across ? args->y.row : args->y.col;
    for (int j = 0; j < count; j++, c += across ? 1 : PV_W) {
        int some = across ? rows->lanes : (int)min(args->cols - c, (long)PV_W);
        PV_VT v = pv_formed(args->reduce, rows->kept, form, PV_VLOAD(j, stretch));
        v = pv_chain(rows->links, args->link_count, rows->b, across ? c : rows->row, across ? rows->row : c,
                     some, v, PV_TENSORS);
        pv_put(y, args->y_type, rows->to + c * args->y.col, lane, some, v);
    }
}

/* `x` and `y` are past their views' offsets, and x's rows begin at element `from`. Passes 0 and 1
 * (normalize's squares) read, pass 2 stores. */
PV_INLINE void pv_normalize(const pave_abi_rows *args, const pv_rows *rows, pv_shape shape,
                            __local float *stretch, int per, __global const char *x, long from,
                            __global char *y, PV_TENSOR_ARGS) {
    const int reduce = args->reduce, across = rows->across, fits = args->cols <= per;
    pv_form form = {PV_C(0.0f), PV_C(0.0f)};
    for (int pass = 0; pass < 3; pass += reduce == PV_NORMALIZE ? 1 : 2) {
        pv_states s = pv_states_begin(reduce == PV_NORMALIZE ? 2 : 1);
        for (long c = 0; c < args->cols; c += per) {
            int cols = (int)min(args->cols - c, (long)per), count = (cols + shape.wide - 1) / shape.wide;
            const long after =
                from + (c + per < args->cols ? (c + per) * args->x.col : shape.high * args->x.row);
            if (pass == 0 || !fits)
                pv_stage(stretch, x, args->x_type, from + c * args->x.col, shape, rows->lanes, cols,
                         reduce == PV_NORMALIZE ? 0.0f : -INFINITY);
            if (pass < 2)
                s = pv_gather(
                    reduce, pass, across, s, form, stretch, count, cols, rows->kept,
                    (pv_next){x + after * PV_WIDTH(args->x_type), shape.step * PV_WIDTH(args->x_type)});
            else
                pv_emit(args, rows, form, stretch, c, count, y, PV_TENSORS);
        }
        if (pass < 2) form = pv_form_of(reduce, pass, across, s, form, (float)args->cols, args->epsilon);
    }
}

__kernel __attribute__((reqd_work_group_size(PAVE_THREADS, 1, 1))) void PAVE_KERNEL(const pave_abi_rows args,
                                                                                    __global const char *x,
                                                                                    __global char *y,
                                                                                    PV_TENSOR_ARGS) {
    __local float area[PV_STRETCH] __attribute__((aligned(64)));
    __local float *stretch = area + PV_UNKNOWN_ZERO(args.rows);
    const pv_shape shape = pv_shape_of(&args.x, args.rows, args.cols);
    const int across = shape.wide == 1, per = PV_STRETCH / PV_W * shape.wide;
    const int kept = args.reduce == PV_SOFTMAX && args.cols <= per;
    const long strips = (args.rows + shape.high - 1) / shape.high;
    pave_abi_link links[PAVE_ABI_LINKS];
    for (int i = 0; i < args.link_count; i++) links[i] = args.links[i];
    if (across) pv_turn_links(links, args.links, args.link_count);
    x += args.x.offset;
    y += args.y.offset;
    const long total = PV_MATRICES(args) * strips, end = pv_share(total, PV_GROUP + 1);
    for (long i = pv_share(total, PV_GROUP); i < end; i++) {
        long row = i % strips * shape.high, b[PAVE_BATCH_DIMS];
        pv_unflatten(i / strips, args.batch, b);
        const pv_rows rows = {links,  b,
                              row,    pv_batch_offset(&args.y, b) + row * args.y.row,
                              across, (int)min(args.rows - row, (long)shape.high),
                              kept};
        pv_normalize(&args, &rows, shape, stretch, per, x, pv_batch_offset(&args.x, b) + row * args.x.row, y,
                     PV_TENSORS);
    }
}
