#include "listening_sockets.hpp"

#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace roundhouse::server {

namespace {

constexpr mode_t unix_socket_mode = 0660;

class place_failure {
public:
    explicit place_failure(const listening_place& place) : place_(place) {}

    /// Throws if a call has failed, and returns its result.
    int check(int outcome) const {
        if (outcome < 0) fail(errno);
        return outcome;
    }
    [[noreturn]] void fail(int code) const {
        throw std::system_error(code, std::system_category(), to_string(place_));
    }

private:
    const listening_place& place_;
};

void set_flag(int socket, int level, int name, const place_failure& failure) {
    const int yes = 1;
    (void)failure.check(::setsockopt(socket, level, name, &yes, sizeof yes));
}

enum class sharing : bool { none, among_loops };

/// Opens a socket that listens. Sockets of loops share their address (SO_REUSEPORT).
int open_tcp(const asio::ip::tcp::endpoint& at, sharing shares, const place_failure& failure,
             descriptors& opened) {
    const int socket = failure.check(
        ::socket(at.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    opened.add(socket);
    // Ignores lingering connections of an earlier server, but not servers that listen.
    set_flag(socket, SOL_SOCKET, SO_REUSEADDR, failure);
    if (shares == sharing::among_loops) set_flag(socket, SOL_SOCKET, SO_REUSEPORT, failure);
    (void)failure.check(::bind(socket, at.data(), static_cast<socklen_t>(at.size())));
    (void)failure.check(::listen(socket, SOMAXCONN));
    return socket;
}

std::uint16_t port_of(int socket) noexcept {
    asio::ip::tcp::endpoint own;
    auto size = static_cast<socklen_t>(own.capacity());
    if (::getsockname(socket, own.data(), &size) != 0) return 0;
    const auto family = own.data()->sa_family;
    return family == AF_INET || family == AF_INET6 ? own.port() : std::uint16_t{0};
}

listening_sockets listen_at_port(const listening_place& place, std::size_t loops,
                                 const place_failure& failure) {
    asio::ip::tcp::endpoint at(asio::ip::make_address(place.host), place.port);
    // SO_REUSEPORT would hide another server there. Two servers that start within the same
    // microseconds may both succeed.
    if (place.port != 0) {
        descriptors probe;
        (void)open_tcp(at, sharing::none, failure, probe);
    }
    listening_sockets out;
    // If the system chooses the port, it does so for the first loop, and chooses a free one.
    for (std::size_t i = 0; i < loops; ++i)
        at.port(port_of(open_tcp(at, sharing::among_loops, failure, out.sockets)));
    out.port = at.port();
    return out;
}

/// One socket for all loops: those of one path cannot share it.
listening_sockets for_each_loop(int socket, std::size_t loops, const place_failure& failure) {
    listening_sockets out;
    out.port = port_of(socket);
    for (std::size_t i = 0; i < loops; ++i)
        out.sockets.add(failure.check(::fcntl(socket, F_DUPFD_CLOEXEC, 0)));
    return out;
}

/// Removes the socket that a server left behind. One at which a server listens stays.
void remove_leftover(const sockaddr_un& at, const place_failure& failure) {
    struct stat found {};
    if (::lstat(at.sun_path, &found) != 0 || !S_ISSOCK(found.st_mode)) return;
    descriptors probe;
    const int socket = failure.check(
        ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    probe.add(socket);
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0 ||
        errno == EAGAIN)
        failure.fail(EADDRINUSE);
    if (errno == ECONNREFUSED) (void)::unlink(at.sun_path);
}

listening_sockets listen_at_path(const listening_place& place, std::size_t loops,
                                 const place_failure& failure) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    if (place.unix_path.size() >= sizeof at.sun_path) failure.fail(ENAMETOOLONG);
    std::memcpy(at.sun_path, place.unix_path.data(), place.unix_path.size());
    remove_leftover(at, failure);
    descriptors opened;
    const int socket = failure.check(
        ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    opened.add(socket);
    // The file is made with the mode of the socket, without those bits that umask(2) forbids.
    (void)failure.check(::fchmod(socket, unix_socket_mode));
    (void)failure.check(::bind(socket, reinterpret_cast<const sockaddr*>(&at), sizeof at));
    (void)failure.check(::chmod(at.sun_path, unix_socket_mode));
    (void)failure.check(::listen(socket, SOMAXCONN));
    return for_each_loop(socket, loops, failure);
}

} // namespace

descriptors::~descriptors() {
    for (const int descriptor : all_) ::close(descriptor);
}

std::string to_string(const listening_place& place) {
    if (place.descriptor >= 0) return "the socket " + std::to_string(place.descriptor);
    if (!place.unix_path.empty()) return "unix:" + place.unix_path;
    return host_and_port(place.host, place.port);
}

listening_sockets listen_at(const listening_place& place, std::size_t loops) {
    const place_failure failure(place);
    if (place.descriptor >= 0) {
        const int flags = failure.check(::fcntl(place.descriptor, F_GETFL));
        (void)failure.check(::fcntl(place.descriptor, F_SETFL, flags | O_NONBLOCK));
        return for_each_loop(place.descriptor, loops, failure);
    }
    return place.unix_path.empty() ? listen_at_port(place, loops, failure)
                                   : listen_at_path(place, loops, failure);
}

} // namespace roundhouse::server
