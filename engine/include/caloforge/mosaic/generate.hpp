// Showers, several at a time. See caloforge/mosaic.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "bits.hpp"
#include "model.hpp"
#include "numbers.hpp"
#include "shower.hpp"
#include "trend.hpp"

namespace caloforge::mosaic {

/// Makes up to `LANES` showers side by side: what a thread needs beside the model. Empty between calls.
///
/// The lanes do the same steps at the same time, those that have something to do there, and steps that do not see each
/// other together. So they share what has to come from memory (contexts, weights, the upper parts of trees), and while
/// one waits for a node of its tree others walk on.
template <int LANES>
class Engine {
    static_assert(LANES >= 1 && LANES <= 8, "a byte holds the lanes that have something to do");

public:
    explicit Engine(const Model& model)
        : model_(model), layout_(model.layout), items_(most_items(model.layout)), walking_(items_.size()),
          codes_(std::size_t(layout_.places + 1) * LANES, 0), content_(std::size_t(layout_.contents + 1)),
          active_(layout_.moves.size() + 1, 0) {
        for (const auto& [place, code] : layout_.fixed) std::fill_n(&codes_[std::size_t(place) * LANES], LANES, code);
        for (auto& cells : hit_) cells.assign(std::size_t(layout_.cells) / 64 + 2, 0);
        for (auto& energies : energy_) energies.assign(std::size_t(layout_.cells) / 64 * 64 + 128, 0.f);
    }

    /// Appends the hit cells of `count` showers to `out`, rising in each, and tells how many each has.
    /// @throws Error an energy is not a number above 0, or a table has no tree for some hits: then make a new engine.
    void generate(const Shower* showers, int count, std::vector<Hit>& out, std::int32_t* hits) {
        for (int lane = 0; lane < count; ++lane)
            if (!(showers[lane].energy > 0 && std::isfinite(showers[lane].energy)))
                throw Error("The energy of a particle is not a number above 0.");
        for (int lane = 0; lane < count; ++lane) start(showers[lane], lane);
        run(std::uint8_t((1u << count) - 1));
        for (int lane = 0; lane < count; ++lane) hits[lane] = finish(lane, out);
        clear();
    }

private:
    struct Content {
        std::array<std::int32_t, LANES> hits{};
        std::array<float, LANES> excess{};
    };

    /// What a lane has to do at a move.
    struct Item {
        const Move* move;
        const std::uint32_t* donor;
        const Branch* at;     ///< where it is in its tree
        const std::int32_t* context;
        std::int32_t table;
        std::int32_t hits;    ///< of the parent
        float excess;         ///< of the parent
        std::int64_t angle, ratio;  ///< trends
        int lane;
    };

    /// Asks for what will be read.
    static void prefetch(const void* data) {
#if defined(__GNUC__)
        __builtin_prefetch(data);
#else
        (void)data;
#endif
    }

    static std::size_t most_items(const Layout& layout) {
        std::int32_t most = 0;
        for (std::size_t w = 0; w + 1 < layout.wave.size(); ++w)
            most = std::max(most, layout.wave[w + 1] - layout.wave[w]);
        return std::size_t(most) * LANES;
    }

    /// Hits, above 0, and energy of a node.
    void put(int lane, const Target& to, std::int32_t hits, float excess) {
        content_[to.content].hits[lane] = hits;
        content_[to.content].excess[lane] = excess;
        const float energy = excess + product(layout_.threshold, float(hits));
        codes_[std::size_t(to.energy) * LANES + std::size_t(lane)] = energy_code(energy, layout_.step);
        codes_[std::size_t(to.hits) * LANES + std::size_t(lane)] = hit_code(hits);
        active_[to.move] |= std::uint8_t(1u << lane);
        hit_[lane][std::size_t(to.cell) >> 6] |= std::uint64_t(1) << (to.cell & 63);
        energy_[lane][to.cell] = excess;
    }

    /// The conditions' codes and the root nodes.
    void start(const Shower& shower, int lane) {
        key_[lane] = shower.key;
        for (const auto& [place, which] : layout_.given)
            codes_[std::size_t(place) * LANES + std::size_t(lane)] = shower.codes[which];
        draw_roots(model_, shower, [&](std::size_t root, std::int32_t hits, float excess) {
            put(lane, layout_.root[root], hits, excess);
        });
    }

