#pragma once

#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/backend/docker/image.hpp>
#include <roundhouse/backend/docker/options.hpp>
#include <roundhouse/detail/json_writer.hpp>
#include <roundhouse/detail/workload_variables.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>
#include <simdjson.h>

#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The form that engines have on the daemon (SPEC §6): names, labels, and the description of a
/// container.
namespace detail::docker {

inline constexpr std::uint16_t engine_port = 8000; ///< Inside the container.

namespace label {
inline constexpr std::string_view installation = "dev.roundhouse.instance";
inline constexpr std::string_view product = "dev.roundhouse.product";
inline constexpr std::string_view user = "dev.roundhouse.user";
inline constexpr std::string_view engine = "dev.roundhouse.engine";
inline constexpr std::string_view generation = "dev.roundhouse.generation";
inline constexpr std::string_view port = "dev.roundhouse.port";
/// Of the volume with the copy of an engine's data, and of the containers that are made to reach
/// volumes, which are no engine's and are never started.
inline constexpr std::string_view copy = "dev.roundhouse.copy";
/// Of a data volume that was made for a copy to be put back into.
inline constexpr std::string_view restored = "dev.roundhouse.restored";
} // namespace label

[[nodiscard]] inline std::string container_of(const uuid& engine) {
    return "engine-" + short_id(engine);
}
[[nodiscard]] inline std::string volume_of(const uuid& engine) {
    return "engine-data-" + short_id(engine);
}

[[nodiscard]] inline std::string copy_volume_of(const uuid& engine) {
    return "engine-copy-" + short_id(engine);
}

/// The filters of a list or an event stream (API, `filters`): this installation's label, and the
/// names of events.
[[nodiscard]] inline std::string filters_for(const std::string& installation_id,
                                             std::initializer_list<std::string_view> events = {}) {
    std::string filters;
    json::json_writer json(filters);
    json.open('{').name("label").open('[');
    json.value(std::string{label::installation} + '=' + installation_id).close(']');
    if (events.size() > 0) {
        json.name("type").open('[').value("container").close(']').name("event").open('[');
        for (const auto event : events) json.value(event);
        json.close(']');
    }
    json.close('}');
    return escaped(filters);
}

/// The identity of a container or a volume, from its labels.
struct marks {
    std::string installation_id;
    workload_ref ref;
    engine_owner owner;
    bool copy = false;     ///< It has the label `copy`.
    bool restored = false; ///< It has the label `restored`.
};

/// Writes the member `Labels`.
inline void write_labels(json::json_writer& json, const marks& made) {
    json.name("Labels").open('{');
    json.foreign_name(label::installation).value(made.installation_id);
    json.foreign_name(label::product).value(to_string(made.owner.product_id));
    json.foreign_name(label::user).value(made.owner.user_id);
    json.foreign_name(label::engine).value(to_string(made.ref.engine_id));
    json.foreign_name(label::generation).value(std::to_string(made.ref.generation));
    json.foreign_name(label::port).value(std::to_string(made.ref.port));
    if (made.copy) json.foreign_name(label::copy).value("true");
    if (made.restored) json.foreign_name(label::restored).value("true");
    json.close('}');
}

/// The JSON from which a volume is created.
[[nodiscard]] inline std::string describe_volume(const std::string& name, const marks& made) {
    std::string body;
    json::json_writer json(body);
    json.open('{').member("Name", name);
    write_labels(json, made);
    json.close('}');
    return body;
}

/// The JSON from which a container is created that reaches a volume at /data and is never started.
[[nodiscard]] inline std::string describe_reacher(const marks& made, const std::string& image,
                                                  const std::string& volume) {
    std::string body;
    json::json_writer json(body);
    // The daemon makes no container without a command.
    json.open('{').member("Image", image).name("Cmd").open('[').value("none").close(']');
    write_labels(json, made);
    json.name("HostConfig").open('{').member("NetworkMode", "none");
    json.name("RestartPolicy").open('{').member("Name", "no").close('}');
    json.name("Mounts").open('[').open('{');
    json.member("Type", "volume").member("Source", volume).member("Target", "/data");
    // Nothing of the image's own is to be in the volume.
    json.name("VolumeOptions").open('{').member("NoCopy", true).close('}');
    json.close('}').close(']').close('}').close('}');
    return body;
}

/// Reads a `Labels` object. Empty if it lacks the labels of an engine.
[[nodiscard]] inline std::optional<marks> read_marks(const simdjson::dom::element& labels) {
    const auto text = [&](std::string_view name) {
        std::string_view found;
        return labels[name].get(found) == simdjson::SUCCESS ? found : std::string_view{};
    };
    const auto number = [&](std::string_view name) {
        std::uint64_t value = 0; // stays 0 if there is no number
        const auto digits = text(name);
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return value;
    };
    const auto engine = parse_uuid(text(label::engine));
    const auto product = parse_uuid(text(label::product));
    if (!engine || !product || text(label::installation).empty()) return std::nullopt;
    marks made;
    made.installation_id = text(label::installation);
    made.ref = {*engine, number(label::generation),
                static_cast<std::uint16_t>(number(label::port))};
    made.owner = {*product, std::string{text(label::user)}};
    made.copy = !text(label::copy).empty();
    made.restored = !text(label::restored).empty();
    return made;
}

/// Reads a `Labels` member that may be missing.
[[nodiscard]] inline std::optional<marks>
read_marks(const simdjson::simdjson_result<simdjson::dom::element>& labels) {
    simdjson::dom::element found;
    if (labels.get(found) != simdjson::SUCCESS) return std::nullopt;
    return read_marks(found);
}

/// Reads the labels of what this installation made. Empty if another made it.
template <class Labels>
[[nodiscard]] std::optional<marks> marks_of(const std::string& installation_id,
                                            const Labels& labels) {
    auto made = read_marks(labels);
    if (made && made->installation_id != installation_id) made.reset();
    return made;
}

[[nodiscard]] inline unexpected not_ours(const std::string& object) {
    return fail(errc::backend_error, "Docker: " + object +
                                         " is there and was not made by this installation: rename "
                                         "or remove it");
}

/// The workload's state for a container's `State.Status`.
[[nodiscard]] inline workload_state state_of(std::string_view status) noexcept {
    if (status == "running" || status == "restarting") return workload_state::up;
    if (status == "paused") return workload_state::paused;
    return workload_state::down;
}

/// The result of an inspection.
struct container {
    std::string id;
    std::string status;
    std::optional<marks> made;
    std::string image;   ///< Its id.
    std::string address; ///< On the engines' network; empty if it has none.
    std::int64_t exit_code = 0;
    bool out_of_memory = false;
};

[[nodiscard]] inline container read_container(const simdjson::dom::element& root,
                                              const std::string& network) {
    container found;
    found.id = text_at(root, "/Id");
    found.status = text_at(root, "/State/Status");
    simdjson::dom::element labels;
    if (root.at_pointer("/Config/Labels").get(labels) == simdjson::SUCCESS)
        found.made = read_marks(labels);
    found.image = text_at(root, "/Image");
    found.address = text_at(root, "/NetworkSettings/Networks/" + network + "/IPAddress");
    if (root.at_pointer("/State/ExitCode").get(found.exit_code) != simdjson::SUCCESS)
        found.exit_code = 0;
    found.out_of_memory = flag_at(root, "/State/OOMKilled");
    return found;
}

/// Inspects the container that has a name; empty if there is none. `network` is that of the engines.
/// `time_limit` is by default the daemon's. The arguments must outlive the awaitable.
inline asio::awaitable<result<std::optional<container>>>
inspect_named(daemon& docker, std::string name, const std::string& network,
              std::optional<duration> time_limit = std::nullopt) {
    auto calling = docker.call("GET", "/containers/" + name + "/json", {}, time_limit);
    const auto answer = co_await std::move(calling);
    if (!answer) co_return unexpected{answer.error()};
    if (answer->status == 404) co_return std::optional<container>{};
    if (answer->status != 200) co_return daemon::refused("cannot inspect a container", *answer);
    const auto read = read_json(answer->body);
    if (!read) co_return unexpected{read.error()};
    auto found = read_container((*read)->root, network);
    if (found.id.empty())
        co_return fail(errc::backend_error, "Docker's inspection of " + name + " has no Id");
    co_return std::optional{std::move(found)};
}

/// Inspects the container that has an engine's name, like `inspect_named`.
inline asio::awaitable<result<std::optional<container>>>
inspect_container(daemon& docker, const uuid& engine, const std::string& network,
                  std::optional<duration> time_limit = std::nullopt) {
    return inspect_named(docker, container_of(engine), network, time_limit);
}

/// Ends and removes a container, with the volumes that have no name. Succeeds if there is none.
/// `name` is for the message. The daemon must outlive the awaitable.
inline asio::awaitable<result<void>> remove_container(daemon& docker, std::string name,
                                                      std::string id) {
    // v=1 removes the anonymous volumes that the image asked for; named ones stay.
    auto calling = docker.call("DELETE", "/containers/" + id + "?force=1&v=1");
    auto answer = co_await std::move(calling);
    if (answer && answer->status == 409) {
        // Its removal is in progress.
        auto waiting = docker.call("POST", "/containers/" + id + "/wait?condition=removed");
        answer = co_await std::move(waiting);
        if (answer && answer->status == 200) co_return result<void>{};
    }
    if (!answer) co_return unexpected{answer.error()};
    if (answer->status != 204 && answer->status != 404)
        co_return daemon::refused("cannot remove " + name, *answer);
    co_return result<void>{};
}

/// The ceilings that can be held, which are all, and those of every engine.
[[nodiscard]] inline limit_support held_limits(const docker_options& options) {
    limit_support out{.memory_mb = true, .cpus = true, .pids = true};
    if (options.memory_bytes > 0) out.general.memory_mb = whole_mb(options.memory_bytes);
    if (options.cpus > 0) out.general.cpus = options.cpus;
    if (options.pids > 0) out.general.pids = options.pids;
    return out;
}

/// Writes the JSON from which the containers of engines are created.
class description {
public:
    description(const docker_options& options, const workload& requested)
        : options_(options), workload_(requested) {}

