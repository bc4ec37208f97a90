#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/log_file.hpp>
#include <roundhouse/backend/subprocess/ownership.hpp>
#include <roundhouse/error.hpp>

#include <fcntl.h>
#include <sys/types.h>

#include <cerrno>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// The folders and the log with which an engine is launched. Folders that are made for it are removed
/// with this, unless they are kept.
class launch_files {
public:
    launch_files(std::string data, std::string workload)
        : data_{std::move(data)}, workload_{std::move(workload)} {}

    /// Makes the folders that are missing, and opens the data folder for the engine's user.
    [[nodiscard]] result<void> make_folders(uid_t uid) {
        const auto made_workload = make_folder(workload_);
        if (!made_workload) return unexpected{made_workload.error()};
        if (*made_workload) undo_workload_.remove_later(workload_);
        const auto made = make_folder(data_);
        if (!made) return unexpected{made.error()};
        if (*made) undo_data_.remove_later(data_);
        auto opened = open_for_engine(data_, *made, uid);
        if (!opened) return unexpected{opened.error()};
        folder_ = std::move(*opened);
        return {};
    }

    /// Opens the log, which the engine's user may write to: programs open their output by its path too.
    [[nodiscard]] result<void> open_log(uid_t uid) {
        output_ = open_regular(log(), O_WRONLY | O_APPEND | O_CREAT);
        if (!output_) return not_opened(log(), errno);
        if (uid != 0 && !let_write(output_.get(), uid)) return failed(log(), errno);
        ::fcntl(output_.get(), F_SETFL, O_APPEND); // the engine must not inherit O_NONBLOCK
        return {};
    }

    void keep() noexcept {
        undo_workload_.leave();
        undo_data_.leave();
    }

    [[nodiscard]] const std::string& data() const noexcept { return data_; }
    [[nodiscard]] const std::string& workload() const noexcept { return workload_; }
    [[nodiscard]] std::string log() const { return workload_ + '/' + log_name; }
    /// Descriptors of the data folder and of the log, which belong to this.
    [[nodiscard]] int folder() const noexcept { return folder_.get(); }
    [[nodiscard]] int output() const noexcept { return output_.get(); }

private:
    const std::string data_;
    const std::string workload_;
    folder_undo undo_workload_;
    folder_undo undo_data_;
    descriptor folder_;
    descriptor output_;
};

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
