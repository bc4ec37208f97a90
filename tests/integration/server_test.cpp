#include "catch.hpp"
#include "raw_connection.hpp"
#include "running_server.hpp"

#include <algorithm>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
using namespace roundhouse_tests;

namespace {

/// Options of a server whose engines take this long to boot.
child_process::environment slow_boots(const temporary_folder& folder, const std::string& delay_ms) {
    return options(folder.path(), {{"DEMO_ENGINE_BOOT_DELAY_MS", delay_ms},
                                   {"ORCH_ENGINE_ENV_PASSTHROUGH", "DEMO_ENGINE_BOOT_DELAY_MS"}});
}

/// Sends SIGTERM while the server boots an engine, and waits until the server stops.
void stop_during_boot(running_server& server) {
    server.process.line_with("its turn has come");
    server.process.signal(SIGTERM);
    server.process.line_with("\"stopping\"");
}

} // namespace

TEST_CASE("an engine goes through its whole life on either store") {
    const std::string store = GENERATE("lmdb", "memory");
    const temporary_folder folder;
    running_server server(options(folder.path(), {{"ORCH_STORE", store}}));
    CHECK(member(server.get("/health"), "store") == store);

    const auto made = server.provision("ann");
    const auto url = member(made, "url");
    const auto key = member(made, "api_key");
    CHECK(member(made, "status") == "running");
    CHECK(member(made, "engine_version") == member(server.get("/engines/ann"), "engine_version"));
    CHECK_THAT(made, EndsWith("}\n"));
    CHECK(execute(url, key) == 200);
    CHECK_THAT(server.provision("ann", 409), EndsWith("}}\n"));
    CHECK(member(server.provision("ann", 409), "code") == "ENGINE_ALREADY_EXISTS");

    CHECK(member(server.get("/engines/ann"), "api_key") == key);
    CHECK(member(server.post("/engines/ann/admit"), "admitted") == "true");
    CHECK(member(server.get("/engines"), "total") == "1");
    CHECK(member(server.get("/status"), "running") == "1");
    CHECK_THAT(server.get("/engines/ann/logs"), Contains("listens on"));

    const auto next_key = member(server.post("/engines/ann/rotate-key"), "new_api_key");
    CHECK(execute(url, key) == 401);
    CHECK(execute(url, next_key) == 200);

    server.post("/engines/ann/stop");
    CHECK_FALSE(answers(url));
    CHECK(member(server.get("/engines/ann"), "status") == "stopped");
    const auto refused = server.post("/engines/ann/admit");
    CHECK(member(refused, "reason") == "engine_sleeping");
    CHECK(member(refused, "status") == "stopped");
    const auto started = server.post("/engines/ann/start");
    CHECK(execute(member(started, "url"), next_key) == 200);
    CHECK(member(started, "api_key") == next_key);
    CHECK(member(started, "engine_id") == member(made, "engine_id"));

    CHECK(member(server.get("/metrics"), "total_provisions") == "1");
    CHECK_THAT(server.get("/audit"),
               Contains("\"rotate_key\"") && Contains("\"stop\"") && Contains("\"start\""));
    const auto gone = server.client.Delete("/engines/ann");
    REQUIRE(gone);
    CHECK(member(gone->body, "status") == "destroyed");
    CHECK_FALSE(answers(url));
    server.get("/engines/ann", 404);
    CHECK_FALSE(
        std::filesystem::exists(folder.path() / "store/engines" / member(made, "engine_id")));
}

