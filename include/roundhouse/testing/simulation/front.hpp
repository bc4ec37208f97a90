#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/simulation/answers.hpp>
#include <roundhouse/testing/simulation/calls.hpp>
#include <roundhouse/testing/simulation/judge.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/model.hpp>
#include <roundhouse/testing/simulation/rules.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// Where users call: hands their calls to the orchestrator, judges what it answers, and remembers
/// what it has promised by that. `Life` is a `sim_incarnation`.
template <class Life> class sim_front {
public:
    sim_front(std::shared_ptr<sim_timeline> timeline, std::shared_ptr<sim_judge> judge,
              std::shared_ptr<sim_calls> calls, std::shared_ptr<sim_ledger> ledger,
              std::shared_ptr<sim_rules> rules, std::shared_ptr<sim_machine> machine,
              std::shared_ptr<sim_model> model, sim_answers answers)
        : timeline_(std::move(timeline)),
          judge_(std::move(judge)),
          calls_(std::move(calls)),
          ledger_(std::move(ledger)),
          rules_(std::move(rules)),
          machine_(std::move(machine)),
          model_(std::move(model)),
          answers_(std::move(answers)) {}

    void call(Life& life, const product_ptr& who, const sim_request& what) {
        const auto which = calls_->begin(what, ledger_->find(what.user), who->policy,
                                         !life.recovered);
        if (what.what == sim_call_kind::admit) return admit(life, which, who, what);
        auto& over = *life.over;
        const auto& user = what.user.second;
        switch (what.what) {
        case sim_call_kind::provision:
            return over.async_provision(who, user, std::nullopt,
                                        hear<engine_view>(life, which, &show_engine));
        case sim_call_kind::start:
            return over.async_start(who, user,
                                    hear<std::string>(life, which, &show_nothing<std::string>));
        case sim_call_kind::rotate:
            return over.async_rotate_key(who, user, hear<std::string>(life, which, &show_key));
        case sim_call_kind::destroy:
            return over.async_destroy(who, user, hear<uuid>(life, which, &show_destroyed));
        case sim_call_kind::activity:
            return over.async_note_activity(
                who, user, what.busy_for,
                hear<std::optional<instant>>(life, which, &show_activity));
        default: return over.async_stop(who, user, what.force, hear_nothing(life, which));
        }
    }

    /// Listings and counts are what the rows say, at any moment.
    void read(Life& life, const product_ptr& who) {
        engine_query all;
        all.product_id = who->id;
        const auto page = life.over->list(all);
        const auto counts = life.over->status(who);
        const auto rows = ledger_->count(who->id);
        judge_->require(page && page->total == rows && page->engines.size() == rows,
                        "the list is not what the rows say");
        judge_->require(counts && counts->counts.total() == rows,
                        "the status is not what the rows say");
    }

    void set_policy(Life& life, const product_ptr& who, const policy& limits, bool may_fail) {
        life.over->async_set_policy(
            who->slug, limits,
            [judge = judge_, may_fail, process = life.process](const result<policy>& done) {
                if (process->alive()) judge->require(done || may_fail, "a policy is not taken");
            });
    }

private:
    using number = sim_calls::number;

    void admit(Life& life, number which, const product_ptr& who, const sim_request& what) {
        const auto& user = what.user.second;
        if (const auto now = life.over->try_admit(who, user, what.how))
            return end(which, shown(*now, &show_admission));
        life.over->async_admit(who, user, what.how, hear<admission>(life, which, &show_admission));
    }

    // What was answered

    template <class T> using show = void (*)(const T&, sim_answer&);

    static void show_engine(const engine_view& what, sim_answer& out) {
        out.record = what.record;
        out.key = what.api_key;
    }
    static void show_admission(const admission& what, sim_answer& out) {
        if (what.engine) show_engine(*what.engine, out);
        else out.denied = what.reason;
    }
    static void show_key(const std::string& what, sim_answer& out) { out.key = what; }
    static void show_destroyed(const uuid& what, sim_answer& out) { out.destroyed = what; }
    static void show_activity(const std::optional<instant>& what, sim_answer& out) {
        out.sleeps_at = what;
    }
    template <class T> static void show_nothing(const T&, sim_answer&) {}

    template <class T> static sim_answer shown(const result<T>& how, show<T> as) {
        sim_answer out;
        if (how) as(*how, out);
        else show_failure(how.error(), out);
        return out;
    }
    static void show_failure(const error& why, sim_answer& out) {
        out.failure = why.code;
        out.message = why.message;
    }

    /// Makes the handler of a call. Nobody hears what a dead process says.
    template <class T> auto hear(Life& life, number which, show<T> as) {
        return [this, which, as, process = life.process](const result<T>& how) {
            if (process->alive()) end(which, shown(how, as));
        };
    }
    auto hear_nothing(Life& life, number which) {
        return [this, which, process = life.process](const result<void>& how) {
            if (!process->alive()) return;
            sim_answer out;
            if (!how) show_failure(how.error(), out);
            end(which, out);
        };
    }

    void end(number which, const sim_answer& how) {
        const auto call = calls_->end(which, how);
        answers_.judge(call, how);
        model_->judge(call, how);
        if (!how.failure) keep_promise(call, how);
    }

    /// What was answered must stay true (rule 2): from here on it is held against the rows.
    void keep_promise(const sim_call& call, const sim_answer& how) {
        const auto row = ledger_->find(call.request.user);
        if (how.record) ledger_->acknowledge(how.record->id);
        if (how.record && call.request.what == sim_call_kind::admit)
            rules_->used(how.record->id, timeline_->now());
        if (how.destroyed) {
            ledger_->acknowledge_end(*how.destroyed);
            judge_->require(machine_->find(*how.destroyed) == nullptr,
                            "destroyed, and something of it is left", short_id(*how.destroyed));
        }
        if (call.request.what == sim_call_kind::rotate)
            judge_->require(!row || row->key_hash == crypto::sha256(*how.key) ||
                                calls_->asked(call.request.user, sim_call_kind::rotate),
                            "a new key was handed out, and another one holds");
        if (how.sleeps_at && row) {
            rules_->used(row->id, call.issued_at);
            if (call.request.busy_for)
                rules_->leased(row->id, call.issued_at + *call.request.busy_for);
        }
    }

    const std::shared_ptr<sim_timeline> timeline_;
    const std::shared_ptr<sim_judge> judge_;
    const std::shared_ptr<sim_calls> calls_;
    const std::shared_ptr<sim_ledger> ledger_;
    const std::shared_ptr<sim_rules> rules_;
    const std::shared_ptr<sim_machine> machine_;
    const std::shared_ptr<sim_model> model_;
    const sim_answers answers_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
