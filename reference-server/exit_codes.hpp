#pragma once

/// The exit codes of the program. After a second signal it exits with 128 plus the signal's number.
namespace roundhouse::server::exit_code {

inline constexpr int good = 0;
inline constexpr int failed = 1;
inline constexpr int bad_options = 2; ///< An option is invalid, or cannot be put into effect.

} // namespace roundhouse::server::exit_code
