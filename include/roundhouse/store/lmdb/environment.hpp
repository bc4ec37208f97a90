#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/long_reads.hpp>
#include <roundhouse/store/lmdb/options.hpp>
#include <roundhouse/store/lmdb/readers.hpp>
#include <roundhouse/store/lmdb/schema.hpp>

#include <fcntl.h>
#include <lmdb.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// An open LMDB environment with its databases. Runs transactions, and grows the map.
///
/// Reads take no lock, and threads that read share no memory that they write. The map can only be
/// exchanged while no read is under way. Short reads (`read`) are held off for that moment. Long
/// ones (`visit`) hold off the writer instead, so that no short read waits for a long one.
class environment {
    template <class Body> using outcome = std::invoke_result_t<const Body&, const transaction&>;

public:
    /// Opens or creates the environment in the folder, with these flags of LMDB's in addition.
    /// Throws `failure`.
    explicit environment(const lmdb_options& options, unsigned flags = 0)
        : options_(options), flags_(MDB_NOTLS | (options.read_only ? MDB_RDONLY : 0U) | flags) {
        open();
    }
    ~environment() { close(); }
    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;

    /// Runs `body(transaction)` on the state of the last commit. The body must not call the store.
    template <class Body> outcome<Body> read(const Body& body) const {
        for (;;) {
            try {
                return read_once(body);
            } catch (const failure& failed) {
                if (!repair_for_reads(failed.code())) throw;
            }
        }
    }

    /// The same for a read that may take long.
    template <class Body> outcome<Body> visit(const Body& body) const {
        for (;;) {
            try {
                const long_reads::shared long_read(long_reads_);
                return read_once(body);
            } catch (const failure& failed) {
                if (!repair_for_reads(failed.code())) throw;
            }
        }
    }

    /// Runs `body(transaction)` and commits durably. If either throws, nothing is changed. The body
    /// is run again after the map has grown. One write at a time.
    template <class Body> outcome<Body> write(const Body& body) {
        const std::lock_guard alone(writers_);
        for (;;) {
            try {
                return write_once(body);
            } catch (const failure& failed) {
                if (!repair(failed.code())) throw;
            }
        }
    }

    /// Writes a consistent copy, without free pages, to an open file. Holds off neither reads nor
    /// writes.
    void copy_to(int descriptor) const {
        visit([&](const transaction&) {
            check(mdb_env_copyfd2(env_, descriptor, MDB_CP_COMPACT), "backup");
        });
    }

private:
    /// A read transaction, which ends with the object.
    class reading {
    public:
        explicit reading(const environment& from) : slot_(from.readers_.enter()) {
            auto* const env = from.env_; // cannot change while this thread reads
            int code = env == nullptr ? MDB_PANIC : slot_.begin(env);
            if (code == MDB_READERS_FULL) {
                mdb_reader_check(env, nullptr);
                code = slot_.begin(env);
            }
            if (code == MDB_SUCCESS) return;
            slot_.leave();
            throw failure(code, "environment");
        }
        ~reading() { slot_.leave(); }
        reading(const reading&) = delete;
        reading& operator=(const reading&) = delete;

        [[nodiscard]] MDB_txn* txn() const noexcept { return slot_.txn; }

    private:
        reader& slot_;
    };

    /// A write transaction, which is aborted with the object unless it has been committed.
    class writing {
    public:
        explicit writing(MDB_env* env) {
            const int code = env == nullptr ? MDB_PANIC : mdb_txn_begin(env, nullptr, 0, &txn_);
            check(code, "environment");
        }
        ~writing() {
            if (txn_ != nullptr) mdb_txn_abort(txn_);
        }
        writing(const writing&) = delete;
        writing& operator=(const writing&) = delete;

        [[nodiscard]] MDB_txn* txn() const noexcept { return txn_; }
        void commit() { check(mdb_txn_commit(std::exchange(txn_, nullptr)), "commit"); }

    private:
        MDB_txn* txn_ = nullptr;
    };

    template <class Body> outcome<Body> read_once(const Body& body) const {
        const reading slot(*this);
        return body(transaction(slot.txn(), handles_));
    }

    template <class Body> outcome<Body> write_once(const Body& body) {
        release_dead_readers();
        writing write(env_);
        auto answer = body(transaction(write.txn(), handles_));
        write.commit();
        return answer;
    }

    /// Releases the slots of readers whose process died, and with them the pages that they saw; not
    /// before each write, but often enough that few pages are kept by them.
    void release_dead_readers() {
        if (env_ == nullptr || ++writes_since_check_ < writes_between_checks) return;
        writes_since_check_ = 0;
        mdb_reader_check(env_, nullptr);
    }

    /// Returns true if an operation that failed with the code can be repeated now. The caller must
    /// hold `writers_`.
    bool repair(int code) {
        switch (code) {
        case MDB_MAP_FULL:
            mdb_reader_check(env_, nullptr);
            grow();
            return true;
        case MDB_MAP_RESIZED: resize(0); return true; // another process has grown it
        case MDB_PANIC: reopen(); return true;
        default: return false;
        }
    }

