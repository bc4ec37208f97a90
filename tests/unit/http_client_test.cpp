#include "../io_threads.hpp"
#include "../scripted_http_server.hpp"
#include "../temporary_folder.hpp"
#include "catch.hpp"

#include <roundhouse/detail/http_client.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>

#include <chrono>
#include <filesystem>
#include <future>
#include <string>
#include <vector>

namespace rh = roundhouse;
using rh::detail::http_call;
using rh::detail::http_limits;
using rh::detail::http_peer;
using rh::detail::http_request;
using rh::detail::http_response;
using roundhouse_tests::io_threads;
using roundhouse_tests::scripted_http_server;
using server = roundhouse_tests::scripted_http_server;
using std::chrono::steady_clock;

namespace {

constexpr http_limits generous{.deadline = roundhouse_tests::patience};
constexpr http_limits hasty{.deadline = rh::duration{150}};

rh::result<http_response> call(const http_peer& peer, const http_request& request,
                               const http_limits& limits) {
    io_threads io{1};
    return io.wait(http_call(peer, request, limits));
}

/// Sends GET / to a scripted server.
rh::result<http_response> get(server::script script, const http_limits& limits = generous) {
    const server peer{std::move(script)};
    return call(peer.endpoint(), {}, limits);
}

/// The message of the failure; empty if there was none.
std::string message_of(const rh::result<http_response>& answer) {
    return answer ? std::string{} : answer.error().message;
}

bool holds(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"})
        ++count;
    return count;
}

} // namespace

TEST_CASE("an answer has its status, its headers in any case and its body") {
    const auto answer = get(
        server::sends("HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nX-Empty:\r\n"
                      "content-length: 5\r\n\r\nhello"));
    REQUIRE(answer);
    CHECK(answer->status == 201);
    CHECK(answer->header("CONTENT-type") == "text/plain");
    CHECK(answer->header("x-empty").empty());
    CHECK(answer->header("x-missing").empty());
    CHECK(answer->body == "hello");
}

TEST_CASE("a request has its head and its body, and asks to close the connection") {
    server peer{server::answers(200, "")};
    const http_request request{.method = "POST",
                               .target = "/a?b=c",
                               .headers = {{"X-Engine-Key", "sk-1"}},
                               .body = "{\"n\":1}"};
    REQUIRE(call(peer.endpoint(), request, generous));
    CHECK(peer.requests() ==
          std::vector<std::string>{
              "POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(peer.port()) +
              "\r\nConnection: close\r\nX-Engine-Key: sk-1\r\nContent-Length: 7\r\n\r\n{\"n\":1}"});
}

TEST_CASE("a chunked answer may arrive in pieces of any size") {
    const std::string text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "5\r\nhello\r\n7;note=x\r\n, world\r\n0\r\nX-Trailer: t\r\n\r\n";
    const auto answer = get([&](server::socket& connection, const std::string&) {
        connection.set_option(asio::ip::tcp::no_delay{true});
        for (const char c : text) asio::write(connection, asio::buffer(&c, 1));
    });
    REQUIRE(answer);
    CHECK(answer->body == "hello, world");
}

TEST_CASE("an answer of unknown length ends with its connection") {
    const auto answer = get(server::sends("HTTP/1.0 200 OK\r\n\r\nuntil the end"));
    REQUIRE(answer);
    CHECK(answer->body == "until the end");
}

TEST_CASE("an answer with a length is complete also if the peer keeps the connection open") {
    const auto answer = get(
        server::sends_and_hangs("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more"));
    REQUIRE(answer);
    CHECK(answer->body == "ok");
}

