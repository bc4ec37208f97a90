#include "catch.hpp"

#include <roundhouse/concepts.hpp>
#include <roundhouse/store/memory.hpp>

#include <set>

using namespace roundhouse;

static_assert(store<memory_store>);

namespace {

uuid numbered(std::uint8_t n) {
    uuid id;
    id.bytes.fill(n);
    return id;
}

const auto demo = numbered(1);

engine_record engine(std::uint8_t n, std::string user) {
    engine_record out;
    out.id = numbered(n);
    out.product_id = demo;
    out.user_id = std::move(user);
    return out;
}

change_set insert(engine_record record, std::optional<std::uint64_t> limit = {},
                  std::optional<port_request> port = {}) {
    change_set set;
    set.changes.push_back(insert_engine{std::move(record), limit, std::move(port)});
    return set;
}

change_set update(engine_record record, std::optional<port_request> port = {}) {
    change_set set;
    set.changes.push_back(update_engine{std::move(record), std::move(port)});
    return set;
}

change_set erase(const engine_record& record, bool undone = false) {
    change_set set;
    set.changes.push_back(erase_engine{record.product_id, record.user_id, record.revision, undone});
    return set;
}

engine_record stored(const memory_store& store, const std::string& user) {
    return **store.find_engine(demo, user);
}

port_request ports(std::uint16_t min, std::uint16_t max, std::set<std::uint16_t> strangers = {}) {
    return {min, max, [strangers = std::move(strangers)](std::uint16_t port) {
                return !strangers.contains(port);
            }};
}

} // namespace

TEST_CASE("an engine that was inserted is found by user and by id, and listed") {
    memory_store store;
    REQUIRE(store.commit(insert(engine(1, "ada"))));
    CHECK((*store.find_engine(demo, "ada"))->id == numbered(1));
    CHECK((*store.find_engine_by_id(numbered(1)))->user_id == "ada");
    CHECK(store.list_engines({demo, {}, 0, 10})->total == 1);
    CHECK(*store.find_engine(demo, "bob") == nullptr);
}

TEST_CASE("a user has at most one engine") {
    memory_store store;
    REQUIRE(store.commit(insert(engine(1, "ada"))));
    CHECK(store.commit(insert(engine(2, "ada"))).error().code == errc::engine_already_exists);
    CHECK(store.commit(insert(engine(2, "bob"))));
}

TEST_CASE("two engines never share a short id") {
    memory_store store;
    REQUIRE(store.commit(insert(engine(1, "ada"))));
    auto twin = engine(1, "bob");
    twin.id.bytes[15] = 99;
    CHECK(store.commit(insert(twin)).error().code == errc::short_id_taken);
    twin.id.bytes[5] = 99;
    CHECK(store.commit(insert(twin)));
}

TEST_CASE("the quota is taken inside the commit and given back by an erase") {
    memory_store store;
    REQUIRE(store.commit(insert(engine(1, "ada"), 1)));
    CHECK(store.commit(insert(engine(2, "bob"), 1)).error().code == errc::quota_exceeded);
    REQUIRE(store.commit(erase(stored(store, "ada"))));
    CHECK(store.commit(insert(engine(2, "bob"), 1)));
}

TEST_CASE("a quota of zero allows none") {
    memory_store store;
    CHECK(store.commit(insert(engine(1, "ada"), 0)).error().code == errc::quota_exceeded);
}

TEST_CASE(
    "an update with the revision that was read succeeds, with an older one it is a conflict") {
    memory_store store;
    REQUIRE(store.commit(insert(engine(1, "ada"))));
    const auto read = stored(store, "ada");
    auto changed = read;
    changed.status = engine_status::running;
    REQUIRE(store.commit(update(changed)));
    CHECK(store.commit(update(changed)).error().code == errc::revision_conflict);
    CHECK(stored(store, "ada").status == engine_status::running);
}

TEST_CASE("an update of an engine that is gone, or of its successor, is a conflict") {
    memory_store store;
    REQUIRE(store.commit(insert(engine(1, "ada"))));
    const auto old = stored(store, "ada");
    REQUIRE(store.commit(erase(old)));
    CHECK(store.commit(update(old)).error().code == errc::revision_conflict);
    REQUIRE(store.commit(insert(engine(2, "ada"))));
    CHECK(store.commit(update(old)).error().code == errc::revision_conflict);
}

TEST_CASE("a port is held by one engine until its row is gone") {
    memory_store store;
    REQUIRE(store.commit(insert(engine(1, "ada"), {}, ports(9001, 9001))));
    CHECK(stored(store, "ada").port == 9001);
    CHECK(store.commit(insert(engine(2, "bob"), {}, ports(9001, 9001))).error().code ==
          errc::port_exhaustion);
    REQUIRE(store.commit(erase(stored(store, "ada"))));
    CHECK(store.commit(insert(engine(2, "bob"), {}, ports(9001, 9001))));
}

TEST_CASE("a port that a stranger holds is passed over") {
    memory_store store;
    REQUIRE(store.commit(insert(engine(1, "ada"), {}, ports(9001, 9003, {9001, 9003}))));
    CHECK(stored(store, "ada").port == 9002);
}

