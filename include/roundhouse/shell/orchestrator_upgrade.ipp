#pragma once

#include <roundhouse/bounded_calls.hpp>
#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/names.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/core/upgrade_state.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/engine_upgrade.hpp>
#include <roundhouse/shell/call_ticket.hpp>
#include <roundhouse/shell/logged_engine.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

/// Upgrades of engines (SPEC §3). The new version is prepared while the old one serves; what follows
/// is the state machine's (core/upgrading.hpp).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Whether the new version has to be there before the old one is ended. An engine that does not run
/// gets it with its next boot, and one that is upgraded to it already has it.
[[nodiscard]] inline bool needs_version(const engine_record& engine, const std::string& version) {
    const bool boots_on = engine.status == engine_status::running ||
                          engine.status == engine_status::provisioning;
    return boots_on && !core::is_upgraded(engine) && present_version(engine) != version;
}

/// The failure of an upgrade whose new version cannot be prepared.
[[nodiscard]] inline error not_prepared(const engine_record& engine, const std::string& version,
                                        const error& cause) {
    error out{errc::upgrade_failed, "The upgrade of the engine of user '" + engine.user_id +
                                        "' to version '" + version +
                                        "' has failed: it cannot be prepared: " + cause.message};
    if (!cause.message.ends_with('.')) out.message += '.';
    out.message += " Nothing was changed.";
    out.details = error_details{boot_failure::prepare, {}, true};
    return out;
}

/// Why an upgrade is not begun, whatever the engine is; nothing if it may be.
ROUNDHOUSE_DECL std::optional<error>
orchestrator_state::refusal(const product& product, const upgrade_options& options) const {
    const auto invalid = [](std::string message) {
        return error{errc::invalid_request, std::move(message)};
    };
    if (const auto fault = core::names::check_version(options.version))
        return invalid("engine_version: " + *fault);
    if (options.healthy_for < duration{0} || options.healthy_for > core::longest_watch_asked)
        return invalid("healthy_for_s: must be 0 to 600.");
    if (options.keep_copy.value_or(false) && !services.backend->has_data_copy())
        return invalid("keep_copy: the server's backend, " + std::string(services.backend->name()) +
                       ", cannot copy an engine's data. Leave it out, or set it to false.");
    if (auto allowed = core::may_use_version(product, options.version, services.settings); !allowed)
        return std::move(allowed.error());
    return std::nullopt;
}

ROUNDHOUSE_DECL void orchestrator_state::upgrade(product_ptr product, std::string user_id,
                                                 upgrade_options options,
                                                 completion<engine_view> done) {
    if (auto refused = refusal(user_id)) return done(unexpected(std::move(*refused)));
    if (auto refused = refusal(*product, options)) return done(unexpected(std::move(*refused)));
    find_record(product, user_id,
                [self = shared_from_this(), product, user_id, options,
                 done = std::move(done)](const result<engine_ptr>& found) {
                    if (!found) return done(unexpected(found.error()));
                    auto prepared = [self, product, user_id, options,
                                     done](const result<void>& outcome) {
                        if (!outcome) return done(unexpected(outcome.error()));
                        self->enqueue_upgrade(product, user_id, options, done);
                    };
                    self->prepare_upgrade(product, *found, options, {}, std::move(prepared));
                });
}

