#pragma once

#include <roundhouse/core/shares.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/version.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Lets a bounded number of commands run at once, and shares their turns out fairly between
/// products.
///
/// Products that hold no turn go first, in the order in which they came to wait; then the others. In
/// each round a product takes as many turns as its weight says, one after the other, before it goes
/// behind those that wait. So while a product that holds no turn waits, no other takes more turns
/// than its weight. A product that holds a turn takes no further one of the last `core::kept_turns`
/// free turns: they are kept for products that hold none. Within a product, commands that a caller
/// waits for go first. A product that has as many turns as its policy allows gets no further one.
///
/// Every operation takes constant time for each command whose turn comes by it. Thread-safe.
class turn_queue {
public:
    using ticket = std::uint64_t; ///< Names a place in the queue; 0 is none.
    enum class urgency : std::uint8_t { awaited, background };

    /// A command that takes a turn: of which engine, and its number.
    struct command {
        engine_owner owner;
        std::uint64_t number = 0;
    };

    /// How many turns a product may hold at once, and take in a round, by its policy of a revision.
    /// Of two allowances that of the higher revision holds.
    struct allowance {
        std::uint64_t revision = 0;
        std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
        std::uint64_t weight = 1;
    };

    /// What comes of a command that enters.
    struct entry {
        ticket place = 0; ///< 0 if its turn has come at once.
        /// Others whose turn has come, by an allowance that was not known yet.
        std::vector<command> begun;
    };

    explicit turn_queue(std::size_t at_once) : free_(at_once), kept_(core::kept_turns(at_once)) {}

    /// Takes a turn at once, or a place in the queue. Whoever has a turn must `leave`.
    entry enter(urgency how, command wanted, allowance allowed) {
        const std::lock_guard lock(mutex_);
        auto& of = shares_.try_emplace(wanted.owner.product_id).first->second;
        of.take_in(allowed);
        auto& line = of.lines[static_cast<std::size_t>(how)];
        const auto mine = ++last_;
        line.push_back({mine, std::move(wanted)});
        places_.emplace(mine, position{&of, how, std::prev(line.end())});
        find_ring(of);
        auto begun = begin_next(mine);
        return {places_.contains(mine) ? mine : 0, std::move(begun)};
    }

    /// Gives up a place. False if its turn has come.
    bool withdraw(ticket mine) {
        const std::lock_guard lock(mutex_);
        const auto found = places_.find(mine);
        if (found == places_.end()) return false;
        const auto product = found->second.where->wanted.owner.product_id;
        remove(found);
        forget_if_idle(product);
        return true;
    }

    /// Moves a place to the line of those that a caller waits for. Without effect if it is there, or
    /// in no line any more.
    void hurry(ticket mine) {
        const std::lock_guard lock(mutex_);
        const auto found = places_.find(mine);
        if (found == places_.end() || found->second.how == urgency::awaited) return;
        auto& [of, how, where] = found->second;
        auto& to = of->lines[static_cast<std::size_t>(urgency::awaited)];
        to.splice(to.end(), of->lines[static_cast<std::size_t>(how)], where);
        how = urgency::awaited;
    }

    /// Changes the allowance of a product, which also holds for commands that wait: those whose turn
    /// has come by that. A lower weight ends its round with the next turn that it takes.
    [[nodiscard]] std::vector<command> change(const uuid& product, allowance allowed) {
        const std::lock_guard lock(mutex_);
        const auto found = shares_.find(product);
        if (found == shares_.end()) return {};
        found->second.take_in(allowed);
        find_ring(found->second);
        return begin_next();
    }

    /// Ends a turn of a product: the commands whose turn has come by that.
    [[nodiscard]] std::vector<command> leave(const uuid& product) {
        const std::lock_guard lock(mutex_);
        auto& of = shares_.at(product);
        --of.held;
        ++free_;
        find_ring(of);
        auto begun = begin_next();
        forget_if_idle(product);
        return begun;
    }

private:
    struct place {
        ticket mine = 0;
        command wanted;
    };

    struct share;
    using ring =
        std::list<share*>; ///< Products of which commands wait, in the order of their turns.

    /// What one product has of the queue.
    struct share {
        std::size_t held = 0;       ///< Turns.
        std::uint64_t of_round = 0; ///< Turns that it has taken in its round.
        allowance allowed;
        std::array<std::list<place>, 2> lines;
        ring* in = nullptr; ///< The ring in which it is, if it waits for a turn that it may have.
        ring::iterator at{};

        [[nodiscard]] bool waits() const noexcept {
            return std::ranges::any_of(lines, [](const auto& line) { return !line.empty(); });
        }
        void take_in(const allowance& given) noexcept {
            if (given.revision > allowed.revision) allowed = given;
        }
    };

    struct position {
        share* of = nullptr;
        urgency how = urgency::awaited;
        std::list<place>::iterator where{};
    };
    using position_table = std::unordered_map<ticket, position>;

    [[nodiscard]] bool may_take(const share& of) const noexcept {
        return free_ > (of.held == 0 ? 0 : kept_);
    }

    /// Puts a product into the ring to which it belongs now, unless it is there: at the front if its
    /// round goes on, else at the end.
    void find_ring(share& of) {
        if (!of.waits()) of.of_round = 0;
        ring* to = of.held == 0 ? &without_turn_ : &with_turn_;
        if (!of.waits() || of.held >= of.allowed.most) to = nullptr;
        if (of.in == to) return;
        if (of.in != nullptr) of.in->erase(of.at);
        of.in = to;
        if (to != nullptr) of.at = to->insert(of.of_round == 0 ? to->end() : to->begin(), &of);
    }

    /// Counts a turn that a product at the front of its ring takes. Its round ends with the last
    /// turn of its weight.
    static void count_turn(share& of) {
        ++of.held;
        if (++of.of_round < of.allowed.weight) return;
        of.of_round = 0;
        of.in->splice(of.in->end(), *of.in, of.at);
    }

    void remove(position_table::iterator found) {
        const auto [of, how, where] = found->second;
        of->lines[static_cast<std::size_t>(how)].erase(where);
        places_.erase(found);
        find_ring(*of);
    }

    /// The product whose turn is next; null if none may take one.
    [[nodiscard]] share* next_product() const noexcept {
        for (const auto* const line : {&without_turn_, &with_turn_})
            if (!line->empty()) return may_take(*line->front()) ? line->front() : nullptr;
        return nullptr;
    }

    /// Gives free turns to those that are next: their commands, without that of the place
    /// `entering`.
    std::vector<command> begin_next(ticket entering = 0) {
        std::vector<command> begun;
        while (auto* const of = next_product()) {
            auto& [mine, wanted] = (!of->lines[0].empty() ? of->lines[0] : of->lines[1]).front();
            if (mine != entering) begun.push_back(std::move(wanted));
            --free_;
            count_turn(*of);
            remove(places_.find(mine));
        }
        return begun;
    }

    void forget_if_idle(const uuid& product) {
        const auto found = shares_.find(product);
        if (found->second.held == 0 && !found->second.waits()) shares_.erase(found);
    }

    std::mutex mutex_;
    std::size_t free_;
    const std::size_t kept_;
    ticket last_ = 0;
    std::unordered_map<uuid, share> shares_; ///< Of products that hold a turn or wait for one.
    position_table places_;
    ring without_turn_;
    ring with_turn_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
