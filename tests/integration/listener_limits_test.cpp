#include "../../reference-server/sanitizers.hpp"
#include "catch.hpp"
#include "io_threads.hpp"
#include "toy_server.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <system_error>
#include <vector>

using namespace roundhouse_tests::listening;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
using roundhouse_tests::eventually;
using roundhouse_tests::raw_connection;

TEST_CASE("a thousand clients that stall within their headers do not delay other clients") {
    listener_limits limits;
    limits.head_timeout = std::chrono::hours(1); // far beyond what a connection waits to read
    const serving here(limits);
    std::vector<raw_connection> stalled;
    for (int i = 0; i < 1000; ++i) {
        stalled.push_back(here.connect());
        stalled.back().send("GET / HTTP/1.1\r\nHost: x\r\nX-Slow");
    }
    for (int i = 0; i < 100; ++i) REQUIRE_THAT(here.ask(get("/")), StartsWith("HTTP/1.1 200 "));
    CHECK(eventually([&] { return here.server.connections() >= stalled.size(); }));
}

TEST_CASE("a client that exceeds the request timeout is disconnected") {
    listener_limits limits;
    limits.idle_timeout = limits.head_timeout = std::chrono::milliseconds(50);
    limits.timeout_check_interval = std::chrono::milliseconds(10);
    const serving here(limits);
    auto stalled = here.connect();
    stalled.send("GET / HTT");
    auto idle = here.connect();
    CHECK(stalled.rest().empty());
    CHECK(idle.rest().empty());
}

TEST_CASE("the request timeout does not limit the time until an answer") {
    listener_limits limits;
    limits.idle_timeout = limits.head_timeout = std::chrono::milliseconds(20);
    limits.timeout_check_interval = std::chrono::milliseconds(5);
    serving here(limits);
    auto connection = here.connect();
    connection.send(get("/later"));
    auto later = here.handler.waiting.next();
    CHECK(here.connect().rest().empty()); // this client is timed out, and the first is not
    later(text("at last"));
    CHECK_THAT(connection.response(), EndsWith("at last"));
}

TEST_CASE("connections over the limit are closed while all others are busy") {
    listener_limits limits;
    limits.max_connections = 3;
    serving here(limits);
    std::vector<raw_connection> open;
    std::vector<later_reply> later;
    for (int i = 0; i < 3; ++i) {
        open.push_back(here.connect());
        open.back().send(get("/later"));
        later.push_back(here.handler.waiting.next());
    }
    CHECK(here.connect().rest().empty());
    for (std::size_t i = 0; i < 3; ++i) {
        later[i](text("busy"));
        CHECK_THAT(open[i].response(), EndsWith("busy"));
    }
    open.pop_back();
    // The listener notices the closed connection some time later.
    std::string answer;
    while (answer.empty()) answer = here.ask(get("/"));
    CHECK_THAT(answer, StartsWith("HTTP/1.1 200 "));
}

TEST_CASE("a client address has no more than its share of the connections") {
    listener_limits limits;
    limits.max_connections_per_address = 2;
    const serving here(limits);
    std::vector<raw_connection> open;
    for (int i = 0; i < 2; ++i) {
        open.push_back(here.connect());
        open.back().send(get("/"));
        REQUIRE_THAT(open.back().response(), StartsWith("HTTP/1.1 200 "));
    }
    CHECK(here.connect().rest().empty());
    raw_connection other(here.server.port(), "127.0.0.2");
    other.send(get("/"));
    CHECK_THAT(other.response(), StartsWith("HTTP/1.1 200 "));
}

TEST_CASE("when all places are taken, the idlest connection of the fullest address makes room") {
    listener_limits limits;
    limits.max_connections = 4;
    serving here(limits, 1);
    const auto connect = [&](const char* from) {
        raw_connection connection(here.server.port(), from);
        connection.send(get("/"));
        REQUIRE_THAT(connection.response(), StartsWith("HTTP/1.1 200 "));
        return connection;
    };
    auto busy = connect("127.0.0.1");
    busy.send(get("/later"));
    auto later = here.handler.waiting.next();
    auto idlest = connect("127.0.0.1");
    auto idle = connect("127.0.0.1");
    auto other = connect("127.0.0.2");
    auto added = connect("127.0.0.3");
    CHECK(idlest.rest().empty());
    for (auto* const kept : {&idle, &other, &added}) {
        kept->send(get("/"));
        CHECK_THAT(kept->response(), StartsWith("HTTP/1.1 200 "));
    }
    later(text("kept"));
    CHECK_THAT(busy.response(), EndsWith("kept"));
}

TEST_CASE("a trusted proxy has no share") {
    listener_limits limits;
    limits.max_connections_per_address = 1;
    const serving here(limits, 1, "127.0.0.1");
    auto first = here.connect();
    auto second = here.connect();
    for (auto* const one : {&first, &second}) {
        one->send(get("/"));
        CHECK_THAT(one->response(), StartsWith("HTTP/1.1 200 "));
    }
}

TEST_CASE("the client behind a trusted proxy is the last one that the proxy names") {
    const auto client_of = [](std::string_view trusted, std::string_view fields) {
        const serving here({}, 1, trusted);
        const auto response = here.ask(get("/client", fields));
        return response.substr(response.find("\r\n\r\n") + 4);
    };
    constexpr auto forwarded = "X-Forwarded-For: 192.0.2.1, 198.51.100.7\r\n";
    CHECK(client_of("127.0.0.0/8", forwarded) == "198.51.100.7");
    CHECK(client_of("127.0.0.0/8", "X-Forwarded-For: 2001:db8::5\r\n") == "2001:db8::/64");
    CHECK(client_of("127.0.0.0/8", "X-Forwarded-For: nobody\r\n") == "127.0.0.1");
    CHECK(client_of("127.0.0.0/8", {}) == "127.0.0.1");
    CHECK(client_of("", forwarded) == "127.0.0.1");
}

