#pragma once

#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstdint>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// How long to wait before try `attempt` (from 1): `base * 2^(attempt - 1)`, at most `max`, and up
/// to a tenth sooner so that what failed together does not come back together.
///
/// `jitter` is drawn evenly from [0, 1).
[[nodiscard]] inline duration backoff(std::uint32_t attempt, duration base, duration max,
                                      double jitter) noexcept {
    auto wait = std::min(base, max);
    for (std::uint32_t n = 1; n < attempt && wait < max; ++n)
        wait = wait > max / 2 ? max : wait * 2;
    const auto sooner = static_cast<double>(wait.count()) * 0.1 * jitter;
    return wait - duration{static_cast<duration::rep>(sooner)};
}

/// The pauses between the probes of an engine that is coming up: the first, until a tenth of what
/// was waited so far is longer, and never more than the last. So an engine is noticed to be up at
/// most a tenth later than it was, however long it takes.
class probe_pauses {
public:
    probe_pauses(duration first, duration last) : first_(first), last_(last) {}

    [[nodiscard]] duration next() noexcept {
        const auto pause = std::min(std::max(first_, waited_ / 10), last_);
        waited_ += pause;
        return pause;
    }

private:
    duration first_;
    duration last_;
    duration waited_{};
};

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
