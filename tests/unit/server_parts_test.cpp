#include "../../reference-server/logging.hpp"
#include "../../reference-server/main_events.hpp"
#include "../../reference-server/open_files.hpp"
#include "../../reference-server/options.hpp"
#include "../../reference-server/store_folder.hpp"
#include "../../reference-server/transport/reply_writer.hpp"
#include "../../reference-server/worker_pool.hpp"
#include "catch.hpp"
#include "temporary_folder.hpp"

#include <asio/post.hpp>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

using namespace roundhouse::server;
using namespace std::chrono_literals;
namespace http = roundhouse::http;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
using roundhouse::log_level;

namespace {

std::string bytes_of(const http::reply& reply, bool keep_alive) {
    std::string out;
    append_reply(out, reply, {.date = "now", .keep_alive = keep_alive});
    return out;
}

} // namespace

TEST_CASE("a logger shows its level and those above") {
    const logger log(log_level::warning, log_format::text);
    CHECK_FALSE(log.shows(log_level::info));
    CHECK(log.shows(log_level::warning));
    CHECK(log.shows(log_level::error));
}

TEST_CASE("a reply's head has its status, length and request id") {
    http::reply reply;
    reply.status = 404;
    reply.body = "12345";
    reply.request_id = "id-1";
    const auto head = bytes_of(reply, true);
    CHECK_THAT(head, StartsWith("HTTP/1.1 404 Not Found\r\nConnection: keep-alive\r\n") &&
                         EndsWith("\r\n\r\n12345") && Contains("\r\nContent-Length: 5\r\n") &&
                         Contains("\r\nX-Request-Id: id-1\r\n") && Contains("\r\nDate: now\r\n"));
    CHECK_THAT(head, !Contains("Retry-After") && !Contains("Allow"));
}

TEST_CASE("a reply's head has Retry-After, Allow and Connection: close where they apply") {
    http::reply reply;
    reply.status = 503;
    reply.retry_after_s = 7;
    reply.allow = "GET, HEAD";
    CHECK_THAT(bytes_of(reply, false), Contains("\r\nRetry-After: 7\r\n") &&
                                           Contains("\r\nAllow: GET, HEAD\r\n") &&
                                           Contains("\r\nConnection: close\r\n"));
}

