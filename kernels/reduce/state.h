/* SPDX-License-Identifier: Apache-2.0
 * Row reductions as states of two numbers (s.x, s.y), the same in every language: begin, fold a value in, merge
 * two states, finish. Merging is what a fused reduction, a split row and a tree all do, in a fixed order.
 * `reduce` is a pave_reduction with states: 1 logsumexp, 2 sum, 3 mean, 4 max, 5 min, 6 argmax.
 *
 * logsumexp keeps x = the maximum clamped to finite values and y = sum of exp(v - x). The clamp is what makes
 * the rules hold with no branches: NaN gives NaN, +Inf gives +Inf, all -Inf and the empty row -Inf, one value
 * itself. max and min take a NaN and keep it. argmax keeps the value and, in y, its index: the least of equal ones, and a
 * NaN is larger than anything. Source for the online form: Milakov and Gimelshein 2018.
 *
 * The including file defines: PV_FN (function qualifiers), PV_REAL (float, or the host's double), PV_STATE (a
 * type with members x, y of PV_REAL), PV_EXP, PV_LOG, PV_MAX, PV_MIN (fmax, fmin: a NaN loses), PV_INF, PV_BIG
 * (FLT_MAX), PV_NAN, and PV_FROM_INDEX, PV_TO_INDEX between an int and the PV_REAL that carries it (its bits, in a float). */

#define PV_NO_INDEX 0x7fffffff

PV_FN PV_STATE pave_state_begin(int reduce) {
    PV_STATE s;
    s.x = reduce == 4 || reduce == 6 ? -PV_INF : reduce == 5 ? PV_INF : reduce == 1 ? -PV_BIG : (PV_REAL)0;
    s.y = reduce == 6 ? PV_FROM_INDEX(PV_NO_INDEX) : (PV_REAL)0;
    return s;
}

/* The better of a state and a value with its index. */
PV_FN PV_STATE pave_state_pick(PV_STATE s, PV_REAL v, PV_REAL index) {
    int alike = v == s.x || (v != v && s.x != s.x);
    int better = alike ? PV_TO_INDEX(index) < PV_TO_INDEX(s.y) : v > s.x || v != v;
    s.x = better ? v : s.x;
    s.y = better ? index : s.y;
    return s;
}

/* `index` is the value's column; only argmax asks. */
PV_FN PV_STATE pave_state_fold(int reduce, PV_STATE s, PV_REAL v, int index) {
    if (reduce == 1) {
        PV_REAL top = PV_MAX(s.x, PV_MIN(v, PV_BIG));
        s.y = s.y * PV_EXP(s.x - top) + PV_EXP(v - top);
        s.x = top;
    } else if (reduce == 4) {
        s.x = (v > s.x || v != v) ? v : s.x;
    } else if (reduce == 5) {
        s.x = (v < s.x || v != v) ? v : s.x;
    } else if (reduce == 6) {
        s = pave_state_pick(s, v, PV_FROM_INDEX(index));
    } else {
        s.x += v;
    }
    return s;
}

PV_FN PV_STATE pave_state_merge(int reduce, PV_STATE s, PV_STATE t) {
    if (reduce == 1) {
        PV_REAL top = PV_MAX(s.x, t.x);
        s.y = s.y * PV_EXP(s.x - top) + t.y * PV_EXP(t.x - top);
        s.x = top;
    } else if (reduce == 6) {
        s = pave_state_pick(s, t.x, t.y);
    } else {
        s = pave_state_fold(reduce, s, t.x, 0);
    }
    return s;
}

/* The value of all but argmax, whose index is PV_TO_INDEX(s.y). */
PV_FN PV_REAL pave_state_finish(int reduce, PV_STATE s, PV_REAL count) {
    if (reduce == 1) return s.x + PV_LOG(s.y);
    if (reduce == 3) return count > (PV_REAL)0 ? s.x / count : PV_NAN;
    return s.x;
}
