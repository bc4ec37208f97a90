#include "exit_codes.hpp"
#include "logging.hpp"
#include "options.hpp"
#include "server.hpp"
#include "store_tasks.hpp"

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <span>
#include <string>

namespace {

using namespace roundhouse::server;

void complain(const char* message) { std::fprintf(stderr, "roundhouse-server: %s\n", message); }

int print(const std::string& text) {
    std::fputs(text.c_str(), stdout);
    return exit_code::good;
}

int run_task(const invocation& asked) {
    const auto report = run_store_task(asked);
    if (!report) return complain(report.error().message.c_str()), exit_code::bad_options;
    print(report->text);
    return report->all_well ? exit_code::good : exit_code::failed;
}

int run(std::span<const char* const> arguments) {
    const auto asked = parse_options(arguments, process_environment());
    if (!asked) return complain(asked.error().message.c_str()), exit_code::bad_options;
    if (asked->what != invocation::action::serve) {
        for (const auto& warning : asked->warnings) complain(warning.c_str());
        return asked->what == invocation::action::print ? print(asked->text) : run_task(*asked);
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
        complain(problem.what());
    }
    return exit_code::failed;
}
