#include "catch.hpp"
#include "temporary_folder.hpp"

#include <roundhouse/store/lmdb.hpp>
#include <roundhouse/store/memory.hpp>
#include <roundhouse/testing/store_conformance.hpp>

#include <string>

using namespace roundhouse;

TEST_CASE("the memory store meets every requirement on stores") {
    const auto test = GENERATE(from_range(testing::store_conformance<memory_store>()));
    DYNAMIC_SECTION(test.name) {
        memory_store fresh;
        test.run(fresh);
    }
}

TEST_CASE("the LMDB store meets every requirement on stores") {
    const auto test = GENERATE(from_range(testing::store_conformance<lmdb_store>()));
    DYNAMIC_SECTION(test.name) {
        const roundhouse_tests::temporary_folder folder;
        lmdb_options options;
        options.folder = folder.path();
        const auto fresh = or_throw(lmdb_store::open(options));
        test.run(*fresh);
        CHECK(or_throw(fresh->verify()).problems.empty());
    }
}
