#include "request_reader.hpp"

#include <algorithm>

namespace roundhouse::server {

request_reader::progress request_reader::read(std::string_view& input) {
    if (!head_read_) {
        const auto head = read_head(input);
        if (!head_read_ || head != progress::more) return head;
    }
    return read_body(input);
}

void request_reader::begin_next() noexcept {
    head_reader_ = request_head_reader(limits_);
    chunks_.reset();
    // An idle connection holds no memory for requests that it once had.
    if (saved_head_.capacity() > 0) std::string().swap(saved_head_);
    if (saved_body_.capacity() > 0) std::string().swap(saved_body_);
    head_ = body_ = {};
    body_bytes_ = 0;
    fault_ = request_fault::none;
    begun_ = head_read_ = body_begun_ = abandoned_ = false;
}

request_reader::progress request_reader::read_head(std::string_view& input) {
    if (input.empty()) return progress::more;
    begun_ = true;
    const auto saved = saved_head_.size();
    if (saved > 0) saved_head_.append(input);
    const std::string_view bytes = saved > 0 ? std::string_view(saved_head_) : input;
    switch (head_reader_.read(bytes)) {
    case request_head_reader::progress::refused: head_ = bytes; return refuse(head_reader_.fault());
    case request_head_reader::progress::more:
        if (saved == 0) saved_head_ = input;
        input = {};
        return progress::more;
    case request_head_reader::progress::done: break;
    }
    const auto size = head_reader_.size();
    input.remove_prefix(size - saved);
    if (saved > 0) saved_head_.resize(size);
    head_ = bytes.substr(0, size);
    head_read_ = true;
    return end_head();
}

/// Decides how the body is read.
request_reader::progress request_reader::end_head() {
    if (head().framing == body_framing::none) return progress::whole;
    if (head().framing != body_framing::length) return progress::more;
    const auto length = head().content_length;
    const bool too_large = length > limits_.max_body_bytes;
    // What will be refused need not be sent.
    if (too_large && (awaits_continue() || length > limits_.max_dropped_bytes)) {
        abandoned_ = true;
        body_bytes_ = length;
        return progress::whole;
    }
    return progress::more;
}

request_reader::progress request_reader::read_body(std::string_view& input) {
    auto reached = progress::more;
    if (!input.empty())
        reached = head().framing == body_framing::length ? read_length(input) : read_chunks(input);
    // The head must outlive the input, which is the caller's.
    if (reached == progress::more && saved_head_.empty()) {
        saved_head_ = head_;
        head_ = saved_head_;
    }
    return reached;
}

request_reader::progress request_reader::read_length(std::string_view& input) {
    const auto left = head().content_length - body_bytes_;
    const auto piece = input.substr(
        0, static_cast<std::size_t>(std::min<std::uint64_t>(left, input.size())));
    input.remove_prefix(piece.size());
    const bool whole = piece.size() == left;
    if (whole && !body_begun_ && left <= limits_.max_body_bytes) {
        body_ = piece;
        body_bytes_ = left;
        return progress::whole;
    }
    keep(piece);
    return whole ? progress::whole : progress::more;
}

request_reader::progress request_reader::read_chunks(std::string_view& input) {
    switch (chunks_.read(input, [this](std::string_view piece) { keep(piece); })) {
    case chunked_body::progress::more: break;
    case chunked_body::progress::done: return progress::whole;
    case chunked_body::progress::refused: return refuse(request_fault::not_http);
    }
    body_begun_ = true;
    if (body_bytes_ <= limits_.max_dropped_bytes) return progress::more;
    abandoned_ = true;
    return progress::whole;
}

void request_reader::keep(std::string_view piece) {
    body_begun_ = true;
    body_bytes_ += piece.size();
    const auto room = limits_.max_body_bytes - saved_body_.size();
    saved_body_.append(piece.substr(0, room));
    body_ = saved_body_;
}

request_reader::progress request_reader::refuse(request_fault fault) noexcept {
    fault_ = fault;
    return progress::refused;
}

} // namespace roundhouse::server
