#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/testing/simulation/calls.hpp>
#include <roundhouse/testing/simulation/judge.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/trace.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// Copies every commit as it is made, and judges it: which changes of state there may be, what must
/// tell of them, and the limits (SPEC §2).
class sim_ledger {
public:
    struct row_history {
        engine_ptr row;
        instant failed_at{};
        bool acknowledged = false; ///< Somebody was told that it exists.
    };

    sim_ledger(std::shared_ptr<sim_timeline> timeline, std::shared_ptr<sim_trace> trace,
               std::shared_ptr<sim_judge> judge, std::shared_ptr<sim_calls> calls,
               const settings& with, bool needs_port)
        : timeline_(std::move(timeline)),
          trace_(std::move(trace)),
          judge_(std::move(judge)),
          calls_(std::move(calls)),
          settings_(with),
          needs_port_(needs_port) {}

    [[nodiscard]] const std::map<uuid, row_history>& rows() const noexcept { return rows_; }
    [[nodiscard]] engine_ptr find(const uuid& engine) const {
        const auto found = rows_.find(engine);
        return found == rows_.end() ? nullptr : found->second.row;
    }
    [[nodiscard]] engine_ptr find(const sim_user& user) const {
        const auto found = by_user_.find(user);
        return found == by_user_.end() ? nullptr : find(found->second);
    }
    [[nodiscard]] std::uint64_t version() const noexcept { return version_; }

    /// Somebody has been told of this engine: it may only go when a destroy was asked for.
    void acknowledge(const uuid& engine) {
        if (const auto found = rows_.find(engine); found != rows_.end())
            found->second.acknowledged = true;
    }
    /// Somebody has been told that it is gone.
    void acknowledge_end(const uuid& engine) {
        judge_->require(!find(engine), "destroyed, and its row is there", short_id(engine));
        gone_.insert(engine);
    }
    [[nodiscard]] const std::set<uuid>& gone() const noexcept { return gone_; }

    void committed(const change_set& set, const result<roundhouse::committed>& done) {
        if (!done) return refused(set, done.error());
        ++version_;
        auto stored = done->engines.begin();
        for (const auto& one : set.changes) {
            if (std::holds_alternative<insert_engine>(one)) insert(*stored++, set);
            else if (std::holds_alternative<update_engine>(one)) update(*stored++, set);
            else if (const auto* gone = std::get_if<erase_engine>(&one)) erase(*gone, set);
        }
    }

    /// How many engines a product has.
    [[nodiscard]] std::uint64_t count(const uuid& product) const {
        return static_cast<std::uint64_t>(
            std::count_if(rows_.begin(), rows_.end(),
                          [&](const auto& one) { return one.second.row->product_id == product; }));
    }
    [[nodiscard]] bool holds_port(std::uint16_t port) const {
        return std::any_of(rows_.begin(), rows_.end(),
                           [&](const auto& one) { return one.second.row->port == port; });
    }

private:
    static sim_user user_of(const engine_record& row) { return {row.product_id, row.user_id}; }

    static std::string shown(const engine_record& row) {
        return short_id(row.id) + "/" + std::to_string(row.generation) + " of " + row.user_id;
    }
    static std::string state_of(const engine_record& row) {
        return std::string(name_of(row.status)) + "/" + std::string(name_of(row.intent));
    }

    void note(const std::string& what, const change_set& set) {
        std::string line = "commit: " + what;
        for (const auto& row : set.audit) line += " +" + std::string(name_of(row.action));
        trace_->note(line);
    }

    void insert(const engine_ptr& row, const change_set& set) {
        const auto user = user_of(*row);
        note(shown(*row) + " is made, port " + std::to_string(row->port), set);
        judge_->require(!find(user), "two rows of one user", user.second);
        judge_->require(!gone_.contains(row->id), "an engine that was destroyed is back");
        const auto& limits = std::get<insert_engine>(set.changes.front()).max_engines;
        judge_->require(!limits || count(row->product_id) < *limits, "the quota is passed");
        rows_[row->id] = {row, {}, false};
        by_user_[user] = row->id;
        check_port(*row);
        calls_->saw(user, row);
    }

    void update(const engine_ptr& row, const change_set& set) {
        const auto known = rows_.find(row->id);
        if (known == rows_.end()) return judge_->blame("a row that was never made is changed");
        const auto before = known->second.row;
        note(shown(*row) + " " + state_of(*before) + " -> " + state_of(*row), set);
        known->second.row = row;
        check_port(*row);
        judge_->require(row->generation >= before->generation, "a generation goes back",
                        shown(*row));
        if (before->status != row->status) {
            check_change(*before, *row);
            check_told(*before, row->status, set);
            if (row->status == engine_status::failed) known->second.failed_at = timeline_->now();
        } else {
            for (const auto& told : set.audit)
                judge_->require(!told.to, "a row tells a change that is none", shown(*row));
        }
        if (begins_restart(*before, *row)) check_backoff(known->second);
        calls_->saw(user_of(*row), row);
    }