TEST_CASE("an administrator registers a product and sets its policy") {
    const temporary_folder folder;
    running_server server(options(folder.path()));
    httplib::Client admin("http://" + server.address);
    const auto refused = admin.Post("/products/register", R"({"slug":"p","display_name":"P"})",
                                    "application/json");
    REQUIRE(refused);
    CHECK(refused->status == 401);

    admin.set_default_headers({{"X-Admin-Key", admin_key}});
    const auto made = admin.Post("/products/register", R"({"slug":"p","display_name":"P"})",
                                 "application/json");
    REQUIRE(made);
    REQUIRE(made->status == 200);
    const auto limited = admin.Put("/products/p/policy", R"({"policy":{"max_engines":0}})",
                                   "application/json");
    REQUIRE(limited);
    CHECK(limited->status == 200);
    server.client.set_default_headers({{"X-Platform-Key", member(made->body, "platform_api_key")}});
    CHECK(member(server.provision("ann", 429), "code") == "QUOTA_EXCEEDED");
}

TEST_CASE("an administrator lists the products, and renames one for good") {
    const std::string store = GENERATE("lmdb", "memory");
    const temporary_folder folder;
    const auto set = options(folder.path(), {{"ORCH_STORE", store}});
    const auto admin_of = [](const running_server& server) {
        auto admin = std::make_unique<httplib::Client>("http://" + server.address);
        admin->set_default_headers({{"X-Admin-Key", admin_key}});
        return admin;
    };
    const auto named = [](httplib::Client& admin) {
        const auto found = admin.Get("/products/acme");
        REQUIRE(found);
        REQUIRE(found->status == 200);
        return member(found->body, "display_name");
    };
    {
        running_server server(set);
        const auto admin = admin_of(server);
        for (const std::string slug : {"zoo", "acme"}) {
            const auto made = admin->Post("/products/register",
                                          R"({"slug":")" + slug + R"(","display_name":"P"})",
                                          "application/json");
            REQUIRE(made);
            REQUIRE(made->status == 200);
        }
        std::string slugs;
        std::string next;
        for (int pages = 0; pages < 10 && (pages == 0 || !next.empty()); ++pages) {
            const auto page = admin->Get("/products?limit=1&after=" + next);
            REQUIRE(page);
            REQUIRE(page->status == 200);
            slugs += member(page->body, "slug") + ' ';
            next = page->body.find("\"next\":null") == std::string::npos
                       ? member(page->body, "next")
                       : std::string();
        }
        CHECK(slugs == "acme demo zoo ");
        const auto renamed = admin->Patch("/products/acme", R"({"display_name":"Acme"})",
                                          "application/json");
        REQUIRE(renamed);
        CHECK(renamed->status == 200);
        CHECK(named(*admin) == "Acme");
        CHECK(admin->Get("/products/none")->status == 404);
        CHECK(server.client.Get("/products")->status == 401);
    }
    if (store == "memory") return;
    running_server again(set);
    CHECK(named(*admin_of(again)) == "Acme");
}

TEST_CASE("200 connections that admit a new user at once get the same engine") {
    const std::string store = GENERATE("lmdb", "memory");
    const temporary_folder folder;
    running_server server(options(folder.path(), {{"ORCH_STORE", store}}));
    const std::string body = R"({"auto_provision":true})";
    const auto request = "POST /engines/bob/admit HTTP/1.1\r\nHost: x\r\nX-Platform-Key: " +
                         platform_key + "\r\nContent-Length: " + std::to_string(body.size()) +
                         "\r\n\r\n" + body;
    std::vector<raw_connection> callers;
    for (int i = 0; i < 200; ++i) callers.emplace_back(server.port());
    for (auto& caller : callers) caller.send(request);
    std::string engine;
    for (auto& caller : callers) {
        const auto answer = caller.response();
        REQUIRE_THAT(answer, StartsWith("HTTP/1.1 200 ") && Contains("\"admitted\":true"));
        if (engine.empty()) engine = member(answer, "engine_id");
        CHECK(member(answer, "engine_id") == engine);
    }
    CHECK(member(server.get("/status"), "total") == "1");
}

