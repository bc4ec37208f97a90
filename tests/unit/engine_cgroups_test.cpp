#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/disk.hpp>
#include <roundhouse/backend/subprocess/engine_cgroups.hpp>
#include <roundhouse/backend/subprocess/isolation.hpp>

#include <sys/sysmacros.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fs = std::filesystem;
namespace rh = roundhouse;
namespace sub = roundhouse::detail::subprocess;
using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

constexpr auto of_engines = "roundhouse-1-2";
constexpr sub::engine_ceilings all_ceilings{
    .memory_bytes = 64 * 1024 * 1024, .cpus = 0.5, .processes = 100};

/// A folder that stands for the hierarchies of a machine. Files that the kernel would make are there
/// before.
struct stand_in {
    void add(const fs::path& folder, std::initializer_list<const char*> files) const {
        fs::create_directories(root.path() / folder);
        for (const auto* const file : files) std::ofstream{root.path() / folder / file};
    }
    void add_unified(const fs::path& top) const {
        add(top, {"cgroup.subtree_control", "cgroup.procs"});
        std::ofstream{root.path() / top / "cgroup.controllers"} << "cpuset cpu io memory pids\n";
        add(top / of_engines, {"cgroup.subtree_control"});
        add_engine(top, {"cgroup.procs", "cgroup.kill", "memory.max", "memory.swap.max",
                         "memory.oom.group", "memory.events", "cpu.max", "pids.max"});
    }
    /// The group of the engine, and the one by which the machine is tried out.
    void add_engine(const fs::path& top, std::initializer_list<const char*> files) const {
        for (const auto& id : {engine, tried}) add(top / of_engines / rh::to_string(id), files);
    }
    [[nodiscard]] std::string in(const fs::path& file) const { return text_of(root.path() / file); }
    [[nodiscard]] std::string of_engine(const fs::path& top, const char* file) const {
        return in(top / of_engines / rh::to_string(engine) / file);
    }
    [[nodiscard]] sub::engine_cgroups find(std::string_view own,
                                           const sub::engine_ceilings& ceilings) const {
        return {root.path().string(), own, of_engines, ceilings};
    }

    /// Lets the kernel refuse what is written to a file of the group that is tried out.
    void refuse(const fs::path& top, const char* file) const {
        const auto path = root.path() / top / of_engines / rh::to_string(tried) / file;
        fs::remove(path);
        fs::create_symlink("/dev/full", path);
    }

    static constexpr rh::uuid tried{};
    temporary_folder root;
    rh::uuid engine = fresh_id();
};

} // namespace

TEST_CASE("control groups of version 2 have the ceilings of their engines") {
    const stand_in machine;
    machine.add_unified("");
    const auto cgroups = machine.find("0::/\n", all_ceilings);
    REQUIRE_FALSE(cgroups.empty());
    CHECK(cgroups.hold(&sub::cgroup_controllers::memory));
    CHECK(cgroups.hold(&sub::cgroup_controllers::cpu));
    CHECK(cgroups.hold(&sub::cgroup_controllers::pids));
    CHECK(machine.in("cgroup.subtree_control") == "+memory +cpu +pids");
    const auto entrances = cgroups.make(machine.engine);
    REQUIRE(entrances);
    CHECK(entrances->folder);
    CHECK_FALSE(entrances->others[0]);
    CHECK(machine.in(fs::path(of_engines) / "cgroup.subtree_control") == "+memory +cpu +pids");
    CHECK(machine.of_engine("", "memory.max") == "67108864");
    CHECK(machine.of_engine("", "memory.swap.max") == "0");
    CHECK(machine.of_engine("", "memory.oom.group") == "1");
    CHECK(machine.of_engine("", "cpu.max") == "50000 100000");
    CHECK(machine.of_engine("", "pids.max") == "100");
    CHECK(sub::enter_cgroup(entrances->file));
    CHECK(machine.of_engine("", "cgroup.procs") == "0");
    auto groups = cgroups.engines();
    std::erase(groups, machine.tried); // which a kernel removes, with its files
    CHECK(groups == std::vector{machine.engine});
}

