#pragma once

#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/detail/http_client.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>
#include <asio/this_coro.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::docker {

/// Reads what is in /data of one container, which does not run, into /data of another, as an archive
/// (API, ContainerArchive and PutContainerArchive) of which only a piece is held at a time. It and the
/// daemon must outlive the awaitable.
class data_transfer {
public:
    /// `from` and `to` are ids. `patience` is how long the daemon may do nothing.
    data_transfer(daemon& docker, std::string from, std::string to, duration patience)
        : docker_{docker}, from_{std::move(from)}, to_{std::move(to)}, patience_{patience} {}

    /// False, with a part of the data copied, if the archive has more than `max_bytes`. A failure
    /// leaves a part of it too.
    asio::awaitable<result<bool>> make(std::optional<std::uint64_t> max_bytes) {
        const auto strand = co_await asio::this_coro::executor;
        const http_limits limits{.deadline = patience_, .watch_peer = true};
        http_exchange source{strand, docker_.peer(), limits, false};
        http_exchange target{strand, docker_.peer(), limits, false};
        auto opening = open(source, target);
        if (const auto opened = co_await std::move(opening); !opened)
            co_return unexpected{opened.error()};
        std::uint64_t bytes = 0;
        for (bool more = true; more;) {
            const auto piece = std::exchange(source.response().body, {});
            bytes += piece.size();
            if (max_bytes && bytes > *max_bytes) co_return false;
            restart(source, target);
            if (!piece.empty()) {
                auto sending = send(target, piece);
                if (const auto sent = co_await std::move(sending); !sent)
                    co_return unexpected{sent.error()};
            }
            restart(source, target);
            auto reading = source.read_more();
            const auto read = co_await std::move(reading);
            if (!read) co_return unexpected{read.error()};
            more = *read || !source.response().body.empty();
        }
        auto ending = end(target);
        if (const auto ended = co_await std::move(ending); !ended)
            co_return unexpected{ended.error()};
        co_return true;
    }

private:
    /// Both wait for each other.
    void restart(http_exchange& source, http_exchange& target) const {
        source.restart_deadline(patience_);
        target.restart_deadline(patience_);
    }

    asio::awaitable<result<void>> open(http_exchange& source, http_exchange& target) {
        auto asking = docker_.streaming("GET", "/containers/" + from_ + "/archive?path=/data");
        const auto get = co_await std::move(asking);
        if (!get) co_return unexpected{get.error()};
        auto requesting = source.send(*get);
        if (const auto sent = co_await std::move(requesting); !sent) co_return sent;
        auto reading = source.read_head();
        if (const auto read = co_await std::move(reading); !read) co_return read;
        if (source.response().status != 200) {
            auto complaining = complaint("cannot read an engine's data", source);
            co_return co_await std::move(complaining);
        }
        // The archive's names begin with data/.
        auto offering = docker_.streaming("PUT", "/containers/" + to_ + "/archive?path=/");
        auto put = co_await std::move(offering);
        if (!put) co_return unexpected{put.error()};
        put->headers.emplace_back("Content-Type", "application/x-tar");
        put->streamed = true;
        auto beginning = target.send(*put);
        co_return co_await std::move(beginning);
    }

    asio::awaitable<result<void>> send(http_exchange& target, const std::string& piece) {
        auto sending = target.send_piece(piece);
        auto sent = co_await std::move(sending);
        if (sent) co_return sent;
        // The daemon may have answered before the end, and closed the connection.
        auto reading = target.read_head();
        const auto read = co_await std::move(reading);
        if (!read || !target.head_complete()) co_return sent;
        auto complaining = complaint("cannot write a copy of an engine's data", target);
        co_return co_await std::move(complaining);
    }

    asio::awaitable<result<void>> end(http_exchange& target) {
        target.restart_deadline(patience_);
        const std::string last; // an empty piece
        auto sending = send(target, last);
        if (const auto sent = co_await std::move(sending); !sent) co_return sent;
        target.restart_deadline(patience_);
        auto reading = target.read_head();
        if (const auto read = co_await std::move(reading); !read) co_return read;
        if (target.response().status == 200) co_return result<void>{};
        auto complaining = complaint("cannot write a copy of an engine's data", target);
        co_return co_await std::move(complaining);
    }

    /// The failure of an exchange whose answer refuses, with the message in its body.
    static asio::awaitable<result<void>> complaint(std::string step, http_exchange& refusing) {
        for (bool more = true; more;) {
            auto reading = refusing.read_more();
            const auto read = co_await std::move(reading);
            more = read && *read; // a body that is cut leaves the status
        }
        co_return daemon::refused(step, refusing.response());
    }

    daemon& docker_;
    const std::string from_;
    const std::string to_;
    const duration patience_;
};

} // namespace detail::docker
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
