#include "../pushed_stream.hpp"
#include "catch.hpp"
#include "toy_server.hpp"

#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <string>

using namespace roundhouse_tests::listening;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
using roundhouse_tests::pushed_pieces;
using roundhouse_tests::pushed_stream;
using roundhouse_tests::raw_connection;

namespace {

/// A reply whose body comes in these pieces.
http::reply streamed(const std::shared_ptr<pushed_pieces>& pieces, bool follows) {
    http::reply reply;
    reply.request_id = "an-id";
    reply.content_type = http::text_type;
    reply.stream = std::make_shared<pushed_stream>(pieces);
    reply.follows = follows;
    return reply;
}

/// A listener whose next request is answered with a stream.
struct following : serving {
    using serving::serving;

    std::shared_ptr<pushed_pieces> pieces = pushed_pieces::make();
    bool follows = true; ///< The stream has no end of its own.

    raw_connection follow(const std::string& request = get("/later")) {
        auto connection = connect();
        connection.send(request);
        handler.waiting.next()(streamed(pieces, follows));
        return connection;
    }
};

const std::string end = "0\r\n\r\n";

} // namespace

TEST_CASE("a body that comes in pieces is sent in chunks, and the connection is kept") {
    following here;
    auto connection = here.follow(get("/later") + get("/second"));
    CHECK_THAT(connection.response(), Contains("\r\nTransfer-Encoding: chunked\r\n") &&
                                          Contains("\r\nConnection: keep-alive\r\n") &&
                                          !Contains("Content-Length"));
    here.pieces->push(std::string("first\n"));
    CHECK(connection.exactly(11) == "6\r\nfirst\n\r\n");
    here.pieces->push(std::string(256, 'x'));
    CHECK(connection.exactly(263) == "100\r\n" + std::string(256, 'x') + "\r\n");
    here.pieces->push(std::string());
    CHECK(connection.exactly(end.size()) == end);
    CHECK_THAT(connection.response(), EndsWith("GET /second [] //"));
    here.pieces->wait_until_dropped();
}

TEST_CASE("to HTTP/1.0 a body that comes in pieces ends with the connection") {
    following here;
    auto connection = here.follow("GET /later HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    here.pieces->push(std::string("first\n"));
    here.pieces->push(std::string("second\n"));
    here.pieces->push(std::string());
    CHECK_THAT(connection.rest(), StartsWith("HTTP/1.1 200 OK\r\nConnection: close\r\n") &&
                                      !Contains("chunked") && EndsWith("\r\n\r\nfirst\nsecond\n"));
}

TEST_CASE("the reply to HEAD has no pieces") {
    following here;
    auto connection = here.follow("HEAD /later HTTP/1.1\r\nHost: x\r\n\r\n" + get("/second"));
    CHECK_THAT(connection.response(true), Contains("\r\nTransfer-Encoding: chunked\r\n"));
    CHECK_THAT(connection.response(), EndsWith("GET /second [] //"));
    here.pieces->wait_until_dropped();
    CHECK(here.pieces->asked() == 0);
}

TEST_CASE("a body that fails on the way is cut off without its last chunk") {
    following here;
    auto connection = here.follow();
    here.pieces->push(std::string("first\n"));
    here.pieces->push(roundhouse::fail(roundhouse::errc::backend_error, "broken"));
    CHECK_THAT(connection.rest(), EndsWith("6\r\nfirst\n\r\n"));
    here.pieces->wait_until_dropped();
}

TEST_CASE("a stream is dropped when its client goes") {
    following here;
    {
        auto connection = here.follow();
        connection.response();
        here.pieces->wait_until_asked(1);
    }
    here.pieces->wait_until_dropped();
}

TEST_CASE("a stream ends when its client ends its own side") {
    following here;
    auto connection = here.follow();
    here.pieces->push(std::string("first\n"));
    connection.response();
    CHECK(connection.exactly(11) == "6\r\nfirst\n\r\n");
    connection.finish_sending();
    CHECK(connection.rest() == end);
    here.pieces->wait_until_dropped();
}

TEST_CASE("a stream with an end of its own is sent whole, also when the client ends its side") {
    following here;
    here.follows = false;
    auto connection = here.follow();
    connection.response();
    connection.finish_sending();
    here.pieces->push(std::string("first\n"));
    here.pieces->push(std::string());
    CHECK(connection.rest() == "6\r\nfirst\n\r\n" + end);
    here.pieces->wait_until_dropped();
}

TEST_CASE("no piece is read for a client that does not take those before, and it is closed") {
    listener_limits limits;
    limits.reply_timeout = std::chrono::milliseconds(200);
    limits.timeout_check_interval = std::chrono::milliseconds(10);
    following here(limits);
    auto connection = here.follow();
    std::size_t pushed = 0;
    // More than the buffers of both sockets can hold.
    constexpr std::size_t much = std::size_t{64} * 1024 * 1024;
    constexpr std::size_t piece = std::size_t{64} * 1024;
    for (; pushed < much; pushed += piece) here.pieces->push(std::string(piece, 'x'));
    here.pieces->wait_until_dropped();
    CHECK(here.pieces->asked() < much / piece);
}

TEST_CASE("draining ends the streams") {
    following here;
    auto connection = here.follow();
    connection.response();
    here.pieces->wait_until_asked(1);
    auto draining = std::async(std::launch::async,
                               [&] { return here.server.drain(std::chrono::seconds(20)); });
    CHECK(connection.rest() == end);
    CHECK(draining.get());
    here.pieces->wait_until_dropped();
}

TEST_CASE("draining waits for a stream with an end of its own") {
    following here({}, 1); // with one loop, a closed idle connection means that the drain has begun
    here.follows = false;
    auto idle = here.connect();
    idle.send(get("/first"));
    idle.response();
    auto connection = here.follow();
    connection.response();
    auto draining = std::async(std::launch::async,
                               [&] { return here.server.drain(std::chrono::seconds(20)); });
    CHECK(idle.rest().empty());
    here.pieces->push(std::string("first\n"));
    here.pieces->push(std::string());
    CHECK(connection.rest() == "6\r\nfirst\n\r\n" + end);
    CHECK(draining.get());
}

TEST_CASE("draining does not wait for a follower that takes nothing") {
    following here; // its time for taking a reply is longer than the test's
    auto connection = here.follow();
    const std::string piece(std::size_t{64} * 1024, 'x');
    std::size_t asked = 0;
    do { // until both sockets are full
        asked = here.pieces->asked();
        for (int i = 0; i < 1'000; ++i) here.pieces->push(piece);
    } while (here.pieces->is_asked_within(asked + 1'000, std::chrono::milliseconds(200)));
    CHECK(here.server.drain(std::chrono::seconds(20)));
    here.pieces->wait_until_dropped();
}

TEST_CASE("when all places are taken, a follower to whom nothing is sent makes room") {
    listener_limits limits;
    limits.max_connections = 1;
    following here(limits, 1);
    auto connection = here.follow();
    connection.response();
    here.pieces->wait_until_asked(1);
    raw_connection added(here.server.port(), "127.0.0.2");
    added.send(get("/second"));
    CHECK_THAT(added.response(), EndsWith("GET /second [] //"));
    here.pieces->wait_until_dropped();
}

TEST_CASE("stopping drops the streams") {
    following here;
    auto connection = here.follow();
    here.pieces->wait_until_asked(1);
    here.server.stop();
    here.pieces->wait_until_dropped();
}
