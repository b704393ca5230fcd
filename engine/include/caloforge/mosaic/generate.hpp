// Showers, one after the other. See caloforge/mosaic.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "model.hpp"

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
    explicit Scratch(const Model& model)
        : model_(model), codes_(model.places, 0), content_(std::size_t(model.nodes)),
          active_(words(model.steps.size()), 0), sums_(active_), hit_(words(model.cell.size()), 0) {
        for (std::size_t t = 0; t < model.steps.size(); ++t)
            if (model.steps[t].kind == SUM) sums_[t >> 6] |= std::uint64_t(1) << (t & 63);
        for (int i = 0; i < CONSTANTS; ++i)
            codes_[model.places - CONSTANTS + std::size_t(i)] = std::int16_t(CONSTANT * i);
    }

    /// Appends the hit cells of a shower to `out`, rising.
    /// @throws Error the energy is not a number above 0.
    void generate(const Shower& shower, std::vector<Hit>& out) {
        if (!(shower.energy > 0 && std::isfinite(shower.energy))) throw Error("A particle has no energy above 0.");
        key_ = shower.key;
        std::copy_n(shower.codes, model_.conditions, codes_.begin() + 2 * std::ptrdiff_t(model_.nodes));
        active_ = sums_;
        start(shower.energy);
        run();
        finish(out);
    }

