#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/core/moment.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/detail/hash_index.hpp>
#include <roundhouse/detail/striped_mutex.hpp>
#include <roundhouse/shell/running_engine.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What a running engine is found by, if its record is at hand. The hash is of its owner.
struct running_engine_ref {
    std::uint64_t hash;
    uuid id;

    static running_engine_ref of(const engine_record& engine) noexcept {
        return {engine_owner_hash::mix(engine.product_id, engine.user_id), engine.id};
    }
    bool operator()(const running_engine& engine) const noexcept { return engine.id == id; }
};

/// What a running engine is found by without its record, as an admit does.
struct running_engine_owner {
    std::uint64_t hash;
    const uuid& product_id;
    std::string_view user_id;

    running_engine_owner(const uuid& product, std::string_view user) noexcept
        : hash(engine_owner_hash::mix(product, user)), product_id(product), user_id(user) {}
    bool operator()(const running_engine& engine) const noexcept {
        return engine.user_id() == user_id && engine.kind.product_id == product_id;
    }
};

/// Names the row of a running engine as it was at some time.
struct running_engine_row {
    running_engine_ref engine;
    std::uint32_t life = 0;
    std::uint32_t row = 0;
};

/// A use of an engine that the store does not know of.
struct unstored_use {
    running_engine_ref engine;
    duration at; ///< Steady time.
};

/// The running engines. Thread-safe; a reader waits for a writer only while an engine begins or ceases
/// to run, and while the first admit after a change of its row is noted.
///
/// An admit of an engine whose row has not changed since the last one is answered from here, without
/// the store. So that it never tells what is not stored, or not any more, each change of the row of a
/// running engine is announced by a `changing` before it is committed. Then what is known of the row
/// is forgotten, and nothing that is read of it meanwhile is kept.
class running_engines {
public:
    /// The row of an engine may change while this lives. One at a time for each engine.
    class changing {
    public:
        changing(const running_engines& table, const engine_record& engine)
            : table_(table), engine_(running_engine_ref::of(engine)) {
            table_.visit(engine_, [&](running_engine& running) {
                life_ = running.life;
                running.begin_change();
            });
        }
        ~changing() {
            if (life_ == 0) return;
            table_.visit(engine_, [&](running_engine& running) {
                if (running.life == life_) running.end_change();
            });
        }
        changing(const changing&) = delete;
        changing& operator=(const changing&) = delete;

    private:
        const running_engines& table_;
        const running_engine_ref engine_;
        std::uint32_t life_ = 0; ///< 0 if the engine does not run.
    };

    running_engines() = default;
    ~running_engines();
    running_engines(const running_engines&) = delete;
    running_engines& operator=(const running_engines&) = delete;

    /// An engine begins to run; its record was decided or found then. If the engine ran before, its
    /// use, lease and health keep their times; else they are those of the record, and what seems to
    /// lie in the future was noted by another wall clock and counts from then. False if it
    /// runs already.
    bool add(const engine_record& engine, const core::moment& then);
    /// The record of a running engine has changed; the change was decided then.
    void follow(const engine_record& before, const engine_record& after, const core::moment& then);
    /// An engine ceases to run. It may run again. False if it did not run.
    bool suspend(const engine_record& engine);
    /// An engine is gone. False if it did not run.
    bool remove(const engine_record& engine);

    /// Calls `look(running_engine&)`, which must not call this table and changes nothing but what
    /// is atomic. False if the engine is not running.
    template <class Look> bool visit(const running_engine_ref& engine, const Look& look) const {
        return visit_first(engine.hash, engine, look);
    }
    template <class Look> bool visit(const engine_record& engine, const Look& look) const {
        return visit(running_engine_ref::of(engine), look);
    }

    /// The same for one life of the engine: false if it has begun another.
    template <class Look>
    bool visit(const engine_record& engine, std::uint32_t life, const Look& look) const {
        bool same = false;
        visit(engine, [&](running_engine& running) {
            same = running.life == life;
            if (same) look(running);
        });
        return same;
    }

