#include "../../reference-server/option_table.hpp"
#include "../../reference-server/option_values.hpp"
#include "../../reference-server/options.hpp"
#include "catch.hpp"

#include <roundhouse/core/platform_keys.hpp>

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <string>
#include <vector>

using namespace roundhouse::server;
using roundhouse::duration;
using roundhouse::log_level;
using roundhouse::result;

namespace {

constexpr auto master_key = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
constexpr auto admin_key = "an-admin-key-of-thirty-two-chars";
constexpr auto platform_key = "pk-sept-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// The options that a server needs to start, and `more`.
environment good(environment more = {}) {
    more.try_emplace("ORCH_MASTER_KEY", master_key);
    more.try_emplace("ORCH_ADMIN_KEY", admin_key);
    more.try_emplace("ORCH_ENGINE_BACKEND", "subprocess");
    more.try_emplace("ORCH_ENGINE_COMMAND", "/bin/true");
    return more;
}

result<invocation> parse(const environment& variables, std::vector<const char*> arguments = {}) {
    return parse_options(arguments, variables);
}

server_options options_of(const environment& variables, std::vector<const char*> arguments = {}) {
    auto parsed = parse(variables, std::move(arguments));
    REQUIRE(parsed);
    return parsed->options;
}

std::string failure_of(const environment& variables, std::vector<const char*> arguments = {}) {
    const auto parsed = parse(variables, std::move(arguments));
    return parsed ? "it was accepted" : parsed.error().message;
}

std::vector<std::string> words_of(std::string_view text) {
    auto words = split_words(text);
    REQUIRE(words);
    return *words;
}

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using words = std::vector<std::string>;

} // namespace

TEST_CASE("a server with nothing but its keys has the documented defaults") {
    const auto options = options_of(
        {{"ORCH_MASTER_KEY", master_key}, {"ORCH_ADMIN_KEY", admin_key}});
    CHECK(options.listen.front().text() == "127.0.0.1:8000");
    CHECK(options.store == store_kind::lmdb);
    CHECK(options.backend == backend_kind::docker);
    CHECK(options.on_exit == on_exit::stop);
    CHECK(options.log_level == log_level::info);
    CHECK(options.log_format == log_format::text);
    CHECK(options.engine.network == "engine_net");
    CHECK(options.engine.advertise == advertise::automatic);
    CHECK(options.engine.pids == 4096);
    CHECK(options.engine.docker_host == "unix:///var/run/docker.sock");
    CHECK(options.master_keys->size() == 1);
    CHECK_FALSE(options.bootstrap);
}

TEST_CASE("the server's defaults are those of the library") {
    const auto parsed = options_of(good()).settings;
    const roundhouse::settings library;
    CHECK(parsed.default_version == library.default_version);
    CHECK(parsed.default_policy == library.default_policy);
    CHECK(parsed.port_min == library.port_min);
    CHECK(parsed.port_max == library.port_max);
    CHECK(parsed.admit_wait == library.admit_wait);
    CHECK(parsed.boot_timeout == library.boot_timeout);
    CHECK(parsed.boot_concurrency == library.boot_concurrency);
    CHECK(parsed.stop_grace == library.stop_grace);
    CHECK(parsed.health_check_interval == library.health_check_interval);
    CHECK(parsed.health_check_timeout == library.health_check_timeout);
    CHECK(parsed.health_max_failures == library.health_max_failures);
    CHECK(parsed.health_concurrency == library.health_concurrency);
    CHECK(parsed.brake_percent == library.brake_percent);
    CHECK(parsed.brake_max == library.brake_max);
    CHECK(parsed.restart_backoff_base == library.restart_backoff_base);
    CHECK(parsed.restart_backoff_max == library.restart_backoff_max);
    CHECK(parsed.restart_max_attempts == library.restart_max_attempts);
    CHECK(parsed.restart_reset == library.restart_reset);
    CHECK(parsed.sleep_after == library.sleep_after);
    CHECK(parsed.deep_sleep_after == library.deep_sleep_after);
    CHECK(parsed.critical_percent == library.critical_percent);
    CHECK(parsed.audit_retention_days == library.audit_retention_days);
}

