#pragma once

#include <roundhouse/core/backoff.hpp>
#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/core/sleep_state.hpp>
#include <roundhouse/core/spans.hpp>
#include <roundhouse/core/upgrade_state.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/engine_upgrade.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// The moves that decisions are made of. Each changes the record and notes what is to be decided and
/// done.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// One decision in the making.
class transition {
public:
    transition(const engine_record& from, const core::context& context)
        : context_(context), from_(from.status) {
        out_.next = from;
    }

    engine_record& next() noexcept { return out_.next; }
    [[nodiscard]] const core::context& context() const noexcept { return context_; }
    decision take(std::string_view why) {
        out_.why = why;
        return std::move(out_);
    }

    /// The input changes nothing.
    static decision ignore(std::string_view why) {
        decision out;
        out.why = why;
        return out;
    }

    transition& keep() {
        out_.row = row_change::update;
        return *this;
    }
    transition& to(engine_status status, intent what) {
        out_.row = row_change::update;
        out_.next.status = status;
        out_.next.intent = what;
        out_.next.deadline.reset();
        if (status != engine_status::failed) out_.next.restart_at.reset();
        if (status == engine_status::running && what == intent::none && has_copy_to_drop(out_.next))
            out_.next.deadline = context_.now + context_.settings.retry_max;
        // A wake that boots it may come to nothing.
        const bool may_sleep = status == engine_status::sleeping ||
                               status == engine_status::provisioning;
        if (!may_sleep) {
            out_.next.sleep_mode = sleep_mode::paused;
            out_.next.sleeping_since = {};
        }
        return *this;
    }
    /// It sleeps, with nothing under way. Its deep sleep is planned if it is to come to that.
    transition& rest(sleep_mode mode) {
        if (out_.next.status == engine_status::running) out_.next.sleeping_since = context_.now;
        to(engine_status::sleeping, intent::none);
        out_.next.sleep_mode = mode;
        const auto after = deep_sleep_after_of(out_.next, context_.settings,
                                               context_.defaults.get());
        if (mode == sleep_mode::paused && after > duration{0})
            out_.next.deadline = context_.now + after;
        return *this;
    }
    /// Plans the deep sleep of an engine that sleeps paused by the settings as they are now. The time
    /// counts from when it fell asleep.
    transition& plan_deep_sleep() {
        const auto after = deep_sleep_after_of(out_.next, context_.settings,
                                               context_.defaults.get());
        out_.next.deadline.reset();
        if (after <= duration{0}) return *this;
        const auto left = sleeping_since_of(out_.next) + after - context_.now;
        out_.next.deadline = context_.now + std::clamp(left, duration{0}, after);
        return *this;
    }
    transition& erase(row_change how) {
        out_.row = how;
        return *this;
    }
    transition& ask(command what) {
        out_.command = what;
        return *this;
    }
    transition& choose_port(bool choose) {
        out_.choose_port = choose;
        return *this;
    }
    transition& bound_memory(std::optional<std::uint64_t> max_total_memory_mb) {
        out_.max_total_memory_mb = max_total_memory_mb;
        return *this;
    }
    transition& judge(verdict what) {
        out_.verdict = what;
        return *this;
    }
    transition& settle() {
        out_.settled.emplace();
        return *this;
    }
    transition& settle(error failure) {
        out_.settled = settlement{std::move(failure)};
        return *this;
    }

    /// Adds a row that tells the transition. Its actor is who asked for it, where a caller did.
    audit_entry& audit_transition(audit_action action, bool by_caller) {
        auto& row = audit(action);
        if (by_caller) row.actor = caller();
        if (out_.next.status != from_) {
            row.from = from_;
            row.to = out_.next.status;
        }
        return row;
    }
    /// Adds a row that tells a fact beside the transition.
    audit_entry& audit(audit_action action) {
        auto& row = out_.audit.emplace_back();
        row.timestamp = context_.now;
        row.product_id = out_.next.product_id;
        row.user_id = out_.next.user_id;
        row.engine_id = out_.next.id;
        row.action = action;
        row.actor = "system";
        return row;
    }

