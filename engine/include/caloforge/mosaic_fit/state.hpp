// Hits, energies and codes of the nodes of one real shower. See caloforge/mosaic_fit.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../mosaic/bits.hpp"
#include "../mosaic/numbers.hpp"
#include "../mosaic/plan.hpp"

namespace caloforge::mosaic {

/// Hits of a node, and its energy minus so many thresholds [MeV].
struct Content {
    std::int32_t hits;
    float excess;
};

/// The nodes of one shower. Empty between showers: only what was written is cleared.
class State {
public:
    explicit State(const Plan& plan)
        : plan_(plan), sums_(plan.steps.size()), active(sums_), codes(plan.places, 0),
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
        codes[node] = energy_code(excess + product(plan_.threshold, float(hits)), energy_step(plan_.threshold));
        codes[std::size_t(plan_.nodes) + node] = hit_code(hits);
        const Role role = plan_.role[node];
        if (role.step >= 0) active.set(std::size_t(role.step));
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
    }

private:
    const Plan& plan_;
    Bits sums_;
    std::vector<std::int32_t> touched_;

public:
    Bits active;                      ///< steps to do
    std::vector<std::int16_t> codes;  ///< energies, hits, conditions, constants
    std::vector<Content> content;     ///< of every node
};

}  // namespace caloforge::mosaic
