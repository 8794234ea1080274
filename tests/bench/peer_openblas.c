/* SPDX-License-Identifier: Apache-2.0
 * OpenBLAS, if it can be loaded, with the core type that suits the machine: its own choice can be one without vectors. */
#include "tests/bench/peers.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

typedef void (*sgemm_fn)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                         const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);

static sgemm_fn sgemm;

static bool load(void) {
    if (sgemm) return true;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
    else if (__builtin_cpu_supports("avx2"))
        setenv("OPENBLAS_CORETYPE", "Haswell", 0);
#endif
    void *library = dlopen("libopenblas.so.0", RTLD_NOW);
    if (library) *(void **)&sgemm = dlsym(library, "cblas_sgemm");
    if (!sgemm) fprintf(stderr, "openblas: not here (Debian: libopenblas0-pthread)\n");
    return sgemm;
}

static void *prepare(const peer_problem *p) {
    return load() ? (void *)p : NULL;
}

static bool run(void *of) {
    const peer_problem *p = of;
    sgemm(ROW_MAJOR, NO_TRANS, TRANS, (int)p->m, (int)p->n, (int)p->k, 1, p->x, (int)p->k, p->w, (int)p->k, 0,
          p->y, (int)p->n);
    return true;
}

static void drop(void *of) {
    (void)of;
}

const peer peer_openblas = {"openblas", "product", prepare, run, NULL, drop};