/// Prepares the new version if that is needed, after `begins` in that case.
ROUNDHOUSE_DECL void orchestrator_state::prepare_upgrade(product_ptr product, engine_ptr engine,
                                                         upgrade_options options,
                                                         const std::function<void()>& begins,
                                                         completion<void> prepared) {
    const auto revision = settings_of(*engine).revision;
    const bool needed = needs_version(*engine, options.version);
    if (needed && options.if_revision && *options.if_revision != revision)
        return prepared(unexpected(changed_meanwhile(engine->user_id, revision)));
    if (!needed || !services.backend->has_prepare()) return prepared({});
    if (begins) begins();
    const engine_owner owner{engine->product_id, engine->user_id};
    auto begin = [self = shared_from_this(), product, engine, options,
                  prepared = std::move(prepared)](const result<void>&) {
        auto ended = [self, engine, options, prepared](const std::exception_ptr& failure,
                                                       const result<void>& outcome) {
            self->upgrade_preparations.leave(engine->product_id);
            if (failure) return prepared(unexpected(going_away()));
            if (outcome) return prepared({});
            prepared(unexpected(not_prepared(*engine, options.version, outcome.error())));
        };
        auto body = self->prepare_version(product, engine, options.version);
        self->services.tasks.spawn(std::move(body), std::move(ended));
    };
    upgrade_preparations.enter(owner, allowance_of(*product, services.settings), std::move(begin));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
orchestrator_state::prepare_version(product_ptr product, engine_ptr engine, std::string version) {
    workload wanted{.ref = ref_of(*engine),
                    .owner = {engine->product_id, engine->user_id},
                    .version = std::move(version),
                    .key_hash = engine->key_hash,
                    .product_slug = product->slug};
    auto prepared = co_await services.backend->prepare(wanted);
    co_return prepared;
}

ROUNDHOUSE_DECL void orchestrator_state::enqueue_upgrade(product_ptr product, std::string user_id,
                                                         upgrade_options options,
                                                         completion<engine_view> done) {
    auto upgraded = [self = shared_from_this(), product](const engine_ptr& engine) {
        return self->started_view(engine, *product);
    };
    through_mailbox<engine_view>(std::move(product), std::move(user_id),
                                 call_of(engine_call::upgrade{std::move(options)}),
                                 std::move(upgraded), std::move(done));
}

// Callers who choose how long they wait

/// The caller of an upgrade whose new version is prepared first. Thread-safe.
class orchestrator_state::upgrade_caller {
public:
    /// Whether the caller is the taker's to answer: the first one's.
    [[nodiscard]] bool take() noexcept { return !taken_.exchange(true); }

    std::optional<call_ticket> timer = {}; ///< Set before the preparation begins.

private:
    std::atomic<bool> taken_ = false;
};

ROUNDHOUSE_DECL void orchestrator_state::begin_upgrade(product_ptr product, std::string user_id,
                                                       upgrade_options options, duration until,
                                                       make_progress progress,
                                                       completion<call_progress> done) {
    if (auto refused = refusal(user_id)) return done(unexpected(std::move(*refused)));
    if (auto refused = refusal(*product, options)) return done(unexpected(std::move(*refused)));
    const auto caller = std::make_shared<upgrade_caller>();
    auto time_passed = [self = shared_from_this(), caller, product, user_id, progress, done] {
        if (!caller->take()) return;
        self->find_record(product, user_id, [progress, done](const result<engine_ptr>& row) {
            if (row) done(progress(*row, false));
            else done(unexpected(row.error()));
        });
    };
    auto begins = [self = shared_from_this(), caller, until, time_passed] {
        caller->timer = self->reconciler.timers_of_calls().add(until, time_passed);
    };
    auto prepared = [self = shared_from_this(), caller, product, user_id, options, until, progress,
                     done](const result<void>& outcome) {
        const bool waits = caller->take();
        if (waits && caller->timer) self->reconciler.timers_of_calls().remove(*caller->timer);
        const auto answer = waits ? done : self->not_begun(*product, user_id);
        if (!outcome) return answer(unexpected(outcome.error()));
        self->enqueue_bounded(product, user_id, call_of(engine_call::upgrade{options}), until,
                              progress, answer);
    };
    find_record(product, user_id,
                [self = shared_from_this(), product, options, begins, prepared,
                 done](const result<engine_ptr>& found) {
                    if (!found) return done(unexpected(found.error()));
                    self->prepare_upgrade(product, *found, options, begins, prepared);
                });
}

/// Logs why an upgrade has not begun whose caller was answered before.
ROUNDHOUSE_DECL completion<call_progress>
orchestrator_state::not_begun(const product& product, const std::string& user_id) {
    return [self = shared_from_this(),
            engine = logged_engine(engine_owner{product.id, user_id}, product.slug)](
               const result<call_progress>& outcome) {
        if (outcome) return;
        self->services.log(log_level::warning, "an upgrade has not begun", engine,
                           {{"reason", outcome.error().message}});
    };
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
