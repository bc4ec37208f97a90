#include "../removal_log.hpp"
#include "../temporary_folder.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/trash.hpp>
#include <roundhouse/crypto/keys.hpp>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

using namespace roundhouse_tests;
namespace rh = roundhouse;
namespace sub = rh::detail::subprocess;
namespace fs = std::filesystem;

namespace {

/// The name of a data folder that no other test has.
std::string fresh_name() { return to_string(rh::crypto::make_uuid(rh::crypto::system_entropy)); }

/// A store with data folders of engines, and its trash.
class store_with_trash {
public:
    store_with_trash() { fs::create_directory(engines()); }
    ~store_with_trash() { log.release(); }

    [[nodiscard]] const fs::path& path() const { return folder_.path(); }
    [[nodiscard]] fs::path engines() const { return path() / "engines"; }
    [[nodiscard]] fs::path first_trash() const { return path() / "trash"; }
    [[nodiscard]] fs::path second_trash() const { return engines() / ".trash"; }

    /// Makes a data folder with this many files, and returns its name.
    [[nodiscard]] std::string make_engine(int files = 1) const {
        const auto name = fresh_name();
        fill(engines() / name, files);
        return name;
    }
    static void fill(const fs::path& folder, int files) {
        fs::create_directories(folder);
        for (int i = 0; i < files; ++i) std::ofstream{folder / std::to_string(i)};
    }

    void open() { trash_.emplace(path().string(), log.sink()); }
    void close() { trash_.reset(); }
    [[nodiscard]] rh::result<bool> take(const std::string& name) {
        if (!trash_) open();
        return trash_->take(engines().string(), name);
    }
    [[nodiscard]] std::size_t waiting() const { return sub::count_trash(path().string()).value(); }
    [[nodiscard]] bool has_engine(const std::string& name) const {
        return fs::exists(fs::symlink_status(engines() / name));
    }

private:
    temporary_folder folder_;

public:
    removal_log log;

private:
    std::optional<sub::trash> trash_;
};

/// Makes a file immutable, or no longer so. Returns whether this user may.
bool set_immutable(int file, bool on) {
    int flags = 0;
    if (::ioctl(file, FS_IOC_GETFLAGS, &flags) != 0) return false;
    flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
    return ::ioctl(file, FS_IOC_SETFLAGS, &flags) == 0;
}

/// A path for what somebody else keeps.
fs::path keep_something(const fs::path& folder) {
    store_with_trash::fill(folder, 1);
    return folder / "0";
}

} // namespace

TEST_CASE_METHOD(
    store_with_trash,
    "a folder that is taken to the trash is gone at once, and removed in the background") {
    const auto name = make_engine(500);
    log.hold();
    CHECK(take(name));
    CHECK_FALSE(has_engine(name));
    CHECK(waiting() == 1);
    CHECK((fs::status(first_trash()).permissions() & fs::perms::mask) == fs::perms::owner_all);
    log.release();
    CHECK(log.waits_for("removed a "));
    CHECK(waiting() == 0);
    CHECK(take(name)); // again
    CHECK(take("no such folder"));
}

TEST_CASE_METHOD(store_with_trash, "what an earlier process left in the trash is removed") {
    const auto name = fresh_name();
    fill(first_trash() / (name + ".0"), 3); // its process ended between the move and the removal
    fill(first_trash() / (name + ".1") / "half" / "removed", 3);
    fill(second_trash() / (name + ".0"), 3);
    CHECK(waiting() == 3);
    open();
    CHECK(eventually([this] { return waiting() == 0; }));
}

TEST_CASE_METHOD(store_with_trash, "the folder of the trash is made when it is needed") {
    CHECK(take("no such folder"));
    CHECK_FALSE(fs::exists(first_trash()));
    CHECK(take(make_engine()));
    CHECK(fs::exists(first_trash()));
    CHECK_FALSE(fs::exists(second_trash()));
}

