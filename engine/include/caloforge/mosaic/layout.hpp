// A program laid out for generation: only what is read is kept, in the order in which it is read. See caloforge/mosaic.hpp.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "numbers.hpp"
#include "plan.hpp"

namespace caloforge::mosaic {

/// Where hits and energy of a node go. What nobody reads goes to a last place that nobody reads.
struct Target {
    std::int32_t step;     ///< that shares the node out
    std::int32_t cell;     ///< of the read-out that it is
    std::int32_t content;  ///< of its hits and energy
    std::int32_t energy;   ///< of the code of its energy
    std::int32_t hits;     ///< of the code of its hits
};

/// A step as it is run.
struct Move {
    std::int32_t content;     ///< of the parent
    std::int32_t few, many;   ///< its tables
    std::int32_t exact;       ///< up to so many hits a split draws hits
    std::uint32_t child;      ///< the first of its targets
    std::uint32_t context;    ///< its first place
    std::uint16_t children, length;
    std::int16_t kind;
};

/// An immutable program; codes of the places that contexts look at, contents of the nodes that are shared out or added up.
struct Layout {
    explicit Layout(const Plan& plan)
        : conditions(plan.conditions), threshold(plan.threshold), step(energy_step(plan.threshold)), cells(std::int32_t(plan.cell.size())) {
        find_places(plan);
        find_contents(plan);
        for (std::int32_t node : plan.root) root.push_back(target(plan, node)), room.push_back(plan.capacity[node]);
        for (std::int32_t place : plan.context) context.push_back(place_[place]);
        for (std::size_t t = 0; t < plan.steps.size(); ++t) add(plan, plan.steps[t]);
    }

    std::int32_t conditions;
    float threshold;
    float step; // of the codes of deposits
    std::int32_t cells, places = 0, contents = 0;
    std::vector<Move> moves;
    std::vector<Target> root, child;
    std::vector<std::int32_t> room;                            ///< cells of every root node
    std::vector<std::int32_t> capacity;                        ///< cells of every child
    std::vector<std::int32_t> context;                         ///< places of all steps on end
    std::vector<std::pair<std::int32_t, std::int16_t>> fixed;  ///< places of constants, and their codes
    std::vector<std::pair<std::int32_t, std::int32_t>> given;  ///< places of conditions, and which ones

private:
    static constexpr std::int32_t NOWHERE = -1;

    void find_places(const Plan& plan) {
        place_.assign(plan.places, NOWHERE);
        for (std::int32_t place : plan.context)
            if (place_[place] == NOWHERE) place_[place] = places++;
        const std::size_t first = 2 * std::size_t(plan.nodes), constants = first + std::size_t(conditions);
        for (std::size_t i = first; i < plan.places; ++i) {
            if (place_[i] == NOWHERE) continue;
            if (i < constants) given.emplace_back(place_[i], std::int32_t(i - first));
            else fixed.emplace_back(place_[i], std::int16_t(CONSTANT * std::int32_t(i - constants)));
        }
    }

    void find_contents(const Plan& plan) {
        content_.assign(std::size_t(plan.nodes), NOWHERE);
        const auto need = [this](std::int32_t node) {
            if (content_[node] == NOWHERE) content_[node] = contents++;
        };
        for (const Step& s : plan.steps) {
            need(s.parent);
            for (std::int32_t i = 0; s.kind == SUM && i < s.children; ++i) need(plan.children(s)[i]);
        }
    }

    Target target(const Plan& plan, std::int32_t node) const {
        const auto or_last = [](std::int32_t place, std::int32_t last) { return place == NOWHERE ? last : place; };
        const Role role = plan.role[node];
        return {or_last(role.step, std::int32_t(plan.steps.size())), or_last(role.cell, cells),
                or_last(content_[node], contents), or_last(place_[node], places),
                or_last(place_[plan.nodes + node], places)};
    }

    /// The target of a sum is its parent, and its context its children's contents.
    void add(const Plan& plan, const Step& s) {
        Move move{content_[s.parent], s.few, s.many, s.exact, std::uint32_t(child.size()), s.context,
                  std::uint16_t(s.children), s.length, s.kind};
        if (s.kind == SUM) {
            move.children = 1, move.length = std::uint16_t(s.children), move.context = std::uint32_t(context.size());
            for (std::int32_t i = 0; i < s.children; ++i) context.push_back(content_[plan.children(s)[i]]);
            child.push_back(target(plan, s.parent)), capacity.push_back(plan.capacity[s.parent]);
        }
        for (std::int32_t i = 0; s.kind != SUM && i < s.children; ++i) {
            child.push_back(target(plan, plan.children(s)[i]));
            capacity.push_back(plan.capacity[plan.children(s)[i]]);
        }
        moves.push_back(move);
    }

    std::vector<std::int32_t> place_, content_;  // of every raw place and node
};

}  // namespace caloforge::mosaic
