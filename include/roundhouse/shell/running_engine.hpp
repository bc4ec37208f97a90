#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/names.hpp>
#include <roundhouse/detail/object_pool.hpp>
#include <roundhouse/shell/cached_key.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What is the same for many running engines.
struct engine_kind {
    uuid product_id;
    std::string version;

    friend auto operator<=>(const engine_kind&, const engine_kind&) = default;
};

/// What is known of a running engine: what changes too often to be stored each time, and what an
/// admit answers. Times are the steady clock's, but for the last healthy answer, which callers see.
///
/// A fleet may have a million of these, of which an admit finds none in a cache. Therefore all is in
/// one block of memory, with the user's name behind it.
class running_engine {
public:
    static constexpr auto never = std::numeric_limits<std::int64_t>::min();

    const uuid id;
    const engine_kind& kind;
    const instant created_at;
    std::atomic<std::int64_t> last_used_ms = never; ///< The last admit or activity.
    std::atomic<std::int64_t> leased_until_ms = never;
    std::atomic<std::int64_t> healthy_since_ms = never;
    std::atomic<std::int64_t> health_row_ms = never;  ///< The record's last healthy answer.
    std::atomic<std::int64_t> last_probe_ms = never;  ///< When the last probe was begun.
    std::atomic<std::int64_t> next_check_ms = never;  ///< When the prober looks at it next.
    std::atomic<std::int64_t> last_health_ms = never; ///< Wall time.
    const std::uint32_t life; ///< A new number each time that the engine begins to run.
    std::atomic<bool> last_probe_failed = false;
    std::atomic<bool> use_is_stored = true; ///< The store knows of the last use.
    std::atomic<engine_use> last_used_by = engine_use::unknown;

    /// Makes one in a pool; `kind` must outlive it.
    static running_engine* make(object_pool& pool, const engine_record& engine,
                                const engine_kind& kind, std::uint32_t life) {
        void* const place = pool.allocate(size_with(engine.user_id.size()));
        auto* const made = new (place) running_engine(engine, kind, life);
        std::ranges::copy(engine.user_id, reinterpret_cast<char*>(made + 1));
        return made;
    }
    /// Removes one that `make` made.
    static void remove(object_pool& pool, running_engine* engine) noexcept {
        const auto size = size_with(engine->user_id_size_);
        engine->~running_engine();
        pool.free(engine, size);
    }

    [[nodiscard]] std::string_view user_id() const noexcept {
        return {reinterpret_cast<const char*>(this + 1), user_id_size_};
    }

    static std::optional<duration> read(const std::atomic<std::int64_t>& from) noexcept {
        const auto ms = from.load(std::memory_order_relaxed);
        if (ms == never) return std::nullopt;
        return duration{ms};
    }
    static void write(std::atomic<std::int64_t>& to, duration at) noexcept {
        to.store(at.count(), std::memory_order_relaxed);
    }
    static void raise(std::atomic<std::int64_t>& to, duration at) noexcept {
        if (to.load(std::memory_order_relaxed) < at.count()) write(to, at);
    }

    void use(duration now, engine_use by) noexcept {
        raise(last_used_ms, now);
        last_used_by.store(by, std::memory_order_relaxed);
        use_is_stored.store(false, std::memory_order_relaxed);
    }
    [[nodiscard]] std::optional<instant> last_health() const noexcept {
        const auto at = read(last_health_ms);
        return at ? std::optional(instant{*at}) : std::nullopt;
    }

    /// Makes the processor fetch all of it, but for the end of a long name.
    void prefetch() const noexcept {
        constexpr std::size_t line = 64;
        constexpr std::size_t usual_name = 16;
        const auto* const start = reinterpret_cast<const char*>(this);
        for (std::size_t at = 0; at < sizeof *this; at += line) __builtin_prefetch(start + at);
        __builtin_prefetch(start + size_with(usual_name) - 1);
    }

    // What an admit answers beside that is kept from the record that the last admit read, until the
    // row changes.

    /// Whether the row is as it was when port and key were kept, so that an admit need not read it.
    [[nodiscard]] bool is_known() const noexcept { return (row_.load() & known) != 0; }
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] const cached_key& key() const noexcept { return key_; }

    /// A number for the row as it is. Nothing while it is changed.
    [[nodiscard]] std::optional<std::uint32_t> row() const noexcept {
        const auto now = row_.load();
        return (now & changes) != 0 ? std::nullopt : std::optional(now);
    }
    /// Keeps what an admit has read of the row with this number, unless another change has begun
    /// since. Must not be called while another thread reads.
    void keep(std::uint32_t row, std::uint16_t port, const cached_key& key) noexcept {
        if (row_.load() != row) return;
        key_.take(key);
        port_ = port;
        row_.store(row | known);
    }
    void begin_change() noexcept { row_.store((row_.load() / next_row + 1) * next_row | changes); }
    void end_change() noexcept { row_.store(row_.load() & ~changes); }

private:
    // The bits of `row_`: two flags, and above them the number of changes.
    static constexpr std::uint32_t changes = 1;
    static constexpr std::uint32_t known = 2;
    static constexpr std::uint32_t next_row = 4;

    running_engine(const engine_record& engine, const engine_kind& its_kind,
                   std::uint32_t number) noexcept
        : id(engine.id),
          kind(its_kind),
          created_at(engine.created_at),
          life(number),
          user_id_size_(static_cast<std::uint16_t>(engine.user_id.size())) {}
    ~running_engine() = default;

    static constexpr std::size_t size_with(std::size_t user_id_size) noexcept {
        return sizeof(running_engine) + user_id_size;
    }

    // Read under the table's lock, written while nobody reads.
    std::atomic<std::uint32_t> row_ = 0;
    cached_key key_;
    std::uint16_t port_ = 0;
    const std::uint16_t user_id_size_;
};

static_assert(alignof(running_engine) <= object_pool::unit);
static_assert(sizeof(running_engine) + core::names::max_user_id_bytes <= object_pool::max_size);
static_assert(core::names::max_user_id_bytes <= std::numeric_limits<std::uint16_t>::max());

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
