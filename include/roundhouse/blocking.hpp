#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/fleet.hpp>

#include <asio/use_future.hpp>

#include <cstddef>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace roundhouse::inline ROUNDHOUSE_ABI {

/// The calls of an orchestrator as plain functions that wait for their outcome.
///
/// Never call them on a thread of the orchestrator's executor: it may be the one that is waited for.
template <class Orchestrator> class blocking {
public:
    explicit blocking(std::shared_ptr<Orchestrator> over) : over_(std::move(over)) {}

    result<void> recover() { return over_->async_recover(asio::use_future).get(); }
    result<void> stop_all() { return over_->async_stop_all(asio::use_future).get(); }
    result<void> close() { return over_->async_close(asio::use_future).get(); }

    result<registration> register_product(std::string slug, std::string display_name, policy limits = {}) {
        return over_->async_register_product(std::move(slug), std::move(display_name), std::move(limits), asio::use_future)
            .get();
    }
    result<policy> set_policy(std::string id_or_slug, policy limits) {
        return over_->async_set_policy(std::move(id_or_slug), std::move(limits), asio::use_future).get();
    }

    result<engine_view> provision(product_ptr who, std::string user, std::optional<std::string> version = {}) {
        return over_->async_provision(std::move(who), std::move(user), std::move(version), asio::use_future).get();
    }
    result<uuid> destroy(product_ptr who, std::string user) {
        return over_->async_destroy(std::move(who), std::move(user), asio::use_future).get();
    }
    result<std::string> start(product_ptr who, std::string user) {
        return over_->async_start(std::move(who), std::move(user), asio::use_future).get();
    }
    result<void> stop(product_ptr who, std::string user, bool force = false) {
        return over_->async_stop(std::move(who), std::move(user), force, asio::use_future).get();
    }
    result<std::string> rotate_key(product_ptr who, std::string user) {
        return over_->async_rotate_key(std::move(who), std::move(user), asio::use_future).get();
    }
    result<admission> admit(const product_ptr& who, const std::string& user, admit_options how = {}) {
        if (auto now = over_->try_admit(who, user, how)) return std::move(*now);
        return over_->async_admit(who, user, how, asio::use_future).get();
    }
    result<std::optional<instant>> note_activity(product_ptr who, std::string user, std::optional<duration> busy_for = {}) {
        return over_->async_note_activity(std::move(who), std::move(user), busy_for, asio::use_future).get();
    }
    result<std::string> logs(product_ptr who, std::string user, std::size_t tail = 100) {
        return over_->async_logs(std::move(who), std::move(user), tail, asio::use_future).get();
    }
    result<audit_page> audit(product_ptr who, audit_query query = {}) {
        return over_->async_audit(std::move(who), std::move(query), asio::use_future).get();
    }

private:
    std::shared_ptr<Orchestrator> over_;
};

} // namespace roundhouse::inline ROUNDHOUSE_ABI
