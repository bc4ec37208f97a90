#pragma once

#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/detail/http_client.hpp>
#include <roundhouse/detail/run_on.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log_source.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/this_coro.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::docker {

/// Extracts the output from the daemon's frames (API, "Attach to a container", stream format): each
/// has a head of 8 bytes, of which the last four are the length.
class frame_reader {
public:
    /// Takes the next bytes, and returns the output in them.
    [[nodiscard]] std::string read(std::string_view bytes) {
        std::string output;
        while (!bytes.empty()) {
            if (left_ == 0) {
                const auto wanted = std::min(head_size - head_.size(), bytes.size());
                head_.append(bytes.substr(0, wanted));
                bytes.remove_prefix(wanted);
                if (head_.size() == head_size) begin_frame();
                continue;
            }
            const auto size = std::min(left_, bytes.size());
            output.append(bytes.substr(0, size));
            bytes.remove_prefix(size);
            left_ -= size;
        }
        return output;
    }

private:
    static constexpr std::size_t head_size = 8;

    void begin_frame() {
        for (const char byte : std::string_view(head_).substr(4))
            left_ = left_ << 8U | static_cast<unsigned char>(byte);
        head_.clear();
    }

    std::string head_;
    std::size_t left_ = 0; ///< Of the frame's output.
};

/// The output in an answer of the daemon. An incomplete head at its end is ignored.
[[nodiscard]] inline std::string unframed(std::string_view frames) {
    return frame_reader().read(frames);
}

/// The query of "Get container logs" (API).
[[nodiscard]] inline std::string to_query(const log_query& query) {
    auto out = "?stdout=1&stderr=1&tail=" + (query.tail ? std::to_string(*query.tail) : "all");
    if (query.follow) out += "&follow=1";
    if (!query.since) return out;
    const auto since = query.since->time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    const auto rest = std::chrono::nanoseconds(since - seconds).count();
    const auto digits = std::to_string(rest);
    return out + "&since=" + std::to_string(seconds.count()) + '.' +
           std::string(9 - digits.size(), '0') + digits;
}

/// The output of a container as the daemon sends it, over a connection of its own. Nothing is read
/// from the connection ahead of a call of `next`, so the daemon waits for the reader.
class container_log final : public log_source {
public:
    /// Opens the output of a container. A container that does not exist has none.
    static asio::awaitable<result<log_source_ptr>>
    open(std::shared_ptr<daemon> from, std::string id, log_query query, duration timeout) {
        auto asking = from->streaming("GET", "/containers/" + id + "/logs" + to_query(query));
        const auto request = co_await std::move(asking);
        if (!request) co_return unexpected{request.error()};
        const asio::any_io_executor strand = co_await asio::this_coro::executor;
        const http_limits limits{.deadline = timeout, .watch_peer = true};
        const auto stream = std::make_shared<open_stream>(strand, from->peer(), limits);
        auto& exchange = stream->exchange;
        auto sending = exchange.send(*request);
        if (auto sent = co_await std::move(sending); !sent) co_return unexpected{sent.error()};
        auto reading = exchange.read_head();
        if (auto read = co_await std::move(reading); !read) co_return unexpected{read.error()};
        if (exchange.response().status == 404) co_return empty();
        if (exchange.response().status != 200)
            co_return daemon::refused("cannot read the output", exchange.response());
        exchange.restart_deadline(no_deadline);
        co_return log_source_ptr(std::make_shared<container_log>(stream));
    }

    /// The output of no container.
    [[nodiscard]] static log_source_ptr empty() { return std::make_shared<container_log>(nullptr); }

    asio::awaitable<result<std::string>> next() override {
        if (!stream_) return nothing();
        auto reading = read_on(stream_);
        return run_on(stream_->strand, std::move(reading));
    }

    struct open_stream {
        open_stream(asio::any_io_executor on, const http_peer& peer, const http_limits& limits)
            : strand{std::move(on)}, exchange{strand, peer, limits, false} {}

        const asio::any_io_executor strand;
        http_exchange exchange;
        frame_reader frames;
    };

    /// Use `open`.
    explicit container_log(std::shared_ptr<open_stream> stream) : stream_{std::move(stream)} {}

private:
    static asio::awaitable<result<std::string>> nothing() { co_return std::string{}; }

    static asio::awaitable<result<std::string>> read_on(std::shared_ptr<open_stream> stream) {
        for (bool more = true;;) {
            auto piece = stream->frames.read(std::exchange(stream->exchange.response().body, {}));
            if (!piece.empty() || !more) co_return piece;
            auto reading = stream->exchange.read_more();
            const auto read = co_await std::move(reading);
            if (!read) co_return unexpected{read.error()};
            more = *read;
        }
    }

    const std::shared_ptr<open_stream> stream_;
};

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
