#include "catch.hpp"

#include <roundhouse/log_text.hpp>
#include <roundhouse/roundhouse.hpp>
#include <roundhouse/testing/faulty_store.hpp>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

using namespace roundhouse;
using namespace std::chrono_literals;

namespace {

/// A fleet of one product, on this thread only and by a manual clock. During an outage the engines
/// answer their probes as unhealthy, but for those that `is_immune` names.
class shared_fate {
public:
    explicit shared_fate(int engines) {
        options_.settings.sleep_after = duration{0};
        options_.log = [this](const log_line& line) {
            if (line.level == log_level::error) errors.push_back(to_text(line));
        };
        orchestrator_ = std::make_unique<fleet_type>(loop_.get_executor(), backend, store_, clock_,
                                                     options_);
        get<void>([&](auto done) { orchestrator_->async_recover(done); });
        const auto made = get<registration>([&](auto done) {
            orchestrator_->async_register_product("demo", "Demo", policy{}, done);
        });
        product_ = orchestrator_->authenticate(made.platform_key).value();
        for (int i = 0; i < engines; ++i)
            get<engine_view>([&](auto done) {
                orchestrator_->async_provision(product_, user(i), std::nullopt, done);
            });
    }
    ~shared_fate() {
        orchestrator_.reset();
        run_ready();
    }
    shared_fate(const shared_fate&) = delete;
    shared_fate& operator=(const shared_fate&) = delete;

    static std::string user(int number) { return "user-" + std::to_string(number); }

    /// Lets time go on, from one wait that becomes due to the next.
    void run_for(duration span) {
        const auto end = clock_->now() + span;
        run_ready();
        for (auto next = clock_->next_wake(); next && *next <= end; next = clock_->next_wake()) {
            clock_->advance(std::max(*next - clock_->now(), duration{0}));
            run_ready();
        }
        clock_->advance(end - clock_->now());
        run_ready();
    }

    [[nodiscard]] std::optional<brake_status> brake() const {
        return orchestrator_->status(product_).value().brake;
    }
    [[nodiscard]] std::uint64_t running() const {
        return orchestrator_->status(product_).value().counts.of(engine_status::running);
    }
    [[nodiscard]] engine_record record_of(int number) const {
        return *orchestrator_->find(product_, user(number)).value().record;
    }
    std::vector<audit_entry> audit(audit_action action) {
        audit_query query;
        query.product_id = product_->id;
        query.action = action;
        query.limit = 1'000;
        return get<audit_page>([&](auto done) { orchestrator_->async_audit(query, done); }).entries;
    }
    void get_stopped(int number) {
        get<void>(
            [&](auto done) { orchestrator_->async_stop(product_, user(number), false, done); });
    }

    bool outage = false;
    bool store_refuses = false;
    std::function<bool(const workload_ref&)> is_immune = [](const workload_ref&) { return false; };
    std::vector<std::string> errors; ///< Lines of the log.
    std::shared_ptr<memory_backend> backend = std::make_shared<memory_backend>(script());

private:
    using store_type = testing::faulty_store<memory_store>;
    using fleet_type = orchestrator<memory_backend, store_type, manual_clock>;

    memory_backend_script script() {
        memory_backend_script out;
        out.answer = [this](const workload_ref& workload) -> result<health> {
            if (outage && !is_immune(workload))
                return fail(errc::backend_error, "the provider is down");
            return health{};
        };
        return out;
    }
    testing::store_script faults() {
        testing::store_script out;
        out.fault = [this](const change_set&) {
            return store_refuses ? testing::store_fault::refused : testing::store_fault::none;
        };
        return out;
    }

    void run_ready() {
        while (loop_.poll() > 0)
            ;
    }
    template <class T, class Begin> T get(const Begin& begin) {
        std::optional<result<T>> out;
        begin([&](result<T> outcome) { out.emplace(std::move(outcome)); });
        run_ready();
        REQUIRE(out);
        REQUIRE(*out);
        if constexpr (!std::is_void_v<T>) return std::move(**out);
    }

    asio::io_context loop_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{loop_.get_executor()};
    std::shared_ptr<store_type> store_ = std::make_shared<store_type>(
        std::make_shared<memory_store>(), faults());
    std::shared_ptr<manual_clock> clock_ = std::make_shared<manual_clock>();
    orchestrator_options options_{
        crypto::key_ring::parse(crypto::key_ring::make_key(crypto::system_entropy)).value()};
    std::unique_ptr<fleet_type> orchestrator_;
    product_ptr product_;
};

std::int64_t number_in(const audit_entry& row, std::string_view name) {
    for (const auto& [key, value] : row.metadata)
        if (key == name) return std::get<std::int64_t>(value);
    throw std::out_of_range(std::string(name));
}

bool flag_in(const audit_entry& row, std::string_view name) {
    return std::ranges::any_of(row.metadata, [&](const auto& entry) {
        return entry.first == name && entry.second == metadata_value(true);
    });
}

} // namespace

