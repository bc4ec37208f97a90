#include "server.hpp"

#include "exit_codes.hpp"
#include "serve.hpp"
#include "store_folder.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <thread>

namespace roundhouse::server {

namespace {

constexpr std::chrono::seconds workers_may_take{5};
/// Two workers may be busy with a commit and a fork while the others go on.
constexpr std::size_t min_workers = 4;

int serve(const server_context& context) {
    switch (context.options.backend) {
    case backend_kind::memory: return serve_memory(context);
    case backend_kind::subprocess: return serve_subprocess(context);
    case backend_kind::docker: return serve_docker(context);
    }
    return exit_code::bad_options;
}

} // namespace

int run_server(const server_options& options, const soft_limits& limits, logger& log) {
    main_events events;
    const auto folder = store_folder::open(options.store_path);
    if (!folder) {
        log.write(log_level::error, folder.error().message);
        return exit_code::bad_options;
    }
    if (folder->open_to_others())
        log.write(log_level::warning, "ORCH_STORE_PATH: others may look into " +
                                          options.store_path + ": chmod 700 keeps them out");
    for (const auto& address : options.listen)
        if (!address.is_local() && !is_encrypted(address, options))
            log.write(log_level::warning,
                      "ORCH_LISTEN: " + address.text() +
                          ": keys travel in plain text beyond this machine; set ORCH_TLS_CERT, or "
                          "put a TLS proxy in front");
    worker_pool workers(std::max<std::size_t>(min_workers, std::thread::hardware_concurrency()),
                        [&log](std::string_view problem) {
                            log.write(log_level::error, "a task failed. Report it with the reason",
                                      {{"reason", problem}});
                        });
    const auto code = serve(
        {.options = options, .log = log, .events = events, .workers = workers, .limits = limits});
    if (!workers.finish(workers_may_take))
        log.write(log_level::warning, "work was cut off at the end");
    if (code == exit_code::good) log.write(log_level::info, "stopped");
    return code;
}

} // namespace roundhouse::server