TEST_CASE("a client that does not send its body, or read its replies, is disconnected") {
    listener_limits limits;
    limits.body_timeout = limits.reply_timeout = std::chrono::milliseconds(50);
    limits.timeout_check_interval = std::chrono::milliseconds(10);
    const serving here(limits);
    auto stalled = here.connect();
    stalled.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo");
    CHECK(stalled.rest().empty());
    auto deaf = here.connect();
    deaf.send(get("/big"));
    CHECK(eventually([&] { return here.handler.calls == 1 && here.server.connections() == 0; }));
    CHECK(deaf.rest().size() < 5'000'000);
}

TEST_CASE("replies that nobody reads hold back the requests behind them") {
    listener_limits limits;
    limits.max_unsent_bytes = 1'000;
    const serving here(limits, 1);
    auto deaf = here.connect();
    std::string requests;
    for (int i = 0; i < 20; ++i) requests += get("/big");
    deaf.send(requests);
    for (int i = 0; i < 20; ++i) CHECK(deaf.response().size() > 5'000'000);
}

TEST_CASE("a listener that runs out of file descriptors accepts again when some are free") {
#if ROUNDHOUSE_ADDRESS_SANITIZER
    // With g++ 12, UBSan otherwise reports a member call "on an invalid vptr".
    ROUNDHOUSE_SKIP("UBSan opens a pipe to inspect memory, and no descriptor is free for it");
#else
    listener_limits limits;
    limits.accept_retry = std::chrono::milliseconds(5);
    std::atomic<int> warnings{0};
    toy handler;
    const listener server({.places = {{.host = "127.0.0.1", .port = 0}},
                           .loops = 1,
                           .limits = limits,
                           .trusted = {},
                           .warn = [&](std::string_view) { ++warnings, warnings.notify_all(); }},
                          handler.handler());
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    std::vector<int> taken{next};
    const rlimit low{static_cast<rlim_t>(next) + 16, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    for (int more = 0; more >= 0;) {
        more = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (more >= 0) taken.push_back(more);
    }
    ::close(taken.back());
    taken.pop_back();
    raw_connection connection(
        server.port()); // takes the last descriptor: none is left to accept it with
    connection.send(get("/"));
    warnings.wait(0);
    for (const int descriptor : taken) ::close(descriptor);
    CHECK_THAT(connection.response(), StartsWith("HTTP/1.1 200 "));
    ::setrlimit(RLIMIT_NOFILE, &before);
#endif
}

TEST_CASE("an address in use is refused even if its owner would share it") {
    const serving first;
    toy handler;
    const auto again = [&] {
        listener({.places = {{.host = "127.0.0.1", .port = first.server.port()}},
                  .loops = 2,
                  .limits = {},
                  .trusted = {},
                  .warn = {}},
                 handler.handler());
    };
    CHECK_THROWS_AS(again(), std::system_error);
    CHECK_THAT(first.ask(get("/")), StartsWith("HTTP/1.1 200 "));
}

TEST_CASE("an address can be reused as soon as its listener is destroyed") {
    toy handler;
    std::uint16_t port = 0;
    for (int i = 0; i < 3; ++i) {
        listener server({.places = {{.host = "127.0.0.1", .port = port}},
                         .loops = 2,
                         .limits = {},
                         .trusted = {},
                         .warn = {}},
                        handler.handler());
        port = server.port();
        raw_connection connection(port);
        connection.send(get("/", "Connection: close\r\n")); // the side that closes first lingers
        CHECK_THAT(connection.rest(), StartsWith("HTTP/1.1 200 "));
    }
}

TEST_CASE("a draining listener finishes the requests under way and closes other connections") {
    // With one loop, a closed idle connection means that the drain has begun.
    serving here({}, 1);
    auto busy = here.connect();
    busy.send(get("/later"));
    auto later = here.handler.waiting.next();
    auto idle = here.connect();
    idle.send(get("/"));
    CHECK_THAT(idle.response(), StartsWith("HTTP/1.1 200 "));
    auto stalled = here.connect();
    stalled.send("GET / HTTP/1.1\r\n");

    auto drained = std::async(std::launch::async,
                              [&] { return here.server.drain(std::chrono::seconds(20)); });
    CHECK(idle.rest().empty());
    CHECK(stalled.rest().empty());
    CHECK(drained.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
    later(text("done"));
    CHECK_THAT(busy.rest(), Contains("\r\nConnection: close\r\n") && EndsWith("\r\n\r\ndone"));
    CHECK(drained.get());
    CHECK_THROWS(here.connect());
}

TEST_CASE("a drain waits for an unanswered request no longer than its timeout") {
    later_reply later;
    {
        serving here;
        auto busy = here.connect();
        busy.send(get("/later"));
        later = here.handler.waiting.next();
        CHECK_FALSE(here.server.drain(std::chrono::milliseconds(10)));
        here.server.stop();
        later(text("discarded"));
        later = nullptr;
        CHECK(busy.rest().empty());
    }
    {
        serving here;
        auto busy = here.connect();
        busy.send(get("/later"));
        later = here.handler.waiting.next();
    }
    later(text("discarded")); // the listener is destroyed
}

TEST_CASE("a listener without connections drains at once") {
    serving here;
    CHECK(here.server.drain(std::chrono::seconds(20)));
}
