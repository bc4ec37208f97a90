#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/testing/simulation/clock.hpp>
#include <roundhouse/testing/simulation/faults.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/process.hpp>
#include <roundhouse/testing/simulation/trace.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

enum class sim_operation : std::uint8_t {
    prepare,
    create,
    stop,
    pause,
    resume,
    destroy,
    swap_key,
    probe,
    list
};

constexpr std::string_view name_of(sim_operation what) noexcept {
    switch (what) {
    case sim_operation::prepare: return "prepare";
    case sim_operation::create: return "create";
    case sim_operation::stop: return "stop";
    case sim_operation::pause: return "pause";
    case sim_operation::resume: return "resume";
    case sim_operation::destroy: return "destroy";
    case sim_operation::swap_key: return "swap_key";
    case sim_operation::probe: return "probe";
    case sim_operation::list: return "list";
    }
    return "unknown";
}

/// Who watches a `sim_backend`. Empty functions do nothing.
struct sim_backend_watch {
    /// A call begins, or has ended: was answered or cancelled.
    std::function<void(sim_operation, const workload_ref&)> began = {};
    std::function<void(sim_operation, const workload_ref&)> ended = {};
    /// A probe was answered healthy, to whom that is told next.
    std::function<void(const workload_ref&, const health&)> probed = {};
};

/// The backend of one incarnation of the process: a way to the machine that fails as the seed has
/// it. For one thread.
class sim_backend {
public:
    sim_backend(std::shared_ptr<sim_machine> machine, std::shared_ptr<sim_faults> faults,
                std::shared_ptr<sim_clock> clock, std::shared_ptr<sim_process> process,
                std::shared_ptr<sim_trace> trace, bool needs_port, sim_backend_watch watch)
        : machine_(std::move(machine)),
          faults_(std::move(faults)),
          clock_(std::move(clock)),
          process_(std::move(process)),
          trace_(std::move(trace)),
          needs_port_(needs_port),
          watch_(std::move(watch)) {}

    [[nodiscard]] std::string_view name() const noexcept { return "simulation"; }
    [[nodiscard]] std::optional<std::string> trouble() const {
        if (!away()) return std::nullopt;
        return "The daemon is away.";
    }
    [[nodiscard]] bool needs_port() const noexcept { return needs_port_; }
    [[nodiscard]] bool port_usable(std::uint16_t port) const { return machine_->port_usable(port); }
    [[nodiscard]] std::string url(const uuid& engine, std::uint16_t port) const {
        return "sim://" + short_id(engine) + ":" + std::to_string(port);
    }

    asio::awaitable<result<void>> prepare(const workload& what) {
        effect act = [] { return result<void>{}; };
        return perform(sim_operation::prepare, what.ref, std::move(act), quick);
    }
    asio::awaitable<result<void>> create(const workload& what) {
        effect act = [this, what] { return machine_->create(what); };
        return perform(sim_operation::create, what.ref, std::move(act), quick);
    }
    asio::awaitable<result<void>> stop(const workload_ref& what, duration grace) {
        effect act = [this, what] { return machine_->stop(what); };
        return perform(sim_operation::stop, what, std::move(act), grace);
    }
    asio::awaitable<result<void>> pause(const workload_ref& what) {
        effect act = [this, what] { return machine_->pause(what); };
        return perform(sim_operation::pause, what, std::move(act), quick);
    }
    asio::awaitable<result<void>> resume(const workload_ref& what) {
        effect act = [this, what] { return machine_->resume(what); };
        return perform(sim_operation::resume, what, std::move(act), quick);
    }
    asio::awaitable<result<void>> destroy(const workload_ref& what) {
        effect act = [this, what] { return machine_->destroy(what); };
        return perform(sim_operation::destroy, what, std::move(act), quick);
    }

