#include "../../reference-server/listener.hpp"
#include "catch.hpp"
#include "raw_connection.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace roundhouse::server;
namespace http = roundhouse::http;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
using roundhouse_tests::raw_connection;
using later_reply = std::function<void(http::reply)>;

namespace {

http::reply text(std::string body) {
    http::reply reply;
    reply.body = std::move(body);
    reply.request_id = "an-id";
    return reply;
}

std::string get(std::string_view target, std::string_view headers = {}) {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n" + std::string(headers) +
           "\r\n";
}

std::string post(std::string_view target, std::string_view body) {
    return "POST " + std::string(target) +
           " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
}

/// Calls that are kept until the test answers them.
class waiting_calls {
public:
    void add(later_reply later) {
        const std::lock_guard lock(mutex_);
        waiting_.push_back(std::move(later));
        changed_.notify_all();
    }
    later_reply next() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !waiting_.empty(); });
        auto first = std::move(waiting_.front());
        waiting_.erase(waiting_.begin());
        return first;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<later_reply> waiting_;
};

/// Tells what it was asked, at once; but `/later` waits, `/drop` is forgotten, `/throw` throws,
/// `/big` is 5 MB.
class toy {
public:
    waiting_calls waiting;

    std::optional<http::reply> answer(const http::request& request, later_reply later) {
        if (request.target == "/later") return waiting.add(std::move(later)), std::nullopt;
        if (request.target == "/drop") return std::nullopt;
        if (request.target == "/throw") throw std::runtime_error("as asked");
        if (request.target == "/throw-odd") throw 1;
        if (request.target == "/big") return text(std::string(5'000'000, 'x'));
        if (request.target == "/twice") later(text("first")), later(text("second"));
        return text(std::string(request.method) + " " + std::string(request.target) + " [" +
                    std::string(request.body) + "] " + std::string(request.platform_key) + "/" +
                    std::string(request.admin_key) + "/" + std::string(request.request_id) +
                    (request.body_too_large ? " too large" : ""));
    }

    [[nodiscard]] request_handler handler() {
        return [this](const http::request& request, later_reply later) {
            return answer(request, std::move(later));
        };
    }
};

struct serving {
    toy handler;
    listener server;

    explicit serving(listener_limits limits = {}, std::size_t loops = 2)
        : server({.host = "127.0.0.1", .port = 0, .loops = loops, .limits = limits, .warn = {}},
                 handler.handler()) {}

    [[nodiscard]] raw_connection connect() const { return raw_connection(server.port()); }
    std::string ask(std::string_view bytes) const {
        auto connection = connect();
        connection.send(bytes);
        return connection.response();
    }
};

} // namespace

TEST_CASE("a listener on port 0 tells its port and answers there") {
    const serving here;
    CHECK(here.server.port() != 0);
    const auto response = here.ask(
        get("/a?b=c", "X-Platform-Key: pk\r\nX-Admin-Key: ak\r\nX-Request-Id: rid\r\n"));
    CHECK_THAT(response, StartsWith("HTTP/1.1 200 OK\r\n") &&
                             Contains("\r\nX-Request-Id: an-id\r\n") &&
                             Contains("\r\nContent-Type: application/json\r\n") &&
                             EndsWith("GET /a?b=c [] pk/ak/rid"));
}

TEST_CASE("header names are taken in any case") {
    const serving here;
    CHECK_THAT(here.ask(get("/", "x-platform-KEY: pk\r\n")), EndsWith(" pk//"));
}

TEST_CASE("a connection is kept for the next request") {
    const serving here;
    auto connection = here.connect();
    for (int i = 0; i < 3; ++i) {
        connection.send(post("/x", std::to_string(i)));
        CHECK_THAT(connection.response(), Contains("\r\nConnection: keep-alive\r\n") &&
                                              EndsWith("POST /x [" + std::to_string(i) + "] //"));
    }
    CHECK(here.server.connections() == 1);
}

TEST_CASE("a request that comes byte by byte is one request") {
    const serving here;
    auto connection = here.connect();
    for (const char c : post("/slow", "body")) connection.send(std::string_view(&c, 1));
    CHECK_THAT(connection.response(), EndsWith("POST /slow [body] //"));
}

TEST_CASE("pipelined requests are answered in their order") {
    const serving here;
    auto connection = here.connect();
    std::string all;
    for (int i = 0; i < 50; ++i) all += post("/n", std::to_string(i));
    connection.send(all);
    for (int i = 0; i < 50; ++i)
        CHECK_THAT(connection.response(), EndsWith("[" + std::to_string(i) + "] //"));
}

