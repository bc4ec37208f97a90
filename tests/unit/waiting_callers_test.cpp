#include "catch.hpp"

#include <roundhouse/roundhouse.hpp>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse;
using namespace std::chrono_literals;

namespace {

/// A fleet of one product, on this thread only and by a manual clock. Its engines become healthy once
/// `ready` is set, and cannot be created while `refuses` is.
class slow_fleet {
public:
    template <class T> using outcome = std::shared_ptr<std::optional<result<T>>>;

    explicit slow_fleet(const settings& chosen = never_idle()) {
        options_.settings = chosen;
        orchestrator_ = std::make_unique<fleet_type>(loop_.get_executor(), backend, store_, clock_,
                                                     options_);
        recovered_ = begun<void>([&](auto done) { orchestrator_->async_recover(done); });
        const auto made = begun<registration>([&](auto done) {
            orchestrator_->async_register_product("demo", "Demo", policy{}, done);
        });
        REQUIRE(*made);
        product_ = orchestrator_->authenticate(made->value().value().platform_key).value();
    }
    ~slow_fleet() { close(); }
    slow_fleet(const slow_fleet&) = delete;
    slow_fleet& operator=(const slow_fleet&) = delete;

    static settings never_idle() {
        settings out;
        out.sleep_after = duration{0};
        return out;
    }

    void close() {
        orchestrator_.reset();
        run_ready();
    }

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

    [[nodiscard]] product_handle demo() const { return orchestrator_->of(product_); }
    [[nodiscard]] result<engine_view> ada() const { return orchestrator_->find(product_, "ada"); }
    [[nodiscard]] engine_status status() const { return ada().value().record->status; }
    [[nodiscard]] std::size_t rows(audit_action action) {
        audit_query query;
        query.action = action;
        const auto page = begun<audit_page>([&](auto done) { demo().audit(query, done); });
        return page->value().value().entries.size();
    }

    /// Makes a call, and runs whatever needs no time. Empty while it is not answered.
    template <class T, class Begin> outcome<T> begun(const Begin& begin) {
        auto out = std::make_shared<std::optional<result<T>>>();
        begin([out](result<T> answer) { out->emplace(std::move(answer)); });
        run_ready();
        return out;
    }
    outcome<call_progress> provision(duration wait) {
        return begun<call_progress>(
            [&](auto done) { demo().provision("ada", provision_options{}, within{wait}, done); });
    }
    outcome<call_progress> start(duration wait) {
        return begun<call_progress>([&](auto done) { demo().start("ada", within{wait}, done); });
    }
    outcome<call_progress> wait_for(engine_statuses wanted, duration span) {
        return begun<call_progress>([&](auto done) { demo().wait_for("ada", wanted, span, done); });
    }
    outcome<admission> admit(duration wait) {
        const admit_options options{.auto_provision = true, .wait = wait};
        return begun<admission>([&](auto done) { demo().admit("ada", options, done); });
    }
    void destroy() {
        const auto gone = begun<uuid>([&](auto done) { demo().destroy("ada", done); });
        REQUIRE(*gone);
        REQUIRE(gone->value());
    }

    bool ready = false;
    bool refuses = false;
    std::shared_ptr<memory_backend> backend = std::make_shared<memory_backend>(script());

private:
    using fleet_type = orchestrator<memory_backend, memory_store, manual_clock>;

    memory_backend_script script() {
        memory_backend_script out;
        out.answer = [this](const workload_ref&) -> result<health> {
            if (!ready) return fail(errc::backend_error, "it is not ready");
            return health{};
        };
        out.fail = [this](backend_operation operation,
                          const workload_ref&) -> std::optional<error> {
            if (!refuses || operation != backend_operation::create) return std::nullopt;
            return error{errc::backend_error, "the image in /var/images is broken"};
        };
        return out;
    }
    void run_ready() {
        while (loop_.poll() > 0)
            ;
    }

    asio::io_context loop_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{loop_.get_executor()};
    std::shared_ptr<memory_store> store_ = std::make_shared<memory_store>();
    std::shared_ptr<manual_clock> clock_ = std::make_shared<manual_clock>();
    orchestrator_options options_{
        crypto::key_ring::parse(crypto::key_ring::make_key(crypto::system_entropy)).value()};
    std::unique_ptr<fleet_type> orchestrator_;
    outcome<void> recovered_;
    product_ptr product_;
};

/// The code of a failure; nothing if there is no answer, or one of success.
template <class T> std::optional<errc> code_of(const slow_fleet::outcome<T>& answer) {
    if (!*answer || **answer) return std::nullopt;
    return (*answer)->error().code;
}

/// How far a call has come that was answered.
const call_progress& progress_of(const slow_fleet::outcome<call_progress>& answer) {
    REQUIRE(*answer);
    REQUIRE(**answer);
    return (*answer)->value();
}

} // namespace

