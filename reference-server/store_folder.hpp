#pragma once

#include <roundhouse/error.hpp>

#include <string>

namespace roundhouse::server {

/// The folder of the server's data, locked against a second server: two servers on one folder would
/// end each other's engines.
class store_folder {
public:
    /// Opens the folder, and creates it with mode 0700 if it does not exist. A failure's message
    /// begins with ORCH_STORE_PATH.
    [[nodiscard]] static result<store_folder> open(const std::string& path);

    ~store_folder();
    store_folder(store_folder&& other) noexcept;
    store_folder& operator=(store_folder&&) = delete;

    /// Returns whether other users than the owner have any permission on the folder.
    [[nodiscard]] bool open_to_others() const noexcept { return open_to_others_; }

private:
    store_folder(int lock, bool open_to_others) noexcept
        : lock_(lock), open_to_others_(open_to_others) {}

    int lock_; ///< A descriptor. The lock ends with it, however the process ends.
    bool open_to_others_;
};

/// Returns the installation id for a store in memory. The id is created at the first start on the
/// folder and read at later ones, so that workloads of an earlier start can be found and ended.
[[nodiscard]] result<std::string> installation_id_of(const std::string& folder);

} // namespace roundhouse::server