    [[nodiscard]] std::string of_container() const {
        std::string body;
        json::json_writer json(body);
        // `prepare` has refused a malformed version, and so does the daemon.
        json.open('{').member(
            "Image", image_of(workload_.version, options_.repository).value_or(workload_.version));
        json.member("StopSignal", "SIGTERM"); // overrides the image's
        if (!options_.user.empty()) json.member("User", options_.user);
        write_environment(json);
        write_labels(json);
        json.name("ExposedPorts")
            .open('{')
            .foreign_name(port_name())
            .open('{')
            .close('}')
            .close('}');
        write_host(json.name("HostConfig").open('{'));
        json.close('}').close('}');
        return body;
    }

private:
    static std::string port_name() { return std::to_string(engine_port) + "/tcp"; }

    void write_labels(json::json_writer& json) const {
        docker::write_labels(json, {options_.installation_id, workload_.ref, workload_.owner});
    }

    void write_environment(json::json_writer& json) const {
        auto variables = workload_variables(workload_);
        variables.insert(variables.end(), {{"ENGINE_HOST", "0.0.0.0"},
                                           {"ENGINE_PORT", std::to_string(engine_port)},
                                           {"SQLITE_DB_PATH", "/data/brain.sqlite"}});
        if (!options_.catalog_path.empty()) variables.emplace_back("CATALOG_DIR", "/catalog");
        const auto add_missing = [&variables](const auto& more) {
            const auto own = variables.size();
            for (const auto& [name, value] : more) {
                bool taken = false;
                for (std::size_t i = 0; i < own; ++i) taken = taken || variables[i].first == name;
                if (!taken) variables.emplace_back(name, value);
            }
        };
        add_missing(workload_.env);
        add_missing(options_.environment);
        json.name("Env").open('[');
        for (const auto& [name, value] : variables) json.value(name + '=' + value);
        json.close(']');
    }

