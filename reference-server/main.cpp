#include "logging.hpp"
#include "options.hpp"
#include "server.hpp"

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <span>

namespace {

using namespace roundhouse::server;

constexpr int bad_options = 2;

int run(std::span<const char* const> arguments) {
    const auto asked = parse_options(arguments, process_environment());
    if (!asked) {
        std::fprintf(stderr, "roundhouse-server: %s\n", asked.error().message.c_str());
        return bad_options;
    }
    if (asked->what == invocation::action::print) {
        for (const auto& warning : asked->warnings)
            std::fprintf(stderr, "roundhouse-server: %s\n", warning.c_str());
        std::fputs(asked->text.c_str(), stdout);
        return 0;
    }
    logger log(asked->options.log_level, asked->options.log_format);
    for (const auto& warning : asked->warnings) log.write(roundhouse::log_level::warning, warning);
    return run_server(asked->options, log);
}

} // namespace

int main(int argc, char** argv) {
    // Whoever reads the log may go first.
    std::signal(SIGPIPE, SIG_IGN);
    try {
        return run(std::span<const char* const>(argv, static_cast<std::size_t>(argc))
                       .subspan(argc > 0 ? 1 : 0));
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "roundhouse-server: %s\n", problem.what());
    }
    return 1;
}
