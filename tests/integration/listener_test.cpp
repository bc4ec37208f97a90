#include "catch.hpp"
#include "toy_server.hpp"

#include <string>
#include <thread>
#include <vector>

using namespace roundhouse_tests::listening;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
using roundhouse_tests::raw_connection;

TEST_CASE("a listener on port 0 reports its port and answers there") {
    const serving here;
    CHECK(here.server.port() != 0);
    const auto response = here.ask(
        get("/a?b=c", "X-Platform-Key: pk\r\nX-Admin-Key: ak\r\nX-Request-Id: rid\r\n"));
    CHECK_THAT(response, StartsWith("HTTP/1.1 200 OK\r\n") &&
                             Contains("\r\nX-Request-Id: an-id\r\n") &&
                             Contains("\r\nContent-Type: application/json\r\n") &&
                             EndsWith("GET /a?b=c [] pk/ak/rid"));
}

TEST_CASE("header names are case-insensitive") {
    const serving here;
    CHECK_THAT(here.ask(get("/", "x-platform-KEY: pk\r\n")), EndsWith(" pk//"));
}

TEST_CASE("a connection is kept open for the next request") {
    const serving here;
    auto connection = here.connect();
    for (int i = 0; i < 3; ++i) {
        connection.send(post("/x", std::to_string(i)));
        CHECK_THAT(connection.response(), Contains("\r\nConnection: keep-alive\r\n") &&
                                              EndsWith("POST /x [" + std::to_string(i) + "] //"));
    }
    CHECK(here.server.connections() == 1);
}

TEST_CASE("a request that arrives byte by byte is one request") {
    const serving here;
    auto connection = here.connect();
    for (const char c : post("/slow", "body")) connection.send(std::string_view(&c, 1));
    CHECK_THAT(connection.response(), EndsWith("POST /slow [body] //"));
}

TEST_CASE("pipelined requests are answered in order") {
    const serving here;
    auto connection = here.connect();
    std::string all;
    for (int i = 0; i < 50; ++i) all += post("/n", std::to_string(i));
    connection.send(all);
    for (int i = 0; i < 50; ++i)
        CHECK_THAT(connection.response(), EndsWith("[" + std::to_string(i) + "] //"));
}

TEST_CASE("a pipelined request that arrives in two parts is intact") {
    const serving here;
    auto connection = here.connect();
    const auto second = post("/second", "two");
    connection.send(get("/first") + second.substr(0, 30));
    CHECK_THAT(connection.response(), EndsWith("GET /first [] //"));
    connection.send(second.substr(30));
    CHECK_THAT(connection.response(), EndsWith("POST /second [two] //"));
}

TEST_CASE("a request that is answered late is still answered before the requests behind it") {
    serving here;
    auto connection = here.connect();
    connection.send(get("/later") + get("/second"));
    auto later = here.handler.waiting.next();
    std::thread([&] { later(text("first")); }).join();
    CHECK_THAT(connection.response(), EndsWith("\r\n\r\nfirst"));
    CHECK_THAT(connection.response(), EndsWith("GET /second [] //"));
}

