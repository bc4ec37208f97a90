#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <cctype>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// Cases about products.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::product_cases {

using namespace samples;

/// The hash of a product's only key.
inline sha256_digest hash_of(const product& record) { return record.keys.front().hash; }

template <store Store> void found_by_key_id_and_slug(Store& store) {
    auto record = tenant(1, "acme");
    record.policy.max_engines = 5;
    must(store.commit(put(record)));
    must(store.commit(put(tenant(2, "ac"))));
    record.revision = 1;
    require_same(must_have(store.find_product(hash_of(record))), record, "found by its key");
    require_same(must_have(store.find_product_named("acme")), record, "found by its slug");
    auto id = to_string(record.id);
    require_same(must_have(store.find_product_named(id)), record, "found by its id");
    for (auto& c : id) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    require_same(must_have(store.find_product_named(id)), record, "found by its id in upper case");
    require(must(store.find_product_named("acm")) == nullptr, "not found by a part of its slug");
    require(must(store.find_product_named("")) == nullptr, "not found by an empty name");
    require_same(must_have(store.find_product_by_id(record.id)), record, "found by its id alone");
    require(must(store.find_product_by_id(numbered(9))) == nullptr,
            "not found by another id alone");
    require(must(store.find_product_named(to_string(numbered(9)))) == nullptr,
            "not found by another id");
    require(must(store.find_product(hash_of(tenant(9, "")))) == nullptr,
            "not found by another key");
}

template <store Store> void replaced_with_its_revision(Store& store) {
    const auto first = tenant(1, "acme");
    must(store.commit(put(first)));
    require_refused(store.commit(put(first)), errc::revision_conflict);
    auto next = must_have(store.find_product_named("acme"));
    require(next.revision == 1, "the first revision is 1");
    next.display_name = "Acme";
    next.policy.allowed_versions.emplace(1, "v1");
    must(store.commit(put(next)));
    require_refused(store.commit(put(next)), errc::revision_conflict);
    next.revision = 2;
    for (const auto& name : {std::string("acme"), to_string(next.id)})
        require_same(must_have(store.find_product_named(name)), next,
                     "the whole record is replaced");
    require_same(must_have(store.find_product(hash_of(next))), next, "also by its key");
}

template <store Store> void revision_of_what_is_not_there(Store& store) {
    auto record = tenant(1, "acme");
    record.revision = 1;
    require_refused(store.commit(put(record)), errc::revision_conflict);
    require(must(store.find_product_named("acme")) == nullptr, "the product is not stored");
}

template <store Store> void changed_key_drops_the_old_one(Store& store) {
    must(store.commit(put(tenant(1, "acme"))));
    must(store.commit(put(tenant(2, "bolt"))));
    auto record = must_have(store.find_product_named("acme"));
    const auto old = hash_of(record);
    record.keys.front().hash.fill(77);
    must(store.commit(put(record)));
    require(must(store.find_product(old)) == nullptr, "the old key finds nothing");
    require(must_have(store.find_product(hash_of(record))).slug == "acme", "the new key finds it");
    require(must_have(store.find_product(hash_of(tenant(2, "")))).slug == "bolt",
            "another product's key is unchanged");
}

template <store Store> void keys_are_unique(Store& store) {
    auto second = tenant(2, "bolt");
    second.keys = tenant(1, "").keys;
    auto both = put(tenant(1, "acme"));
    both.changes.emplace_back(put_product{second});
    require_refused(store.commit(both), errc::invalid_request);
    must(store.commit(put(tenant(1, "acme"))));
    require_refused(store.commit(put(second)), errc::invalid_request);
    require(must_have(store.find_product(hash_of(second))).slug == "acme",
            "the first product has it");
    require(must(store.find_product_named("bolt")) == nullptr, "the second product is not stored");
}

template <store Store> void slugs_are_unique(Store& store) {
    must(store.commit(put(tenant(1, "acme"))));
    require_refused(store.commit(put(tenant(2, "acme"))), errc::product_slug_exists);
    require(must_have(store.find_product_named("acme")).id == numbered(1),
            "the first product has it");
    require(must(store.find_product(hash_of(tenant(2, "")))) == nullptr,
            "the second product is not stored");
    must(store.commit(put(tenant(2, "bolt"))));
    auto renamed = must_have(store.find_product_named("bolt"));
    renamed.slug = "acme";
    require_refused(store.commit(put(renamed)), errc::product_slug_exists);
}

