#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Reads the text of an option's value. A failure's message is the cause, without the option's
/// name: the caller puts the name in front.
namespace roundhouse::server {

/// Whether connections are in the clear. Without a word about it they are encrypted if the server
/// has a certificate.
enum class encryption : std::uint8_t { by_certificate, none, tls };

/// An address of the API: a numeric IPv4 or IPv6 address and a port, which the system chooses if it
/// is 0; or the path of a Unix socket; or a socket that a service manager has opened.
struct listen_address {
    std::string host;
    std::uint16_t port = 0;
    std::string unix_path = {};
    int descriptor = -1;
    encryption encrypted = encryption::by_certificate;

    /// The address as it was written: `127.0.0.1:8000`, `https://[::1]:8443`, `unix:/run/x.sock`.
    [[nodiscard]] std::string text() const;
    /// Whether only this machine can reach it, as far as the address tells.
    [[nodiscard]] bool is_local() const;
};

/// Reads a whole number in decimal digits from `min` to `max`.
[[nodiscard]] result<std::uint64_t> parse_whole(std::string_view text, std::uint64_t min,
                                                std::uint64_t max);

/// Reads a finite decimal number from `min` to `max`.
[[nodiscard]] result<double> parse_number(std::string_view text, double min, double max);

/// Reads seconds, which may have a fraction, from `min` to `max`. A time above 0 is rounded to at
/// least a millisecond, because 0 may mean off.
[[nodiscard]] result<duration> parse_seconds(std::string_view text, double min, double max);

/// Reads `host:port`, with IPv6 addresses in brackets and `http://` or `https://` before it, or
/// `unix:/path`. `localhost` stands for 127.0.0.1; other names are refused.
[[nodiscard]] result<listen_address> parse_listen_address(std::string_view text);

/// Splits a command line into words as a POSIX shell does (XCU 2.2: backslash, single and double
/// quotes), without expansions. Operators of the shell are ordinary characters.
[[nodiscard]] result<std::vector<std::string>> split_words(std::string_view text);

/// Splits a comma-separated list. Entries are without white space around them, and may be empty.
[[nodiscard]] std::vector<std::string> split_list(std::string_view text);

/// Reads a comma-separated list of names of environment variables.
[[nodiscard]] result<std::vector<std::string>> parse_variable_names(std::string_view text);

} // namespace roundhouse::server
