#include "catch.hpp"
#include "io_threads.hpp"
#include "running_server.hpp"

#include <optional>
#include <string>
#include <thread>
#include <utility>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;

namespace {

const std::string body = R"({"user_id":"ada","metadata":{"plan":"pro"}})";
const httplib::Headers once{{"Idempotency-Key", R"("8e03978e-40d5-43e8-bc93-6894a57f9324")"}};

struct answer {
    int status = 0;
    std::string body;

    friend bool operator==(const answer&, const answer&) = default;
};

answer provision(httplib::Client& client, const httplib::Headers& headers = once,
                 const std::string& sent = body) {
    const auto got = client.Post("/engines/provision", headers, sent, "application/json");
    REQUIRE(got);
    return {got->status, got->body};
}

void kill_server(running_server& server) {
    server.process.signal(SIGKILL);
    REQUIRE(server.process.wait() == -SIGKILL);
}

} // namespace

TEST_CASE(
    "a provision that is repeated with its idempotency key is answered byte for byte, also by "
    "a server that was killed between the two") {
    const temporary_folder folder;
    std::optional<running_server> server(std::in_place, options(folder.path()));
    const auto first = provision(server->client);
    INFO(first.body);
    REQUIRE(first.status == 200);
    CHECK(provision(server->client) == first);
    const httplib::Headers unquoted{{"Idempotency-Key", "8e03978e-40d5-43e8-bc93-6894a57f9324"}};
    CHECK(provision(server->client, unquoted) == first);

    kill_server(*server);
    server.emplace(options(folder.path()));
    CHECK(provision(server->client) == first);
    CHECK(member(server->get("/status"), "total") == "1");
    CHECK(member(server->get("/metrics"), "total_provisions") == "1");

    const auto other = provision(server->client, once, R"({"user_id":"bob"})");
    CHECK(other.status == 422);
    CHECK(member(other.body, "code") == "IDEMPOTENCY_MISMATCH");
    CHECK(provision(server->client, {}).status == 409); // without the key it is another call
    const httplib::Headers twice{{"Idempotency-Key", "a"}, {"Idempotency-Key", "a"}};
    CHECK(provision(server->client, twice).status == 400);

    server->post("/engines/ada/rotate-key");
    CHECK(provision(server->client) == first);
}

TEST_CASE("a registration that is repeated with its idempotency key after a crash gives its key") {
    const temporary_folder folder;
    std::optional<running_server> server(std::in_place, options(folder.path()));
    const auto make = [&](const std::string& sent) {
        httplib::Client admin("http://" + server->address);
        httplib::Headers headers = once;
        headers.emplace("X-Admin-Key", admin_key);
        const auto got = admin.Post("/products/register", headers, sent, "application/json");
        REQUIRE(got);
        return answer{got->status, got->body};
    };
    const std::string acme = R"({"slug":"acme","display_name":"Acme"})";
    const auto first = make(acme);
    REQUIRE(first.status == 200);
    kill_server(*server);
    server.emplace(options(folder.path()));
    CHECK(make(acme) == first);
    const auto other = make(R"({"slug":"other","display_name":"Acme"})");
    CHECK(other.status == 422);
    CHECK(member(other.body, "code") == "IDEMPOTENCY_MISMATCH");
    const httplib::Headers with{{"X-Platform-Key", member(first.body, "platform_api_key")}};
    const auto listed = httplib::Client("http://" + server->address).Get("/engines", with);
    REQUIRE(listed);
    CHECK(listed->status == 200);
    CHECK(provision(server->client).status == 200); // the product's key is another one
}

TEST_CASE("a provision that a crash of the server interrupts is finished by its idempotency key") {
    const temporary_folder folder;
    const auto slow = options(folder.path(),
                              {{"DEMO_ENGINE_BOOT_DELAY_MS", "1500"},
                               {"ORCH_ENGINE_ENV_PASSTHROUGH", "DEMO_ENGINE_BOOT_DELAY_MS"}});
    std::optional<running_server> server(std::in_place, slow);
    std::thread caller([address = server->address] {
        httplib::Client client("http://" + address);
        client.set_default_headers({{"X-Platform-Key", platform_key}});
        client.set_read_timeout(30);
        (void)client.Post("/engines/provision", once, body, "application/json"); // is cut off
    });
    const bool booting = eventually([&] {
        const auto found = server->client.Get("/engines/ada");
        return found && found->status == 200;
    });
    server->process.signal(SIGKILL);
    caller.join();
    REQUIRE(booting);
    REQUIRE(server->process.wait() == -SIGKILL);

    server.emplace(slow);
    const auto after = provision(server->client);
    INFO(after.body);
    CHECK(after.status == 200);
    CHECK(member(after.body, "user_id") == "ada");
    CHECK(member(after.body, "plan") == "pro");
    CHECK(provision(server->client) == after);
    CHECK(member(server->get("/metrics"), "total_provisions") == "1");
}

#endif
