// The trees and donors of a model, checked and packed for fast walks. See caloforge/mosaic.hpp.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "check.hpp"
#include "numbers.hpp"

namespace caloforge::mosaic {

/// What leaves are drawn for.
enum class Use : std::uint8_t { none, few, many, pattern };

/// A node of a packed tree: of two that lie side by side, the second is for codes above the limit.
///
/// Inner nodes have the feature in the upper and the limit in the lower half of `head`. Leaves are negative: five
/// bits tell how many words a donor has, 26 bits how many donors there are, and `next` is their first word.
struct Branch {
    std::int32_t head;
    std::int32_t next;

    /// A leaf without donors, where there is no tree.
    static Branch none() { return {std::int32_t(0x80000000u), 0}; }

    bool leaf() const { return head < 0; }
    std::int32_t feature() const { return head >> 16; }
    std::int16_t limit() const { return std::int16_t(head & 0xFFFF); }
    std::uint32_t words() const { return (std::uint32_t(head) >> 26) & 31u; }
    std::uint32_t count() const { return std::uint32_t(head) & 0x3FFFFFFu; }
};

/// What the nodes of the raw trees need; children come after their parents, so that one pass does.
class TreeCheck {
public:
    /// @throws Error an array's size or an index of the trees is wrong.
    explicit TreeCheck(const Tables& t)
        : tables_(t), use(t.feature.size, Use::none), features(t.feature.size, 0), bits(t.feature.size, 0),
          weight(t.feature.size, 0) {
        check_sizes();
        std::int64_t donors = 0;
        for (std::size_t v = t.feature.size; v-- > 0;) t.feature[v] < 0 ? leaf(v, donors) : inner(v);
    }

    /// The trees of a table are drawn from in one way.
    void mark(std::int32_t root, Use how) { merge(std::size_t(root), how); }

    /// Passes the marks on to all leaves, and looks at what these leaves hold.
    void spread() {
        for (std::size_t v = 0; v < use.size(); ++v) {
            if (use[v] == Use::none) continue;
            if (tables_.feature[v] < 0) {
                if (use[v] == Use::pattern) shares(v);
            } else {
                for (int side = 0; side < 2; ++side) merge(std::size_t(tables_.kid[v]) + side, use[v]);
            }
        }
    }

private:
    void check_sizes() const {
        const Tables& t = tables_;
        const std::size_t nodes = t.feature.size, donors = t.split_hits.size;
        detail::require(t.roots.size % BUCKETS == 0, "roots has no whole rows");
        detail::require(nodes < (std::size_t(1) << 30) && donors < (std::size_t(1) << 30), "it is too large");
        detail::require_size(t.limit, nodes, "limit");
        detail::require_size(t.kid, nodes, "kid");
        detail::require_size(t.start, nodes, "start");
        detail::require_size(t.count, nodes, "count");
        detail::require_size(t.split_angle, donors, "split_angle");
        detail::require_size(t.split_ratio, donors, "split_ratio");
        detail::require_size(t.pattern, donors, "pattern");
        detail::require(t.share_start.size >= donors, "share_start is too short");
        detail::require_range(t.roots, -1, std::int64_t(nodes), "roots");
        detail::require_finite(t.share, 0, "share");
    }

    void leaf(std::size_t v, std::int64_t& donors) {
        const Tables& t = tables_;
        const std::int64_t first = t.start[v], count = t.count[v];
        detail::require(first >= 0 && count >= 1 && count < (1 << 26) &&
                            first + count <= std::int64_t(t.split_hits.size),
                        "the leaf ", v, " has donors that are not there");
        donors += count;
        detail::require(donors <= std::int64_t(t.split_hits.size), "leaves have more donors than there are");
        weight[v] = double(count);
        for (std::int64_t z = first; z < first + count; ++z)
            while (t.pattern[z] >> bits[v]) ++bits[v];
    }

    void inner(std::size_t v) {
        const std::size_t kid = std::size_t(tables_.kid[v]);
        detail::require(tables_.kid[v] > std::int64_t(v) && kid + 1 < use.size(),
                        "kid[", v, "] is not a node after its parent");
        features[v] = std::max({std::int32_t(tables_.feature[v]) + 1, features[kid], features[kid + 1]});
        bits[v] = std::max(bits[kid], bits[kid + 1]);
        weight[v] = weight[kid] + weight[kid + 1];
    }

    void merge(std::size_t v, Use how) {
        detail::require(use[v] == Use::none || use[v] == how,
                        "the tree node ", v, " is drawn from in two ways");
        use[v] = how;
    }

    void shares(std::size_t v) const {
        const Tables& t = tables_;
        detail::require(t.count[v] < (1 << 18), "the leaf ", v, " has too many patterns");
        for (std::int64_t z = t.start[v]; z < std::int64_t(t.start[v]) + t.count[v]; ++z) {
            std::int64_t hits = 0;
            for (std::uint16_t left = t.pattern[z]; left; left &= std::uint16_t(left - 1)) ++hits;
            detail::require(t.share_start[z] >= 0 && t.share_start[z] + hits <= std::int64_t(t.share.size),
                            "share_start[", std::size_t(z), "] leads out of the shares");
        }
    }

    const Tables& tables_;

public:
    std::vector<Use> use;                ///< of every tree node
    std::vector<std::int32_t> features;  ///< places that a context must have
    std::vector<std::uint8_t> bits;      ///< children that patterns name
    std::vector<double> weight;          ///< donors below: how often a walk comes by
};

}  // namespace caloforge::mosaic
