#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/testing/simulation/calls.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/trace.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// The calls that are under way, and what was observed of their engines meanwhile.
class pending_calls {
public:
    using number = std::uint64_t;

    pending_calls(const timeline& time, trace& events, const settings& settings)
        : time_(time), trace_(events), settings_(settings) {}

    /// Records that a call of a product is issued. `row` is the present row of its owner.
    number begin(call_request request, const engine_ptr& row, const product& product,
                 bool may_be_starting) {
        pending_call call;
        call.issued_at = time_.now();
        call.may_be_starting = may_be_starting;
        call.limits = core::policy_of(product, settings_);
        call.defaults = product.defaults;
        call.others = count(request.owner);
        call.seen.no_port = lacked_port(request.owner);
        call.seen.product_ends = product.deleting_since.has_value();
        observe(call, row);
        trace_.note("call " + std::to_string(last_ + 1) + ": " +
                    std::string(name_of(request.kind)) + (request.force ? " by force" : "") +
                    (request.admit.auto_provision ? " +provision" : "") +
                    (request.admit.auto_wake ? " +wake" : "") + " " + request.owner.user_id +
                    (request.wait ? " for " + std::to_string(request.wait->count()) + " ms" : ""));
        call.request = std::move(request);
        calls_.emplace(++last_, std::move(call));
        return last_;
    }

    pending_call end(number id, const call_answer& answer) {
        trace_.note("call " + std::to_string(id) + ": " + answer.text());
        auto call = std::move(calls_.extract(id).mapped());
        const auto& request = call.request;
        if (answer.under_way && request.kind != call_kind::wait_for)
            left_[request.owner].emplace_back(request.kind, time_.now());
        return call;
    }

    /// Forgets every call: the process is gone and answers none of them.
    void drop_all() {
        calls_.clear();
        left_.clear();
    }

    /// Records that the row of an owner has changed to `row`; null if it was removed.
    void saw_row(const engine_owner& owner, const engine_ptr& row) {
        for_owner(owner, [&](pending_call& call) { observe(call, row); });
    }
    void saw_erased(const engine_owner& owner, const uuid& engine) {
        for_owner(owner, [&](pending_call& call) { call.seen.erased.insert(engine); });
    }
    /// Records that a product is being deleted, or gone.
    void saw_end_of(const uuid& product) {
        for (auto& [id, call] : calls_)
            if (call.request.owner.product_id == product) call.seen.product_ends = true;
    }
    void saw_full_quota(const engine_owner& owner) {
        for_owner(owner, [](pending_call& call) { call.seen.quota_full = true; });
    }
    void saw_no_port(const engine_owner& owner) {
        no_port_at_[owner] = time_.now();
        for_owner(owner, [](pending_call& call) { call.seen.no_port = true; });
    }

    template <class Action> void for_each(Action action) const {
        for (const auto& [id, call] : calls_) action(id, call);
    }
    [[nodiscard]] bool contains(number id) const { return calls_.contains(id); }
    /// Whether a call of this kind is under way for the owner.
    [[nodiscard]] bool contains(const engine_owner& owner, call_kind kind) const {
        return left(owner, kind) > 0 ||
               std::any_of(calls_.begin(), calls_.end(), [&](const auto& entry) {
                   return entry.second.request.owner == owner && entry.second.request.kind == kind;
               });
    }
    [[nodiscard]] std::size_t count(const engine_owner& owner) const {
        const auto waiting = std::count_if(calls_.begin(), calls_.end(), [&](const auto& entry) {
            return entry.second.request.owner == owner;
        });
        return static_cast<std::size_t>(waiting) + left(owner, std::nullopt);
    }
    [[nodiscard]] std::size_t count() const noexcept { return calls_.size(); }
    /// How many calls were ever issued.
    [[nodiscard]] number issued() const noexcept { return last_; }

    [[nodiscard]] std::string text() const {
        std::string out;
        for (const auto& [id, call] : calls_)
            out += " " + std::to_string(id) + " (" + std::string(name_of(call.request.kind)) + " " +
                   call.request.owner.user_id + ")";
        return out;
    }

private:
    /// How long a call may go on after its caller was answered.
    static constexpr duration longest_after = std::chrono::hours{2};

    /// The calls, of one kind or of all, that may go on although their callers were answered.
    [[nodiscard]] std::size_t left(const engine_owner& owner, std::optional<call_kind> kind) const {
        const auto known = left_.find(owner);
        if (known == left_.end()) return 0;
        const auto& calls = known->second;
        return static_cast<std::size_t>(
            std::count_if(calls.begin(), calls.end(), [&](const auto& call) {
                return (!kind || call.first == *kind) && time_.now() - call.second <= longest_after;
            }));
    }

    /// Whether a commit has found no port for the owner's engine, and may not have been tried again
    /// since.
    [[nodiscard]] bool lacked_port(const engine_owner& owner) const {
        const auto found = no_port_at_.find(owner);
        return found != no_port_at_.end() &&
               time_.now() - found->second <= settings_.store_retry_max;
    }

    template <class Note> void for_owner(const engine_owner& owner, Note note) {
        for (auto& [id, call] : calls_)
            if (call.request.owner == owner) note(call);
    }

    static void observe(pending_call& call, const engine_ptr& row) {
        if (!row) {
            call.seen.absent = true;
            return;
        }
        call.seen.statuses.insert(row->status);
        call.seen.settings_revisions.insert(settings_of(*row).revision);
        if (row->upgrade) call.seen.upgraded = true;
        if (row->status == engine_status::running) call.seen.running.push_back(row);
    }

    const timeline& time_;
    trace& trace_;
    const settings& settings_;
    std::map<number, pending_call> calls_;
    /// What calls whose callers were answered before they were done, and when that was.
    std::map<engine_owner, std::vector<std::pair<call_kind, instant>>> left_;
    std::map<engine_owner, instant> no_port_at_;
    number last_ = 0;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
