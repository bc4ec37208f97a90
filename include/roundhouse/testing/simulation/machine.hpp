#pragma once

#include <roundhouse/core/generation.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/simulation/fault_injector.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/trace.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// What the machine holds of one engine: its data, and the last workload that was made for it.
struct hosted_engine {
    workload_ref ref; ///< Names the workload.
    engine_owner owner;
    workload_state state = workload_state::down;
    bool ours = true;             ///< False for a workload of another installation.
    bool orphan = false;          ///< It was there, without a row, when the run began.
    std::uint64_t our_pauses = 0; ///< How often the backend paused or resumed it.
    /// A third party has paused or resumed it, which may be reported late.
    bool paused_by_others = false;
    sha256_digest key_hash{};
    std::string version;    ///< Of the last workload; see `machine::boot`.
    std::uint64_t data = 0; ///< A value that stays the same until the data is removed.
    std::uint64_t copy = 0; ///< The value that a copy of the data has; 0 if there is none.
    instant healthy_at{};   ///< `machine::never` if it never becomes healthy.
    instant sick_until{};
    instant busy_until{};
    instant hung_until{};

    [[nodiscard]] bool alive() const noexcept { return state != workload_state::down; }
};

/// Where the workload of an engine with this port is reached.
[[nodiscard]] inline std::string url_of(const uuid& engine, std::uint16_t port) {
    return "sim://" + short_id(engine) + ":" + std::to_string(port);
}

/// The machine on which workloads run. It outlives the process that looks after them. Everything
/// here happens at once; `faulty_backend` is the unreliable way to it. For one thread.
class machine {
public:
    static constexpr instant never = instant::max();

    machine(timeline& time, fault_injector& faults, trace& events, duration boot_timeout)
        : time_(time), faults_(faults), trace_(events), boot_timeout_(boot_timeout) {}

    [[nodiscard]] const std::map<uuid, hosted_engine>& engines() const noexcept { return engines_; }
    [[nodiscard]] hosted_engine* find(const uuid& engine) {
        const auto found = engines_.find(engine);
        return found == engines_.end() ? nullptr : &found->second;
    }

    /// Sets a handler that is called before an engine's data is removed.
    void on_removal(std::function<void(const uuid&)> handler) { removal_ = std::move(handler); }
    void on_exit(std::function<void(const workload_exit&)> handler) { exit_ = std::move(handler); }
    void on_pause(std::function<void(const workload_pause&)> handler) {
        pause_ = std::move(handler);
    }

    /// Changes with every change here, so that rules are checked only when there was one.
    [[nodiscard]] std::uint64_t version() const noexcept { return version_; }

    // What the backend is asked for

    result<void> create(const workload& request) {
        const auto& ref = request.ref;
        auto& engine = engines_[ref.engine_id];
        const auto plan = core::plan_create(ref, engine.ref.generation, engine.state);
        if (!plan) return unexpected(plan.error());
        if (*plan == core::create_plan::keep) return {};
        const bool fresh = engine.data == 0;
        engine.state = workload_state::down;
        ++version_;
        if (ref.port != 0 && !port_usable(ref.port)) {
            if (fresh) engines_.erase(ref.engine_id);
            return fail(errc::port_taken, "Its port is in use.");
        }
        if (fresh) engine.data = faults_.random().next() | 1U;
        engine.ref = ref;
        engine.owner = request.owner;
        engine.key_hash = request.key_hash;
        engine.version = request.version;
        engine.state = workload_state::up;
        engine.paused_by_others = false;
        engine.sick_until = engine.busy_until = engine.hung_until = instant{};
        boot(engine);
        return {};
    }

    result<void> stop(const workload_ref& ref) {
        if (auto* engine = find(ref.engine_id)) engine->state = workload_state::down;
        ++version_;
        return {};
    }
    result<void> pause(const workload_ref& ref) { return set_state(ref, workload_state::paused); }
    result<void> resume(const workload_ref& ref) { return set_state(ref, workload_state::up); }

    result<void> destroy(const workload_ref& ref) {
        if (find(ref.engine_id) == nullptr) return {};
        if (removal_) removal_(ref.engine_id);
        engines_.erase(ref.engine_id);
        ++version_;
        return {};
    }

