// Arithmetic that gives the same bits everywhere: codes, random words, rounding. See caloforge/mosaic.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace caloforge::mosaic {

/// A float32 rounded here: keeps compilers from fusing a product with the sum after it.
inline float rounded(float value) {
#if defined(__GNUC__) && defined(__SSE__)
    __asm__("" : "+x"(value));
#elif defined(__GNUC__) && defined(__aarch64__)
    __asm__("" : "+w"(value));
#elif !defined(_M_X64)
    volatile float kept = value;
    value = kept;
#endif
    return value;
}

inline float product(float a, float b) { return rounded(a * b); }

inline std::uint32_t bits_of(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

constexpr float INCIDENT_STEP = 0.05f; ///< [MeV], for codes of incident energies

/// Deposits far below it [MeV] look alike: half the threshold of the cells.
inline float energy_step(float threshold) { return threshold > 0 ? 0.5f * threshold : INCIDENT_STEP; }

/// 128 log2(1 + energy / step), piecewise linear; energies [MeV] of 0 or more.
inline std::int16_t energy_code(float energy, float step = INCIDENT_STEP) {
    return std::int16_t(std::int32_t(bits_of(energy + step) - bits_of(step)) >> 16);
}

/// 128 log2(1 + hits), piecewise linear.
inline std::int16_t hit_code(std::int32_t hits) {
    return std::int16_t(std::int32_t(bits_of(float(hits) + 1.0f) - bits_of(1.0f)) >> 16);
}

/// Word `index` of the shower with `key`: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
inline std::uint64_t word_of(std::uint64_t key, std::uint64_t index) {
    std::uint64_t x = key + index * 0xD1B54A32D192ED03u + 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/// A number of 0, ..., count - 1 from the upper half of a word.
inline std::uint32_t below(std::uint64_t word, std::uint32_t count) {
    return std::uint32_t(((word >> 32) * count) >> 32);
}

/// A number in [0, 1) from the upper 24 bits of a word.
inline float uniform(std::uint64_t word) { return float(std::uint32_t(word >> 40)) * 0x1p-24f; }

/// Philox 4x32-10 (Salmon et al., SC11).
inline std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> c, std::uint32_t k0, std::uint32_t k1) {
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        const std::uint64_t p0 = std::uint64_t(c[0]) * 0xD2511F53u, p1 = std::uint64_t(c[2]) * 0xCD9E8D57u;
        c = {std::uint32_t(p1 >> 32) ^ c[1] ^ k0, std::uint32_t(p1), std::uint32_t(p0 >> 32) ^ c[3] ^ k1,
             std::uint32_t(p0)};
    }
    return c;
}

/// The key of shower `i` of a seed, as caloforge's `Streams(seed, [i]).keys("mosaic")` in Python.
inline std::uint64_t shower_key(std::uint64_t seed, std::uint64_t i) {
    constexpr std::uint32_t stage = 0x4ED113D2u;  // crc32 of "mosaic"
    const auto word = philox({0, std::uint32_t(i), std::uint32_t(i >> 32), stage}, std::uint32_t(seed),
                             std::uint32_t(seed >> 32));
    return (std::uint64_t(word[0]) << 32) | word[1];
}

}  // namespace caloforge::mosaic
