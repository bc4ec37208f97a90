#include "chunked_body.hpp"

#include "characters.hpp"
#include "request_head.hpp"

#include <roundhouse/types.hpp>

#include <algorithm>

namespace roundhouse::server {

namespace {

/// Blanks only: some readers do not take tabs here.
std::string_view without_spaces(std::string_view text) noexcept {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    return text;
}

/// The size of the quoted text (RFC 9110 §5.6.4) that a text begins with; 0 if there is none.
std::size_t quoted_size(std::string_view text) noexcept {
    for (std::size_t at = 1; at < text.size(); ++at) {
        if (text[at] == '"') return at + 1;
        if (text[at] == '\\') ++at;
    }
    return 0;
}

/// `;name`, `;name=token` and `;name="text"`, any number of them (RFC 9112 §7.1.1).
bool are_extensions(std::string_view text) noexcept {
    while (!text.empty()) {
        text = without_spaces(text);
        if (!text.starts_with(';')) return false;
        text = without_spaces(text.substr(1));
        const auto name = count_of(byte_class::token, text);
        if (name == 0) return false;
        text.remove_prefix(name);
        auto value = without_spaces(text);
        if (!value.starts_with('=')) continue;
        value = without_spaces(value.substr(1));
        const auto size = value.starts_with('"') ? quoted_size(value)
                                                 : count_of(byte_class::token, value);
        if (size == 0) return false;
        text = value.substr(size);
    }
    return true;
}

/// Whether a trailer's line says how a body is framed, which it may not (RFC 9110 §6.5.1): some
/// readers would take it for that of the next request.
bool is_framing_field(std::string_view line) noexcept {
    const auto name = line.substr(0, line.find(':'));
    return same_but_case(name, "content-length") || same_but_case(name, "transfer-encoding");
}

} // namespace

bool chunked_body::step(char byte) {
    switch (state_) {
    case state::size_begin:
    case state::size: return read_size(byte);
    case state::extensions: return read_extensions(byte);
    case state::size_lf: return byte == '\n' && end_size_line();
    case state::data_cr: return byte == '\r' && go_on(state::data_lf);
    case state::data_lf: return byte == '\n' && go_on(state::size_begin);
    case state::trailer: return read_trailer(byte);
    case state::trailer_lf: return byte == '\n' && end_trailer_line();
    case state::data:
    case state::done: break;
    }
    return false;
}

bool chunked_body::read_size(char byte) {
    const int digit = roundhouse::detail::hex_digit(byte);
    if (digit >= 0) {
        constexpr std::size_t most_digits = 15; // so that no size overflows
        state_ = state::size;
        left_ = left_ * 16 + static_cast<std::size_t>(digit);
        return ++size_digits_ <= most_digits;
    }
    if (state_ == state::size_begin) return false;
    if (byte == '\r') return go_on(state::size_lf);
    state_ = state::extensions;
    return read_extensions(byte);
}

bool chunked_body::read_extensions(char byte) {
    if (byte == '\r') {
        const bool right = are_extensions(line_);
        line_.clear();
        return right && go_on(state::size_lf);
    }
    if (++extension_bytes_ > limits_.max_chunk_extension_bytes || !is(byte_class::value, byte))
        return false;
    line_ += byte;
    return true;
}

bool chunked_body::end_size_line() {
    size_digits_ = 0;
    return go_on(left_ > 0 ? state::data : state::trailer);
}

bool chunked_body::read_trailer(char byte) {
    if (byte == '\r') return go_on(state::trailer_lf);
    if (++trailer_bytes_ > limits_.max_trailer_bytes || byte == '\n') return false;
    line_ += byte;
    return true;
}

bool chunked_body::end_trailer_line() {
    if (line_.empty()) return go_on(state::done);
    if (!is_field_line(line_) || is_framing_field(line_)) return false;
    line_.clear();
    return go_on(state::trailer);
}

} // namespace roundhouse::server