    asio::awaitable<result<key_swap>> swap_key(const workload_ref& what, const std::string&,
                                               const sha256_digest& next) {
        auto answer = key_swap::done;
        if (faults_->strikes(sim_fault::swap_unsupported)) answer = key_swap::unsupported;
        else if (faults_->strikes(sim_fault::swap_unknown)) answer = key_swap::unknown;
        const bool swaps = answer == key_swap::done ||
                           (answer == key_swap::unknown && faults_->random().chance(0.5));
        auto taken = std::make_shared<bool>(false);
        effect act = [this, what, next, swaps, taken] {
            auto done = swaps ? machine_->swap_key(what, next) : result<void>{};
            *taken = swaps && done;
            return done;
        };
        auto call = perform(sim_operation::swap_key, what, std::move(act), quick);
        auto done = co_await std::move(call);
        // A failure would say that it has its old key.
        if (*taken && !done) co_return key_swap::unknown;
        if (!done) co_return unexpected(std::move(done.error()));
        co_return answer;
    }

    asio::awaitable<result<health>> probe(const workload_ref& what, duration timeout) {
        const auto ref = what;
        const auto latency = faults_->random().between(duration{1}, duration{20});
        const bool hangs = machine_->hangs(ref) || latency > timeout;
        const auto until = clock_->now() + (hangs ? timeout : latency);
        co_await clock_->wait_until(until);
        if (hangs) co_return fail(errc::backend_error, "It does not answer in time.");
        if (away()) co_return unexpected(daemon_away());
        auto answer = machine_->answer(ref);
        if (answer && watch_.probed) watch_.probed(ref, *answer);
        co_return answer;
    }

    asio::awaitable<result<std::vector<found_workload>>> list() {
        auto found = std::make_shared<std::vector<found_workload>>();
        effect act = [this, found] {
            for (const auto& [id, one] : machine_->engines())
                found->push_back({one.ref, one.state, one.ours, one.owner});
            return result<void>{};
        };
        const workload_ref all;
        auto call = perform(sim_operation::list, all, std::move(act), quick);
        auto done = co_await std::move(call);
        if (!done) co_return unexpected(std::move(done.error()));
        co_return *found;
    }

    asio::awaitable<result<std::string>> logs(const workload_ref&, std::size_t) {
        const auto until = clock_->now() + quick;
        co_await clock_->wait_until(until);
        co_return std::string("a line\n");
    }

    void on_exit(std::function<void(const workload_exit&)> handler) {
        if (process_->alive()) machine_->on_exit(std::move(handler));
    }
    void on_pause(std::function<void(const workload_pause&)> handler) {
        if (process_->alive()) machine_->on_pause(std::move(handler));
    }

private:
    using effect = std::function<result<void>()>;
    static constexpr duration quick{30}; ///< How long a call that goes well takes at most.

    /// How one call goes.
    struct course {
        duration before{};
        bool effect = true;
        std::optional<duration> again_after;
        std::optional<duration> after{duration{0}}; ///< Nothing: it is never answered.
        bool fails = false;
        bool effect_if_cancelled = false;
    };

    [[nodiscard]] bool away() const { return machine_->away(); }
    static error daemon_away() { return {errc::backend_away, "The daemon is away."}; }
    static error failed() { return {errc::backend_error, "It went wrong."}; }
    static error dead() { return {errc::backend_error, "The process is gone."}; }

