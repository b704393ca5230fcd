// Hits, energies and codes of a shower's nodes while it is made. See caloforge/mosaic.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "numbers.hpp"
#include "plan.hpp"

namespace caloforge::mosaic {

/// Hits of a node, and its energy minus so many thresholds [MeV].
struct Content {
    std::int32_t hits;
    float excess;
};

/// A set of whole numbers that is walked through while it grows.
class Bits {
public:
    explicit Bits(std::size_t size) : words_((size + 63) / 64, 0) {}

    void set(std::size_t i) { words_[i >> 6] |= std::uint64_t(1) << (i & 63); }

    void clear() { std::fill(words_.begin(), words_.end(), 0); }

    /// Calls `f` with every number, rising, and forgets them; `f` may set those that come later.
    template <class F>
    void drain(F f) {
        for (std::size_t w = 0; w < words_.size(); ++w)
            while (words_[w]) {
                const std::size_t i = 64 * w + std::size_t(lowest(words_[w]));
                words_[w] &= words_[w] - 1;
                f(i);
            }
    }

    /// The same, falling; `f` may set those that come before.
    template <class F>
    void drain_back(F f) {
        for (std::size_t w = words_.size(); w-- > 0;)
            while (words_[w]) {
                const std::size_t i = 64 * w + std::size_t(highest(words_[w]));
                words_[w] &= ~(std::uint64_t(1) << (i & 63));
                f(i);
            }
    }

private:
    static int lowest(std::uint64_t bits) {
#if defined(__GNUC__)
        return __builtin_ctzll(bits);
#else
        int i = 0;
        while (!(bits >> i & 1)) ++i;
        return i;
#endif
    }

    static int highest(std::uint64_t bits) {
        int i = 63;
        while (!(bits >> i & 1)) --i;
        return i;
    }

    std::vector<std::uint64_t> words_;
};

/// The nodes of one shower. Empty between showers: only what was written is cleared.
class State {
public:
    explicit State(const Plan& plan)
        : plan_(plan), sums_(plan.steps.size()), active(sums_), hit(plan.cell.size()), codes(plan.places, 0),
          content(std::size_t(plan.nodes), Content{0, 0}) {
        for (int i = 0; i < CONSTANTS; ++i)
            codes[plan.places - CONSTANTS + std::size_t(i)] = std::int16_t(CONSTANT * i);
        for (std::size_t t = 0; t < plan.steps.size(); ++t)
            if (plan.steps[t].kind == SUM) sums_.set(t);
    }

    /// Begins a shower with the codes of its conditions.
    void begin(const std::int16_t* conditions) {
        std::copy_n(conditions, plan_.conditions, codes.begin() + 2 * std::ptrdiff_t(plan_.nodes));
        active = sums_;
    }

    /// Hits, above 0, and energy of a node.
    void put(std::int32_t node, std::int32_t hits, float excess) {
        content[node] = {hits, excess};
        codes[node] = energy_code(excess + product(plan_.threshold, float(hits)));
        codes[std::size_t(plan_.nodes) + node] = hit_code(hits);
        const Role role = plan_.role[node];
        if (role.step >= 0) active.set(std::size_t(role.step));
        if (role.cell >= 0) hit.set(std::size_t(role.cell));
        touched_.push_back(node);
    }

    /// What the children of a sum have, for its parent.
    void add_up(const Step& s) {
        Content total{0, 0};
        for (std::int32_t i = 0; i < s.children; ++i) {
            const Content& c = content[plan_.children(s)[i]];
            total = {total.hits + c.hits, total.excess + c.excess};
        }
        if (total.hits) put(s.parent, total.hits, total.excess);
    }

    /// Forgets the shower.
    void clear() {
        for (std::int32_t node : touched_) {
            content[node] = {0, 0};
            codes[node] = codes[std::size_t(plan_.nodes) + node] = 0;
        }
        touched_.clear();
        hit.clear();
    }

private:
    const Plan& plan_;
    Bits sums_;
    std::vector<std::int32_t> touched_;

public:
    Bits active;                      ///< steps to do
    Bits hit;                         ///< cells that are hit
    std::vector<std::int16_t> codes;  ///< energies, hits, conditions, constants
    std::vector<Content> content;     ///< of every node
};

}  // namespace caloforge::mosaic
