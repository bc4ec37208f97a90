#pragma once

#include <roundhouse/detail/http_client/messages.hpp>
#include <roundhouse/version.hpp>

#include <http_parser.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail {

/// Parses an answer from its bytes, in pieces of any size. Interim answers (1xx) are skipped.
class http_response_reader {
public:
    http_response_reader(const http_limits& limits, bool answers_head)
        : limits_{limits}, answers_head_{answers_head} {
        http_parser_init(&parser_, HTTP_RESPONSE);
        parser_.data = this;
    }
    http_response_reader(const http_response_reader&) = delete; // the parser has its address
    http_response_reader& operator=(const http_response_reader&) = delete;

    /// Takes the next bytes; none mean the end of the stream. Returns the fault of the answer, or
    /// an empty text.
    [[nodiscard]] std::string feed(std::string_view bytes) {
        static const auto callbacks = make_callbacks();
        if (bytes.empty() && !begun_) return "closed the connection without an answer";
        begun_ = true;
        total_bytes_ += bytes.size();
        if (total_bytes_ > limits_.total_bytes) return "sent an answer over the limit";
        http_parser_execute(&parser_, &callbacks, bytes.data(), bytes.size());
        if (complete_) return {};
        if (too_large_ != nullptr) return too_large_;
        if (bytes.empty()) return "cut the connection in the middle of its answer";
        const auto problem = HTTP_PARSER_ERRNO(&parser_);
        if (problem == HPE_OK) return {};
        return std::string{"no HTTP answer: "} + http_errno_description(problem);
    }

    [[nodiscard]] bool head_complete() const noexcept { return head_complete_; }
    [[nodiscard]] bool complete() const noexcept { return complete_; }
    [[nodiscard]] http_response& response() noexcept { return response_; }

private:
    static http_response_reader& self(http_parser* parser) {
        return *static_cast<http_response_reader*>(parser->data);
    }

    static http_parser_settings make_callbacks() {
        http_parser_settings callbacks;
        http_parser_settings_init(&callbacks);
        callbacks.on_message_begin = [](http_parser* p) {
            self(p).response_ = {};
            self(p).header_bytes_ = 0;
            self(p).in_field_ = false;
            return 0;
        };
        callbacks.on_status = [](http_parser* p, const char*, std::size_t size) {
            return self(p).count_header(size);
        };
        callbacks.on_header_field = [](http_parser* p, const char* at, std::size_t size) {
            auto& reader = self(p);
            if (!std::exchange(reader.in_field_, true)) {
                if (reader.response_.headers.size() >= reader.limits_.header_count)
                    return reader.refuse("sent more headers than the limit");
                reader.response_.headers.emplace_back();
            }
            reader.response_.headers.back().first.append(at, size);
            return reader.count_header(size);
        };
        callbacks.on_header_value = [](http_parser* p, const char* at, std::size_t size) {
            auto& reader = self(p);
            reader.in_field_ = false;
            reader.response_.headers.back().second.append(at, size);
            return reader.count_header(size);
        };
        callbacks.on_headers_complete = [](http_parser* p) {
            auto& reader = self(p);
            reader.in_field_ = false;
            reader.response_.status = p->status_code;
            reader.head_complete_ = p->status_code >= 200;
            return reader.answers_head_ ? 1 : 0; // 1: no body follows, whatever the headers say
        };
        callbacks.on_body = [](http_parser* p, const char* at, std::size_t size) {
            auto& reader = self(p);
            if (reader.response_.body.size() + size > reader.limits_.body_bytes) {
                return reader.refuse("sent a body over the limit");
            }
            reader.response_.body.append(at, size);
            return 0;
        };
        callbacks.on_message_complete = [](http_parser* p) {
            if (p->status_code < 200)
                return ++self(p).interim_answers_ > self(p).limits_.interim_answers
                           ? self(p).refuse("sent more interim answers than the limit")
                           : 0;
            self(p).complete_ = true;
            http_parser_pause(p, 1); // further bytes are ignored
            return 0;
        };
        return callbacks;
    }

    int count_header(std::size_t size) {
        header_bytes_ += size;
        if (header_bytes_ <= limits_.header_bytes) return 0;
        return refuse("sent headers over the limit");
    }
    int refuse(const char* reason) noexcept {
        too_large_ = reason;
        return 1;
    }

    http_limits limits_;
    http_parser parser_{};
    http_response response_;
    std::size_t header_bytes_ = 0;
    std::size_t interim_answers_ = 0;
    std::size_t total_bytes_ = 0;
    const char* too_large_ = nullptr;
    bool answers_head_;
    bool begun_ = false;
    bool in_field_ = false;
    bool head_complete_ = false;
    bool complete_ = false;
};

} // namespace detail

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
