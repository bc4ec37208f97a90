#include "catch.hpp"

#include <roundhouse/http/bodies.hpp>
#include <roundhouse/http/json.hpp>
#include <roundhouse/http/parameters.hpp>
#include <roundhouse/http/render.hpp>

#include <simdjson.h>

#include <limits>
#include <string>
#include <thread>
#include <vector>

namespace http = roundhouse::http;
using roundhouse::instant;
using namespace std::chrono_literals;

namespace {

std::string json_string(std::string_view text) {
    std::string out;
    http::append_json_string(out, text);
    return out;
}

std::string time_text(instant time) {
    std::string out;
    http::append_time(out, time);
    return out;
}

template <class T> std::string json_value(const T& value) {
    std::string out;
    http::json_writer(out).value(value);
    return out;
}

/// The message of a failure, or nothing.
template <class T> std::string message_of(const roundhouse::result<T>& outcome) {
    if (outcome) return {};
    CHECK(outcome.error().code == roundhouse::errc::invalid_request);
    return outcome.error().message;
}

std::string nested(std::size_t depth) {
    return "{\"x\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
}

} // namespace

TEST_CASE("text is escaped where JSON requires it and nowhere else") {
    CHECK(json_string("") == "\"\"");
    CHECK(json_string("plain text / with 'quotes'") == "\"plain text / with 'quotes'\"");
    CHECK(json_string("a\"b\\c") == R"("a\"b\\c")");
    CHECK(json_string("\n\r\t") == R"("\n\r\t")");
    CHECK(json_string(std::string_view("\0\x01\x1f\x7f", 4)) == R"("\u0000\u0001\u001f\u007f")");
    CHECK(json_string("na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x98\x80") ==
          "\"na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x98\x80\"");
}

TEST_CASE("malformed UTF-8 becomes U+FFFD in JSON and in plain text") {
    const std::string replaced = "\xEF\xBF\xBD";
    CHECK(json_string("a\xFFz") == "\"a" + replaced + "z\"");
    CHECK(http::as_utf8("a\xFFz\n") == "a" + replaced + "z\n");
    CHECK(http::as_utf8("\xC3") == replaced);                               // cut off
    CHECK(http::as_utf8("\xC0\x80") == replaced + replaced);                // overlong
    CHECK(http::as_utf8("\xED\xA0\x80") == replaced + replaced + replaced); // surrogate
    CHECK(http::as_utf8("\xF4\x90\x80\x80") ==
          replaced + replaced + replaced + replaced); // beyond U+10FFFF
    CHECK(http::as_utf8("\xF4\x8F\xBF\xBF") == "\xF4\x8F\xBF\xBF");
    CHECK(http::as_utf8("\xED\x9F\xBF\xEE\x80\x80") == "\xED\x9F\xBF\xEE\x80\x80");
}

TEST_CASE("every byte string becomes valid JSON") {
    simdjson::dom::parser parser;
    std::string text;
    std::uint32_t state = 1;
    for (int round = 0; round < 2'000; ++round) {
        text.clear();
        for (int i = 0; i < 12; ++i) {
            state = state * 1'664'525U + 1'013'904'223U;
            text += static_cast<char>(state >> 24U);
        }
        std::string_view read;
        REQUIRE(parser.parse(json_string(text)).get(read) == simdjson::SUCCESS);
        REQUIRE(read == http::as_utf8(text));
    }
}

