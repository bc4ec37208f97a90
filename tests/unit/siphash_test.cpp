#include "catch.hpp"

#include <roundhouse/detail/siphash.hpp>

#include <string>

using namespace roundhouse;

TEST_CASE("SipHash-2-4 gives the values of its reference implementation") {
    // Its secret is the bytes 0 to 15, and the message of length n the bytes 0 to n - 1.
    const detail::siphash_key secret{0x0706050403020100ULL, 0x0F0E0D0C0B0A0908ULL};
    std::string message;
    CHECK(detail::siphash(secret, message) == 0x726FDB47DD0E0E31ULL);
    message.push_back('\0');
    CHECK(detail::siphash(secret, message) == 0x74F839C593DC67FDULL);
    for (char byte = 1; byte < 15; ++byte) message.push_back(byte);
    CHECK(detail::siphash(secret, message) == 0xA129CA6149BE45E5ULL);
}
