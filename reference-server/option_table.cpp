#include "option_table.hpp"

#include <roundhouse/backend/docker/image.hpp>
#include <roundhouse/core/names.hpp>
#include <roundhouse/core/platform_keys.hpp>
#include <roundhouse/crypto/base64url.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/http/bodies.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <iterator>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace roundhouse::server {

namespace {

using reader = std::function<result<void>(server_options&, const std::string&)>;

/// The bound of counts; more is probably a typing error.
constexpr std::uint64_t max_count = 1'000'000;
/// The bound of durations: a month.
constexpr double max_seconds = 31.0 * 86'400.0;

unexpected cause(std::string message) { return fail(errc::invalid_request, std::move(message)); }

/// Makes a reader of a whole number. Here and below, `member` returns the member of the options
/// that the reader sets.
template <class Member> reader whole(Member member, std::uint64_t min, std::uint64_t max) {
    return [=](server_options& options, const std::string& text) -> result<void> {
        auto number = parse_whole(text, min, max);
        if (!number) return unexpected(std::move(number.error()));
        auto& target = member(options);
        target = static_cast<std::remove_reference_t<decltype(target)>>(*number);
        return {};
    };
}

/// Makes a reader of a duration in seconds.
template <class Member> reader seconds(Member member, double min = 0) {
    return [=](server_options& options, const std::string& text) -> result<void> {
        auto time = parse_seconds(text, min, max_seconds);
        if (!time) return unexpected(std::move(time.error()));
        member(options) = *time;
        return {};
    };
}

/// Makes a reader of a text of one line.
template <class Member> reader text(Member member) {
    return [=](server_options& options, const std::string& value) -> result<void> {
        if (value.size() > 4096) return cause("is longer than 4096 bytes");
        const auto control = [](char c) {
            return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
        };
        if (std::ranges::any_of(value, control)) return cause("holds a control character");
        member(options) = value;
        return {};
    };
}

/// Makes a reader of a path, which may be empty.
template <class Member> reader path(Member member) {
    return [=, line = text(member)](server_options& options,
                                    const std::string& value) -> result<void> {
        if (auto read = line(options, value); !read || value.empty()) return read;
        // Engines run in folders of their own, where a relative path would have another meaning.
        member(options) = std::filesystem::absolute(value).lexically_normal().string();
        return {};
    };
}

template <class Value> struct choice {
    std::string_view name;
    Value value;
};

/// Makes a reader of one of several names.
template <class Value, class Member>
reader one_of(Member member, std::initializer_list<choice<Value>> choices) {
    return [=, choices = std::vector(choices)](server_options& options,
                                               const std::string& value) -> result<void> {
        std::string names;
        for (const auto& choice : choices) {
            if (value == choice.name) return member(options) = choice.value, result<void>();
            names.append(names.empty() ? "" : ", ").append(choice.name);
        }
        return cause('"' + value + "\" is none of: " + names);
    };
}

result<void> read_listen(server_options& options, const std::string& value) {
    if (value.empty()) return cause("must name an address, such as 127.0.0.1:8000");
    options.listen.clear();
    for (const auto& part : split_list(value)) {
        auto address = parse_listen_address(part);
        if (!address) return unexpected(std::move(address.error()));
        options.listen.push_back(std::move(*address));
    }
    return {};
}

result<void> read_master_keys(server_options& options, const std::string& value) {
    if (value.empty())
        return cause("is required: a Fernet key that seals the engines' keys in the store. Make "
                     "one with `head "
                     "-c 32 /dev/urandom | base64 | tr '+/' '-_'` and keep it: without it the "
                     "store cannot be read");
    auto keys = crypto::key_ring::parse(value);
    if (!keys) return unexpected(std::move(keys.error()));
    options.master_keys = std::move(*keys);
    return {};
}

result<void> read_admin_key(server_options& options, const std::string& value) {
    const std::string advice(admin_key_advice);
    if (value.empty()) return {}; // there may be named administrators
    if (value.size() < shortest_admin_key_taken)
        return cause("has fewer than " + std::to_string(shortest_admin_key) +
                     " characters, which could be guessed. " + advice);
    if (auto fault = fault_of_admin_key(value)) return cause(*std::move(fault));
    options.admin_key.assign(value);
    return {};
}

result<void> read_admin_keys(server_options& options, const std::string& value) {
    if (value.empty()) return {};
    auto admins = parse_named_admins(value, options.admin_key);
    if (!admins) return unexpected(std::move(admins.error()));
    options.named_admins = std::move(*admins);
    return {};
}

result<void> read_trusted_proxies(server_options& options, const std::string& value) {
    auto addresses = address_set::parse(value);
    if (!addresses) return unexpected(std::move(addresses.error()));
    options.trusted_proxies = std::move(*addresses);
    return {};
}

result<void> read_store_path(server_options& options, const std::string& value) {
    if (value.empty()) return cause("must name a folder");
    options.store_path = std::filesystem::absolute(value).lexically_normal().string();
    return {};
}

result<void> read_command(server_options& options, const std::string& value) {
    auto words = split_words(value);
    if (!words) return unexpected(std::move(words.error()));
    options.engine.command = std::move(*words);
    return {};
}

result<void> read_passthrough(server_options& options, const std::string& value) {
    auto names = parse_variable_names(value);
    if (!names) return unexpected(std::move(names.error()));
    constexpr std::array<std::string_view, 10> given{
        "ENGINE_ID",   "ENGINE_KEY_HASH", "ENGINE_USER_ID",   "ENGINE_PRODUCT", "ENGINE_VERSION",
        "ENGINE_HOST", "ENGINE_PORT",     "ENGINE_LISTEN_FD", "SQLITE_DB_PATH", "CATALOG_DIR"};
    const auto is_secret = [](const std::string& name) {
        return std::ranges::any_of(
            option_table(), [&](const option_row& row) { return row.secret && row.name == name; });
    };
    for (const auto& name : *names) {
        if (std::ranges::find(given, name) != given.end())
            return cause(name + " is set for each engine by the server; take it off the list");
        if (is_secret(name))
            return cause(
                name + " is a secret of the server that no engine may have; take it off the list");
    }
    options.engine.env_passthrough = std::move(*names);
    return {};
}

result<void> read_network(server_options& options, const std::string& value) {
    const auto alphanumeric = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    const auto allowed = [&](char c) {
        return alphanumeric(c) || c == '_' || c == '.' || c == '-';
    };
    if (value.empty() || !alphanumeric(value.front()) || !std::ranges::all_of(value, allowed))
        return cause('"' + value +
                     "\" cannot name a Docker network: it begins with a letter or digit, and "
                     "goes on with letters, digits, _ . and -");
    constexpr std::array<std::string_view, 4> predefined{"bridge", "default", "host", "none"};
    if (std::ranges::find(predefined, value) != predefined.end())
        return cause('"' + value +
                     "\" is one of Docker's own networks, where engines find nobody by name: name "
                     "another, which is made if it is missing");
    options.engine.network = value;
    return {};
}

result<void> read_registries(server_options& options, const std::string& value) {
    options.engine.registries.clear();
    for (const auto& entry : split_list(value)) {
        auto registry = roundhouse::detail::docker::read_registry(entry);
        if (!registry) return unexpected(std::move(registry.error()));
        options.engine.registries.push_back(std::move(*registry));
    }
    return {};
}

result<void> read_cpus(server_options& options, const std::string& value) {
    auto number = parse_number(value, 0, 4096);
    if (!number) return unexpected(std::move(number.error()));
    options.engine.cpus = *number;
    return {};
}

result<void> read_relaxations(server_options& options, const std::string& value) {
    constexpr std::array<std::pair<std::string_view, bool relaxations::*>, 5> known{
        {{"capabilities", &relaxations::capabilities},
         {"new-privileges", &relaxations::new_privileges},
         {"writable-root", &relaxations::writable_root},
         {"no-init", &relaxations::no_init},
         {"traffic", &relaxations::traffic}}};
    options.engine.relaxed = {};
    for (const auto& name : split_list(value)) {
        if (name.empty()) continue;
        const auto* const found = std::ranges::find(known, name,
                                                    &decltype(known)::value_type::first);
        if (found == known.end())
            return cause('"' + name +
                         "\" is none of: capabilities, new-privileges, writable-root, no-init, "
                         "traffic");
        options.engine.relaxed.*found->second = true;
    }
    return {};
}

result<void> read_bootstrap_slug(server_options& options, const std::string& value) {
    if (value.empty()) return {};
    if (const auto complaint = core::names::check_slug(value))
        return cause('"' + value + "\" " + *complaint);
    options.bootstrap.emplace().slug = value;
    return {};
}

result<void> read_bootstrap_key(server_options& options, const std::string& value) {
    if (value.empty() != !options.bootstrap)
        return cause(value.empty()
                         ? "is missing: ORCH_BOOTSTRAP_PRODUCT needs the key to register"
                         : "needs ORCH_BOOTSTRAP_PRODUCT, the slug of the product that it is for");
    if (value.empty()) return {};
    constexpr auto prefix = crypto::platform_key_prefix;
    const auto bytes = value.starts_with(prefix)
                           ? crypto::base64url_decode(std::string_view(value).substr(prefix.size()),
                                                      crypto::padding::none)
                           : std::nullopt;
    if (!bytes || bytes->size() != 32)
        return cause(
            "is not a platform key: pk-sept- and 43 characters of base64url. Make one with `echo "
            "pk-sept-$(head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d =)`");
    options.bootstrap->platform_key.assign(value);
    return {};
}

result<void> read_bootstrap_overlap(server_options& options, const std::string& value) {
    constexpr std::chrono::duration<double> longest = core::longest_key_overlap;
    auto overlap = parse_seconds(value, 0, longest.count());
    if (!overlap) return unexpected(std::move(overlap.error()));
    options.bootstrap_overlap = *overlap;
    return {};
}

result<void> read_default_policy(server_options& options, const std::string& value) {
    options.settings.default_policy = {};
    if (value.empty()) return {};
    auto limits = http::read_policy(value);
    if (!limits) return unexpected(std::move(limits.error()));
    options.settings.default_policy = std::move(*limits);
    return {};
}

result<void> read_readable(server_options& options, const std::string& value) {
    for (std::string_view rest = value; !rest.empty();) {
        const auto path = rest.substr(0, rest.find(':'));
        rest.remove_prefix(std::min(rest.size(), path.size() + 1));
        if (!path.starts_with('/'))
            return cause('"' + std::string(path) + "\" is not an absolute path");
        options.engine.readable.emplace_back(path);
    }
    return {};
}

result<void> read_uids(server_options& options, const std::string& value) {
    auto& uids = options.engine.uids;
    if (value == "auto") return {};
    if (value == "none") {
        uids = uid_range{};
        return {};
    }
    uid_range range;
    const char* const end = value.data() + value.size();
    const auto low = std::from_chars(value.data(), end, range.low);
    const auto high = low.ptr != end && *low.ptr == '-'
                          ? std::from_chars(low.ptr + 1, end, range.high)
                          : low;
    if (low.ec != std::errc{} || high.ec != std::errc{} || high.ptr != end || range.empty())
        return cause(
            '"' + value +
            "\" is not auto, none or LOW-HIGH, such as 1879048192-1879113727, where LOW is 1 or "
            "more and at most HIGH");
    constexpr std::uint32_t highest = 4'294'967'293; // the two above mean no user
    if (range.high > highest) return cause("a user has no number above 4294967293");
    uids = range;
    return {};
}

/// The file is read where the secret is.
option_row file_of_secret(std::string_view name, std::string_view help) {
    const auto read = [](server_options&, const std::string&) { return result<void>(); };
    return {name, "FILE", "", help, read};
}

// Each returns a function that returns a member of the options.
auto setting(auto settings::*member) {
    return [member](server_options& options) -> auto& { return options.settings.*member; };
}
auto engine(auto engine_options::*member) {
    return [member](server_options& options) -> auto& { return options.engine.*member; };
}
auto tls(auto tls_files::*member) {
    return [member](server_options& options) -> auto& { return options.tls.*member; };
}
auto server(auto server_options::*member) {
    return [member](server_options& options) -> auto& { return options.*member; };
}

std::vector<option_row> serving_rows() {
    return {
        {"ORCH_LISTEN", "ADDRESSES", "127.0.0.1:8000",
         "Addresses of the API, separated by commas: HOST:PORT, with http:// or https:// before "
         "it, "
         "or unix:/PATH. Port 0 takes a free one.",
         read_listen},
        {"ORCH_TLS_CERT", "FILE", "",
         "PEM file with the server's certificate and those that lead to its root: addresses "
         "without "
         "a scheme are then https. Read again on SIGHUP, as are the next two.",
         path(tls(&tls_files::certificate))},
        {"ORCH_TLS_KEY", "FILE", "", "PEM file with the certificate's private key.",
         path(tls(&tls_files::key))},
        {"ORCH_TLS_CLIENT_CA", "FILE", "",
         "PEM file with the authorities of which each client must have a certificate.",
         path(tls(&tls_files::client_ca))},
        {"ORCH_MASTER_KEY", "KEYS", "",
         "Fernet key that seals the engine keys (required); or several, separated by commas: the "
         "first seals, and all unseal.",
         read_master_keys, true},
        file_of_secret("ORCH_MASTER_KEY_FILE", "File with the Fernet keys."),
        {"ORCH_ADMIN_KEY", "KEY", "",
         "Key for admin calls: 32 characters or more. Required, unless there are named "
         "administrators.",
         read_admin_key, true},
        file_of_secret("ORCH_ADMIN_KEY_FILE", "File with the key for admin calls."),
        {"ORCH_ADMIN_KEYS", "NAME=KEY,...", "",
         "Administrators with keys of their own, whose names stand in the audit log. Names are 1 "
         "to "
         "32 characters of a-z, 0-9 and -.",
         read_admin_keys, true},
        file_of_secret("ORCH_ADMIN_KEYS_FILE",
                       "File with such pairs, one on a line; read again on SIGHUP."),
        {"ORCH_CONNECTIONS", "COUNT", "0",
         "Connections of clients at the same time; 0 stands for as many as the limit on open files "
         "allows, up to 50,000.",
         whole(server(&server_options::connections), 0, max_count)},
        {"ORCH_CONNECTIONS_PER_ADDRESS", "COUNT", "0",
         "Connections of one client address (of IPv6, one /64 network); 0 stands for a quarter of "
         "all.",
         whole(server(&server_options::connections_per_address), 0, max_count)},
        {"ORCH_TRUSTED_PROXIES", "ADDRESSES", "",
         "Addresses and networks of proxies, separated by commas, to which that limit does not "
         "apply.",
         read_trusted_proxies},
        {"ORCH_STORE", "KIND", "lmdb",
         "Where records are stored: lmdb (on disk), or memory, which loses them when the server "
         "exits.",
         one_of<store_kind>(server(&server_options::store),
                            {{"lmdb", store_kind::lmdb}, {"memory", store_kind::memory}})},
        {"ORCH_STORE_PATH", "FOLDER", "./var/roundhouse",
         "Folder of the store and of the engines' data; created with mode 0700 (0711 where "
         "engines have users of their own) if it does not "
         "exist.",
         read_store_path},
        {"ORCH_LOG_LEVEL", "LEVEL", "info", "debug, info, warning or error.",
         one_of<log_level>(server(&server_options::log_level), {{"debug", log_level::debug},
                                                                {"info", log_level::info},
                                                                {"warning", log_level::warning},
                                                                {"error", log_level::error}})},
        {"ORCH_LOG_FORMAT", "FORMAT", "text", "text or json; lines go to the standard error.",
         one_of<log_format>(server(&server_options::log_format),
                            {{"text", log_format::text}, {"json", log_format::json}})},
        {"ORCH_BOOTSTRAP_PRODUCT", "SLUG", "",
         "For trials: a product to register at the start if it does not exist.",
         read_bootstrap_slug},
        {"ORCH_BOOTSTRAP_PLATFORM_KEY", "KEY", "",
         "The platform key of that product, in place of those that were configured before.",
         read_bootstrap_key, true},
        file_of_secret("ORCH_BOOTSTRAP_PLATFORM_KEY_FILE", "File with that platform key."),
        {"ORCH_BOOTSTRAP_OVERLAP_S", "SECONDS", "0",
         "How long the keys that were configured before are still taken, up to 2592000.",
         read_bootstrap_overlap},
    };
}

std::vector<option_row> engine_rows() {
    return {
        {"ORCH_ENGINE_BACKEND", "KIND", "docker",
         "How engines run: docker, subprocess, or memory (for trials).",
         one_of<backend_kind>(server(&server_options::backend),
                              {{"subprocess", backend_kind::subprocess},
                               {"memory", backend_kind::memory},
                               {"docker", backend_kind::docker}})},
        {"ORCH_ENGINE_IMAGE", "NAME", "september-engine:latest",
         "The version of engines that are created without one.",
         text(setting(&settings::default_version))},
        {"ORCH_ENGINE_COMMAND", "COMMAND", "",
         "subprocess: the engine's command (required), split into words as a shell does and run "
         "without a shell. {engine_version} in it stands for the version of the engine.",
         read_command},
        {"ORCH_ENGINE_ENV_PASSTHROUGH", "NAMES", "",
         "Names of environment variables of the server that engines get too, separated by commas.",
         read_passthrough},
        {"ORCH_ENGINE_LISTEN_FD", "BOOLEAN", "false",
         "subprocess: true passes each engine a socket that listens on its port already, as "
         "ENGINE_LISTEN_FD, for engines that take it over.",
         one_of<bool>(engine(&engine_options::pass_listener), {{"true", true}, {"false", false}})},
        {"ORCH_CATALOG_MOUNT_PATH", "FOLDER", "", "Folder that engines get as CATALOG_DIR.",
         path(engine(&engine_options::catalog_path))},
        {"ORCH_ENGINE_ISOLATION", "MODE", "auto",
         "subprocess: auto (all that this machine allows), require (do not start with neither "
         "Landlock nor a user for each engine) or none.",
         one_of<isolation_mode>(engine(&engine_options::isolation),
                                {{"auto", isolation_mode::automatic},
                                 {"require", isolation_mode::required},
                                 {"none", isolation_mode::none}})},
        {"ORCH_ENGINE_READABLE", "PATHS", "",
         "subprocess: files and folders, separated by colons, that engines may read and execute "
         "beside the system's and the command's own.",
         read_readable},
        {"ORCH_ENGINE_FILE_MB", "MIB", "0",
         "subprocess: the most that an engine writes to one file; 0 for no bound.",
         whole(engine(&engine_options::file_mb), 0, 64 * max_count)},
        {"ORCH_ENGINE_UIDS", "RANGE", "auto",
         "subprocess: users (LOW-HIGH) of which each engine gets one of its own, auto for "
         "1879048192-1879113727 if the server is root, or none.",
         read_uids},
        {"ORCH_PORT_MIN", "PORT", "9001", "First host port for engines that need one.",
         whole(setting(&settings::port_min), 1, 65'535)},
        {"ORCH_PORT_MAX", "PORT", "9999", "Last host port for engines that need one.",
         whole(setting(&settings::port_max), 1, 65'535)},
        {"ORCH_ENGINE_NETWORK", "NAME", "engine_net",
         "docker: network of the engines, created if missing.", read_network},
        {"ORCH_ENGINE_ADVERTISE", "HOW", "auto",
         "docker: whether engines' urls name the host or the network: auto, host or network.",
         one_of<advertise>(engine(&engine_options::advertise), {{"auto", advertise::automatic},
                                                                {"host", advertise::host},
                                                                {"network", advertise::network}})},
        {"ORCH_ENGINE_RUNTIME", "NAME", "", "docker: runtime (gVisor, Kata).",
         text(engine(&engine_options::runtime))},
        {"ORCH_ENGINE_USER", "USER", "", "docker: user that engines run as.",
         text(engine(&engine_options::user))},
        {"ORCH_ENGINE_MEMORY_MB", "MIB", "0",
         "Memory ceiling per engine; 0 is none. As subprocesses only with control groups.",
         whole(engine(&engine_options::memory_mb), 0, 64 * max_count)},
        {"ORCH_ENGINE_CPUS", "CPUS", "0",
         "Processor ceiling per engine; 0 is none. As subprocesses only with control groups.",
         read_cpus},
        {"ORCH_ENGINE_PIDS", "COUNT", "4096",
         "Ceiling of processes per engine; 0 is none. As subprocesses only with control groups or "
         "ORCH_ENGINE_UIDS.",
         whole(engine(&engine_options::pids), 0, 4'194'304)},
        {"ORCH_ENGINE_IO_MB_S", "MIB", "0",
         "subprocess: the most that an engine reads from the store's disk in a second, and the "
         "most "
         "that it writes; 0 is no ceiling. Only with control groups.",
         whole(engine(&engine_options::io_mb_s), 0, max_count)},
        {"ORCH_ENGINE_RELAX", "NAMES", "",
         "docker: restrictions of engines to lift, separated by commas: capabilities, "
         "new-privileges, writable-root, no-init, traffic.",
         read_relaxations},
        {"ORCH_ENGINE_METADATA_RULE", "MODE", "auto",
         "docker: auto adds a rule to DOCKER-USER that keeps containers from a cloud's metadata "
         "address, if the server is root on the daemon's machine and there is none; none adds "
         "none.",
         one_of<bool>(engine(&engine_options::adds_metadata_rule),
                      {{"auto", true}, {"none", false}})},
        {"ORCH_ENGINE_REGISTRIES", "HOSTS", "",
         "docker: registries that images may be pulled from, separated by commas, such as "
         "registry.example.com,docker.io; empty for all.",
         read_registries},
        {"ORCH_REGISTRY_AUTH_FILE", "FILE", "",
         "docker: file with the credentials of registries, as `docker login` writes it to "
         "config.json. Read at each pull.",
         path(engine(&engine_options::registry_auth_file))},
        {"DOCKER_HOST", "URL", "unix:///var/run/docker.sock", "docker: where the daemon listens.",
         text(engine(&engine_options::docker_host))},
        {"DOCKER_CERT_PATH", "FOLDER", "",
         "docker: folder with ca.pem, cert.pem and key.pem, with which a tcp:// daemon is spoken "
         "to "
         "over TLS, and its certificate verified.",
         path(engine(&engine_options::docker_certificates_path))},
        {"DOCKER_TLS_VERIFY", "VALUE", "",
         "docker: if not empty, a tcp:// daemon is refused without DOCKER_CERT_PATH.",
         text(engine(&engine_options::docker_tls_verify))},
        {"ORCH_SUBPROCESS_ON_EXIT", "WHAT", "stop",
         "subprocess: on an orderly exit, stop the engines or keep them running.",
         one_of<on_exit>(server(&server_options::on_exit),
                         {{"stop", on_exit::stop}, {"keep", on_exit::keep}})},
    };
}

std::vector<option_row> lifecycle_rows() {
    return {
        {"ORCH_DEFAULT_POLICY", "JSON", "",
         "Policy of the products whose own has no member, such as {\"max_engines\":100}; empty "
         "sets "
         "no limits.",
         read_default_policy},
        {"ORCH_BOOT_TIMEOUT_S", "SECONDS", "60", "How long an engine may take to become healthy.",
         seconds(setting(&settings::boot_timeout), 0.001)},
        {"ORCH_BOOT_CONCURRENCY", "COUNT", "16",
         "Boots at the same time; further boots are queued.",
         whole(setting(&settings::boot_concurrency), 1, max_count)},
        {"ORCH_STOP_GRACE_S", "SECONDS", "30", "Time between SIGTERM and SIGKILL.",
         seconds(setting(&settings::stop_grace))},
        {"ORCH_ADMIT_WAIT_S", "SECONDS", "10",
         "How far off a restart may be for an admit to wait for it.",
         seconds(setting(&settings::admit_wait))},
        {"ORCH_HEALTH_CHECK_INTERVAL_S", "SECONDS", "30",
         "How often each running engine is probed.",
         seconds(setting(&settings::health_check_interval), 0.01)},
        {"ORCH_HEALTH_CHECK_TIMEOUT_S", "SECONDS", "10", "How long a probe waits for its answer.",
         seconds(setting(&settings::health_check_timeout), 0.001)},
        {"ORCH_HEALTH_MAX_FAILURES", "COUNT", "3",
         "Failed probes in a row that make an engine failed.",
         whole(setting(&settings::health_max_failures), 1, max_count)},
        {"ORCH_HEALTH_CONCURRENCY", "COUNT", "256", "Probes at the same time.",
         whole(setting(&settings::health_concurrency), 1, max_count)},
        {"ORCH_BRAKE_PERCENT", "PERCENT", "50",
         "Share of a product's engines that fail probes together and are not restarted; 0: none.",
         whole(setting(&settings::brake_percent), 0, 100)},
        {"ORCH_BRAKE_MAX_S", "SECONDS", "3600",
         "How long that may last before one of them at a time is restarted as a trial.",
         seconds(setting(&settings::brake_max), 0.001)},
        {"ORCH_RESTART_BACKOFF_BASE_S", "SECONDS", "5",
         "Wait before the first auto-restart of a failed engine; doubled for each further one.",
         seconds(setting(&settings::restart_backoff_base))},
        {"ORCH_RESTART_BACKOFF_MAX_S", "SECONDS", "300", "The longest such wait.",
         seconds(setting(&settings::restart_backoff_max))},
        {"ORCH_RESTART_MAX_ATTEMPTS", "COUNT", "8",
         "Auto-restarts before an engine stays failed; 0 turns them off.",
         whole(setting(&settings::restart_max_attempts), 0, max_count)},
        {"ORCH_RESTART_RESET_S", "SECONDS", "300",
         "Time of good health after which restart attempts count from 0 again.",
         seconds(setting(&settings::restart_reset))},
        {"ORCH_SLEEP_AFTER_S", "SECONDS", "1800",
         "Idle time after which an engine is put to sleep; 0 turns sleep off.",
         seconds(setting(&settings::sleep_after))},
        {"ORCH_DEEP_SLEEP_AFTER_S", "SECONDS", "0",
         "Time of sleeping after which an engine's workload is ended; 0 for never.",
         seconds(setting(&settings::deep_sleep_after))},
        {"ORCH_CRITICAL_PERCENT", "PERCENT", "25",
         "Share of failed engines at which a fleet's health is critical.",
         whole(setting(&settings::critical_percent), 0, 100)},
        {"ORCH_AUDIT_RETENTION_DAYS", "DAYS", "90",
         "Age at which audit rows are removed; 0 keeps all.",
         whole(setting(&settings::audit_retention_days), 0, 36'500)},
    };
}

} // namespace

std::string flag_of(std::string_view variable) {
    constexpr std::string_view prefix = "ORCH_";
    if (variable.starts_with(prefix)) variable.remove_prefix(prefix.size());
    std::string flag = "--";
    for (const char c : variable)
        flag += c == '_' ? '-' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    return flag;
}

const option_row& secret_file_row(const option_row& secret) {
    const auto name = std::string(secret.name) + "_FILE";
    return *std::ranges::find(option_table(), name, &option_row::name);
}

std::span<const option_row> option_table() {
    static const auto rows = [] {
        auto all = serving_rows();
        for (auto more : {engine_rows(), lifecycle_rows()})
            std::ranges::move(more, std::back_inserter(all));
        return all;
    }();
    return rows;
}

} // namespace roundhouse::server