TEST_CASE("an option is read from the environment") {
    CHECK(options_of(good({{"ORCH_PORT_MIN", "9100"}})).settings.port_min == 9100);
}

TEST_CASE("a flag takes precedence over its variable, even if the variable is invalid") {
    CHECK(options_of(good({{"ORCH_PORT_MIN", "nonsense"}}), {"--port-min", "9200"})
              .settings.port_min == 9200);
    CHECK(options_of(good({{"ORCH_PORT_MIN", "9100"}}), {"--port-min=9200"}).settings.port_min ==
          9200);
}

TEST_CASE("an empty environment variable counts as not set") {
    CHECK(options_of(good({{"ORCH_PORT_MIN", ""}})).settings.port_min == 9001);
}

TEST_CASE("an empty flag does not stand for the default") {
    CHECK_THAT(failure_of(good(), {"--port-min="}), StartsWith("--port-min: "));
    CHECK_THAT(failure_of(good(), {"--port-min", ""}), StartsWith("ORCH_PORT_MIN: "));
}

TEST_CASE("every option has a flag, and its help names both and the default") {
    const auto parsed = parse({}, {"--help"});
    REQUIRE(parsed);
    CHECK(parsed->action == server_action::print);
    for (const auto& row : option_table()) {
        CAPTURE(row.name);
        CHECK_THAT(parsed->text, Contains("  " + flag_of(row.name) + " "));
        CHECK_THAT(parsed->text, Contains("(" + std::string(row.name)));
        if (!row.fallback.empty())
            CHECK_THAT(parsed->text, Contains("default " + std::string(row.fallback)));
    }
    CHECK(flag_of("ORCH_PORT_MIN") == "--port-min");
    CHECK(flag_of("DOCKER_HOST") == "--docker-host");
}

TEST_CASE("the help names the actions other than serving") {
    const auto parsed = parse({}, {"--help"});
    REQUIRE(parsed);
    for (const auto* const flag : {"--check", "--backup FOLDER", "--reencrypt", "--verify-store"})
        CHECK_THAT(parsed->text, Contains("\n  " + std::string(flag) + " "));
}

TEST_CASE("every option refuses nonsense with its name") {
    for (const auto& row : option_table()) {
        const environment only{{std::string(row.name), "\x01 \" nonsense"}};
        auto variables = good(only);
        const bool unchecked = row.name == "ORCH_STORE_PATH";
        CAPTURE(row.name);
        if (!unchecked) CHECK_THAT(failure_of(variables), StartsWith(std::string(row.name) + ": "));
    }
}

TEST_CASE("the version is printed without any option set") {
    const auto parsed = parse({}, {"--version"});
    REQUIRE(parsed);
    CHECK(parsed->action == server_action::print);
    CHECK(parsed->text == "roundhouse-server " + std::string(roundhouse::version_string) + "\n");
}

TEST_CASE("a check of good options sums them up in one line without a secret") {
    const auto parsed = parse(good(), {"--check"});
    REQUIRE(parsed);
    CHECK(parsed->action == server_action::print);
    CHECK_THAT(parsed->text, Contains("127.0.0.1:8000") && Contains("subprocess"));
    CHECK_THAT(parsed->text, !Contains(master_key) && !Contains(admin_key));
    CHECK(std::ranges::count(parsed->text, '\n') == 1);
}

TEST_CASE("a check of bad options fails with their message") {
    CHECK_THAT(failure_of(good({{"ORCH_PORT_MIN", "0"}}), {"--check"}),
               StartsWith("ORCH_PORT_MIN: "));
}

