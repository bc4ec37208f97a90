#include "../subprocess_fixture.hpp"
#include "catch.hpp"
#include "running_server.hpp"

#include <roundhouse/backend/subprocess/port_lock_holders.hpp>
#include <roundhouse/backend/subprocess/port_locks.hpp>
#include <roundhouse/backend/subprocess/rights.hpp>
#include <roundhouse/backend/subprocess/uids.hpp>

#include <sys/fsuid.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
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

/// The lock of a port, held by a socket that belongs to another user. Only for root.
sub::descriptor locked_by(uid_t uid, std::uint16_t port) {
    const int before = ::setfsuid(uid); // of this thread only, for what it makes
    auto lock = sub::lock_port(port);
    ::setfsuid(static_cast<uid_t>(before));
    return std::move(lock).value();
}

constexpr auto not_root = "only root can make a socket of another user";
constexpr auto no_names = "this kernel does not tell whose a Unix socket is";
constexpr uid_t of_somebody = 12'345;

/// Whether the kernel tells whose a Unix socket is.
bool tells_holders() {
    const auto port = free_port();
    const auto lock = sub::lock_port(port);
    return sub::port_lock_holders().contains(port);
}

/// The warnings of a backend about names that engines have.
class name_warnings {
public:
    [[nodiscard]] rh::log_sink sink() {
        return [this](const rh::log_line& line) {
            const std::lock_guard guard{mutex_};
            for (const auto& field : line.fields)
                if (field.name == "uid") uids_.push_back(std::get<std::int64_t>(field.value));
        };
    }
    [[nodiscard]] std::vector<std::int64_t> uids() const {
        const std::lock_guard guard{mutex_};
        return uids_;
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::int64_t> uids_;
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

TEST_CASE("the name of a port's lock is known, and no other") {
    using namespace std::string_view_literals;
    CHECK(sub::port_of_lock("\0roundhouse-port-9001"sv) == 9001);
    for (const auto name :
         {"roundhouse-port-9001"sv, "\0roundhouse-port-"sv, "\0roundhouse-port-09001"sv,
          "\0roundhouse-port-90001"sv, "\0roundhouse-port-9001\0"sv, "\0roundhouse-9001"sv, ""sv})
        CHECK_FALSE(sub::port_of_lock(name));
}

TEST_CASE("a server is named that holds a port") {
    if (!tells_holders()) ROUNDHOUSE_SKIP(no_names);
    sub::port_locks locks({}, rh::default_engine_uids);
    const auto port = free_port();
    const auto refusal = [&] {
        const auto refused = locks.keep(port, fresh_id());
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == rh::errc::port_taken);
        CHECK_THAT(refused.error().message, Contains("@roundhouse-port-" + std::to_string(port)));
        return refused.error().message;
    };
    SECTION("of the same user") {
        const auto lock = sub::lock_port(port);
        CHECK_THAT(refusal(), Contains("user " + std::to_string(::geteuid())));
    }
    SECTION("of another user") {
        if (!sub::may_use_other_users()) ROUNDHOUSE_SKIP(not_root);
        const auto lock = locked_by(of_somebody, port);
        CHECK_THAT(refusal(), Contains("user " + std::to_string(of_somebody)));
    }
    CHECK(locks.keep(port, fresh_id())); // nobody holds it any more
}

TEST_CASE("a port whose name an engine has is used all the same") {
    if (!sub::may_use_other_users()) ROUNDHOUSE_SKIP(not_root);
    if (!tells_holders()) ROUNDHOUSE_SKIP(no_names);
    constexpr auto engine = rh::default_engine_uids.low;
    name_warnings warnings;
    sub::port_locks locks(warnings.sink(), rh::default_engine_uids);
    const auto port = free_port();
    auto lock = locked_by(engine, port);
    CHECK(locks.reserve(port));
    CHECK(locks.keep(port, fresh_id()));
    CHECK(warnings.uids() == std::vector<std::int64_t>{engine}); // once
    SECTION("and not for a server whose engines have other users") {
        sub::port_locks others({}, {.low = engine + 1, .high = engine + 2});
        CHECK_FALSE(others.reserve(port));
    }
    SECTION("but held again by the first server that can") {
        lock = {};
        sub::port_locks others({}, rh::default_engine_uids);
        CHECK(others.reserve(port));
        CHECK_FALSE(locks.reserve(port));
    }
    SECTION("and the next engine is told too") {
        lock = {};
        lock = locked_by(engine + 1, port);
        CHECK(locks.reserve(port));
        CHECK(warnings.uids() == std::vector<std::int64_t>{engine, engine + 1});
    }
}

TEST_CASE_METHOD(subprocess_fixture, "an engine starts on a port whose name another engine has") {
    if (!sub::why_unusable(rh::default_engine_uids).empty()) ROUNDHOUSE_SKIP(not_root);
    if (!tells_holders()) ROUNDHOUSE_SKIP(no_names);
    options.uids = rh::default_engine_uids;
    const auto w = new_workload();
    const auto lock = locked_by(rh::default_engine_uids.low, w.ref.port);
    CHECK(backend().port_usable(w.ref.port));
    REQUIRE(create(w));
    CHECK(listed(w)->state == rh::workload_state::up);
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
