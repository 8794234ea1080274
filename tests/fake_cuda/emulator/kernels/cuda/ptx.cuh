/* SPDX-License-Identifier: Apache-2.0
 * In place of the file of this name under kernels/cuda: what its instructions do, for the emulator. */
#ifndef PAVE_KERNELS_CUDA_PTX_CUH
#define PAVE_KERNELS_CUDA_PTX_CUH

#include "tests/fake_cuda/emulator/cuda_words.hh"

namespace pave {

inline char *dynamic_shared() {
    return reinterpret_cast<char *>(emulator::shared_base());
}

inline uint32_t shared_address(const void *pointer) {
    return emulator::shared_offset(pointer);
}

inline void copy_async(uint32_t target, const void *source, int bytes) {
    emulator::copy(target, source, bytes, 16);
}

inline void copy_async(uint32_t target, const void *source) {
    emulator::copy(target, source, 16, 16);
}

template <int WHOLE> inline void copy_async_if(uint32_t target, const void *source, int bytes, bool exists) {
    if (exists) emulator::copy(target, source, bytes, WHOLE);
}

inline uint4 load_once(const void *from) {
    return __ldcs(static_cast<const uint4 *>(from));
}

inline void forget(int &) {
}

inline void forget_memory() {
}

template <int THREADS> inline void block_meet() {
    emulator::barrier(true);
}

inline uint64_t load_relaxed(const uint64_t *at) {
    emulator::pause();
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

inline void store_relaxed(uint64_t *at, uint64_t value) {
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

inline void follow_launches() {
}

inline void release_launches() {
}

inline void copy_commit() {
    emulator::commit();
}

template <int PENDING> inline void copy_wait() {
    emulator::wait(PENDING);
}

inline float reciprocal(float v) {
    return 1.0f / v;
}

inline float max_or_nan(float v, float w) {
    return v > w || v != v ? v : w;
}

inline float min_or_nan(float v, float w) {
    return v < w || v != v ? v : w;
}

inline float power_of_two(float v) {
    const float power = exp2f(v);
    return power < 0x1p-126f ? 0.0f : power;
}

/* Eight addresses of one matrix are read at a time and have to lie in different groups of four banks. */
inline void load_matrices(uint32_t (&r)[4], uint32_t address) {
    struct row {
        uint32_t address;
        unsigned char bytes[16];
    } own;
    own.address = address;
    memcpy(own.bytes, emulator::shared_line(address, 16), sizeof own.bytes);
    const auto slots = emulator::meet(emulator::MATRICES, &own, sizeof own);
    const int lane = own_lane();
    for (int matrix = 0; matrix < 4; matrix++) {
        unsigned groups = 0;
        for (int i = 0; i < 8; i++) groups |= 1u << (lane_value<row>(slots[matrix * 8 + i]).address / 16 % 8);
        if (groups != 0xffu) emulator::fault("a matrix load meets a bank twice");
        memcpy(&r[matrix], slots[matrix * 8 + lane / 4] + offsetof(row, bytes) + lane % 4 * 4, 4);
    }
}

inline uint32_t pack_f16(float low, float high) {
    return __half_as_ushort(__float2half_rn(low)) |
           static_cast<uint32_t>(__half_as_ushort(__float2half_rn(high))) << 16;
}

inline uint32_t pack_bf16(float low, float high) {
    return __bfloat16_as_ushort(__float2bfloat16_rn(low)) |
           static_cast<uint32_t>(__bfloat16_as_ushort(__float2bfloat16_rn(high))) << 16;
}

inline uint32_t round_tf32(uint32_t bits) {
    return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
}

/* A lane's share of d += a · b over 32 float8: what the terms have from the 14th bit behind the largest's first on is cut off,
 * and what the sum has behind its own, as Ada does. */
template <typename DECODE_A, typename DECODE_B>
inline void multiply_f8(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, DECODE_A decode_a,
                        DECODE_B decode_b) {
    const uint32_t own[6] = {a[0], a[1], a[2], a[3], b0, b1};
    const auto slots = emulator::meet(emulator::MULTIPLY, own, sizeof own);
    const int lane = own_lane();
    for (int out = 0; out < 4; out++) {
        double terms[33], sum = 0;
        int largest = -1000, exponent;
        terms[32] = d[out];
        for (int i = 0; i < 32; i++) {
            const int quad = i / 8, half = i / 4 % 2, e = i % 4;
            uint32_t of_a[6], of_b[6];
            memcpy(of_a, slots[lane / 4 * 4 + quad], sizeof of_a);
            memcpy(of_b, slots[(lane % 4 * 2 + out % 2) * 4 + quad], sizeof of_b);
            terms[i] = static_cast<double>(decode_a(of_a[half * 2 + out / 2], e)) *
                       static_cast<double>(decode_b(of_b[4 + half], e));
        }
        for (double term : terms) {
            frexp(term, &exponent);
            if (term != 0 && isfinite(term) && exponent > largest) largest = exponent;
        }
        for (double term : terms)
            sum += isfinite(term) ? ldexp(trunc(ldexp(term, 14 - largest)), largest - 14) : term;
        frexp(sum, &exponent);
        d[out] =
            static_cast<float>(isfinite(sum) ? ldexp(trunc(ldexp(sum, 14 - exponent)), exponent - 14) : sum);
    }
}

/* A lane's share of d += a · b: WIDTH elements to a register, K of them in all. Products are exact; their sum is cut off as
 * matrix units do. */
template <int WIDTH, typename DECODE>
inline void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, DECODE decode) {
    struct operands {
        float a[4][WIDTH], b[2][WIDTH];
    } own;
    static_assert(sizeof own <= emulator::SLOT_BYTES, "a slot holds a lane's operands");
    for (int e = 0; e < WIDTH; e++) {
        for (int i = 0; i < 4; i++) own.a[i][e] = decode(a[i], e);
        own.b[0][e] = decode(b0, e), own.b[1][e] = decode(b1, e);
    }
    const auto slots = emulator::meet(emulator::MULTIPLY, &own, sizeof own);
    const int lane = own_lane();
    for (int out = 0; out < 4; out++) {
        /* Rows lane / 4 and + 8; columns 2 (lane % 4) and + 1. */
        double sum = d[out];
        for (int quad = 0; quad < 4; quad++) {
            const operands &of_a = *reinterpret_cast<const operands *>(slots[lane / 4 * 4 + quad]);
            const operands &of_b =
                *reinterpret_cast<const operands *>(slots[(lane % 4 * 2 + out % 2) * 4 + quad]);
            for (int half = 0; half < 2; half++)
                for (int e = 0; e < WIDTH; e++)
                    sum += static_cast<double>(of_a.a[half * 2 + out / 2][e]) *
                           static_cast<double>(of_b.b[half][e]);
        }
        const float nearest = static_cast<float>(sum);
        const bool past = fabs(static_cast<double>(nearest)) > fabs(sum) && isfinite(sum);
        d[out] = past ? nextafterf(nearest, 0.0f) : nearest;
    }
}

inline void multiply_tf32(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    multiply<1>(d, a, b0, b1, [](uint32_t bits, int) { return __uint_as_float(bits & ~0x1fffu); });
}

inline void multiply_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    multiply<2>(d, a, b0, b1,
                [](uint32_t bits, int e) { return __half2float({static_cast<uint16_t>(bits >> 16 * e)}); });
}

inline void multiply_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    multiply<2>(d, a, b0, b1, [](uint32_t bits, int e) {
        return __bfloat162float({static_cast<uint16_t>(bits >> 16 * e)});
    });
}