template <store Store> void changed_slug_frees_the_old_one(Store& store) {
    must(store.commit(put(tenant(1, "acme"))));
    auto renamed = must_have(store.find_product_named("acme"));
    renamed.slug = "bolt";
    must(store.commit(put(renamed)));
    require(must(store.find_product_named("acme")) == nullptr, "the old slug finds nothing");
    require(must_have(store.find_product_named("bolt")).id == numbered(1),
            "the new slug finds the product");
    must(store.commit(put(tenant(2, "acme"))));
    require(must_have(store.find_product_named("acme")).id == numbered(2),
            "another product can have the old slug");
}

template <store Store> void a_batch_sees_its_own_products(Store& store) {
    change_set twins = put(tenant(1, "acme"));
    twins.changes.emplace_back(put_product{tenant(2, "acme")});
    require_refused(store.commit(twins), errc::product_slug_exists);
    require(must(store.find_product_named("acme")) == nullptr, "neither product is stored");
    change_set twice = put(tenant(1, "acme"));
    auto next = tenant(1, "acme");
    next.revision = 1;
    next.display_name = "Acme";
    twice.changes.emplace_back(put_product{next});
    must(store.commit(twice));
    next.revision = 2;
    require_same(must_have(store.find_product_named("acme")), next, "the last record is stored");
}

template <store Store> void a_batch_hands_over_slug_and_key(Store& store) {
    must(store.commit(put(tenant(1, "acme"))));
    auto first = must_have(store.find_product_named("acme"));
    auto second = tenant(2, "acme");
    second.keys = first.keys;
    first.slug = "bolt";
    first.keys.front().hash.fill(77);
    change_set set = put(second);
    set.changes.emplace_back(put_product{first});
    require_refused(store.commit(set), errc::product_slug_exists);
    set = put(first);
    set.changes.emplace_back(put_product{second});
    must(store.commit(set));
    require(must_have(store.find_product_named("bolt")).id == first.id &&
                must_have(store.find_product(hash_of(first))).id == first.id,
            "the first product has its new slug and key");
    require(must_have(store.find_product_named("acme")).id == second.id &&
                must_have(store.find_product(hash_of(second))).id == second.id,
            "the second product has the old ones");
}

template <store Store> void products_that_were_read_stay(Store& store) {
    must(store.commit(put(tenant(1, "acme"))));
    const auto held = must(store.find_product_named("acme"));
    require(held != nullptr, "should be there");
    auto changed = *held;
    changed.display_name = "Acme";
    must(store.commit(put(changed)));
    require(held->display_name.empty() && held->revision == 1,
            "an update does not change a record that was read");
}

template <store Store> void found_by_each_key(Store& store) {
    auto record = tenant(1, "acme");
    for (std::uint64_t id = 2; id <= 4; ++id) {
        record.keys.push_back({id, {}, at(5), at(static_cast<std::int64_t>(id))});
        record.keys.back().hash.fill(static_cast<std::uint8_t>(100 + id));
        record.last_key_id = id;
    }
    must(store.commit(put(record)));
    record.revision = 1;
    for (const auto& key : record.keys)
        require_same(must_have(store.find_product(key.hash)), record, "found by each key");
    auto fewer = record;
    fewer.keys.erase(fewer.keys.begin() + 1, fewer.keys.begin() + 3);
    must(store.commit(put(fewer)));
    fewer.revision = 2;
    for (const auto& key : fewer.keys)
        require_same(must_have(store.find_product(key.hash)), fewer, "found by the keys left");
    for (const std::size_t gone : {1U, 2U})
        require(must(store.find_product(record.keys[gone].hash)) == nullptr,
                "not found by a key that it has no more");
}

template <store Store> void may_have_no_key(Store& store) {
    auto record = tenant(1, "acme");
    const auto old = hash_of(record);
    record.keys.clear();
    record.last_key_id = 7;
    must(store.commit(put(record)));
    must(store.commit(put(tenant(2, "bolt"))));
    record.revision = 1;
    require_same(must_have(store.find_product_by_id(record.id)), record, "found by its id");
    require_same(must_have(store.find_product_named("acme")), record, "found by its slug");
    require(must(store.find_product(old)) == nullptr, "found by no key");
    require(must(store.find_product(sha256_digest{})) == nullptr, "nor by a hash of zeroes");
}

template <store Store> void every_key_is_unique(Store& store) {
    auto first = tenant(1, "acme");
    first.keys.push_back(tenant(9, "").keys.front());
    must(store.commit(put(first)));
    require_refused(store.commit(put(tenant(9, "bolt"))), errc::invalid_request);
    auto second = tenant(2, "bolt");
    second.keys.push_back(tenant(9, "").keys.front());
    require_refused(store.commit(put(second)), errc::invalid_request);
    require(must_have(store.find_product(hash_of(tenant(9, "")))).slug == "acme",
            "the first product has it");
    first.revision = 1;
    first.keys.pop_back();
    must(store.commit(put(first)));
    must(store.commit(put(second)));
    require(must_have(store.find_product(hash_of(tenant(9, "")))).slug == "bolt",
            "a key that was given up can be another product's");
}

