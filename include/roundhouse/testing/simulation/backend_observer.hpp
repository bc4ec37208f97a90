#pragma once

#include <roundhouse/workload.hpp>

#include <cstdint>
#include <functional>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

enum class backend_operation : std::uint8_t {
    prepare,
    prepare_upgrade, ///< Beside what is under way for the engine, in a turn of its own.
    create,
    stop,
    pause,
    resume,
    destroy,
    swap_key,
    list,
    copy_data,
    restore_data,
    drop_copy
};

constexpr std::string_view name_of(backend_operation operation) noexcept {
    switch (operation) {
    case backend_operation::prepare: return "prepare";
    case backend_operation::prepare_upgrade: return "prepare_upgrade";
    case backend_operation::create: return "create";
    case backend_operation::stop: return "stop";
    case backend_operation::pause: return "pause";
    case backend_operation::resume: return "resume";
    case backend_operation::destroy: return "destroy";
    case backend_operation::swap_key: return "swap_key";
    case backend_operation::list: return "list";
    case backend_operation::copy_data: return "copy_data";
    case backend_operation::restore_data: return "restore_data";
    case backend_operation::drop_copy: return "drop_copy";
    }
    return "unknown";
}

/// Handlers that a `faulty_backend` calls. Empty ones are skipped.
struct backend_observer {
    std::function<void(backend_operation, const workload_ref&)> began = {};
    /// Whether a workload is prepared for an upgrade, and not for a boot.
    std::function<bool(const workload&)> is_for_upgrade = {};
    /// A workload is asked for, and one is asked to end.
    std::function<void(const workload&)> asked_for = {};
    std::function<void(const workload_ref&, duration grace)> asked_to_stop = {};
    /// The call was answered or cancelled.
    std::function<void(backend_operation, const workload_ref&)> ended = {};
    /// A probe was answered healthy; called before the orchestrator gets the answer.
    std::function<void(const workload_ref&, const health&)> probed = {};
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
