/* SPDX-License-Identifier: Apache-2.0
 * Family normalize value by value: what a row's reductions make of each of its values. Rows that hold +Inf or
 * NaN, or nothing but -Inf, have no finite logsumexp, and NaN for softmax and log_softmax. */
#ifndef PAVE_KERNELS_OPENCL_ROW_FORM_H
#define PAVE_KERNELS_OPENCL_ROW_FORM_H

#include "prelude.h"
#include "row_state.h"
#include "walk.h"

/* softmax: exp(v - a) * b; log_softmax: v - a - b; normalize: (v - a) * b. */
typedef struct pv_form {
    float a, b;
} pv_form;

/* Sum of every `step`-th column's squared distance from the mean, from column `from` on. */
static inline float pv_fold_squares(float mean, __global const char *x, int type, long first, long col,
                                    long from, long to, long step) {
    float s = 0.0f;
    while (from < to) {
        long end = min(from + PV_RUN * step, to);
        float t = 0.0f;
        for (; from < end; from += step) {
            float d = pv_load1(x, type, first + from * col) - mean;
            t = fma(d, d, t);
        }
        s += t;
    }
    return s;
}

/* Of logsumexp's state. */
static inline pv_form pv_form_exp(int reduce, float2 s) {
    pv_form form = {s.x, reduce == PV_SOFTMAX ? 1.0f / s.y : log(s.y)};
    if (!(s.y > 0.0f && s.y < INFINITY)) form.b = NAN;
    return form;
}

static inline pv_form pv_form_mean(float mean, float squares, float cols, float epsilon) {
    pv_form form = {mean, 1.0f / sqrt(squares / cols + epsilon)};
    return form;
}

static inline PV_VT pv_formed(int reduce, pv_form form, PV_VT v) {
    v -= PV_C(form.a);
    if (reduce == PV_LOG_SOFTMAX) return v - PV_C(form.b);
    return (reduce == PV_SOFTMAX ? exp(v) : v) * PV_C(form.b);
}

#endif
