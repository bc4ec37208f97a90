#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Reading the text of one option's value. A failure's message is the cause only, without the
/// option's name: the caller puts that in front.
namespace roundhouse::server {

/// Where the API listens: a numeric IPv4 or IPv6 address, and a port (0: one that the system
/// chooses).
struct listen_address {
    std::string host;
    std::uint16_t port = 0;

    /// As a URL writes it: `127.0.0.1:8000`, `[::1]:8000`.
    [[nodiscard]] std::string text() const;
};

/// A whole number in decimal digits, within bounds (both inclusive).
[[nodiscard]] result<std::uint64_t> parse_whole(std::string_view text, std::uint64_t least,
                                                std::uint64_t most);

/// A finite decimal number, within bounds (both inclusive).
[[nodiscard]] result<double> parse_number(std::string_view text, double least, double most);

/// Seconds, which may be a fraction, within bounds (both inclusive). What is above 0 stays above 0.
[[nodiscard]] result<duration> parse_seconds(std::string_view text, double least, double most);

/// `host:port`, with IPv6 addresses in brackets. `localhost` is 127.0.0.1; other names are refused.
[[nodiscard]] result<listen_address> parse_listen_address(std::string_view text);

/// Splits a command line as a POSIX shell splits words (XCU 2.2: backslash, single and double
/// quotes), without expanding anything. Operators that a shell would act on are kept as ordinary
/// characters.
[[nodiscard]] result<std::vector<std::string>> split_words(std::string_view text);

/// The entries of a comma-separated list, without white space around them; some may be empty.
[[nodiscard]] std::vector<std::string> split_list(std::string_view text);

/// A comma-separated list of names of environment variables.
[[nodiscard]] result<std::vector<std::string>> parse_variable_names(std::string_view text);

} // namespace roundhouse::server
