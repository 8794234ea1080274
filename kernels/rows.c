/* SPDX-License-Identifier: Apache-2.0
 * Expands the families' tables into the one array of rows. Shared-memory sizes follow from the tiles here, so
 * that no table repeats them: what a CUDA launch asks for, and what an OpenCL source declares. */
#include "kernels/rows.h"

#include "kernels/abi.h"
#include "kernels/gemm/rows.h"
#include "kernels/map/rows.h"
#include "kernels/peak/rows.h"
#include "kernels/reduce/rows.h"
#include <pave/device.h>
#include <string.h>

#define BYTES_TF32 4
#define BYTES_F16 2
#define BYTES_BF16 2
#define BYTES_F32 4
#define BYTES_F16X2 4
#define BYTES_E4M3 1
#define BYTES_E5M2 1
#define KEEPS_TF32 PAVE_HIGH
#define KEEPS_F16 PAVE_HIGH
#define KEEPS_BF16 PAVE_HIGH
#define KEEPS_F16X2 PAVE_HIGHEST
#define KEEPS_F32 PAVE_HIGHEST
#define KEEPS_E4M3 PAVE_MEDIUM
#define KEEPS_E5M2 PAVE_MEDIUM
#define SINCE_TF32 80
#define SINCE_F16 80
#define SINCE_BF16 80
#define SINCE_F16X2 80
#define SINCE_F32 80
#define SINCE_E4M3 89
#define SINCE_E5M2 89
#define PATH_TF32 PAVE_PATH_TF32
#define PATH_F16 PAVE_PATH_F16
#define PATH_BF16 PAVE_PATH_BF16
#define PATH_F16X2 PAVE_PATH_F16
#define PATH_F32 PAVE_PATH_FMA
#define PATH_E4M3 PAVE_PATH_F8
#define PATH_E5M2 PAVE_PATH_F8
#define KIND_CPU PAVE_DEVICE_CPU
#define KIND_GPU PAVE_DEVICE_GPU
#define ALIGN_ROWS 16
#define ALIGN_ANY 1
#define TEXT(x) #x
#define FLOAT_BYTES 4
/* That a launch bound of so many blocks leaves a thread: 65,536 a unit, given out by eights. */
#define REGISTERS_OF(THREADS, BLOCKS) (65536 / ((THREADS) * (BLOCKS)) / 8 * 8)
/* Local memory by source: gemm_cpu holds the tile, its strips of A and a panel of B; gemm_tile both operands' tiles twice,
 * and the tile's number. */
#define LOCAL_gemm_cpu(BM, BN, BK, WM, WN) (((BM) * (BN) + (BK) * ((BM) + (WN))) * FLOAT_BYTES)
#define LOCAL_gemm_tile(BM, BN, BK, WM, WN) (2 * (BK) * ((BM) + (BN)) * FLOAT_BYTES + 8)

/* clang-format off */
#define BY_WARPS(NAME, BACKEND, SOURCE, JOINS, IN, A, B, BM, BN, BK, WM, WN, STAGES, REGISTERS, EFFICIENCY) \
    {.name = TEXT(NAME),                                                                  \
     .family = PAVE__GEMM,                                                                \
     .backend = PAVE__##BACKEND,                                                          \
     .kind = PAVE_DEVICE_GPU,                                                             \
     .path = PATH_##IN,                                                                   \
     .precision = KEEPS_##IN,                                                             \
     .a_type = PAVE_T_##A,                                                               \
     .b_type = PAVE_T_##B,                                                   \
     .bm = (BM), .bn = (BN), .bk = (BK), .wm = (WM), .wn = (WN), .stages = (STAGES),      \
     .joins = (JOINS),                                                                    \
     .threads = ((BM) / (WM)) * ((BN) / (WN)) * 32,                                       \
     .align = 16,                                                                         \
     .layout = PAVE__LAYOUT_ROWS,                                                         \
     .slice = (WN),                                                                       \
     .min_capability = SINCE_##IN,                                                        \
     .registers = (REGISTERS),                                                            \
     .shared_bytes = ((BM) + (BN)) * (BK) * BYTES_##IN * (STAGES),                        \
     .efficiency = (EFFICIENCY),                                                          \
     .source = (SOURCE)},
