#pragma once

#include "../integration/server_process.hpp"

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/write.hpp>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

namespace roundhouse_tests {

/// A proxy between a server and its Docker daemon, which interrupts one of the server's changes.
class meddling_proxy {
public:
    explicit meddling_proxy(std::string daemon)
        : daemon_(std::move(daemon)), acceptor_(context_, endpoint(folder_.path() + "/socket")) {
        thread_ = std::jthread([this] { accept(); });
    }
    meddling_proxy(const meddling_proxy&) = delete;
    meddling_proxy& operator=(const meddling_proxy&) = delete;
    ~meddling_proxy() {
        std::error_code ignored; // connections may be closed already
        ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
        const std::lock_guard lock(mutex_);
        for (auto& connection : open_) connection.shutdown(socket::shutdown_both, ignored);
    }

    [[nodiscard]] std::string address() const { return "unix://" + folder_.path() + "/socket"; }

    /// Calls `strike` in place of the change with this index, counted from 0 and from this call.
    /// That change and later ones are not forwarded, and get no answer.
    void strike_instead_of(std::size_t change, std::function<void()> strike) {
        const std::lock_guard lock(mutex_);
        changes_ = 0;
        strike_at_ = change;
        strike_ = std::move(strike);
    }

    [[nodiscard]] bool has_struck() const {
        const std::lock_guard lock(mutex_);
        return struck_;
    }

private:
    using socket = asio::local::stream_protocol::socket;
    using endpoint = asio::local::stream_protocol::endpoint;

    void accept() {
        for (;;) {
            std::error_code failed;
            socket client(context_);
            acceptor_.accept(client, failed);
            if (failed) return;
            const std::lock_guard lock(mutex_);
            auto& from = open_.emplace_back(std::move(client));
            auto& to = open_.emplace_back(context_);
            relays_.emplace_back([this, &from, &to] { relay(from, to); });
        }
    }

    /// Forwards the one request of a connection, and its answer.
    void relay(socket& client, socket& daemon) {
        std::error_code failed;
        const auto request = read_request(client);
        if (changes_something(request) && strike_is_due()) return close(client);
        daemon.connect(endpoint(daemon_), failed);
        asio::write(daemon, asio::buffer(request), failed);
        std::array<char, 8192> bytes{};
        while (!failed) {
            const auto size = daemon.read_some(asio::buffer(bytes), failed);
            if (size > 0) asio::write(client, asio::buffer(bytes, size), failed);
        }
        close(client);
        close(daemon);
    }

    static void close(socket& connection) {
        std::error_code ignored; // the peer may have closed it
        connection.shutdown(socket::shutdown_both, ignored);
    }

    static std::string read_request(socket& from) {
        std::error_code failed;
        std::string text;
        const auto head = asio::read_until(from, asio::dynamic_buffer(text), "\r\n\r\n", failed);
        constexpr std::string_view label = "Content-Length: ";
        if (const auto at = text.find(label); at < head) {
            std::size_t length = 0;
            std::from_chars(text.data() + at + label.size(), text.data() + text.size(), length);
            asio::read(from, asio::dynamic_buffer(text),
                       asio::transfer_exactly(head + length - text.size()), failed);
        }
        return text;
    }

    static bool changes_something(std::string_view request) {
        return request.starts_with("POST ") || request.starts_with("DELETE ");
    }

    bool strike_is_due() {
        const std::lock_guard lock(mutex_);
        if (!strike_ || struck_ || changes_++ != strike_at_) return struck_;
        struck_ = true;
        strike_();
        return true;
    }

    const scratch_folder folder_;
    const std::string daemon_;
    asio::io_context context_;
    asio::local::stream_protocol::acceptor acceptor_;
    mutable std::mutex mutex_;
    std::list<socket> open_;
    std::size_t changes_ = 0;
    std::size_t strike_at_ = 0;
    std::function<void()> strike_;
    bool struck_ = false;
    std::list<std::jthread> relays_;
    std::jthread thread_;
};

} // namespace roundhouse_tests