    result<bool> copy_data(const workload_ref& ref, std::optional<std::uint64_t> max_bytes) {
        auto* engine = find(ref.engine_id);
        if (engine == nullptr) return false;
        if (engine->alive()) return fail(errc::backend_error, "It still runs.");
        ++version_;
        const bool fits = !max_bytes || size_of(engine->data) <= *max_bytes;
        engine->copy = fits ? engine->data : 0;
        return fits;
    }
    result<void> restore_data(const workload_ref& ref) {
        auto* engine = find(ref.engine_id);
        if (engine == nullptr || engine->copy == 0) return {};
        if (engine->alive()) return fail(errc::backend_error, "It still runs.");
        engine->data = std::exchange(engine->copy, 0);
        ++version_;
        return {};
    }
    result<void> drop_copy(const workload_ref& ref) {
        if (auto* engine = find(ref.engine_id)) engine->copy = 0;
        ++version_;
        return {};
    }

    result<void> swap_key(const workload_ref& ref, const sha256_digest& next) {
        auto* engine = find(ref.engine_id);
        if (engine == nullptr || engine->state != workload_state::up)
            return fail(errc::backend_error, "It is not up.");
        engine->key_hash = next;
        ++version_;
        return {};
    }

    /// The answer of an engine to a probe. A paused engine gives none: see `hangs`.
    result<health> answer(const workload_ref& ref) {
        const auto* engine = find(ref.engine_id);
        const auto now = time_.now();
        if (engine == nullptr || !engine->alive())
            return fail(errc::backend_error, "It is not up.");
        if (foreign_ports_.contains(ref.port))
            return fail(errc::port_taken, "A stranger has its port.");
        if (engine->healthy_at > now) return fail(errc::backend_error, "It is booting.");
        if (engine->sick_until > now) return fail(errc::backend_error, "It is not well.");
        if (lacks_provider(engine->owner.product_id))
            return fail(errc::backend_error, "Its provider is down.");
        return health{engine->busy_until > now};
    }
    [[nodiscard]] bool hangs(const workload_ref& ref) {
        const auto* engine = find(ref.engine_id);
        if (engine == nullptr || !engine->alive()) return false;
        return engine->state == workload_state::paused || engine->hung_until > time_.now();
    }

    [[nodiscard]] bool port_usable(std::uint16_t port) const {
        if (foreign_ports_.contains(port)) return false;
        for (const auto& [id, engine] : engines_)
            if (engine.alive() && engine.ref.port == port) return false;
        return true;
    }

    /// Whether a stranger can take a port: until an engine listens on it.
    [[nodiscard]] bool can_be_taken(std::uint16_t port) const {
        if (foreign_ports_.contains(port)) return false;
        for (const auto& [id, engine] : engines_)
            if (engine.alive() && engine.ref.port == port && engine.healthy_at <= time_.now())
                return false;
        return true;
    }

    // What the backend is not asked for

    /// Ends a workload. Without `reported` there is no exit event.
    void end_workload(const uuid& id, int exit_code, bool reported = true) {
        auto* engine = find(id);
        if (engine == nullptr || !engine->alive() || !engine->ours || engine->orphan) return;
        engine->state = workload_state::down;
        ++version_;
        trace_.note("machine: " + short_id(id) + " exits with " + std::to_string(exit_code));
        if (!reported) return;
        workload_exit event;
        event.ref = engine->ref;
        event.owner = engine->owner;
        event.exit_code = exit_code;
        plan_exit(event);
        if (faults_.fires(fault::double_exit)) plan_exit(event);
    }

    /// Pauses or resumes a workload as a third party does.
    void set_paused(const uuid& id, bool paused) {
        auto* engine = find(id);
        const auto before = paused ? workload_state::up : workload_state::paused;
        if (engine == nullptr || engine->state != before || !engine->ours || engine->orphan) return;
        engine->state = paused ? workload_state::paused : workload_state::up;
        engine->paused_by_others = true;
        ++version_;
        trace_.note("machine: " + short_id(id) +
                    (paused ? " is paused by somebody" : " is resumed by somebody"));
        plan_pause_event({engine->ref, engine->owner, paused}, engine->our_pauses);
    }

    /// Makes the daemon answer no call until then.
    void go_away(instant until) { away_until_ = until; }
    [[nodiscard]] bool away() const noexcept { return time_.now() < away_until_; }

    /// Makes all engines of a product unhealthy until then, also those that boot meanwhile.
    void begin_outage(const uuid& product, instant until) { outages_[product] = until; }
    [[nodiscard]] bool lacks_provider(const uuid& product) const {
        const auto outage = outages_.find(product);
        return outage != outages_.end() && time_.now() < outage->second;
    }

