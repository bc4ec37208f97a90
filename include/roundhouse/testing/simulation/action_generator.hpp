#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/testing/simulation/calls.hpp>
#include <roundhouse/testing/simulation/random_generator.hpp>
#include <roundhouse/testing/simulation/scenario.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// One action of a user or an operator.
struct action {
    enum class kind : std::uint8_t {
        call,
        read,
        set_policy,
        set_defaults,
        rename,
        rotate_platform_key,
        register_once,
        delete_product,
    };

    kind type = kind::call;
    std::size_t product = 0; ///< Index of the product that acts.
    /// For `call`; without the owner's product id. `rename` gives the product the user's name.
    call_request request;
    policy limits;              ///< For `set_policy`.
    bool cascade = false;       ///< For `delete_product`.
    provision_options defaults; ///< For `set_defaults`, without `sleep`.
    std::string slug;           ///< For `register_once`.
};

/// Draws the actions of users and operators, independently of what comes of them.
class action_generator {
public:
    action_generator(random_generator random, const scenario& scenario)
        : random_(random),
          settings_random_(random.branch("settings")),
          ceilings_random_(random.branch("ceilings")),
          defaults_random_(random.branch("defaults")),
          sleeps_random_(random.branch("sleeps")),
          once_random_(random.branch("once")),
          registrations_random_(random.branch("registrations")),
          deletions_random_(random.branch("deletions")),
          waits_random_(random.branch("waits")),
          upgrades_random_(random.branch("upgrades")),
          scenario_(scenario) {
        for (auto& weight : weights_) weight = 1 + random_.below(8);
    }

    [[nodiscard]] action next() {
        action out;
        out.product = random_.below(scenario_.products);
        out.request.owner.user_id = "user" + std::to_string(random_.below(scenario_.users));
        const auto dice = random_.below(100);
        if (dice < 4) out.type = action::kind::read;
        else if (dice < 8) out.type = action::kind::set_policy;
        else if (dice < 9) out.type = action::kind::rename;
        else if (dice < 10) out.type = action::kind::rotate_platform_key;
        out.limits = draw_policy();
        draw(out.request);
        if (settings_random_.chance(0.1)) draw_change(out.request);
        if (sleeps_random_.chance(0.12)) draw_sleep(out.request);
        if (defaults_random_.chance(0.04)) {
            out.type = action::kind::set_defaults;
            out.defaults = draw_defaults();
        }
        if (registrations_random_.chance(0.01)) {
            out.type = action::kind::register_once;
            out.slug = "registered" + std::to_string(registrations_random_.below(3));
        }
        // `model` does not know idempotency keys.
        if (scenario_.order == call_order::concurrent && once_random_.chance(0.08))
            draw_once(out.request);
        // `model` does not know that products end.
        if (scenario_.order == call_order::concurrent && deletions_random_.chance(0.015)) {
            out.type = action::kind::delete_product;
            out.cascade = deletions_random_.chance(0.7);
        }
        if (scenario_.upgrades() && upgrades_random_.chance(0.08)) draw_upgrade(out.request);
        // The same of callers who do not wait to the end.
        if (scenario_.order == call_order::concurrent && waits_random_.chance(0.2))
            draw_wait(out.request);
        return out;
    }

    /// The time until the next action: often none, mostly short, rarely long.
    [[nodiscard]] duration gap() {
        if (random_.chance(0.4) && scenario_.order == call_order::concurrent) return duration{0};
        if (random_.chance(0.5)) return random_.between(duration{0}, duration{300});
        if (random_.chance(0.05)) return random_.between(duration{0}, std::chrono::seconds{90});
        return random_.between(duration{0}, scenario_.longest_action_gap);
    }

    [[nodiscard]] policy draw_policy() {
        policy out;
        if (random_.chance(0.7)) out.max_engines = random_.below(scenario_.users + 1);
        // `model` does not know rate limits.
        if (scenario_.order == call_order::concurrent && random_.chance(0.2))
            out.rate_limit_rpm = random_.between(0, 40);
        if (out.rate_limit_rpm.value_or(0) > 0 && random_.chance(0.5))
            out.rate_limit_burst = random_.between(1, *out.rate_limit_rpm);
        if (scenario_.order == call_order::concurrent && random_.chance(0.2))
            out.max_provisions_per_minute = random_.between(0, 10);
        if (scenario_.most_boots)
            out.max_concurrent_boots = random_.between(1, *scenario_.most_boots);
        if (random_.chance(0.3)) out.weight = random_.between(1, 3);
        if (random_.chance(0.1)) out.allow_provision = false;
        draw_ceilings(out);
        return out;
    }

