#include "../io_threads.hpp"
#include "catch.hpp"
#include "running_server.hpp"

#include <csignal>
#include <string>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

const std::string secret = "a-secret-of-the-product";

std::string provision_with_settings(running_server& server, const std::string& user) {
    return server.post("/engines/provision",
                       R"({"user_id":")" + user + R"(","env":{"PRODUCT_TOKEN":")" + secret +
                           R"(","TZ":"Europe/Berlin"},"metadata":{"plan":"pro"},)" +
                           R"("stop_grace_s":0.5})");
}

} // namespace

TEST_CASE("a subprocess engine sees its variables in each of its workloads") {
    const temporary_folder folder;
    std::string engine_id;
    const auto sees_its_variables = [&] {
        return variable_of(folder, engine_id, "PRODUCT_TOKEN") == secret &&
               variable_of(folder, engine_id, "TZ") == "Europe/Berlin" &&
               variable_of(folder, engine_id, "ENGINE_ID") == engine_id;
    };
    {
        running_server server(options(folder.path()));
        engine_id = member(provision_with_settings(server, "ada"), "engine_id");
        CHECK(sees_its_variables());
        server.post("/engines/ada/stop");
        server.post("/engines/ada/start");
        CHECK(sees_its_variables());
        const auto other = member(server.provision("bob"), "engine_id");
        CHECK(variable_of(folder, other, "PRODUCT_TOKEN").empty());
        server.post("/engines/ada/stop");
    }
    running_server server(options(folder.path()));
    server.post("/engines/ada/start");
    CHECK(sees_its_variables());
    CHECK_THAT(server.get("/engines/ada"), Contains(R"("metadata":{"plan":"pro"})") &&
                                               Contains(R"("stop_grace_s":0.5)") &&
                                               Contains(R"("env_names":["PRODUCT_TOKEN","TZ"])"));
}

TEST_CASE("engines are listed by their metadata and by the beginning of their user_ids") {
    const temporary_folder folder;
    const auto is_listed = [](running_server& server, const std::string& query,
                              const std::string& total, const std::string& user) {
        const auto body = server.get("/engines?" + query);
        INFO(body);
        CHECK_THAT(body, Contains("\"total\":" + total + ","));
        CHECK((body.find("\"user_id\":\"" + user + "\"") != std::string::npos) == (total != "0"));
    };
    {
        running_server server(options(folder.path()));
        provision_with_settings(server, "ada");
        server.provision("adam");
        server.provision("bob");
        for (const auto* user : {"ada", "adam", "bob"})
            server.post("/engines/" + std::string(user) + "/stop");
    }
    running_server server(options(folder.path())); // which finds its indexes on disk
    is_listed(server, "metadata.plan=pro", "1", "ada");
    is_listed(server, "metadata.plan=free", "0", "");
    is_listed(server, "q=ad", "2", "adam");
    is_listed(server, "q=ad&metadata.plan=pro&limit=1", "1", "ada");
    is_listed(server, "q=b&status=stopped", "1", "bob");
    is_listed(server, "q=b&status=running", "0", "");
    CHECK_THAT(server.get("/engines?metadata.=pro", 400), Contains("its name must have 1 to 128"));
}

TEST_CASE("the values of variables are in no answer, no audit row and no line of the log") {
    const temporary_folder folder;
    running_server server(options(folder.path()));
    const auto made = provision_with_settings(server, "ada");
    for (const auto& body : {made, server.get("/engines/ada"), server.get("/engines"),
                             server.post("/engines/lookup", R"({"user_ids":["ada"]})"),
                             server.post("/engines/ada/admit"), server.get("/audit")})
        CHECK_THAT(body, !Contains(secret));
    server.process.signal(SIGTERM);
    CHECK_THAT(server.process.output(), Contains("ada") && !Contains(secret));
}

TEST_CASE("what an engine printed of its variables is redacted when its boot fails") {
    const temporary_folder folder;
    running_server server(
        options(folder.path(), {{"ORCH_ENGINE_COMMAND", "/bin/sh -c 'echo token $PRODUCT_TOKEN'"},
                                {"ORCH_RESTART_MAX_ATTEMPTS", "0"}}));
    server.post("/engines/provision",
                R"({"user_id":"ada","env":{"PRODUCT_TOKEN":")" + secret + "\"}}", 504);
    server.process.line_with("token *");
    server.process.signal(SIGTERM);
    CHECK_THAT(server.process.output(), !Contains(secret));
}

TEST_CASE(
    "what an engine prints of its variables and its key is redacted where its output is read") {
    const temporary_folder folder;
    const auto talkative = std::string("/bin/sh -c 'echo token $PRODUCT_TOKEN of $MODEL_TOKEN; "
                                       "echo hash $ENGINE_KEY_HASH; exec ") +
                           ROUNDHOUSE_DEMO_ENGINE + "'";
    running_server server(options(folder.path(), {{"ORCH_ENGINE_COMMAND", talkative},
                                                  {"ORCH_ENGINE_ISOLATION", "none"},
                                                  {"MODEL_TOKEN", "the-operators-own"},
                                                  {"ORCH_ENGINE_ENV_PASSTHROUGH", "MODEL_TOKEN"}}));
    provision_with_settings(server, "ada");
    for (const auto* const query : {"", "?since=2020-01-01T00:00:00Z"})
        CHECK_THAT(server.get(std::string("/engines/ada/logs") + query),
                   Contains("token * of *\nhash *\n"));
}

