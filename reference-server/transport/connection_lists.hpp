#pragma once

#include "client_address.hpp"
#include "limits.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>

namespace roundhouse::server {

class connection;

/// What a connection waits for. Each has a time limit.
enum class waiting_for : std::uint8_t {
    request,
    head,
    body,
    handler,
    reader,
    end,
    handshake,
    more_to_follow ///< The next piece of a stream that has no end of its own.
};

using connection_list = std::list<std::shared_ptr<connection>>;

/// Where a connection is in the lists.
struct list_place {
    connection_list::iterator at{};
    waiting_for what = waiting_for::request;
    std::chrono::steady_clock::time_point since{};
};

/// The connections of a loop, by what they wait for, those that have waited longest first. Owns
/// them.
class connection_lists {
public:
    using clock = std::chrono::steady_clock;

    explicit connection_lists(const listener_limits& limits) noexcept;

    void add(std::shared_ptr<connection> added, clock::time_point now);
    /// Lets a connection wait anew.
    void move(connection& moved, waiting_for what, clock::time_point now) noexcept;
    void remove(connection& removed) noexcept;

    /// A connection whose time is up; null if there is none.
    [[nodiscard]] connection* expired(clock::time_point now) const noexcept;
    /// The connection of a client that has waited longest for a request, else for its head, the
    /// beginning of TLS, its body, to be read or for more to follow; null if there is none.
    [[nodiscard]] connection* idlest_of(const client_address& client) const noexcept;
    /// Any connection; null if there is none.
    [[nodiscard]] connection* any() const noexcept;
    [[nodiscard]] bool empty() const noexcept { return any() == nullptr; }

    template <class Do> void for_each(const Do& act) {
        for (auto& list : lists_)
            for (auto next = list.begin(); next != list.end();) act(**next++);
    }

private:
    static constexpr std::size_t kinds = 8;

    connection_list& of(waiting_for what) noexcept {
        return lists_[static_cast<std::size_t>(what)];
    }

    std::array<connection_list, kinds> lists_;
    std::array<std::chrono::milliseconds, kinds> limits_;
};

} // namespace roundhouse::server
