#pragma once

#include <roundhouse/bounded_calls.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/fleet_calls.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/product_handle.hpp>
#include <roundhouse/settings.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail {
class orchestrator_state;
struct orchestrator_parts;
} // namespace detail

struct orchestrator_options {
    /// Master keys are required; everything else has a default.
    explicit orchestrator_options(crypto::key_ring keys) : master_keys(std::move(keys)) {}

    crypto::key_ring master_keys; ///< Seal the engines' keys (SPEC §8).
    roundhouse::settings settings;
    crypto::entropy entropy = crypto::system_entropy;
    log_sink log; ///< Nothing is logged if empty.
    /// Texts that are replaced by `*` wherever an engine's output is read, such as the values of
    /// variables that all engines get. Lines of fewer than 6 bytes are left.
    std::vector<std::string> redacted;
};

/// All of an orchestrator that does not depend on its backend, store and clock.
///
/// Members may be called from any thread. Those named `async_...` take an Asio completion token for
/// the signature `void(result<T>)`; the handler is posted to its executor and never called from
/// inside. Cancellation of any type ends the wait with `errc::cancelled`; the operation itself goes
/// on. What else each call does is said in fleet_calls.hpp.
class orchestrator_base {
public:
    orchestrator_base(const orchestrator_base&) = delete;
    orchestrator_base& operator=(const orchestrator_base&) = delete;

    /// The calls of one product.
    [[nodiscard]] product_handle of(product_ptr product) const {
        return {calls_, std::move(product)};
    }

    /// The calls of an administrator about the engines of one product: `actor`, such as `admin`, is the
    /// actor of their audit rows in the place of the product, whose policy holds for them too. Fails
    /// with `errc::product_not_found`. Does not block on what a writer does.
    [[nodiscard]] result<product_handle>
    acting_for(std::string_view id_or_slug, std::string actor = std::string(admin_actor)) const {
        auto product = calls_->acting_for(id_or_slug, std::move(actor));
        if (!product) return unexpected(std::move(product.error()));
        return product_handle(calls_, std::move(*product));
    }

    /// The same calls with completions, for `http::api` and the like. It may outlive the
    /// orchestrator: its calls fail with `errc::shutting_down` then.
    [[nodiscard]] std::shared_ptr<fleet_calls> calls() const { return calls_; }

    [[nodiscard]] bool starting() const noexcept { return calls_->starting(); }
    [[nodiscard]] orchestrator_health health() const { return calls_->health(); }

    // Its own life

    /// Finds again what ran before, finishes or undoes what was begun, and then takes calls. Fails
    /// if store or backend cannot be read, and can be tried again then; and if
    /// `settings::default_policy` has a member that no policy may have so.
    template <class Token> auto async_recover(Token&& token) {
        return initiate<void>(lifetime_call(&orchestrator_base::recover),
                              std::forward<Token>(token));
    }
    /// Stops every engine that runs, all at once and within one stop grace. Their rows keep the
    /// intent: a later recovery boots them again. No other call is taken from here on.
    template <class Token> auto async_stop_all(Token&& token) {
        return initiate<void>(lifetime_call(&orchestrator_base::stop_all),
                              std::forward<Token>(token));
    }
    /// Takes no more calls, waits for those under way, and stores what was only noted. Bound it by a
    /// timer: a boot that is waited for may take its time.
    template <class Token> auto async_close(Token&& token) {
        return initiate<void>(lifetime_call(&orchestrator_base::close), std::forward<Token>(token));
    }

    // Products

