#pragma once

#include "limits.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace roundhouse::server {

/// A part of a text, which may move in memory.
struct text_part {
    std::uint32_t at = 0;
    std::uint32_t size = 0;

    [[nodiscard]] std::string_view of(std::string_view text) const noexcept {
        return text.substr(at, size);
    }
};

/// How the end of a body is found (RFC 9112 §6).
enum class body_framing : std::uint8_t { none, length, chunked };

/// Why a request is refused. All of them end the connection.
enum class request_fault : std::uint8_t {
    none,
    not_http, ///< Breaks the grammar of HTTP/1.1, or could be read in two ways.
    wrong_version,
    unknown_method,
    target_too_long,
    fields_too_long,
    wrong_host,
    unknown_expectation,
};

/// What the client is told of a fault; empty for `not_http`, which gets no explanation.
[[nodiscard]] std::string_view message_of(request_fault fault) noexcept;

/// What the server uses of a request's head.
struct request_head {
    text_part method;
    text_part target;
    text_part platform_key; ///< Empty if the field is missing, or sent twice: so are the next two.
    text_part admin_key;
    text_part authorization;
    text_part if_match;        ///< Empty if it is sent twice.
    text_part idempotency_key; ///< The same.
    text_part request_id;
    text_part forwarded_for; ///< The last field of that name.
    std::uint64_t content_length = 0;
    body_framing framing = body_framing::none;
    bool http_1_0 = false;
    bool keep_alive = true;
    bool expects_continue = false;
    bool strict = false; ///< `Prefer: handling=strict`
    bool has_if_match = false;
    bool has_idempotency_key = false;
};

/// Reads the head of a request strictly (RFC 9110, RFC 9112): it takes only what all readers of
/// HTTP/1.1 take in the same way. Lines are checked as they arrive.
class request_head_reader {
public:
    enum class progress : std::uint8_t { more, done, refused };

    explicit request_head_reader(const listener_limits& limits) noexcept : limits_(&limits) {}

    /// Reads on. `bytes` begin where they began before, and go on further.
    [[nodiscard]] progress read(std::string_view bytes) noexcept;

    /// The size of the whole head, with the empty line that ends it. Valid once it is done.
    [[nodiscard]] std::size_t size() const noexcept { return line_at_; }
    [[nodiscard]] const request_head& head() const noexcept { return head_; }
    [[nodiscard]] request_fault fault() const noexcept { return fault_; }

private:
    progress refuse(request_fault fault) noexcept {
        fault_ = fault;
        return progress::refused;
    }
    request_fault check_unfinished(std::string_view line) const noexcept;
    void note_method(std::string_view line, std::size_t at) noexcept;
    request_fault read_line(std::string_view bytes, std::size_t end) noexcept;
    request_fault read_request_line(std::string_view line, std::size_t at) noexcept;
    request_fault read_field(std::string_view line, std::size_t at) noexcept;
    request_fault read_known_field(std::string_view name, std::string_view value,
                                   std::size_t at) noexcept;
    request_fault read_length(std::string_view value) noexcept;
    void read_connection(std::string_view value) noexcept;
    [[nodiscard]] request_fault check_whole() const noexcept;

    const listener_limits* limits_;
    request_head head_;
    std::size_t line_at_ = 0; ///< Where the line begins that is being read.
    std::size_t searched_ = 0;
    std::size_t fields_ = 0;
    request_fault fault_ = request_fault::none;
    std::uint8_t platform_keys_ = 0;
    std::uint8_t admin_keys_ = 0;
    std::uint8_t authorizations_ = 0;
    std::uint8_t hosts_ = 0;
    std::uint8_t lengths_ = 0;
    std::uint8_t codings_ = 0;
    std::uint8_t framing_fields_ = 0; ///< Fields of the two kinds above.
    bool has_request_line_ = false;
    bool skipped_empty_line_ = false;
    bool closes_ = false;
};

/// Whether a line, without its end, is a field: `name: value`.
[[nodiscard]] bool is_field_line(std::string_view line) noexcept;

} // namespace roundhouse::server
