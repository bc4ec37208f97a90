#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/engine_settings_check.hpp>
#include <roundhouse/crypto/sealed_env.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/http/bodies.hpp>
#include <roundhouse/settings.hpp>

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace roundhouse;
using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using namespace std::chrono_literals;

namespace {

/// What is said of options that are wrong in one member; empty if nothing is wrong.
std::string complaint_about(const std::function<void(provision_options&)>& change) {
    provision_options options;
    change(options);
    const auto fault = core::check_options(options);
    return fault ? fault->member + ": " + fault->complaint : std::string();
}

/// Texts of as many bytes each, with their names.
named_texts numbered(std::size_t count, std::size_t bytes_each) {
    named_texts out;
    for (std::size_t n = 0; n < count; ++n) {
        const auto name = "N" + std::to_string(n);
        out[name] = std::string(bytes_each - name.size(), 'x');
    }
    return out;
}

crypto::key_ring new_keys() {
    return crypto::key_ring::parse(crypto::key_ring::make_key(crypto::system_entropy)).value();
}

/// What is said of the body of a provision with these members; empty if it is taken.
std::string refusal_of(const std::string& members) {
    const auto body = http::read_provision_body(R"({"user_id":"u1",)" + members + "}");
    return body ? std::string() : body.error().message;
}

} // namespace

TEST_CASE("a variable's name is one of letters, digits and _, and none that the server sets") {
    const auto of = [](const std::string& name) {
        return complaint_about([&](provision_options& options) { options.env[name] = "value"; });
    };
    for (const auto* const name :
         {"A", "_", "a1", "OPENAI_API_KEY", "ENGINE", "PATHS", "LDX", "TZ"})
        CHECK(of(name).empty());
    for (const auto* const name : {"", "1A", "A-B", "A B", "A=B", "\xC3\x84"})
        CHECK_THAT(of(name), Contains("is no name of a variable"));
    for (const auto* const name : {"ENGINE_ID", "ENGINE_X", "ORCH_MASTER_KEY", "LD_PRELOAD", "PATH",
                                   "HOME", "TMPDIR", "SQLITE_DB_PATH", "CATALOG_DIR"})
        CHECK_THAT(of(name), Contains("env." + std::string(name) + ": is set by the server"));
}

TEST_CASE("a variable's value is any UTF-8 without U+0000, and never part of a complaint") {
    const auto of = [](const std::string& value) {
        return complaint_about([&](provision_options& options) { options.env["A"] = value; });
    };
    for (const auto* const value : {"", "a=b", "two\nlines\t", "\xF0\x9F\x9A\x82"})
        CHECK(of(value).empty());
    using namespace std::string_literals;
    CHECK_THAT(of("secret\0text"s), Contains("U+0000") && !Contains("secret"));
    CHECK_THAT(of("secret\xFF"), Contains("UTF-8") && !Contains("secret"));
}

TEST_CASE("an environment has a bound on its names and on its bytes") {
    const auto of = [](const named_texts& env) {
        return complaint_about([&](provision_options& options) { options.env = env; });
    };
    CHECK(of(numbered(core::max_env_names, core::max_env_bytes / core::max_env_names)).empty());
    CHECK(of(numbered(core::max_env_names + 1, 3)) ==
          "env: must have at most 64 members, and has 65.");
    auto large = numbered(core::max_env_names, core::max_env_bytes / core::max_env_names);
    large["N0"] += 'x';
    CHECK(of(large) ==
          "env: must have at most 32768 bytes, names and values together, and has 32769.");
}

