/* SPDX-License-Identifier: Apache-2.0
 * The backends of this build, one line each, in the order that `auto` tries them. */
#include "src/backend.h"

#ifdef PAVE_BUILD_CUDA
extern const pave__backend cuda_backend;
#endif
#ifdef PAVE_BUILD_OPENCL
extern const pave__backend cl_backend;
#endif
extern const pave__backend host_backend;

const pave__backend *const pave__backends[] = {
#ifdef PAVE_BUILD_CUDA
    &cuda_backend,
#endif
#ifdef PAVE_BUILD_OPENCL
    &cl_backend,
#endif
    &host_backend,
    NULL,
};
