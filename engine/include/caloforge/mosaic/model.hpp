// A model as the engine runs it: checked, packed, never changed, shared by all threads. See caloforge/mosaic.hpp.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <unordered_map>
#include <vector>

#include "arrays.hpp"
#include "check.hpp"
#include "layout.hpp"
#include "packing.hpp"

namespace caloforge::mosaic {

/// Weights are kept in two parts, high UNIT + low, so that 32 bits hold the sums of either over any codes.
constexpr std::int32_t UNIT = 256;

/// Room for the parts of so many weights: they are taken two at a time.
constexpr std::int32_t padded(std::int32_t length) { return (length + 1) / 2 * 2; }

/// The trend of a table, hits first, then energies.
struct Trend {
    std::size_t weights[2];   ///< where the high parts begin; the low ones follow
    std::int64_t bias[2];
    std::int64_t hit_weight;  ///< of the energies, on the codes of the hits that were drawn
};

/// By how much a hit makes patterns more frequent that hit a cell beside it.
struct Pull {
    std::int32_t child, amount;
};

/// A cell that pulls.
struct Puller {
    std::int32_t place;  ///< of the context
    std::int32_t last;   ///< the pull after its last one; its first is the last of the puller before
};

/// An immutable model; copies of all that it was made from.
class Model {
public:
    /// @throws Error an array's size, an index or a number is wrong; nothing is read out of bounds.
    Model(const Program& program, const Tables& tables, const Roots& roots) : layout(Plan(program)) {
        check(roots, program);
        check_tables(program, tables);
        copy(roots);
        copy(tables);
        pack_trees(program, tables);
    }

    /// Codes that a shower's particle has.
    std::int32_t conditions() const { return layout.conditions; }

    Layout layout;
    std::vector<std::int32_t> sums;  ///< moves that are
    std::vector<Branch> trees;       ///< roots of the trees, `BUCKETS` of every table
    Forestry forest;
    std::vector<Trend> trends;       ///< of every table
    std::vector<std::int16_t> weights;
    std::vector<std::int32_t> puller_start;  ///< of every table, and the end
    std::vector<Puller> pullers;             ///< the first one is none
    std::vector<Pull> pulls;
    std::vector<float> sine, exponential;
    std::vector<float> start_energy, start_excess;
    std::vector<std::int16_t> start_codes;
    std::vector<std::int32_t> start_hits, turn, hit_power, energy_power, scale;
    std::int64_t window;
    std::uint32_t nearest, turns;

private:
    static constexpr std::int64_t MOST_WEIGHT = std::int64_t(1) << 22;  // sum of a trend's
    static constexpr std::int64_t LARGEST = std::int64_t(1) << 45;      // of numbers that trends add up

    template <class T>
    static std::vector<T> copied(const Span<T>& values) {
        return std::vector<T>(values.begin(), values.end());
    }

    static void check_tables(const Program& p, const Tables& t) {
        const std::size_t tables = t.tables();
        detail::require_parts(t.weights_start, tables, t.weights.size, "weights_start");
        detail::require_size(t.bias, 2 * tables, "bias");
        detail::require_size(t.hit_weight, tables, "hit_weight");
        detail::require_parts(t.pull_start, tables, t.pull.size, "pull_start");
        detail::require_size(t.pull_place, t.pull.size, "pull_place");
        detail::require_size(t.pull_child, t.pull.size, "pull_child");
        detail::require_range(t.pull_child, 0, std::int64_t(MOST_CHILDREN), "pull_child");
        detail::require_range(t.pull_place, 0, 1 << 15, "pull_place");
        detail::require_size(t.exponential, 2 * EXPONENTS, "exponential");
        detail::require(t.sine.size > 0, "sine is empty");
        detail::require_finite(t.sine, 0, "sine");
        detail::require_finite(t.exponential, 0, "exponential");
        for (float share : t.sine) detail::require(share <= 1, "sine is above 1");
        detail::require_range(t.bias, -LARGEST, LARGEST, "bias");
        detail::require_range(t.hit_weight, -LARGEST, LARGEST, "hit_weight");
        each_use(p, [&](std::size_t step, std::int32_t table, std::int32_t, std::int32_t, Use) {
            check_table(p, t, step, table);
        });
    }

    /// A step's table is there, and the trends of splits are as long as the context.
    static void check_table(const Program& p, const Tables& t, std::size_t step, std::int32_t table) {
        detail::require(table >= 0 && std::size_t(table) < t.tables(), "step ", step, " has a table that is not there");
        for (std::int32_t i = t.pull_start[table]; i < t.pull_start[table + 1]; ++i)
            detail::require(t.pull_place[i] < p.context_start[step + 1] - p.context_start[step],
                            "step ", step, " has pulls from beyond its context");
        if (p.kind[step] != SPLIT) return;
        const std::int64_t weights = t.weights_start[table + 1] - t.weights_start[table];
        detail::require(weights == 2 * std::int64_t(p.context_start[step + 1] - p.context_start[step]),
                        "step ", step, " has a context that is not as long as its trend");
    }

