#include "catch.hpp"

#include <roundhouse/store/memory.hpp>

#include <string>

using namespace roundhouse;

// The requirements on all stores are tested in tests/conformance.

namespace {

change_set audit_rows(const uuid& product, int rows) {
    change_set set;
    for (int i = 0; i < rows; ++i) {
        audit_entry row;
        row.product_id = product;
        set.audit.push_back(row);
    }
    return set;
}

} // namespace

TEST_CASE("the memory store drops its oldest audit rows beyond its maximum") {
    memory_store store(3);
    audit_query query;
    REQUIRE(store.commit(audit_rows(query.product_id, 3)));
    CHECK(store.audit(query)->entries.size() == 3);
    REQUIRE(store.commit(audit_rows(query.product_id, 2)));
    const auto page = *store.audit(query);
    REQUIRE(page.entries.size() == 3);
    CHECK(page.entries.front().id == 5);
    CHECK(page.entries.back().id == 3);
    CHECK_FALSE(page.next_before);
}

TEST_CASE("an amendment of a dropped audit row is ignored") {
    memory_store store(1);
    audit_query query;
    REQUIRE(store.commit(audit_rows(query.product_id, 2)));
    change_set late;
    late.amend.emplace().id = 1;
    late.amend->metadata = {{"late", true}};
    REQUIRE(store.commit(late));
    const auto page = *store.audit(query);
    REQUIRE(page.entries.size() == 1);
    CHECK(page.entries.front().metadata.empty());
}
