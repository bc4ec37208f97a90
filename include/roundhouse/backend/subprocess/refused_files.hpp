#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/detail/replaceable_handler.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// Tells operators what lies among an engine's files and is not used because of its kind or owner,
/// where no call fails that would tell it. Thread-safe.
class refused_files {
public:
    explicit refused_files(log_sink log) { log_.set(std::move(log)); }

    /// What lies in the place of an engine's log. Of what is no file there is one line, until there
    /// is a file again.
    void found_log(const uuid& engine, const std::string& path, mode_t mode) {
        if (is_new(logs_, engine, S_ISREG(mode)))
            tell(log_level::warning,
                 "what lies in the place of an engine's log is no file, and is not read: remove "
                 "it, and start the engine again",
                 engine, path, kind_of(mode));
    }

    /// What lies in the place of an engine's identity: its kind, empty if that is a good one or nothing.
    /// Of what is none there is one line, until there is a good one again.
    void found_identity(const uuid& engine, const std::string& path, std::string_view kind) {
        if (is_new(identities_, engine, kind.empty()))
            tell(log_level::warning,
                 "what lies in the place of an engine's identity is none, and a later server would "
                 "not adopt the engine: remove it, and stop and start the engine",
                 engine, path, kind);
    }

    /// What was left to its owner when an engine's data folder was given to the engine's user; no
    /// line if that is nothing.
    void left(const uuid& engine, const std::string& path, const std::string& kinds) {
        if (!kinds.empty())
            tell(log_level::info,
                 "not all in a data folder was given to the engine's user: links, what is no file, "
                 "and what belongs to others is left",
                 engine, path, kinds);
    }

    void forget(const uuid& engine) {
        const std::lock_guard lock{mutex_};
        logs_.erase(engine);
        identities_.erase(engine);
    }

    /// Once this has returned, the log is not called any more.
    void close() { log_.set({}); }

private:
    /// Whether something is to be told of an engine that has not been told. `told` has those of which
    /// it has; a good one ends that.
    [[nodiscard]] bool is_new(std::unordered_set<uuid>& told, const uuid& engine, bool is_good) {
        const std::lock_guard lock{mutex_};
        if (!is_good) return told.insert(engine).second;
        told.erase(engine);
        return false;
    }

    void tell(log_level level, std::string_view message, const uuid& engine, std::string_view path,
              std::string_view kind) const {
        const auto id = to_string(engine);
        const std::array<log_field, 3> fields{log_field{"engine_id", id}, log_field{"path", path},
                                              log_field{"kind", kind}};
        log_({.level = level, .message = message, .fields = fields});
    }

    replaceable_handler<log_line> log_;
    std::mutex mutex_;
    // Engines of which is told; with the mutex held.
    std::unordered_set<uuid> logs_;
    std::unordered_set<uuid> identities_;
};

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