TEST_CASE("a missing master key stops the start, and the message says how to make a key") {
    CHECK_THAT(failure_of({{"ORCH_ADMIN_KEY", admin_key}}),
               StartsWith("ORCH_MASTER_KEY: is required") && Contains("/dev/urandom"));
}

TEST_CASE("a malformed master key stops the start and is not shown") {
    const auto message = failure_of(good({{"ORCH_MASTER_KEY", "c2VjcmV0LWJ1dC1zaG9ydA=="}}));
    CHECK_THAT(message, StartsWith("ORCH_MASTER_KEY: ") && Contains("/dev/urandom"));
    CHECK_THAT(message, !Contains("c2VjcmV0"));
}

TEST_CASE("several master keys make a ring of several keys") {
    const auto both = std::string(master_key) + "," +
                      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    CHECK(options_of(good({{"ORCH_MASTER_KEY", both}})).master_keys->size() == 2);
}

TEST_CASE("a missing admin key stops the start, and the message says how to make a key") {
    CHECK_THAT(failure_of({{"ORCH_MASTER_KEY", master_key}}),
               StartsWith("ORCH_ADMIN_KEY: is required") && Contains("/dev/urandom"));
}

TEST_CASE("an admin key needs 16 characters, and is never shown") {
    const auto message = failure_of(good({{"ORCH_ADMIN_KEY", "fifteen-charact"}}));
    CHECK_THAT(message, StartsWith("ORCH_ADMIN_KEY: ") && !Contains("fifteen"));
    CHECK(options_of(good({{"ORCH_ADMIN_KEY", "sixteen-characte"}})).admin_key ==
          "sixteen-characte");
}

TEST_CASE("an admin key of fewer than 32 characters is taken with a warning") {
    const auto warnings_of = [](std::size_t size) {
        return parse(good({{"ORCH_ADMIN_KEY", std::string(size, 'k')}}))->warnings;
    };
    CHECK(warnings_of(32).empty());
    const auto warnings = warnings_of(31);
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings.front(), StartsWith("ORCH_ADMIN_KEY: has fewer than 32") &&
                                     Contains("/dev/urandom") && !Contains("kkk"));
}

TEST_CASE("an admin key that looks like a platform key is refused") {
    CHECK_THAT(failure_of(good({{"ORCH_ADMIN_KEY", platform_key}})),
               StartsWith("ORCH_ADMIN_KEY: has the form of a platform key"));
}

TEST_CASE("trusted proxies are addresses and networks") {
    const auto options = options_of(
        good({{"ORCH_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7,2001:db8::/32"},
              {"ORCH_CONNECTIONS", "100"},
              {"ORCH_CONNECTIONS_PER_ADDRESS", "7"}}));
    CHECK(options.trusted_proxies.contains(asio::ip::make_address("10.1.2.3")));
    CHECK(options.connections == 100);
    CHECK(options.connections_per_address == 7);
    for (const auto* const wrong : {"10.0.0.0/33", "proxy", "10.0.0", "::/129", "10.0.0.0/", "1/8"})
        CHECK_THAT(failure_of(good({{"ORCH_TRUSTED_PROXIES", wrong}})),
                   StartsWith("ORCH_TRUSTED_PROXIES: '" + std::string(wrong) + "'"));
}

TEST_CASE("an admin key that no header could carry is refused") {
    CHECK_THAT(failure_of(good({{"ORCH_ADMIN_KEY", "a key that has spaces"}})),
               StartsWith("ORCH_ADMIN_KEY: "));
}

TEST_CASE("the range of ports must not be empty") {
    CHECK(failure_of(good({{"ORCH_PORT_MAX", "80"}})) ==
          "ORCH_PORT_MAX: 80 is below ORCH_PORT_MIN (9001)");
    CHECK(options_of(good({{"ORCH_PORT_MAX", "9001"}})).settings.port_max == 9001);
}

