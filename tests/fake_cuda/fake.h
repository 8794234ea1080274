/* SPDX-License-Identifier: Apache-2.0
 * A CUDA driver with no device behind it, for tests of the CUDA backend's host side: memory is the host's,
 * kernels run by the float64 reference, and what a real driver would tolerate or crash on is recorded as an
 * error. This header is what tests see of it; they find the functions with dlsym.
 *
 * Environment, read at the first call:
 *   FAKE_CUDA_DEVICES="89,75"                      compute capabilities; "" for none; unset: one, 8.9
 *   FAKE_CUDA_MEMORY=bytes                         of each device
 *   FAKE_CUDA_BRAND="L"                            in the devices' names; unset: "GeForce RTX"
 *   FAKE_CUDA_VERSION=12080                        the driver's; unset: that of the cuda.h it is built with
 *   FAKE_CUDA_FAIL="symbol:nth:code[:sticky]"      the nth call of symbol fails; sticky: so does what comes
 * after FAKE_CUDA_DEFER=1                              work waits in its stream until something synchronises
 *   FAKE_CUDA_REPORT=file                          a line of the counts is appended to it at exit
 *   FAKE_CUDA_STRICT=1                             at exit with anything alive or misused, the status becomes
 * 99 */
#ifndef PAVE_TESTS_FAKE_CUDA_FAKE_H
#define PAVE_TESTS_FAKE_CUDA_FAKE_H

/* Objects alive now, and what went wrong so far. A fault that was asked for is no error. */
typedef struct fake_cuda_counts {
    int memory, streams, events, modules;
    int graphs;   /* and executable ones */
    int pinned;   /* page-locked memory of the host */
    int retained; /* of primary contexts */
    int pushed;   /* on any thread's stack */
    int orphans;  /* objects that went only because their context did */
    int errors;   /* misuse: launches and arguments that the driver's documentation rules out, red zones */
    int faults;   /* times that FAKE_CUDA_FAIL struck */
    int launches; /* so far: neither captured nor a graph's */
    int overlaps; /* and those, captured or not, that need not wait for what is before them */
} fake_cuda_counts;

typedef void fake_cuda_live_fn(fake_cuda_counts *counts);
/* The first error in words; "" where there is none. */
typedef const char *fake_cuda_error_fn(void);
/* How often a function of the driver was called. */
typedef unsigned fake_cuda_calls_fn(const char *symbol);

#endif
