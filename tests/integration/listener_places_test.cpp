#include "catch.hpp"
#include "temporary_folder.hpp"
#include "toy_server.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>
#include <system_error>

using namespace roundhouse_tests::listening;
using Catch::Matchers::EndsWith;
using roundhouse_tests::raw_connection;

namespace {

/// Sends a request to a Unix socket, and returns all that comes back.
std::string ask_at(const std::string& path, const std::string& request) {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::memcpy(at.sun_path, path.data(), path.size());
    std::string out;
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) {
        (void)::send(socket, request.data(), request.size(), MSG_NOSIGNAL);
        char bytes[4096];
        for (ssize_t count = 0; (count = ::recv(socket, bytes, sizeof bytes, 0)) > 0;)
            out.append(bytes, static_cast<std::size_t>(count));
    }
    ::close(socket);
    return out;
}

const std::string only = get("/client", "Connection: close\r\n");

} // namespace

TEST_CASE("a listener serves several addresses and a Unix socket at once") {
    const roundhouse_tests::temporary_folder folder;
    const auto path = (folder.path() / "api.sock").string();
    toy handler;
    {
        const listener server(
            {.places = {{.host = "127.0.0.1"}, {.host = "127.0.0.2"}, {.unix_path = path}},
             .loops = 2},
            handler.handler());
        REQUIRE(server.ports().size() == 3);
        raw_connection first(server.ports()[0]);
        first.send(only);
        CHECK_THAT(first.rest(), EndsWith("127.0.0.1"));
        CHECK(server.ports()[1] != 0);
        CHECK(server.ports()[2] == 0);
        for (int i = 0; i < 5; ++i) CHECK_THAT(ask_at(path, only), EndsWith("unix"));
        struct stat found {};
        REQUIRE(::stat(path.c_str(), &found) == 0);
        CHECK((found.st_mode & 0777) == 0660);
    }
    CHECK(ask_at(path, only).empty());
    CHECK(::access(path.c_str(), F_OK) != 0);
}

TEST_CASE("a Unix socket that a server left behind is replaced, and nothing else is") {
    const roundhouse_tests::temporary_folder folder;
    const auto path = (folder.path() / "api.sock").string();
    toy handler;
    const auto serve = [&] {
        return std::make_unique<listener>(
            roundhouse::server::listener_options{.places = {{.unix_path = path}}},
            handler.handler());
    };
    const auto server = serve();
    CHECK_THROWS_AS(serve(), std::system_error); // a server listens there
    CHECK_THAT(ask_at(path, only), EndsWith("unix"));

    const auto left = (folder.path() / "left.sock").string();
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::memcpy(at.sun_path, left.data(), left.size());
    REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    ::close(socket); // the file stays
    const listener again({.places = {{.unix_path = left}}}, handler.handler());
    CHECK_THAT(ask_at(left, only), EndsWith("unix"));

    const auto file = (folder.path() / "file").string();
    std::ofstream(file) << "precious";
    CHECK_THROWS_AS(listener({.places = {{.unix_path = file}}}, handler.handler()),
                    std::system_error);
    std::string content;
    std::ifstream(file) >> content;
    CHECK(content == "precious");
}

TEST_CASE("a socket that was opened by others is used as it is") {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(::listen(socket, 16) == 0);
    toy handler;
    {
        const listener server({.places = {{.descriptor = socket}}, .loops = 2}, handler.handler());
        for (int i = 0; i < 5; ++i) {
            raw_connection connection(server.port());
            connection.send(only);
            CHECK_THAT(connection.rest(), EndsWith("127.0.0.1"));
        }
    }
    ::close(socket);
}
