#include "../pushed_stream.hpp"
#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/http/httplib.hpp>

#include <asio/connect.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/thread_pool.hpp>
#include <asio/write.hpp>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace http = roundhouse::http;
using namespace roundhouse_tests;

namespace {

/// A `httplib::Server` with the api mounted, on a free port. Late answers come from a thread of
/// their own.
class served_api {
public:
    explicit served_api(std::string prefix = "") {
        fake->post = [this](std::function<void()> answer) {
            asio::post(executor, std::move(answer));
        };
        api = std::make_shared<http::api>(
            fake, http::api_options{std::string(test_admin_key), 64 * 1024, {}});
        server.Get("/own", [](const httplib::Request&, httplib::Response& out) {
            out.set_content("mine", "text/plain");
        });
        http::mount(server, api, std::move(prefix));
        // Every connection keeps a thread; no test has more than four.
        server.new_task_queue = [] { return new httplib::ThreadPool(4); };
        server.set_keep_alive_max_count(1'000);
        port = server.bind_to_any_port("127.0.0.1");
        thread = std::thread([this] { server.listen_after_bind(); });
        while (!server.is_running()) std::this_thread::yield();
    }
    ~served_api() {
        server.stop();
        thread.join();
        executor.join();
    }
    served_api(const served_api&) = delete;
    served_api& operator=(const served_api&) = delete;

    [[nodiscard]] httplib::Client client() const {
        httplib::Client client("127.0.0.1", port);
        client.set_default_headers({{"X-Platform-Key", std::string(fake_platform_key)},
                                    {"X-Admin-Key", std::string(test_admin_key)}});
        return client;
    }

    asio::thread_pool executor{1};
    std::shared_ptr<fake_orchestrator> fake = std::make_shared<fake_orchestrator>();
    std::shared_ptr<http::api> api;
    httplib::Server server;
    int port = 0;
    std::thread thread;
};

/// A connection that sends bytes unchanged.
class raw_connection {
public:
    explicit raw_connection(int port) {
        socket_.connect({asio::ip::make_address("127.0.0.1"), static_cast<std::uint16_t>(port)});
    }

    void send(std::string_view bytes) {
        // If the server has closed the connection, `receive` returns nothing.
        asio::error_code ignored;
        asio::write(socket_, asio::buffer(bytes.data(), bytes.size()), ignored);
    }

