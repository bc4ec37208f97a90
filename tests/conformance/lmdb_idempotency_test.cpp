#include "../temporary_folder.hpp"
#include "catch.hpp"
#include "tampering.hpp"

#include <roundhouse/store/lmdb.hpp>
#include <roundhouse/testing/store_conformance/idempotency_cases.hpp>

#include <string>

using namespace roundhouse;
using namespace roundhouse::testing::idempotency_cases;
using roundhouse_tests::tamper;

TEST_CASE("a check of the store finds an idempotency record that is damaged or not in its index") {
    const roundhouse_tests::temporary_folder folder;
    lmdb_options options;
    options.folder = folder.path() / "store";
    const auto problems = [&options] {
        return lmdb_store::open(options).value()->verify().value().problems.size();
    };
    {
        const auto store = lmdb_store::open(options).value();
        REQUIRE(store->commit(testing::idempotency_cases::put(nth_record(1, 10))));
    }
    REQUIRE(problems() == 0);
    const auto flip = [](std::string& value) {
        value.back() = static_cast<char>(value.back() ^ 1);
    };
    SECTION("damaged") {
        tamper(options, "idempotency", flip);
        CHECK(problems() > 0);
        const auto store = lmdb_store::open(options).value();
        CHECK_FALSE(store->find_idempotency(nth_record(1).id));
        CHECK(store->prune_idempotency(testing::samples::at(0), 10) == 1U); // counts as old
        CHECK(store->verify().value().problems.empty());
    }
    SECTION("not in its index") {
        tamper(options, "idempotency_by_sequence", flip);
        CHECK(problems() > 0);
    }
}