    void copy(const Tables& t) {
        sine = copied(t.sine), exponential = copied(t.exponential);
        copy_pulls(t);
        for (std::size_t k = 0; k < t.tables(); ++k) {
            const std::int32_t length = (t.weights_start[k + 1] - t.weights_start[k]) / 2;
            const std::int32_t* weight = t.weights.data + t.weights_start[k];
            const std::size_t hits = pack(weight, length, k), energies = pack(weight + length, length, k);
            trends.push_back({{hits, energies}, {t.bias[2 * k], t.bias[2 * k + 1]}, t.hit_weight[k]});
        }
    }

    /// Pulls that follow each other from one place belong to one puller.
    void copy_pulls(const Tables& t) {
        pullers.push_back({0, 0});
        for (std::size_t k = 0; k < t.tables(); ++k) {
            puller_start.push_back(std::int32_t(pullers.size()));
            for (std::int32_t i = t.pull_start[k]; i < t.pull_start[k + 1]; ++i) {
                pulls.push_back({t.pull_child[i], t.pull[i]});
                const bool other = i == t.pull_start[k] || t.pull_place[i] != t.pull_place[i - 1];
                if (other) pullers.push_back({t.pull_place[i], 0});
                pullers.back().last = i + 1;
            }
        }
        puller_start.push_back(std::int32_t(pullers.size()));
    }

    /// Appends the parts of a trend's weights and tells where.
    std::size_t pack(const std::int32_t* weight, std::int32_t length, std::size_t table) {
        const std::size_t first = weights.size(), room = std::size_t(padded(length));
        weights.resize(first + 2 * room, 0);
        std::int64_t sum = 0;
        for (std::int32_t i = 0; i < length; ++i) {
            const std::int32_t low = ((weight[i] % UNIT) + UNIT + UNIT / 2) % UNIT - UNIT / 2;  // -UNIT / 2 or more
            weights[first + std::size_t(i)] = std::int16_t((weight[i] - low) / UNIT);
            weights[first + room + std::size_t(i)] = std::int16_t(low);
            sum += std::abs(std::int64_t(weight[i]));
            detail::require(sum < MOST_WEIGHT, "the weights of table ", table, " are too large");
        }
        return first;
    }

    void copy(const Roots& r) {
        start_energy = copied(r.energy), start_hits = copied(r.hits), start_excess = copied(r.excess);
        start_codes = copied(r.codes), turn = copied(r.turn), scale = copied(r.scale);
        hit_power = copied(r.hit_power), energy_power = copied(r.energy_power);
        window = std::int64_t(r.window) * r.window;
        turns = std::uint32_t(turn.size() / layout.root.size());
        nearest = std::uint32_t(std::min(std::size_t(r.nearest), r.energy.size));
        for (std::size_t t = 0; t < layout.moves.size(); ++t)
            if (layout.moves[t].kind == SUM) sums.push_back(std::int32_t(t));
    }

    /// Calls `f(step, table, first bucket, last bucket, use)` for all that steps can draw from.
    template <class F>
    static void each_use(const Program& p, F f) {
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const std::int32_t most = std::min(p.capacity[p.parent[i]], BUCKETS - 1);
            if (most < 1) continue;
            if (p.kind[i] == PATTERN) f(i, p.few[i], 1, most, Use::pattern);
            if (p.kind[i] != SPLIT) continue;
            if (p.exact[i] > 0) f(i, p.few[i], 1, std::min(most, p.exact[i]), Use::few);
            if (p.capacity[p.parent[i]] > p.exact[i])
                f(i, p.many[i], std::min(p.exact[i] + 1, BUCKETS - 1), most, Use::many);
        }
    }

    void pack_trees(const Program& p, const Tables& t) {
        TreeCheck check(t);
        each_use(p, [&](std::size_t step, std::int32_t table, std::int32_t first, std::int32_t last, Use use) {
            for (std::int32_t n = first; n <= last; ++n) check_tree(p, check, step, t.roots[table * BUCKETS + n], use);
        });
        check.spread();
        Packer packer(t, check, forest);
        std::unordered_map<std::int32_t, Branch> packed;  // tables may share trees
        double donors = 0;
        for (std::int32_t root : t.roots) {
            const bool used = root >= 0 && check.use[root] != Use::none;
            if (used && !packed.count(root)) {
                donors += check.weight[root];
                detail::require(donors <= double(t.split_hits.size), "trees overlap");
                packed.emplace(root, packer.pack(root));
            }
            trees.push_back(used ? packed.at(root) : Branch::none());
        }
    }

    static void check_tree(const Program& p, TreeCheck& check, std::size_t step, std::int32_t root, Use use) {
        if (root < 0) return;  // whoever draws from it is told
        const std::int32_t length = p.context_start[step + 1] - p.context_start[step];
        detail::require(check.features[root] <= length, "step ", step, " has a tree that looks beyond its context");
        detail::require(use != Use::pattern || check.bits[root] <= p.children(step).size, "step ", step,
                        " has patterns of more children");
        check.mark(root, use);
    }
};

}  // namespace caloforge::mosaic
