#pragma once

#include <roundhouse/types.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// When each platform key was used last, to the minute. It is not stored. Thread-safe.
///
/// Every call of a product notes a use. So a use costs one load if the same key was noted in the
/// same minute already. The lock is taken for the first use in a minute, and where keys that share
/// a place are used in turn.
class platform_key_uses {
public:
    void note(const sha256_digest& key, instant now) {
        const auto minute = std::chrono::floor<std::chrono::minutes>(now);
        std::uint64_t mark = 0; // any eight bytes of a SHA-256 tell keys apart
        std::memcpy(&mark, key.data(), sizeof mark);
        auto& noted = noted_[mark % noted_.size()];
        mark += static_cast<std::uint64_t>(minute.time_since_epoch().count());
        if (noted.load(std::memory_order_relaxed) == mark) return;
        {
            const std::lock_guard lock(mutex_);
            auto& last = uses_[key];
            last = std::max<instant>(last, minute);
        }
        noted.store(mark, std::memory_order_relaxed);
    }

    /// Nothing if the key was not used.
    [[nodiscard]] std::optional<instant> last_use(const sha256_digest& key) const {
        const std::lock_guard lock(mutex_);
        const auto found = uses_.find(key);
        return found == uses_.end() ? std::nullopt : std::optional(found->second);
    }

    /// To be called for a key that no product has any more.
    void forget(const sha256_digest& key) {
        const std::lock_guard lock(mutex_);
        uses_.erase(key);
    }

private:
    /// For each place the key that was noted there last and its minute, added up.
    std::array<std::atomic<std::uint64_t>, 1024> noted_{};
    mutable std::mutex mutex_;
    std::map<sha256_digest, instant> uses_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
