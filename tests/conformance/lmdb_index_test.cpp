#include "catch.hpp"
#include "disk_faults.hpp"
#include "tampering.hpp"
#include "temporary_folder.hpp"

#include <roundhouse/changes.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/store/lmdb.hpp>

#include <lmdb.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace roundhouse;
using roundhouse_tests::disk_faults;
using roundhouse_tests::raw_database;
using roundhouse_tests::tamper;
using roundhouse_tests::temporary_folder;

namespace {

const uuid demo{{1}};

std::shared_ptr<const engine_settings> settings_with(named_texts metadata) {
    engine_settings settings;
    settings.metadata = std::move(metadata);
    return std::make_shared<const engine_settings>(std::move(settings));
}

/// Adds the n-th engine, of user n. Each third is of the plan "pro", the others have no metadata.
engine_record add(lmdb_store& store, std::uint32_t n) {
    engine_record engine;
    for (std::size_t i = 0; i < 4; ++i)
        engine.id.bytes[i] = static_cast<std::uint8_t>(n >> (8 * i));
    engine.product_id = demo;
    engine.user_id = "user-" + std::to_string(n);
    if (n % 3 == 0) engine.settings = settings_with({{"plan", "pro"}});
    change_set set;
    set.changes.emplace_back(insert_engine{engine, {}, {}});
    return *or_throw(store.commit(set)).engines.front();
}

engine_record put(lmdb_store& store, const engine_record& engine) {
    change_set set;
    set.changes.emplace_back(update_engine{engine, {}});
    return *or_throw(store.commit(set)).engines.front();
}

/// The number of engines that a listing finds.
std::size_t found(const lmdb_store& store, std::string prefix, named_texts metadata) {
    const auto page = or_throw(
        store.list_engines({demo, {}, 0, 1'000, {}, std::move(prefix), std::move(metadata)}));
    return page.engines.size();
}

std::size_t entries(const lmdb_options& options, const char* database) {
    return raw_database(options, database).size();
}

bool names(std::string_view message, std::string_view word) {
    return message.find(word) != std::string_view::npos;
}

std::string text_of(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// The folder of a store that is not open.
struct closed_store {
    temporary_folder folder;
    lmdb_options options;

    explicit closed_store(std::uint32_t engines) {
        options.folder = folder.path() / "store";
        const auto store = or_throw(lmdb_store::open(options));
        for (std::uint32_t n = 1; n <= engines; ++n) add(*store, n);
    }
};

/// The same, as the program left it that had no indexes of users and metadata.
struct store_of_layout_3 : closed_store {
    const std::uint32_t engines;
    std::shared_ptr<std::vector<std::string>> logged = std::make_shared<std::vector<std::string>>();

    explicit store_of_layout_3(std::uint32_t count) : closed_store(count), engines(count) {
        for (const char* index : {"engines_by_user", "engines_by_metadata"})
            raw_database(options, index).drop();
        tamper(
            options, "meta", [](std::string& version) { version.back() = 3; }, "layout");
        compact();
        options.log = [lines = logged](const log_line& line) { lines->emplace_back(line.message); };
    }

    /// Whether every engine is found, and the store is whole.
    void check_indexed(const lmdb_store& store) const {
        CHECK(found(store, "user-", {}) == engines);
        CHECK(found(store, "", {{"plan", "pro"}}) == engines / 3);
        const auto report = or_throw(store.verify());
        CHECK(report.problems.empty());
        CHECK(report.engines == engines);
    }

private:
    /// Leaves no free pages in the file.
    void compact() const {
        const auto copy = folder.path() / "copy";
        std::filesystem::create_directory(copy);
        MDB_env* env = nullptr;
        REQUIRE(mdb_env_create(&env) == 0);
        REQUIRE(mdb_env_open(env, options.folder.c_str(), MDB_RDONLY, 0600) == 0);
        REQUIRE(mdb_env_copy2(env, copy.c_str(), MDB_CP_COMPACT) == 0);
        mdb_env_close(env);
        const std::filesystem::path store = options.folder;
        std::filesystem::rename(copy / "data.mdb", store / "data.mdb");
        std::filesystem::remove(store / "lock.mdb");
        std::filesystem::remove_all(copy);
    }
};

} // namespace

TEST_CASE("an engine costs an index entry for its user, and one for each member of its metadata") {
    const closed_store closed(4);
    CHECK(entries(closed.options, "engines_by_user") == 4);
    CHECK(entries(closed.options, "engines_by_metadata") == 1);
    {
        const auto store = or_throw(lmdb_store::open(closed.options));
        auto engine = *or_throw(store->find_engine(demo, "user-1"));
        engine.settings = settings_with({{"plan", "pro"}, {"region", "eu"}});
        put(*store, engine);
    }
    CHECK(entries(closed.options, "engines_by_metadata") == 3);
    {
        const auto store = or_throw(lmdb_store::open(closed.options));
        for (const auto* user : {"user-1", "user-3"}) {
            auto engine = *or_throw(store->find_engine(demo, user));
            engine.settings = nullptr;
            put(*store, engine);
        }
        const auto gone = or_throw(store->find_engine(demo, "user-4"));
        change_set set;
        set.changes.emplace_back(erase_engine{demo, gone->user_id, gone->revision, false});
        REQUIRE(store->commit(set));
    }
    CHECK(entries(closed.options, "engines_by_metadata") == 0);
    CHECK(entries(closed.options, "engines_by_user") == 3);
}

TEST_CASE(
    "the checker finds an entry of a user or of metadata that is missing, too many or wrong") {
    const closed_store closed(6);
    const std::string database = GENERATE("engines_by_user", "engines_by_metadata");
    CAPTURE(database);
    std::string fault;
    {
        raw_database index(closed.options, database.c_str());
        auto entry = index.find();
        SECTION("missing") {
            index.remove(entry.key);
            fault = database == "engines_by_user" ? "is not there" : "lacks an engine";
        }
        SECTION("too many") {
            entry.key.back() ^= 1;
            entry.key.front() ^= 1;
            index.put(entry);
            fault = "entries, and should have";
        }
        SECTION("of another engine") {
            index.remove(entry.key);
            entry.value.front() ^= 8; // of a sequence, which no engine has then
            index.put(entry);
            fault = database == "engines_by_user" ? "leads elsewhere" : "lacks an engine";
        }
    }
    const auto store = or_throw(lmdb_store::open(closed.options));
    const auto problems = or_throw(store->verify()).problems;
    REQUIRE_FALSE(problems.empty());
    for (const auto& problem : problems) CHECK(names(problem, database));
    CHECK(std::ranges::any_of(problems, [&](const auto& line) { return names(line, fault); }));
}

TEST_CASE("a store of layout 3 gets indexes of users and metadata when it is opened") {
    const store_of_layout_3 old(7);
    {
        const auto store = or_throw(lmdb_store::open(old.options));
        old.check_indexed(*store);
        REQUIRE(old.logged->size() == 2);
        const auto layout = "layout " + std::to_string(detail::lmdb::layout);
        CHECK(names(old.logged->front(), layout + ": 7 engines are indexed"));
        CHECK(names(old.logged->back(), "was converted in"));
    }
    old.check_indexed(*or_throw(lmdb_store::open(old.options)));
    CHECK(old.logged->size() == 2); // not again
    const auto store = or_throw(lmdb_store::open(old.options));
    add(*store, 9);
    CHECK(found(*store, "user-9", {{"plan", "pro"}}) == 1);
    CHECK(or_throw(store->verify()).problems.empty());
}

TEST_CASE("a store whose file is larger than its first map gets its indexes") {
    store_of_layout_3 old(300);
    old.options.map_size = 4'096;
    old.check_indexed(*or_throw(lmdb_store::open(old.options)));
}

TEST_CASE("a store of layout 3 gets no indexes where it is only read") {
    store_of_layout_3 old(3);
    old.options.read_only = true;
    const auto before = text_of(old.options.folder + "/data.mdb");
    const auto refused = lmdb_store::open(old.options);
    REQUIRE_FALSE(refused);
    CHECK(names(refused.error().message, "layout version is 3"));
    CHECK(names(refused.error().message, "Start the server on it once"));
    CHECK(text_of(old.options.folder + "/data.mdb") == before);
}

TEST_CASE("a damaged engine does not keep a store of layout 3 from getting its indexes") {
    const store_of_layout_3 old(4);
    tamper(old.options, "engines", [](std::string& bytes) { bytes[40] ^= 1; });
    const auto store = or_throw(lmdb_store::open(old.options));
    CHECK(found(*store, "user-", {}) == 3);
    CHECK(or_throw(store->verify()).problems.size() == 1);
}

TEST_CASE("whichever write to the disk fails, the indexes are built whole or not at all") {
    const int code = GENERATE(ENOSPC, EIO);
    bool fired = true;
    for (int faults = 0; fired; ++faults) {
        CAPTURE(code, faults);
        REQUIRE(faults < 500);
        const store_of_layout_3 old(3);
        {
            const disk_faults fault(faults, code, true);
            const auto opened = lmdb_store::open(old.options);
            fired = fault.fired();
            REQUIRE(opened.has_value() == !fired);
            if (!opened) CHECK(opened.error().code == errc::store_unavailable);
        }
        old.check_indexed(*or_throw(lmdb_store::open(old.options)));
    }
}
