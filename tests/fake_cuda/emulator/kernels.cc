/* SPDX-License-Identifier: Apache-2.0
 * All kernels, compiled for the host, by their rows' names, and the fake driver's way to them. */
#include "tests/fake_cuda/emulator/cuda_words.hh"

#include "kernels/cuda/kernels.cu"

#include "tests/fake_cuda/emulator/launch.h"
#include "tests/fake_cuda/emulator/run.hh"

namespace {

const emulated_launch *launched;

void *at(int i) {
    return launched->buffers[i];
}

template <auto KERNEL> void call_gemm(const void *args) {
    KERNEL(*static_cast<const pave_abi_gemm *>(args), at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7),
           at(8), at(9), at(10), at(11), at(12), at(13), at(14));
}

template <auto KERNEL> void call_rows(const void *args) {
    KERNEL(*static_cast<const pave_abi_rows *>(args), at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7),
           at(8), at(9), at(10), at(11));
}

template <auto KERNEL> void call_peak(const void *args) {
    KERNEL(*static_cast<const pave_abi_peak *>(args), at(0));
}

const struct {
    const char *name;
    void (*call)(const void *args);
} kernels[] = {
#define GEMM(NAME, ...) {#NAME, call_gemm<NAME>},
#define ROWS(NAME, ...) {#NAME, call_rows<NAME>},
#define PEAK(NAME, ...) {#NAME, call_peak<NAME>},
    PAVE_GEMM_MMA_ROWS(GEMM) PAVE_GEMM_SIMT_ROWS(GEMM) PAVE_GEMM_DOT_ROWS(GEMM) PAVE_GEMM_FEW_ROWS(GEMM)
        PAVE_REDUCE_CUDA_ROWS(ROWS) PAVE_NORMALIZE_CUDA_ROWS(ROWS) PAVE_NORMALIZE_SLICES_CUDA_ROWS(ROWS)
            PAVE_JOIN_CUDA_ROWS(ROWS) PAVE_MAP_CUDA_ROWS(ROWS) PAVE_MAP_SCALE_CUDA_ROWS(ROWS)
                PAVE_MAP_SUM_CUDA_ROWS(ROWS) PAVE_PEAK_CUDA_ROWS(PEAK)
#undef GEMM
#undef ROWS
#undef PEAK
};

} // namespace

void emulator::fault(const char *what) {
    if (!leave_word(what)) launched->fault(what);
}

bool emulator::readable(const void *at, int bytes) {
    return launched->readable(at, bytes) != 0;
}

extern "C" int emulate(const emulated_launch *launch) {
    for (const auto &k : kernels) {
        if (strcmp(k.name, launch->name) != 0) continue;
        emulator::work w = {
            k.call,          launch->args,         {launch->grid[0], launch->grid[1], launch->grid[2]},
            launch->threads, launch->shared_bytes, launch->together != 0};
        launched = launch;
        emulator::run(&w);
        return 1;
    }
    return 0;
}