TEST_CASE("an engine keeps its port while that is usable, and gets another when a stranger has "
          "taken it") {
    memory_store store;
    REQUIRE(store.commit(insert(engine(1, "ada"), {}, ports(9001, 9002))));
    const auto first = stored(store, "ada").port;
    REQUIRE(store.commit(update(stored(store, "ada"), ports(9001, 9002))));
    CHECK(stored(store, "ada").port == first);
    REQUIRE(store.commit(update(stored(store, "ada"), ports(9001, 9002, {first}))));
    CHECK(stored(store, "ada").port != first);
    REQUIRE(store.commit(insert(engine(2, "bob"), {}, ports(first, first))));
}

TEST_CASE("a batch whose last change fails changes nothing, and holds no port") {
    memory_store store;
    REQUIRE(store.commit(insert(engine(1, "ada"))));
    change_set set = insert(engine(2, "bob"), {}, ports(9001, 9001));
    set.changes.push_back(insert_engine{engine(3, "ada"), {}, {}});
    set.audit.emplace_back();
    REQUIRE_FALSE(store.commit(set));
    CHECK(*store.find_engine(demo, "bob") == nullptr);
    CHECK(store.counts(demo)->total() == 1);
    CHECK(store.audit({demo, {}, {}, {}, {}, {}, {}, 10})->entries.empty());
    CHECK(store.commit(insert(engine(4, "eve"), {}, ports(9001, 9001))));
}

TEST_CASE("counts follow the status, and the lifetime counters the rows") {
    memory_store store;
    REQUIRE(store.commit(insert(engine(1, "ada"))));
    REQUIRE(store.commit(insert(engine(2, "bob"))));
    REQUIRE(store.commit(insert(engine(3, "eve"))));
    auto running = stored(store, "ada");
    running.status = engine_status::running;
    REQUIRE(store.commit(update(running)));
    REQUIRE(store.commit(erase(stored(store, "bob"))));
    REQUIRE(store.commit(erase(stored(store, "eve"), true)));
    const auto counts = *store.counts(demo);
    CHECK(counts.of(engine_status::running) == 1);
    CHECK(counts.total() == 1);
    CHECK(counts.total_provisions == 2);
    CHECK(counts.total_destroys == 1);
    CHECK(counts.total() == counts.total_provisions - counts.total_destroys);
}

TEST_CASE("listings are oldest first, filtered by status, and paged") {
    memory_store store;
    for (std::uint8_t n = 1; n <= 5; ++n)
        REQUIRE(store.commit(insert(engine(n, "user" + std::to_string(n)))));
    auto second = stored(store, "user2");
    second.status = engine_status::stopped;
    REQUIRE(store.commit(update(second)));
    const auto page = *store.list_engines({demo, {}, 1, 2});
    CHECK(page.total == 5);
    REQUIRE(page.engines.size() == 2);
    CHECK(page.engines[0]->user_id == "user2");
    CHECK(page.engines[1]->user_id == "user3");
    CHECK(store.list_engines({demo, engine_status::stopped, 0, 10})->total == 1);
    CHECK(store.list_engines({demo, {}, 9, 2})->engines.empty());
}

TEST_CASE("one product's engines, counts and audit rows are not another's") {
    memory_store store;
    REQUIRE(store.commit(insert(engine(1, "ada"))));
    const auto other = numbered(7);
    CHECK(*store.find_engine(other, "ada") == nullptr);
    CHECK(store.counts(other)->total() == 0);
    CHECK(store.list_engines({other, {}, 0, 10})->total == 0);
}

TEST_CASE("audit rows come newest first, page by page") {
    memory_store store;
    change_set set;
    for (int i = 0; i < 5; ++i) {
        audit_entry row;
        row.product_id = demo;
        row.action = i % 2 == 0 ? audit_action::start : audit_action::stop;
        set.audit.push_back(row);
    }
    REQUIRE(store.commit(set));
    const auto first = *store.audit({demo, {}, {}, {}, {}, {}, {}, 2});
    REQUIRE(first.entries.size() == 2);
    CHECK(first.entries[0].id == 5);
    CHECK(first.next_before == 4);
    const auto last = *store.audit({demo, {}, {}, {}, {}, {}, 2, 2});
    CHECK(last.entries.size() == 1);
    CHECK_FALSE(last.next_before);
    CHECK(store.audit({demo, {}, {}, audit_action::stop, {}, {}, {}, 10})->entries.size() == 2);
}

TEST_CASE("a product is found by key, id and slug, and its slug is taken") {
    memory_store store;
    product record;
    record.id = numbered(9);
    record.slug = "demo";
    record.key_hash[0] = 1;
    change_set set;
    set.changes.push_back(put_product{record});
    REQUIRE(store.commit(set));
    CHECK((*store.find_product(record.key_hash))->slug == "demo");
    CHECK((*store.find_product_named("demo"))->id == record.id);
    CHECK((*store.find_product_named(to_string(record.id)))->slug == "demo");
    CHECK(*store.find_product_named("other") == nullptr);
    record.id = numbered(8);
    change_set twin;
    twin.changes.push_back(put_product{record});
    CHECK(store.commit(twin).error().code == errc::product_slug_exists);
}
