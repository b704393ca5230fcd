// Many showers in threads, a block at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include <caloforge/mosaic.hpp>

namespace caloforge {

/// Cells of many showers on end.
struct Showers {
    std::vector<std::int32_t> counts, cell;
    std::vector<float> energy;
};

constexpr std::size_t BLOCK = 64;  // showers between two looks at the keyboard: some milliseconds

/// The hits of showers `first` to `last - 1`.
template <class Particle>
void generate_block(mosaic::Scratch& scratch, std::size_t first, std::size_t last, const Particle& shower,
                    std::int32_t* counts, std::vector<mosaic::Hit>& hits) {
    for (std::size_t i = first; i < last; ++i) {
        const std::size_t before = hits.size();
        scratch.generate(shower(i), hits);
        counts[i] = std::int32_t(hits.size() - before);
    }
}

inline void append(Showers& out, const std::vector<mosaic::Hit>& hits) {
    for (const mosaic::Hit& hit : hits) {
        out.cell.push_back(hit.cell);
        out.energy.push_back(hit.energy);
    }
}

/// Makes `count` showers; false if `interrupted()` said so.
/// @throws what a thread threw.
template <class Particle, class Interrupted>
bool generate(const mosaic::Model& model, std::size_t count, const Particle& shower, int threads,
              const Interrupted& interrupted, Showers& out) {
    const std::size_t blocks = (count + BLOCK - 1) / BLOCK;
    std::vector<std::vector<mosaic::Hit>> hits(blocks);
    std::vector<std::exception_ptr> errors(std::size_t(std::max(threads, 1)));
    std::atomic<std::size_t> next{0};
    std::atomic<bool> stopped{false};
    out.counts.assign(count, 0);
    const auto work = [&](std::size_t thread) {
        try {
            mosaic::Scratch scratch(model);
            for (std::size_t b; !stopped && (b = next++) < blocks;) {
                generate_block(scratch, b * BLOCK, std::min(count, (b + 1) * BLOCK), shower, out.counts.data(), hits[b]);
                if (thread == 0 && interrupted()) stopped = true;
            }
        } catch (...) {
            errors[thread] = std::current_exception();
            stopped = true;
        }
    };
    std::vector<std::thread> others;
    for (std::size_t t = 1; t < std::min(errors.size(), blocks); ++t) others.emplace_back(work, t);
    work(0);
    for (std::thread& other : others) other.join();
    for (const std::exception_ptr& error : errors)
        if (error) std::rethrow_exception(error);
    for (auto& block : hits) {
        append(out, block);
        std::vector<mosaic::Hit>().swap(block);
    }
    return !stopped;
}

}  // namespace caloforge
