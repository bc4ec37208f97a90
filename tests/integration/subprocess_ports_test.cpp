#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/port_owner.hpp>
#include <roundhouse/detail/port_usable.hpp>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/v6_only.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/write.hpp>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <thread>

namespace rh = roundhouse;
namespace sub = roundhouse::detail::subprocess;
using namespace roundhouse_tests;
using asio::ip::tcp;
using Catch::Matchers::Contains;

namespace {

struct engine_with_port : subprocess_fixture {
    bool is_healthy(const rh::workload& w) {
        return wait(backend().probe(w.ref, std::chrono::seconds{5})).has_value();
    }
};

} // namespace

TEST_CASE("the kernel tells who listens on a port of the loopback address") {
    if (!sub::tells_listeners()) ROUNDHOUSE_SKIP(no_sock_diag);
    asio::io_context context;
    for (const auto& address : {asio::ip::make_address("127.0.0.1"),
                                asio::ip::make_address("0.0.0.0"), asio::ip::make_address("::")}) {
        tcp::acceptor listening{context};
        const tcp::endpoint place{address, 0};
        listening.open(place.protocol());
        if (address.is_v6()) listening.set_option(asio::ip::v6_only{false});
        listening.bind(place);
        listening.listen();
        const auto found = sub::find_listener(listening.local_endpoint().port());
        REQUIRE(found);
        REQUIRE(*found);
        CHECK((*found)->uid == ::geteuid());
        CHECK(sub::has_socket(::getpid(), (*found)->inode) == true);
        CHECK(sub::has_socket(::getpid(), (*found)->inode + 1) == false);
    }
    CHECK(sub::find_listener(free_port()) == std::nullopt);
}

TEST_CASE("a port that is bound is taken, also if nobody listens there") {
    if (!sub::tells_listeners()) ROUNDHOUSE_SKIP(no_sock_diag);
    asio::io_context context;
    for (const auto& address : {asio::ip::make_address("127.0.0.1"),
                                asio::ip::make_address("0.0.0.0"), asio::ip::make_address("::")}) {
        for (const bool shared : {false, true}) {
            INFO(address << (shared ? ", shared" : ""));
            const tcp::endpoint place{address, free_port()};
            tcp::acceptor silent{context};
            silent.open(place.protocol());
            silent.set_option(tcp::acceptor::reuse_address{shared});
            if (address.is_v6()) silent.set_option(asio::ip::v6_only{false});
            CHECK(rh::detail::port_usable(place.port()));
            silent.bind(place);
            CHECK_FALSE(rh::detail::port_usable(place.port()));
            silent.close();
            CHECK(rh::detail::port_usable(place.port()));
        }
    }
}

TEST_CASE("a port is usable while connections of who had it are being closed") {
    asio::io_context context;
    tcp::acceptor listening{context, {asio::ip::address_v4::loopback(), free_port()}};
    const auto place = listening.local_endpoint();
    tcp::socket client{context};
    client.connect(place);
    auto server = listening.accept();
    CHECK_FALSE(rh::detail::port_usable(place.port()));
    server.close(); // the side that closes first keeps the port
    char byte = 0;
    asio::error_code end;
    asio::read(client, asio::buffer(&byte, 1), end);
    CHECK(end == asio::error::eof);
    client.close();
    listening.close();
    CHECK_FALSE(rh::detail::can_bind(place.port(), false));
    // A look at the connections counts for a moment, and may be that of an earlier test.
    CHECK(eventually([&] { return rh::detail::port_usable(place.port()); }));
}

