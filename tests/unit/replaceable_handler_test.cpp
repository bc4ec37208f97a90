#include "catch.hpp"

#include <roundhouse/detail/replaceable_handler.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace {

using handler = roundhouse::detail::replaceable_handler<int>;

} // namespace

TEST_CASE("a report is handled by the present handler only") {
    handler tested;
    std::vector<int> first;
    std::vector<int> second;
    tested(1);
    tested.set([&](int report) { first.push_back(report); });
    tested(2);
    tested.set([&](int report) { second.push_back(report); });
    tested(3);
    tested.set(nullptr);
    tested(4);
    CHECK(first == std::vector{2});
    CHECK(second == std::vector{3});
}

TEST_CASE("a handler that is replaced while it runs is waited for, and destroyed") {
    handler tested;
    std::promise<void> entered;
    std::promise<void> leave;
    std::atomic<bool> has_run = false;
    auto captured = std::make_shared<int>();
    const std::weak_ptr<int> weak = captured;
    tested.set([&, captured = std::move(captured)](int) {
        entered.set_value();
        leave.get_future().wait();
        has_run = true;
    });
    std::thread caller([&] { tested(1); });
    entered.get_future().wait();
    std::thread other([&] { leave.set_value(); });
    tested.set(nullptr);
    CHECK(has_run);
    CHECK(weak.expired());
    other.join();
    caller.join();
}

TEST_CASE("a handler may replace itself, and go on to its end") {
    handler tested;
    std::vector<int> reports;
    auto captured = std::make_shared<int>(7);
    tested.set([&, captured](int) {
        tested.set([&](int report) { reports.push_back(report); });
        reports.push_back(*captured);
    });
    tested(1);
    tested(2);
    CHECK(reports == std::vector{7, 2});
    CHECK(captured.use_count() == 1);
}

TEST_CASE("a handler may destroy what calls it") {
    auto tested = std::make_unique<handler>();
    bool has_run = false;
    tested->set([&](int) {
        tested.reset();
        has_run = true;
    });
    (*tested)(1);
    CHECK(has_run);
}

TEST_CASE("no lock is held while a handler runs") {
    handler tested;
    int reports = 0;
    tested.set([&](int report) {
        ++reports;
        if (report > 0) tested(report - 1);
    });
    tested(3);
    CHECK(reports == 4);
}

TEST_CASE("handlers can be replaced and called by many threads at once") {
    handler tested;
    std::atomic<bool> stop = false;
    std::vector<std::thread> callers;
    for (int i = 0; i < 2; ++i)
        callers.emplace_back([&] {
            while (!stop) tested(1);
        });
    for (int round = 0; round < 1'000; ++round) {
        auto alive = std::make_shared<std::atomic<bool>>(true);
        std::atomic<int> late = 0;
        tested.set([alive, &late](int) {
            if (!*alive) ++late;
        });
        tested.set(nullptr);
        *alive = false;
        CHECK(late == 0);
        CHECK(alive.use_count() == 1);
    }
    stop = true;
    for (auto& caller : callers) caller.join();
}