    /// When the engines of a product sleep by its defaults, for as long as the run lasts: a change would
    /// meet engines that are being put to sleep. `model` knows no such time.
    [[nodiscard]] sleep_settings draw_default_sleep() {
        auto& random = defaults_random_;
        sleep_settings out;
        if (scenario_.order != call_order::concurrent) return out;
        const auto most = 2 * scenario_.settings.sleep_after;
        if (random.chance(0.2)) out.after = random.between(most / 10, most);
        if (random.chance(0.05)) out.pinned = random.chance(0.8);
        return out;
    }

private:
    /// Names and ceilings as in `draw_options`, and no longer grace.
    provision_options draw_defaults() {
        auto& random = defaults_random_;
        provision_options out;
        if (random.chance(0.2)) return out;
        for (auto n = random.below(3); n > 0; --n) {
            out.env["VARIABLE_" + std::to_string(random.below(9))] = std::to_string(random.next());
            out.metadata["member " + std::to_string(random.below(9))] = "default";
        }
        if (random.chance(0.3)) out.limits.memory_mb = random.between(6, 64);
        if (random.chance(0.3)) out.limits.cpus = random.chance(0.5) ? 0.25 : 1.0;
        if (random.chance(0.3)) out.limits.pids = random.between(1, 99);
        if (random.chance(0.5))
            out.stop_grace = random.between(duration{0}, scenario_.settings.stop_grace);
        return out;
    }

    /// Around the ceilings of `draw_options`. A quota of memory mostly comes with a ceiling, because
    /// admits ask for none.
    void draw_ceilings(policy& out) {
        auto& random = ceilings_random_;
        if (random.chance(0.1)) out.allow_env = false;
        if (random.chance(0.3)) out.max_memory_mb = random.between(6, 64);
        if (random.chance(0.1)) out.max_cpus = random.chance(0.5) ? 0.25 : 2.0;
        if (random.chance(0.1)) out.max_pids = random.between(1, 99);
        if (random.chance(out.max_memory_mb ? 0.5 : 0.05))
            out.max_total_memory_mb = random.below(64 * scenario_.users);
    }

    void draw(call_request& out) {
        out.kind = draw_kind();
        switch (out.kind) {
        case call_kind::admit:
            out.admit = {random_.chance(0.5), random_.chance(0.5)};
            if (settings_random_.chance(0.5))
                out.admit.provision = std::make_shared<const provision_options>(draw_options());
            break;
        case call_kind::provision: out.options = draw_options(); break;
        case call_kind::stop: out.force = random_.chance(0.5); break;
        case call_kind::activity:
            if (random_.chance(0.5))
                out.busy_for = random_.between(duration{0}, std::chrono::seconds{60});
            break;
        default: break;
        }
    }

    /// Often none at all. No grace is longer than that of all, by which `latency_rules` counts.
    provision_options draw_options() {
        auto& random = settings_random_;
        provision_options out;
        if (random.chance(0.5)) return out;
        for (auto n = random.below(3); n > 0; --n) {
            out.env["VARIABLE_" + std::to_string(random.below(9))] = std::to_string(random.next());
            out.metadata["member " + std::to_string(random.below(9))] = std::to_string(n);
        }
        if (random.chance(0.3)) out.limits.memory_mb = random.between(6, 64);
        if (random.chance(0.3)) out.limits.cpus = 0.5;
        if (random.chance(0.3)) out.limits.pids = random.between(1, 99);
        if (random.chance(0.5)) out.stop_grace = draw_grace();
        if (random.chance(0.3)) out.sleep.after = draw_sleep_after();
        if (random.chance(0.1)) out.sleep.pinned = random.chance(0.8);
        if (sleeps_random_.chance(0.3)) out.sleep.deep_after = draw_deep_after();
        return out;
    }

    duration draw_grace() {
        return settings_random_.between(duration{0}, scenario_.settings.stop_grace);
    }

    /// Where engines do not sleep, single ones do not either.
    duration draw_sleep_after() {
        const auto most = 2 * scenario_.settings.sleep_after;
        return settings_random_.chance(0.2) ? duration{0}
                                            : settings_random_.between(most / 10, most);
    }

    duration draw_deep_after() {
        return sleeps_random_.between(duration{0}, std::chrono::seconds{60});
    }

    /// Puts an engine to sleep, or wakes it.
    void draw_sleep(call_request& out) {
        auto& random = sleeps_random_;
        const auto kind = random.chance(0.6) ? call_kind::sleep : call_kind::wake;
        out = {.kind = kind, .owner = std::move(out.owner)};
        if (random.chance(0.6)) out.mode = sleep_mode::stopped;
    }

