/* SPDX-License-Identifier: Apache-2.0
 * Expands the families' tables into the one array of rows. Shared-memory sizes follow from the tiles here, so
 * that no table repeats them. */
#include "kernels/rows.h"

#include "kernels/abi.h"
#include "kernels/gemm/rows.h"
#include "kernels/pack/rows.h"
#include "kernels/peak/rows.h"
#include "kernels/reduce/rows.h"
#include <pave/device.h>
#include <string.h>

#define BYTES_TF32 4
#define BYTES_F16 2
#define BYTES_BF16 2
#define BYTES_F32 4
#define KEEPS_TF32 PAVE_HIGH
#define KEEPS_F16 PAVE_HIGH
#define KEEPS_BF16 PAVE_HIGH
#define KIND_CPU PAVE_DEVICE_CPU
#define KIND_GPU PAVE_DEVICE_GPU
#define TEXT(x) #x

/* clang-format off */
#define MMA(NAME, IN, A, B, BM, BN, BK, WM, WN, STAGES, REGISTERS, EFFICIENCY)         \
    {.name = TEXT(NAME),                                                                  \
     .family = PAVE__GEMM,                                                                \
     .backend = PAVE__CUDA,                                                               \
     .kind = PAVE_DEVICE_GPU,                                                             \
     .path = PAVE_PATH_##IN,                                                              \
     .precision = KEEPS_##IN,                                                             \
     .a_type = PAVE_T_##A,                                                               \
     .b_type = PAVE_T_##B,                                                   \
     .bm = (BM), .bn = (BN), .bk = (BK), .wm = (WM), .wn = (WN), .stages = (STAGES),      \
     .threads = ((BM) / (WM)) * ((BN) / (WN)) * 32,                                       \
     .align = 16,                                                                         \
     .slice = (WN),                                                                       \
     .min_capability = 80,                                                                \
     .registers = (REGISTERS),                                                            \
     .shared_bytes = ((BM) + (BN)) * (BK) * BYTES_##IN * (STAGES),                        \
     .efficiency = (EFFICIENCY)},
#define SIMT(NAME, IN, BM, BN, BK, TM, TN, REGISTERS, EFFICIENCY)                         \
    {.name = TEXT(NAME),                                                                  \
     .family = PAVE__GEMM,                                                                \
     .backend = PAVE__CUDA,                                                               \
     .kind = PAVE_DEVICE_GPU,                                                             \
     .path = PAVE_PATH_FMA,                                                               \
     .precision = PAVE_HIGHEST,                                                           \
     .a_type = PAVE_T_##IN, .b_type = PAVE_T_##IN,                                        \
     .bm = (BM), .bn = (BN), .bk = (BK), .wm = (TM), .wn = (TN), .stages = 1,             \
     .threads = ((BM) / (TM)) * ((BN) / (TN)),                                            \
     .align = 1,                                                                          \
     .slice = (BN),                                                                       \
     .min_capability = 80,                                                                \
     .registers = (REGISTERS),                                                            \
     .efficiency = (EFFICIENCY)},
#define CL(NAME, KIND, IN, BM, BN, BK, WM, WN, THREADS, EFFICIENCY, SOURCE)               \
    {.name = TEXT(NAME),                                                                  \
     .family = PAVE__GEMM,                                                                \
     .backend = PAVE__OPENCL,                                                             \
     .kind = KIND_##KIND,                                                                 \
     .path = PAVE_PATH_FMA,                                                               \
     .precision = PAVE_HIGHEST,                                                           \
     .a_type = PAVE_T_##IN, .b_type = PAVE_T_##IN,                                        \
     .bm = (BM), .bn = (BN), .bk = (BK), .wm = (WM), .wn = (WN), .stages = 1,             \
     .threads = (THREADS),                                                                \
     .align = 1,                                                                          \
     .slice = (BN),                                                                       \
     .efficiency = (EFFICIENCY),                                                          \
     .source = TEXT(SOURCE)},
#define SIMPLE(NAME, FAMILY, BACKEND, KIND, BM, BN, THREADS, SOURCE)                      \
    {.name = TEXT(NAME),                                                                  \
     .family = (FAMILY),                                                                  \
     .backend = (BACKEND),                                                                \
     .kind = (KIND),                                                                      \
     .path = PAVE_PATH_FMA,                                                               \
     .precision = PAVE_HIGHEST,                                                           \
     .bm = (BM), .bn = (BN), .stages = 1, .threads = (THREADS), .align = 1,               \
     .efficiency = 0.8,                                                                   \
     .source = (SOURCE)},