TEST_CASE("a number out of its bounds is refused with the bounds") {
    CHECK(failure_of(good({{"ORCH_PORT_MIN", "65536"}})) ==
          "ORCH_PORT_MIN: 65536 is out of range: it must be from 1 to 65535");
    CHECK(failure_of(good({{"ORCH_CRITICAL_PERCENT", "101"}})) ==
          "ORCH_CRITICAL_PERCENT: 101 is out of range: it must be from 0 to 100");
    CHECK(failure_of(good({{"ORCH_BRAKE_PERCENT", "101"}})) ==
          "ORCH_BRAKE_PERCENT: 101 is out of range: it must be from 0 to 100");
    CHECK(options_of(good({{"ORCH_BRAKE_PERCENT", "0"}})).settings.brake_percent == 0);
    CHECK_THAT(failure_of(good({{"ORCH_BOOT_CONCURRENCY", "0"}})),
               StartsWith("ORCH_BOOT_CONCURRENCY: 0 is out"));
    CHECK_THAT(failure_of(good({{"ORCH_PORT_MIN", "99999999999999999999999"}})),
               Contains("out of range"));
}

TEST_CASE("text that is not a whole number is refused where a whole number is expected") {
    for (const auto* const text : {"-1", "+1", "1.5", "1e3", "0x10", " 9100", "9100 ", "nan"}) {
        CAPTURE(text);
        CHECK_THAT(failure_of(good({{"ORCH_PORT_MIN", text}})),
                   Contains("is not a whole number from 1 to 65535"));
    }
}

