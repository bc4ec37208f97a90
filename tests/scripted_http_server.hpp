#pragma once

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/write.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace roundhouse_tests {

/// Listens on a free port of 127.0.0.1, or on a Unix socket, and lets a script answer each request.
/// A connection stays open until the server is destroyed, unless the script closes it.
template <class Protocol> class basic_scripted_http_server {
public:
    using socket = typename Protocol::socket;
    /// Is called with the bytes of the request. May write to the socket, shut it down or close it.
    using script = std::function<void(socket&, const std::string& request)>;

    explicit basic_scripted_http_server(const typename Protocol::endpoint& endpoint, script answer)
        : answer_{std::move(answer)}, acceptor_{context_, endpoint} {
        accept();
        thread_ = std::jthread{[this] { context_.run(); }};
    }
    basic_scripted_http_server(const basic_scripted_http_server&) = delete;
    basic_scripted_http_server& operator=(const basic_scripted_http_server&) = delete;
    ~basic_scripted_http_server() { context_.stop(); }

    [[nodiscard]] typename Protocol::endpoint endpoint() const {
        return acceptor_.local_endpoint();
    }

    [[nodiscard]] std::vector<std::string> requests() const {
        const std::lock_guard lock{mutex_};
        return requests_;
    }

private:
    /// With the end of the line before it.
    static constexpr std::string_view last_chunk{"\r\n0\r\n\r\n"};

    void accept() {
        acceptor_.async_accept([this](const std::error_code& failed, socket accepted) {
            if (failed) return;
            open_.push_back(std::make_unique<socket>(std::move(accepted)));
            serve(*open_.back());
            accept();
        });
    }

    void serve(socket& connection) {
        std::error_code failed;
        std::string text;
        auto size = asio::read_until(connection, asio::dynamic_buffer(text), "\r\n\r\n", failed);
        if (failed) return;
        constexpr std::string_view label = "Content-Length: ";
        if (const auto at = text.find(label); at < size) {
            std::size_t length = 0;
            std::from_chars(text.data() + at + label.size(), text.data() + text.size(), length);
            const auto missing = size + length - text.size();
            asio::read(connection, asio::dynamic_buffer(text), asio::transfer_exactly(missing),
                       failed);
        } else if (text.find("Transfer-Encoding: chunked") < size && !text.ends_with(last_chunk)) {
            asio::read_until(connection, asio::dynamic_buffer(text), last_chunk, failed);
        }
        {
            const std::lock_guard lock{mutex_};
            requests_.push_back(text);
        }
        answer_(connection, text);
    }

    script answer_;
    asio::io_context context_;
    typename Protocol::acceptor acceptor_;
    std::vector<std::unique_ptr<socket>> open_;
    mutable std::mutex mutex_;
    std::vector<std::string> requests_;
    std::jthread thread_;
};

using scripted_unix_server = basic_scripted_http_server<asio::local::stream_protocol>;

class scripted_http_server : public basic_scripted_http_server<asio::ip::tcp> {
public:
    explicit scripted_http_server(script answer)
        : basic_scripted_http_server{{asio::ip::address_v4::loopback(), 0}, std::move(answer)} {}

    [[nodiscard]] std::uint16_t port() const { return endpoint().port(); }

    /// A script that sends bytes and closes the connection.
    static script sends(std::string text) {
        return [text = std::move(text)](socket& connection, const std::string&) {
            std::error_code gone; // the client may have closed the connection
            asio::write(connection, asio::buffer(text), gone);
            connection.close(gone);
        };
    }

    /// A script that sends bytes and leaves the connection open.
    static script sends_and_hangs(std::string text) {
        return [text = std::move(text)](socket& connection, const std::string&) {
            std::error_code gone;
            asio::write(connection, asio::buffer(text), gone);
        };
    }

    /// A script that sends a whole answer.
    static script answers(unsigned status, const std::string& body) {
        return sends("HTTP/1.1 " + std::to_string(status) +
                     " Text\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    }
};

} // namespace roundhouse_tests
