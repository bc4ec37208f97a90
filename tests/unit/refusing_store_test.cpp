// What callers and engines get while the store refuses commits or cannot be read, and how many
// commits each operation makes.

#include "orchestrator_fixture.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>

#include <atomic>
#include <future>

using namespace roundhouse_tests;
using namespace std::chrono_literals;

namespace {

/// A memory store that counts its commits, and refuses commits or reads while it is told to.
class refusing_store : public memory_store {
public:
    [[nodiscard]] result<engine_ptr> find_engine(const uuid& product, std::string_view user) const {
        if (unreadable) return fail(errc::store_unavailable, "the disk cannot be read");
        return memory_store::find_engine(product, user);
    }

    result<committed> commit(const change_set& set) {
        if (full || (let_pass > 0 && --let_pass == 0 && (full = true)))
            return fail(errc::store_unavailable, "the disk is full");
        ++commits;
        return memory_store::commit(set);
    }

    std::atomic<bool> full = false;
    std::atomic<bool> unreadable = false;
    std::atomic<int> let_pass =
        0; ///< The commit of this number, from 1, is refused, and all after.
    std::atomic<int> commits = 0;
};

struct refusing_fleet {
    using orchestrator_type =
        roundhouse::orchestrator<memory_backend, refusing_store, roundhouse::system_clock>;

    explicit refusing_fleet(memory_backend_script script = {})
        : backend(std::make_shared<memory_backend>(std::move(script))) {
        orchestrator_options options(memory_fleet<>::keys());
        options.settings = memory_fleet<>::quick();
        options.settings.store_wait = 300ms;
        options.settings.store_retry = 10ms;
        options.settings.store_retry_max = 50ms;
        options.log = [this](const log_line& line) {
            const bool refusal = line.message.find("cannot be stored") != std::string_view::npos &&
                                 line.message.find("Free space") != std::string_view::npos;
            if (refusal && line.level == log_level::error) ++refusals_logged;
        };
        orchestrator = std::make_shared<orchestrator_type>(
            threads.get_executor(), backend, store, std::make_shared<roundhouse::system_clock>(),
            options);
        REQUIRE(orchestrator->async_recover(wait));
        const auto made = orchestrator->async_register_product("demo", "Demo", {}, wait);
        REQUIRE(made);
        product = orchestrator->authenticate(made->platform_key).value();
    }
    ~refusing_fleet() {
        orchestrator.reset();
        threads.join();
    }

    [[nodiscard]] bool becomes(engine_status status) const {
        return memory_fleet<>::eventually([&] {
            const auto found = orchestrator->find(product, "ada");
            return found && found->record->status == status &&
                   found->record->intent == intent::none;
        });
    }

    /// The commits that a call made, together with what follows from it.
    template <class Call> int commits_of(const Call& call) {
        const int before = store->commits;
        REQUIRE(call());
        return store->commits - before;
    }

    std::atomic<int> refusals_logged = 0;
    asio::thread_pool threads{2};
    std::shared_ptr<memory_backend> backend;
    std::shared_ptr<refusing_store> store = std::make_shared<refusing_store>();
    std::shared_ptr<orchestrator_type> orchestrator;
    product_ptr product;
};

template <class T> errc code_of(const result<T>& outcome) {
    REQUIRE_FALSE(outcome);
    return outcome.error().code;
}

} // namespace

TEST_CASE(
    "callers of an operation whose end cannot be stored are told so, and later ones at once") {
    refusing_fleet fleet;
    REQUIRE(fleet.orchestrator->of(fleet.product).provision("ada"));
    fleet.store->let_pass = 2; // the intent to stop is stored, its end is not
    CHECK(code_of(fleet.orchestrator->of(fleet.product).stop("ada")) == errc::store_unavailable);
    CHECK(code_of(fleet.orchestrator->of(fleet.product).start("ada")) == errc::store_unavailable);
    CHECK(code_of(fleet.orchestrator->of(fleet.product).destroy("ada")) == errc::store_unavailable);
    CHECK(code_of(fleet.orchestrator->of(fleet.product).admit("ada")) == errc::store_unavailable);
    CHECK(fleet.refusals_logged == 1);

    fleet.store->full = false;
    CHECK(fleet.becomes(engine_status::stopped)); // and no call that was given up runs late
    CHECK(fleet.orchestrator->of(fleet.product).start("ada"));
    CHECK(fleet.orchestrator->of(fleet.product).admit("ada")->engine);
}