TEST_CASE("interim answers are skipped") {
    const auto answer = get(
        server::sends("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->header("link").empty());
    CHECK(answer->body == "ok");
}

TEST_CASE("the answer to HEAD has no body, whatever its length header is") {
    server peer{server::sends_and_hangs("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")};
    const http_request head{.method = "HEAD", .target = "/", .headers = {}, .body = {}};
    const auto answer = call(peer.endpoint(), head, generous);
    REQUIRE(answer);
    CHECK(answer->body.empty());
    CHECK(answer->header("content-length") == "1000");
}

TEST_CASE("an answer with an error status is returned like any other") {
    const auto answer = get(server::answers(503, "later"));
    REQUIRE(answer);
    CHECK(answer->status == 503);
    CHECK(answer->body == "later");
}

TEST_CASE("a peer may be a Unix socket") {
    const roundhouse_tests::temporary_folder folder;
    const asio::local::stream_protocol::endpoint at{folder.path() / "socket"};
    {
        roundhouse_tests::scripted_unix_server peer{
            at, [](auto& connection, const std::string&) {
                asio::write(connection,
                            asio::buffer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40));
            }};
        const auto answer = call(at, {}, generous);
        REQUIRE(answer);
        CHECK(answer->body == "ok");
        CHECK(holds(peer.requests().at(0), "Host: localhost\r\n"));
    }
    CHECK(holds(message_of(call(at, {}, generous)), "socket: cannot connect: Connection refused"));
}

TEST_CASE("a truncated answer is a failure, and the message says so") {
    CHECK(holds(message_of(get(server::sends("HTTP/1.1 200 OK\r\nContent-Le"))),
                "in the middle of its answer"));
    CHECK(holds(message_of(get(server::sends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"))),
                "in the middle of its answer"));
    CHECK(holds(message_of(get(
                    server::sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"))),
                "in the middle of its answer"));
}

TEST_CASE("a connection that is closed without an answer is a failure") {
    CHECK(holds(message_of(get(server::sends(""))), "closed the connection without an answer"));
}

TEST_CASE("an answer that is no HTTP is a failure") {
    for (const char* garbage :
         {"\x16\x03\x01 not a web server", "200 OK\r\n\r\n", "HTTP/1.1 abc\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"}) {
        const auto answer = get(server::sends(garbage));
        REQUIRE_FALSE(answer);
        CHECK(answer.error().code == rh::errc::backend_error);
        CHECK(answer.error().message.starts_with("127.0.0.1:"));
        CHECK(holds(answer.error().message, ": no HTTP answer: "));
    }
}

TEST_CASE("a body may have the size of the limit and no more") {
    const http_limits small{
        .deadline = roundhouse_tests::patience, .header_bytes = 1000, .body_bytes = 10};
    CHECK(get(server::answers(200, std::string(10, 'x')), small));
    CHECK(holds(message_of(get(server::answers(200, std::string(11, 'x')), small)),
                "sent a body over the limit"));
    CHECK(holds(message_of(get(
                    server::sends("HTTP/1.1 200 OK\r\n\r\n" + std::string(5'000'000, 'x')), small)),
                "sent a body over the limit"));
}

TEST_CASE("headers may have the size of the limit and no more") {
    const http_limits small{
        .deadline = roundhouse_tests::patience, .header_bytes = 1000, .body_bytes = 10};
    const auto with_header = [](std::size_t size) {
        return server::sends(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: " + std::string(size, 'x') + "\r\n\r\n");
    };
    CHECK(get(with_header(900), small));
    CHECK(holds(message_of(get(with_header(1000), small)), "sent headers over the limit"));
    CHECK(holds(message_of(get(with_header(5'000'000), small)), "sent headers over the limit"));
}

TEST_CASE("an answer without end is given up, whatever it consists of") {
    const http_limits small{.deadline = roundhouse_tests::patience,
                            .header_count = 5,
                            .interim_answers = 2,
                            .total_bytes = 10'000};
    const auto repeated = [](std::string_view part, int times) {
        std::string out;
        for (int i = 0; i < times; ++i) out += part;
        return out;
    };
    const std::string early = "HTTP/1.1 103 Early Hints\r\n\r\n";
    const std::string end = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    CHECK(get(server::sends(repeated(early, 2) + end), small));
    CHECK(holds(message_of(get(server::sends(repeated(early, 3) + end), small)),
                "sent more interim answers than the limit"));

    const auto with_fields = [&](int count) {
        return server::sends("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" +
                             repeated("A: b\r\n", count - 1) + "\r\n");
    };
    CHECK(get(with_fields(5), small));
    CHECK(holds(message_of(get(with_fields(6), small)), "sent more headers than the limit"));

    const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    CHECK(get(server::sends(chunked + "2;a=" + std::string(100, 'b') + "\r\nok\r\n0\r\n\r\n"),
              small));
    CHECK(holds(message_of(get(server::sends(chunked + "2;" + std::string(2'000'000, 'b')), small)),
                "sent an answer over the limit"));
    CHECK(
        holds(message_of(get(server::sends(chunked + repeated("1;a=b\r\nx\r\n", 100'000)), small)),
              "sent an answer over the limit"));
}

TEST_CASE("a refused connection is reported without waiting for the deadline") {
    io_threads io{1};
    asio::ip::tcp::socket closed{io.context()}; // holds the port, and does not listen
    closed.open(asio::ip::tcp::v4());
    closed.bind({asio::ip::address_v4::loopback(), 0});
    const auto port = std::to_string(closed.local_endpoint().port());
    CHECK(message_of(call(closed.local_endpoint(), {}, generous)) ==
          "127.0.0.1:" + port + ": cannot connect: Connection refused");
}

TEST_CASE("a peer that stalls at any point is given up at the deadline") {
    for (const char* sent :
         {"", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"}) {
        const auto begin = steady_clock::now();
        CHECK(holds(message_of(get(server::sends_and_hangs(sent), hasty)),
                    "no answer within 150 ms"));
        CHECK(steady_clock::now() - begin >= hasty.deadline);
    }
}

TEST_CASE("a peer that accepts no connection is given up at the deadline") {
    io_threads io{1};
    asio::ip::tcp::acceptor full{io.context()};
    full.open(asio::ip::tcp::v4());
    full.bind({asio::ip::address_v4::loopback(), 0});
    full.listen(0);
    std::vector<asio::ip::tcp::socket> waiting; // fill its queue
    for (int i = 0; i < 3; ++i) {
        auto& socket = waiting.emplace_back(io.context());
        socket.async_connect(full.local_endpoint(), [](const std::error_code&) {});
    }
    const auto answer = call(full.local_endpoint(), {}, hasty);
    CHECK(holds(message_of(answer), "no connection within 150 ms"));
    CHECK(answer.error().code == rh::errc::backend_away);
}

TEST_CASE("hundreds of calls that hang share one thread") {
    server peer{server::sends_and_hangs("HTTP/1.1 200 OK\r\n")};
    const http_peer at = peer.endpoint();
    const http_request request;
    const http_limits second{.deadline = std::chrono::seconds{1}};
    io_threads io{1};
    std::vector<std::future<rh::result<http_response>>> calls;
    for (int i = 0; i < 200; ++i) calls.push_back(io.start(http_call(at, request, second)));
    for (auto& each : calls)
        CHECK(holds(message_of(io_threads::get(std::move(each))), "no answer within 1000 ms"));
    // One after the other they would take longer than `get` waits.
}

TEST_CASE("a cancelled call throws operation_aborted and keeps no descriptor") {
    server peer{server::sends_and_hangs("")};
    const http_peer at = peer.endpoint();
    const http_request request;
    io_threads io{1};
    // A call before, so that the context has opened its own descriptors.
    REQUIRE_FALSE(io.wait(http_call(at, request, hasty)));
    const auto before = open_descriptors();

    asio::cancellation_signal cancel;
    const auto strand = asio::make_strand(io.context());
    auto pending = asio::co_spawn(strand, http_call(at, request, generous),
                                  asio::bind_cancellation_slot(cancel.slot(), asio::use_future));
    REQUIRE(roundhouse_tests::eventually([&] { return peer.requests().size() == 2; }));
    asio::post(strand, [&] { cancel.emit(asio::cancellation_type::terminal); });
    CHECK_THROWS_AS(io_threads::get(std::move(pending)), std::system_error);
    // The server keeps its end of the connection, the client does not.
    CHECK(roundhouse_tests::eventually([&] { return open_descriptors() == before + 1; }));
}

TEST_CASE("no failure's message contains anything of the request") {
    const http_request secret{.method = "POST",
                              .target = "/rotate-key",
                              .headers = {{"X-Engine-Key", "sk-secret"}},
                              .body = "hash-secret"};
    for (const auto& script :
         {server::sends(""), server::sends("nonsense"), server::sends_and_hangs("")}) {
        server peer{script};
        CHECK_FALSE(holds(message_of(call(peer.endpoint(), secret, hasty)), "secret"));
    }
}

TEST_CASE("a line break in the head of a request is refused before anything is sent") {
    server peer{server::answers(200, "")};
    const http_request with_header{
        .method = "GET", .target = "/", .headers = {{"A", "b\r\nC: d"}}, .body = {}};
    const http_request with_target{
        .method = "GET", .target = "/ HTTP/1.1\r\nX: y", .headers = {}, .body = {}};
    CHECK(holds(message_of(call(peer.endpoint(), with_header, generous)), "control character"));
    CHECK(holds(message_of(call(peer.endpoint(), with_target, generous)), "control character"));
    CHECK(peer.requests().empty());
}
