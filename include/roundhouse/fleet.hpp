#pragma once

#include <roundhouse/clock/system.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/orchestrator.hpp>
#include <roundhouse/product_handle.hpp>

#include <asio/thread_pool.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// What every way to open a fleet takes. `master_key` is required.
struct fleet_options {
    /// The folder of the store and of the engines' data; made with mode 0700 if it does not exist.
    std::string folder = "var/roundhouse";
    /// The Fernet key that seals the engines' keys, or several, separated by commas: the first
    /// seals, all unseal. Keep it: without it the engines' keys are lost. Make one with
    /// `crypto::key_ring::make_key(crypto::system_entropy)`.
    std::string master_key;
    /// Threads that the fleet owns. Commits and backends block them, so at least two.
    std::size_t threads = 4;
    roundhouse::settings settings;
    log_sink log;
};

/// A fleet that is open: an orchestrator that has recovered its engines, and the threads that it
/// works on. Handles of its products must not outlive it. Destroying it leaves the engines running; the next one to open the same folder finds
/// them again.
class fleet {
public:
    /// Opens a fleet over a backend and a store that were made for `threads`. Blocks until what ran
    /// before has been found again.
    template <class Backend, class Store>
    [[nodiscard]] static result<fleet>
    open(std::unique_ptr<asio::thread_pool> threads, std::shared_ptr<Backend> backend,
         std::shared_ptr<Store> store, orchestrator_options options) {
        auto keeper = std::make_shared<roundhouse::orchestrator<Backend, Store, system_clock>>(
            threads->get_executor(), std::move(backend), std::move(store),
            std::make_shared<system_clock>(), std::move(options));
        const auto recovered = keeper->async_recover(wait);
        fleet out(std::move(threads), std::move(keeper));
        if (!recovered) return unexpected(recovered.error());
        return out;
    }

    fleet(fleet&&) = default;
    fleet& operator=(fleet&& other) noexcept {
        end();
        orchestrator_ = std::move(other.orchestrator_);
        threads_ = std::move(other.threads_);
        return *this;
    }
    ~fleet() { end(); }

    /// The product with this slug, which is registered if there is none. Blocks on the store. The
    /// platform key of one that is registered here is nobody's: products that call the HTTP API are
    /// registered with `orchestrator().async_register_product`.
    [[nodiscard]] result<product_handle> product(const std::string& slug, policy limits = {}) {
        auto known = orchestrator_->async_find_product(slug, wait);
        if (known && !*known) {
            const auto made = orchestrator_->async_register_product(slug, slug, std::move(limits),
                                                                    wait);
            if (!made && made.error().code != errc::product_slug_exists)
                return unexpected(made.error());
            known = orchestrator_->async_find_product(slug, wait);
        }
        if (!known) return unexpected(known.error());
        return product_handle(orchestrator_->calls(), *known);
    }

    /// Stops every engine, within one stop grace. The next one to open the folder boots them again.
    result<void> stop_engines() { return orchestrator_->async_stop_all(wait); }

    [[nodiscard]] orchestrator_base& orchestrator() noexcept { return *orchestrator_; }

private:
    fleet(std::unique_ptr<asio::thread_pool> threads, std::shared_ptr<orchestrator_base> keeper)
        : threads_(std::move(threads)), orchestrator_(std::move(keeper)) {}

    /// Stores what was only noted, and ends the fleet's own work.
    void end() noexcept {
        if (!orchestrator_) return;
        (void)orchestrator_->async_close(wait_for(std::chrono::seconds{5})); // what is not stored
                                                                             // is found again
        orchestrator_.reset();
        threads_->join();
    }

    std::unique_ptr<asio::thread_pool> threads_;
    std::shared_ptr<orchestrator_base> orchestrator_;
};

namespace detail {

/// The options that an orchestrator takes from those of a fleet.
[[nodiscard]] inline result<orchestrator_options> orchestrator_options_of(fleet_options options) {
    if (options.master_key.empty())
        return fail(
            errc::invalid_request,
            "master_key is empty: it must be a Fernet key that is kept with the fleet. Make "
            "one with crypto::key_ring::make_key.");
    auto keys = crypto::key_ring::parse(options.master_key);
    if (!keys) return fail(errc::invalid_request, "master_key " + keys.error().message);
    orchestrator_options out(std::move(*keys));
    out.settings = std::move(options.settings);
    out.log = std::move(options.log);
    return out;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
