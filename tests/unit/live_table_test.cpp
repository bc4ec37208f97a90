#include "../catch.hpp"

#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/shell/live_table.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

using namespace roundhouse;
using namespace std::chrono_literals;
using roundhouse::detail::kept_key;
using roundhouse::detail::live_engine;
using roundhouse::detail::live_table;

namespace {

const instant start{1'700'000'000s};

uuid some_engine() { return crypto::make_uuid(crypto::system_entropy); }

std::string key_in(const live_table& table, const uuid& engine, const sha256_digest& hash) {
    std::string out;
    table.visit(engine, [&](const live_engine& one) { one.key.append_to(out, hash); });
    return out;
}

std::uint32_t life_of(const live_table& table, const uuid& engine) {
    std::uint32_t life = 0;
    REQUIRE(table.visit(engine, [&](const live_engine& one) { life = one.life; }));
    return life;
}

} // namespace

TEST_CASE("a running engine's key is kept until another one opens it, or it ends") {
    live_table table;
    const auto engine = some_engine();
    const auto key = crypto::make_engine_key(crypto::system_entropy);
    const auto hash = crypto::sha256(key);
    table.keep_key(engine, key, hash); // it does not run: nothing to keep it with
    table.add(engine, start, {});
    CHECK(key_in(table, engine, hash).empty());
    table.keep_key(engine, key, hash);
    CHECK(key_in(table, engine, hash) == key);

    const auto next = crypto::make_engine_key(crypto::system_entropy);
    CHECK(key_in(table, engine, crypto::sha256(next)).empty());
    table.keep_key(engine, next, crypto::sha256(next));
    CHECK(key_in(table, engine, crypto::sha256(next)) == next);
    CHECK(key_in(table, engine, hash).empty());

    table.remove(engine);
    table.add(engine, start, {});
    CHECK(key_in(table, engine, crypto::sha256(next)).empty());
}

TEST_CASE("only keys as the product makes them are kept in memory") {
    live_table table;
    const auto engine = some_engine();
    table.add(engine, start, {});
    for (const std::string& key : {std::string("secret"), std::string(crypto::engine_key_prefix),
                                   crypto::make_platform_key(crypto::system_entropy),
                                   crypto::make_engine_key(crypto::system_entropy) + "A",
                                   std::string(crypto::engine_key_prefix) + std::string(43, '!')}) {
        table.keep_key(engine, key, crypto::sha256(key));
        CHECK(key_in(table, engine, crypto::sha256(key)).empty());
    }
    // A hash that is all zero is what a record has that has no key.
    const auto key = crypto::make_engine_key(crypto::system_entropy);
    table.keep_key(engine, key, sha256_digest{});
    CHECK(key_in(table, engine, sha256_digest{}).empty());
}

TEST_CASE("each life of an engine is another one") {
    live_table table;
    const auto engine = some_engine();
    table.add(engine, start, {});
    const auto first = life_of(table, engine);
    table.add(engine, start, {}); // told once more of the same
    CHECK(life_of(table, engine) == first);
    table.remove(engine);
    CHECK_FALSE(table.visit(engine, first, [](const live_engine&) {}));
    table.add(engine, start, {});
    CHECK(life_of(table, engine) != first);
    CHECK_FALSE(table.visit(engine, first, [](const live_engine&) {}));
}

TEST_CASE("a use is to be written down until the latest has been") {
    live_table table;
    const auto engine = some_engine();
    table.touch(engine, start); // it does not run
    CHECK_FALSE(table.last_used(engine));
    table.add(engine, start, {});
    CHECK(table.unwritten().empty());
    table.touch(engine, start + 5s);
    table.touch(engine, start + 2s); // told late
    CHECK(table.last_used(engine) == start + 5s);
    const auto seen = table.unwritten();
    REQUIRE(seen.size() == 1);
    CHECK(seen.front().engine_id == engine);
    CHECK(seen.front().at == start + 5s);
    table.touch(engine, start + 6s);
    table.written(seen);
    CHECK(table.unwritten().size() == 1);
    table.written(table.unwritten());
    CHECK(table.unwritten().empty());
}