    /// Receives the next response, head included; nothing if the server has closed the connection.
    std::optional<std::string> receive(bool with_body = true) {
        asio::error_code failed;
        const auto head_size = asio::read_until(socket_, asio::dynamic_buffer(received_),
                                                "\r\n\r\n", failed);
        if (failed) return std::nullopt;
        auto response = received_.substr(0, head_size);
        received_.erase(0, head_size);
        constexpr std::string_view field = "Content-Length: ";
        const auto at = response.find(field);
        const auto size = at == std::string::npos ? 0
                                                  : std::stoul(response.substr(at + field.size()));
        if (!with_body) return response;
        if (received_.size() < size)
            asio::read(socket_, asio::dynamic_buffer(received_),
                       asio::transfer_exactly(size - received_.size()), failed);
        if (failed) return std::nullopt;
        response += received_.substr(0, size);
        received_.erase(0, size);
        return response;
    }

private:
    asio::io_context context_;
    asio::ip::tcp::socket socket_{context_};
    std::string received_;
};

std::string head_of(std::string_view method, std::string_view target, std::string_view more = {}) {
    return std::string(method) + " " + std::string(target) +
           " HTTP/1.1\r\nHost: x\r\nX-Platform-Key: " + std::string(fake_platform_key) + "\r\n" +
           std::string(more) + "\r\n";
}

/// Whether the server answers another request on this connection.
bool goes_on(raw_connection& connection) {
    connection.send(head_of("GET", "/health"));
    const auto answer = connection.receive();
    return answer && answer->starts_with("HTTP/1.1 200 ");
}

bool has(const std::optional<std::string>& text, std::string_view part) {
    return text && text->find(part) != std::string::npos;
}

} // namespace

TEST_CASE("a mounted api tells what it ignores, and refuses it if the client prefers that") {
    served_api served;
    auto client = served.client();
    const auto lenient = client.Get("/status?x=1");
    REQUIRE(lenient);
    CHECK(lenient->status == 200);
    CHECK(lenient->get_header_value("Roundhouse-Ignored") == R"("x";in=query)");
    CHECK_FALSE(lenient->has_header("Preference-Applied"));
    const auto strict = client.Get("/status?x=1",
                                   {{"Prefer", "wait=1"}, {"Prefer", "handling=strict"}});
    REQUIRE(strict);
    CHECK(strict->status == 400);
    CHECK(strict->get_header_value("Preference-Applied") == "handling=strict");
}

TEST_CASE("a mounted api takes an idempotency key, and refuses one that is sent twice") {
    served_api served;
    auto client = served.client();
    const auto provision = [&](const httplib::Headers& headers) {
        const auto answer = client.Post("/engines/provision", headers, R"({"user_id":"u1"})",
                                        "application/json");
        return answer ? answer->status : 0;
    };
    CHECK(provision({{"Idempotency-Key", "\"k1\""}}) == 200);
    CHECK(provision({{"Idempotency-Key", "k1"}, {"Idempotency-Key", "k1"}}) == 400);
    CHECK(provision({}) == 200);
    CHECK(served.fake->calls_so_far() ==
          std::vector<std::string>{"provision_once u1", "provision u1"});
}

TEST_CASE("a mounted api tells the rate limit of a product that has one") {
    served_api served;
    auto client = served.client();
    const auto without = client.Post("/engines/u1/admit", "{}", "application/json");
    REQUIRE(without);
    CHECK_FALSE(without->has_header("RateLimit"));
    served.fake->rate = roundhouse::rate_limit_status{
        {100, std::chrono::seconds{60}, 50, std::chrono::seconds{30}}, {}};
    const auto with = client.Post("/engines/u1/admit", "{}", "application/json");
    REQUIRE(with);
    CHECK(with->get_header_value("RateLimit-Policy") == R"("default";q=100;w=60)");
    CHECK(with->get_header_value("RateLimit") == R"("default";r=50;t=30)");
}

TEST_CASE("a mounted api answers at once and later") {
    served_api served;
    auto client = served.client();
    const auto health = client.Get("/health");
    REQUIRE(health);
    CHECK(health->status == 200);
    CHECK(health->get_header_value("Content-Type") == "application/json");
    CHECK(health->get_header_value("X-Request-Id").size() == 32);

    const auto provisioned = client.Post("/engines/provision", R"({"user_id":"u1"})",
                                         "application/json");
    REQUIRE(provisioned);
    CHECK(provisioned->status == 200);
    CHECK(provisioned->body.find("\"status\":\"running\"") != std::string::npos);
    const auto policy = client.Put("/products/demo/policy", R"({"policy":{}})", "application/json");
    REQUIRE(policy);
    CHECK(policy->body == "{\"policy\":{}}\n");
    const auto renamed = client.Patch("/products/demo", R"({"display_name":"The Demo"})",
                                      "application/json");
    REQUIRE(renamed);
    CHECK(renamed->body.find("\"display_name\":\"The Demo\"") != std::string::npos);
    CHECK(served.fake->calls_so_far() ==
          std::vector<std::string>{"provision u1", "set_policy demo", "update_product demo"});
}

TEST_CASE("a mounted api sends the headers of its replies") {
    served_api served;
    served.fake->admitted_now = result<roundhouse::admission>(
        fail(roundhouse::errc::rate_limited, "Too fast.", 17));
    auto client = served.client();
    const auto limited = client.Post("/engines/u1/admit", {{"X-Request-Id", "mine-1"}}, "{}",
                                     "application/json");
    REQUIRE(limited);
    CHECK(limited->status == 429);
    CHECK(limited->get_header_value("Retry-After") == "17");
    CHECK(limited->get_header_value("X-Request-Id") == "mine-1");
    const auto wrong = client.Get("/engines/u1/admit");
    REQUIRE(wrong);
    CHECK(wrong->status == 405);
    CHECK(wrong->get_header_value("Allow") == "POST");
    CHECK_FALSE(wrong->has_header("Retry-After"));
}

TEST_CASE("a mounted api keeps encoded slashes and literal plus signs of a user_id") {
    served_api served;
    raw_connection connection(served.port);
    connection.send(head_of("GET", "/engines/a%2Fb+c%20d?x=1"));
    CHECK(has(connection.receive(), "HTTP/1.1 200 "));
    connection.send(head_of("GET", "/engines/%C3%A4%0A"));
    CHECK(has(connection.receive(), "user_id: "));
    CHECK(served.fake->calls_so_far() == std::vector<std::string>{"find a/b+c d"});
}

TEST_CASE("a mounted api answers unknown paths and methods itself") {
    served_api served;
    raw_connection connection(served.port);
    connection.send(head_of("GET", "/nowhere%0A"));
    CHECK(has(connection.receive(), R"({"error":{"code":"NOT_FOUND")"));
    for (const std::string_view method : {"POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
        connection.send(head_of(method, "/health"));
        const auto reply = connection.receive();
        CHECK(has(reply, "HTTP/1.1 405 "));
        CHECK(has(reply, "Allow: GET, HEAD\r\n"));
    }
    CHECK(goes_on(connection));
}

TEST_CASE("a mounted api answers HEAD with headers only") {
    served_api served;
    raw_connection connection(served.port);
    connection.send(head_of("HEAD", "/engines/u1"));
    const auto head = connection.receive(false);
    CHECK(has(head, "HTTP/1.1 200 "));
    CHECK_FALSE(has(head, "Content-Length: 0\r\n"));
    CHECK(goes_on(connection));
}

TEST_CASE("an api that is mounted under a prefix serves that prefix only") {
    served_api served("/fleet.v1/");
    auto client = served.client();
    CHECK(client.Get("/fleet.v1/health")->status == 200);
    CHECK(client.Get("/fleet.v1/engines?limit=5")->status == 200);
    CHECK(client.Get("/fleet.v1/nowhere")->body.find("NOT_FOUND") != std::string::npos);
    CHECK(client.Get("/fleet.v1")->body.find("NOT_FOUND") != std::string::npos);
    CHECK(client.Get("/fleet%2Ev1/health")->body.find("NOT_FOUND") != std::string::npos);
    for (const auto* elsewhere : {"/health", "/fleet_v1/health", "/fleet.v12/health"}) {
        const auto reply = client.Get(elsewhere);
        CHECK(reply->status == 404);
        CHECK(reply->body.empty());
    }
    CHECK(client.Get("/own")->body == "mine");
}

TEST_CASE("earlier handlers of the server keep their paths") {
    served_api served;
    CHECK(served.client().Get("/own")->body == "mine");
    CHECK(served.client().Get("/health")->status == 200);
}

TEST_CASE("a call without a body and without a length is answered at once") {
    served_api served;
    raw_connection connection(served.port);
    for (const auto& [method, target] : {std::pair{"POST", "/engines/u1/start"},
                                         {"POST", "/engines/u1/admit"},
                                         {"DELETE", "/engines/u1"}}) {
        connection.send(head_of(method, target));
        CHECK(has(connection.receive(), "HTTP/1.1 200 "));
    }
    connection.send(head_of("POST", "/engines/u1/start", "Content-Length: 0\r\n"));
    CHECK(has(connection.receive(), "HTTP/1.1 200 "));
    CHECK(goes_on(connection));
}

TEST_CASE("a body is read regardless of its type and its framing") {
    served_api served;
    raw_connection connection(served.port);
    connection.send(
        head_of("POST", "/engines/provision",
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 16\r\n") +
        R"({"user_id":"u1"})");
    CHECK(has(connection.receive(), "HTTP/1.1 200 "));
    connection.send(head_of("POST", "/engines/provision", "Transfer-Encoding: chunked\r\n") +
                    "8\r\n{\"user_i\r\n8\r\nd\":\"u2\"}\r\n0\r\n\r\n");
    CHECK(has(connection.receive(), "HTTP/1.1 200 "));
    connection.send(head_of("DELETE", "/engines/u3", "Content-Length: 2\r\n") + "{}");
    CHECK(has(connection.receive(), "HTTP/1.1 200 "));
    CHECK(served.fake->calls_so_far() ==
          std::vector<std::string>{"provision u1", "provision u2", "destroy u3"});
    CHECK(goes_on(connection));
}

TEST_CASE("a mounted api refuses a body over the limit and keeps the connection") {
    served_api served;
    raw_connection connection(served.port);
    const std::string limit(64 * 1024, ' ');
    connection.send(head_of("POST", "/engines/u1/admit", "Content-Length: 65536\r\n") + limit);
    CHECK(has(connection.receive(), "HTTP/1.1 200 "));
    connection.send(head_of("POST", "/engines/u1/admit", "Content-Length: 65537\r\n") + limit +
                    " ");
    const auto refused = connection.receive();
    CHECK(has(refused, "HTTP/1.1 413 "));
    CHECK(has(refused, "PAYLOAD_TOO_LARGE"));
    CHECK(goes_on(connection));
}

TEST_CASE("a client that sends an endless body is disconnected") {
    served_api served;
    raw_connection connection(served.port);
    connection.send(head_of("POST", "/engines/u1/admit", "Transfer-Encoding: chunked\r\n"));
    const std::string chunk = "10000\r\n" + std::string(0x10000, ' ') + "\r\n";
    for (int i = 0; i < 80; ++i) connection.send(chunk);
    // The refusal may be lost, as the client is still sending when the connection is closed.
    if (const auto refused = connection.receive()) CHECK(has(refused, "HTTP/1.1 413 "));
    CHECK_FALSE(goes_on(connection));
    raw_connection another(served.port);
    CHECK(goes_on(another));
}

TEST_CASE("an ambiguous body is refused and its connection closed") {
    for (const std::string_view framing :
         {"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
          "Content-Length: 2\r\nContent-Length: 3\r\n", "Content-Length: -1\r\n",
          "Content-Length: 2x\r\n", "Content-Length: 99999999999999999999\r\n",
          "Transfer-Encoding: gzip, chunked\r\n"}) {
        INFO(framing);
        served_api served;
        raw_connection connection(served.port);
        connection.send(head_of("POST", "/engines/u1/admit", framing) + "{}");
        const auto refused = connection.receive();
        CHECK(has(refused, "HTTP/1.1 400 "));
        CHECK(has(refused, "INVALID_REQUEST"));
        CHECK(has(refused, "Connection: close\r\n"));
        CHECK_FALSE(goes_on(connection));
        CHECK(served.fake->calls_so_far().empty());
    }
}

TEST_CASE("a multipart body is refused") {
    served_api served;
    raw_connection connection(served.port);
    const std::string body =
        "--b\r\nContent-Disposition: form-data; name=\"user_id\"\r\n\r\nu1\r\n--b--\r\n";
    connection.send(head_of("POST", "/engines/provision",
                            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: " +
                                std::to_string(body.size()) + "\r\n") +
                    body);
    CHECK(has(connection.receive(), "HTTP/1.1 400 "));
    CHECK(served.fake->calls_so_far().empty());
}

TEST_CASE("a body of a method without one is not taken for the next request") {
    for (const std::string_view method : {"GET", "HEAD", "OPTIONS"}) {
        INFO(method);
        served_api served;
        raw_connection connection(served.port);
        const auto inner = head_of("DELETE", "/engines/u1");
        connection.send(
            head_of(method, "/health", "Content-Length: " + std::to_string(inner.size()) + "\r\n") +
            inner);
        CHECK(connection.receive(method != "HEAD"));
        CHECK_FALSE(connection.receive());
        CHECK(served.fake->calls_so_far().empty());
    }
}

TEST_CASE("a client's Range header does not cut a reply") {
    served_api served;
    const auto reply = served.client().Get("/engines/u1/logs", {{"Range", "bytes=0-3"}});
    REQUIRE(reply);
    CHECK(reply->status == 200);
    CHECK(reply->body == "first\nsecond\n");
}

TEST_CASE("a key that is sent twice counts as missing") {
    served_api served;
    raw_connection connection(served.port);
    connection.send(head_of("GET", "/engines", "X-Platform-Key: pk-sept-other\r\n"));
    CHECK(has(connection.receive(), "INVALID_PLATFORM_KEY"));
    connection.send(head_of("GET", "/engines"));
    CHECK(has(connection.receive(), "HTTP/1.1 200 "));
}

TEST_CASE("a path of the greatest length is answered") {
    served_api served;
    raw_connection connection(served.port);
    connection.send(head_of("GET", "/engines/" + std::string(7'000, 'x')));
    CHECK(has(connection.receive(), "user_id: "));
    CHECK(goes_on(connection));
}

TEST_CASE("a call whose answer is dropped is a 503") {
    served_api served;
    // Destroys the completion handler instead of calling it.
    served.fake->post = [](const std::function<void()>&) {};
    const auto reply = served.client().Post("/engines/u1/start");
    REQUIRE(reply);
    CHECK(reply->status == 503);
    CHECK(reply->get_header_value("Retry-After") == "1");
    CHECK(served.client().Get("/health")->status == 200);
}

TEST_CASE("a body that comes in pieces is sent in chunks as the pieces come") {
    served_api served;
    const auto pieces = pushed_pieces::make();
    served.fake->streamed = roundhouse::text_stream_ptr(std::make_shared<pushed_stream>(pieces));
    std::string received;
    const auto take = [&](const char* data, std::size_t size) {
        received.append(data, size);
        pieces->push(received.size() < 18 ? std::string("second\n") : std::string());
        return true;
    };
    pieces->push(std::string("first\n"));
    auto client = served.client();
    const auto reply = client.Get("/engines/u1/logs?follow=true", take);
    REQUIRE(reply);
    CHECK(reply->get_header_value("Transfer-Encoding") == "chunked");
    CHECK(received == "first\nsecond\nsecond\n");
    served.fake->streamed = roundhouse::text_stream_ptr();
    pieces->wait_until_dropped();
    CHECK(client.Get("/health")->status == 200);
}

TEST_CASE("a body that comes in pieces and fails is cut off") {
    served_api served;
    const auto pieces = pushed_pieces::make();
    served.fake->streamed = roundhouse::text_stream_ptr(std::make_shared<pushed_stream>(pieces));
    pieces->push(std::string("first\n"));
    pieces->push(roundhouse::fail(roundhouse::errc::backend_error, "broken"));
    auto client = served.client();
    CHECK_FALSE(client.Get("/engines/u1/logs?follow=true"));
}

TEST_CASE("an httplib server that stops does not wait for the next piece") {
    const auto pieces = pushed_pieces::make();
    {
        served_api served;
        served.fake->streamed = roundhouse::text_stream_ptr(
            std::make_shared<pushed_stream>(pieces));
        raw_connection connection(served.port);
        connection.send(head_of("GET", "/engines/u1/logs?follow=true"));
        pieces->wait_until_asked(1);
        served.fake->streamed = roundhouse::text_stream_ptr();
    } // would hang
    pieces->wait_until_dropped();
}

TEST_CASE("a stream is dropped when the client of an httplib server goes") {
    served_api served;
    const auto pieces = pushed_pieces::make();
    served.fake->streamed = roundhouse::text_stream_ptr(std::make_shared<pushed_stream>(pieces));
    {
        raw_connection connection(served.port);
        connection.send("GET /engines/u1/logs?follow=true HTTP/1.1\r\nHost: x\r\nX-Platform-Key: " +
                        std::string(fake_platform_key) + "\r\n\r\n");
        pieces->wait_until_asked(1);
        served.fake->streamed = roundhouse::text_stream_ptr();
    }
    pieces->wait_until_dropped();
}
