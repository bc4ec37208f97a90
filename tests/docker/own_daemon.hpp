#pragma once

#include "docker_fixture.hpp"

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

/// A Docker daemon of a test's own, which can be killed and started again. As where a service
/// manager starts them, containerd is a process beside it, and containers outlive it. It leaves the
/// machine's bridge and packet filter to other daemons.
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
        process_ = std::make_unique<child_process>(
            "/usr/bin/env",
            std::vector<std::string>{
                "dockerd", "--containerd", below("containerd.socket"), "--data-root", below("data"),
                "--exec-root", below("exec"), "--pidfile", below("pid"), "--host", address(),
                "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false"},
            inherited());
        REQUIRE(eventually([&] {
            return docker({"version"}, {{"DOCKER_HOST", address()}}).code == 0;
        }));
    }

    /// As a crash does: containers are not asked to end.
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

    /// Those below its folder, the innermost first.
    [[nodiscard]] std::vector<std::string> mounts() const {
        std::vector<std::string> out;
        std::ifstream table("/proc/mounts");
        for (std::string line, what, where; std::getline(table, line);) {
            std::istringstream(line) >> what >> where;
            if (where.starts_with(folder_.path() + "/")) out.push_back(where);
        }
        std::ranges::reverse(out);
        return out;
    }

    const scratch_folder folder_;
    child_process containerd_;
    std::unique_ptr<child_process> process_;
};

} // namespace roundhouse_tests

#endif