TEST_CASE_METHOD(store_with_trash, "a removal that was interrupted is finished by the next trash") {
    const auto name = make_engine(5'000);
    CHECK(take(name));
    close(); // at whatever point the removal is
    CHECK_FALSE(has_engine(name));
    open();
    CHECK(eventually([this] { return waiting() == 0; }));
}

TEST_CASE_METHOD(store_with_trash, "one engine's folder may be taken again while another waits") {
    const auto name = make_engine();
    log.hold();
    CHECK(take(name));
    fill(engines() / name, 2);
    CHECK(take(name));
    CHECK(fs::exists(first_trash() / (name + ".0") / "0"));
    CHECK(fs::exists(first_trash() / (name + ".1") / "1"));
    log.release();
    CHECK(log.waits_for(removal_log::removed((first_trash() / (name + ".0")).string())));
    CHECK(log.waits_for(removal_log::removed((first_trash() / (name + ".1")).string())));
    CHECK(waiting() == 0);
}

TEST_CASE_METHOD(store_with_trash, "a large folder in the trash holds back no small one") {
    const auto large = make_engine(25'000);
    const auto small = make_engine();
    log.hold();
    CHECK(take(large));
    CHECK(log.waits_for("removing "));
    CHECK(take(small));
    log.release();
    CHECK(log.waits_for(removal_log::removed((first_trash() / large).string())));
    CHECK(log.place(removal_log::removed((first_trash() / small).string())) <
          log.place(removal_log::removed((first_trash() / large).string())));
}

TEST_CASE_METHOD(store_with_trash, "the trash follows no link") {
    const auto other = path() / "other";
    const auto kept = keep_something(other);
    SECTION("in place of a data folder") {
        const auto name = fresh_name();
        fs::create_directory_symlink(other, engines() / name);
        CHECK(take(name));
        CHECK_FALSE(has_engine(name));
        CHECK(waiting() == 0);
    }
    SECTION("in a data folder") {
        const auto name = make_engine();
        fs::create_directory_symlink(other, engines() / name / "link");
        CHECK(take(name));
        CHECK(log.waits_for("removed a "));
        CHECK(waiting() == 0);
    }
    SECTION("in place of something in the trash") {
        const auto name = fresh_name() + ".0";
        fs::create_directory(first_trash());
        fs::create_directory_symlink(other, first_trash() / name);
        open();
        CHECK(log.waits_for("removed a "));
        CHECK(waiting() == 0);
    }
    SECTION("in place of the trash") {
        const auto planted = fresh_name() + ".0";
        fill(other / planted, 1);
        fs::create_directory_symlink(other, first_trash());
        const auto name = make_engine();
        CHECK(take(name));
        CHECK_FALSE(has_engine(name));
        CHECK(log.waits_for(removal_log::removed((second_trash() / name).string())));
        CHECK(log.count(first_trash().string() + " is no folder: remove it") > 0);
        CHECK(fs::exists(other / planted / "0"));
    }
    CHECK(fs::exists(kept));
}

TEST_CASE_METHOD(store_with_trash, "what others keep in a folder named trash stays there") {
    const auto kept = keep_something(first_trash() / "reports");
    const auto alike = keep_something(first_trash() / (fresh_name() + ".old"));
    CHECK(take(make_engine()));
    CHECK(log.waits_for("removed a "));
    CHECK(fs::exists(kept));
    CHECK(fs::exists(alike));
}

TEST_CASE_METHOD(store_with_trash, "a folder on another file system waits in a trash beside it") {
    std::string elsewhere = "/dev/shm/roundhouse-test-XXXXXX";
    struct stat here {};
    struct stat there {};
    if (::stat(path().c_str(), &here) != 0 || ::stat("/dev/shm", &there) != 0 ||
        here.st_dev == there.st_dev || ::mkdtemp(elsewhere.data()) == nullptr)
        ROUNDHOUSE_SKIP("there is no second file system in /dev/shm");
    fs::remove(engines());
    fs::create_directory_symlink(elsewhere, engines());
    const auto name = make_engine();
    log.hold();
    CHECK(take(name));
    CHECK_FALSE(has_engine(name));
    CHECK(fs::exists(second_trash() / (name + ".0")));
    CHECK(waiting() == 1);
    log.release();
    CHECK(log.waits_for("removed a "));
    CHECK(waiting() == 0);
    fs::remove_all(elsewhere);
}

TEST_CASE_METHOD(store_with_trash,
                 "a folder that cannot be moved to the trash is left to whoever removes it") {
    std::ofstream{first_trash()};
    std::ofstream{second_trash()};
    const auto name = make_engine(10);
    const auto taken = take(name);
    REQUIRE(taken);
    CHECK_FALSE(*taken);
    CHECK(has_engine(name));
    CHECK(log.count("cannot be moved to the trash, and is removed where it is " +
                    (engines() / name).string()) == 1);
}

TEST_CASE_METHOD(store_with_trash,
                 "a tree deeper than paths and open folders reach is removed from the trash") {
    const auto name = make_engine();
    sub::descriptor at{::open((engines() / name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    for (int level = 0; level < 1'500; ++level) {
        REQUIRE(::mkdirat(at.get(), "folder", 0700) == 0);
        at = sub::descriptor{::openat(at.get(), "folder", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        REQUIRE(at);
    }
    CHECK(take(name));
    CHECK_FALSE(has_engine(name));
    CHECK(log.waits_for("removed a "));
    CHECK(waiting() == 0);
}

TEST_CASE_METHOD(store_with_trash,
                 "a folder without its owner's rights is taken to the trash and removed") {
    const auto name = make_engine();
    const auto top = engines() / name;
    store_with_trash::fill(top / "a/b", 1);
    constexpr uid_t nobody = 65534;
    if (::getuid() == 0) { // root needs no rights
        for (const auto& each : fs::recursive_directory_iterator{path()})
            REQUIRE(::lchown(each.path().c_str(), nobody, nobody) == 0);
        REQUIRE(::lchown(path().c_str(), nobody, nobody) == 0);
    }
    for (const char* each : {"a/b", "a", ""}) fs::permissions(top / each, fs::perms::owner_read);
    const pid_t child = ::fork(); // this process has no other thread yet
    if (child == 0) {
        if (::getuid() == 0 && ::setresuid(nobody, nobody, nobody) != 0) ::_exit(2);
        if (!take(name) || has_engine(name)) ::_exit(3);
        ::_exit(log.waits_for(removal_log::removed((first_trash() / name).string())) ? 0 : 4);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(waiting() == 0);
}

TEST_CASE_METHOD(store_with_trash,
                 "what cannot be removed is named once, kept, and tried again by the next trash") {
    const auto name = make_engine();
    const sub::descriptor file{::open((engines() / name / "0").c_str(), O_RDONLY | O_CLOEXEC)};
    if (!set_immutable(file.get(), true))
        ROUNDHOUSE_SKIP("this user cannot make a file immutable here");
    const auto stuck = (first_trash() / (name + ".0")).string();
    CHECK(take(name));
    CHECK(log.waits_for("cannot remove " + stuck + "/0: Operation not permitted"));
    CHECK(take(make_engine()));
    CHECK(log.waits_for("removed a "));
    CHECK(log.count("cannot remove") == 1);
    CHECK(waiting() == 1);
    close();
    REQUIRE(set_immutable(file.get(), false));
    open();
    CHECK(log.waits_for(removal_log::removed(stuck)));
    CHECK(waiting() == 0);
}