    /// All moves that some lane has hits for, wave after wave; sums always.
    void run(std::uint8_t lanes) {
        for (std::int32_t i : model_.sums) active_[i] = lanes;
        for (std::size_t w = 0; w + 1 < layout_.wave.size(); ++w) {
            const std::size_t count = collect(layout_.wave[w], layout_.wave[w + 1]);
            draw(count);
            add_trends(count);
            for (std::size_t i = 0; i < count; ++i) apply(items_[i]);
        }
        active_[layout_.moves.size()] = 0;
    }

    /// What there is to do in a wave.
    std::size_t collect(std::int32_t first, std::int32_t last) {
        std::size_t count = 0;
        for (std::int32_t i = first; i < last; ++i) {
            if (!active_[i]) continue;
            done_.push_back(i);
            const Move& move = layout_.moves[i];
            for (unsigned who = active_[i]; who; who &= who - 1)
                if (collect(move, lowest_bit(who), items_[count])) ++count;
            active_[i] = 0;
        }
        return count;
    }

    bool collect(const Move& move, int lane, Item& item) const {
        const Content& content = content_[move.content];
        item.move = &move, item.lane = lane;
        if (move.kind == SUM) return add_up(item);
        item.hits = content.hits[lane], item.excess = content.excess[lane];
        item.table = move.kind == PATTERN || item.hits <= move.exact ? move.few : move.many;
        return true;
    }

    /// Whether the children of a sum have hits.
    bool add_up(Item& item) const {
        item.hits = 0, item.excess = 0;
        for (std::int32_t i = 0; i < item.move->length; ++i) {
            const Content& child = content_[layout_.context[item.move->context + std::size_t(i)]];
            item.hits += child.hits[item.lane];
            item.excess += child.excess[item.lane];
        }
        return item.hits != 0;
    }

    /// The donors of a wave: all walk down their trees together, so that none waits alone.
    void draw(std::size_t count) {
        std::size_t walking = 0;
        for (std::size_t i = 0; i < count; ++i) {
            Item& item = items_[i];
            if (item.move->kind == COPY || item.move->kind == SUM) continue;
            item.context = layout_.context.data() + item.move->context;
            item.at = &model_.trees[std::size_t(item.table) * BUCKETS + std::size_t(std::min(item.hits, BUCKETS - 1))];
            prefetch(item.at);
            walking_[walking++] = &item;
        }
        while (walking) walking = walk(walking);
    }

    /// A node further down for all that are on their way; how many still are.
    std::size_t walk(std::size_t walking) {
        const Branch* branches = model_.forest.lines[0].branch;
        std::size_t still = 0;
        for (std::size_t w = 0; w < walking; ++w) {
            Item& item = *walking_[w];
            const Branch at = *item.at;
            if (at.leaf()) {
                choose(item, at);
                continue;
            }
            const std::int32_t place = item.context[at.feature()];
            const std::int16_t code = codes_[std::size_t(place) * LANES + std::size_t(item.lane)];
            item.at = branches + at.next + (code > at.limit());
            prefetch(item.at);
            walking_[still++] = &item;
        }
        return still;
    }

    /// One of the donors of a leaf.
    void choose(Item& item, const Branch leaf) const {
        if (!leaf.count()) missing(item);
        const std::uint64_t word = word_of(key_[item.lane], std::uint64_t(item.move->step));
        item.donor = model_.forest.donors.data() + std::uint32_t(leaf.next);
        if (item.move->kind == PATTERN)  // all donors may be looked at
            for (std::uint32_t i = 0; i < std::min(leaf.count() * leaf.words(), 64u); i += 16) prefetch(item.donor + i);
        std::array<std::int32_t, MOST_CHILDREN> score{};
        const bool pulled = item.move->kind == PATTERN && pull(item, score);
        const std::uint32_t which = pulled ? pulled_donor(item, leaf, score, word) : below(word, leaf.count());
        item.donor += std::size_t(which) * leaf.words();
        prefetch(item.donor);
    }