TEST_CASE("a caller who has waited long enough gets the engine as it is, and the call goes on") {
    slow_fleet fleet;
    const auto answer = fleet.provision(2s);
    fleet.run_for(1'999ms);
    CHECK_FALSE(*answer);
    fleet.run_for(1ms);
    CHECK_FALSE(progress_of(answer).done);
    CHECK(progress_of(answer).engine.record->status == engine_status::provisioning);
    CHECK(progress_of(answer).engine.api_key.starts_with("sk-sept-"));
    CHECK(fleet.ada().value().record->id == progress_of(answer).engine.record->id);
    fleet.ready = true;
    fleet.run_for(1s);
    CHECK(fleet.status() == engine_status::running);
}

TEST_CASE("a call that is done in time is answered when it is done") {
    slow_fleet fleet;
    const auto answer = fleet.provision(30s);
    fleet.run_for(1s);
    fleet.ready = true;
    fleet.run_for(1s);
    CHECK(progress_of(answer).done);
    CHECK(progress_of(answer).engine.record->status == engine_status::running);
    const auto stopped = fleet.begun<call_progress>(
        [&](auto done) { fleet.demo().stop("ada", false, within{30s}, done); });
    CHECK(progress_of(stopped).done);
    CHECK(fleet.status() == engine_status::stopped);
    CHECK(progress_of(fleet.start(30s)).done);
    const auto rotated = fleet.begun<call_progress>(
        [&](auto done) { fleet.demo().rotate_key("ada", within{30s}, done); });
    CHECK(progress_of(rotated).done);
    CHECK(progress_of(rotated).new_key == fleet.ada()->api_key);
    const auto asleep = fleet.begun<call_progress>(
        [&](auto done) { fleet.demo().sleep("ada", sleep_mode::paused, within{30s}, done); });
    CHECK(progress_of(asleep).done);
    CHECK(progress_of(asleep).engine.api_key.empty());
    const auto woken = fleet.begun<call_progress>(
        [&](auto done) { fleet.demo().wake("ada", within{30s}, done); });
    CHECK(progress_of(woken).done);
    CHECK(progress_of(woken).engine.record->status == engine_status::running);
}

TEST_CASE(
    "without a wait a call is answered when it is accepted, and refused as ever if it is not") {
    slow_fleet fleet;
    CHECK(code_of(fleet.start(0s)) == errc::engine_not_found);
    CHECK_FALSE(progress_of(fleet.provision(0s)).done);
    CHECK(fleet.status() == engine_status::provisioning);
    CHECK(code_of(fleet.provision(0s)) == errc::engine_already_exists);
    CHECK_FALSE(progress_of(fleet.start(0s)).done); // joins the boot
    fleet.ready = true;
    fleet.run_for(1s);
    CHECK(code_of(fleet.start(0s)) == errc::engine_already_running);
    CHECK(code_of(fleet.start(-1s)) == errc::invalid_request);
    CHECK(code_of(fleet.start(601s)) == errc::invalid_request);
}

TEST_CASE("a call that has to wait for another is begun after its caller was answered") {
    slow_fleet fleet;
    fleet.ready = true;
    CHECK(progress_of(fleet.provision(30s)).done);
    const auto before = fleet.ada()->record->generation;
    auto stopped = std::make_shared<std::optional<result<void>>>();
    fleet.demo().stop("ada", false, [stopped](result<void> answer) { stopped->emplace(answer); });
    CHECK_FALSE(progress_of(fleet.start(0s)).done);
    fleet.run_for(1s);
    CHECK(*stopped);
    CHECK(fleet.status() == engine_status::running);
    CHECK(fleet.ada()->record->generation == before + 1);
}

TEST_CASE("an admit whose caller does not wait says that the engine starts, which is no denial") {
    slow_fleet fleet;
    const auto answer = fleet.admit(1s);
    fleet.run_for(1s);
    REQUIRE(*answer);
    REQUIRE(**answer);
    const auto& told = (*answer)->value();
    CHECK_FALSE(told.engine);
    CHECK(told.reason == denial::engine_starting);
    CHECK(told.status == engine_status::provisioning);
    CHECK(told.retry_after_s == 1);
    fleet.ready = true;
    fleet.run_for(2min); // in which denials would have been stored
    CHECK(fleet.rows(audit_action::admit_denied) == 0);
    const auto admitted = fleet.admit(0s);
    REQUIRE(*admitted);
    REQUIRE(**admitted);
    CHECK((*admitted)->value().engine);
}

TEST_CASE("who waits for a state is told by the commit of it, or when the time runs out") {
    slow_fleet fleet;
    CHECK(code_of(fleet.wait_for(engine_status::running, 1s)) == errc::engine_not_found);
    (void)fleet.provision(0s);
    CHECK(code_of(fleet.wait_for({}, 1s)) == errc::invalid_request);
    CHECK(code_of(fleet.wait_for(engine_status::running, 601s)) == errc::invalid_request);
    CHECK(progress_of(fleet.wait_for(engine_status::provisioning, 0s)).done);

    const auto impatient = fleet.wait_for(engine_status::running, 1s);
    const auto patient = fleet.wait_for({engine_status::running, engine_status::failed}, 1min);
    const auto other = fleet.wait_for(engine_status::stopped, 1min);
    fleet.run_for(1s);
    CHECK_FALSE(progress_of(impatient).done);
    CHECK(progress_of(impatient).engine.record->status == engine_status::provisioning);
    CHECK_FALSE(*patient);
    fleet.ready = true;
    fleet.run_for(1s);
    CHECK(progress_of(patient).done);
    CHECK(progress_of(patient).engine.record->status == engine_status::running);
    CHECK_FALSE(*other);
    fleet.destroy();
    CHECK(code_of(other) == errc::engine_not_found);
}

TEST_CASE("who waits takes a place of the product, and gives it back when answered") {
    auto chosen = slow_fleet::never_idle();
    chosen.max_waiting = 2; // of which a product may have one
    slow_fleet fleet(chosen);
    CHECK_FALSE(progress_of(fleet.provision(0s)).done);
    const auto waiting = fleet.wait_for(engine_status::running, 1s);
    CHECK_FALSE(*waiting);
    CHECK(code_of(fleet.wait_for(engine_status::running, 1s)) == errc::overloaded);
    CHECK(code_of(fleet.start(0s)) == errc::overloaded);
    fleet.run_for(1s);
    CHECK_FALSE(progress_of(waiting).done);
    CHECK_FALSE(progress_of(fleet.start(0s)).done);
    CHECK_FALSE(*fleet.wait_for(engine_status::running, 1s));
}

TEST_CASE("who waits for one engine takes one of its places") {
    auto chosen = slow_fleet::never_idle();
    chosen.max_waiting_per_engine = 1;
    slow_fleet fleet(chosen);
    (void)fleet.provision(0s);
    CHECK_FALSE(*fleet.wait_for(engine_status::running, 1s));
    CHECK(code_of(fleet.wait_for(engine_status::running, 1s)) == errc::overloaded);
}

TEST_CASE("why a creation was undone is told for ten minutes, until there is an engine again") {
    slow_fleet fleet;
    fleet.refuses = true;
    CHECK_FALSE(progress_of(fleet.provision(0s)).done);
    fleet.run_for(1s);
    CHECK(fleet.rows(audit_action::provision_failed) == 1);
    const auto gone = fleet.ada();
    REQUIRE_FALSE(gone);
    REQUIRE(gone.error().code == errc::engine_not_found);
    REQUIRE(gone.error().details);
    CHECK(gone.error().details->cause == boot_failure::provision_failed);
    CHECK(gone.error().details->reason.find("is broken") != std::string::npos);
    CHECK(gone.error().details->at);
    const auto waiting = fleet.wait_for(engine_status::running, 1s);
    CHECK(code_of(waiting) == errc::engine_not_found);
    CHECK((*waiting)->error().details == gone.error().details);
    fleet.run_for(10min);
    CHECK_FALSE(fleet.ada().error().details);

    CHECK_FALSE(progress_of(fleet.provision(0s)).done);
    fleet.run_for(1s);
    CHECK(fleet.ada().error().details);
    fleet.refuses = false;
    fleet.ready = true;
    CHECK(progress_of(fleet.provision(30s)).done);
    fleet.destroy();
    CHECK_FALSE(fleet.ada().error().details);
}

TEST_CASE("who waits when the orchestrator ends is told so") {
    slow_fleet fleet;
    (void)fleet.provision(0s);
    const auto called = fleet.start(1min);
    const auto waiting = fleet.wait_for(engine_status::running, 1min);
    CHECK_FALSE(*called);
    CHECK_FALSE(*waiting);
    fleet.close();
    CHECK(code_of(called) == errc::shutting_down);
    CHECK(code_of(waiting) == errc::shutting_down);
}
