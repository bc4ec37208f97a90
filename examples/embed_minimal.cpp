// The SDK inside a program. Usage: embed_minimal ENGINE_COMMAND [ARGUMENT...]
// README: begin
#include <roundhouse/subprocess_fleet.hpp>

#include <cstdlib>
#include <exception>
#include <iostream>

int main(int argc, char** argv) {
    using namespace roundhouse;
    try {
        const char* const master_key = std::getenv("MASTER_KEY");
        subprocess_fleet_options options;
        options.folder = "var/embedded";
        options.master_key = master_key != nullptr ? master_key : "";
        options.engine_command = {argv + 1, argv + argc};
        auto fleet = or_throw(open_subprocess_fleet(options));

        const auto demo = or_throw(fleet.product("demo"));
        const auto admitted = or_throw(demo.admit("ada", {.auto_provision = true}));
        std::cout << "ada's engine answers at " << admitted.engine->url << '\n';

        or_throw(fleet.stop_engines()); // or leave them running: the next start finds them
        return 0;
    } catch (const std::exception& failure) {
        std::cerr << failure.what() << '\n';
        return 1;
    }
}
// README: end
