#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/version.hpp>

#include <chrono>
#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

/// Counts wrong keys by client, so that guessing is seen and answered late. A right key is never
/// looked up here: what protects a key is its length. Thread-safe; bounded.
class key_failures {
public:
    using clock = std::chrono::steady_clock;

    /// A client may send this many wrong keys a minute.
    static constexpr unsigned most_a_minute = 20;
    static constexpr std::chrono::seconds window{60};
    static constexpr std::chrono::milliseconds delay_each{50};
    static constexpr std::chrono::milliseconds longest_delay{1'000};
    static constexpr std::size_t most_clients = 10'000;

    struct verdict {
        bool too_many = false; ///< Until a minute has passed without a wrong key.
        std::chrono::milliseconds delay{0};
        /// How many wrong keys the log has not told of yet; other than 0 at most once a minute for
        /// all clients together.
        std::size_t unreported = 0;
    };

    /// Counts a wrong key. A client without a name is not counted.
    [[nodiscard]] verdict note(std::string_view client, clock::time_point now);

    /// Whether the client has sent too many; counts nothing.
    [[nodiscard]] bool too_many(std::string_view client, clock::time_point now) const;

private:
    struct entry {
        std::string client;
        unsigned count = 0;
        bool blocked = false;
        clock::time_point since{}; ///< When `count` began at 0.
        clock::time_point last{};
    };
    using entries = std::list<entry>;

    entry& entry_of(std::string_view client, clock::time_point now);
    std::size_t take_unreported(clock::time_point now);

    mutable std::mutex mutex_;
    entries by_time_; ///< The client that has sent no wrong key for longest comes first.
    std::unordered_map<std::string_view, entries::iterator> by_client_;
    std::size_t unreported_ = 0;
    std::optional<clock::time_point> reported_at_;
};

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/http/key_failures.ipp>
#endif
