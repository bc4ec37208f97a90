#include "catch.hpp"
#include "running_server.hpp"

#include <csignal>
#include <string>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

const std::string secret = "a-secret-of-the-operator";

/// Replaces the defaults of the product "demo"; returns the answer.
std::string set_defaults(const running_server& server, const std::string& defaults) {
    httplib::Client admin("http://" + server.address);
    admin.set_default_headers({{"X-Admin-Key", admin_key}});
    const auto answer = admin.Put("/products/demo/defaults", R"({"defaults":)" + defaults + "}",
                                  "application/json");
    REQUIRE(answer);
    INFO(answer->body);
    REQUIRE(answer->status == 200);
    return answer->body;
}

} // namespace

TEST_CASE("a subprocess engine sees its product's default variables, and its own before them") {
    const temporary_folder folder;
    std::string ada;
    std::string bob;
    {
        running_server server(options(folder.path()));
        CHECK(set_defaults(server, R"({"env":{"SHARED":"first","TOKEN":")" + secret + "\"}}") ==
              R"({"defaults":{"env_names":["SHARED","TOKEN"]}})"
              "\n");
        ada = member(server.provision("ada"), "engine_id");
        bob = member(
            server.post("/engines/provision", R"({"user_id":"bob","env":{"SHARED":"own"}})"),
            "engine_id");
        CHECK(variable_of(folder, ada, "SHARED") == "first");
        CHECK(variable_of(folder, ada, "TOKEN") == secret);
        CHECK(variable_of(folder, bob, "SHARED") == "own");
        CHECK(variable_of(folder, bob, "TOKEN") == secret);
        for (const auto& body :
             {server.get("/engines/ada"), server.get("/engines/ada/explain"), server.get("/audit")})
            CHECK_THAT(body, !Contains(secret));

        set_defaults(server, R"({"env":{"SHARED":"second"},"stop_grace_s":0.5})");
        CHECK(variable_of(folder, ada, "SHARED") == "first");
        CHECK_THAT(server.get("/engines/ada"), Contains(R"("env_names":["SHARED"])") &&
                                                   Contains(R"("stop_grace_s":0.5)") &&
                                                   Contains(R"("pending":["stop_grace_s","env"])"));
        server.patch("/engines/ada?restart=true", "{}");
        CHECK(variable_of(folder, ada, "SHARED") == "second");
        CHECK(variable_of(folder, ada, "TOKEN").empty());
        CHECK_THAT(server.get("/engines/ada"), Contains(R"("pending":[])"));
        CHECK_THAT(server.get("/engines/bob/explain"), Contains(R"("env":{"SHARED":"engine"}})"));
        server.post("/engines/bob/stop");
        server.process.signal(SIGTERM);
        CHECK_THAT(server.process.output(), !Contains(secret));
    }
    running_server server(options(folder.path())); // which reads the defaults at its start
    server.post("/engines/bob/start");
    CHECK(variable_of(folder, bob, "SHARED") == "own");
    CHECK(variable_of(folder, bob, "TOKEN").empty());
    CHECK_THAT(server.get("/engines/bob"), Contains(R"("stop_grace_s":0.5)"));
}

#endif
