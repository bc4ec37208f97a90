#include "../subprocess_fixture.hpp"
#include "catch.hpp"
#include "running_server.hpp"

#include <roundhouse/backend/subprocess/port_locks.hpp>
#include <roundhouse/backend/subprocess/port_owner.hpp>
#include <roundhouse/detail/port_usable.hpp>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/write.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace rh = roundhouse;
namespace sub = roundhouse::detail::subprocess;
using namespace roundhouse_tests;
using asio::ip::tcp;
using Catch::Matchers::Contains;

namespace {

/// The socket that listens on a port.
sub::listener listener_on(std::uint16_t port) {
    const auto found = sub::find_listener(port);
    if (!found || !*found) throw std::runtime_error{"nobody listens on the port"};
    return **found;
}

/// Engines that are passed a socket.
struct engine_with_listener : subprocess_fixture {
    engine_with_listener() { options.pass_listener = true; }

    void run_demo_engine() { options.command = {ROUNDHOUSE_DEMO_ENGINE}; }
    bool is_healthy(const rh::workload& w) {
        return wait(backend().probe(w.ref, std::chrono::seconds{5})).has_value();
    }
};

} // namespace

TEST_CASE_METHOD(engine_with_listener,
                 "a passed socket listens before its engine accepts, and is the engine's alone") {
    if (!sub::tells_listeners()) ROUNDHOUSE_SKIP(no_sock_diag);
    SECTION("an engine with a user of its own, where that can be had") {}
    SECTION("an engine of the server's user") { options.uids = rh::uid_range{}; }
    const auto w = create_new(); // it does not accept
    const auto passed = listener_on(w.ref.port);
    struct stat data {};
    REQUIRE(::stat(folder(w).c_str(), &data) == 0);
    CHECK(passed.uid == data.st_uid);
    CHECK(sub::has_socket(::getpid(), passed.inode) == false);
    CHECK(sub::has_socket(pid_of(w), passed.inode) != false); // it may be closed to this program
    // As before it had a socket, it is probed until it answers.
    for (int probes = 0; probes < 2; ++probes) {
        const auto answer = wait(backend().probe(w.ref, std::chrono::milliseconds{50}));
        REQUIRE_FALSE(answer);
        CHECK(answer.error().code == rh::errc::backend_error);
        CHECK_THAT(answer.error().message, Contains("no answer within 50 ms"));
    }
}

TEST_CASE_METHOD(engine_with_listener,
                 "a passed socket is descriptor 3, beside which an engine inherits nothing") {
    if (!sub::tells_listeners()) ROUNDHOUSE_SKIP(no_sock_diag);
    run_shell("ls -l /proc/self/fd > fds; env > variables; touch ready; exec sleep 1000");
    const auto w = create_ready();
    std::vector<std::string> open;
    for (const auto& line : lines_of(text(w, "fds")))
        if (const auto arrow = line.find(" -> "); arrow != std::string::npos)
            open.push_back(line.substr(arrow + 4));
    REQUIRE(open.size() == 5); // the last is what ls reads
    const auto inode = listener_on(w.ref.port).inode;
    CHECK(open[3] == "socket:[" + std::to_string(inode) + ']');
    CHECK_THAT(text(w, "variables"), Contains("ENGINE_LISTEN_FD=3\n") &&
                                         Contains("ENGINE_HOST=127.0.0.1\n") &&
                                         Contains("ENGINE_PORT=" + std::to_string(w.ref.port)));
}

TEST_CASE_METHOD(engine_with_listener, "a socket is passed only if the options say so") {
    options.pass_listener = false;
    run_shell("env > variables; touch ready; exec sleep 1000");
    const auto w = create_ready();
    CHECK_THAT(text(w, "variables"), !Contains("ENGINE_LISTEN_FD"));
    CHECK(rh::detail::can_bind(w.ref.port, false));
}

TEST_CASE_METHOD(engine_with_listener,
                 "an engine serves on the socket that it was passed, is adopted, and gets another "
                 "one after a crash") {
    if (!sub::tells_listeners()) ROUNDHOUSE_SKIP(no_sock_diag);
    if (!std::filesystem::exists(ROUNDHOUSE_DEMO_ENGINE)) ROUNDHOUSE_SKIP("no demo engine");
    SECTION("an engine with a user of its own, where that can be had") {}
    SECTION("an engine of the server's user") { options.uids = rh::uid_range{}; }
    run_demo_engine();
    const auto w = create_new();
    const auto passed = listener_on(w.ref.port);
    REQUIRE(eventually([&] { return is_healthy(w); }));
    CHECK(listener_on(w.ref.port).inode == passed.inode);
    reopen();
    REQUIRE(listed(w));
    CHECK(is_healthy(w));

    asio::io_context context;
    tcp::socket client{context};
    client.connect({asio::ip::address_v4::loopback(), w.ref.port});
    asio::write(client, asio::buffer(std::string{"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"}));
    std::string answer;
    asio::read_until(client, asio::dynamic_buffer(answer), "\r\n\r\n");
    REQUIRE(::kill(pid_of(w), SIGKILL) == 0);
    asio::error_code end;
    asio::read(client, asio::dynamic_buffer(answer), end);
    CHECK(end == asio::error::eof);
    client.close();
    REQUIRE(eventually([&] { return exits().size() == 1; }));
    // The engine's side has closed first, and so keeps the port for a minute.
    CHECK_FALSE(rh::detail::can_bind(w.ref.port, false));
    const auto next = next_generation(w);
    REQUIRE(create(next));
    CHECK(listener_on(w.ref.port).inode != passed.inode);
    CHECK(eventually([&] { return is_healthy(next); }));
}

