// Trends of splits: weighted sums of the codes of a context. See caloforge/mosaic.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#define CALOFORGE_MOSAIC_SSE2
#endif

#include "model.hpp"

namespace caloforge::mosaic {

/// A number for every lane.
template <int LANES>
using Trends = std::array<std::int64_t, LANES>;

namespace detail {

/// Weighted sums of the codes of a context, of the high and of the low parts of the weights.
template <int LANES>
struct Sums {
    std::int32_t high[LANES] = {}, low[LANES] = {};

    void add(const std::int16_t* weight, std::int32_t length, const std::int32_t* context, const std::int16_t* codes) {
        const std::int16_t* lower = weight + padded(length);
        for (std::int32_t j = 0; j < length; ++j) {
            const std::int16_t* code = codes + std::size_t(context[j]) * LANES;
            for (int lane = 0; lane < LANES; ++lane) {
                high[lane] += std::int32_t(weight[j]) * code[lane];
                low[lane] += std::int32_t(lower[j]) * code[lane];
            }
        }
    }
};

#ifdef CALOFORGE_MOSAIC_SSE2
/// The same for eight lanes, two places at a time.
template <>
struct Sums<8> {
    std::int32_t high[8], low[8];

    void add(const std::int16_t* weight, std::int32_t length, const std::int32_t* context, const std::int16_t* codes) {
        const std::int16_t* lower = weight + padded(length);
        __m128i sum[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
        for (std::int32_t j = 0; j < length; j += 2) {
            const __m128i one = lanes(codes, context[j]);
            const __m128i other = lanes(codes, context[j + 1 < length ? j + 1 : j]);  // whose weight is 0
            const __m128i front = _mm_unpacklo_epi16(one, other), back = _mm_unpackhi_epi16(one, other);
            const __m128i upper_pair = pair(weight + j), lower_pair = pair(lower + j);
            sum[0] = _mm_add_epi32(sum[0], _mm_madd_epi16(front, upper_pair));
            sum[1] = _mm_add_epi32(sum[1], _mm_madd_epi16(back, upper_pair));
            sum[2] = _mm_add_epi32(sum[2], _mm_madd_epi16(front, lower_pair));
            sum[3] = _mm_add_epi32(sum[3], _mm_madd_epi16(back, lower_pair));
        }
        std::memcpy(high, sum, sizeof high);
        std::memcpy(low, sum + 2, sizeof low);
    }

private:
    static __m128i lanes(const std::int16_t* codes, std::int32_t place) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + std::size_t(place) * 8));
    }

    static __m128i pair(const std::int16_t* weight) {
        std::int32_t two;
        std::memcpy(&two, weight, sizeof two);
        return _mm_set1_epi32(two);
    }
};
#endif

}  // namespace detail

/// The trend of a table at a move; `which` is 0 for the hits, 1 for the energies.
template <int LANES>
Trends<LANES> trends(const Model& model, const Move& move, std::int32_t table, int which, const std::int16_t* codes) {
    const Trend& trend = model.trends[std::size_t(table)];
    detail::Sums<LANES> sums;
    sums.add(model.weights.data() + trend.weights[which], move.length, model.layout.context.data() + move.context, codes);
    Trends<LANES> found;
    for (std::size_t lane = 0; lane < LANES; ++lane)
        found[lane] = (trend.bias[which] + std::int64_t(sums.high[lane]) * UNIT + sums.low[lane]) >> TREND_SHIFT;
    return found;
}

}  // namespace caloforge::mosaic
