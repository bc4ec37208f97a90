#pragma once

/// What the program exits with, beside 128 and the signal's number after a second signal.
namespace roundhouse::server::exit_code {

inline constexpr int good = 0;
inline constexpr int failed = 1;
inline constexpr int bad_options = 2; ///< An option is bad, or cannot be put into effect.

} // namespace roundhouse::server::exit_code
