#pragma once

#include "catch.hpp"

#include <roundhouse/roundhouse.hpp>

#include <asio/thread_pool.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace roundhouse_tests {

using namespace roundhouse;

/// An orchestrator over memory, with threads of its own.
template <class Clock = roundhouse::system_clock> struct memory_fleet {
    using orchestrator_type = orchestrator<memory_backend, memory_store, Clock>;

    explicit memory_fleet(memory_backend_script script = {}, settings with = quick(),
                          std::shared_ptr<memory_store> keeps = std::make_shared<memory_store>(),
                          std::function<void(orchestrator_options&)> adjust = {})
        : backend(std::make_shared<memory_backend>(std::move(script))),
          store(std::move(keeps)),
          clock(std::make_shared<Clock>()),
          settings_used(with),
          adjust_(std::move(adjust)) {
        open();
    }

    ~memory_fleet() {
        close();
        threads.join();
    }

    /// Another orchestrator over the same backend, store and clock: what a restart of the process
    /// does.
    void reopen() {
        close();
        open();
    }

    void open() {
        orchestrator_options options(keys());
        options.settings = settings_used;
        if (adjust_) adjust_(options);
        over = std::make_shared<orchestrator_type>(threads.get_executor(), backend, store, clock,
                                                   options);
        sync.emplace(over);
        const auto recovered = sync->recover();
        REQUIRE(recovered);
    }

    void close() {
        sync.reset();
        over.reset();
    }

    static crypto::key_ring keys() {
        static const auto key = crypto::key_ring::make_key(crypto::system_entropy);
        return crypto::key_ring::parse(key).value();
    }

    static settings quick() {
        settings with;
        with.restart_backoff_base = std::chrono::milliseconds{10};
        with.stop_grace = std::chrono::milliseconds{100};
        return with;
    }

    product_ptr registered(policy limits = {}, const std::string& slug = "demo") {
        const auto made = sync->register_product(slug, "Demo", std::move(limits));
        REQUIRE(made);
        const auto who = over->authenticate(made->platform_key);
        REQUIRE(who);
        return *who;
    }

    /// Waits until the user's engine is as wanted; false if that does not come within ten seconds.
    bool becomes(const product_ptr& who, const std::string& user, engine_status wanted) {
        return eventually([&] {
            const auto found = over->find(who, user);
            return found && found->record->status == wanted;
        });
    }

    static bool eventually(const std::function<bool()>& holds) {
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{10};
        while (std::chrono::steady_clock::now() < until) {
            if (holds()) return true;
            std::this_thread::yield();
        }
        return false;
    }

    std::vector<audit_entry> audit(const product_ptr& who,
                                   std::optional<audit_action> action = {}) {
        audit_query query;
        query.action = action;
        query.limit = 1000;
        const auto page = sync->audit(who, query);
        REQUIRE(page);
        return page->entries;
    }

    asio::thread_pool threads{2};
    std::shared_ptr<memory_backend> backend;
    std::shared_ptr<memory_store> store;
    std::shared_ptr<Clock> clock;
    settings settings_used;
    std::function<void(orchestrator_options&)> adjust_;
    std::shared_ptr<orchestrator_type> over;
    std::optional<blocking<orchestrator_type>> sync;
};

} // namespace roundhouse_tests
