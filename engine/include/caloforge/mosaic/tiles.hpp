// Which real tile, points with shares of the energy, fills a cell of the frame. See caloforge/models/mosaic/tiles.py.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "check.hpp"
#include "numbers.hpp"

namespace caloforge::mosaic {

/// A tree over contexts of cells, and the centres of the tiles in its leaves; `V` nodes, `D` tiles.
struct Tiles {
    std::int32_t side = 0;         ///< cells of a layer each way, an even number
    std::int32_t layers = 0;
    std::int32_t conditions = 0;   ///< numbers that describe the incident particle
    bool leaning = false;          ///< contexts are mirrored along y alone
    float step = 0;                ///< [MeV], of the energies' codes
    Span<std::int16_t> feature;    ///< (V,) place in the context, -1 for a leaf
    Span<std::int16_t> limit;      ///< (V,) codes up to it go to `kid`, those above to `kid + 1`
    Span<std::int32_t> kid;        ///< (V,) comes after its parent
    Span<std::int32_t> start;      ///< (V,) first tile of a leaf
    Span<std::int32_t> count;      ///< (V,) tiles of a leaf
    Span<std::int16_t> centre;     ///< (D, 2) of energy, along x and y
};

constexpr std::uint64_t FIRST_TILE_WORD = std::uint64_t(1) << 32;  ///< words from here on draw tiles

/// Chooses the tiles of one shower after the other: what a thread needs. It owns what it needs of the tiles.
class TileChooser {
public:
    /// @throws Error an array's size or an index of the tree is wrong.
    explicit TileChooser(const Tiles& t)
        : side_(t.side), layers_(t.layers), conditions_(t.conditions), leaning_(t.leaning), step_(t.step) {
        check(t);
        row_ = side_ + 2, plane_ = row_ * row_;
        image_.assign(std::size_t(layers_ + 2) * std::size_t(plane_), 0);
        centres_.assign(2 * std::size_t(plane_), 0);
        for (int way = 0; way < 4; ++way) set_offsets(way);
        nodes_.reserve(t.feature.size);
        for (std::size_t v = 0; v < t.feature.size; ++v)
            nodes_.push_back(t.feature[v] < 0 ? Node{-1, 0, t.start[v], t.count[v]}
                                              : Node{t.feature[v], t.limit[v], t.kid[v], 0});
        tiles_.assign(t.centre.begin(), t.centre.end());
        context_.assign(std::size_t(length(conditions_)), 0);
    }

    std::int32_t cells() const { return layers_ * side_ * side_; }
    std::int32_t conditions() const { return conditions_; }

    /// Places that a context has.
    static std::int32_t length(std::int32_t conditions) { return AROUND + 2 * CROSS + 4 + conditions; }

    /// The tiles of the cells of a shower.
    /// @param cell rising, each from 0 to `cells() - 1`.
    /// @param energy of the cells [MeV], 0 or more.
    /// @param codes of the conditions.
    void choose(std::uint64_t key, const std::int32_t* cell, const float* energy, std::size_t count,
                const std::int16_t* codes, std::int64_t* chosen) {
        for (std::size_t i = 0; i < count; ++i) image_[place(cell[i])] = energy_code(energy[i], step_);
        for (std::int32_t c = 0; c < conditions_; ++c) context_[std::size_t(AROUND + 2 * CROSS + 4 + c)] = codes[c];
        for (std::size_t first = 0, last; first < count; first = last) {
            const std::int32_t layer = cell[first] / (side_ * side_);
            for (last = first; last < count && cell[last] / (side_ * side_) == layer;) ++last;
            for (std::int32_t colour = 0; colour < 4; ++colour)
                for (std::size_t i = first; i < last; ++i)
                    if (colour_of(cell[i]) == colour) chosen[i] = choose(key, cell[i]);
        }
        for (std::size_t i = 0; i < count; ++i) clear(cell[i]);
    }

private:
    static constexpr int AROUND = 19;  // energies that are looked at
    static constexpr int CROSS = 5;    // columns whose tiles are

    struct Node {
        std::int16_t feature, limit;
        std::int32_t next, count;
    };

    static void check(const Tiles& t) {
        const std::size_t nodes = t.feature.size;
        detail::require(t.side >= 2 && t.side % 2 == 0 && t.layers >= 1 && t.conditions >= 1 && nodes >= 1 &&
                            std::int64_t(t.side) * t.side * t.layers < (std::int64_t(1) << 30) &&
                            std::max(t.side, t.layers) <= 2000,
                        "its tiles have no sizes");
        detail::require_size(t.limit, nodes, "limit");
        detail::require_size(t.kid, nodes, "kid");
        detail::require_size(t.start, nodes, "start");
        detail::require_size(t.count, nodes, "count");
        for (std::size_t v = 0; v < nodes; ++v) t.feature[v] < 0 ? check_leaf(t, v) : check_inner(t, v);
    }

