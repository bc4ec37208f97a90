// The calls of administrators about platform keys, on the real server.

#include "catch.hpp"
#include "running_server.hpp"

#include <memory>
#include <string>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;

namespace {

/// The status of a product call with this key.
int status_with(const running_server& server, const std::string& key) {
    httplib::Client client("http://" + server.address);
    client.set_default_headers({{"X-Platform-Key", key}});
    const auto answer = client.Get("/status");
    REQUIRE(answer);
    return answer->status;
}

/// The new key after a rotation of that of the product `demo`.
std::string rotate(httplib::Client& admin, const std::string& body) {
    const auto made = admin.Post("/products/demo/rotate-platform-key", body, "application/json");
    REQUIRE(made);
    REQUIRE(made->status == 200);
    return member(made->body, "platform_api_key");
}

} // namespace

TEST_CASE("platform keys are rotated and deleted while products call, and for good") {
    const std::string store = GENERATE("lmdb", "memory");
    const temporary_folder folder;
    auto set = options(folder.path(), {{"ORCH_STORE", store}});
    std::string second;
    std::string third;
    {
        running_server server(set);
        httplib::Client admin("http://" + server.address);
        admin.set_default_headers({{"X-Admin-Key", admin_key}});
        second = rotate(admin, R"({"overlap_s":3600})");
        CHECK(status_with(server, platform_key) == 200);
        CHECK(status_with(server, second) == 200);
        const auto gone = admin.Delete("/products/demo/keys/1");
        REQUIRE(gone);
        CHECK(gone->status == 200);
        CHECK(status_with(server, platform_key) == 401);
        CHECK(status_with(server, second) == 200);
        CHECK(admin.Delete("/products/demo/keys/1")->status == 404);
        third = rotate(admin, "");
        CHECK(status_with(server, second) == 401);
        CHECK(status_with(server, third) == 200);
        const auto shown = admin.Get("/products/demo");
        REQUIRE(shown);
        CHECK(member(shown->body, "key_id") == "3");
        CHECK(shown->body.find(third) == std::string::npos);
    }
    if (store == "memory") return;
    running_server again(set);
    CHECK(status_with(again, third) == 200);
    CHECK(status_with(again, second) == 401);
}

TEST_CASE("a start with another bootstrap key rotates, and keeps the keys of administrators") {
    const temporary_folder folder;
    const std::string next = "pk-sept-HwABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4";
    const auto changed = options(folder.path(), {{"ORCH_BOOTSTRAP_PLATFORM_KEY", next}});
    std::string by_admin;
    {
        running_server server(options(folder.path()));
        httplib::Client admin("http://" + server.address);
        admin.set_default_headers({{"X-Admin-Key", admin_key}});
        by_admin = rotate(admin, R"({"overlap_s":3600})");
        server.provision("ada");
    }
    {
        running_server server(changed);
        server.process.line_with("in place of the one that was configured before");
        CHECK(status_with(server, platform_key) == 401);
        CHECK(status_with(server, next) == 200);
        CHECK(status_with(server, by_admin) == 200);
        server.process.signal(SIGKILL);
        REQUIRE(server.process.wait() == -SIGKILL);
    }
    running_server again(changed);
    CHECK(status_with(again, next) == 200);
    CHECK(status_with(again, by_admin) == 200);
    CHECK(status_with(again, platform_key) == 401);
    again.client.set_default_headers({{"X-Platform-Key", next}});
    CHECK(member(again.get("/engines/ada"), "user_id") == "ada");
}

#endif
