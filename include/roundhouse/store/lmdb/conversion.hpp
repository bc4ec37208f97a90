#pragma once

#include <roundhouse/core/store_plan/index_entries.hpp>
#include <roundhouse/store/lmdb/audit_log.hpp>
#include <roundhouse/store/lmdb/checker.hpp>
#include <roundhouse/store/lmdb/conversion_files.hpp>
#include <roundhouse/store/lmdb/conversion_log.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/engine_entries.hpp>
#include <roundhouse/store/lmdb/environment.hpp>
#include <roundhouse/store/lmdb/environment_lock.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/folder.hpp>
#include <roundhouse/store/lmdb/options.hpp>
#include <roundhouse/store/lmdb/schema.hpp>
#include <roundhouse/store/lmdb/schema_1.hpp>
#include <roundhouse/store/lmdb/tables.hpp>
#include <roundhouse/types.hpp>

#include <lmdb.h>
#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// Converts a store of the first schema when it is opened.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// One state of a store that nobody writes, whatever its schema. Opens it without LMDB's locks, which
/// the folder's own lock stands for.
class unlocked_store {
public:
    /// Throws `failure`.
    explicit unlocked_store(const std::string& folder) {
        try {
            check(mdb_env_create(&env_), "environment");
            check(mdb_env_set_maxdbs(env_, database_names.size()), "environment");
            const unsigned flags = MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS;
            check(mdb_env_open(env_, folder.c_str(), flags, 0600), folder);
            check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn_), "environment");
            for (std::size_t i = 0; i < database_names.size(); ++i) open(static_cast<database>(i));
        } catch (...) {
            close();
            throw;
        }
    }
    ~unlocked_store() { close(); }
    unlocked_store(const unlocked_store&) = delete;
    unlocked_store& operator=(const unlocked_store&) = delete;

    /// Whether it has this database.
    [[nodiscard]] bool has(database wanted) const noexcept {
        return found_[static_cast<std::size_t>(wanted)];
    }
    [[nodiscard]] transaction read() const noexcept { return {txn_, handles_}; }

private:
    void open(database wanted) {
        const auto at = static_cast<std::size_t>(wanted);
        const int code = mdb_dbi_open(txn_, database_names[at], 0, &handles_.of[at]);
        found_[at] = code == MDB_SUCCESS;
        if (code != MDB_NOTFOUND) check(code, name_of(wanted));
    }
    void close() noexcept {
        if (txn_ != nullptr) mdb_txn_abort(txn_);
        if (env_ != nullptr) mdb_env_close(env_);
    }

    MDB_env* env_ = nullptr;
    MDB_txn* txn_ = nullptr;
    database_handles handles_;
    std::array<bool, database_names.size()> found_{};
};

/// Copies the records of a store of schema 1 into a new store.
class schema_1_converter {
public:
    schema_1_converter(const transaction& from, environment& to) : from_(from), to_(to) {}

    /// Throws `failure`, also if the copy is not whole.
    void run() {
        copy_meta();
        copy_records<product>(database::products, put<product>);
        copy_records<engine_record>(database::engines, put_engine);
        copy_records<fleet_counts>(
            database::counters,
            [](const transaction& into, std::string_view key, const fleet_counts& counts) {
                put_record(into, database::counters, key, counts);
            });
        copy_records<audit_entry>(database::audit, put<audit_entry>);
        // The other indexes are made from the records: in the old ones 0.1.0 left entries of damaged
        // rows that it removed. This one knows times of rows that are gone.
        constexpr auto times = database::audit_by_time;
        copy(times, [&](const transaction& into, std::string_view key, std::string_view value) {
            into.put(times, key, value);
        });
        verify();
    }

private:
    static constexpr std::size_t entries_per_commit = 20'000;

    void copy_meta() {
        const auto id = read_installation_id(from_);
        std::optional<store_state> state;
        if (const auto bytes = from_.find(database::meta, state_key))
            state = decoded<store_state>(database::meta, state_key, *bytes);
        to_.write([&](const transaction& into) {
            into.put(database::meta, installation_id_key, bytes_of(id));
            if (state) put_record(into, database::meta, state_key, *state);
            return true;
        });
    }

    template <class Record>
    static void put(const transaction& into, std::string_view /*key*/, const Record& record) {
        put_row(into, record);
    }

