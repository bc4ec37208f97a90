#pragma once

#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/optional_member.hpp>
#include <roundhouse/testing/simulation/backend_observer.hpp>
#include <roundhouse/testing/simulation/fault_injector.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/process.hpp>
#include <roundhouse/testing/simulation/trace.hpp>
#include <roundhouse/testing/simulation/virtual_clock.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// The backend of one incarnation of the process: a way to the machine that fails as the seed has
/// drawn it. For one thread.
///
/// Lifetime: coroutines of calls refer to it and to its clock and process until they are destroyed,
/// which may be long after the process has died (`incarnation`).
class faulty_backend {
public:
    static constexpr auto optional_members = optional_member::prepare | optional_member::on_pause |
                                             optional_member::limits | optional_member::data_copy;

    faulty_backend(machine& host, fault_injector& faults, virtual_clock& clock, process& owner,
                   trace& events, bool needs_port, backend_observer observer)
        : machine_(host),
          faults_(faults),
          clock_(clock),
          process_(owner),
          trace_(events),
          needs_port_(needs_port),
          observer_(std::move(observer)) {}

    [[nodiscard]] std::string_view name() const noexcept { return "simulation"; }
    [[nodiscard]] std::optional<std::string> trouble() const {
        if (!away()) return std::nullopt;
        return "The daemon is away.";
    }
    [[nodiscard]] limit_support limits() const {
        return {.memory_mb = true, .cpus = true, .pids = true};
    }
    [[nodiscard]] bool needs_port() const noexcept { return needs_port_; }
    [[nodiscard]] bool port_usable(std::uint16_t port) const { return machine_.port_usable(port); }
    [[nodiscard]] std::string url(const uuid& engine, std::uint16_t port) const {
        return url_of(engine, port);
    }

    asio::awaitable<result<void>> prepare(const workload& request) {
        effect act = [] { return result<void>{}; };
        const bool upgrade = observer_.is_for_upgrade && observer_.is_for_upgrade(request);
        return perform(upgrade ? backend_operation::prepare_upgrade : backend_operation::prepare,
                       request.ref, std::move(act), quick);
    }
    asio::awaitable<result<void>> create(const workload& request) {
        if (observer_.asked_for) observer_.asked_for(request);
        effect act = [this, request] { return machine_.create(request); };
        return perform(backend_operation::create, request.ref, std::move(act), quick);
    }
    asio::awaitable<result<void>> stop(const workload_ref& ref, duration grace) {
        if (observer_.asked_to_stop) observer_.asked_to_stop(ref, grace);
        effect act = [this, ref] { return machine_.stop(ref); };
        return perform(backend_operation::stop, ref, std::move(act), grace);
    }
    asio::awaitable<result<void>> pause(const workload_ref& ref) {
        effect act = [this, ref] { return machine_.pause(ref); };
        return perform(backend_operation::pause, ref, std::move(act), quick);
    }
    asio::awaitable<result<void>> resume(const workload_ref& ref) {
        effect act = [this, ref] { return machine_.resume(ref); };
        return perform(backend_operation::resume, ref, std::move(act), quick);
    }
    asio::awaitable<result<void>> destroy(const workload_ref& ref) {
        effect act = [this, ref] { return machine_.destroy(ref); };
        return perform(backend_operation::destroy, ref, std::move(act), quick);
    }

    asio::awaitable<result<bool>> copy_data(const workload_ref& ref,
                                            std::optional<std::uint64_t> max_bytes) {
        // A repetition finds the same data, so the last outcome is that of all.
        bool copied = false;
        effect act = [this, ref, max_bytes, &copied] {
            auto outcome = machine_.copy_data(ref, max_bytes);
            if (!outcome) return result<void>(unexpected(std::move(outcome.error())));
            copied = *outcome;
            return result<void>{};
        };
        auto call = perform(backend_operation::copy_data, ref, std::move(act), quick);
        auto outcome = co_await std::move(call);
        if (!outcome) co_return unexpected(std::move(outcome.error()));
        co_return copied;
    }
    asio::awaitable<result<void>> restore_data(const workload_ref& ref) {
        effect act = [this, ref] { return machine_.restore_data(ref); };
        return perform(backend_operation::restore_data, ref, std::move(act), quick);
    }
    asio::awaitable<result<void>> drop_copy(const workload_ref& ref) {
        effect act = [this, ref] { return machine_.drop_copy(ref); };
        return perform(backend_operation::drop_copy, ref, std::move(act), quick);
    }

