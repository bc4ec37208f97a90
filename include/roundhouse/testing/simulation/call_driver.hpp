#pragma once

#include <roundhouse/bounded_calls.hpp>
#include <roundhouse/call_types.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/simulation/answer_check.hpp>
#include <roundhouse/testing/simulation/calls.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/listing_check.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/model.hpp>
#include <roundhouse/testing/simulation/once_rules.hpp>
#include <roundhouse/testing/simulation/pending_calls.hpp>
#include <roundhouse/testing/simulation/settings_rules.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/testing/simulation/wait_rules.hpp>
#include <roundhouse/testing/simulation/workload_rules.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Makes the calls of users to the orchestrator, checks the answers, and holds the orchestrator to
/// what they promise. `Incarnation` is an `incarnation`.
///
/// Lifetime: handlers refer to the process of the incarnation that they were made for, which
/// outlives its executor. Once it is dead they do nothing.
template <class Incarnation> class call_driver {
public:
    call_driver(const timeline& time, violations& found, pending_calls& calls, ledger& rows,
                workload_rules& rules, settings_rules& of_settings, once_rules& of_keys,
                const wait_rules& of_waits, machine& host, model& reference,
                const answer_check& answers)
        : time_(time),
          violations_(found),
          calls_(calls),
          ledger_(rows),
          rules_(rules),
          settings_rules_(of_settings),
          once_rules_(of_keys),
          wait_rules_(of_waits),
          machine_(host),
          model_(reference),
          answers_(answers) {}

    void call(Incarnation& current, const product_ptr& of, const call_request& request) {
        const auto id = calls_.begin(request, ledger_.find(request.owner), *of, !current.recovered);
        const auto product = caller_of(current, of, request, id);
        auto& orchestrator = *current.orchestrator;
        const auto& user = request.owner.user_id;
        if (request.wait && request.kind != call_kind::admit)
            return wait(current, id, product, request);
        switch (request.kind) {
        case call_kind::wait_for: return; // it always has a `wait`
        case call_kind::admit: return admit(current, id, product, request);
        case call_kind::provision:
            return orchestrator.async_provision(product, user, request.options,
                                                handler<engine_view>(current, id, &read_engine));
        case call_kind::provision_once:
            return orchestrator.of(product).provision_once(
                user, request.options, request.key,
                handler<engine_view>(current, id, &read_engine));
        case call_kind::start:
            return orchestrator.async_start(product, user,
                                            handler<engine_view>(current, id, &read_engine));
        case call_kind::rotate:
            return orchestrator.async_rotate_key(product, user,
                                                 handler<std::string>(current, id, &read_key));
        case call_kind::destroy:
            return orchestrator.async_destroy(product, user,
                                              handler<uuid>(current, id, &read_destroyed));
        case call_kind::activity:
            return orchestrator.async_note_activity(
                product, user, request.busy_for,
                handler<std::optional<instant>>(current, id, &read_activity));
        case call_kind::change_settings:
            return orchestrator.async_change_settings(
                product, user, request.change, {.if_revision = {}, .restart = request.restart},
                handler<engine_view>(current, id, &read_engine));
        case call_kind::sleep:
            return orchestrator.async_sleep(product, user, request.mode,
                                            handler<engine_view>(current, id, &read_engine));
        case call_kind::wake:
            return orchestrator.async_wake(product, user,
                                           handler<engine_view>(current, id, &read_engine));
        case call_kind::upgrade:
            return orchestrator.async_upgrade(product, user, request.upgrade,
                                              handler<engine_view>(current, id, &read_engine));
        case call_kind::stop:
            return orchestrator.async_stop(product, user, request.force, void_handler(current, id));
        }
    }

    /// Checks that listings, the status and what is explained agree with the rows.
    void read(Incarnation& current, const product_ptr& product) {
        const listing_check listings(ledger_, product->id);
        for (const auto& query : listings.queries())
            violations_.require(listings.agrees(*current.orchestrator, query),
                                "the list is not what the rows say");
        const auto status = current.orchestrator->status(product);
        const auto rows = ledger_.count(product->id);
        violations_.require(status && status->counts.total() == rows,
                            "the status is not what the rows say");
        const auto everywhere = current.orchestrator->status_of_all();
        violations_.require(everywhere && everywhere->counts.total() == ledger_.rows().size(),
                            "the status of all products is not what the rows say");
        read_products(current, *product, rows);
        for (const auto& [id, known] : ledger_.rows())
            if (known.row->product_id == product->id)
                read_explanation(current, product, *known.row);
    }

    void set_policy(Incarnation& current, const product_ptr& product, const policy& limits,
                    bool may_fail) {
        current.orchestrator->async_set_policy(
            product->slug, limits,
            [this, may_fail, product, &process = current.process](const result<policy>& outcome) {
                if (process.alive())
                    violations_.require(outcome || may_fail || refused_at_end(*product, outcome),
                                        "a policy is not taken");
            });
    }

    void set_defaults(Incarnation& current, const product_ptr& product,
                      const provision_options& given, bool may_fail) {
        current.orchestrator->async_set_defaults(
            product->slug, given,
            [this, given, may_fail, product,
             &process = current.process](const result<defaults_ptr>& set) {
                if (!process.alive()) return;
                if (!set)
                    return violations_.require(may_fail || refused_at_end(*product, set),
                                               "defaults are not taken");
                violations_.require((*set)->settings.limits == given.limits &&
                                        (*set)->settings.metadata == given.metadata &&
                                        (*set)->settings.env_names.size() == given.env.size(),
                                    "a product has other defaults than it was given");
            });
    }

    void rename(Incarnation& current, const product_ptr& product, const std::string& display_name,
                bool may_fail) {
        current.orchestrator->async_update_product(
            product->slug, product_changes{display_name},
            [this, display_name, may_fail, product,
             &process = current.process](const result<product_view>& outcome) {
                if (!process.alive()) return;
                violations_.require(outcome ? outcome->record->display_name == display_name
                                            : may_fail || refused_at_end(*product, outcome),
                                    "a product does not get its name");
            });
    }

    /// Rotates a product's platform key without an overlap. One at a time: of two at once it would
    /// not be known which key is in force.
    void rotate_platform_key(Incarnation& current, const product_ptr& product, bool may_fail) {
        if (!current.keys_rotating.insert(product->id).second) return;
        current.orchestrator->async_rotate_platform_key(
            product->slug, duration{0},
            [this, may_fail, product, &current](const result<rotated_platform_key>& made) {
                if (!current.process.alive()) return;
                current.keys_rotating.erase(product->id);
                violations_.require(made || may_fail || refused_at_end(*product, made),
                                    "a platform key is not rotated");
                if (made && !ledger_.ends(product->id))
                    check_key(current, *product, made->platform_key);
            });
    }

    void delete_product(Incarnation& current, const product_ptr& product, bool cascade,
                        bool may_fail) {
        const bool starting = !current.recovered;
        current.orchestrator->async_delete_product(
            to_string(product->id), cascade,
            [this, product, cascade, may_fail, starting,
             &current](const result<product_deletion>& outcome) {
                if (!current.process.alive()) return;
                const bool refused = !outcome && outcome.error().code == errc::product_not_empty;
                if (!outcome)
                    return violations_.require(
                        may_fail || (refused && !cascade) || refused_at_end(*product, outcome) ||
                            (starting && outcome.error().code == errc::starting),
                        "a product is not deleted");
                const auto& gone = ledger_.gone_products();
                violations_.require(outcome->done ? gone.contains(product->id)
                                                  : ledger_.ends(product->id),
                                    "a product is told to be deleted, and is not");
                const auto key = platform_keys_.try_emplace(product->id, product->slug).first;
                const auto opened = current.orchestrator->authenticate(key->second);
                violations_.require(!opened || (*opened)->id != product->id,
                                    "a platform key of a deleted product is taken");
            });
    }

    /// Registers a product under a slug, which is its first platform key too.
    void register_product(Incarnation& current, const std::string& slug, const policy& limits,
                          bool may_fail) {
        current.orchestrator->async_register_product_with_key(
            slug, slug, limits, slug,
            [this, may_fail, &process = current.process](const result<registration>& made) {
                if (!process.alive()) return;
                violations_.require(made || may_fail ||
                                        made.error().code == errc::product_slug_exists,
                                    "a product is not registered");
            });
    }

    /// Registers a product with an idempotency key of its own. All who are answered get the same key,
    /// which opens the product, whatever crashed in between. Once the key is not kept any more, the
    /// slug is taken.
    void register_once(Incarnation& current, const std::string& slug, bool may_fail) {
        current.orchestrator->async_register_product_once(
            slug, slug, {}, "key-of-" + slug,
            [this, slug, may_fail, &current](const result<registration>& made) {
                if (!current.process.alive()) return;
                const bool taken = !made && made.error().code == errc::product_slug_exists;
                violations_.require(made || taken || may_fail, "a product is not registered");
                if (!made) return;
                const auto& known = registrations_.try_emplace(slug, *made).first->second;
                violations_.require(known.product_id == made->product_id &&
                                        known.platform_key == made->platform_key,
                                    "a repeated registration is answered with another product");
                const auto opened = current.orchestrator->authenticate(made->platform_key);
                violations_.require(opened && (*opened)->id == made->product_id,
                                    "the key of a registration does not open its product");
            });
    }

private:
    using number = pending_calls::number;

    /// Every fourth call is an administrator's, who may do what the product may, but admit.
    product_ptr caller_of(Incarnation& current, const product_ptr& product,
                          const call_request& request, number id) {
        if (id % 4 != 0 || request.kind == call_kind::admit) return product;
        auto acting = current.orchestrator->calls()->acting_for(product->slug,
                                                                actor_of_admin("sim"));
        violations_.require(acting.has_value(), "an administrator does not find a product");
        return acting ? *acting : product;
    }

    /// Whether a change of a product was refused because the product is being deleted, or gone.
    template <class T>
    [[nodiscard]] bool refused_at_end(const product& product, const result<T>& outcome) const {
        if (outcome || !ledger_.ends(product.id)) return false;
        const auto code = outcome.error().code;
        return code == errc::product_deleting || code == errc::product_not_found;
    }

    /// Checks that a new key opens its product, and that the one before it does not.
    void check_key(Incarnation& current, const product& product, const std::string& key) {
        const auto& orchestrator = *current.orchestrator;
        auto& known = platform_keys_.try_emplace(product.id, product.slug).first->second;
        const auto before = std::exchange(known, key);
        const auto opened = orchestrator.authenticate(key);
        violations_.require(opened && (*opened)->id == product.id,
                            "a new platform key does not open its product");
        violations_.require(!orchestrator.authenticate(before),
                            "a platform key is taken after a rotation without an overlap");
    }

    void read_products(Incarnation& current, const product& product, std::uint64_t rows) {
        const auto described = current.orchestrator->describe_product(product.slug);
        violations_.require(described && described->record->id == product.id &&
                                described->engines.total() == rows,
                            "a product is described as what it is not");
        product_query query{2, {}};
        std::size_t found = 0;
        std::size_t listed = 0;
        auto page = current.orchestrator->list_products(query);
        for (; page; page = current.orchestrator->list_products(query)) {
            listed += page->products.size();
            for (const auto& other : page->products) found += other->id == product.id ? 1 : 0;
            if (!page->next) break;
            query.after = *page->next;
        }
        violations_.require(page && listed == page->total && found == 1,
                            "the list of products is not what the rows say");
    }

    /// What happens to an engine without a call is told, and nothing else; but it depends on the
    /// settings whether one that runs is put to sleep.
    void read_explanation(Incarnation& current, const product_ptr& product,
                          const engine_record& row) {
        const bool idles = row.status == engine_status::running && row.intent == intent::none;
        const bool sleeps_on = row.status == engine_status::sleeping && row.deadline.has_value();
        const bool moves_on = row.intent != intent::none || row.restart_at.has_value() || sleeps_on;
        const auto told = current.orchestrator->explain(product, row.user_id);
        violations_.require(told && told->record->status == row.status && !told->why.empty() &&
                                (idles || told->next.has_value() == moves_on),
                            "an engine is explained as what it is not", short_id(row.id));
    }

    void admit(Incarnation& current, number id, const product_ptr& product,
               const call_request& request) {
        auto& orchestrator = *current.orchestrator;
        const auto& user = request.owner.user_id;
        const auto outcome = orchestrator.try_admit(product, user, request.admit);
        require_told_rate(orchestrator.rate_limit(product), outcome);
        if (outcome) return end(id, answer_of(*outcome, &read_admission));
        orchestrator.async_admit(product, user, request.admit,
                                 handler<admission>(current, id, &read_admission));
    }

    /// A call whose caller waits for a while only, or for a state.
    void wait(Incarnation& current, number id, const product_ptr& product,
              const call_request& request) {
        auto& orchestrator = *current.orchestrator;
        const auto& user = request.owner.user_id;
        auto done = handler<call_progress>(current, id, &read_progress);
        if (request.kind == call_kind::wait_for)
            return orchestrator.async_wait_for(product, user, request.wanted, *request.wait,
                                               std::move(done));
        orchestrator.async_begin(product, user, begun_by(request), within{*request.wait},
                                 std::move(done));
    }
    static engine_call_variant begun_by(const call_request& request) {
        switch (request.kind) {
        case call_kind::provision: return engine_call::provision{request.options};
        case call_kind::stop: return engine_call::stop{request.force};
        case call_kind::sleep: return engine_call::sleep{request.mode};
        case call_kind::wake: return engine_call::wake{};
        case call_kind::rotate: return engine_call::rotate_key{};
        case call_kind::upgrade: return engine_call::upgrade{request.upgrade};
        default: return engine_call::start{};
        }
    }

    /// What a product is told of its rate right after an admit agrees with the admit.
    void require_told_rate(const std::optional<rate_limit_status>& told,
                           const std::optional<result<admission>>& outcome) {
        const bool refused = outcome && !*outcome && outcome->error().code == errc::rate_limited;
        const auto ended = [](const rate_quota& bound) {
            return bound.left == 0 && bound.more_in > duration{0};
        };
        const bool none_left = told &&
                               (ended(told->minute) || (told->burst && ended(*told->burst)));
        violations_.require(!refused || none_left,
                            "an admit is refused, and some are told to be left");
    }

    // Answers

    template <class T> using reader = void (*)(const T&, call_answer&);

    static void read_engine(const engine_view& engine, call_answer& out) {
        const auto& record = *engine.record;
        out.engine.emplace(record.id, record.user_id, record.version, engine.api_key);
        out.engine->url = engine.url;
        out.engine->created_at = record.created_at;
        out.status = record.status;
    }
    static void read_admission(const admission& admitted, call_answer& out) {
        out.engine = admitted.engine;
        if (admitted.engine) return;
        out.under_way = admitted.reason == denial::engine_starting;
        if (!out.under_way) out.denied = admitted.reason;
        out.status = admitted.status;
        out.retry_after_s = admitted.retry_after_s;
    }
    static void read_progress(const call_progress& progress, call_answer& out) {
        out.under_way = !progress.done;
        out.status = progress.engine.record->status;
        if (out.under_way) return;
        read_engine(progress.engine, out);
        if (!progress.new_key.empty()) out.key = progress.new_key;
    }
    static void read_key(const std::string& key, call_answer& out) { out.key = key; }
    static void read_destroyed(const uuid& engine, call_answer& out) { out.destroyed = engine; }
    static void read_activity(const std::optional<instant>& sleeps_at, call_answer& out) {
        out.sleeps_at = sleeps_at;
    }

    template <class T>
    static call_answer answer_of(const result<T>& outcome, reader<T> read_value) {
        call_answer out;
        if (outcome) read_value(*outcome, out);
        else read_failure(outcome.error(), out);
        return out;
    }
    static void read_failure(const error& failure, call_answer& out) {
        out.failure = failure.code;
        out.message = failure.message;
    }

    template <class T> auto handler(Incarnation& current, number id, reader<T> read_value) {
        return [this, id, read_value, &process = current.process](const result<T>& outcome) {
            if (process.alive()) end(id, answer_of(outcome, read_value));
        };
    }
    auto void_handler(Incarnation& current, number id) {
        return [this, id, &process = current.process](const result<void>& outcome) {
            if (!process.alive()) return;
            call_answer answer;
            if (!outcome) read_failure(outcome.error(), answer);
            end(id, answer);
        };
    }

    void end(number id, const call_answer& answer) {
        const auto call = calls_.end(id, answer);
        answers_.check(call, answer);
        model_.check(call, answer);
        wait_rules_.answered(call, answer);
        if (call.request.kind == call_kind::provision_once)
            once_rules_.answered(call.request, answer);
        const bool waited = call.request.kind == call_kind::wait_for;
        if (!answer.failure && !answer.under_way && !waited) hold_to(call, answer);
    }

    /// Checks rows and machine against what an answer says, and holds later commits to it (rule 2).
    void hold_to(const pending_call& call, const call_answer& answer) {
        const auto row = ledger_.find(call.request.owner);
        // Settings may be changed while an engine is created, which may still be undone.
        const bool exists = call.request.kind != call_kind::change_settings || call.request.restart;
        if (answer.engine && exists) ledger_.acknowledge(answer.engine->id);
        if (answer.engine && call.request.kind == call_kind::provision)
            settings_rules_.provisioned(answer.engine->id, call.request.options);
        if (answer.engine && call.request.kind == call_kind::change_settings)
            settings_rules_.changed(answer.engine->id, call.request.change,
                                    call.seen.settings_revisions.size() > 2);
        if (answer.engine && call.request.kind == call_kind::admit)
            rules_.used(answer.engine->id, time_.now());
        if (answer.destroyed) {
            ledger_.acknowledge_destroyed(*answer.destroyed);
            violations_.require(machine_.find(*answer.destroyed) == nullptr,
                                "destroyed, and something of it is left",
                                short_id(*answer.destroyed));
        }
        if (call.request.kind == call_kind::rotate)
            violations_.require(!row || row->key_hash == crypto::sha256(*answer.key) ||
                                    calls_.contains(call.request.owner, call_kind::rotate),
                                "a new key was returned, and another one is in force");
        if (answer.sleeps_at && row) {
            rules_.used(row->id, call.issued_at);
            if (call.request.busy_for)
                rules_.leased(row->id, call.issued_at + *call.request.busy_for);
        }
    }

    const timeline& time_;
    violations& violations_;
    pending_calls& calls_;
    ledger& ledger_;
    workload_rules& rules_;
    settings_rules& settings_rules_;
    once_rules& once_rules_;
    const wait_rules& wait_rules_;
    machine& machine_;
    model& model_;
    const answer_check& answers_;
    /// The last platform key that each product was told; before that it is its slug.
    std::map<uuid, std::string> platform_keys_;
    std::map<std::string, registration> registrations_; ///< By slug, as the first answer told it.
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
