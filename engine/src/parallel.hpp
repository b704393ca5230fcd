// Many showers in threads, a block at a time.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
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
template <int LANES, class Particle>
void generate_block(mosaic::Engine<LANES>& engine, std::size_t first, std::size_t last, const Particle& shower,
                    std::int32_t* counts, std::vector<mosaic::Hit>& hits) {
    std::array<mosaic::Shower, LANES> showers;
    for (std::size_t i = first; i < last; i += LANES) {
        const int some = int(std::min<std::size_t>(LANES, last - i));
        for (int lane = 0; lane < some; ++lane) showers[lane] = shower(i + std::size_t(lane));
        engine.generate(showers.data(), some, hits, counts + i);
    }
}

inline void append(Showers& out, const std::vector<mosaic::Hit>& hits) {
    for (const mosaic::Hit& hit : hits) {
        out.cell.push_back(hit.cell);
        out.energy.push_back(hit.energy);
    }
}

/// Engines that wait for the next call, so that it need not make them.
template <int LANES>
class Pool {
public:
    explicit Pool(const mosaic::Model& model) : model_(model) {}

    std::unique_ptr<mosaic::Engine<LANES>> take() {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (waiting_.empty()) return std::make_unique<mosaic::Engine<LANES>>(model_);
        auto engine = std::move(waiting_.back());
        waiting_.pop_back();
        return engine;
    }

    void give_back(std::unique_ptr<mosaic::Engine<LANES>> engine) {
        const std::lock_guard<std::mutex> lock(mutex_);
        waiting_.push_back(std::move(engine));
    }

private:
    const mosaic::Model& model_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<mosaic::Engine<LANES>>> waiting_;
};

/// Makes `count` showers, `LANES` side by side in every thread; false if `interrupted()` said so.
/// @throws what a thread threw.
template <int LANES, class Particle, class Interrupted>
bool generate(Pool<LANES>& pool, std::size_t count, const Particle& shower, int threads,
              const Interrupted& interrupted, Showers& out) {
    const std::size_t blocks = (count + BLOCK - 1) / BLOCK;
    std::vector<std::vector<mosaic::Hit>> hits(blocks);
    std::vector<std::exception_ptr> errors(std::size_t(std::max(threads, 1)));
    std::atomic<std::size_t> next{0};
    std::atomic<bool> stopped{false};
    out.counts.assign(count, 0);
    const auto work = [&](std::size_t thread) {
        try {
            auto engine = pool.take();
            for (std::size_t b; !stopped && (b = next++) < blocks;) {
                const std::size_t last = std::min(count, (b + 1) * BLOCK);
                generate_block(*engine, b * BLOCK, last, shower, out.counts.data(), hits[b]);
                if (thread == 0 && interrupted()) stopped = true;
            }
            pool.give_back(std::move(engine));  // after an exception it is not empty
        } catch (...) {
            errors[thread] = std::current_exception();
            stopped = true;
        }
    };
    std::vector<std::thread> others;
    others.reserve(errors.size());
    try {
        for (std::size_t t = 1; t < std::min(errors.size(), blocks); ++t) others.emplace_back(work, t);
    } catch (const std::system_error&) {  // no more threads are to be had: fewer do
    }
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
