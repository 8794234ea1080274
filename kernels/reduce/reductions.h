/* SPDX-License-Identifier: Apache-2.0
 * The table of reductions: their order is pave_reduction's, from 1 on. What a row has states for, a product can leave
 * behind without storing its values; what is wide gives as many values as it takes. How states begin, fold, merge and
 * finish is state.h's.
 *
 * PAVE_REDUCTIONS(X): X(ENUM, name, formula, empty, states, wide)
 *   formula, empty  for documents: of a row v of n values, and of an empty row */
#ifndef PAVE_KERNELS_REDUCE_REDUCTIONS_H
#define PAVE_KERNELS_REDUCE_REDUCTIONS_H

#define PAVE_REDUCTIONS(X)                                                                                     \
    X(LOGSUMEXP, logsumexp, "log sum exp(v)", "-Inf", 1, 0)                                                        \
    X(SUM, sum, "sum v", "0", 1, 0)                                                                              \
    X(MEAN, mean, "sum v / n", "NaN", 1, 0)                                                                      \
    X(MAX, max, "max v", "-Inf", 1, 0)                                                                           \
    X(MIN, min, "min v", "+Inf", 1, 0)                                                                           \
    X(ARGMAX, argmax, "the least j with v[j] = max v, as i32", "refused", 1, 0)                                \
    X(SOFTMAX, softmax, "exp(v - logsumexp v)", "nothing", 0, 1)                                               \
    X(LOG_SOFTMAX, log_softmax, "v - logsumexp v", "nothing", 0, 1)                                            \
    X(NORMALIZE, normalize, "(v - mean v) / sqrt(mean (v - mean v)^2 + epsilon)", "nothing", 0, 1)

#endif
