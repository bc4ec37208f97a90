#pragma once

#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/engine_settings_check.hpp>
#include <roundhouse/core/names.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/crypto/sealed_env.hpp>
#include <roundhouse/shell/engine_secrets.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <exception>
#include <utility>
#include <vector>

/// The calls of products about their engines.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL orchestrator_health orchestrator_state::health() const {
    return {starting(),
            services.steady_now() - began,
            services.backend->name(),
            services.store->name(),
            services.backend->trouble(),
            services.store->trouble(),
            services.backend->isolation()};
}

// Lifecycle

/// Why a call is not taken: none is taken at present, or the user cannot be called so.
ROUNDHOUSE_DECL std::optional<error> orchestrator_state::refusal(std::string_view user_id) const {
    if (auto refused = refusal()) return refused;
    if (const auto fault = core::names::check_user_id(user_id))
        return error{errc::invalid_request, "user_id: " + *fault};
    return std::nullopt;
}

template <class T>
void orchestrator_state::through_mailbox(product_ptr product, std::string user_id,
                                         waiting_call call, make_answer<T> answer,
                                         completion<T> done) {
    if (auto refused = refusal(user_id)) return done(unexpected(std::move(*refused)));
    const engine_owner owner{product->id, std::move(user_id)};
    call.product = std::move(product);
    call.done = [answer = std::move(answer),
                 done = std::move(done)](const result<engine_ptr>& outcome) {
        if (outcome) done(answer(*outcome));
        else done(unexpected(outcome.error()));
    };
    enqueue(owner, std::move(call));
}

/// Why an engine is not given this; nothing if it is.
ROUNDHOUSE_DECL std::optional<error>
orchestrator_state::refusal(const provision_options& options) const {
    const auto fault = core::check_options(options);
    if (fault) return error{errc::invalid_request, fault->member + ": " + fault->complaint};
    return std::nullopt;
}

/// The settings that a record keeps, with the variables sealed; null if there are none.
ROUNDHOUSE_DECL std::shared_ptr<const engine_settings>
orchestrator_state::sealed(provision_options options) const {
    engine_settings out;
    for (const auto& [name, value] : options.env) out.env_names.push_back(name);
    out.sealed_env = crypto::seal_env(options.env, services.keys, services.now(), services.entropy);
    out.metadata = std::move(options.metadata);
    out.limits = options.limits;
    out.stop_grace = options.stop_grace;
    out.sleep = options.sleep;
    if (out == no_settings()) return nullptr;
    return std::make_shared<const engine_settings>(std::move(out));
}

ROUNDHOUSE_DECL waiting_call::creation
orchestrator_state::creation_of(provision_options options) const {
    waiting_call::creation out;
    out.version = std::move(options.version);
    out.settings = sealed(std::move(options));
    return out;
}

ROUNDHOUSE_DECL void orchestrator_state::provision(product_ptr product, std::string user_id,
                                                   provision_options options,
                                                   completion<engine_view> done) {
    auto call = call_of(engine_call::provision{std::move(options)});
    if (!call) return done(unexpected(std::move(call.error())));
    auto made = [self = shared_from_this(), product](const engine_ptr& engine) {
        return self->view(engine, true, *product);
    };
    through_mailbox<engine_view>(std::move(product), std::move(user_id), std::move(*call),
                                 std::move(made), std::move(done));
}

ROUNDHOUSE_DECL void orchestrator_state::destroy(product_ptr product, std::string user_id,
                                                 completion<uuid> done) {
    waiting_call call;
    call.call = core::call::destroy{};
    through_mailbox<uuid>(
        std::move(product), std::move(user_id), std::move(call),
        [](const engine_ptr& last) -> result<uuid> { return last->id; }, std::move(done));
}

/// What was done is done, also if no master key opens the engine's key.
ROUNDHOUSE_DECL result<engine_view> orchestrator_state::started_view(const engine_ptr& engine,
                                                                     const product& of) const {
    auto seen = view(engine, true, of);
    return seen ? seen : view(engine, false, of);
}

ROUNDHOUSE_DECL void orchestrator_state::start(product_ptr product, std::string user_id,
                                               completion<engine_view> done) {
    auto call = call_of(engine_call::start{});
    auto started = [self = shared_from_this(), product](const engine_ptr& engine) {
        return self->started_view(engine, *product);
    };
    through_mailbox<engine_view>(std::move(product), std::move(user_id), std::move(call),
                                 std::move(started), std::move(done));
}

ROUNDHOUSE_DECL void orchestrator_state::stop(product_ptr product, std::string user_id, bool force,
                                              completion<void> done) {
    auto call = call_of(engine_call::stop{force});
    through_mailbox<void>(
        std::move(product), std::move(user_id), std::move(call),
        [](const engine_ptr&) -> result<void> { return {}; }, std::move(done));
}

ROUNDHOUSE_DECL void orchestrator_state::sleep(product_ptr product, std::string user_id,
                                               sleep_mode mode, completion<engine_view> done) {
    auto call = call_of(engine_call::sleep{mode});
    auto asleep = [self = shared_from_this(), product](const engine_ptr& engine) {
        return self->view(engine, false, *product);
    };
    through_mailbox<engine_view>(std::move(product), std::move(user_id), std::move(call),
                                 std::move(asleep), std::move(done));
}

