#include "chunked_body.hpp"

#include "characters.hpp"
#include "request_head.hpp"

#include <roundhouse/types.hpp>

namespace roundhouse::server {

bool chunked_body::step(char byte) {
    switch (state_) {
    case state::size_begin:
    case state::size: return read_size(byte);
    case state::before_extension:
    case state::extension:
        if (++extension_bytes_ > limits_.max_chunk_extension_bytes) return false;
        if (state_ == state::before_extension)
            return byte == ';' ? go_on(state::extension) : is_blank(byte);
        return byte == '\r' ? go_on(state::size_lf) : is(byte_class::value, byte);
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
    if (byte == ';') return go_on(state::extension);
    return is_blank(byte) && go_on(state::before_extension);
}

bool chunked_body::end_size_line() {
    size_digits_ = 0;
    return go_on(left_ > 0 ? state::data : state::trailer);
}

bool chunked_body::read_trailer(char byte) {
    if (byte == '\r') return go_on(state::trailer_lf);
    if (++trailer_bytes_ > limits_.max_trailer_bytes || byte == '\n') return false;
    trailer_ += byte;
    return true;
}

bool chunked_body::end_trailer_line() {
    if (trailer_.empty()) return go_on(state::done);
    if (!is_field_line(trailer_)) return false;
    trailer_.clear();
    return go_on(state::trailer);
}

} // namespace roundhouse::server
