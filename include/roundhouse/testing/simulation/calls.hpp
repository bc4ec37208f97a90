#pragma once

#include <roundhouse/bounded_calls.hpp>
#include <roundhouse/call_types.hpp>
#include <roundhouse/changes.hpp>
#include <roundhouse/core/settings_in_force.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

enum class call_kind : std::uint8_t {
    provision,
    admit,
    start,
    stop,
    rotate,
    destroy,
    activity,
    change_settings,
    sleep,
    wake,
    provision_once,
    wait_for,
    upgrade,
};

/// The longest that an upgrade's new version is watched.
inline constexpr duration longest_watch = std::chrono::seconds{5};

constexpr std::string_view name_of(call_kind kind) noexcept {
    switch (kind) {
    case call_kind::provision: return "provision";
    case call_kind::admit: return "admit";
    case call_kind::start: return "start";
    case call_kind::stop: return "stop";
    case call_kind::rotate: return "rotate";
    case call_kind::destroy: return "destroy";
    case call_kind::activity: return "activity";
    case call_kind::change_settings: return "change settings";
    case call_kind::sleep: return "sleep";
    case call_kind::wake: return "wake";
    case call_kind::provision_once: return "provision once";
    case call_kind::wait_for: return "wait for";
    case call_kind::upgrade: return "upgrade";
    }
    return "unknown";
}

/// A call of a user, with the arguments of every kind.
struct call_request {
    call_kind kind = call_kind::admit;
    engine_owner owner;
    admit_options admit = {};                        ///< admit
    provision_options options = {};                  ///< provision
    bool force = false;                              ///< stop
    std::optional<duration> busy_for = std::nullopt; ///< activity
    settings_change change = {};                     ///< change settings
    bool restart = false;                            ///< the same
    sleep_mode mode = sleep_mode::paused;            ///< sleep
    std::string key = {};                            ///< provision once
    engine_statuses wanted = {};                     ///< wait for
    /// How long its caller waits: wait for, and others if it is set.
    std::optional<duration> wait = {};
    upgrade_options upgrade = {}; ///< upgrade
};

/// The answer to a call of any kind: a failure, or what that kind returns.
struct call_answer {
    std::optional<errc> failure;
    std::string message;
    std::optional<admitted_engine> engine; ///< of what has one, and an admit that was granted
    std::optional<denial> denied;          ///< an admit that was not
    /// Of the engine that an admit was denied, that was waited for, that the answer shows, or of a call
    /// under way.
    std::optional<engine_status> status;
    int retry_after_s = 0; ///< the same
    /// The caller has waited for as long as it chose to: that is no denial, and there is no engine.
    bool under_way = false;
    std::optional<uuid> destroyed;    ///< destroy
    std::optional<std::string> key;   ///< rotate
    std::optional<instant> sleeps_at; ///< activity

    [[nodiscard]] std::string text() const {
        if (failure) return std::string(code_name(*failure)) + ": " + message;
        if (under_way) return "under way";
        if (denied) return "not admitted: " + std::string(name_of(*denied));
        return "ok";
    }
};

/// What a call gives the engine that it creates.
[[nodiscard]] inline const provision_options& given_by(const call_request& call) {
    const bool by_admit = call.kind == call_kind::admit && call.admit.provision;
    return by_admit ? *call.admit.provision : call.options;
}

/// The ceiling of memory in force of an engine with these ceilings under a policy: the least of both.
/// The machine sets none.
[[nodiscard]] inline std::optional<std::uint64_t> memory_of(const engine_limits& own,
                                                            const policy& limits) {
    const auto memory = std::min(own.memory_mb.value_or(UINT64_MAX),
                                 limits.max_memory_mb.value_or(UINT64_MAX));
    return memory == UINT64_MAX ? std::nullopt : std::optional(memory);
}

/// Whether a policy forbids an engine to have these ceilings, quotas aside.
/// `defaults` are those of the product, or null.
[[nodiscard]] inline bool forbids(const policy& limits, const engine_limits& own,
                                  const product_defaults* defaults = nullptr) {
    const auto above = [](const auto& asked, const auto& most) {
        return asked && most && *asked > *most;
    };
    return above(own.memory_mb, limits.max_memory_mb) || above(own.cpus, limits.max_cpus) ||
           above(own.pids, limits.max_pids) ||
           (limits.max_total_memory_mb && !memory_of(core::merged(own, defaults), limits));
}

/// Whether a policy forbids a call to create the engine that it asks for, quotas aside.
[[nodiscard]] inline bool forbids(const policy& limits, const call_request& call,
                                  const product_defaults* defaults = nullptr) {
    const auto& options = given_by(call);
    return !limits.allow_provision.value_or(true) ||
           (!options.env.empty() && !limits.allow_env.value_or(true)) ||
           forbids(limits, options.limits, defaults);
}

/// Whether a policy may forbid a change, by what the engine has besides.
[[nodiscard]] inline bool may_forbid(const policy& limits, const settings_change& change) {
    const bool of_limits = change.memory_mb.any() || change.cpus.any() || change.pids.any();
    const bool bounded = limits.max_memory_mb || limits.max_cpus || limits.max_pids ||
                         limits.max_total_memory_mb;
    return (of_limits && bounded) || (change.env.any() && !limits.allow_env.value_or(true));
}

/// Everything that was true of an owner's engine at some time while a call was under way.
struct observed_states {
    std::set<engine_status> statuses;
    bool absent = false;
    std::vector<engine_ptr> running; ///< The rows of engines that were running.
    std::set<uuid> erased;           ///< Engines whose rows were removed.
    std::set<std::uint64_t> settings_revisions;
    bool product_ends = false; ///< Its product was being deleted, or gone.
    bool quota_full = false;
    bool no_port = false;
    bool upgraded = false; ///< An upgrade of it was under way.

    [[nodiscard]] bool had(engine_status status) const { return statuses.contains(status); }
    [[nodiscard]] bool had_other_than(engine_status status) const {
        return absent || statuses.size() > 1 || (statuses.size() == 1 && !had(status));
    }
};

/// A call that is under way.
struct pending_call {
    call_request request;
    instant issued_at{};
    bool may_be_starting = false; ///< The orchestrator had not recovered when it was issued.
    policy limits;                ///< The policy that held for its product when it was issued.
    defaults_ptr defaults;        ///< Those of its product then; null if it had none.
    /// Calls of the same owner that were under way then, also those whose callers were answered.
    std::size_t others = 0;
    observed_states seen;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
