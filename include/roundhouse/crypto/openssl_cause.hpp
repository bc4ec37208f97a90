#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/types.hpp>

#include <openssl/err.h>

#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace crypto {

/// The cause that OpenSSL tells for the failure of this thread's last call, in a few words. Takes
/// it, so that a later failure does not report it again.
[[nodiscard]] inline std::string openssl_cause() {
    const auto code = ::ERR_get_error();
    ::ERR_clear_error();
    const char* const reason = code == 0 ? nullptr : ::ERR_reason_error_string(code);
    return reason != nullptr ? reason : "it cannot be used";
}

} // namespace crypto

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
