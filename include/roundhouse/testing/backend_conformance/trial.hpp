#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/backend_conformance/backend_calls.hpp>
#include <roundhouse/testing/backend_conformance/report_log.hpp>
#include <roundhouse/testing/backend_conformance/subject.hpp>
#include <roundhouse/testing/backend_conformance/trial_engine.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/version.hpp>
#include <roundhouse/workload.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

[[nodiscard]] constexpr std::string_view name_of(workload_state state) noexcept {
    switch (state) {
    case workload_state::up: return "up";
    case workload_state::paused: return "paused";
    case workload_state::down: return "down";
    }
    return "unknown";
}

/// The work of one case on a backend: makes engines, calls the backend for them, and collects its
/// reports.
template <backend Backend> class backend_trial : public backend_calls<Backend> {
    using calls = backend_calls<Backend>;
    using calls::subject_;

public:
    using calls::create, calls::destroy, calls::finish, calls::probe, calls::start_destroy,
        calls::start_list, calls::start_probe, calls::tested;

    explicit backend_trial(const backend_subject<Backend>& subject)
        : calls(subject), product_(crypto::make_uuid(crypto::system_entropy)) {
        subject_.tested.on_exit([log = exits_](const workload_exit& exit) { log->add(exit); });
        if constexpr (reports_pauses<Backend>)
            subject_.tested.on_pause(
                [log = pauses_](const workload_pause& pause) { log->add(pause); });
    }
    backend_trial(const backend_trial&) = delete;
    backend_trial& operator=(const backend_trial&) = delete;
    ~backend_trial() {
        for (const auto& engine : made_) give_up(engine);
    }

    /// A new engine that the backend knows nothing of, with a port if the backend needs one.
    [[nodiscard]] trial_engine fresh(std::uint64_t generation = 1) {
        trial_engine engine;
        auto& workload = engine.workload;
        engine.key = crypto::make_engine_key(crypto::system_entropy);
        workload.ref.engine_id = crypto::make_uuid(crypto::system_entropy);
        workload.ref.generation = generation;
        if (tested().needs_port()) workload.ref.port = subject_.free_port();
        workload.owner = {product_, "user-" + std::to_string(made_.size())};
        workload.version = subject_.version;
        workload.key_hash = crypto::sha256(engine.key);
        made_.push_back(engine);
        return engine;
    }

    /// A new engine that is healthy.
    [[nodiscard]] trial_engine
    boot(std::uint64_t generation = 1,
         const std::source_location& where = std::source_location::current()) {
        auto engine = fresh(generation);
        must(create(engine), where);
        await_healthy(engine, where);
        return engine;
    }

    /// Waits until a condition holds.
    template <class Condition>
    void await(Condition holds, std::string_view sentence,
               const std::source_location& where = std::source_location::current()) const {
        const auto limit = std::chrono::steady_clock::now() + subject_.patience;
        while (!holds()) {
            require(std::chrono::steady_clock::now() < limit, sentence, where);
            std::this_thread::sleep_for(poll_interval);
        }
    }

    void await_healthy(const trial_engine& engine,
                       const std::source_location& where = std::source_location::current()) {
        const auto limit = std::chrono::steady_clock::now() + subject_.patience;
        while (true) {
            const auto answer = finish(start_probe(engine, long_timeout), where);
            if (answer) return;
            require(std::chrono::steady_clock::now() < limit,
                    "should become healthy: " + answer.error().message, where);
            std::this_thread::sleep_for(poll_interval);
        }
    }

    /// Requires that a workload has the variables that it was created with, as far as the subject
    /// tells.
    void
    require_variables(const trial_engine& engine,
                      const std::source_location& where = std::source_location::current()) const {
        if (!subject_.environment) return;
        const auto seen = subject_.environment(engine.workload.ref);
        for (const auto& [name, value] : engine.workload.env) {
            const auto found = seen.find(name);
            require(found != seen.end() && found->second == value,
                    "a workload should have its variable " + name, where);
        }
    }
    void
    require_no_variable(const trial_engine& engine, const std::string& name,
                        const std::source_location& where = std::source_location::current()) const {
        if (!subject_.environment) return;
        require(!subject_.environment(engine.workload.ref).contains(name),
                "a workload should not have the variable " + name, where);
    }

    // The list

    [[nodiscard]] std::optional<found_workload>
    listed(const trial_engine& engine,
           const std::source_location& where = std::source_location::current()) {
        const auto all = must(finish(start_list(), where), where);
        std::optional<found_workload> found;
        for (const auto& entry : all) {
            if (entry.ref.engine_id != engine.workload.ref.engine_id) continue;
            require(!found, "an engine is listed once", where);
            found = entry;
        }
        return found;
    }
    [[nodiscard]] bool is(const trial_engine& engine, workload_state state) {
        const auto found = listed(engine);
        return found && found->state == state;
    }
    /// Requires that the engine's only workload is this one, in that state.
    void require_listed(const trial_engine& engine, workload_state state,
                        const std::source_location& where = std::source_location::current()) {
        const auto found = listed(engine, where);
        require(found.has_value(), "should be listed", where);
        require(found->state == state,
                "should be listed as " + std::string(name_of(state)) + ", not as " +
                    std::string(name_of(found->state)),
                where);
        require(found->ours, "should be listed as this installation's", where);
        // A backend need not know the generation and the port of remains.
        if (state == workload_state::down) return;
        require(found->ref == engine.workload.ref,
                "should be listed with its generation and its port", where);
    }
    void require_gone(const trial_engine& engine,
                      const std::source_location& where = std::source_location::current()) {
        require(!listed(engine, where), "should not be listed", where);
    }

    void require_unhealthy(const trial_engine& engine,
                           const std::source_location& where = std::source_location::current()) {
        require_refused(probe(engine), errc::backend_error, where);
    }

    // Exits

    void crash(const trial_engine& engine) { subject_.crash(engine.workload.ref); }

    void await_exit(const trial_engine& engine, std::size_t exits = 1,
                    const std::source_location& where = std::source_location::current()) {
        require(exits_->wait_for(engine.workload.ref.engine_id, exits, subject_.patience),
                "the exit should be reported", where);
    }
    /// The exits of an engine that were reported, up to now: reports keep the order of the exits,
    /// so this waits for the report of another engine's crash.
    [[nodiscard]] std::vector<workload_exit>
    reported(const trial_engine& engine,
             const std::source_location& where = std::source_location::current()) {
        const auto another = fresh();
        must(create(another), where);
        crash(another);
        await_exit(another, 1, where);
        return exits_->of(engine.workload.ref.engine_id);
    }
    void require_no_exit(const trial_engine& engine,
                         const std::source_location& where = std::source_location::current()) {
        require(reported(engine, where).empty(), "an exit that was asked for is not reported",
                where);
    }
    void require_one_exit(const trial_engine& engine,
                          const std::source_location& where = std::source_location::current()) {
        await_exit(engine, 1, where);
        const auto exits = reported(engine, where);
        require(exits.size() == 1, "an exit is reported once", where);
        require(exits.front().ref == engine.workload.ref, "an exit is reported as the workload's",
                where);
        require(exits.front().owner == engine.workload.owner, "an exit names the engine's owner",
                where);
    }

    // Pauses that the backend was not asked for

    /// Whether the reports of pauses can be tested.
    [[nodiscard]] bool can_pause_from_outside() const { return subject_.set_paused != nullptr; }
    void pause_from_outside(const trial_engine& engine, bool paused) {
        subject_.set_paused(engine.workload.ref, paused);
    }
    /// Waits until an engine has at least `count` reports, and returns all of them.
    [[nodiscard]] std::vector<workload_pause>
    await_pauses(const trial_engine& engine, std::size_t count,
                 const std::source_location& where = std::source_location::current()) {
        const auto& id = engine.workload.ref.engine_id;
        require(pauses_->wait_for(id, count, subject_.patience), "the pause should be reported",
                where);
        return pauses_->of(id);
    }
    [[nodiscard]] std::vector<workload_pause> pauses(const trial_engine& engine) const {
        return pauses_->of(engine.workload.ref.engine_id);
    }

    // The engine's own answers

    [[nodiscard]] std::optional<std::uint64_t> count(const trial_engine& engine,
                                                     const std::string& key) {
        return subject_.count(engine.workload.ref, key);
    }
    /// Raises the engine's count, with its key, and requires the result.
    void require_count(const trial_engine& engine, std::uint64_t wanted,
                       const std::source_location& where = std::source_location::current()) {
        const auto reached = count(engine, engine.key);
        require(reached.has_value(), "its key should open the engine", where);
        require(*reached == wanted,
                "should have counted to " + std::to_string(wanted) + ", not to " +
                    std::to_string(*reached),
                where);
    }

    /// Destroys all engines of the case at once, and requires that they are gone.
    void clear(const std::source_location& where = std::source_location::current()) {
        std::vector<std::future<result<void>>> started;
        for (const auto& engine : made_) started.push_back(start_destroy(engine));
        for (auto& destruction : started) must(finish(std::move(destruction), where), where);
        for (const auto& engine : std::exchange(made_, {})) require_gone(engine, where);
    }

private:
    /// Destroys an engine of a case that has failed, as far as that is possible.
    void give_up(const trial_engine& engine) noexcept {
        try {
            static_cast<void>(destroy(engine)); // the case has reported its failure already
        } catch (const std::exception&) {
            return;
        }
    }

    static constexpr duration long_timeout = std::chrono::seconds{10};
    static constexpr std::chrono::milliseconds poll_interval{5};

    const uuid product_;
    const std::shared_ptr<report_log<workload_exit>> exits_ =
        std::make_shared<report_log<workload_exit>>();
    const std::shared_ptr<report_log<workload_pause>> pauses_ =
        std::make_shared<report_log<workload_pause>>();
    std::vector<trial_engine> made_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