TEST_CASE("the default policy is JSON, and refused where the policy of a product would be") {
    const auto read = options_of(good(
        {{"ORCH_DEFAULT_POLICY", R"({"max_engines":5,"max_concurrent_boots":2,"weight":3})"}}));
    CHECK(read.settings.default_policy.max_engines == 5U);
    CHECK(read.settings.default_policy.max_concurrent_boots == 2U);
    CHECK(read.settings.default_policy.weight == 3U);
    const auto bounded = options_of(
        good({{"ORCH_DEFAULT_POLICY",
               R"({"max_memory_mb":512,"max_cpus":0.5,"max_pids":100,"max_total_memory_mb":4096,)"
               R"("allow_env":false})"}}));
    CHECK(bounded.settings.default_policy.max_memory_mb == 512U);
    CHECK(bounded.settings.default_policy.max_cpus == 0.5);
    CHECK(bounded.settings.default_policy.max_pids == 100U);
    CHECK(bounded.settings.default_policy.max_total_memory_mb == 4'096U);
    CHECK(bounded.settings.default_policy.allow_env == false);
    CHECK(failure_of(good({{"ORCH_DEFAULT_POLICY", R"({"max_engine":5})"}})) ==
          "ORCH_DEFAULT_POLICY: max_engine: is not known here. Check its spelling.");
    CHECK_THAT(
        failure_of(good({{"ORCH_DEFAULT_POLICY", R"({"max_concurrent_boots":0})"}})),
        StartsWith("ORCH_DEFAULT_POLICY: max_concurrent_boots: must be a whole number, 1 or more"));
    CHECK(
        failure_of(good({{"ORCH_DEFAULT_POLICY", R"({"max_concurrent_boots":-1})"}})) ==
        "ORCH_DEFAULT_POLICY: max_concurrent_boots: must be a whole number, 1 or more, and is -1.");
    CHECK_THAT(failure_of(good({{"ORCH_DEFAULT_POLICY", "max_engines=5"}})),
               StartsWith("ORCH_DEFAULT_POLICY: The policy is not valid JSON"));
    CHECK_THAT(failure_of(good({{"ORCH_DEFAULT_POLICY", "[]"}})),
               StartsWith("ORCH_DEFAULT_POLICY: The policy must be a JSON object"));
}

TEST_CASE("seconds may be fractions") {
    CHECK(options_of(good({{"ORCH_STOP_GRACE_S", "0.25"}})).settings.stop_grace == duration(250));
    CHECK(options_of(good({{"ORCH_SLEEP_AFTER_S", "0"}})).settings.sleep_after == duration(0));
    CHECK(options_of(good({{"ORCH_DEEP_SLEEP_AFTER_S", "1.5"}})).settings.deep_sleep_after ==
          duration(1'500));
}

TEST_CASE("a time above 0 never becomes 0, which may mean off") {
    CHECK(options_of(good({{"ORCH_SLEEP_AFTER_S", "0.0001"}})).settings.sleep_after == duration(1));
}

TEST_CASE("seconds must be finite, not negative and at most a month") {
    for (const auto* const text : {"inf", "nan", "-1", "1e300", "-0.1", "five", "", "1s"}) {
        CAPTURE(text);
        CHECK_THAT(failure_of(good(), {"--stop-grace-s", text}), StartsWith("ORCH_STOP_GRACE_S: "));
    }
}

TEST_CASE("a longest backoff below the first one is allowed") {
    const auto settings = options_of(good({{"ORCH_RESTART_BACKOFF_MAX_S", "1"}})).settings;
    CHECK(settings.restart_backoff_max == std::chrono::seconds{1});
    CHECK(settings.restart_backoff_base == std::chrono::seconds{5});
}

TEST_CASE("an unknown choice is refused, and the message lists the choices") {
    CHECK(failure_of(good({{"ORCH_LOG_FORMAT", "xml"}})) ==
          "ORCH_LOG_FORMAT: \"xml\" is none of: text, json");
}

TEST_CASE("records are stored on disk or in memory") {
    CHECK(options_of(good({{"ORCH_STORE", "lmdb"}})).store == store_kind::lmdb);
    CHECK(options_of(good({{"ORCH_STORE", "memory"}})).store == store_kind::memory);
    CHECK(failure_of(good({{"ORCH_STORE", "sqlite"}})) ==
          "ORCH_STORE: \"sqlite\" is none of: lmdb, memory");
}

TEST_CASE("the store's folder must have a name, and is given as an absolute path") {
    CHECK(options_of(good({{"ORCH_STORE_PATH", "/tmp/../tmp/store"}})).store_path == "/tmp/store");
    CHECK(failure_of(good(), {"--store-path", ""}) == "ORCH_STORE_PATH: must name a folder");
}

TEST_CASE("a backup and a verification need no options but the store, even if others are invalid") {
    const environment bad{{"ORCH_STORE_PATH", "/tmp/store"}, {"ORCH_PORT_MIN", "nonsense"}};
    const auto backup = parse(bad, {"--backup", "/tmp/../tmp/copy"});
    REQUIRE(backup);
    CHECK(backup->action == server_action::backup);
    CHECK(backup->backup_folder == "/tmp/copy");
    CHECK(backup->options.store_path == "/tmp/store");
    const auto verification = parse(bad, {"--verify-store"});
    REQUIRE(verification);
    CHECK(verification->action == server_action::verify_store);
    CHECK(verification->options.store_path == "/tmp/store");
}

TEST_CASE("a backup needs a folder to copy to") {
    CHECK_THAT(failure_of(good(), {"--backup"}), Contains("--backup"));
    CHECK_THAT(failure_of(good(), {"--backup", ""}), StartsWith("--backup: "));
}

TEST_CASE("a re-encryption needs the master keys, and no admin key") {
    const auto parsed = parse({{"ORCH_MASTER_KEY", master_key}}, {"--reencrypt"});
    REQUIRE(parsed);
    CHECK(parsed->action == server_action::reencrypt);
    CHECK(parsed->options.master_keys->size() == 1);
    CHECK_THAT(failure_of({}, {"--reencrypt"}), StartsWith("ORCH_MASTER_KEY: is required"));
}

TEST_CASE("actions on the store are refused with the memory store") {
    const auto memory = good({{"ORCH_STORE", "memory"}});
    CHECK_THAT(failure_of(memory, {"--backup", "folder"}),
               StartsWith("ORCH_STORE: --backup works on a store on disk"));
    CHECK_THAT(failure_of(memory, {"--reencrypt"}), StartsWith("ORCH_STORE: --reencrypt "));
    CHECK_THAT(failure_of(memory, {"--verify-store"}), StartsWith("ORCH_STORE: --verify-store "));
}

TEST_CASE("a server takes one action at a time") {
    CHECK_THAT(failure_of(good(), {"--verify-store", "--backup", "folder"}),
               StartsWith("--verify-store: ") && Contains("--backup"));
    CHECK_THAT(failure_of(good(), {"--reencrypt", "--check"}), StartsWith("--reencrypt: "));
}

TEST_CASE("actions on the store warn of a mistyped option too") {
    const auto parsed = parse({{"ORCH_STORE_PAHT", "/tmp/store"}}, {"--verify-store"});
    REQUIRE(parsed);
    REQUIRE(parsed->warnings.size() == 1);
    CHECK_THAT(parsed->warnings.front(), StartsWith("ORCH_STORE_PAHT: "));
}

TEST_CASE("the subprocess backend needs a command, and the memory backend none") {
    const environment keys{{"ORCH_MASTER_KEY", master_key},
                           {"ORCH_ADMIN_KEY", admin_key},
                           {"ORCH_ENGINE_BACKEND", "subprocess"}};
    CHECK_THAT(failure_of(keys), StartsWith("ORCH_ENGINE_COMMAND: is required"));
    CHECK(options_of(keys, {"--engine-backend", "memory"}).backend == backend_kind::memory);
}

TEST_CASE("a command that cannot be executed yet is a warning, and an empty command an error") {
    const auto parsed = parse(good({{"ORCH_ENGINE_COMMAND", "/no/such/engine"}}));
    REQUIRE(parsed);
    CHECK(parsed->options.engine.command == words{"/no/such/engine"});
    REQUIRE(parsed->warnings.size() == 1);
    CHECK_THAT(parsed->warnings.front(), StartsWith("ORCH_ENGINE_COMMAND: "));
    CHECK(parse(good({{"ORCH_ENGINE_COMMAND", "/bin/sh"}}))->warnings.empty());
    CHECK_THAT(failure_of(good({{"ORCH_ENGINE_COMMAND", "''"}, {"PATH", "/bin"}})),
               StartsWith("ORCH_ENGINE_COMMAND: "));
}

TEST_CASE("a command without a slash is looked up in PATH") {
    const auto options = options_of(
        good({{"ORCH_ENGINE_COMMAND", "sh -c 'exit 0'"}, {"PATH", "/nowhere:/bin"}}));
    CHECK(options.engine.command == words{"/bin/sh", "-c", "exit 0"});
}

TEST_CASE("a command line is split as a shell splits words") {
    CHECK(words_of("engine --name=a  b\tc\n") == words{"engine", "--name=a", "b", "c"});
    CHECK(words_of("'a b' \"c d\" e\\ f") == words{"a b", "c d", "e f"});
    CHECK(words_of("'' \"\" x") == words{"", "", "x"});
    CHECK(words_of("a'b'\"c\"d") == words{"abcd"});
    CHECK(words_of("'a\\b' \"a\\b\" \"\\\"\\\\\\$\\`\"") == words{"a\\b", "a\\b", "\"\\$`"});
    CHECK(words_of("\"it's\" 'say \"x\"'") == words{"it's", "say \"x\""});
    CHECK(words_of("a\\\nb \\\n c") == words{"ab", "c"});
    CHECK(words_of("  ").empty());
}

TEST_CASE("a command line is not expanded") {
    CHECK(words_of("$HOME ~ * `x` $(x) # > &") ==
          words{"$HOME", "~", "*", "`x`", "$(x)", "#", ">", "&"});
}

TEST_CASE("a command line with an open end is refused") {
    for (const auto* const text : {"engine 'a", "engine \"a", "engine \\", "engine \"a\\\""}) {
        CAPTURE(text);
        CHECK_THAT(failure_of(good({{"ORCH_ENGINE_COMMAND", text}})),
                   StartsWith("ORCH_ENGINE_COMMAND: "));
    }
}

TEST_CASE("addresses are numeric, with IPv6 in brackets") {
    CHECK(parse_listen_address("0.0.0.0:80")->text() == "0.0.0.0:80");
    CHECK(parse_listen_address("[::1]:0")->text() == "[::1]:0");
    CHECK(parse_listen_address("localhost:8000")->text() == "127.0.0.1:8000");
    for (const auto* const text :
         {"", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:80", "[::1]",
          "[127.0.0.1]:80", "example.org:80", "[]:80", "127.1:80", "127.0.0.1:8o"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_listen_address(text));
    }
}

TEST_CASE("the variables to pass through are a list of names, and an invalid entry is not shown") {
    CHECK(
        options_of(good({{"ORCH_ENGINE_ENV_PASSTHROUGH", "A, B_2 ,,_c"}})).engine.env_passthrough ==
        words{"A", "B_2", "_c"});
    const auto message = failure_of(good({{"ORCH_ENGINE_ENV_PASSTHROUGH", "A,TOKEN=hush"}}));
    CHECK_THAT(message, StartsWith("ORCH_ENGINE_ENV_PASSTHROUGH: entry 2 ") && !Contains("hush"));
}

TEST_CASE("neither secrets nor variables that the server sets can be passed through") {
    for (const auto* const name :
         {"ORCH_MASTER_KEY", "ORCH_ADMIN_KEY", "ENGINE_KEY_HASH", "SQLITE_DB_PATH"}) {
        CAPTURE(name);
        CHECK_THAT(failure_of(good({{"ORCH_ENGINE_ENV_PASSTHROUGH", name}})),
                   StartsWith("ORCH_ENGINE_ENV_PASSTHROUGH: "));
    }
}

TEST_CASE("a variable to pass through that is not set is a warning") {
    const auto parsed = parse(good({{"ORCH_ENGINE_ENV_PASSTHROUGH", "HERE,GONE"}, {"HERE", "1"}}));
    REQUIRE(parsed);
    REQUIRE(parsed->warnings.size() == 1);
    CHECK_THAT(parsed->warnings[0], StartsWith("ORCH_ENGINE_ENV_PASSTHROUGH: GONE "));
}

TEST_CASE("an unknown ORCH_ variable is a warning with its name and without its value") {
    const auto parsed = parse(good({{"ORCH_PORT_MNI", "9100"}, {"ORCHESTRA", "x"}}));
    REQUIRE(parsed);
    REQUIRE(parsed->warnings.size() == 1);
    CHECK_THAT(parsed->warnings[0], StartsWith("ORCH_PORT_MNI: ") && !Contains("9100"));
}

TEST_CASE("a limit that the backend does not enforce is a warning") {
    const auto ceiling = GENERATE(as<std::string>{}, "ORCH_ENGINE_MEMORY_MB", "ORCH_ENGINE_CPUS",
                                  "ORCH_ENGINE_PIDS");
    const auto parsed = parse(good({{"ORCH_ENGINE_BACKEND", "memory"}, {ceiling, "2"}}));
    REQUIRE(parsed);
    REQUIRE(parsed->warnings.size() == 1);
    CHECK_THAT(parsed->warnings[0], StartsWith(ceiling + ": ") && Contains("memory backend"));
    // Whether it holds for subprocesses is known once their backend is made.
    const auto of_subprocesses = parse(good({{ceiling, "2"}}));
    REQUIRE(of_subprocesses);
    CHECK(of_subprocesses->warnings.empty());
    CHECK(of_subprocesses->options.engine.pids_given == (ceiling == "ORCH_ENGINE_PIDS"));
}

TEST_CASE("an unknown flag is an error that names it and not its value") {
    CHECK(failure_of(good(), {"--admim-key=hush"}) ==
          "--admim-key: there is no such flag; --help lists them all");
    CHECK_THAT(failure_of(good(), {"--admim-key", "hush"}),
               StartsWith("--admim-key: ") && !Contains("hush"));
}

TEST_CASE("a word without a flag is an error") {
    CHECK_THAT(failure_of(good(), {"hush"}), Contains("belong to no flag") && !Contains("hush"));
}

TEST_CASE("a flag given twice is an error that does not show its values") {
    const auto message = failure_of(
        good(), {"--admin-key", "hush-hush-hush-hush", "--admin-key", "other-other-other"});
    CHECK_THAT(message, Contains("--admin-key") && !Contains("hush") && !Contains("other-"));
}

TEST_CASE("a flag without its value is an error that names it") {
    CHECK_THAT(failure_of(good(), {"--port-min"}), Contains("--port-min"));
}

TEST_CASE("a bootstrap product needs a slug and a key of the documented form") {
    const auto options = options_of(
        good({{"ORCH_BOOTSTRAP_PRODUCT", "demo"}, {"ORCH_BOOTSTRAP_PLATFORM_KEY", platform_key}}));
    REQUIRE(options.bootstrap);
    CHECK(options.bootstrap->slug == "demo");
    CHECK(options.bootstrap->platform_key == platform_key);

    CHECK_THAT(failure_of(good({{"ORCH_BOOTSTRAP_PRODUCT", "demo"}})),
               StartsWith("ORCH_BOOTSTRAP_PLATFORM_KEY: "));
    CHECK_THAT(failure_of(good({{"ORCH_BOOTSTRAP_PLATFORM_KEY", platform_key}})),
               StartsWith("ORCH_BOOTSTRAP_PLATFORM_KEY: "));
    CHECK_THAT(failure_of(good({{"ORCH_BOOTSTRAP_PRODUCT", "Demo!"}})),
               StartsWith("ORCH_BOOTSTRAP_PRODUCT: "));
    CHECK_THAT(
        failure_of(good({{"ORCH_BOOTSTRAP_PRODUCT", "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"}})),
        StartsWith("ORCH_BOOTSTRAP_PRODUCT: ") && Contains("product_id"));
    const auto message = failure_of(good(
        {{"ORCH_BOOTSTRAP_PRODUCT", "demo"}, {"ORCH_BOOTSTRAP_PLATFORM_KEY", "pk-sept-tooshort"}}));
    CHECK_THAT(message, StartsWith("ORCH_BOOTSTRAP_PLATFORM_KEY: ") && !Contains("tooshort"));
}

TEST_CASE("the overlap of bootstrap keys is as long as that of a rotation may be") {
    CHECK(options_of(good()).bootstrap_overlap == roundhouse::duration{0});
    CHECK(options_of(good({{"ORCH_BOOTSTRAP_OVERLAP_S", "2592000"}})).bootstrap_overlap ==
          roundhouse::core::longest_key_overlap);
    CHECK_THAT(failure_of(good({{"ORCH_BOOTSTRAP_OVERLAP_S", "2592001"}})),
               StartsWith("ORCH_BOOTSTRAP_OVERLAP_S: "));
}

TEST_CASE("the catalog must be a folder, and is given as an absolute path") {
    CHECK(options_of(good({{"ORCH_CATALOG_MOUNT_PATH", "/tmp/../tmp"}})).engine.catalog_path ==
          "/tmp");
    CHECK_THAT(failure_of(good({{"ORCH_CATALOG_MOUNT_PATH", "/no/such/folder"}})),
               StartsWith("ORCH_CATALOG_MOUNT_PATH: /no/such/folder "));
    // With Docker the folder is on the daemon's host, which may be another machine.
    CHECK(parse(
        good({{"ORCH_ENGINE_BACKEND", "docker"}, {"ORCH_CATALOG_MOUNT_PATH", "/no/such/folder"}})));
}
