// Showers, several at a time. See caloforge/mosaic.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "bits.hpp"
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

/// Makes up to `LANES` showers side by side: what a thread needs beside the model. Empty between calls.
///
/// All lanes do the same step at the same time, those that have something to do there. So they share what has to come from
/// memory (contexts, weights, the upper parts of trees), and one waits for its tree while others walk on.
template <int LANES>
class Engine {
    static_assert(LANES >= 1 && LANES <= 8, "a byte holds the lanes that have something to do");

public:
    explicit Engine(const Model& model)
        : model_(model), layout_(model.layout), codes_(std::size_t(layout_.places + 1) * LANES, 0),
          content_(std::size_t(layout_.contents + 1)), active_((layout_.moves.size() + 1 + 7) / 8 * 8, 0) {
        for (const auto& [place, code] : layout_.fixed) std::fill_n(&codes_[std::size_t(place) * LANES], LANES, code);
        for (auto& cells : hit_) cells.assign(std::size_t(layout_.cells) / 64 + 2, 0);
        for (auto& energies : energy_) energies.assign(std::size_t(layout_.cells) / 64 * 64 + 128, 0.f);
    }

    /// Appends the hit cells of `count` showers to `out`, rising in each, and tells how many each has.
    /// @throws Error an energy is not a number above 0, or a table has no tree for some hits: then make a new engine.
    void generate(const Shower* showers, int count, std::vector<Hit>& out, std::int32_t* hits) {
        for (int lane = 0; lane < count; ++lane)
            if (!(showers[lane].energy > 0 && std::isfinite(showers[lane].energy)))
                throw Error("The energy of a particle is not a number above 0.");
        for (int lane = 0; lane < count; ++lane) start(showers[lane], lane);
        run(std::uint8_t((1u << count) - 1));
        for (int lane = 0; lane < count; ++lane) hits[lane] = finish(lane, out);
        clear();
    }

private:
    struct Content {
        std::array<std::int32_t, LANES> hits{};
        std::array<float, LANES> excess{};
    };

    /// Lanes that have something to do at a step, on end.
    struct Busy {
        int count = 0;
        std::array<int, LANES> lane{};
        std::array<std::int32_t, LANES> hits{};
        std::array<float, LANES> excess{};
        std::array<std::int32_t, LANES> table{};
        std::array<const std::uint32_t*, LANES> donor{};
    };

    /// Hits, above 0, and energy of a node.
    void put(int lane, const Target& to, std::int32_t hits, float excess) {
        content_[to.content].hits[lane] = hits;
        content_[to.content].excess[lane] = excess;
        codes_[std::size_t(to.energy) * LANES + lane] = energy_code(excess + product(layout_.threshold, float(hits)), layout_.step);
        codes_[std::size_t(to.hits) * LANES + lane] = hit_code(hits);
        active_[to.step] |= std::uint8_t(1u << lane);
        hit_[lane][std::size_t(to.cell) >> 6] |= std::uint64_t(1) << (to.cell & 63);
        energy_[lane][to.cell] = excess;
    }

