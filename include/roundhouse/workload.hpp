#pragma once

#include <roundhouse/engine_owner.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Names one workload of an engine.
struct workload_ref {
    uuid engine_id;
    std::uint64_t generation = 0;
    std::uint16_t port = 0; ///< Host port held for the engine, or 0.

    friend bool operator==(const workload_ref&, const workload_ref&) = default;
};

/// The workload that a record says an engine has, or is to get.
[[nodiscard]] inline workload_ref ref_of(const engine_record& engine) noexcept {
    return {engine.id, engine.generation, engine.port};
}

/// The request for one workload.
struct workload {
    workload_ref ref;
    engine_owner owner{};
    std::string version;      ///< The image (Docker), or a name that is only recorded.
    sha256_digest key_hash{}; ///< Given to the engine as `ENGINE_KEY_HASH`.
    /// The slug of the owner's product; empty if the product's record cannot be read.
    std::string product_slug = {};
    /// Variables of its own, in clear: for `create` only, and not to be kept. Empty in `prepare`.
    named_texts env = {};
    /// Those in force, where they are below the general ones of the backend; of kinds that it says it
    /// holds (`limit_support`). Empty in `prepare`.
    engine_limits limits = {};
};

enum class workload_state : std::uint8_t { up, paused, down };

/// A workload in a backend's list. `down` means that it does not run, but data or other remains of
/// it exist.
struct found_workload {
    workload_ref ref;
    workload_state state = workload_state::down;
    /// False if it belongs to another installation, and must be left alone.
    bool ours = true;
    /// Empty if the backend does not know it.
    std::optional<engine_owner> owner = std::nullopt;
};

/// A healthy answer of an engine's `GET /health` (SPEC §6).
struct health {
    bool busy = false;
};

/// The end of a workload that the backend was not asked for.
struct workload_exit {
    workload_ref ref;
    engine_owner owner{};         ///< The owner that `create` was given.
    std::optional<int> exit_code; ///< Set if it exited by itself, and the code is known.
    std::optional<int> signal;    ///< Set if a signal ended it, and that is known.
    bool out_of_memory = false;
    /// Why the backend has ended it, as a sentence, with a full stop; empty if it has not.
    std::string reason = {};
};

/// A pause or a resume of a workload that the backend was not asked for.
struct workload_pause {
    workload_ref ref;
    engine_owner owner{}; ///< The owner that `create` was given.
    bool paused = false;  ///< The state that it is in now.
};

/// The result of offering a new key to an engine.
enum class key_swap : std::uint8_t {
    done,        ///< The engine accepts only the new key now.
    unsupported, ///< The engine cannot swap its key, and must be recreated with the new one.
    /// The engine did not answer, or refused the present key: its key is not known, and it must be
    /// recreated with the new one.
    unknown,
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
