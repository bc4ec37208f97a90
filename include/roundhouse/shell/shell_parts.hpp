#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What the shell works with; outlives it.
template <class Backend, class Store, class Clock> struct shell_parts {
    asio::any_io_executor executor;
    std::shared_ptr<Backend> backend;
    std::shared_ptr<Store> store;
    std::shared_ptr<Clock> clock;
    roundhouse::settings settings;
    crypto::key_ring keys;
    crypto::entropy entropy;
    log_sink log;
    std::vector<std::string> hidden; ///< Texts that no line of the log may hold.
    /// Told of every audit row once it is durable.
    std::function<void(const audit_entry&)> audited;
    /// Told of every record that has changed; the second is null if it is gone.
    std::function<void(const engine_record&, const engine_record*)> changed;
    /// When the engine was last used; nothing if that is not known.
    std::function<std::optional<instant>(const engine_record&)> last_used;
    /// Notes that an engine is wanted by somebody now.
    std::function<void(const engine_record&)> used;

    void log_line(log_level level, std::string_view line) const {
        if (log) log(level, line);
    }

    /// What an engine that needs a port asks the store for; nothing if this backend gives none.
    [[nodiscard]] std::optional<port_request> port_wanted() const {
        if (!backend->needs_port()) return std::nullopt;
        return port_request{settings.port_min, settings.port_max,
                            [of = backend](std::uint16_t port) { return of->port_usable(port); }};
    }

    /// An engine as it begins, with a key of its own.
    [[nodiscard]] engine_record new_engine(const engine_owner& owner,
                                           const std::optional<std::string>& version) const {
        const auto now = clock->now();
        engine_record record;
        record.id = crypto::make_uuid(entropy);
        record.product_id = owner.product_id;
        record.user_id = owner.user_id;
        record.version = version.value_or(settings.default_version);
        record.intent = intent::boot;
        record.generation = 1;
        record.created_at = record.operation_started_at = record.last_activity_at = now;
        const auto key = crypto::make_engine_key(entropy);
        record.key_hash = crypto::sha256(key);
        record.sealed_key = keys.seal(key, now, entropy);
        return record;
    }
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
