// Calls with an idempotency key are done once, however often they are made.

#include "orchestrator_fixture.hpp"

#include <roundhouse/idempotency.hpp>
#include <roundhouse/shell/idempotent_calls.hpp>
#include <roundhouse/testing/faulty_store.hpp>

#include <asio/use_future.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using namespace std::chrono_literals;

namespace {

const std::string key = "8e03978e-40d5-43e8-bc93-6894a57f9324";

/// A fleet with one product. What is kept of an answer is numbered, so that one that was made anew
/// is another one.
struct idempotent_fleet {
    explicit idempotent_fleet(memory_backend_script script = {})
        : fleet(std::move(script)), product(fleet.registered()) {}

    [[nodiscard]] product_handle demo() { return fleet.orchestrator->of(product); }

    [[nodiscard]] std::future<result<std::string>>
    begin(const std::string& user, std::uint8_t request = 1, const std::string& with = key) {
        idempotent_call once{with};
        once.request.fill(request);
        once.write_answer = [this](const result<engine_view>& outcome) {
            const auto number = std::to_string(++answers_written);
            return number + (outcome ? " made " + outcome->api_key
                                     : " failed " + std::string(code_name(outcome.error().code)));
        };
        auto answer = std::make_shared<std::promise<result<std::string>>>();
        fleet.orchestrator->calls()->provision_once(
            product, user, {}, std::move(once),
            [answer](result<std::string> kept) { answer->set_value(std::move(kept)); });
        return answer->get_future();
    }
    [[nodiscard]] result<std::string> provision(const std::string& user, std::uint8_t request = 1,
                                                const std::string& with = key) {
        return begin(user, request, with).get();
    }

    [[nodiscard]] idempotency_id id() const { return {product->id, crypto::sha256(key)}; }
    [[nodiscard]] idempotency_record kept() const { return **fleet.store->find_idempotency(id()); }

    /// Takes the answer out of the record, as if the process had ended before it was stored.
    void forget_answer() {
        auto record = kept();
        record.sealed_answer.clear();
        put(std::move(record));
    }
    void put(idempotency_record record) {
        change_set set;
        set.changes.emplace_back(put_idempotency{std::move(record)});
        REQUIRE(fleet.store->commit(set));
    }

    [[nodiscard]] std::size_t provisions() {
        return fleet.store->counts(product->id)->total_provisions;
    }

    std::atomic<int> answers_written = 0;
    memory_fleet<> fleet;
    product_ptr product;
};

template <class T> errc code_of(const result<T>& outcome) {
    REQUIRE_FALSE(outcome);
    return outcome.error().code;
}

/// Engines that are not healthy before the promise is kept.
memory_backend_script healthy_once_set(std::promise<void>& held) {
    memory_backend_script script;
    script.answer = [go = held.get_future().share()](const workload_ref&) -> result<health> {
        if (go.wait_for(0s) == std::future_status::ready) return health{};
        return fail(errc::backend_error, "not yet");
    };
    return script;
}

} // namespace

TEST_CASE("a provision with the same idempotency key gets the same answer and makes nothing") {
    idempotent_fleet test;
    const auto first = test.provision("ada");
    REQUIRE(first);
    CHECK(test.provision("ada") == first);
    test.fleet.reopen();
    CHECK(test.provision("ada") == first);
    CHECK(test.provisions() == 1);
    REQUIRE(test.demo().rotate_key("ada"));
    CHECK(test.provision("ada") == first); // with the key of that time
    REQUIRE(test.demo().destroy("ada"));
    CHECK(test.provision("ada") == first);
    CHECK(test.provisions() == 1);
}

TEST_CASE("another idempotency key is another call") {
    idempotent_fleet test;
    REQUIRE(test.provision("ada"));
    CHECK(code_of(test.provision("ada", 1, "another")) == errc::engine_already_exists);
    CHECK(test.provision("bob", 1, "another"));
    CHECK(test.provisions() == 2);
}

TEST_CASE("an idempotency key is its product's own") {
    idempotent_fleet test;
    REQUIRE(test.provision("ada"));
    const auto first = test.product;
    test.product = test.fleet.registered({}, "other");
    CHECK(test.provision("ada"));
    CHECK(test.provisions() == 1);
    test.product = first;
    CHECK(test.provisions() == 1);
}

TEST_CASE("an idempotency key that stands for another request is refused") {
    idempotent_fleet test;
    REQUIRE(test.provision("ada", 1));
    CHECK(code_of(test.provision("bob", 2)) == errc::idempotency_mismatch);
    test.forget_answer();
    CHECK(code_of(test.provision("bob", 2)) == errc::idempotency_mismatch);
    CHECK(test.provisions() == 1);
}

