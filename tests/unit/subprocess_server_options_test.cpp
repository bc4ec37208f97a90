#include "../../reference-server/options.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/environment.hpp>

#include <string>
#include <vector>

using namespace roundhouse::server;
using Catch::Matchers::StartsWith;

namespace {

/// The options that a server with subprocess engines needs to start, and `more`.
environment good(environment more = {}) {
    more.try_emplace("ORCH_MASTER_KEY", "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=");
    more.try_emplace("ORCH_ADMIN_KEY", "an-admin-key-of-thirty-two-chars");
    more.try_emplace("ORCH_ENGINE_BACKEND", "subprocess");
    more.try_emplace("ORCH_ENGINE_COMMAND", "/bin/true");
    return more;
}

} // namespace

TEST_CASE("engines are passed a socket only if that is asked for") {
    const auto passes = [](environment more) {
        const auto parsed = parse_options({}, good(std::move(more)));
        REQUIRE(parsed);
        return parsed->options.engine.pass_listener;
    };
    CHECK(passes({}) == roundhouse::subprocess_options{}.pass_listener);
    CHECK_FALSE(passes({}));
    CHECK_FALSE(passes({{"ORCH_ENGINE_LISTEN_FD", "false"}}));
    CHECK(passes({{"ORCH_ENGINE_LISTEN_FD", "true"}}));
    const auto refused = parse_options({}, good({{"ORCH_ENGINE_LISTEN_FD", "3"}}));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message == "ORCH_ENGINE_LISTEN_FD: \"3\" is none of: true, false");
}

TEST_CASE("an option of subprocess engines is a warning with another backend") {
    const auto [name, value] = GENERATE(
        table<std::string, std::string>({{"ORCH_ENGINE_LISTEN_FD", "true"},
                                         {"ORCH_ENGINE_ISOLATION", "require"},
                                         {"ORCH_ENGINE_READABLE", "/opt"},
                                         {"ORCH_ENGINE_FILE_MB", "1"},
                                         {"ORCH_ENGINE_UIDS", "none"},
                                         {"ORCH_ENGINE_IO_MB_S", "50"}}));
    const auto with_memory = parse_options(
        {}, good({{"ORCH_ENGINE_BACKEND", "memory"}, {name, value}}));
    REQUIRE(with_memory);
    CHECK(with_memory->warnings ==
          std::vector<std::string>{name + ": has no effect on the memory backend"});
    const auto with_subprocesses = parse_options({}, good({{name, value}}));
    REQUIRE(with_subprocesses);
    CHECK(with_subprocesses->warnings.empty());
}

TEST_CASE("engines read and write the disk without a ceiling unless one is set") {
    const auto ceiling = [](environment more) {
        const auto parsed = parse_options({}, good(std::move(more)));
        REQUIRE(parsed);
        return parsed->options.engine.io_mb_s;
    };
    CHECK(ceiling({}) == roundhouse::subprocess_options{}.io_bytes_per_s);
    CHECK(ceiling({}) == 0);
    CHECK(ceiling({{"ORCH_ENGINE_IO_MB_S", "50"}}) == 50);
    for (const auto* const wrong : {"-1", "fast", "1000001"}) {
        const auto refused = parse_options({}, good({{"ORCH_ENGINE_IO_MB_S", wrong}}));
        REQUIRE_FALSE(refused);
        CHECK_THAT(refused.error().message, StartsWith("ORCH_ENGINE_IO_MB_S: "));
    }
}

TEST_CASE("no variable that the server sets for each engine can be passed through") {
    roundhouse::subprocess_options options;
    options.catalog_dir = "/catalog";
    options.pass_listener = true;
    const auto given = roundhouse::detail::subprocess::engine_environment(options, {}, "/data");
    for (const auto& variable : given) {
        const auto name = variable.substr(0, variable.find('='));
        if (name == "HOME" || name == "TMPDIR") continue; // the server's own value is overridden
        CAPTURE(name);
        const auto refused = parse_options({}, good({{"ORCH_ENGINE_ENV_PASSTHROUGH", name}}));
        REQUIRE_FALSE(refused);
        CHECK_THAT(refused.error().message,
                   StartsWith("ORCH_ENGINE_ENV_PASSTHROUGH: " + name + " is set for each engine"));
    }
    CHECK(given.size() == 12);
}

TEST_CASE("a command that names the version needs a default one, and versions that are allowed") {
    const auto plain = parse_options({}, good());
    REQUIRE(plain);
    CHECK_FALSE(plain->options.settings.versions_need_allowing);
    const auto named = parse_options({}, good({{"ORCH_ENGINE_COMMAND", "/bin/{engine_version}"},
                                               {"ORCH_ENGINE_IMAGE", "true"}}));
    REQUIRE(named);
    CHECK(named->warnings.empty());
    CHECK(named->options.settings.versions_need_allowing);
    CHECK(named->options.engine.command == std::vector<std::string>{"/bin/{engine_version}"});
    const auto refused = parse_options({}, good({{"ORCH_ENGINE_COMMAND", "/bin/{engine_version}"},
                                                 {"ORCH_ENGINE_IMAGE", "registry/engine:1"}}));
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().message, StartsWith("ORCH_ENGINE_IMAGE: {engine_version} in "
                                                   "ORCH_ENGINE_COMMAND stands for it, and it has "
                                                   "a slash in it"));
}