    /// The same for a read, which must have ended. Several threads may repair one after the other,
    /// which does no harm.
    bool repair_for_reads(int code) const {
        if (code != MDB_MAP_RESIZED && code != MDB_PANIC) return false;
        const std::lock_guard alone(writers_);
        return const_cast<environment*>(this)->repair(code); // reads see the same state after it
    }

    void open() {
        check(mdb_env_create(&env_), "environment");
        try {
            check(mdb_env_set_maxdbs(env_, database_names.size()), "environment");
            check(mdb_env_set_maxreaders(env_, max_readers), "environment");
            check(mdb_env_set_mapsize(env_, std::max(map_size_, options_.map_size)), "environment");
            check(mdb_env_open(env_, options_.folder.c_str(), flags_, 0600), options_.folder);
            mdb_reader_check(env_, nullptr);
            if (!options_.read_only) leave_room();
            open_databases();
        } catch (...) {
            mdb_env_close(std::exchange(env_, nullptr));
            throw;
        }
        map_size_ = current_map_size();
    }

    /// LMDB maps a file that is larger than the map was to be without a page to write to.
    void leave_room() const {
        const auto size = current_map_size();
        const auto wanted = std::min(size * 2, options_.max_map_size);
        if (size > std::max(map_size_, options_.map_size) && wanted > size)
            check(mdb_env_set_mapsize(env_, wanted), "map");
    }

    /// Opens the databases, and creates those that are missing. The schema is checked first: a store
    /// of another schema has other databases, and is left as it is.
    void open_databases() {
        MDB_txn* txn = nullptr;
        check(mdb_txn_begin(env_, nullptr, options_.read_only ? MDB_RDONLY : 0U, &txn),
              "environment");
        try {
            open_database(txn, database::meta);
            const transaction meta(txn, handles_);
            check_schema(meta);
            if (options_.read_only) require_indexes(meta);
            for (std::size_t i = 0; i < database_names.size(); ++i)
                open_database(txn, static_cast<database>(i));
            if (!options_.read_only) note_schema(meta);
            handles_.owner_hash = read_owner_hash_key(meta);
        } catch (...) {
            mdb_txn_abort(txn);
            throw;
        }
        check(mdb_txn_commit(txn),
              "environment"); // also where it only read: this keeps the handles
    }

    void open_database(MDB_txn* txn, database wanted) {
        const unsigned flags = options_.read_only ? 0U : MDB_CREATE | flags_of(wanted);
        check(mdb_dbi_open(txn, database_names[static_cast<std::size_t>(wanted)], flags,
                           &handles_.of[static_cast<std::size_t>(wanted)]),
              name_of(wanted));
    }

    void close() noexcept {
        if (env_ == nullptr) return;
        readers_.end_all();
        mdb_env_close(std::exchange(env_, nullptr));
    }

    /// After an error in the last step of a commit LMDB refuses everything, reads included, until
    /// the environment is opened again.
    void reopen() {
        const long_reads::none no_long_reads(long_reads_);
        const readers::pause no_reads(readers_);
        close();
        open();
    }

    [[nodiscard]] std::size_t current_map_size() const {
        MDB_envinfo info{};
        check(mdb_env_info(env_, &info), "environment");
        return info.me_mapsize;
    }

    void grow() {
        const auto wanted = std::min(map_size_ * 2, options_.max_map_size);
        if (wanted <= map_size_)
            throw failure({errc::store_unavailable,
                           "store: " + options_.folder + " has reached its bound of " +
                               std::to_string(options_.max_map_size) + " bytes (max_map_size)",
                           1});
        resize(wanted);
    }

    /// Exchanges the map for one of this size; 0 is the size in the file.
    void resize(std::size_t wanted) {
        // LMDB unmaps the old map before it maps the new one: make sure first that there is room.
        if (!address_space_has(wanted)) throw failure(ENOMEM, "map");
        const long_reads::none no_long_reads(long_reads_);
        const readers::pause no_reads(readers_);
        check(mdb_env_set_mapsize(env_, wanted), "map");
        map_size_ = current_map_size();
    }

    static bool address_space_has(std::size_t bytes) noexcept {
        if (bytes == 0) return true;
        void* const place = ::mmap(nullptr, bytes, PROT_NONE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (place == MAP_FAILED) return false;
        ::munmap(place, bytes);
        return true;
    }

    static constexpr unsigned max_readers = 1024; ///< Of all processes that have it open.
    static constexpr unsigned writes_between_checks = 64;

    const lmdb_options options_;
    /// Without MDB_NOTLS a read transaction would belong to the thread that began it.
    const unsigned flags_;
    // Changed only with `writers_` held and no read under way.
    MDB_env* env_ = nullptr; ///< Null if opening it again failed.
    database_handles handles_{};
    std::size_t map_size_ = 0;

    unsigned writes_since_check_ = 0;

    mutable std::mutex writers_; ///< Held across I/O: only writers wait for it.
    mutable long_reads long_reads_;
    mutable readers readers_;
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
