/* SPDX-License-Identifier: Apache-2.0
 * The instructions that CUDA C++ has no word for: asynchronous copies, matrix loads and the tensor cores'
 * multiply-add. All inline PTX of the kernels is in this file. It knows no layouts. */
#ifndef PAVE_KERNELS_CUDA_PTX_CUH
#define PAVE_KERNELS_CUDA_PTX_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

namespace pave {

/* Aligned to a line of all banks: behind what a kernel declares itself it would start anywhere, and copies into rows that
 * straddle lines take half as long again (one H100, 2026-11-23: 380 and 244 TFLOP/s at bf16). */
__device__ __forceinline__ char *dynamic_shared() {
    extern __shared__ __align__(128) uint4 pave_dynamic_shared[];
    return reinterpret_cast<char *>(pave_dynamic_shared);
}

__device__ __forceinline__ uint32_t shared_address(const void *pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/* Copies `bytes` (0 … 16) and zero-fills the rest of 16; reads nothing beyond `bytes`, past L1. */
__device__ __forceinline__ void copy_async(uint32_t target, const void *source, int bytes) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;"
                 :
                 : "r"(target), "l"(source), "r"(bytes)
                 : "memory");
}

/* Copies 16 bytes, past L1. */
__device__ __forceinline__ void copy_async(uint32_t target, const void *source) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;"
                 :
                 : "r"(target), "l"(source)
                 : "memory");
}

/* Where `exists`: copies `bytes` (0 … WHOLE) and zero-fills the rest of WHOLE, 16 past L1 or 4 through it. A predicate, so that
 * the code around it stays one block to the assembler. */
template <int WHOLE>
__device__ __forceinline__ void copy_async_if(uint32_t target, const void *source, int bytes, bool exists) {
    static_assert(WHOLE == 16 || WHOLE == 8 || WHOLE == 4, "what rows that use it copy");
    if constexpr (WHOLE == 16)
        asm volatile("{\n\t.reg .pred p;\n\tsetp.ne.s32 p, %3, 0;\n\t"
                     "@p cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;\n\t}"
                     :
                     : "r"(target), "l"(source), "r"(bytes), "r"(static_cast<int>(exists))
                     : "memory");
    else
        asm volatile("{\n\t.reg .pred p;\n\tsetp.ne.s32 p, %3, 0;\n\t"
                     "@p cp.async.ca.shared.global [%0], [%1], %4, %2;\n\t}"
                     :
                     : "r"(target), "l"(source), "r"(bytes), "r"(static_cast<int>(exists)), "n"(WHOLE)
                     : "memory");
}

/* 16 bytes that nothing writes meanwhile and that are met once: they do not stay in the L1. */
__device__ __forceinline__ uint4 load_once(const void *from) {
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(from));
    return v;
}

/* Hides from the compiler what a value is made of: what it computes from it, it computes anew, where it would otherwise keep
 * more results than there are registers. */
__device__ __forceinline__ void forget(int &value) {
    asm volatile("" : "+r"(value));
}

/* The same of what lies in memory. */
__device__ __forceinline__ void forget_memory() {
    asm volatile("" ::: "memory");
}

/* All THREADS of a block meet, wherever in the code each warp is. Not bar.sync, which is for one place in it. */
template <int THREADS> __device__ __forceinline__ void block_meet() {
    asm volatile("barrier.sync 1, %0;" ::"n"(THREADS) : "memory");
}

/* Words that blocks exchange, each by itself: in no order with others. */
__device__ __forceinline__ uint64_t load_relaxed(const uint64_t *at) {
    uint64_t v;
    asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(v) : "l"(at) : "memory");
    return v;
}

__device__ __forceinline__ void store_relaxed(uint64_t *at, uint64_t value) {
    asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" : : "l"(at), "l"(value) : "memory");
}

/* Every thread of every kernel comes here before it touches memory: what launches before this one on the queue have read and
 * written, they are done with behind it. From 9.0 on a launch may begin when the blocks of the one before have ended and its
 * memory has not come to rest; what needs the arguments alone is done meanwhile. */
__device__ __forceinline__ void follow_launches() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* A block that comes here lets the next launch in before it ends, once all of its launch have come here. For the ends of blocks
 * that only wait for memory: what computes would crowd on the units that have room first. */
__device__ __forceinline__ void release_launches() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

__device__ __forceinline__ void copy_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits until at most PENDING of this thread's latest groups are under way. */
template <int PENDING> __device__ __forceinline__ void copy_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

/* Four 8 × 16-byte matrices; lane l gives the address of row l % 8 of matrix l / 8 and gets 4 bytes of each:
 * row l / 4, bytes 4 (l % 4) …; the same for 16-bit and 32-bit elements. */
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