    /// The same for the engine of an owner, if it is known what an admit answers.
    template <class Look>
    bool visit_known(const running_engine_owner& owner, const Look& look) const {
        return visit_first(
            owner.hash,
            [&](const running_engine& running) { return owner(running) && running.is_known(); },
            look);
    }

    /// The same for the first engine with this hash for which `is(running_engine&)` holds.
    template <class Is, class Look>
    bool visit_first(std::uint64_t hash, const Is& is, const Look& look) const {
        auto& part = of(hash);
        const striped_mutex::reading lock(mutex_);
        const auto* const found = part.engines.find(hash, is);
        if (found == nullptr) return false;
        look(**found);
        return true;
    }

    // An engine that was not used for a while is in no cache, and each step to it waits for memory.
    // An admit has these two steps fetched while it does something else.

    void prefetch_place(std::uint64_t hash) const noexcept { of(hash).engines.prefetch(hash); }
    void prefetch_engine(std::uint64_t hash) const {
        visit_first(
            hash, [](const running_engine&) { return true; },
            [](const running_engine& running) { running.prefetch(); });
    }

    /// When a running engine was last used, in steady time; nothing if it does not run.
    [[nodiscard]] std::optional<duration> last_used(const engine_record& engine) const;

    /// Until when a running engine is leased, in steady time; nothing if it is not.
    [[nodiscard]] std::optional<duration> leased_until(const engine_record& engine) const;

    /// For how long an engine that runs, or ran and sleeps, has been healthy; nothing if that is not
    /// known.
    [[nodiscard]] std::optional<duration> healthy_for(const engine_record& engine,
                                                      duration steady_now) const;

    /// How long ago a healthy answer of a running engine was stored; nothing if it does not run.
    [[nodiscard]] std::optional<duration> since_health_row(const engine_record& engine,
                                                           duration steady_now) const;

    /// Notes a use of an engine; false if it does not run.
    bool use(const engine_record& engine, duration steady_now,
             engine_use by = engine_use::unknown) const;

    /// When a running engine last answered that it is healthy, in wall time; of others the record
    /// knows.
    [[nodiscard]] std::optional<instant> last_health(const engine_record& engine) const;

    /// The row of an owner's engine, to be asked for before it is read; nothing if the engine does not
    /// run or the row is changed just now.
    [[nodiscard]] std::optional<running_engine_row> row_of(const running_engine_owner& owner) const;

    /// Keeps what admits answer: the engine, which may be admitted to and was read after `row` was
    /// asked for, and its key.
    void keep(const running_engine_row& row, const engine_record& engine,
              std::string_view key) const;

    /// The uses that the store does not know of, by engine id.
    [[nodiscard]] std::vector<unstored_use> unstored() const;
    void stored(std::span<const unstored_use> uses) const;

private:
    struct suspended_times {
        std::int64_t last_used_ms;
        std::int64_t leased_until_ms;
        std::optional<instant> healthy_since; ///< The record's, which a new boot replaces.
        std::int64_t healthy_since_ms;
    };

    struct alignas(64) shard {
        hash_index<running_engine*> engines;
        std::unordered_map<uuid, suspended_times> suspended; ///< Engines that have run.
        std::uint32_t lives = 0;
    };

    running_engine& add(shard& part, const engine_record& engine);
    bool erase(shard& part, const running_engine_ref& engine);

    shard& of(std::uint64_t hash) const noexcept { return shards_[hash % shards_.size()]; }

    mutable striped_mutex mutex_;
    object_pool pool_;                         ///< Holds the engines.
    std::map<engine_kind, std::size_t> kinds_; ///< With the number of their engines.
    mutable std::array<shard, 64> shards_;     ///< Each grows by itself, which takes a moment only.
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/running_engines.ipp>
#endif
