/* SPDX-License-Identifier: Apache-2.0
 * The table of activations: one row gives the formula for every language, and the constants of its error
 * bound to planner and tests. Adding an activation is adding a row here and its number in pave_link_op.
 *
 * PAVE_ACTIVATIONS(X): X(ENUM, name, formula, expr, lipschitz, rel, arg), in pave_link_op's order from RELU on
 *   ENUM  suffix of PAVE_LINK_…; name as the command line spells it; formula for documents
 *   expr  of v and the link's scalars a, b, in the words below; used for float (CUDA, OpenCL scalars), for
 *         OpenCL vectors and for the host's double. Comparisons put the constant last so that NaN survives.
 *   lipschitz  bound on |f'|; "A" in it stands for max(1, |a|)
 *   rel, arg   evaluation error <= 2^-24 (rel |f(v)| + arg |v|), from the functions' documented ulps: exp 3,
 *              tanh 5, erf 16, log1p 2, expm1 3, division 2.5, each ulp at most 2 · 2^-24 relative
 * Words: PV_C(x) constant of v's type; PV_EXP, PV_EXPM1, PV_LOG1P, PV_TANH, PV_ERF, PV_ABS. a and b are of v's type.
 * A language may define PV_SIGMOID and PV_GELU_ERF where it has a quicker form within the same bound.
 * Softplus is max(v, 0) + log1p(exp(-|v|)), which neither overflows nor loses small values. */
#ifndef PAVE_KERNELS_EPILOGUE_LINKS_H
#define PAVE_KERNELS_EPILOGUE_LINKS_H

#ifndef PV_SIGMOID
#define PV_SIGMOID(v) (PV_C(1.0f) / (PV_C(1.0f) + PV_EXP(-(v))))
#endif
#ifndef PV_GELU_ERF
#define PV_GELU_ERF(v) (PV_C(0.5f) * (v) * (PV_C(1.0f) + PV_ERF((v) * PV_C(0.70710678118654752f))))
#endif
#define PV_SOFTPLUS(v) (((v) < PV_C(0.0f) ? PV_C(0.0f) : (v)) + PV_LOG1P(PV_EXP(-PV_ABS(v))))

#define PAVE_ACTIVATIONS(X)                                                                                  \
    X(RELU, relu, "max(v, 0)", (v < PV_C(0.0f) ? PV_C(0.0f) : v), 1, 0, 0)                                                \
    X(LEAKY_RELU, leaky_relu, "v < 0 ? a v : v", (v < PV_C(0.0f) ? a * v : v), A, 1, 0)                                         \
    X(SIGMOID, sigmoid, "1 / (1 + exp(-v))", PV_SIGMOID(v), 0.25, 13, 0)                               \
    X(TANH, tanh, "tanh v", PV_TANH(v), 1, 10, 0)                                                                      \
    X(GELU_ERF, gelu_erf, "v (1 + erf(v / sqrt 2)) / 2", PV_GELU_ERF(v), 1.1290,  \
      4, 20)                                                                                                 \
    X(GELU_TANH, gelu_tanh, "v (1 + tanh(sqrt(2 / pi) (v + 0.044715 v^3))) / 2",                                                                                  \
      (PV_C(0.5f) * v *                                                                                      \
       (PV_C(1.0f) +                                                                                         \
        PV_TANH(PV_C(0.79788456080286536f) * (v + PV_C(0.044715f) * v * v * v)))),                           \
      1.1290, 4, 12)                                                                                         \
    X(SILU, silu, "v / (1 + exp(-v))", (v * PV_SIGMOID(v)), 1.0999, 14, 0)                                            \
    X(MISH, mish, "v tanh(softplus v)", (v * PV_TANH(PV_SOFTPLUS(v))), 1.0885, 24, 0)                                              \
    X(CLAMP, clamp, "min(max(v, a), b)", (v < a ? a : (v > b ? b : v)), 1, 0, 0)                                                  \
    X(HARDSWISH, hardswish, "v clamp(v + 3, 0, 6) / 6",                                                                                  \
      (v * ((v + PV_C(3.0f)) < PV_C(0.0f)                                                                    \
                ? PV_C(0.0f)                                                                                 \
                : ((v + PV_C(3.0f)) > PV_C(6.0f) ? PV_C(6.0f) : (v + PV_C(3.0f)))) /                         \
       PV_C(6.0f)),                                                                                          \
      1.5, 8, 6)                                                                                             \
    X(SOFTPLUS, softplus, "max(v, 0) + log(1 + exp(-abs v))", PV_SOFTPLUS(v), 1, 14, 0)                                                          \
    X(ELU, elu, "v < 0 ? a (exp(v) - 1) : v", (v < PV_C(0.0f) ? a * PV_EXPM1(v) : v), A, 8, 0)

#endif
