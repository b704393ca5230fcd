// A tree of a gradient-boosted classifier on binned inputs: what the judge of showers is made of.
//
// caloforge.evaluation.classify.growing specifies it in numpy, bit for bit: sums are made in the order of the
// rows, gains are compared with `>`, so that the first of equal ones counts.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace caloforge::boosting {

/// What a tree grows on; columns stand on end.
struct Table {
    const std::uint8_t* bins;     ///< (columns, rows)
    const std::int32_t* used;     ///< bins of a column, (columns,)
    const float* gradient;        ///< (rows,)
    const float* hessian;         ///< (rows,)
    std::size_t rows, columns;
};

/// How it grows.
struct Growth {
    std::int32_t width;    ///< bins of a column at most
    std::int32_t leaves;   ///< at most
    std::int32_t fewest;   ///< rows of a leaf at least
    double curvature;      ///< sum of hessians of a leaf at least
};

/// A tree; node 0 is the root, kids follow each other, `column` is -1 in a leaf.
struct Tree {
    std::vector<std::int32_t> column, bin, kid;
    std::vector<double> value;
    std::vector<std::int32_t> leaf;  ///< of every row
    std::int32_t looked = 0;         ///< nodes that a cut was looked for in
};

/// Grows one tree, the leaf with the largest gain first.
class Grower {
public:
    /// @param masks  columns that the nodes look at, in the order in which they look, (2 leaves - 1, columns)
    Grower(const Table& table, const std::uint8_t* masks, const Growth& growth)
        : table_(table), masks_(masks), growth_(growth), size_(table.columns * std::size_t(growth.width)) {}

    Tree grow() {
        order_.resize(table_.rows), beside_.resize(table_.rows), tree_.leaf.resize(table_.rows);
        std::iota(order_.begin(), order_.end(), 0);
        plant();
        std::int32_t leaves = 1;
        for (std::int32_t next = best(); next >= 0 && leaves < growth_.leaves; next = best(), ++leaves)
            divide(next, leaves + 1 < growth_.leaves);
        for (std::size_t v = 0; v < nodes_.size(); ++v)
            if (tree_.column[v] < 0)
                for (std::int32_t i = nodes_[v].start; i < nodes_[v].stop; ++i)
                    tree_.leaf[std::size_t(order_[std::size_t(i)])] = std::int32_t(v);
        return std::move(tree_);
    }

private:
    struct Sum {
        double gradient = 0, hessian = 0;
        std::int64_t count = 0;
    };
    struct Node {
        std::int32_t start, stop;
        Sum sum;
        double value = 0, gain = 0;
        std::int32_t column = -1, bin = 0;  // of the best cut
        Sum left;
        std::vector<Sum> histogram;
    };

    static double value_of(double gradient, double hessian) { return -gradient / (hessian + 1e-15); }

    void plant() {
        add({0, std::int32_t(table_.rows), {}, 0});
        Node& root = nodes_[0];
        root.histogram = count(root);
        for (std::int32_t b = 0; b < growth_.width; ++b) {
            const Sum& of = root.histogram[std::size_t(b)];
            root.sum.gradient += of.gradient, root.sum.hessian += of.hessian, root.sum.count += of.count;
        }
        if (can_split(root) && root.sum.hessian >= growth_.curvature) look(root);
    }

    void add(Node&& node) {
        tree_.column.push_back(-1), tree_.bin.push_back(0), tree_.kid.push_back(0);
        tree_.value.push_back(node.value);
        nodes_.push_back(std::move(node));
    }

    bool can_split(const Node& node) const { return node.stop - node.start >= 2 * growth_.fewest; }

    /// The open node with the largest gain, -1 if there is none.
    std::int32_t best() const {
        std::int32_t found = -1;
        for (std::size_t v = 0; v < nodes_.size(); ++v)
            if (tree_.column[v] < 0 && nodes_[v].gain > 0 && (found < 0 || nodes_[v].gain > nodes_[std::size_t(found)].gain))
                found = std::int32_t(v);
        return found;
    }

