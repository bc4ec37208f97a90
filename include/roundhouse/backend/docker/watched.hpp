#pragma once

#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::docker {

/// The workloads that are expected to be alive, and whether each is expected to be paused. A
/// workload that is seen in another state was changed by somebody else, which is reported.
///
/// An observation takes time, and the backend may change the workload meanwhile. So the backend's
/// changes are numbered: an observation is ignored if a change was made after it began.
/// Thread-safe.
class watched_engines {
public:
    /// A workload and its expected state.
    struct expectation {
        workload_ref ref;
        engine_owner owner{};
        std::string container; ///< Its id; empty if that is not known.
        bool paused = false;
    };

    /// Expects a workload, in place of an earlier one of its engine.
    void expect(expectation expected) {
        const std::lock_guard lock(mutex_);
        const auto engine = expected.ref.engine_id;
        engines_[engine] = {std::move(expected), ++changes_};
    }

    /// Expects no workload of an engine any more. Returns the earlier expectation, if there was
    /// one.
    std::optional<expectation> release(const uuid& engine) {
        const std::lock_guard lock(mutex_);
        const auto found = engines_.find(engine);
        if (found == engines_.end()) return std::nullopt;
        return take(found);
    }

    /// Records that a workload has ended in the container with this id, or in one whose id is not
    /// known. Returns its expectation, which is removed; empty if the workload was not expected.
    std::optional<expectation> ended(const workload_ref& ref, std::string_view container = {}) {
        const std::lock_guard lock(mutex_);
        const auto found = find(ref);
        if (found == engines_.end()) return std::nullopt;
        const auto& expected = found->second.expected.container;
        if (!expected.empty() && !container.empty() && expected != container) return std::nullopt;
        return take(found);
    }

    [[nodiscard]] std::vector<workload_ref> all() const {
        const std::lock_guard lock(mutex_);
        std::vector<workload_ref> refs;
        for (const auto& [engine, entry] : engines_) refs.push_back(entry.expected.ref);
        return refs;
    }

    /// A pause or a resume by the backend. Observations of the workload are ignored while it lives;
    /// then the expected state is the new one, if `done` was called.
    class pausing {
    public:
        pausing(watched_engines& engines, const uuid& engine, bool paused)
            : engines_(engines), engine_(engine), paused_(paused) {
            engines_.begin_change(engine_);
        }
        ~pausing() { engines_.end_change(engine_, done_ ? std::optional{paused_} : std::nullopt); }
        pausing(const pausing&) = delete;
        pausing& operator=(const pausing&) = delete;

        void done() noexcept { done_ = true; }

    private:
        watched_engines& engines_;
        const uuid engine_;
        const bool paused_;
        bool done_ = false;
    };

    /// The number of the last change, for `observed`. Read it before the observation begins.
    [[nodiscard]] std::uint64_t last_change() const {
        const std::lock_guard lock(mutex_);
        return changes_;
    }

    /// Records whether a workload was seen paused by an observation that began after
    /// `last_change`. Returns the workload's owner if that changes the expected state; empty if it
    /// does not, or the backend has changed the workload since.
    std::optional<engine_owner> observed(const workload_ref& ref, bool paused,
                                         std::uint64_t last_change) {
        const std::lock_guard lock(mutex_);
        const auto found = find(ref);
        if (found == engines_.end()) return std::nullopt;
        auto& entry = found->second;
        if (entry.changing || entry.last_change > last_change || entry.expected.paused == paused)
            return std::nullopt;
        entry.expected.paused = paused;
        return entry.expected.owner;
    }

private:
    struct watched_entry {
        expectation expected;
        std::uint64_t last_change = 0; ///< The number of the backend's last change.
        bool changing = false;
    };
    using table = std::map<uuid, watched_entry>;

    table::iterator find(const workload_ref& ref) {
        const auto found = engines_.find(ref.engine_id);
        return found != engines_.end() && found->second.expected.ref.generation == ref.generation
                   ? found
                   : engines_.end();
    }

    expectation take(table::iterator entry) {
        auto expected = std::move(entry->second.expected);
        engines_.erase(entry);
        return expected;
    }

    void begin_change(const uuid& engine) {
        const std::lock_guard lock(mutex_);
        const auto found = engines_.find(engine);
        if (found != engines_.end()) found->second.changing = true;
    }
    void end_change(const uuid& engine, std::optional<bool> paused) {
        const std::lock_guard lock(mutex_);
        const auto found = engines_.find(engine);
        if (found == engines_.end()) return;
        found->second.changing = false;
        found->second.last_change = ++changes_;
        if (paused) found->second.expected.paused = *paused;
    }

    mutable std::mutex mutex_;
    table engines_;
    std::uint64_t changes_ = 0;
};

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
