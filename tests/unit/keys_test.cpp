#include "catch.hpp"

#include <roundhouse/crypto/keys.hpp>

#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace crypto = roundhouse::crypto;

namespace {

/// Bytes 0, 1, 2 and so on, so that the results are known.
crypto::entropy counting_entropy() {
    return [next = std::uint8_t{0}](std::span<std::uint8_t> out) mutable {
        for (auto& byte : out) byte = next++;
    };
}

std::vector<std::uint8_t> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

} // namespace

TEST_CASE("a platform key has its prefix and 43 characters that encode 32 random bytes") {
    const auto key = crypto::make_platform_key(counting_entropy());
    CHECK(key == "pk-sept-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    CHECK(key.size() == 8 + 43);
}

TEST_CASE("an engine key has its prefix and 43 characters that encode 32 random bytes") {
    const auto key = crypto::make_engine_key(counting_entropy());
    CHECK(key == "sk-sept-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    CHECK(crypto::base64url_decode(key.substr(8), crypto::padding::none)->size() == 32);
}

TEST_CASE("keys from the system's randomness differ") {
    std::set<std::string> keys;
    for (int i = 0; i < 100; ++i) keys.insert(crypto::make_engine_key(crypto::system_entropy));
    CHECK(keys.size() == 100);
}

TEST_CASE("a new uuid has version 4, and its text parses to the same uuid") {
    for (int i = 0; i < 100; ++i) {
        const auto id = crypto::make_uuid(crypto::system_entropy);
        const auto text = to_string(id);
        CHECK(text[14] == '4');
        CHECK(std::string_view("89ab").find(text[19]) != std::string_view::npos);
        CHECK(roundhouse::parse_uuid(text) == id);
    }
}

TEST_CASE("a uuid keeps all random bits except version and variant") {
    CHECK(to_string(crypto::make_uuid(counting_entropy())) ==
          "00010203-0405-4607-8809-0a0b0c0d0e0f");
    const auto ones = [](std::span<std::uint8_t> out) {
        std::ranges::fill(out, std::uint8_t{0xFF});
    };
    CHECK(to_string(crypto::make_uuid(ones)) == "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

TEST_CASE("SHA-256 agrees with the examples of FIPS 180-4") {
    using roundhouse::to_hex;
    CHECK(to_hex(crypto::sha256("")) ==
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(to_hex(crypto::sha256("abc")) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(to_hex(crypto::sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(to_hex(crypto::sha256(std::string(1'000'000, 'a'))) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 can be computed by many threads at once") {
    const auto expected = crypto::sha256("abc");
    std::vector<std::thread> threads;
    std::vector<int> wrong(8, 0);
    for (auto& count : wrong)
        threads.emplace_back([&count, &expected] {
            for (int i = 0; i < 1'000; ++i) count += crypto::sha256("abc") != expected;
        });
    for (auto& thread : threads) thread.join();
    CHECK(wrong == std::vector<int>(8, 0));
}

TEST_CASE("entropy that fails makes no key") {
    const auto broken = [](std::span<std::uint8_t>) {
        throw std::system_error(std::make_error_code(std::errc::io_error));
    };
    CHECK_THROWS_AS(crypto::make_engine_key(broken), std::system_error);
    CHECK_THROWS_AS(crypto::make_uuid(broken), std::system_error);
}

TEST_CASE("system entropy fills every byte of a span, which may be empty") {
    std::vector<std::uint8_t> bytes(64 * 1024, 0);
    crypto::system_entropy(bytes);
    CHECK(std::set<std::uint8_t>(bytes.begin(), bytes.end()).size() == 256);
    crypto::system_entropy({});
}

TEST_CASE("texts are equal only if all their bytes are") {
    CHECK(crypto::equal_constant_time("pk-sept-abc", "pk-sept-abc"));
    CHECK(crypto::equal_constant_time("", ""));
    CHECK(crypto::equal_constant_time({}, ""));
    CHECK_FALSE(crypto::equal_constant_time("pk-sept-abc", "pk-sept-abd"));
    CHECK_FALSE(crypto::equal_constant_time("xk-sept-abc", "pk-sept-abc"));
    CHECK_FALSE(crypto::equal_constant_time("pk-sept-abc", "pk-sept-ab"));
    CHECK_FALSE(crypto::equal_constant_time("", "a"));
}

TEST_CASE("digests are equal only if all their bytes are") {
    const auto digest = crypto::sha256("a");
    auto other = digest;
    CHECK(crypto::equal_constant_time(digest, other));
    other.back() ^= 1U;
    CHECK_FALSE(crypto::equal_constant_time(digest, other));
}

TEST_CASE("base64url writes the examples of RFC 4648, with and without padding") {
    using enum crypto::padding;
    const std::vector<std::pair<std::string, std::string>> examples{{"", ""},
                                                                    {"f", "Zg=="},
                                                                    {"fo", "Zm8="},
                                                                    {"foo", "Zm9v"},
                                                                    {"foob", "Zm9vYg=="},
                                                                    {"fooba", "Zm9vYmE="},
                                                                    {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, padded] : examples) {
        const auto bare = padded.substr(0, padded.find('='));
        CHECK(crypto::base64url_encode(bytes_of(plain), required) == padded);
        CHECK(crypto::base64url_encode(bytes_of(plain), none) == bare);
        CHECK(crypto::base64url_decode(padded, required) == bytes_of(plain));
        CHECK(crypto::base64url_decode(bare, none) == bytes_of(plain));
    }
    CHECK(crypto::base64url_encode(std::vector<std::uint8_t>{0xFB, 0xEF, 0xFF}, none) == "--__");
}

TEST_CASE("base64url text that no encoder writes is refused") {
    using enum crypto::padding;
    CHECK(crypto::base64url_decode("Zm9vYg==", required));
    CHECK_FALSE(crypto::base64url_decode("Zm9vYg", required)); // padding is missing
    CHECK_FALSE(crypto::base64url_decode("Zm9vYg=", required));
    CHECK_FALSE(crypto::base64url_decode("Zm9vYg==", none)); // padding is too much
    CHECK_FALSE(crypto::base64url_decode("Zm9v====", required));
    CHECK_FALSE(crypto::base64url_decode("Z===", required));
    CHECK_FALSE(crypto::base64url_decode("Zm9vY", none));        // 6 bits are no byte
    CHECK_FALSE(crypto::base64url_decode("Zm9vYh==", required)); // stray bits
    CHECK_FALSE(crypto::base64url_decode("Zm+v", none));         // the other alphabet
    CHECK_FALSE(crypto::base64url_decode("Zm9v\n", none));
    CHECK_FALSE(crypto::base64url_decode("Zm 9", none));
    CHECK_FALSE(crypto::base64url_decode("Zm\xC3\xA4", none));
}