    asio::awaitable<result<key_swap>> swap_key(const workload_ref& ref, const std::string&,
                                               const sha256_digest& next) {
        auto answer = key_swap::done;
        if (faults_.fires(fault::swap_unsupported)) answer = key_swap::unsupported;
        else if (faults_.fires(fault::swap_unknown)) answer = key_swap::unknown;
        const bool swaps = answer == key_swap::done ||
                           (answer == key_swap::unknown && faults_.random().chance(0.5));
        bool swapped = false;
        effect act = [this, ref, next, swaps, &swapped] {
            auto outcome = swaps ? machine_.swap_key(ref, next) : result<void>{};
            swapped = swaps && outcome;
            return outcome;
        };
        auto call = perform(backend_operation::swap_key, ref, std::move(act), quick);
        auto outcome = co_await std::move(call);
        // A failure would say that the engine has its old key.
        if (swapped && !outcome) co_return key_swap::unknown;
        if (!outcome) co_return unexpected(std::move(outcome.error()));
        co_return answer;
    }

    asio::awaitable<result<health>> probe(const workload_ref& ref, duration timeout) {
        const auto subject = ref;
        const auto latency = faults_.random().between(duration{1}, duration{20});
        const bool hangs = machine_.hangs(subject) || latency > timeout;
        co_await clock_.wait_for(hangs ? timeout : latency);
        if (hangs) co_return fail(errc::backend_error, "It does not answer in time.");
        if (away()) co_return unexpected(daemon_away());
        auto answer = machine_.answer(subject);
        if (answer && observer_.probed) observer_.probed(subject, *answer);
        co_return answer;
    }

    asio::awaitable<result<std::vector<found_workload>>> list() {
        std::vector<found_workload> found;
        effect act = [this, &found] {
            for (const auto& [id, engine] : machine_.engines())
                found.push_back({engine.ref, engine.state, engine.ours, engine.owner});
            return result<void>{};
        };
        const workload_ref all;
        auto call = perform(backend_operation::list, all, std::move(act), quick);
        auto outcome = co_await std::move(call);
        if (!outcome) co_return unexpected(std::move(outcome.error()));
        co_return found;
    }

    asio::awaitable<result<std::string>> logs(const workload_ref&, std::size_t) {
        co_await clock_.wait_for(quick);
        co_return std::string("a line\n");
    }

    void on_exit(std::function<void(const workload_exit&)> handler) {
        if (process_.alive()) machine_.on_exit(std::move(handler));
    }
    void on_pause(std::function<void(const workload_pause&)> handler) {
        if (process_.alive()) machine_.on_pause(std::move(handler));
    }

private:
    using effect = std::function<result<void>()>;
    /// The longest time that a call takes if nothing is wrong.
    static constexpr duration quick{30};

    /// How one call goes.
    struct call_course {
        duration before_effect{};
        bool has_effect = true;
        std::optional<duration> repeat_after;             ///< From the effect to its repetition.
        std::optional<duration> reply_after{duration{0}}; ///< Nothing if it is never answered.
        bool fails = false;
        bool effect_if_cancelled = false;
    };

    [[nodiscard]] bool away() const { return machine_.away(); }
    static error daemon_away() { return {errc::backend_away, "The daemon is away."}; }
    static error failed() { return {errc::backend_error, "It went wrong."}; }
    static error dead() { return {errc::backend_error, "The process is gone."}; }