TEST_CASE("an engine's own ceilings stand in the place of those of all") {
    const stand_in machine;
    machine.add_unified("");
    const auto cgroups = machine.find("0::/\n", all_ceilings);
    REQUIRE(cgroups.make(machine.engine,
                         {.memory_bytes = 8 * 1024 * 1024, .cpus = 0.25, .processes = 7}));
    CHECK(machine.of_engine("", "memory.max") == "8388608");
    CHECK(machine.of_engine("", "cpu.max") == "25000 100000");
    CHECK(machine.of_engine("", "pids.max") == "7");
}

TEST_CASE("an engine without ceilings has a control group without them") {
    const stand_in machine;
    machine.add_unified("");
    const auto cgroups = machine.find("0::/\n", {});
    CHECK(machine.in("cgroup.subtree_control") == "+memory +pids");
    REQUIRE(cgroups.make(machine.engine));
    CHECK(machine.of_engine("", "memory.max") == "max");
    CHECK(machine.of_engine("", "memory.swap.max") == "max");
    CHECK(machine.of_engine("", "cpu.max").empty());
    CHECK(machine.of_engine("", "pids.max") == "max");
}

TEST_CASE("a server leaves a control group of version 2 that is to give controllers") {
    const stand_in machine;
    machine.add_unified("");
    machine.add("", {"cgroup.type"}); // which the top of a machine does not have
    SECTION("for a group of its own") {
        machine.add(sub::server_cgroup, {"cgroup.procs"});
        const auto own = GENERATE(as<std::string>{}, "0::/\n", "0::/roundhouse-server\n");
        CHECK(machine.find(own, all_ceilings).hold(&sub::cgroup_controllers::memory));
        CHECK(machine.in(fs::path(sub::server_cgroup) / "cgroup.procs") == "0");
        CHECK(machine.in("cgroup.subtree_control") == "+memory +cpu +pids");
    }
    SECTION("and if it cannot, engines have groups without ceilings") {
        const auto cgroups = machine.find("0::/\n", all_ceilings);
        CHECK_FALSE(cgroups.empty());
        CHECK_FALSE(cgroups.hold(&sub::cgroup_controllers::memory));
        CHECK(machine.in("cgroup.subtree_control").empty());
        REQUIRE(cgroups.make(machine.engine));
        CHECK(machine.of_engine("", "memory.max").empty());
    }
}

