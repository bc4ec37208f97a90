#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/core/brake.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>

#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The brakes of all products (`core::brake`), in memory only: after a restart of the process they
/// are judged anew. Logs each change, and adds an audit row for it. Thread-safe, never waits, and
/// may be called with a lock held.
class brakes {
public:
    explicit brakes(services& services) : services_(services) {}

    /// An engine begins to run, which it did not before.
    void began(const engine_record& engine);
    /// A running engine ceases to run.
    void ended(const engine_record& engine);
    /// An engine does not run, and will not without a call.
    void left(const engine_record& engine);
    void passed(const engine_record& engine);
    [[nodiscard]] core::failed_probe failed(const engine_record& engine);

    [[nodiscard]] core::brake_state state_of(const engine_record& engine) const;
    /// Nothing unless the product's brake is on.
    [[nodiscard]] std::optional<brake_status> status(const uuid& product) const;
    /// Of all products whose brake is on, in the order of their ids, without their slugs.
    [[nodiscard]] std::vector<braked_product> status_of_all() const;

    /// Stores the audit rows that the store has refused so far.
    void store();

private:
    struct report {
        uuid product;
        core::brake_change change;
        core::moment at;
    };

    template <class Step> void step(const uuid& product, const Step& take);
    void note(const uuid& product, const core::brake_change& change);
    void begin_reporting();
    asio::awaitable<void> report_all();
    asio::awaitable<void> log_all();
    asio::awaitable<bool> store_all();
    [[nodiscard]] bool reported(bool store_refused);
    [[nodiscard]] std::optional<report> next_unlogged();
    [[nodiscard]] std::optional<audit_entry> first_unstored();
    void forget_first_unstored();
    void log(const report& what, const std::string& product) const;
    [[nodiscard]] static audit_entry row_of(const report& what);

    services& services_;
    mutable std::mutex mutex_;
    std::unordered_map<uuid, core::brake> products_; ///< Those with running engines.
    std::deque<report> unlogged_;
    std::deque<audit_entry> unstored_;
    bool reporting_ = false;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/brakes.ipp>
#endif
