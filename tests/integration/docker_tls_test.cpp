#include "catch.hpp"
#include "docker_answers.hpp"
#include "tls_front.hpp"

#include <roundhouse/backend/docker/address.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using daemon_says = recorded_daemon;
using rh::detail::docker::find_daemon;

namespace {

/// A backend whose daemon speaks TLS, with a certificate for localhost and 127.0.0.1. Both sides have
/// certificates of one authority.
class docker_over_tls : public docker_answers {
public:
    docker_over_tls() {
        authority.write_certificate(file("ca.pem"));
        client.write_certificate(file("cert.pem"));
        client.write_key(file("key.pem"));
        options.certificates_path = certificates.path();
        reach("localhost", front.port());
    }

    [[nodiscard]] std::string file(const std::string& name) const {
        return certificates.path() / name;
    }
    /// Where the next backend finds its daemon.
    void reach(const std::string& host, std::uint16_t port) {
        destroy_backend();
        options.host = "tcp://" + host + ':' + std::to_string(port);
    }
    /// Why the daemon is refused at the start; empty if it is not.
    [[nodiscard]] std::string refusal() const {
        const auto found = find_daemon(options.host, options.certificates_path);
        return found ? std::string{} : found.error().message;
    }
    /// What a create says that cannot reach the daemon.
    std::string failure() {
        const auto created = create(engine());
        if (created || created.error().code != rh::errc::backend_away) return "(it was reached)";
        return created.error().message;
    }

    const temporary_folder certificates;
    const signed_key authority{"authority"};
    const signed_key other_authority{"other authority"};
    const signed_key client{"client", &authority};
    tls_front front{daemon.path(), signed_key{"daemon", &authority, "DNS:localhost,IP:127.0.0.1"},
                    authority};
};

/// Output as the daemon sends it, in one chunk.
std::string output_chunk(const std::string& text) {
    const std::string head{'\1',
                           '\0',
                           '\0',
                           '\0',
                           '\0',
                           static_cast<char>(text.size() >> 16U & 0xFFU),
                           static_cast<char>(text.size() >> 8U & 0xFFU),
                           static_cast<char>(text.size() & 0xFFU)};
    return chunk(head + text);
}

} // namespace

TEST_CASE_METHOD(docker_over_tls, "a daemon is called over TLS, by its name and by its address") {
    for (const auto* const host : {"localhost", "127.0.0.1"}) {
        CAPTURE(host);
        reach(host, front.port());
        REQUIRE(create(engine()));
        CHECK(daemon.container_named(name_of(engine())).status == "running");
        const auto found = list();
        REQUIRE(found);
        CHECK(found->size() == 1);
        REQUIRE(destroy(engine().ref));
        const auto host_header = "Host: " + std::string{host} + ':' + std::to_string(front.port());
        CHECK_THAT(daemon.requests("GET", "/containers/json").back().head, Contains(host_header));
    }
}

