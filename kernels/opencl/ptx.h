/* SPDX-License-Identifier: Apache-2.0
 * The instructions of NVIDIA GPUs that OpenCL C has no word for: asynchronous copies, matrix loads, the tensor
 * cores' multiply-add and shuffles. All inline PTX of the OpenCL kernels is in this file; a row that includes it
 * states the compute capability that it needs. It knows no layouts. Every one but the multiply-add is for whole
 * warps, and so is that. */
#ifndef PAVE_KERNELS_OPENCL_PTX_H
#define PAVE_KERNELS_OPENCL_PTX_H

#include "walk.h"

#define PV_WARP 32

/* A place in local memory, as PTX takes it. */
typedef uint pv_local_at;

PV_INLINE pv_local_at pv_address(__local const void *p) {
    return (pv_local_at)(size_t)p;
}

/* Copies 16 bytes, past L1. */
PV_INLINE void pv_copy_async(pv_local_at target, __global const char *source) {
    __asm__ volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;"
                     :
                     : "r"(target), "l"((ulong)source)
                     : "memory");
}

/* Copies `bytes` (0 … 16) and zero-fills the rest of 16; reads nothing beyond `bytes`. */
PV_INLINE void pv_copy_async_some(pv_local_at target, __global const char *source, int bytes) {
    __asm__ volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;"
                     :
                     : "r"(target), "l"((ulong)source), "r"(bytes)
                     : "memory");
}

PV_INLINE void pv_copy_commit(void) {
    __asm__ volatile("cp.async.commit_group;" : : : "memory");
}

/* Waits until at most `pending`, a constant, of this item's latest groups are under way. */
#define PV_COPY_WAIT(pending) __asm__ volatile("cp.async.wait_group %0;" : : "n"(pending) : "memory")

/* Four 8 × 16-byte matrices; lane l gives the address of row l % 8 of matrix l / 8 and gets 4 bytes of each: row l
 * / 4, bytes 4 (l % 4) …; the same for 16-bit and 32-bit elements. */
PV_INLINE void pv_load_matrices(uint *r, pv_local_at address) {
    __asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(address)
                     : "memory");
}

/* To 11 significant bits, nearest, ties away from zero; NaN and Inf stay. */
PV_INLINE uint pv_round_tf32(uint bits) {
    uint rounded;
    __asm__("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(as_float(bits)));
    return rounded;
}

/* Two values as two of float16 or bfloat16, nearest even; `low` is the first in memory. */
#define PV_DEFINE_PACK(NAME, TYPE)                                                     \
    PV_INLINE uint NAME(float low, float high) {                                       \
        uint pair;                                                                     \
        __asm__("cvt.rn." TYPE ".f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low)); \
        return pair;                                                                   \
    }                                                                                  \
    PV_INLINE uint2 PV_JOIN(NAME, 4)(float4 v) {                                       \
        return (uint2)(NAME(v.s0, v.s1), NAME(v.s2, v.s3));                            \
    }
PV_DEFINE_PACK(pv_pack_f16, "f16x2")
PV_DEFINE_PACK(pv_pack_bf16, "bf16x2")

/* 1 / (1 + exp(-v)) by an exponential that does not overflow and the approximate reciprocal, 1 ulp, of a number in [1, 2]: no
 * division with its slow path. links.h takes it where this file comes first. */
PV_INLINE float pv_reciprocal(float v) {
    float inverse;
    __asm__("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(v));
    return inverse;
}
PV_INLINE float4 pv_sigmoid(float4 v) {
    const float4 e = exp(-fabs(v)), d = e + (float4)(1.0f);
    const float4 r =
        (float4)(pv_reciprocal(d.s0), pv_reciprocal(d.s1), pv_reciprocal(d.s2), pv_reciprocal(d.s3));
    return (v < (float4)(0.0f) ? e : (float4)(1.0f)) * r;
}
#define PV_SIGMOID pv_sigmoid

/* exp(d) for d <= 0, as a term of a sum: off by 4u + 2.3u|d|. Weighted by the terms themselves |d| is ln n on average at most,
 * so that a logsumexp's bound holds (docs/operations.md). */
PV_INLINE float pv_exp_term(float d) {
    float power;
    __asm__("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(d * 1.44269504f));
    return power;
}

/* d += a · b, d 16 × 8 float32, over 32 bytes of k: 8 tf32 or 16 half. */
#define PV_DEFINE_MULTIPLY(NAME, SHAPE)                                                              \
    PV_INLINE void NAME(float *d, const uint *a, uint b0, uint b1) {                                 \
        __asm__ volatile("mma.sync.aligned." SHAPE " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, " \
                         "{%0, %1, %2, %3};"                                                         \
                         : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                            \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));            \
    }
PV_DEFINE_MULTIPLY(pv_multiply_tf32, "m16n8k8.row.col.f32.tf32.tf32.f32")
PV_DEFINE_MULTIPLY(pv_multiply_f16, "m16n8k16.row.col.f32.f16.f16.f32")
PV_DEFINE_MULTIPLY(pv_multiply_bf16, "m16n8k16.row.col.f32.bf16.bf16.f32")

/* A register of which the compiler cannot tell that it is what it was. */
#define PV_FORGET(x) __asm__ volatile("" : "+r"(x))

/* This item's number. What follows from it is found again wherever this stands and not kept in registers from one place to the
 * next. */
PV_INLINE int pv_item(void) {
    int item = (int)get_local_id(0);
    PV_FORGET(item);
    return item;
}

/* All lanes have written and read local memory as far as this. */
PV_INLINE void pv_warp_barrier(void) {
    __asm__ volatile("bar.warp.sync 0xffffffff;" : : : "memory");
}

/* Whether `what` is true in any lane. */
PV_INLINE int pv_any(int what) {
    int any;
    __asm__ volatile("{.reg .pred p;\n"
                     "setp.ne.s32 p, %1, 0;\n"
                     "vote.sync.any.pred p, p, 0xffffffff;\n"
                     "selp.s32 %0, 1, 0, p;}"
                     : "=r"(any)
                     : "r"(what));
    return any;
}

PV_INLINE uint pv_from_lane(uint v, uint lane) {
    uint out;
    __asm__ volatile("shfl.sync.idx.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=r"(out) : "r"(v), "r"(lane));
    return out;
}

PV_INLINE uint pv_from_lane_xor(uint v, uint mask) {
    uint out;
    __asm__ volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=r"(out) : "r"(v), "r"(mask));
    return out;
}

#endif