    [[nodiscard]] duration elapsed() const noexcept {
        if (context_.elapsed) return *context_.elapsed;
        return std::max(duration{0}, context_.now - out_.next.operation_started_at);
    }

    /// Who makes the call that is decided, or made the one whose operation is under way.
    [[nodiscard]] std::string_view caller() const noexcept {
        const std::string_view asked = context_.caller.value_or(out_.next.asked_by);
        return asked.empty() ? context_.product_slug : asked;
    }

    /// Begins an operation on a workload that stays what it is until the backend confirms.
    transition& begin(intent what, command ask_for) {
        out_.row = row_change::update;
        out_.next.intent = what;
        note_caller();
        out_.next.operation_started_at = context_.now;
        out_.next.retries = 0;
        out_.next.deadline = context_.now + longest_operation(what, out_.next, context_.settings,
                                                              context_.defaults.get());
        out_.command = ask_for;
        return *this;
    }

    transition& begin_stop() {
        out_.next.origin = out_.next.status;
        return begin(intent::stop, command::stop);
    }

    /// Ends the workload of an engine that sleeps on.
    transition& begin_deep_sleep() { return begin(intent::deep_sleep, command::stop); }

    /// Begins to wake it: its workload is resumed, or booted if it has none.
    transition& begin_wake() {
        return out_.next.sleep_mode == sleep_mode::stopped ? begin_boot(boot_reason::wake)
                                                           : begin(intent::wake, command::wake);
    }

    /// Changes how far the upgrade of the engine is.
    template <class Change> transition& amend_upgrade(Change change) {
        auto next = std::make_shared<engine_upgrade>(*out_.next.upgrade);
        change(*next);
        out_.next.upgrade = std::move(next);
        return *this;
    }
    transition& upgrade_is_at(upgrade_step step) {
        return amend_upgrade([step](engine_upgrade& upgrade) { upgrade.step = step; });
    }
    /// The upgrade is over. What may be left of a copy is dropped once the engine runs.
    transition& forget_upgrade() {
        if (!out_.next.upgrade || !out_.next.upgrade->drops_copy) out_.next.upgrade.reset();
        else upgrade_is_at(upgrade_step::drop);
        return *this;
    }
    /// The same for one that runs, of which a copy is dropped now.
    transition& end_upgrade() {
        forget_upgrade();
        return has_copy_to_drop(out_.next) ? begin(intent::drop_copy, command::drop_copy) : *this;
    }

    /// Begins a boot of a new generation.
    transition& begin_boot(boot_reason reason) {
        out_.next.origin = out_.next.status;
        to(engine_status::provisioning, intent::boot);
        out_.next.boot = reason;
        note_caller();
        out_.next.generation += 1;
        out_.next.operation_started_at = context_.now;
        out_.next.deadline = context_.now +
                             longest_boot(out_.next, context_.settings, context_.defaults.get());
        out_.next.healthy_since.reset();
        out_.next.retries = 0;
        out_.next.settings = without_pending(std::move(out_.next.settings));
        out_.next.defaults_revision = revision_of(context_.defaults.get());
        // An engine that serves until then still holds its own port, which no stranger can have.
        out_.choose_port = !ends_a_workload_first(reason);
        out_.command = command::boot;
        return *this;
    }

    /// It is healthy and serves.
    transition& run() {
        to(engine_status::running, intent::none);
        out_.next.last_health_at = context_.now;
        out_.next.last_activity_at = std::max(out_.next.last_activity_at, context_.now);
        if (!out_.next.healthy_since) out_.next.healthy_since = context_.now;
        forget_failure();
        out_.next.retries = 0;
        return *this;
    }

    /// What is known of its last failure does not hold any more.
    transition& forget_failure() {
        out_.next.reason.clear();
        out_.next.last_exit = {};
        return *this;
    }

    /// It is `failed`: what is left of it is ended, and a restart is planned. The caller of this
    /// tells why, first.
    transition& fail(std::string reason, bool leftovers = true) {
        reset_attempts_after_long_health();
        to(engine_status::failed, leftovers ? intent::end : intent::none);
        forget_failure();
        out_.next.reason = std::move(reason);
        out_.next.healthy_since.reset();
        out_.next.operation_started_at = context_.now;
        out_.next.retries = 0;
        forget_next_key();
        plan_restart();
        if (leftovers) {
            out_.next.deadline = context_.now +
                                 longest_operation(intent::end, out_.next, context_.settings);
            out_.command = command::end;
        }
        return *this;
    }

