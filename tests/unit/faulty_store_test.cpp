#include "orchestrator_fixture.hpp"

#include <roundhouse/testing/faulty_store.hpp>

#include <atomic>

using namespace roundhouse_tests;

namespace {

/// A fleet over a store that makes the commits of a kind once, and then says that it did not.
template <class Change> struct doubtful_fleet {
    using store_type = testing::faulty_store<memory_store>;
    using orchestrator_type = orchestrator<memory_backend, store_type, roundhouse::system_clock>;

    doubtful_fleet() {
        orchestrator_options options(memory_fleet<>::keys());
        options.settings = memory_fleet<>::quick();
        over = std::make_shared<orchestrator_type>(
            threads.get_executor(), std::make_shared<memory_backend>(),
            std::make_shared<store_type>(std::make_shared<memory_store>(), script()),
            std::make_shared<roundhouse::system_clock>(), options);
        sync.emplace(over);
        REQUIRE(sync->recover());
        const auto made = sync->register_product("demo", "Demo", {});
        REQUIRE(made);
        who = over->authenticate(made->platform_key).value();
    }
    ~doubtful_fleet() {
        sync.reset();
        over.reset();
        threads.join();
    }

    testing::store_script script() {
        return {.fault = [this](const change_set& set) {
            const bool meant = !set.changes.empty() &&
                               std::holds_alternative<Change>(set.changes.front());
            return meant && !denied.exchange(true) ? testing::store_fault::denied
                                                   : testing::store_fault::none;
        }};
    }

    std::atomic<bool> denied = false;
    asio::thread_pool threads{2};
    std::shared_ptr<orchestrator_type> over;
    std::optional<blocking<orchestrator_type>> sync;
    product_ptr who;
};

} // namespace

TEST_CASE("an engine whose row was made though the store said no is booted all the same") {
    doubtful_fleet<insert_engine> fleet;
    const auto made = fleet.sync->provision(fleet.who, "ada");
    REQUIRE(!made);
    CHECK(made.error().code == errc::store_unavailable);
    CHECK(memory_fleet<>::eventually([&] {
        const auto found = fleet.over->find(fleet.who, "ada");
        return found && found->record->status == engine_status::running;
    }));
}

TEST_CASE("a destroy whose last commit was made though the store said no is answered") {
    doubtful_fleet<erase_engine> fleet;
    REQUIRE(fleet.sync->provision(fleet.who, "ada"));
    CHECK(fleet.sync->destroy(fleet.who, "ada"));
    CHECK(!fleet.over->find(fleet.who, "ada"));
}