TEST_CASE("an engine that exits by itself is restarted, and an admit waits for it") {
    const temporary_folder folder;
    running_server server(options(folder.path()));
    const auto made = server.provision("ann");
    httplib::Client engine(member(made, "url"));
    engine.set_default_headers({{"X-Engine-Key", member(made, "api_key")}});
    engine.Post("/demo/exit", R"({"code":0})", "application/json");
    server.process.line_with("failed");
    CHECK(member(server.post("/engines/ann/admit"), "admitted") == "true");
    CHECK(execute(member(made, "url"), member(made, "api_key")) == 200);
    CHECK(member(server.get("/metrics"), "crashes_1h") == "1");
}

TEST_CASE("a misspelt name is told, and refused if the client prefers that") {
    const temporary_folder folder;
    running_server server(options(folder.path()));
    const std::string misspelt = R"({"auto_provison":true})";
    const auto strict = server.client.Post("/engines/ada/admit", {{"Prefer", "handling=strict"}},
                                           misspelt, "application/json");
    REQUIRE(strict);
    CHECK(strict->status == 400);
    CHECK(strict->get_header_value("Preference-Applied") == "handling=strict");
    const auto lenient = server.client.Post("/engines/ada/admit", misspelt, "application/json");
    REQUIRE(lenient);
    CHECK(lenient->status == 200);
    CHECK(lenient->get_header_value("Roundhouse-Ignored") ==
          R"("auto_provison";in=body;nearest="auto_provision")");
    CHECK_FALSE(lenient->has_header("Preference-Applied"));
}

