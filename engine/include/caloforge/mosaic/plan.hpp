// A program as the engine runs it: checked, packed, never changed. See caloforge/mosaic.hpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "check.hpp"

namespace caloforge::mosaic {

/// A step with all that is needed to run it.
struct Step {
    std::int32_t parent;
    std::int32_t few, many;   ///< its tables
    std::uint32_t child;      ///< its first one
    std::uint32_t context;    ///< its first place
    std::int32_t exact;       ///< up to so many hits a split draws hits
    std::int32_t children;
    std::uint16_t length;     ///< of the context
    Kind kind;
};

/// What a node is for, -1 for nothing.
struct Role {
    std::int32_t step;  ///< that shares it out
    std::int32_t cell;  ///< of the read-out that it is
};

/// An immutable program; copies of all that it was made from.
struct Plan {
    /// @throws Error an array's size or an index is wrong; nothing is read out of bounds.
    explicit Plan(const Program& p)
        : nodes(p.nodes), conditions(p.conditions), threshold(p.threshold), places(p.places()) {
        check(p);
        child.assign(p.child.begin(), p.child.end());
        context.assign(p.context.begin(), p.context.end());
        capacity.assign(p.capacity.begin(), p.capacity.end());
        root.assign(p.root.begin(), p.root.end());
        cell.assign(p.cell.begin(), p.cell.end());
        pack_steps(p);
        pack_roles(p);
    }

    std::int32_t nodes, conditions;
    float threshold;
    std::size_t places;
    std::vector<Step> steps;
    std::vector<Role> role;  ///< of every node
    std::vector<std::int32_t> child, context, capacity, root, cell;

    const std::int32_t* children(const Step& s) const { return child.data() + s.child; }
    const std::int32_t* context_of(const Step& s) const { return context.data() + s.context; }

private:
    static constexpr std::int32_t LONGEST = 512;  // context: more could overflow a trend's sums

    void pack_steps(const Program& p) {
        for (std::size_t t = 0; t < p.steps(); ++t) {
            const std::int32_t length = p.context_start[t + 1] - p.context_start[t];
            detail::require(length < LONGEST, "step ", t, " has too long a context");
            steps.push_back({p.parent[t], p.few[t], p.many[t], std::uint32_t(p.child_start[t]),
                             std::uint32_t(p.context_start[t]), p.exact[t], std::int32_t(p.children(t).size),
                             std::uint16_t(length), Kind(p.kind[t])});
        }
    }

    void pack_roles(const Program& p) {
        const Forest forest(p);
        for (std::int32_t v = 0; v < nodes; ++v) role.push_back({forest.step(v), -1});
        for (std::size_t c = 0; c < cell.size(); ++c)
            if (cell[c]) role[cell[c]].cell = std::int32_t(c);
    }
};

}  // namespace caloforge::mosaic
