#pragma once

#include <roundhouse/backend/docker/options.hpp>
#include <roundhouse/backend/docker/tls.hpp>
#include <roundhouse/detail/http_client/messages.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <asio/error_code.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::docker {

inline constexpr std::string_view tcp_scheme = "tcp://";

/// Whether a text is the name of a host: labels of letters, digits, `-` and `_`, with dots between
/// them, of at most 253 bytes.
[[nodiscard]] inline bool is_host_name(std::string_view text) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
    };
    return !text.empty() && text.size() <= 253 && text.front() != '.' && text.back() != '.' &&
           text.find("..") == std::string_view::npos && std::ranges::all_of(text, allowed);
}

/// Parses a daemon's address: `unix:///path`, or `tcp://host:port`. Over TCP the daemon is spoken to
/// with TLS if there are credentials. Without them, the host must be a loopback address or
/// `localhost`, which stands for 127.0.0.1. The message of a failure (`invalid_request`) names the
/// fault.
[[nodiscard]] inline result<http_peer> read_address(const std::string& text,
                                                    const tls_credentials_ptr& credentials) {
    const auto refused = [&](const std::string& fault) {
        return fail(errc::invalid_request, "Docker's address \"" + text + "\" " + fault);
    };
    constexpr std::string_view local = "unix://";
    if (text.starts_with(local)) {
        const auto path = text.substr(local.size());
        if (path.empty() || path.front() != '/' || path.size() > 100)
            return refused("has no absolute path of at most 100 bytes");
        return asio::local::stream_protocol::endpoint{path};
    }
    if (!text.starts_with(tcp_scheme)) return refused("begins with neither unix:// nor tcp://");
    const auto rest = text.substr(tcp_scheme.size());
    const auto colon = rest.rfind(':');
    if (colon == std::string::npos || colon == 0) return refused("has no host and port");
    auto host = rest.substr(0, colon);
    const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (brackets) host = host.substr(1, host.size() - 2); // IPv6, as in a URL
    const auto digits = rest.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, wrong] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (wrong != std::errc{} || end != digits.data() + digits.size() || port == 0)
        return refused("has no port from 1 to 65535");
    asio::error_code no_number; // a name
    const auto address = asio::ip::make_address(host, no_number);
    const bool zone = host.find('%') != std::string::npos; // which no certificate names
    if (no_number ? brackets || !is_host_name(host) : zone)
        return refused("has no host: an address or a name that can be resolved");
    if (credentials) return http_peer{tls_peer(credentials, host, port)};
    if (host == "localhost") return asio::ip::tcp::endpoint{asio::ip::address_v4::loopback(), port};
    if (no_number || !address.is_loopback())
        return refused("is not on this machine (127.0.0.1, [::1], localhost), and without TLS "
                       "anyone on the way could take over the daemon's host. Name the folder that "
                       "has ca.pem, cert.pem and key.pem for it (DOCKER_CERT_PATH, "
                       "docker_options::certificates_path), or forward the daemon's socket to this "
                       "machine, such as with `ssh -nNT -L "
                       "/run/docker-there.sock:/var/run/docker.sock HOST`, and name "
                       "unix:///run/docker-there.sock");
    return asio::ip::tcp::endpoint{address, port};
}

/// Reads where the daemon of a backend is, and the credentials for it where its address is one of
/// TCP. Blocks for the reading of their files. The message of a failure (`invalid_request`) names
/// the fault.
[[nodiscard]] inline result<http_peer> find_daemon(const std::string& host,
                                                   const std::string& certificates_path) {
    tls_credentials_ptr credentials;
    if (!certificates_path.empty() && host.starts_with(tcp_scheme)) {
        auto loaded = load_tls(certificates_path);
        if (!loaded) return unexpected{std::move(loaded.error())};
        credentials = std::move(*loaded);
    }
    return read_address(host, credentials);
}

/// Like `find_daemon`. Throws std::invalid_argument whose message names the fault.
[[nodiscard]] inline http_peer daemon_of(const docker_options& options) {
    auto found = find_daemon(options.host, options.certificates_path);
    if (!found) throw std::invalid_argument{found.error().message};
    return std::move(*found);
}

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