    void erase(const erase_engine& what, const change_set& set) {
        const sim_user user{what.product_id, what.user_id};
        const auto row = find(user);
        if (!row) return judge_->blame("a row that is not there is removed");
        note(shown(*row) + (what.undone ? " is undone" : " is gone"), set);
        judge_->require(row->status == engine_status::destroying || what.undone,
                        "a row goes that is not `destroying`", shown(*row));
        judge_->require(!what.undone || !rows_[row->id].acknowledged,
                        "an engine that somebody was told of is undone", shown(*row));
        const auto wanted = what.undone ? audit_action::provision_failed : audit_action::destroy;
        judge_->require(set.audit.size() == 1 && set.audit.front().action == wanted,
                        "the end of an engine is not told by its one row", shown(*row));
        rows_.erase(row->id);
        by_user_.erase(user);
        calls_->saw_erased(user, row->id);
        calls_->saw(user, nullptr);
    }

    /// Refusals have to be true too.
    void refused(const change_set& set, const error& why) {
        for (const auto& one : set.changes) {
            sim_user user;
            if (const auto* made = std::get_if<insert_engine>(&one)) user = user_of(made->record);
            else if (const auto* put = std::get_if<update_engine>(&one))
                user = user_of(put->record);
            else continue;
            if (why.code == errc::quota_exceeded) calls_->saw_full_quota(user);
            if (why.code == errc::port_exhaustion) calls_->saw_no_port(user);
        }
    }

    void check_port(const engine_record& row) {
        if (!needs_port_) return judge_->require(row.port == 0, "a port that nobody needs");
        judge_->require(row.port >= settings_.port_min && row.port <= settings_.port_max,
                        "a port out of range", shown(row));
        for (const auto& [id, other] : rows_)
            judge_->require(id == row.id || other.row->port != row.port, "two rows hold one port",
                            shown(row));
    }

    /// The states that may follow each state (SPEC §2; docs/lifecycle.md).
    void check_change(const engine_record& before, const engine_record& after) {
        using enum engine_status;
        static const std::map<engine_status, std::set<engine_status>> follows{
            {provisioning, {running, stopped, failed, destroying}},
            {running, {provisioning, sleeping, stopped, failed, destroying}},
            {sleeping, {provisioning, running, stopped, failed, destroying}},
            {stopped, {provisioning, destroying}},
            {failed, {provisioning, stopped, destroying}},
            {destroying, {}}};
        const auto what = shown(after) + " " + state_of(before) + " -> " + state_of(after);
        judge_->require(follows.at(before.status).contains(after.status), "no such way", what);
        const auto user = user_of(after);
        if (before.status == stopped && after.status == provisioning)
            judge_->require(calls_->asked(user, sim_call_kind::start),
                            "a stopped engine is booted, and nobody asked for it", what);
        if (after.status == destroying && after.intent == intent::destroy)
            judge_->require(calls_->asked(user, sim_call_kind::destroy),
                            "an engine is destroyed, and nobody asked for it", what);
    }

    /// Rows that tell a change tell the one of their commit. Every change is told, but for those
    /// that only begin something whose end is: a boot, unless the orchestrator itself decided it,
    /// and a destroy.
    void check_told(const engine_record& before, engine_status after, const change_set& set) {
        std::size_t tells = 0;
        for (const auto& row : set.audit) {
            if (!row.from && !row.to) continue;
            judge_->require(row.from == before.status && row.to == after,
                            "a row tells another change than the one it was committed with",
                            shown(before));
            ++tells;
        }
        if (after == engine_status::destroying) return;
        const bool begins = after == engine_status::provisioning;
        const bool restart = begins && before.status == engine_status::failed &&
                             !calls_->asked(user_of(before), sim_call_kind::start);
        if (begins && !restart) return;
        judge_->require(tells >= 1, "a change of state is not told", shown(before));
    }

    static bool begins_restart(const engine_record& before, const engine_record& after) {
        return after.intent == intent::boot && after.boot == boot_reason::restart &&
               after.generation > before.generation && before.status == engine_status::failed;
    }

    /// Attempt n comes no sooner than BASE * 2^(n-1), capped, less the tenth that jitter takes.
    void check_backoff(const row_history& of) {
        const auto& row = *of.row;
        auto least = settings_.restart_backoff_base;
        for (std::uint32_t n = 1; n < row.restart_attempts; ++n)
            least = std::min(least * 2, settings_.restart_backoff_max);
        least -= least / 10;
        judge_->require(row.restart_attempts <= settings_.restart_max_attempts,
                        "restarted more often than allowed", shown(row));
        judge_->require(timeline_->now() - of.failed_at >= least, "restarted before its backoff",
                        shown(row));
    }

    const std::shared_ptr<sim_timeline> timeline_;
    const std::shared_ptr<sim_trace> trace_;
    const std::shared_ptr<sim_judge> judge_;
    const std::shared_ptr<sim_calls> calls_;
    const settings settings_;
    const bool needs_port_;
    std::map<uuid, row_history> rows_;
    std::map<sim_user, uuid> by_user_;
    std::set<uuid> gone_;
    std::uint64_t version_ = 0;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
