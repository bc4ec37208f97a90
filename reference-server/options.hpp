#pragma once

#include "option_values.hpp"

#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/settings.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The reference server's options (SPEC §9): environment variables and flags, of which a flag wins.
namespace roundhouse::server {

enum class store_kind : std::uint8_t { memory, lmdb };
enum class backend_kind : std::uint8_t { memory, subprocess, docker };
enum class on_exit : std::uint8_t { stop, keep };
enum class log_format : std::uint8_t { text, json };
enum class advertise : std::uint8_t { automatic, host, network };

[[nodiscard]] std::string_view name_of(store_kind kind) noexcept;
[[nodiscard]] std::string_view name_of(backend_kind kind) noexcept;

/// A product to register at the start, if it is not there yet, with a key that is known before. For
/// trials, such as scripts/run.sh.
struct bootstrap_product {
    std::string slug;
    std::string platform_key;
};

/// What containers are allowed again that is taken from them by default.
struct relaxations {
    bool capabilities = false;   ///< Docker's own set of them.
    bool new_privileges = false; ///< By setuid programs.
    bool writable_root = false;
    bool no_init = false;
    bool traffic = false; ///< Between engines that are reached by ports of the host.
};

/// What engines are given, and where they run. Some of it only matters to some backends.
struct engine_options {
    std::vector<std::string> command; ///< Its first word is a path that can be executed.
    std::vector<std::string> env_passthrough;
    /// What reaches a subprocess of the server's own environment: PATH, LANG, TZ and what is passed
    /// through.
    std::vector<std::pair<std::string, std::string>> environment;
    std::string catalog_path; ///< Absolute, or empty.

    std::string network;
    server::advertise advertise = advertise::automatic;
    std::string runtime;
    std::string user;
    std::uint64_t memory_mb = 0; ///< 0 is no ceiling
    double cpus = 0;             ///< 0 is no ceiling
    std::uint64_t pids = 0;      ///< 0 is no ceiling
    relaxations relaxed;
    std::string docker_host;

    /// What `env_passthrough` names of `environment`.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> passed_through() const;
};

struct server_options {
    listen_address listen;
    std::optional<crypto::key_ring> master_keys; ///< Always set where they are needed.
    std::string admin_key;

    store_kind store = store_kind::lmdb;
    std::string store_path; ///< Absolute.
    backend_kind backend = backend_kind::docker;
    engine_options engine;
    roundhouse::settings settings;

    server::on_exit on_exit = on_exit::stop;
    roundhouse::log_level log_level = log_level::info;
    server::log_format log_format = log_format::text;
    std::optional<bootstrap_product> bootstrap;
};

/// What the command line and the environment ask for.
struct invocation {
    enum class action : std::uint8_t {
        serve,
        print,        ///< Print `text` to the standard output and exit with 0.
        backup,       ///< Copy the store into `backup_folder`.
        reencrypt,    ///< Seal the stored keys again under the first master key.
        verify_store, ///< Check that the store agrees with itself.
    };
    action what = action::serve;
    std::string text;
    std::string backup_folder; ///< Absolute.
    /// Complete if `what` is `serve`. The actions on the store have `store` and `store_path`, and
    /// `reencrypt` the master keys.
    server_options options;
    std::vector<std::string> warnings; ///< Things that are allowed and probably not meant.
};

using environment = std::map<std::string, std::string, std::less<>>;

/// The environment of this process.
[[nodiscard]] environment process_environment();

/// Reads the arguments (without the program's name) and the environment. An empty environment
/// variable counts as one that is not set. Touches the file system only to look (the command, the
/// catalog), and changes nothing. A failure's message begins with the name of the variable or flag,
/// and never holds a secret.
[[nodiscard]] result<invocation> parse_options(std::span<const char* const> arguments,
                                               const environment& variables);

} // namespace roundhouse::server