    course draw(sim_operation what, duration usual) {
        auto& random = faults_->random();
        course out;
        // Most stops are quick; a few take the whole of their grace.
        out.before = random.between(duration{0},
                                    random.chance(0.1) ? usual : std::min(usual, quick));
        out.effect_if_cancelled = faults_->strikes(sim_fault::cancelled_late);
        if (faults_->strikes(sim_fault::call_fails)) {
            out.effect = false;
            out.fails = true;
        } else if (faults_->strikes(sim_fault::reply_lost)) {
            out.fails = true;
        }
        if (out.effect && faults_->strikes(sim_fault::twice))
            out.again_after = random.between(duration{0}, duration{2'000});
        if (faults_->strikes(sim_fault::late_answer))
            (random.chance(0.5) ? out.before : *out.after) += random.between(duration{1'000},
                                                                             duration{30'000});
        if (what != sim_operation::list && faults_->strikes(sim_fault::never_answered))
            never_answer(what, out);
        return out;
    }

    /// Nobody can give up a create, so that one is answered some day. What is never answered has
    /// its effect or has not.
    void never_answer(sim_operation what, course& out) {
        auto& random = faults_->random();
        if (what == sim_operation::create) {
            (random.chance(0.5) ? out.before : *out.after) += random.between(
                std::chrono::seconds{60}, std::chrono::seconds{300});
        } else {
            out.effect = out.effect && random.chance(0.5);
            out.after.reset();
        }
    }

    /// Tells the watch that a call ends, however that comes about.
    class in_flight {
    public:
        in_flight(const sim_backend& of, sim_operation what, workload_ref ref)
            : of_(of), what_(what), ref_(ref) {
            if (of_.watch_.began) of_.watch_.began(what_, ref_);
        }
        ~in_flight() {
            if (of_.watch_.ended) of_.watch_.ended(what_, ref_);
        }
        in_flight(const in_flight&) = delete;
        in_flight& operator=(const in_flight&) = delete;

    private:
        const sim_backend& of_;
        const sim_operation what_;
        const workload_ref ref_;
    };

    asio::awaitable<result<void>> perform(sim_operation what, workload_ref ref, effect act,
                                          duration usual) {
        const auto fate = process_->interact();
        if (!process_->alive()) co_return unexpected(dead());
        const in_flight mine(*this, what, ref);
        const auto how = draw(what, usual);
        note(what, ref, "called");
        bool begun = false;
        try {
            auto rest = go(what, ref, how, fate, act, begun);
            auto done = co_await std::move(rest);
            co_return done;
        } catch (const std::system_error&) {
            if (!process_->alive()) throw;
            note(what, ref, "cancelled");
            // The answer is of no interest to anybody.
            if (!begun && how.effect_if_cancelled) (void)act();
            if (fate == sim_fate::dies_after) process_->die();
            throw;
        }
    }

    asio::awaitable<result<void>> go(sim_operation what, workload_ref ref, const course& how,
                                     sim_fate fate, const effect& act, bool& begun) {
        if (away()) {
            if (fate == sim_fate::dies_after) process_->die();
            co_return unexpected(daemon_away());
        }
        const auto effect_at = clock_->now() + how.before;
        co_await clock_->wait_until(effect_at);
        begun = true;
        auto outcome = how.effect ? act() : result<void>{};
        note(what, ref, how.effect ? (outcome ? "done" : "refused") : "lost");
        if (fate == sim_fate::dies_after) {
            process_->die();
            co_return unexpected(dead());
        }
        if (how.again_after) {
            const auto again_at = clock_->now() + *how.again_after;
            co_await clock_->wait_until(again_at);
            (void)act(); // the first outcome is the one that is told
        }
        const auto answered_at = how.after ? clock_->now() + *how.after : sim_machine::never;
        co_await clock_->wait_until(answered_at);
        if (how.fails) co_return unexpected(failed());
        co_return outcome;
    }

    void note(sim_operation what, const workload_ref& ref, std::string_view how) {
        trace_->note("backend: " + std::string(name_of(what)) + " " + short_id(ref.engine_id) +
                     "/" + std::to_string(ref.generation) + " " + std::string(how));
    }

    const std::shared_ptr<sim_machine> machine_;
    const std::shared_ptr<sim_faults> faults_;
    const std::shared_ptr<sim_clock> clock_;
    const std::shared_ptr<sim_process> process_;
    const std::shared_ptr<sim_trace> trace_;
    const bool needs_port_;
    const sim_backend_watch watch_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
