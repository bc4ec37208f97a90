#pragma once

#include "limits.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace roundhouse::server {

/// Reads a body in chunks (RFC 9112 §7.1) strictly. Extensions and trailers are checked and
/// dropped.
class chunked_body {
public:
    enum class progress : std::uint8_t { more, done, refused };

    explicit chunked_body(const listener_limits& limits) noexcept : limits_(limits) {}

    /// Reads on: removes from `input` what belongs to the body, and calls `keep(std::string_view)`
    /// with its data.
    template <class Keep> [[nodiscard]] progress read(std::string_view& input, const Keep& keep) {
        while (!input.empty()) {
            if (state_ == state::data) {
                const auto piece = input.substr(0, left_);
                keep(piece);
                input.remove_prefix(piece.size());
                left_ -= piece.size();
                if (left_ == 0) state_ = state::data_cr;
                continue;
            }
            const char byte = input.front();
            input.remove_prefix(1);
            if (!step(byte)) return progress::refused;
            if (state_ == state::done) return progress::done;
        }
        return progress::more;
    }

    void reset() noexcept {
        state_ = state::size_begin;
        left_ = size_digits_ = extension_bytes_ = trailer_bytes_ = 0;
        if (line_.capacity() > 0) std::string().swap(line_);
    }

private:
    enum class state : std::uint8_t {
        size_begin,
        size,
        extensions,
        size_lf,
        data,
        data_cr,
        data_lf,
        trailer,
        trailer_lf,
        done,
    };

    bool step(char byte);
    bool read_size(char byte);
    bool read_extensions(char byte);
    bool end_size_line();
    bool read_trailer(char byte);
    bool end_trailer_line();
    bool go_on(state next) noexcept {
        state_ = next;
        return true;
    }

    const listener_limits& limits_;
    state state_ = state::size_begin;
    std::size_t left_ = 0; ///< Of the chunk's data; while its size is read, the size so far.
    std::size_t size_digits_ = 0;
    std::size_t extension_bytes_ = 0;
    std::size_t trailer_bytes_ = 0;
    std::string line_; ///< The extensions or the trailer's line that are being read.
};

} // namespace roundhouse::server
