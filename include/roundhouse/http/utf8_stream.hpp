#pragma once

#include <roundhouse/detail/utf8.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/http/json.hpp>
#include <roundhouse/text_stream.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

/// Another stream with U+FFFD in place of bytes that are not UTF-8. A character that two pieces
/// share is handed out with the second.
class utf8_stream final : public text_stream {
public:
    explicit utf8_stream(text_stream_ptr bytes) : bytes_(std::move(bytes)) {}

    void next(completion<std::string> done) override { read(bytes_, begun_, std::move(done)); }

private:
    /// `bytes` is not kept alive by the wait, which ends when it is destroyed.
    static void read(const text_stream_ptr& bytes, const std::shared_ptr<std::string>& begun,
                     completion<std::string> done) {
        bytes->next([weak = std::weak_ptr(bytes), begun,
                     done = std::move(done)](result<std::string> piece) {
            if (!piece) return done(std::move(piece));
            const bool ended = piece->empty();
            auto text = std::exchange(*begun, {}) + *piece;
            if (!ended) {
                const auto whole = text.size() - bytes_of_unfinished_character(text);
                begun->assign(text, whole);
                text.resize(whole);
            }
            if (ended || !text.empty()) return done(as_utf8(text));
            if (const auto more = weak.lock()) return read(more, begun, done);
            done(fail(errc::cancelled, "The stream was dropped."));
        });
    }

    /// The bytes at the end of a text that may be the beginning of a character.
    [[nodiscard]] static std::size_t bytes_of_unfinished_character(std::string_view text) {
        constexpr std::size_t longest = 4;
        for (std::size_t count = 1; count < longest && count <= text.size(); ++count) {
            const auto last = text.substr(text.size() - count);
            const auto lead = static_cast<unsigned char>(last.front());
            if ((lead & 0xC0U) == 0x80U) continue; // inside of a character
            const std::size_t size = lead >= 0xF0U ? 4 : lead >= 0xE0U ? 3 : lead >= 0xC0U ? 2 : 1;
            return size > count ? count : 0;
        }
        return 0;
    }

    const text_stream_ptr bytes_;
    const std::shared_ptr<std::string> begun_ = std::make_shared<std::string>();
};

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