private:
    static std::size_t words(std::size_t bits) { return (bits + 63) / 64; }

    struct Content {
        std::int32_t hits;
        float excess;
    };

    /// Hits and energy for a node.
    void put(std::int32_t node, std::int32_t hits, float excess) {
        content_[node] = {hits, excess};
        codes_[node] = energy_code(excess + product(model_.threshold, float(hits)));
        codes_[std::size_t(model_.nodes) + node] = hit_code(hits);
        const Role role = model_.role[node];
        if (role.step >= 0) active_[std::size_t(role.step) >> 6] |= std::uint64_t(1) << (role.step & 63);
        if (role.cell >= 0) hit_[std::size_t(role.cell) >> 6] |= std::uint64_t(1) << (role.cell & 63);
        touched_.push_back(node);
    }

    /// The root nodes, from a real shower of about this energy.
    void start(float energy) {
        const Model& m = model_;
        const std::uint64_t steps = m.steps.size();
        const std::size_t donor = first_donor(energy) + below(word_of(key_, steps), m.nearest);
        const std::int32_t* turn = &m.turn[below(word_of(key_, steps + 1), m.turns) * m.root.size()];
        const float ratio = energy / m.start_energy[donor];
        for (std::size_t r = 0; r < m.root.size(); ++r) {
            const std::size_t from = donor * m.root.size() + std::size_t(turn[r]);
            if (m.start_hits[from] > 0)
                start_node(m.root[r], m.start_hits[from], m.start_excess[from], ratio,
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
        const std::int32_t room = model_.capacity[node];
        const std::int32_t scaled = wanted < float(room) ? std::min(std::max(std::int32_t(wanted), 1), room) : room;
        const float energy = product(excess + product(model_.threshold, float(hits)), ratio);
        const float number = float(scaled);
        if (scaled > 0)
            put(node, scaled, std::max(energy - product(model_.threshold, number), product(LEAST, number)));
    }

    /// All steps whose parent has hits, in order.
    void run() {
        for (std::size_t w = 0; w < active_.size(); ++w)
            while (active_[w]) {
                const std::size_t t = 64 * w + std::size_t(lowest(active_[w]));
                active_[w] &= active_[w] - 1;
                step(t);
            }
    }

    static int lowest(std::uint64_t bits) {
#if defined(__GNUC__)
        return __builtin_ctzll(bits);
#else
        int i = 0;
        while (!(bits >> i & 1)) ++i;
        return i;
#endif
    }

    void step(std::size_t t) {
        const Step& s = model_.steps[t];
        const Content c = content_[s.parent];
        const std::int32_t* child = model_.child.data() + s.child;
        switch (s.kind) {
            case COPY: put(child[0], c.hits, c.excess); break;
            case PATTERN: pattern(s, child, c, draw(s, s.few, t, c.hits)); break;
            case SUM: sum(s, child); break;
            case SPLIT:
                if (c.hits <= s.exact) split_few(s, child, c, *draw(s, s.few, t, c.hits));
                else split_many(s, child, c, *draw(s, s.many, t, c.hits));
        }
    }

    /// The donor of a step.
    const std::uint32_t* draw(const Step& s, std::int32_t trees, std::size_t t, std::int32_t hits) const {
        const std::int32_t* context = model_.context.data() + s.context;
        const Branch* branches = reinterpret_cast<const Branch*>(model_.forest.lines.data());
        Branch b = model_.trees[std::size_t(trees + std::min(hits, BUCKETS - 1))];
        while (!b.leaf()) b = branches[b.next + (codes_[context[b.feature()]] > b.limit())];
        const std::uint32_t which = below(word_of(key_, t), b.count());
        return model_.forest.donors.data() + std::uint32_t(b.next) + std::size_t(which) * b.words();
    }

    void pattern(const Step& s, const std::int32_t* child, Content c, const std::uint32_t* donor) {
        std::uint32_t bits = *donor;
        for (std::int32_t i = 0; i < s.children; ++i) {
            if (!(bits >> i & 1)) continue;
            float share;
            std::memcpy(&share, ++donor, 4);
            put(child[i], 1, c.excess * share);
        }
    }

    void sum(const Step& s, const std::int32_t* child) {
        Content total{0, 0};
        for (std::int32_t i = 0; i < s.children; ++i) {
            total.hits += content_[child[i]].hits;
            total.excess += content_[child[i]].excess;
        }
        if (total.hits) put(s.parent, total.hits, total.excess);
    }

    void split_few(const Step& s, const std::int32_t* child, Content c, std::uint32_t donor) {
        share_out(s, s.few_trend, child, c, std::int32_t(donor & 0xFFFF), donor);
    }

    void split_many(const Step& s, const std::int32_t* child, Content c, std::uint32_t donor) {
        const std::int64_t last = std::int64_t(model_.sine.size()) - 1;
        const std::int64_t angle = trend(s, s.many_trend, 0) + std::int16_t(donor & 0xFFFF);
        const float share = model_.sine[std::size_t(std::min(std::max<std::int64_t>(angle, 0), last))];
        share_out(s, s.many_trend, child, c, std::int32_t(product(float(c.hits + 1), share)), donor);
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
        const std::int32_t* context = model_.context.data() + s.context;
        std::int64_t total = trend.bias[which];
        for (std::size_t i = 0; i < s.length; ++i) total += std::int64_t(weight[i]) * codes_[context[i]];
        return total >> TREND_SHIFT;
    }

    /// Hits for the first child as far as there is room, energies by their ratio.
    void share_out(const Step& s, std::int32_t table, const std::int32_t* child, Content c, std::int32_t first,
                   std::uint32_t donor) {
        const std::int32_t room = model_.capacity[child[0]], other = model_.capacity[child[1]];
        first = std::max(first, c.hits - other);
        first = std::max(std::min(first, std::min(room, c.hits)), 0);
        const std::int32_t second = c.hits - first;
        if (!first) return put(child[1], second, c.excess);
        if (!second) return put(child[0], first, c.excess);
        const float weight = product(float(first), ratio(s, table, first, second, donor));
        const float energy = product(c.excess, weight / (weight + float(second)));
        put(child[0], first, energy);
        put(child[1], second, c.excess - energy);
    }

    /// Hands over the hit cells and leaves everything empty.
    void finish(std::vector<Hit>& out) {
        for (std::size_t w = 0; w < hit_.size(); ++w)
            for (; hit_[w]; hit_[w] &= hit_[w] - 1) {
                const std::int32_t cell = std::int32_t(64 * w) + lowest(hit_[w]);
                out.push_back({cell, content_[model_.cell[cell]].excess + model_.threshold});
            }
        for (std::int32_t node : touched_) {
            content_[node] = {0, 0};
            codes_[node] = codes_[std::size_t(model_.nodes) + node] = 0;
        }
        touched_.clear();
    }

    const Model& model_;
    std::uint64_t key_ = 0;
    std::vector<std::int16_t> codes_;
    std::vector<Content> content_;
    std::vector<std::uint64_t> active_, sums_, hit_;
    std::vector<std::int32_t> touched_;
};

}  // namespace caloforge::mosaic
