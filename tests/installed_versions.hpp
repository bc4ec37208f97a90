#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace roundhouse_tests {

/// Versions of the demo engine, installed side by side as `{engine_version}` in ORCH_ENGINE_COMMAND
/// finds them: `one`, the default, `two`, and `bad`, which exits with 3 at once.
class installed_versions {
public:
    static constexpr auto first = "one";
    static constexpr auto second = "two";
    static constexpr auto bad = "bad";

    /// Installs them in a folder, which engines with users of their own may enter from now on.
    installed_versions(const std::filesystem::path& folder, const std::string& demo_engine)
        : folder_(folder / "versions") {
        namespace fs = std::filesystem;
        using fs::perms;
        constexpr auto readable = perms::owner_all | perms::group_read | perms::group_exec |
                                  perms::others_read | perms::others_exec;
        for (const auto* const version : {first, second, bad})
            fs::create_directories(folder_ / version);
        for (const auto* const version : {first, second})
            fs::copy_file(demo_engine, program_of(version));
        std::ofstream(program_of(bad)) << "#!/bin/sh\nexit 3\n";
        fs::permissions(program_of(bad), readable);
        fs::permissions(folder, readable);
    }

    /// What a server needs in its environment to run them.
    [[nodiscard]] std::map<std::string, std::string> variables() const {
        return {{"ORCH_ENGINE_COMMAND", '\'' + program_of("{engine_version}").string() + '\''},
                {"ORCH_ENGINE_IMAGE", first},
                {"ORCH_DEFAULT_POLICY", R"({"allowed_versions":["two","bad"]})"}};
    }

    [[nodiscard]] std::filesystem::path program_of(const std::string& version) const {
        return folder_ / version / "engine";
    }

private:
    const std::filesystem::path folder_;
};

} // namespace roundhouse_tests
