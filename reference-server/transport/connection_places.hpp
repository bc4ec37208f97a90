#pragma once

#include "client_address.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace roundhouse::server {

/// Counts the connections of all loops, in all and by client. Thread-safe.
class connection_places {
public:
    enum class answer : std::uint8_t {
        taken,
        all_taken,           ///< By all clients together.
        all_of_client_taken, ///< This client has its share.
    };

    connection_places(std::size_t max_connections, std::size_t max_per_client) noexcept
        : max_connections_(max_connections), max_per_client_(max_per_client) {}

    /// Takes a place. A client without a share (`nullopt`) only counts in all.
    [[nodiscard]] answer take(const std::optional<client_address>& client);
    /// Gives a place back. Returns how many are taken now.
    std::size_t give_back(const std::optional<client_address>& client) noexcept;

    /// The clients that have most places, at most `most` of them, the one with most first. Clients
    /// without a share are left out.
    [[nodiscard]] std::vector<client_address> fullest(std::size_t most) const;
    [[nodiscard]] std::size_t taken() const;

private:
    void count(const client_address& client, std::size_t before, std::size_t after);

    const std::size_t max_connections_;
    const std::size_t max_per_client_;
    mutable std::mutex mutex_;
    std::size_t taken_ = 0;
    std::map<client_address, std::size_t> by_client_;
    std::set<std::pair<std::size_t, client_address>> by_count_;
};

} // namespace roundhouse::server
