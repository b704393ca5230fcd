// A regression tree of several targets. See caloforge/mosaic_fit.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "../mosaic/numbers.hpp"
#include "bins.hpp"

namespace caloforge::mosaic {

/// How a tree grows.
struct Growth {
    std::int64_t leaf = 20;      ///< rows that a leaf has at least
    std::int32_t depth = 40;     ///< of the deepest leaf at most
    double features = 0.5;       ///< share of the features that a node chooses from, drawn anew
    std::int64_t enough = 40000; ///< rows above which a node is cut by looking at a half or less of them
    std::uint64_t seed = 0;
};

/// A tree as `Tables` has them, and the rows of its leaves on end.
struct Tree {
    std::vector<std::int16_t> feature, limit;
    std::vector<std::int32_t> kid, start, count;
    std::vector<std::int32_t> order;  ///< (rows,) that `start` and `count` cut
};

/// Grows a tree that minimises the squared error of all targets; the same bits for the same arguments.
class Grower {
public:
    /// @param context  codes, (rows, features)
    /// @param targets  (rows, targets)
    /// @throws Error sizes do not fit, or there are none.
    Grower(Span<std::int16_t> context, std::size_t features, Span<float> targets, const Growth& growth)
        : bins_(context, features), targets_(targets), growth_(growth) {
        const std::size_t rows = bins_.rows();
        const bool fits = rows && features && rows * features == context.size;
        const bool aims = targets.size && rows && targets.size % rows == 0;
        if (!fits || !aims || features > 32767 || rows > (std::size_t(1) << 30) || growth.leaf < 1)
            throw Error("A tree cannot grow on " + std::to_string(rows) + " rows of " + std::to_string(features) +
                        " features and " + std::to_string(targets.size) + " targets.");
        width_ = targets.size / rows;
        sums_.resize(BINS * width_), left_.resize(width_), total_.resize(width_);
        pick_.resize(features);
        std::iota(pick_.begin(), pick_.end(), 0);
    }

    /// @param stop  asked before every cut; once true, what has grown so far is given
    template <class Stop>
    Tree grow(Stop& stop) {
        tree_.order.resize(bins_.rows());
        std::iota(tree_.order.begin(), tree_.order.end(), 0);
        std::vector<Part> open{{node(0, std::int32_t(bins_.rows())), 0}};
        while (!open.empty() && !stop()) {
            const Part part = open.back();
            open.pop_back();
            const Cut cut = part.depth < growth_.depth ? best(part.node) : Cut{};
            if (cut.feature < 0) continue;
            const auto kid = divide(part.node, cut);
            if (kid < 0) continue;
            open.push_back({kid + 1, part.depth + 1});
            open.push_back({kid, part.depth + 1});
        }
        return std::move(tree_);
    }

private:
    struct Part {
        std::int32_t node, depth;
    };
    struct Cut {
        std::int32_t feature = -1, bin = 0;
        double gain = 0;
    };

    std::int32_t node(std::int32_t start, std::int32_t count) {
        tree_.feature.push_back(-1);
        tree_.limit.push_back(0);
        tree_.kid.push_back(0);
        tree_.start.push_back(start);
        tree_.count.push_back(count);
        return std::int32_t(tree_.feature.size()) - 1;
    }

    /// The cut with the smallest squared error, by every `step`th row.
    Cut best(std::int32_t v) {
        const std::int64_t count = tree_.count[v];
        if (count < 2 * growth_.leaf) return {};
        step_ = count > growth_.enough ? count * 2 / growth_.enough : 1;
        used_ = (count + step_ - 1) / step_;
        add_up(v);
        Cut cut;
        for (double sum : total_) cut.gain += sum * sum / double(used_);
        cut.gain = cut.gain * (1 + 1e-9) + 1e-9;
        const std::int32_t tries = std::max(1, std::int32_t(double(pick_.size()) * growth_.features));
        for (std::int32_t i = 0; i < tries; ++i) {
            std::swap(pick_[i], pick_[i + below(word_of(growth_.seed, draws_++), std::uint32_t(pick_.size() - i))]);
            look(v, pick_[i], cut);
        }
        return cut;
    }

