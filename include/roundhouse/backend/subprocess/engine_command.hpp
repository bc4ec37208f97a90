#pragma once

#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/error.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// What stands in the engine command for the version of the engine.
inline constexpr std::string_view version_placeholder = "{engine_version}";

/// Whether an engine command depends on the version.
[[nodiscard]] inline bool names_version(const std::vector<std::string>& command) {
    return std::ranges::any_of(command, [](const std::string& word) {
        return word.find(version_placeholder) != std::string::npos;
    });
}

/// Why a version cannot stand in a command, where it may be a part of a path or a word of its own, as
/// the predicate of a sentence; empty if it can.
[[nodiscard]] inline std::string_view why_not_in_command(std::string_view version) {
    if (version.empty()) return "is empty";
    if (version.find('/') != std::string_view::npos) return "has a slash in it";
    if (version == "." || version == "..") return "means a folder";
    if (version.front() == '-') return "begins with a hyphen, as an option does";
    if (version.find('\0') != std::string_view::npos) return "has a NUL in it";
    return {};
}

/// The options with which an engine of this version is started: its version in place of each
/// placeholder in the command. Fails with `backend_error` if it cannot stand there.
[[nodiscard]] inline result<subprocess_options> options_for(const subprocess_options& options,
                                                            const std::string& version) {
    auto out = options;
    if (!names_version(options.command)) return out;
    if (const auto why = why_not_in_command(version); !why.empty())
        return fail(errc::backend_error, "the engine_version \"" + version + "\" " +
                                             std::string{why} +
                                             ", and the engine command has it in place of " +
                                             std::string{version_placeholder} +
                                             ": give the engine a version that is a plain name");
    for (auto& word : out.command)
        for (auto at = word.find(version_placeholder); at != std::string::npos;
             at = word.find(version_placeholder, at + version.size()))
            word.replace(at, version_placeholder.size(), version);
    return out;
}

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
