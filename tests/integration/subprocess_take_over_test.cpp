// The change from a store of 0.1.0, where identities and logs lay in the engines' own folders.

#include "../subprocess_fixture.hpp"
#include "catch.hpp"
#include "stranger.hpp"

#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/log_file.hpp>
#include <roundhouse/backend/subprocess/take_over.hpp>

#include <filesystem>
#include <fstream>

using namespace roundhouse_tests;

TEST_CASE_METHOD(subprocess_fixture, "a store of 0.1.0 is taken over once") {
    options.uids = rh::uid_range{}; // which 0.1.0 did not have
    const auto w = create_new();    // runs, and is told by its own folder
    const auto down = create_new();
    const auto pid = pid_of(w);
    REQUIRE(stop(down));
    close();
    const stranger other;
    for (const auto& each : {w, down}) {
        std::filesystem::rename(workload_folder(each) / sub::identity_name,
                                folder(each) / sub::identity_name_0_1_0);
        std::filesystem::rename(log_of(each), folder(each) / sub::log_name);
    }
    const auto forged = fresh_id();
    const auto forged_folder = store.path() / "engines" / to_string(forged);
    write_identity(forged_folder, other.identity());
    std::filesystem::rename(forged_folder / sub::identity_name,
                            forged_folder / sub::identity_name_0_1_0);
    const auto closed = store.path() / "engines" / to_string(fresh_id());
    std::filesystem::create_directory(closed);
    std::filesystem::permissions(closed, std::filesystem::perms::none);
    std::filesystem::remove_all(store.path() / "workloads");
    std::filesystem::remove(store.path() / "workloads.taken-over");
    // Of a call that was interrupted, or planted.
    write_identity(store.path() / "workloads.new" / to_string(down.ref.engine_id),
                   other.identity());
    const auto planted = store.path() / "workloads.new" / to_string(fresh_id());
    write_identity(planted, other.identity());
    std::ofstream{folder(w) / sub::log_name, std::ios::app} << "before\n";

    reopen();
    CHECK(listed(w)->ref == w.ref);
    CHECK(listed(w)->state == rh::workload_state::up);
    CHECK(listed(down)->state == rh::workload_state::down);
    CHECK_FALSE(std::filesystem::exists(store.path() / "workloads" / planted.filename()));
    CHECK(without_marks(wait(backend().logs(w.ref, 10)).value()) == "before\n");
    CHECK(wait(backend().destroy({.engine_id = forged, .generation = 1, .port = 1})));
    CHECK(runs(other.identity().pid));
    CHECK(stop(w));
    CHECK_FALSE(runs(pid));
    std::filesystem::permissions(closed, std::filesystem::perms::owner_all); // to be removed
}

TEST_CASE_METHOD(subprocess_fixture,
                 "no identity in an engine's folder is believed after workloads was removed") {
    options.uids = rh::uid_range{}; // so that the folder is of the user that takes over
    const auto w = create_new();
    const auto pid = pid_of(w);
    const auto mark = store.path() / "workloads.taken-over";
    SECTION("of a store that was marked when it was made") {}
    SECTION("of a store that was taken over before there was a mark") {
        REQUIRE(std::filesystem::remove(mark));
        reopen();
        CHECK(listed(w)->ref == w.ref);
    }
    CHECK(std::filesystem::is_regular_file(mark));
    close();
    // All of it is true but the generation, so that a store of 0.1.0 would be adopted by it.
    auto forged = sub::read_identity((workload_folder(w) / sub::identity_name).string());
    REQUIRE((forged && *forged));
    (*forged)->generation = 7;
    write_identity(folder(w), **forged);
    std::filesystem::rename(folder(w) / sub::identity_name, folder(w) / sub::identity_name_0_1_0);
    std::filesystem::remove_all(store.path() / "workloads");

    reopen();
    CHECK(listed(w)->ref.generation == 0);
    CHECK(listed(w)->state == rh::workload_state::down);
    CHECK(wait(backend().destroy(w.ref))); // finds the process by itself
    CHECK_FALSE(runs(pid));
}
