#include "catch.hpp"
#include "io_threads.hpp"
#include "temporary_folder.hpp"
#include "tls_connection.hpp"
#include "toy_server.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>

using namespace roundhouse_tests::listening;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
using roundhouse::server::tls_files;
using roundhouse::server::tls_settings;
using roundhouse_tests::eventually;
using roundhouse_tests::raw_connection;
using roundhouse_tests::signed_key;
using roundhouse_tests::tls_connection;

namespace {

/// A toy server that serves TLS, with files that a test can change.
class tls_serving {
public:
    explicit tls_serving(bool asks_for_certificates = false, listener_limits limits = {})
        : files_{file("server.pem"), file("server.key"),
                 asks_for_certificates ? file("clients.pem") : ""} {
        std::signal(SIGPIPE, SIG_IGN); // as the server does
        write(signed_key("first", &authority));
        authority.write_certificate(file("clients.pem"));
        settings = tls_settings::load(files_).value();
        server.emplace(
            roundhouse::server::listener_options{
                .places = {{.host = "127.0.0.1", .tls = settings}}, .loops = 2, .limits = limits},
            handler.handler());
    }

    void write(const signed_key& key) const {
        key.write_certificate(files_.certificate);
        key.write_key(files_.key);
    }
    [[nodiscard]] std::string file(const char* name) const {
        return (folder_.path() / name).string();
    }
    [[nodiscard]] std::uint16_t port() const { return server->port(); }

    signed_key authority{"authority"};
    toy handler;
    std::shared_ptr<tls_settings> settings;
    std::optional<listener> server;

private:
    roundhouse_tests::temporary_folder folder_;
    tls_files files_;
};

} // namespace

TEST_CASE("requests are answered over TLS, one after the other and pipelined") {
    tls_serving here;
    tls_connection connection(here.port());
    REQUIRE(connection.connected());
    for (int i = 0; i < 3; ++i) {
        REQUIRE(connection.send(post("/x", std::to_string(i))));
        CHECK_THAT(connection.read_until("] //"),
                   StartsWith("HTTP/1.1 200 ") &&
                       EndsWith("POST /x [" + std::to_string(i) + "] //"));
    }
    REQUIRE(connection.send(get("/later") + get("/second")));
    here.handler.waiting.next()(text("first"));
    CHECK_THAT(connection.read_until("GET /second [] //"), Contains("\r\n\r\nfirst"));
}

TEST_CASE("large bodies and answers go through TLS whole") {
    tls_serving here;
    tls_connection connection(here.port());
    const std::string body(60'000, 'b');
    REQUIRE(connection.send(post("/", body)));
    CHECK_THAT(connection.read_until("] //"), EndsWith("[" + body + "] //"));
    REQUIRE(connection.send(get("/big", "Connection: close\r\n")));
    const auto answer = connection.rest();
    CHECK(answer.size() - answer.find("\r\n\r\n") - 4 == 5'000'000);
}

TEST_CASE("a TLS client that sends nothing more still receives its answer") {
    tls_serving here;
    tls_connection connection(here.port());
    REQUIRE(connection.send(get("/later")));
    auto later = here.handler.waiting.next();
    connection.finish_sending();
    later(text("at last"));
    CHECK_THAT(connection.rest(), EndsWith("\r\n\r\nat last"));
}

TEST_CASE("TLS is 1.2 or newer") {
    const tls_serving here;
    CHECK(tls_connection(here.port(), nullptr, TLS1_2_VERSION).connected());
    CHECK_FALSE(tls_connection(here.port(), nullptr, TLS1_1_VERSION).connected());
}

TEST_CASE("a certificate is exchanged without a failed request") {
    tls_serving here;
    tls_connection before(here.port());
    CHECK(before.server_name() == "first");
    std::atomic<bool> stop{false};
    std::atomic<int> failed{0};
    std::atomic<int> served{0};
    std::thread load([&] {
        while (!stop) {
            tls_connection connection(here.port());
            const bool good = connection.connected() && connection.send(get("/")) &&
                              connection.read_until("GET / [] //").ends_with("GET / [] //");
            ++(good ? served : failed);
        }
    });
    for (int i = 0; i < 5; ++i) {
        const auto seen = served.load();
        here.write(signed_key("next-" + std::to_string(i), &here.authority));
        REQUIRE(here.settings->reload());
        CHECK(tls_connection(here.port()).server_name() == "next-" + std::to_string(i));
        CHECK(eventually([&] { return served > seen; }));
    }
    stop = true;
    load.join();
    CHECK(failed == 0);
    REQUIRE(before.send(get("/")));
    CHECK_THAT(before.read_until("GET / [] //"), EndsWith("GET / [] //"));
}

TEST_CASE("files that cannot be used change nothing, and the failure names them") {
    tls_serving here;
    signed_key("other").write_key(here.file("server.key")); // of another certificate
    const auto reloaded = here.settings->reload();
    REQUIRE_FALSE(reloaded);
    CHECK_THAT(reloaded.error().message, StartsWith("ORCH_TLS_KEY: " + here.file("server.key")));
    CHECK(tls_connection(here.port()).server_name() == "first");
    const auto missing = tls_settings::load({"/nowhere.pem", "/nowhere.key", ""});
    REQUIRE_FALSE(missing);
    CHECK_THAT(missing.error().message, StartsWith("ORCH_TLS_CERT: /nowhere.pem: "));
}

TEST_CASE("with an authority for clients, only those with its certificates are served") {
    tls_serving here(true);
    const auto answer_to = [&](const signed_key* own) {
        tls_connection connection(here.port(), own);
        connection.send(get("/"));
        return connection.read_until("GET / [] //");
    };
    const signed_key known("client", &here.authority);
    const signed_key stranger("client");
    CHECK_THAT(answer_to(&known), StartsWith("HTTP/1.1 200 "));
    CHECK(answer_to(&stranger).empty());
    CHECK(answer_to(nullptr).empty());
}

TEST_CASE("a client that does not set up TLS is disconnected") {
    listener_limits limits;
    limits.handshake_timeout = std::chrono::milliseconds(50);
    limits.timeout_check_interval = std::chrono::milliseconds(10);
    const tls_serving here(false, limits);
    CHECK(raw_connection(here.port()).rest().empty());
    raw_connection plain(here.port());
    plain.send(get("/"));
    CHECK_THAT(plain.rest(), !Contains("HTTP/1.1 2"));
}