    /// By how much hits beside a block pull at its cells; whether any does.
    bool pull(const Item& item, std::array<std::int32_t, MOST_CHILDREN>& score) const {
        bool any = false;
        const Puller* end = model_.pullers.data() + model_.puller_start[std::size_t(item.table) + 1];
        for (const Puller* p = model_.pullers.data() + model_.puller_start[std::size_t(item.table)]; p != end; ++p) {
            if (codes_[std::size_t(item.context[p->place]) * LANES + std::size_t(item.lane)] <= 0) continue;
            any = true;
            for (std::int32_t i = (p - 1)->last; i < p->last; ++i)
                score[std::size_t(model_.pulls[std::size_t(i)].child)] += model_.pulls[std::size_t(i)].amount;
        }
        return any && std::any_of(score.begin(), score.end(), [](std::int32_t s) { return s != 0; });
    }

    /// How frequent a pattern is, times 256: it goes with exp of the pulls on its hits.
    std::uint32_t weight(std::uint32_t bits, const std::array<std::int32_t, MOST_CHILDREN>& score) const {
        std::int64_t z = 0;
        for (; bits; bits &= bits - 1) z += score[std::size_t(lowest_bit(bits))];
        z = std::min(std::max(z, -MOST_PULL), MOST_PULL);
        return std::uint32_t(256.f * model_.exponential[std::size_t(z + EXPONENTS)]);
    }

    /// A donor of a leaf, by weight.
    std::uint32_t pulled_donor(const Item& item, const Branch leaf,
                               const std::array<std::int32_t, MOST_CHILDREN>& score, std::uint64_t word) const {
        constexpr std::uint32_t KEPT = 32;
        std::array<std::uint32_t, KEPT> kept;
        std::uint32_t total = 0, which = 0;
        const auto weigh = [&](std::uint32_t i) { return weight(item.donor[std::size_t(i) * leaf.words()], score); };
        for (std::uint32_t i = 0; i < leaf.count(); ++i) {
            const std::uint32_t own = weigh(i);
            if (i < KEPT) kept[i] = own;
            total += own;
        }
        std::uint32_t left = below(word, total);
        for (;; ++which) {
            const std::uint32_t own = which < KEPT ? kept[which] : weigh(which);
            if (left < own) return which;
            left -= own;
        }
    }

    [[noreturn]] static void missing(const Item& item) {
        throw Error("The model is broken: step " + std::to_string(item.move->step) + " has no tree for " +
                    std::to_string(item.hits) + " hits.");
    }

    void apply(const Item& item) {
        switch (item.move->kind) {
            case COPY:
            case SUM: return put(item.lane, layout_.child[item.move->child], item.hits, item.excess);
            case PATTERN: return pattern(item);
            case SPLIT: return split(item);
        }
    }

    void pattern(const Item& item) {
        const Target* child = &layout_.child[item.move->child];
        const std::uint32_t* share = item.donor;
        for (std::uint32_t bits = *share; bits; bits &= bits - 1) {
            float part;
            std::memcpy(&part, ++share, 4);
            put(item.lane, child[lowest_bit(bits)], 1, item.excess * part);
        }
    }

    /// Trends of the splits of a wave, of all lanes that use a table at a move at once.
    void add_trends(std::size_t count) {
        const Move* move = nullptr;
        std::int32_t table = -1;
        Trends<LANES> angle{}, ratio{};
        for (std::size_t i = 0; i < count; ++i) {
            Item& item = items_[i];
            if (item.move->kind != SPLIT) continue;
            if (item.move != move || item.table != table) {
                move = item.move, table = item.table;
                ratio = trends<LANES>(model_, *move, table, 1, codes_.data());
                if (item.hits > move->exact) angle = trends<LANES>(model_, *move, table, 0, codes_.data());
            }
            item.angle = angle[std::size_t(item.lane)], item.ratio = ratio[std::size_t(item.lane)];
        }
    }

    /// Hits of the first child for a split variable.
    std::int32_t hits_of(std::int64_t angle, std::int32_t total) const {
        const std::int64_t last = std::int64_t(model_.sine.size()) - 1;
        const float share = model_.sine[std::size_t(std::min(std::max<std::int64_t>(angle, 0), last))];
        return std::int32_t(product(float(total + 1), share));
    }