    void draw_change(call_request& out) {
        auto& random = settings_random_;
        const auto draw = [&random](auto& change, auto value) {
            if (random.chance(0.7)) return;
            change.remove = random.chance(0.3);
            if (!change.remove) change.value = value;
        };
        out = {.kind = call_kind::change_settings, .owner = std::move(out.owner)};
        out.restart = random.chance(0.2);
        auto& change = out.change;
        for (auto* texts : {&change.env, &change.metadata}) {
            texts->remove_all = random.chance(0.1);
            for (auto n = random.below(3); n > 0; --n) {
                auto& value = texts->texts["VARIABLE_" + std::to_string(random.below(9))];
                if (random.chance(0.7)) value = std::to_string(random.next());
            }
        }
        draw(change.memory_mb, random.between(6, 64));
        draw(change.cpus, 0.5);
        draw(change.pids, random.between(1, 99));
        draw(change.stop_grace, draw_grace());
        draw(change.sleep_after, draw_sleep_after());
        draw(change.pinned, random.chance(0.5));
        if (sleeps_random_.chance(0.2)) change.deep_sleep_after.value = draw_deep_after();
    }

    /// One of few keys of the user, so that calls are repeated.
    void draw_once(call_request& out) {
        out = {.kind = call_kind::provision_once, .owner = std::move(out.owner)};
        out.key = out.owner.user_id + "-" + std::to_string(once_random_.below(3));
    }

    /// Lets the caller wait for a while only, or for a state.
    void draw_wait(call_request& out) {
        auto& random = waits_random_;
        const auto wait = random.chance(0.3)
                              ? duration{0}
                              : random.between(duration{0}, std::chrono::seconds{60});
        if (random.chance(0.3)) {
            out = {.kind = call_kind::wait_for, .owner = std::move(out.owner)};
            while (out.wanted.empty())
                for (const auto status : all_engine_statuses)
                    if (random.chance(0.3)) out.wanted.add(status);
        } else if (!may_leave(out.kind)) {
            return;
        }
        out.wait = wait;
        if (out.kind == call_kind::admit) out.admit.wait = wait;
    }

    /// Whether callers of this kind need not wait to the end.
    static bool may_leave(call_kind kind) noexcept {
        switch (kind) {
        case call_kind::provision:
        case call_kind::admit:
        case call_kind::start:
        case call_kind::stop:
        case call_kind::rotate:
        case call_kind::sleep:
        case call_kind::wake: return true;
        case call_kind::destroy:
        case call_kind::activity:
        case call_kind::change_settings:
        case call_kind::provision_once:
        case call_kind::upgrade:
        case call_kind::wait_for: break;
        }
        return false;
    }

    /// Half of the versions are as good as any; `machine` tells what the others do.
    void draw_upgrade(call_request& out) {
        static constexpr std::array versions{"v1",     "v2",    "v3",   "moves1", "moves2",
                                             "moves3", "frail", "dead", "mute"};
        auto& random = upgrades_random_;
        out = {.kind = call_kind::upgrade, .owner = std::move(out.owner)};
        out.upgrade.version = versions[random.below(versions.size())];
        out.upgrade.healthy_for = random.chance(0.2) ? duration{0}
                                                     : random.between(duration{0}, longest_watch);
        if (random.chance(0.4)) out.upgrade.keep_copy = random.chance(0.6);
    }

    call_kind draw_kind() {
        // Most actions need an engine, so admits, which may create one, have two places.
        static constexpr std::array kinds{
            call_kind::provision, call_kind::admit,  call_kind::admit,   call_kind::start,
            call_kind::stop,      call_kind::rotate, call_kind::destroy, call_kind::activity};
        std::uint64_t sum = 0;
        for (const auto weight : weights_) sum += weight;
        auto at = random_.below(sum);
        for (std::size_t i = 0; i < kinds.size(); ++i) {
            if (at < weights_[i]) return kinds[i];
            at -= weights_[i];
        }
        return call_kind::admit;
    }

    random_generator random_;
    random_generator settings_random_;
    random_generator ceilings_random_;
    random_generator defaults_random_;
    random_generator sleeps_random_;
    random_generator once_random_;
    random_generator registrations_random_;
    random_generator deletions_random_;
    random_generator waits_random_;
    random_generator upgrades_random_;
    const scenario& scenario_;
    std::array<std::uint64_t, 8> weights_{};
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