    static void check_leaf(const Tiles& t, std::size_t v) {
        const std::int64_t first = t.start[v], count = t.count[v];
        detail::require(first >= 0 && count >= 1 && 2 * (first + count) <= std::int64_t(t.centre.size),
                        "the leaf ", v, " has tiles that are not there");
    }

    static void check_inner(const Tiles& t, std::size_t v) {
        detail::require(t.feature[v] < length(t.conditions), "feature[", v, "] is not in the context");
        detail::require(t.kid[v] > std::int64_t(v) && std::size_t(t.kid[v]) + 1 < t.feature.size,
                        "kid[", v, "] is not a node after its parent");
    }

    /// Where the energies are that are looked at, relative to the cell's, for one way of mirroring.
    void set_offsets(int way) {
        const std::int32_t x = way & 2 ? row_ : -row_, y = way & 1 ? 1 : -1;
        std::int32_t* to = offset_[way];
        *to++ = 0;
        for (int i = -1; i <= 1; ++i)
            for (int j = -1; j <= 1; ++j)
                if (i || j) *to++ = i * x + j * y;
        for (const std::int32_t layer : {-plane_, plane_})
            for (const std::int32_t step : {0, x, y, -x, -y}) *to++ = layer + step;
        to = column_[way];
        for (const std::int32_t step : {0, x, y, -x, -y}) *to++ = step;
    }

    /// When a cell's turn is within its layer.
    std::int32_t colour_of(std::int32_t cell) const { return cell / side_ % side_ % 2 * 2 + cell % side_ % 2; }

    /// Of a cell in the image, which has a border of zeros.
    std::size_t place(std::int32_t cell) const {
        const std::int32_t layer = cell / (side_ * side_), x = cell / side_ % side_, y = cell % side_;
        return std::size_t(layer + 1) * std::size_t(plane_) + std::size_t((x + 1) * row_ + y + 1);
    }

    std::int64_t choose(std::uint64_t key, std::int32_t cell) {
        const std::int32_t layer = cell / (side_ * side_), x = cell / side_ % side_, y = cell % side_;
        const std::int32_t half = side_ / 2;
        const bool right = leaning_ || x >= half, up = y >= half;
        const std::int16_t* middle = image_.data() + place(cell);
        const std::int32_t* offset = offset_[2 * right + up];
        const std::int32_t* column = column_[2 * right + up];
        for (int k = 0; k < AROUND; ++k) context_[std::size_t(k)] = middle[offset[k]];
        std::int16_t* centre = &centres_[2 * std::size_t((x + 1) * row_ + y + 1)];
        std::int16_t* told = context_.data() + AROUND;
        for (int k = 0; k < CROSS; ++k, told += 2) {
            told[0] = right ? centre[2 * column[k]] : std::int16_t(-centre[2 * column[k]]);
            told[1] = up ? centre[2 * column[k] + 1] : std::int16_t(-centre[2 * column[k] + 1]);
        }
        told[0] = std::int16_t(CONSTANT * layer);
        told[1] = std::int16_t(CONSTANT * (leaning_ ? x : right ? x - half : half - 1 - x));
        told[2] = std::int16_t(CONSTANT * (up ? y - half : half - 1 - y));
        told[3] = std::int16_t(CONSTANT * colour_of(cell));
        const std::int64_t tile = draw(word_of(key, FIRST_TILE_WORD + std::uint64_t(cell)));
        const std::int16_t* of = &tiles_[2 * std::size_t(tile)];
        centre[0] = right ? of[0] : std::int16_t(-of[0]);
        centre[1] = up ? of[1] : std::int16_t(-of[1]);
        return tile;
    }

    /// Down the tree with the context, and one of the leaf's tiles.
    std::int64_t draw(std::uint64_t word) const {
        const Node* at = nodes_.data();
        while (at->feature >= 0)
            at = nodes_.data() + at->next + (context_[std::size_t(at->feature)] > at->limit);
        return std::int64_t(at->next) + below(word, std::uint32_t(at->count));
    }

    void clear(std::int32_t cell) {
        const std::int32_t x = cell / side_ % side_, y = cell % side_;
        image_[place(cell)] = 0;
        centres_[2 * std::size_t((x + 1) * row_ + y + 1)] = 0;
        centres_[2 * std::size_t((x + 1) * row_ + y + 1) + 1] = 0;
    }

    std::int32_t side_, layers_, conditions_, row_ = 0, plane_ = 0;
    bool leaning_;
    float step_;
    std::int32_t offset_[4][AROUND], column_[4][CROSS];
    std::vector<Node> nodes_;
    std::vector<std::int16_t> tiles_;    // centres of the tiles
    std::vector<std::int16_t> image_;    // codes of the energies, layer by layer
    std::vector<std::int16_t> centres_;  // of the tiles that were put last in every column
    std::vector<std::int16_t> context_;
};

}  // namespace caloforge::mosaic
