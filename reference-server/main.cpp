#include "exit_codes.hpp"
#include "logging.hpp"
#include "open_files.hpp"
#include "options.hpp"
#include "secrets.hpp"
#include "server.hpp"
#include "store_tasks.hpp"

#include <roundhouse/log_text.hpp>

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <string_view>

namespace {

using namespace roundhouse::server;

void print_error(const char* message) { std::fprintf(stderr, "roundhouse-server: %s\n", message); }

int print(const std::string& text) {
    std::fputs(text.c_str(), stdout);
    return exit_code::good;
}

int run_task(const invocation& task) {
    const auto report = run_store_task(task, [](const roundhouse::log_line& line) {
        print_error(roundhouse::to_text(line).c_str());
    });
    if (!report) return print_error(report.error().message.c_str()), exit_code::bad_options;
    print(report->text);
    return report->all_well ? exit_code::good : exit_code::failed;
}

int run(std::span<char* const> arguments, const roundhouse::soft_limits& limits) {
    auto variables = process_environment();
    const auto invocation = parse_options(arguments, variables);
    wipe_given_secrets(arguments, variables);
    if (!invocation) return print_error(invocation.error().message.c_str()), exit_code::bad_options;
    if (invocation->action != server_action::serve) {
        for (const auto& warning : invocation->warnings) print_error(warning.c_str());
        return invocation->action == server_action::print ? print(invocation->text)
                                                          : run_task(*invocation);
    }
    logger log(invocation->options.log_level, invocation->options.log_format);
    for (const auto& warning : invocation->warnings)
        log.write(roundhouse::log_level::warning, warning);
    return run_server(invocation->options, limits, log);
}

} // namespace

int main(int argc, char** argv) {
    const auto limits = present_limits();
    guard_process();
    // Writes fail in their place: a reader of the log may exit before the server does, and a file may
    // reach a limit (ulimit -f).
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
    const std::span<char* const> words(argv, static_cast<std::size_t>(argc));
    try {
        return run(words.subspan(argc > 0 ? 1 : 0), limits);
    } catch (const std::exception& problem) {
        print_error(problem.what());
    }
    return exit_code::failed;
}
