#include "../io_threads.hpp"
#include "../pushed_stream.hpp"
#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/backend/memory.hpp>
#include <roundhouse/http/parameters.hpp>
#include <roundhouse/http/utf8_stream.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace http = roundhouse::http;
namespace rh = roundhouse;
using namespace roundhouse_tests;

namespace {

/// Reads a stream whose pieces are there.
std::vector<std::string> read_all(rh::text_stream& stream) {
    std::vector<std::string> pieces;
    for (bool more = true; more;) {
        more = false;
        stream.next([&](const rh::result<std::string>& piece) {
            pieces.push_back(piece ? *piece : "failed: " + piece.error().message);
            more = piece && !piece->empty();
        });
    }
    return pieces;
}

std::vector<std::string> as_utf8(const std::vector<std::string>& pieces) {
    const auto source = pushed_pieces::make();
    for (const auto& piece : pieces) source->push(piece);
    source->push(std::string());
    source->push(std::string());
    http::utf8_stream stream(std::make_shared<pushed_stream>(source));
    return read_all(stream);
}

using texts = std::vector<std::string>;

} // namespace

TEST_CASE("a character that two pieces of a stream share arrives whole") {
    CHECK(as_utf8({"a\n", "b\n"}) == texts{"a\n", "b\n", ""});
    CHECK(as_utf8({"x\xC3", "\xA4y"}) == texts{"x", "\xC3\xA4y", ""});
    CHECK(as_utf8({"\xF0", "\x9F", "\x98", "\x80!"}) == texts{"\xF0\x9F\x98\x80!", ""});
    CHECK(as_utf8({"\xE2\x82", "\xAC"}) == texts{"\xE2\x82\xAC", ""});
}

TEST_CASE("bytes of a stream that are not UTF-8 are replaced") {
    CHECK(as_utf8({"a\xFFz"}) == texts{"a\xEF\xBF\xBDz", ""});
    CHECK(as_utf8({"a\xC3", "z"}) == texts{"a", "\xEF\xBF\xBDz", ""});
    CHECK(as_utf8({"a\xE2\x82"}) == texts{"a", "\xEF\xBF\xBD\xEF\xBF\xBD", ""});
    CHECK(as_utf8({"\x80\x80\x80\x80"}).size() == 2);
}

TEST_CASE("a failure of a stream is passed on, also in the middle of a character") {
    const auto source = pushed_pieces::make();
    source->push(std::string("\xC3"));
    source->push(rh::fail(rh::errc::backend_error, "gone"));
    http::utf8_stream stream(std::make_shared<pushed_stream>(source));
    CHECK(read_all(stream) == texts{"failed: gone"});
}

TEST_CASE("destroying a stream ends its wait") {
    const auto source = pushed_pieces::make();
    auto stream = std::make_unique<http::utf8_stream>(std::make_shared<pushed_stream>(source));
    std::optional<rh::errc> ended;
    stream->next([&](const rh::result<std::string>& piece) { ended = piece.error().code; });
    source->push(std::string("\xC3")); // so that it waits for the second time
    CHECK_FALSE(ended);
    stream.reset();
    CHECK(ended == rh::errc::cancelled);
}

TEST_CASE("logs with follow or since are a stream, and say which output is wanted") {
    api_harness api;
    const auto source = pushed_pieces::make();
    source->push(std::string("line\n"));
    source->push(std::string());
    api.fake().streamed = rh::text_stream_ptr(std::make_shared<pushed_stream>(source));
    const auto reply = api.ask("GET", "/engines/u1/logs?follow=true");
    CHECK(reply.status == 200);
    CHECK(reply.content_type == http::text_type);
    REQUIRE(reply.stream);
    CHECK(read_all(*reply.stream) == texts{"line\n", ""});
    CHECK(api.fake().calls == texts{"stream_logs u1"});
    const auto asked = [&](std::string_view query) {
        (void)api.ask("GET", "/engines/u1/logs?" + std::string(query));
        return *api.fake().logs_asked;
    };
    CHECK(asked("follow=true").tail == 100U);
    CHECK(asked("follow=true&tail=0").tail == 0U);
    CHECK_FALSE(asked("follow=true").since);
    const auto since = asked("since=2026-01-02T03:04:05.678Z");
    CHECK_FALSE(since.follow);
    CHECK_FALSE(since.tail);
    CHECK(since.since == http::parse_time("2026-01-02T03:04:05.678Z"));
    CHECK(asked("since=2026-01-02T03:04:05Z&tail=7&follow=true").tail == 7U);
}

TEST_CASE("logs that cannot be followed are an error, not a stream") {
    api_harness api;
    api.fake().streamed = rh::fail(rh::errc::engine_not_found, "no engine");
    CHECK(told(api.ask("GET", "/engines/u1/logs?follow=true")) == "404 ENGINE_NOT_FOUND");
    for (const auto* const wrong : {"follow=yes", "follow", "tail=0", "tail=0&follow=false",
                                    "since=yesterday", "follow=true&tail=10001"}) {
        CAPTURE(wrong);
        const auto reply = api.ask("GET", "/engines/u1/logs?" + std::string(wrong));
        CHECK(told(reply) == "400 INVALID_REQUEST");
    }
}

TEST_CASE("what is written to the output of an engine in memory can be followed") {
    io_threads io;
    rh::memory_backend backend;
    rh::workload w;
    w.ref = {.engine_id = *rh::parse_uuid("11111111-2222-4333-8444-555555555555"),
             .generation = 1,
             .port = 0};
    REQUIRE(io.wait(backend.create(w)));
    backend.write_output(w.ref.engine_id, "first\nsecond\n");
    CHECK(io.wait(backend.logs(w.ref, 1)).value() == "second\n");
    const rh::log_query from_the_last_line{.tail = 1, .follow = true};
    const auto source = io.wait(backend.open_logs(w.ref, from_the_last_line)).value();
    const auto next = [&] { return io.wait(source->next()).value(); };
    CHECK(next() == "second\n");
    auto waiting = io.start(source->next());
    backend.write_output(w.ref.engine_id, "third\n");
    CHECK(io_threads::get(std::move(waiting)).value() == "third\n");
    waiting = io.start(source->next());
    REQUIRE(backend.crash(w.ref.engine_id));
    CHECK(io_threads::get(std::move(waiting)).value().empty());
}

TEST_CASE("the output of an engine in memory is bounded, and read from a time on") {
    io_threads io;
    rh::memory_backend backend;
    rh::workload w;
    w.ref.engine_id = *rh::parse_uuid("11111111-2222-4333-8444-555555555555");
    w.ref.generation = 1;
    REQUIRE(io.wait(backend.create(w)));
    const std::string line(1023, 'x');
    for (int i = 0; i < 2'000; ++i) backend.write_output(w.ref.engine_id, line + '\n');
    const auto kept = io.wait(backend.logs(w.ref, 100'000)).value();
    CHECK(kept.size() == std::size_t{1024} * 1024);
    const auto since = [&](rh::instant from) {
        const rh::log_query query{.tail = std::nullopt, .since = from};
        const auto source = io.wait(backend.open_logs(w.ref, query)).value();
        std::size_t size = 0;
        for (;;) {
            const auto piece = io.wait(source->next()).value();
            if (piece.empty()) return size;
            size += piece.size();
        }
    };
    CHECK(since(rh::instant{}) == kept.size());
    const auto now = std::chrono::floor<rh::duration>(std::chrono::system_clock::now());
    CHECK(since(now + std::chrono::hours(1)) == 0);
}
