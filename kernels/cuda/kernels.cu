/* SPDX-License-Identifier: Apache-2.0
 * All CUDA kernels as one translation unit, so that one nvcc call makes one fatbin without a link step. The
 * launch structs' sizes are checked where abi.h is included. */
#include "kernels/gemm/gemm_dot.cu"
#include "kernels/gemm/gemm_few.cu"
#include "kernels/gemm/gemm_mma.cu"
#include "kernels/gemm/gemm_simt.cu"
#include "kernels/map/map.cu"
#include "kernels/map/scale.cu"
#include "kernels/peak/peak.cu"
#include "kernels/reduce/normalize.cu"
#include "kernels/reduce/normalize_slices.cu"
#include "kernels/reduce/reduce.cu"