TEST_CASE("metadata has a bound on its members and on its bytes") {
    const auto of = [](const named_texts& metadata) {
        return complaint_about([&](provision_options& options) { options.metadata = metadata; });
    };
    CHECK(of(numbered(core::max_metadata_members, 256)).empty());
    CHECK(of({{"any name, \xC3\xA4", ""}}).empty());
    CHECK_THAT(of(numbered(33, 3)), Contains("metadata: must have at most 32 members"));
    CHECK_THAT(of({{"a", std::string(8'192, 'x')}}), Contains("at most 8192 bytes"));
    CHECK_THAT(of({{"", "x"}}), Contains("its name must have 1 to 128 bytes"));
    CHECK_THAT(of({{std::string(129, 'n'), "x"}}), Contains("its name must have 1 to 128 bytes"));
    CHECK_THAT(of({{"a", "x\ny"}}), Contains("metadata.a: must not hold control characters."));
    CHECK_THAT(of({{"a", "\xFF"}}), Contains("metadata.a: is not valid UTF-8."));
}

TEST_CASE("ceilings and graces have ranges") {
    const auto limits = [](const engine_limits& chosen) {
        return complaint_about([&](provision_options& options) { options.limits = chosen; });
    };
    CHECK(limits({.memory_mb = 6, .cpus = 0.01, .pids = 1}).empty());
    CHECK(limits({.memory_mb = 4'194'304, .cpus = 1'024, .pids = 4'194'304}).empty());
    CHECK(limits({.memory_mb = 5}) ==
          "limits.memory_mb: must be a whole number from 6 to 4194304, and is 5.");
    CHECK(limits({.cpus = 0.0}) == "limits.cpus: must be a number from 0.01 to 1024, and is 0.");
    CHECK_FALSE(limits({.cpus = std::numeric_limits<double>::quiet_NaN()}).empty());
    CHECK_FALSE(limits({.pids = 0}).empty());
    CHECK_FALSE(limits({.pids = 4'194'305}).empty());
    const auto grace = [](duration chosen) {
        return complaint_about([&](provision_options& options) { options.stop_grace = chosen; });
    };
    CHECK(grace(0s).empty());
    CHECK(grace(1h).empty());
    CHECK(grace(1h + 1ms) == "stop_grace_s: must be a number from 0 to 3600.");
    CHECK_FALSE(grace(-1ms).empty());
}

TEST_CASE("a version is checked with the other options") {
    CHECK_THAT(complaint_about([](provision_options& options) { options.version = ""; }),
               Contains("engine_version: must have 1 to 512 bytes"));
}

TEST_CASE("a ceiling that a backend cannot hold is named, with the backend") {
    const limit_support all{.memory_mb = true, .cpus = true, .pids = true};
    const engine_limits wanted{.memory_mb = 64, .cpus = 1, .pids = 9};
    CHECK_FALSE(core::check_held(wanted, all, "toy"));
    CHECK_FALSE(core::check_held({}, {}, "toy"));
    const auto unheld = [&](bool limit_support::*kind) {
        auto some = all;
        some.*kind = false;
        const auto fault = core::check_held(wanted, some, "toy");
        REQUIRE(fault);
        CHECK_THAT(fault->complaint, Contains("cannot be held by this server's backend (toy)"));
        return fault->member;
    };
    CHECK(unheld(&limit_support::memory_mb) == "limits.memory_mb");
    CHECK(unheld(&limit_support::cpus) == "limits.cpus");
    CHECK(unheld(&limit_support::pids) == "limits.pids");
}

TEST_CASE("a ceiling above the operator's is refused") {
    const engine_limits general{.memory_mb = 512, .cpus = 0.5, .pids = 100};
    CHECK_FALSE(core::check_general(general, general));
    CHECK_FALSE(core::check_general({}, general));
    CHECK_FALSE(core::check_general({.memory_mb = 4'096, .cpus = 64, .pids = 9'999}, {}));
    const auto refused = [&](const engine_limits& wanted) {
        const auto fault = core::check_general(wanted, general);
        return fault ? fault->member + ": " + fault->complaint : std::string();
    };
    CHECK_THAT(refused({.memory_mb = 513}), StartsWith("limits.memory_mb: must be at most 512,"));
    CHECK_THAT(refused({.cpus = 0.51}), StartsWith("limits.cpus: must be at most 0.5,"));
    CHECK_THAT(refused({.pids = 101}), StartsWith("limits.pids: must be at most 100,"));
}

TEST_CASE(
    "a stop may take an engine's own grace, and before a boot with a new key no more than all's") {
    settings general;
    general.stop_grace = 30s;
    engine_record engine;
    engine.boot = boot_reason::rotate;
    const auto stop = core::longest_operation(intent::stop, engine, general);
    const auto boot = core::longest_boot(engine, general);
    engine_settings own;
    own.stop_grace = 100s;
    engine.settings = std::make_shared<const engine_settings>(own);
    CHECK(core::stop_grace_of(engine, general) == 100s);
    CHECK(core::longest_operation(intent::stop, engine, general) == stop + 70s);
    CHECK(core::longest_boot(engine, general) == boot);
    own.stop_grace = 10s;
    engine.settings = std::make_shared<const engine_settings>(own);
    CHECK(core::longest_boot(engine, general) == boot - 20s);
    // Remains of a failed engine are ended with a short grace, whoever's they are.
    const auto end = core::longest_operation(intent::end, engine, general);
    engine.settings = nullptr;
    CHECK(core::longest_operation(intent::end, engine, general) == end);
}

TEST_CASE("an environment is the same after it was sealed") {
    const auto keys = new_keys();
    const auto now = instant{1'790'000'000s};
    for (const auto& env :
         {named_texts{{"A", ""}}, named_texts{{"A", "b=c\n"}, {"B", std::string(32'000, 'x')}}}) {
        const auto sealed = crypto::seal_env(env, keys, now, crypto::system_entropy);
        CHECK_THAT(sealed, !Contains("b=c"));
        CHECK(crypto::unseal_env(sealed, keys).value() == env);
        CHECK_FALSE(crypto::unseal_env(sealed, new_keys()));
    }
    CHECK(crypto::seal_env({}, keys, now, crypto::system_entropy).empty());
    CHECK(crypto::unseal_env("", keys).value().empty());
    // Sealed by somebody else: what is no environment is damage.
    for (const auto* const text : {"no variable", "A=unfinished"})
        CHECK_FALSE(crypto::unseal_env(keys.seal(text, now, crypto::system_entropy), keys));
}

TEST_CASE("the settings of an engine are read from the body of a provision") {
    const auto body = http::read_provision_body(
        R"({"user_id":"u1","engine_version":"v2","env":{"TOKEN":"a b","EMPTY":""},)"
        R"("metadata":{"plan":"pro"},"limits":{"memory_mb":512,"cpus":0.5,"pids":100},)"
        R"("stop_grace_s":1.5})");
    REQUIRE(body);
    const auto& options = body->options;
    CHECK(options.version == "v2");
    CHECK(options.env == named_texts{{"EMPTY", ""}, {"TOKEN", "a b"}});
    CHECK(options.metadata == named_texts{{"plan", "pro"}});
    CHECK(options.limits == engine_limits{.memory_mb = 512, .cpus = 0.5, .pids = 100});
    CHECK(options.stop_grace == 1'500ms);
}

TEST_CASE("malformed settings are refused by name, and no value of a variable is shown") {
    struct row {
        std::string_view members, message;
    };
    constexpr row rows[] = {
        {R"("env":[])", "env: must be an object of strings."},
        {R"("env":null)", "env: must be an object of strings."},
        {R"("env":{"TOKEN":12345678})", "env.TOKEN: must be a string."},
        {R"("env":{"TOKEN":null})", "env.TOKEN: must be a string."},
        {R"("env":{"TOKEN":"a","TOKEN":"b"})", "env.TOKEN: is given twice."},
        {R"("env":{},"env":{})", "env: is given twice."},
        {R"("metadata":{"plan":true})", "metadata.plan: must be a string."},
        {R"("limits":512)", "limits: must be an object, and is 512."},
        {R"("limits":{"memory_mb":"512"})",
         "limits.memory_mb: must be a whole number from 6 to 4194304."},
        {R"("limits":{"memory_mb":1.5})",
         "limits.memory_mb: must be a whole number from 6 to 4194304, and is 1.5."},
        {R"("limits":{"memory_mb":0})",
         "limits.memory_mb: must be a whole number from 6 to 4194304, and is 0."},
        {R"("limits":{"cpus":"1"})", "limits.cpus: must be a number."},
        {R"("limits":{"cpus":-1})", "limits.cpus: must be a number from 0.01 to 1024, and is -1."},
        {R"("limits":{"pids":0})",
         "limits.pids: must be a whole number from 1 to 4194304, and is 0."},
        {R"("stop_grace_s":3601)", "stop_grace_s: must be a number from 0 to 3600, and is 3601."},
        {R"("stop_grace_s":-1)", "stop_grace_s: must be a number from 0 to 3600, and is -1."},
    };
    for (const auto& [members, message] : rows) {
        CAPTURE(members);
        CHECK(refusal_of(std::string(members)) == message);
    }
}

TEST_CASE("a misspelt ceiling is ignored and told, and refused with strict handling") {
    api_harness api;
    const auto* const body = R"({"user_id":"u1","limits":{"memory_m":512,"pids":9}})";
    const auto reply = api.ask("POST", "/engines/provision", body);
    CHECK(reply.status == 200);
    CHECK(reply.ignored == R"("limits.memory_m";in=body;nearest="limits.memory_mb")");
    CHECK(api.fake().options_given->limits == engine_limits{.pids = 9});
    api.request.strict = true;
    CHECK_THAT(api.ask("POST", "/engines/provision", body).body,
               Contains("limits.memory_m: is not known here. Did you mean limits.memory_mb?"));
}

TEST_CASE("the names of members that callers choose are none that could be misspelt") {
    api_harness api;
    const auto reply = api.ask("POST", "/engines/provision",
                               R"({"user_id":"u1","env":{"A":"1"},"metadata":{"b":"2"}})");
    CHECK(reply.status == 200);
    CHECK(reply.ignored.empty());
    CHECK(api.fake().options_given->env == named_texts{{"A", "1"}});
}
