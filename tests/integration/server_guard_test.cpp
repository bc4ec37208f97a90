#include "../../reference-server/sanitizers.hpp"
#include "catch.hpp"
#include "running_server.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

constexpr uid_t ordinary_user = 65534;

std::string text_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Whether a process of an ordinary user can open a file, or run one.
bool ordinary_user_can(const std::string& path, int mode) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        if (::geteuid() == 0 && (::setgid(ordinary_user) != 0 || ::setuid(ordinary_user) != 0))
            ::_exit(2);
        if (mode == X_OK) ::_exit(::access(path.c_str(), X_OK) == 0 ? 0 : 1);
        ::_exit(::open(path.c_str(), O_RDONLY | O_CLOEXEC) >= 0 ? 0 : 1);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

} // namespace

TEST_CASE("a server shows its secrets neither in its environment nor in its arguments") {
    const scratch_folder folder;
    auto variables = options(folder.path(), {{"ORCH_ENGINE_BACKEND", "memory"}});
    variables.erase("ORCH_ADMIN_KEY");
    child_process server(ROUNDHOUSE_SERVER, {"--admin-key", admin_key}, variables);
    server.line_with("\"ready\"");
    const auto process = "/proc/" + std::to_string(server.pid());
    const auto shown = text_of(process + "/environ") + text_of(process + "/cmdline");
    CHECK_THAT(shown, Contains("PATH=") && Contains("--admin-key"));
    CHECK_THAT(shown, !Contains(admin_key) && !Contains(master_key) && !Contains(platform_key));
    CHECK_THAT(text_of(process + "/limits"), Contains("Max core file size        0 "));
}

TEST_CASE("another process of a server's own user cannot look into it") {
#if ROUNDHOUSE_ADDRESS_SANITIZER
    ROUNDHOUSE_SKIP("the leak checker of AddressSanitizer attaches to the server");
#endif
    if (!ordinary_user_can(ROUNDHOUSE_SERVER, X_OK))
        ROUNDHOUSE_SKIP("an ordinary user cannot run the server where it was built");
    const scratch_folder folder;
    std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
    const auto variables = options(folder.path(), {{"ORCH_ENGINE_BACKEND", "memory"}});
    std::vector<std::string> arguments;
    std::string program = ROUNDHOUSE_SERVER;
    if (::geteuid() == 0) {
        const auto user = std::to_string(ordinary_user);
        arguments = {"--reuid=" + user, "--regid=" + user, "--clear-groups", program};
        program = "/usr/bin/setpriv";
    }
    child_process server(program, arguments, variables);
    server.line_with("\"ready\"");
    const auto process = "/proc/" + std::to_string(server.pid());
    CHECK(ordinary_user_can(process + "/stat", R_OK));
    for (const auto* const file : {"/environ", "/maps", "/mem"}) {
        CAPTURE(file);
        CHECK_FALSE(ordinary_user_can(process + file, R_OK));
    }
}

#endif