TEST_CASE("times are written in UTC with milliseconds") {
    CHECK(time_text(instant{}) == "1970-01-01T00:00:00.000Z");
    CHECK(time_text(instant{1'700'000'000'123ms}) == "2023-11-14T22:13:20.123Z");
    CHECK(time_text(instant{951'782'400'000ms}) == "2000-02-29T00:00:00.000Z");
    CHECK(time_text(instant{-1ms}) == "1969-12-31T23:59:59.999Z");
    CHECK(time_text(instant::max()) == "9999-12-31T23:59:59.999Z");
    CHECK(time_text(instant::min()) == "0000-01-01T00:00:00.000Z");
}

TEST_CASE("times that were written are read back") {
    for (const std::int64_t ms :
         {0LL, 1'700'000'000'123LL, 951'782'400'000LL, -1LL, 253'402'300'799'999LL}) {
        const instant time{std::chrono::milliseconds{ms}};
        CHECK(http::parse_time(time_text(time)) == time);
    }
    CHECK(http::parse_time("2023-11-14T22:13:20Z") == instant{1'700'000'000'000ms});
    CHECK(http::parse_time("2023-11-14T22:13:20.1Z") == instant{1'700'000'000'100ms});
    CHECK(http::parse_time("2023-11-14T22:13:20.123999999Z") == instant{1'700'000'000'123ms});
}

TEST_CASE("text that is not a UTC time is refused") {
    CHECK(http::parse_time("2024-02-29T00:00:00Z"));
    for (const auto* text :
         {"", "now", "2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-00-01T00:00:00Z",
          "2023-01-01T24:00:00Z", "2023-01-01T00:60:00Z", "2023-01-01T00:00:60Z",
          "2023-01-01 00:00:00Z", "2023-01-01T00:00:00", "2023-01-01T00:00:00+00:00",
          "2023-01-01T00:00:00.Z", "2023-01-01T00:00:00.1234567890Z", "2023-1-1T00:00:00Z",
          "2023-01-01T00:00:00ZZ", "2023-01-01", "-023-01-01T00:00:00Z", "1700000000"}) {
        INFO(text);
        CHECK_FALSE(http::parse_time(text));
    }
}

TEST_CASE("numbers are written in the format of JSON") {
    CHECK(json_value(0) == "0");
    CHECK(json_value(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
    CHECK(json_value(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
    CHECK(json_value(0.0) == "0");
    CHECK(json_value(12.5) == "12.5");
    CHECK(json_value(std::numeric_limits<double>::infinity()) == "null");
    CHECK(json_value(std::numeric_limits<double>::quiet_NaN()) == "null");
    CHECK(json_value(true) == "true");
    CHECK(json_value(std::optional<std::uint64_t>()) == "null");
    CHECK(json_value(std::optional<std::uint64_t>(7)) == "7");
}

TEST_CASE("a writer puts commas between members and elements and nowhere else") {
    std::string out;
    http::json_writer json(out);
    json.open('{')
        .name("a")
        .open('[')
        .value(1)
        .value("x")
        .open('{')
        .close('}')
        .open('[')
        .close(']')
        .close(']');
    json.member("b", "{").member("c", false).foreign_name("q\"").value(nullptr).close('}');
    CHECK(out == R"({"a":[1,"x",{},[]],"b":"{","c":false,"q\"":null})");
}

TEST_CASE("a body must be an object of valid JSON") {
    CHECK(http::read_admit_body("{}"));
    CHECK(http::read_admit_body(" {\n} \r\n"));
    CHECK(http::read_admit_body(""));
    CHECK(http::read_admit_body(" \t\r\n"));
    for (const auto* body : {"[]", "null", "true", "1", "\"x\""}) {
        INFO(body);
        CHECK(message_of(http::read_admit_body(body)) ==
              "The body must be a JSON object, such as {}.");
    }
    for (const auto* body : {"{",
                             "}",
                             "{}}",
                             "{} {}",
                             "{}x",
                             "{'a':1}",
                             "{\"a\":}",
                             "{\"a\":1,}",
                             "{\"a\" 1}",
                             "{a:1}",
                             "{\"a\":01}",
                             "{\"a\":+1}",
                             "{\"a\":.5}",
                             "{\"a\":NaN}",
                             "{\"a\":tru}",
                             "{\"a\":\"",
                             "{\"a\":\"\n\"}",
                             "{\"a\":\"\\x\"}",
                             "{\"a\":\"\\ud800\"}",
                             "{\"a\":1e999}",
                             "{/**/}",
                             "\xEF\xBB\xBF{}",
                             "user_id=u1"}) {
        INFO(body);
        CHECK(message_of(http::read_admit_body(body)).starts_with("The body is not valid JSON: "));
    }
}

TEST_CASE("a body that is not UTF-8 is refused, also in fields that are not read") {
    CHECK(http::read_admit_body("{\"x\":\"\xC3\xA4\"}"));
    CHECK(message_of(http::read_admit_body("{\"x\":\"\xE4\"}")).find("not valid UTF-8") !=
          std::string::npos);
    CHECK(message_of(http::read_admit_body("{\"\xED\xA0\x80\":1}")).find("not valid UTF-8") !=
          std::string::npos);
}

TEST_CASE("a body that nests too deeply is refused") {
    CHECK(http::read_admit_body(nested(http::max_json_depth - 2)));
    CHECK(
        message_of(http::read_admit_body(nested(http::max_json_depth))).find("nests too deeply") !=
        std::string::npos);
    CHECK_FALSE(http::read_admit_body(nested(30'000)));
    // The bound holds after the parser has grown, and the parser works after a failure.
    CHECK(http::read_admit_body("{\"x\":\"" + std::string(60'000, 'x') + "\",\"auto_wake\":true}")
              ->auto_wake);
    CHECK_FALSE(http::read_admit_body(nested(http::max_json_depth)));
    CHECK(http::read_admit_body(R"({"auto_wake":true})")->auto_wake);
}

TEST_CASE("unknown fields of a request's body are ignored") {
    const auto body = http::read_provision_body(
        R"({"a":{"b":[1,null]},"user_id":"u1","a":2,"user":3})");
    REQUIRE(body);
    CHECK(body->user_id == "u1");
    CHECK_FALSE(body->options.version);
}

TEST_CASE("a field of the wrong type is refused with its name") {
    CHECK(message_of(http::read_provision_body(R"({"user_id":1})")) ==
          "user_id: must be a string, and is 1.");
    CHECK(message_of(http::read_provision_body(R"({"user_id":null})")) ==
          "user_id: must be a string.");
    CHECK(message_of(http::read_provision_body(R"({"user_id":"u","engine_version":null})")) ==
          "engine_version: must be a string.");
    CHECK(message_of(http::read_admit_body(R"({"auto_wake":"true"})")) ==
          "auto_wake: must be true or false.");
    CHECK(message_of(http::read_admit_body(R"({"auto_provision":1})")) ==
          "auto_provision: must be true or false, and is 1.");
    CHECK(message_of(http::read_activity_body(R"({"busy_for_s":"60"})")) ==
          "busy_for_s: must be a number from 0 to 86400.");
    CHECK(message_of(http::read_activity_body(R"({"busy_for_s":-0.5})")) ==
          "busy_for_s: must be a number from 0 to 86400, and is -0.5.");
    CHECK(message_of(http::read_policy_body(R"({"policy":[]})")) == "policy: must be an object.");
    CHECK(message_of(http::read_policy_body(R"({"policy":null})")) == "policy: must be an object.");
}

TEST_CASE("a missing field is refused with its name") {
    CHECK(message_of(http::read_provision_body("{}")) ==
          "user_id: is missing. It must be a string.");
    CHECK(message_of(http::read_provision_body("")) == "user_id: is missing. It must be a string.");
    CHECK(message_of(http::read_register_body(R"({"display_name":"Demo"})"))
              .starts_with("slug: is missing."));
    CHECK(message_of(http::read_register_body(R"({"slug":"demo"})"))
              .starts_with("display_name: is missing."));
    CHECK(message_of(http::read_policy_body("{}")).starts_with("policy: is missing."));
    CHECK(message_of(http::read_policy_body(R"({"max_engines":1})"))
              .starts_with("policy: is missing."));
}

TEST_CASE("a field that is given twice is refused") {
    CHECK(message_of(http::read_provision_body(R"({"user_id":"a","user_id":"b"})")) ==
          "user_id: is given twice.");
    CHECK(message_of(http::read_policy_body(R"({"policy":{"max_engines":1,"max_engines":2}})")) ==
          "policy.max_engines: is given twice.");
    CHECK(message_of(http::read_policy_body(R"({"policy":{},"policy":{}})")) ==
          "policy: is given twice.");
}

TEST_CASE("escapes in names and values are understood") {
    const auto body = http::read_provision_body(R"({"\u0075ser_id":"\u00e4\ud83d\ude00\/"})");
    REQUIRE(body);
    CHECK(body->user_id == "\xC3\xA4\xF0\x9F\x98\x80/");
}

TEST_CASE("a policy that was written is read back") {
    const std::string all =
        R"({"max_engines":0,"rate_limit_rpm":18446744073709551615,"rate_limit_burst":1,)"
        R"("max_concurrent_boots":1,)"
        R"("max_provisions_per_minute":0,"weight":100,"max_memory_mb":6,"max_pids":1,)"
        R"("max_total_memory_mb":0,"max_cpus":0.01,"allow_provision":false,"allow_env":false,)"
        R"("allowed_versions":["a:1","b*","*"]})";
    for (const auto& text : {all, std::string("{}"), std::string(R"({"allowed_versions":[]})")}) {
        const auto policy = http::read_policy(text);
        REQUIRE(policy);
        CHECK(http::render_policy(*policy).body == "{\"policy\":" + text + "}\n");
    }
}

TEST_CASE("an absent member of a policy sets no limit") {
    const auto policy = http::read_policy_body(R"({"policy":{}})");
    REQUIRE(policy);
    CHECK(*policy == roundhouse::policy{});
}

TEST_CASE("an unknown member of a policy is refused with its name") {
    CHECK(http::read_policy_body(R"({"policy":{"max_engines":5}})")->max_engines == 5U);
    CHECK(message_of(http::read_policy_body(R"({"policy":{"max_engine":5}})")) ==
          "policy.max_engine: is not known here. Check its spelling.");
    CHECK(message_of(http::read_policy_body(R"({"policy":{"Max_Engines":5}})"))
              .starts_with("policy.Max_Engines: "));
    CHECK(message_of(http::read_policy_body(R"({"policy":{"":5}})")).starts_with("policy.: "));
    const auto long_name = message_of(
        http::read_policy_body("{\"policy\":{\"" + std::string(5'000, 'x') + "\":5}}"));
    CHECK(long_name.size() < 200);
}

TEST_CASE("a member of a policy that is null or of a wrong type is refused with its name") {
    const std::vector<std::pair<std::string, std::string>> bad{
        {"\"max_engines\":null", "policy.max_engines: must be a whole number, 0 or more."},
        {"\"max_engines\":1.5",
         "policy.max_engines: must be a whole number, 0 or more, and is 1.5."},
        {"\"max_engines\":\"5\"", "policy.max_engines: must be a whole number, 0 or more."},
        {"\"max_engines\":true", "policy.max_engines: must be a whole number, 0 or more."},
        {"\"max_engines\":[]", "policy.max_engines: must be a whole number, 0 or more."},
        {"\"max_engines\":1e300",
         "policy.max_engines: must be a whole number, 0 or more, and is 1e+300."},
        {"\"rate_limit_rpm\":null", "policy.rate_limit_rpm: must be a whole number, 0 or more."},
        {"\"rate_limit_rpm\":{}", "policy.rate_limit_rpm: must be a whole number, 0 or more."},
        {"\"max_concurrent_boots\":null",
         "policy.max_concurrent_boots: must be a whole number, 1 or more."},
        {"\"max_concurrent_boots\":0",
         "policy.max_concurrent_boots: must be a whole number, 1 or more, and is 0. Set "
         "allow_provision to false to allow no engine."},
        {"\"rate_limit_rpm\":9,\"rate_limit_burst\":0",
         "policy.rate_limit_burst: must be a whole number, 1 or more, and is 0."},
        {"\"rate_limit_rpm\":9,\"rate_limit_burst\":10",
         "policy.rate_limit_burst: must be at most rate_limit_rpm (9), and is 10."},
        {"\"rate_limit_burst\":1",
         "policy.rate_limit_burst: says how many of the admits of rate_limit_rpm may come at once, "
         "and that is missing. Set both, or neither."},
        {"\"weight\":0", "policy.weight: must be a whole number from 1 to 100, and is 0."},
        {"\"weight\":101", "policy.weight: must be a whole number from 1 to 100, and is 101."},
        {"\"weight\":\"2\"", "policy.weight: must be a whole number from 1 to 100."},
        {"\"max_memory_mb\":5",
         "policy.max_memory_mb: must be a whole number from 6 to 4194304, and is 5."},
        {"\"max_memory_mb\":64.5",
         "policy.max_memory_mb: must be a whole number from 6 to 4194304, and is 64.5."},
        {"\"max_pids\":0", "policy.max_pids: must be a whole number from 1 to 4194304, and is 0."},
        {"\"max_total_memory_mb\":null",
         "policy.max_total_memory_mb: must be a whole number, 0 or more."},
        {"\"max_cpus\":0", "policy.max_cpus: must be a number from 0.01 to 1024, and is 0."},
        {"\"max_cpus\":1024.5",
         "policy.max_cpus: must be a number from 0.01 to 1024, and is 1024.5."},
        {"\"max_cpus\":-1", "policy.max_cpus: must be a number from 0.01 to 1024, and is -1."},
        {"\"max_cpus\":null", "policy.max_cpus: must be a number."},
        {"\"max_cpus\":\"1\"", "policy.max_cpus: must be a number."},
        {"\"allow_env\":null", "policy.allow_env: must be true or false."},
        {"\"allow_env\":1", "policy.allow_env: must be true or false, and is 1."},
        {"\"allow_provision\":null", "policy.allow_provision: must be true or false."},
        {"\"allow_provision\":0", "policy.allow_provision: must be true or false, and is 0."},
        {"\"allowed_versions\":null", "policy.allowed_versions: must be a list of strings."},
        {"\"allowed_versions\":\"a\"", "policy.allowed_versions: must be a list of strings."},
        {"\"allowed_versions\":[\"a\",1]", "policy.allowed_versions: must be a list of strings."},
        {"\"allowed_versions\":[null]", "policy.allowed_versions: must be a list of strings."},
        {"\"allowed_versions\":[\"a\",\"\"]",
         "policy.allowed_versions[1]: must have 1 to 512 bytes, and has 0."},
        {"\"allowed_versions\":[\"a*b\"]",
         "policy.allowed_versions[0]: may hold a * at its end only."},
        {"\"allowed_versions\":[\"a\\n\"]",
         "policy.allowed_versions[0]: must not hold control characters."},
    };
    for (const auto& [member, message] : bad) {
        INFO(member);
        CHECK(message_of(http::read_policy_body("{\"policy\":{" + member + "}}")) == message);
    }
}

TEST_CASE(
    "a negative number in a policy is refused with its member, its value and what is allowed") {
    const auto refused = [](const std::string& member, const std::string& value) {
        return message_of(
            http::read_policy_body("{\"policy\":{\"" + member + "\":" + value + "}}"));
    };
    for (const auto& number : roundhouse::core::policy_numbers)
        for (const auto* const value : {"-1", "-9223372036854775808", "-0.25"})
            CHECK(refused(std::string(number.name), value) ==
                  "policy." + std::string(number.name) + ": must be " + number.range.text() +
                      ", and is " + value + ".");
    CHECK(refused("max_concurrent_boots", "-1") ==
          "policy.max_concurrent_boots: must be a whole number, 1 or more, and is -1.");
    CHECK(refused("weight", "-1") ==
          "policy.weight: must be a whole number from 1 to 100, and is -1.");
    CHECK(refused("allow_provision", "-1") ==
          "policy.allow_provision: must be true or false, and is -1.");
    CHECK(refused("allowed_versions", "-1") ==
          "policy.allowed_versions: must be a list of strings, and is -1.");
    CHECK(message_of(http::read_policy_body(R"({"policy":-1})")) ==
          "policy: must be an object, and is -1.");
}

TEST_CASE("a whole number may be written with a fraction or an exponent") {
    CHECK(http::read_policy(R"({"max_engines":1.0})")->max_engines == 1U);
    CHECK(http::read_policy(R"({"max_engines":1e3})")->max_engines == 1'000U);
    CHECK(http::read_policy(R"({"max_engines":-0})")->max_engines == 0U);
    CHECK(http::read_policy(R"({"max_engines":-0.0})")->max_engines == 0U);
    CHECK(http::read_policy(R"({"max_engines":9007199254740992.0})")->max_engines ==
          9'007'199'254'740'992U);
    CHECK_FALSE(http::read_policy(R"({"max_engines":9007199254740994.0})"));
    CHECK_FALSE(http::read_policy(R"({"max_engines":18446744073709551616})"));
}

TEST_CASE("a busy lease is 0 to 86,400 seconds, and fractions are rounded up to a millisecond") {
    const auto lease = [](std::string_view number) {
        return http::read_activity_body("{\"busy_for_s\":" + std::string(number) + "}");
    };
    CHECK(*lease("0") == 0ms);
    CHECK(*lease("-0.0") == 0ms);
    CHECK(*lease("1.5") == 1'500ms);
    CHECK(*lease("0.0001") == 1ms);
    CHECK(*lease("86400") == 86'400'000ms);
    CHECK(*lease("8.64e4") == 86'400'000ms);
    CHECK_FALSE(lease("86400.001"));
    CHECK_FALSE(lease("-0.001"));
    CHECK_FALSE(lease("1e999"));
    CHECK_FALSE(lease("true"));
    CHECK_FALSE(lease("null"));
    CHECK_FALSE(http::read_activity_body("{}")->has_value());
    CHECK_FALSE(http::read_activity_body("")->has_value());
}

TEST_CASE("many threads read and write JSON at once") {
    std::vector<std::thread> threads;
    std::vector<int> right(4, 0);
    for (auto& count : right)
        threads.emplace_back([&count] {
            for (int i = 0; i < 500; ++i) {
                const auto policy = http::read_policy("{\"max_engines\":" + std::to_string(i) +
                                                      "}");
                count += policy && policy->max_engines == static_cast<std::uint64_t>(i);
            }
        });
    for (auto& thread : threads) thread.join();
    CHECK(right == std::vector<int>(4, 500));
}
