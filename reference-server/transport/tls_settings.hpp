#pragma once

#include <roundhouse/error.hpp>

#include <openssl/types.h>

#include <memory>
#include <mutex>
#include <string>

namespace roundhouse::server {

/// Files in PEM format, from which TLS is set up.
struct tls_files {
    std::string certificate; ///< The server's, followed by those that lead to its root.
    std::string key;
    std::string client_ca; ///< Clients must have a certificate of these; empty if they need none.
};

/// What TLS connections are set up with: TLS 1.2 and 1.3. Thread-safe.
class tls_settings {
public:
    /// A failure's message names the file and the cause.
    [[nodiscard]] static result<std::shared_ptr<tls_settings>> load(const tls_files& files);

    /// Reads the files again, for connections to come. If that fails, nothing changes.
    [[nodiscard]] result<void> reload();

    /// What the next connection is set up with.
    [[nodiscard]] std::shared_ptr<SSL_CTX> context() const;

private:
    explicit tls_settings(tls_files files) : files_(std::move(files)) {}

    const tls_files files_;
    mutable std::mutex mutex_;
    std::shared_ptr<SSL_CTX> context_;
};

} // namespace roundhouse::server