TEST_CASE("control groups of version 1 have the ceilings of their engines, each for itself") {
    const stand_in machine;
    machine.add_engine("memory/a",
                       {"tasks", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"});
    machine.add_engine("cpu,cpuacct", {"tasks", "cpu.cfs_period_us", "cpu.cfs_quota_us"});
    constexpr auto own = "9:name=systemd:/\n8:pids:/b\n4:memory:/a\n1:cpu,cpuacct:/c\n0::/\n";
    const auto cgroups = machine.find(own, all_ceilings); // the place of pids is not there
    CHECK(cgroups.hold(&sub::cgroup_controllers::memory));
    CHECK(cgroups.hold(&sub::cgroup_controllers::cpu));
    CHECK_FALSE(cgroups.hold(&sub::cgroup_controllers::pids));
    const auto entrances = cgroups.make(machine.engine);
    REQUIRE(entrances);
    CHECK_FALSE(entrances->folder);
    CHECK((entrances->others[0] && entrances->others[1]));
    CHECK(machine.of_engine("memory/a", "memory.limit_in_bytes") == "67108864");
    CHECK(machine.of_engine("memory/a", "memory.memsw.limit_in_bytes") == "67108864");
    CHECK(machine.of_engine("cpu,cpuacct", "cpu.cfs_period_us") == "100000");
    CHECK(machine.of_engine("cpu,cpuacct", "cpu.cfs_quota_us") == "50000");
    CHECK_FALSE(fs::exists(machine.root.path() / "pids"));
}

TEST_CASE("a control group bounds what its engine reads from and writes to the store's disk") {
    const stand_in machine;
    sub::engine_ceilings ceilings{.io_bytes_per_s = 1'048'576, .disk = makedev(8, 16)};
    SECTION("in version 2") {
        machine.add_unified("");
        machine.add_engine("", {"io.max"});
        const auto cgroups = machine.find("0::/\n", ceilings);
        CHECK(cgroups.hold(&sub::cgroup_controllers::io));
        CHECK(machine.in("cgroup.subtree_control") == "+memory +pids +io");
        REQUIRE(cgroups.make(machine.engine));
        CHECK(machine.of_engine("", "io.max") == "8:16 rbps=1048576 wbps=1048576");
    }
    SECTION("in version 1") {
        constexpr auto reads = "blkio.throttle.read_bps_device";
        constexpr auto writes = "blkio.throttle.write_bps_device";
        machine.add_engine("blkio", {"tasks", reads, writes});
        const auto cgroups = machine.find("1:blkio:/\n", ceilings);
        CHECK(cgroups.hold(&sub::cgroup_controllers::io));
        REQUIRE(cgroups.make(machine.engine));
        CHECK(machine.of_engine("blkio", reads) == "8:16 1048576");
        CHECK(machine.of_engine("blkio", writes) == "8:16 1048576");
    }
    SECTION("also of an engine with ceilings of its own") {
        machine.add_unified("");
        machine.add_engine("", {"io.max"});
        REQUIRE(machine.find("0::/\n", ceilings).make(machine.engine, {.processes = 7}));
        CHECK(machine.of_engine("", "pids.max") == "7");
        CHECK(machine.of_engine("", "io.max") == "8:16 rbps=1048576 wbps=1048576");
    }
    SECTION("and nothing of a store that is on no disk") {
        ceilings.disk = 0;
        machine.add_unified("");
        const auto cgroups = machine.find("0::/\n", ceilings);
        CHECK_FALSE(cgroups.empty());
        CHECK_FALSE(cgroups.hold(&sub::cgroup_controllers::io));
        CHECK(machine.in("cgroup.subtree_control") == "+memory +pids");
    }
}

TEST_CASE("what is on a partition is bounded by its whole disk, and what is on no disk is told") {
    const temporary_folder root; // stands for /sys
    const auto devices = root.path() / "dev/block";
    fs::create_directories(devices);
    fs::create_directories(root.path() / "sda/sda2");
    std::ofstream{root.path() / "sda/dev"} << "8:0\n";
    std::ofstream{root.path() / "sda/sda2/partition"} << "2\n";
    fs::create_directory_symlink("../../sda", devices / "8:0");
    fs::create_directory_symlink("../../sda/sda2", devices / "8:2");
    CHECK(sub::whole_disk(makedev(8, 0), devices.string()) == makedev(8, 0));
    CHECK(sub::whole_disk(makedev(8, 2), devices.string()) == makedev(8, 0));
    CHECK(sub::whole_disk(makedev(0, 27), devices.string()) == 0);
    std::ofstream{root.path() / "sda/dev"} << "none\n";
    CHECK(sub::whole_disk(makedev(8, 2), devices.string()) == 0);
    CHECK(sub::disk_of("/proc") == 0);
}

TEST_CASE("a control group that cannot have its ceilings is named") {
    const stand_in machine;
    machine.add_unified("");
    const auto cgroups = machine.find("0::/\n", all_ceilings);
    const auto other = fresh_id(); // whose files are not there
    const auto made = cgroups.make(other);
    REQUIRE_FALSE(made);
    CHECK_THAT(made.error().message, Contains(rh::to_string(other)));
}

TEST_CASE("control groups that can be made and not entered are not used, and named") {
    const stand_in machine;
    machine.add_unified("");
    SECTION("for a process that may not be moved") { machine.refuse("", "cgroup.procs"); }
    SECTION("for a file by which to enter that is not there") {
        fs::remove(machine.root.path() / of_engines / rh::to_string(machine.tried) /
                   "cgroup.procs");
    }
    SECTION("for a ceiling that cannot be set") { machine.refuse("", "memory.max"); }
    const auto cgroups = machine.find("0::/\n", all_ceilings);
    CHECK(cgroups.empty());
    REQUIRE(cgroups.left_out().size() == 1);
    CHECK_THAT(cgroups.left_out().front(),
               Contains((machine.root.path() / of_engines).string()) && Contains(": "));
    CHECK(cgroups.make(machine.engine)); // none
    CHECK(machine.of_engine("", "memory.max").empty());
}

TEST_CASE("a hierarchy of version 1 that cannot be entered does not keep others from being used") {
    const stand_in machine;
    machine.add_engine("pids", {"tasks", "pids.max"});
    machine.add_engine("cpu", {"tasks", "cpu.cfs_period_us", "cpu.cfs_quota_us"});
    machine.refuse("cpu", "tasks");
    const auto cgroups = machine.find("2:cpu:/\n1:pids:/\n", all_ceilings);
    CHECK(cgroups.hold(&sub::cgroup_controllers::pids));
    CHECK_FALSE(cgroups.hold(&sub::cgroup_controllers::cpu));
    CHECK(cgroups.left_out().size() == 1);
    CHECK(cgroups.make(machine.engine));
}

TEST_CASE("on a machine without control groups engines have none, and nothing fails") {
    const stand_in machine;
    const auto cgroups = machine.find("8:pids:/\n0::/\n", all_ceilings);
    CHECK(cgroups.empty());
    const auto entrances = cgroups.make(machine.engine);
    REQUIRE(entrances);
    CHECK_FALSE(entrances->folder);
    CHECK_FALSE(entrances->file);
    CHECK(sub::enter_cgroups(entrances->others));
    CHECK(cgroups.processes_of(machine.engine).empty());
    cgroups.kill(machine.engine);
    CHECK(cgroups.remove(machine.engine));
    CHECK_FALSE(cgroups.has(machine.engine));
    CHECK(cgroups.engines().empty());
}

TEST_CASE("all of a control group are ended by the kernel where it can") {
    const stand_in machine;
    machine.add_unified("");
    const auto cgroups = machine.find("0::/\n", all_ceilings);
    REQUIRE(cgroups.make(machine.engine));
    SECTION("at once") {
        cgroups.kill(machine.engine);
        CHECK(machine.of_engine("", "cgroup.kill") == "1");
        CHECK(machine.of_engine("", "pids.max") == "100");
    }
    SECTION("and else they can start no others any more") {
        fs::remove(machine.root.path() / of_engines / rh::to_string(machine.engine) /
                   "cgroup.kill");
        cgroups.kill(machine.engine);
        CHECK(machine.of_engine("", "pids.max") == "0");
    }
}

TEST_CASE("an engine is out of memory if the kernel ended it for that while it was watched") {
    const stand_in machine;
    machine.add_unified("");
    const auto cgroups = machine.find("0::/\n", all_ceilings);
    CHECK(cgroups.out_of_memory_kills(machine.engine) == 0);
    std::ofstream(machine.root.path() / of_engines / rh::to_string(machine.engine) /
                  "memory.events")
        << "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n";
    CHECK(cgroups.out_of_memory_kills(machine.engine) == 2);
    const auto ended = [&](std::uint64_t before, std::optional<sub::exit_report> exit) {
        return cgroups.ended_out_of_memory(machine.engine, before, exit);
    };
    CHECK(ended(1, sub::exit_report{.code = {}, .signal = SIGKILL}));
    CHECK(ended(1, sub::exit_report{.code = 137, .signal = {}})); // of a shell
    CHECK(ended(1, std::nullopt));                                // of no child
    CHECK_FALSE(ended(2, sub::exit_report{.code = {}, .signal = SIGKILL}));
    CHECK_FALSE(ended(1, sub::exit_report{.code = {}, .signal = SIGSEGV}));
    CHECK_FALSE(ended(1, sub::exit_report{.code = 1, .signal = {}}));
}

TEST_CASE("the engine of a process is told by its control group") {
    const auto engine = fresh_id();
    const auto id = rh::to_string(engine);
    const auto find = [](const std::string& text) {
        return sub::engine_in_cgroup(text, of_engines);
    };
    CHECK(find("8:pids:/\n0::/a/roundhouse-1-2/" + id + "\n") == engine);
    CHECK(find("8:pids:/roundhouse-1-2/" + id + "/inner\n0::/\n") == engine);
    CHECK_FALSE(find("0::/roundhouse-1-3/" + id + "\n"));
    CHECK_FALSE(find("0::/roundhouse-1-2\n"));
    CHECK_FALSE(find("0::/roundhouse-1-2/other\n"));
    CHECK_FALSE(find(""));
}

TEST_CASE("a ceiling that nothing holds is told") {
    rh::subprocess_options options;
    options.processes = 0;
    const sub::isolation nothing{rh::isolation_mode::automatic, {}, {}};
    CHECK(sub::unheld_ceilings(options, nothing).empty());
    options.memory_bytes = 1;
    options.cpus = 1;
    options.processes = 1;
    options.io_bytes_per_s = 1;
    CHECK(sub::unheld_ceilings(options, nothing) ==
          std::vector<std::string>{"memory_bytes", "cpus", "processes", "io_bytes_per_s"});
    const sub::usable_uids uids{.range = rh::default_engine_uids, .why_none = {}};
    const sub::isolation with_uids{rh::isolation_mode::automatic, uids, {}};
    CHECK(sub::unheld_ceilings(options, with_uids) ==
          std::vector<std::string>{"memory_bytes", "cpus", "io_bytes_per_s"});
    const stand_in machine;
    machine.add_unified("");
    const sub::isolation with_groups{
        rh::isolation_mode::automatic, {}, machine.find("0::/\n", all_ceilings)};
    CHECK(sub::unheld_ceilings(options, with_groups) ==
          std::vector<std::string>{"io_bytes_per_s"}); // which these groups were not to have
    options.io_bytes_per_s = 0;
    CHECK(sub::unheld_ceilings(options, with_groups).empty());
    CHECK(with_groups.names().back() == "cgroup");
}

TEST_CASE("ceilings of single engines are held as far as those of all would be") {
    rh::subprocess_options options;
    options.processes = 100;
    const auto held = [&options](const sub::usable_uids& uids, const sub::engine_cgroups& groups) {
        return sub::held_limits(options, {rh::isolation_mode::automatic, uids, groups});
    };
    SECTION("none without control groups and uids") {
        const auto limits = held({}, {});
        CHECK_FALSE((limits.memory_mb || limits.cpus || limits.pids));
        CHECK(limits.general == rh::engine_limits{}); // what does not hold is not in force
    }
    SECTION("of processes with a uid per engine") {
        const auto limits = held({.range = rh::default_engine_uids, .why_none = {}}, {});
        CHECK_FALSE((limits.memory_mb || limits.cpus));
        CHECK(limits.pids);
        CHECK(limits.general == rh::engine_limits{.pids = 100});
    }
    SECTION("all with control groups, of processors if there is a ceiling for all") {
        const stand_in machine;
        machine.add_unified("");
        options.memory_bytes = 64 * 1024 * 1024 + 1;
        options.cpus = GENERATE(0.0, 0.5);
        const auto groups = machine.find("0::/\n", {.memory_bytes = options.memory_bytes,
                                                    .cpus = options.cpus,
                                                    .processes = options.processes});
        const auto limits = held({}, groups);
        CHECK(limits.memory_mb);
        CHECK(limits.pids);
        CHECK(limits.cpus == (options.cpus > 0));
        CHECK(limits.general.memory_mb == 65);
        CHECK(limits.general.cpus.has_value() == limits.cpus);
    }
}

TEST_CASE("the ceilings of an engine are its own, and else those of the options") {
    rh::subprocess_options options;
    options.memory_bytes = 1;
    options.cpus = 2;
    options.processes = 3;
    const auto general = sub::ceilings_of(options, {});
    CHECK(general.memory_bytes == 1);
    CHECK(general.cpus == 2);
    CHECK(general.processes == 3);
    const auto own = sub::ceilings_of(options, {.memory_mb = 8, .cpus = 0.5, .pids = 9});
    CHECK(own.memory_bytes == 8 * 1024 * 1024);
    CHECK(own.cpus == 0.5);
    CHECK(own.processes == 9);
}
