// Every index of a model is looked at once, before anything is generated. See caloforge/mosaic.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "arrays.hpp"

namespace caloforge::mosaic {

namespace detail {

inline std::string text(const char* part) { return part; }
template <class Number>
std::string text(Number part) {
    return std::to_string(part);
}

/// Throws what is wrong, put together of texts and numbers, unless it is right.
template <class... Parts>
void require(bool right, const Parts&... wrong) {
    if (right) return;
    std::string told = "The model is broken: ";
    for (const std::string& part : {text(wrong)...}) told += part;
    throw Error(told + ".");
}

/// An array has so many elements.
template <class T>
void require_size(const Span<T>& values, std::size_t size, const char* name) {
    if (values.size == size) return;
    require(false, name, " has ", values.size, " elements in place of ", size);
}

/// All elements are `low` to `high - 1`.
template <class T>
void require_range(const Span<T>& values, std::int64_t low, std::int64_t high, const char* name) {
    for (std::size_t i = 0; i < values.size; ++i)
        if (values[i] < low || values[i] >= high)
            require(false, name, "[", i, "] is ", values[i], ", which is not from ",
                               low, " to ", high - 1);
}

/// `start` cuts `total` elements into `parts`.
inline void require_parts(const Span<std::int32_t>& start, std::size_t parts, std::size_t total, const char* name) {
    require_size(start, parts + 1, name);
    require(start[0] == 0 && std::size_t(start[parts]) == total, name, " does not cover its list");
    for (std::size_t i = 0; i < parts; ++i) require(start[i] <= start[i + 1], name, "[", i + 1, "] falls");
}

/// All elements are finite and at least `low`.
inline void require_finite(const Span<float>& values, float low, const char* name) {
    for (std::size_t i = 0; i < values.size; ++i)
        if (!(std::isfinite(values[i]) && values[i] >= low))
            require(false, name, "[", i, "] is ", values[i]);
}

/// No two elements other than 0 are equal; marks them in `seen`.
inline void require_distinct(const Span<std::int32_t>& values, std::vector<char>& seen, const char* name) {
    for (std::size_t i = 0; i < values.size; ++i) {
        require(values[i] == 0 || !seen[values[i]], name, "[", i, "] names a node that comes twice");
        seen[values[i]] = 1;
    }
}

}  // namespace detail

/// Which step shares out a node. Nodes are a forest: made once, and shared out once after that; sums are beside it.
class Forest {
public:
    /// @throws Error a node is made or shared out twice, or shared out before it is made.
    explicit Forest(const Program& program) : step_(std::size_t(program.nodes), -1) {
        std::vector<char> made(step_.size(), 0);
        detail::require_distinct(program.root, made, "root");
        for (std::size_t t = 0; t < program.steps(); ++t)
            if (program.kind[t] == SUM) detail::require_distinct({program.parent.data + t, 1}, made, "parent of a sum");
            else detail::require_distinct(program.children(t), made, "child");
        for (std::size_t t = 0; t < program.steps(); ++t) {
            if (program.kind[t] == SUM) continue;
            detail::require(step_[program.parent[t]] < 0, "parent[", t, "] is shared out twice");
            step_[program.parent[t]] = std::int32_t(t);
        }
        check_order(program);
    }

    /// The step whose parent a node is, or -1.
    std::int32_t step(std::int32_t node) const { return step_[node]; }

private:
    void check_order(const Program& program) const {
        for (std::size_t t = 0; t < program.steps(); ++t) {
            if (program.kind[t] == SUM) {
                detail::require(step(program.parent[t]) < 0, "parent[", t, "], a sum, is shared out");
                continue;
            }
            for (std::int32_t node : program.children(t))
                detail::require(step(node) < 0 || step(node) > std::int32_t(t),
                                "step ", t, " makes a node that is shared out before");
        }
    }

