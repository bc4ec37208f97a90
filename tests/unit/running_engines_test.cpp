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
using roundhouse::detail::running_engine;
using roundhouse::detail::running_engine_owner;
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

running_engine_owner owner_of(const engine_record& engine) {
    return {engine.product_id, engine.user_id};
}

/// The key that an admit of the engine answers without its record; empty if it needs that.
std::string known_key(const running_engines& table, const engine_record& engine) {
    std::string out;
    table.visit_known(owner_of(engine), [&](const running_engine& running) {
        const auto key = running.key().text();
        out.assign(key.data(), key.size());
    });
    return out;
}

/// Keeps a record with a key, as an admit does that has read it just now.
void keep(const running_engines& table, const engine_record& engine, const std::string& key) {
    const auto row = table.row_of(owner_of(engine));
    REQUIRE(row);
    table.keep(*row, engine, key);
}

std::string some_key() { return crypto::make_engine_key(crypto::system_entropy); }

std::uint32_t life_of(const running_engines& table, const engine_record& engine) {
    std::uint32_t life = 0;
    REQUIRE(table.visit(engine, [&](const running_engine& running) { life = running.life; }));
    return life;
}

} // namespace

TEST_CASE("what an admit answers of a running engine is known after the first one") {
    running_engines table;
    auto engine = some_engine();
    engine.version = "engine:2";
    engine.created_at = start - 1h;
    engine.port = 9001;
    CHECK_FALSE(table.row_of(owner_of(engine))); // it does not run
    table.add(engine, {start, boot});
    CHECK(known_key(table, engine).empty());
    const auto key = some_key();
    keep(table, engine, key);
    CHECK(known_key(table, engine) == key);
    CHECK(table.visit_known(owner_of(engine), [&](const running_engine& running) {
        CHECK(running.id == engine.id);
        CHECK(running.user_id() == engine.user_id);
        CHECK(running.kind.product_id == engine.product_id);
        CHECK(running.kind.version == engine.version);
        CHECK(running.created_at == engine.created_at);
        CHECK(running.port() == engine.port);
    }));
    table.suspend(engine);
    CHECK(known_key(table, engine).empty());
    table.add(engine, {start, boot});
    CHECK(known_key(table, engine).empty());
}

TEST_CASE("engines are known by the whole of their owners") {
    running_engines table;
    const auto engine = some_engine();
    table.add(engine, {start, boot});
    keep(table, engine, some_key());
    auto other = engine;
    other.user_id = "ad";
    CHECK(known_key(table, other).empty());
    other = engine;
    other.product_id = crypto::make_uuid(crypto::system_entropy);
    CHECK(known_key(table, other).empty());
    other.id = crypto::make_uuid(crypto::system_entropy);
    other.user_id = std::string(256, 'x');
    table.add(other, {start, boot});
    const auto key = some_key();
    keep(table, other, key);
    CHECK(known_key(table, other) == key);
    CHECK(known_key(table, engine) != key);
}

TEST_CASE("nothing is known of an engine whose row is changed, until it is read again") {
    running_engines table;
    const auto engine = some_engine();
    table.add(engine, {start, boot});
    const auto before = some_key();
    keep(table, engine, before);
    {
        const running_engines::changing row(table, engine);
        CHECK(known_key(table, engine).empty());
        CHECK_FALSE(table.row_of(owner_of(engine)));
    }
    CHECK(known_key(table, engine).empty()); // also if the commit has failed
    const auto after = some_key();
    keep(table, engine, after);
    CHECK(known_key(table, engine) == after);
}

TEST_CASE("what was read before a change of the row is not kept after it") {
    running_engines table;
    const auto engine = some_engine();
    table.add(engine, {start, boot});
    const auto read = table.row_of(owner_of(engine));
    REQUIRE(read);
    {
        const running_engines::changing row(table, engine);
        table.keep(*read, engine, some_key());
    }
    CHECK(known_key(table, engine).empty());
    table.keep(*read, engine, some_key());
    CHECK(known_key(table, engine).empty());
    const auto now = table.row_of(owner_of(engine));
    REQUIRE(now);
    table.remove(engine);
    table.add(engine, {start, boot}); // another life
    table.keep(*now, engine, some_key());
    CHECK(known_key(table, engine).empty());
}

TEST_CASE("a change of the row ends with the life in which it began") {
    running_engines table;
    const auto engine = some_engine();
    {
        const running_engines::changing row(table, engine); // it does not run yet
        table.add(engine, {start, boot});
        CHECK(table.row_of(owner_of(engine)));
    }
    CHECK(table.row_of(owner_of(engine)));
    {
        const running_engines::changing row(table, engine);
        table.remove(engine);
        table.add(engine, {start, boot});
    }
    CHECK(table.row_of(owner_of(engine)));
}

TEST_CASE("of an engine whose key was not generated nothing is kept") {
    running_engines table;
    const auto engine = some_engine();
    table.add(engine, {start, boot});
    for (const std::string& key :
         {std::string("secret"), std::string(crypto::engine_key_prefix),
          crypto::make_platform_key(crypto::system_entropy), some_key() + "A",
          std::string(crypto::engine_key_prefix) + std::string(43, '!')}) {
        keep(table, engine, key);
        CHECK(known_key(table, engine).empty());
    }
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
