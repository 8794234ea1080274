/* SPDX-License-Identifier: Apache-2.0
 * The reference kernels in plain C with float64 arithmetic, by family; they know launch structs and memory
 * only. */
#ifndef PAVE_BACKENDS_HOST_KERNELS_H
#define PAVE_BACKENDS_HOST_KERNELS_H

#include "kernels/rows.h"

/* Runs one launch of a row, whose operand types and slice it takes: args is the family's launch struct, buffers its
 * allocations in the ABI's order. */
void host_run(const pave__row *row, const void *args, void *const *buffers);

#endif