    const std::int32_t* rows(std::int32_t v) const { return tree_.order.data() + tree_.start[v]; }

    void add_up(std::int32_t v) {
        std::fill(total_.begin(), total_.end(), 0.);
        for (std::int64_t i = 0; i < tree_.count[v]; i += step_) {
            const float* target = targets_.data + std::size_t(rows(v)[i]) * width_;
            for (std::size_t k = 0; k < width_; ++k) total_[k] += double(target[k]);
        }
    }

    /// Whether a feature has a better cut.
    void look(std::int32_t v, std::int32_t feature, Cut& cut) {
        fill(v, bins_.of(std::size_t(feature)));
        std::fill(left_.begin(), left_.end(), 0.f);
        const std::int64_t least = std::max<std::int64_t>(1, growth_.leaf / step_);
        std::int64_t below_it = 0;
        for (std::int32_t bin = 0; bin + 1 < BINS; ++bin) {
            if (!counts_[bin]) continue;
            below_it += counts_[bin];
            for (std::size_t k = 0; k < width_; ++k) left_[k] += sums_[std::size_t(bin) * width_ + k];
            if (below_it < least) continue;
            if (used_ - below_it < least) break;
            const double gain = gain_of(double(below_it), double(used_ - below_it));
            if (gain > cut.gain) cut = {feature, bin, gain};
        }
    }

    double gain_of(double low, double high) const {
        double gain = 0;
        for (std::size_t k = 0; k < width_; ++k) {
            const double l = double(left_[k]), h = total_[k] - l;
            gain += l * l / low + h * h / high;
        }
        return gain;
    }

    /// Sums and counts of all bins.
    void fill(std::int32_t v, const std::uint8_t* bins) {
        std::fill(sums_.begin(), sums_.end(), 0.f);
        std::fill(counts_, counts_ + BINS, 0);
        for (std::int64_t i = 0; i < tree_.count[v]; i += step_) {
            const std::size_t row = std::size_t(rows(v)[i]);
            const float* target = targets_.data + row * width_;
            float* sum = sums_.data() + bins[row] * width_;
            for (std::size_t k = 0; k < width_; ++k) sum[k] += target[k];
            ++counts_[bins[row]];
        }
    }

    /// Sorts a node's rows to its two kids; gives the first, or -1 if one would be too small.
    std::int32_t divide(std::int32_t v, const Cut& cut) {
        const std::uint8_t* bins = bins_.of(std::size_t(cut.feature));
        std::int32_t* first = tree_.order.data() + tree_.start[v];
        const std::int32_t count = tree_.count[v];
        const auto low_side = [&](std::int32_t row) { return bins[row] <= cut.bin; };
        const auto middle = std::stable_partition(first, first + count, low_side);
        const std::int32_t low = std::int32_t(middle - first);
        if (low < 1 || low >= count) return -1;
        const std::int32_t kid = node(tree_.start[v], low);
        node(tree_.start[v] + low, count - low);
        tree_.feature[v] = std::int16_t(cut.feature);
        tree_.limit[v] = bins_.edge(std::size_t(cut.feature), std::size_t(cut.bin));
        tree_.kid[v] = kid;
        return kid;
    }

    Bins bins_;
    Span<float> targets_;
    Growth growth_;
    Tree tree_;
    std::size_t width_ = 0;
    std::int64_t step_ = 1, used_ = 0;
    std::uint64_t draws_ = 0;
    std::vector<std::int32_t> pick_;  // features, those drawn last in front
    std::vector<float> sums_, left_;
    std::vector<double> total_;
    std::int64_t counts_[BINS] = {};
};

}  // namespace caloforge::mosaic
