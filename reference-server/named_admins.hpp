#pragma once

#include <roundhouse/crypto/secret.hpp>
#include <roundhouse/error.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace roundhouse::server {

/// An administrator with a key of their own.
struct named_admin {
    std::string name; ///< `core::names::check_admin_name`
    crypto::secret_text key;
};

/// Why a text may not be a key of administrators, for how long it is; nothing if it may be.
[[nodiscard]] std::optional<std::string> fault_of_admin_key(std::string_view key);

/// Reads administrators and their keys: `name=key`, separated by commas or line ends. Lines may be
/// empty. `unnamed` is the key that has no name, which none of them may have. A failure names the
/// line, or, of a text of one line, the entry; it shows no key.
[[nodiscard]] result<std::vector<named_admin>> parse_named_admins(std::string_view text,
                                                                  std::string_view unnamed);

/// The same from a file; a failure names the line. Blocks while it is read.
[[nodiscard]] result<std::vector<named_admin>> read_named_admins(const std::string& path,
                                                                 std::string_view unnamed);

} // namespace roundhouse::server