TEST_CASE("an engine that does not heed SIGTERM is ended after its own grace") {
    const temporary_folder folder;
    const auto stubborn = std::string("/bin/sh -c 'trap \"\" TERM; ") + ROUNDHOUSE_DEMO_ENGINE +
                          "; while :; do sleep 1; done'";
    running_server server(options(folder.path(), {{"ORCH_ENGINE_COMMAND", stubborn},
                                                  {"ORCH_ENGINE_ISOLATION", "none"},
                                                  {"ORCH_STOP_GRACE_S", "120"}}));
    server.post("/engines/provision", R"({"user_id":"ada","stop_grace_s":0.1})");
    // With the grace of all, the client would have given up before.
    CHECK(member(server.post("/engines/ada/stop"), "status") == "stopped");
}

TEST_CASE("a running engine has a changed variable once it was restarted with it") {
    const temporary_folder folder;
    running_server server(options(folder.path()));
    const auto engine_id = member(provision_with_settings(server, "ada"), "engine_id");
    const auto key = member(server.get("/engines/ada"), "api_key");
    const auto token = [&] { return variable_of(folder, engine_id, "PRODUCT_TOKEN"); };
    const auto changed = server.patch("/engines/ada", R"({"env":{"PRODUCT_TOKEN":"new-token"}})");
    CHECK_THAT(changed, Contains(R"("settings_revision":2,"pending":["env"])"));
    CHECK(token() == secret);
    const auto restarted = server.patch("/engines/ada?restart=true", R"({"metadata":null})");
    CHECK_THAT(restarted,
               Contains(R"("settings_revision":3,"pending":[])") && Contains(R"("metadata":{})"));
    CHECK(token() == "new-token");
    CHECK(member(server.get("/engines/ada"), "api_key") == key);
    CHECK(variable_of(folder, engine_id, "TZ") == "Europe/Berlin");
    CHECK_THAT(server.get("/audit?action=settings_update"),
               Contains(R"("changed":"env")") && Contains(R"("changed":"metadata")") &&
                   !Contains("new-token"));
    server.post("/engines/ada/stop");
    CHECK_THAT(server.patch("/engines/ada?restart=true", "{}", 409),
               Contains("ENGINE_NOT_RUNNING"));
}

TEST_CASE("what a change has replaced stays hidden in the output of the running engine") {
    const temporary_folder folder;
    const auto talkative = std::string("/bin/sh -c 'echo token $PRODUCT_TOKEN; exec ") +
                           ROUNDHOUSE_DEMO_ENGINE + "'";
    running_server server(options(
        folder.path(), {{"ORCH_ENGINE_COMMAND", talkative}, {"ORCH_ENGINE_ISOLATION", "none"}}));
    provision_with_settings(server, "ada");
    server.patch("/engines/ada", R"({"env":{"PRODUCT_TOKEN":"new-token"}})");
    CHECK_THAT(server.get("/engines/ada/logs"), Contains("token *\n"));
    server.patch("/engines/ada?restart=true", "{}");
    CHECK_THAT(server.get("/engines/ada/logs"), Contains("token *\n") && !Contains("new-token"));
}

TEST_CASE("of two changes of one revision the second is refused") {
    const temporary_folder folder;
    running_server server(options(folder.path()));
    server.provision("ada");
    const auto change = [&](const char* revision, const char* plan) {
        const auto answer = server.client.Patch(
            "/engines/ada", {{"If-Match", revision}},
            std::string(R"({"metadata":{"plan":")") + plan + "\"}}", "application/json");
        REQUIRE(answer);
        return answer->status;
    };
    CHECK(change("\"1\"", "pro") == 200);
    CHECK(change("\"1\"", "free") == 412);
    CHECK(change("1", "free") == 400);
    CHECK(change("*", "free") == 200);
    CHECK_THAT(server.get("/engines/ada"), Contains(R"("metadata":{"plan":"free"})"));
}

TEST_CASE("a pinned engine stays awake while another sleeps, and across a restart of the server") {
    const temporary_folder folder;
    const auto quick = options(folder.path(), {{"ORCH_SLEEP_AFTER_S", "0.2"},
                                               {"ORCH_HEALTH_CHECK_INTERVAL_S", "1"},
                                               {"ORCH_SUBPROCESS_ON_EXIT", "keep"}});
    const auto sleeps = [](running_server& server, const char* user) {
        return eventually([&] {
            return member(server.get(std::string("/engines/") + user), "status") == "sleeping";
        });
    };
    {
        running_server server(quick);
        server.post("/engines/provision", R"({"user_id":"ada","sleep":{"pinned":true}})");
        server.provision("bob");
        CHECK(sleeps(server, "bob"));
        CHECK(member(server.get("/engines/ada"), "status") == "running");
    }
    running_server server(quick);
    CHECK(member(server.get("/engines/ada"), "status") == "running");
    server.patch("/engines/ada", R"({"sleep":{"pinned":false}})");
    CHECK(sleeps(server, "ada"));
}

TEST_CASE("a ceiling that subprocesses cannot be held to is refused, and nothing is made") {
    const temporary_folder folder;
    running_server server(options(folder.path(), {{"ORCH_ENGINE_ISOLATION", "none"}}));
    for (const auto* const limit : {"memory_mb\":64", "cpus\":1", "pids\":50"})
        CHECK_THAT(server.post("/engines/provision",
                               R"({"user_id":"ada","limits":{")" + std::string(limit) + "}}", 400),
                   Contains("cannot be held by this server's backend (subprocess)"));
    server.get("/engines/ada", 404);
    CHECK_THAT(member(server.provision("ada"), "status"), Contains("running"));
}

#endif
