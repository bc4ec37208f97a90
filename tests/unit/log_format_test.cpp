#include "../../reference-server/logging.hpp"
#include "catch.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace roundhouse::server;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using roundhouse::instant;
using roundhouse::log_field;
using roundhouse::log_level;

namespace {

const instant noon{std::chrono::milliseconds{1'769'904'000'007}}; // 2026-02-01T00:00:00.007Z

std::string line(log_format format, std::string_view message, std::vector<log_field> fields = {}) {
    return format_log_line(format, noon, {log_level::info, message, fields});
}

constexpr log_format formats[] = {log_format::json, log_format::text};

} // namespace

TEST_CASE("a JSON log line is an object with its fields") {
    CHECK(
        line(log_format::json, "listening", {{"address", "x:1"}}) ==
        R"({"time":"2026-02-01T00:00:00.007Z","level":"info","message":"listening","address":"x:1"})");
}

TEST_CASE("a text log line is for people") {
    CHECK(line(log_format::text, "listening", {{"address", "x:1"}}) ==
          R"(2026-02-01T00:00:00.007Z info    listening address="x:1")");
}

TEST_CASE("a JSON log line escapes what JSON does not allow") {
    CHECK_THAT(line(log_format::json, "\"\\\n\r\t\x01\x7F"),
               Contains(R"("message":"\"\\\n\r\t\u0001\u007f")"));
}

TEST_CASE("a text log line stays one line") {
    CHECK_THAT(line(log_format::text, "a\nb", {{"user", "\x1b[2J\" c\n"}}),
               EndsWith(R"(a\nb user="\u001b[2J\" c\n")") && !Contains("\n"));
}

TEST_CASE("a log line replaces malformed UTF-8") {
    CHECK_THAT(line(log_format::json, "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x9A\x82"),
               Contains("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x9A\x82"));
    for (const std::string bad :
         {"\xFF", "\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE0\x80\x80", "\x80"}) {
        CAPTURE(bad.size());
        CHECK_THAT(line(log_format::json, bad + "!"),
                   Contains("\xEF\xBF\xBD") && Contains("!") && !Contains(bad));
    }
}

TEST_CASE("a log line has numbers as numbers") {
    const std::vector<log_field> fields{{"count", std::uint64_t{7}}, {"change", -1}};
    CHECK_THAT(line(log_format::json, "x", fields), EndsWith(R"(,"count":7,"change":-1})"));
    CHECK_THAT(line(log_format::text, "x", fields), EndsWith("x count=7 change=-1"));
}

TEST_CASE("a log line escapes what would change how it is shown") {
    struct hidden {
        std::string_view utf8, escape;
    };
    const hidden characters[] = {
        {"\x1F", "\\u001f"},         {"\x7F", "\\u007f"},         {"\xC2\x80", "\\u0080"},
        {"\xC2\x9B", "\\u009b"},     {"\xC2\x9F", "\\u009f"},     {"\xD8\x9C", "\\u061c"},
        {"\xE2\x80\x8E", "\\u200e"}, {"\xE2\x80\x8F", "\\u200f"}, {"\xE2\x80\xA8", "\\u2028"},
        {"\xE2\x80\xA9", "\\u2029"}, {"\xE2\x80\xAA", "\\u202a"}, {"\xE2\x80\xAE", "\\u202e"},
        {"\xE2\x81\xA6", "\\u2066"}, {"\xE2\x81\xA9", "\\u2069"},
    };
    for (const auto format : formats)
        for (const auto& [utf8, escape] : characters) {
            CAPTURE(escape);
            const auto text = "a" + std::string(utf8) + "b";
            const auto shown = "a" + std::string(escape) + "b";
            const auto written = line(format, text, {{"user_id", text}});
            CHECK_THAT(written, Contains(shown) && Contains('"' + shown + '"') &&
                                    !Contains(std::string(utf8)));
        }
}

TEST_CASE("a log line shows other characters as they are") {
    // U+00A0, U+00E4, U+061B, U+200D, U+2030, U+2065 and U+206A stand beside those that are escaped.
    const std::string text =
        "\xC2\xA0\xC3\xA4\xD8\x9B\xE2\x80\x8D\xE2\x80\xB0\xE2\x81\xA5\xE2\x81\xAA";
    for (const auto format : formats)
        CHECK_THAT(line(format, "x", {{"user_id", text}}), Contains('"' + text + '"'));
}

TEST_CASE("a value cannot forge another field or line") {
    const std::string forged = "ada\" level=\"error\"\n2026-02-01T00:00:00.007Z error stop";
    CHECK_THAT(line(log_format::text, "x", {{"user_id", forged}}),
               EndsWith(R"(user_id="ada\" level=\"error\"\n2026-02-01T00:00:00.007Z error stop")"));
    CHECK_THAT(line(log_format::json, "x", {{"user_id", R"(ada","level":"error)"}}),
               EndsWith(R"("user_id":"ada\",\"level\":\"error"})"));
}
