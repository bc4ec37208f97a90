#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/detail/http_client/secure_peer.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::docker {

/// The authorities that a daemon is trusted by, and our own certificate for it, with its key.
struct tls_credentials;
using tls_credentials_ptr = std::shared_ptr<tls_credentials>;

/// Reads `ca.pem`, `cert.pem` and `key.pem` of a folder, as the docker command line names them
/// (https://docs.docker.com/engine/security/protect-access/). Blocks for the reading of the files. A
/// failure's message names the file and the cause.
[[nodiscard]] result<tls_credentials_ptr> load_tls(const std::string& folder);

/// The daemon at a host's port, over TLS 1.2 or newer. Its certificate must be of an authority in
/// `ca.pem`, and name the host, an address or a name, in its subjectAltName (RFC 9525): else there is
/// no connection. A name is resolved for each connection, by a thread of Asio's own, and its
/// addresses are tried in turn; a lookup under way is not interrupted by a deadline.
[[nodiscard]] secure_peer_ptr tls_peer(tls_credentials_ptr credentials, const std::string& host,
                                       std::uint16_t port);

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/backend/docker/tls.ipp>
#endif
