#include "../catch.hpp"

#include <roundhouse/detail/hash_index.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <vector>

using roundhouse::detail::hash_index;

namespace {

struct thing {
    std::uint64_t hash = 0;
    int name = 0;
};

auto named(int name) {
    return [name](const thing& one) { return one.name == name; };
}

/// Hashes of which many are alike, or lie close together: every chain that there can be comes.
std::uint64_t poor_hash_of(int name) { return static_cast<std::uint64_t>(name % 7); }
std::uint64_t good_hash_of(int name) {
    return static_cast<std::uint64_t>(name) * 0xD1B54A32D192ED03ULL;
}

void check_against_a_map(std::uint64_t (*hash_of)(int), int names, int steps) {
    hash_index<std::shared_ptr<thing>> index;
    std::map<int, std::shared_ptr<thing>> model;
    std::mt19937 random(4711);
    for (int step = 0; step < steps; ++step) {
        const int name = static_cast<int>(random() % static_cast<unsigned>(names));
        const auto hash = hash_of(name);
        index.prefetch(hash); // changes nothing
        if (model.contains(name)) {
            CHECK(index.erase(hash, named(name)) == model[name]);
            model.erase(name);
        } else {
            model[name] = std::make_shared<thing>(hash, name);
            CHECK(index.insert(hash, model[name]) == model[name]);
        }
        REQUIRE(index.size() == model.size());
        if (step % 16 != 0) continue;
        for (int one = 0; one < names; ++one) {
            const auto* const found = index.find(hash_of(one), named(one));
            REQUIRE((found != nullptr) == model.contains(one));
            if (found != nullptr) REQUIRE(*found == model[one]);
        }
    }
    std::map<int, int> seen;
    index.for_each([&](std::uint64_t hash, const thing& one) {
        CHECK(hash == hash_of(one.name));
        ++seen[one.name];
    });
    CHECK(seen.size() == model.size());
    for (const auto& [name, times] : seen) CHECK((times == 1 && model.contains(name)));
}

} // namespace

TEST_CASE("an index of pointers finds what a map would, after any insertions and erasures") {
    check_against_a_map(good_hash_of, 200, 4'000);
    check_against_a_map(poor_hash_of, 40, 4'000);
}

TEST_CASE("an index that holds nothing finds nothing") {
    hash_index<std::unique_ptr<thing>> index;
    CHECK(index.find(1, named(1)) == nullptr);
    CHECK(index.erase(1, named(1)) == nullptr);
    index.insert(1, std::make_unique<thing>(1U, 1));
    CHECK(index.erase(1, named(2)) == nullptr);
    CHECK(index.erase(1, named(1)) != nullptr);
    CHECK(index.find(1, named(1)) == nullptr);
    CHECK(index.size() == 0);
}