    /// Hits for the first child as far as there is room, energies by their ratio.
    void split(const Item& item) {
        const Target* child = &layout_.child[item.move->child];
        const std::int32_t room = layout_.capacity[item.move->child], other = layout_.capacity[item.move->child + 1];
        const std::uint16_t drawn = std::uint16_t(*item.donor & 0xFFFF);
        const bool few = item.hits <= item.move->exact;
        std::int32_t first = few ? drawn : hits_of(item.angle + std::int16_t(drawn), item.hits);
        first = std::max(first, item.hits - other);
        first = std::max(std::min(first, std::min(room, item.hits)), 0);
        const std::int32_t second = item.hits - first;
        if (!first) return put(item.lane, child[1], second, item.excess);
        if (!second) return put(item.lane, child[0], first, item.excess);
        const float weight = product(float(first), energies(item, first, second));
        const float energy = product(item.excess, weight / (weight + float(second)));
        put(item.lane, child[0], first, energy);
        put(item.lane, child[1], second, item.excess - energy);
    }

    /// Mean energy of the first child's hits over that of the second's.
    float energies(const Item& item, std::int32_t first, std::int32_t second) const {
        const std::int64_t apart = hit_code(first) - hit_code(second);
        std::int64_t z = item.ratio + std::int16_t(*item.donor >> 16);
        z += (model_.trends[std::size_t(item.table)].hit_weight * apart) >> TREND_SHIFT;
        z = std::min<std::int64_t>(std::max<std::int64_t>(z, 1 - EXPONENTS), EXPONENTS - 1);
        return model_.exponential[std::size_t(z + EXPONENTS)];
    }

    /// Hands over the hit cells of a lane.
    std::int32_t finish(int lane, std::vector<Hit>& out) {
        const std::size_t before = out.size();
        auto& hit = hit_[lane];
        for (std::size_t w = 0; 64 * w < std::size_t(layout_.cells); ++w) {
            for (std::uint64_t bits = hit[w]; bits; bits &= bits - 1) {
                const std::int32_t cell = std::int32_t(64 * w) + lowest_bit(bits);
                if (cell < layout_.cells) out.push_back({cell, energy_[lane][cell] + layout_.threshold});
            }
            hit[w] = 0;
        }
        return std::int32_t(out.size() - before);
    }

    /// Empties what was written, in all lanes.
    void clear() {
        for (const Target& to : layout_.root) clear(to);
        for (std::int32_t i : done_) {
            const Move& move = layout_.moves[i];
            for (std::int32_t c = 0; c < move.children; ++c) clear(layout_.child[move.child + std::size_t(c)]);
        }
        done_.clear();
    }

    void clear(const Target& to) {
        std::fill_n(&codes_[std::size_t(to.energy) * LANES], LANES, std::int16_t(0));
        std::fill_n(&codes_[std::size_t(to.hits) * LANES], LANES, std::int16_t(0));
        content_[to.content] = Content{};
    }

    const Model& model_;
    const Layout& layout_;
    std::array<std::uint64_t, LANES> key_{};
    std::vector<Item> items_;                   // of a wave
    std::vector<Item*> walking_;                // those on their way down
    std::vector<std::int16_t> codes_;           // of every place, lane beside lane
    std::vector<Content> content_;              // of the nodes that are read again
    std::vector<std::uint8_t> active_;          // lanes that have something to do, of every step
    std::vector<std::int32_t> done_;            // moves
    std::array<std::vector<std::uint64_t>, LANES> hit_;  // cells, bit by bit
    std::array<std::vector<float>, LANES> energy_;       // of the cells, above threshold
};

/// What a thread needs to make one shower at a time.
class Scratch {
public:
    explicit Scratch(const Model& model) : engine_(model) {}

    /// Appends the hit cells of a shower to `out`, rising, and tells how many there are.
    /// @throws Error the energy is not a number above 0, or a table has no tree for some hits: then make a new one.
    std::int32_t generate(const Shower& shower, std::vector<Hit>& out) {
        std::int32_t hits;
        engine_.generate(&shower, 1, out, &hits);
        return hits;
    }

private:
    Engine<1> engine_;
};

}  // namespace caloforge::mosaic
