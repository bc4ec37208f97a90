#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>

#include <chrono>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The clocks of the machine. Stateless and thread-safe.
class system_clock {
public:
    [[nodiscard]] instant now() const noexcept {
        return std::chrono::floor<duration>(std::chrono::system_clock::now());
    }

    [[nodiscard]] duration steady_now() const noexcept {
        return std::chrono::duration_cast<duration>(
            std::chrono::steady_clock::now().time_since_epoch());
    }

    asio::awaitable<void> wait_for(duration span);
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/clock/system.ipp>
#endif
