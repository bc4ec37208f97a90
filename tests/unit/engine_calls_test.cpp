#include "../io_threads.hpp"
#include "../scripted_http_server.hpp"
#include "catch.hpp"

#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/detail/engine_calls.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <algorithm>
#include <string>

namespace rh = roundhouse;
using rh::key_swap;
using roundhouse_tests::io_threads;
using server = roundhouse_tests::scripted_http_server;

namespace {

/// The failure of a probe without the peer, which must come first; empty if the probe succeeds.
std::string reason_at(const rh::detail::http_peer& peer, rh::duration timeout) {
    io_threads io{1};
    const rh::detail::engine_answer_limits bounds;
    const auto answer = io.wait(rh::detail::ask_health(peer, bounds, timeout));
    if (answer) return {};
    CHECK(answer.error().code == rh::errc::backend_error);
    const auto prefix = rh::detail::to_string(peer) + ": ";
    CHECK(answer.error().message.starts_with(prefix));
    return answer.error().message.substr(std::min(prefix.size(), answer.error().message.size()));
}

std::string reason(server::script script, rh::duration timeout = roundhouse_tests::patience) {
    const server engine{std::move(script)};
    return reason_at(engine.endpoint(), timeout);
}

server::script with_header(const std::string& header, const std::string& body) {
    return server::sends("HTTP/1.1 200 OK\r\n" + header +
                         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
}

rh::result<key_swap> swap(server::script script) {
    const server engine{std::move(script)};
    io_threads io{1};
    const rh::detail::http_peer peer = engine.endpoint();
    const rh::detail::engine_answer_limits bounds;
    const rh::uuid id;
    const std::string key = "sk-sept-current";
    const auto next = rh::crypto::sha256("sk-sept-next");
    return io.wait(rh::detail::offer_key(peer, id, key, next, bounds, roundhouse_tests::patience));
}

} // namespace

TEST_CASE("a healthy answer is a 2xx with JSON whose status is ok") {
    CHECK(reason(server::answers(200, R"({"status":"ok"})")).empty());
    CHECK(reason(server::answers(299, R"({"status":"ok","busy":true})")).empty());
    // Not all servers that name a coding have used it.
    CHECK(reason(with_header("Content-Encoding: utf-8", R"({"status":"ok"})")).empty());
}

TEST_CASE("a failed probe has the status of the answer as its reason") {
    CHECK(reason(server::answers(503, R"({"status":"ok"})")) == "HTTP 503");
    CHECK(reason(server::answers(404, "")) == "HTTP 404");
    CHECK(
        reason(server::sends("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")) ==
        "HTTP 302, a redirect, which is not followed");
}

TEST_CASE("a failed probe has the fault of the body as its reason") {
    CHECK(reason(server::answers(200, "")) == "the body is empty");
    CHECK(reason(server::sends("HTTP/1.1 204 No Content\r\n\r\n")) == "the body is empty");
    CHECK(reason(server::answers(200, "<html>")).starts_with("the body is no JSON: "));
    CHECK(reason(server::answers(200, R"({"status":"ok")")).starts_with("the body is no JSON: "));
    CHECK(reason(with_header("Content-Encoding: gzip", "\x1f\x8b\x08...")) ==
          "the body is no JSON: its Content-Encoding is \"gzip\"");
    CHECK(reason(server::answers(200, "[]")) == "the body is JSON without a \"status\" text");
    CHECK(reason(server::answers(200, R"({"status":"starting"})")) == "the status is \"starting\"");
    CHECK(reason(server::answers(200, std::string(100'000, ' '))) == "sent a body over the limit");
}

TEST_CASE("the reason of a failed probe cannot quote a whole key or hash") {
    const std::string hash(64, 'a');
    const auto told = reason(server::answers(200, R"({"status":")" + hash + "\"}"));
    CHECK(told == "the status is \"" + std::string(32, 'a') + "\"...");
}

TEST_CASE("a failed probe has the fault of the connection as its reason") {
    asio::io_context context;
    asio::ip::tcp::socket closed{context}; // holds the port, and does not listen
    closed.open(asio::ip::tcp::v4());
    closed.bind({asio::ip::address_v4::loopback(), 0});
    CHECK(reason_at(closed.local_endpoint(), roundhouse_tests::patience) ==
          "cannot connect: Connection refused");
    CHECK(reason(server::sends("")) == "closed the connection without an answer");
    CHECK(reason(server::sends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")) ==
          "cut the connection in the middle of its answer");
    CHECK(reason(server::sends("SSH-2.0-x\r\n")).starts_with("no HTTP answer: "));
    CHECK(reason(server::sends_and_hangs(""), rh::duration{100}) == "no answer within 100 ms");
}

TEST_CASE("a probe asks for a body without a content coding") {
    server engine{server::answers(200, R"({"status":"ok"})")};
    CHECK(reason_at(engine.endpoint(), roundhouse_tests::patience).empty());
    REQUIRE(engine.requests().size() == 1);
    CHECK(engine.requests().front().find("\r\nAccept-Encoding: identity\r\n") != std::string::npos);
}

TEST_CASE("an engine that answers to a new key has taken it, or cannot") {
    CHECK(swap(server::answers(200, "")) == key_swap::done);
    CHECK(swap(server::answers(204, "")) == key_swap::done);
    for (const unsigned status : {404U, 405U, 501U})
        CHECK(swap(server::answers(status, "")) == key_swap::unsupported);
}

TEST_CASE("an engine that refuses the present key has another one, which is not known") {
    for (const unsigned status : {401U, 403U})
        CHECK(swap(server::answers(status, "")) == key_swap::unknown);
}

TEST_CASE("an engine that refuses a new key for another reason has its present key still") {
    for (const unsigned status : {400U, 409U, 302U, 500U, 503U}) {
        const auto refused = swap(server::answers(status, "the key was sk-sept-current"));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == rh::errc::backend_error);
        CHECK(refused.error().message.find("HTTP " + std::to_string(status)) != std::string::npos);
        CHECK(refused.error().message.find("sk-sept") == std::string::npos);
    }
}
