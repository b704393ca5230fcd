// Trees laid out along their walks, with the donors of every leaf on end. See caloforge/mosaic.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "pages.hpp"
#include "trees.hpp"

namespace caloforge::mosaic {

/// Pairs of kids, a cache line of four.
struct alignas(64) Line {
    Branch branch[8];
};

/// Packed trees. A donor of a split is one word (the hits or their angle below, the ratio above), one of a pattern is
/// its bits and then its shares.
struct Forestry {
    std::vector<Line, LargePages<Line>> lines = std::vector<Line, LargePages<Line>>(1);  ///< the first is empty
    std::vector<std::uint32_t, LargePages<std::uint32_t>> donors;
};

/// Packs one tree after the other: into a line go a pair and those that walks go on to most often.
class Packer {
public:
    Packer(const Tables& tables, const TreeCheck& check, Forestry& out)
        : tables_(tables), check_(check), out_(out) {}

    /// Appends the tree below a raw node and gives its root.
    Branch pack(std::int32_t root) {
        Branch packed = branch(root);
        if (packed.leaf()) return packed;
        packed.next = std::int32_t(2 * pairs_);
        waiting_.push_back({root, -1});
        while (!waiting_.empty()) fill_line();
        return packed;
    }

private:
    struct Parent {
        std::int32_t raw;
        std::int64_t place;  // among the packed branches, -1 for the root
    };

    Branch& at(std::int64_t place) { return out_.lines[std::size_t(place / 8)].branch[place % 8]; }

    /// Places pairs until the line is full, and leaves the kids of those for later.
    void fill_line() {
        std::vector<Parent> near{waiting_.back()};
        waiting_.pop_back();
        do {
            const auto lighter = [this](const Parent& a, const Parent& b) {
                return check_.weight[a.raw] < check_.weight[b.raw];
            };
            const auto next = std::max_element(near.begin(), near.end(), lighter);
            const Parent parent = *next;
            near.erase(next);
            place(parent, near);
        } while (pairs_ % 4 && !near.empty());
        waiting_.insert(waiting_.end(), near.begin(), near.end());
    }

    void place(const Parent& parent, std::vector<Parent>& near) {
        if (pairs_ % 4 == 0) out_.lines.emplace_back();
        const std::int64_t first = 2 * std::int64_t(pairs_++);
        if (parent.place >= 0) at(parent.place).next = std::int32_t(first);
        for (std::int32_t side = 0; side < 2; ++side) {
            const std::int32_t raw = tables_.kid[parent.raw] + side;
            at(first + side) = branch(raw);
            if (tables_.feature[raw] >= 0) near.push_back({raw, first + side});
        }
    }

    /// A node without the place of its kids; the donors of a leaf.
    Branch branch(std::int32_t v) {
        if (tables_.feature[v] >= 0)
            return {std::int32_t((std::uint32_t(tables_.feature[v]) << 16) | std::uint16_t(tables_.limit[v])), 0};
        const std::uint32_t words = check_.use[v] == Use::pattern ? 1 + most_hits(v) : 1;
        const std::size_t first = out_.donors.size();
        detail::require(first < (std::size_t(1) << 31), "it has too many donors");
        const std::uint32_t head = 0x80000000u | (words << 26) | std::uint32_t(tables_.count[v]);
        for (std::int32_t i = 0; i < tables_.count[v]; ++i) donor(v, std::size_t(tables_.start[v] + i), words);
        return {std::int32_t(head), std::int32_t(first)};
    }

    void donor(std::int32_t v, std::size_t z, std::uint32_t words) {
        if (check_.use[v] != Use::pattern) {
            const bool few = check_.use[v] == Use::few;
            const std::uint16_t hits = few ? tables_.split_hits[z] : std::uint16_t(tables_.split_angle[z]);
            out_.donors.push_back((std::uint32_t(std::uint16_t(tables_.split_ratio[z])) << 16) | hits);
            return;
        }
        out_.donors.push_back(tables_.pattern[z]);
        const std::uint32_t hits = hits_of(tables_.pattern[z]);
        for (std::uint32_t i = 0; i + 1 < words; ++i) {
            std::uint32_t share = 0;
            if (i < hits) std::memcpy(&share, tables_.share.data + tables_.share_start[z] + i, 4);
            out_.donors.push_back(share);
        }
    }

    std::uint32_t most_hits(std::int32_t v) const {
        std::uint32_t most = 0;
        for (std::int32_t i = 0; i < tables_.count[v]; ++i)
            most = std::max(most, hits_of(tables_.pattern[tables_.start[v] + i]));
        return most;
    }

    static std::uint32_t hits_of(std::uint16_t pattern) {
        std::uint32_t hits = 0;
        for (; pattern; pattern &= std::uint16_t(pattern - 1)) ++hits;
        return hits;
    }

    const Tables& tables_;
    const TreeCheck& check_;
    Forestry& out_;
    std::vector<Parent> waiting_;
    std::size_t pairs_ = 4;  // in the lines, after the first
};

}  // namespace caloforge::mosaic
