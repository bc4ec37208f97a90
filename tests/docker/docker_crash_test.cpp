#include "../catch.hpp"
#include "docker_fixture.hpp"
#include "meddling_proxy.hpp"

#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

// A server that is killed between any two changes that it makes on the daemon. The two macros are
// defined only if the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;

namespace {

/// The path of the daemon's socket; empty if it is reached in another way.
std::string daemon_socket() {
    const char* const set = std::getenv("DOCKER_HOST");
    const std::string host = set == nullptr ? "unix:///var/run/docker.sock" : set;
    constexpr std::string_view local = "unix://";
    return host.starts_with(local) ? host.substr(local.size()) : std::string();
}

std::size_t lines_in(const std::string& text) {
    std::size_t count = text.empty() ? 0 : 1;
    for (const char c : text) count += c == '\n' ? 1 : 0;
    return count;
}

struct scene {
    const std::string user;
    /// What happens before the call under test.
    std::function<void(running_server&)> prepare;
    /// The call during which the server is killed.
    std::function<void(httplib::Client&)> act;
    /// The engine's status in the end; empty if it must be gone.
    std::string status;
};

/// Kills the server before the change with this index, and starts another with the same store.
/// Returns false if the server made fewer changes.
bool survives(const scene& tested, std::size_t change) {
    INFO("killed before change " << change);
    const docker_place place;
    meddling_proxy proxy(daemon_socket());
    {
        running_server server(place.with({{"DOCKER_HOST", proxy.address()}}));
        tested.prepare(server);
        proxy.strike_instead_of(change, [&] { server.process.signal(SIGKILL); });
        tested.act(server.client);
        if (proxy.has_struck()) server.process.wait();
    }
    running_server next(place.with());
    const auto total = [&] { return member(next.get("/status"), "total"); };
    const auto settled = [&] {
        return tested.status.empty()
                   ? total() == "0"
                   : member(next.get("/engines/" + tested.user), "status") == tested.status;
    };
    CHECK(eventually(settled));
    CHECK(lines_in(containers_of(tested.user)) == std::stoul(total()));
    CHECK(lines_in(volumes_of(tested.user)) == std::stoul(total()));
    if (!tested.status.empty()) {
        CHECK(executions(next.get("/engines/" + tested.user)) >= 1);
        CHECK(next.client.Delete("/engines/" + tested.user)->status == 200);
    }
    CHECK(containers_of(tested.user).empty());
    CHECK(volumes_of(tested.user).empty());
    return proxy.has_struck();
}

void survives_always(const scene& tested, std::size_t at_least) {
    std::size_t changes = 0;
    while (survives(tested, changes)) ++changes;
    CHECK(changes >= at_least);
}

std::string user_named(const std::string& name) { return name + "-" + std::to_string(::getpid()); }

void provision(running_server& server, const std::string& user) {
    server.post("/engines/provision", R"({"user_id":")" + user + "\"}");
}

} // namespace

TEST_CASE("a server that is killed while it creates an engine leaves one container for its row") {
    if (!docker_is_ready() || daemon_socket().empty()) ROUNDHOUSE_SKIP(no_docker);
    const auto user = user_named("made");
    survives_always({user, [](running_server&) {},
                     [user](httplib::Client& client) {
                         client.Post("/engines/provision", R"({"user_id":")" + user + "\"}",
                                     "application/json");
                     },
                     "running"},
                    4); // network, volume, container, start
}

TEST_CASE("a server that is killed while it starts an engine leaves one container for its row") {
    if (!docker_is_ready() || daemon_socket().empty()) ROUNDHOUSE_SKIP(no_docker);
    const auto user = user_named("started");
    survives_always({user,
                     [user](running_server& server) {
                         provision(server, user);
                         server.post("/engines/" + user + "/stop");
                     },
                     [user](httplib::Client& client) {
                         client.Post("/engines/" + user + "/start", "{}", "application/json");
                     },
                     "running"},
                    4); // container (refused), its removal, container, start
}

TEST_CASE("a server that is killed while it destroys an engine leaves nothing of it") {
    if (!docker_is_ready() || daemon_socket().empty()) ROUNDHOUSE_SKIP(no_docker);
    const auto user = user_named("destroyed");
    survives_always({user, [user](running_server& server) { provision(server, user); },
                     [user](httplib::Client& client) { client.Delete("/engines/" + user); }, ""},
                    3); // stop, container, volume
}

#endif
