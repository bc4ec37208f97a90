#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/http/host_paths.hpp>
#include <roundhouse/http/render.hpp>

#include <string>
#include <utility>

using roundhouse::http::without_host_paths;

TEST_CASE("neither errors nor audit rows show a product paths of the host, and the log has them") {
    using namespace roundhouse_tests;
    api_harness api;
    api.fake().stopped = roundhouse::fail(roundhouse::errc::backend_error,
                                          "/srv/e/engine.log: full");
    const auto reply = api.ask("POST", "/engines/u1/stop");
    CHECK(json_of(reply).ends_with(R"("message":"engine.log: full"}})"));
    REQUIRE(api.logged.size() == 1);
    CHECK(api.logged.front().ends_with("/srv/e/engine.log: full\""));

    roundhouse::audit_page page;
    page.entries.emplace_back().metadata = {{"reason", std::string("/srv/e/engine.log: full")}};
    const auto rows = roundhouse::http::render_audit(page);
    CHECK(rows.body.find(R"("reason":"engine.log: full")") != std::string::npos);
}

TEST_CASE("paths of the host are cut to their last part") {
    const std::pair<const char*, const char*> texts[] = {
        {"/var/lib/rh/engines/e1/engine.log: No space left on device",
         "engine.log: No space left on device"},
        {"Nothing could be started: '/opt/engine' is no file.",
         "Nothing could be started: 'engine' is no file."},
        {"unix:///var/run/docker.sock: cannot connect", "unix:docker.sock: cannot connect"},
        {"bind source path does not exist: /srv/catalog/",
         "bind source path does not exist: catalog"},
        {"cannot open (/a/b), or /c", "cannot open (b), or c"},
        {"/", ""},
        {"//x//", "x"},
        // These are none:
        {"http://127.0.0.1:9001/health answered HTTP 302",
         "http://127.0.0.1:9001/health answered HTTP 302"},
        {"POST /rotate-key was refused", "POST /rotate-key was refused"},
        {"no image registry.example/team/engine:1", "no image registry.example/team/engine:1"},
        {"Engine of user '/a/b' crashed", "Engine of user '/a/b' crashed"},
        {"and/or", "and/or"},
        {"", ""},
    };
    for (const auto& [before, after] : texts) CHECK(without_host_paths(before) == after);
}