TEST_CASE_METHOD(engine_with_listener, "no engine is started on a port that a stranger has bound") {
    const auto w = new_workload();
    asio::io_context context;
    tcp::acceptor stranger{context, tcp::v4()};
    bool listens = false;
    SECTION("to listen there") { listens = true; }
    SECTION("and shares, to listen there") {
        listens = true;
        stranger.set_option(tcp::acceptor::reuse_address{true});
    }
    SECTION("without listening") {}
    stranger.bind({asio::ip::address_v4::loopback(), w.ref.port});
    if (listens) stranger.listen();
    const auto refused = create(w);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == rh::errc::port_taken); // the next boot gets another port
    CHECK(refused.error().message ==
          "port " + std::to_string(w.ref.port) + " is held by another process");
    CHECK_FALSE(std::filesystem::exists(folder(w)));
    CHECK(sub::lock_port(w.ref.port)); // is given back
    stranger.close();
    CHECK(create(w));
}

TEST_CASE_METHOD(engine_with_listener, "a launch that fails leaves no socket behind") {
    const temporary_folder folder;
    const auto program = folder.path() / "program";
    std::ofstream{program} << "no program";
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    options.command = {program.string()};
    const auto w = new_workload();
    const auto refused = create(w);
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().message, Contains("cannot run " + program.string()));
    CHECK(rh::detail::can_bind(w.ref.port, false));
}

TEST_CASE_METHOD(engine_with_listener, "a passed socket is no second port of its engine") {
    if (!sub::tells_listeners()) ROUNDHOUSE_SKIP(no_sock_diag);
    if (!std::filesystem::exists("/usr/bin/perl")) ROUNDHOUSE_SKIP("no perl");
    SECTION("engines with users of their own, where these can be had") {}
    SECTION("engines of the server's user") { options.uids = rh::uid_range{}; }
    // Landlock lets an engine listen on an ephemeral port, which is in this range.
    options.ports = {.low = 1, .high = 65535};
    options.log_check_interval = rh::duration{20};
    const auto w = create_new();
    close(); // engines outlive it
    run_shell("exec perl -e 'use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0); "
              "bind($s, sockaddr_in(0, INADDR_LOOPBACK)); listen($s, 5); sleep 1000'");
    reopen();
    REQUIRE(listed(w));
    const auto thief = create_new();
    REQUIRE(eventually([&] { return !exits().empty(); }));
    CHECK(exits().front().ref == thief.ref);
    CHECK_THAT(exits().front().reason, Contains(", which is not its own."));
    // It has been looked at too: it listened before.
    CHECK(exits().size() == 1);
    CHECK(listed(w)->state == rh::workload_state::up);
}

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

TEST_CASE("a server passes sockets to its engines, beside a stranger and after a crash") {
    if (!sub::tells_listeners()) ROUNDHOUSE_SKIP(no_sock_diag);
    const auto first = port_range().first;
    asio::io_context context;
    tcp::acceptor stranger{context, tcp::v4()};
    stranger.set_option(tcp::acceptor::reuse_address(true)); // beside connections of earlier tests
    asio::error_code taken; // by another process, which is a stranger too
    stranger.bind({asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(std::stoi(first))},
                  taken);
    if (!taken) stranger.listen();
    const temporary_folder folder;
    running_server server(options(folder.path(), {{"ORCH_ENGINE_LISTEN_FD", "true"}}));
    const auto made = server.provision("ann");
    const auto url = member(made, "url");
    CHECK(url != "http://127.0.0.1:" + first);
    CHECK(execute(url, member(made, "api_key")) == 200);
    const auto port = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
    const auto passed = listener_on(port);
    // Nothing is seen where the server is closed to this program.
    CHECK_FALSE(sub::has_socket(server.process.pid(), passed.inode).value_or(false));

    ::kill(process_of(folder, member(made, "engine_id")), SIGKILL);
    REQUIRE(eventually([&] {
        const auto restarts = server.get("/audit?limit=10&action=auto_restart_success");
        return restarts.find("\"id\"") != std::string::npos;
    }));
    const auto now = server.get("/engines/ann");
    CHECK(execute(member(now, "url"), member(made, "api_key")) == 200);
}

#endif