ROUNDHOUSE_DECL void orchestrator_state::wake(product_ptr product, std::string user_id,
                                              completion<engine_view> done) {
    auto call = call_of(engine_call::wake{});
    auto awake = [self = shared_from_this(), product](const engine_ptr& engine) {
        return self->started_view(engine, *product);
    };
    through_mailbox<engine_view>(std::move(product), std::move(user_id), std::move(call),
                                 std::move(awake), std::move(done));
}

ROUNDHOUSE_DECL void orchestrator_state::rotate_key(product_ptr product, std::string user_id,
                                                    completion<std::string> done) {
    auto key = crypto::make_engine_key(services.entropy);
    auto call = rotation(key);
    through_mailbox<std::string>(
        std::move(product), std::move(user_id), std::move(call),
        [key = std::move(key)](const engine_ptr&) -> result<std::string> { return key; },
        std::move(done));
}

// Discovery

ROUNDHOUSE_DECL void orchestrator_state::admit(product_ptr product, std::string user_id,
                                               admit_options options, completion<admission> done) {
    if (auto refused = refusal(user_id)) return done(unexpected(std::move(*refused)));
    const engine_owner owner{product->id, std::move(user_id)};
    if (options.wait)
        if (auto refused = refusal(*options.wait)) return done(unexpected(std::move(*refused)));
    waiting_call call;
    call.call = core::call::admit{options.auto_wake};
    if (options.provision)
        if (auto refused = refusal(*options.provision))
            return done(unexpected(std::move(*refused)));
    if (options.auto_provision)
        call.create = creation_of(options.provision ? *options.provision : provision_options{});
    call.product = product;
    if (options.wait) bound(call, *options.wait, done);
    call.done = [self = shared_from_this(), product,
                 done = std::move(done)](const result<engine_ptr>& outcome) {
        done(self->admission_of(*product, outcome));
    };
    enqueue(owner, std::move(call));
}

ROUNDHOUSE_DECL void orchestrator_state::note_activity(product_ptr product, std::string user_id,
                                                       std::optional<duration> busy_for,
                                                       completion<std::optional<instant>> done) {
    const auto span = busy_for.value_or(duration{0});
    if (span < duration{0} || span > core::longest_lease)
        return done(fail(errc::invalid_request, "busy_for must be 0 to 86400 seconds."));
    waiting_call call;
    call.call = core::call::lease{span};
    auto answer = [self = shared_from_this(), called_at = services.steady_now()](
                      const engine_ptr& engine) -> result<std::optional<instant>> {
        if (engine->status != engine_status::running) return std::nullopt;
        self->running.use(*engine, called_at, engine_use::activity);
        return self->sleeps_at(*engine);
    };
    through_mailbox<std::optional<instant>>(std::move(product), std::move(user_id), std::move(call),
                                            std::move(answer), std::move(done));
}

// Output

ROUNDHOUSE_DECL void orchestrator_state::logs(product_ptr product, std::string user_id,
                                              std::size_t tail, completion<std::string> done) {
    find_record(
        product, user_id,
        [self = shared_from_this(), tail, done = std::move(done)](const result<engine_ptr>& found) {
            if (!found) return done(unexpected(found.error()));
            auto ended = [done](const std::exception_ptr& failure, result<std::string> lines) {
                if (failure) done(unexpected(going_away()));
                else done(std::move(lines));
            };
            self->services.tasks.spawn(self->read_logs(*found, tail), std::move(ended));
        });
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>>
orchestrator_state::read_logs(engine_ptr engine, std::size_t tail) {
    const auto ref = ref_of(*engine);
    auto reading = services.backend->logs(ref, tail);
    const auto lines = co_await std::move(reading);
    if (!lines) co_return lines;
    co_return redactor(secrets_of(*engine, services)).whole(*lines);
}

ROUNDHOUSE_DECL void orchestrator_state::stream_logs(product_ptr product, std::string user_id,
                                                     log_query query,
                                                     completion<text_stream_ptr> done) {
    if (closed.load()) return done(unexpected(going_away()));
    find_record(product, user_id,
                [self = shared_from_this(), query,
                 done = std::move(done)](const result<engine_ptr>& found) {
                    if (!found) return done(unexpected(found.error()));
                    auto place = self->log_streams->take((*found)->product_id, (*found)->id);
                    if (!place) return done(unexpected(place.error()));
                    // The caller's stream has the place alone: with the stream it is given back.
                    auto opened = [self, done, engine = *found, place = std::move(*place)](
                                      const std::exception_ptr& failure,
                                      const result<log_source_ptr>& source) mutable {
                        if (failure || !source) {
                            place.reset();
                            return done(unexpected(failure ? going_away() : source.error()));
                        }
                        const std::shared_ptr<task_group> tasks(self, &self->services.tasks);
                        done(text_stream_ptr(std::make_shared<log_reader>(
                            tasks, *source, redactor(secrets_of(*engine, self->services)),
                            std::move(place))));
                    };
                    self->services.tasks.spawn(self->open_logs(*found, query), std::move(opened));
                });
}

ROUNDHOUSE_DECL asio::awaitable<result<log_source_ptr>>
orchestrator_state::open_logs(engine_ptr engine, log_query query) {
    const auto ref = ref_of(*engine);
    // Backends do not agree on output that is not to be sent yet.
    if (query.since) query.since = std::min(*query.since, services.now());
    auto source = co_await services.backend->open_logs(ref, query);
    co_return source;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
