#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The part of an engine's output that is asked for.
struct log_query {
    /// The last lines of what has been written; all of it if empty. Zero makes sense with `follow`.
    std::optional<std::size_t> tail = 100;
    /// Leaves out what was written before this wall time.
    std::optional<instant> since = {};
    /// Goes on with what the workload writes, until it ends.
    bool follow = false;
};

/// The output of a workload, as a backend's `open_logs` opens it. Used by one coroutine at a time,
/// on any executor. May outlive the backend; then it fails.
class log_source {
public:
    log_source() = default;
    log_source(const log_source&) = delete;
    log_source& operator=(const log_source&) = delete;
    virtual ~log_source() = default;

    /// The next piece: at least one byte and at most 64 KiB, or an empty text at the end. Waits
    /// until there is one. Can be cancelled with type `terminal`, and throws only then; after that
    /// it can only be destroyed.
    virtual asio::awaitable<result<std::string>> next() = 0;
};

using log_source_ptr = std::shared_ptr<log_source>;

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