TEST_CASE_METHOD(docker_over_tls, "events, pulls and output come over TLS") {
    listening();
    daemon.forget_image();
    REQUIRE(create(engine()));
    CHECK(daemon.count("POST", "/images/create") == 1);

    const std::string text(50'000, 'x'); // several records of TLS
    daemon.once("GET", "/containers/*/logs",
                daemon_says::sends(chunked_head() + output_chunk(text) + chunk("")));
    rh::log_query query;
    query.follow = true;
    const auto source = io().wait(backend().open_logs(engine().ref, query)).value();
    std::string read;
    for (std::string piece = "begin"; !piece.empty(); read += piece)
        piece = io().wait(source->next()).value();
    CHECK(read == text);

    daemon.end_container(name_of(engine()), 3);
    REQUIRE(eventually([&] { return !exits().empty(); }));
    CHECK(exits().front().exit_code == 3);
}

TEST_CASE_METHOD(docker_over_tls, "a daemon whose certificate is of another authority is refused") {
    other_authority.write_certificate(file("ca.pem"));
    CHECK_THAT(failure(), Contains("must be of an authority in ca.pem") &&
                              Contains("localhost:" + std::to_string(front.port())));
    CHECK(daemon.count("GET", "/version") == 0);
}

TEST_CASE_METHOD(docker_over_tls, "a daemon whose certificate is for another host is refused") {
    const tls_front elsewhere{daemon.path(),
                              signed_key{"localhost", &authority, "DNS:a.example,IP:192.0.2.1"},
                              authority};
    reach("localhost", elsewhere.port());
    CHECK_THAT(failure(), Contains("for localhost (") && Contains("ostname mismatch"));
    reach("127.0.0.1", elsewhere.port());
    CHECK_THAT(failure(), Contains("for 127.0.0.1 (") && Contains("IP address mismatch"));
    CHECK(daemon.count("GET", "/version") == 0);
}

TEST_CASE_METHOD(docker_over_tls, "a certificate names its host in its subjectAltName only") {
    const tls_front by_common_name{daemon.path(), signed_key{"localhost", &authority}, authority};
    reach("localhost", by_common_name.port());
    CHECK_THAT(failure(), Contains("ostname mismatch"));
    CHECK(daemon.count("GET", "/version") == 0);
}

TEST_CASE_METHOD(docker_over_tls, "a daemon that does not know our certificate says so") {
    const signed_key unknown{"client", &other_authority};
    unknown.write_certificate(file("cert.pem"));
    unknown.write_key(file("key.pem"));
    CHECK_THAT(failure_of(create(engine())), Contains("unknown ca"));
    CHECK(daemon.count("GET", "/version") == 0);
}

TEST_CASE_METHOD(docker_over_tls,
                 "certificates that are missing or malformed are refused by their file") {
    REQUIRE(refusal().empty());
    for (const auto* const name : {"ca.pem", "cert.pem", "key.pem"}) {
        CAPTURE(name);
        const auto kept = file("kept");
        std::filesystem::rename(file(name), kept);
        CHECK_THAT(refusal(), Contains(file(name) + " cannot be opened: No such file"));
        CHECK_THROWS_AS(backend(), std::invalid_argument);
        std::ofstream{file(name)} << "nonsense";
        CHECK_THAT(refusal(), Contains(file(name) + ": "));
        std::filesystem::rename(kept, file(name));
    }
    other_authority.write_key(file("key.pem")); // of another certificate
    CHECK_THAT(refusal(), Contains(file("key.pem") + ": "));
}

TEST_CASE_METHOD(docker_over_tls, "a Unix socket is used without the certificates") {
    options.certificates_path = "/no/such/folder";
    options.host = daemon.host();
    CHECK(create(engine()));
}

TEST_CASE_METHOD(docker_over_tls, "a daemon that has no address is away") {
    // No name has a label of 64 bytes, so this needs no name server.
    reach(std::string(64, 'a'), 2376);
    CHECK_THAT(failure(), Contains("cannot find the address of aaaa"));
}

TEST_CASE_METHOD(docker_over_tls, "a daemon that does not set up TLS is given up at the deadline") {
    asio::io_context context;
    const asio::ip::tcp::acceptor silent{context, {asio::ip::address_v4::loopback(), 0}};
    options.call_timeout = rh::duration{150};
    reach("localhost", silent.local_endpoint().port());
    CHECK_THAT(failure(), Contains("no connection within 150 ms"));
}

TEST_CASE_METHOD(docker_over_tls, "a backend that waits for TLS ends its connection with itself") {
    asio::io_context context;
    asio::ip::tcp::acceptor silent{context, {asio::ip::address_v4::loopback(), 0}};
    reach("localhost", silent.local_endpoint().port());
    backend();
    auto accepted = silent.accept(); // that of the events
    accepted.non_blocking(true);
    destroy_backend();
    std::array<char, 4096> hello{};
    CHECK(eventually([&] {
        std::error_code ended;
        accepted.read_some(asio::buffer(hello), ended);
        return ended && ended != asio::error::would_block;
    }));
}