TEST_CASE("replies to admits tell the rate limit, and refusals too") {
    const temporary_folder folder;
    running_server server(options(
        folder.path(), {{"ORCH_DEFAULT_POLICY", R"({"rate_limit_rpm":60,"rate_limit_burst":2})"}}));
    const auto admit = [&] {
        auto reply = server.client.Post("/engines/ada/admit", "{}", "application/json");
        REQUIRE(reply);
        CHECK(reply->get_header_value("RateLimit-Policy") ==
              R"("default";q=60;w=60, "burst";q=2;w=2)");
        CHECK_THAT(reply->get_header_value("RateLimit"),
                   StartsWith(R"("default";r=)") && Contains(R"(, "burst";r=)"));
        return reply;
    };
    const auto first = admit();
    CHECK(first->status == 200);
    CHECK_THAT(first->get_header_value("RateLimit"), StartsWith(R"("default";r=59;)"));
    auto refused = admit();
    for (int i = 0; i < 1'000 && refused->status == 200; ++i) refused = admit();
    CHECK(refused->status == 429);
    CHECK(refused->has_header("Retry-After"));
    CHECK_FALSE(server.client.Get("/engines")->has_header("RateLimit"));
}

TEST_CASE("concurrent life cycles of several engines all complete") {
    const temporary_folder folder;
    running_server server(options(
        folder.path(), {{"ORCH_SLEEP_AFTER_S", "0.05"}, {"ORCH_HEALTH_CHECK_INTERVAL_S", "0.05"}}));
    std::vector<std::future<int>> users;
    for (int user = 0; user < 6; ++user)
        users.push_back(std::async(std::launch::async, [&server, user] {
            httplib::Client client("http://" + server.address);
            client.set_default_headers({{"X-Platform-Key", platform_key}});
            client.set_read_timeout(60);
            const auto path = "/engines/user-" + std::to_string(user);
            const std::string wanted = R"({"auto_provision":true,"auto_wake":true})";
            int served = 0;
            for (int round = 0; round < 4; ++round) {
                for (const std::string verb :
                     {"/admit", "/rotate-key", "/stop?force=true", "/start", "/admit"}) {
                    const auto answer = client.Post(path + verb, wanted, "application/json");
                    served += answer && answer->status == 200;
                }
                const auto gone = client.Delete(path);
                served += gone && gone->status == 200;
            }
            return served;
        }));
    // A call for a running engine is a 409 if the engine has just fallen asleep.
    for (auto& user : users) CHECK(user.get() >= 4 * 5);
    CHECK(member(server.get("/status"), "total") == "0");
    server.process.signal(SIGTERM);
    CHECK(server.process.wait() == 0);
}

TEST_CASE("a refused request has its documented status, code and headers") {
    const temporary_folder folder;
    running_server server(options(folder.path()));
    CHECK(member(server.get("/no/such/path", 404), "code") == "NOT_FOUND");
    CHECK(member(server.post("/engines/provision", "{", 400), "code") == "INVALID_REQUEST");
    CHECK(member(server.post("/engines/provision", std::string(100'000, ' '), 413), "code") ==
          "PAYLOAD_TOO_LARGE");
    const auto wrong = server.client.Put("/status", "", "text/plain");
    REQUIRE(wrong);
    CHECK(wrong->status == 405);
    CHECK_THAT(wrong->get_header_value("Allow"), Contains("GET"));
    CHECK_FALSE(wrong->get_header_value("X-Request-Id").empty());
    httplib::Client stranger("http://" + server.address);
    CHECK(stranger.Get("/health")->status == 200);
    CHECK(stranger.Get("/status")->status == 401);
    const auto same = stranger.Get("/health", {{"X-Request-Id", "mine-1"}});
    REQUIRE(same);
    CHECK(same->get_header_value("X-Request-Id") == "mine-1");
}

TEST_CASE("SIGTERM stops the engines, and the server exits with 0") {
    const temporary_folder folder;
    running_server server(options(folder.path()));
    std::vector<std::string> urls;
    for (const std::string user : {"ann", "bob", "cid"})
        urls.push_back(member(server.provision(user), "url"));
    server.process.signal(SIGTERM);
    CHECK(server.process.wait() == 0);
    for (const auto& url : urls) CHECK_FALSE(answers(url));
    CHECK_THAT(server.process.output(), Contains("\"stopped\""));
}

TEST_CASE("engines kept at the server's exit are ended at the next start of a memory store") {
    const temporary_folder folder;
    const auto variables = options(folder.path(),
                                   {{"ORCH_STORE", "memory"}, {"ORCH_SUBPROCESS_ON_EXIT", "keep"}});
    std::string url;
    {
        running_server server(variables);
        url = member(server.provision("ann"), "url");
        server.process.signal(SIGINT);
        CHECK(server.process.wait() == 0);
    }
    CHECK(answers(url));
    running_server server(options(folder.path(), {{"ORCH_STORE", "memory"}}));
    server.process.line_with("had no row was ended");
    CHECK_FALSE(answers(url));
}

TEST_CASE(
    "engines survive a server that is killed and are ended at the next start of a memory store") {
    const temporary_folder folder;
    const auto variables = options(folder.path(), {{"ORCH_STORE", "memory"}});
    std::string url;
    {
        running_server server(variables);
        url = member(server.provision("ann"), "url");
        server.process.signal(SIGKILL);
        CHECK(server.process.wait() == -SIGKILL);
    }
    CHECK(answers(url));
    running_server server(variables);
    server.process.line_with("had no row was ended");
    CHECK_FALSE(answers(url));
    server.get("/engines/ann", 404);
}

TEST_CASE("a call under way at SIGTERM is answered before the server exits") {
    const temporary_folder folder;
    running_server server(slow_boots(folder, "300"));
    auto call = std::async(std::launch::async, [&] {
        auto answer = server.client.Post("/engines/provision", R"({"user_id":"ann"})",
                                         "application/json");
        return answer ? answer->status : 0;
    });
    stop_during_boot(server);
    CHECK(call.get() == 200);
    CHECK(server.process.wait() == 0);
}

TEST_CASE("a second signal ends the server at once") {
    const temporary_folder folder;
    running_server server(slow_boots(folder, "60000"));
    auto call = std::async(std::launch::async, [&] {
        return static_cast<bool>(
            server.client.Post("/engines/provision", R"({"user_id":"ann"})", "application/json"));
    });
    stop_during_boot(server);
    server.process.signal(SIGTERM);
    CHECK(server.process.wait() == 128 + SIGTERM);
    CHECK_FALSE(call.get());
    // The next server finds the engine that is still booting, and stops it at its end.
    running_server(options(folder.path()));
}

TEST_CASE(
    "an address in use fails the start with a message that names the variable and the address") {
    const temporary_folder folder;
    const temporary_folder other;
    running_server first(options(folder.path()));
    child_process second(ROUNDHOUSE_SERVER, {},
                         options(other.path(), {{"ORCH_LISTEN", first.address}}));
    CHECK(second.wait() == 2);
    CHECK_THAT(second.output(), Contains("ORCH_LISTEN: ") && Contains(first.address));
    first.get("/status");
}

TEST_CASE("a store folder in use fails the start with a message that names the variable") {
    const temporary_folder folder;
    running_server first(options(folder.path()));
    const auto url = member(first.provision("ann"), "url");
    child_process second(ROUNDHOUSE_SERVER, {}, options(folder.path()));
    CHECK(second.wait() == 2);
    CHECK_THAT(second.output(), Contains("ORCH_STORE_PATH: ") && Contains("in use"));
    CHECK(answers(url));
}

TEST_CASE(
    "a store path that is not a folder fails the start with a message that names the variable") {
    child_process server(ROUNDHOUSE_SERVER, {}, options("", {{"ORCH_STORE_PATH", "/dev/null"}}));
    CHECK(server.wait() == 2);
    CHECK_THAT(server.output(), Contains("ORCH_STORE_PATH: /dev/null "));
}

TEST_CASE("the store folder is created with mode 0700") {
    const temporary_folder folder;
    const running_server server(options(folder.path()));
    const auto mode = std::filesystem::status(folder.path() / "store").permissions();
    CHECK((mode & std::filesystem::perms::mask) == std::filesystem::perms::owner_all);
}

TEST_CASE("an invalid option fails the start with exit code 2") {
    const temporary_folder folder;
    child_process server(ROUNDHOUSE_SERVER, {}, options(folder.path(), {{"ORCH_PORT_MAX", "80"}}));
    CHECK(server.wait() == 2);
    CHECK_THAT(server.output(), Contains("ORCH_PORT_MAX: 80 is below ORCH_PORT_MIN"));
}

TEST_CASE("a check reports on the options and creates nothing") {
    const temporary_folder folder;
    child_process server(ROUNDHOUSE_SERVER, {"--check"}, options(folder.path()));
    CHECK(server.wait() == 0);
    CHECK_THAT(server.output(), Contains("options are good"));
    CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("the memory backend needs no engine command") {
    const temporary_folder folder;
    auto variables = options(folder.path(), {{"ORCH_ENGINE_BACKEND", "memory"}});
    variables.erase("ORCH_ENGINE_COMMAND");
    running_server server(variables);
    CHECK(member(server.provision("ann"), "status") == "running");
    CHECK(member(server.get("/health"), "backend") == "memory");
    server.process.signal(SIGTERM);
    CHECK(server.process.wait() == 0);
}

TEST_CASE("the log is JSON lines without secrets") {
    const temporary_folder folder;
    running_server server(options(folder.path(), {{"ORCH_PORT_MNI", "1"}}));
    const auto made = server.post("/engines/provision", R"({"user_id":"a \"quoted\" \\ user"})");
    const auto next_key = member(server.post("/engines/a%20%22quoted%22%20%5C%20user/rotate-key"),
                                 "new_api_key");
    server.process.signal(SIGTERM);
    const auto output = server.process.output();
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
        CAPTURE(line);
        CHECK_THAT(line, StartsWith("{\"time\":\"20"));
        CHECK(line.back() == '}');
    }
    CHECK_THAT(output, Contains("ORCH_PORT_MNI"));
    for (const auto& secret :
         {master_key, admin_key, platform_key, member(made, "api_key"), next_key})
        CHECK_THAT(output, !Contains(secret));
}

#endif
