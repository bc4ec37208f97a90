#pragma once

#include "docker_fixture.hpp"

#include <net/if.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

namespace roundhouse_tests {

/// A private Docker daemon, which can be killed and started again. containerd is a process of its
/// own, as with a service manager, so that containers outlive the daemon. The daemon does not
/// change the machine's bridge and packet filter.
class own_daemon {
public:
    own_daemon()
        : containerd_("/usr/bin/env",
                      {"containerd", "--root", below("containerd"), "--state",
                       below("containerd-state"), "--address", below("containerd.socket")},
                      inherited()) {
        start();
    }
    own_daemon(const own_daemon&) = delete;
    own_daemon& operator=(const own_daemon&) = delete;
    ~own_daemon() {
        stop();
        containerd_.signal(SIGTERM);
        containerd_.wait();
        for (const auto& mounted : mounts()) ::umount2(mounted.c_str(), MNT_DETACH);
    }

    static bool possible() {
        const auto runs = [](const char* name) {
            return child_process("/usr/bin/env", {name, "--version"}, inherited()).wait() == 0;
        };
        return ::geteuid() == 0 && runs("dockerd") && runs("containerd");
    }

    [[nodiscard]] std::string address() const { return "unix://" + below("socket"); }

    void start() {
        // A daemon without a bridge removes that of another daemon.
        const std::string bridge = ::if_nametoindex("docker0") != 0 ? "docker0" : "none";
        process_ = std::make_unique<child_process>(
            "/usr/bin/env",
            std::vector<std::string>{
                "dockerd", "--containerd", below("containerd.socket"), "--data-root", below("data"),
                "--exec-root", below("exec"), "--pidfile", below("pid"), "--host", address(),
                "--bridge", bridge, "--iptables=false", "--ip6tables=false", "--ip-masq=false"},
            inherited());
        REQUIRE(eventually([&] {
            return docker({"version"}, {{"DOCKER_HOST", address()}}).code == 0;
        }));
    }

    /// Ends the daemon by SIGKILL, as a crash does. Its containers go on.
    void kill() { end(SIGKILL); }
    void stop() { end(SIGTERM); }

private:
    [[nodiscard]] std::string below(const std::string& name) const {
        return folder_.path() + "/" + name;
    }

    void end(int signal) {
        process_->signal(signal);
        process_->wait();
    }

    /// The mounts below the daemon's folder, the innermost first.
    [[nodiscard]] std::vector<std::string> mounts() const {
        std::vector<std::string> found;
        std::ifstream table("/proc/mounts");
        for (std::string line, device, path; std::getline(table, line);) {
            std::istringstream(line) >> device >> path;
            if (path.starts_with(folder_.path() + "/")) found.push_back(path);
        }
        std::ranges::reverse(found);
        return found;
    }

    const scratch_folder folder_;
    child_process containerd_;
    std::unique_ptr<child_process> process_;
};

} // namespace roundhouse_tests

#endif
