#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Folds denied admits into one audit row per product, reason and minute, so that a flood of
/// denials is no flood of commits: the first of a minute is stored at once, and its count is amended
/// when the row is next wanted or the minute is over. Thread-safe.
class denial_log {
public:
    explicit denial_log(services& services) : services_(services) {}

    /// Counts a denial. Returns at once; what is to be stored is stored from the executor.
    void count(const product& product, std::string_view reason);

    /// Stores what has been counted; `done` is called from the executor. What the store refuses
    /// stays counted for the next time.
    void store(std::function<void()> done);

private:
    using minute = std::chrono::sys_time<std::chrono::minutes>;
    using row_key = std::tuple<uuid, std::string, minute>;
    struct tally {
        std::uint64_t count = 0;
        std::uint64_t stored = 0;
        std::uint64_t row_id = 0; ///< 0 until the row is stored.
        std::string actor;
        instant first_at{};
    };

    asio::awaitable<void> store_all();
    std::vector<std::pair<row_key, tally>> changed();
    void note_stored(const row_key& key, std::uint64_t count, std::uint64_t row_id);

    services& services_;
    std::mutex mutex_;
    std::map<row_key, tally> rows_;
    std::vector<std::function<void()>> waiting_; ///< For the next round of `store_all`.
    bool storing_ = false;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/denial_log.ipp>
#endif
