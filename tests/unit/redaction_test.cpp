#include "catch.hpp"

#include <roundhouse/shell/redaction.hpp>

#include <string>
#include <vector>

using roundhouse::detail::log_excerpt;
using roundhouse::detail::redactor;
using lines = std::vector<std::string>;

namespace {

lines excerpt_of(std::string_view output, const lines& hidden, std::size_t max_lines = 50) {
    return log_excerpt(output, max_lines, hidden);
}

} // namespace

TEST_CASE("an excerpt is the last lines of the output, in their order") {
    CHECK(excerpt_of("one\ntwo\nthree\n\n", {}, 2) == lines{"two", "three"});
    CHECK(excerpt_of("no end", {}, 2) == lines{"no end"});
    CHECK(excerpt_of("", {}).empty());
    CHECK(excerpt_of(std::string(5'000, 'x'), {}).front().size() == 1'000);
}

TEST_CASE("hidden texts are redacted, including one that is part of another") {
    const lines hidden{"hunter2-abc", "hunter2-abc-longsecret", "short", ""};
    CHECK(excerpt_of("A=hunter2-abc\nB=hunter2-abc-longsecret C=hunter2-abc\nshort\n", hidden) ==
          lines{"A=*", "B=* C=*", "short"});
}

TEST_CASE("a hidden text of several lines is redacted line by line") {
    const lines hidden{"-----BEGIN KEY-----\nMIIBVgIBADANBg\n{\n-----END KEY-----\n"};
    CHECK(excerpt_of("KEY=-----BEGIN KEY-----\nMIIBVgIBADANBg\n{\n", hidden) ==
          lines{"KEY=*", "*", "{"});
}

TEST_CASE("a secret is hidden wherever a text is divided, and all else is shown as it is") {
    const lines hidden{"secret-1", "secret-12", "aaaaab", "bbcccc", "line-1\r\nline-2\r\n"};
    const std::string text = "x secret-12, secret-1; secret- aaaaaaabbcccc aaaaa line-1\n secret-1";
    const std::string shown = "x *, *; secret- aa* aaaaa *\n *";
    CHECK(redactor(hidden).whole(text) == shown);
    for (std::size_t first = 0; first <= text.size(); ++first)
        for (std::size_t second = first; second <= text.size(); ++second) {
            redactor each(hidden);
            auto out = each.take(text.substr(0, first));
            out += each.take(text.substr(first, second - first));
            out += each.take(text.substr(second));
            if (out += each.rest(); out != shown) FAIL(first << ", " << second << ": " << out);
        }
    CHECK(redactor({}).take("s") == "s");
    redactor waits(hidden);
    CHECK(waits.take("a line\ns") == "a line\n");
    CHECK(waits.take("o\n") == "so\n");
}

TEST_CASE("many secrets that are alike cost no more than one") {
    // Compared one by one, these would take hours.
    lines hidden;
    for (std::size_t size = 6; size < 4'000; ++size) hidden.emplace_back(size, 'a');
    hidden.push_back(std::string(30'000, 'a') + 'b');
    CHECK(redactor(hidden).whole(std::string(1'000'000, 'a')) == "*");
    CHECK(redactor({std::string(30'000, 'a') + 'b'}).whole(std::string(1'000'000, 'a')).size() ==
          1'000'000);
}
