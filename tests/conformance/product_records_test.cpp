// Products in a store on disk whose records or indexes are damaged.

#include "catch.hpp"
#include "tampering.hpp"
#include "temporary_folder.hpp"

#include <roundhouse/store/lmdb.hpp>

#include <cstdint>
#include <string>
#include <utility>

using namespace roundhouse;
using roundhouse_tests::raw_database;
using roundhouse_tests::tamper;
using roundhouse_tests::temporary_folder;

namespace {

void add_product(lmdb_store& store, std::uint8_t n, std::string slug) {
    product record;
    record.id.bytes[0] = n;
    record.slug = std::move(slug);
    record.keys.emplace_back().hash.fill(n);
    change_set set;
    set.changes.push_back(put_product{std::move(record)});
    REQUIRE(store.commit(set));
}

/// The slugs on all pages of one product each.
std::string slugs_in(const lmdb_store& store) {
    product_query query{1, {}};
    std::string out;
    for (bool more = true; more;) {
        const auto page = or_throw(store.list_products(query));
        for (const auto& product : page.products) out += product->slug + ' ';
        more = page.next.has_value();
        query.after = page.next.value_or("");
    }
    return out;
}

} // namespace

TEST_CASE("a damaged product is left out of the list, and others can still be read") {
    const temporary_folder folder;
    lmdb_options options;
    options.folder = folder.path() / "store";
    {
        const auto store = or_throw(lmdb_store::open(options));
        add_product(*store, 2, "acme");
        add_product(*store, 1, "bolt"); // the first record of its database
        add_product(*store, 3, "cove");
        CHECK(slugs_in(*store) == "acme bolt cove ");
    }
    tamper(options, "products", [](std::string& bytes) { bytes.back() ^= 1; });
    const auto store = or_throw(lmdb_store::open(options));
    const auto lost = store->find_product_named("bolt");
    REQUIRE_FALSE(lost);
    CHECK(lost.error().code == errc::internal_error);
    CHECK(slugs_in(*store) == "acme cove ");
    CHECK(or_throw(store->list_products({})).total == 3);
    CHECK_FALSE(or_throw(store->verify()).problems.empty());
}

TEST_CASE("the checker finds a platform key that leads to no product, or that no product has") {
    const temporary_folder folder;
    lmdb_options options;
    options.folder = folder.path() / "store";
    {
        const auto store = or_throw(lmdb_store::open(options));
        product record;
        record.slug = "acme";
        record.last_key_id = 3;
        for (std::uint8_t n = 1; n <= 3; ++n) {
            record.keys.push_back({n, {}, {}, {}});
            record.keys.back().hash.fill(n);
        }
        change_set set;
        set.changes.push_back(put_product{std::move(record)});
        REQUIRE(store->commit(set));
        CHECK(or_throw(store->verify()).problems.empty());
    }
    const bool missing = GENERATE(true, false);
    CAPTURE(missing);
    {
        raw_database keys(options, "products_by_key");
        const auto second = keys.find(std::string(32, '\2'));
        if (missing) keys.remove(second.key);
        else keys.put({std::string(32, '\4'), second.value});
    }
    const auto store = or_throw(lmdb_store::open(options));
    CHECK_FALSE(or_throw(store->verify()).problems.empty());
}
