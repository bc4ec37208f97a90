#include "../temporary_folder.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/engine_command.hpp>
#include <roundhouse/backend/subprocess/isolation.hpp>
#include <roundhouse/backend/subprocess/program.hpp>
#include <roundhouse/core/policy.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
namespace rh = roundhouse;
namespace sub = rh::detail::subprocess;
namespace fs = std::filesystem;

TEST_CASE("the version of an engine takes the place of its name in the command") {
    rh::subprocess_options options;
    options.command = {"/opt/{engine_version}/bin/engine", "--plain",
                       "{engine_version}-{engine_version}"};
    const auto wanted = sub::options_for(options, "1.2");
    REQUIRE(wanted);
    CHECK(wanted->command == std::vector<std::string>{"/opt/1.2/bin/engine", "--plain", "1.2-1.2"});
    // What a version holds is not looked at again.
    const auto odd = sub::options_for(options, "{engine_version}");
    REQUIRE(odd);
    CHECK(odd->command.back() == "{engine_version}-{engine_version}");
}

TEST_CASE("a version that would lead elsewhere is refused, if the command names it") {
    rh::subprocess_options options;
    options.command = {"/opt/{engine_version}/engine"};
    for (const auto* const version : {"", ".", "..", "a/b", "../up", "-x"}) {
        const auto refused = sub::options_for(options, version);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == rh::errc::backend_error);
        CHECK_THAT(refused.error().message,
                   Contains("the engine_version \"" + std::string{version} + "\""));
    }
    options.command = {"/opt/engine"};
    CHECK(sub::options_for(options, "registry/name:1"));
}

TEST_CASE("an engine may read the folder of the program that its version names") {
    const temporary_folder folder;
    rh::subprocess_options options;
    options.store_path = folder.path() / "store";
    options.command = {(folder.path() / "{engine_version}" / "engine").string()};
    for (const auto* const name : {"store", "1.0", "2.0"})
        fs::create_directory(folder.path() / name);
    std::ofstream{folder.path() / "1.0" / "engine"};
    fs::permissions(folder.path() / "1.0" / "engine", fs::perms::owner_all);
    const auto wanted = sub::options_for(options, "1.0");
    REQUIRE(wanted);
    const auto program = sub::find_program(*wanted);
    REQUIRE(program);
    const auto readable = sub::readable_paths(*wanted, *program);
    CHECK(std::ranges::find(readable, fs::canonical(folder.path() / "1.0").string()) !=
          readable.end());
    CHECK(std::ranges::find(readable, fs::canonical(folder.path() / "2.0").string()) ==
          readable.end());
}

TEST_CASE("where versions name programs a policy must list them") {
    rh::settings settings;
    settings.default_version = "1.0";
    rh::product product;
    product.slug = "demo";
    CHECK(rh::core::may_provision(product, "2.0", settings));
    settings.versions_need_allowing = true;
    CHECK(rh::core::may_provision(product, std::nullopt, settings));
    CHECK(rh::core::may_provision(product, "1.0", settings));
    const auto refused = rh::core::may_provision(product, "2.0", settings);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == rh::errc::policy_denied);
    CHECK_THAT(refused.error().message, Contains("policy.allowed_versions"));
    product.policy.allowed_versions = std::vector<std::string>{"2.*"};
    CHECK(rh::core::may_provision(product, "2.0", settings));
    CHECK_FALSE(rh::core::may_provision(product, "3.0", settings));
}
