// Showers, one after the other. See caloforge/mosaic.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "model.hpp"
#include "state.hpp"

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
    const std::int16_t* codes;  ///< `Model::conditions` of them; the first is that of the energy
};

/// What a thread needs beside the model; empty between showers.
class Scratch {
public:
    explicit Scratch(const Model& model) : model_(model), plan_(model.plan), state_(model.plan) {}

    /// Appends the hit cells of a shower to `out`, rising.
    /// @throws Error the energy is not a number above 0.
    void generate(const Shower& shower, std::vector<Hit>& out) {
        if (!(shower.energy > 0 && std::isfinite(shower.energy))) throw Error("A particle has no energy above 0.");
        key_ = shower.key;
        state_.begin(shower.codes);
        start(shower.energy);
        state_.active.drain([this](std::size_t t) { step(t); });
        state_.hit.drain([&](std::size_t cell) {
            out.push_back({std::int32_t(cell), state_.content[plan_.cell[cell]].excess + plan_.threshold});
        });
        state_.clear();
    }

private:
    /// The root nodes, from a real shower of about this energy.
    void start(float energy) {
        const Model& m = model_;
        const std::uint64_t steps = plan_.steps.size();
        const std::size_t nodes = plan_.root.size();
        const std::size_t donor = first_donor(energy) + below(word_of(key_, steps), m.nearest);
        const std::int32_t* turn = &m.turn[below(word_of(key_, steps + 1), m.turns) * nodes];
        const float ratio = energy / m.start_energy[donor];
        for (std::size_t r = 0; r < nodes; ++r) {
            const std::size_t from = donor * nodes + std::size_t(turn[r]);
            if (m.start_hits[from] > 0)
                start_node(plan_.root[r], m.start_hits[from], m.start_excess[from], ratio,
                           uniform(word_of(key_, steps + 2 + r)));
        }
    }

    /// The first of the real showers that are drawn from: half of them below the energy.
    std::size_t first_donor(float energy) const {
        const auto& real = model_.start_energy;
        const auto place = std::lower_bound(real.begin(), real.end(), energy) - real.begin();
        const auto first = std::max<std::ptrdiff_t>(place - model_.nearest / 2, 0);
        return std::min(std::size_t(first), real.size() - model_.nearest);
    }

    /// Scales energies by `ratio` and hits by its power of 3/4, rounded by `drawn`.
    void start_node(std::int32_t node, std::int32_t hits, float excess, float ratio, float drawn) {
        const float root = std::sqrt(ratio);
        const float wanted = std::floor(product(float(hits), product(root, std::sqrt(root))) + drawn);
        const std::int32_t room = plan_.capacity[node];
        const std::int32_t scaled = wanted < float(room) ? std::min(std::max(std::int32_t(wanted), 1), room) : room;
        const float energy = product(excess + product(plan_.threshold, float(hits)), ratio);
        const float number = float(scaled);
        if (scaled > 0)
            state_.put(node, scaled, std::max(energy - product(plan_.threshold, number), product(LEAST, number)));
    }

    void step(std::size_t t) {
        const Step& s = plan_.steps[t];
        const Content c = state_.content[s.parent];
        const std::int32_t* child = plan_.children(s);
        switch (s.kind) {
            case COPY: state_.put(child[0], c.hits, c.excess); break;
            case PATTERN: pattern(s, child, c, draw(s, s.few, t, c.hits)); break;
            case SUM: state_.add_up(s); break;
            case SPLIT:
                if (c.hits <= s.exact) split_few(s, child, c, *draw(s, s.few, t, c.hits));
                else split_many(s, child, c, *draw(s, s.many, t, c.hits));
        }
    }

    /// The donor of a step.
    const std::uint32_t* draw(const Step& s, std::int32_t table, std::size_t t, std::int32_t hits) const {
        const std::int32_t* context = plan_.context_of(s);
        const Branch* branches = reinterpret_cast<const Branch*>(model_.forest.lines.data());
        Branch b = model_.trees[std::size_t(table) * BUCKETS + std::size_t(std::min(hits, BUCKETS - 1))];
        while (!b.leaf()) b = branches[b.next + (state_.codes[context[b.feature()]] > b.limit())];
        const std::uint32_t which = below(word_of(key_, t), b.count());
        return model_.forest.donors.data() + std::uint32_t(b.next) + std::size_t(which) * b.words();
    }

    void pattern(const Step& s, const std::int32_t* child, Content c, const std::uint32_t* donor) {
        std::uint32_t bits = *donor;
        for (std::int32_t i = 0; i < s.children; ++i) {
            if (!(bits >> i & 1)) continue;
            float share;
            std::memcpy(&share, ++donor, 4);
            state_.put(child[i], 1, c.excess * share);
        }
    }

    void split_few(const Step& s, const std::int32_t* child, Content c, std::uint32_t donor) {
        share_out(s, s.few, child, c, std::int32_t(donor & 0xFFFF), donor);
    }

    void split_many(const Step& s, const std::int32_t* child, Content c, std::uint32_t donor) {
        const std::int64_t last = std::int64_t(model_.sine.size()) - 1;
        const std::int64_t angle = trend(s, s.many, 0) + std::int16_t(donor & 0xFFFF);
        const float share = model_.sine[std::size_t(std::min(std::max<std::int64_t>(angle, 0), last))];
        share_out(s, s.many, child, c, std::int32_t(product(float(c.hits + 1), share)), donor);
    }

    /// Mean energy of the first child's hits over that of the second's.
    float ratio(const Step& s, std::int32_t table, std::int32_t first, std::int32_t second, std::uint32_t donor) const {
        const std::int64_t codes = hit_code(first) - hit_code(second);
        std::int64_t z = trend(s, table, 1) + std::int16_t(donor >> 16);
        z += (model_.trends[std::size_t(table)].hit_weight * codes) >> TREND_SHIFT;
        z = std::min<std::int64_t>(std::max<std::int64_t>(z, 1 - EXPONENTS), EXPONENTS - 1);
        return model_.exponential[std::size_t(z + EXPONENTS)];
    }

    std::int64_t trend(const Step& s, std::int32_t table, int which) const {
        const Trend& trend = model_.trends[std::size_t(table)];
        const std::int32_t* weight = model_.weights.data() + trend.weights + which * std::size_t(s.length);
        const std::int32_t* context = plan_.context_of(s);
        std::int64_t total = trend.bias[which];
        for (std::size_t i = 0; i < s.length; ++i) total += std::int64_t(weight[i]) * state_.codes[context[i]];
        return total >> TREND_SHIFT;
    }

    /// Hits for the first child as far as there is room, energies by their ratio.
    void share_out(const Step& s, std::int32_t table, const std::int32_t* child, Content c, std::int32_t first,
                   std::uint32_t donor) {
        const std::int32_t room = plan_.capacity[child[0]], other = plan_.capacity[child[1]];
        first = std::max(first, c.hits - other);
        first = std::max(std::min(first, std::min(room, c.hits)), 0);
        const std::int32_t second = c.hits - first;
        if (!first) return state_.put(child[1], second, c.excess);
        if (!second) return state_.put(child[0], first, c.excess);
        const float weight = product(float(first), ratio(s, table, first, second, donor));
        const float energy = product(c.excess, weight / (weight + float(second)));
        state_.put(child[0], first, energy);
        state_.put(child[1], second, c.excess - energy);
    }

    const Model& model_;
    const Plan& plan_;
    State state_;
    std::uint64_t key_ = 0;
};

}  // namespace caloforge::mosaic
