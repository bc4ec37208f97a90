#include "../subprocess_fixture.hpp"
#include "catch.hpp"
#include "running_server.hpp"

#include <roundhouse/backend/subprocess/port_locks.hpp>

#include <filesystem>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace rh = roundhouse;
namespace sub = roundhouse::detail::subprocess;
using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

/// Two backends on two stores, as two servers of one machine have them.
struct two_backends : subprocess_fixture {
    two_backends() {
        backend(); // makes the threads
        auto others = options;
        others.store_path = other_store.path();
        others.uids = rh::uid_range{}; // two servers have no user in common
        other = std::make_unique<rh::subprocess_backend>(io->executor(), others);
    }

    /// An engine of the other backend, on this port.
    [[nodiscard]] static rh::workload with_port(std::uint16_t port) {
        auto w = new_workload();
        w.ref.port = port;
        return w;
    }

    temporary_folder other_store;
    std::unique_ptr<rh::subprocess_backend> other;
};

} // namespace

TEST_CASE_METHOD(two_backends, "a port that one server has chosen is not usable for another") {
    const auto port = free_port();
    CHECK(backend().port_usable(port));
    CHECK_FALSE(other->port_usable(port));
    CHECK(backend().port_usable(port));
    const auto unused = with_port(port);
    REQUIRE(stop(unused)); // of a boot that did not come
    CHECK(other->port_usable(port));
}

TEST_CASE_METHOD(two_backends, "a server starts no engine on a port that another holds") {
    const auto w = create_new();
    const auto v = with_port(w.ref.port);
    const auto refused = wait(other->create(v));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == rh::errc::port_taken);
    CHECK_THAT(refused.error().message, Contains("@roundhouse-port-" + std::to_string(w.ref.port)));
    CHECK(std::filesystem::is_empty(other_store.path() / "engines"));
    REQUIRE(stop(w));
    REQUIRE(wait(other->create(v)));
    CHECK_FALSE(backend().port_usable(w.ref.port));
    REQUIRE(wait(other->destroy(v.ref)));
    CHECK(backend().port_usable(w.ref.port));
}

TEST_CASE_METHOD(two_backends, "a server gives a port back with which no engine could be started") {
    options.command = {"/no/such/program"};
    reopen();
    const auto w = new_workload();
    REQUIRE(backend().port_usable(w.ref.port));
    REQUIRE_FALSE(create(w));
    CHECK(other->port_usable(w.ref.port));
}

TEST_CASE_METHOD(two_backends, "a server gives the ports of all engines back at its end") {
    const auto w = create_new();
    CHECK_FALSE(other->port_usable(w.ref.port));
    close();
    CHECK(other->port_usable(w.ref.port)); // the engine does not listen
}

TEST_CASE_METHOD(two_backends, "a server holds the ports of engines that it finds") {
    const auto w = create_new();
    reopen();
    REQUIRE(listed(w));
    CHECK_FALSE(other->port_usable(w.ref.port));
}

TEST_CASE_METHOD(subprocess_fixture, "an engine whose port another holds is found, and logged") {
    const auto w = create_new();
    close();
    const auto lock = sub::lock_port(w.ref.port);
    REQUIRE(lock);
    std::mutex mutex;
    std::vector<std::string> causes;
    options.log = [&](const rh::log_line& line) {
        const std::lock_guard guard{mutex};
        for (const auto& field : line.fields)
            if (field.name == "cause") causes.emplace_back(std::get<std::string_view>(field.value));
    };
    reopen();
    const auto found = listed(w);
    REQUIRE(found);
    CHECK(found->state == rh::workload_state::up);
    REQUIRE(stop(w));
    close();
    options.log = {};
    const std::lock_guard guard{mutex};
    REQUIRE(causes.size() == 1);
    CHECK_THAT(causes.front(), Contains("@roundhouse-port-" + std::to_string(w.ref.port)));
}

TEST_CASE("a port is locked once, until the lock is closed") {
    const auto port = free_port();
    auto lock = sub::lock_port(port);
    REQUIRE(lock);
    const auto second = sub::lock_port(port);
    REQUIRE_FALSE(second);
    CHECK(second.error().code == rh::errc::port_taken);
    lock = sub::descriptor{};
    CHECK(sub::lock_port(port));
}

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

TEST_CASE("two servers with one range of ports give no port to two engines") {
    const temporary_folder folder;
    const temporary_folder other_folder;
    const child_process::environment no_uids{{"ORCH_ENGINE_UIDS", "none"}};
    running_server server(options(folder.path(), no_uids));
    running_server other(options(other_folder.path(), no_uids));
    std::vector<std::future<std::string>> provisions;
    for (int n = 0; n < 10; ++n)
        for (const auto* to : {&server, &other})
            provisions.push_back(std::async(std::launch::async, [to, n] {
                httplib::Client client("http://" + to->address);
                client.set_default_headers({{"X-Platform-Key", platform_key}});
                client.set_read_timeout(60);
                const auto answer = client.Post("/engines/provision",
                                                R"({"user_id":"user-)" + std::to_string(n) + "\"}",
                                                "application/json");
                return answer && answer->status == 200 ? answer->body : std::string{};
            }));
    std::set<std::string> urls;
    for (auto& provision : provisions) {
        const auto made = provision.get();
        REQUIRE_FALSE(made.empty());
        urls.insert(member(made, "url"));
        CHECK(execute(member(made, "url"), member(made, "api_key")) == 200);
    }
    CHECK(urls.size() == provisions.size());
}

#endif
