#pragma once

#include "named_admins.hpp"
#include "option_values.hpp"
#include "transport/client_address.hpp"
#include "transport/tls_settings.hpp"

#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/settings.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The reference server's options (SPEC §9): environment variables and flags. A flag takes
/// precedence over its variable.
namespace roundhouse::server {

enum class store_kind : std::uint8_t { memory, lmdb };
enum class backend_kind : std::uint8_t { memory, subprocess, docker };
enum class on_exit : std::uint8_t { stop, keep };
enum class log_format : std::uint8_t { text, json };
enum class advertise : std::uint8_t { automatic, host, network };

[[nodiscard]] std::string_view name_of(store_kind kind) noexcept;
[[nodiscard]] std::string_view name_of(backend_kind kind) noexcept;

/// A product that is registered at the start if it does not exist, with a given platform key, which
/// takes the place of those that were given at earlier starts. For trials, such as scripts/run.sh.
struct bootstrap_product {
    std::string slug;
    crypto::secret_text platform_key;
};

/// Restrictions of containers that are lifted.
struct relaxations {
    bool capabilities = false;   ///< Keep Docker's default set of capabilities.
    bool new_privileges = false; ///< Setuid programs may gain privileges.
    bool writable_root = false;
    bool no_init = false;
    bool traffic = false; ///< Engines that are reached through host ports may reach each other.
};

/// Options of engines and their backend. Some apply to some backends only.
struct engine_options {
    std::vector<std::string> command; ///< The first word is the path of an executable file.
    std::vector<std::string> env_passthrough;
    /// The part of the server's environment that subprocesses get: PATH, LANG, TZ, and the
    /// variables in `env_passthrough`.
    std::vector<std::pair<std::string, std::string>> environment;
    bool pass_listener = false;
    std::string catalog_path; ///< Absolute, or empty.
    isolation_mode isolation = isolation_mode::automatic;
    std::vector<std::string> readable; ///< Absolute paths.
    std::uint64_t file_mb = 0;         ///< 0 is no bound
    std::optional<uid_range> uids;     ///< As in `subprocess_options`.

    std::string network;
    server::advertise advertise = advertise::automatic;
    std::string runtime;
    std::string user;
    std::uint64_t memory_mb = 0; ///< 0 is no ceiling
    double cpus = 0;             ///< 0 is no ceiling
    std::uint64_t io_mb_s = 0;   ///< 0 is no ceiling
    std::uint64_t pids = 0;      ///< 0 is no ceiling
    bool pids_given = false;     ///< Not by the default, of which subprocesses have what holds.
    relaxations relaxed;
    std::string docker_host;
    std::string docker_certificates_path; ///< Absolute, or empty.
    std::string docker_tls_verify;        ///< Not empty: TLS is wanted.
    bool adds_metadata_rule = true;       ///< To DOCKER-USER, where the server may.
    std::vector<std::string> registries;  ///< Empty for all.
    std::string registry_auth_file;       ///< Absolute, or empty.

    /// The variables of `environment` that are in `env_passthrough`.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> passed_through() const;
};

struct server_options {
    std::vector<listen_address> listen;
    tls_files tls;                            ///< Without a certificate there is no TLS.
    std::shared_ptr<tls_settings> loaded_tls; ///< From these files; null without a certificate.
    std::size_t connections = 0;              ///< 0: as many as the open files allow.
    std::size_t connections_per_address = 0;  ///< 0: a quarter of all.
    address_set trusted_proxies;
    std::optional<crypto::key_ring> master_keys; ///< Set where they are needed.
    crypto::secret_text admin_key;               ///< Empty for none.
    std::vector<named_admin> named_admins;
    /// The file that they are read from, also again on SIGHUP; empty for none.
    std::string named_admins_file;
    /// The options that name files of secrets, and those files.
    std::vector<std::pair<std::string, std::string>> secret_files;

    store_kind store = store_kind::lmdb;
    std::string store_path; ///< Absolute.
    backend_kind backend = backend_kind::docker;
    engine_options engine;
    roundhouse::settings settings;

    server::on_exit on_exit = on_exit::stop;
    roundhouse::log_level log_level = log_level::info;
    server::log_format log_format = log_format::text;
    std::optional<bootstrap_product> bootstrap;
    duration bootstrap_overlap{0}; ///< How long keys of earlier starts stay in force.
};

/// Whether the connections of an address are encrypted. Those of Unix sockets are not.
[[nodiscard]] bool is_encrypted(const listen_address& address,
                                const server_options& options) noexcept;

enum class server_action : std::uint8_t {
    serve,
    print,        ///< Print `invocation::text` to the standard output and exit with 0.
    backup,       ///< Copy the store into `invocation::backup_folder`.
    reencrypt,    ///< Seal the stored keys again under the first master key.
    verify_store, ///< Check that the store is consistent.
};

/// What the command line and the environment ask for.
struct invocation {
    server_action action = server_action::serve;
    std::string text;
    std::string backup_folder; ///< Absolute.
    /// Complete if `action` is `serve`. For the actions on the store, only `store` and `store_path`
    /// are set, and for `reencrypt` also the master keys.
    server_options options;
    std::vector<std::string> warnings; ///< Options that are valid and probably not intended.
};

using environment = std::map<std::string, std::string, std::less<>>;

/// Returns the environment of this process.
[[nodiscard]] environment process_environment();

/// Reads the arguments (without the program's name) and the environment. An empty environment
/// variable counts as not set. Looks for the command and the catalog in the file system, and
/// changes nothing there. A failure's message begins with the name of the variable or flag, and
/// never holds a secret.
[[nodiscard]] result<invocation> parse_options(std::span<const char* const> arguments,
                                               const environment& variables);

} // namespace roundhouse::server