#define REDUCE_CUDA(NAME, ROWS, THREADS) \
    SIMPLE(NAME, PAVE__REDUCE, PAVE__CUDA, PAVE_DEVICE_GPU, ROWS, 1, THREADS, NULL)
#define JOIN_CUDA(NAME, ROWS, THREADS) \
    SIMPLE(NAME, PAVE__JOIN, PAVE__CUDA, PAVE_DEVICE_GPU, ROWS, 1, THREADS, NULL)
#define PACK_CUDA(NAME, ELEMS, THREADS) \
    SIMPLE(NAME, PAVE__PACK, PAVE__CUDA, PAVE_DEVICE_GPU, 1, ELEMS, THREADS, NULL)
#define REDUCE_CL(NAME, KIND, ROWS, THREADS, SOURCE) \
    SIMPLE(NAME, PAVE__REDUCE, PAVE__OPENCL, KIND_##KIND, ROWS, 1, THREADS, TEXT(SOURCE))
#define JOIN_CL(NAME, KIND, ROWS, THREADS, SOURCE) \
    SIMPLE(NAME, PAVE__JOIN, PAVE__OPENCL, KIND_##KIND, ROWS, 1, THREADS, TEXT(SOURCE))
#define PACK_CL(NAME, KIND, ELEMS, THREADS, SOURCE) \
    SIMPLE(NAME, PAVE__PACK, PAVE__OPENCL, KIND_##KIND, 1, ELEMS, THREADS, TEXT(SOURCE))
#define PEAK_CUDA(NAME, PATH, THREADS, FLOPS)                                              \
    {.name = TEXT(NAME), .family = PAVE__PEAK, .backend = PAVE__CUDA,                      \
     .kind = PAVE_DEVICE_GPU, .path = PAVE_PATH_##PATH, .threads = (THREADS), .align = 1,  \
     .min_capability = 80, .peak_flops = (FLOPS)},
#define PEAK_CL(NAME, KIND, THREADS, FLOPS, SOURCE)                                        \
    {.name = TEXT(NAME), .family = PAVE__PEAK, .backend = PAVE__OPENCL,                    \
     .kind = KIND_##KIND, .path = PAVE_PATH_FMA, .threads = (THREADS), .align = 1,         \
     .peak_flops = (FLOPS), .source = TEXT(SOURCE)},

static const pave__row rows[] = {
    PAVE_GEMM_MMA_ROWS(MMA)
    PAVE_GEMM_SIMT_ROWS(SIMT)
    PAVE_GEMM_CL_ROWS(CL)
    PAVE_REDUCE_CUDA_ROWS(REDUCE_CUDA)
    PAVE_REDUCE_CL_ROWS(REDUCE_CL)
    PAVE_JOIN_CUDA_ROWS(JOIN_CUDA)
    PAVE_JOIN_CL_ROWS(JOIN_CL)
    PAVE_PACK_CUDA_ROWS(PACK_CUDA)
    PAVE_PACK_CL_ROWS(PACK_CL)
    PAVE_PEAK_CUDA_ROWS(PEAK_CUDA)
    PAVE_PEAK_CL_ROWS(PEAK_CL)
    {.name = "pave_gemm_host_f64", .family = PAVE__GEMM, .backend = PAVE__HOST, .precision = PAVE_HIGHEST,
     .a_type = PAVE_T_F32, .b_type = PAVE_T_F32,
     .bm = 64, .bn = 64, .bk = 1, .wm = 64, .wn = 64, .stages = 1, .threads = 1, .align = 1, .slice = 64,
     .efficiency = 1.0},
    {.name = "pave_reduce_host_f64", .family = PAVE__REDUCE, .backend = PAVE__HOST,
     .precision = PAVE_HIGHEST, .bm = 1, .bn = 1, .stages = 1, .threads = 1, .align = 1, .efficiency = 1.0},
    {.name = "pave_join_host_f64", .family = PAVE__JOIN, .backend = PAVE__HOST, .precision = PAVE_HIGHEST,
     .bm = 64, .bn = 1, .stages = 1, .threads = 1, .align = 1, .efficiency = 1.0},
    {.name = "pave_pack_host_f64", .family = PAVE__PACK, .backend = PAVE__HOST, .precision = PAVE_HIGHEST,
     .bm = 1, .bn = 4096, .stages = 1, .threads = 1, .align = 1, .efficiency = 1.0},
};
/* clang-format on */

const pave__row *pave__rows(size_t *count) {
    *count = sizeof rows / sizeof rows[0];
    return rows;
}

const pave__row *pave__row_find(const char *name) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}
