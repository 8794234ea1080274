/* SPDX-License-Identifier: Apache-2.0
 * The fake driver's objects and what its files share. One lock is held in every call, so nothing here is
 * atomic. */
#ifndef PAVE_TESTS_FAKE_CUDA_INSIDE_H
#define PAVE_TESTS_FAKE_CUDA_INSIDE_H

#include "backends/cuda/driver.h"
#include "kernels/abi.h"
#include "tests/fake_cuda/fake.h"

#define FAKE_API __attribute__((visibility("default")))
#define DEVICES_MAX 8

/* One number a function of the driver's table. */
enum {
#define FAKE_NUMBER(member, symbol, parameters) FAKE_##symbol,
    CUDA_FUNCTIONS(FAKE_NUMBER)
#undef FAKE_NUMBER
        FAKE_FUNCTIONS
};

/* Opens every entry: holds the lock until the entry returns, counts the call and says whether it is to fail.
 * What acquires returns `fault` at once; what releases does its work first, as a driver does that reports an
 * earlier failure. */
#define ENTER(symbol)                                               \
    __attribute__((cleanup(fake_unlock))) int locked = fake_lock(); \
    CUresult fault = fake_call(FAKE_##symbol)
int fake_lock(void);
void fake_unlock(int *locked);
CUresult fake_call(int function);
/* Records misuse and returns `code`. */
CUresult fake_misuse(CUresult code, const char *format, ...) PAVE_PRINTF(2, 3);

extern fake_cuda_counts fake_counts;
extern int fake_deferred;

struct CUctx_st {
    int device, retained;
    uint64_t bytes; /* allocated */
};
/* The calling thread's; NULL with the misuse recorded where there is none. */
CUcontext fake_current(const char *who);

typedef struct fake_memory {
    struct fake_memory *next;
    CUcontext context;
    unsigned char *block, *base; /* red zones before base and after its bytes */
    uint64_t bytes, block_bytes;
} fake_memory;
/* The allocation that holds all of [at, at + bytes), or NULL. */
fake_memory *fake_find(CUdeviceptr at, uint64_t bytes);
void fake_memory_drop(CUcontext context);
uint64_t fake_device_bytes(void);

struct CUmod_st {
    struct CUmod_st *next;
    CUcontext context;
    struct CUfunc_st *functions;
};
struct CUfunc_st {
    struct CUfunc_st *next;
    CUmodule module;
    const pave__row *row;
    uint32_t shared_bytes_allowed;
};
void fake_modules_drop(CUcontext context);

/* What the devices have: units, and of each the threads and bytes of shared memory. */
#define FAKE_UNITS 128u
#define FAKE_UNIT_THREADS 1536u
#define FAKE_UNIT_SHARED 102400u

typedef struct fake_launch {
    const pave__row *row;
    union {
        pave_abi_gemm gemm;
        pave_abi_rows rows;
        pave_abi_peak peak;
    } args;
    CUdeviceptr buffers[PAVE_GEMM_BUFFERS];
    unsigned grid[3];
} fake_launch;
/* Whether the launch says what its row and the ABI want and stays in its buffers; records misuse where it does not. */
int fake_fits(const fake_launch *launch);
/* Runs a launch that fits. */
void fake_execute(const fake_launch *launch);

/* What a stream does, in order. */
typedef struct fake_op {
    struct fake_op *next;
    uint64_t sequence;
    enum { FAKE_COPY, FAKE_SET, FAKE_LAUNCH, FAKE_RECORD, FAKE_WAIT } kind;
    void *target;
    const void *source;
    uint64_t count; /* bytes; SET: elements */
    unsigned value, size;
    CUevent event;   /* RECORD */
    uint64_t awaits; /* WAIT: this one is to be done before */
    fake_launch launch;
} fake_op;
/* Appends a copy of `op` to the stream, or does it now. */
CUresult fake_submit(CUstream stream, const char *who, const fake_op *op);
int fake_captures(CUstream stream);
/* Whether a copy that waits in a stream reads any of [at, at + bytes). */
int fake_is_read(const void *at, uint64_t bytes);
/* Does all that waits in the context's streams. */
void fake_drain(CUcontext context);
void fake_streams_drop(CUcontext context);
void fake_graphs_drop(CUcontext context);
/* A graph that captures; NULL without memory. */
CUgraph fake_graph_new(void);
CUresult fake_graph_add(CUgraph graph, const fake_launch *launch);
/* Whether launches of the context may overlap. */
int fake_overlaps(CUcontext context);

/* A launch from the driver's arguments, held to what can be said before it runs. */
CUresult fake_launch_read(CUfunction f, const unsigned grid[3], const unsigned block[3], unsigned shared,
                          void **parameters, fake_launch *out);

#endif