TEST_CASE("a pipelined request whose end comes late is not damaged") {
    const serving here;
    auto connection = here.connect();
    const auto second = post("/second", "two");
    connection.send(get("/first") + second.substr(0, 30));
    CHECK_THAT(connection.response(), EndsWith("GET /first [] //"));
    connection.send(second.substr(30));
    CHECK_THAT(connection.response(), EndsWith("POST /second [two] //"));
}

TEST_CASE("a request that is answered late is still answered before those behind it") {
    serving here;
    auto connection = here.connect();
    connection.send(get("/later") + get("/second"));
    auto later = here.handler.waiting.next();
    std::thread([&] { later(text("first")); }).join();
    CHECK_THAT(connection.response(), EndsWith("\r\n\r\nfirst"));
    CHECK_THAT(connection.response(), EndsWith("GET /second [] //"));
}

TEST_CASE("late answers from other threads reach their own connections") {
    serving here;
    constexpr int count = 64;
    std::vector<raw_connection> connections;
    for (int i = 0; i < count; ++i) connections.push_back(here.connect());
    std::vector<std::jthread> answering;
    for (int i = 0; i < 4; ++i)
        answering.emplace_back([&] {
            for (int n = 0; n < count / 4 * 5; ++n) here.handler.waiting.next()(text("late"));
        });
    for (int round = 0; round < 5; ++round) {
        for (auto& connection : connections) connection.send(get("/later"));
        for (auto& connection : connections)
            CHECK_THAT(connection.response(), EndsWith("\r\n\r\nlate"));
    }
}

TEST_CASE("only the first answer counts") {
    const serving here;
    auto connection = here.connect();
    connection.send(get("/twice") + get("/next"));
    CHECK_THAT(connection.response(), EndsWith("\r\n\r\nfirst"));
    CHECK_THAT(connection.response(), EndsWith("GET /next [] //"));
}

TEST_CASE("a call that the handler forgets is a 500") {
    const serving here;
    CHECK_THAT(here.ask(get("/drop")), StartsWith("HTTP/1.1 500 ") && Contains("INTERNAL_ERROR"));
}

TEST_CASE(
    "a handler that throws is a 500 with the caller's request id, and the connection goes on") {
    const serving here;
    auto connection = here.connect();
    connection.send(get("/throw", "X-Request-Id: mine\r\n") + get("/throw-odd") + get("/next"));
    CHECK_THAT(connection.response(),
               StartsWith("HTTP/1.1 500 ") && Contains("\r\nX-Request-Id: mine\r\n"));
    CHECK_THAT(connection.response(), StartsWith("HTTP/1.1 500 "));
    CHECK_THAT(connection.response(), EndsWith("GET /next [] //"));
}

TEST_CASE("a call whose client has gone is answered into the void") {
    serving here({}, 1);
    {
        auto connection = here.connect();
        connection.send(get("/later"));
    }
    here.handler.waiting.next()(text("nobody hears"));
    CHECK_THAT(here.ask(get("/")), StartsWith("HTTP/1.1 200 "));
}

TEST_CASE("HEAD gets the headers of the answer and no body") {
    const serving here;
    auto connection = here.connect();
    connection.send("HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\n" + get("/next"));
    CHECK_THAT(connection.response(true),
               Contains("\r\nContent-Length: 15\r\n") && EndsWith("\r\n\r\n"));
    CHECK_THAT(connection.response(), EndsWith("GET /next [] //"));
}

TEST_CASE("a chunked body is put together") {
    const serving here;
    CHECK_THAT(here.ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "4\r\nabcd\r\n2;x=y\r\nef\r\n0\r\nTrailer: z\r\n\r\n"),
               EndsWith("POST / [abcdef] //"));
}

TEST_CASE("a body of the longest length is whole, and a longer one is told to be too large") {
    listener_limits limits;
    limits.max_body_bytes = 100;
    const serving here(limits);
    auto connection = here.connect();
    connection.send(post("/", std::string(100, 'a')));
    CHECK_THAT(connection.response(), EndsWith("[" + std::string(100, 'a') + "] //"));
    connection.send(post("/", std::string(101, 'a')));
    CHECK_THAT(connection.response(), EndsWith("[] // too large"));
    connection.send(post("/", std::string(3'000'000, 'a')));
    CHECK_THAT(connection.response(), EndsWith("[] // too large"));
    connection.send(get("/next"));
    CHECK_THAT(connection.response(), EndsWith("GET /next [] //"));
}

