// Contexts and children of the steps of real showers. See caloforge/mosaic_fit.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "../mosaic/check.hpp"
#include "state.hpp"

namespace caloforge::mosaic {

/// Real showers on end; `B` of them with `H` hits.
struct RealShowers {
    Span<std::int32_t> counts;  ///< (B,)
    Span<std::int32_t> cell;    ///< (H,)
    Span<float> energy;         ///< (H,) [MeV]
    Span<std::int16_t> codes;   ///< (B, conditions)
};

/// What a table learns from; `n` steps with `L` places of context and `m` children.
struct Samples {
    std::int32_t length = -1, children = 0;  ///< L and m; -1 until a step uses the table
    std::vector<std::int16_t> context;       ///< (n, L)
    std::vector<std::int32_t> hits;          ///< (n,) of the parent
    std::vector<float> excess;               ///< (n,) of the parent [MeV]
    std::vector<std::int32_t> child_hits;    ///< (n, m)
    std::vector<float> child_excess;         ///< (n, m) [MeV]
};

/// Runs the steps of real showers as the engine would, each with its true result, and keeps some of them.
class Collector {
public:
    /// @param keep  probability of a step to be kept, a table each
    /// @param most  steps to keep, a table each
    /// @throws Error a step's table is not among them, or steps of a table differ in shape.
    Collector(const Program& program, Span<float> keep, Span<std::int64_t> most, std::uint64_t seed)
        : samples(keep.size), visits(keep.size, 0), plan_(program), state_(plan_), keep_(keep), most_(most),
          seed_(seed), maker_(std::size_t(program.nodes), -1), up_(plan_.steps.size()),
          truth_(std::size_t(program.nodes), Content{0, 0}) {
        detail::require(keep.size == most.size, "keep and most are not of the same tables");
        for (std::size_t t = 0; t < plan_.steps.size(); ++t) {
            const Step& s = plan_.steps[t];
            if (s.kind == PATTERN || (s.kind == SPLIT && s.exact > 0)) shape(t, s.few);
            if (s.kind == SPLIT && plan_.capacity[s.parent] > s.exact) shape(t, s.many);
            if (s.kind == SUM) continue;
            for (std::int32_t i = 0; i < s.children; ++i) maker_[plan_.children(s)[i]] = std::int32_t(t);
        }
    }

    /// Adds showers; false if `stop()`, asked before each, said so.
    /// @throws Error sizes do not fit, a cell is not of the read-out or comes twice, or an energy is not above 0.
    template <class Stop>
    bool add(const RealShowers& real, Stop& stop) {
        check(real);
        std::size_t hit = 0;
        for (std::size_t i = 0; i < real.counts.size; ++i) {
            if (stop()) return false;
            const std::size_t end = hit + std::size_t(real.counts[i]);
            fill(real, hit, end);
            hit = end;
            state_.begin(real.codes.data + i * std::size_t(plan_.conditions));
            descend(shower_key(seed_, i));
            state_.clear();
            for (std::int32_t node : filled_) truth_[node] = {0, 0};
            filled_.clear();
        }
        return true;
    }

    std::vector<Samples> samples;      ///< of every table
    std::vector<std::int64_t> visits;  ///< steps that could have been kept

private:
    void check(const RealShowers& real) const {
        std::int64_t hits = 0;
        for (std::int32_t count : real.counts) {
            if (count < 0) throw Error("A shower has less than no hits.");
            hits += count;
        }
        if (std::size_t(hits) != real.cell.size || real.cell.size != real.energy.size ||
            real.codes.size != real.counts.size * std::size_t(plan_.conditions))
            throw Error("Counts, cells, energies and codes are not of the same showers.");
    }

    void shape(std::size_t t, std::int32_t table) {
        const Step& s = plan_.steps[t];
        detail::require(table >= 0 && std::size_t(table) < samples.size(), "step ", t,
                        " has a table that is not there");
        Samples& of = samples[table];
        detail::require(of.length < 0 || (of.length == s.length && of.children == s.children),
                        "step ", t, " is not like the other steps of its table");
        of.length = s.length, of.children = s.children;
    }

    /// True contents of all nodes, from the cells up.
    void fill(const RealShowers& real, std::size_t begin, std::size_t end) {
        for (std::size_t h = begin; h < end; ++h) {
            const std::int32_t cell = real.cell[h];
            const float energy = real.energy[h];
            if (cell < 0 || std::size_t(cell) >= plan_.cell.size() || !(energy > 0 && std::isfinite(energy)))
                throw Error("Hit " + std::to_string(h) + " is in cell " + std::to_string(cell) + " with " +
                            std::to_string(energy) + " MeV, which cannot be.");
            const std::int32_t node = plan_.cell[cell];
            if (!node) continue;  // the program has no place for it
            if (truth_[node].hits) throw Error("Hit " + std::to_string(h) + " is the second one of its cell.");
            set(node, {1, std::max(energy - plan_.threshold, LEAST)});
        }
        up_.drain_back([this](std::size_t t) { ascend(plan_.steps[t]); });
    }

    void set(std::int32_t node, Content c) {
        truth_[node] = c;
        filled_.push_back(node);
        if (maker_[node] >= 0) up_.set(std::size_t(maker_[node]));
    }

    void ascend(const Step& s) {
        Content total{0, 0};
        for (std::int32_t i = 0; i < s.children; ++i) {
            const Content& c = truth_[plan_.children(s)[i]];
            total = {total.hits + c.hits, total.excess + c.excess};
        }
        set(s.parent, total);
    }

    /// The steps in the engine's order, from the true roots.
    void descend(std::uint64_t key) {
        for (std::int32_t node : plan_.root) put(node);
        state_.active.drain([&](std::size_t t) {
            const Step& s = plan_.steps[t];
            if (s.kind == SUM) return state_.add_up(s);
            if (s.kind != COPY) keep(s, word_of(key, t));
            for (std::int32_t i = 0; i < s.children; ++i) put(plan_.children(s)[i]);
        });
    }

    void put(std::int32_t node) {
        if (truth_[node].hits) state_.put(node, truth_[node].hits, truth_[node].excess);
    }

    void keep(const Step& s, std::uint64_t word) {
        const Content parent = truth_[s.parent];
        const std::int32_t table = s.kind == PATTERN || parent.hits <= s.exact ? s.few : s.many;
        detail::require(table >= 0 && std::size_t(table) < samples.size(), "a step has no table for its hits");
        Samples& to = samples[table];
        ++visits[table];
        if (!(uniform(word) < keep_[table]) || std::int64_t(to.hits.size()) >= most_[table]) return;
        for (std::int32_t i = 0; i < s.length; ++i) to.context.push_back(state_.codes[plan_.context_of(s)[i]]);
        to.hits.push_back(parent.hits);
        to.excess.push_back(parent.excess);
        for (std::int32_t i = 0; i < s.children; ++i) {
            to.child_hits.push_back(truth_[plan_.children(s)[i]].hits);
            to.child_excess.push_back(truth_[plan_.children(s)[i]].excess);
        }
    }

    const Plan plan_;
    State state_;
    Span<float> keep_;
    Span<std::int64_t> most_;
    std::uint64_t seed_;
    std::vector<std::int32_t> maker_;  // step that makes a node
    Bits up_;
    std::vector<Content> truth_;
    std::vector<std::int32_t> filled_;
};

}  // namespace caloforge::mosaic