TEST_CASE("an idempotency key that is none is refused, and makes nothing") {
    idempotent_fleet test;
    for (const auto& wrong : {std::string(), std::string(256, 'k'), std::string("a b"),
                              std::string("a\x7f"), std::string("\xC3\xA9")}) {
        INFO(wrong);
        const auto refused = test.provision("ada", 1, wrong);
        CHECK(code_of(refused) == errc::invalid_request);
        CHECK_THAT(refused.error().message, Contains("Idempotency-Key: must be 1 to 255"));
    }
    CHECK(test.provisions() == 0);
    CHECK(test.provision("ada", 1, std::string(255, '~')));
}

TEST_CASE("a call with the idempotency key of one under way waits for that and gets its answer") {
    std::promise<void> held;
    idempotent_fleet test(healthy_once_set(held));
    auto first = test.begin("ada");
    auto second = test.begin("ada");
    const auto other = test.provision("bob", 2); // answered while the first is under way
    CHECK(code_of(other) == errc::idempotency_mismatch);
    held.set_value();
    const auto answer = first.get();
    REQUIRE(answer);
    CHECK(second.get() == answer);
    CHECK(test.provisions() == 1);
    CHECK(test.answers_written == 1);
}

TEST_CASE("of one idempotency key only so many calls are under way at once") {
    detail::idempotent_calls calls(2);
    const idempotency_id id{};
    std::vector<result<std::string>> answers;
    const auto note = [&](result<std::string> answer) { answers.push_back(std::move(answer)); };
    CHECK(calls.begin(id, {}, note));
    CHECK_FALSE(calls.begin(id, {}, note));
    CHECK(answers.empty());
    CHECK_FALSE(calls.begin(id, {}, note));
    REQUIRE(answers.size() == 1);
    CHECK(code_of(answers[0]) == errc::overloaded);
    calls.end(id, std::string("done"));
    REQUIRE(answers.size() == 3);
    CHECK(answers[2] == std::string("done"));
    CHECK(calls.begin(id, {}, note)); // it has ended: this one is a first one
    calls.end(id, std::string("again"));
    CHECK(answers.back() == std::string("again"));
}

TEST_CASE("a boot that fails is an answer that is kept, because the engine stays") {
    memory_backend_script script;
    script.answer = [](const workload_ref&) -> result<health> {
        return fail(errc::backend_error, "it does not answer");
    };
    auto quick = memory_fleet<>::quick();
    quick.boot_timeout = 50ms;
    idempotent_fleet test;
    test.fleet.close();
    test.fleet.backend = std::make_shared<memory_backend>(std::move(script));
    test.fleet.settings_used = quick;
    test.fleet.open();
    const auto first = test.provision("ada");
    REQUIRE(first);
    CHECK_THAT(*first, Contains("failed BOOT_TIMEOUT"));
    CHECK(test.provision("ada") == first);
    CHECK(test.provisions() == 1);
}

TEST_CASE("an answer after which nothing stays is not kept") {
    auto broken = std::make_shared<std::atomic<bool>>(true);
    memory_backend_script script;
    script.fail = [broken](backend_operation operation,
                           const workload_ref&) -> std::optional<error> {
        if (operation != backend_operation::create || !*broken) return std::nullopt;
        return error{errc::backend_error, "nothing can be started"};
    };
    idempotent_fleet test(std::move(script));
    CHECK(code_of(test.provision("ada")) == errc::backend_error);
    CHECK(code_of(test.provision("ada")) == errc::backend_error);
    *broken = false;
    CHECK(test.provision("bob", 2)); // also for another request
    CHECK(test.provisions() == 1);
    REQUIRE(test.demo().provision("eve"));
    CHECK(code_of(test.provision("eve", 3, "k3")) == errc::engine_already_exists);
    REQUIRE(test.demo().destroy("eve"));
    CHECK(test.provision("eve", 3, "k3"));
}

TEST_CASE("a call whose answer was never stored is answered by the engine that it has made") {
    idempotent_fleet test;
    const auto first = test.provision("ada");
    REQUIRE(first);
    const auto made = test.demo().find("ada");
    REQUIRE(made);
    test.forget_answer();
    SECTION("that runs") {
        CHECK(test.provision("ada") == "2 made " + made->api_key);
        CHECK(test.provision("ada") == "2 made " + made->api_key); // which is kept now
    }
    SECTION("that is stopped") {
        REQUIRE(test.demo().stop("ada"));
        CHECK(test.provision("ada") == "2 made " + made->api_key);
        CHECK(test.demo().find("ada")->record->status == engine_status::stopped);
    }
    SECTION("that is destroyed") {
        REQUIRE(test.demo().destroy("ada"));
        CHECK(code_of(test.provision("ada")) == errc::engine_not_found);
        CHECK(code_of(test.provision("ada")) == errc::engine_not_found);
        CHECK(test.provisions() == 1);
    }
    SECTION("that was replaced by another one") {
        REQUIRE(test.demo().destroy("ada"));
        REQUIRE(test.demo().provision("ada"));
        CHECK(code_of(test.provision("ada")) == errc::engine_not_found);
        CHECK(test.provisions() == 2);
    }
}

