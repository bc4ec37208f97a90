#pragma once

#include "../integration/running_server.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

namespace roundhouse_tests {

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
inline docker_outcome docker(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "docker");
    child_process command("/usr/bin/env", arguments, inherited());
    docker_outcome out{command.wait(), command.output()};
    if (out.said.ends_with('\n')) out.said.pop_back();
    return out;
}

/// Whether there is a daemon, with the demo engine's image on it.
inline bool docker_is_ready() {
    static const bool ready = [] {
        if (docker({"version"}).code != 0) return false;
        child_process build(
            "/usr/bin/env",
            {"bash", ROUNDHOUSE_SCRIPTS "/build-demo-image.sh", "roundhouse-test-engine:1"},
            inherited({{"DEMO_ENGINE", ROUNDHOUSE_DEMO_ENGINE}}));
        return build.wait() == 0;
    }();
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

} // namespace roundhouse_tests

#endif
