#pragma once

#include <roundhouse/detail/completion.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

[[nodiscard]] inline error idempotency_mismatch() {
    return {errc::idempotency_mismatch,
            "Idempotency-Key stands for another request, which was made with it in the last 24 "
            "hours. Repeat that one, or send another key."};
}

/// The calls with an idempotency key that are under way: of those with the same key the first is
/// made, and the others get its answer. Thread-safe.
class idempotent_calls {
public:
    /// Of each key at most `most_waiting` calls are under way.
    explicit idempotent_calls(std::size_t most_waiting) : most_waiting_(most_waiting) {}

    /// Takes in a call. Returns true if it is to be made, and ended by `end`. Otherwise it gets the
    /// answer of the one under way, or is refused at once.
    [[nodiscard]] bool begin(const idempotency_id& id, const sha256_digest& request,
                             completion<std::string> done) {
        bool first = false;
        const auto refused = take(id, request, done, first);
        if (refused) done(unexpected(*refused));
        return first;
    }

    /// Gives the answer to the call and to all that wait for it.
    void end(const idempotency_id& id, const result<std::string>& answer) {
        std::vector<completion<std::string>> waiting;
        {
            const std::lock_guard lock(mutex_);
            const auto ended = calls_.find(id);
            waiting = std::move(ended->second.waiting);
            calls_.erase(ended);
        }
        for (const auto& done : waiting) done(answer);
    }

private:
    struct call {
        sha256_digest request{};
        std::vector<completion<std::string>> waiting;
    };

    std::optional<error> take(const idempotency_id& id, const sha256_digest& request,
                              const completion<std::string>& done, bool& first) {
        const std::lock_guard lock(mutex_);
        const auto [under_way, inserted] = calls_.try_emplace(id);
        auto& [known, waiting] = under_way->second;
        first = inserted;
        if (first) known = request;
        if (known != request) return idempotency_mismatch();
        if (waiting.size() >= std::max<std::size_t>(most_waiting_, 1))
            return error{errc::overloaded,
                         "Too many calls with this Idempotency-Key wait. Try again later.", 1};
        waiting.push_back(done);
        return std::nullopt;
    }

    const std::size_t most_waiting_;
    std::mutex mutex_;
    std::map<idempotency_id, call> calls_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
