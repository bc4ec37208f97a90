#include "catch.hpp"

#include <roundhouse/detail/siphash.hpp>

#include <string>

using namespace roundhouse;

TEST_CASE("SipHash-1-3 gives the values of another implementation") {
    // CPython's `hash(bytes(range(n)))` with PYTHONHASHSEED=42, from which it makes this secret.
    const detail::siphash_key secret{0xDC504FD368CD90AFULL, 0xB920BB9FFE99E9C1ULL};
    std::string message(1, '\0');
    CHECK(detail::siphash(secret, message) == 0xCE880C366BCF3489ULL);
    for (char byte = 1; byte < 7; ++byte) message.push_back(byte);
    CHECK(detail::siphash(secret, message) == 0xCE280FABC397FBDAULL);
    message.push_back(7);
    CHECK(detail::siphash(secret, message) == 0x60866C3C108C6AFBULL);
    for (char byte = 8; byte < 63; ++byte) message.push_back(byte);
    CHECK(detail::siphash(secret, message) == 0x06E24D6F0D014C37ULL);
}
