#pragma once

#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Texts by their names, such as the variables of an environment.
using named_texts = std::map<std::string, std::string>;

inline constexpr std::uint64_t bytes_per_mb = 1'048'576; ///< Of `engine_limits::memory_mb`.

/// A number of bytes in MiB, rounded up.
[[nodiscard]] constexpr std::uint64_t whole_mb(std::uint64_t bytes) noexcept {
    return bytes / bytes_per_mb + (bytes % bytes_per_mb == 0 ? 0 : 1);
}

/// The ceilings of one engine (`limits` in the contract). A member without a value leaves what the
/// backend gives every engine.
struct engine_limits {
    std::optional<std::uint64_t> memory_mb = {}; ///< In MiB, with what of it is swapped out.
    std::optional<double> cpus = {};             ///< Processors, of which it may be a fraction.
    std::optional<std::uint64_t> pids = {};      ///< Processes and threads.

    friend bool operator==(const engine_limits&, const engine_limits&) = default;
};

/// What a backend can do about the ceilings of a single engine.
struct limit_support {
    // Whether it holds a ceiling of that kind.
    bool memory_mb = false;
    bool cpus = false;
    bool pids = false;
    /// Those that hold for engines which have none of their own.
    engine_limits general = {};
};

/// When one engine is put to sleep (`sleep` in the contract). A member without a value leaves what
/// holds for every engine.
struct sleep_settings {
    /// Without a use, in place of `settings::sleep_after`; 0 for never.
    std::optional<duration> after = {};
    /// Of sleeping, after which its workload is ended, in place of `settings::deep_sleep_after`; 0
    /// for never.
    std::optional<duration> deep_after = {};
    std::optional<bool> pinned = {}; ///< With true it is never put to sleep.

    friend bool operator==(const sleep_settings&, const sleep_settings&) = default;
};

/// Settings that were changed since the present generation of the engine's workload was begun, and
/// hold from the next one on.
struct pending_settings {
    bool env = false;
    bool limits = false;
    bool stop_grace = false;
    bool version = false; ///< Of `engine_record::version`.
    // What the present generation has, where that was changed.
    std::string sealed_env = {};
    engine_limits limits_before = {};
    std::optional<duration> stop_grace_before = {};
    std::string version_before = {};

    friend bool operator==(const pending_settings&, const pending_settings&) = default;
};

/// What an engine was given for itself (SPEC §3).
struct engine_settings {
    std::vector<std::string> env_names = {}; ///< Of the variables, in order.
    /// Fernet token of the variables with their values (`crypto::seal_env`). Empty if there are none.
    std::string sealed_env = {};
    named_texts metadata = {}; ///< The product's own: kept and shown, and of no meaning here.
    engine_limits limits = {};
    std::optional<duration> stop_grace = {}; ///< In place of `settings::stop_grace`.
    sleep_settings sleep = {};
    std::uint64_t revision = 1; ///< Counts the changes of these settings, their beginning included.
    pending_settings pending = {};

    friend bool operator==(const engine_settings&, const engine_settings&) = default;
};

/// The settings of an engine that has none, of which its record keeps no object.
[[nodiscard]] inline const engine_settings& no_settings() noexcept {
    static const engine_settings none;
    return none;
}

// What the present generation of an engine's workload has, also if it is still being made.

[[nodiscard]] inline const std::string& present_sealed_env(const engine_settings& settings) {
    return settings.pending.env ? settings.pending.sealed_env : settings.sealed_env;
}
[[nodiscard]] inline const engine_limits& present_limits(const engine_settings& settings) {
    return settings.pending.limits ? settings.pending.limits_before : settings.limits;
}
[[nodiscard]] inline const std::optional<duration>&
present_stop_grace(const engine_settings& settings) {
    return settings.pending.stop_grace ? settings.pending.stop_grace_before : settings.stop_grace;
}

/// The version of the present generation of an engine's workload, also if it is still being made.
[[nodiscard]] inline const std::string& present_version(const engine_record& engine) noexcept {
    const bool pending = engine.settings && engine.settings->pending.version;
    return pending ? engine.settings->pending.version_before : engine.version;
}

/// The same settings for an engine of which another generation is begun.
[[nodiscard]] inline std::shared_ptr<const engine_settings>
without_pending(std::shared_ptr<const engine_settings> settings) {
    if (!settings || settings->pending == pending_settings{}) return settings;
    auto out = std::make_shared<engine_settings>(*settings);
    out->pending = {};
    return out;
}

/// What of a product's defaults was replaced while workloads that were made with it may still run.
struct former_defaults {
    // The revisions in which it held, both included.
    std::uint64_t first_revision = 0;
    std::uint64_t last_revision = 0;
    std::vector<std::string> env_names = {};
    std::string sealed_env = {};
    engine_limits limits = {};
    std::optional<duration> stop_grace = {};

    friend bool operator==(const former_defaults&, const former_defaults&) = default;
};

/// What the engines of a product get where they have nothing of their own (SPEC §3, "Admin").
struct product_defaults {
    /// How many earlier ones are kept: those of workloads that are older are not known any more.
    static constexpr std::size_t most_former = 4;

    std::optional<std::string> version =
        {}; ///< Taken, like the metadata, when an engine is created.
    /// The rest. `revision` counts the changes of all of it; nothing is ever pending.
    engine_settings settings = {};
    // The revisions in which a member last changed that only a new workload gets.
    std::uint64_t env_changed = 0;
    std::uint64_t limits_changed = 0;
    std::uint64_t stop_grace_changed = 0;
    std::vector<former_defaults> former = {}; ///< Oldest first, at most `most_former`.

    friend bool operator==(const product_defaults&, const product_defaults&) = default;
};

using defaults_ptr = std::shared_ptr<const product_defaults>;

/// What an engine's record says of the defaults that its workload is made with.
[[nodiscard]] inline std::uint64_t revision_of(const product_defaults* defaults) noexcept {
    return defaults == nullptr ? 0 : defaults->settings.revision;
}

/// An engine's settings, whether its record has an object or not. Valid as long as the record.
[[nodiscard]] inline const engine_settings& settings_of(const engine_record& engine) noexcept {
    return engine.settings ? *engine.settings : no_settings();
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
