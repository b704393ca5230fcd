// Features in 64 bins of about as many rows. See caloforge/mosaic_fit.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../mosaic/arrays.hpp"

namespace caloforge::mosaic {

constexpr std::int32_t BINS = 64;

/// The features of a table's contexts in bins, a feature's on end.
class Bins {
public:
    /// @param context  codes, (rows, features)
    Bins(Span<std::int16_t> context, std::size_t features)
        : rows_(features ? context.size / features : 0), bins_(rows_ * features), edges_(features) {
        for (std::size_t f = 0; f < features; ++f) cut(context, features, f);
    }

    std::size_t rows() const { return rows_; }
    std::size_t features() const { return edges_.size(); }
    /// Bins of a feature, (rows,).
    const std::uint8_t* of(std::size_t feature) const { return bins_.data() + feature * rows_; }
    /// Codes up to it are in this bin or below; not for the last bin.
    std::int16_t edge(std::size_t feature, std::size_t bin) const { return edges_[feature][bin]; }

private:
    static constexpr std::size_t ENOUGH = 20000;  // rows to take quantiles of

    void cut(Span<std::int16_t> context, std::size_t features, std::size_t f) {
        std::vector<std::int16_t> some;
        for (std::size_t i = 0; i < rows_; i += std::max<std::size_t>(1, rows_ / ENOUGH))
            some.push_back(context[i * features + f]);
        std::sort(some.begin(), some.end());
        std::vector<std::int16_t>& edge = edges_[f];
        for (std::size_t q = 1; q < BINS && !some.empty(); ++q) edge.push_back(some[(some.size() - 1) * q / BINS]);
        edge.erase(std::unique(edge.begin(), edge.end()), edge.end());
        for (std::size_t i = 0; i < rows_; ++i)
            bins_[f * rows_ + i] = std::uint8_t(
                std::lower_bound(edge.begin(), edge.end(), context[i * features + f]) - edge.begin());
    }

    std::size_t rows_;
    std::vector<std::uint8_t> bins_;
    std::vector<std::vector<std::int16_t>> edges_;
};

}  // namespace caloforge::mosaic