TEST_CASE_METHOD(engine_with_port, "a stranger on an engine's port is no engine, and gets no key") {
    if (!sub::tells_listeners()) ROUNDHOUSE_SKIP(no_sock_diag);
    SECTION("an engine with a user of its own, where that can be had") {}
    SECTION("an engine of the server's user") { options.uids = rh::uid_range{}; }
    const auto w = create_new();
    asio::io_context context;
    tcp::acceptor stranger{context, {asio::ip::address_v4::loopback(), w.ref.port}};
    const auto answer = wait(backend().probe(w.ref, std::chrono::milliseconds{50}));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == rh::errc::port_taken);
    CHECK(answer.error().message ==
          "port " + std::to_string(w.ref.port) + " is held by another process");
    static_cast<void>(stranger.accept()); // of the probe
    const auto swapped = wait(backend().swap_key(w.ref, "sk-sept-secret", {}));
    REQUIRE_FALSE(swapped);
    CHECK(swapped.error().code == rh::errc::port_taken);
    stranger.non_blocking(true);
    asio::error_code nobody;
    static_cast<void>(stranger.accept(nobody));
    CHECK(nobody == asio::error::would_block);
}

TEST_CASE_METHOD(engine_with_port, "who answers and does not listen any more is no engine") {
    if (!sub::tells_listeners()) ROUNDHOUSE_SKIP(no_sock_diag);
    const auto w = create_new();
    asio::io_context context;
    tcp::acceptor stranger{context, {asio::ip::address_v4::loopback(), w.ref.port}};
    const std::jthread answering{[&] {
        auto client = stranger.accept();
        stranger.close();
        std::string request;
        asio::read_until(client, asio::dynamic_buffer(request), "\r\n\r\n");
        const std::string answer =
            "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}";
        asio::write(client, asio::buffer(answer));
    }};
    const auto seen = wait(backend().probe(w.ref, std::chrono::seconds{30}));
    REQUIRE_FALSE(seen);
    CHECK_THAT(seen.error().message, Contains("does not listen any more"));
}

TEST_CASE_METHOD(engine_with_port, "an engine's port may be held by any of its processes") {
    if (!std::filesystem::exists(ROUNDHOUSE_DEMO_ENGINE)) ROUNDHOUSE_SKIP("no demo engine");
    SECTION("with a user of their own, where that can be had") {}
    SECTION("with the server's user") { options.uids = rh::uid_range{}; }
    options.environment.emplace_back("DEMO", ROUNDHOUSE_DEMO_ENGINE);
    options.readable = {std::filesystem::path(ROUNDHOUSE_DEMO_ENGINE).parent_path().string()};
    run_shell("setsid \"$DEMO\" & wait");
    const auto w = create_new();
    CHECK(eventually([&] { return is_healthy(w); }));
    CHECK(is_healthy(w));
}

TEST_CASE_METHOD(engine_with_port,
                 "an engine that listens on a port of the range beside its own is ended") {
    if (!sub::tells_listeners()) ROUNDHOUSE_SKIP(no_sock_diag);
    if (!std::filesystem::exists("/usr/bin/perl")) ROUNDHOUSE_SKIP("no perl");
    SECTION("engines with users of their own, where these can be had") {}
    SECTION("engines of the server's user") { options.uids = rh::uid_range{}; }
    // Landlock lets an engine listen on an ephemeral port, which is in this range.
    options.ports = {.low = 1, .high = 65535};
    options.log_check_interval = rh::duration{20};
    const std::string listen = "use Socket; sub take { socket(my $s, PF_INET, SOCK_STREAM, 0); "
                               "bind($s, sockaddr_in(shift, INADDR_LOOPBACK)); listen($s, 5); "
                               "return $s; } ";
    run_shell("exec perl -e '" + listen +
              "my $own = take($ENV{ENGINE_PORT}); open(my $f, \">\", \"ready\"); sleep 1000'");
    const auto w = create_ready();
    close(); // engines outlive it
    run_shell("exec perl -e '" + listen +
              "my $own = take($ENV{ENGINE_PORT}); "
              "my $second = take(0); sleep 1000'");
    reopen();
    REQUIRE(listed(w));
    const auto thief = create_new();
    REQUIRE(eventually([&] { return !exits().empty(); }));
    const auto exit = exits().front();
    CHECK(exit.ref == thief.ref);
    CHECK(exit.signal == SIGKILL);
    CHECK_THAT(exit.reason,
               Contains("it listened on port ") && Contains(", which is not its own."));
    // It has been looked at too: it listened before.
    CHECK(exits().size() == 1);
    CHECK(listed(w)->state == rh::workload_state::up);
}