    /// Registers a product, and makes its platform key.
    template <class Token>
    auto async_register_product(std::string slug, std::string display_name, policy limits,
                                Token&& token) {
        return initiate<registration>(
            [calls = calls_, slug = std::move(slug), display_name = std::move(display_name),
             limits = std::move(limits)](completion<registration> done) {
                calls->register_product(slug, display_name, limits, std::string(admin_actor),
                                        std::move(done));
            },
            std::forward<Token>(token));
    }
    /// The same once only, however often it is called with this key within 24 hours: what the first
    /// call has returned. Fails with `errc::idempotency_mismatch` if the arguments are others, and with
    /// `errc::product_not_found` if the product is gone.
    template <class Token>
    auto async_register_product_once(std::string slug, std::string display_name, policy limits,
                                     std::string key, Token&& token) {
        return initiate<registration>(
            [calls = calls_, slug = std::move(slug), display_name = std::move(display_name),
             limits = std::move(limits), key = std::move(key)](completion<registration> done) {
                calls->register_product_once(slug, display_name, limits, key,
                                             std::string(admin_actor), std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_register_product_with_key(std::string slug, std::string display_name, policy limits,
                                         std::string platform_key, Token&& token) {
        return initiate<registration>(
            [calls = calls_, slug = std::move(slug), display_name = std::move(display_name),
             limits = std::move(limits),
             platform_key = std::move(platform_key)](completion<registration> done) {
                calls->register_product(slug, display_name, limits, platform_key,
                                        std::string(admin_actor), std::move(done));
            },
            std::forward<Token>(token));
    }
    /// Sees to it that a product has the key that an operator has configured for it, in place of those
    /// that were configured before (`fleet_calls::configure_platform_key`).
    template <class Token>
    auto async_configure_platform_key(std::string slug, std::string platform_key, duration overlap,
                                      Token&& token) {
        return initiate<configured_key>(
            [calls = calls_, slug = std::move(slug), platform_key = std::move(platform_key),
             overlap](completion<configured_key> done) {
                calls->configure_platform_key(slug, platform_key, overlap, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_set_policy(std::string id_or_slug, policy limits, Token&& token) {
        return initiate<policy>(
            [calls = calls_, name = std::move(id_or_slug),
             limits = std::move(limits)](completion<policy> done) {
                calls->set_policy(name, limits, std::string(admin_actor), std::move(done));
            },
            std::forward<Token>(token));
    }
    /// Replaces all that the engines of a product get where they have nothing of their own. They are read
    /// as `product_view::record->defaults` (`async_describe_product`).
    template <class Token>
    auto async_set_defaults(std::string id_or_slug, provision_options given, Token&& token) {
        return initiate<defaults_ptr>(
            [calls = calls_, name = std::move(id_or_slug),
             given = std::move(given)](completion<defaults_ptr> done) {
                calls->set_defaults(name, given, std::string(admin_actor), std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_update_product(std::string id_or_slug, product_changes changes, Token&& token) {
        return initiate<product_view>(
            [calls = calls_, name = std::move(id_or_slug),
             changes = std::move(changes)](completion<product_view> done) {
                calls->update_product(name, changes, std::string(admin_actor), std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_rotate_platform_key(std::string id_or_slug, duration overlap, Token&& token) {
        return initiate<rotated_platform_key>(
            [calls = calls_, name = std::move(id_or_slug),
             overlap](completion<rotated_platform_key> done) {
                calls->rotate_platform_key(name, overlap, std::string(admin_actor),
                                           std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_delete_platform_key(std::string id_or_slug, std::uint64_t key_id, Token&& token) {
        return initiate<void>(
            [calls = calls_, name = std::move(id_or_slug), key_id](completion<void> done) {
                calls->delete_platform_key(name, key_id, std::string(admin_actor), std::move(done));
            },
            std::forward<Token>(token));
    }
    /// Deletes a product, with `cascade` together with its engines: done once that is decided.
    template <class Token>
    auto async_delete_product(std::string id_or_slug, bool cascade, Token&& token) {
        return initiate<product_deletion>(
            [calls = calls_, name = std::move(id_or_slug),
             cascade](completion<product_deletion> done) {
                calls->delete_product(name, cascade, std::string(admin_actor), std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token> auto async_describe_product(std::string id_or_slug, Token&& token) {
        return initiate<product_view>(
            [calls = calls_, name = std::move(id_or_slug)](completion<product_view> done) {
                calls->describe_product(name, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token> auto async_list_products(product_query query, Token&& token) {
        return initiate<product_page>(
            [calls = calls_, query = std::move(query)](completion<product_page> done) {
                calls->list_products(query, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token> auto async_find_product(std::string id_or_slug, Token&& token) {
        return initiate<product_ptr>(
            [calls = calls_, name = std::move(id_or_slug)](completion<product_ptr> done) {
                calls->find_product(name, std::move(done));
            },
            std::forward<Token>(token));
    }
    [[nodiscard]] result<product_ptr> authenticate(std::string_view platform_key) const {
        return calls_->authenticate(platform_key);
    }

    // Lifecycle

    template <class Token>
    auto async_provision(product_ptr product, std::string user_id,
                         std::optional<std::string> version, Token&& token) {
        provision_options options;
        options.version = std::move(version);
        return async_provision(std::move(product), std::move(user_id), std::move(options),
                               std::forward<Token>(token));
    }
    /// The same with all that an engine can be given.
    template <std::same_as<provision_options> Options, class Token>
    auto async_provision(product_ptr product, std::string user_id, Options options, Token&& token) {
        return initiate<engine_view>(
            [calls = calls_, product = std::move(product), user_id = std::move(user_id),
             options = std::move(options)](completion<engine_view> done) {
                calls->provision(product, user_id, options, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_destroy(product_ptr product, std::string user_id, Token&& token) {
        return for_user<uuid>(&fleet_calls::destroy, std::move(product), std::move(user_id),
                              std::forward<Token>(token));
    }
    template <class Token>
    auto async_start(product_ptr product, std::string user_id, Token&& token) {
        return for_user<engine_view>(&fleet_calls::start, std::move(product), std::move(user_id),
                                     std::forward<Token>(token));
    }
    template <class Token>
    auto async_stop(product_ptr product, std::string user_id, bool force, Token&& token) {
        return initiate<void>(
            [calls = calls_, product = std::move(product), user_id = std::move(user_id), force](
                completion<void> done) { calls->stop(product, user_id, force, std::move(done)); },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_sleep(product_ptr product, std::string user_id, sleep_mode mode, Token&& token) {
        return initiate<engine_view>(
            [calls = calls_, product = std::move(product), user_id = std::move(user_id),
             mode](completion<engine_view> done) {
                calls->sleep(product, user_id, mode, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_wake(product_ptr product, std::string user_id, Token&& token) {
        return for_user<engine_view>(&fleet_calls::wake, std::move(product), std::move(user_id),
                                     std::forward<Token>(token));
    }
    template <class Token>
    auto async_upgrade(product_ptr product, std::string user_id, upgrade_options options,
                       Token&& token) {
        return initiate<engine_view>(
            [calls = calls_, product = std::move(product), user_id = std::move(user_id),
             options = std::move(options)](completion<engine_view> done) {
                calls->upgrade(product, user_id, options, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_rotate_key(product_ptr product, std::string user_id, Token&& token) {
        return for_user<std::string>(&fleet_calls::rotate_key, std::move(product),
                                     std::move(user_id), std::forward<Token>(token));
    }

    /// A call whose caller waits for its end for at most so long.
    template <class Token>
    auto async_begin(product_ptr product, std::string user_id, engine_call_variant what,
                     within most, Token&& token) {
        return initiate<call_progress>(
            [calls = calls_, product = std::move(product), user_id = std::move(user_id),
             what = std::move(what), most](completion<call_progress> done) {
                calls->begin(product, user_id, what, most.span, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_change_settings(product_ptr product, std::string user_id, settings_change wanted,
                               change_options options, Token&& token) {
        return initiate<engine_view>(
            [calls = calls_, product = std::move(product), user_id = std::move(user_id),
             wanted = std::move(wanted), options](completion<engine_view> done) {
                calls->change_settings(product, user_id, wanted, options, std::move(done));
            },
            std::forward<Token>(token));
    }

    // Discovery

    [[nodiscard]] std::optional<result<admission>>
    try_admit(const product_ptr& product, std::string_view user_id, const admit_options& options) {
        return calls_->try_admit(product, user_id, options);
    }
    [[nodiscard]] std::optional<rate_limit_status> rate_limit(const product_ptr& product) {
        return calls_->rate_limit(product);
    }
    template <class Token>
    auto async_admit(product_ptr product, std::string user_id, admit_options options,
                     Token&& token) {
        return initiate<admission>(
            [calls = calls_, product = std::move(product), user_id = std::move(user_id),
             options = std::move(options)](completion<admission> done) {
                calls->admit(product, user_id, options, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_note_activity(product_ptr product, std::string user_id,
                             std::optional<duration> busy_for, Token&& token) {
        return initiate<std::optional<instant>>(
            [calls = calls_, product = std::move(product), user_id = std::move(user_id),
             busy_for](completion<std::optional<instant>> done) {
                calls->note_activity(product, user_id, busy_for, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_find(product_ptr product, std::string user_id, Token&& token) {
        return for_user<engine_view>(&fleet_calls::find, std::move(product), std::move(user_id),
                                     std::forward<Token>(token));
    }

    template <class Token>
    auto async_wait_for(product_ptr product, std::string user_id, engine_statuses wanted,
                        duration span, Token&& token) {
        return initiate<call_progress>(
            [calls = calls_, product = std::move(product), user_id = std::move(user_id), wanted,
             span](completion<call_progress> done) {
                calls->wait_for(product, user_id, wanted, span, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_explain(product_ptr product, std::string user_id, Token&& token) {
        return for_user<engine_explanation>(&fleet_calls::explain, std::move(product),
                                            std::move(user_id), std::forward<Token>(token));
    }
    template <class Token>
    auto async_find_by_id(product_ptr product, uuid engine_id, Token&& token) {
        return initiate<engine_view>(
            [calls = calls_, product = std::move(product),
             engine_id](completion<engine_view> done) {
                calls->find_by_id(product, engine_id, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_look_up(product_ptr product, std::vector<std::string> user_ids, Token&& token) {
        return initiate<std::vector<engine_view>>(
            [calls = calls_, product = std::move(product),
             user_ids = std::move(user_ids)](completion<std::vector<engine_view>> done) {
                calls->look_up(product, user_ids, std::move(done));
            },
            std::forward<Token>(token));
    }

    // Fleet

    /// Engines of the query's product, or with `all_products` of all.
    template <class Token> auto async_list(engine_query query, Token&& token) {
        return initiate<engine_view_page>(
            [calls = calls_, query = std::move(query)](completion<engine_view_page> done) {
                calls->list(query, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token> auto async_status(product_ptr product, Token&& token) {
        return initiate<fleet_status>(
            [calls = calls_, product = std::move(product)](completion<fleet_status> done) {
                calls->status(product, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token> auto async_metrics(product_ptr product, Token&& token) {
        return initiate<fleet_metrics>(
            [calls = calls_, product = std::move(product)](completion<fleet_metrics> done) {
                calls->metrics(product, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token> auto async_status_of_all(Token&& token) {
        return initiate<fleet_status>(
            [calls = calls_](completion<fleet_status> done) {
                calls->status_of_all(std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token> auto async_metrics_of_all(Token&& token) {
        return initiate<fleet_metrics>(
            [calls = calls_](completion<fleet_metrics> done) {
                calls->metrics_of_all(std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_logs(product_ptr product, std::string user_id, std::size_t tail, Token&& token) {
        return initiate<std::string>(
            [calls = calls_, product = std::move(product), user_id = std::move(user_id),
             tail](completion<std::string> done) {
                calls->logs(product, user_id, tail, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token>
    auto async_stream_logs(product_ptr product, std::string user_id, log_query query,
                           Token&& token) {
        return initiate<text_stream_ptr>(
            [calls = calls_, product = std::move(product), user_id = std::move(user_id),
             query](completion<text_stream_ptr> done) {
                calls->stream_logs(product, user_id, query, std::move(done));
            },
            std::forward<Token>(token));
    }
    /// Rows of the query's product, or with `all_products` of all.
    template <class Token> auto async_audit(audit_query query, Token&& token) {
        return initiate<audit_page>(
            [calls = calls_, query = std::move(query)](completion<audit_page> done) {
                calls->audit(query, std::move(done));
            },
            std::forward<Token>(token));
    }

protected:
    explicit orchestrator_base(detail::orchestrator_parts parts);
    /// Ends its own work and leaves the engines as they are; calls under way fail with
    /// `errc::shutting_down`.
    ~orchestrator_base();

private:
    using state_ptr = std::shared_ptr<detail::orchestrator_state>;
    using lifetime_function = void (*)(const state_ptr&, completion<void>);

    static void recover(const state_ptr& state, completion<void> done);
    static void stop_all(const state_ptr& state, completion<void> done);
    static void close(const state_ptr& state, completion<void> done);

    [[nodiscard]] std::function<void(completion<void>)> lifetime_call(lifetime_function begin) {
        return [state = state_, begin](completion<void> done) { begin(state, std::move(done)); };
    }

    template <class T, class Token>
    auto initiate(std::function<void(completion<T>)> begin, Token&& token) {
        return detail::initiate<T>(calls_->executor(), std::move(begin),
                                   std::forward<Token>(token));
    }

    template <class T, class Token>
    auto for_user(void (fleet_calls::*begin)(product_ptr, std::string, completion<T>),
                  product_ptr product, std::string user_id, Token&& token) {
        return initiate<T>(
            [calls = calls_, begin, product = std::move(product), user_id = std::move(user_id)](
                completion<T> done) { (*calls.*begin)(product, user_id, std::move(done)); },
            std::forward<Token>(token));
    }

    const state_ptr state_;
    const std::shared_ptr<fleet_calls> calls_; ///< The same object.
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/orchestrator_base.ipp>
#endif
