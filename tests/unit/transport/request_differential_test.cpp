#include "../../fuzz/compare_readers.hpp"
#include "catch.hpp"

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

using namespace roundhouse_tests;

namespace {

std::vector<std::string> corpus() {
    std::vector<std::string> out;
    const auto folder = std::filesystem::path(__FILE__).parent_path() / "../../fuzz/corpus/request";
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        std::ifstream file(entry.path(), std::ios::binary);
        out.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
        out.back().erase(0, 1); // the size of the pieces
    }
    return out;
}

/// Changes a request in some places, as requests that were made to confuse readers are changed.
std::string mutated(std::string bytes, const std::vector<std::string>& others,
                    std::mt19937& random) {
    static const std::array<std::string, 24> parts{"\r",
                                                   "\n",
                                                   "\r\n",
                                                   "\r\n\r\n",
                                                   " ",
                                                   "\t",
                                                   ":",
                                                   ",",
                                                   ";",
                                                   "0",
                                                   "chunked",
                                                   "identity",
                                                   "Content-Length: 3\r\n",
                                                   "Transfer-Encoding: chunked\r\n",
                                                   "Host: x\r\n",
                                                   "HTTP/1.0",
                                                   "HTTP/1.1",
                                                   "\x7F",
                                                   "\x80",
                                                   std::string(1, '\0'),
                                                   "Connection: close\r\n",
                                                   "\x0B",
                                                   "a",
                                                   "ffffffff"};
    const auto any = [&](std::size_t below) {
        return std::uniform_int_distribution<std::size_t>(0, below - 1)(random);
    };
    for (auto changes = any(4) + 1; changes > 0; --changes) {
        const auto at = any(bytes.size() + 1);
        switch (any(5)) {
        case 0: bytes.insert(at, parts[any(parts.size())]); break;
        case 1: bytes.erase(at, any(4) + 1); break;
        case 2:
            if (at < bytes.size()) bytes[at] = static_cast<char>(any(256));
            break;
        case 3: bytes.replace(at, any(3), parts[any(parts.size())]); break;
        case 4: {
            const auto& other = others[any(others.size())];
            bytes.insert(at, other, any(other.size()), any(40));
            break;
        }
        default: break;
        }
    }
    return bytes;
}

} // namespace

TEST_CASE("what the server takes http-parser takes in the same way, however requests are changed") {
    const auto requests = corpus();
    REQUIRE(requests.size() >= 10);
    std::mt19937 random(1);
    std::size_t taken = 0;
    for (int i = 0; i < 100'000; ++i) {
        const auto bytes = mutated(requests[static_cast<std::size_t>(i) % requests.size()],
                                   requests, random);
        const auto problem = disagreement(bytes, random() % 40 + 1);
        if (!problem.empty()) {
            CAPTURE(bytes);
            FAIL(problem);
        }
        taken += read_with_server(bytes, bytes.size(), {}).requests.empty() ? 0 : 1;
    }
    CHECK(taken > 10'000); // some are still requests, and most are not
    CHECK(taken < 90'000);
}