TEST_CASE("an outage of ten minutes restarts none of 500 engines, and clears by itself") {
    shared_fate fleet(500);
    fleet.run_for(1min);
    CHECK_FALSE(fleet.brake());
    fleet.outage = true;
    fleet.run_for(10min);
    const auto brake = fleet.brake();
    REQUIRE(brake);
    CHECK(brake->failing == 500);
    CHECK(brake->running == 500);
    CHECK(fleet.running() == 500);
    fleet.outage = false;
    fleet.run_for(1min);
    CHECK_FALSE(fleet.brake());

    CHECK(fleet.backend->created() == 500);
    CHECK(fleet.audit(audit_action::health_failed).empty());
    const auto on = fleet.audit(audit_action::brake_on);
    REQUIRE(on.size() == 1);
    CHECK(on.front().timestamp == brake->since);
    CHECK(number_in(on.front(), "failing") == 250);
    CHECK(number_in(on.front(), "running") == 500);
    CHECK(on.front().actor == "system");
    CHECK_FALSE(on.front().user_id);
    CHECK_FALSE(on.front().engine_id);
    const auto off = fleet.audit(audit_action::brake_off);
    REQUIRE(off.size() == 1);
    CHECK(off.front().took == off.front().timestamp - on.front().timestamp);
    REQUIRE(fleet.errors.size() == 1);
    CHECK_THAT(fleet.errors.front(),
               Catch::Matchers::EndsWith(" product=\"demo\" failing=250 running=500"));
}

TEST_CASE("fewer engines than the brake needs are restarted when they fail their probes") {
    shared_fate fleet(20);
    fleet.is_immune = [&](const workload_ref& workload) {
        return workload.engine_id != fleet.record_of(3).id || workload.generation > 1;
    };
    fleet.outage = true;
    fleet.run_for(5min);
    CHECK(fleet.running() == 20);
    CHECK(fleet.record_of(3).generation == 2);
    CHECK(fleet.audit(audit_action::brake_on).empty());
}

TEST_CASE("an engine that exits is restarted while the brake is on") {
    shared_fate fleet(10);
    fleet.is_immune = [](const workload_ref& workload) { return workload.generation > 1; };
    fleet.outage = true;
    fleet.run_for(1min);
    REQUIRE(fleet.brake());
    REQUIRE(fleet.backend->crash(fleet.record_of(7).id));
    fleet.run_for(1min);
    CHECK(fleet.record_of(7).generation == 2);
    CHECK(fleet.record_of(7).status == engine_status::running);
    REQUIRE(fleet.brake());
    CHECK(fleet.brake()->failing == 9);
    CHECK(fleet.backend->created() == 11);
}

TEST_CASE("failures of before the brake do not add to those of after it") {
    shared_fate fleet(10);
    fleet.outage = true;
    fleet.run_for(5min);
    fleet.is_immune = [&](const workload_ref& workload) {
        return workload.engine_id != fleet.record_of(0).id;
    };
    fleet.run_for(30s);
    REQUIRE_FALSE(fleet.brake());
    // The brake went off within this interval, in which the engine may have failed once more.
    fleet.run_for(30s);
    CHECK(fleet.running() == 10);
    fleet.run_for(90s);
    CHECK(fleet.running() == 9);
}

TEST_CASE("after an hour one engine is restarted, and the others when that has helped") {
    shared_fate fleet(10);
    fleet.is_immune = [](const workload_ref& workload) { return workload.generation > 1; };
    fleet.outage = true;
    fleet.run_for(1h);
    REQUIRE(fleet.brake());
    CHECK(fleet.backend->created() == 10);
    fleet.run_for(70s);
    CHECK(fleet.backend->created() == 11);
    fleet.run_for(10min);
    CHECK_FALSE(fleet.brake());
    CHECK(fleet.backend->created() == 20);
    CHECK(fleet.running() == 10);
    const auto failed = fleet.audit(audit_action::health_failed);
    REQUIRE(failed.size() == 10);
    CHECK(std::ranges::count_if(failed, [](const auto& row) { return flag_in(row, "trial"); }) ==
          1);
    const auto off = fleet.audit(audit_action::brake_off);
    REQUIRE(off.size() == 1);
    CHECK(flag_in(off.front(), "trial"));
    CHECK(number_in(off.front(), "failing") == 9);
}

TEST_CASE("while a trial does not come back no other engine is tried") {
    shared_fate fleet(10);
    fleet.outage = true;
    fleet.run_for(1h + 1min);
    REQUIRE(fleet.brake());
    CHECK(fleet.running() == 9);
    fleet.run_for(10min); // restarts of the one go on, and do not boot
    CHECK(fleet.running() == 9);
    CHECK(fleet.audit(audit_action::health_failed).size() == 1);
    fleet.run_for(50min); // it was given up, and so was one after it
    CHECK(fleet.audit(audit_action::auto_restart_gave_up).size() == 2);
    CHECK(fleet.audit(audit_action::health_failed).size() == 3);
}

TEST_CASE("a brake ends when the engines that fail are stopped") {
    shared_fate fleet(10);
    fleet.is_immune = [&](const workload_ref& workload) {
        return workload.engine_id == fleet.record_of(9).id;
    };
    fleet.outage = true;
    fleet.run_for(1min);
    REQUIRE(fleet.brake());
    for (int i = 0; i < 7; ++i) fleet.get_stopped(i);
    CHECK_FALSE(fleet.brake());
    CHECK(fleet.running() == 3);
}

TEST_CASE("audit rows about a brake that the store refuses are stored when it does not any more") {
    shared_fate fleet(10);
    fleet.store_refuses = true;
    fleet.outage = true;
    fleet.run_for(3min);
    fleet.outage = false;
    fleet.run_for(3min);
    CHECK(fleet.audit(audit_action::brake_on).empty());
    CHECK(fleet.errors.size() == 1);
    fleet.store_refuses = false;
    fleet.run_for(2min);
    const auto on = fleet.audit(audit_action::brake_on);
    const auto off = fleet.audit(audit_action::brake_off);
    REQUIRE(on.size() == 1);
    REQUIRE(off.size() == 1);
    CHECK(on.front().id < off.front().id);
}
