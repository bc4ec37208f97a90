#pragma once

#include "../integration/running_server.hpp"
#include "../io_threads.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

namespace roundhouse_tests {

constexpr auto no_docker = "no Docker daemon can be reached: scripts/with-docker.sh runs one";

inline child_process::environment inherited(child_process::environment more = {}) {
    for (const char* const name : {"PATH", "DOCKER_HOST", "HOME"})
        if (const char* const value = std::getenv(name)) more.insert({name, value});
    return more;
}

struct docker_outcome {
    int code = -1;
    std::string output; ///< Without the last line end.
};

/// Runs the docker command.
inline docker_outcome docker(std::vector<std::string> arguments,
                             child_process::environment more = {}) {
    arguments.insert(arguments.begin(), "docker");
    child_process command("/usr/bin/env", arguments, inherited(std::move(more)));
    docker_outcome outcome{command.wait(), command.output()};
    if (outcome.output.ends_with('\n')) outcome.output.pop_back();
    return outcome;
}

/// Builds the demo engine's image.
inline bool build_image(child_process::environment more = {}) {
    more.insert({"DEMO_ENGINE", ROUNDHOUSE_DEMO_ENGINE});
    child_process build(
        "/usr/bin/env",
        {"bash", ROUNDHOUSE_SCRIPTS "/build-demo-image.sh", "roundhouse-test-engine:1"},
        inherited(std::move(more)));
    return build.wait() == 0;
}

/// Whether a daemon can be reached. Builds the demo engine's image on it at the first call.
inline bool docker_is_ready() {
    static const bool ready = docker({"version"}).code == 0 && build_image();
    return ready;
}

/// Whether the daemon is Podman's Docker-compatible service, which differs as docs/docker.md says.
inline bool on_podman() {
    static const bool podman = docker({"version"}).output.find("Podman") != std::string::npos;
    return podman;
}

/// A store and a network, which are removed by the destructor.
class docker_place {
public:
    docker_place()
        : network_("roundhouse-test-" + std::to_string(::getpid()) + "-" +
                   std::to_string(++count_)) {}
    ~docker_place() { (void)docker({"network", "rm", network_}); }
    docker_place(const docker_place&) = delete;
    docker_place& operator=(const docker_place&) = delete;

    /// The environment of a server here, with further variables.
    [[nodiscard]] child_process::environment with(child_process::environment more = {}) const {
        more.insert({{"ORCH_ENGINE_BACKEND", "docker"},
                     {"ORCH_ENGINE_IMAGE", "roundhouse-test-engine:1"},
                     {"ORCH_ENGINE_NETWORK", network_},
                     {"ORCH_ENGINE_METADATA_RULE", "none"}, // it would stay on this machine
                     {"ORCH_STOP_GRACE_S", "3"}});
        return inherited(options(folder_.path(), std::move(more)));
    }
    [[nodiscard]] const std::string& network() const noexcept { return network_; }

private:
    static inline std::atomic<int> count_ = 0;
    const scratch_folder folder_;
    const std::string network_;
};

/// The short id of the engine in an answer.
inline std::string short_name(const std::string& answer) {
    std::string name;
    for (const char c : member(answer, "engine_id"))
        if (c != '-' && name.size() < 12) name += c;
    return name;
}
inline std::string container_of(const std::string& answer) {
    return "engine-" + short_name(answer);
}
inline std::string volume_of(const std::string& answer) {
    return "engine-data-" + short_name(answer);
}

inline std::string inspected(const std::string& object, const std::string& format) {
    return docker({"inspect", "--format", format, object}).output;
}

constexpr auto no_capabilities = "0000000000000000"; // as `status_of` has it

/// A field of the status of a container's first process, as the kernel shows it (proc_pid_status(5)).
inline std::string status_of(const std::string& container, const std::string& field) {
    std::ifstream file("/proc/" + inspected(container, "{{.State.Pid}}") + "/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(field + ":\t")) return line.substr(field.size() + 2);
    return {};
}

/// Whether the containers on a network may talk to each other; empty if the daemon cannot forbid it.
inline std::string traffic_on(const std::string& network) {
    return inspected(network, R"({{index .Options "com.docker.network.bridge.enable_icc"}})");
}

/// The containers of a user's engines, in every state.
inline std::string containers_of(const std::string& user) {
    return docker({"ps", "--all", "--quiet", "--filter", "label=dev.roundhouse.user=" + user})
        .output;
}
inline std::string volumes_of(const std::string& user) {
    return docker({"volume", "ls", "--quiet", "--filter", "label=dev.roundhouse.user=" + user})
        .output;
}

/// Lets an engine execute something. Returns the number of its executions, which it keeps in its
/// data; -1 if it does not answer.
inline int executions(const std::string& engine) {
    httplib::Client client(member(engine, "url"));
    client.set_default_headers({{"X-Engine-Key", member(engine, "api_key")}});
    const auto answer = client.Post("/execute", R"({"input":1})", "application/json");
    return answer && answer->status == 200 ? std::stoi(member(answer->body, "count")) : -1;
}

inline bool becomes(running_server& server, const std::string& user, const std::string& status) {
    return eventually([&] { return member(server.get("/engines/" + user), "status") == status; });
}

/// The number of audit rows with an action.
inline std::size_t rows(running_server& server, const std::string& action) {
    const auto text = server.get("/audit?limit=1000&action=" + action);
    std::size_t count = 0;
    for (auto at = text.find("\"id\""); at != std::string::npos; at = text.find("\"id\"", at + 1))
        ++count;
    return count;
}

} // namespace roundhouse_tests

#endif
