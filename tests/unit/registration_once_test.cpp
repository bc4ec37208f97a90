// Registrations with an idempotency key are done once, however often they are called for.

#include "orchestrator_fixture.hpp"

#include <roundhouse/core/names.hpp>
#include <roundhouse/idempotency.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using namespace std::chrono_literals;

namespace {

const std::string key = "8e03978e-40d5-43e8-bc93-6894a57f9324";

/// A fleet without products.
struct empty_fleet : memory_fleet<> {
    [[nodiscard]] std::future<result<std::string>>
    begin(const std::string& slug, std::uint8_t request = 1, const std::string& with = key) {
        idempotent_registration once{with};
        once.request.fill(request);
        once.write_answer = [](const registration& made) {
            return to_string(made.product_id) + " " + made.slug + " " + made.platform_key;
        };
        auto answer = std::make_shared<std::promise<result<std::string>>>();
        orchestrator->calls()->register_product_once(
            slug, "Demo", {}, std::move(once), std::string(admin_actor),
            [answer](result<std::string> kept) { answer->set_value(std::move(kept)); });
        return answer->get_future();
    }
    [[nodiscard]] result<std::string> make(const std::string& slug, std::uint8_t request = 1,
                                           const std::string& with = key) {
        return begin(slug, request, with).get();
    }
    [[nodiscard]] std::size_t products() {
        const auto page = orchestrator->async_list_products({1'000, {}}, wait);
        REQUIRE(page);
        return page->total;
    }
    [[nodiscard]] idempotency_record kept() const {
        return **store->find_idempotency({{}, crypto::sha256(key)});
    }
    void put(idempotency_record record) const {
        change_set set;
        set.changes.emplace_back(put_idempotency{std::move(record)});
        REQUIRE(store->commit(set));
    }
};

template <class T> errc code_of(const result<T>& outcome) {
    REQUIRE_FALSE(outcome);
    return outcome.error().code;
}

} // namespace

TEST_CASE("a registration with the same idempotency key gets the same answer and makes nothing") {
    empty_fleet fleet;
    const auto first = fleet.make("demo");
    REQUIRE(first);
    CHECK(fleet.make("demo") == first);
    fleet.reopen();
    CHECK(fleet.make("demo") == first);
    CHECK(fleet.products() == 1);
    const auto platform_key = first->substr(first->rfind(' ') + 1);
    const auto opened = fleet.orchestrator->authenticate(platform_key);
    REQUIRE(opened);
    CHECK(fleet.audit(*opened, audit_action::policy_register).size() == 1);
    REQUIRE(fleet.orchestrator->async_rotate_platform_key("demo", 0ms, wait));
    CHECK(fleet.make("demo") == first); // with the key of that time
}

TEST_CASE("the idempotency key of a registration stands for one request") {
    empty_fleet fleet;
    REQUIRE(fleet.make("demo", 1));
    CHECK(code_of(fleet.make("other", 2)) == errc::idempotency_mismatch);
    CHECK(code_of(fleet.make("demo", 1, "another")) == errc::product_slug_exists);
    CHECK(fleet.make("other", 2, "another")); // after a failure nothing stays
    CHECK(fleet.products() == 2);
}

TEST_CASE("idempotency keys of administrators are apart from those of products") {
    empty_fleet fleet;
    const auto first = fleet.make("demo");
    REQUIRE(first);
    const auto product = *fleet.orchestrator->find_product_named("demo");
    const auto engine = fleet.orchestrator->of(product).provision_once("ada", {}, key);
    REQUIRE(engine);
    CHECK(engine->record->user_id == "ada");
    CHECK(fleet.make("demo") == first);
}

TEST_CASE("of registrations at once with one idempotency key one is made, and all get its answer") {
    empty_fleet fleet;
    std::vector<std::future<result<std::string>>> calls;
    for (int n = 0; n < 20; ++n) calls.push_back(fleet.begin("demo"));
    const auto first = calls.front().get();
    REQUIRE(first);
    for (std::size_t n = 1; n < calls.size(); ++n) CHECK(calls[n].get() == first);
    CHECK(fleet.products() == 1);
}

TEST_CASE("the answer to a registration is committed with its product, and sealed") {
    empty_fleet fleet;
    const auto first = fleet.make("demo");
    REQUIRE(first);
    const auto record = fleet.kept();
    CHECK(to_string(record.engine_id) == first->substr(0, 36));
    CHECK(record.sequence == 1); // put once
    CHECK_THAT(record.sealed_answer, !Contains("pk-sept-"));
    CHECK(memory_fleet<>::keys().unseal(record.sealed_answer) == *first);
}

TEST_CASE("a registration whose product is gone is not made again while its key is kept") {
    empty_fleet fleet;
    REQUIRE(fleet.make("demo"));
    auto record = fleet.kept();
    record.engine_id = crypto::make_uuid(crypto::system_entropy); // as if that was its product
    fleet.put(record);
    CHECK(code_of(fleet.make("demo")) == errc::product_not_found);
    CHECK(code_of(fleet.make("other", 2)) == errc::idempotency_mismatch);
    CHECK(fleet.products() == 1);
}

TEST_CASE("a registration's idempotency key stands for nothing after a day") {
    empty_fleet fleet;
    REQUIRE(fleet.make("demo"));
    auto record = fleet.kept();
    record.created_at -= idempotency_lifetime + 1s;
    fleet.put(record);
    CHECK(code_of(fleet.make("demo")) == errc::product_slug_exists);
    CHECK(fleet.make("other", 2));
    CHECK(fleet.products() == 2);
}

TEST_CASE("a registration that is none is refused, and its idempotency key stays free") {
    empty_fleet fleet;
    CHECK(code_of(fleet.make("Demo")) == errc::invalid_request);
    CHECK(code_of(fleet.make("demo", 1, "a b")) == errc::invalid_request);
    CHECK(fleet.make("demo", 2));
}

TEST_CASE("the SDK registers once by a key of the caller") {
    empty_fleet fleet;
    policy limits;
    limits.max_engines = 3;
    const auto make = [&](const std::string& slug, const policy& with) {
        return fleet.orchestrator->async_register_product_once(slug, "Demo", with, key, wait);
    };
    const auto first = make("demo", limits);
    REQUIRE(first);
    const auto again = make("demo", limits);
    REQUIRE(again);
    CHECK(again->product_id == first->product_id);
    CHECK(again->slug == "demo");
    CHECK(again->platform_key == first->platform_key);
    CHECK(fleet.orchestrator->authenticate(again->platform_key));
    limits.max_engines = 4;
    CHECK(code_of(make("demo", limits)) == errc::idempotency_mismatch);
    CHECK(code_of(make("other", {})) == errc::idempotency_mismatch);
    CHECK(fleet.products() == 1);
}