TEST_CASE("pipelined requests are answered in order even if some are answered late") {
    serving here;
    auto connection = here.connect();
    std::string all;
    for (int i = 0; i < 60; ++i) all += i % 3 == 0 ? get("/later") : post("/n", std::to_string(i));
    const std::jthread answering([&] {
        for (int i = 0; i < 20; ++i) here.handler.waiting.next()(text("late"));
    });
    connection.send(all);
    for (int i = 0; i < 60; ++i) {
        const auto expected = i % 3 == 0 ? "late" : "[" + std::to_string(i) + "] //";
        CHECK_THAT(connection.response(), EndsWith(expected));
    }
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

TEST_CASE("only the first answer to a request is sent") {
    const serving here;
    auto connection = here.connect();
    connection.send(get("/twice") + get("/next"));
    CHECK_THAT(connection.response(), EndsWith("\r\n\r\nfirst"));
    CHECK_THAT(connection.response(), EndsWith("GET /next [] //"));
}

TEST_CASE("a request whose reply the handler drops is a 500") {
    const serving here;
    CHECK_THAT(here.ask(get("/never")), StartsWith("HTTP/1.1 500 ") && Contains("INTERNAL_ERROR"));
    CHECK_THAT(here.ask(get("/drop")), StartsWith("HTTP/1.1 500 ") && Contains("INTERNAL_ERROR"));
}

TEST_CASE(
    "an exception from the handler is a 500 with the request id, and the connection goes on") {
    const serving here;
    auto connection = here.connect();
    connection.send(get("/throw", "X-Request-Id: mine\r\n") + get("/throw-odd") + get("/next"));
    CHECK_THAT(connection.response(),
               StartsWith("HTTP/1.1 500 ") && Contains("\r\nX-Request-Id: mine\r\n"));
    CHECK_THAT(connection.response(), StartsWith("HTTP/1.1 500 "));
    CHECK_THAT(connection.response(), EndsWith("GET /next [] //"));
}

TEST_CASE("an answer to a client that has disconnected is discarded") {
    serving here({}, 1);
    {
        auto connection = here.connect();
        connection.send(get("/later"));
    }
    here.handler.waiting.next()(text("discarded"));
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

TEST_CASE("a refusal has the request id that was read, and no body where the method is HEAD") {
    const serving here;
    const std::string fields = " / HTTP/1.1\r\nX-Request-Id: mine\r\nHost: a b\r\n\r\n";
    for (const auto* const method : {"GET", "HEAD"}) {
        auto connection = here.connect();
        connection.send(method + fields);
        const auto reply = connection.rest();
        CHECK_THAT(reply, StartsWith("HTTP/1.1 400 ") && Contains("\r\nX-Request-Id: mine\r\n"));
        const bool ends_with_head = reply.find("\r\n\r\n") + 4 == reply.size();
        CHECK(ends_with_head == (std::string(method) == "HEAD"));
    }
    const auto nameless = here.ask("GET / HTTP/1.1\r\nX-Request-Id: m i n e\r\n\r\n");
    CHECK_THAT(nameless, Contains("\r\nX-Request-Id: ") && !Contains("m i n e"));
}

TEST_CASE("the chunks of a body are joined") {
    const serving here;
    CHECK_THAT(here.ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "4\r\nabcd\r\n2;x=y\r\nef\r\n0\r\nTrailer: z\r\n\r\n"),
               EndsWith("POST / [abcdef] //"));
}

TEST_CASE("a body of the maximum size arrives whole, and a larger body is reported as too large") {
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

TEST_CASE("a body of many small chunks is reported as too large when it ends") {
    listener_limits limits;
    limits.max_body_bytes = 100;
    const serving here(limits);
    std::string chunks;
    for (int i = 0; i < 10'000; ++i) chunks += "1\r\na\r\n";
    CHECK_THAT(here.ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
                        chunks + "0\r\n\r\n"),
               EndsWith("[] // too large"));
}

TEST_CASE("a client that expects 100-continue but does not wait for it is served") {
    const serving here;
    auto connection = here.connect();
    connection.send(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    connection.send("body");
    auto answer = connection.response();
    if (answer.starts_with("HTTP/1.1 100 ")) answer = connection.response(); // it was read before
    CHECK_THAT(answer, EndsWith("POST / [body] //"));
}

TEST_CASE("a client that waits for 100-continue is asked for the body") {
    const serving here;
    auto connection = here.connect();
    connection.send(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    CHECK(connection.response() == "HTTP/1.1 100 Continue\r\n\r\n");
    connection.send("body");
    CHECK_THAT(connection.response(), StartsWith("HTTP/1.1 200 ") && EndsWith("POST / [body] //"));
    connection.send(post("/next", "more"));
    CHECK_THAT(connection.response(), StartsWith("HTTP/1.1 200 "));
}

TEST_CASE("a body that will be refused is not asked for") {
    const serving here;
    auto connection = here.connect();
    connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n"
                    "Expect: 100-continue\r\n\r\n");
    CHECK_THAT(connection.rest(), StartsWith("HTTP/1.1 200 ") &&
                                      Contains("\r\nConnection: close\r\n") &&
                                      EndsWith("[] // too large"));
}

TEST_CASE("a client that sends nothing more still receives its answer") {
    serving here;
    auto at_once = here.connect();
    at_once.send(post("/a", "b"));
    at_once.finish_sending();
    CHECK_THAT(at_once.rest(), EndsWith("POST /a [b] //"));

    auto later = here.connect();
    later.send(get("/later") + get("/second"));
    later.finish_sending();
    here.handler.waiting.next()(text("first"));
    CHECK_THAT(later.rest(), Contains("\r\n\r\nfirst") && EndsWith("GET /second [] //"));
}

TEST_CASE("what is not HTTP gets a bare 400, which arrives however much the client has sent") {
    const serving here;
    for (const std::size_t size : {10U, 1'000'000U}) {
        auto connection = here.connect();
        connection.send("GET /health HXXXX1.1\r\n" + std::string(size, 'x'));
        CHECK(connection.rest() ==
              "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }
}

TEST_CASE("requests before one that is not HTTP are answered") {
    const serving here;
    auto connection = here.connect();
    connection.send(get("/first") + "nonsense\r\n");
    CHECK_THAT(connection.response(), EndsWith("GET /first [] //"));
    CHECK_THAT(connection.rest(), StartsWith("HTTP/1.1 400 Bad Request\r\n"));
}

TEST_CASE("a reply may be delayed, and the requests behind it wait") {
    const serving here;
    auto connection = here.connect();
    connection.send(get("/delayed") + get("/second"));
    CHECK_THAT(connection.response(), EndsWith("\r\n\r\ndelayed"));
    CHECK_THAT(connection.response(), EndsWith("GET /second [] //"));
}

TEST_CASE("HTTP/1.0 may keep its connection") {
    const serving here;
    auto connection = here.connect();
    for (int i = 0; i < 2; ++i) {
        connection.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        CHECK_THAT(connection.response(), Contains("\r\nConnection: keep-alive\r\n"));
    }
}

TEST_CASE("a large answer arrives whole") {
    const serving here;
    CHECK(here.ask(get("/big")).size() > 5'000'000);
}

TEST_CASE("a key header that is sent twice counts as missing") {
    const serving here;
    CHECK_THAT(
        here.ask(get(
            "/", "X-Platform-Key: a\r\nx-platform-key: b\r\nX-Admin-Key: c\r\nX-Admin-Key: c\r\n")),
        EndsWith("GET / [] //"));
}

TEST_CASE("a request with no Host header, or with two, is a 400") {
    const serving here;
    CHECK_THAT(here.ask("GET / HTTP/1.1\r\n\r\n"),
               StartsWith("HTTP/1.1 400 ") && Contains("INVALID_REQUEST"));
    CHECK_THAT(here.ask(get("/", "Host: y\r\n")), StartsWith("HTTP/1.1 400 "));
}

TEST_CASE("HTTP/1.0 needs no Host header, and its connection is closed after the answer") {
    const serving here;
    auto connection = here.connect();
    connection.send("GET / HTTP/1.0\r\n\r\n");
    CHECK_THAT(connection.rest(), Contains("\r\nConnection: close\r\n") && EndsWith("GET / [] //"));
}

TEST_CASE("all methods that the parser knows reach the handler, and so do upgrades and CONNECT") {
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

TEST_CASE("an absolute target is passed on unchanged") {
    const serving here;
    CHECK_THAT(here.ask(get("http://x/health?a=b")), EndsWith("GET http://x/health?a=b [] //"));
}

TEST_CASE("requests that follow a request to close are ignored") {
    serving here;
    auto connection = here.connect();
    connection.send(get("/later", "Connection: close\r\n") + get("/later") + get("/other"));
    here.handler.waiting.next()(text("the only answer"));
    const auto all = connection.rest();
    CHECK_THAT(all, EndsWith("\r\n\r\nthe only answer"));
}

TEST_CASE("invalid HTTP gets a 4xx or a closed connection, never a 2xx") {
    const serving here;
    const std::string long_value(20'000, 'v');
    std::string many;
    for (int i = 0; i < 200; ++i) many += "H" + std::to_string(i) + ": v\r\n";
    const std::vector<std::string> invalid{
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
    for (const auto& bytes : invalid) {
        CAPTURE(bytes.substr(0, 60));
        auto connection = here.connect();
        connection.send(bytes);
        connection.finish_sending();
        const auto answer = connection.rest();
        CHECK((answer.empty() || answer.starts_with("HTTP/1.1 4")));
    }
    CHECK_THAT(here.ask(get("/")), StartsWith("HTTP/1.1 200 "));
}
