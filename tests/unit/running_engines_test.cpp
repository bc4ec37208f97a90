#include "../catch.hpp"

#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/shell/running_engines.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

using namespace roundhouse;
using namespace std::chrono_literals;
using roundhouse::detail::cached_key;
using roundhouse::detail::running_engine;
using roundhouse::detail::running_engines;

namespace {

const instant start{1'700'000'000s};
const duration boot = 5000s; ///< The steady time at `start`.

engine_record some_engine() {
    engine_record out;
    out.id = crypto::make_uuid(crypto::system_entropy);
    out.product_id = crypto::make_uuid(crypto::system_entropy);
    out.user_id = "ada";
    out.last_activity_at = start;
    return out;
}

/// The same engine with another key.
engine_record with_key(engine_record engine, const std::string& key) {
    engine.key_hash = crypto::sha256(key);
    return engine;
}

std::string key_in(const running_engines& table, const engine_record& engine) {
    std::string out;
    table.visit(engine, [&](const running_engine& running) {
        running.key.append_to(out, engine.key_hash);
    });
    return out;
}

std::uint32_t life_of(const running_engines& table, const engine_record& engine) {
    std::uint32_t life = 0;
    REQUIRE(table.visit(engine, [&](const running_engine& running) { life = running.life; }));
    return life;
}

} // namespace

TEST_CASE("a running engine's key is cached until it is replaced or the engine stops running") {
    running_engines table;
    const auto key = crypto::make_engine_key(crypto::system_entropy);
    const auto engine = with_key(some_engine(), key);
    table.cache_key(engine, key); // ignored: the engine does not run
    table.add(engine, {start, boot});
    CHECK(key_in(table, engine).empty());
    table.cache_key(engine, key);
    CHECK(key_in(table, engine) == key);

    const auto next = crypto::make_engine_key(crypto::system_entropy);
    const auto rotated = with_key(engine, next);
    CHECK(key_in(table, rotated).empty());
    table.cache_key(rotated, next);
    CHECK(key_in(table, rotated) == next);
    CHECK(key_in(table, engine).empty());

    table.remove(rotated);
    table.add(rotated, {start, boot});
    CHECK(key_in(table, rotated).empty());
}

TEST_CASE("only keys in the format of generated engine keys are cached") {
    running_engines table;
    const auto engine = some_engine();
    table.add(engine, {start, boot});
    for (const std::string& key : {std::string("secret"), std::string(crypto::engine_key_prefix),
                                   crypto::make_platform_key(crypto::system_entropy),
                                   crypto::make_engine_key(crypto::system_entropy) + "A",
                                   std::string(crypto::engine_key_prefix) + std::string(43, '!')}) {
        const auto keyed = with_key(engine, key);
        table.cache_key(keyed, key);
        CHECK(key_in(table, keyed).empty());
    }
    // A record without a key has a hash of all zeros.
    table.cache_key(engine, crypto::make_engine_key(crypto::system_entropy));
    CHECK(key_in(table, engine).empty());
}

TEST_CASE("an engine is distinguished from an earlier engine of the same user") {
    running_engines table;
    const auto before = some_engine();
    auto after = before;
    after.id = crypto::make_uuid(crypto::system_entropy);
    table.add(before, {start, boot});
    CHECK_FALSE(table.visit(after, [](const running_engine&) {}));
    table.add(after, {start, boot});
    table.remove(before);
    CHECK(table.visit(after, [](const running_engine&) {}));
    CHECK_FALSE(table.visit(before, [](const running_engine&) {}));
}

TEST_CASE("an engine that runs again has a new life") {
    running_engines table;
    const auto engine = some_engine();
    table.add(engine, {start, boot});
    const auto first = life_of(table, engine);
    table.add(engine, {start, boot}); // added twice: the same life
    CHECK(life_of(table, engine) == first);
    table.remove(engine);
    CHECK_FALSE(table.visit(engine, first, [](const running_engine&) {}));
    table.add(engine, {start, boot});
    CHECK(life_of(table, engine) != first);
    CHECK_FALSE(table.visit(engine, first, [](const running_engine&) {}));
}

TEST_CASE("unstored uses are listed by engine id, whatever the hashes of the owners are") {
    running_engines table;
    std::vector<uuid> ids;
    for (int n = 0; n < 20; ++n) {
        const auto engine = some_engine();
        table.add(engine, {start, boot});
        table.use(engine, boot);
        ids.push_back(engine.id);
    }
    std::vector<uuid> listed;
    for (const auto& use : table.unstored()) listed.push_back(use.engine.id);
    std::ranges::sort(ids);
    CHECK(listed == ids);
}

TEST_CASE("a use stays unstored until the latest one is stored") {
    running_engines table;
    const auto engine = some_engine();
    table.use(engine, boot); // ignored: the engine does not run
    CHECK_FALSE(table.last_used(engine));
    table.add(engine, {start, boot});
    CHECK(table.unstored().empty());
    table.use(engine, boot + 5s);
    table.use(engine, boot + 2s); // reported late
    CHECK(table.last_used(engine) == boot + 5s);
    const auto seen = table.unstored();
    REQUIRE(seen.size() == 1);
    CHECK(seen.front().engine.id == engine.id);
    CHECK(seen.front().at == boot + 5s);
    table.use(engine, boot + 6s);
    table.stored(seen);
    CHECK(table.unstored().size() == 1);
    table.stored(table.unstored());
    CHECK(table.unstored().empty());
}

namespace {

void lease(running_engines& table, const engine_record& engine, instant until) {
    auto leased = engine;
    leased.busy_until = until;
    table.follow(engine, leased, {start, boot});
}

} // namespace

TEST_CASE(
    "what another wall clock noted never lies in the future, and a lease never lasts too long") {
    running_engines table;
    auto engine = some_engine();
    engine.last_activity_at = start + 3h;
    engine.busy_until = start + 1'000h;
    table.add(engine, {start, boot});
    CHECK(table.last_used(engine) == boot);
    CHECK(table.leased_until(engine) == boot + 24h);
    lease(table, engine, start + 1h); // the longer lease holds
    CHECK(table.leased_until(engine) == boot + 24h);
}

TEST_CASE("an expired lease does not count") {
    running_engines table;
    auto engine = some_engine();
    engine.busy_until = start - 1s;
    table.add(engine, {start, boot});
    CHECK_FALSE(table.leased_until(engine));
    lease(table, engine, start + 1h);
    CHECK(table.leased_until(engine) == boot + 1h);
}

TEST_CASE("an engine that runs again keeps the times of its use and lease, whatever the wall clock "
          "says") {
    running_engines table;
    auto engine = some_engine();
    table.add(engine, {start, boot});
    lease(table, engine, start + 1h);
    table.use(engine, boot + 1min);
    table.suspend(engine);
    CHECK_FALSE(table.leased_until(engine));
    engine.busy_until = start + 1h;
    table.add(engine, {start + 5h, boot + 2min}); // the wall clock was set forward
    CHECK(table.leased_until(engine) == boot + 1h);
    CHECK(table.last_used(engine) == boot + 1min);
    table.suspend(engine);
    table.remove(engine);
    table.add(engine, {start, boot + 3min});
    CHECK(table.leased_until(engine) == boot + 3min + 1h); // as the record says
}

TEST_CASE("an engine has been healthy for as long as the steady clock says") {
    running_engines table;
    auto engine = some_engine();
    CHECK_FALSE(table.healthy_for(engine, boot));
    engine.healthy_since = start;
    engine.last_health_at = start;
    table.add(engine, {start, boot});
    CHECK(table.healthy_for(engine, boot + 1min) == 1min);
    CHECK(table.since_health_row(engine, boot + 1min) == 1min);

    // It sleeps and is woken, and the wall clock was set back.
    table.suspend(engine);
    CHECK(table.healthy_for(engine, boot + 2min) == 2min);
    CHECK_FALSE(table.since_health_row(engine, boot + 2min));
    auto woken = engine;
    woken.last_health_at = start - 1h;
    table.add(woken, {start - 1h, boot + 3min});
    CHECK(table.healthy_for(woken, boot + 4min) == 4min);
    CHECK(table.since_health_row(woken, boot + 4min) == 1min);

    // Another healthy answer is stored.
    auto probed = woken;
    probed.last_health_at = start + 5h;
    table.follow(woken, probed, {start + 5h, boot + 5min});
    CHECK(table.healthy_for(probed, boot + 6min) == 6min);
    CHECK(table.since_health_row(probed, boot + 6min) == 1min);

    // A new boot.
    table.suspend(probed);
    auto booted = probed;
    booted.healthy_since = start + 6h;
    table.add(booted, {start + 6h, boot + 7min});
    CHECK(table.healthy_for(booted, boot + 8min) == 1min);
}