/* OCP FP8, from its definition: FRACTION bits, exponents biased by BIAS. */
template <int FRACTION, int BIAS, bool IEEE> inline float decode_f8(uint32_t bits, int e) {
    const uint32_t code = bits >> 8 * e & 0xffu, magnitude = code & 0x7fu;
    const uint32_t exponent = magnitude >> FRACTION, fraction = magnitude & ((1u << FRACTION) - 1u);
    float v = exponent ? ldexpf(static_cast<float>((1u << FRACTION) + fraction),
                                static_cast<int>(exponent) - BIAS - FRACTION)
                       : ldexpf(static_cast<float>(fraction), 1 - BIAS - FRACTION);
    if (IEEE && exponent == 31) v = fraction ? NAN : INFINITY;
    if (!IEEE && magnitude == 0x7f) v = NAN;
    return code & 0x80u ? -v : v;
}

constexpr bool HAS_F8 = true, F8_ADDS_APART = false;
constexpr auto e4m3 = decode_f8<3, 7, false>, e5m2 = decode_f8<2, 15, true>;

inline void multiply_e4m3(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    multiply_f8(d, a, b0, b1, e4m3, e4m3);
}
inline void multiply_e5m2(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    multiply_f8(d, a, b0, b1, e5m2, e5m2);
}
inline void multiply_e4m3_e5m2(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    multiply_f8(d, a, b0, b1, e4m3, e5m2);
}
inline void multiply_e5m2_e4m3(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    multiply_f8(d, a, b0, b1, e5m2, e4m3);
}

#define PAVE_ASSUME(held)                                                         \
    do {                                                                          \
        if (!(held)) emulator::fault("what the compiler was told does not hold"); \
    } while (0)

inline void fma_kept(float &d, float a, float b) {
    d = fmaf(d, a, b);
}

} // namespace pave

#endif
