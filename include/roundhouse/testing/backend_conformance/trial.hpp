#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/backend_conformance/backend_calls.hpp>
#include <roundhouse/testing/backend_conformance/exit_log.hpp>
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

/// One case at work on a backend: calls it, waits for it, and hears of exits.
template <backend Backend> class backend_trial : public backend_calls<Backend> {
    using calls = backend_calls<Backend>;
    using calls::subject_;

public:
    using calls::create, calls::destroy, calls::finish, calls::probe, calls::start_destroy,
        calls::start_list, calls::start_probe, calls::tested;

    explicit backend_trial(const backend_subject<Backend>& subject)
        : calls(subject), product_(crypto::make_uuid(crypto::system_entropy)) {
        subject_.tested.on_exit([log = exits_](const workload_exit& what) { log->add(what); });
    }
    backend_trial(const backend_trial&) = delete;
    backend_trial& operator=(const backend_trial&) = delete;
    ~backend_trial() {
        for (const auto& engine : made_) give_up(engine);
    }

    /// An engine that never was, with a port if the backend wants one.
    [[nodiscard]] trial_engine fresh(std::uint64_t generation = 1) {
        trial_engine out;
        out.key = crypto::make_engine_key(crypto::system_entropy);
        out.what.ref.engine_id = crypto::make_uuid(crypto::system_entropy);
        out.what.ref.generation = generation;
        if (tested().needs_port()) out.what.ref.port = subject_.free_port();
        out.what.product_id = product_;
        out.what.user_id = "user-" + std::to_string(made_.size());
        out.what.version = subject_.version;
        out.what.key_hash = crypto::sha256(out.key);
        made_.push_back(out);
        return out;
    }

    /// A fresh one that is healthy.
    [[nodiscard]] trial_engine
    boot(std::uint64_t generation = 1,
         const std::source_location& where = std::source_location::current()) {
        auto engine = fresh(generation);
        must(create(engine), where);
        await_healthy(engine, where);
        return engine;
    }

    /// Waits until something is so.
    template <class Condition>
    void await(Condition holds, std::string_view sentence,
               const std::source_location& where = std::source_location::current()) const {
        const auto limit = std::chrono::steady_clock::now() + subject_.patience;
        while (!holds()) {
            require(std::chrono::steady_clock::now() < limit, sentence, where);
            std::this_thread::sleep_for(between_looks);
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
            std::this_thread::sleep_for(between_looks);
        }
    }

    // What `list` says

    [[nodiscard]] std::optional<found_workload>
    listed(const trial_engine& engine,
           const std::source_location& where = std::source_location::current()) {
        const auto all = must(finish(start_list(), where), where);
        std::optional<found_workload> out;
        for (const auto& one : all) {
            if (one.ref.engine_id != engine.what.ref.engine_id) continue;
            require(!out, "an engine is listed once", where);
            out = one;
        }
        return out;
    }
    [[nodiscard]] bool is(const trial_engine& engine, workload_state state) {
        const auto found = listed(engine);
        return found && found->state == state;
    }
    /// The engine's only workload is this one, in that state.
    void require_listed(const trial_engine& engine, workload_state state,
                        const std::source_location& where = std::source_location::current()) {
        const auto found = listed(engine, where);
        require(found.has_value(), "should be listed", where);
        require(found->state == state,
                "should be listed as " + std::string(name_of(state)) + ", not as " +
                    std::string(name_of(found->state)),
                where);
        require(found->ours, "is this installation's", where);
        if (state == workload_state::down) return; // of remains a backend may know no more
        require(found->ref == engine.what.ref, "is listed with its generation and its port", where);
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

    void crash(const trial_engine& engine) { subject_.crash(engine.what.ref); }

    void await_exit(const trial_engine& engine, std::size_t exits = 1,
                    const std::source_location& where = std::source_location::current()) {
        require(exits_->wait_for(engine.what.ref.engine_id, exits, subject_.patience),
                "the exit should be reported", where);
    }
    /// What was reported of an engine, once all that has happened so far must have been: news of
    /// another one's end comes after.
    [[nodiscard]] std::vector<workload_exit>
    reported(const trial_engine& engine,
             const std::source_location& where = std::source_location::current()) {
        const auto another = fresh();
        must(create(another), where);
        crash(another);
        await_exit(another, 1, where);
        return exits_->of(engine.what.ref.engine_id);
    }
    void require_no_exit(const trial_engine& engine,
                         const std::source_location& where = std::source_location::current()) {
        require(reported(engine, where).empty(), "an end that was asked for is no news", where);
    }
    void require_one_exit(const trial_engine& engine,
                          const std::source_location& where = std::source_location::current()) {
        await_exit(engine, 1, where);
        const auto told = reported(engine, where);
        require(told.size() == 1, "an exit is reported once", where);
        require(told.front().ref == engine.what.ref, "it is reported as the workload's", where);
    }

    // What only the engine can tell

    [[nodiscard]] std::optional<std::uint64_t> count(const trial_engine& engine,
                                                     const std::string& key) {
        return subject_.count(engine.what.ref, key);
    }
    /// The engine counts as far as that with its key.
    void require_count(const trial_engine& engine, std::uint64_t wanted,
                       const std::source_location& where = std::source_location::current()) {
        const auto seen = count(engine, engine.key);
        require(seen.has_value(), "its key should open the engine", where);
        require(*seen == wanted,
                "should have counted to " + std::to_string(wanted) + ", not to " +
                    std::to_string(*seen),
                where);
    }

    /// Destroys all that the case has made, at once. Each must be gone then.
    void clear(const std::source_location& where = std::source_location::current()) {
        std::vector<std::future<result<void>>> begun;
        for (const auto& engine : made_) begun.push_back(start_destroy(engine));
        for (auto& one : begun) must(finish(std::move(one), where), where);
        for (const auto& engine : std::exchange(made_, {})) require_gone(engine, where);
    }

private:
    /// Of a case that failed, and has told why: nothing more is asked of the backend.
    void give_up(const trial_engine& engine) noexcept {
        try {
            static_cast<void>(destroy(engine));
        } catch (const std::exception&) {
            return;
        }
    }

    static constexpr duration long_timeout = std::chrono::seconds{10};
    static constexpr std::chrono::milliseconds between_looks{5};

    const uuid product_;
    const std::shared_ptr<exit_log> exits_ = std::make_shared<exit_log>();
    std::vector<trial_engine> made_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
