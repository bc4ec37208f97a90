#include "option_values.hpp"

#include "transport/client_address.hpp"

#include <asio/ip/address.hpp>

#include <charconv>
#include <chrono>
#include <cmath>
#include <system_error>
#include <utility>

namespace roundhouse::server {

namespace {

constexpr std::string_view http_scheme = "http://";
constexpr std::string_view https_scheme = "https://";
constexpr std::string_view unix_scheme = "unix:";

/// A number without a fraction of zeros.
std::string plain(double number) {
    char digits[64];
    const auto end = std::to_chars(digits, digits + sizeof digits, number,
                                   std::chars_format::fixed);
    return {digits, end.ptr};
}

unexpected cause(std::string message) { return fail(errc::invalid_request, std::move(message)); }

std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

bool is_variable_name(std::string_view text) {
    const auto letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    if (text.empty() || !letter(text.front())) return false;
    for (const char c : text)
        if (!letter(c) && !(c >= '0' && c <= '9')) return false;
    return true;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view white = " \t\r\n";
    const auto first = text.find_first_not_of(white);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(white) - first + 1);
}

/// Reads words one character at a time, as XCU 2.2 "Quoting" describes.
class word_splitter {
public:
    result<std::vector<std::string>> split(std::string_view text) {
        for (std::size_t at = 0; at < text.size(); ++at) {
            const char c = text[at];
            if (quote_ == '\'') {
                in_single_quotes(c);
            } else if (c == '\\') {
                if (at + 1 == text.size()) return cause("ends in a backslash that escapes nothing");
                escape(text[++at]);
            } else if (quote_ == '"') {
                in_double_quotes(c);
            } else {
                outside(c);
            }
        }
        if (quote_ != '\0')
            return cause(std::string("has a ") + (quote_ == '"' ? "double" : "single") +
                         " quote that is never closed");
        end_word();
        return std::move(words_);
    }

private:
    void in_single_quotes(char c) {
        if (c == '\'') quote_ = '\0';
        else word_ += c;
    }

    void in_double_quotes(char c) {
        if (c == '"') quote_ = '\0';
        else word_ += c;
    }

    /// Reads the character after a backslash. Within double quotes, a backslash escapes special
    /// characters only. Before a newline, it joins lines.
    void escape(char c) {
        started_ = started_ || c != '\n';
        if (c == '\n') return;
        const bool special = c == '"' || c == '\\' || c == '$' || c == '`';
        if (quote_ == '"' && !special) word_ += '\\';
        word_ += c;
    }

    void outside(char c) {
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') return end_word();
        started_ = true;
        if (c == '\'' || c == '"') quote_ = c;
        else word_ += c;
    }

    void end_word() {
        if (started_) words_.push_back(std::exchange(word_, {}));
        started_ = false;
    }

    std::vector<std::string> words_;
    std::string word_;
    bool started_ = false; ///< Whether a word has begun: an empty pair of quotes is a word too.
    char quote_ = '\0';
};

} // namespace

std::string listen_address::text() const {
    if (descriptor >= 0) return "socket " + std::to_string(descriptor);
    if (!unix_path.empty()) return std::string(unix_scheme) + unix_path;
    std::string out;
    if (encrypted == encryption::none) out = http_scheme;
    if (encrypted == encryption::tls) out = https_scheme;
    return out + host_and_port(host, port);
}

bool listen_address::is_local() const {
    if (descriptor >= 0) return false; // nothing is known of it here
    if (!unix_path.empty()) return true;
    std::error_code failed;
    const auto address = asio::ip::make_address(host, failed);
    return !failed && address.is_loopback();
}

result<std::uint64_t> parse_whole(std::string_view text, std::uint64_t min, std::uint64_t max) {
    std::uint64_t number = 0;
    const auto end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, number);
    const auto range = std::to_string(min) + " to " + std::to_string(max);
    if (text.empty() || read.ptr != end || read.ec == std::errc::invalid_argument)
        return cause(quoted(text) + " is not a whole number from " + range);
    if (read.ec != std::errc() || number < min || number > max)
        return cause(std::string(text) + " is out of range: it must be from " + range);
    return number;
}

result<double> parse_number(std::string_view text, double min, double max) {
    double number = 0;
    const auto end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, number);
    const auto range = plain(min) + " to " + plain(max);
    if (text.empty() || read.ptr != end || read.ec == std::errc::invalid_argument)
        return cause(quoted(text) + " is not a number from " + range);
    // from_chars reads `inf` and `nan` too.
    if (read.ec != std::errc() || !std::isfinite(number) || number < min || number > max)
        return cause(std::string(text) + " is out of range: it must be from " + range);
    return number;
}

result<duration> parse_seconds(std::string_view text, double min, double max) {
    auto number = parse_number(text, min, max);
    if (!number) return unexpected(std::move(number.error()));
    const auto whole = duration(std::llround(*number * 1000));
    return *number > 0 && whole == duration::zero() ? duration(1) : whole;
}

result<listen_address> parse_listen_address(std::string_view text) {
    if (text.starts_with(unix_scheme)) {
        const auto path = text.substr(unix_scheme.size());
        if (!path.starts_with('/'))
            return cause(quoted(text) +
                         " has no absolute path (write it as unix:/run/roundhouse.sock)");
        listen_address out;
        out.unix_path = path;
        return out;
    }
    for (const auto& [scheme, encrypted] :
         {std::pair{http_scheme, encryption::none}, std::pair{https_scheme, encryption::tls}}) {
        if (!text.starts_with(scheme)) continue;
        auto address = parse_listen_address(text.substr(scheme.size()));
        if (address &&
            (address->encrypted != encryption::by_certificate || !address->unix_path.empty()))
            return cause(quoted(text) + " has two schemes");
        if (address) address->encrypted = encrypted;
        return address;
    }
    const auto colon = text.rfind(':');
    constexpr auto form = " (write it as 127.0.0.1:8000 or [::1]:8000)";
    if (colon == std::string_view::npos || colon == 0)
        return cause(quoted(text) + " is not an address and a port" + form);
    auto host = text.substr(0, colon);
    const auto port = parse_whole(text.substr(colon + 1), 0, 65'535);
    if (!port) return cause("the port in " + quoted(text) + ": " + port.error().message);
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (host == "localhost") host = "127.0.0.1";
    std::error_code failed;
    const auto address = asio::ip::make_address(std::string(host), failed);
    if (failed || address.is_v6() != bracketed)
        return cause(quoted(text) + " does not begin with a numeric address" + form);
    listen_address out;
    out.host = address.to_string();
    out.port = static_cast<std::uint16_t>(*port);
    return out;
}

result<std::vector<std::string>> split_words(std::string_view text) {
    return word_splitter().split(text);
}

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> entries;
    while (!text.empty()) {
        const auto comma = text.find(',');
        entries.emplace_back(trimmed(text.substr(0, comma)));
        text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    }
    return entries;
}

result<std::vector<std::string>> parse_variable_names(std::string_view text) {
    std::vector<std::string> names;
    std::size_t entry = 0;
    for (auto& name : split_list(text)) {
        ++entry;
        if (name.empty()) continue;
        if (!is_variable_name(name))
            // The entry is not shown: an entry NAME=value may hold a secret.
            return cause(
                "entry " + std::to_string(entry) +
                " is not the name of an environment variable (write names only, separated by "
                "commas: HTTP_PROXY,MODEL_PATH)");
        names.push_back(std::move(name));
    }
    return names;
}

} // namespace roundhouse::server
