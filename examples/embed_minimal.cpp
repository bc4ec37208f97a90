// The SDK inside a program, with plain blocking calls. Usage: embed_minimal ENGINE_COMMAND
// [ARGUMENT...]
#include <roundhouse/backend/subprocess.hpp>
#include <roundhouse/roundhouse.hpp>

#include <asio/thread_pool.hpp>

#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace {

// README: begin
using namespace roundhouse;
using fleet = orchestrator<subprocess_backend, memory_store, roundhouse::system_clock>;

void serve_ada(const std::vector<std::string>& engine_command) {
    // Commits and process starts block: give them threads of their own.
    asio::thread_pool threads(4);
    subprocess_options engines;
    engines.store_path = "var/embedded";
    engines.command = engine_command;
    const auto master_key = crypto::key_ring::make_key(crypto::system_entropy); // keep yours
    const orchestrator_options options(or_throw(crypto::key_ring::parse(master_key)));
    const auto over = std::make_shared<fleet>(
        threads.get_executor(),
        std::make_shared<subprocess_backend>(threads.get_executor(), engines),
        std::make_shared<memory_store>(), std::make_shared<roundhouse::system_clock>(), options);

    blocking calls(over);
    or_throw(calls.recover());
    const auto made = or_throw(calls.register_product("demo", "Demo"));
    const auto product = or_throw(over->authenticate(made.platform_key));

    const auto admitted = or_throw(calls.admit(product, "ada", {.auto_provision = true}));
    std::cout << "ada's engine answers at " << admitted.engine->url << '\n';
    or_throw(calls.destroy(product, "ada"));
}
// README: end

} // namespace

int main(int argc, char** argv) {
    try {
        serve_ada({argv + 1, argv + argc});
        return 0;
    } catch (const std::exception& wrong) {
        std::cerr << wrong.what() << '\n';
        return 1;
    }
}
