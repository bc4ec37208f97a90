#include "catch.hpp"

#include <roundhouse/shell/redaction.hpp>

#include <string>
#include <vector>

using roundhouse::detail::log_excerpt;
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
