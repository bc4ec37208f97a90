#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/changes.hpp>
#include <roundhouse/error.hpp>

#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail {

/// Begins a call with a callback, and waits for it. Not `asio::use_future`, which completes on the
/// system executor, and so starts threads that nobody gave.
template <class T, class Begin> result<T> wait_for(Begin begin) {
    // Shared: the waiting thread may be gone before `set_value` has returned.
    const auto promise = std::make_shared<std::promise<result<T>>>();
    auto outcome = promise->get_future();
    begin(std::function<void(result<T>)>(
        [promise](result<T> value) { promise->set_value(std::move(value)); }));
    return outcome.get();
}

} // namespace detail

/// The calls of an orchestrator as plain functions that wait for their outcome.
///
/// Never call them on a thread of the orchestrator's executor: it may be the one that is waited
/// for.
template <class Orchestrator> class blocking {
public:
    explicit blocking(std::shared_ptr<Orchestrator> over) : over_(std::move(over)) {}

    result<void> recover() {
        return detail::wait_for<void>([&](auto done) { over_->async_recover(std::move(done)); });
    }
    result<void> stop_all() {
        return detail::wait_for<void>([&](auto done) { over_->async_stop_all(std::move(done)); });
    }
    result<void> close() {
        return detail::wait_for<void>([&](auto done) { over_->async_close(std::move(done)); });
    }

    result<registration> register_product(std::string slug, std::string display_name,
                                          policy limits = {}) {
        return detail::wait_for<registration>([&](auto done) {
            over_->async_register_product(std::move(slug), std::move(display_name),
                                          std::move(limits), std::move(done));
        });
    }
    result<policy> set_policy(std::string id_or_slug, policy limits) {
        return detail::wait_for<policy>([&](auto done) {
            over_->async_set_policy(std::move(id_or_slug), std::move(limits), std::move(done));
        });
    }

    result<engine_view> provision(product_ptr who, std::string user,
                                  std::optional<std::string> version = {}) {
        return detail::wait_for<engine_view>([&](auto done) {
            over_->async_provision(std::move(who), std::move(user), std::move(version),
                                   std::move(done));
        });
    }
    result<uuid> destroy(product_ptr who, std::string user) {
        return detail::wait_for<uuid>([&](auto done) {
            over_->async_destroy(std::move(who), std::move(user), std::move(done));
        });
    }
    result<std::string> start(product_ptr who, std::string user) {
        return detail::wait_for<std::string>([&](auto done) {
            over_->async_start(std::move(who), std::move(user), std::move(done));
        });
    }
    result<void> stop(product_ptr who, std::string user, bool force = false) {
        return detail::wait_for<void>([&](auto done) {
            over_->async_stop(std::move(who), std::move(user), force, std::move(done));
        });
    }
    result<std::string> rotate_key(product_ptr who, std::string user) {
        return detail::wait_for<std::string>([&](auto done) {
            over_->async_rotate_key(std::move(who), std::move(user), std::move(done));
        });
    }
    result<admission> admit(const product_ptr& who, const std::string& user,
                            admit_options how = {}) {
        if (auto now = over_->try_admit(who, user, how)) return std::move(*now);
        return detail::wait_for<admission>(
            [&](auto done) { over_->async_admit(who, user, how, std::move(done)); });
    }
    result<std::optional<instant>> note_activity(product_ptr who, std::string user,
                                                 std::optional<duration> busy_for = {}) {
        return detail::wait_for<std::optional<instant>>([&](auto done) {
            over_->async_note_activity(std::move(who), std::move(user), busy_for, std::move(done));
        });
    }
    result<std::string> logs(product_ptr who, std::string user, std::size_t tail = 100) {
        return detail::wait_for<std::string>([&](auto done) {
            over_->async_logs(std::move(who), std::move(user), tail, std::move(done));
        });
    }
    result<audit_page> audit(product_ptr who, audit_query query = {}) {
        return detail::wait_for<audit_page>([&](auto done) {
            over_->async_audit(std::move(who), std::move(query), std::move(done));
        });
    }

private:
    std::shared_ptr<Orchestrator> over_;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
