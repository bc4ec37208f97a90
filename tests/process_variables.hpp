#pragma once

#include <roundhouse/engine_settings.hpp>

#include <sys/types.h>

#include <fstream>
#include <string>

namespace roundhouse_tests {

/// The environment that a process of this machine was started with.
[[nodiscard]] inline roundhouse::named_texts variables_of(pid_t pid) {
    roundhouse::named_texts variables;
    std::ifstream environment("/proc/" + std::to_string(pid) + "/environ");
    for (std::string variable; std::getline(environment, variable, '\0');)
        if (const auto equals = variable.find('='); equals != std::string::npos)
            variables.emplace(variable.substr(0, equals), variable.substr(equals + 1));
    return variables;
}

} // namespace roundhouse_tests
