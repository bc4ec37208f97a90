#include "catch.hpp"
#include "disk_faults.hpp"
#include "store_dump.hpp"
#include "tampering.hpp"
#include "temporary_folder.hpp"

#include <roundhouse/store/lmdb.hpp>

#include <fcntl.h>
#include <lmdb.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

using namespace roundhouse;
using roundhouse_tests::disk_faults;
using roundhouse_tests::raw_database;
using roundhouse_tests::store_dump;
using roundhouse_tests::tamper;
using roundhouse_tests::temporary_folder;

namespace {

const auto fixtures = std::filesystem::path(__FILE__).parent_path() / "old_stores";

std::string text_of(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::string dump_of(const lmdb_store& store) {
    std::ostringstream out;
    store_dump(out, store).write({"first", "second", "third"});
    return out.str();
}

/// A folder with the store of schema 1.
struct old_store {
    temporary_folder folder;
    lmdb_options options;
    const std::filesystem::path data = folder.path() / "data.mdb";
    const std::filesystem::path kept = folder.path() / "data.mdb.schema-1";
    const std::filesystem::path converting = folder.path() / "data.mdb.converting";

    std::shared_ptr<std::vector<std::string>> logged = std::make_shared<std::vector<std::string>>();

    old_store() {
        options.folder = folder.path();
        options.log = [lines = logged](const log_line& line) { lines->emplace_back(line.message); };
        std::filesystem::copy_file(fixtures / "schema-1.mdb", data);
    }

    [[nodiscard]] bool is_unchanged() const {
        return text_of(data) == text_of(fixtures / "schema-1.mdb");
    }
    /// Whether all that an old program wrote is read from the store.
    void check_converted(const lmdb_store& store) const {
        CHECK(dump_of(store) == text_of(fixtures / "schema-1.txt"));
        CHECK(or_throw(store.verify()).problems.empty());
        CHECK(text_of(kept) == text_of(fixtures / "schema-1.mdb"));
        CHECK_FALSE(std::filesystem::exists(converting));
    }
};

bool names(const error& failure, std::string_view word) {
    return failure.message.find(word) != std::string::npos;
}

} // namespace

TEST_CASE("a store of schema 1 is converted when it is opened, and its old file is kept") {
    const old_store old;
    uuid installation_id;
    {
        const auto store = or_throw(lmdb_store::open(old.options));
        old.check_converted(*store);
        REQUIRE(old.logged->size() == 2);
        CHECK(old.logged->front().find("3 products, 17 engines and 57 audit rows") !=
              std::string::npos);
        CHECK(old.logged->back().find("was converted in") != std::string::npos);
        installation_id = store->installation_id();
        auto engine = *or_throw(store->find_engine_by_id(
            or_throw(store->find_engine(or_throw(store->find_product_named("first"))->id, "user-1"))
                ->id));
        engine.reason = "changed since";
        change_set changed;
        changed.changes.emplace_back(update_engine{engine, {}});
        REQUIRE(store->commit(changed));
    }
    SECTION("it is not converted again") {
        const auto store = or_throw(lmdb_store::open(old.options));
        CHECK(store->installation_id() == installation_id);
        CHECK(dump_of(*store).find("changed since") != std::string::npos);
        CHECK(old.logged->size() == 2);
    }
    SECTION("the kept file is a store as it was") {
        std::filesystem::rename(old.kept, old.data);
        const auto store = or_throw(lmdb_store::open(old.options));
        CHECK(store->installation_id() == installation_id);
        old.check_converted(*store);
    }
}

TEST_CASE("a store of schema 1 is not converted where it is only read") {
    old_store old;
    old.options.read_only = true;
    const auto refused = lmdb_store::open(old.options);
    REQUIRE_FALSE(refused);
    CHECK(names(refused.error(), "schema version is 1"));
    CHECK(names(refused.error(), "Start the server on it once"));
    CHECK(old.is_unchanged());
}

TEST_CASE("an interrupted conversion is made anew") {
    const old_store old;
    SECTION("before the new file was whole") {
        std::ofstream(old.converting) << "the beginning of a file";
    }
    SECTION("before the new file had its name") {
        std::filesystem::create_hard_link(old.data, old.kept);
    }
    old.check_converted(*or_throw(lmdb_store::open(old.options)));
}

TEST_CASE("whichever write to the disk fails, a conversion loses nothing, and the next succeeds") {
    const int code = GENERATE(ENOSPC, EIO);
    bool fired = true;
    for (int faults = 0; fired; ++faults) {
        CAPTURE(code, faults);
        REQUIRE(faults < 500);
        const old_store old;
        {
            const disk_faults fault(faults, code, true);
            const auto opened = lmdb_store::open(old.options);
            fired = fault.fired();
            REQUIRE(opened.has_value() == !fired);
            if (!opened) {
                CHECK(opened.error().code == errc::store_unavailable);
                CHECK(names(opened.error(), "left as it is") == old.is_unchanged());
            }
        }
        // The last of them syncs the folder after the new file has its name.
        CHECK((old.is_unchanged() || std::filesystem::exists(old.kept)));
        old.check_converted(*or_throw(lmdb_store::open(old.options)));
    }
}

TEST_CASE("a store of schema 1 with a damaged record is left as it is, and the record is named") {
    const old_store old;
    const std::string database = GENERATE("products", "engines", "counters", "audit");
    CAPTURE(database);
    tamper(old.options, database.c_str(), [](std::string& bytes) { bytes[40] ^= 1; });
    const auto before = text_of(old.data);
    const auto refused = lmdb_store::open(old.options);
    REQUIRE_FALSE(refused);
    CHECK(names(refused.error(), "in database " + database + " is damaged"));
    CHECK(names(refused.error(), "left as it is"));
    CHECK(text_of(old.data) == before);
    CHECK_FALSE(std::filesystem::exists(old.converting));
    CHECK_FALSE(std::filesystem::exists(old.kept));
}

TEST_CASE("index entries of audit rows that are gone do not keep a store from being converted") {
    const old_store old;
    // 0.1.0 left the entries of damaged rows when it pruned them. Row 1 is pruned.
    for (const char* index :
         {"audit_by_product", "audit_by_user", "audit_by_engine", "audit_by_action"}) {
        raw_database opened(old.options, index);
        auto entry = opened.find();
        entry.key.replace(entry.key.size() - 8, 8, {0, 0, 0, 0, 0, 0, 0, 1});
        opened.put(entry);
    }
    const auto store = or_throw(lmdb_store::open(old.options));
    CHECK(dump_of(*store) == text_of(fixtures / "schema-1.txt"));
    CHECK(or_throw(store->verify()).problems.empty());
}

TEST_CASE("a conversion whose end would do harm is refused before its work") {
    const old_store old;
    std::string cause;
    SECTION("an earlier one has kept a file") {
        std::ofstream(old.kept) << "an older store";
        cause = "data.mdb.schema-1 exists";
    }
    SECTION("the file is a link") {
        const auto elsewhere = old.folder.path() / "elsewhere.mdb";
        std::filesystem::rename(old.data, elsewhere);
        std::filesystem::create_symlink(elsewhere, old.data);
        cause = "data.mdb is a symbolic link";
    }
    SECTION("the file is another user's") {
        if (::chown(old.data.c_str(), ::geteuid() + 1, static_cast<gid_t>(-1)) != 0)
            ROUNDHOUSE_SKIP("only root can give a file away");
        cause = "data.mdb belongs to user";
    }
    const auto refused = lmdb_store::open(old.options);
    REQUIRE_FALSE(refused);
    CHECK(names(refused.error(), cause));
    CHECK(names(refused.error(), "left as it is"));
    CHECK(old.logged->empty());
    CHECK(old.is_unchanged());
    CHECK(std::filesystem::is_symlink(old.data) == (cause == "data.mdb is a symbolic link"));
    if (std::filesystem::exists(old.kept)) CHECK(text_of(old.kept) == "an older store");
}

namespace {

/// A process that runs `body()` and exits with what it returns.
template <class Body> pid_t run_beside(const Body& body) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(body());
    return child;
}

int outcome_of(pid_t child) {
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Whether another process can have the environment's lock alone. Not for the process that has it
/// open, whose locks this would end.
bool is_free(const std::filesystem::path& folder) {
    const int file = ::open((folder / "lock.mdb").c_str(), O_RDWR | O_CLOEXEC);
    struct flock wanted {};
    wanted.l_type = F_WRLCK;
    wanted.l_len = 1;
    const bool free = file >= 0 && ::fcntl(file, F_GETLK, &wanted) == 0 && wanted.l_type == F_UNLCK;
    ::close(file);
    return free;
}

} // namespace

TEST_CASE("a store of schema 1 is not converted while another process reads it") {
    const old_store old;
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const auto reader = run_beside([&] {
        MDB_env* env = nullptr;
        if (mdb_env_create(&env) != 0) return 1;
        if (mdb_env_open(env, old.options.folder.c_str(), MDB_RDONLY, 0600) != 0) return 1;
        if (::write(ready[1], "r", 1) != 1) return 1;
        for (;;) ::pause();
    });
    ::close(ready[1]);
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
    const auto refused = lmdb_store::open(old.options);
    REQUIRE_FALSE(refused);
    CHECK(names(refused.error(), "is being read by another process"));
    CHECK(names(refused.error(), "left as it is"));
    CHECK(old.is_unchanged());
    REQUIRE(::kill(reader, SIGKILL) == 0);
    outcome_of(reader);
    old.check_converted(*or_throw(lmdb_store::open(old.options)));
}

TEST_CASE("a store that was converted has LMDB's lock for as long as it is open") {
    const old_store old;
    const auto reads = [&] {
        auto options = old.options;
        options.read_only = true;
        const auto beside = lmdb_store::open(options);
        return beside && (*beside)->verify() ? 0 : 1;
    };
    {
        const auto store = or_throw(lmdb_store::open(old.options));
        CHECK(outcome_of(run_beside([&] { return is_free(old.folder.path()) ? 1 : 0; })) == 0);
        CHECK(outcome_of(run_beside(reads)) == 0);
        CHECK(outcome_of(run_beside([&] { return is_free(old.folder.path()) ? 1 : 0; })) == 0);
    }
    CHECK(is_free(old.folder.path()));
}
