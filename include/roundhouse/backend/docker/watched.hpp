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

/// The workloads that are meant to be up, and whether they are meant to be paused: what happens to
/// them otherwise is news. Thread-safe.
class watched_engines {
public:
    /// What one of them is meant to be.
    struct expectation {
        workload_ref ref;
        engine_owner owner;
        std::string container; ///< Its id; empty if that is not known.
        bool paused = false;
    };

    void expect(expectation what) {
        const std::lock_guard lock(mutex_);
        const auto engine = what.ref.engine_id;
        engines_[engine] = {std::move(what), ++changes_};
    }

    /// Its end is not news any more. Returns what was expected of it.
    std::optional<expectation> release(const uuid& engine) {
        const std::lock_guard lock(mutex_);
        const auto found = engines_.find(engine);
        if (found == engines_.end()) return std::nullopt;
        auto expected = std::move(found->second.expected);
        engines_.erase(found);
        return expected;
    }

    /// It has ended, in the container with that id, or in one that is not known. Returns what to
    /// report; nothing if that is not news.
    std::optional<expectation> ended(const workload_ref& ref, std::string_view container = {}) {
        const std::lock_guard lock(mutex_);
        const auto found = find(ref);
        if (found == engines_.end()) return std::nullopt;
        const auto& mine = found->second.expected.container;
        if (!mine.empty() && !container.empty() && mine != container) return std::nullopt;
        auto expected = std::move(found->second.expected);
        engines_.erase(found);
        return expected;
    }

    [[nodiscard]] std::vector<workload_ref> all() const {
        const std::lock_guard lock(mutex_);
        std::vector<workload_ref> out;
        for (const auto& [engine, one] : engines_) out.push_back(one.expected.ref);
        return out;
    }

    /// While it lives, one of them is being paused or resumed by us, and only we know what it is
    /// meant to be.
    class pausing {
    public:
        pausing(watched_engines& of, const uuid& engine, bool paused)
            : of_(of), engine_(engine), paused_(paused) {
            of_.begin(engine_);
        }
        ~pausing() { of_.end(engine_, done_ ? std::optional{paused_} : std::nullopt); }
        pausing(const pausing&) = delete;
        pausing& operator=(const pausing&) = delete;

        void done() noexcept { done_ = true; }

    private:
        watched_engines& of_;
        const uuid engine_;
        const bool paused_;
        bool done_ = false;
    };

    /// To be asked before somebody looks whether it is paused: `seen` wants the number.
    [[nodiscard]] std::uint64_t number() const {
        const std::lock_guard lock(mutex_);
        return changes_;
    }

    /// Records an observation that was begun at version `number`. Returns the owner if it changes
    /// the expected state and no operation of this backend came later.
    std::optional<engine_owner> seen(const workload_ref& ref, bool paused, std::uint64_t number) {
        const std::lock_guard lock(mutex_);
        const auto found = find(ref);
        if (found == engines_.end()) return std::nullopt;
        auto& one = found->second;
        if (one.under_way || one.changed > number || one.expected.paused == paused)
            return std::nullopt;
        one.expected.paused = paused;
        return one.expected.owner;
    }

private:
    struct watched {
        expectation expected;
        std::uint64_t changed = 0; ///< The number of our last change of it.
        bool under_way = false;
    };
    using table = std::map<uuid, watched>;

    table::iterator find(const workload_ref& ref) {
        const auto found = engines_.find(ref.engine_id);
        return found != engines_.end() && found->second.expected.ref.generation == ref.generation
                   ? found
                   : engines_.end();
    }

    void begin(const uuid& engine) {
        const std::lock_guard lock(mutex_);
        const auto found = engines_.find(engine);
        if (found != engines_.end()) found->second.under_way = true;
    }
    void end(const uuid& engine, std::optional<bool> paused) {
        const std::lock_guard lock(mutex_);
        const auto found = engines_.find(engine);
        if (found == engines_.end()) return;
        found->second.under_way = false;
        found->second.changed = ++changes_;
        if (paused) found->second.expected.paused = *paused;
    }

    mutable std::mutex mutex_;
    table engines_;
    std::uint64_t changes_ = 0;
};

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
