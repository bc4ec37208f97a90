#include "catch.hpp"

#include <roundhouse/crypto/sealed_env.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/store/memory.hpp>
#include <roundhouse/store/sealed_keys.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse;
using Catch::Matchers::Contains;

namespace {

const std::string old_key = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
const std::string new_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const instant now{std::chrono::seconds{1'769'904'000}};

crypto::key_ring ring(const std::string& keys) { return crypto::key_ring::parse(keys).value(); }

uuid numbered(std::size_t n) {
    uuid id;
    id.bytes[0] = static_cast<std::uint8_t>(n);
    id.bytes[1] = static_cast<std::uint8_t>(n >> 8U);
    return id;
}

std::string sealed(const std::string& text, const std::string& with) {
    return ring(with).seal(text, now, crypto::system_entropy);
}

engine_record engine(std::size_t n, const std::string& key) {
    engine_record out;
    out.id = numbered(n);
    out.product_id = numbered(10'000);
    out.user_id = "user-" + std::to_string(n);
    out.sealed_key = sealed("key-" + std::to_string(n), key);
    return out;
}

void add(memory_store& store, engine_record record, std::optional<port_request> port = {}) {
    change_set set;
    set.changes.push_back(insert_engine{std::move(record), {}, std::move(port)});
    REQUIRE(store.commit(set));
}

engine_record stored(const memory_store& store, std::size_t n) {
    return **store.find_engine_by_id(numbered(n));
}

sealed_key_count counted(const memory_store& store, const std::string& keys) {
    return count_unreadable_keys(store, ring(keys)).value();
}

/// A store that another writer changes too: the row of `disturbed` is written just before each of
/// the first commits.
class busy_store : public memory_store {
public:
    result<committed> commit(const change_set& set) {
        if (disturbances > 0) {
            --disturbances;
            change_set other;
            other.changes.push_back(update_engine{stored(*this, disturbed), {}});
            REQUIRE(memory_store::commit(other));
        }
        return memory_store::commit(set);
    }

    std::size_t disturbed = 1;
    int disturbances = 0;
};

/// A store that has room for a limited number of commits.
class filling_store : public memory_store {
public:
    result<committed> commit(const change_set& set) {
        if (room == 0) return fail(errc::store_unavailable, "The disk is full.");
        --room;
        return memory_store::commit(set);
    }

    int room = 1'000'000;
};

/// A store with an unreadable record.
class damaged_store : public memory_store {
public:
    [[nodiscard]] result<void>
    for_each_engine(const std::function<void(const result<engine_ptr>&)>& visit) const {
        visit(fail(errc::internal_error, "engines: record 1 is damaged"));
        return memory_store::for_each_engine(visit);
    }
};

} // namespace

TEST_CASE("keys that the ring opens are counted, and none of them is unreadable") {
    memory_store store;
    add(store, engine(1, old_key));
    add(store, engine(2, new_key));
    const auto found = counted(store, new_key + "," + old_key);
    CHECK(found.total == 2);
    CHECK(found.unreadable == 0);
}

TEST_CASE("keys that were sealed with a master key outside the ring are unreadable") {
    memory_store store;
    add(store, engine(1, old_key));
    add(store, engine(2, new_key));
    CHECK(counted(store, new_key).unreadable == 1);
    CHECK(counted(store, old_key).unreadable == 1);
}

TEST_CASE("the next key of a rotation is counted too") {
    memory_store store;
    auto rotating = engine(1, new_key);
    rotating.next_sealed_key = sealed("next", old_key);
    add(store, rotating);
    const auto found = counted(store, new_key);
    CHECK(found.total == 2);
    CHECK(found.unreadable == 1);
}

TEST_CASE("an empty store has no keys to count or to seal again") {
    memory_store store;
    CHECK(counted(store, new_key).total == 0);
    CHECK(reseal_keys(store, ring(new_key), now, crypto::system_entropy)->engines == 0);
}

TEST_CASE(
    "keys that were sealed again are the same keys, and open with the first master key alone") {
    memory_store store;
    for (std::size_t n = 0; n < 250; ++n) add(store, engine(n, n % 2 == 0 ? old_key : new_key));
    const auto done = reseal_keys(store, ring(new_key + "," + old_key), now,
                                  crypto::system_entropy);
    REQUIRE(done);
    CHECK(done->engines == 250);
    CHECK(counted(store, new_key).unreadable == 0);
    for (const std::size_t n : {0U, 99U, 100U, 249U})
        CHECK(ring(new_key).unseal(stored(store, n).sealed_key) == "key-" + std::to_string(n));
}

TEST_CASE("both keys of a rotation under way are sealed again") {
    memory_store store;
    auto rotating = engine(1, old_key);
    rotating.next_sealed_key = sealed("next", old_key);
    add(store, rotating);
    add(store, engine(2, old_key));
    REQUIRE(reseal_keys(store, ring(new_key + "," + old_key), now, crypto::system_entropy));
    CHECK(ring(new_key).unseal(stored(store, 1).sealed_key) == "key-1");
    CHECK(ring(new_key).unseal(stored(store, 1).next_sealed_key) == "next");
    CHECK(stored(store, 2).next_sealed_key.empty());
}

TEST_CASE("the environment of an engine is counted, and sealed again with its key") {
    memory_store store;
    const named_texts env{{"EMPTY", ""}, {"TOKEN", "a=b\nc"}};
    auto record = engine(1, old_key);
    engine_settings settings;
    settings.env_names = {"EMPTY", "TOKEN"};
    settings.sealed_env = crypto::seal_env(env, ring(old_key), now, crypto::system_entropy);
    settings.stop_grace = duration{7};
    record.settings = std::make_shared<const engine_settings>(settings);
    add(store, record);
    CHECK(counted(store, old_key).total == 2);
    CHECK(counted(store, new_key).unreadable == 2);
    REQUIRE(reseal_keys(store, ring(new_key + "," + old_key), now, crypto::system_entropy));
    CHECK(counted(store, new_key).unreadable == 0);
    const auto after = *stored(store, 1).settings;
    CHECK(crypto::unseal_env(after.sealed_env, ring(new_key)) == env);
    CHECK_FALSE(crypto::unseal_env(after.sealed_env, ring(old_key)));
    settings.sealed_env = after.sealed_env;
    CHECK(after == settings);
}

TEST_CASE(
    "the variables of a product's defaults are counted, and sealed again, also replaced ones") {
    memory_store store;
    const auto sealed_of = [](const std::string& value) {
        return crypto::seal_env({{"TOKEN", value}}, ring(old_key), now, crypto::system_entropy);
    };
    product_defaults defaults;
    defaults.version = "v1";
    defaults.settings.env_names = {"TOKEN"};
    defaults.settings.sealed_env = sealed_of("new");
    defaults.former.push_back({.last_revision = 1, .sealed_env = sealed_of("old")});
    defaults.former.push_back({.last_revision = 2, .sealed_env = defaults.settings.sealed_env});
    product record;
    record.id = numbered(10'000);
    record.slug = "demo";
    record.keys = {{1, {}, now}};
    record.defaults = std::make_shared<const product_defaults>(defaults);
    change_set set;
    set.changes.push_back(put_product{record});
    REQUIRE(store.commit(set));
    CHECK(counted(store, old_key).total == 3);
    CHECK(counted(store, new_key).unreadable == 3);
    CHECK_FALSE(reseal_keys(store, ring(new_key), now, crypto::system_entropy));
    REQUIRE(reseal_keys(store, ring(new_key + "," + old_key), now, crypto::system_entropy));
    CHECK(counted(store, new_key).unreadable == 0);
    auto after = *(*store.find_product_named("demo"))->defaults;
    const auto value_of = [](const std::string& sealed) {
        return crypto::unseal_env(sealed, ring(new_key)).value().at("TOKEN");
    };
    CHECK(value_of(after.settings.sealed_env) == "new");
    CHECK(value_of(after.former.front().sealed_env) == "old");
    // Equal texts stay equal: they tell that variables were changed back.
    CHECK(after.former.back().sealed_env == after.settings.sealed_env);
    after.former.back().sealed_env = defaults.former.back().sealed_env;
    after.settings.sealed_env = defaults.settings.sealed_env;
    after.former.front().sealed_env = defaults.former.front().sealed_env;
    CHECK(after == defaults);
}

TEST_CASE("an answer that is kept for an idempotency key is counted, and sealed again") {
    memory_store store;
    idempotency_record record;
    record.id = {numbered(10'000), {}};
    record.engine_id = numbered(1);
    record.created_at = now;
    const auto put = [&](std::string sealed_answer) {
        record.sealed_answer = std::move(sealed_answer);
        change_set set;
        set.changes.emplace_back(put_idempotency{record});
        REQUIRE(store.commit(set));
    };
    put({}); // not answered yet
    CHECK(counted(store, new_key).total == 0);
    put(sealed("the answer", old_key));
    CHECK(counted(store, new_key).unreadable == 1);
    CHECK_FALSE(reseal_keys(store, ring(new_key), now, crypto::system_entropy));
    REQUIRE(reseal_keys(store, ring(new_key + "," + old_key), now, crypto::system_entropy));
    auto resealed = **store.find_idempotency(record.id);
    CHECK(ring(new_key).unseal(resealed.sealed_answer) == "the answer");
    resealed.sealed_answer = record.sealed_answer;
    resealed.sequence = record.sequence;
    CHECK(resealed == record); // but for what is the store's
}

TEST_CASE("an environment that no master key opens stops the sealing before any change") {
    memory_store store;
    auto record = engine(1, old_key);
    engine_settings settings;
    settings.sealed_env = "gAAAAA";
    record.settings = std::make_shared<const engine_settings>(settings);
    add(store, record);
    const auto before = stored(store, 1).sealed_key;
    CHECK_FALSE(reseal_keys(store, ring(new_key + "," + old_key), now, crypto::system_entropy));
    CHECK(stored(store, 1).sealed_key == before);
}

TEST_CASE("sealing again changes nothing of a row but its sealed keys") {
    memory_store store;
    auto record = engine(1, old_key);
    record.status = engine_status::sleeping;
    record.generation = 3;
    record.reason = "none";
    add(store, record, port_request{9007, 9007, [](std::uint16_t) { return true; }});
    REQUIRE(reseal_keys(store, ring(new_key + "," + old_key), now, crypto::system_entropy));
    const auto after = stored(store, 1);
    CHECK(after.status == engine_status::sleeping);
    CHECK(after.port == 9007);
    CHECK(after.generation == 3);
    CHECK(after.reason == "none");
    CHECK(after.sealed_key != record.sealed_key);
}

TEST_CASE("no key is sealed again if one of them cannot be opened") {
    memory_store store;
    for (std::size_t n = 0; n < 150; ++n) add(store, engine(n, old_key));
    auto lost = engine(150, old_key);
    lost.sealed_key = "gAAAAA";
    add(store, lost);
    const auto before = stored(store, 0).sealed_key;
    const auto done = reseal_keys(store, ring(new_key + "," + old_key), now,
                                  crypto::system_entropy);
    REQUIRE_FALSE(done);
    CHECK_THAT(done.error().message,
               Contains("1 of 151 sealed keys") && Contains("Nothing was changed"));
    CHECK(stored(store, 0).sealed_key == before);
}

TEST_CASE("sealing again that runs out of room leaves keys that the same ring opens, and can be "
          "repeated") {
    filling_store store;
    for (std::size_t n = 0; n < 250; ++n) add(store, engine(n, old_key));
    const auto keys = ring(new_key + "," + old_key);
    store.room = 1;
    const auto cut_short = reseal_keys(store, keys, now, crypto::system_entropy);
    REQUIRE_FALSE(cut_short);
    CHECK(cut_short.error().code == errc::store_unavailable);
    CHECK(counted(store, new_key).unreadable == 150);
    CHECK(counted(store, new_key + "," + old_key).unreadable == 0);

    store.room = 3;
    CHECK(reseal_keys(store, keys, now, crypto::system_entropy)->engines == 250);
    CHECK(counted(store, new_key).unreadable == 0);
}

TEST_CASE("a row that changes while its keys are sealed again is read and sealed once more") {
    busy_store store;
    for (std::size_t n = 0; n < 3; ++n) add(store, engine(n, old_key));
    store.disturbances = detail::reseal_attempts - 1;
    CHECK(reseal_keys(store, ring(new_key + "," + old_key), now, crypto::system_entropy)->engines ==
          3);
    CHECK(counted(store, new_key).unreadable == 0);
}

TEST_CASE("a row that changes on every attempt ends the sealing with a conflict") {
    busy_store store;
    for (std::size_t n = 0; n < 3; ++n) add(store, engine(n, old_key));
    store.disturbances = detail::reseal_attempts;
    const auto done = reseal_keys(store, ring(new_key + "," + old_key), now,
                                  crypto::system_entropy);
    REQUIRE_FALSE(done);
    CHECK(done.error().code == errc::revision_conflict);
    CHECK(counted(store, old_key).unreadable == 0);
}

TEST_CASE("an unreadable record does not keep the others from being sealed again") {
    damaged_store store;
    add(store, engine(1, old_key));
    CHECK(count_unreadable_keys(store, ring(old_key))->total == 1);
    const auto done = reseal_keys(store, ring(new_key + "," + old_key), now,
                                  crypto::system_entropy);
    REQUIRE(done);
    CHECK(done->engines == 1);
    CHECK(done->damaged_records == 1);
}
