#include "options.hpp"

#include "docker_checks.hpp"
#include "option_table.hpp"
#include "secrets.hpp"

#include <roundhouse/backend/subprocess/engine_command.hpp>
#include <roundhouse/detail/ascii.hpp>
#include <roundhouse/version.hpp>

#include <CLI/CLI.hpp>
#include <openssl/crypto.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <utility>

namespace roundhouse::server {

namespace {

unexpected wrong(std::string_view name, std::string_view cause) {
    return fail(errc::invalid_request, std::string(name).append(": ").append(cause));
}

/// The command line, with values that have not been read yet.
struct command_line {
    std::map<std::string, std::string, std::less<>> values; ///< The given values, by variable name.
    bool help = false;
    bool version = false;
    std::vector<std::string> tasks; ///< The given flags that ask for an action other than serving.
    std::string backup_folder;
};

/// Refuses unknown words. The message shows names of flags only, because the word after a mistyped
/// flag may be a secret.
unexpected refuse_extras(const std::vector<std::string>& extras) {
    for (const auto& word : extras)
        if (word.starts_with('-'))
            return wrong(word.substr(0, word.find('=')),
                         "there is no such flag; --help lists them all");
    return fail(errc::invalid_request,
                "the command line has words that belong to no flag; quote values that "
                "hold spaces (--help lists the flags)");
}

result<command_line> read_command_line(std::span<const char* const> arguments) {
    command_line found;
    CLI::App app;
    app.set_help_flag();
    app.allow_extras();
    std::map<std::string, std::string, std::less<>> values;
    for (const auto& row : option_table())
        app.add_option(flag_of(row.name), values[std::string(row.name)])
            ->type_name(std::string(row.placeholder));
    app.add_flag("--help,-h", found.help);
    app.add_flag("--version", found.version);
    const std::array<const CLI::Option*, 4> tasks{
        app.add_flag("--check"), app.add_option("--backup", found.backup_folder),
        app.add_flag("--reencrypt"), app.add_flag("--verify-store")};
    // CLI11 expects the words in reverse order.
    std::vector<std::string> words(arguments.rbegin(), arguments.rend());
    try {
        app.parse(words);
    } catch (const CLI::ParseError& error) {
        // CLI11's messages name the flag, and never show the value of a text option.
        return fail(errc::invalid_request, error.what());
    }
    if (auto extras = app.remaining(); !extras.empty()) return refuse_extras(extras);
    for (const auto& row : option_table()) {
        const auto flag = flag_of(row.name);
        if (app.count(flag) > 0) found.values.emplace(row.name, values.find(row.name)->second);
    }
    for (const auto* const task : tasks)
        if (task->count() > 0) found.tasks.push_back(task->get_name());
    return found;
}

std::string help_text() {
    std::string text =
        "roundhouse-server: keeps a fleet of engines and serves Roundhouse's HTTP API\n\n"
        "Each option is an environment variable and a flag; the flag takes precedence. Give "
        "secrets by file\n"
        "or through the environment: every user of the machine can read a command line.\n\n"
        "  --help            show this\n"
        "  --version         show the version\n"
        "  --check           check the options, print a summary, and exit\n"
        "  --backup FOLDER   copy the store into a new folder and exit; a server may be serving\n"
        "  --reencrypt       seal stored keys again under the first master key and exit; no server "
        "may be serving\n"
        "  --verify-store    check that the store agrees with itself and exit; a server may be "
        "serving\n";
    for (const auto& row : option_table()) {
        text.append("\n  ").append(flag_of(row.name)).append(" ").append(row.placeholder);
        text.append("  (").append(row.name);
        if (!row.fallback.empty()) text.append(", default ").append(row.fallback);
        text.append(")\n      ").append(row.help).append("\n");
    }
    return text;
}

/// Returns the text that is given for an option; null if there is none. An empty variable counts as
/// not set, because scripts and compose files leave options out that way.
const std::string* given_text(std::string_view name, const command_line& line,
                              const environment& variables) {
    if (const auto flag = line.values.find(name); flag != line.values.end()) return &flag->second;
    const auto variable = variables.find(name);
    return variable != variables.end() && !variable->second.empty() ? &variable->second : nullptr;
}

void warn_of_unknown(const environment& variables, std::vector<std::string>& warnings) {
    for (auto it = variables.lower_bound("ORCH_");
         it != variables.end() && it->first.starts_with("ORCH_"); ++it) {
        const auto known = [&](const option_row& row) { return row.name == it->first; };
        if (std::ranges::none_of(option_table(), known))
            warnings.push_back(
                it->first + ": no option has this name, so it is ignored; --help lists them all");
    }
}

/// Finds a command as a shell does. The result is absolute, because engines run in folders of their
/// own.
std::optional<std::string> find_command(const std::string& word, const environment& variables) {
    const auto runs = [](const std::filesystem::path& file) {
        std::error_code ignored; // a file that cannot be examined cannot be run
        return std::filesystem::is_regular_file(file, ignored) && ::access(file.c_str(), X_OK) == 0;
    };
    if (word.find('/') != std::string::npos) {
        auto file = std::filesystem::absolute(word).lexically_normal();
        return runs(file) ? std::optional(file.string()) : std::nullopt;
    }
    const auto path = variables.find("PATH");
    auto rest = path == variables.end() ? std::string_view("/usr/local/bin:/usr/bin:/bin")
                                        : path->second;
    while (!rest.empty()) {
        const auto folder = rest.substr(0, rest.find(':'));
        rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
        auto file = std::filesystem::absolute(std::filesystem::path(folder) / word);
        if (!word.empty() && runs(file)) return file.string();
    }
    return std::nullopt;
}

/// The first word of the engine command, with the default version where that stands in it.
std::string first_word(const server_options& options) {
    subprocess_options engine;
    engine.command = {options.engine.command.front()};
    const auto replaced = detail::subprocess::options_for(engine, options.settings.default_version);
    return replaced ? replaced->command.front() : engine.command.front();
}

void warn_of_unused(const command_line& line, const environment& variables, invocation& parsed) {
    constexpr std::array<std::string_view, 8> docker_only{
        "ORCH_ENGINE_NETWORK",       "ORCH_ENGINE_ADVERTISE",  "ORCH_ENGINE_RUNTIME",
        "ORCH_ENGINE_USER",          "ORCH_ENGINE_RELAX",      "ORCH_ENGINE_REGISTRIES",
        "ORCH_ENGINE_METADATA_RULE", "ORCH_REGISTRY_AUTH_FILE"};
    constexpr std::array<std::string_view, 3> ceilings{"ORCH_ENGINE_MEMORY_MB", "ORCH_ENGINE_CPUS",
                                                       "ORCH_ENGINE_PIDS"};
    constexpr std::array<std::string_view, 6> subprocess_only{
        "ORCH_ENGINE_LISTEN_FD", "ORCH_ENGINE_ISOLATION", "ORCH_ENGINE_READABLE",
        "ORCH_ENGINE_FILE_MB",   "ORCH_ENGINE_UIDS",      "ORCH_ENGINE_IO_MB_S"};
    const auto& options = parsed.options;
    for (const auto& row : option_table()) {
        const auto only_of = [&](backend_kind kind, const auto& names) {
            return options.backend != kind && std::ranges::find(names, row.name) != names.end();
        };
        const bool unused = only_of(backend_kind::docker, docker_only) ||
                            only_of(backend_kind::subprocess, subprocess_only) ||
                            (options.backend == backend_kind::memory &&
                             std::ranges::find(ceilings, row.name) != ceilings.end());
        if (unused && given_text(row.name, line, variables) != nullptr)
            parsed.warnings.push_back(std::string(row.name) + ": has no effect on the " +
                                      std::string(name_of(options.backend)) + " backend");
    }
    if (options.backend == backend_kind::docker) {
        const bool chosen = given_text("ORCH_ENGINE_MEMORY_MB", line, variables) != nullptr;
        std::ranges::move(docker_warnings(options, chosen), std::back_inserter(parsed.warnings));
    }
    if (options.backend == backend_kind::subprocess &&
        !find_command(first_word(options), variables))
        parsed.warnings.push_back(
            "ORCH_ENGINE_COMMAND: its first word is no executable file that can be found here or, "
            "without a slash in it, in PATH; no engine can be started until it is");
    for (const auto& name : options.engine.env_passthrough)
        if (!variables.contains(name))
            parsed.warnings.push_back("ORCH_ENGINE_ENV_PASSTHROUGH: " + name +
                                      " is not set here, so engines will not get it");
}

void take_environment(engine_options& engine, const environment& variables) {
    std::vector<std::string> names{"PATH", "LANG", "TZ"};
    for (const auto& name : engine.env_passthrough)
        if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    for (const auto& name : names)
        if (const auto set = variables.find(name); set != variables.end())
            engine.environment.emplace_back(set->first, set->second);
}

/// A command that has the engine's version in it needs a default version that can stand there, and
/// versions that are allowed one by one.
result<void> check_versions(server_options& options) {
    namespace sub = detail::subprocess;
    auto& settings = options.settings;
    settings.versions_need_allowing = sub::names_version(options.engine.command);
    if (!settings.versions_need_allowing) return {};
    const auto why = sub::why_not_in_command(settings.default_version);
    if (why.empty()) return {};
    return wrong("ORCH_ENGINE_IMAGE",
                 std::string(sub::version_placeholder) +
                     " in ORCH_ENGINE_COMMAND stands for it, and it " + std::string(why) +
                     ": set it to a version that is a plain name, such as 1.0");
}

result<void> check_engine(server_options& options, const environment& variables) {
    auto& engine = options.engine;
    if (options.backend == backend_kind::subprocess) {
        if (engine.command.empty() || engine.command.front().empty())
            return wrong("ORCH_ENGINE_COMMAND",
                         "is required with ORCH_ENGINE_BACKEND=subprocess: the command that "
                         "starts an engine, such as /opt/engine/bin/engine");
        // A command that does not exist yet may exist when an engine is started: until then a
        // provision fails with a 502 that says so.
        if (auto checked = check_versions(options); !checked) return checked;
        const bool varies = detail::subprocess::names_version({engine.command.front()});
        if (auto found = varies ? std::nullopt : find_command(engine.command.front(), variables))
            engine.command.front() = std::move(*found);
    }
    if (options.backend == backend_kind::docker)
        if (auto checked = check_docker(options); !checked) return checked;
    std::error_code ignored; // a folder that cannot be examined cannot be used
    // With Docker the catalog is on the daemon's host, which may be another machine.
    if (options.backend == backend_kind::subprocess && !engine.catalog_path.empty() &&
        !std::filesystem::is_directory(engine.catalog_path, ignored))
        return wrong("ORCH_CATALOG_MOUNT_PATH", engine.catalog_path + " is not a folder");
    return {};
}

result<void> check_addresses(const server_options& options) {
    for (const auto& address : options.listen)
        if (options.tls.certificate.empty() && address.encrypted == encryption::tls)
            return wrong("ORCH_LISTEN", address.text() + " needs ORCH_TLS_CERT and ORCH_TLS_KEY");
    return {};
}

result<void> check_tls(server_options& options) {
    const auto& files = options.tls;
    const bool has_certificate = !files.certificate.empty();
    if (has_certificate != !files.key.empty())
        return has_certificate
                   ? wrong("ORCH_TLS_CERT", "needs ORCH_TLS_KEY, the certificate's key")
                   : wrong("ORCH_TLS_KEY", "needs ORCH_TLS_CERT, the key's certificate");
    if (!has_certificate && !files.client_ca.empty())
        return wrong("ORCH_TLS_CLIENT_CA", "has no effect without ORCH_TLS_CERT");
    if (auto checked = check_addresses(options); !checked) return checked;
    if (!has_certificate) return {};
    auto loaded = tls_settings::load(files);
    if (!loaded) return unexpected(std::move(loaded.error()));
    options.loaded_tls = std::move(*loaded);
    return {};
}

/// Checks options that depend on each other.
result<void> check_together(server_options& options, const environment& variables) {
    const auto& settings = options.settings;
    if (options.admin_key.empty() && options.named_admins.empty())
        return wrong("ORCH_ADMIN_KEY",
                     "is required, unless ORCH_ADMIN_KEYS names an administrator: the key that "
                     "administrators send as X-Admin-Key. " +
                         std::string(admin_key_advice));
    if (settings.default_version.empty())
        return wrong("ORCH_ENGINE_IMAGE", "must name a version, such as september-engine:latest");
    if (settings.port_max < settings.port_min)
        return wrong("ORCH_PORT_MAX", std::to_string(settings.port_max) +
                                          " is below ORCH_PORT_MIN (" +
                                          std::to_string(settings.port_min) + ")");
    if (auto checked = check_tls(options); !checked) return checked;
    return check_engine(options, variables);
}

std::string summary(const server_options& options) {
    const auto& settings = options.settings;
    std::string addresses;
    for (const auto& address : options.listen)
        addresses.append(addresses.empty() ? "" : " and ").append(address.text());
    return "options are good: listen " + addresses + ", backend " +
           std::string(name_of(options.backend)) + ", store " +
           std::string(name_of(options.store)) + " in " + options.store_path + ", engine ports " +
           std::to_string(settings.port_min) + " to " + std::to_string(settings.port_max) +
           ", master keys " + std::to_string(options.master_keys->size()) + "\n";
}

/// The file that the service manager keeps a secret in (systemd.exec(5), "Credentials"); empty if
/// there is none.
std::string credential_file(std::string_view variable, const environment& variables) {
    const auto folder = variables.find("CREDENTIALS_DIRECTORY");
    if (folder == variables.end() || folder->second.empty()) return {};
    auto path = folder->second + '/';
    for (const char c : variable) path += roundhouse::detail::to_lower(c);
    std::error_code ignored; // a file that cannot be examined is reported when it is read
    return std::filesystem::exists(path, ignored) || ignored ? path : std::string();
}

/// The file that a secret is read from: named, or of the service manager. Empty if there is none, or
/// the secret is given by itself.
std::string file_of_given_secret(const option_row& row, const command_line& line,
                                 const environment& variables) {
    if (given_text(row.name, line, variables) != nullptr) return {};
    const auto* const named = given_text(secret_file_row(row).name, line, variables);
    return named != nullptr ? *named : credential_file(row.name, variables);
}

/// The text of a secret: given by itself, by a file that is named, or by the service manager.
result<std::string> given_secret(const option_row& row, const command_line& line,
                                 const environment& variables) {
    const auto& by_file = secret_file_row(row);
    const auto* const given = given_text(row.name, line, variables);
    const auto* const named = given_text(by_file.name, line, variables);
    if (given != nullptr && named != nullptr)
        return wrong(by_file.name,
                     "is given together with " + std::string(row.name) + "; keep one of them");
    if (given != nullptr) return *given;
    const auto path = file_of_given_secret(row, line, variables);
    if (path.empty()) return std::string();
    auto text = read_secret_file(path);
    if (!text) return wrong(named != nullptr ? by_file.name : row.name, text.error().message);
    return text;
}

result<void> read_row(const option_row& row, const command_line& line, const environment& variables,
                      server_options& options) {
    result<std::string> text = std::string(row.fallback);
    if (row.secret) text = given_secret(row, line, variables);
    else if (const auto* const given = given_text(row.name, line, variables)) text = *given;
    if (!text) return unexpected(std::move(text.error()));
    auto read = row.read(options, *text);
    if (row.secret) OPENSSL_cleanse(text->data(), text->size());
    if (!read) return wrong(row.name, read.error().message);
    return {};
}

result<void> read_values(const command_line& line, const environment& variables,
                         server_options& options) {
    for (const auto& row : option_table())
        if (auto read = read_row(row, line, variables, options); !read) return read;
    return check_together(options, variables);
}

std::optional<server_action> store_action_of(std::string_view flag) {
    if (flag == "--backup") return server_action::backup;
    if (flag == "--reencrypt") return server_action::reencrypt;
    if (flag == "--verify-store") return server_action::verify_store;
    return std::nullopt;
}

/// Reads the options that an action on the store needs. Options for serving are not checked: a
/// backup runs where neither the admin key nor the engine is known.
result<void> read_store_task(const command_line& line, const environment& variables,
                             invocation& parsed) {
    const auto& flag = line.tasks.front();
    for (const auto& row : option_table()) {
        const bool needed = row.name == "ORCH_STORE" || row.name == "ORCH_STORE_PATH" ||
                            (row.name == "ORCH_MASTER_KEY" &&
                             parsed.action == server_action::reencrypt);
        if (!needed) continue;
        if (auto read = read_row(row, line, variables, parsed.options); !read) return read;
    }
    if (parsed.options.store != store_kind::lmdb)
        return wrong("ORCH_STORE", flag + " works on a store on disk (lmdb); the memory store is "
                                          "gone when its server exits");
    if (parsed.action == server_action::backup) {
        if (line.backup_folder.empty()) return wrong(flag, "must name the folder to make");
        parsed.backup_folder =
            std::filesystem::absolute(line.backup_folder).lexically_normal().string();
    }
    return {};
}

/// Sockets that a service manager has opened are used in place of ORCH_LISTEN (sd_listen_fds(3)).
/// One that is named `http` or `https` is what its name says.
result<void> take_passed_sockets(server_options& options, const environment& variables) {
    constexpr int first = 3;
    const auto find = [&](std::string_view name) {
        const auto found = variables.find(name);
        return found == variables.end() ? std::string() : found->second;
    };
    if (find("LISTEN_PID") != std::to_string(::getpid())) return {};
    const auto count = parse_whole(find("LISTEN_FDS"), 0, 1'000);
    if (!count) return wrong("LISTEN_FDS", count.error().message);
    if (*count == 0) return {};
    std::string names = find("LISTEN_FDNAMES");
    std::ranges::replace(names, ':', ',');
    const auto name_of_socket = split_list(names);
    options.listen.clear();
    for (std::size_t i = 0; i < *count; ++i) {
        listen_address address;
        address.descriptor = first + static_cast<int>(i);
        const auto name = i < name_of_socket.size() ? name_of_socket[i] : std::string();
        if (name == "http") address.encrypted = encryption::none;
        if (name == "https") address.encrypted = encryption::tls;
        options.listen.push_back(std::move(address));
    }
    return check_addresses(options);
}

/// Notes the files of secrets, and warns of those that every user may read.
void note_secret_files(const command_line& line, const environment& variables, invocation& parsed) {
    for (const auto& row : option_table()) {
        if (!row.secret) continue;
        const auto& by_file = secret_file_row(row);
        const auto* const path = given_text(by_file.name, line, variables);
        if (path == nullptr || ::access(path->c_str(), F_OK) != 0) continue;
        parsed.options.secret_files.emplace_back(by_file.name, *path);
        if (auto warning = warning_of_readers(*path))
            parsed.warnings.push_back(std::string(by_file.name) + ": " + *warning);
    }
}

/// Notes where the named administrators are read again.
void note_admins_file(const command_line& line, const environment& variables,
                      server_options& options) {
    for (const auto& row : option_table())
        if (row.name == "ORCH_ADMIN_KEYS")
            options.named_admins_file = file_of_given_secret(row, line, variables);
}

void warn_of_short_admin_key(invocation& parsed) {
    const auto size = parsed.options.admin_key.size();
    if (size == 0 || size >= shortest_admin_key) return;
    parsed.warnings.push_back(
        "ORCH_ADMIN_KEY: has fewer than " + std::to_string(shortest_admin_key) +
        " characters, which could be guessed. The next version will not start with it. " +
        std::string(admin_key_advice));
}

result<void> read_serving(const command_line& line, const environment& variables,
                          invocation& parsed) {
    if (auto read = read_values(line, variables, parsed.options); !read) return read;
    if (auto passed = take_passed_sockets(parsed.options, variables); !passed) return passed;
    take_environment(parsed.options.engine, variables);
    parsed.options.engine.pids_given = given_text("ORCH_ENGINE_PIDS", line, variables) != nullptr;
    warn_of_unused(line, variables, parsed);
    warn_of_short_admin_key(parsed);
    note_secret_files(line, variables, parsed);
    note_admins_file(line, variables, parsed.options);
    if (!line.tasks.empty()) { // only --check is left
        parsed.action = server_action::print;
        parsed.text = summary(parsed.options);
    }
    return {};
}

} // namespace

std::vector<std::pair<std::string, std::string>> engine_options::passed_through() const {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& variable : environment)
        if (std::ranges::find(env_passthrough, variable.first) != env_passthrough.end())
            out.push_back(variable);
    return out;
}

std::string_view name_of(store_kind kind) noexcept {
    switch (kind) {
    case store_kind::memory: return "memory";
    case store_kind::lmdb: return "lmdb";
    }
    return "unknown";
}

std::string_view name_of(backend_kind kind) noexcept {
    switch (kind) {
    case backend_kind::memory: return "memory";
    case backend_kind::subprocess: return "subprocess";
    case backend_kind::docker: return "docker";
    }
    return "unknown";
}

bool is_encrypted(const listen_address& address, const server_options& options) noexcept {
    if (!address.unix_path.empty()) return false;
    return address.encrypted == encryption::tls ||
           (address.encrypted == encryption::by_certificate && !options.tls.certificate.empty());
}

environment process_environment() {
    environment variables;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        if (const auto equals = text.find('='); equals != std::string_view::npos)
            variables.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return variables;
}

result<invocation> parse_options(std::span<const char* const> arguments,
                                 const environment& variables) {
    auto line = read_command_line(arguments);
    if (!line) return unexpected(std::move(line.error()));
    invocation parsed;
    if (line->help || line->version) {
        parsed.action = server_action::print;
        parsed.text = line->help ? help_text()
                                 : "roundhouse-server " + std::string(version_string) + "\n";
        return parsed;
    }
    if (line->tasks.size() > 1)
        return wrong(line->tasks[1], "cannot be asked for together with " + line->tasks[0] +
                                         "; start the server once for each");
    warn_of_unknown(variables, parsed.warnings);
    const auto action = line->tasks.empty() ? std::nullopt : store_action_of(line->tasks.front());
    parsed.action = action.value_or(parsed.action);
    auto read = action ? read_store_task(*line, variables, parsed)
                       : read_serving(*line, variables, parsed);
    if (!read) return unexpected(std::move(read.error()));
    return parsed;
}

} // namespace roundhouse::server