    /// To be called after the rows that tell the failure: the last row says that nothing more will
    /// be tried.
    transition& audit_if_given_up() {
        if (out_.next.restart_at || context_.settings.restart_max_attempts == 0) return *this;
        auto& row = audit(audit_action::auto_restart_gave_up);
        row.metadata.emplace_back("attempts",
                                  static_cast<std::int64_t>(out_.next.restart_attempts));
        return *this;
    }

    transition& restart() {
        count_restart();
        begin_boot(boot_reason::restart);
        auto& row = audit_transition(audit_action::auto_restart_start, false);
        row.metadata.emplace_back("attempt", static_cast<std::int64_t>(out_.next.restart_attempts));
        return *this;
    }

    /// An attempt to restart it has come to nothing, before a boot could begin.
    transition& fail_restart() {
        count_restart();
        out_.next.intent = intent::none;
        out_.next.retries = 0;
        out_.next.deadline.reset();
        plan_restart();
        return keep();
    }

    [[nodiscard]] bool restart_due() const noexcept {
        return out_.next.restart_at && *out_.next.restart_at <= context_.now;
    }

    /// Tries the operation under way again, later each time; but soon once a backend that is away
    /// is back.
    transition& retry_later() {
        out_.next.retries += 1;
        const auto& s = context_.settings;
        out_.row = row_change::update;
        out_.next.deadline = context_.now + backoff(context_.backend_away ? 1 : out_.next.retries,
                                                    s.retry_base, s.retry_max, context_.jitter);
        return *this;
    }

    /// Begins the operation under way again, with its whole time.
    transition& repeat() {
        out_.row = row_change::update;
        out_.next.retries = 0;
        out_.next.deadline = context_.now + longest_operation(out_.next.intent, out_.next,
                                                              context_.settings,
                                                              context_.defaults.get());
        return *this;
    }

    /// Tries the operation under way again now.
    transition& retry_now() {
        out_.row = row_change::update;
        out_.next.retries += 1;
        out_.next.deadline = context_.now + longest_operation(out_.next.intent, out_.next,
                                                              context_.settings,
                                                              context_.defaults.get());
        return *this;
    }

    /// Goes on waiting for the planned restart: for what is left of the wait, but never for longer
    /// than the whole of it. Its time stays as it was told, unless a clock was set.
    transition& continue_restart_wait() {
        if (const auto left = restart_in(out_.next, context_)) {
            const auto longest = longest_restart_wait(out_.next, context_.settings);
            const auto at = context_.now + std::clamp(*left, duration{0}, longest);
            out_.next.restart_at = without_noise(*out_.next.restart_at, at);
        }
        out_.next.deadline = out_.next.restart_at;
        return *this;
    }

    void adopt_next_key() {
        out_.next.key_hash = out_.next.next_key_hash;
        out_.next.sealed_key = std::exchange(out_.next.next_sealed_key, {});
        out_.next.next_key_hash = {};
    }
    void forget_next_key() {
        out_.next.next_sealed_key.clear();
        out_.next.next_key_hash = {};
    }

    void reset_attempts_after_long_health() noexcept {
        if (healthy_for_long(out_.next, context_)) out_.next.restart_attempts = 0;
    }

private:
    /// An event goes on with what somebody has asked for.
    void note_caller() {
        if (context_.caller) out_.next.asked_by = *context_.caller;
    }
    void count_restart() {
        out_.next.restart_attempts += 1;
        out_.next.restarts += 1;
    }
    void plan_restart() {
        const auto& s = context_.settings;
        out_.next.restart_at.reset();
        if (out_.next.restart_attempts >= s.restart_max_attempts) return;
        out_.next.restart_at = context_.now + backoff(out_.next.restart_attempts + 1,
                                                      s.restart_backoff_base, s.restart_backoff_max,
                                                      context_.jitter);
        out_.next.deadline = out_.next.restart_at;
    }

    const core::context& context_;
    engine_status from_;
    decision out_;
};

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
