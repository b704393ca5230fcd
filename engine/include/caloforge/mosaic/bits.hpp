// Sets of whole numbers. See caloforge/mosaic.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace caloforge::mosaic {

/// Place of the lowest bit that is set.
inline int lowest_bit(std::uint64_t bits) {
#if defined(__GNUC__)
    return __builtin_ctzll(bits);
#else
    int i = 0;
    while (!(bits >> i & 1)) ++i;
    return i;
#endif
}

/// A set of whole numbers that is walked through while it grows.
class Bits {
public:
    explicit Bits(std::size_t size) : words_((size + 63) / 64, 0) {}

    void set(std::size_t i) { words_[i >> 6] |= std::uint64_t(1) << (i & 63); }

    /// Calls `f` with every number, rising, and forgets them; `f` may set those that come later.
    template <class F>
    void drain(F f) {
        for (std::size_t w = 0; w < words_.size(); ++w)
            while (words_[w]) {
                const std::size_t i = 64 * w + std::size_t(lowest_bit(words_[w]));
                words_[w] &= words_[w] - 1;
                f(i);
            }
    }

    /// The same, falling; `f` may set those that come before.
    template <class F>
    void drain_back(F f) {
        for (std::size_t w = words_.size(); w-- > 0;)
            while (words_[w]) {
                const std::size_t i = 64 * w + std::size_t(highest(words_[w]));
                words_[w] &= ~(std::uint64_t(1) << (i & 63));
                f(i);
            }
    }

private:
    static int highest(std::uint64_t bits) {
        int i = 63;
        while (!(bits >> i & 1)) --i;
        return i;
    }

    std::vector<std::uint64_t> words_;
};

}  // namespace caloforge::mosaic
