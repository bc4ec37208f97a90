#include "catch.hpp"
#include "disk_faults.hpp"
#include "temporary_folder.hpp"

#include <roundhouse/store/lmdb.hpp>

#include <cerrno>
#include <memory>
#include <string>

using namespace roundhouse;
using roundhouse_tests::disk_faults;

namespace {

const uuid demo{{1}};

std::shared_ptr<lmdb_store> open_in(const roundhouse_tests::temporary_folder& folder) {
    lmdb_options options;
    options.folder = folder.path();
    return or_throw(lmdb_store::open(options));
}

/// Adds the n-th engine, with an audit row.
result<committed> add(lmdb_store& store, std::uint8_t n) {
    engine_record engine;
    engine.id.bytes[0] = n;
    engine.product_id = demo;
    engine.user_id = "user-" + std::to_string(n);
    engine.sealed_key = std::string(3000, 'x'); // several pages to write
    audit_entry row;
    row.product_id = demo;
    row.user_id = engine.user_id;
    change_set set;
    set.changes.push_back(insert_engine{engine, {}, {}});
    set.audit.push_back(row);
    return store.commit(set);
}

bool has(const lmdb_store& store, std::uint8_t n) {
    return or_throw(store.find_engine(demo, "user-" + std::to_string(n))) != nullptr;
}

std::uint64_t audit_rows(const lmdb_store& store) {
    return or_throw(store.audit({demo, {}, {}, {}, {}, {}, {}, 10})).entries.size();
}

} // namespace

TEST_CASE("whichever write to the disk fails, the commit is undone and the next one succeeds") {
    const int code = GENERATE(ENOSPC, EIO);
    int faults = 0;
    for (bool fired = true; fired; ++faults) {
        CAPTURE(code, faults);
        REQUIRE(faults < 100);
        const roundhouse_tests::temporary_folder folder;
        {
            const auto store = open_in(folder);
            REQUIRE(add(*store, 1));
            {
                const disk_faults fault(faults, code, false);
                const auto done = add(*store, 2);
                fired = fault.fired();
                REQUIRE(done.has_value() == !fired);
                if (!done) CHECK(done.error().code == errc::store_unavailable);
            }
            CHECK(has(*store, 1));
            CHECK(has(*store, 2) == !fired);
            CHECK(audit_rows(*store) == (fired ? 1 : 2));
            CHECK(store->trouble().has_value() == fired);
            if (fired) REQUIRE(add(*store, 2));
            CHECK_FALSE(store->trouble());
            CHECK(or_throw(store->verify()).problems.empty());
        }
        const auto again = open_in(folder);
        CHECK(has(*again, 1));
        CHECK(has(*again, 2));
        CHECK(audit_rows(*again) == 2);
    }
    CHECK(faults > 3); // data, sync and meta page at least
}

TEST_CASE(
    "while the disk fails permanently reads still work, and writes succeed once it is repaired") {
    const int code = GENERATE(ENOSPC, EIO);
    bool fired = true;
    for (int first = 0; fired; ++first) {
        CAPTURE(code, first);
        REQUIRE(first < 100);
        const roundhouse_tests::temporary_folder folder;
        const auto store = open_in(folder);
        REQUIRE(add(*store, 1));
        {
            const disk_faults fault(first, code, true);
            const auto done = add(*store, 2);
            fired = fault.fired();
            if (!fired) break;
            REQUIRE_FALSE(done);
            for (int i = 0; i < 3; ++i) {
                CHECK(has(*store, 1));
                CHECK_FALSE(has(*store, 2));
                const auto refused = add(*store, 3);
                REQUIRE_FALSE(refused);
                CHECK(refused.error().code == errc::store_unavailable);
            }
        }
        CHECK(has(*store, 1));
        REQUIRE(add(*store, 2));
        CHECK(or_throw(store->verify()).problems.empty());
    }
}
