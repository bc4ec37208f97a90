#include "catch.hpp"

#include <roundhouse/detail/engine_owner_hash.hpp>

#include <string>

using namespace roundhouse;
using detail::engine_owner_hash;
using detail::hash_of_owner;

TEST_CASE("the hash of an owner depends on the secret, the product and the user") {
    const detail::siphash_key secret{1, 2};
    const uuid product{{1}};
    const auto hash = hash_of_owner(secret, product, "ada");
    CHECK(hash_of_owner(secret, product, std::string("ada")) == hash);
    CHECK(hash_of_owner({2, 1}, product, "ada") != hash);
    CHECK(hash_of_owner(secret, uuid{{2}}, "ada") != hash);
    CHECK(hash_of_owner(secret, product, "eve") != hash);
}

TEST_CASE("tables in memory hash owners with a secret that is drawn") {
    CHECK(detail::draw_siphash_key() != detail::draw_siphash_key());
    const uuid product{{1}};
    CHECK(engine_owner_hash::mix(product, "ada") ==
          hash_of_owner(engine_owner_hash::secret, product, "ada"));
    CHECK(engine_owner_hash{}(engine_owner{product, "ada"}) ==
          engine_owner_hash{}(detail::engine_owner_view{product, "ada"}));
}
