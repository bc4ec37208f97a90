#include "catch.hpp"

#include <roundhouse/shell/boot_failure_log.hpp>

#include <string>
#include <vector>

using roundhouse::detail::log_excerpt;
using lines = std::vector<std::string>;

namespace {

lines words_of(std::string_view output, const lines& hidden, std::size_t most = 50) {
    return log_excerpt(output, most, hidden);
}

} // namespace

TEST_CASE("the last words are the last lines, in their order") {
    CHECK(words_of("one\ntwo\nthree\n\n", {}, 2) == lines{"two", "three"});
    CHECK(words_of("no end", {}, 2) == lines{"no end"});
    CHECK(words_of("", {}).empty());
    CHECK(words_of(std::string(5'000, 'x'), {}).front().size() == 1'000);
}

TEST_CASE("what is hidden is in none of the last words, also where one is a part of another") {
    const lines hidden{"hunter2-abc", "hunter2-abc-longsecret", "short", ""};
    CHECK(words_of("A=hunter2-abc\nB=hunter2-abc-longsecret C=hunter2-abc\nshort\n", hidden) ==
          lines{"A=*", "B=* C=*", "short"});
}

TEST_CASE("a hidden text of several lines is hidden line by line") {
    const lines hidden{"-----BEGIN KEY-----\nMIIBVgIBADANBg\n{\n-----END KEY-----\n"};
    CHECK(words_of("KEY=-----BEGIN KEY-----\nMIIBVgIBADANBg\n{\n", hidden) ==
          lines{"KEY=*", "*", "{"});
}
