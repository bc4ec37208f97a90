#include "catch.hpp"

#include <roundhouse/core/names.hpp>

#include <string>
#include <vector>

namespace names = roundhouse::core::names;

TEST_CASE("a slug is 1 to 64 of a-z, 0-9 and -, and does not look like a UUID") {
    for (const auto& slug :
         {std::string("a"), std::string("my-product-2"), std::string(64, 'a'), std::string("-")})
        CHECK_FALSE(names::check_slug(slug));
    for (const auto& slug :
         {std::string(), std::string(65, 'a'), std::string("A"), std::string("a_b"),
          std::string("a b"), std::string("\xC3\xA4"), std::string("a\n"),
          std::string("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee")}) {
        INFO(slug);
        CHECK(names::check_slug(slug));
    }
}

TEST_CASE("a display name is 1 to 256 bytes without control characters") {
    CHECK_FALSE(names::check_display_name("Demo, \xC3\xA4 \xF0\x9F\x98\x80"));
    CHECK_FALSE(names::check_display_name(std::string(256, 'x')));
    CHECK(names::check_display_name(""));
    CHECK(names::check_display_name(std::string(257, 'x')));
    CHECK(names::check_display_name("a\nb"));
}

TEST_CASE(
    "the beginning of user_ids is at most as long as they are, and may end within a character") {
    for (const auto& prefix : {std::string(), std::string("a/b c"), std::string(256, 'x'),
                               std::string("J\xC3"), std::string(".")})
        CHECK_FALSE(names::check_user_prefix(prefix));
    CHECK(names::check_user_prefix(std::string(257, 'x')) ==
          "must have at most 256 bytes, as user_ids do, and has 257.");
}

TEST_CASE("a user_id is 1 to 256 bytes of UTF-8 without control characters, and neither . nor ..") {
    for (const auto& user : {std::string("u"), std::string("a/b c+d%e"), std::string("..."),
                             std::string(" "), std::string(256, 'x'), std::string("\xC2\xA0"),
                             std::string("\xF0\x9F\x98\x80"), std::string("\xC3\xA4@example.com")})
        CHECK_FALSE(names::check_user_id(user));
    const std::vector<std::string> bad{"",
                                       ".",
                                       "..",
                                       std::string(257, 'x'),
                                       std::string("a\0b", 3),
                                       "\x1F",
                                       "\x7F",
                                       "\xC2\x80",
                                       "\xC2\x9F",
                                       "\xFF",
                                       "\xC0\xAE",
                                       "\xED\xA0\x80",
                                       "\xE2\x82"};
    for (const auto& user : bad) {
        INFO(user);
        CHECK(names::check_user_id(user));
    }
}

TEST_CASE("an engine_version is 1 to 512 bytes of UTF-8 without control characters") {
    for (const auto& version : {std::string("v1"), std::string("registry:5000/engine@sha256:ab"),
                                std::string("v*1"), std::string(512, 'x')})
        CHECK_FALSE(names::check_version(version));
    for (const auto& version :
         {std::string(), std::string(513, 'x'), std::string("v\n1"), std::string("v\xFF")}) {
        INFO(version);
        CHECK(names::check_version(version));
    }
}

TEST_CASE("a version pattern holds a * at its end only, and has the limits of a version") {
    for (const auto& pattern :
         {std::string("v1"), std::string("v1*"), std::string("*"), std::string(511, 'x') + '*'})
        CHECK_FALSE(names::check_version_pattern(pattern));
    for (const auto& pattern : {std::string(), std::string("*1"), std::string("v*1*"),
                                std::string("v**"), std::string(512, 'x') + '*'}) {
        INFO(pattern);
        CHECK(names::check_version_pattern(pattern));
    }
}

TEST_CASE("a complaint about a name says what is wrong with it") {
    CHECK(names::check_user_id(std::string(257, 'x')) == "must have 1 to 256 bytes, and has 257.");
    CHECK(names::check_user_id("\xFF") == "is not valid UTF-8.");
    CHECK(names::check_user_id("a\nb") == "must not hold control characters.");
    CHECK(names::check_slug("A") == "must be 1 to 64 characters of a-z, 0-9 and -.");
}