    std::vector<std::int32_t> step_;
};

namespace detail {

inline void check_sizes(const Program& p) {
    require(p.nodes >= 1 && p.nodes < (1 << 28), "nodes is ", p.nodes);
    require(p.conditions >= 1 && p.conditions < (1 << 16), "conditions is ", p.conditions);
    require(std::isfinite(p.threshold) && p.threshold >= 0, "threshold is ", p.threshold);
    require(p.steps() < (std::size_t(1) << 30), "there are too many steps");
    require_size(p.parent, p.steps(), "parent");
    require_size(p.exact, p.steps(), "exact");
    require_size(p.few, p.steps(), "few");
    require_size(p.many, p.steps(), "many");
    require_size(p.capacity, std::size_t(p.nodes), "capacity");
    require_parts(p.child_start, p.steps(), p.child.size, "child_start");
    require_parts(p.context_start, p.steps(), p.context.size, "context_start");
}

/// A step's children have room for its parent's hits; then so they have when hits are drawn.
inline void check_children(const Program& p, std::size_t t) {
    const Span<std::int32_t> children = p.children(t);
    const std::size_t most = p.kind[t] == SPLIT ? 2 : p.kind[t] == COPY ? 1 : p.kind[t] == PATTERN ? 16 : children.size;
    const std::size_t least = p.kind[t] == SPLIT ? 2 : 1;
    require(children.size >= least && children.size <= most,
            "step ", t, " has ", children.size, " children");
    std::int64_t room = 0;
    for (std::int32_t node : children) room += p.capacity[node];
    require(room < (std::int64_t(1) << 30), "step ", t, " has too many cells");
    require(p.kind[t] == SUM || p.capacity[p.parent[t]] <= room, "step ", t, " has more cells than its children");
}

}  // namespace detail

/// @throws Error an array's size or an index of the program is wrong.
inline void check(const Program& p) {
    detail::check_sizes(p);
    detail::require_range(p.kind, 0, 4, "kind");
    detail::require_range(p.exact, 0, 1 << 28, "exact");
    detail::require_range(p.parent, 1, p.nodes, "parent");
    detail::require_range(p.child, 1, p.nodes, "child");
    detail::require_range(p.root, 1, p.nodes, "root");
    detail::require_range(p.cell, 0, p.nodes, "cell");
    detail::require_range(p.context, 0, std::int64_t(p.places()), "context");
    detail::require_range(p.capacity, 0, 1 << 28, "capacity");
    for (std::size_t t = 0; t < p.steps(); ++t) detail::check_children(p, t);
    std::vector<char> seen(std::size_t(p.nodes), 0);
    detail::require_distinct(p.cell, seen, "cell");
    Forest forest(p);
}

/// The codes of the real showers' particles are there, and energies count and rise.
inline void check_particles(const Roots& r, const Program& p) {
    const std::size_t conditions = std::size_t(p.conditions);
    detail::require(conditions >= 1 && conditions <= 64, "there are ", conditions, " conditions");
    detail::require_size(r.codes, r.energy.size * conditions, "codes");
    detail::require_size(r.scale, conditions, "scale");
    detail::require_range(r.scale, 0, 1 << 12, "scale");
    detail::require(r.scale[0] >= 1, "scale leaves out the energy");
    for (std::size_t d = 1; d < r.energy.size; ++d)
        detail::require(r.codes[d * conditions] >= r.codes[(d - 1) * conditions], "codes of the energy do not rise");
}

/// @throws Error an array's size or an index of the real showers is wrong.
inline void check(const Roots& r, const Program& p) {
    const std::size_t showers = r.energy.size, nodes = p.root.size;
    detail::require(showers > 0, "there are no real showers to start from");
    detail::require(r.nearest >= 1, "nearest is ", r.nearest);
    detail::require(r.window >= 0 && r.window <= (1 << 20), "window is ", r.window);
    detail::require_size(r.hits, showers * nodes, "hits");
    detail::require_size(r.excess, showers * nodes, "excess");
    detail::require(nodes > 0 && r.turn.size > 0 && r.turn.size % nodes == 0, "turn has no whole symmetries");
    detail::require_range(r.turn, 0, std::int64_t(nodes), "turn");
    detail::require_range(r.hits, 0, 1 << 28, "hits");
    detail::require_finite(r.excess, 0, "excess");
    detail::require_finite(r.energy, 0, "energy");
    detail::require_size(r.hit_power, nodes, "hit_power");
    detail::require_size(r.energy_power, nodes, "energy_power");
    detail::require_range(r.hit_power, -(1 << 20), 1 << 20, "hit_power");
    detail::require_range(r.energy_power, -(1 << 20), 1 << 20, "energy_power");
    check_particles(r, p);
    detail::require(r.energy[0] > 0 && std::is_sorted(r.energy.begin(), r.energy.end()), "energy does not rise");
}

}  // namespace caloforge::mosaic
