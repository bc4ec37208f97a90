#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/core/calls.hpp>
#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/shell/admissions.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>
#include <roundhouse/shell/products.hpp>
#include <roundhouse/shell/recovery.hpp>
#include <roundhouse/shell/stop_all.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/post.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

struct orchestrator_options {
    /// Master keys there must be; everything else has a default.
    explicit orchestrator_options(crypto::key_ring keys) : master_keys(std::move(keys)) {}

    crypto::key_ring master_keys; ///< Seal the engines' keys (SPEC §8).
    roundhouse::settings settings;
    crypto::entropy entropy = crypto::system_entropy;
    log_sink log; ///< Nothing is logged if empty.
    /// Texts that no line of the log may hold, such as the values of variables that engines get. An
    /// engine may write them, and what one wrote before its boot failed is logged. Those of fewer
    /// than 8 bytes are not looked for.
    std::vector<std::string> hidden;
};

/// Keeps a fleet of engines over a backend, a store and a clock.
///
/// All members may be called from any thread. Members named `async_…` take an Asio completion token
/// for the signature `void(result<T>)` and never call the handler from inside; the others answer at
/// once and do no I/O but the store's reads. Commits and the backend's system calls block threads
/// of the executor: give it threads of its own, at least two, that serve no listener.
/// `async_recover` comes first; until it is done every other call fails with `errc::starting`.
///
/// Destroying it ends its own work and leaves the engines as they are; calls under way fail with
/// `errc::shutting_down`.
template <class Backend, class Store, class Clock> class orchestrator {
    static_assert(require_backend<Backend>());
    static_assert(require_store<Store>());
    static_assert(require_clock<Clock>());

public:
    orchestrator(asio::any_io_executor executor, std::shared_ptr<Backend> backend,
                 std::shared_ptr<Store> store, std::shared_ptr<Clock> clock,
                 orchestrator_options options)
        : fleet_(std::make_shared<fleet>(parts{std::move(executor),
                                               std::move(backend),
                                               std::move(store),
                                               std::move(clock),
                                               std::move(options.settings),
                                               std::move(options.master_keys),
                                               std::move(options.entropy),
                                               std::move(options.log),
                                               std::move(options.hidden),
                                               {},
                                               {},
                                               {},
                                               {}})) {
        fleet_->connect();
    }

    ~orchestrator() { fleet_->close(); }
    orchestrator(const orchestrator&) = delete;
    orchestrator& operator=(const orchestrator&) = delete;

    // Its own life

    [[nodiscard]] bool starting() const noexcept {
        return fleet_->starting.load(std::memory_order_relaxed);
    }

    [[nodiscard]] orchestrator_health health() const {
        const auto& with = fleet_->parts();
        return {starting(),         fleet_->uptime(),        with.backend->name(),
                with.store->name(), with.backend->trouble(), with.store->trouble()};
    }

    /// Finds again what ran before, finishes or undoes what was begun, and then takes calls. Fails
    /// if store or backend cannot be read; it can be tried again then.
    template <class Token> auto async_recover(Token&& token) {
        return on_executor<void>(
            [](std::shared_ptr<fleet> self, detail::completion<void> done) {
                auto ended = [self, done](const std::exception_ptr& failure, result<void> outcome) {
                    if (failure)
                        return done(fail(errc::shutting_down, "The recovery was cancelled."));
                    if (outcome && self->starting.exchange(false)) self->keep_house();
                    done(std::move(outcome));
                };
                auto work = std::make_shared<detail::task>(self->parts().executor);
                auto body = detail::recovery<fleet>::run(self, work);
                self->engines().tasks()->spawn(work, std::move(body), std::move(ended));
            },
            std::forward<Token>(token));
    }

    /// Stops every engine that runs, all at once and within one stop grace. Their rows keep the
    /// intent: a later recovery boots them again. No other call is taken from here on.
    template <class Token> auto async_stop_all(Token&& token) {
        return on_executor<void>(
            [](std::shared_ptr<fleet> self, detail::completion<void> done) {
                detail::stop_all<fleet>::run(std::move(self), std::move(done));
            },
            std::forward<Token>(token));
    }

    /// Takes no more calls, waits for those under way, and writes down what was only noted. Bound
    /// it by a timer: a boot that is waited for may take its time.
    template <class Token> auto async_close(Token&& token) {
        return on_executor<void>(
            [](std::shared_ptr<fleet> self, detail::completion<void> done) {
                self->draining.store(true);
                self->engines().when_quiet([self, done = std::move(done)] {
                    self->write_denials();
                    self->write_activity();
                    done(result<void>{});
                });
            },
            std::forward<Token>(token));
    }

    // Products

    /// Registers a product, and makes its platform key. Slug and name are taken as they are.
    template <class Token>
    auto async_register_product(std::string slug, std::string display_name, policy limits,
                                Token&& token) {
        return async_register_product_with_key(
            std::move(slug), std::move(display_name), std::move(limits),
            crypto::make_platform_key(fleet_->parts().entropy), std::forward<Token>(token));
    }

    /// The same with a key that the caller has made (`crypto::make_platform_key`).
    template <class Token>
    auto async_register_product_with_key(std::string slug, std::string display_name, policy limits,
                                         std::string platform_key, Token&& token) {
        auto begin = [slug = std::move(slug), display_name = std::move(display_name),
                      limits = std::move(limits), key = std::move(platform_key)](
                         std::shared_ptr<fleet> self,
                         detail::completion<registration> done) mutable {
            product record;
            record.id = crypto::make_uuid(self->parts().entropy);
            record.slug = slug;
            record.display_name = std::move(display_name);
            record.key_hash = crypto::sha256(key);
            record.policy = std::move(limits);
            record.created_at = self->parts().clock->now();
            const auto id = record.id;
            auto ok = detail::put_product_row(*self, std::move(record),
                                              audit_action::policy_register);
            if (!ok) return done(unexpected(std::move(ok.error())));
            done(registration{id, std::move(slug), std::move(key)});
        };
        return on_executor<registration>(std::move(begin), std::forward<Token>(token));
    }

    /// Replaces a product's whole policy, effective on the next request.
    template <class Token>
    auto async_set_policy(std::string id_or_slug, policy limits, Token&& token) {
        auto begin = [name = std::move(id_or_slug), limits = std::move(limits)](
                         std::shared_ptr<fleet> self, detail::completion<policy> done) {
            done(detail::replace_policy(*self, name, limits));
        };
        return on_executor<policy>(std::move(begin), std::forward<Token>(token));
    }

    /// Null if there is no such product.
    [[nodiscard]] result<product_ptr> find_product_named(std::string_view id_or_slug) const {
        return fleet_->parts().store->find_product_named(id_or_slug);
    }

    /// The product that a platform key belongs to, or `invalid_platform_key`. Only the key's hash
    /// is compared.
    [[nodiscard]] result<product_ptr> authenticate(std::string_view platform_key) const {
        auto found = fleet_->parts().store->find_product(crypto::sha256(platform_key));
        if (found && !*found)
            return fail(
                errc::invalid_platform_key,
                "The platform key is not known. Send the key that the registration returned.");
        return found;
    }

    // Lifecycle

    /// Creates the user's engine and boots it; done once it answers healthy.
    template <class Token>
    auto async_provision(product_ptr who, std::string user, std::optional<std::string> version,
                         Token&& token) {
        detail::waiting_call call;
        call.call = core::call::provision{};
        call.create.emplace(typename detail::waiting_call::creation{std::move(version)});
        return through_mailbox<engine_view>(std::move(who), std::move(user), std::move(call),
                                            viewed(true), std::forward<Token>(token));
    }

    /// Ends the user's engine and removes its data; answers with its id.
    template <class Token> auto async_destroy(product_ptr who, std::string user, Token&& token) {
        detail::waiting_call call;
        call.call = core::call::destroy{};
        auto answer = [](fleet&, const engine_ptr& last) -> result<uuid> { return last->id; };
        return through_mailbox<uuid>(std::move(who), std::move(user), std::move(call), answer,
                                     std::forward<Token>(token));
    }

    /// Boots or wakes the user's engine; answers with its url.
    template <class Token> auto async_start(product_ptr who, std::string user, Token&& token) {
        detail::waiting_call call;
        call.call = core::call::start{};
        auto answer = [](fleet& self, const engine_ptr& engine) -> result<std::string> {
            return self.parts().backend->url(engine->id, engine->port);
        };
        return through_mailbox<std::string>(std::move(who), std::move(user), std::move(call),
                                            answer, std::forward<Token>(token));
    }

    /// Stops the user's engine. `force` also stops one that sleeps, boots or has failed.
    template <class Token>
    auto async_stop(product_ptr who, std::string user, bool force, Token&& token) {
        detail::waiting_call call;
        call.call = core::call::stop{force};
        auto answer = [](fleet&, const engine_ptr&) -> result<void> { return {}; };
        return through_mailbox<void>(std::move(who), std::move(user), std::move(call), answer,
                                     std::forward<Token>(token));
    }

    /// Gives the user's engine a new key; answers with it once only that key opens the engine.
    template <class Token> auto async_rotate_key(product_ptr who, std::string user, Token&& token) {
        const auto& with = fleet_->parts();
        auto key = crypto::make_engine_key(with.entropy);
        detail::waiting_call call;
        call.call = core::call::rotate{crypto::sha256(key),
                                       with.keys.seal(key, with.clock->now(), with.entropy)};
        auto answer = [key = std::move(key)](fleet&, const engine_ptr&) -> result<std::string> {
            return key;
        };
        return through_mailbox<std::string>(std::move(who), std::move(user), std::move(call),
                                            std::move(answer), std::forward<Token>(token));
    }

    // Discovery

    /// Admits a request of a user if that takes no waiting: takes its place in the rate limit, and
    /// answers, or not. Without an answer `async_admit` has to follow, which does not count against
    /// the limit again.
    [[nodiscard]] std::optional<result<admission>>
    try_admit(const product_ptr& who, std::string_view user, admit_options how) {
        if (auto closed = refused(*fleet_)) return unexpected(std::move(*closed));
        return detail::admit_now(*fleet_, *who, user, how);
    }

    /// Admits a request of a user, after whatever has to be waited for.
    template <class Token>
    auto async_admit(product_ptr who, std::string user, admit_options how, Token&& token) {
        detail::waiting_call call;
        call.call = core::call::admit{how.auto_wake};
        if (how.auto_provision) call.create.emplace();
        auto begin = [this_fleet = fleet_, who, user = std::move(user),
                      call = std::move(call)](detail::completion<admission> done) mutable {
            call.product = who;
            call.done = [this_fleet, who,
                         done = std::move(done)](const result<engine_ptr>& outcome) {
                done(detail::admission_of(*this_fleet, *who, outcome));
            };
            submit(*this_fleet, std::move(user), std::move(call));
        };
        return detail::initiate<admission>(fleet_->parts().executor, std::move(begin),
                                           std::forward<Token>(token));
    }

    /// Tells that the user's engine is in use, and if asked keeps it awake for a while. Answers
    /// when it will sleep if nothing more happens; nothing if it does not run or never sleeps.
    template <class Token>
    auto async_note_activity(product_ptr who, std::string user, std::optional<duration> busy_for,
                             Token&& token) {
        const auto now = fleet_->parts().clock->now();
        detail::waiting_call call;
        call.call = core::call::lease{busy_for ? now + *busy_for : instant{}};
        auto answer = [now](fleet& self,
                            const engine_ptr& engine) -> result<std::optional<instant>> {
            if (engine->status != engine_status::running) return std::nullopt;
            self.running().touch(*engine, now);
            return self.watch().sleeps_at(*engine);
        };
        return through_mailbox<std::optional<instant>>(
            std::move(who), std::move(user), std::move(call), answer, std::forward<Token>(token));
    }

    /// The user's engine as it is.
    [[nodiscard]] result<engine_view> find(const product_ptr& who, std::string_view user) const {
        const auto found = fleet_->parts().store->find_engine(who->id, user);
        if (!found) return unexpected(found.error());
        if (!*found)
            return fail(errc::engine_not_found, "User '" + std::string(user) + "' has no engine.");
        return fleet_->view(*found, true);
    }

    // Fleet

    [[nodiscard]] result<engine_view_page> list(const engine_query& query) const {
        const auto page = fleet_->parts().store->list_engines(query);
        if (!page) return unexpected(page.error());
        engine_view_page out;
        out.total = page->total;
        for (const auto& engine : page->engines) {
            auto one = fleet_->view(engine, false);
            if (!one) return unexpected(std::move(one.error()));
            out.engines.push_back(std::move(*one));
        }
        return out;
    }

    [[nodiscard]] result<fleet_status> status(const product_ptr& who) const {
        const auto counts = fleet_->parts().store->counts(who->id);
        if (!counts) return unexpected(counts.error());
        const auto failed = counts->of(engine_status::failed);
        const bool critical = failed * 100 >=
                              counts->total() * fleet_->parts().settings.critical_percent;
        return fleet_status{*counts, failed == 0 ? fleet_health::ok
                                     : critical  ? fleet_health::critical
                                                 : fleet_health::degraded};
    }

    [[nodiscard]] result<fleet_metrics> metrics(const product_ptr& who) const {
        const auto counts = fleet_->parts().store->counts(who->id);
        if (!counts) return unexpected(counts.error());
        const auto hour = fleet_->metrics().read(who->id, fleet_->parts().clock->now());
        return fleet_metrics{
            hour.provisions,          hour.crashes,          hour.restarts, hour.avg_boot_ms(),
            counts->total_provisions, counts->total_destroys};
    }

    /// The last `tail` lines of an engine's output.
    template <class Token>
    auto async_logs(product_ptr who, std::string user, std::size_t tail, Token&& token) {
        auto begin = [who = std::move(who), user = std::move(user),
                      tail](std::shared_ptr<fleet> self, detail::completion<std::string> done) {
            const auto found = self->parts().store->find_engine(who->id, user);
            if (!found) return done(unexpected(found.error()));
            if (!*found)
                return done(fail(errc::engine_not_found, "User '" + user + "' has no engine."));
            auto ended = [done](const std::exception_ptr& failure, result<std::string> lines) {
                if (failure)
                    return done(fail(errc::shutting_down, "The orchestrator is shutting down.", 1));
                done(std::move(lines));
            };
            auto body = read_logs(self, *found, tail);
            self->engines().tasks()->spawn(std::make_shared<detail::task>(self->parts().executor),
                                           std::move(body), std::move(ended));
        };
        return on_executor<std::string>(std::move(begin), std::forward<Token>(token));
    }

    /// Audit rows, with every denial counted up to now.
    template <class Token> auto async_audit(product_ptr who, audit_query query, Token&& token) {
        query.product_id = who->id;
        auto begin = [query = std::move(query)](std::shared_ptr<fleet> self,
                                                detail::completion<audit_page> done) {
            self->write_denials();
            done(self->parts().store->audit(query));
        };
        return on_executor<audit_page>(std::move(begin), std::forward<Token>(token));
    }

private:
    using fleet = detail::fleet<Backend, Store, Clock>;
    using parts = detail::shell_parts<Backend, Store, Clock>;

    [[nodiscard]] static std::optional<error> refused(const fleet& self) {
        if (self.starting.load(std::memory_order_relaxed))
            return error{errc::starting,
                         "The orchestrator is recovering its engines. Try again shortly.", 1};
        if (self.draining.load(std::memory_order_relaxed))
            return error{errc::shutting_down, "The orchestrator is shutting down.", 1};
        return std::nullopt;
    }

    /// Runs `begin(fleet, completion<T>)` on the executor.
    template <class T, class Begin, class Token> auto on_executor(Begin begin, Token&& token) {
        auto start = [self = fleet_, begin = std::move(begin)](detail::completion<T> done) mutable {
            const auto executor = self->parts().executor;
            asio::post(executor, [self = std::move(self), begin = std::move(begin),
                                  done = std::move(done)]() mutable {
                begin(std::move(self), std::move(done));
            });
        };
        return detail::initiate<T>(fleet_->parts().executor, std::move(start),
                                   std::forward<Token>(token));
    }

    static void submit(fleet& self, std::string user, detail::waiting_call call) {
        if (auto closed = refused(self)) return call.done(unexpected(std::move(*closed)));
        const engine_owner owner{call.product->id, std::move(user)};
        self.engines().call(owner, std::move(call));
    }

    /// Sends a call through its engine's mailbox; `answer(fleet, record)` makes what the caller gets.
    template <class T, class Answer, class Token>
    auto through_mailbox(product_ptr who, std::string user, detail::waiting_call call,
                         Answer answer, Token&& token) {
        auto begin = [this_fleet = fleet_, who = std::move(who), user = std::move(user),
                      call = std::move(call),
                      answer = std::move(answer)](detail::completion<T> done) mutable {
            call.product = std::move(who);
            call.done = [this_fleet, answer = std::move(answer),
                         done = std::move(done)](const result<engine_ptr>& outcome) {
                if (outcome) done(answer(*this_fleet, *outcome));
                else done(unexpected(outcome.error()));
            };
            submit(*this_fleet, std::move(user), std::move(call));
        };
        return detail::initiate<T>(fleet_->parts().executor, std::move(begin),
                                   std::forward<Token>(token));
    }

    static auto viewed(bool with_key) {
        return [with_key](fleet& self, const engine_ptr& engine) {
            return self.view(engine, with_key);
        };
    }

    static asio::awaitable<result<std::string>> read_logs(std::shared_ptr<fleet> self,
                                                          engine_ptr engine, std::size_t tail) {
        const workload_ref ref{engine->id, engine->generation, engine->port};
        auto lines = co_await self->parts().backend->logs(ref, tail);
        co_return lines;
    }

    const std::shared_ptr<fleet> fleet_;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
