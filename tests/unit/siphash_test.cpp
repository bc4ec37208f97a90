#include "catch.hpp"

#include <roundhouse/detail/siphash.hpp>

#include <array>
#include <cstdint>
#include <string>

using namespace roundhouse;

TEST_CASE("SipHash-1-3 gives the values of another implementation, whatever the length") {
    // CPython's `hash(bytes(range(n)))` for n from 1 with PYTHONHASHSEED=42, which makes this secret.
    const detail::siphash_key secret{0xDC504FD368CD90AFULL, 0xB920BB9FFE99E9C1ULL};
    constexpr std::array<std::uint64_t, 17> hashes{
        0xCE880C366BCF3489ULL, 0xEF32FBC0469F0756ULL, 0xEF4B9DCAE9B04417ULL, 0x79793200F3B3B3DBULL,
        0xBE8653FC64F95FBDULL, 0xB32B5A11619800DDULL, 0xCE280FABC397FBDAULL, 0x60866C3C108C6AFBULL,
        0x68814005F7469E03ULL, 0x060A514CD0A2E301ULL, 0x72F315EF14FB4B09ULL, 0x550FE6CA26EF7FDDULL,
        0x19C8185B4C3E2799ULL, 0xFAA1FC2224A07929ULL, 0x94ACE24D68C18CF8ULL, 0x339176F3AC59CE05ULL,
        0xED2706B414C296F1ULL};
    std::string message;
    for (const auto hash : hashes) {
        message.push_back(static_cast<char>(message.size()));
        CAPTURE(message.size());
        CHECK(detail::siphash(secret, message) == hash);
    }
}
