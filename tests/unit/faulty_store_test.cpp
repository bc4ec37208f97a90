#include "orchestrator_fixture.hpp"

#include <roundhouse/testing/faulty_store.hpp>

#include <atomic>

using namespace roundhouse_tests;

namespace {

/// A fleet on a store that makes the first commit of one kind of change, and reports a failure.
template <class Change> struct doubtful_fleet {
    using store_type = testing::faulty_store<memory_store>;
    using orchestrator_type =
        roundhouse::orchestrator<memory_backend, store_type, roundhouse::system_clock>;

    doubtful_fleet() {
        orchestrator_options options(memory_fleet<>::keys());
        options.settings = memory_fleet<>::quick();
        orchestrator = std::make_shared<orchestrator_type>(
            threads.get_executor(), std::make_shared<memory_backend>(),
            std::make_shared<store_type>(std::make_shared<memory_store>(), script()),
            std::make_shared<roundhouse::system_clock>(), options);
        REQUIRE(orchestrator->async_recover(wait));
        const auto made = orchestrator->async_register_product("demo", "Demo", {}, wait);
        REQUIRE(made);
        product = orchestrator->authenticate(made->platform_key).value();
    }
    ~doubtful_fleet() {
        orchestrator.reset();
        threads.join();
    }

    testing::store_script script() {
        return {.fault = [this](const change_set& set) {
            const bool matches = !set.changes.empty() &&
                                 std::holds_alternative<Change>(set.changes.front());
            return matches && !denied.exchange(true) ? testing::store_fault::denied
                                                     : testing::store_fault::none;
        }};
    }

    std::atomic<bool> denied = false;
    asio::thread_pool threads{2};
    std::shared_ptr<orchestrator_type> orchestrator;
    product_ptr product;
};

} // namespace

TEST_CASE("an engine is booted if its insert was made although the store reported a failure") {
    doubtful_fleet<insert_engine> fleet;
    const auto made = fleet.orchestrator->of(fleet.product).provision("ada");
    REQUIRE(!made);
    CHECK(made.error().code == errc::store_unavailable);
    CHECK(memory_fleet<>::eventually([&] {
        const auto found = fleet.orchestrator->find(fleet.product, "ada");
        return found && found->record->status == engine_status::running;
    }));
}

TEST_CASE(
    "a destroy is answered if its last commit was made although the store reported a failure") {
    doubtful_fleet<erase_engine> fleet;
    REQUIRE(fleet.orchestrator->of(fleet.product).provision("ada"));
    CHECK(fleet.orchestrator->of(fleet.product).destroy("ada"));
    CHECK(!fleet.orchestrator->find(fleet.product, "ada"));
}