    /// A foreign process takes or frees a host port.
    void take_port(std::uint16_t port) { foreign_ports_.insert(port); }
    void free_port(std::uint16_t port) { foreign_ports_.erase(port); }

    /// Adds a workload that runs before there is any row: one of ours, which must be ended, or one
    /// of another installation, which must be left alone.
    void add_stray(const uuid& id, bool ours) {
        auto& engine = engines_[id];
        engine.ref = {id, 1, 0};
        engine.state = workload_state::up;
        engine.ours = ours;
        engine.orphan = ours;
        engine.data = 1;
    }

    /// Makes engines healthy, except those that never become so.
    void heal() {
        foreign_ports_.clear();
        outages_.clear();
        away_until_ = {};
        for (auto& [id, engine] : engines_)
            engine.sick_until = engine.busy_until = engine.hung_until = {};
    }

private:
    /// The bytes of data that has this value: up to 2 GiB.
    static std::uint64_t size_of(std::uint64_t data) noexcept { return data % (2ULL << 30U); }

    result<void> set_state(const workload_ref& ref, workload_state state) {
        auto* engine = find(ref.engine_id);
        if (engine == nullptr || !engine->alive())
            return fail(errc::backend_error, "It is not up.");
        engine->state = state;
        ++engine->our_pauses;
        ++version_;
        return {};
    }

    void boot(hosted_engine& engine) {
        auto& random = faults_.random();
        engine.healthy_at = time_.now() + random.between(duration{0}, duration{400});
        if (faults_.fires(fault::slow_boot))
            engine.healthy_at = time_.now() + random.between(boot_timeout_ / 2, boot_timeout_ * 2);
        if (faults_.fires(fault::never_healthy)) engine.healthy_at = never;
        behave_as_version(engine);
        if (!faults_.fires(fault::dies_booting)) return;
        time_.after(random.between(duration{0}, duration{500}), [this, ref = engine.ref] {
            const auto* now = find(ref.engine_id);
            if (now != nullptr && now->ref == ref) end_workload(ref.engine_id, 1);
        });
    }

    /// What a version does, by the beginning of its name: `mute` is never healthy, `dead` exits while it
    /// boots, `frail` soon after; and `moves` changes the data, each time to the same.
    void behave_as_version(hosted_engine& engine) {
        const auto& version = engine.version;
        if (version.starts_with("mute")) engine.healthy_at = never;
        if (version.starts_with("moves"))
            engine.data = (engine.data & ~std::uint64_t{0xFF}) |
                          static_cast<std::uint8_t>(version.back()) | 1U;
        const bool frail = version.starts_with("frail");
        if (!frail && !version.starts_with("dead")) return;
        if (!frail) engine.healthy_at = never;
        const auto lives = faults_.random().between(duration{0}, duration{frail ? 6'000 : 500});
        time_.after(lives, [this, ref = engine.ref] {
            const auto* now = find(ref.engine_id);
            if (now != nullptr && now->ref == ref) end_workload(ref.engine_id, 1);
        });
    }

    /// Reports what a third party did, unless the backend has paused or resumed the workload since.
    /// A daemon that is away reports when it is back.
    void plan_pause_event(const workload_pause& event, std::uint64_t our_pauses) {
        const auto wait = faults_.random().between(duration{0}, duration{50});
        time_.at(std::max(time_.now() + wait, away_until_), [this, event, our_pauses] {
            const auto* engine = find(event.ref.engine_id);
            const auto state = event.paused ? workload_state::paused : workload_state::up;
            if (engine == nullptr || engine->ref != event.ref) return;
            if (pause_ && engine->state == state && engine->our_pauses == our_pauses) pause_(event);
        });
    }

    void plan_exit(const workload_exit& event) {
        auto& random = faults_.random();
        auto wait = random.between(duration{0}, duration{50});
        if (faults_.fires(fault::late_exit))
            wait = random.between(duration{1'000}, duration{20'000});
        time_.after(wait, [this, event] {
            if (exit_) exit_(event);
        });
    }

    timeline& time_;
    fault_injector& faults_;
    trace& trace_;
    const duration boot_timeout_;
    std::map<uuid, hosted_engine> engines_;
    std::set<std::uint16_t> foreign_ports_;
    std::map<uuid, instant> outages_; ///< When they end, by product.
    std::function<void(const uuid&)> removal_;
    std::function<void(const workload_exit&)> exit_;
    std::function<void(const workload_pause&)> pause_;
    std::uint64_t version_ = 0;
    instant away_until_{};
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