    void write_host(json::json_writer& json) const {
        const auto& hard = options_.hardening;
        json.member("NetworkMode", options_.network);
        if (workload_.ref.port != 0) {
            json.name("PortBindings").open('{').foreign_name(port_name()).open('[').open('{');
            json.member("HostIp", "127.0.0.1")
                .member("HostPort", std::to_string(workload_.ref.port));
            json.close('}').close(']').close('}');
        }
        write_mounts(json);
        // The orchestrator alone owns restarts (SPEC §2 rule 6).
        json.name("RestartPolicy").open('{').member("Name", "no").close('}');
        if (hard.drop_capabilities) json.name("CapDrop").open('[').value("ALL").close(']');
        if (!hard.capabilities.empty()) {
            json.name("CapAdd").open('[');
            for (const auto& capability : hard.capabilities) json.value(capability);
            json.close(']');
        }
        if (hard.no_new_privileges)
            json.name("SecurityOpt").open('[').value("no-new-privileges").close(']');
        if (hard.read_only_root) {
            json.member("ReadonlyRootfs", true).name("Tmpfs").open('{');
            json.foreign_name("/tmp").value("rw,nosuid,nodev,noexec,size=" +
                                            std::to_string(hard.tmp_bytes));
            json.close('}');
        }
        json.member("Init", hard.init);
        if (!options_.runtime.empty()) json.member("Runtime", options_.runtime);
        write_ceilings(json);
        json.name("LogConfig").open('{').member("Type", "json-file").name("Config").open('{');
        json.foreign_name("max-size").value(std::to_string(options_.log_limit_bytes));
        json.foreign_name("max-file").value("2");
        json.close('}').close('}');
    }

    /// The ceilings of the engine: its own, and else those of every engine.
    void write_ceilings(json::json_writer& json) const {
        const auto& own = workload_.limits;
        const auto memory = own.memory_mb ? *own.memory_mb * bytes_per_mb : options_.memory_bytes;
        const auto cpus = own.cpus.value_or(options_.cpus);
        const auto pids = own.pids.value_or(options_.pids);
        if (memory != 0) json.member("Memory", memory).member("MemorySwap", memory);
        if (cpus > 0) json.member("NanoCpus", static_cast<std::int64_t>(cpus * 1e9));
        if (pids != 0) json.member("PidsLimit", pids);
    }

    void write_mounts(json::json_writer& json) const {
        const auto mount = [&](std::string_view type, std::string_view from, std::string_view to,
                               bool read_only) {
            json.open('{').member("Type", type).member("Source", from).member("Target", to);
            json.member("ReadOnly", read_only);
        };
        json.name("Mounts").open('[');
        mount("volume", volume_of(workload_.ref.engine_id), "/data", false);
        // If the volume has been removed, the daemon creates another, which needs the labels too.
        write_labels(json.name("VolumeOptions").open('{'));
        json.close('}').close('}');
        if (!options_.catalog_path.empty()) {
            mount("bind", options_.catalog_path, "/catalog", true);
            json.close('}');
        }
        json.close(']');
    }

    const docker_options& options_;
    const workload& workload_;
};

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
