#include "../removal_log.hpp"
#include "catch.hpp"
#include "io_threads.hpp"
#include "running_server.hpp"

#include <roundhouse/backend/subprocess/trash.hpp>
#include <roundhouse/subprocess_fleet.hpp>

#include <filesystem>
#include <fstream>
#include <string>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
namespace rh = roundhouse;
namespace fs = std::filesystem;

namespace {

void fill(const fs::path& folder, int files) {
    fs::create_directories(folder);
    for (int i = 0; i < files; ++i) std::ofstream{folder / std::to_string(i)};
}

std::size_t trash_of(const fs::path& store) {
    return rh::detail::subprocess::count_trash(store.string()).value();
}

} // namespace

TEST_CASE("a destroy waits for no removal, and its user gets a new engine meanwhile") {
    const temporary_folder folder;
    const auto store = folder.path() / "store";
    removal_log log;
    rh::subprocess_fleet_options options;
    options.folder = store.string();
    options.master_key = master_key;
    options.engine_command = {ROUNDHOUSE_DEMO_ENGINE};
    options.settings.port_min = static_cast<std::uint16_t>(std::stoi(port_range().first));
    options.settings.port_max = static_cast<std::uint16_t>(std::stoi(port_range().second));
    options.log = log.sink();
    auto fleet = rh::or_throw(rh::open_subprocess_fleet(options));
    const auto demo = rh::or_throw(fleet.product("demo"));
    const auto ann = rh::or_throw(demo.provision("ann"));
    const auto data = store / "engines" / to_string(ann.record->id);
    fill(data / "files", 100);

    log.hold();
    CHECK(demo.destroy("ann"));
    CHECK_FALSE(fs::exists(data));
    CHECK(demo.find("ann").error().code == rh::errc::engine_not_found);
    const auto next = demo.provision("ann");
    CHECK(next);
    CHECK(next->record->id != ann.record->id);
    CHECK(trash_of(store) == 1);
    log.release();
    CHECK(log.waits_for("removed a "));
    CHECK(trash_of(store) == 0);
    CHECK(fs::exists(store / "engines" / to_string(next->record->id)));
    CHECK(fleet.stop_engines());
}

TEST_CASE("a server that was killed while it removed a folder removes the rest when it is back") {
    const temporary_folder folder;
    const auto store = folder.path() / "store";
    std::string gone;
    {
        running_server server(options(folder.path()));
        gone = member(server.provision("ann"), "engine_id");
        fill(store / "engines" / gone, 20'000);
        REQUIRE(server.client.Delete("/engines/ann")->status == 200);
        server.process.signal(SIGKILL); // at whatever point the removal is
        REQUIRE(server.process.wait() == -SIGKILL);
    }
    CHECK_FALSE(fs::exists(store / "engines" / gone));
    // In case the removal had ended: of another server, which was killed before it.
    fill(store / "trash" / (gone + ".1"), 10);

    running_server server(options(folder.path()));
    CHECK(eventually([&] { return trash_of(store) == 0; }));
    CHECK(member(server.provision("ann"), "engine_id") != gone);
    CHECK(member(server.get("/status"), "total") == "1");
}

#endif
