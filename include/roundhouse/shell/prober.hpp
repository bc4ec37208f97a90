#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/shell/brakes.hpp>
#include <roundhouse/shell/mailbox.hpp>
#include <roundhouse/shell/probe_schedule.hpp>
#include <roundhouse/shell/product_rounds.hpp>
#include <roundhouse/shell/running_engines.hpp>
#include <roundhouse/shell/services.hpp>

#include <asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Probes the running engines, each once per interval, spread evenly, and a bounded number at a
/// time; and finds those that nobody uses (SPEC §5). It only reports what it sees: the state machine
/// decides. An engine is probed before it is found idle, so that one that does not answer fails,
/// however soon engines are put to sleep. Thread-safe.
class prober {
public:
    prober(services& services, running_engines& running, class brakes& brakes, engine_inbox& inbox)
        : services_(services),
          running_(running),
          brakes_(brakes),
          inbox_(inbox),
          schedule_(services, [this](std::uint64_t hash, duration due) { check(hash, due); }) {}

    /// Follows a record whose change was decided then; `after` is null if the engine is gone.
    void follow(const engine_record& before, const engine_record* after, const core::moment& then);
    /// Begins to probe an engine that runs, and whose record was decided or found then.
    void watch(const engine_record& engine, const core::moment& then);
    void close();

    /// When a running engine will be put to sleep if nothing happens; nothing if never. The times are
    /// steady.
    [[nodiscard]] std::optional<duration> sleeps_at(const engine_record& engine,
                                                    duration now) const;

private:
    /// An engine that waits for its probe.
    struct request {
        engine_ptr engine;
        std::uint32_t life = 0; ///< The one in which the probe is due.
        bool suspect = false;   ///< The last probe failed.
    };
    /// What a check of a running engine goes by.
    struct observation {
        uuid engine;
        std::uint32_t life = 0;
        bool suspect = false;
        std::optional<duration> probed; ///< Steady time.
    };

    // Checks
    [[nodiscard]] duration next_probe(const engine_record& engine, duration now) const;
    void check_at(const running_engine_ref& engine, duration due);
    void check_next(const engine_record& engine, duration now);
    [[nodiscard]] std::optional<observation> begin_check(std::uint64_t hash, duration due) const;
    void check(std::uint64_t hash, duration due);
    void check_row(const observation& seen, std::uint64_t hash, const result<engine_ptr>& row);
    void put_to_sleep(const engine_ptr& engine);

    // Probes
    [[nodiscard]] bool has_place_for(bool suspect) const noexcept;
    void take_place(bool suspect) noexcept;
    void leave_place(bool suspect);
    void probe(request wanted);
    void launch(request wanted);
    asio::awaitable<result<health>> ask(engine_ptr engine);
    std::optional<request> next();
    [[nodiscard]] bool lives(const request& wanted) const;
    void probed(const request& wanted, const result<health>& answer);
    void probed_healthy(const request& wanted, const health& answer);
    void probed_unhealthy(const request& wanted, const error& why);

    services& services_;
    running_engines& running_;
    class brakes& brakes_;
    engine_inbox& inbox_;
    probe_schedule schedule_;

    std::mutex mutex_;
    std::size_t probing_ = 0;
    std::size_t probing_suspects_ = 0;
    // At most one request for each life of an engine: it has one time to be checked.
    product_rounds<request> queue_;
    product_rounds<request> suspects_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/prober.ipp>
#endif
