#include "catch.hpp"

#include <roundhouse/crypto/fernet.hpp>

#include <memory>
#include <ostream>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace crypto = roundhouse::crypto;
using roundhouse::instant;

// The vectors of https://github.com/fernet/spec: generate.json, verify.json and invalid.json, whose
// secret and IV are the same throughout.
namespace {

constexpr std::string_view secret = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
constexpr std::string_view other_secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

constexpr std::string_view hello_token =
    "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobw"
    "Oz7JcbmrR64jVmpU4IwqDA==";
const instant hello_time{std::chrono::seconds{499'162'800}}; // 1985-10-26T01:20:00-07:00

struct invalid_token {
    std::string_view fault;
    std::string_view token;
};

constexpr invalid_token invalid_tokens[] = {
    {"incorrect mac", "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-"
                      "szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFB"
                      "QQ=="},
    {"too short", "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA=="},
    {"invalid base64", "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-"
                       "szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsU"
                       "D2Q=="},
    {"payload size not multiple of block size", "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-"
                                                "fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm"},
    {"payload padding error",
     "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNY"
     "IbkuKNqOhw=="},
    {"incorrect IV (causes padding error)",
     "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUf"
     "WgHSv49TF2AUEZ1TIvcZjK1zQ=="},
};

// Invalid only to a reader with a time to live; the text in both is empty.
constexpr std::string_view far_future_token =
    "gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyT"
    "GJmw2Xc2a6kBd-iX9b_qXQcw==";
constexpr std::string_view expired_token =
    "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwc"
    "aX1YdykRtfsH-p1YsUD2Q==";

void counting_iv(std::span<std::uint8_t> out) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i);
}

crypto::key_ring ring_of(std::string_view keys) {
    auto ring = crypto::key_ring::parse(keys);
    REQUIRE(ring);
    return *ring;
}

std::string listed(std::string_view first, std::string_view second) {
    return std::string(first) + "," + std::string(second);
}

template <class T>
concept printable = requires(std::ostream& out, const T& value) { out << value; };

} // namespace

TEST_CASE("sealing makes the token of the published vector") {
    CHECK(ring_of(secret).seal("hello", hello_time, counting_iv) == hello_token);
}

TEST_CASE("unsealing reads the token of the published vector") {
    CHECK(ring_of(secret).unseal(hello_token) == "hello");
}

TEST_CASE("unsealing refuses the published invalid tokens") {
    const auto ring = ring_of(secret);
    for (const auto& [fault, token] : invalid_tokens) {
        INFO(fault);
        const auto plain = ring.unseal(token);
        REQUIRE_FALSE(plain);
        CHECK(plain.error().code == roundhouse::errc::internal_error);
    }
}

TEST_CASE("a token can be unsealed at any age") {
    CHECK(ring_of(secret).unseal(far_future_token) == "");
    CHECK(ring_of(secret).unseal(expired_token) == "");
}

TEST_CASE("a token's time is in whole seconds") {
    CHECK(ring_of(secret).seal("hello", hello_time + std::chrono::milliseconds{999}, counting_iv) ==
          hello_token);
    CHECK(ring_of(secret).seal("hello", hello_time + std::chrono::milliseconds{1000},
                               counting_iv) != hello_token);
}

