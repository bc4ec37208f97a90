#pragma once

#include "../support/full_fleet.hpp"
#include "../support/temporary_folder.hpp"

#include <roundhouse/store/lmdb.hpp>

#include <chrono>
#include <memory>
#include <utility>

namespace roundhouse_bench {

using fleet = orchestrator<memory_backend, lmdb_store, roundhouse::system_clock>;

/// Where a store is.
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

/// An orchestrator over a fleet that another left, with threads of its own.
class found_fleet {
public:
    found_fleet(std::shared_ptr<lmdb_store> store, std::shared_ptr<memory_backend> backend,
                const crypto::key_ring& keys, const settings& with) {
        orchestrator_options options(keys);
        options.settings = with;
        over_ = std::make_shared<fleet>(
            threads_.get_executor(), std::move(backend), std::move(store),
            std::make_shared<roundhouse::system_clock>(), std::move(options));
    }
    ~found_fleet() {
        over_.reset();
        threads_.join();
    }
    found_fleet(const found_fleet&) = delete;
    found_fleet& operator=(const found_fleet&) = delete;

    [[nodiscard]] const std::shared_ptr<fleet>& over() const noexcept { return over_; }
    [[nodiscard]] blocking<fleet> calls() const { return blocking<fleet>(over_); }

private:
    asio::thread_pool threads_{2};
    std::shared_ptr<fleet> over_;
};

/// With which an orchestrator has taken every engine in when it begins to serve, and does nothing
/// by itself from then on.
inline settings quiet_settings() {
    settings out;
    out.health_check_interval = std::chrono::hours{24};
    out.sleep_after = duration{0};
    out.recovery_wait = std::chrono::hours{1};
    out.write_behind_interval = std::chrono::hours{24};
    return out;
}

} // namespace roundhouse_bench
