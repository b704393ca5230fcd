// What goes in and comes out, and how a shower starts. See caloforge/mosaic.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "model.hpp"
#include "numbers.hpp"

namespace caloforge::mosaic {

/// A cell that is hit.
struct Hit {
    std::int32_t cell;  ///< of the read-out
    float energy;       ///< [MeV], above the threshold
};

/// The particle that a shower is made for.
struct Shower {
    std::uint64_t key;          ///< random numbers: `shower_key(seed, i)`
    float energy;               ///< incident [MeV]
    const std::int16_t* codes;  ///< of the conditions; the first is that of the energy
};

namespace detail {

/// Square of the distance between a particle and that of a real shower.
inline std::int64_t distance(const Model& m, const std::int16_t* codes, std::size_t donor) {
    const std::size_t conditions = m.scale.size();
    std::int64_t square = 0;
    for (std::size_t c = 0; c < conditions; ++c) {
        const std::int64_t apart = std::int64_t(codes[c]) - m.start_codes[donor * conditions + c];
        square += (apart * m.scale[c]) * (apart * m.scale[c]);
    }
    return square;
}

/// The first real shower whose energy has this code or a higher one.
inline std::size_t first_of(const Model& m, std::int64_t code) {
    std::size_t first = 0, count = m.start_energy.size();
    while (count) {
        const std::size_t half = count / 2;
        const bool lower = m.start_codes[(first + half) * m.scale.size()] < code;
        first = lower ? first + half + 1 : first;
        count = lower ? count - half - 1 : half;
    }
    return first;
}

/// Real showers whose energies alone are within a window, and how many of them are in all conditions.
struct Near {
    std::size_t first, last;
    std::uint32_t count;
};

inline Near near(const Model& m, const std::int16_t* codes, std::int64_t square) {
    const std::int64_t half = std::int64_t(std::sqrt(double(square))) / m.scale[0] + 1;
    Near found{first_of(m, codes[0] - half), first_of(m, codes[0] + half + 1), 0};
    for (std::size_t d = found.first; d < found.last; ++d) found.count += distance(m, codes, d) <= square;
    return found;
}

/// One of the real showers within the smallest window that holds enough of them.
inline std::size_t draw_donor(const Model& m, const std::int16_t* codes, std::uint64_t word) {
    std::int64_t square = m.window;
    Near found = near(m, codes, square);
    while (found.count < m.nearest) found = near(m, codes, square = std::max<std::int64_t>(2 * square, 1));
    std::uint32_t which = below(word, found.count);
    std::size_t donor = found.first;
    while (distance(m, codes, donor) > square || which--) ++donor;
    return donor;
}

/// log2 in whole numbers, 16 bits behind the point, from the bits of a float.
inline std::int64_t octaves(float ratio) {
    constexpr std::int64_t one = 1 << 23;
    const std::int64_t bits = std::int64_t(bits_of(ratio)) - bits_of(1.0f), part = bits & (one - 1);
    return (bits + ((89 * ((part * (one - part)) >> 23)) >> 8)) >> 7;
}

/// A power of a ratio of so many octaves.
inline float power(const Model& m, std::int32_t exponent, std::int64_t octaves) {
    const std::int64_t z = (exponent * octaves + (1 << 19)) >> 20;
    return m.exponential[std::size_t(std::min<std::int64_t>(std::max<std::int64_t>(z, 1 - EXPONENTS), EXPONENTS - 1) +
                                     EXPONENTS)];
}

/// Hits times a factor, rounded by `drawn`; 1 or more as far as there is room.
inline std::int32_t scaled_hits(std::int32_t hits, float factor, float drawn, std::int32_t room) {
    const float wanted = std::floor(product(float(hits), factor) + drawn);
    return wanted < float(room) ? std::min(std::max(std::int32_t(wanted), 1), room) : room;
}

}  // namespace detail

/// Calls `put(root, hits, excess)` for the root nodes with hits, drawn from a real shower of a particle like this one.
template <class Put>
void draw_roots(const Model& m, const Shower& shower, Put put) {
    const std::uint64_t steps = m.layout.moves.size();
    const std::size_t nodes = m.layout.root.size();
    const std::size_t donor = detail::draw_donor(m, shower.codes, word_of(shower.key, steps));
    const std::int32_t* turn = &m.turn[below(word_of(shower.key, steps + 1), m.turns) * nodes];
    const float ratio = shower.energy / m.start_energy[donor], threshold = m.layout.threshold;
    const std::int64_t octaves = detail::octaves(ratio);
    for (std::size_t r = 0; r < nodes; ++r) {
        const std::size_t node = std::size_t(turn[r]), from = donor * nodes + node;
        const std::int32_t hits = m.start_hits[from];
        if (hits <= 0) continue;
        const float drawn = uniform(word_of(shower.key, steps + 2 + r));
        const float grown = detail::power(m, m.hit_power[node], octaves);
        const std::int32_t scaled = detail::scaled_hits(hits, grown, drawn, m.layout.room[r]);
        if (scaled <= 0) continue;
        const float more = product(ratio, detail::power(m, m.energy_power[node], octaves));
        const float energy = product(m.start_excess[from] + product(threshold, float(hits)), more);
        const float number = float(scaled);
        put(r, scaled, std::max(energy - product(threshold, number), product(LEAST, number)));
    }
}

}  // namespace caloforge::mosaic
