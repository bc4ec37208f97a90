#include "../../bench/support/counted_new.hpp"
#include "../integration/toy_server.hpp"
#include "catch.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

using namespace roundhouse_tests::listening;
using roundhouse_bench::allocations;

namespace {

/// How many allocations the listener's thread made from the return of one call of the handler to the
/// next call.
class between_calls {
public:
    [[nodiscard]] request_handler handler() {
        return [this](const http::request&, http::reply_channel&) {
            const auto before = allocations;
            http::reply reply = text("short");
            const std::lock_guard lock(mutex_);
            if (called_) counts_.push_back(before - last_);
            called_ = true;
            last_ = allocations;
            return std::optional(std::move(reply));
        };
    }
    [[nodiscard]] std::vector<std::uint64_t> counts() {
        const std::lock_guard lock(mutex_);
        return counts_;
    }

private:
    std::mutex mutex_;
    bool called_ = false;
    std::uint64_t last_ = 0;
    std::vector<std::uint64_t> counts_ = [] {
        std::vector<std::uint64_t> out;
        out.reserve(1'000);
        return out;
    }();
};

} // namespace

TEST_CASE("a request on a connection that is kept open costs the listener no allocation") {
    between_calls calls;
    listener_limits limits;
    limits.timeout_check_interval = std::chrono::hours(1); // each check sets a timer
    const listener server({.places = {{.host = "127.0.0.1", .port = 0}},
                           .loops = 1,
                           .limits = limits,
                           .trusted = {},
                           .warn = {}},
                          calls.handler());
    roundhouse_tests::raw_connection connection(server.port());
    const auto request = post("/engines/u1/admit", "{}");
    for (int i = 0; i < 50; ++i) { // one by one, and then three at once
        connection.send(request);
        REQUIRE_FALSE(connection.response().empty());
    }
    for (int i = 0; i < 50; ++i) {
        connection.send(request + request + request);
        for (int n = 0; n < 3; ++n) REQUIRE_FALSE(connection.response().empty());
    }
    auto counts = calls.counts();
    REQUIRE(counts.size() == 199);
    // The first ones make the loop's memory, and the first three at once make it larger.
    counts.erase(counts.begin(), counts.begin() + 55);
    CHECK(std::ranges::all_of(counts, [](std::uint64_t count) { return count == 0; }));
}