    call_course draw(backend_operation operation, duration usual) {
        auto& random = faults_.random();
        call_course out;
        // Most stops are quick; a few take the whole of their grace.
        out.before_effect = random.between(duration{0},
                                           random.chance(0.1) ? usual : std::min(usual, quick));
        out.effect_if_cancelled = faults_.fires(fault::cancelled_late);
        if (faults_.fires(fault::call_fails)) {
            out.has_effect = false;
            out.fails = true;
        } else if (faults_.fires(fault::reply_lost)) {
            out.fails = true;
        }
        if (out.has_effect && faults_.fires(fault::twice))
            out.repeat_after = random.between(duration{0}, duration{2'000});
        if (faults_.fires(fault::late_answer))
            delay(out, random.between(duration{1'000}, duration{30'000}));
        if (operation != backend_operation::list && faults_.fires(fault::never_answered))
            never_answer(operation, out);
        return out;
    }

    /// Makes a call take longer, before or after its effect.
    void delay(call_course& course, duration by) {
        (faults_.random().chance(0.5) ? course.before_effect : *course.reply_after) += by;
    }

    /// A create cannot be cancelled, so it is answered after minutes. Any other call that is never
    /// answered may or may not have its effect.
    void never_answer(backend_operation operation, call_course& course) {
        auto& random = faults_.random();
        if (operation == backend_operation::create) {
            delay(course, random.between(std::chrono::seconds{60}, std::chrono::seconds{300}));
        } else {
            course.has_effect = course.has_effect && random.chance(0.5);
            course.reply_after.reset();
        }
    }

    /// Reports the beginning and the end of a call to the observer, also when it is cancelled.
    class observed_call {
    public:
        observed_call(const backend_observer& observer, backend_operation operation,
                      workload_ref ref)
            : observer_(observer), operation_(operation), ref_(ref) {
            if (observer_.began) observer_.began(operation_, ref_);
        }
        ~observed_call() {
            if (observer_.ended) observer_.ended(operation_, ref_);
        }
        observed_call(const observed_call&) = delete;
        observed_call& operator=(const observed_call&) = delete;

    private:
        const backend_observer& observer_;
        const backend_operation operation_;
        const workload_ref ref_;
    };

    asio::awaitable<result<void>> perform(backend_operation operation, workload_ref ref, effect act,
                                          duration usual) {
        const auto crash = process_.interact();
        if (!process_.alive()) co_return unexpected(dead());
        const observed_call observed(observer_, operation, ref);
        const auto course = draw(operation, usual);
        note(operation, ref, "called");
        bool begun = false;
        try {
            auto rest = carry_out(operation, ref, course, crash, act, begun);
            auto outcome = co_await std::move(rest);
            co_return outcome;
        } catch (const std::system_error&) {
            if (!process_.alive()) throw;
            note(operation, ref, "cancelled");
            // Nobody takes the outcome of a call that was cancelled.
            if (!begun && course.effect_if_cancelled) (void)act();
            if (crash == crash_time::after_effect) process_.die();
            throw;
        }
    }

    asio::awaitable<result<void>> carry_out(backend_operation operation, workload_ref ref,
                                            const call_course& course, crash_time crash,
                                            const effect& act, bool& begun) {
        if (away()) {
            if (crash == crash_time::after_effect) process_.die();
            co_return unexpected(daemon_away());
        }
        co_await clock_.wait_for(course.before_effect);
        begun = true;
        auto outcome = course.has_effect ? act() : result<void>{};
        note(operation, ref, course.has_effect ? (outcome ? "done" : "refused") : "lost");
        if (crash == crash_time::after_effect) {
            process_.die();
            co_return unexpected(dead());
        }
        if (course.repeat_after) {
            co_await clock_.wait_for(*course.repeat_after);
            (void)act(); // The first outcome is the one that is reported.
        }
        co_await clock_.wait_for(course.reply_after.value_or(duration::max()));
        if (course.fails) co_return unexpected(failed());
        co_return outcome;
    }

    void note(backend_operation operation, const workload_ref& ref, std::string_view stage) {
        trace_.note("backend: " + std::string(name_of(operation)) + " " + short_id(ref.engine_id) +
                    "/" + std::to_string(ref.generation) + " " + std::string(stage));
    }

    machine& machine_;
    fault_injector& faults_;
    virtual_clock& clock_;
    process& process_;
    trace& trace_;
    const bool needs_port_;
    const backend_observer observer_;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