    /// The root nodes, from a real shower of about this energy.
    void start(const Shower& shower, int lane) {
        key_[lane] = shower.key;
        for (const auto& [place, which] : layout_.given) codes_[std::size_t(place) * LANES + lane] = shower.codes[which];
        const Model& m = model_;
        const std::uint64_t steps = layout_.moves.size();
        const std::size_t nodes = layout_.root.size();
        const std::size_t donor = first_donor(shower.energy) + below(word_of(shower.key, steps), m.nearest);
        const std::int32_t* turn = &m.turn[below(word_of(shower.key, steps + 1), m.turns) * nodes];
        const float ratio = shower.energy / m.start_energy[donor];
        for (std::size_t r = 0; r < nodes; ++r) {
            const std::size_t from = donor * nodes + std::size_t(turn[r]);
            if (m.start_hits[from] > 0)
                start_node(lane, r, m.start_hits[from], m.start_excess[from], ratio,
                           uniform(word_of(shower.key, steps + 2 + r)));
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
    void start_node(int lane, std::size_t r, std::int32_t hits, float excess, float ratio, float drawn) {
        const float root = std::sqrt(ratio);
        const float wanted = std::floor(product(float(hits), product(root, std::sqrt(root))) + drawn);
        const std::int32_t room = layout_.room[r];
        const std::int32_t scaled = wanted < float(room) ? std::min(std::max(std::int32_t(wanted), 1), room) : room;
        const float energy = product(excess + product(layout_.threshold, float(hits)), ratio);
        const float number = float(scaled);
        if (scaled > 0)
            put(lane, layout_.root[r], scaled,
                std::max(energy - product(layout_.threshold, number), product(LEAST, number)));
    }

    /// All steps that some lane has hits for, in order; sums always.
    void run(std::uint8_t lanes) {
        for (std::int32_t t : model_.sums) active_[t] = lanes;
        const std::size_t steps = layout_.moves.size();
        for (std::size_t first = 0; first < steps; first += 8) {
            while (true) {
                std::uint64_t word;
                std::memcpy(&word, &active_[first], 8);
                if (!word) break;
                std::size_t t = first;
                while (!active_[t]) ++t;
                if (t >= steps) break;
                const std::uint8_t who = active_[t];
                active_[t] = 0;
                done_.push_back(std::int32_t(t));
                step(t, who);
            }
        }
        active_[steps] = 0;
    }

    void step(std::size_t t, unsigned who) {
        const Move& move = layout_.moves[t];
        if (move.kind == SUM) return add_up(move);
        Busy busy;
        const Content& content = content_[move.content];
        for (; who; who &= who - 1) {
            const int lane = lowest_bit(who);
            busy.lane[busy.count] = lane;
            busy.hits[busy.count] = content.hits[lane];
            busy.excess[busy.count] = content.excess[lane];
            busy.table[busy.count] =
                move.kind == PATTERN || content.hits[lane] <= move.exact ? move.few : move.many;
            ++busy.count;
        }
        if (move.kind == COPY) {
            for (int i = 0; i < busy.count; ++i)
                put(busy.lane[i], layout_.child[move.child], busy.hits[i], busy.excess[i]);
            return;
        }
        draw(move, t, busy);
        if (move.kind == PATTERN) pattern(move, busy);
        else split(move, busy);
    }

    void add_up(const Move& move) {
        Content total;
        for (std::int32_t i = 0; i < move.length; ++i) {
            const Content& c = content_[layout_.context[move.context + i]];
            for (int lane = 0; lane < LANES; ++lane) {
                total.hits[lane] += c.hits[lane];
                total.excess[lane] += c.excess[lane];
            }
        }
        for (int lane = 0; lane < LANES; ++lane)
            if (total.hits[lane]) put(lane, layout_.child[move.child], total.hits[lane], total.excess[lane]);
    }

    /// The donors of a step: all walk down their trees together.
    void draw(const Move& move, std::size_t t, Busy& busy) const {
        const std::int32_t* context = layout_.context.data() + move.context;
        const Branch* branches = model_.forest.lines.empty() ? nullptr : model_.forest.lines[0].branch;
        std::array<Branch, LANES> at;
        std::array<int, LANES> left;
        int walking = 0;
        for (int i = 0; i < busy.count; ++i) {
            at[i] = model_.trees[std::size_t(busy.table[i]) * BUCKETS + std::size_t(std::min(busy.hits[i], BUCKETS - 1))];
            left[walking] = i;
            walking += !at[i].leaf();
        }
        while (walking) {
            int still = 0;
            for (int w = 0; w < walking; ++w) {
                const int i = left[w];
                const Branch b = at[i];
                const std::int16_t code = codes_[std::size_t(context[b.feature()]) * LANES + busy.lane[i]];
                at[i] = branches[b.next + (code > b.limit())];
                left[still] = i;
                still += !at[i].leaf();
            }
            walking = still;
        }
        for (int i = 0; i < busy.count; ++i) {
            if (!at[i].count()) missing(t, busy.hits[i]);
            const std::uint32_t which = below(word_of(key_[busy.lane[i]], t), at[i].count());
            busy.donor[i] = model_.forest.donors.data() + std::uint32_t(at[i].next) + std::size_t(which) * at[i].words();
#if defined(__GNUC__)
            __builtin_prefetch(busy.donor[i]);
#endif
        }
    }

    [[noreturn]] static void missing(std::size_t t, std::int32_t hits) {
        throw Error("The model is broken: step " + std::to_string(t) + " has no tree for " + std::to_string(hits) +
                    " hits.");
    }

    void pattern(const Move& move, const Busy& busy) {
        const Target* child = &layout_.child[move.child];
        for (int i = 0; i < busy.count; ++i) {
            const std::uint32_t* share = busy.donor[i];
            for (std::uint32_t bits = *share; bits; bits &= bits - 1) {
                float part;
                std::memcpy(&part, ++share, 4);
                put(busy.lane[i], child[lowest_bit(bits)], 1, busy.excess[i] * part);
            }
        }
    }

    using Trends = std::array<std::int64_t, LANES>;

    /// The trend of all lanes; `which` is 0 for the hits, 1 for the energies.
    Trends trend(const Move& move, std::int32_t table, int which) const {
        const Trend& trend = model_.trends[table];
        const Weight* weight = model_.weights.data() + trend.weights + which * std::size_t(move.length);
        const std::int32_t* context = layout_.context.data() + move.context;
        std::array<std::int32_t, LANES> high{}, low{};
        for (std::size_t j = 0; j < move.length; ++j) {
            const std::int16_t* code = codes_.data() + std::size_t(context[j]) * LANES;
            for (int lane = 0; lane < LANES; ++lane) {
                high[lane] += std::int32_t(weight[j].high) * code[lane];
                low[lane] += std::int32_t(weight[j].low) * code[lane];
            }
        }
        Trends found;
        for (int lane = 0; lane < LANES; ++lane)
            found[lane] = (trend.bias[which] + std::int64_t(high[lane]) * Weight::UNIT + low[lane]) >> TREND_SHIFT;
        return found;
    }

    void split(const Move& move, const Busy& busy) {
        int few = 0;
        for (int i = 0; i < busy.count; ++i) few += busy.hits[i] <= move.exact;
        if (few) {
            const Trends ratio = trend(move, move.few, 1);
            for (int i = 0; i < busy.count; ++i)
                if (busy.hits[i] <= move.exact)
                    share_out(move, busy, i, std::int32_t(*busy.donor[i] & 0xFFFF), ratio[busy.lane[i]]);
        }
        if (few == busy.count) return;
        const Trends angle = trend(move, move.many, 0), ratio = trend(move, move.many, 1);
        for (int i = 0; i < busy.count; ++i)
            if (busy.hits[i] > move.exact)
                share_out(move, busy, i, hits_of(angle[busy.lane[i]] + std::int16_t(*busy.donor[i] & 0xFFFF), busy.hits[i]),
                          ratio[busy.lane[i]]);
    }

    /// Hits of the first child for a split variable.
    std::int32_t hits_of(std::int64_t angle, std::int32_t total) const {
        const std::int64_t last = std::int64_t(model_.sine.size()) - 1;
        const float share = model_.sine[std::size_t(std::min(std::max<std::int64_t>(angle, 0), last))];
        return std::int32_t(product(float(total + 1), share));
    }

    /// Hits for the first child as far as there is room, energies by their ratio.
    void share_out(const Move& move, const Busy& busy, int i, std::int32_t first, std::int64_t trend) {
        const Target* child = &layout_.child[move.child];
        const std::int32_t total = busy.hits[i], room = layout_.capacity[move.child],
                           other = layout_.capacity[move.child + 1];
        const float excess = busy.excess[i];
        first = std::max(first, total - other);
        first = std::max(std::min(first, std::min(room, total)), 0);
        const std::int32_t second = total - first;
        if (!first) return put(busy.lane[i], child[1], second, excess);
        if (!second) return put(busy.lane[i], child[0], first, excess);
        trend += std::int16_t(*busy.donor[i] >> 16);
        const std::int64_t apart = hit_code(first) - hit_code(second);
        trend += (model_.trends[busy.table[i]].hit_weight * apart) >> TREND_SHIFT;
        trend = std::min<std::int64_t>(std::max<std::int64_t>(trend, 1 - EXPONENTS), EXPONENTS - 1);
        const float weight = product(float(first), model_.exponential[std::size_t(trend + EXPONENTS)]);
        const float energy = product(excess, weight / (weight + float(second)));
        put(busy.lane[i], child[0], first, energy);
        put(busy.lane[i], child[1], second, excess - energy);
    }

    /// Hands over the hit cells of a lane.
    std::int32_t finish(int lane, std::vector<Hit>& out) {
        const std::size_t before = out.size();
        auto& hit = hit_[lane];
        for (std::size_t w = 0; 64 * w < std::size_t(layout_.cells); ++w) {
            for (std::uint64_t bits = hit[w]; bits; bits &= bits - 1) {
                const std::int32_t cell = std::int32_t(64 * w) + lowest_bit(bits);
                if (cell < layout_.cells) out.push_back({cell, energy_[lane][cell] + layout_.threshold});
            }
            hit[w] = 0;
        }
        return std::int32_t(out.size() - before);
    }

    /// Empties what was written, in all lanes.
    void clear() {
        for (const Target& to : layout_.root) clear(to);
        for (std::int32_t t : done_) {
            const Move& move = layout_.moves[t];
            for (std::uint32_t i = 0; i < move.children; ++i) clear(layout_.child[move.child + i]);
        }
        done_.clear();
    }

    void clear(const Target& to) {
        std::fill_n(&codes_[std::size_t(to.energy) * LANES], LANES, std::int16_t(0));
        std::fill_n(&codes_[std::size_t(to.hits) * LANES], LANES, std::int16_t(0));
        content_[to.content] = Content{};
    }

    const Model& model_;
    const Layout& layout_;
    std::array<std::uint64_t, LANES> key_{};
    std::vector<std::int16_t> codes_;           // of every place, lane beside lane
    std::vector<Content> content_;              // of the nodes that are read again
    std::vector<std::uint8_t> active_;          // lanes that have something to do, of every step
    std::vector<std::int32_t> done_;            // steps
    std::array<std::vector<std::uint64_t>, LANES> hit_;  // cells, bit by bit
    std::array<std::vector<float>, LANES> energy_;       // of the cells, above threshold
};

/// What a thread needs to make one shower at a time.
class Scratch {
public:
    explicit Scratch(const Model& model) : engine_(model) {}

    /// Appends the hit cells of a shower to `out`, rising, and tells how many there are.
    /// @throws Error the energy is not a number above 0, or a table has no tree for some hits: then make a new one.
    std::int32_t generate(const Shower& shower, std::vector<Hit>& out) {
        std::int32_t hits;
        engine_.generate(&shower, 1, out, &hits);
        return hits;
    }

private:
    Engine<1> engine_;
};

}  // namespace caloforge::mosaic
