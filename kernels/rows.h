/* SPDX-License-Identifier: Apache-2.0
 * A kernel row: everything anyone knows about one kernel variant. The families' tables (gemm/rows.h and so on)
 * list them; planner, backends, tests and benchmarks read this struct and nothing else about a kernel. */
#ifndef PAVE_KERNELS_ROWS_H
#define PAVE_KERNELS_ROWS_H

#include <stddef.h>
#include <stdint.h>

typedef enum pave__family {
    PAVE__GEMM,
    PAVE__REDUCE,
    PAVE__JOIN,
    PAVE__NORMALIZE,
    PAVE__MAP,
    PAVE__PEAK,
    PAVE__FAMILY_COUNT
} pave__family;

/* The strides that a row is shaped for. Rows of the families that work on rows are right for any. */
typedef enum pave__layout {
    PAVE__LAYOUT_ROWS,   /* gemm: needs k contiguous in both operands; others: fast where columns are 1 apart */
    PAVE__LAYOUT_ACROSS, /* others: fast where rows are 1 apart; map: where x's are and y's columns are */
    PAVE__LAYOUT_ANY     /* gemm: takes any strides */
} pave__layout;

typedef enum pave__backend_id { PAVE__CUDA, PAVE__OPENCL, PAVE__HOST } pave__backend_id;

/* Inputs that float8 may be in beside a gemm's a and b; y may wherever it may be float16. */
#define PAVE__F8_X 1
#define PAVE__F8_LINKS 2
#define PAVE__F8_ALL (PAVE__F8_X | PAVE__F8_LINKS)

typedef struct pave__row {
    const char *name; /* the kernel's entry name in every language, and PAVE_KERNEL's word */
    pave__family family;
    pave__backend_id backend;
    int kind;          /* pave_device_kind it is shaped for; 0: any */
    int path;          /* pave_path */
    int precision;     /* the strongest pave_precision it keeps, for operands of in_type */
    int a_type, b_type; /* PAVE_T_* its operands must have in memory; 0: any public type; map: b_type is y's */
    int layout;         /* pave__layout */
    int bm, bn, bk;    /* tile of a block; reduce, normalize, join: rows a block; map: rows and columns a block, where several
                        * rows are more of them if they are narrower, and one that is longer if there are fewer */
    int lanes;         /* reduce, normalize, join: threads that share a row; 0: as many as bm leaves */
    int loads;         /* reduce, normalize: of four values that a thread has under way at once; 0: 1 */
    int wm, wn;        /* tile of a warp, or of a work-item */
    int stages;        /* depth of the copy pipeline; 1: none */
    int direct;        /* gemm: 1: stages × bk of its columns of B are always under way, straight to registers, and A is read
                        * through the L1, which a unit's blocks share */
    int joins;         /* gemm: 1: of a tile's slices of k the last block to end adds all, and makes y of them */
    int threads;       /* a block; fixed */
    int align;         /* bytes that operands' base and row stride must be multiples of; 1: none */
    int slice;         /* columns of one partial state where a reduction is fused; 0: cannot fuse */
    int sums;          /* map: 1: adds slots of partial sums, and takes nothing else */
    int slices;        /* normalize: 1: teams of blocks, which all run at once, share rows that have states, and nothing else */
    int float8;        /* which of its inputs may be float8, beside a gemm's operands: PAVE__F8_… */
    int min_capability; /* compute capability, 80 for 8.0; 0: none needed */
    int registers;      /* a thread, as compiled for sm_89; 0: unknown or none */
    uint32_t shared_bytes; /* of a block; CUDA: asked for by the launch, OpenCL: declared by the source */
    double efficiency; /* share of the path's peak that the main loop reaches where nothing else limits it */
    double peak_flops; /* family peak: operations a thread and iteration */
    const char *source; /* OpenCL: name of the embedded source file */
} pave__row;

/* OpenCL rows that need a compute capability have instructions that OpenCL C has no words for: a driver may refuse them or
 * make something else of them, and the device is then used without the row. */
static inline int pave__row_doubtful(const pave__row *row) {
    return row->backend == PAVE__OPENCL && row->min_capability > 0;
}

/* All rows of this build, every backend's, in order of preference where the planner predicts a tie. */
const pave__row *pave__rows(size_t *count);
/* By name; NULL where there is none. */
const pave__row *pave__row_find(const char *name);

#endif
