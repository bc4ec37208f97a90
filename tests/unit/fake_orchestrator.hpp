#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/fleet_calls.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse_tests {

using roundhouse::completion;
using roundhouse::fail;
using roundhouse::result;

inline constexpr std::string_view fake_platform_key =
    "pk-sept-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// An engine whose every value is easy to recognise in a reply.
inline roundhouse::engine_view fake_engine() {
    roundhouse::engine_record record;
    record.id = *roundhouse::parse_uuid("11111111-2222-4333-8444-555555555555");
    record.user_id = "u1";
    record.version = "engine:1";
    record.status = roundhouse::engine_status::running;
    record.created_at = roundhouse::instant{std::chrono::milliseconds{1'700'000'000'123}};
    roundhouse::engine_view view;
    view.record = std::make_shared<const roundhouse::engine_record>(std::move(record));
    view.url = "http://127.0.0.1:9001";
    view.api_key = "sk-sept-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    view.last_health_at = roundhouse::instant{std::chrono::milliseconds{1'700'000'060'000}};
    view.stop_grace = std::chrono::seconds{30};
    view.sleep_after = std::chrono::seconds{1'800};
    return view;
}

/// A product with two engines that run.
inline roundhouse::product_view fake_product() {
    roundhouse::product record;
    record.id = *roundhouse::parse_uuid("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee");
    record.slug = "demo";
    record.display_name = "The Demo";
    record.policy.max_engines = 3;
    record.created_at = roundhouse::instant{std::chrono::milliseconds{1'700'000'000'123}};
    roundhouse::product_view view;
    view.record = std::make_shared<const roundhouse::product>(std::move(record));
    view.engines.by_status[static_cast<std::size_t>(roundhouse::engine_status::running)] = 2;
    const auto made = view.record->created_at;
    view.keys = {{1, made, std::nullopt, made + std::chrono::hours{1}},
                 {2, made, made + std::chrono::minutes{1}, std::nullopt}};
    return view;
}

/// The same engine as an admit answers it.
inline roundhouse::admitted_engine fake_admitted_engine() {
    const auto view = fake_engine();
    const auto& record = *view.record;
    roundhouse::admitted_engine out(record.id, record.user_id, record.version, view.api_key);
    out.url = view.url;
    out.created_at = record.created_at;
    out.last_health_at = view.last_health_at;
    return out;
}

/// Stands in for the orchestrator in tests of the HTTP API: records the calls, and answers as the
/// test sets. Answers of asynchronous calls wait until `run` (or go where `post` sends them), since
/// the orchestrator never answers from inside the call.
class fake_orchestrator final : public roundhouse::fleet_calls {
public:
    bool is_starting = false;
    roundhouse::orchestrator_health condition{
        false, std::chrono::milliseconds{61'999}, "memory", "lmdb", std::nullopt, std::nullopt};

    result<roundhouse::registration> registered = roundhouse::registration{
        *roundhouse::parse_uuid("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"), "demo",
        std::string(fake_platform_key)};
    result<roundhouse::product_view> described = fake_product();
    result<roundhouse::rotated_platform_key> new_key = roundhouse::rotated_platform_key{
        "pk-sept-new", 3};
    result<void> key_deleted{};
    result<roundhouse::product_deletion> deletion = roundhouse::product_deletion{
        *roundhouse::parse_uuid("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee")};
    result<roundhouse::product_page> products = roundhouse::product_page{
        {fake_product().record}, 1, std::nullopt};
    std::optional<roundhouse::error> policy_failure; ///< If empty, a policy is returned as given.
    result<roundhouse::engine_view> engine = fake_engine();
    std::optional<result<roundhouse::admission>> admitted_now = roundhouse::admission{
        fake_admitted_engine(), {}};
    result<roundhouse::engine_explanation> explained = roundhouse::engine_explanation{
        fake_engine().record, "It has booted, and serves.", {}};
    result<roundhouse::admission> admitted_later = roundhouse::admission{fake_admitted_engine(),
                                                                         {}};
    std::optional<roundhouse::rate_limit_status> rate;
    result<roundhouse::uuid> destroyed = fake_engine().record->id;
    result<roundhouse::engine_view> started = fake_engine();
    result<roundhouse::call_progress> progress = roundhouse::call_progress{true, fake_engine(),
                                                                           "sk-sept-new"};
    result<void> stopped{};
    result<std::string> rotated = std::string("sk-sept-new");
    result<std::optional<roundhouse::instant>> sleeps_at{std::nullopt};
    result<std::string> output = std::string("first\nsecond\n");
    result<roundhouse::text_stream_ptr> streamed = roundhouse::text_stream_ptr();
    result<roundhouse::audit_page> audited = roundhouse::audit_page{};
    result<roundhouse::engine_view_page> listed = roundhouse::engine_view_page{};
    result<roundhouse::fleet_status> fleet = roundhouse::fleet_status{};
    result<roundhouse::fleet_metrics> figures = roundhouse::fleet_metrics{};

    /// If set, called first by `authenticate`, so that a test can throw.
    std::function<void()> trouble;

    /// The calls, such as `destroy u1`. A test with threads reads `calls_so_far`.
    std::vector<std::string> calls;
    std::optional<std::string> actor_given;  ///< Of a call about a product.
    std::optional<std::string> caller_given; ///< Of a provision, a rotation or a destruction.
    std::optional<roundhouse::policy> policy_given;
    std::optional<roundhouse::provision_options> defaults_given;
    result<roundhouse::defaults_ptr> defaults_set = roundhouse::defaults_ptr{};
    std::optional<roundhouse::product_changes> changes_given;
    std::optional<roundhouse::product_query> products_asked;
    std::optional<roundhouse::engine_query> engines_asked;
    std::optional<roundhouse::audit_query> audit_asked;
    std::optional<roundhouse::log_query> logs_asked;
    std::optional<std::optional<roundhouse::duration>> busy_given;
    std::optional<roundhouse::provision_options> options_given;
    roundhouse::upgrade_options upgrade_given;
    std::optional<roundhouse::idempotent_call> once_given;
    std::optional<roundhouse::idempotent_registration> registration_once_given;
    std::optional<std::string> repeated; ///< Answers calls that are done once, as if it was kept.
    std::optional<roundhouse::admit_options> admit_given;
    std::optional<roundhouse::engine_call_variant> begun_given;
    std::optional<roundhouse::engine_statuses> wanted_given;
    std::optional<roundhouse::settings_change> change_given;
    std::optional<roundhouse::change_options> change_options_given;

    /// Where answers go. A test with threads sets this to its own executor.
    std::function<void(std::function<void()>)> post = [this](std::function<void()> answer) {
        waiting_.push_back(std::move(answer));
    };

    [[nodiscard]] std::vector<std::string> calls_so_far() {
        const std::lock_guard lock(mutex_);
        return calls;
    }

    /// Gives the answers that wait, and returns their number.
    std::size_t run() {
        auto answers = std::move(waiting_);
        waiting_.clear();
        for (const auto& answer : answers) answer();
        return answers.size();
    }

    /// Drops the answers that wait, as a destroyed executor does.
    void drop() { waiting_.clear(); }

    // fleet_calls

    [[nodiscard]] asio::any_io_executor executor() const override { return {}; }
    [[nodiscard]] bool starting() const noexcept override { return is_starting; }
    [[nodiscard]] roundhouse::orchestrator_health health() const override { return condition; }

    [[nodiscard]] result<roundhouse::product_ptr>
    authenticate(std::string_view key) const override {
        if (trouble) trouble();
        if (key != fake_platform_key)
            return fail(roundhouse::errc::invalid_platform_key, "X-Platform-Key is wrong.");
        return product_;
    }

    [[nodiscard]] result<roundhouse::product_ptr>
    current(const roundhouse::product_ptr& product) const override {
        return product;
    }

    [[nodiscard]] result<roundhouse::product_ptr> acting_for(std::string_view id_or_slug,
                                                             std::string actor) const override {
        if (id_or_slug != product_->slug && id_or_slug != to_string(product_->id))
            return fail(roundhouse::errc::product_not_found, "There is no such product.");
        auto acted = *product_;
        acted.called_by = std::move(actor);
        return std::make_shared<const roundhouse::product>(std::move(acted));
    }

    [[nodiscard]] std::optional<result<roundhouse::admission>>
    try_admit(const roundhouse::product_ptr&, std::string_view user,
              const roundhouse::admit_options& options) override {
        note("try_admit " + std::string(user) + shown(options));
        return admitted_now;
    }

    [[nodiscard]] std::optional<roundhouse::rate_limit_status>
    rate_limit(const roundhouse::product_ptr&) override {
        return rate;
    }

    void admit(roundhouse::product_ptr, std::string user, roundhouse::admit_options options,
               completion<roundhouse::admission> done) override {
        admit_given = options;
        answer("async_admit " + user + shown(options), admitted_later, std::move(done));
    }
    void provision(roundhouse::product_ptr product, std::string user,
                   roundhouse::provision_options options,
                   completion<roundhouse::engine_view> done) override {
        caller_given = product->called_by;
        auto call = "provision " + user;
        if (options.version) call += " " + *options.version;
        options_given = std::move(options);
        answer(std::move(call), engine, std::move(done));
    }
    void provision_once(roundhouse::product_ptr, std::string user,
                        roundhouse::provision_options options, roundhouse::idempotent_call once,
                        completion<std::string> done) override {
        options_given = std::move(options);
        const auto text = repeated ? *repeated : once.write_answer(engine);
        once_given = std::move(once);
        answer("provision_once " + user, result<std::string>(text), std::move(done));
    }
    void provision_once(roundhouse::product_ptr, std::string user, roundhouse::provision_options,
                        std::string key, completion<roundhouse::engine_view> done) override {
        answer("provision_once " + user + " " + key, engine, std::move(done));
    }
    void destroy(roundhouse::product_ptr product, std::string user,
                 completion<roundhouse::uuid> done) override {
        caller_given = product->called_by;
        answer("destroy " + user, destroyed, std::move(done));
    }
    void start(roundhouse::product_ptr, std::string user,
               completion<roundhouse::engine_view> done) override {
        answer("start " + user, started, std::move(done));
    }
    void stop(roundhouse::product_ptr, std::string user, bool force,
              completion<void> done) override {
        answer("stop " + user + (force ? " by force" : ""), stopped, std::move(done));
    }
    void sleep(roundhouse::product_ptr, std::string user, roundhouse::sleep_mode mode,
               completion<roundhouse::engine_view> done) override {
        answer("sleep " + user + " " + std::string(name_of(mode)), engine, std::move(done));
    }
    void wake(roundhouse::product_ptr, std::string user,
              completion<roundhouse::engine_view> done) override {
        answer("wake " + user, started, std::move(done));
    }
    void upgrade(roundhouse::product_ptr, std::string user, roundhouse::upgrade_options options,
                 completion<roundhouse::engine_view> done) override {
        auto call = "upgrade " + user + " " + options.version;
        upgrade_given = std::move(options);
        answer(std::move(call), started, std::move(done));
    }
    void rotate_key(roundhouse::product_ptr product, std::string user,
                    completion<std::string> done) override {
        caller_given = product->called_by;
        answer("rotate_key " + user, rotated, std::move(done));
    }
    void begin(roundhouse::product_ptr, std::string user, roundhouse::engine_call_variant what,
               roundhouse::duration span, completion<roundhouse::call_progress> done) override {
        begun_given = what;
        answer("begin " + user + " " + std::to_string(what.index()) + " for " +
                   std::to_string(span.count()),
               progress, std::move(done));
    }
    void wait_for(roundhouse::product_ptr, std::string user, roundhouse::engine_statuses wanted,
                  roundhouse::duration span, completion<roundhouse::call_progress> done) override {
        wanted_given = wanted;
        answer("wait_for " + user + " for " + std::to_string(span.count()), progress,
               std::move(done));
    }
    void change_settings(roundhouse::product_ptr, std::string user,
                         roundhouse::settings_change wanted, roundhouse::change_options options,
                         completion<roundhouse::engine_view> done) override {
        change_given = std::move(wanted);
        change_options_given = options;
        answer("change_settings " + user, engine, std::move(done));
    }
    void note_activity(roundhouse::product_ptr, std::string user,
                       std::optional<roundhouse::duration> busy_for,
                       completion<std::optional<roundhouse::instant>> done) override {
        busy_given = busy_for;
        answer("activity " + user, sleeps_at, std::move(done));
    }
    void logs(roundhouse::product_ptr, std::string user, std::size_t tail,
              completion<std::string> done) override {
        answer("logs " + user + " " + std::to_string(tail), output, std::move(done));
    }
    void stream_logs(roundhouse::product_ptr, std::string user, roundhouse::log_query query,
                     completion<roundhouse::text_stream_ptr> done) override {
        logs_asked = query;
        answer("stream_logs " + user, streamed, std::move(done));
    }
    void audit(roundhouse::audit_query query, completion<roundhouse::audit_page> done) override {
        audit_asked = std::move(query);
        answer("audit", audited, std::move(done));
    }
    void register_product(std::string slug, std::string display_name, roundhouse::policy policy,
                          std::string actor, completion<roundhouse::registration> done) override {
        actor_given = std::move(actor);
        policy_given = std::move(policy);
        answer("register " + slug + " " + display_name, registered, std::move(done));
    }
    void register_product(std::string slug, std::string display_name, roundhouse::policy policy,
                          std::string, std::string actor,
                          completion<roundhouse::registration> done) override {
        register_product(std::move(slug), std::move(display_name), std::move(policy),
                         std::move(actor), std::move(done));
    }
    void configure_platform_key(std::string slug, std::string, roundhouse::duration,
                                completion<roundhouse::configured_key> done) override {
        answer("configure_platform_key " + slug,
               result<roundhouse::configured_key>(roundhouse::configured_key::in_force),
               std::move(done));
    }
    void set_policy(std::string id_or_slug, roundhouse::policy policy, std::string actor,
                    completion<roundhouse::policy> done) override {
        actor_given = std::move(actor);
        policy_given = policy;
        result<roundhouse::policy> outcome = std::move(policy);
        if (policy_failure) outcome = roundhouse::unexpected(*policy_failure);
        answer("set_policy " + id_or_slug, outcome, std::move(done));
    }

    void set_defaults(std::string id_or_slug, roundhouse::provision_options given,
                      std::string actor, completion<roundhouse::defaults_ptr> done) override {
        actor_given = std::move(actor);
        defaults_given = std::move(given);
        answer("set_defaults " + id_or_slug, defaults_set, std::move(done));
    }

    void update_product(std::string id_or_slug, roundhouse::product_changes changes,
                        std::string actor, completion<roundhouse::product_view> done) override {
        actor_given = std::move(actor);
        changes_given = std::move(changes);
        answer("update_product " + id_or_slug, described, std::move(done));
    }

    void register_product_once(std::string slug, std::string, roundhouse::policy policy,
                               roundhouse::idempotent_registration once, std::string actor,
                               completion<std::string> done) override {
        actor_given = std::move(actor);
        const auto text = repeated ? *repeated : once.write_answer(*registered);
        policy_given = std::move(policy);
        registration_once_given = std::move(once);
        answer("register_once " + slug, result<std::string>(text), std::move(done));
    }
    void register_product_once(std::string slug, std::string, roundhouse::policy, std::string key,
                               std::string, completion<roundhouse::registration> done) override {
        answer("register_once " + slug + " " + key, registered, std::move(done));
    }
    void rotate_platform_key(std::string id_or_slug, roundhouse::duration overlap,
                             std::string actor,
                             completion<roundhouse::rotated_platform_key> done) override {
        actor_given = std::move(actor);
        answer("rotate_platform_key " + id_or_slug + " " + std::to_string(overlap.count()), new_key,
               std::move(done));
    }
    void delete_product(std::string name, bool cascade, std::string actor,
                        completion<roundhouse::product_deletion> done) override {
        actor_given = std::move(actor);
        answer("delete_product " + name + (cascade ? " cascade" : ""), deletion, std::move(done));
    }
    void delete_platform_key(std::string id_or_slug, std::uint64_t key_id, std::string actor,
                             completion<void> done) override {
        actor_given = std::move(actor);
        answer("delete_platform_key " + id_or_slug + " " + std::to_string(key_id), key_deleted,
               std::move(done));
    }

    // These are known at once.

    void describe_product(std::string id_or_slug,
                          completion<roundhouse::product_view> done) override {
        note("describe_product " + id_or_slug);
        done(described);
    }
    void list_products(roundhouse::product_query query,
                       completion<roundhouse::product_page> done) override {
        note("list_products");
        products_asked = std::move(query);
        done(products);
    }

    void find_product(std::string id_or_slug, completion<roundhouse::product_ptr> done) override {
        note("find_product " + id_or_slug);
        done(product_);
    }
    void find(roundhouse::product_ptr, std::string user,
              completion<roundhouse::engine_view> done) override {
        note("find " + user);
        done(engine);
    }
    void explain(roundhouse::product_ptr, std::string user,
                 completion<roundhouse::engine_explanation> done) override {
        note("explain " + user);
        done(explained);
    }
    void find_by_id(roundhouse::product_ptr, roundhouse::uuid id,
                    completion<roundhouse::engine_view> done) override {
        note("find_by_id " + to_string(id));
        done(engine);
    }
    void look_up(roundhouse::product_ptr, std::vector<std::string> users,
                 completion<std::vector<roundhouse::engine_view>> done) override {
        std::string call = "look_up";
        for (const auto& user : users) call += ' ' + user;
        note(std::move(call));
        if (engine) done(std::vector(users.size(), *engine));
        else done(roundhouse::unexpected(engine.error()));
    }
    void list(roundhouse::engine_query query,
              completion<roundhouse::engine_view_page> done) override {
        note("list");
        engines_asked = query;
        done(listed);
    }
    void status(roundhouse::product_ptr, completion<roundhouse::fleet_status> done) override {
        note("status");
        done(fleet);
    }
    void metrics(roundhouse::product_ptr, completion<roundhouse::fleet_metrics> done) override {
        note("metrics");
        done(figures);
    }

    void status_of_all(completion<roundhouse::fleet_status> done) override {
        note("status_of_all");
        done(fleet);
    }
    void metrics_of_all(completion<roundhouse::fleet_metrics> done) override {
        note("metrics_of_all");
        done(figures);
    }

    [[nodiscard]] const roundhouse::product_ptr& product() const noexcept { return product_; }

private:
    void note(std::string call) {
        const std::lock_guard lock(mutex_);
        calls.push_back(std::move(call));
    }

    static std::string shown(roundhouse::admit_options options) {
        return std::string(options.auto_provision ? " provision" : "") +
               (options.auto_wake ? " wake" : "");
    }

    /// Records the call, and answers when the test says so.
    template <class T> void answer(std::string call, const result<T>& outcome, completion<T> done) {
        note(std::move(call));
        post([outcome, done = std::move(done)] { done(outcome); });
    }

    roundhouse::product_ptr product_ = [] {
        roundhouse::product made;
        made.id = *roundhouse::parse_uuid("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee");
        made.slug = "demo";
        return std::make_shared<const roundhouse::product>(std::move(made));
    }();
    std::vector<std::function<void()>> waiting_;
    std::mutex mutex_;
};

} // namespace roundhouse_tests
