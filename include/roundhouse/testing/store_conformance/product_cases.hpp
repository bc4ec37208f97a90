#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <cctype>
#include <string>
#include <vector>

/// What a store promises of products.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::product_cases {

using namespace samples;

template <store Store> void found_by_key_id_and_slug(Store& kept) {
    auto record = tenant(1, "acme");
    record.policy.max_engines = 5;
    must(kept.commit(put(record)));
    must(kept.commit(put(tenant(2, "ac"))));
    record.revision = 1;
    require_same(must_have(kept.find_product(record.key_hash)), record, "by its key");
    require_same(must_have(kept.find_product_named("acme")), record, "by its slug");
    auto id = to_string(record.id);
    require_same(must_have(kept.find_product_named(id)), record, "by its id");
    for (auto& c : id) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    require_same(must_have(kept.find_product_named(id)), record, "by its id in upper case");
    require(must(kept.find_product_named("acm")) == nullptr, "not by a part of its slug");
    require(must(kept.find_product_named("")) == nullptr, "not by nothing");
    require(must(kept.find_product_named(to_string(numbered(9)))) == nullptr, "not by another id");
    require(must(kept.find_product(tenant(9, "").key_hash)) == nullptr, "not by another key");
}

template <store Store> void replaced_with_its_revision(Store& kept) {
    const auto first = tenant(1, "acme");
    must(kept.commit(put(first)));
    require_refused(kept.commit(put(first)), errc::revision_conflict);
    auto next = must_have(kept.find_product_named("acme"));
    require(next.revision == 1, "the first revision is 1");
    next.display_name = "Acme";
    next.policy.allowed_versions.emplace(1, "v1");
    must(kept.commit(put(next)));
    require_refused(kept.commit(put(next)), errc::revision_conflict);
    next.revision = 2;
    for (const auto& name : {std::string("acme"), to_string(next.id)})
        require_same(must_have(kept.find_product_named(name)), next, "it is replaced whole");
    require_same(must_have(kept.find_product(next.key_hash)), next, "its key finds the new one");
}

template <store Store> void revision_of_what_is_not_there(Store& kept) {
    auto record = tenant(1, "acme");
    record.revision = 1;
    require_refused(kept.commit(put(record)), errc::revision_conflict);
    require(must(kept.find_product_named("acme")) == nullptr, "it is not there");
}

template <store Store> void changed_key_drops_the_old_one(Store& kept) {
    must(kept.commit(put(tenant(1, "acme"))));
    must(kept.commit(put(tenant(2, "bolt"))));
    auto record = must_have(kept.find_product_named("acme"));
    const auto old = record.key_hash;
    record.key_hash.fill(77);
    must(kept.commit(put(record)));
    require(must(kept.find_product(old)) == nullptr, "the old key finds nothing");
    require(must_have(kept.find_product(record.key_hash)).slug == "acme", "the new key finds it");
    require(must_have(kept.find_product(tenant(2, "").key_hash)).slug == "bolt",
            "another product's key is as it was");
}

template <store Store> void keys_are_unique(Store& kept) {
    auto second = tenant(2, "bolt");
    second.key_hash = tenant(1, "").key_hash;
    auto both = put(tenant(1, "acme"));
    both.changes.emplace_back(put_product{second});
    require_refused(kept.commit(both), errc::invalid_request);
    must(kept.commit(put(tenant(1, "acme"))));
    require_refused(kept.commit(put(second)), errc::invalid_request);
    require(must_have(kept.find_product(second.key_hash)).slug == "acme", "the first one has it");
    require(must(kept.find_product_named("bolt")) == nullptr, "the second one is not there");
}

template <store Store> void slugs_are_unique(Store& kept) {
    must(kept.commit(put(tenant(1, "acme"))));
    require_refused(kept.commit(put(tenant(2, "acme"))), errc::product_slug_exists);
    require(must_have(kept.find_product_named("acme")).id == numbered(1), "the first one has it");
    require(must(kept.find_product(tenant(2, "").key_hash)) == nullptr,
            "the second one is not there");
    must(kept.commit(put(tenant(2, "bolt"))));
    auto renamed = must_have(kept.find_product_named("bolt"));
    renamed.slug = "acme";
    require_refused(kept.commit(put(renamed)), errc::product_slug_exists);
}

template <store Store> void changed_slug_frees_the_old_one(Store& kept) {
    must(kept.commit(put(tenant(1, "acme"))));
    auto renamed = must_have(kept.find_product_named("acme"));
    renamed.slug = "bolt";
    must(kept.commit(put(renamed)));
    require(must(kept.find_product_named("acme")) == nullptr, "the old slug finds nothing");
    require(must_have(kept.find_product_named("bolt")).id == numbered(1), "the new one finds it");
    must(kept.commit(put(tenant(2, "acme"))));
    require(must_have(kept.find_product_named("acme")).id == numbered(2), "the old slug is free");
}

template <store Store> void a_batch_sees_its_own_products(Store& kept) {
    change_set twins = put(tenant(1, "acme"));
    twins.changes.emplace_back(put_product{tenant(2, "acme")});
    require_refused(kept.commit(twins), errc::product_slug_exists);
    require(must(kept.find_product_named("acme")) == nullptr, "neither of the two is there");
    change_set twice = put(tenant(1, "acme"));
    auto next = tenant(1, "acme");
    next.revision = 1;
    next.display_name = "Acme";
    twice.changes.emplace_back(put_product{next});
    must(kept.commit(twice));
    next.revision = 2;
    require_same(must_have(kept.find_product_named("acme")), next, "the last one is stored");
}

template <store Store> void products_that_were_read_stay(Store& kept) {
    must(kept.commit(put(tenant(1, "acme"))));
    const auto held = must(kept.find_product_named("acme"));
    require(held != nullptr, "should be there");
    auto changed = *held;
    changed.display_name = "Acme";
    must(kept.commit(put(changed)));
    require(held->display_name.empty() && held->revision == 1, "it is as it was read");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"a product is found by its key, its id and its slug", found_by_key_id_and_slug<Store>},
        {"a product is replaced by one that carries its revision, and by no other",
         replaced_with_its_revision<Store>},
        {"a product that is not there has no revision to carry",
         revision_of_what_is_not_there<Store>},
        {"a product's new key replaces the old one", changed_key_drops_the_old_one<Store>},
        {"two products never share a platform key", keys_are_unique<Store>},
        {"a slug is one product's only", slugs_are_unique<Store>},
        {"a product's new slug replaces the old one", changed_slug_frees_the_old_one<Store>},
        {"a batch sees the products that it has put", a_batch_sees_its_own_products<Store>},
        {"a product that was read stays as it was", products_that_were_read_stay<Store>},
    };
}

} // namespace testing::product_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