template <store Store> std::string slugs_on(const Store& store, const product_query& query) {
    std::string out;
    for (const auto& product : must(store.list_products(query)).products)
        out += product->slug + ' ';
    return out;
}

template <store Store> void listed_by_slug(Store& store) {
    require_same(must(store.list_products({})), product_page{}, "an empty store has none");
    const std::vector<std::string> slugs{"acme-2", "b", "acme", "0", "acm", "acme2"};
    for (std::size_t i = 0; i < slugs.size(); ++i)
        must(store.commit(put(tenant(static_cast<std::uint32_t>(i) + 1, slugs[i]))));
    const auto page = must(store.list_products({}));
    require(page.total == slugs.size() && !page.next, "all are on one page");
    require(slugs_on(store, {}) == "0 acm acme acme-2 acme2 b ", "in the order of their slugs");
    require_same(*page.products[2], must_have(store.find_product_named("acme")),
                 "the whole record is listed");
}

template <store Store> void listed_page_by_page(Store& store) {
    const std::string slugs = "abcdefg";
    for (std::size_t i = 0; i < slugs.size(); ++i)
        must(
            store.commit(put(tenant(static_cast<std::uint32_t>(i) + 1, std::string(1, slugs[i])))));
    for (std::size_t limit = 1; limit <= slugs.size() + 1; ++limit) {
        product_query query{limit, {}};
        std::string seen;
        for (bool more = true; more;) {
            const auto page = must(store.list_products(query));
            require(page.total == slugs.size(), "each page tells the number of all");
            require(page.products.size() <= limit, "a page has at most the limit");
            for (const auto& product : page.products) seen += product->slug;
            more = page.next.has_value();
            query.after = page.next.value_or("");
            require(!more || *page.next == page.products.back()->slug, "next is the last slug");
        }
        require(seen == slugs, "the pages have each product once, in order");
    }
    const auto none = must(store.list_products({0, {}}));
    require(none.products.empty() && !none.next && none.total == slugs.size(),
            "a page without places has the number of all");
}

template <store Store> void listed_after_what_is_not_there(Store& store) {
    must(store.commit(put(tenant(1, "acme"))));
    must(store.commit(put(tenant(2, "bolt"))));
    require(slugs_on(store, {100, "acm"}) == "acme bolt ", "after a part of a slug");
    require(slugs_on(store, {100, "acme-"}) == "bolt ", "between two slugs");
    require(slugs_on(store, {100, "bolt"}).empty(), "after the last one");
    require(slugs_on(store, {100, "zoo"}).empty(), "behind all of them");
    require(slugs_on(store, {100, std::string(1'000, 'b')}) == "bolt ",
            "after a text of any length");
}

template <store Store> void listed_as_renamed(Store& store) {
    must(store.commit(put(tenant(1, "acme"))));
    must(store.commit(put(tenant(2, "bolt"))));
    auto renamed = must_have(store.find_product_named("acme"));
    renamed.slug = "cove";
    renamed.display_name = "The Cove";
    must(store.commit(put(renamed)));
    require(slugs_on(store, {}) == "bolt cove ", "under its new slug only");
    require(must(store.list_products({1, "bolt"})).products.front()->display_name == "The Cove",
            "with its new name");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"a product is found by its key, its id and its slug", found_by_key_id_and_slug<Store>},
        {"a product is replaced only by a record with its revision",
         replaced_with_its_revision<Store>},
        {"a new product must carry revision 0", revision_of_what_is_not_there<Store>},
        {"a product's new key replaces the old one", changed_key_drops_the_old_one<Store>},
        {"two products never share a platform key", keys_are_unique<Store>},
        {"two products never share a slug", slugs_are_unique<Store>},
        {"a product's new slug replaces the old one", changed_slug_frees_the_old_one<Store>},
        {"a batch sees the products that it puts", a_batch_sees_its_own_products<Store>},
        {"a batch can give a freed slug and key to another product",
         a_batch_hands_over_slug_and_key<Store>},
        {"a product that was read never changes", products_that_were_read_stay<Store>},
        {"a product is found by each of its keys, and by no earlier one", found_by_each_key<Store>},
        {"a product may have no key", may_have_no_key<Store>},
        {"two products share none of their keys", every_key_is_unique<Store>},
        {"products are listed in the order of their slugs", listed_by_slug<Store>},
        {"pages by cursor list each product once", listed_page_by_page<Store>},
        {"a list of products may begin after a slug that is not there",
         listed_after_what_is_not_there<Store>},
        {"a product is listed under its present slug", listed_as_renamed<Store>},
    };
}

} // namespace testing::product_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
