// What the engine reads: views of a model's arrays, which somebody else owns. See caloforge/mosaic.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace caloforge::mosaic {

/// What is wrong with a model, a file or an argument, in one sentence.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// So many numbers on end.
template <class T>
struct Span {
    const T* data = nullptr;
    std::size_t size = 0;

    const T& operator[](std::size_t i) const { return data[i]; }
    const T* begin() const { return data; }
    const T* end() const { return data + size; }
};

/// Kinds of steps: a node into two, a node into cells, a node that is a cell, a node that others add up to.
enum Kind : std::uint8_t { SPLIT = 0, PATTERN = 1, COPY = 2, SUM = 3 };

constexpr std::int32_t BUCKETS = 24;     ///< trees of a table, one for each number of hits, the last for more
constexpr std::int32_t CONSTANTS = 512;  ///< codes of 0, 1, ... that contexts can point to
constexpr std::int32_t CONSTANT = 16;    ///< the code of 1 among them
constexpr int TREND_SHIFT = 12;          ///< bits behind the point of the trends' weights
constexpr std::int32_t EXPONENTS = 4096; ///< of `Tables::exponential`, to both sides of 1
constexpr std::int64_t MOST_PULL = 2048; ///< sum of the pulls on a pattern, to both sides
constexpr std::size_t MOST_CHILDREN = 16; ///< of a pattern
constexpr float LEAST = 1e-4f;           ///< energy above threshold [MeV] that a hit of a root node has at least

/// Nodes (sets of cells) and the steps that share their hits and energies out; `T` steps.
struct Program {
    std::int32_t nodes = 0;            ///< node 0 stays empty
    std::int32_t conditions = 0;       ///< numbers that describe the incident particle
    float threshold = 0;               ///< of the cells [MeV]
    Span<std::uint8_t> kind;           ///< (T,) `Kind`
    Span<std::int32_t> parent;         ///< (T,) nodes
    Span<std::int32_t> exact;          ///< (T,) up to so many hits a split draws hits, above it their share
    Span<std::int32_t> few;            ///< (T,) table for parents of up to `exact` hits
    Span<std::int32_t> many;           ///< (T,) table for the others, of splits
    Span<std::int32_t> child;          ///< nodes of all steps on end
    Span<std::int32_t> child_start;    ///< (T + 1,)
    Span<std::int32_t> context;        ///< places in a shower's codes, of all steps on end
    Span<std::int32_t> context_start;  ///< (T + 1,)
    Span<std::int32_t> capacity;       ///< (nodes,) cells
    Span<std::int32_t> root;           ///< (R,) the nodes that are drawn first
    Span<std::int32_t> cell;           ///< (cells,) their nodes; 0 for those that are never hit

    std::size_t steps() const { return kind.size; }
    /// The nodes that step `t` makes, or adds up.
    Span<std::int32_t> children(std::size_t t) const {
        return {child.data + child_start[t], std::size_t(child_start[t + 1] - child_start[t])};
    }
    /// Length of a shower's codes: energies of the nodes, hits of the nodes, conditions, constants.
    std::size_t places() const { return 2 * std::size_t(nodes) + std::size_t(conditions) + CONSTANTS; }
};

/// Trees over contexts and the real splits in their leaves; `K` tables, `V` tree nodes, `D` donors, `H` shares.
struct Tables {
    Span<std::int32_t> roots;          ///< (K, BUCKETS) tree nodes, -1 for none
    Span<std::int16_t> feature;        ///< (V,) place in the context, -1 for a leaf
    Span<std::int16_t> limit;          ///< (V,) codes up to it go to `kid`, those above to `kid + 1`
    Span<std::int32_t> kid;            ///< (V,) comes after its parent
    Span<std::int32_t> start;          ///< (V,) first donor of a leaf
    Span<std::int32_t> count;          ///< (V,) donors of a leaf
    Span<std::int32_t> weights_start;  ///< (K + 1,)
    Span<std::int32_t> weights;        ///< of the trends: a table's for the hits, then those for the energies
    Span<std::int64_t> bias;           ///< (K, 2) of the trends
    Span<std::int64_t> hit_weight;     ///< (K,) of the energies' trend on the codes of the hits that were drawn
    Span<std::uint8_t> split_hits;     ///< (D,) hits of the first child, few
    Span<std::int16_t> split_angle;    ///< (D,) residual split variable of the hits, many
    Span<std::int16_t> split_ratio;    ///< (D,) the same of the energies
    Span<std::uint16_t> pattern;       ///< (D,) which children are hit
    Span<std::int32_t> share_start;    ///< (D,)
    Span<float> share;                 ///< (H,) of the energy above threshold, of the hit children on end
    Span<std::int32_t> pull_start;     ///< (K + 1,)
    Span<std::int16_t> pull_place;     ///< place in the context of a cell that pulls
    Span<std::uint8_t> pull_child;     ///< the child of a pattern that it touches
    Span<std::int16_t> pull;           ///< by how much, if it is hit
    Span<float> sine;                  ///< share of the first child by split variable of the hits
    Span<float> exponential;           ///< (2 EXPONENTS,) ratio of mean energies by split variable

    std::size_t tables() const { return roots.size / BUCKETS; }
};

/// Real showers' hits and energies of the root nodes; `D` showers, `C` conditions, `R` root nodes, `S` symmetries.
struct Roots {
    Span<float> energy;               ///< (D,) incident [MeV], rising
    Span<std::int16_t> codes;         ///< (D, C) of the conditions, the energy's first
    Span<std::int32_t> hits;          ///< (D, R)
    Span<float> excess;               ///< (D, R) energies above threshold [MeV]
    Span<std::int32_t> turn;          ///< (S, R) permutations of the root nodes
    Span<std::int32_t> hit_power;     ///< (R,) of the incident energy that hits go with, times the power unit
    Span<std::int32_t> energy_power;  ///< (R,) the same of the energies, but for the first power
    Span<std::int32_t> scale;         ///< (C,) what a code counts in distances between particles
    std::int32_t window = 0;          ///< real showers up to this distance are drawn from
    std::int32_t nearest = 0;         ///< so many are enough; where there are fewer the window grows
};

}  // namespace caloforge::mosaic
