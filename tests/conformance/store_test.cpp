#include "catch.hpp"
#include "temporary_folder.hpp"

#include <roundhouse/store/lmdb.hpp>
#include <roundhouse/store/memory.hpp>
#include <roundhouse/testing/store_conformance.hpp>

#include <string>

using namespace roundhouse;

TEST_CASE("the memory store keeps what every store promises") {
    const auto one = GENERATE(from_range(testing::store_conformance<memory_store>()));
    DYNAMIC_SECTION(one.name) {
        memory_store fresh;
        one.run(fresh);
    }
}

TEST_CASE("the LMDB store keeps what every store promises") {
    const auto one = GENERATE(from_range(testing::store_conformance<lmdb_store>()));
    DYNAMIC_SECTION(one.name) {
        const roundhouse_tests::temporary_folder folder;
        lmdb_options options;
        options.folder = folder.path();
        const auto fresh = or_throw(lmdb_store::open(options));
        one.run(*fresh);
        CHECK(or_throw(fresh->verify()).problems.empty());
    }
}