TEST_CASE("text of every length around a block is sealed and unsealed") {
    const auto ring = ring_of(crypto::key_ring::make_key(crypto::system_entropy));
    for (std::size_t size = 0; size < 70; ++size) {
        std::string text(size, '\0');
        crypto::system_entropy({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
        CHECK(ring.unseal(ring.seal(text, hello_time, crypto::system_entropy)) == text);
    }
}

TEST_CASE("the longest text is sealed and unsealed, and a longer one is refused") {
    const auto ring = ring_of(secret);
    const std::string longest(crypto::max_sealed_text, 'x');
    CHECK(ring.unseal(ring.seal(longest, hello_time, crypto::system_entropy)) == longest);
    CHECK_THROWS_AS(ring.seal(longest + "x", hello_time, crypto::system_entropy),
                    std::length_error);
}

TEST_CASE("a token with any byte changed is refused") {
    const auto ring = ring_of(secret);
    const auto bytes = *crypto::base64url_decode(hello_token, crypto::padding::required);
    REQUIRE(ring.unseal(crypto::base64url_encode(bytes, crypto::padding::required)));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        auto changed = bytes;
        changed[i] ^= 1U;
        CHECK_FALSE(ring.unseal(crypto::base64url_encode(changed, crypto::padding::required)));
    }
}

TEST_CASE("a token of any shorter length is refused") {
    const auto ring = ring_of(secret);
    for (std::size_t size = 0; size < hello_token.size(); ++size)
        CHECK_FALSE(ring.unseal(hello_token.substr(0, size)));
    CHECK_FALSE(ring.unseal(std::string(hello_token) + "="));
    CHECK_FALSE(ring.unseal(std::string(hello_token) + "AAAA"));
    CHECK(ring.unseal(hello_token));
}

TEST_CASE("the first key of a ring seals and every key unseals") {
    const auto both = ring_of(listed(secret, other_secret));
    CHECK(both.size() == 2);
    const auto sealed = both.seal("hello", hello_time, counting_iv);
    CHECK(sealed == hello_token);
    CHECK(ring_of(listed(other_secret, secret)).unseal(sealed) == "hello");

    const auto older = ring_of(other_secret).seal("hello", hello_time, counting_iv);
    CHECK(older != hello_token);
    CHECK(both.unseal(older) == "hello");
}

TEST_CASE("a token of a key that is not in the ring is refused, and the message has a remedy") {
    const auto plain = ring_of(other_secret).unseal(hello_token);
    REQUIRE_FALSE(plain);
    CHECK(plain.error().code == roundhouse::errc::internal_error);
    CHECK(plain.error().message.find("put the key that sealed it back") != std::string::npos);
}

TEST_CASE("white space around the keys of a list is ignored") {
    CHECK(ring_of("  " + std::string(secret) + " ,\n" + std::string(other_secret) + "\n").size() ==
          2);
}

TEST_CASE("a malformed key is named by its position, and its text is never shown") {
    const auto expect_entry = [](std::string_view list, std::string_view position) {
        INFO(list);
        const auto ring = crypto::key_ring::parse(list);
        REQUIRE_FALSE(ring);
        CHECK(ring.error().code == roundhouse::errc::invalid_request);
        CHECK(ring.error().message.starts_with("entry " + std::string(position) +
                                               " is not a Fernet key"));
        CHECK(ring.error().message.find("Fernet.generate_key()") != std::string::npos);
        CHECK(ring.error().message.find("/dev/urandom") != std::string::npos);
        CHECK(ring.error().message.find("cw_0x") == std::string::npos);
        CHECK(ring.error().message.find("hunter2") == std::string::npos);
    };
    const std::string good(secret);
    expect_entry("", "1");
    expect_entry("   ", "1");
    expect_entry("hunter2", "1");
    expect_entry(good.substr(0, 43), "1"); // its padding is missing
    expect_entry(good + "=", "1");         // too long
    expect_entry(good + "," + "hunter2", "2");
    expect_entry(good + ",", "2"); // ends in a comma
    expect_entry(good + ",," + good, "2");
    expect_entry(std::string("+") + good.substr(1), "1"); // the other alphabet
    expect_entry(good.substr(0, 42) + "==", "1");         // holds 31 bytes
    expect_entry(good.substr(0, 20) + " " + good.substr(21), "1");
}

TEST_CASE("new keys are valid, and differ") {
    std::set<std::string> keys;
    for (int i = 0; i < 100; ++i) {
        const auto key = crypto::key_ring::make_key(crypto::system_entropy);
        CHECK(key.size() == 44);
        CHECK(crypto::key_ring::parse(key));
        keys.insert(key);
    }
    CHECK(keys.size() == 100);
}

TEST_CASE("a copied ring works after the original has been destroyed") {
    auto first = std::make_unique<crypto::key_ring>(ring_of(secret));
    const crypto::key_ring copy = *first;
    first.reset();
    CHECK(copy.unseal(hello_token) == "hello");
}

TEST_CASE("a ring cannot be printed") {
    STATIC_REQUIRE_FALSE(printable<crypto::key_ring>);
    STATIC_REQUIRE(printable<std::string>);
    STATIC_REQUIRE(std::is_copy_constructible_v<crypto::key_ring>);
}
