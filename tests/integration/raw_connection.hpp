#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace roundhouse_tests {

/// A TCP connection to 127.0.0.1, by default from it, that sends exactly the given bytes. Reads throw once nothing has
/// arrived for `read_timeout`, so that a test fails instead of hanging.
class raw_connection {
public:
    explicit raw_connection(std::uint16_t port, const char* from = nullptr,
                            std::chrono::seconds read_timeout = std::chrono::seconds(20))
        : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        if (socket_ < 0) throw std::system_error(errno, std::system_category(), "socket");
        const timeval timeout{.tv_sec = read_timeout.count(), .tv_usec = 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        sockaddr_in own{};
        own.sin_family = AF_INET;
        if (from != nullptr) ::inet_pton(AF_INET, from, &own.sin_addr);
        if ((from != nullptr &&
             ::bind(socket_, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) ||
            ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            const auto code = errno;
            ::close(socket_);
            throw std::system_error(code, std::system_category(), "connect");
        }
    }
    ~raw_connection() {
        if (socket_ >= 0) ::close(socket_);
    }
    raw_connection(raw_connection&& other) noexcept
        : socket_(std::exchange(other.socket_, -1)), received_(std::move(other.received_)) {}
    raw_connection(const raw_connection&) = delete;
    raw_connection& operator=(const raw_connection&) = delete;

    /// Returns false once the other side accepts no more bytes.
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }

    void finish_sending() { ::shutdown(socket_, SHUT_WR); }

    /// Reads one HTTP response, headers and body; only a part if the connection ends early.
    std::string response(bool to_head = false) {
        auto end = received_.find("\r\n\r\n");
        while (end == std::string::npos) {
            if (!receive()) return std::exchange(received_, {});
            end = received_.find("\r\n\r\n");
        }
        const auto size = end + 4 +
                          (to_head ? 0
                                   : content_length(std::string_view(received_).substr(0, end)));
        while (received_.size() < size)
            if (!receive()) return std::exchange(received_, {});
        auto whole = received_.substr(0, size);
        received_.erase(0, size);
        return whole;
    }

    /// Reads this many bytes; fewer if the connection ends early.
    std::string exactly(std::size_t size) {
        while (received_.size() < size && receive()) {
        }
        auto bytes = received_.substr(0, size);
        received_.erase(0, size);
        return bytes;
    }

    /// Reads until the other side closes. Throws if it does not.
    std::string rest() {
        while (receive()) {
        }
        return std::exchange(received_, {});
    }

private:
    static std::size_t content_length(std::string_view headers) {
        constexpr std::string_view name = "\r\nContent-Length: ";
        const auto at = headers.find(name);
        return at == std::string_view::npos
                   ? 0
                   : std::stoul(std::string(headers.substr(at + name.size(), 12)));
    }

    /// Returns false at the end of the connection, including a reset.
    bool receive() {
        char bytes[16 * 1024];
        const auto count = ::recv(socket_, bytes, sizeof bytes, 0);
        if (count > 0) received_.append(bytes, static_cast<std::size_t>(count));
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            throw std::system_error(errno, std::system_category(),
                                    "no bytes arrived, and the connection is still open");
        return count > 0;
    }

    int socket_;
    std::string received_;
};

} // namespace roundhouse_tests
