// Steps that do not see each other. See caloforge/mosaic.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "plan.hpp"

namespace caloforge::mosaic {

/// The steps of a plan in waves: those of a wave read nothing that others of it write, when all read before any writes.
struct Waves {
    explicit Waves(const Plan& plan) : order(plan.steps.size()) {
        std::vector<std::int32_t> written(std::size_t(plan.nodes), -1), seen(std::size_t(plan.nodes), 0);
        std::vector<std::int32_t> wave(plan.steps.size(), 0);
        for (std::size_t t = 0; t < plan.steps.size(); ++t) {
            std::int32_t& own = wave[t];
            const Step& s = plan.steps[t];
            each_read(plan, s, [&](std::int32_t node) { own = std::max(own, written[node] + 1); });
            each_write(plan, s, [&](std::int32_t node) { own = std::max(own, seen[node]); });
            each_read(plan, s, [&](std::int32_t node) { seen[node] = std::max(seen[node], own); });
            each_write(plan, s, [&](std::int32_t node) { written[node] = own; });
        }
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return wave[a] < wave[b]; });
        for (std::size_t i = 0; i < order.size(); ++i)
            if (i == 0 || wave[order[i]] != wave[order[i - 1]]) start.push_back(std::int32_t(i));
        start.push_back(std::int32_t(order.size()));
    }

    std::vector<std::int32_t> order;  ///< steps
    std::vector<std::int32_t> start;  ///< where a wave's begin, and the end

private:
    template <class F>
    static void each_read(const Plan& plan, const Step& s, F f) {
        if (s.kind == SUM) return each_child(plan, s, f);
        f(s.parent);
        for (std::int32_t i = 0; i < s.length; ++i) {
            const std::int32_t place = plan.context_of(s)[i];
            if (place < 2 * plan.nodes) f(place % plan.nodes);
        }
    }

    template <class F>
    static void each_write(const Plan& plan, const Step& s, F f) {
        s.kind == SUM ? f(s.parent) : each_child(plan, s, f);
    }

    template <class F>
    static void each_child(const Plan& plan, const Step& s, F f) {
        for (std::int32_t i = 0; i < s.children; ++i) f(plan.children(s)[i]);
    }
};

}  // namespace caloforge::mosaic
