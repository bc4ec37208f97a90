#pragma once

#include <roundhouse/error.hpp>

#include <asio/ip/address.hpp>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace roundhouse::server {

/// What counts as one client: an IPv4 address, the /64 network of an IPv6 address, or all clients
/// of the Unix sockets.
struct client_address {
    bool has_address = false;             ///< False for a Unix socket.
    std::array<std::uint8_t, 16> bytes{}; ///< IPv4 as in `::ffff:192.0.2.7`.

    static client_address of(const asio::ip::address& address);
    /// Reads an address as proxies write it: `192.0.2.7`, `192.0.2.7:4321`, `2001:db8::1`,
    /// `[2001:db8::1]` or `[2001:db8::1]:4321`.
    [[nodiscard]] static std::optional<client_address> parse(std::string_view text);

    [[nodiscard]] bool is_unix_socket() const noexcept { return !has_address; }
    friend auto operator<=>(const client_address&, const client_address&) = default;
};

/// `192.0.2.7`, `2001:db8:0:1::/64`, or `unix`.
[[nodiscard]] std::string to_string(const client_address& address);

/// `127.0.0.1:8000`, or `[::1]:8000`.
[[nodiscard]] std::string host_and_port(const std::string& host, std::uint16_t port);

/// A set of addresses: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`.
class address_set {
public:
    address_set() = default;

    /// Reads a list separated by commas. The error's message names the part that is wrong.
    [[nodiscard]] static result<address_set> parse(std::string_view list);

    [[nodiscard]] bool contains(const asio::ip::address& address) const noexcept;

private:
    struct network {
        std::array<std::uint8_t, 16> bytes{};
        std::size_t bits = 0; ///< Of IPv6: those of an IPv4 network and 96 more.
    };
    std::vector<network> networks_;
};

} // namespace roundhouse::server
