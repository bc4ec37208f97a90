#pragma once

#include <roundhouse/detail/utf8.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/http/json.hpp>
#include <roundhouse/text_stream.hpp>

#include <memory>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

/// Another stream with U+FFFD in place of bytes that are not UTF-8. A character that two pieces
/// share is handed out with the second. Pieces are up to three times as long as the other stream's.
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
                const auto whole = text.size() - roundhouse::detail::utf8_unfinished(text);
                begun->assign(text, whole);
                text.resize(whole);
            }
            if (ended || !text.empty()) return done(as_utf8(text));
            if (const auto more = weak.lock()) return read(more, begun, done);
            done(fail(errc::cancelled, "The stream was dropped."));
        });
    }

    const text_stream_ptr bytes_;
    const std::shared_ptr<std::string> begun_ = std::make_shared<std::string>();
};

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