TEST_CASE("a chunked body of many small chunks is told to be too large when it ends") {
    listener_limits limits;
    limits.max_body_bytes = 100;
    const serving here(limits);
    std::string chunks;
    for (int i = 0; i < 10'000; ++i) chunks += "1\r\na\r\n";
    CHECK_THAT(here.ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
                        chunks + "0\r\n\r\n"),
               EndsWith("[] // too large"));
}

TEST_CASE("a client that expects 100-continue and does not wait for it for ever is served") {
    const serving here;
    auto connection = here.connect();
    connection.send(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    connection.send("body");
    CHECK_THAT(connection.response(), EndsWith("POST / [body] //"));
}

TEST_CASE("a large answer arrives whole") {
    const serving here;
    CHECK(here.ask(get("/big")).size() > 5'000'000);
}

TEST_CASE("a key that comes twice counts as none") {
    const serving here;
    CHECK_THAT(
        here.ask(get(
            "/", "X-Platform-Key: a\r\nx-platform-key: b\r\nX-Admin-Key: c\r\nX-Admin-Key: c\r\n")),
        EndsWith("GET / [] //"));
}

TEST_CASE("a request without a host, or with two, is a 400") {
    const serving here;
    CHECK_THAT(here.ask("GET / HTTP/1.1\r\n\r\n"),
               StartsWith("HTTP/1.1 400 ") && Contains("INVALID_REQUEST"));
    CHECK_THAT(here.ask(get("/", "Host: y\r\n")), StartsWith("HTTP/1.1 400 "));
}

TEST_CASE("HTTP/1.0 needs no host, and its connection is closed after the answer") {
    const serving here;
    auto connection = here.connect();
    connection.send("GET / HTTP/1.0\r\n\r\n");
    CHECK_THAT(connection.rest(), Contains("\r\nConnection: close\r\n") && EndsWith("GET / [] //"));
}

TEST_CASE("methods that the parser knows reach the handler, upgrades and CONNECT too") {
    const serving here;
    for (const std::string method : {"DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND"}) {
        CAPTURE(method);
        CHECK_THAT(here.ask(method + " / HTTP/1.1\r\nHost: x\r\n\r\n"),
                   EndsWith(method + " / [] //"));
    }
    auto connection = here.connect();
    connection.send("CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK_THAT(connection.response(), EndsWith("CONNECT x:80 [] //"));
    connection.send(get("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    CHECK_THAT(connection.response(), EndsWith("GET /ws [] //"));
    connection.send(get("/next"));
    CHECK_THAT(connection.response(), EndsWith("GET /next [] //"));
}

TEST_CASE("an absolute target comes as it is") {
    const serving here;
    CHECK_THAT(here.ask(get("http://x/health?a=b")), EndsWith("GET http://x/health?a=b [] //"));
}

TEST_CASE("nothing that follows a request to close is acted on") {
    serving here;
    auto connection = here.connect();
    connection.send(get("/later", "Connection: close\r\n") + get("/later") + get("/other"));
    here.handler.waiting.next()(text("the only one"));
    const auto all = connection.rest();
    CHECK_THAT(all, EndsWith("\r\n\r\nthe only one"));
}

TEST_CASE("what is not HTTP gets a 4xx or a closed connection, and never a 2xx") {
    const serving here;
    const std::string long_value(20'000, 'v');
    std::string many;
    for (int i = 0; i < 200; ++i) many += "H" + std::to_string(i) + ": v\r\n";
    const std::vector<std::string> bad{
        "nonsense\r\n\r\n",
        std::string("\0\1\2\3\r\n\r\n", 8),
        "\x16\x03\x01\x02\x01\x01\x03\x03", // the start of TLS
        "GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET  HTTP/1.1\r\nHost: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        get("/" + long_value),
        get("/", "X: " + long_value + "\r\n"),
        get("/", long_value + ": x\r\n"),
        get("/", many),
    };
    for (const auto& bytes : bad) {
        CAPTURE(bytes.substr(0, 60));
        auto connection = here.connect();
        connection.send(bytes);
        connection.finish_sending();
        const auto answer = connection.rest();
        CHECK((answer.empty() || answer.starts_with("HTTP/1.1 4")));
    }
    CHECK_THAT(here.ask(get("/")), StartsWith("HTTP/1.1 200 "));
}

TEST_CASE("a thousand clients that stall amid their headers keep nobody else waiting") {
    const serving here;
    std::vector<raw_connection> stalled;
    for (int i = 0; i < 1000; ++i) {
        stalled.push_back(here.connect());
        stalled.back().send("GET / HTTP/1.1\r\nHost: x\r\nX-Slow");
    }
    const auto before = std::chrono::steady_clock::now();
    for (int i = 0; i < 100; ++i) REQUIRE_THAT(here.ask(get("/")), StartsWith("HTTP/1.1 200 "));
    // A hundred requests take some 20 ms; the bound only has to tell them from waiting for a time
    // limit.
    CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(10));
}

TEST_CASE("a client that is too slow is cut off") {
    listener_limits limits;
    limits.request_timeout = std::chrono::milliseconds(50);
    limits.timeout_check_interval = std::chrono::milliseconds(10);
    const serving here(limits);
    auto stalled = here.connect();
    stalled.send("GET / HTT");
    auto idle = here.connect();
    CHECK(stalled.rest().empty());
    CHECK(idle.rest().empty());
}

TEST_CASE("a call may take longer than a client") {
    listener_limits limits;
    limits.request_timeout = std::chrono::milliseconds(20);
    limits.timeout_check_interval = std::chrono::milliseconds(5);
    serving here(limits);
    auto connection = here.connect();
    connection.send(get("/later"));
    auto later = here.handler.waiting.next();
    CHECK(here.connect().rest().empty()); // its time is up, and that of the call goes on
    later(text("at last"));
    CHECK_THAT(connection.response(), EndsWith("at last"));
}

TEST_CASE("connections over the limit are closed, and there is room again when one goes") {
    listener_limits limits;
    limits.max_connections = 3;
    const serving here(limits);
    std::vector<raw_connection> open;
    for (int i = 0; i < 3; ++i) {
        open.push_back(here.connect());
        open.back().send(get("/"));
        REQUIRE_THAT(open.back().response(), StartsWith("HTTP/1.1 200 "));
    }
    CHECK(here.connect().rest().empty());
    open.pop_back();
    // The server has to hear of it first.
    std::string answer;
    while (answer.empty()) answer = here.ask(get("/"));
    CHECK_THAT(answer, StartsWith("HTTP/1.1 200 "));
}

TEST_CASE("a listener that runs out of file descriptors accepts again when there are some") {
    listener_limits limits;
    limits.accept_retry = std::chrono::milliseconds(5);
    std::atomic<int> warnings{0};
    toy handler;
    const listener server({.host = "127.0.0.1",
                           .port = 0,
                           .loops = 1,
                           .limits = limits,
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
}

TEST_CASE("an address in use is refused, also if its user would share it") {
    const serving first;
    toy handler;
    const auto again = [&] {
        listener({.host = "127.0.0.1",
                  .port = first.server.port(),
                  .loops = 2,
                  .limits = {},
                  .warn = {}},
                 handler.handler());
    };
    CHECK_THROWS_AS(again(), std::system_error);
    CHECK_THAT(first.ask(get("/")), StartsWith("HTTP/1.1 200 "));
}

TEST_CASE("an address is free again as soon as its listener is gone") {
    toy handler;
    std::uint16_t port = 0;
    for (int i = 0; i < 3; ++i) {
        listener server({.host = "127.0.0.1", .port = port, .loops = 2, .limits = {}, .warn = {}},
                        handler.handler());
        port = server.port();
        raw_connection connection(port);
        connection.send(get("/", "Connection: close\r\n")); // the side that closes first lingers
        CHECK_THAT(connection.rest(), StartsWith("HTTP/1.1 200 "));
    }
}

TEST_CASE("a listener that drains ends the calls under way, and nothing else") {
    serving here;
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

TEST_CASE("a call that does not end keeps a listener no longer than it is given") {
    later_reply later;
    {
        serving here;
        auto busy = here.connect();
        busy.send(get("/later"));
        later = here.handler.waiting.next();
        CHECK_FALSE(here.server.drain(std::chrono::milliseconds(10)));
        here.server.stop();
        later(text("nobody hears"));
        later = nullptr;
        CHECK(busy.rest().empty());
    }
    {
        serving here;
        auto busy = here.connect();
        busy.send(get("/later"));
        later = here.handler.waiting.next();
    }
    later(text("nobody hears")); // the listener is gone
}

TEST_CASE("a listener that was never asked anything goes at once") {
    serving here;
    CHECK(here.server.drain(std::chrono::seconds(20)));
}