TEST_CASE("a reply's head tells a rate limit where there is one") {
    http::reply reply;
    CHECK_THAT(bytes_of(reply, true), !Contains("RateLimit"));
    reply.rate_limit = roundhouse::rate_limit_status{{100, 60s, 0, 1'500ms}, {}};
    CHECK_THAT(bytes_of(reply, true),
               Contains("\r\nRateLimit-Policy: \"default\";q=100;w=60\r\n") &&
                   Contains("\r\nRateLimit: \"default\";r=0;t=2\r\n"));
}

TEST_CASE("dates are written in the format of HTTP") {
    std::string date;
    write_http_date(784'111'777, date);
    CHECK(date == "Sun, 06 Nov 1994 08:49:37 GMT"); // the example of RFC 9110
}

TEST_CASE("every status of the api has a reason phrase") {
    for (const int status : {200, 400, 401, 403, 404, 405, 409, 413, 429, 500, 502, 503, 504}) {
        CAPTURE(status);
        CHECK_FALSE(reason_of(status).empty());
    }
}

TEST_CASE("open files are reserved for engines and probes") {
    server_options options; // 999 ports, 256 probes, 16 boots
    options.backend = backend_kind::subprocess;
    const auto plan = plan_open_files(20'000, options);
    CHECK(plan.connections == 20'000 - 2 * 999 - 256 - 16 * 8 - 128);
    CHECK_FALSE(plan.scarce);
    CHECK(plan.connections_per_address == plan.connections / 4);
    CHECK(plan_open_files(10'000'000, options).connections == 50'000);
    options.connections = 10;
    options.connections_per_address = 3;
    CHECK(plan_open_files(20'000, options).connections == 10);
    CHECK(plan_open_files(20'000, options).connections_per_address == 3);
    CHECK_FALSE(plan_open_files(20'000, options).scarce);
    options.connections = 40'000;
    CHECK(plan_open_files(20'000, options).connections == plan.connections);
    CHECK(plan_open_files(20'000, options).scarce);
    // No port to hold; a stream of output is a connection to the daemon, and so is a pull.
    options.backend = backend_kind::docker;
    CHECK(plan_open_files(20'000, options).connections == plan.connections + 999 - 1'000 - 16);
}

TEST_CASE("with few open files clients get a quarter, and the plan says that they are scarce") {
    const auto plan = plan_open_files(1024, server_options());
    CHECK(plan.connections == 256);
    CHECK(plan.scarce);
}

TEST_CASE("a store folder is created with mode 0700, and the folders above it too") {
    const roundhouse_tests::temporary_folder temporary;
    const auto folder = store_folder::open(temporary.path().string() + "/a/b");
    REQUIRE(folder);
    struct stat found {};
    REQUIRE(::stat((temporary.path().string() + "/a/b").c_str(), &found) == 0);
    CHECK((found.st_mode & 0777) == 0700);
    CHECK_FALSE(folder->open_to_others());
}

TEST_CASE("a store folder that others may read is used, and says so") {
    const roundhouse_tests::temporary_folder temporary;
    REQUIRE(::chmod(temporary.path().c_str(), 0755) == 0);
    const auto folder = store_folder::open(temporary.path().string());
    REQUIRE(folder);
    CHECK(folder->open_to_others());
}

TEST_CASE("a store folder is locked against a second server until the first has ended") {
    const roundhouse_tests::temporary_folder temporary;
    {
        const auto first = store_folder::open(temporary.path().string());
        REQUIRE(first);
        const auto second = store_folder::open(temporary.path().string());
        REQUIRE_FALSE(second);
        CHECK_THAT(second.error().message,
                   StartsWith("ORCH_STORE_PATH: " + temporary.path().string() + " is in use"));
    }
    CHECK(store_folder::open(temporary.path().string()));
}

TEST_CASE("a store path that cannot be a folder is refused with its name") {
    CHECK_THAT(store_folder::open("/dev/null").error().message,
               StartsWith("ORCH_STORE_PATH: /dev/null "));
    CHECK_THAT(store_folder::open("/dev/null/below").error().message,
               StartsWith("ORCH_STORE_PATH: /dev/null/below "));
    CHECK_THAT(store_folder::open("/proc/roundhouse").error().message,
               StartsWith("ORCH_STORE_PATH: /proc/roundhouse "));
}

TEST_CASE("events of the main thread come in order, and waiting for one can time out") {
    main_events events;
    CHECK_FALSE(events.next(std::chrono::steady_clock::now()));
    events.enqueue(stop_asked{15});
    events.enqueue(recovery_ended{});
    const auto first = events.next();
    REQUIRE(first);
    CHECK(std::get<stop_asked>(*first).signal == 15);
    CHECK(std::holds_alternative<recovery_ended>(*events.next()));
}

TEST_CASE("a signal is an event") {
    main_events events;
    REQUIRE(::raise(SIGTERM) == 0);
    const auto event = events.next();
    REQUIRE(event);
    CHECK(std::get<stop_asked>(*event).signal == SIGTERM);
}

TEST_CASE("a worker pool finishes once its work is done") {
    std::atomic<int> done{0};
    worker_pool workers(2, [](std::string_view) {});
    for (int i = 0; i < 100; ++i) asio::post(workers.executor(), [&done] { ++done; });
    CHECK(workers.finish(20s));
    CHECK(done == 100);
}

TEST_CASE("an exception of a task is reported, and its worker goes on") {
    std::atomic<int> reported{0};
    std::atomic<int> done{0};
    worker_pool workers(1, [&reported](std::string_view) { ++reported; });
    asio::post(workers.executor(), [] { throw std::runtime_error("as planned"); });
    asio::post(workers.executor(), [&done] { ++done; });
    CHECK(workers.finish(20s));
    CHECK(reported == 1);
    CHECK(done == 1);
}

TEST_CASE("a worker pool with endless work gives up in time") {
    std::atomic<bool> stop{false};
    worker_pool workers(1, [](std::string_view) {});
    asio::post(workers.executor(), [&stop] { stop.wait(false); });
    CHECK_FALSE(workers.finish(10ms));
    stop = true;
    stop.notify_all();
}
