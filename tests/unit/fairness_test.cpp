#include "orchestrator_fixture.hpp"

#include <roundhouse/core/shares.hpp>

#include <asio/use_future.hpp>

#include <atomic>
#include <cstddef>
#include <future>
#include <mutex>
#include <set>
#include <utility>

using namespace roundhouse_tests;
using namespace std::chrono_literals;

namespace {

/// A backend on which the workloads that are created while `hanging` is set never become healthy.
struct hanging_backend {
    memory_backend_script script() {
        memory_backend_script out;
        out.fail = [this](backend_operation operation,
                          const workload_ref& ref) -> std::optional<error> {
            const std::lock_guard lock(mutex);
            if (hanging && operation == backend_operation::create) hung.insert(ref.engine_id);
            return std::nullopt;
        };
        out.answer = [this](const workload_ref& ref) -> result<health> {
            const std::lock_guard lock(mutex);
            if (hung.contains(ref.engine_id)) return fail(errc::backend_error, "it hangs");
            return health{};
        };
        return out;
    }

    std::size_t count() {
        const std::lock_guard lock(mutex);
        return hung.size();
    }

    std::mutex mutex;
    std::set<uuid> hung;
    std::atomic<bool> hanging = true;
};

template <class T> bool becomes_ready(const std::future<T>& outcome) {
    return outcome.wait_for(patience) == std::future_status::ready;
}

} // namespace

TEST_CASE("200 boots of one product that hang do not keep another product from booting") {
    hanging_backend host;
    auto settings = memory_fleet<>::quick();
    settings.boot_timeout = 24h;
    memory_fleet<> fleet(host.script(), settings);
    const auto crowded = fleet.registered({}, "crowded");
    const auto other = fleet.registered({}, "other");
    std::vector<std::future<result<engine_view>>> hang;
    for (int i = 0; i < 200; ++i)
        hang.push_back(fleet.orchestrator->async_provision(crowded, "user" + std::to_string(i),
                                                           std::nullopt, asio::use_future));
    const auto share = settings.boot_concurrency - core::kept_turns(settings.boot_concurrency);
    REQUIRE(fleet.eventually([&] { return host.count() == share; }));
    host.hanging = false;
    for (int i = 0; i < 5; ++i) {
        auto made = fleet.orchestrator->async_provision(other, "user" + std::to_string(i),
                                                        std::nullopt, asio::use_future);
        REQUIRE(becomes_ready(made));
        CHECK(made.get());
    }
    CHECK(host.count() == share);
    CHECK(fleet.backend->created() == share + 5);
}
