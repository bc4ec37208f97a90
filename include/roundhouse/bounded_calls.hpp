#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/version.hpp>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <variant>

/// Calls whose callers wait no longer than they choose, and waits for the states of engines.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The longest wait that a caller may choose.
inline constexpr duration longest_chosen_wait = std::chrono::seconds{600};

/// How long the caller of a call waits for its end, from the call on: `start("ada", within{30s})`.
struct within {
    duration span{};
};

/// The calls whose callers may choose how long they wait (`fleet_calls::begin`).
namespace engine_call {
struct provision {
    provision_options options = {};
};
struct start {};
struct stop {
    bool force = false;
};
struct sleep {
    sleep_mode mode = sleep_mode::paused;
};
struct wake {};
struct rotate_key {};
struct upgrade {
    upgrade_options options;
};
} // namespace engine_call

using engine_call_variant =
    std::variant<engine_call::provision, engine_call::start, engine_call::stop, engine_call::sleep,
                 engine_call::wake, engine_call::rotate_key, engine_call::upgrade>;

/// How far a call, or the wait for a state, has come when its caller is answered.
struct call_progress {
    bool done = false; ///< If not, the time has run out first. What was asked for goes on.
    engine_view engine;
    std::string new_key = {}; ///< Of `rotate_key`, if it is done.
};

/// A set of states.
class engine_statuses {
public:
    constexpr engine_statuses() = default;
    constexpr engine_statuses(engine_status one) noexcept { add(one); }
    constexpr engine_statuses(std::initializer_list<engine_status> all) noexcept {
        for (const auto one : all) add(one);
    }

    constexpr void add(engine_status one) noexcept {
        bits_ = static_cast<std::uint8_t>(bits_ | bit_of(one));
    }
    [[nodiscard]] constexpr bool has(engine_status one) const noexcept {
        return (bits_ & bit_of(one)) != 0;
    }
    [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }

    friend constexpr bool operator==(const engine_statuses&, const engine_statuses&) = default;

private:
    static constexpr unsigned bit_of(engine_status one) noexcept {
        return 1U << static_cast<unsigned>(one);
    }

    std::uint8_t bits_ = 0;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