TEST_CASE(
    "a store that takes no changes is an error in the log that says what to do, once a minute") {
    refusing_fleet fleet;
    fleet.store->full = true;
    for (const auto* const user : {"ada", "bob"})
        CHECK(code_of(fleet.orchestrator->of(fleet.product).provision(user)) ==
              errc::store_unavailable);
    CHECK(fleet.refusals_logged == 1);
}

TEST_CASE("an engine whose crash cannot be stored is not admitted") {
    refusing_fleet fleet;
    const auto made = fleet.orchestrator->of(fleet.product).provision("ada");
    REQUIRE(made);
    REQUIRE(fleet.orchestrator->of(fleet.product).provision("bob"));
    fleet.store->full = true;
    REQUIRE(fleet.backend->crash(made->record->id));
    CHECK(memory_fleet<>::eventually([&] { return fleet.refusals_logged == 1; }));
    CHECK(code_of(fleet.orchestrator->of(fleet.product).admit("ada")) == errc::store_unavailable);
    CHECK(fleet.orchestrator->of(fleet.product).admit("bob")->engine); // whose row is true
    fleet.store->full = false;
    CHECK(memory_fleet<>::eventually([&] {
        const auto again = fleet.orchestrator->of(fleet.product).admit("ada");
        return again && again->engine;
    }));
    CHECK(fleet.orchestrator->of(fleet.product).find("ada")->record->generation == 2);
}

TEST_CASE("a crash is not lost while the store cannot be read") {
    refusing_fleet fleet;
    const auto made = fleet.orchestrator->of(fleet.product).provision("ada");
    REQUIRE(made);
    fleet.store->unreadable = true;
    REQUIRE(fleet.backend->crash(made->record->id));
    CHECK(memory_fleet<>::eventually([&] { return fleet.refusals_logged == 1; }));
    fleet.store->unreadable = false;
    CHECK(memory_fleet<>::eventually([&] {
        const auto found = fleet.orchestrator->find(fleet.product, "ada");
        return found && found->record->generation == 2 &&
               found->record->status == engine_status::running;
    }));
}

TEST_CASE("operations that meet no trouble make two commits, and one more for another workload") {
    std::atomic<bool> takes_keys = true;
    memory_backend_script script;
    script.swap = [&](const workload_ref&) -> result<key_swap> {
        return takes_keys ? key_swap::done : key_swap::unsupported;
    };
    refusing_fleet fleet(std::move(script));
    const auto calls = fleet.orchestrator->of(fleet.product);
    CHECK(fleet.commits_of([&] { return calls.provision("ada"); }) == 2);
    CHECK(fleet.commits_of([&] { return calls.rotate_key("ada"); }) == 2);
    CHECK(fleet.commits_of([&] { return calls.stop("ada"); }) == 2);
    CHECK(fleet.commits_of([&] { return calls.start("ada"); }) == 2);
    takes_keys = false;
    CHECK(fleet.commits_of([&] { return calls.rotate_key("ada"); }) == 3);
    CHECK(fleet.commits_of([&] { return calls.destroy("ada"); }) == 2);
}

TEST_CASE("a wait that is cancelled ends at once, and the boot that was waited for goes on") {
    memory_backend_script script;
    script.boot_delay = 300ms;
    refusing_fleet fleet(std::move(script));
    asio::cancellation_signal cancel;
    std::promise<result<engine_view>> ended;
    asio::io_context loop;
    fleet.orchestrator->async_provision(
        fleet.product, "ada", std::nullopt,
        asio::bind_cancellation_slot(cancel.slot(),
                                     asio::bind_executor(loop, [&](result<engine_view> outcome) {
                                         ended.set_value(std::move(outcome));
                                     })));
    asio::post(loop, [&] { cancel.emit(asio::cancellation_type::terminal); });
    loop.run();
    CHECK(code_of(ended.get_future().get()) == errc::cancelled);
    CHECK(fleet.becomes(engine_status::running));
}

TEST_CASE("names are checked by the orchestrator too") {
    refusing_fleet fleet;
    CHECK(code_of(fleet.orchestrator->async_register_product("No Slug", "Demo", {}, wait)) ==
          errc::invalid_request);
    CHECK(code_of(fleet.orchestrator->async_register_product(
              "11111111-2222-4333-8444-555555555555", "Demo", {}, wait)) == errc::invalid_request);
    CHECK(code_of(fleet.orchestrator->of(fleet.product).provision("..")) == errc::invalid_request);
    CHECK(code_of(fleet.orchestrator->of(fleet.product).provision("ada", std::string("a\nb"))) ==
          errc::invalid_request);
    CHECK(code_of(fleet.orchestrator->of(fleet.product).admit("", {.auto_provision = true})) ==
          errc::invalid_request);
    CHECK(fleet.orchestrator->of(fleet.product).provision("ada"));
}
