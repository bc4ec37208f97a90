// A demo engine: a small program that keeps the engine's side of the contract.
//
// The orchestrator starts it with ENGINE_ID, ENGINE_KEY_HASH, ENGINE_HOST, ENGINE_PORT,
// SQLITE_DB_PATH and CATALOG_DIR, and may pass it a socket (ENGINE_LISTEN_FD). It answers GET
// /health to anyone, and POST /rotate-key and POST /execute to callers that send the key; it ends
// with exit code 0 on SIGTERM. The text of --help below describes all of it, and the variables and
// endpoints that simulate failures.

#include "application.hpp"
#include "environment.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <string>
#include <string_view>
#include <thread>

namespace demo_engine {
namespace {

constexpr auto help = R"(demo_engine: an engine to try Roundhouse with

Environment, set by the orchestrator:
  ENGINE_ID         its id
  ENGINE_KEY_HASH   lower-case hex SHA-256 of the key that requests carry in X-Engine-Key
  ENGINE_HOST       address to listen on (default 127.0.0.1)
  ENGINE_PORT       port to listen on
  ENGINE_LISTEN_FD  descriptor of a socket that listens there already, if one is passed
  SQLITE_DB_PATH    executions are counted in the file "executions" beside it
                    (default ./brain.sqlite)
  CATALOG_DIR       looked at by /health only

Endpoints (all but /health ask for the key):
  GET  /health
  POST /rotate-key  {"key_hash":"<hex SHA-256 of the next key>"}
  POST /execute     {"input":<any JSON>}
                    answers {"engine_id":"...","echo":<input>,"count":<executions so far>}

For trying failures, environment variables read at the start:
  DEMO_ENGINE_BOOT_DELAY_MS=n      listens, and answers, only after n milliseconds
  DEMO_ENGINE_EXIT_CODE_AT_BOOT=n  exits with n instead of listening, after the delay if any
  DEMO_ENGINE_NO_ROTATE=1          answers 404 to /rotate-key, as an engine without it does

and endpoints:
  POST /demo/health {"status":"ok"|"sick"|"hang","busy":true|false}
                    what /health answers from now on; "hang" is no answer
  POST /demo/exit   {"code":n}
                    exits with n once the reply is sent
  POST /demo/memory {"mib":n}
                    takes n MiB of memory and keeps them

SIGTERM or SIGINT: exits with 0, after up to a second for requests in flight.
)";

/// Blocks the signals for an orderly end in this thread and the threads that it starts, so that
/// sigwait gets them. A parent may have set them to be ignored, which is undone.
sigset_t take_stop_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT}) {
        std::signal(signal, SIG_DFL);
        sigaddset(&signals, signal);
    }
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN); // a reader of the output may exit first
    return signals;
}

/// Simulates the boot failures that the environment asks for. Returns false if a stop signal was
/// received meanwhile.
bool simulate_boot_failures(const sigset_t& signals) {
    const int delay_ms = number("DEMO_ENGINE_BOOT_DELAY_MS", 0, 86'400'000, "0");
    const int exit_code = number("DEMO_ENGINE_EXIT_CODE_AT_BOOT", -1, 255, "-1");
    if (delay_ms > 0) {
        const timespec delay{.tv_sec = delay_ms / 1000, .tv_nsec = delay_ms % 1000 * 1'000'000L};
        if (sigtimedwait(&signals, nullptr, &delay) > 0) {
            return false;
        }
    }
    if (exit_code >= 0) {
        log("exits with " + std::to_string(exit_code) + " at boot, as asked");
        std::_Exit(exit_code);
    }
    return true;
}

void run() {
    const auto signals = take_stop_signals();
    application app;
    if (!simulate_boot_failures(signals)) {
        return;
    }
    app.bind();
    std::thread{[&] {
        int signal = 0;
        sigwait(&signals, &signal);
        app.stop();
    }}.detach();
    app.serve();
    log("stopped");
    // Exit without destroying `app`, which requests that outlasted the drain still use. All output
    // has been written.
    std::_Exit(EXIT_SUCCESS);
}

} // namespace
} // namespace demo_engine

int main(int argc, char** argv) {
    if (argc > 1) {
        const bool asked = std::string_view{argv[1]} == "--help";
        std::fputs(demo_engine::help, asked ? stdout : stderr);
        return asked ? EXIT_SUCCESS : 2;
    }
    try {
        demo_engine::run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "demo_engine: %s\n", error.what());
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
