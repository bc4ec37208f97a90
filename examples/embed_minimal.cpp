// The SDK inside a program, with plain blocking calls. Usage: embed_minimal ENGINE_COMMAND [ARGUMENT...]
#include <roundhouse/backend/subprocess.hpp>
#include <roundhouse/roundhouse.hpp>

#include <asio/thread_pool.hpp>
#include <iostream>

using namespace roundhouse;

int main(int argc, char** argv) try {
    asio::thread_pool threads(4); // commits and process starts block: give them threads of their own
    subprocess_options engines;
    engines.store_path = "var/embed_minimal";
    engines.command.assign(argv + 1, argv + argc);
    const auto master_key = crypto::key_ring::make_key(crypto::system_entropy); // keep yours: it seals the engines' keys

    using fleet = orchestrator<subprocess_backend, memory_store, roundhouse::system_clock>;
    const auto over = std::make_shared<fleet>(
        threads.get_executor(), std::make_shared<subprocess_backend>(threads.get_executor(), engines),
        std::make_shared<memory_store>(), std::make_shared<roundhouse::system_clock>(),
        orchestrator_options{.master_keys = or_throw(crypto::key_ring::parse(master_key))});
    blocking calls(over);
    or_throw(calls.recover());

    const auto made = or_throw(calls.register_product("demo", "Demo"));
    const auto product = or_throw(over->authenticate(made.platform_key));
    const auto admitted = or_throw(calls.admit(product, "ada", {.auto_provision = true}));
    std::cout << "ada's engine is at " << admitted.engine->url << '\n';
    or_throw(calls.destroy(product, "ada"));
} catch (const std::exception& wrong) {
    std::cerr << wrong.what() << '\n';
    return 1;
}
