#pragma once

#include "../support/full_fleet.hpp"
#include "../support/temporary_folder.hpp"

#include <roundhouse/store/lmdb.hpp>

#include <chrono>
#include <memory>
#include <utility>

namespace roundhouse_bench {

using fleet = roundhouse::orchestrator<memory_backend, lmdb_store, roundhouse::system_clock>;

/// A temporary folder with a store.
class store_folder {
public:
    [[nodiscard]] std::shared_ptr<lmdb_store> open() const {
        lmdb_options options;
        options.folder = folder_.path().string();
        return or_throw(lmdb_store::open(options));
    }

private:
    temporary_folder folder_;
};

/// An orchestrator, with its own threads, for a fleet that an earlier orchestrator left.
class found_fleet {
public:
    found_fleet(std::shared_ptr<lmdb_store> store, std::shared_ptr<memory_backend> backend,
                const crypto::key_ring& keys, const roundhouse::settings& settings) {
        orchestrator_options options(keys);
        options.settings = settings;
        orchestrator_ = std::make_shared<fleet>(
            threads_.get_executor(), std::move(backend), std::move(store),
            std::make_shared<roundhouse::system_clock>(), std::move(options));
    }
    ~found_fleet() {
        orchestrator_.reset();
        threads_.join();
    }
    found_fleet(const found_fleet&) = delete;
    found_fleet& operator=(const found_fleet&) = delete;

    [[nodiscard]] const std::shared_ptr<fleet>& orchestrator() const noexcept {
        return orchestrator_;
    }

private:
    asio::thread_pool threads_{2};
    std::shared_ptr<fleet> orchestrator_;
};

/// Settings with which a recovery waits for every engine, and nothing happens without a call
/// afterwards.
inline settings quiet_settings() {
    settings out;
    out.health_check_interval = std::chrono::hours{24};
    out.sleep_after = duration{0};
    out.recovery_wait = std::chrono::hours{1};
    out.write_behind_interval = std::chrono::hours{24};
    return out;
}

} // namespace roundhouse_bench