    static void put_engine(const transaction& into, std::string_view /*key*/,
                           const engine_record& engine) {
        const auto number = make_number(into, engine);
        put_record(into, database::engines, number.view(), engine);
        for (const auto& entry : core::entries_of(engine))
            put_entry(into, stored_entry(entry, engine, number));
        if (engine.port != 0)
            into.put(database::ports, port_key_of(engine.port).view(), bytes_of(engine.id));
    }

    template <class Record>
    static Record decoded(database from, std::string_view key, std::string_view bytes) {
        Record record{};
        schema_1::record_reader reader(bytes);
        schema_1::decode(reader, record);
        if (const auto* const why = reader.finish()) throw damaged(from, key, why);
        return record;
    }

    template <class Record, class Put> void copy_records(database from, const Put& put) {
        copy(from, [&](const transaction& into, std::string_view key, std::string_view bytes) {
            put(into, key, decoded<Record>(from, key, bytes));
        });
    }

    /// Calls `put(transaction, key, value)` for each entry of a database, in a few large commits.
    template <class Put> void copy(database from, const Put& put) {
        std::string next; // key of the first entry that is not copied yet
        for (bool more = true; more;) {
            std::string after;
            more = to_.write([&](const transaction& into) {
                cursor entries(from_, from);
                bool at_entry = next.empty() ? entries.first() : entries.seek(next);
                for (std::size_t n = 0; at_entry && n < entries_per_commit; ++n) {
                    put(into, entries.key(), entries.value());
                    at_entry = entries.next();
                }
                if (at_entry) after = entries.key();
                return at_entry;
            });
            next = after;
        }
    }

    /// Checks the copy as `--verify-store` does, and that nothing is missing.
    void verify() {
        to_.visit([&](const transaction& copied) {
            const auto report = checker(copied).run();
            if (!report.problems.empty())
                throw failure({errc::internal_error, report.problems.front()});
            for (const auto counted :
                 {database::products, database::engines, database::audit, database::counters})
                if (copied.size(counted) != from_.size(counted))
                    throw failure({errc::internal_error, "store: database " +
                                                             std::string(name_of(counted)) +
                                                             " lost entries in the conversion"});
        });
    }

    const transaction from_;
    environment& to_;
};

/// What there is to convert in a store, for the log.
[[nodiscard]] inline std::string records_of(const transaction& from) {
    const auto counted = [&](database of, const char* things) {
        return std::to_string(from.size(of)) + things;
    };
    return counted(database::products, " products, ") +
           counted(database::engines, " engines and ") + counted(database::audit, " audit rows");
}

/// Converts the store in a folder that is locked for the caller, if it is of the first schema; one
/// that is only read is not converted. Returns the lock of the environment, which keeps processes
/// that found the old file from the new one, and has to outlive the environment. Throws `failure`;
/// then the message says so if the store was left as it was.
[[nodiscard]] inline std::optional<environment_lock> convert_if_old(const lmdb_options& options,
                                                                    const store_folder& folder) {
    if (options.read_only) return std::nullopt;
    struct stat found {};
    if (::stat((options.folder + "/" + data_file).c_str(), &found) != 0 || found.st_size == 0)
        return std::nullopt;
    const unlocked_store old(options.folder);
    if (!old.has(database::meta) || read_version(old.read(), schema_key) != 1U) return std::nullopt;
    const conversion_files files(options.folder, folder);
    std::optional<environment_lock> alone;
    try {
        files.require_exchangeable();
        alone.emplace(options.folder);
        const conversion_log log(options);
        log.began("schema " + std::to_string(schema) + ": " + records_of(old.read()));
        files.discard();
        {
            auto target = options;
            target.folder = files.converting();
            environment to(target, MDB_NOSUBDIR | MDB_NOLOCK);
            schema_1_converter(old.read(), to).run();
        }
        files.exchange(*alone);
        log.ended();
    } catch (const failure& failed) {
        files.discard();
        auto cause = failed.cause();
        cause.message +=
            ". The store could not be converted to schema " + std::to_string(schema) +
            ", and was left as it is: mend the cause, or use the version of Roundhouse "
            "that wrote it";
        throw failure(std::move(cause));
    }
    folder.sync(); // before anything is committed to the new file
    return alone;
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
