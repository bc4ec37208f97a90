#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/simulation/judge.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/trace.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// Whose engine: of which product, for which user.
using sim_user = std::pair<uuid, std::string>;

enum class sim_call_kind : std::uint8_t {
    provision,
    admit,
    start,
    stop,
    rotate,
    destroy,
    activity,
};

constexpr std::string_view name_of(sim_call_kind what) noexcept {
    switch (what) {
    case sim_call_kind::provision: return "provision";
    case sim_call_kind::admit: return "admit";
    case sim_call_kind::start: return "start";
    case sim_call_kind::stop: return "stop";
    case sim_call_kind::rotate: return "rotate";
    case sim_call_kind::destroy: return "destroy";
    case sim_call_kind::activity: return "activity";
    }
    return "unknown";
}

/// What was asked.
struct sim_request {
    sim_call_kind what = sim_call_kind::admit;
    sim_user user;
    admit_options how = {};
    bool force = false;
    std::optional<duration> busy_for = std::nullopt;
};

/// What was answered, whatever the call: an error, or what the call gave.
struct sim_answer {
    std::optional<errc> failure;
    std::string message;
    engine_ptr record;                ///< provision, and an admit that was granted
    std::optional<denial> denied;     ///< an admit that was not
    std::optional<uuid> destroyed;    ///< destroy
    std::optional<std::string> key;   ///< rotate, provision, and an admit that was granted
    std::optional<instant> sleeps_at; ///< activity

    [[nodiscard]] std::string text() const {
        if (failure) return std::string(code_name(*failure)) + ": " + message;
        if (denied) return "not admitted: " + std::string(name_of(*denied));
        return "ok";
    }
};

/// Everything that was true of a user's engine at some time while a call was under way.
struct sim_sights {
    std::set<engine_status> statuses;
    bool absent = false;
    std::set<uuid> ran;    ///< Engines that were running.
    std::set<uuid> erased; ///< Engines whose rows went.
    bool stopped = false;
    bool quota_full = false;
    bool no_port = false;

    [[nodiscard]] bool had(engine_status what) const { return statuses.contains(what); }
    [[nodiscard]] bool had_other_than(engine_status what) const {
        return absent || statuses.size() > 1 || (statuses.size() == 1 && !had(what));
    }
};

/// One call that is under way.
struct sim_call {
    sim_request request;
    instant issued_at{};
    bool may_be_starting = false;
    policy limits;          ///< As its product had them.
    std::size_t others = 0; ///< How many calls of the user were under way already.
    sim_sights seen;
};

/// The calls that are under way.
class sim_calls {
public:
    using number = std::uint64_t;

    sim_calls(std::shared_ptr<sim_timeline> timeline, std::shared_ptr<sim_trace> trace)
        : timeline_(std::move(timeline)), trace_(std::move(trace)) {}

    number begin(sim_request what, const engine_ptr& row, policy limits, bool may_be_starting) {
        sim_call one;
        one.issued_at = timeline_->now();
        one.may_be_starting = may_be_starting;
        one.limits = std::move(limits);
        one.others = of(what.user);
        look(one, row);
        trace_->note("call " + std::to_string(last_ + 1) + ": " + std::string(name_of(what.what)) +
                     (what.force ? " by force" : "") +
                     (what.how.auto_provision ? " +provision" : "") +
                     (what.how.auto_wake ? " +wake" : "") + " " + what.user.second);
        one.request = std::move(what);
        under_way_.emplace(++last_, std::move(one));
        return last_;
    }

    sim_call end(number which, const sim_answer& how) {
        trace_->note("call " + std::to_string(which) + ": " + how.text());
        return std::move(under_way_.extract(which).mapped());
    }

    /// The process is gone: nobody will answer them.
    void lose_all() { under_way_.clear(); }

    /// The user's row has changed to this, or is gone.
    void saw(const sim_user& user, const engine_ptr& row) {
        for (auto& [which, one] : under_way_)
            if (one.request.user == user) look(one, row);
    }
    void saw_erased(const sim_user& user, const uuid& engine) {
        for_user(user, [&](sim_call& one) { one.seen.erased.insert(engine); });
    }
    void saw_full_quota(const sim_user& user) {
        for_user(user, [](sim_call& one) { one.seen.quota_full = true; });
    }
    void saw_no_port(const sim_user& user) {
        for_user(user, [](sim_call& one) { one.seen.no_port = true; });
    }

    [[nodiscard]] bool asked(const sim_user& user, sim_call_kind what) const {
        return std::any_of(under_way_.begin(), under_way_.end(), [&](const auto& one) {
            return one.second.request.user == user && one.second.request.what == what;
        });
    }

    [[nodiscard]] std::size_t of(const sim_user& user) const {
        return static_cast<std::size_t>(
            std::count_if(under_way_.begin(), under_way_.end(),
                          [&](const auto& one) { return one.second.request.user == user; }));
    }
    /// How many calls there ever were.
    [[nodiscard]] number made() const noexcept { return last_; }
    [[nodiscard]] std::size_t count() const noexcept { return under_way_.size(); }

    [[nodiscard]] std::string text() const {
        std::string out;
        for (const auto& [which, one] : under_way_)
            out += " " + std::to_string(which) + " (" + std::string(name_of(one.request.what)) +
                   " " + one.request.user.second + ")";
        return out;
    }

private:
    template <class Note> void for_user(const sim_user& user, Note note) {
        for (auto& [which, one] : under_way_)
            if (one.request.user == user) note(one);
    }

    static void look(sim_call& one, const engine_ptr& row) {
        if (!row) {
            one.seen.absent = true;
            return;
        }
        one.seen.statuses.insert(row->status);
        if (row->status == engine_status::running) one.seen.ran.insert(row->id);
    }

    const std::shared_ptr<sim_timeline> timeline_;
    const std::shared_ptr<sim_trace> trace_;
    std::map<number, sim_call> under_way_;
    number last_ = 0;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
