#pragma once

#include "../integration/running_server.hpp"
#include "../io_threads.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
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
    std::string said; ///< Without the end of its last line.
};

/// Runs the docker command.
inline docker_outcome docker(std::vector<std::string> arguments,
                             child_process::environment more = {}) {
    arguments.insert(arguments.begin(), "docker");
    child_process command("/usr/bin/env", arguments, inherited(std::move(more)));
    docker_outcome out{command.wait(), command.output()};
    if (out.said.ends_with('\n')) out.said.pop_back();
    return out;
}

/// Makes the demo engine's image.
inline bool build_image(child_process::environment more = {}) {
    more.insert({"DEMO_ENGINE", ROUNDHOUSE_DEMO_ENGINE});
    child_process build(
        "/usr/bin/env",
        {"bash", ROUNDHOUSE_SCRIPTS "/build-demo-image.sh", "roundhouse-test-engine:1"},
        inherited(std::move(more)));
    return build.wait() == 0;
}

/// Whether there is a daemon, with the demo engine's image on it.
inline bool docker_is_ready() {
    static const bool ready = docker({"version"}).code == 0 && build_image();
    return ready;
}

/// A store, and a network that goes with it.
class docker_place {
public:
    docker_place()
        : network_("roundhouse-test-" + std::to_string(::getpid()) + "-" +
                   std::to_string(++count_)) {}
    ~docker_place() { (void)docker({"network", "rm", network_}); }
    docker_place(const docker_place&) = delete;
    docker_place& operator=(const docker_place&) = delete;

    [[nodiscard]] child_process::environment with(child_process::environment more = {}) const {
        more.insert({{"ORCH_ENGINE_BACKEND", "docker"},
                     {"ORCH_ENGINE_IMAGE", "roundhouse-test-engine:1"},
                     {"ORCH_ENGINE_NETWORK", network_},
                     {"ORCH_STOP_GRACE_S", "3"}});
        return inherited(options(folder_.path(), std::move(more)));
    }
    [[nodiscard]] const std::string& network() const noexcept { return network_; }

private:
    static inline std::atomic<int> count_ = 0;
    const scratch_folder folder_;
    const std::string network_;
};

/// What an answer's engine is called on the daemon.
inline std::string short_name(const std::string& answer) {
    std::string out;
    for (const char c : member(answer, "engine_id"))
        if (c != '-' && out.size() < 12) out += c;
    return out;
}
inline std::string container_of(const std::string& answer) {
    return "engine-" + short_name(answer);
}
inline std::string volume_of(const std::string& answer) {
    return "engine-data-" + short_name(answer);
}

inline std::string inspected(const std::string& what, const std::string& format) {
    return docker({"inspect", "--format", format, what}).said;
}

/// What is on the daemon of a user's engines, also what does not run.
inline std::string containers_of(const std::string& user) {
    return docker({"ps", "--all", "--quiet", "--filter", "label=dev.roundhouse.user=" + user}).said;
}
inline std::string volumes_of(const std::string& user) {
    return docker({"volume", "ls", "--quiet", "--filter", "label=dev.roundhouse.user=" + user})
        .said;
}

/// How often an engine has executed something, this time included: its data tells. -1 if it does
/// not answer.
inline int executions(const std::string& engine) {
    httplib::Client client(member(engine, "url"));
    client.set_default_headers({{"X-Engine-Key", member(engine, "api_key")}});
    const auto answer = client.Post("/execute", R"({"input":1})", "application/json");
    return answer && answer->status == 200 ? std::stoi(member(answer->body, "count")) : -1;
}

inline bool becomes(running_server& server, const std::string& user, const std::string& status) {
    return eventually([&] { return member(server.get("/engines/" + user), "status") == status; });
}

/// How many audit rows of an action there are.
inline std::size_t rows(running_server& server, const std::string& action) {
    const auto text = server.get("/audit?limit=1000&action=" + action);
    std::size_t out = 0;
    for (auto at = text.find("\"id\""); at != std::string::npos; at = text.find("\"id\"", at + 1))
        ++out;
    return out;
}

} // namespace roundhouse_tests

#endif