/* To 1 ulp, of a normal number whose reciprocal is one. */
__device__ __forceinline__ float reciprocal(float v) {
    float inverse;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(v));
    return inverse;
}

/* The larger and the smaller of two values, NaN where either is. */
__device__ __forceinline__ float max_or_nan(float v, float w) {
    float top;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(top) : "f"(v), "f"(w));
    return top;
}

__device__ __forceinline__ float min_or_nan(float v, float w) {
    float bottom;
    asm("min.NaN.f32 %0, %1, %2;" : "=f"(bottom) : "f"(v), "f"(w));
    return bottom;
}

/* Two halves of a word, `low` in its low bits, each rounded to nearest even. */
__device__ __forceinline__ uint32_t pack_f16(float low, float high) {
    uint32_t word;
    asm("cvt.rn.f16x2.f32 %0, %2, %1;" : "=r"(word) : "f"(low), "f"(high));
    return word;
}

__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
    uint32_t word;
    asm("cvt.rn.bf16x2.f32 %0, %2, %1;" : "=r"(word) : "f"(low), "f"(high));
    return word;
}

/* 2^v to 2 ulp; what is denormal is 0. */
__device__ __forceinline__ float power_of_two(float v) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(v));
    return power;
}

/* To 11 significant bits, nearest, ties away from zero; NaN and Inf stay. */
__device__ __forceinline__ uint32_t round_tf32(uint32_t bits) {
    uint32_t rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(__uint_as_float(bits)));
    return rounded;
}

/* d += a · b, d 16 × 8 float32, over 32 bytes of k: 8 tf32 or 16 half. */
__device__ __forceinline__ void multiply_tf32(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                              uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void multiply_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                             uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void multiply_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                              uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* float8 has instructions from compute capability 8.9 on. Kernels that are for nothing less are empty below. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 890
constexpr bool HAS_F8 = false;
#define PAVE_ASM_F8(...)
#else
constexpr bool HAS_F8 = true;
#define PAVE_ASM_F8(...) asm(__VA_ARGS__)
#endif

/* Whether the sum of an instruction's products is added to d apart, to nearest. 9.0 has no instruction for float8: assemblers
 * make one of conversions, two of float16's from 0, and an addition. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
constexpr bool F8_ADDS_APART = true;
#else
constexpr bool F8_ADDS_APART = false;
#endif

/* The same over 32 float8. Ada's units keep but 13 bits behind the largest term's first as they add, d among the terms. */
#define PAVE_MULTIPLY_F8(NAME, A, B)                                                                      \
    __device__ __forceinline__ void NAME(float(&d)[4], const uint32_t(&a)[4], uint32_t b0, uint32_t b1) { \
        PAVE_ASM_F8("mma.sync.aligned.m16n8k32.row.col.f32." A "." B                                      \
                    ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                \
                    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                      \
                    : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                      \
    }
PAVE_MULTIPLY_F8(multiply_e4m3, "e4m3", "e4m3")
PAVE_MULTIPLY_F8(multiply_e5m2, "e5m2", "e5m2")
PAVE_MULTIPLY_F8(multiply_e4m3_e5m2, "e4m3", "e5m2")
PAVE_MULTIPLY_F8(multiply_e5m2_e4m3, "e5m2", "e4m3")
#undef PAVE_MULTIPLY_F8

/* Two float32 to float8, the low byte v0's; what is too large becomes the largest finite value. Two float8 to half. */
#define PAVE_CONVERT_F8(TYPE)                                                                              \
    __device__ __forceinline__ uint32_t pack_##TYPE(float v0, float v1) {                                  \
        unsigned short pair = 0;                                                                           \
        PAVE_ASM_F8("cvt.rn.satfinite." #TYPE "x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(v1), "f"(v0));       \
        return pair;                                                                                       \
    }                                                                                                      \
    __device__ __forceinline__ uint32_t unpack_##TYPE(uint32_t pair) {                                     \
        uint32_t halves = 0;                                                                               \
        PAVE_ASM_F8("cvt.rn.f16x2." #TYPE "x2 %0, %1;" : "=r"(halves) : "h"(static_cast<uint16_t>(pair))); \
        return halves;                                                                                     \
    }
PAVE_CONVERT_F8(e4m3)
PAVE_CONVERT_F8(e5m2)
#undef PAVE_CONVERT_F8
#undef PAVE_ASM_F8

/* Tells the compiler what always holds. */
#define PAVE_ASSUME(held) __builtin_assume(held)

/* A multiply-add that stays where it is written, for the peak kernels. */
__device__ __forceinline__ void fma_kept(float &d, float a, float b) {
    asm volatile("fma.rn.f32 %0, %0, %1, %2;" : "+f"(d) : "f"(a), "f"(b));
}

} // namespace pave

#endif