#define MMA(NAME, ...) BY_WARPS(NAME, CUDA, NULL, 1, __VA_ARGS__)
#define PTX(NAME, ...) BY_WARPS(NAME, OPENCL, "gemm_mma", 0, __VA_ARGS__)
#define PTX_FMA(NAME, BM, BN, BK, WM, WN, STAGES, REGISTERS, EFFICIENCY) \
    BY_WARPS(NAME, OPENCL, "gemm_fma", 0, F32, F32, F32, BM, BN, BK, WM, WN, STAGES, REGISTERS, EFFICIENCY)
/* What CUDA's rows on the ordinary units share. */
#define ON_FMA_UNITS(NAME, IN, BM, BN, BK, REGISTERS, EFFICIENCY)                         \
     .name = TEXT(NAME),                                                                  \
     .family = PAVE__GEMM,                                                                \
     .backend = PAVE__CUDA,                                                               \
     .kind = PAVE_DEVICE_GPU,                                                             \
     .path = PAVE_PATH_FMA,                                                               \
     .precision = PAVE_HIGHEST,                                                           \
     .a_type = PAVE_T_##IN, .b_type = PAVE_T_##IN,                                        \
     .bm = (BM), .bn = (BN), .bk = (BK),                                                  \
     .min_capability = 80,                                                                \
     .registers = (REGISTERS),                                                            \
     .efficiency = (EFFICIENCY)
#define SIMT(NAME, IN, LAYOUT, BM, BN, BK, WM, WN, STAGES, REGISTERS, EFFICIENCY)         \
    {ON_FMA_UNITS(NAME, IN, BM, BN, BK, REGISTERS, EFFICIENCY),                           \
     .wm = (WM), .wn = (WN), .stages = (STAGES),                                          \
     .threads = ((BM) / (WM)) * ((BN) / (WN)) * 32,                                       \
     .align = ALIGN_##LAYOUT,                                                             \
     .layout = PAVE__LAYOUT_##LAYOUT,                                                     \
     .slice = (WN),                                                                       \
     .shared_bytes = ((BM) + (BN)) * (BK) * FLOAT_BYTES * (STAGES)},
#define DOT(NAME, IN, BM, BN, BK, STAGES, REGISTERS, EFFICIENCY)                          \
    {ON_FMA_UNITS(NAME, IN, BM, BN, BK, REGISTERS, EFFICIENCY),                           \
     .wm = (BM), .wn = 4, .stages = (STAGES), .direct = 1,                                \
     .threads = (BN) * BYTES_##IN * (BK) / 64,                                            \
     .align = ALIGN_ROWS,                                                                 \
     .layout = PAVE__LAYOUT_ROWS,                                                         \
     .slice = 4},
#define FEW(NAME, IN, A, BM, BN, BK, STAGES, REGISTERS, EFFICIENCY)                          \
    {.name = TEXT(NAME),                                                                  \
     .family = PAVE__GEMM,                                                                \
     .backend = PAVE__CUDA,                                                               \
     .kind = PAVE_DEVICE_GPU,                                                             \
     .path = PATH_##IN,                                                                   \
     .precision = KEEPS_##IN,                                                             \
     .a_type = PAVE_T_##A, .b_type = PAVE_T_##IN,                                        \
     .bm = (BM), .bn = (BN), .bk = (BK), .wm = (BM), .wn = (BN),                          \
     .stages = (STAGES), .direct = 1,                                                     \
     .threads = (BK) / 2,                                                                 \
     .align = ALIGN_ROWS,                                                                 \
     .layout = PAVE__LAYOUT_ROWS,                                                         \
     .slice = (BN),                                                                       \
     .min_capability = SINCE_##IN,                                                        \
     .registers = (REGISTERS),                                                            \
     .efficiency = (EFFICIENCY)},
