#pragma once

#include <roundhouse/bounded_calls.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/fleet_calls.hpp>
#include <roundhouse/wait.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The calls of one product: a value, cheap to copy, that may be used from any thread.
///
/// Each call takes an Asio completion token for the signature `void(result<T>)` as its last argument.
/// Without one it blocks (`wait`). With one it does not block, and the handler is posted to its
/// executor. Cancelling a call ends the wait with `errc::cancelled`, and the operation goes on; a
/// boot that was waited for is finished. What else a call does is said in fleet_calls.hpp. Each call
/// goes by the product's policy as it is at the call.
class product_handle {
public:
    product_handle(std::shared_ptr<fleet_calls> fleet, product_ptr product)
        : fleet_(std::move(fleet)), product_(std::move(product)) {}

    /// The product as it was when the handle was made.
    [[nodiscard]] const product_ptr& product() const noexcept { return product_; }

    // Lifecycle

    template <class Token = const wait_t&>
    auto provision(std::string user_id, std::optional<std::string> version = std::nullopt,
                   Token&& token = wait) const {
        provision_options options;
        options.version = std::move(version);
        return provision(std::move(user_id), std::move(options), std::forward<Token>(token));
    }
    /// The same with all that an engine can be given: `provision("ada", provision_options{...})`.
    template <std::same_as<provision_options> Options, class Token = const wait_t&>
    auto provision(std::string user_id, Options options, Token&& token = wait) const {
        return call<engine_view>(
            [user_id = std::move(user_id), options = std::move(options)](
                fleet_calls& fleet, product_ptr product, completion<engine_view> done) {
                fleet.provision(std::move(product), user_id, options, std::move(done));
            },
            std::forward<Token>(token));
    }
    /// The same once only, however often it is called with this key within 24 hours: the engine as it
    /// is, with the key of the first answer, or the `errc::boot_timeout` of that. Fails with
    /// `errc::engine_not_found` if the engine is gone, and with `errc::idempotency_mismatch` if the
    /// key stands for another call.
    template <class Token = const wait_t&>
    auto provision_once(std::string user_id, provision_options options, std::string key,
                        Token&& token = wait) const {
        return call<engine_view>(
            [user_id = std::move(user_id), options = std::move(options), key = std::move(key)](
                fleet_calls& fleet, product_ptr product, completion<engine_view> done) {
                fleet.provision_once(std::move(product), user_id, options, key, std::move(done));
            },
            std::forward<Token>(token));
    }
    /// The calls that follow take `within{span}`: their caller waits for their end for at most so
    /// long, from now on, and gets the engine as it is then (`call_progress`). The call goes on.
    template <class Token = const wait_t&>
    auto provision(std::string user_id, provision_options options, within most,
                   Token&& token = wait) const {
        return begin(std::move(user_id), engine_call::provision{std::move(options)}, most,
                     std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto start(std::string user_id, within most, Token&& token = wait) const {
        return begin(std::move(user_id), engine_call::start{}, most, std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto stop(std::string user_id, bool force, within most, Token&& token = wait) const {
        return begin(std::move(user_id), engine_call::stop{force}, most,
                     std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto sleep(std::string user_id, sleep_mode mode, within most, Token&& token = wait) const {
        return begin(std::move(user_id), engine_call::sleep{mode}, most,
                     std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto wake(std::string user_id, within most, Token&& token = wait) const {
        return begin(std::move(user_id), engine_call::wake{}, most, std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto rotate_key(std::string user_id, within most, Token&& token = wait) const {
        return begin(std::move(user_id), engine_call::rotate_key{}, most,
                     std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto upgrade(std::string user_id, upgrade_options options, within most,
                 Token&& token = wait) const {
        return begin(std::move(user_id), engine_call::upgrade{std::move(options)}, most,
                     std::forward<Token>(token));
    }
    /// The same for any of these calls.
    template <class Token = const wait_t&>
    auto begin(std::string user_id, engine_call_variant what, within most,
               Token&& token = wait) const {
        return call<call_progress>(
            [user_id = std::move(user_id), what = std::move(what),
             most](fleet_calls& fleet, product_ptr product, completion<call_progress> done) {
                fleet.begin(std::move(product), user_id, what, most.span, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto destroy(std::string user_id, Token&& token = wait) const {
        return for_user<uuid>(&fleet_calls::destroy, std::move(user_id),
                              std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto start(std::string user_id, Token&& token = wait) const {
        return for_user<engine_view>(&fleet_calls::start, std::move(user_id),
                                     std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto stop(std::string user_id, bool force = false, Token&& token = wait) const {
        return call<void>(
            [user_id = std::move(user_id), force](fleet_calls& fleet, product_ptr product,
                                                  completion<void> done) {
                fleet.stop(std::move(product), user_id, force, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto sleep(std::string user_id, sleep_mode mode = sleep_mode::paused,
               Token&& token = wait) const {
        return call<engine_view>(
            [user_id = std::move(user_id), mode](fleet_calls& fleet, product_ptr product,
                                                 completion<engine_view> done) {
                fleet.sleep(std::move(product), user_id, mode, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto wake(std::string user_id, Token&& token = wait) const {
        return for_user<engine_view>(&fleet_calls::wake, std::move(user_id),
                                     std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto upgrade(std::string user_id, upgrade_options options, Token&& token = wait) const {
        return call<engine_view>(
            [user_id = std::move(user_id), options = std::move(options)](
                fleet_calls& fleet, product_ptr product, completion<engine_view> done) {
                fleet.upgrade(std::move(product), user_id, options, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto rotate_key(std::string user_id, Token&& token = wait) const {
        return for_user<std::string>(&fleet_calls::rotate_key, std::move(user_id),
                                     std::forward<Token>(token));
    }

    template <class Token = const wait_t&>
    auto change_settings(std::string user_id, settings_change wanted, change_options options = {},
                         Token&& token = wait) const {
        return call<engine_view>(
            [user_id = std::move(user_id), wanted = std::move(wanted),
             options](fleet_calls& fleet, product_ptr product, completion<engine_view> done) {
                fleet.change_settings(std::move(product), user_id, wanted, options,
                                      std::move(done));
            },
            std::forward<Token>(token));
    }

    // Discovery

    /// Admits a request of a user if that takes no waiting; if it does not answer, `admit` has to
    /// follow. Never blocks.
    [[nodiscard]] std::optional<result<admission>>
    try_admit(std::string_view user_id, const admit_options& options = {}) const {
        const auto product = fleet_->current(product_);
        if (!product) return unexpected(product.error());
        return fleet_->try_admit(*product, user_id, options);
    }
    /// Admits a request of a user, after whatever has to be waited for.
    template <class Token = const wait_t&>
    auto admit(std::string user_id, admit_options options = {}, Token&& token = wait) const {
        return call<admission>(
            [user_id = std::move(user_id), options = std::move(options)](
                fleet_calls& fleet, product_ptr product, completion<admission> done) {
                if (auto now = fleet.try_admit(product, user_id, options))
                    return done(std::move(*now));
                fleet.admit(std::move(product), user_id, options, std::move(done));
            },
            std::forward<Token>(token));
    }
    /// What is left now of the rate at which the product may admit. Never blocks.
    [[nodiscard]] result<std::optional<rate_limit_status>> rate_limit() const {
        const auto product = fleet_->current(product_);
        if (!product) return unexpected(product.error());
        return fleet_->rate_limit(*product);
    }
    template <class Token = const wait_t&>
    auto note_activity(std::string user_id, std::optional<duration> busy_for = std::nullopt,
                       Token&& token = wait) const {
        return call<std::optional<instant>>(
            [user_id = std::move(user_id), busy_for](fleet_calls& fleet, product_ptr product,
                                                     completion<std::optional<instant>> done) {
                fleet.note_activity(std::move(product), user_id, busy_for, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto find(std::string user_id, Token&& token = wait) const {
        return for_user<engine_view>(&fleet_calls::find, std::move(user_id),
                                     std::forward<Token>(token));
    }

    /// Waits until the user's engine is in one of these states: `wait_for("ada",
    /// engine_status::running, 30s)`. After `span` it is answered with the engine as it is.
    template <class Token = const wait_t&>
    auto wait_for(std::string user_id, engine_statuses wanted,
                  duration span = std::chrono::seconds{30}, Token&& token = wait) const {
        return call<call_progress>(
            [user_id = std::move(user_id), wanted, span](fleet_calls& fleet, product_ptr product,
                                                         completion<call_progress> done) {
                fleet.wait_for(std::move(product), user_id, wanted, span, std::move(done));
            },
            std::forward<Token>(token));
    }

    /// Why the user's engine is in its state, and what happens to it next.
    template <class Token = const wait_t&>
    auto explain(std::string user_id, Token&& token = wait) const {
        return for_user<engine_explanation>(&fleet_calls::explain, std::move(user_id),
                                            std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto find_by_id(const uuid& engine_id, Token&& token = wait) const {
        return call<engine_view>(
            [engine_id](fleet_calls& fleet, product_ptr product, completion<engine_view> done) {
                fleet.find_by_id(std::move(product), engine_id, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto look_up(std::vector<std::string> user_ids, Token&& token = wait) const {
        return call<std::vector<engine_view>>(
            [user_ids = std::move(user_ids)](fleet_calls& fleet, product_ptr product,
                                             completion<std::vector<engine_view>> done) {
                fleet.look_up(std::move(product), user_ids, std::move(done));
            },
            std::forward<Token>(token));
    }

    // Fleet

    /// `query.product_id` is set to this product.
    template <class Token = const wait_t&>
    auto list(engine_query query = {}, Token&& token = wait) const {
        return call<engine_view_page>(
            [query = std::move(query)](fleet_calls& fleet, const product_ptr& product,
                                       completion<engine_view_page> done) mutable {
                query.product_id = product->id;
                query.all_products = false;
                fleet.list(query, std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token = const wait_t&> auto status(Token&& token = wait) const {
        return call<fleet_status>(
            [](fleet_calls& fleet, product_ptr product, completion<fleet_status> done) {
                fleet.status(std::move(product), std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token = const wait_t&> auto metrics(Token&& token = wait) const {
        return call<fleet_metrics>(
            [](fleet_calls& fleet, product_ptr product, completion<fleet_metrics> done) {
                fleet.metrics(std::move(product), std::move(done));
            },
            std::forward<Token>(token));
    }
    template <class Token = const wait_t&>
    auto logs(std::string user_id, std::size_t tail = 100, Token&& token = wait) const {
        return call<std::string>(
            [user_id = std::move(user_id), tail](fleet_calls& fleet, product_ptr product,
                                                 completion<std::string> done) {
                fleet.logs(std::move(product), user_id, tail, std::move(done));
            },
            std::forward<Token>(token));
    }
    /// Opens the engine's output; `text_stream::next` reads it piece by piece.
    template <class Token = const wait_t&>
    auto stream_logs(std::string user_id, log_query query = {}, Token&& token = wait) const {
        return call<text_stream_ptr>(
            [user_id = std::move(user_id), query](fleet_calls& fleet, product_ptr product,
                                                  completion<text_stream_ptr> done) {
                fleet.stream_logs(std::move(product), user_id, query, std::move(done));
            },
            std::forward<Token>(token));
    }
    /// `query.product_id` is set to this product.
    template <class Token = const wait_t&>
    auto audit(audit_query query = {}, Token&& token = wait) const {
        return call<audit_page>(
            [query = std::move(query)](fleet_calls& fleet, const product_ptr& product,
                                       completion<audit_page> done) mutable {
                query.product_id = product->id;
                query.all_products = false;
                fleet.audit(query, std::move(done));
            },
            std::forward<Token>(token));
    }

private:
    template <class T>
    using begin_call = std::function<void(fleet_calls&, product_ptr, completion<T>)>;

    template <class T, class Token> auto call(begin_call<T> begin, Token&& token) const {
        return detail::initiate<T>(
            fleet_->executor(),
            [fleet = fleet_, product = product_, begin = std::move(begin)](completion<T> done) {
                auto current = fleet->current(product);
                if (current) begin(*fleet, std::move(*current), std::move(done));
                else done(unexpected(std::move(current.error())));
            },
            std::forward<Token>(token));
    }

    template <class T, class Token>
    auto for_user(void (fleet_calls::*member)(product_ptr, std::string, completion<T>),
                  std::string user_id, Token&& token) const {
        return call<T>(
            [member, user_id = std::move(user_id)](fleet_calls& fleet, product_ptr product,
                                                   completion<T> done) {
                (fleet.*member)(std::move(product), user_id, std::move(done));
            },
            std::forward<Token>(token));
    }

    std::shared_ptr<fleet_calls> fleet_;
    product_ptr product_;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
