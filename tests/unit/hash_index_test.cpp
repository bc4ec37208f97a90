#include "../catch.hpp"

#include <roundhouse/detail/hash_index.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <vector>

using roundhouse::detail::hash_index;

namespace {

struct object {
    std::uint64_t hash = 0;
    int name = 0;
};

auto named(int name) {
    return [name](const object& object) { return object.name == name; };
}

/// Hashes of which many are equal or close together, so that all kinds of chains occur.
std::uint64_t poor_hash_of(int name) { return static_cast<std::uint64_t>(name % 7); }
std::uint64_t good_hash_of(int name) {
    return static_cast<std::uint64_t>(name) * 0xD1B54A32D192ED03ULL;
}

void check_against_a_map(std::uint64_t (*hash_of)(int), int names, int steps) {
    hash_index<std::shared_ptr<object>> index;
    std::map<int, std::shared_ptr<object>> model;
    std::mt19937 random(4711);
    for (int step = 0; step < steps; ++step) {
        const int name = static_cast<int>(random() % static_cast<unsigned>(names));
        const auto hash = hash_of(name);
        index.prefetch(hash); // must change nothing
        if (model.contains(name)) {
            CHECK(index.erase(hash, named(name)) == model[name]);
            model.erase(name);
        } else {
            model[name] = std::make_shared<object>(hash, name);
            CHECK(index.insert(hash, model[name]) == model[name]);
        }
        REQUIRE(index.size() == model.size());
        if (step % 16 != 0) continue;
        for (int other = 0; other < names; ++other) {
            const auto* const found = index.find(hash_of(other), named(other));
            REQUIRE((found != nullptr) == model.contains(other));
            if (found != nullptr) REQUIRE(*found == model[other]);
        }
    }
    std::map<int, int> seen;
    index.for_each([&](std::uint64_t hash, const object& object) {
        CHECK(hash == hash_of(object.name));
        ++seen[object.name];
    });
    CHECK(seen.size() == model.size());
    for (const auto& [name, times] : seen) CHECK((times == 1 && model.contains(name)));
}

} // namespace

TEST_CASE("a hash index finds what a map finds, after any insertions and erasures") {
    check_against_a_map(good_hash_of, 200, 4'000);
    check_against_a_map(poor_hash_of, 40, 4'000);
}

TEST_CASE("an empty hash index finds nothing") {
    hash_index<std::unique_ptr<object>> index;
    CHECK(index.find(1, named(1)) == nullptr);
    CHECK(index.erase(1, named(1)) == nullptr);
    index.insert(1, std::make_unique<object>(1U, 1));
    CHECK(index.erase(1, named(2)) == nullptr);
    CHECK(index.erase(1, named(1)) != nullptr);
    CHECK(index.find(1, named(1)) == nullptr);
    CHECK(index.size() == 0);
}
