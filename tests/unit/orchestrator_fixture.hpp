#pragma once

#include "catch.hpp"
#include "io_threads.hpp"

#include <roundhouse/roundhouse.hpp>

#include <asio/thread_pool.hpp>

#include <chrono>
#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse_tests {

using namespace roundhouse;

/// A clock whose steady time stands still, so that every admit falls into one instant.
class stopped_clock : public roundhouse::system_clock {
public:
    [[nodiscard]] duration steady_now() const noexcept { return std::chrono::hours{1}; }
};

/// An orchestrator on a memory backend and a memory store, with its own threads.
template <class Clock = roundhouse::system_clock> struct memory_fleet {
    using orchestrator_type = roundhouse::orchestrator<memory_backend, memory_store, Clock>;

    explicit memory_fleet(memory_backend_script script = {}, settings chosen = quick(),
                          std::shared_ptr<memory_store> kept = std::make_shared<memory_store>(),
                          std::function<void(orchestrator_options&)> adjust = {})
        : backend(std::make_shared<memory_backend>(std::move(script))),
          store(std::move(kept)),
          clock(std::make_shared<Clock>()),
          settings_used(chosen),
          adjust_(std::move(adjust)) {
        open();
    }

    ~memory_fleet() {
        close();
        threads.join();
    }

    /// Replaces the orchestrator by a new one on the same backend, store and clock, as a restart of
    /// the process does.
    void reopen() {
        close();
        open();
    }

    void open() {
        orchestrator_options options(keys());
        options.settings = settings_used;
        if (adjust_) adjust_(options);
        orchestrator = std::make_shared<orchestrator_type>(threads.get_executor(), backend, store,
                                                           clock, options);
        const auto recovered = orchestrator->async_recover(wait);
        REQUIRE(recovered);
    }

    void close() { orchestrator.reset(); }

    static crypto::key_ring keys() {
        static const auto key = crypto::key_ring::make_key(crypto::system_entropy);
        return crypto::key_ring::parse(key).value();
    }

    static settings quick() {
        settings out;
        out.restart_backoff_base = std::chrono::milliseconds{10};
        out.stop_grace = std::chrono::milliseconds{100};
        return out;
    }

    /// Registers a product and returns it.
    product_ptr registered(policy limits = {}, const std::string& slug = "demo") {
        const auto made = orchestrator->async_register_product(slug, "Demo", std::move(limits),
                                                               wait);
        REQUIRE(made);
        const auto product = orchestrator->authenticate(made->platform_key);
        REQUIRE(product);
        return *product;
    }

    /// Waits until the user's engine has a status; false if it does not get it in time.
    bool becomes(const product_ptr& product, const std::string& user, engine_status status) {
        return eventually([&] {
            const auto found = orchestrator->find(product, user);
            return found && found->record->status == status;
        });
    }

    /// Waits until `condition()` is true; false if it does not become so in time.
    static bool eventually(const std::predicate auto& condition) {
        return roundhouse_tests::eventually(condition);
    }

    std::vector<audit_entry> audit(const product_ptr& product,
                                   std::optional<audit_action> action = {}) {
        audit_query query;
        query.action = action;
        query.limit = 1000;
        const auto page = orchestrator->of(product).audit(query);
        REQUIRE(page);
        return page->entries;
    }

    asio::thread_pool threads{2};
    std::shared_ptr<memory_backend> backend;
    std::shared_ptr<memory_store> store;
    std::shared_ptr<Clock> clock;
    settings settings_used;
    std::function<void(orchestrator_options&)> adjust_;
    std::shared_ptr<orchestrator_type> orchestrator;
};

/// Puts variables that no master key opens in the place of an engine's.
inline void make_env_unreadable(memory_store& store, const uuid& engine) {
    auto record = **store.find_engine_by_id(engine);
    auto settings = *record.settings;
    settings.sealed_env = "gAAAAA";
    record.settings = std::make_shared<const engine_settings>(settings);
    change_set set;
    set.changes.emplace_back(update_engine{record, {}});
    REQUIRE(store.commit(set));
}

} // namespace roundhouse_tests
