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

/// The first of the real showers that are drawn from: half of them below the energy.
inline std::size_t first_donor(const Model& model, float energy) {
    const auto& real = model.start_energy;
    const auto place = std::lower_bound(real.begin(), real.end(), energy) - real.begin();
    const auto first = std::max<std::ptrdiff_t>(place - model.nearest / 2, 0);
    return std::min(std::size_t(first), real.size() - model.nearest);
}

/// Hits that go with the power 3/4 of a ratio of energies, rounded by `drawn`; 1 or more as far as there is room.
inline std::int32_t scaled_hits(std::int32_t hits, float ratio, float drawn, std::int32_t room) {
    const float root = std::sqrt(ratio);
    const float wanted = std::floor(product(float(hits), product(root, std::sqrt(root))) + drawn);
    return wanted < float(room) ? std::min(std::max(std::int32_t(wanted), 1), room) : room;
}

}  // namespace detail

/// Calls `put(root, hits, excess)` for the root nodes with hits, drawn from a real shower of about this energy.
template <class Put>
void draw_roots(const Model& m, const Shower& shower, Put put) {
    const std::uint64_t steps = m.layout.moves.size();
    const std::size_t nodes = m.layout.root.size();
    const std::size_t donor = detail::first_donor(m, shower.energy) + below(word_of(shower.key, steps), m.nearest);
    const std::int32_t* turn = &m.turn[below(word_of(shower.key, steps + 1), m.turns) * nodes];
    const float ratio = shower.energy / m.start_energy[donor], threshold = m.layout.threshold;
    for (std::size_t r = 0; r < nodes; ++r) {
        const std::size_t from = donor * nodes + std::size_t(turn[r]);
        const std::int32_t hits = m.start_hits[from];
        if (hits <= 0) continue;
        const float drawn = uniform(word_of(shower.key, steps + 2 + r));
        const std::int32_t scaled = detail::scaled_hits(hits, ratio, drawn, m.layout.room[r]);
        if (scaled <= 0) continue;
        const float energy = product(m.start_excess[from] + product(threshold, float(hits)), ratio);
        const float number = float(scaled);
        put(r, scaled, std::max(energy - product(threshold, number), product(LEAST, number)));
    }
}

}  // namespace caloforge::mosaic
