#pragma once

#include "options.hpp"

#include <roundhouse/error.hpp>

#include <optional>
#include <span>
#include <string>

namespace roundhouse::server {

/// Keeps the memory of this process from other processes of its user: it is written to no core dump,
/// and they can neither attach to it nor read its /proc/PID/environ (prctl(2), PR_SET_DUMPABLE).
/// Root can do both. From now on OpenSSL's secure memory is locked, as far as RLIMIT_MEMLOCK allows.
void guard_process();

/// Overwrites the secrets in the environment and the arguments of this process, which `/proc` and
/// ps(1) show, and in the copy, and removes their variables from the environment.
void wipe_given_secrets(std::span<char* const> arguments, environment& copy) noexcept;

/// Reads a secret from a file or pipe, without the line end after it. A failure's message is the
/// cause.
[[nodiscard]] result<std::string> read_secret_file(const std::string& path);

/// A warning of a file that every user may read; nothing for any other.
[[nodiscard]] std::optional<std::string> warning_of_readers(const std::string& path);

} // namespace roundhouse::server
