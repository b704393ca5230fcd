// A program laid out for generation: what is read is kept, in the order in which it is read. See caloforge/mosaic.hpp.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "numbers.hpp"
#include "plan.hpp"
#include "waves.hpp"

namespace caloforge::mosaic {

/// Where hits and energy of a node go. What nobody reads goes to a last place that nobody reads.
struct Target {
    std::int32_t move;     ///< that shares the node out
    std::int32_t cell;     ///< of the read-out that it is
    std::int32_t content;  ///< of its hits and energy
    std::int32_t energy;   ///< of the code of its energy
    std::int32_t hits;     ///< of the code of its hits
};

/// A step as it is run.
struct Move {
    std::int32_t step;        ///< of the program: its random word
    std::int32_t content;     ///< of the parent
    std::int32_t few, many;   ///< its tables
    std::int32_t exact;       ///< up to so many hits a split draws hits
    std::uint32_t child;      ///< the first of its targets
    std::uint32_t context;    ///< its first place
    std::int32_t children, length;
    Kind kind;
};

/// An immutable program, its steps in waves; codes of the places that contexts look at, contents of the nodes that are
/// shared out or added up.
struct Layout {
    explicit Layout(const Plan& plan)
        : conditions(plan.conditions), threshold(plan.threshold), step(energy_step(plan.threshold)),
          cells(std::int32_t(plan.cell.size())) {
        Waves waves(plan);
        move_.resize(plan.steps.size());
        for (std::size_t i = 0; i < waves.order.size(); ++i) move_[waves.order[i]] = std::int32_t(i);
        for (std::int32_t t : waves.order) find_places(plan, plan.steps[t]);
        find_contents(plan);
        for (std::int32_t node : plan.root) root.push_back(target(plan, node)), room.push_back(plan.capacity[node]);
        for (std::int32_t t : waves.order) add(plan, t);
        wave = std::move(waves.start);
    }

    std::int32_t conditions;
    float threshold;
    float step;  ///< of the codes of deposits
    std::int32_t cells, places = 0, contents = 0;
    std::vector<Move> moves;
    std::vector<std::int32_t> wave;                            ///< its first move, and the end
    std::vector<Target> root, child;
    std::vector<std::int32_t> room;                            ///< cells of every root node
    std::vector<std::int32_t> capacity;                        ///< cells of every child
    std::vector<std::int32_t> context;                         ///< places of all steps on end
    std::vector<std::pair<std::int32_t, std::int16_t>> fixed;  ///< places of constants, and their codes
    std::vector<std::pair<std::int32_t, std::int32_t>> given;  ///< places of conditions, and which ones

private:
    static constexpr std::int32_t NOWHERE = -1;

    /// Places of a context, those of conditions and constants with what they hold.
    void find_places(const Plan& plan, const Step& s) {
        place_.resize(plan.places, NOWHERE);
        const std::int32_t first = 2 * plan.nodes, constants = first + conditions;
        for (std::int32_t i = 0; i < s.length; ++i) {
            const std::int32_t raw = plan.context_of(s)[i];
            if (place_[raw] != NOWHERE) continue;
            place_[raw] = places++;
            if (raw >= constants) fixed.emplace_back(place_[raw], std::int16_t(CONSTANT * (raw - constants)));
            else if (raw >= first) given.emplace_back(place_[raw], raw - first);
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
        return {role.step < 0 ? std::int32_t(plan.steps.size()) : move_[role.step], or_last(role.cell, cells),
                or_last(content_[node], contents), or_last(place_[node], places),
                or_last(place_[plan.nodes + node], places)};
    }

    /// The target of a sum is its parent, and its context its children's contents.
    void add(const Plan& plan, std::int32_t t) {
        const Step& s = plan.steps[t];
        const bool sum = s.kind == SUM;
        const std::int32_t* children = plan.children(s);
        moves.push_back({t, content_[s.parent], s.few, s.many, s.exact, std::uint32_t(child.size()),
                         std::uint32_t(context.size()), sum ? 1 : s.children, sum ? s.children : s.length, s.kind});
        if (sum) {
            for (std::int32_t i = 0; i < s.children; ++i) context.push_back(content_[children[i]]);
            return add_child(plan, s.parent);
        }
        for (std::int32_t i = 0; i < s.length; ++i) context.push_back(place_[plan.context_of(s)[i]]);
        for (std::int32_t i = 0; i < s.children; ++i) add_child(plan, children[i]);
    }

    void add_child(const Plan& plan, std::int32_t node) {
        child.push_back(target(plan, node));
        capacity.push_back(plan.capacity[node]);
    }

    std::vector<std::int32_t> move_;            // of every raw step
    std::vector<std::int32_t> place_, content_;  // of every raw place and node
};

}  // namespace caloforge::mosaic