TEST_CASE("a call that a crash interrupted joins the boot of the engine that it has made") {
    std::promise<void> held;
    idempotent_fleet test(healthy_once_set(held));
    const auto before = test.begin("ada");
    REQUIRE(test.fleet.becomes(test.product, "ada", engine_status::provisioning));
    test.fleet.close(); // the row and the record are there, and no answer
    CHECK(test.kept().sealed_answer.empty());
    held.set_value();
    test.fleet.open();
    const auto after = test.provision("ada");
    REQUIRE(after);
    CHECK(*after ==
          std::to_string(test.answers_written) + " made " + test.demo().find("ada")->api_key);
    CHECK(test.provisions() == 1);
}

TEST_CASE("a record that is older than a day stands for nothing, and is removed") {
    idempotent_fleet test;
    REQUIRE(test.provision("ada"));
    auto record = test.kept();
    record.created_at -= idempotency_lifetime + 1s;
    test.put(record);
    CHECK(code_of(test.provision("ada")) == errc::engine_already_exists);
    CHECK(test.provision("bob", 2));
    CHECK(test.kept().engine_id == test.demo().find("bob")->record->id);
}

TEST_CASE("housekeeping removes idempotency records after a day") {
    settings quick = memory_fleet<>::quick();
    quick.write_behind_interval = 5ms;
    idempotent_fleet test;
    REQUIRE(test.provision("ada"));
    auto record = test.kept();
    record.created_at -= idempotency_lifetime + 1s;
    test.put(record);
    REQUIRE(test.provision("bob", 1, "another"));
    test.fleet.close();
    test.fleet.settings_used = quick;
    test.fleet.open();
    CHECK(memory_fleet<>::eventually(
        [&] { return *test.fleet.store->find_idempotency(test.id()) == nullptr; }));
    const idempotency_id another{test.product->id, crypto::sha256("another")};
    CHECK(*test.fleet.store->find_idempotency(another) != nullptr);
}

TEST_CASE("what is kept for an idempotency key is sealed") {
    idempotent_fleet test;
    const auto first = test.provision("ada");
    REQUIRE(first);
    const auto record = test.kept();
    CHECK(record.sealed_answer.find("sk-sept-") == std::string::npos);
    CHECK(memory_fleet<>::keys().unseal(record.sealed_answer) == *first);
}

TEST_CASE("the SDK provisions once by a key of the caller") {
    idempotent_fleet test;
    const provision_options options{.metadata = {{"plan", "pro"}}};
    const auto first = test.demo().provision_once("ada", options, key);
    REQUIRE(first);
    REQUIRE(test.demo().rotate_key("ada"));
    const auto again = test.demo().provision_once("ada", options, key);
    REQUIRE(again);
    CHECK(again->record->id == first->record->id);
    CHECK(again->api_key == first->api_key);
    CHECK(code_of(test.demo().provision_once("bob", options, key)) == errc::idempotency_mismatch);
    CHECK(code_of(test.demo().provision_once("ada", {}, key)) == errc::idempotency_mismatch);
    CHECK(code_of(test.provision("ada")) == errc::idempotency_mismatch); // not from the SDK
    REQUIRE(test.demo().destroy("ada"));
    CHECK(code_of(test.demo().provision_once("ada", options, key)) == errc::engine_not_found);
    CHECK(test.provisions() == 1);
}

TEST_CASE("the SDK repeats why a boot has failed") {
    memory_backend_script script;
    script.answer = [](const workload_ref&) -> result<health> {
        return fail(errc::backend_error, "it does not answer");
    };
    auto quick = memory_fleet<>::quick();
    quick.boot_timeout = 50ms;
    memory_fleet<> fleet(std::move(script), quick);
    const auto demo = fleet.orchestrator->of(fleet.registered());
    const auto first = demo.provision_once("ada", {}, key);
    CHECK(code_of(first) == errc::boot_timeout);
    REQUIRE(first.error().details);
    CHECK(first.error().details->cause == boot_failure::timeout);
    const auto again = demo.provision_once("ada", {}, key);
    REQUIRE_FALSE(again);
    CHECK(again.error() == first.error());
}
