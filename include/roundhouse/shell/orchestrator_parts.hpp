#pragma once

#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/shell/ports.hpp>

#include <asio/any_io_executor.hpp>

#include <memory>
#include <string>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What an orchestrator is given to work with.
struct orchestrator_parts {
    asio::any_io_executor executor;
    std::unique_ptr<backend_port> backend;
    std::unique_ptr<store_port> store;
    std::unique_ptr<clock_port> clock;
    roundhouse::settings settings;
    crypto::key_ring keys;
    crypto::entropy entropy;
    log_sink sink;
    std::vector<std::string> redacted;
    bool submits_before_commit = false; ///< See adapters.hpp.
    bool forgets_an_engine = false;     ///< The same.
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