#define CL(NAME, KIND, IN, BM, BN, BK, WM, WN, THREADS, REGISTERS, EFFICIENCY, SOURCE)    \
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
     .layout = PAVE__LAYOUT_ANY,                                                          \
     .slice = (BN),                                                                       \
     .registers = (REGISTERS),                                                            \
     .shared_bytes = LOCAL_##SOURCE(BM, BN, BK, WM, WN),                                  \
     .float8 = PAVE__F8_ALL,                                                              \
     .efficiency = (EFFICIENCY),                                                          \
     .source = TEXT(SOURCE)},
#define ON_ROWS(NAME, FAMILY, BACKEND, KIND, LAYOUT, BM, BN, THREADS, SUMS, FLOAT8, SOURCE) \
    {.name = TEXT(NAME),                                                                  \
     .family = PAVE__##FAMILY,                                                            \
     .backend = PAVE__##BACKEND,                                                          \
     .kind = (KIND),                                                                      \
     .path = PAVE_PATH_FMA,                                                               \
     .precision = PAVE_HIGHEST,                                                           \
     .layout = PAVE__LAYOUT_##LAYOUT,                                                     \
     .bm = (BM), .bn = (BN), .stages = 1, .threads = (THREADS), .align = 1,               \
     .sums = (SUMS), .float8 = (FLOAT8), .efficiency = 0.8,                               \
     .source = (SOURCE)},
#define TEAMS(NAME, FAMILY, LAYOUT, ROWS, LANES, THREADS, LOADS, STAGES, REGISTERS)        \
    {.name = TEXT(NAME), .family = PAVE__##FAMILY, .backend = PAVE__CUDA,                 \
     .kind = KIND_GPU, .path = PAVE_PATH_FMA, .precision = PAVE_HIGHEST,                   \
     .layout = PAVE__LAYOUT_##LAYOUT,                                                     \
     .bm = (ROWS), .bn = 1, .lanes = (LANES), .loads = (LOADS), .slices = (STAGES) > 1,    \
     .stages = (STAGES), .threads = (THREADS), .align = 1,                                \
     .shared_bytes = (STAGES) > 1 ? (STAGES) * (LANES) * (LOADS) * 16 : 0,                \
     .registers = (REGISTERS), .efficiency = 0.8},
#define REDUCE_CUDA(NAME, LAYOUT, ROWS, LANES, THREADS, LOADS, BLOCKS) \
    TEAMS(NAME, REDUCE, LAYOUT, ROWS, LANES, THREADS, LOADS, 1, REGISTERS_OF(THREADS, BLOCKS))
#define NORMALIZE_CUDA(NAME, LAYOUT, ROWS, LANES, THREADS, LOADS, BLOCKS) \
    TEAMS(NAME, NORMALIZE, LAYOUT, ROWS, LANES, THREADS, LOADS, 1, REGISTERS_OF(THREADS, BLOCKS))
#define NORMALIZE_SLICES_CUDA(NAME, LAYOUT, ROWS, LANES, THREADS, LOADS, BLOCKS, STAGES) \
    TEAMS(NAME, NORMALIZE, LAYOUT, ROWS, LANES, THREADS, LOADS, STAGES, REGISTERS_OF(THREADS, BLOCKS))
#define JOIN_CUDA(NAME, LAYOUT, ROWS, LANES, THREADS) \
    TEAMS(NAME, JOIN, LAYOUT, ROWS, LANES, THREADS, 0, 1, 32)
#define MAP_CUDA(NAME, LAYOUT, ROWS, COLS, THREADS) \
    ON_ROWS(NAME, MAP, CUDA, KIND_GPU, LAYOUT, ROWS, COLS, THREADS, 0, PAVE__F8_X, NULL)
