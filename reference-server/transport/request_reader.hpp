#pragma once

#include "chunked_body.hpp"
#include "limits.hpp"
#include "request_head.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace roundhouse::server {

/// Reads the requests of a connection, from bytes that arrive in pieces of any size. Copies nothing
/// of a request that is whole in one piece.
class request_reader {
public:
    enum class progress : std::uint8_t {
        more, ///< All of the input was read.
        whole,
        refused,
    };

    explicit request_reader(const listener_limits& limits) noexcept
        : limits_(limits), head_reader_(limits), chunks_(limits) {}
    request_reader(const request_reader&) = delete;
    request_reader& operator=(const request_reader&) = delete;

    /// Reads on: removes from `input` what belongs to the request. Once it is whole or refused,
    /// only `begin_next` reads further.
    [[nodiscard]] progress read(std::string_view& input);

    /// Prepares for the next request, and frees what the last one needed.
    void begin_next() noexcept;

    /// Whether a part of a request has been read, and no whole one.
    [[nodiscard]] bool in_head() const noexcept { return begun_ && !head_read_; }
    [[nodiscard]] bool in_body() const noexcept { return head_read_; }
    /// Whether the client waits for `100 Continue` before it sends the body.
    [[nodiscard]] bool awaits_continue() const noexcept {
        return head_read_ && head().expects_continue && !head().http_1_0 && !body_begun_;
    }

    [[nodiscard]] request_fault fault() const noexcept { return fault_; }

    // Of a request that is whole; of one that is refused, what was read of its head before. Texts are
    // valid until `begin_next` is called or the input of the last `read` changes.

    [[nodiscard]] const request_head& head() const noexcept { return head_reader_.head(); }
    [[nodiscard]] std::string_view text(text_part part) const noexcept { return part.of(head_); }
    [[nodiscard]] std::string_view body() const noexcept { return body_; }
    [[nodiscard]] bool body_too_large() const noexcept {
        return body_bytes_ > limits_.max_body_bytes;
    }
    /// Whether the body was not read to its end, so that no request can follow.
    [[nodiscard]] bool body_abandoned() const noexcept { return abandoned_; }

private:
    progress read_head(std::string_view& input);
    progress end_head();
    progress read_body(std::string_view& input);
    progress read_length(std::string_view& input);
    progress read_chunks(std::string_view& input);
    void keep(std::string_view piece);
    progress refuse(request_fault fault) noexcept;

    const listener_limits& limits_;
    request_head_reader head_reader_;
    chunked_body chunks_;
    std::string saved_head_;       ///< Used if the head or what follows it arrives in pieces.
    std::string saved_body_;       ///< The same of the body, at most `max_body_bytes`.
    std::string_view head_{};      ///< In the input or in `saved_head_`.
    std::string_view body_{};      ///< In the input or in `saved_body_`.
    std::uint64_t body_bytes_ = 0; ///< Read so far; of an abandoned body, what was announced.
    request_fault fault_ = request_fault::none;
    bool begun_ = false;
    bool head_read_ = false;
    bool body_begun_ = false;
    bool abandoned_ = false;
};

} // namespace roundhouse::server
