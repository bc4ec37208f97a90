// The HTTP side of the reference server with a full fleet: its listener, the api, the orchestrator
// and the store on disk, set up as in reference-server/serving.hpp. The engines are those of the
// memory backend: a small machine cannot run 100,000 processes, and an admit of a running engine
// does not contact it.
//
//   bench_http_server --folder DIR [--engines N] [--port P] [--certificate FILE --key FILE]
//
// Users are user-0 to user-<N-1>. With a certificate it speaks TLS. Prints "ready PORT PLATFORM_KEY"
// and serves until SIGTERM.
#include "../support/full_fleet.hpp"
#include "logging.hpp"
#include "main_events.hpp"
#include "open_files.hpp"
#include "options.hpp"
#include "serving.hpp"
#include "transport/listener.hpp"
#include "transport/tls_settings.hpp"

#include <roundhouse/http/api.hpp>
#include <roundhouse/store/lmdb.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace roundhouse_bench;
using fleet = full_fleet<lmdb_store>;

struct arguments {
    std::string folder;
    std::size_t engines = 1'000;
    std::uint16_t port = 0;
    server::tls_files tls;
};

arguments read_arguments(int argc, char** argv) {
    arguments out;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const std::string value = argv[i + 1];
        if (name == "--folder") out.folder = value;
        else if (name == "--engines") out.engines = std::stoul(value);
        else if (name == "--port") out.port = static_cast<std::uint16_t>(std::stoul(value));
        else if (name == "--certificate") out.tls.certificate = value;
        else if (name == "--key") out.tls.key = value;
        else throw std::invalid_argument(std::string(name) + " is not known");
    }
    if (out.folder.empty() || argc % 2 == 0)
        throw std::invalid_argument(
            "--folder DIR [--engines N] [--port P] [--certificate FILE --key FILE]");
    return out;
}

fleet_plan plan_for(std::size_t engines) {
    fleet_plan plan;
    plan.engines = engines;
    plan.batch = 5'000;
    // Every admit is counted, and the limit is never reached.
    plan.limits.rate_limit_rpm = std::numeric_limits<std::uint32_t>::max();
    // Probes of the memory backend do not cost what real probes cost, and would compete with the
    // measured requests.
    plan.settings.health_check_interval = std::chrono::hours{1};
    return plan;
}

/// Admits every user, so that the recovery is over and every key is cached before measuring.
void admit_everyone(const fleet& full, std::size_t engines) {
    const auto product = or_throw(full.orchestrator()->authenticate(full.platform_key()));
    const auto calls = full.orchestrator()->of(product);
    for (std::size_t n = 0; n < engines; ++n)
        if (!or_throw(calls.admit(user_of(n))).engine)
            throw std::logic_error(user_of(n) + " is not admitted");
}

server::listener_options listener_options_for(const arguments& command_line,
                                              std::size_t max_body_bytes, server::logger& log) {
    server::listener_options out;
    out.places = {{.host = "127.0.0.1", .port = command_line.port}};
    if (!command_line.tls.certificate.empty())
        out.places.front().tls = or_throw(server::tls_settings::load(command_line.tls));
    out.loops = server::loop_count();
    const auto defaults = std::make_unique<server::server_options>();
    out.limits.max_connections =
        server::plan_open_files(server::raise_open_file_limit(), *defaults).connections;
    // Every client of a benchmark is on this machine.
    out.limits.max_connections_per_address = out.limits.max_connections;
    out.limits.max_body_bytes = max_body_bytes;
    out.warn = [&log](std::string_view line) { log.write(log_level::warning, line); };
    return out;
}

void serve(const arguments& command_line) {
    server::logger log(log_level::info, server::log_format::text);
    server::main_events events;
    const fleet full(or_throw(lmdb_store::open({.folder = command_line.folder})),
                     plan_for(command_line.engines));
    admit_everyone(full, command_line.engines);
    auto api = std::make_shared<http::api>(full.orchestrator()->calls(), http::api_options{});
    auto options = listener_options_for(command_line, api->max_body_bytes(), log);
    server::listener listener(std::move(options), server::handler_for(std::move(api), log));
    std::printf("ready %u %s\n", unsigned{listener.port()}, full.platform_key().c_str());
    std::fflush(stdout);
    events.next();
    // No drain: the clients of a benchmark keep their connections open.
    listener.stop();
    or_throw(full.orchestrator()->async_close(wait));
}

} // namespace

int main(int argc, char** argv) {
    try {
        serve(read_arguments(argc, argv));
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_http_server: %s\n", problem.what());
        return 1;
    }
    return 0;
}