#define SCALES(NAME, BACKEND, KIND, TO, COLS, THREADS, BLOCKS, SOURCE)                    \
    {.name = TEXT(NAME), .family = PAVE__MAP, .backend = PAVE__##BACKEND, .kind = (KIND), \
     .path = PAVE_PATH_FMA, .precision = PAVE_HIGHEST, .layout = PAVE__LAYOUT_ROWS,       \
     .b_type = PAVE_T_##TO,                                                               \
     .bm = 1, .bn = (COLS), .stages = 1, .threads = (THREADS), .align = 1,                \
     .registers = REGISTERS_OF(THREADS, BLOCKS), .efficiency = 0.8, .source = (SOURCE)},
#define MAP_SCALE_CUDA(NAME, TO, COLS, THREADS, BLOCKS) \
    SCALES(NAME, CUDA, KIND_GPU, TO, COLS, THREADS, BLOCKS, NULL)
#define MAP_SCALE_CL(NAME, KIND, TO, COLS, THREADS, BLOCKS, SOURCE) \
    SCALES(NAME, OPENCL, KIND_##KIND, TO, COLS, THREADS, BLOCKS, TEXT(SOURCE))
#define REDUCE_CL(NAME, KIND, LAYOUT, ROWS, THREADS, SOURCE) \
    ON_ROWS(NAME, REDUCE, OPENCL, KIND_##KIND, LAYOUT, ROWS, 1, THREADS, 0, PAVE__F8_ALL, TEXT(SOURCE))
#define NORMALIZE_CL(NAME, KIND, LAYOUT, ROWS, THREADS, SOURCE) \
    ON_ROWS(NAME, NORMALIZE, OPENCL, KIND_##KIND, LAYOUT, ROWS, 1, THREADS, 0, PAVE__F8_ALL, TEXT(SOURCE))
#define JOIN_CL(NAME, KIND, LAYOUT, ROWS, THREADS, SOURCE) \
    ON_ROWS(NAME, JOIN, OPENCL, KIND_##KIND, LAYOUT, ROWS, 1, THREADS, 0, PAVE__F8_ALL, TEXT(SOURCE))
#define MAP_CL(NAME, KIND, LAYOUT, ROWS, COLS, THREADS, SOURCE) \
    ON_ROWS(NAME, MAP, OPENCL, KIND_##KIND, LAYOUT, ROWS, COLS, THREADS, 0, PAVE__F8_ALL, TEXT(SOURCE))
#define MAP_SUM_CUDA(NAME, BM, COLS, THREADS) \
    ON_ROWS(NAME, MAP, CUDA, KIND_GPU, ROWS, BM, COLS, THREADS, 1, 0, NULL)
#define MAP_SUM_CL(NAME, KIND, COLS, THREADS, SOURCE) \
    ON_ROWS(NAME, MAP, OPENCL, KIND_##KIND, ROWS, 1, COLS, THREADS, 1, PAVE__F8_ALL, TEXT(SOURCE))
#define HOST(NAME, FAMILY, BM, BN, TYPE, SLICE, SUMS)                                      \
    {.name = TEXT(NAME), .family = PAVE__##FAMILY, .backend = PAVE__HOST,                  \
     .precision = PAVE_HIGHEST, .layout = PAVE__LAYOUT_ANY,                                \
     .a_type = (TYPE), .b_type = (TYPE),                                                   \
     .bm = (BM), .bn = (BN), .bk = 1, .wm = (BM), .wn = (BN), .stages = 1, .threads = 1,   \
     .align = 1, .slice = (SLICE), .sums = (SUMS), .float8 = PAVE__F8_ALL, .efficiency = 1.0},
#define NVIDIA_PEAK(NAME, BACKEND, PATH, THREADS, FLOPS, SOURCE)                           \
    {.name = TEXT(NAME), .family = PAVE__PEAK, .backend = PAVE__##BACKEND,                 \
     .kind = PAVE_DEVICE_GPU, .path = PAVE_PATH_##PATH, .threads = (THREADS), .align = 1,  \
     .min_capability = PAVE_PATH_##PATH == PAVE_PATH_F8 ? SINCE_E4M3 : 80,                 \
     .peak_flops = (FLOPS), .source = (SOURCE)},
#define PEAK_CUDA(NAME, PATH, THREADS, FLOPS) NVIDIA_PEAK(NAME, CUDA, PATH, THREADS, FLOPS, NULL)
#define PEAK_PTX(NAME, PATH, THREADS, FLOPS) NVIDIA_PEAK(NAME, OPENCL, PATH, THREADS, FLOPS, "peak_mma")
#define PEAK_CL(NAME, KIND, THREADS, FLOPS, SOURCE)                                        \
    {.name = TEXT(NAME), .family = PAVE__PEAK, .backend = PAVE__OPENCL,                    \
     .kind = KIND_##KIND, .path = PAVE_PATH_FMA, .threads = (THREADS), .align = 1,         \
     .peak_flops = (FLOPS), .source = TEXT(SOURCE)},

static const pave__row rows[] = {
    PAVE_GEMM_MMA_ROWS(MMA)
    PAVE_GEMM_SIMT_ROWS(SIMT)
    PAVE_GEMM_DOT_ROWS(DOT)
    PAVE_GEMM_FEW_ROWS(FEW)
    PAVE_GEMM_PTX_ROWS(PTX)
    PAVE_GEMM_PTX_FMA_ROWS(PTX_FMA)
    PAVE_GEMM_CL_ROWS(CL)
    PAVE_REDUCE_CUDA_ROWS(REDUCE_CUDA)
    PAVE_REDUCE_CL_ROWS(REDUCE_CL)
    PAVE_NORMALIZE_CUDA_ROWS(NORMALIZE_CUDA)
    PAVE_NORMALIZE_SLICES_CUDA_ROWS(NORMALIZE_SLICES_CUDA)
    PAVE_NORMALIZE_CL_ROWS(NORMALIZE_CL)
    PAVE_JOIN_CUDA_ROWS(JOIN_CUDA)
    PAVE_JOIN_CL_ROWS(JOIN_CL)
    PAVE_MAP_CUDA_ROWS(MAP_CUDA)
    PAVE_MAP_SCALE_CUDA_ROWS(MAP_SCALE_CUDA)
    PAVE_MAP_SUM_CUDA_ROWS(MAP_SUM_CUDA)
    PAVE_MAP_CL_ROWS(MAP_CL)
    PAVE_MAP_SCALE_CL_ROWS(MAP_SCALE_CL)
    PAVE_MAP_SUM_CL_ROWS(MAP_SUM_CL)
    PAVE_PEAK_CUDA_ROWS(PEAK_CUDA)
    PAVE_PEAK_CL_ROWS(PEAK_CL)
    PAVE_PEAK_PTX_ROWS(PEAK_PTX)
    HOST(pave_gemm_host_f64, GEMM, 64, 64, PAVE_T_F32, 64, 0)
    HOST(pave_gemm_host_f64_f16, GEMM, 64, 64, PAVE_T_F16, 64, 0)
    HOST(pave_gemm_host_f64_bf16, GEMM, 64, 64, PAVE_T_BF16, 64, 0)
    HOST(pave_gemm_host_f64_e4m3, GEMM, 64, 64, PAVE_T_E4M3, 64, 0)
    HOST(pave_gemm_host_f64_e5m2, GEMM, 64, 64, PAVE_T_E5M2, 64, 0)
    HOST(pave_reduce_host_f64, REDUCE, 1, 1, PAVE_T_NONE, 0, 0)
    HOST(pave_normalize_host_f64, NORMALIZE, 1, 1, PAVE_T_NONE, 0, 0)
    HOST(pave_join_host_f64, JOIN, 64, 1, PAVE_T_NONE, 0, 0)
    HOST(pave_map_host_f64, MAP, 1, 4096, PAVE_T_NONE, 0, 0)
    HOST(pave_map_sum_host_f64, MAP, 1, 4096, PAVE_T_NONE, 0, 1)
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