    std::vector<Sum> count(const Node& node) const {
        std::vector<Sum> histogram(size_);
        for (std::size_t c = 0; c < table_.columns; ++c) {
            const std::uint8_t* bins = table_.bins + c * table_.rows;
            Sum* sums = histogram.data() + c * std::size_t(growth_.width);
            for (std::int32_t i = node.start; i < node.stop; ++i) {
                const std::size_t row = std::size_t(order_[std::size_t(i)]);
                Sum& sum = sums[bins[row]];
                sum.gradient += double(table_.gradient[row]), sum.hessian += double(table_.hessian[row]), ++sum.count;
            }
        }
        return histogram;
    }

    /// Finds the best cut of a node.
    void look(Node& node) {
        const std::uint8_t* mask = masks_ + std::size_t(tree_.looked++) * table_.columns;
        const double now = node.sum.gradient * node.value;
        for (std::size_t c = 0; c < table_.columns; ++c)
            if (mask[c]) look(node, std::int32_t(c), now);
    }

    void look(Node& node, std::int32_t column, double now) {
        const Sum* sums = node.histogram.data() + std::size_t(column) * std::size_t(growth_.width);
        Sum left;
        for (std::int32_t b = 0; b + 1 < table_.used[column]; ++b) {
            left.gradient += sums[b].gradient, left.hessian += sums[b].hessian, left.count += sums[b].count;
            const Sum right = rest(node.sum, left);
            if (std::min(left.count, right.count) < growth_.fewest) continue;
            if (std::min(left.hessian, right.hessian) < growth_.curvature) continue;
            const double below = left.gradient * value_of(left.gradient, left.hessian);
            const double gain = now - below - right.gradient * value_of(right.gradient, right.hessian);
            if (gain > node.gain) node.gain = gain, node.column = column, node.bin = b, node.left = left;
        }
    }

    static Sum rest(const Sum& all, const Sum& left) {
        return {all.gradient - left.gradient, all.hessian - left.hessian, all.count - left.count};
    }

    /// Cuts a node; `more` says whether its kids may be cut.
    void divide(std::int32_t v, bool more) {
        const std::int32_t middle = sort(nodes_[std::size_t(v)]), kid = std::int32_t(nodes_.size());
        tree_.column[std::size_t(v)] = nodes_[std::size_t(v)].column;
        tree_.bin[std::size_t(v)] = nodes_[std::size_t(v)].bin;
        tree_.kid[std::size_t(v)] = kid;
        const Node& from = nodes_[std::size_t(v)];
        const std::int32_t start = from.start, stop = from.stop;
        const Sum left = from.left, right = rest(from.sum, from.left);
        add({start, middle, left, value_of(left.gradient, left.hessian)});
        add({middle, stop, right, value_of(right.gradient, right.hessian)});
        std::vector<Sum> whole = std::move(nodes_[std::size_t(v)].histogram);
        if (more) open(nodes_[std::size_t(kid)], nodes_[std::size_t(kid) + 1], std::move(whole));
    }

    /// Puts the rows of the left kid before those of the right one, both in their order.
    std::int32_t sort(const Node& node) {
        const std::uint8_t* bins = table_.bins + std::size_t(node.column) * table_.rows;
        std::int32_t left = node.start;
        std::size_t right = 0;
        for (std::int32_t i = node.start; i < node.stop; ++i) {
            const std::int32_t row = order_[std::size_t(i)];
            if (bins[row] <= node.bin)
                order_[std::size_t(left++)] = row;
            else
                beside_[right++] = row;
        }
        std::copy(beside_.begin(), beside_.begin() + std::ptrdiff_t(right), order_.begin() + left);
        return left;
    }

    /// Counts the smaller kid, takes the other one as what is left of `whole`, and looks for their cuts.
    void open(Node& left, Node& right, std::vector<Sum>&& whole) {
        if (!can_split(left) && !can_split(right)) return;
        const bool first = left.stop - left.start < right.stop - right.start;
        Node &small = first ? left : right, &large = first ? right : left;
        small.histogram = count(small);
        for (std::size_t i = 0; i < size_; ++i) whole[i] = rest(whole[i], small.histogram[i]);
        large.histogram = std::move(whole);
        if (can_split(left)) look(left);
        if (can_split(right)) look(right);
    }

    const Table table_;
    const std::uint8_t* masks_;
    const Growth growth_;
    const std::size_t size_;
    std::vector<std::int32_t> order_, beside_;
    std::vector<Node> nodes_;
    Tree tree_;
};

}  // namespace caloforge::boosting
